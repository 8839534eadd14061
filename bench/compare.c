/* Two result files side by side: how many times as fast is the second?
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Only what was verified and timed can be compared. */
static bool usable(const bench_result *r) {
    return r->state == BENCH_DONE && r->verified && r->timing.median_ms > 0;
}

/* The first result of the same case that no other line has used. Suites overlap, so a case may occur twice. */
static const bench_result *find(const bench_report *report, bool *used, const char *label) {
    for (size_t i = 0; i < report->count; i++) {
        char other[BENCH_LABEL_SIZE];
        bench_case_label(&report->results[i].c, other);
        if (!used[i] && usable(&report->results[i]) && strcmp(label, other) == 0) {
            used[i] = true;
            return &report->results[i];
        }
    }
    return NULL;
}

enum { CASE = 33, KERNELS = 17, TIME = 9 };

static void print_side(const char *name, const bench_report *r) {
    char text[sizeof r->device + sizeof r->driver + 4];
    snprintf(text, sizeof text, "%s, %s", r->device, r->driver);
    printf("%s  ", name);
    bench_wrap(stdout, text, 3, 3, 80);
    printf("   commit %s, %s\n", r->commit, r->date);
}

static void print_line(const bench_result *a, const bench_result *b, double ratio) {
    char label[BENCH_LABEL_SIZE], ms_a[BENCH_NUMBER_SIZE], ms_b[BENCH_NUMBER_SIZE], paths[80];
    bench_case_brief(&a->c, label);
    snprintf(paths, sizeof paths, "%s/%s", a->path, b->path);
    if (strlen(label) > CASE) {
        printf("%s\n", label);
        label[0] = '\0';
    }
    printf("%-*s %-*s %*s %*s %8.3f\n", CASE, label, KERNELS, strcmp(a->path, b->path) == 0 ? a->path : paths, TIME,
           bench_time_text(a->timing.median_ms, ms_a), TIME, bench_time_text(b->timing.median_ms, ms_b), ratio);
}

static void print_table(const bench_report *a, const bench_report *b, bool *used) {
    double logs = 0;
    size_t matches = 0, alone = 0;
    print_side("A", a);
    print_side("B", b);
    printf("\n%s%-*s %-*s %*s %*s %8s%s\n", bench_style(BENCH_BOLD), CASE, "case", KERNELS, "kernel A/B", TIME, "A",
           TIME, "B", "A / B", bench_style(BENCH_PLAIN));
    for (size_t i = 0; i < a->count; i++) {
        char label[BENCH_LABEL_SIZE];
        bench_case_label(&a->results[i].c, label);
        const bench_result *other = usable(&a->results[i]) ? find(b, used, label) : NULL;
        if (!other) {
            alone++;
            continue;
        }
        double ratio = a->results[i].timing.median_ms / other->timing.median_ms;
        print_line(&a->results[i], other, ratio);
        logs += log(ratio);
        matches++;
    }
    for (size_t i = 0; i < b->count; i++) {
        alone += !used[i];
    }
    if (matches) {
        printf("\n%zu cases; geometric mean of A / B %.3f (above 1: B is faster)\n", matches,
               exp(logs / (double)matches));
    } else {
        printf("\nno case was measured in both files\n");
    }
    if (alone) {
        printf("%zu results have no measured counterpart\n", alone);
    }
}

bench_exit bench_compare(const char *path_a, const char *path_b) {
    bench_report *reports = calloc(2, sizeof *reports);
    bool *used = NULL;
    bench_exit status = BENCH_EXIT_USAGE;
    if (reports && bench_json_read(path_a, &reports[0]) && bench_json_read(path_b, &reports[1])) {
        used = calloc(reports[1].count + 1, sizeof *used);
    }
    if (used) {
        print_table(&reports[0], &reports[1], used);
        status = BENCH_EXIT_OK;
    }
    if (reports) {
        free(reports[0].results);
        free(reports[1].results);
    }
    free(used);
    free(reports);
    return status;
}
