# Functions of scores of an app's own, for vka_attention: docs/score-functions.md.
#
#   vkattn_add_score_function(target file.glsl [NAME name] [PATHS path..])
#
# compiles the file into attention's kernels and adds the result to a target of this folder, as
#
#   #include "name.h"            extern const vka_score_function name;
#
# for vka_attention_desc.score_function. NAME is a C identifier; without it the file's name makes one. With PATHS only kernels of these
# paths are made (row, tile, dot, decode, coopmat, coopmat_registers, coopmat2), and `scores`, which writes vka_attention_desc.scores.
# Several targets of a folder may share a function. They see vkattn's headers, as they link the library. Needs glslang (VKATTN_GLSLANG,
# or where programs are), and the language C; spirv-val looks at the kernels if it is there. What this glslang can't compile, such as
# cooperative matrices, is left out.

cmake_policy(PUSH)
cmake_policy(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/KernelTable.cmake)

# Targets of this folder share what is generated for a name, so it must be made of the same file for the same paths.
function(vka_check_score_function name file paths)
    if(NOT name MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
        message(FATAL_ERROR "vkattn_add_score_function: NAME ${name} is no C identifier")
    endif()
    get_property(others DIRECTORY PROPERTY VKA_SCORE_FUNCTION_${name})
    if(others AND NOT others STREQUAL "${file};${paths}")
        message(FATAL_ERROR "vkattn_add_score_function: this folder has another score function ${name}, of other PATHS or another file than "
                            "${file}: choose another NAME")
    endif()
    set_property(DIRECTORY PROPERTY VKA_SCORE_FUNCTION_${name} "${file};${paths}")
endfunction()

# The kernels of a function: names that begin with a path's.
function(vka_is_wanted name paths result)
    set(wanted TRUE)
    if(paths)
        set(wanted FALSE)
        foreach(path IN LISTS paths)
            if(name MATCHES "^attention_${path}(_|$)")
                set(wanted TRUE)
            endif()
        endforeach()
    endif()
    set(${result} ${wanted} PARENT_SCOPE)
endfunction()

function(vka_find_shader_compiler file result validator_result)
    get_property(root GLOBAL PROPERTY VKA_KERNEL_ROOT)
    unset(compiler) # of the caller
    unset(validator)
    find_program(compiler NAMES glslang glslangValidator HINTS ${root}/.deps/bin NO_CACHE)
    find_program(validator spirv-val HINTS ${root}/.deps/bin NO_CACHE)
    if(VKATTN_GLSLANG)
        set(compiler ${VKATTN_GLSLANG})
    endif()
    if(NOT compiler OR (IS_ABSOLUTE "${compiler}" AND NOT EXISTS "${compiler}"))
        message(FATAL_ERROR "vkattn_add_score_function: there is no glslang, which compiles ${file} into attention's kernels: install it "
                            "(Debian: glslang-tools), or say where it is by VKATTN_GLSLANG (now '${VKATTN_GLSLANG}'). The SPIR-V that a release "
                            "of vkattn carries is of kernels without a function.")
    endif()
    if(NOT validator)
        set(validator "")
    endif()
    set(${result} ${compiler} PARENT_SCOPE)
    set(${validator_result} "${validator}" PARENT_SCOPE)
endfunction()

# The folder with a file vka_score_function.glsl that kernels find instead of any other. Names of includes are relative, as glslang has
# no absolute ones.
function(vka_wrap_score_function folder file)
    file(MAKE_DIRECTORY ${folder})
    file(REAL_PATH ${folder} real) # ".." leads out of what a link leads to
    file(RELATIVE_PATH path ${real} ${file})
    if(IS_ABSOLUTE ${path})
        message(FATAL_ERROR "vkattn_add_score_function: ${file} is on another drive than ${folder}")
    endif()
    file(CONFIGURE OUTPUT ${folder}/vka_score_function.glsl @ONLY CONTENT "#include \"${path}\"\n")
endfunction()

function(vkattn_add_score_function target file)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "NAME" "PATHS")
    get_property(root GLOBAL PROPERTY VKA_KERNEL_ROOT)
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
    if(arg_UNPARSED_ARGUMENTS OR NOT EXISTS ${file})
        message(FATAL_ERROR "vkattn_add_score_function(target file.glsl [NAME name] [PATHS path..]): ${file} ${arg_UNPARSED_ARGUMENTS}")
    endif()
    set(name ${arg_NAME})
    if(NOT name)
        cmake_path(GET file STEM name)
        string(MAKE_C_IDENTIFIER ${name} name)
    endif()
    vka_check_score_function("${name}" "${file}" "${arg_PATHS}")
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/score_functions/${name})
    set(spirv ${folder})
    set(compiles TRUE)
    if(PROJECT_NAME STREQUAL vkattn) # its own tests and examples have theirs where its kernels are
        set(spirv ${PROJECT_BINARY_DIR}/spirv/score_functions/${name})
        if(VKATTN_SPIRV_DIR AND EXISTS ${VKATTN_SPIRV_DIR}/score_functions/${name})
            set(spirv ${VKATTN_SPIRV_DIR}/score_functions/${name})
            set(compiles FALSE)
        endif()
    endif()
    if(compiles)
        vka_find_shader_compiler(${file} compiler validator)
        vka_wrap_score_function(${spirv}/glsl ${file})
    endif()
    set(includes "")
    set(entries "")
    set(headers "")
    set(binaries "")
    set(kernels "")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${root}/src/kernels.def)
    file(STRINGS ${root}/src/kernels.def lines REGEX "^[ \t]*VKA_KERNEL\\(.*VKA_SCORE_FUNCTION=0")
    foreach(path IN LISTS arg_PATHS)
        if(NOT lines MATCHES "VKA_KERNEL\\([ \t]*attention_${path}[_,]")
            message(FATAL_ERROR "vkattn_add_score_function: PATHS has ${path}, which is no path")
        endif()
    endforeach()
    foreach(line IN LISTS lines)
        vka_read_kernel("${line}")
        set(binary ${spirv}/${kernel_name}.spv)
        set(header ${folder}/${kernel_name}.inc)
        vka_is_wanted(${kernel_name} "${arg_PATHS}" wanted)
        if(NOT compiles AND NOT EXISTS ${binary})
            set(wanted FALSE)
        endif()
        foreach(token IN LISTS kernel_tokens)
            if(compiles AND NOT DEFINED works_${token})
                vka_probe_compiler(${compiler} "${validator}" ${token} ${kernel_target} ${spirv} works_${token})
            endif()
            if(compiles AND NOT works_${token})
                set(wanted FALSE)
            endif()
        endforeach()
        if(NOT wanted)
            continue()
        endif()
        if(compiles)
            list(TRANSFORM kernel_defines REPLACE VKA_SCORE_FUNCTION=0 VKA_SCORE_FUNCTION=1)
            vka_compile_shader(${compiler} "${validator}" ${kernel_name} ${kernel_source} ${spirv} ${header} ${kernel_name} ${kernel_target}
                               -I${spirv}/glsl ${kernel_defines} DEPENDS ${file})
        else()
            vka_embed_spirv(${kernel_name} ${binary} ${header} ${kernel_name})
        endif()
        list(APPEND headers ${header})
        list(APPEND binaries ${binary})
        list(APPEND kernels ${kernel_name})
        string(APPEND includes "#include \"${kernel_name}.inc\"\n")
        string(APPEND entries "    {\"${kernel_name}\", ${kernel_name}, sizeof ${kernel_name}},\n")
    endforeach()
    if(NOT entries)
        message(FATAL_ERROR "vkattn_add_score_function: no kernel of PATHS ${arg_PATHS} can be compiled here")
    endif()
    list(JOIN kernels "," names)
    add_custom_command(
        OUTPUT ${folder}/code_hash.h
        COMMAND ${CMAKE_COMMAND} -DFOLDER=${spirv} -DNAMES=${names} -DOUT=${folder}/code_hash.h -P ${root}/cmake/CodeHash.cmake
        DEPENDS ${binaries} ${root}/cmake/CodeHash.cmake
        COMMENT "Score function ${name}" VERBATIM)

    set(shader_hash ${root}/shader_hash.h)
    if(TARGET vkattn_shader_hash)
        set(shader_hash ${vkattn_BINARY_DIR}/generated/shader_hash.h)
        add_dependencies(${target} vkattn_shader_hash)
    endif()
    file(CONFIGURE OUTPUT ${folder}/include/${name}.h @ONLY CONTENT [[
/* Generated by vkattn_add_score_function. */
#ifndef VKATTN_SCORE_FUNCTION_@name@
#define VKATTN_SCORE_FUNCTION_@name@

#include <vkattn/attention.h>

#ifdef __cplusplus
extern "C"
#else
extern
#endif
    const vka_score_function @name@;

#endif
]])
    file(CONFIGURE OUTPUT ${folder}/${name}.c @ONLY CONTENT [[
/* Generated by vkattn_add_score_function. */
#include "include/@name@.h"

#include "@shader_hash@"
#include "code_hash.h"
@includes@
#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

static const vka_score_kernel kernels[] = {
@entries@};

const vka_score_function @name@ = {
    .shaders = VKA_SHADER_HASH,
    .code = VKA_CODE_HASH,
    .name = "@name@",
    .version = TEXT(VKA_VERSION_MAJOR) "." TEXT(VKA_VERSION_MINOR) "." TEXT(VKA_VERSION_PATCH),
    .kernels = kernels,
    .kernel_count = sizeof kernels / sizeof *kernels,
};
]])
    target_sources(${target} PRIVATE ${folder}/${name}.c)
    set_source_files_properties(${folder}/${name}.c PROPERTIES OBJECT_DEPENDS "${headers};${folder}/code_hash.h")
    target_include_directories(${target} PRIVATE ${folder}/include)
endfunction()

cmake_policy(POP)
