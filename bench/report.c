/* The report for people: a line for each case as soon as it is known, and what the columns mean.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <string.h>

/* Of the table; with the spaces between them 79. */
enum { CASE = 33, KERNEL = 8, TIME = 8, SPREAD = 6, RATE = 13, PEAK = 6 };

void bench_report_header(const bench_report *report, const vka_device_caps *caps, const char *suite) {
    char flops[BENCH_NUMBER_SIZE], traffic[BENCH_NUMBER_SIZE];
    bench_device_introduce(caps);
    printf("peaks    %s multiply-adds of f32, %s copies; measured now\n",
           bench_flops_text(report->peaks.tflops_f32, flops), bench_traffic_text(report->peaks.copy_gbps, traffic));
    printf("commit   %s, seed %llu\n", report->commit, (unsigned long long)report->seed);
    if (*suite) {
        printf("plan     suite %s, %zu cases (help run: other suites, one shape)\n", suite, report->count);
    }
    printf("\n");
    printf("%s%-*s %-*s %*s %*s %*s %*s%s\n", bench_style(BENCH_BOLD), CASE, "case", KERNEL, "kernel", TIME, "time",
           SPREAD, "spread", RATE, "rate", PEAK, "peak", bench_style(BENCH_PLAIN));
    fflush(stdout);
}

void bench_report_reason(const char *name, bench_state state, const char *reason, int columns) {
    bool failed = state == BENCH_FAILED;
    printf("%-*s %s%s%s ", CASE, name, bench_style(failed ? BENCH_BAD : BENCH_FAINT), failed ? "FAIL" : "SKIP",
           bench_style(BENCH_PLAIN));
    int used = (int)strlen(name) > CASE ? (int)strlen(name) : CASE;
    bench_wrap(stdout, reason, used + 6, 4, columns);
    fflush(stdout);
}

/* A name that doesn't fit has a line of its own. */
static void print_name(const char *name) {
    if (strlen(name) > CASE) {
        printf("%s\n%-*s", name, CASE, "");
    } else {
        printf("%-*s", CASE, name);
    }
}

static void print_details(const bench_result *r) {
    char min[BENCH_NUMBER_SIZE], max[BENCH_NUMBER_SIZE], first[BENCH_NUMBER_SIZE], size[BENCH_NUMBER_SIZE];
    char rate[BENCH_NUMBER_SIZE], text[400];
    bool memory = bench_case_memory_bound(&r->c);
    snprintf(text, sizeof text,
             "%u samples of %u call%s, %s to %s; %s; first call %s; %s of memory; error %.1e, unfused %.1e, in %llu of "
             "%llu rows",
             r->timing.repeats, r->timing.calls, r->timing.calls == 1 ? "" : "s",
             bench_time_text(r->timing.min_ms, min), bench_time_text(r->timing.max_ms, max),
             memory ? bench_flops_text(r->tflops, rate) : bench_traffic_text(r->gbps, rate),
             bench_time_text(r->first_call_ms, first), bench_size_text((double)r->bytes_peak, size), r->check.max_error,
             r->check.naive_error, (unsigned long long)r->check.rows_checked, (unsigned long long)r->check.rows);
    printf("    %s", bench_style(BENCH_FAINT));
    bench_wrap(stdout, text, 4, 4, bench_columns(true));
    printf("%s", bench_style(BENCH_PLAIN));
}

static void print_failure(const bench_result *r, const char *label, int columns) {
    char text[sizeof r->reason + 120];
    snprintf(text, sizeof text, "%s", r->reason);
    if (!isnan(r->check.max_error) && r->state == BENCH_FAILED) {
        snprintf(text, sizeof text, "%s (error %.2e, naive %.2e, %llu of %llu rows compared)", r->reason,
                 r->check.max_error, r->check.naive_error, (unsigned long long)r->check.rows_checked,
                 (unsigned long long)r->check.rows);
    }
    bench_report_reason(label, r->state, text, columns);
}

void bench_report_result(const bench_result *r, bool verbose) {
    char label[BENCH_LABEL_SIZE], time[BENCH_NUMBER_SIZE], spread[BENCH_NUMBER_SIZE], rate[BENCH_NUMBER_SIZE];
    char peak[BENCH_NUMBER_SIZE];
    bench_case_brief(&r->c, label);
    if (r->state != BENCH_DONE) {
        print_failure(r, label, bench_columns(verbose));
        return;
    }
    print_name(label);
    printf(" %-*s %*s %*s %*s %*s\n", KERNEL, r->path, TIME, bench_time_text(r->timing.median_ms, time), SPREAD,
           bench_percent_text(r->timing.spread, spread), RATE,
           bench_case_memory_bound(&r->c) ? bench_traffic_text(r->gbps, rate) : bench_flops_text(r->tflops, rate), PEAK,
           bench_percent_text(r->share_of_peak, peak));
    if (verbose) {
        print_details(r);
    }
    fflush(stdout);
}

void bench_report_footer(const bench_report *report) {
    size_t counts[3] = {0};
    for (size_t i = 0; i < report->count; i++) {
        counts[report->results[i].state]++;
    }
    printf("\n");
    bench_column_help("case", "H heads (of queries/of keys), N tokens (Nq queries, Nk keys), D channels");
    bench_column_help("kernel", "which of the library's paths ran");
    bench_column_help("time", "of one call, the median of the samples");
    bench_column_help("spread", "the middle half of the samples, as a share of the time");
    bench_column_help("rate", "FLOP/s: 2 for each multiply-add of visible pairs; B/s: least traffic");
    bench_column_help("peak", "the rate's share of the peak above: multiply-adds, or copies for B/s");
    printf("\n%zu measured, %zu failed, %zu skipped\n", counts[BENCH_DONE], counts[BENCH_FAILED],
           counts[BENCH_SKIPPED]);
}

void bench_report_end(const char *what, size_t measured, size_t all, const char *file) {
    bench_progress_end();
    if (bench_stopped()) {
        printf("%sstopped by Ctrl-C: %zu of %zu %s were measured%s\n", bench_style(BENCH_WARNING), measured, all, what,
               bench_style(BENCH_PLAIN));
    }
    if (file) {
        printf("results in %s\n", file);
    } else if (bench_stopped()) {
        printf("nothing was saved\n");
    }
    fflush(stdout);
}
