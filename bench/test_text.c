/* What the bench says and decides, without a device: units, suggestions, lines, and when something is faster.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <string.h>

static int failures;

static void same(const char *what, const char *got, const char *wanted) {
    if (strcmp(got, wanted) != 0) {
        printf("FAIL: %s: '%s', expected '%s'\n", what, got, wanted);
        failures++;
    }
}

static void is(const char *what, bool right) {
    if (!right) {
        printf("FAIL: %s\n", what);
        failures++;
    }
}

/* ---- units ------------------------------------------------------------------------------------------------------- */

static void units(void) {
    char text[BENCH_NUMBER_SIZE];
    same("time", bench_time_text(12345, text), "12.3 s");
    same("time", bench_time_text(999.6, text), "1.00 s");
    same("time", bench_time_text(999.4, text), "999 ms");
    same("time", bench_time_text(1.234, text), "1.23 ms");
    same("time", bench_time_text(0.0454, text), "45.4 us");
    same("time", bench_time_text(2e-6, text), "2.00 ns");
    same("time", bench_time_text(NAN, text), "-");
    same("flops", bench_flops_text(1.5, text), "1.50 TFLOP/s");
    same("flops", bench_flops_text(0.9996, text), "1.00 TFLOP/s");
    same("flops", bench_flops_text(0.0276, text), "27.6 GFLOP/s");
    same("flops", bench_flops_text(4e-4, text), "400 MFLOP/s");
    same("traffic", bench_traffic_text(3350, text), "3.35 TB/s");
    same("traffic", bench_traffic_text(6.28, text), "6.28 GB/s");
    same("traffic", bench_traffic_text(0.12, text), "120 MB/s");
    same("size", bench_size_text(128.0 * 1024 * 1024, text), "128 MiB");
    same("share", bench_percent_text(0.0123, text), "1.2 %");
    same("share", bench_percent_text(1.2, text), "120 %");
    same("share", bench_percent_text(INFINITY, text), "-");
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void words(void) {
    static const char *const names[] = {"quick", "prefill", "bigbird-itc", "bigbird-etc", "norms"};
    char text[BENCH_SUGGEST_SIZE];
    is("equal words", bench_distance("tune", "tune") == 0);
    is("a letter that is missing", bench_distance("quik", "quick") == 1);
    is("neighbours that are swapped", bench_distance("tnue", "tune") == 1);
    is("upper case", bench_distance("QUICK", "quick") == 0);
    is("nothing in common", bench_distance("abc", "xyzw") == 4);
    is("near", bench_suggest("quik", names, 5, text));
    same("near", text, "did you mean quick?");
    is("beginning", bench_suggest("bigbird", names, 5, text));
    same("beginning", text, "did you mean bigbird-itc or bigbird-etc?");
    is("far", !bench_suggest("zzz", names, 3, text));
    same("far", text, "must be quick, prefill or bigbird-itc");
    is("empty", !bench_suggest("", names, 1, text));
    same("empty", text, "must be quick");
}

static void lines(void) {
    char text[64] = "";
    FILE *file = tmpfile();
    if (!file) {
        is("a temporary file", false);
        return;
    }
    bench_wrap(file, "one two three four", 0, 2, 9);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    same("wrapped", text, "one two\n  three\n  four\n");
}

/* ---- decisions --------------------------------------------------------------------------------------------------- */

static void decisions(void) {
    double odd[] = {5, 1, 3}, even[] = {4, 1, 2, 3};
    bench_summary a = bench_summarise(odd, 3), b = bench_summarise(even, 4);
    is("the median of three", a.median == 3 && a.low == 2 && a.high == 4);
    is("the median of four", b.median == 2.5);
    is("faster by more than the spread", bench_is_faster(&(bench_score){1, 0.8, 0.1, 20}));
    is("faster within the spread", !bench_is_faster(&(bench_score){1, 0.95, 0.1, 20}));
    is("slower", !bench_is_faster(&(bench_score){1, 1.2, 0.01, 20}));
    is("too few turns", !bench_is_faster(&(bench_score){1, 0.5, 0.01, BENCH_ROUNDS_TO_TRUST - 1}));
    is("not measured", !bench_is_faster(&(bench_score){NAN, NAN, NAN, 20}));
}

int main(void) {
    units();
    words();
    lines();
    decisions();
    printf("%d failures\n", failures);
    return failures != 0;
}
