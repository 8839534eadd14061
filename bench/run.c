/* A run: open the device, measure its peaks, take each case through first call, verification and timing.
 * SPDX-License-Identifier: MIT */
#include "ops/op.h"

#include "commit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One case on its way. */
typedef struct journey {
    const bench_options *options;
    const bench_report *report; /* peaks */
    bench_device *bench_device;
    vka_device *device;
    bench_problem problem;
    vka_recorder *recorder;
    void *outputs[BENCH_OUTPUTS]; /* what was verified */
    bench_result *r;
} journey;

static void fail(bench_result *r, const char *step, const char *why) {
    r->state = BENCH_FAILED;
    snprintf(r->reason, sizeof r->reason, "%s%s%s", step, *step ? ": " : "", why);
}

/* false, with the reason noted, unless the status is VKA_OK. In a suite a case that this device has no kernel or no
 * memory for is skipped; asked for by name it failed. */
static bool passed(journey *j, const char *step, vka_status status) {
    if (status == VKA_OK) {
        return true;
    }
    const char *said = bench_device_error(j->bench_device);
    fail(j->r, step, *said ? said : vka_status_string(status));
    if (j->options->suite[0] && (status == VKA_UNSUPPORTED || status == VKA_OUT_OF_MEMORY)) {
        j->r->state = BENCH_SKIPPED;
    }
    return false;
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

/* The value of the line "key: value" of an explanation. */
static bool find_fact(const char *text, const char *key, char *value, size_t capacity) {
    size_t length = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        if (strncmp(line, key, length) == 0 && line[length] == ':') {
            const char *start = line + length + 1 + strspn(line + length + 1, " ");
            size_t n = strcspn(start, " \n");
            n = n < capacity ? n : capacity - 1;
            memcpy(value, start, n);
            value[n] = '\0';
            return true;
        }
    }
    return false;
}

static bool explain(journey *j) {
    bench_result *r = j->r;
    char text[sizeof r->plan] = "", label[BENCH_LABEL_SIZE];
    if (!passed(j, "explain", j->problem.op->explain(&j->problem, text, sizeof text))) {
        return false;
    }
    if (!find_fact(text, "path", r->path, sizeof r->path)) {
        find_fact(text, "kernel", r->path, sizeof r->path);
    }
    memcpy(r->plan, text, sizeof text);
    if (j->options->explain) {
        bench_case_brief(&r->c, label);
        bench_progress_pause();
        printf("%s\n", label);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
            printf("    ");
            bench_wrap(stdout, line, 4, 8, bench_columns(j->options->verbose));
        }
        fflush(stdout);
    }
    return true;
}

/* ---- first call, verification, timing -------------------------------------------------------------------------- */

static bool first_call(journey *j) {
    vka_requirements need;
    if (!passed(j, "requirements", j->problem.op->requirements(&j->problem, &need))) {
        return false;
    }
    vka_device_reset_peak(j->device);
    if (!passed(j, "recorder", bench_recorder_create(j->device, need.workspace_bytes, &j->recorder))) {
        return false;
    }
    double start = bench_now_ms();
    bool ok = passed(j, "prepare", j->problem.op->prepare(&j->problem)) &&
              passed(j, "begin", vka_recorder_begin(j->recorder)) &&
              passed(j, "record", j->problem.op->record(j->recorder, &j->problem)) &&
              passed(j, "submit", vka_recorder_submit(j->recorder)) &&
              passed(j, "wait", vka_recorder_wait(j->recorder, VKA_FOREVER));
    j->r->first_call_ms = ok ? bench_now_ms() - start : NAN;
    return ok;
}

static bool verify(journey *j) {
    for (int i = 0; i < BENCH_OUTPUTS; i++) {
        j->outputs[i] = bench_problem_read(&j->problem, (bench_slot)(BENCH_OUT + i));
    }
    j->r->check = bench_verify(&j->problem, j->outputs, j->options->seed);
    j->r->verified = j->r->check.ok;
    if (!j->r->check.ok) {
        fail(j->r, "", j->r->check.why);
    }
    return j->r->check.ok;
}

/* The timed calls wrote over poison: what they wrote must be, bit by bit, what was verified. */
static bool same_again(journey *j) {
    bool same = true;
    for (int i = 0; i < BENCH_OUTPUTS; i++) {
        bench_slot slot = (bench_slot)(BENCH_OUT + i);
        size_t size = bench_problem_bytes(&j->problem, slot);
        void *again = bench_problem_read(&j->problem, slot);
        same = same && (!size || (again && memcmp(again, j->outputs[i], size) == 0));
        free(again);
    }
    if (!same) {
        j->r->verified = false;
        fail(j->r, "", "the timed calls gave other bits than the verified call");
    }
    return same;
}

static bool measure(journey *j) {
    bench_result *r = j->r;
    bench_budget budget = {j->options->repeats, j->options->seconds};
    bool ok = passed(j, "poison", bench_problem_poison(&j->problem)) &&
              passed(j, "timing",
                     bench_time(j->device, j->recorder, j->problem.op->record, &j->problem, budget, &r->timing)) &&
              same_again(j);
    if (!ok || !(r->timing.median_ms > 0)) {
        r->timing.median_ms = r->timing.min_ms = r->timing.max_ms = r->timing.spread =
            NAN; /* a wrong or stopped clock is no number */
        return ok;
    }
    bench_cost cost = bench_case_cost(&r->c);
    r->tflops = cost.flops / (r->timing.median_ms * 1e9);
    r->gbps = cost.bytes / (r->timing.median_ms * 1e6);
    r->share_of_peak =
        bench_case_memory_bound(&r->c) ? r->gbps / j->report->peaks.copy_gbps : r->tflops / j->report->peaks.tflops_f32;
    r->bytes_peak = vka_device_memory(j->device).bytes_peak;
    return true;
}

/* Ctrl-C: what is not timed yet isn't any more. */
static bool goes_on(journey *j) {
    if (bench_stopped()) {
        j->r->state = BENCH_SKIPPED;
        snprintf(j->r->reason, sizeof j->r->reason, "stopped by Ctrl-C before it was timed");
    }
    return !bench_stopped();
}

static void run_case(journey *j) {
    bench_device_clear_error(j->bench_device);
    if (passed(j, "tensors", bench_problem_create(&j->problem, j->device, &j->r->c, j->options->seed))) {
        if (explain(j) && goes_on(j) && first_call(j) && goes_on(j) && verify(j) && goes_on(j)) {
            measure(j);
        }
    }
    vka_recorder_destroy(&j->recorder);
    bench_problem_destroy(&j->problem);
    for (int i = 0; i < BENCH_OUTPUTS; i++) {
        free(j->outputs[i]);
        j->outputs[i] = NULL;
    }
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* The cases that the options ask for. */
static void collect(const bench_options *o, bench_list *list) {
    list->count = 0;
    if (!o->suite[0]) {
        list->cases[list->count++] = o->single;
        return;
    }
    bench_suite_append(list, o->suite);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        bench_case c = list->cases[i];
        /* Suites have no bf16 of their own. */
        if (o->only == VKA_BF16 && c.dtype == VKA_F16) {
            c.dtype = VKA_BF16;
        }
        if (o->only && c.dtype != o->only) {
            continue;
        }
        c.path = bench_path_fits(o->single.path, c.op) ? o->single.path : BENCH_PATH_AUTO;
        c.splits = bench_operation_of(c.op)->splits ? o->single.splits : 0;
        list->cases[kept++] = c;
    }
    list->count = kept;
}

static bench_result unmeasured(const bench_case *c) {
    return (bench_result){
        .c = *c,
        .timing = {NAN, NAN, NAN, NAN, 0, 0, false},
        .check = {.max_error = NAN, .naive_error = NAN},
        .first_call_ms = NAN,
        .tflops = NAN,
        .gbps = NAN,
        .share_of_peak = NAN,
    };
}

bench_result bench_run_case(const bench_options *o, bench_device *d, const bench_report *report, const bench_case *c) {
    bench_result r = unmeasured(c);
    journey j = {.options = o, .report = report, .bench_device = d, .device = bench_device_vka(d), .r = &r};
    run_case(&j);
    return r;
}

/* Why a case is not run at all, or NULL. */
static const char *excuse(const bench_options *o, bench_device *d, const bench_case *c, double start_ms) {
    if (!o->suite[0]) {
        return NULL;
    }
    if (bench_now_ms() - start_ms > o->limit * 1e3) {
        return "out of time";
    }
    bool software = bench_device_caps(d)->type == VKA_DEVICE_CPU;
    return software && !o->all && bench_case_big(c) ? "long on a software driver; --all runs it" : NULL;
}

/* Every case is in the report from the beginning, and the file is written after each: a run that is stopped leaves what
 * it measured, and a list of what it did not. */
static void expect_list(const bench_list *list, bench_report *report) {
    for (size_t i = 0; i < list->count; i++) {
        bench_result *r = &report->results[report->count++];
        *r = unmeasured(&list->cases[i]);
        r->state = BENCH_SKIPPED;
        snprintf(r->reason, sizeof r->reason, "not reached");
    }
}

/* The peaks are the first step. */
static void announce(const bench_report *report, size_t at) {
    char label[BENCH_LABEL_SIZE];
    bench_case_brief(&report->results[at].c, label);
    bench_progress_step(at + 1, label);
}

/* false: the file can't be written. */
static bool run_list(const bench_options *o, bench_device *d, bench_report *report, double start_ms) {
    bool ok = true;
    for (size_t i = 0; ok && i < report->count && !bench_stopped(); i++) {
        bench_result *r = &report->results[i];
        const char *why = excuse(o, d, &r->c, start_ms);
        if (why) {
            snprintf(r->reason, sizeof r->reason, "%s", why);
        } else {
            announce(report, i);
            *r = bench_run_case(o, d, report, &r->c);
        }
        bench_progress_pause();
        bench_report_result(r, o->verbose);
        ok = !o->json || bench_json_write(report, o->json);
    }
    return ok;
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

void bench_report_begin(bench_report *report, const bench_device *d, uint64_t seed) {
    const vka_device_caps *caps = bench_device_caps(d);
    time_t now = time(NULL);
    *report = (bench_report){.seed = seed, .peaks = {.tflops_f32 = NAN, .copy_gbps = NAN}};
    snprintf(report->device, sizeof report->device, "%s", caps->name);
    snprintf(report->driver, sizeof report->driver, "%s", caps->driver);
    report->type = caps->type;
    snprintf(report->commit, sizeof report->commit, "%s", BENCH_COMMIT);
    strftime(report->date, sizeof report->date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
}

/* Who stops a run without having named a file gets one. false: it can't be written. */
static bool save(const bench_options *o, const bench_report *report, size_t done) {
    char *spare = !o->json && bench_stopped() && done ? bench_spare_file("run") : NULL;
    const char *file = o->json ? o->json : spare;
    bool ok = !file || bench_json_write(report, file);
    bench_report_end("cases", done, report->count, ok ? file : NULL);
    free(spare);
    return ok;
}

static bench_exit run_report(const bench_options *o, bench_device *d, const bench_list *list, bench_report *report) {
    double start_ms = bench_now_ms();
    expect_list(list, report);
    if (o->json && !bench_json_write(report, o->json)) {
        return BENCH_EXIT_FAILED;
    }
    bench_progress_start(report->count + 1, INFINITY);
    report->peaks = bench_measure_peaks(d);
    bench_report_header(report, bench_device_caps(d), o->suite);
    bool written = run_list(o, d, report, start_ms);
    bench_progress_end();
    bench_report_footer(report);
    size_t done = 0, failed = 0;
    for (size_t i = 0; i < report->count; i++) {
        done += report->results[i].state == BENCH_DONE;
        failed += report->results[i].state == BENCH_FAILED;
    }
    written = save(o, report, done) && written;
    if (failed || !written) {
        return BENCH_EXIT_FAILED;
    }
    return bench_stopped() ? BENCH_EXIT_STOPPED : done ? BENCH_EXIT_OK : BENCH_EXIT_FAILED;
}

bench_exit bench_run(const bench_options *o) {
    bench_device *d = bench_device_open(o->device, o->tuning);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    bench_exit status = BENCH_EXIT_FAILED;
    bench_list *list = malloc(sizeof *list);
    bench_report *report = calloc(1, sizeof *report);
    if (list && report) {
        bench_report_begin(report, d, o->seed);
        collect(o, list);
        report->results = calloc(list->count, sizeof *report->results);
    }
    if (report && report->results) {
        status = run_report(o, d, list, report);
        free(report->results);
    } else {
        fputs("vkattn-bench: out of host memory\n", stderr);
    }
    free(report);
    free(list);
    bench_device_close(d);
    return status;
}
