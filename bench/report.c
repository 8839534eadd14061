/* The report for people: a line for each case as soon as it is known, and what the columns mean.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <unistd.h>

const char *bench_number(double value, char text[BENCH_NUMBER_SIZE]) {
    if (isnan(value)) {
        snprintf(text, BENCH_NUMBER_SIZE, "-");
        return text;
    }
    double size = fabs(value);
    if (size > 0 && size < 1e-3) {
        snprintf(text, BENCH_NUMBER_SIZE, "%.1e", value);
        return text;
    }
    int decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
    snprintf(text, BENCH_NUMBER_SIZE, "%.*f", decimals, value);
    return text;
}

void bench_progress(const char *text) {
    static bool shown; /* is there a line to be wiped? */
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    if (shown || text) {
        fprintf(stderr, "\r\033[K%s", text ? text : "");
        fflush(stderr);
    }
    shown = text != NULL;
}

void bench_report_header(const bench_report *report) {
    char tflops[BENCH_NUMBER_SIZE], gbps[BENCH_NUMBER_SIZE];
    printf("device  %s\ndriver  %s\n", report->device, report->driver);
    printf("peaks   measured here: %s TFLOP/s f32 multiply-add, %s GB/s copy (%.0f MiB)\n",
           bench_number(report->peaks.tflops_f32, tflops), bench_number(report->peaks.copy_gbps, gbps),
           (double)report->peaks.copy_bytes / 0x1p20);
    printf("commit  %s\nseed    %llu\n\n", report->commit, (unsigned long long)report->seed);
    printf("%-52s %-6s %9s %19s %8s %8s %6s %8s %9s %9s\n", "case", "path", "median ms", "min .. max", "TFLOP/s",
           "GB/s", "% peak", "MiB", "first ms", "max error");
    fflush(stdout);
}

void bench_report_result(const bench_result *r) {
    char label[BENCH_LABEL_SIZE], median[BENCH_NUMBER_SIZE], min[BENCH_NUMBER_SIZE], max[BENCH_NUMBER_SIZE];
    char tflops[BENCH_NUMBER_SIZE], gbps[BENCH_NUMBER_SIZE], first[BENCH_NUMBER_SIZE],
        spread[2 * BENCH_NUMBER_SIZE + 8];
    bench_case_label(&r->c, label);
    if (r->state != BENCH_DONE) {
        printf("%-52s %s %s", label, r->state == BENCH_FAILED ? "FAIL" : "SKIP", r->reason);
        if (!isnan(r->check.max_error) && r->state == BENCH_FAILED) {
            printf(" (error %.2e, naive %.2e, %llu of %llu rows compared)", r->check.max_error, r->check.naive_error,
                   (unsigned long long)r->check.rows_checked, (unsigned long long)r->check.rows);
        }
        printf("\n");
        fflush(stdout);
        return;
    }
    snprintf(spread, sizeof spread, "%s .. %s", bench_number(r->timing.min_ms, min),
             bench_number(r->timing.max_ms, max));
    printf("%-52s %-6s %9s %19s %8s %8s %5.1f%c %8.1f %9s %9.1e%s\n", label, r->path,
           bench_number(r->timing.median_ms, median), spread, bench_number(r->tflops, tflops),
           bench_number(r->gbps, gbps), 100 * r->share_of_peak, bench_case_memory_bound(&r->c) ? 'm' : 'a',
           (double)r->bytes_peak / 0x1p20, bench_number(r->first_call_ms, first), r->check.max_error,
           r->timing.host_clock ? " (host clock)" : "");
    fflush(stdout);
}

void bench_report_footer(const bench_report *report) {
    size_t counts[3] = {0};
    for (size_t i = 0; i < report->count; i++) {
        counts[report->results[i].state]++;
    }
    printf(
        "\n%% peak: a = TFLOP/s of the arithmetic peak, m = GB/s of the copy bandwidth (decode and norms are bound by "
        "memory)\n%zu measured, %zu failed, %zu skipped\n",
        counts[BENCH_DONE], counts[BENCH_FAILED], counts[BENCH_SKIPPED]);
}
