# cmake -DOUTPUT=commit.h -DSOURCE=<checkout> -P commit.cmake: the commit that is being built, as a C header. Writes it
# only when it changed, so that nothing is rebuilt for it.
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND git describe --always --dirty --tags WORKING_DIRECTORY ${SOURCE}
                OUTPUT_VARIABLE commit RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(failed OR commit STREQUAL "")
    set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define BENCH_COMMIT \"@commit@\"\n" @ONLY)
