/* SPDX-License-Identifier: MIT */
#include "pair_case.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* Dense index of an input's element for one of the output. */
static size_t source(const tensor *t, const tensor *out, size_t index) {
    uint32_t at[VKA_MAX_RANK] = {0};
    size_t number = 0;
    for (uint32_t dim = out->view.rank; dim-- > 0;) {
        at[dim] = (uint32_t)(index % out->view.shape[dim]);
        index /= out->view.shape[dim];
    }
    for (uint32_t dim = 0; dim < t->view.rank; dim++) {
        number = number * t->view.shape[dim] + (t->view.shape[dim] > 1 ? at[dim] : 0);
    }
    return number;
}

static tensor make(context *c, vka_dtype type, const pair_case *p, uint32_t ones, layout l, ref_rng *rng) {
    uint32_t size[VKA_MAX_RANK];
    for (uint32_t i = 0; i < p->rank; i++) {
        size[i] = ones >> i & 1 ? 1 : p->size[i];
    }
    tensor t = tensor_create(c, type ? type : VKA_F32, p->rank, size, l);
    if (rng) {
        tensor_fill_normal(&t, rng, 0, 2);
        tensor_upload(&t);
    }
    return t;
}

static float *copy(const tensor *t) {
    float *values = malloc((t->count + 1) * sizeof *values);
    cr_assert_not_null(values);
    memcpy(values, t->values, t->count * sizeof *values);
    return values;
}

void pair_check(context *c, const pair_op *op, const pair_case *wanted, const void *user) {
    pair_case own = *wanted;
    const pair_case *p = &own;
    if (context_leaves_out(c, 7)) {
        return;
    }
    if (op->same_shapes) {
        own.a_ones = own.b_ones = 0;
    }
    ref_rng rng = ref_rng_seed(test_seed());
    tensor a = make(c, p->a_type, p, p->a_ones, p->a, &rng), b = make(c, p->b_type, p, p->b_ones, p->b, &rng);
    tensor other = make(c, p->out_type, p, 0, p->out, NULL), *out = p->in_place == 1 ? &a : p->in_place ? &b : &other;
    float *x = copy(&a), *y = copy(&b);
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(op->record(c->recorder, a.view, b.view, out->view, user));
    context_finish(c);
    cr_assert(tensor_download(out), "%s: bytes outside of the result have changed", c->config->name);
    ref_error e = {0};
    for (size_t i = 0; i < out->count; i++) {
        float u = x[source(&a, out, i)], v = y[source(&b, out, i)];
        ref_error_add(&e, (double)out->values[i], (double)ref_round(out->view.dtype, op->naive(u, v, user)),
                      op->reference((double)u, (double)v, user));
    }
    cr_assert(ref_error_ok(&e), "%s: %s and %s to %s, rank %u, ones %u %u, in place %d: off by %g, naive by %g%s",
              c->config->name, dtype_name(a.view.dtype), dtype_name(b.view.dtype), dtype_name(out->view.dtype), p->rank,
              p->a_ones, p->b_ones, p->in_place, e.out, e.naive, e.broken ? ", nonfinite" : "");
    free(x);
    free(y);
    tensor_destroy(&a);
    tensor_destroy(&b);
    tensor_destroy(&other);
}

/* Rows that are whole vectors, and not; halves of one tensor's rows; interleaved ones; transposed; that broadcast. */
static const pair_case shapes[] = {
    {.rank = 1, .size = {1}},
    {.rank = 2, .size = {7, 64}},
    {.rank = 2, .size = {9, 50}, .a = {.pad = 25}, .b = {.pad = 25, .shift = 50}},
    {.rank = 3, .size = {3, 5, 36}, .a = {.order = "102"}, .b = {.order = "201"}},
    {.rank = 4, .size = {2, 3, 5, 7}, .a = {"0213", 3, 2}, .b = {"3210", 1, 1}, .out = {"1023", 0, 1}},
    {.rank = 4, .size = {2, 3, 5, 8}, .b_ones = 7},
    {.rank = 4, .size = {2, 3, 5, 7}, .a_ones = 5, .b_ones = 10},
    {.rank = 3, .size = {4, 6, 31}, .a_ones = 4, .b_ones = 3, .out = {.pad = 1}},
    {.rank = 2, .size = {3, 20}, .a_ones = 3, .b_ones = 3},
};
#define SHAPES (sizeof shapes / sizeof *shapes)

void pair_check_all(const pair_op *op, const void *user) {
    static const device_config *const configs[] = {&config_real, &config_gpu};
    for (size_t n = 0; n < 2; n++) {
        context c;
        context_open(&c, configs[n]);
        for (uint32_t t = 0; t < DTYPES * DTYPES; t++) { /* any two of the three types meet */
            pair_case p = shapes[t % SHAPES];
            p.a_type = dtypes[t % DTYPES];
            p.b_type = dtypes[t / DTYPES];
            p.out_type = dtypes[(t + t / DTYPES) % DTYPES];
            pair_check(&c, op, &p, user);
        }
        for (size_t i = 0; i < SHAPES; i++) {
            pair_check(&c, op, &shapes[i], user);
        }
        for (uint32_t t = 0; t < 2 * DTYPES; t++) {
            pair_case p = {.rank = 2, .size = {37, 59}, .a = {.shift = 1}, .in_place = 1 + (int)t / DTYPES};
            p.a_type = p.b_type = dtypes[t % DTYPES];
            pair_check(&c, op, &p, user);
        }
        context_close(&c);
    }
}

void pair_check_narrow(const pair_op *op, const void *user) {
    static const device_config *const small[] = {&config_short, &config_few_groups};
    for (size_t n = 0; n < 2; n++) {
        context c;
        context_open(&c, small[n]);
        pair_check(&c, op, &(pair_case){.rank = 3, .size = {7, 90, 129}, .a = {"102", 1, 1}, .b_ones = 2}, user);
        pair_check(&c, op, &(pair_case){.rank = 2, .size = {3, 15001}, .b_ones = 1}, user);
        context_close(&c);
    }
}
