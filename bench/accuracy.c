/* `accuracy`: how far is attention off whose keys and values lie in caches of each type, as they come and in front of
 * Hadamard transforms?
 *
 * Keys and values are f32; vka_cache_append stores them, vka_attention reads the caches, and its output is compared
 * with float64 on what was appended. So it is what caches do that is measured: queries and outputs are f32 too.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <vkattn/cache.h>
#include <vkattn/hadamard.h>

#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 8, QUERIES = 4, KEYS = 1024, DIM = 128, OUTLIERS = 4, OUTLIER = 20, ROWS = HEADS * QUERIES };
enum { Q_COUNT = ROWS * DIM, KV_COUNT = HEADS * KEYS * DIM };

static const vka_dtype caches[] = {VKA_F16, VKA_Q8_0, VKA_I8, VKA_Q4_0};
static const char *const names[] = {"f16", "q8_0", "i8", "q4_0"};
static const char *const inputs[] = {"Gaussian", "4 of 128 channels x 20"};
enum { CACHES = sizeof caches / sizeof *caches, INPUTS = sizeof inputs / sizeof *inputs };

enum { Q, K, V, OUT, K_CACHE, V_CACHE, K_SCALE, V_SCALE, TENSORS };

typedef struct accuracy {
    vka_device *device;
    vka_tensor t[TENSORS];
    float *q, *k, *v, *out;
    double *exact; /* attention of them */
} accuracy;

static vka_status make_tensor(accuracy *a, int which, vka_dtype dtype, uint32_t rows, const float *values) {
    vka_tensor *t = &a->t[which];
    uint64_t count = (uint64_t)HEADS * rows * DIM;
    bool scale = which == K_SCALE || which == V_SCALE;
    *t = scale ? vka_tensor_3d(NULL, dtype, 1, HEADS, rows) : vka_tensor_4d(NULL, dtype, 1, HEADS, rows, DIM);
    vka_buffer_desc desc = {.size = count / vka_dtype_block(dtype) * vka_dtype_size(dtype)};
    vka_status status = vka_buffer_create(a->device, &desc, &t->buffer);
    return status == VKA_OK && values ? vka_buffer_write(t->buffer, 0, values, count * sizeof *values) : status;
}

static vka_status make_tensors(accuracy *a, vka_dtype cache) {
    vka_status status = make_tensor(a, Q, VKA_F32, QUERIES, a->q);
    const struct {
        int which;
        vka_dtype dtype;
        uint32_t rows;
        const float *values;
    } list[] = {{K, VKA_F32, KEYS, a->k},      {V, VKA_F32, KEYS, a->v},     {OUT, VKA_F32, QUERIES, NULL},
                {K_CACHE, cache, KEYS, NULL},  {V_CACHE, cache, KEYS, NULL}, {K_SCALE, VKA_F32, KEYS, NULL},
                {V_SCALE, VKA_F32, KEYS, NULL}};
    size_t count = sizeof list / sizeof *list - (cache == VKA_I8 ? 0 : 2);
    for (size_t i = 0; i < count && status == VKA_OK; i++) {
        status = make_tensor(a, list[i].which, list[i].dtype, list[i].rows, list[i].values);
    }
    return status;
}

static vka_status transform(vka_recorder *r, vka_tensor t) {
    return vka_hadamard(r, &(vka_hadamard_desc){.x = t, .out = t});
}

static vka_status record(accuracy *a, vka_recorder *r, bool rotated) {
    const vka_tensor *t = a->t;
    const int before[] = {Q, K, V};
    vka_status status = vka_recorder_begin(r);
    for (int i = 0; i < 3 && rotated && status == VKA_OK; i++) {
        status = transform(r, t[before[i]]);
    }
    if (status == VKA_OK) {
        status = vka_cache_append(r, &(vka_cache_append_desc){.k = t[K],
                                                              .v = t[V],
                                                              .k_cache = t[K_CACHE],
                                                              .v_cache = t[V_CACHE],
                                                              .k_scale = t[K_SCALE],
                                                              .v_scale = t[V_SCALE]});
    }
    if (status == VKA_OK) {
        status = vka_attention(r, &(vka_attention_desc){.q = t[Q],
                                                        .k = t[K_CACHE],
                                                        .v = t[V_CACHE],
                                                        .k_scale = t[K_SCALE],
                                                        .v_scale = t[V_SCALE],
                                                        .out = t[OUT]});
    }
    return status == VKA_OK && rotated ? transform(r, t[OUT]) : status;
}

static vka_status attend(accuracy *a, bool rotated) {
    vka_recorder *r = NULL;
    vka_recorder_desc desc = {0};
    vka_status status = vka_recorder_create(a->device, &desc, &r);
    if (status == VKA_OK) {
        status = record(a, r, rotated);
    }
    if (status == VKA_OK) {
        status = vka_recorder_submit(r);
    }
    if (status == VKA_OK) {
        status = vka_recorder_wait(r, VKA_FOREVER);
    }
    if (status == VKA_OK) {
        status = vka_buffer_read(a->t[OUT].buffer, 0, a->out, Q_COUNT * sizeof *a->out);
    }
    vka_recorder_destroy(&r);
    return status;
}

/* The root of the mean square of the errors, over that of the exact outputs. */
static double error_of(const accuracy *a) {
    double errors = 0, squares = 0;
    for (size_t i = 0; i < Q_COUNT; i++) {
        errors += ((double)a->out[i] - a->exact[i]) * ((double)a->out[i] - a->exact[i]);
        squares += a->exact[i] * a->exact[i];
    }
    return sqrt(errors / squares);
}

static vka_status measure(accuracy *a, vka_dtype cache, bool rotated, double *error) {
    vka_status status = make_tensors(a, cache);
    if (status == VKA_OK) {
        status = attend(a, rotated);
    }
    *error = status == VKA_OK ? error_of(a) : NAN;
    for (int i = 0; i < TENSORS; i++) {
        vka_buffer_destroy(&a->t[i].buffer);
        a->t[i] = (vka_tensor){0};
    }
    return status;
}

static void draw(accuracy *a, uint64_t seed, bool outliers) {
    ref_rng rng = ref_rng_seed(seed);
    float *all[] = {a->q, a->k, a->v};
    for (int n = 0; n < 3; n++) {
        for (size_t i = 0; i < (n ? KV_COUNT : Q_COUNT); i++) {
            bool outlier = n && outliers && i % DIM % (DIM / OUTLIERS) == 5;
            all[n][i] = ref_rng_normal(&rng) * (outlier ? OUTLIER : 1);
        }
    }
    ref_attention r = {.batch = 1,
                       .q_heads = HEADS,
                       .kv_heads = HEADS,
                       .q_len = QUERIES,
                       .kv_len = KEYS,
                       .head_dim = DIM,
                       .value_dim = DIM,
                       .q = a->q,
                       .k = a->k,
                       .v = a->v,
                       .scale = 1 / sqrt(DIM)};
    double scratch[KEYS];
    for (uint32_t row = 0; row < ROWS; row++) {
        ref_softmax softmax;
        ref_attention_row(&r, 0, row / QUERIES, row % QUERIES, a->exact + (size_t)row * DIM, &softmax, scratch);
    }
}

static void print_row(const char *cache, const double errors[2]) {
    printf("%-8s %10.4f %% %10.4f %% %8.2f\n", cache, 100 * errors[0], 100 * errors[1], errors[1] / errors[0]);
    fflush(stdout);
}

static bench_exit measure_all(accuracy *a, uint64_t seed) {
    for (int i = 0; i < INPUTS; i++) {
        draw(a, seed, i == 1);
        printf("\n%s%s%s\n%-8s %12s %12s %8s\n", bench_style(BENCH_BOLD), inputs[i], bench_style(BENCH_PLAIN), "cache",
               "plain", "rotated", "ratio");
        for (int c = 0; c < CACHES; c++) {
            double errors[2];
            for (int rotated = 0; rotated < 2; rotated++) {
                vka_status status = measure(a, caches[c], rotated, &errors[rotated]);
                if (bench_stopped() || status != VKA_OK) {
                    bench_note("vkattn-bench: %s: %s", names[c], vka_status_string(status));
                    return status == VKA_OK ? BENCH_EXIT_STOPPED : BENCH_EXIT_FAILED;
                }
            }
            print_row(names[c], errors);
        }
    }
    printf("\n");
    bench_column_help("plain", "root mean square error of attention's output against float64 on what was appended, of"
                               " the output's own");
    bench_column_help("rotated", "the same with keys, values, queries and outputs through vka_hadamard");
    return BENCH_EXIT_OK;
}

bench_exit bench_accuracy(const bench_options *o) {
    bench_device *d = bench_device_open(o->device, NULL);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    bench_report report;
    bench_report_begin(&report, d, o->seed);
    bench_device_introduce(bench_device_caps(d));
    printf("commit   %s, seed %llu\nshape    H %d, Nq %d, Nk %d, D %d\n", report.commit, (unsigned long long)o->seed,
           HEADS, QUERIES, KEYS, DIM);
    float *values = malloc((2 * (size_t)Q_COUNT + 2 * (size_t)KV_COUNT) * sizeof *values);
    accuracy a = {.device = bench_device_vka(d), .exact = malloc(Q_COUNT * sizeof *a.exact)};
    bench_exit status = BENCH_EXIT_FAILED;
    if (values && a.exact) {
        a.q = values;
        a.out = a.q + Q_COUNT;
        a.k = a.out + Q_COUNT;
        a.v = a.k + KV_COUNT;
        status = measure_all(&a, o->seed);
    }
    free(values);
    free(a.exact);
    bench_device_close(d);
    return status;
}
