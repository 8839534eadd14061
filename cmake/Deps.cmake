# Everything that is not ours, as imported targets:
#
#   vka::vulkan_headers   vulkan/vulkan_core.h and friends
#   vka::volk             volk.h (header only: define VOLK_IMPLEMENTATION in one file)
#   vka::vma              vk_mem_alloc.h
#   vka::jsmn             jsmn.h (header only): reads tuning records
#   vka::cjson            bench, vkattn_nn
#   Criterion::criterion  tests
#   PNG::PNG              examples; bench, if it is there
#   vka::utf8proc         one example, if it is there
#
# What setup.sh unpacked into .deps/ goes before the system's. Programs: VKATTN_GLSLANG, VKATTN_SPIRV_VAL (may be empty).

set(deps_root ${PROJECT_SOURCE_DIR}/.deps)

# Sets `result` to a folder with that header of /usr/include alone: for another platform, whose own headers those beside it are not.
function(vka_alone result header)
    set(folder ${PROJECT_BINARY_DIR}/headers)
    file(MAKE_DIRECTORY ${folder})
    string(REGEX REPLACE "/.*" "" top ${header})
    foreach(name IN ITEMS ${top} vk_video)
        if(EXISTS /usr/include/${name} AND (name STREQUAL top OR top STREQUAL vulkan))
            file(CREATE_LINK /usr/include/${name} ${folder}/${name} SYMBOLIC)
        endif()
    endforeach()
    set(${result} ${folder} PARENT_SCOPE)
endfunction()

# Looks every time: an older answer must not hide a .deps/ that came later.
function(vka_header_library target header)
    find_path(dir ${header} HINTS ${deps_root}/root/usr/include NO_CACHE)
    if(NOT dir)
        message(FATAL_ERROR "${header} is missing: run setup.sh, or install it")
    endif()
    if(CMAKE_CROSSCOMPILING AND dir MATCHES "^/usr/include/?$")
        vka_alone(dir ${header})
    endif()
    add_library(${target} INTERFACE IMPORTED GLOBAL)
    target_include_directories(${target} SYSTEM INTERFACE ${dir})
endfunction()

vka_header_library(vka::vulkan_headers vulkan/vulkan_core.h)
vka_header_library(vka::volk volk.h)
target_link_libraries(vka::volk INTERFACE vka::vulkan_headers ${CMAKE_DL_LIBS})
vka_header_library(vka::vma vk_mem_alloc.h)
target_link_libraries(vka::vma INTERFACE vka::vulkan_headers)

vka_header_library(vka::jsmn jsmn.h)

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

find_program(VKATTN_GLSLANG NAMES glslang glslangValidator HINTS ${deps_root}/bin NO_CACHE) # Shaders.cmake asks for it
find_program(VKATTN_SPIRV_VAL spirv-val HINTS ${deps_root}/bin NO_CACHE)
if(NOT VKATTN_SPIRV_VAL)
    set(VKATTN_SPIRV_VAL "")
    message(STATUS "spirv-val is missing: kernels are not validated")
endif()

find_package(PkgConfig)

# vka_pkg(target module option): a library known to pkg-config; without it, `option` has to be off.
function(vka_pkg target module option)
    if(TARGET ${target})
        return()
    endif()
    if(PkgConfig_FOUND)
        string(MAKE_C_IDENTIFIER "vka_pkg_${module}" prefix)
        pkg_check_modules(${prefix} QUIET IMPORTED_TARGET GLOBAL ${module})
    endif()
    if(NOT TARGET PkgConfig::${prefix})
        message(FATAL_ERROR "${module} is missing (looked for with pkg-config): run setup.sh, or use -D${option}=OFF")
    endif()
    add_library(${target} ALIAS PkgConfig::${prefix})
endfunction()

# Criterion is not packaged for all that tests run on: tests/criterion/ is enough of it.
if(CMAKE_CROSSCOMPILING)
    set(VKATTN_TESTS_CRITERION own)
else()
    set(VKATTN_TESTS_CRITERION system)
endif()
if(VKATTN_TESTS AND VKATTN_TESTS_CRITERION STREQUAL system)
    vka_pkg(Criterion::criterion criterion VKATTN_TESTS)
endif()
if(VKATTN_BENCH)
    vka_pkg(vka::cjson libcjson VKATTN_BENCH)
    find_package(PNG)
endif()
if(VKATTN_EXAMPLES)
    find_package(PNG REQUIRED)
    if(VKATTN_NN AND PkgConfig_FOUND)
        pkg_check_modules(vka_utf8proc QUIET IMPORTED_TARGET GLOBAL libutf8proc)
        if(TARGET PkgConfig::vka_utf8proc)
            add_library(vka::utf8proc ALIAS PkgConfig::vka_utf8proc)
        else()
            message(STATUS "libutf8proc is missing: the example sentences is left out")
        endif()
    endif()
endif()
