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
include(KernelTable)
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

# vka_embed_shader(name source header variable target_env define..): the SPIR-V of a shader as an array of words in a C header:
# compiled to spirv/<name>.spv in the build directory, or taken from VKATTN_SPIRV_DIR.
function(vka_embed_shader name source header variable target_env)
    if(VKATTN_SPIRV_DIR AND EXISTS ${VKATTN_SPIRV_DIR}/${name}.spv)
        vka_embed_spirv(${name} ${VKATTN_SPIRV_DIR}/${name}.spv ${header} ${variable})
    else()
        vka_compile_shader("${VKATTN_GLSLANG}" "${VKATTN_SPIRV_VAL}" ${name} ${source} ${PROJECT_BINARY_DIR}/spirv ${header} ${variable}
                           ${target_env} ${ARGN})
    endif()
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
        vka_read_kernel("${line}")
        math(EXPR kernel_count "${kernel_count} + 1")
        if(VKATTN_SPIRV_DIR)
            set(kernel_tokens "")
        endif()

        set(dropped FALSE)
        foreach(token IN LISTS kernel_tokens)
            if(NOT DEFINED works_${token})
                vka_probe_compiler(${VKATTN_GLSLANG} "${VKATTN_SPIRV_VAL}" ${token} ${kernel_target} ${spirv} works_${token})
            endif()
            if(NOT works_${token})
                set(dropped TRUE)
                list(APPEND dropped_${token} ${kernel_name})
                list(APPEND dropped_tokens ${token})
            endif()
        endforeach()
        if(VKATTN_SPIRV_DIR AND NOT EXISTS ${VKATTN_SPIRV_DIR}/${kernel_name}.spv)
            set(dropped TRUE)
            list(APPEND dropped_SPIRV ${kernel_name})
            list(APPEND dropped_tokens SPIRV)
        endif()
        if(dropped)
            string(APPEND entries "    {\"${kernel_name}\", NULL, 0},\n")
            continue()
        endif()

        set(header ${generated}/spirv_${kernel_name}.inc)
        vka_embed_shader(${kernel_name} ${kernel_source} ${header} vka__spirv_${kernel_name} ${kernel_target} ${kernel_defines})
        list(APPEND headers ${header})
        string(APPEND includes "#include \"spirv_${kernel_name}.inc\"\n")
        string(APPEND entries "    {\"${kernel_name}\", vka__spirv_${kernel_name}, sizeof vka__spirv_${kernel_name}},\n")
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

# What a score function is compiled with: the library takes no function that was compiled with anything else.
file(GLOB_RECURSE attention_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/shaders/include/* ${PROJECT_SOURCE_DIR}/shaders/attention/*)
add_custom_command(
    OUTPUT ${PROJECT_BINARY_DIR}/generated/shader_hash.h
    COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -DHEADER=${PROJECT_BINARY_DIR}/generated/shader_hash.h
            -P ${PROJECT_SOURCE_DIR}/cmake/ShaderSources.cmake
    DEPENDS ${attention_sources} ${PROJECT_SOURCE_DIR}/src/kernels.def ${PROJECT_SOURCE_DIR}/cmake/ShaderSources.cmake
    COMMENT "Hash of the shaders" VERBATIM)
add_custom_target(vkattn_shader_hash DEPENDS ${PROJECT_BINARY_DIR}/generated/shader_hash.h)
include(ScoreFunctions)
