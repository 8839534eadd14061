# Tests of the build itself: headers stand alone, libraries show only vka_*, an installed copy can be used.

# Every public header, compiled alone as C and as C++, or as C++ only. That it builds is the test.
file(GLOB public_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include include/vkattn/*.h include/vkattn/*.hpp)
set(header_users "")
foreach(header IN LISTS public_headers)
    string(MAKE_C_IDENTIFIER ${header} user)
    set(languages c cpp)
    if(header MATCHES "\\.hpp$")
        set(languages cpp)
    endif()
    foreach(language IN LISTS languages)
        set(file ${PROJECT_BINARY_DIR}/generated/headers/${user}.${language})
        file(CONFIGURE OUTPUT ${file} CONTENT "#include <${header}>\nextern int ${user};\n")
        list(APPEND header_users ${file})
    endforeach()
endforeach()
add_library(vkattn_headers OBJECT ${header_users})
target_include_directories(vkattn_headers PRIVATE include)
target_link_libraries(vkattn_headers PRIVATE vka::vulkan_headers)
target_compile_options(vkattn_headers PRIVATE -Werror)

# Sanitizers add symbols of their own.
if(NOT VKATTN_SANITIZE)
    vka_test(NAME symbols LABELS build COMMAND ${PROJECT_SOURCE_DIR}/tools/check-symbols ${PROJECT_SOURCE_DIR}/include
        $<TARGET_FILE:vkattn> $<$<BOOL:$<TARGET_PROPERTY:vkattn_static,VKATTN_MERGED>>:$<TARGET_FILE:vkattn_static>>)
endif()

# Apps that have the sources in their tree.
if(CMAKE_GENERATOR STREQUAL Ninja AND NOT VKATTN_SANITIZE)
    vka_test(NAME consumer_source ONCE LABELS build
        COMMAND ${PROJECT_SOURCE_DIR}/tests/consumer/source/run ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/consumer-source
        ENVIRONMENT "CMAKE=${CMAKE_COMMAND};CC=${CMAKE_C_COMPILER};CXX=${CMAKE_CXX_COMPILER}")
endif()

# The documents as a web site: build/<preset>/site/html/index.html.
add_custom_target(site COMMAND ${PROJECT_SOURCE_DIR}/tools/make-site ${PROJECT_BINARY_DIR}/site VERBATIM)

# What tools/make-release packs.
if(CMAKE_GENERATOR STREQUAL Ninja AND NOT VKATTN_SANITIZE)
    vka_test(NAME release ONCE LABELS build
        COMMAND ${PROJECT_SOURCE_DIR}/tests/release/run ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} ${PROJECT_BINARY_DIR}/release-test
        ENVIRONMENT "CMAKE=${CMAKE_COMMAND};CC=${CMAKE_C_COMPILER};CXX=${CMAKE_CXX_COMPILER}")
endif()

# What packaging/android/make-aar packs.
vka_test(NAME aar ONCE LABELS tool COMMAND ${PROJECT_SOURCE_DIR}/packaging/android/test_aar ENVIRONMENT "CC=${CMAKE_C_COMPILER}")

# A sanitized library needs a sanitized app.
if(VKATTN_INSTALL AND NOT VKATTN_SANITIZE)
    vka_test(NAME consumer LABELS build COMMAND ${PROJECT_SOURCE_DIR}/tests/consumer/run ${PROJECT_BINARY_DIR}
        ENVIRONMENT "CMAKE=${CMAKE_COMMAND};CC=${CMAKE_C_COMPILER};CXX=${CMAKE_CXX_COMPILER};GENERATOR=${CMAKE_GENERATOR}")
endif()
