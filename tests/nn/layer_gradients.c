/* SPDX-License-Identifier: MIT */
#include "layer_gradients.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

#define NOTHING UINT32_MAX

typedef enum part_kind { PART_SELF, PART_CROSS, PART_FEED_FORWARD } part_kind;

static vka_dtype storage; /* of the naive numbers */

#define real       double
#define NAME(name) name##_f64
#define ROUND(x)   (x)
#include "tape.inc"
#undef real
#undef NAME
#undef ROUND
#define real       float
#define NAME(name) name##_f32
#define ROUND(x)   ref_round(storage, x)
#include "tape.inc"
#undef real
#undef NAME
#undef ROUND

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

static void add_leaf(setup *s, size_t field, uint32_t rank, uint32_t n0, uint32_t n1, uint32_t n2) {
    cr_assert_lt(s->count, MAX_LEAVES);
    s->leaves[s->count++] = (leaf){field, rank, {n0, n1, n2}, false};
}

static void add_linear(setup *s, size_t field, uint32_t outputs, uint32_t inputs) {
    add_leaf(s, field + offsetof(vka_nn_linear, weight), 2, outputs, inputs, 0);
    if (s->biases) {
        add_leaf(s, field + offsetof(vka_nn_linear, bias), 1, outputs, 0, 0);
    }
}

static void add_norm(setup *s, size_t field) {
    add_leaf(s, field + offsetof(vka_nn_norm, weight), 1, WIDTH, 0, 0);
    if (s->biases && !s->rms) {
        add_leaf(s, field + offsetof(vka_nn_norm, bias), 1, WIDTH, 0, 0);
    }
}

static void add_attention(setup *s, size_t field, uint32_t keys) {
#define OF(part) (field + offsetof(vka_nn_attention_desc, part))
    uint32_t columns = HEADS * DIM, kv = s->kv_heads * DIM, values = s->kv_heads * s->value_dim;
    if (s->packed) {
        add_linear(s, OF(qkv), columns + 2 * kv, WIDTH);
    } else {
        add_linear(s, OF(q), columns, WIDTH);
        add_linear(s, OF(k), kv, WIDTH);
        add_linear(s, OF(v), values, WIDTH);
    }
    add_linear(s, OF(projection), WIDTH, HEADS * s->value_dim);
    if (s->mask) {
        add_leaf(s, OF(attention.mask), 2, s->tokens, keys, 0);
        s->leaves[s->count - 1].f32 = true;
    }
#undef OF
}

void list_leaves(setup *s) {
    s->count = 0;
    add_leaf(s, FIELD(x), 3, BATCH, s->tokens, WIDTH);
    if (s->memory) {
        add_leaf(s, FIELD(memory), 3, BATCH, s->memory, WIDTH);
    }
    if (s->block == BLOCK_ATTENTION) {
        add_leaf(s, VALUES, 3, BATCH, s->memory, WIDTH);
    }
    if (s->block != BLOCK_FEED_FORWARD) {
        add_attention(s, FIELD(self), s->block == BLOCK_ATTENTION ? s->memory : s->tokens);
    }
    if (s->block == BLOCK_LAYER && s->memory) {
        add_attention(s, FIELD(cross), s->memory);
        add_norm(s, FIELD(norm_cross));
    }
    if (s->block == BLOCK_LAYER) {
        add_norm(s, FIELD(norm_self));
        add_norm(s, FIELD(norm_feed_forward));
    }
    if (s->block != BLOCK_ATTENTION) {
        add_linear(s, FIELD(feed_forward.up), INNER, WIDTH);
        add_linear(s, FIELD(feed_forward.down), WIDTH, INNER);
        if (s->gate) {
            add_linear(s, FIELD(feed_forward.gate), INNER, WIDTH);
        }
    }
}

size_t leaf_size(const leaf *l) {
    size_t n = 1;
    for (uint32_t i = 0; i < l->rank; i++) {
        n *= l->shape[i];
    }
    return n;
}

/* ---- expectations ------------------------------------------------------------------------------------------------ */

static void *must(void *memory) {
    cr_assert_not_null(memory);
    return memory;
}

/* Two numbers of each leaf. A step of 1e-6 leaves enough digits of a float64, and few kinks of relu within it. */
static void check_differences(const setup *s, const float *const *values, const float *d_out, const expectation *e,
                              uint64_t seed, uint32_t *out) {
    const double step = 1e-6;
    ref_rng rng = ref_rng_seed(seed);
    for (uint32_t i = 0; i < s->count; i++) {
        for (int k = 0; k < 2; k++) {
            size_t at = ref_rng_below(&rng, (uint32_t)leaf_size(&s->leaves[i]));
            double more = forward_f64(s, values, d_out, i, at, step, out);
            double less = forward_f64(s, values, d_out, i, at, -step, out);
            double difference = (more - less) / (2 * step), analytic = e->gradients[i][at];
            cr_assert(fabs(difference - analytic) <= 1e-6 * (1 + fabs(analytic)), "%s: leaf %u, number %zu: %g and %g",
                      s->what, i, at, analytic, difference);
        }
    }
}

expectation expect_gradients(const setup *s, const float *const *values, const float *d_out, uint64_t seed) {
    static uint32_t out[BATCH * MAX_NUMBERS];
    size_t results = (size_t)BATCH * s->tokens * WIDTH;
    expectation e = {.out = must(malloc(results * sizeof *e.out)),
                     .naive_out = must(malloc(results * sizeof *e.naive_out))};
    storage = s->dtype;
    forward_f64(s, values, d_out, NOTHING, 0, 0, out);
    for (size_t i = 0; i < results; i++) {
        e.out[i] = value_f64(out[i]);
    }
    go_back_f64();
    for (uint32_t i = 0; i < s->count; i++) {
        size_t count = leaf_size(&s->leaves[i]);
        e.gradients[i] = must(malloc(count * sizeof *e.gradients[i]));
        for (size_t k = 0; k < count; k++) {
            e.gradients[i][k] = tape_f64.numbers[tape_f64.leaves[i] + k].gradient;
        }
    }
    check_differences(s, values, d_out, &e, seed, out);
    forward_f32(s, values, d_out, NOTHING, 0, 0, out);
    for (size_t i = 0; i < results; i++) {
        e.naive_out[i] = value_f32(out[i]);
    }
    go_back_f32();
    for (uint32_t i = 0; i < s->count; i++) {
        size_t count = leaf_size(&s->leaves[i]);
        e.naive_gradients[i] = must(malloc(count * sizeof *e.naive_gradients[i]));
        for (size_t k = 0; k < count; k++) {
            e.naive_gradients[i][k] = tape_f32.numbers[tape_f32.leaves[i] + k].gradient;
        }
    }
    free(tape_f64.numbers);
    free(tape_f32.numbers);
    memset(&tape_f64, 0, sizeof tape_f64);
    memset(&tape_f32, 0, sizeof tape_f32);
    return e;
}

void expectation_free(const setup *s, expectation *e) {
    free(e->out);
    free(e->naive_out);
    for (uint32_t i = 0; i < s->count; i++) {
        free(e->gradients[i]);
        free(e->naive_gradients[i]);
    }
}
