# vka_test(NAME name COMMAND program [argument..] [LABELS label..] [ENVIRONMENT VARIABLE=value..] [COST n] [ONCE | SHARE m])
#
# A test, run by tools/run-test, which sets limits, names what failed and counts what was skipped: exit status 77, or lines
# "SKIP: reason". What the software driver compiles is kept from run to run, for all tests together, but not in the user's
# own cache. Of tests that are to run at the same time ctest starts those of the highest COST first. Machines
# may divide the tests by VKATTN_TEST_SHARE=K/N: Criterion's programs by themselves (tests/support/share.h); those that are
# to run ONCE are of one share each, in turn, or of share m, counted around. When cross-compiling, programs run by the
# toolchain's emulator, and scripts are left out.
set_property(GLOBAL PROPERTY vka_test_turn 0) # of the tests that are to run ONCE
function(vka_test)
    cmake_parse_arguments(PARSE_ARGV 0 test "ONCE" "NAME;COST;SHARE" "COMMAND;LABELS;ENVIRONMENT")
    list(POP_FRONT test_COMMAND program)
    if(TARGET ${program})
        set(program ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:${program}>)
    elseif(CMAKE_CROSSCOMPILING) # scripts, which start programs without it
        return()
    endif()
    add_test(NAME ${test_NAME} COMMAND ${PROJECT_SOURCE_DIR}/tools/run-test ${test_NAME} ${program} ${test_COMMAND})
    set_tests_properties(${test_NAME} PROPERTIES SKIP_RETURN_CODE 77)
    set_property(TEST ${test_NAME} PROPERTY LABELS ${test_LABELS})
    set_property(TEST ${test_NAME} PROPERTY ENVIRONMENT
        MESA_SHADER_CACHE_DIR=${PROJECT_BINARY_DIR}/tests/shader-cache
        VKATTN_TEST_SKIPS=${PROJECT_BINARY_DIR}/Testing/skips ${test_ENVIRONMENT})
    if(test_ONCE)
        get_property(turn GLOBAL PROPERTY vka_test_turn)
        math(EXPR test_SHARE "${turn} + 1")
        set_property(GLOBAL PROPERTY vka_test_turn ${test_SHARE})
    endif()
    if(test_SHARE)
        set_property(TEST ${test_NAME} APPEND PROPERTY ENVIRONMENT VKATTN_TEST_ONCE=${test_SHARE})
    endif()
    if(test_COST)
        set_property(TEST ${test_NAME} PROPERTY COST ${test_COST})
    endif()
endfunction()

# ctest says that a test was skipped, but not why: what it runs last does.
set(list_skips "\\\"${PROJECT_SOURCE_DIR}/tools/list-skips\\\" \\\"${PROJECT_BINARY_DIR}/Testing/skips\\\"")
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/CTestCustom.cmake CONTENT
    "set(CTEST_CUSTOM_PRE_TEST \"${list_skips} --forget\")\nset(CTEST_CUSTOM_POST_TEST \"${list_skips}\")\n" @ONLY)
