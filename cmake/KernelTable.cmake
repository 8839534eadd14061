# What building the library's kernels shares with building those of a caller's score function: the table src/kernels.def, what the
# shader compiler can do, how it is called. An installed vkattn has this too, with the shaders, in share/vkattn.

cmake_policy(PUSH)
cmake_policy(VERSION 3.25)

# The sources, or share/vkattn, which has the same folders.
get_filename_component(VKA_KERNEL_ROOT ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
set_property(GLOBAL PROPERTY VKA_KERNEL_ROOT ${VKA_KERNEL_ROOT})

# The flags of every shader.
function(vka_shader_flags result)
    get_property(root GLOBAL PROPERTY VKA_KERNEL_ROOT)
    set(${result} --quiet -I${root}/shaders/include -I${root}/shaders -I${root}/src PARENT_SCOPE)
endfunction()

# Reads VKA_KERNEL(name, "file under shaders/", "-DX=1 ...", needs) into kernel_name, kernel_source, kernel_defines, kernel_tokens:
# what the compiler must be able to do; and kernel_target: the version of Vulkan, 1.1 or what a token VULKAN_<x>_<y> says.
macro(vka_read_kernel line)
    if(NOT "${line}" MATCHES "^[ \t]*VKA_KERNEL\\([ \t]*([A-Za-z0-9_]+)[ \t]*,[ \t]*\"([^\"]+)\"[ \t]*,[ \t]*\"([^\"]*)\"[ \t]*,(.*)\\)")
        message(FATAL_ERROR "src/kernels.def: cannot read: ${line}")
    endif()
    get_property(kernel_source GLOBAL PROPERTY VKA_KERNEL_ROOT)
    set(kernel_name ${CMAKE_MATCH_1})
    string(APPEND kernel_source /shaders/${CMAKE_MATCH_2})
    set(kernel_needs "${CMAKE_MATCH_4}")
    separate_arguments(kernel_defines UNIX_COMMAND "${CMAKE_MATCH_3}")
    string(REGEX MATCHALL "GLSLC_[A-Z0-9_]+" kernel_tokens "${kernel_needs}")
    set(kernel_target vulkan1.1)
    if(kernel_needs MATCHES "VULKAN_([0-9]+)_([0-9]+)")
        set(kernel_target vulkan${CMAKE_MATCH_1}.${CMAKE_MATCH_2})
    endif()
endmacro()

# Sets ${result} to whether the compiler passes the probe. Costs milliseconds, so that nothing is cached.
function(vka_probe_compiler compiler validator token target folder result)
    get_property(root GLOBAL PROPERTY VKA_KERNEL_ROOT)
    string(REGEX REPLACE "^GLSLC_" "" probe ${token})
    string(TOLOWER ${probe} probe)
    set(file ${root}/cmake/probes/${probe}.comp)
    if(NOT EXISTS ${file})
        message(FATAL_ERROR "src/kernels.def: ${token} needs a probe ${file}")
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(MAKE_DIRECTORY ${folder})
    vka_shader_flags(flags)
    execute_process(COMMAND ${compiler} ${flags} --target-env ${target} -S comp -o ${folder}/probe.spv ${file}
                    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    set(works TRUE)
    if(failed)
        set(works FALSE)
    elseif(validator)
        execute_process(COMMAND ${validator} --target-env ${target} ${folder}/probe.spv
                        RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
        if(failed)
            set(works FALSE)
        endif()
    endif()
    set(${result} ${works} PARENT_SCOPE)
endfunction()

# SPIR-V that is there already, in a C header as an array of words.
function(vka_embed_spirv name binary header variable)
    get_property(root GLOBAL PROPERTY VKA_KERNEL_ROOT)
    set(embed ${root}/cmake/Embed.cmake)
    add_custom_command(
        OUTPUT ${header}
        COMMAND ${CMAKE_COMMAND} -DIN=${binary} -DOUT=${header} -DVARIABLE=${variable} -P ${embed}
        DEPENDS ${binary} ${embed}
        COMMENT "Shader ${name}" VERBATIM)
endfunction()

# vka_compile_shader(compiler validator name source folder header variable target flag..): SPIR-V in folder/<name>.spv, validated, and
# in a C header as an array of words. Other files that it is made of are in DEPENDS.
function(vka_compile_shader compiler validator name source folder header variable target)
    cmake_parse_arguments(PARSE_ARGV 8 arg "" "" "DEPENDS")
    get_property(root GLOBAL PROPERTY VKA_KERNEL_ROOT)
    set(embed ${root}/cmake/Embed.cmake)
    set(binary ${folder}/${name}.spv)
    set(inputs ${source} ${arg_DEPENDS})
    set(depfile "")
    set(depfile_flags "")
    get_property(help GLOBAL PROPERTY "VKA_HELP_OF_${compiler}")
    if(NOT help)
        execute_process(COMMAND ${compiler} --help OUTPUT_VARIABLE help ERROR_QUIET)
        set_property(GLOBAL PROPERTY "VKA_HELP_OF_${compiler}" "${help};")
    endif()
    if(help MATCHES "--depfile")
        set(depfile DEPFILE ${folder}/${name}.d)
        set(depfile_flags --depfile ${folder}/${name}.d)
    else() # glslang before 11.12. Any shader file may be included by any other
        file(GLOB_RECURSE all_shaders CONFIGURE_DEPENDS ${root}/shaders/*)
        list(APPEND inputs ${all_shaders})
    endif()
    set(names "") # of variables and functions, a sixth of all SPIR-V, which no driver reads
    if(help MATCHES "-g0")
        set(names -g0)
    endif()
    set(validate "")
    if(validator)
        set(validate COMMAND ${validator} --target-env ${target} ${binary})
    endif()
    vka_shader_flags(flags)
    add_custom_command(
        OUTPUT ${binary} ${header}
        COMMAND ${compiler} ${flags} ${names} --target-env ${target} ${arg_UNPARSED_ARGUMENTS} ${depfile_flags} -o ${binary} ${source}
        ${validate}
        COMMAND ${CMAKE_COMMAND} -DIN=${binary} -DOUT=${header} -DVARIABLE=${variable} -P ${embed}
        DEPENDS ${inputs} ${embed}
        ${depfile}
        COMMENT "Shader ${name}" VERBATIM)
endfunction()

cmake_policy(POP)
