/* The tensors of a case: random inputs on host and device, outputs on the device, and the calls into the library.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include "reference.h"

#include <stdlib.h>
#include <string.h>

/* Uniform in +-2: scores get a standard deviation of 1.3 at any head dimension, so that softmax has something to choose
 * from. Ends of the range are far from overflow in f16. */
#define RANGE 2.0f

/* ---- shapes
 * ---------------------------------------------------------------------------------------------------------- */

/* The tensor of a slot without its buffer; rank 0 where the case has none. */
static vka_tensor slot_view(const bench_case *c, bench_slot slot) {
    bool attention = c->op == BENCH_ATTENTION;
    switch (slot) {
    case BENCH_Q:
        return attention ? vka_tensor_4d(NULL, c->dtype, c->batch, c->heads, c->q_len, c->head_dim) : (vka_tensor){0};
    case BENCH_K:
        return attention ? vka_tensor_4d(NULL, c->dtype, c->batch, c->kv_heads, c->kv_len, c->head_dim)
                         : (vka_tensor){0};
    case BENCH_V:
        return attention ? vka_tensor_4d(NULL, c->dtype, c->batch, c->kv_heads, c->kv_len, c->value_dim)
                         : (vka_tensor){0};
    case BENCH_X:
        return attention ? (vka_tensor){0} : vka_tensor_2d(NULL, c->dtype, c->rows, c->cols);
    case BENCH_WEIGHT:
    case BENCH_BIAS:
        return attention ? (vka_tensor){0} : vka_tensor_1d(NULL, c->dtype, c->cols);
    case BENCH_RESIDUAL:
    case BENCH_SUM:
        return attention || !c->residual ? (vka_tensor){0} : vka_tensor_2d(NULL, c->dtype, c->rows, c->cols);
    case BENCH_OUT:
        return attention ? vka_tensor_4d(NULL, c->dtype, c->batch, c->heads, c->q_len, c->value_dim)
                         : vka_tensor_2d(NULL, c->dtype, c->rows, c->cols);
    case BENCH_SLOTS:
        break;
    }
    return (vka_tensor){0};
}

static size_t elements(const vka_tensor *t) {
    size_t n = t->rank ? 1 : 0;
    for (uint32_t i = 0; i < t->rank; i++) {
        n *= t->shape[i];
    }
    return n;
}

size_t bench_problem_bytes(const bench_problem *p, bench_slot slot) {
    return p->tensors[slot].count * vka_dtype_size(p->c->dtype);
}

/* ---- life
 * -------------------------------------------------------------------------------------------------------------- */

/* Large tensors repeat their first elements: a billion random numbers would take minutes. The period is a prime, so no
 * two of the first four million rows, whatever their width, begin at the same element of it. */
#define PERIOD ((size_t)4194301)

/* Copies the first `unit` bytes over the rest. */
static void repeat(void *bytes, size_t unit, size_t size) {
    for (size_t at = unit; at < size; at += unit) {
        memcpy((char *)bytes + at, bytes, size - at < unit ? size - at : unit);
    }
}

/* Random values, rounded to storage, on host and device. */
static vka_status fill(bench_tensor *t, vka_dtype dtype, ref_rng *rng) {
    void *storage = malloc(t->count * vka_dtype_size(dtype));
    t->host = malloc(t->count * sizeof *t->host);
    vka_status status = storage && t->host ? VKA_OK : VKA_OUT_OF_MEMORY;
    if (status == VKA_OK) {
        size_t unit = t->count < PERIOD ? t->count : PERIOD;
        for (size_t i = 0; i < unit; i++) {
            t->host[i] = ref_round(dtype, ref_rng_uniform(rng, -RANGE, RANGE));
        }
        ref_store(dtype, storage, t->host, unit);
        repeat(t->host, unit * sizeof *t->host, t->count * sizeof *t->host);
        repeat(storage, unit * vka_dtype_size(dtype), t->count * vka_dtype_size(dtype));
        status = vka_buffer_write(t->buffer, 0, storage, t->count * vka_dtype_size(dtype));
    }
    free(storage);
    return status;
}

static vka_status create_tensor(bench_problem *p, bench_slot slot, ref_rng *rng) {
    bench_tensor *t = &p->tensors[slot];
    t->view = slot_view(p->c, slot);
    t->count = elements(&t->view);
    if (!t->count) {
        return VKA_OK;
    }
    vka_buffer_desc desc = {.size = bench_problem_bytes(p, slot)};
    vka_status status = vka_buffer_create(p->device, &desc, &t->buffer);
    t->view.buffer = t->buffer;
    return status == VKA_OK && slot < BENCH_OUT ? fill(t, p->c->dtype, rng) : status;
}

vka_status bench_problem_create(bench_problem *p, vka_device *device, const bench_case *c, uint64_t seed) {
    *p = (bench_problem){.c = c, .device = device};
    ref_rng rng = ref_rng_seed(seed);
    vka_status status = VKA_OK;
    for (bench_slot slot = 0; slot < BENCH_SLOTS && status == VKA_OK; slot++) {
        status = create_tensor(p, slot, &rng);
    }
    if (status == VKA_OK) {
        status = bench_problem_poison(p);
    }
    if (status != VKA_OK) {
        bench_problem_destroy(p);
    }
    return status;
}

void bench_problem_destroy(bench_problem *p) {
    for (bench_slot slot = 0; slot < BENCH_SLOTS; slot++) {
        vka_buffer_destroy(&p->tensors[slot].buffer);
        free(p->tensors[slot].host);
    }
    memset(p->tensors, 0, sizeof p->tensors);
}

vka_status bench_problem_poison(bench_problem *p) {
    vka_status status = VKA_OK;
    for (bench_slot slot = BENCH_OUT; slot < BENCH_SLOTS && status == VKA_OK; slot++) {
        size_t size = bench_problem_bytes(p, slot);
        if (!size) {
            continue;
        }
        void *poison = malloc(size);
        if (poison) {
            memset(poison, 0xff, size); /* NaN in every type */
        }
        status = poison ? vka_buffer_write(p->tensors[slot].buffer, 0, poison, size) : VKA_OUT_OF_MEMORY;
        free(poison);
    }
    return status;
}

void *bench_problem_read(const bench_problem *p, bench_slot slot) {
    size_t size = bench_problem_bytes(p, slot);
    void *bytes = size ? malloc(size) : NULL;
    if (bytes && vka_buffer_read(p->tensors[slot].buffer, 0, bytes, size) != VKA_OK) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

/* ---- calls
 * ------------------------------------------------------------------------------------------------------------- */

/* AUTO for the paths of other operations. */
static const vka_attention_path attention_paths[] = {
    [BENCH_PATH_ROW] = VKA_ATTENTION_PATH_ROW,           [BENCH_PATH_TILE] = VKA_ATTENTION_PATH_TILE,
    [BENCH_PATH_DECODE] = VKA_ATTENTION_PATH_DECODE,     [BENCH_PATH_COOPMAT] = VKA_ATTENTION_PATH_COOPMAT,
    [BENCH_PATH_COOPMAT2] = VKA_ATTENTION_PATH_COOPMAT2, [BENCH_PATH_DOT] = VKA_ATTENTION_PATH_DOT,
    [BENCH_PATH_GROUP] = VKA_ATTENTION_PATH_AUTO,
};

vka_attention_desc bench_problem_desc(const bench_problem *p) {
    const bench_case *c = p->c;
    bool windowed = bench_case_windowed(c);
    return (vka_attention_desc){
        .q = p->tensors[BENCH_Q].view,
        .k = p->tensors[BENCH_K].view,
        .v = p->tensors[BENCH_V].view,
        .out = p->tensors[BENCH_OUT].view,
        .causal = c->causal,
        .window = {windowed, windowed ? c->window_left : 0, windowed ? c->window_right : 0},
        .path = attention_paths[c->path],
        .tile = c->tile,
        .splits = c->splits,
    };
}

bench_path bench_path_of(vka_attention_path path) {
    for (int i = BENCH_PATH_ROW; i < (int)(sizeof attention_paths / sizeof *attention_paths); i++) {
        if (attention_paths[i] == path) {
            return (bench_path)i;
        }
    }
    return BENCH_PATH_AUTO;
}

vka_status bench_problem_candidates(const bench_problem *p, vka_attention_candidate *list, uint32_t capacity,
                                    uint32_t *count) {
    vka_attention_desc desc = bench_problem_desc(p);
    return vka_attention_candidates(p->device, &desc, list, capacity, count);
}

static vka_layer_norm_desc layer_norm_desc(const bench_problem *p) {
    bench_path path = p->c->path;
    return (vka_layer_norm_desc){
        .x = p->tensors[BENCH_X].view,
        .out = p->tensors[BENCH_OUT].view,
        .weight = p->tensors[BENCH_WEIGHT].view,
        .bias = p->tensors[BENCH_BIAS].view,
        .residual = p->tensors[BENCH_RESIDUAL].view,
        .sum = p->tensors[BENCH_SUM].view,
        .path = path == BENCH_PATH_LANE    ? VKA_NORM_PATH_LANE
                : path == BENCH_PATH_GROUP ? VKA_NORM_PATH_GROUP
                                           : VKA_NORM_PATH_AUTO,
    };
}

vka_status bench_problem_record(vka_recorder *recorder, void *problem) {
    const bench_problem *p = problem;
    if (p->c->op == BENCH_ATTENTION) {
        vka_attention_desc desc = bench_problem_desc(p);
        return vka_attention(recorder, &desc);
    }
    vka_layer_norm_desc desc = layer_norm_desc(p);
    return vka_layer_norm(recorder, &desc);
}

vka_status bench_problem_prepare(const bench_problem *p) {
    if (p->c->op == BENCH_ATTENTION) {
        vka_attention_desc desc = bench_problem_desc(p);
        return vka_attention_prepare(p->device, &desc);
    }
    vka_layer_norm_desc desc = layer_norm_desc(p);
    return vka_layer_norm_prepare(p->device, &desc);
}

vka_status bench_problem_workspace(const bench_problem *p, uint64_t *bytes) {
    if (p->c->op == BENCH_ATTENTION) {
        vka_attention_desc desc = bench_problem_desc(p);
        return vka_attention_workspace(p->device, &desc, bytes);
    }
    vka_layer_norm_desc desc = layer_norm_desc(p);
    return vka_layer_norm_workspace(p->device, &desc, bytes);
}

vka_status bench_problem_explain(const bench_problem *p, char *text, size_t capacity) {
    if (p->c->op == BENCH_ATTENTION) {
        vka_attention_desc desc = bench_problem_desc(p);
        return vka_attention_explain(p->device, &desc, text, capacity, NULL);
    }
    vka_layer_norm_desc desc = layer_norm_desc(p);
    return vka_layer_norm_explain(p->device, &desc, text, capacity, NULL);
}
