# vka_hash_shader_sources(root result): a hash of all that the kernels' SPIR-V follows from, but the compiler's version: shaders,
# their table, and the flags. As a script, cmake -DROOT=folder -DOUT=file -P ShaderSources.cmake, it writes that to a file.

function(vka_hash_shader_sources root result)
    file(GLOB_RECURSE files LIST_DIRECTORIES FALSE RELATIVE ${root} ${root}/shaders/* ${root}/bench/*.comp ${root}/examples/*.comp)
    list(APPEND files src/kernels.def cmake/Shaders.cmake)
    list(SORT files)
    set(hashes "")
    foreach(file IN LISTS files)
        file(SHA256 ${root}/${file} hash)
        string(APPEND hashes "${hash} ${file}\n")
    endforeach()
    string(SHA256 hash "${hashes}")
    set(${result} ${hash} PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE)
    vka_hash_shader_sources(${ROOT} hash)
    file(WRITE ${OUT} ${hash})
endif()
