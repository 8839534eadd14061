# vka_hash_shader_sources(root result): a hash of all that the kernels' SPIR-V follows from, but the compiler's version: shaders,
# their table, and the flags. As a script, cmake -DROOT=folder -DOUT=file -P ShaderSources.cmake, it writes that to a file.

function(vka_hash_shader_sources root result)
    file(GLOB_RECURSE files LIST_DIRECTORIES FALSE RELATIVE ${root} ${root}/shaders/* ${root}/bench/*.comp ${root}/examples/*.comp ${root}/examples/*.vert
         ${root}/examples/*.frag ${root}/examples/*.glsl)
    list(APPEND files src/kernels.def cmake/KernelTable.cmake cmake/Shaders.cmake)
    list(SORT files)
    set(hashes "")
    foreach(file IN LISTS files)
        file(SHA256 ${root}/${file} hash)
        string(APPEND hashes "${hash} ${file}\n")
    endforeach()
    string(SHA256 hash "${hashes}")
    set(${result} ${hash} PARENT_SCOPE)
endfunction()

# vka_hash_attention(root header): a header with a hash of what a score function is compiled with. As a script, with HEADER=file.
function(vka_hash_attention root header)
    file(GLOB_RECURSE files LIST_DIRECTORIES FALSE RELATIVE ${root} ${root}/shaders/include/* ${root}/shaders/attention/*)
    list(SORT files)
    file(STRINGS ${root}/src/kernels.def hashes REGEX "VKA_KERNEL\\(.*VKA_SCORE_FUNCTION")
    foreach(file IN LISTS files)
        file(SHA256 ${root}/${file} hash)
        string(APPEND hashes "${hash} ${file}\n")
    endforeach()
    string(SHA256 hash "${hashes}")
    string(SUBSTRING ${hash} 0 16 hash)
    file(WRITE ${header} "#define VKA_SHADER_HASH UINT64_C(0x${hash})\n")
endfunction()

if(CMAKE_SCRIPT_MODE_FILE AND HEADER)
    vka_hash_attention(${ROOT} ${HEADER})
elseif(CMAKE_SCRIPT_MODE_FILE)
    vka_hash_shader_sources(${ROOT} hash)
    file(WRITE ${OUT} ${hash})
endif()
