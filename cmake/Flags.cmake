# Warnings and sanitizers for everything that is built here. They don't reach whoever links the library.

# Descriptions are written with the fields that matter: the others are zero, which means their default.
if(MSVC)
    add_compile_options(/W3 /utf-8 $<$<BOOL:${VKATTN_WERROR}>:/WX>)
    add_compile_definitions(_CRT_SECURE_NO_WARNINGS)
else()
    add_compile_options(-Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wvla
                        $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<BOOL:${VKATTN_WERROR}>:-Werror>)
endif()

# The usual functions of POSIX are wanted although the language is strict C11.
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_EXTENSIONS OFF)
add_compile_definitions(_POSIX_C_SOURCE=200809L)
if(MINGW) # formats of C99, which the oldest run-time library of Windows does not know
    add_compile_definitions(__USE_MINGW_ANSI_STDIO=1)
    # What CMake adds for the C++ in ours would take the compiler's library as a DLL, -static notwithstanding.
    list(REMOVE_ITEM CMAKE_C_IMPLICIT_LINK_LIBRARIES gcc_s)
    list(REMOVE_ITEM CMAKE_CXX_IMPLICIT_LINK_LIBRARIES gcc_s)
endif()

if(VKATTN_SANITIZE)
    add_compile_options(-fsanitize=${VKATTN_SANITIZE} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${VKATTN_SANITIZE})
    if(VKATTN_SANITIZE MATCHES address)
        add_library(vka_keep_loaded OBJECT tools/keep_loaded.c)
        set(is_program $<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>)
        link_libraries($<${is_program}:$<TARGET_OBJECTS:vka_keep_loaded>>)
        add_link_options($<${is_program}:-Wl,--export-dynamic-symbol=dlclose>)
    endif()
    if(VKATTN_SANITIZE MATCHES undefined)
        add_compile_options(-fno-sanitize-recover=all)
        # clang's check of what C++ calls by pointer needs the C++ runtime, which the library is linked without.
        add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,Clang>:-fno-sanitize=function>)
    endif()
endif()
