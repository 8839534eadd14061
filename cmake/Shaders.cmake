# Kernels: src/kernels.def -> SPIR-V -> C.
#
# vka_add_kernels(target) compiles every line
#
#   VKA_KERNEL(name, "file under shaders/", "-DX=1 ...", needs)
#
# to spirv/<name>.spv in the build directory, for Vulkan 1.1 or what a token VULKAN_<x>_<y> in `needs` says, validates it, and
# adds spirv.h and a table of all kernels, in the order of the lines, to the target. A token GLSLC_<X> in `needs` asks for a
# compiler that can compile cmake/probes/<x>.comp; where it can't, the kernel stays in the table without code.
#
# With VKATTN_SPIRV_DIR the SPIR-V lies there, from another build of the same sources: nothing is compiled, and a kernel
# without a file stays without code. Releases carry it in spirv/ (tools/make-release), which is taken as long as the shaders are
# the release's.

include(ShaderSources)
set(VKATTN_SPIRV_DIR "" CACHE PATH "Folder with the SPIR-V of all kernels, from another build of the same sources; empty: a release's own, or compile it")
option(VKATTN_COMPILE_KERNELS "Compile the kernels although the sources carry their SPIR-V" OFF)

if(NOT VKATTN_SPIRV_DIR AND NOT VKATTN_COMPILE_KERNELS AND EXISTS ${PROJECT_SOURCE_DIR}/spirv/SOURCES)
    file(READ ${PROJECT_SOURCE_DIR}/spirv/SOURCES released_sources)
    vka_hash_shader_sources(${PROJECT_SOURCE_DIR} present_sources)
    if(released_sources STREQUAL present_sources)
        set(VKATTN_SPIRV_DIR ${PROJECT_SOURCE_DIR}/spirv)
    else()
        message(STATUS "The shaders are not those of the release any more: they are compiled, instead of taking spirv/")
    endif()
endif()
if(NOT VKATTN_SPIRV_DIR AND NOT VKATTN_GLSLANG)
    message(FATAL_ERROR "glslang is missing: run setup.sh, install it, or take a release, which carries the kernels' SPIR-V")
endif()

# A compiler without --depfile: glslang before 11.12.
set(VKATTN_GLSLANG_HAS_DEPFILE FALSE)
if(VKATTN_GLSLANG)
    execute_process(COMMAND ${VKATTN_GLSLANG} --help OUTPUT_VARIABLE help ERROR_QUIET)
    if(help MATCHES "--depfile")
        set(VKATTN_GLSLANG_HAS_DEPFILE TRUE)
    endif()
endif()

set(shader_flags --quiet -I${PROJECT_SOURCE_DIR}/shaders/include -I${PROJECT_SOURCE_DIR}/shaders
                 -I${PROJECT_SOURCE_DIR}/src)

# Sets ${result} to whether the compiler passes the probe. Costs milliseconds, so that nothing is cached.
function(vka_probe_compiler token target result)
    string(REGEX REPLACE "^GLSLC_" "" probe ${token})
    string(TOLOWER ${probe} probe)
    set(file ${PROJECT_SOURCE_DIR}/cmake/probes/${probe}.comp)
    if(NOT EXISTS ${file})
        message(FATAL_ERROR "src/kernels.def: ${token} needs a probe ${file}")
    endif()
    set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    execute_process(COMMAND ${VKATTN_GLSLANG} ${shader_flags} --target-env ${target} -S comp -o ${PROJECT_BINARY_DIR}/spirv/probe.spv ${file}
                    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    set(works TRUE)
    if(failed)
        set(works FALSE)
    elseif(VKATTN_SPIRV_VAL)
        execute_process(COMMAND ${VKATTN_SPIRV_VAL} --target-env ${target} ${PROJECT_BINARY_DIR}/spirv/probe.spv
                        RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
        if(failed)
            set(works FALSE)
        endif()
    endif()
    set(${result} ${works} PARENT_SCOPE)
endfunction()

# vka_embed_shader(name source header variable target_env define..): the SPIR-V of a shader as an array of words in a C header:
# compiled to spirv/<name>.spv in the build directory, or taken from VKATTN_SPIRV_DIR.
function(vka_embed_shader name source header variable target_env)
    set(embed ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake)
    set(compile "")
    set(depfile "")
    if(VKATTN_SPIRV_DIR AND EXISTS ${VKATTN_SPIRV_DIR}/${name}.spv)
        set(binary ${VKATTN_SPIRV_DIR}/${name}.spv)
        set(outputs ${header})
        set(inputs ${binary})
    else()
        set(binary ${PROJECT_BINARY_DIR}/spirv/${name}.spv)
        set(outputs ${binary} ${header})
        set(inputs ${source})
        set(depfile_flags "")
        if(VKATTN_GLSLANG_HAS_DEPFILE)
            set(depfile DEPFILE ${PROJECT_BINARY_DIR}/spirv/${name}.d)
            set(depfile_flags --depfile ${PROJECT_BINARY_DIR}/spirv/${name}.d)
        else() # any shader file may be included by any other
            file(GLOB_RECURSE all_shaders CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/shaders/*)
            list(APPEND inputs ${all_shaders})
        endif()
        set(compile COMMAND ${VKATTN_GLSLANG} ${shader_flags} --target-env ${target_env} ${ARGN} ${depfile_flags} -o ${binary} ${source})
        if(VKATTN_SPIRV_VAL)
            list(APPEND compile COMMAND ${VKATTN_SPIRV_VAL} --target-env ${target_env} ${binary})
        endif()
    endif()
    add_custom_command(
        OUTPUT ${outputs}
        ${compile}
        COMMAND ${CMAKE_COMMAND} -DIN=${binary} -DOUT=${header} -DVARIABLE=${variable} -P ${embed}
        DEPENDS ${inputs} ${embed}
        ${depfile}
        COMMENT "Shader ${name}" VERBATIM)
endfunction()

function(vka_add_kernels target)
    set(table ${PROJECT_SOURCE_DIR}/src/kernels.def)
    set(spirv ${PROJECT_BINARY_DIR}/spirv)
    set(generated ${PROJECT_BINARY_DIR}/generated)
    file(MAKE_DIRECTORY ${spirv} ${generated})
    set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${table})

    set(includes "")
    set(entries "")
    set(headers "")
    set(dropped_tokens "")
    set(kernel_count 0)
    file(STRINGS ${table} lines REGEX "^[ \t]*VKA_KERNEL\\(")
    foreach(line IN LISTS lines)
        if(NOT line MATCHES "^[ \t]*VKA_KERNEL\\([ \t]*([A-Za-z0-9_]+)[ \t]*,[ \t]*\"([^\"]+)\"[ \t]*,[ \t]*\"([^\"]*)\"[ \t]*,(.*)\\)")
            message(FATAL_ERROR "src/kernels.def: cannot read: ${line}")
        endif()
        set(name ${CMAKE_MATCH_1})
        set(source ${PROJECT_SOURCE_DIR}/shaders/${CMAKE_MATCH_2})
        set(define_text "${CMAKE_MATCH_3}")
        set(needs "${CMAKE_MATCH_4}")
        separate_arguments(defines UNIX_COMMAND "${define_text}")
        math(EXPR kernel_count "${kernel_count} + 1")
        set(tokens "")
        if(NOT VKATTN_SPIRV_DIR)
            string(REGEX MATCHALL "GLSLC_[A-Z0-9_]+" tokens "${needs}")
        endif()
        set(target_env vulkan1.1)
        if(needs MATCHES "VULKAN_([0-9]+)_([0-9]+)")
            set(target_env vulkan${CMAKE_MATCH_1}.${CMAKE_MATCH_2})
        endif()

        set(dropped FALSE)
        foreach(token IN LISTS tokens)
            if(NOT DEFINED works_${token})
                vka_probe_compiler(${token} ${target_env} works_${token})
            endif()
            if(NOT works_${token})
                set(dropped TRUE)
                list(APPEND dropped_${token} ${name})
                list(APPEND dropped_tokens ${token})
            endif()
        endforeach()
        if(VKATTN_SPIRV_DIR AND NOT EXISTS ${VKATTN_SPIRV_DIR}/${name}.spv)
            set(dropped TRUE)
            list(APPEND dropped_SPIRV ${name})
            list(APPEND dropped_tokens SPIRV)
        endif()
        if(dropped)
            string(APPEND entries "    {\"${name}\", NULL, 0},\n")
            continue()
        endif()

        set(header ${generated}/spirv_${name}.inc)
        vka_embed_shader(${name} ${source} ${header} vka__spirv_${name} ${target_env} ${defines})
        list(APPEND headers ${header})
        string(APPEND includes "#include \"spirv_${name}.inc\"\n")
        string(APPEND entries "    {\"${name}\", vka__spirv_${name}, sizeof vka__spirv_${name}},\n")
    endforeach()

    list(REMOVE_DUPLICATES dropped_tokens)
    foreach(token IN LISTS dropped_tokens)
        list(JOIN dropped_${token} " " names)
        if(token STREQUAL SPIRV)
            message(STATUS "${VKATTN_SPIRV_DIR} lacks the SPIR-V of ${names}: no code for them")
        else()
            message(STATUS "The shader compiler lacks ${token}: no code for ${names}")
        endif()
    endforeach()

    file(CONFIGURE OUTPUT ${generated}/spirv.h @ONLY CONTENT [[
/* Generated from src/kernels.def. The code of every kernel, in the order of that table. */
#ifndef VKA_SPIRV_H
#define VKA_SPIRV_H

#include <stddef.h>
#include <stdint.h>

struct vka__spirv {
    const char *name;
    const uint32_t *words; /* NULL: the shader compiler of this build could not compile it */
    size_t bytes;
};

#define VKA_SPIRV_COUNT @kernel_count@
extern const struct vka__spirv vka__spirv_table[VKA_SPIRV_COUNT + 1]; /* the last one is all zero */

#endif
]])
    file(CONFIGURE OUTPUT ${generated}/spirv.c @ONLY CONTENT [[
/* Generated from src/kernels.def. */
#include "spirv.h"

@includes@
const struct vka__spirv vka__spirv_table[VKA_SPIRV_COUNT + 1] = {
@entries@    {NULL, NULL, 0},
};
]])
    set_source_files_properties(${generated}/spirv.c TARGET_DIRECTORY ${target} PROPERTIES OBJECT_DEPENDS "${headers}")
    target_sources(${target} PRIVATE ${generated}/spirv.c)
    target_include_directories(${target} PUBLIC ${generated})
endfunction()
