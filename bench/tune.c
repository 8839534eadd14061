/* Tuning: for each class of problems the fastest path and tile, by measurement, within a budget of time.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_FILE "vkattn-tuning.json"

/* A class and the problem that stands for it. */
typedef struct tune_class {
    uint32_t head_dim;
    bool decode;
} tune_class;

/* Rows up to which a problem counts as decoding. */
#define DECODE_ROWS 16

static const tune_class classes[] = {{64, false}, {128, false}, {64, true}, {128, true}, {256, false}, {256, true}};
#define CLASSES (sizeof classes / sizeof *classes)

static const vka_dtype dtypes[] = {VKA_F16, VKA_BF16, VKA_F32};
#define DTYPES (sizeof dtypes / sizeof *dtypes)

typedef struct tuner {
    const bench_options *o;
    bench_device *d;
    bench_report report; /* peaks stay unknown: ratios are what counts */
    bool software;
    double start_ms, end_ms; /* of the class being measured */
    uint32_t measured;       /* candidates of that class */
} tuner;

static bench_case case_of(const tuner *t, const tune_class *c, vka_dtype dtype) {
    bench_case b = {.suite = "tune", .op = BENCH_ATTENTION, .dtype = dtype, .batch = 1};
    b.head_dim = b.value_dim = c->head_dim;
    b.window_left = b.window_right = VKA_UNBOUNDED;
    b.heads = t->software ? 4 : 32;
    b.kv_heads = c->decode ? b.heads / 4 : b.heads;
    b.q_len = c->decode ? 1 : t->software ? 512 : 4096;
    b.kv_len = c->decode ? (t->software ? 4096 : 16384) : b.q_len;
    return b;
}

static double measure(tuner *t, const bench_case *c) {
    bench_options o = *t->o;
    o.seconds = fmin(0.3, fmax(0.02, (t->end_ms - bench_now_ms()) / 2000));
    bench_result r = bench_run_case(&o, t->d, &t->report, c);
    t->measured++;
    if (r.state == BENCH_FAILED) {
        char label[BENCH_LABEL_SIZE];
        bench_case_label(c, label);
        bench_progress(NULL);
        fprintf(stderr, "vkattn-bench: %s is left out: %s\n", label, r.reason);
    }
    return r.state == BENCH_DONE && r.timing.median_ms > 0 ? r.timing.median_ms : INFINITY;
}

static uint32_t list_candidates(tuner *t, const bench_case *c, vka_attention_candidate *list, uint32_t capacity) {
    bench_problem p;
    uint32_t count = 0;
    if (bench_problem_create(&p, bench_device_vka(t->d), c, t->o->seed) == VKA_OK) {
        bench_problem_candidates(&p, list, capacity, &count);
        bench_problem_destroy(&p);
    }
    return count < capacity ? count : capacity;
}

/* A path whose first tile takes that many times the best is left. */
#define HOPELESS 3

static void try_candidates(tuner *t, bench_case c, bench_tuned *best) {
    vka_attention_candidate list[256];
    uint32_t count = list_candidates(t, &c, list, 256);
    vka_attention_path hopeless = VKA_PATH_AUTO, before = VKA_PATH_AUTO;
    for (uint32_t i = 0; i < count && (i == 0 || bench_now_ms() < t->end_ms); i++) {
        if (list[i].path == hopeless) {
            continue;
        }
        c.path = bench_path_of(list[i].path);
        c.tile = list[i].tile;
        double ms = measure(t, &c);
        if (list[i].path != before && ms > HOPELESS * best->ms) {
            hopeless = list[i].path;
        }
        before = list[i].path;
        if (ms < best->ms) {
            best->ms = ms;
            best->path = c.path;
            best->tile = c.tile;
        }
    }
}

/* How many workgroups fill the device, which no driver tells: more and more splits, until they no longer pay. */
static void try_splits(tuner *t, bench_case c, bench_tuned *best) {
    uint32_t rows = c.heads / c.kv_heads * c.q_len;
    uint32_t groups = c.kv_heads * ((rows + best->tile.query_tile - 1) / best->tile.query_tile);
    c.path = best->path;
    c.tile = best->tile;
    for (uint32_t splits = 1; splits <= 64 && bench_now_ms() < t->end_ms; splits *= 2) {
        c.splits = splits;
        double ms = measure(t, &c);
        if (ms < best->ms) {
            best->ms = ms;
            best->workgroups = groups * splits;
        } else if (ms > 2 * best->ms && splits > 1) {
            break;
        }
    }
}

static bool tune_class_of(tuner *t, const tune_class *k, vka_dtype dtype, bench_tuned *best) {
    bench_case c = case_of(t, k, dtype);
    *best = (bench_tuned){.dtype = dtype, .head_dim = k->head_dim, .rows = k->decode ? DECODE_ROWS : 0};
    best->ms = INFINITY;
    best->default_ms = measure(t, &c);
    try_candidates(t, c, best);
    if (k->decode && best->path) {
        try_splits(t, c, best);
    }
    return best->path != BENCH_PATH_AUTO;
}

static void print_tuned(const bench_tuned *r, uint32_t measured) {
    char ms[BENCH_NUMBER_SIZE], before[BENCH_NUMBER_SIZE], ratio[BENCH_NUMBER_SIZE];
    bench_progress(NULL);
    printf("%-4s D %-4u %-8s %-9s %3ux%-3u %u, %-4u %8s ms, chosen without: %8s ms (%s), %u candidates\n",
           bench_dtype_name(r->dtype), r->head_dim, r->rows ? "decode" : "prefill", bench_path_name(r->path),
           r->tile.query_tile, r->tile.key_tile, r->tile.rows_per_invocation, r->tile.team, bench_number(r->ms, ms),
           bench_number(r->default_ms, before), bench_number(r->default_ms / r->ms, ratio), measured);
    fflush(stdout);
}

static size_t tune_all(tuner *t, bench_tuned *rules) {
    double start = bench_now_ms(), total = t->o->seconds * 1000;
    size_t found = 0, all = DTYPES * CLASSES, left = all;
    for (size_t i = 0; i < all; i++, left--) {
        vka_dtype dtype = dtypes[i % DTYPES];
        /* Software drivers take seconds to compile what no one runs on them. */
        if ((t->o->only && dtype != t->o->only) || (t->software && classes[i / DTYPES].head_dim > 128)) {
            continue;
        }
        t->measured = 0;
        t->end_ms = bench_now_ms() + (start + total - bench_now_ms()) / (double)left;
        bench_progress("tuning");
        if (tune_class_of(t, &classes[i / DTYPES], dtype, &rules[found])) {
            print_tuned(&rules[found++], t->measured);
        }
    }
    return found;
}

bench_exit bench_tune(const bench_options *o) {
    tuner t = {.o = o, .d = bench_device_open(o->device, NULL)};
    if (!t.d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    bench_tuned rules[DTYPES * CLASSES];
    const vka_device_caps *caps = bench_device_caps(t.d);
    const char *file = o->json ? o->json : DEFAULT_FILE;
    t.software = caps->type == VKA_DEVICE_CPU;
    t.report.peaks.tflops_f32 = t.report.peaks.copy_gbps = NAN;
    printf("device  %s\ndriver  %s\n", caps->name, caps->driver);
    size_t count = tune_all(&t, rules);
    bool ok = count && bench_json_write_tuning(caps, rules, count, file);
    if (ok) {
        printf("wrote %s\n", file);
    }
    bench_device_close(t.d);
    return ok ? BENCH_EXIT_OK : BENCH_EXIT_FAILED;
}
