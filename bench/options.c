/* What each option of attention costs: the time of an attention with it over that of the plain one, both in one run.
 *
 * Options are given values that change nothing (masks of all, biases of 0, pages in another order, ..), so that the
 * plain output verifies them; quantised and rounded types are compared within what their rounding may do.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A tensor on the device, with its values here. */
typedef struct array {
    vka_tensor view;
    float *values; /* as stored */
    size_t count;
} array;

typedef struct problem_shape {
    const char *name;
    uint32_t heads, kv_heads, q_len, kv_len, dim;
    bool software; /* where it is measured */
} problem_shape;

static const problem_shape shapes[] = {
    {"prefill", 8, 8, 2048, 2048, 64, true},
    {"decode", 32, 8, 1, 16384, 128, true},
    {"prefill", 32, 32, 4096, 4096, 128, false},
    {"decode", 32, 8, 1, 16384, 128, false},
};

enum { PAGE = 64 };

typedef struct bench_set {
    const problem_shape *s;
    vka_device *device;
    vka_dtype dtype;
    ref_rng rng;
    array q, k, v, out;
    array extra[4]; /* of the option measured */
    uint32_t extras;
    float *plain;     /* the plain output */
    double tolerance; /* of the option measured */
} bench_set;

static array make(bench_set *b, vka_dtype dtype, uint32_t rank, const uint32_t *shape, const float *values) {
    array a = {.view = {.dtype = dtype, .rank = rank}, .count = 1};
    for (uint32_t i = 0; i < rank; i++) {
        a.view.shape[i] = shape[i];
        a.count *= shape[i];
    }
    size_t bytes = a.count / vka_dtype_block(dtype) * vka_dtype_size(dtype);
    void *storage = calloc(1, bytes + 4);
    a.values = calloc(a.count, sizeof *a.values);
    if (values) {
        memcpy(a.values, values, a.count * sizeof *values);
    }
    ref_store(dtype, storage, a.values, a.count);
    vka_buffer_desc desc = {.size = bytes};
    if (vka_buffer_create(b->device, &desc, &a.view.buffer) == VKA_OK) {
        vka_buffer_write(a.view.buffer, 0, storage, bytes);
    }
    free(storage);
    return a;
}

static void drop(array *a) {
    vka_buffer_destroy(&a->view.buffer);
    free(a->values);
    *a = (array){0};
}

static vka_tensor add(bench_set *b, vka_dtype dtype, uint32_t rank, const uint32_t *shape, const float *values) {
    array *a = &b->extra[b->extras++];
    *a = make(b, dtype, rank, shape, values);
    return a->view;
}

static vka_tensor add_constant(bench_set *b, vka_dtype dtype, uint32_t rank, const uint32_t *shape, float value) {
    size_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        count *= shape[i];
    }
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = value;
    }
    vka_tensor t = add(b, dtype, rank, shape, values);
    free(values);
    return t;
}

/* ---- options --------------------------------------------------------------------------------------------------------
 */

static void causal(bench_set *b, vka_attention_desc *d) {
    (void)b;
    d->causal = true;
}

static void softcap(bench_set *b, vka_attention_desc *d) {
    (void)b;
    d->softcap = 1e4f;
}

static void mask_of(bench_set *b, vka_attention_desc *d, vka_dtype dtype, float value) {
    uint32_t shape[] = {b->s->q_len, b->s->kv_len};
    d->mask = add_constant(b, dtype, 2, shape, value);
}

static void mask_u8(bench_set *b, vka_attention_desc *d) {
    mask_of(b, d, VKA_U8, 1);
}

static void mask_f16(bench_set *b, vka_attention_desc *d) {
    mask_of(b, d, VKA_F16, 0);
}

static void mask_f32(bench_set *b, vka_attention_desc *d) {
    mask_of(b, d, VKA_F32, 0);
}

static void alibi(bench_set *b, vka_attention_desc *d) {
    d->alibi_slopes = add_constant(b, VKA_F32, 1, &b->s->heads, 0);
}

static void relative(bench_set *b, vka_attention_desc *d) {
    uint32_t shape[] = {b->s->heads, 257};
    d->relative_bias = add_constant(b, VKA_F32, 2, shape, 0);
    d->relative_zero = 128;
}

static void sinks(bench_set *b, vka_attention_desc *d) {
    d->sinks = add_constant(b, VKA_F32, 1, &b->s->heads, -INFINITY);
}

static void lengths(bench_set *b, vka_attention_desc *d) {
    uint32_t one = 1;
    d->kv_lengths.tensor = add_constant(b, VKA_I32, 1, &one, (float)b->s->kv_len);
}

static void stats(bench_set *b, vka_attention_desc *d) {
    uint32_t shape[] = {1, b->s->heads, b->s->q_len, 2};
    d->stats = add_constant(b, VKA_F32, 4, shape, 0);
}

static void dropout(bench_set *b, vka_attention_desc *d) {
    (void)b;
    d->dropout = 1e-9f;
}

/* The pages of k or v, the last one first. */
static vka_tensor pages_of(bench_set *b, const array *a) {
    uint32_t pages = b->s->kv_len / PAGE, heads = b->s->kv_heads, dim = b->s->dim;
    float *values = malloc(a->count * sizeof *values);
    for (uint32_t page = 0; page < pages; page++) {
        for (uint32_t h = 0; h < heads; h++) {
            memcpy(values + ((size_t)page * heads + h) * PAGE * dim,
                   a->values + ((size_t)h * b->s->kv_len + (size_t)(pages - 1 - page) * PAGE) * dim,
                   (size_t)PAGE * dim * sizeof *values);
        }
    }
    uint32_t shape[] = {pages, heads, PAGE, dim};
    vka_tensor t = add(b, b->dtype, 4, shape, values);
    free(values);
    return t;
}

static void paged(bench_set *b, vka_attention_desc *d) {
    uint32_t shape[] = {1, b->s->kv_len / PAGE};
    float *table = malloc(shape[1] * sizeof *table);
    for (uint32_t i = 0; i < shape[1]; i++) {
        table[i] = (float)(shape[1] - 1 - i);
    }
    d->k = pages_of(b, &b->k);
    d->v = pages_of(b, &b->v);
    d->page_table = add(b, VKA_I32, 2, shape, table);
    free(table);
}

static void q8_0(bench_set *b, vka_attention_desc *d) {
    d->k = add(b, VKA_Q8_0, 4, b->k.view.shape, b->k.values);
    d->v = add(b, VKA_Q8_0, 4, b->v.view.shape, b->v.values);
    b->tolerance = 0.05;
}

/* Values of +-2 as bytes. */
static vka_tensor bytes_of(bench_set *b, const array *a) {
    float *values = malloc(a->count * sizeof *values);
    for (size_t i = 0; i < a->count; i++) {
        values[i] = roundf(a->values[i] * 127 / 2);
    }
    vka_tensor t = add(b, VKA_I8, 4, a->view.shape, values);
    free(values);
    return t;
}

static void i8(bench_set *b, vka_attention_desc *d) {
    uint32_t shape[] = {1, b->s->kv_heads, b->s->kv_len};
    d->k = bytes_of(b, &b->k);
    d->v = bytes_of(b, &b->v);
    d->k_scale = add_constant(b, VKA_F32, 3, shape, 2.0f / 127);
    d->v_scale = add_constant(b, VKA_F32, 3, shape, 2.0f / 127);
    b->tolerance = 0.05;
}

typedef struct option {
    const char *name;
    void (*apply)(bench_set *b, vka_attention_desc *d);
    double goal;   /* of the ratio; 0: none */
    bool last_row; /* only the last query's output is the plain one's */
} option;

static const option options[] = {
    {"causal", causal, 0.6, true},         {"mask u8", mask_u8, 1.3, false},
    {"mask f16", mask_f16, 1.3, false},    {"mask f32", mask_f32, 1.3, false},
    {"softcap", softcap, 1.2, false},      {"ALiBi", alibi, 1.1, false},
    {"sinks", sinks, 1.1, false},          {"relative bias", relative, 0, false},
    {"key lengths", lengths, 0, false},    {"stats", stats, 0, false},
    {"dropout", dropout, 0, false},        {"paged", paged, 1.15, false},
    {"q8_0 keys, values", q8_0, 0, false}, {"i8 keys, values", i8, 0, false},
};
#define OPTIONS (sizeof options / sizeof *options)

/* ---- measurement ----------------------------------------------------------------------------------------------------
 */

static float *read_output(const bench_set *b) {
    size_t bytes = b->out.count * vka_dtype_size(b->dtype);
    void *storage = malloc(bytes);
    float *values = malloc(b->out.count * sizeof *values);
    if (vka_buffer_read(b->out.view.buffer, 0, storage, bytes) == VKA_OK) {
        ref_load(b->dtype, values, storage, b->out.count);
    }
    free(storage);
    return values;
}

/* The largest difference from the plain output. */
static double difference(const bench_set *b, bool last_row, const float *out) {
    double worst = 0;
    for (size_t i = 0; i < b->out.count; i++) {
        bool counts = !last_row || i / b->s->dim % b->s->q_len == b->s->q_len - 1;
        double error = fabs((double)out[i] - (double)b->plain[i]);
        if (counts && !(error <= worst)) {
            worst = error;
        }
    }
    return worst;
}

/* Each turn gives a ratio. */
enum { ROUNDS = 9 };

static vka_attention_desc plain_desc(const bench_set *b) {
    return (vka_attention_desc){.q = b->q.view, .k = b->k.view, .v = b->v.view, .out = b->out.view};
}

static bool measure_option(bench_set *b, const option *x, bench_contender *plain) {
    bench_contender with = {.desc = plain_desc(b)};
    bench_score score = {NAN, NAN, NAN};
    b->tolerance = b->dtype == VKA_F32 ? 1e-4 : 1e-2;
    x->apply(b, &with.desc);
    vka_status status = bench_contender_prepare(b->device, &with);
    float *out = read_output(b);
    bool right = difference(b, x->last_row, out) <= b->tolerance;
    status = status == VKA_OK ? bench_duel(b->device, plain, &with, ROUNDS, &score) : status;
    char text[2][BENCH_NUMBER_SIZE];
    printf("%-8s %-5s %-20s %8s ms %8s%s%s%s\n", b->s->name, bench_dtype_name(b->dtype), x->name,
           bench_number(score.ms, text[0]), bench_number(score.ratio, text[1]),
           x->goal > 0 && score.ratio > x->goal ? "  above its goal" : "", right ? "" : "  WRONG",
           status == VKA_OK ? "" : vka_status_string(status));
    fflush(stdout);
    free(out);
    vka_recorder_destroy(&with.recorder);
    for (; b->extras; b->extras--) {
        drop(&b->extra[b->extras - 1]);
    }
    return right && status == VKA_OK;
}

static array random_array(bench_set *b, uint32_t heads, uint32_t rows) {
    uint32_t shape[] = {1, heads, rows, b->s->dim};
    size_t count = (size_t)heads * rows * b->s->dim;
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = ref_round(b->dtype, ref_rng_uniform(&b->rng, -2, 2));
    }
    array a = make(b, b->dtype, 4, shape, values);
    free(values);
    return a;
}

static bool measure_shape(bench_set *b) {
    b->q = random_array(b, b->s->heads, b->s->q_len);
    b->k = random_array(b, b->s->kv_heads, b->s->kv_len);
    b->v = random_array(b, b->s->kv_heads, b->s->kv_len);
    b->out = random_array(b, b->s->heads, b->s->q_len);
    bench_contender plain = {.desc = plain_desc(b)};
    bench_score score = {NAN, NAN, NAN};
    bool ok = bench_contender_prepare(b->device, &plain) == VKA_OK;
    b->plain = read_output(b);
    ok = ok && bench_duel(b->device, &plain, &plain, ROUNDS, &score) == VKA_OK;
    char text[BENCH_NUMBER_SIZE];
    printf("%-8s %-5s %-20s %8s ms        1   H %u/%u, N %u x %u, D %u\n", b->s->name, bench_dtype_name(b->dtype),
           "plain", bench_number(score.ms, text), b->s->heads, b->s->kv_heads, b->s->q_len, b->s->kv_len, b->s->dim);
    bool all_right = ok;
    for (size_t i = 0; i < OPTIONS && ok; i++) {
        /* Causality does nothing for one query at the end. */
        if (b->s->q_len > 1 || !options[i].last_row) {
            all_right = measure_option(b, &options[i], &plain) && all_right;
        }
    }
    vka_recorder_destroy(&plain.recorder);
    free(b->plain);
    array *all[] = {&b->q, &b->k, &b->v, &b->out};
    for (int i = 0; i < 4; i++) {
        drop(all[i]);
    }
    return all_right;
}

bench_exit bench_costs(const bench_options *o) {
    static const vka_dtype dtypes[] = {VKA_F32, VKA_F16};
    bench_device *d = bench_device_open(o->device, o->tuning);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    const vka_device_caps *caps = bench_device_caps(d);
    bool ok = true;
    printf("device  %s\ndriver  %s\n", caps->name, caps->driver);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int t = 0; t < 2 && shapes[i].software == (caps->type == VKA_DEVICE_CPU); t++) {
            bench_set b = {.s = &shapes[i], .device = bench_device_vka(d), .dtype = dtypes[t]};
            b.rng = ref_rng_seed(o->seed);
            if (!o->only || o->only == dtypes[t]) {
                ok = measure_shape(&b) && ok;
            }
        }
    }
    bench_device_close(d);
    return ok ? BENCH_EXIT_OK : BENCH_EXIT_FAILED;
}
