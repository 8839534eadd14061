/* Gradients of T5's tables against sums in float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>

#include <vkattn/relative.h>

#include "support/context.h"
#include "support/tensor.h"

/* Zero type: f32. */
typedef struct table_case {
    ref_t5 t;
    uint32_t heads;
    bool accumulate;
    vka_dtype dtype;
    layout layout;
} table_case;

static void run_case(context *c, table_case t) {
    t.dtype = t.dtype ? t.dtype : VKA_F32;
    ref_rng rng = ref_rng_seed(test_seed());
    tensor d_out = tensor_create(c, VKA_F32, 2, (uint32_t[]){t.heads, t.t.length}, t.layout);
    tensor d_table = tensor_create(c, t.dtype, 2, (uint32_t[]){t.t.buckets, t.heads}, t.layout);
    float *before = calloc(d_table.count + 1, sizeof *before);
    ref_error e = {0};
    cr_assert_not_null(before);
    tensor_fill_normal(&d_out, &rng, 0, 1);
    tensor_upload(&d_out);
    tensor_poison(&d_table);
    if (t.accumulate) {
        tensor_fill_normal(&d_table, &rng, 0, 1);
        tensor_round(&d_table);
        tensor_upload(&d_table);
        for (size_t i = 0; i < d_table.count; i++) {
            before[i] = d_table.values[i];
        }
    }
    vka_relative_bias_t5_backward_desc d = {.d_out = d_out.view,
                                            .d_table = d_table.view,
                                            .relative_zero = t.t.zero,
                                            .bidirectional = t.t.bidirectional,
                                            .max_distance = t.t.max_distance,
                                            .accumulate = t.accumulate};
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_relative_bias_t5_backward(c->recorder, &d));
    context_finish(c);
    cr_assert(tensor_download(&d_table), "writes outside of d_table");
    for (uint32_t i = 0; i < d_table.count; i++) {
        double ref[8], naive[8], old = (double)before[i], is = (double)d_table.values[i];
        uint32_t bucket = i / t.heads, h = i % t.heads;
        ref_t5_gradient(&t.t, t.heads, d_out.values, bucket, false, ref);
        ref_t5_gradient(&t.t, t.heads, d_out.values, bucket, true, naive);
        ref_error_add(&e, is, (double)ref_round(t.dtype, (float)(naive[h] + old)), ref[h] + old);
        cr_assert(!e.broken, "bucket %u of head %u: %g, not %g", bucket, h, is, ref[h] + old);
    }
    cr_assert(ref_error_ok(&e), "%u buckets, %u distances, zero %u: off by %g, naive by %g; VKATTN_SEED=%llu",
              t.t.buckets, t.t.length, t.t.zero, e.out, e.naive, (unsigned long long)test_seed());
    free(before);
    tensor_destroy(&d_out);
    tensor_destroy(&d_table);
}

static void run_all(const device_config *config) {
    /* t: buckets, length, zero, max_distance, bidirectional */
    static const table_case cases[] = {
        {.t = {32, 257, 128, 128, true}, .heads = 3},
        {.t = {32, 129, 128, 128}, .heads = 2},
        {.t = {33, 301, 90, 40, true}, .heads = 3, .accumulate = true, .dtype = VKA_F16, .layout = {"10", 3, 1}},
        {.t = {5, 70, 3, 9}, .heads = 1, .dtype = VKA_BF16, .accumulate = true},
        {.t = {64, 1, 0, 1000}, .heads = 7, .layout = {NULL, 1, 3}},
        {.t = {4, 1027, 1026, 2, true}, .heads = 2},
    };
    context c;
    context_open(&c, config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case(&c, cases[i]);
    }
    context_close(&c);
}

Test(relative_bias_t5_backward, tables) {
    run_all(&config_real);
}

Test(relative_bias_t5_backward, tables_few_groups) {
    run_all(&config_few_groups);
}

/* ---- slopes ------------------------------------------------------------------------------------------------------ */

enum { BUCKETS = 6, HEADS = 2, LENGTH = 23 };

typedef struct slopes {
    ref_t5 t;
    float table[BUCKETS * HEADS], d_out[HEADS * LENGTH];
} slopes;

/* The sum of all biases, each times its gradient. */
static double loss_of(const void *user) {
    const slopes *s = user;
    double loss = 0;
    for (uint32_t l = 0; l < LENGTH; l++) {
        uint32_t bucket = ref_t5_bucket((int64_t)l - s->t.zero, s->t.bidirectional, s->t.buckets, s->t.max_distance);
        for (uint32_t h = 0; h < HEADS; h++) {
            loss += (double)s->table[bucket * HEADS + h] * (double)s->d_out[h * LENGTH + l];
        }
    }
    return loss;
}

Test(relative_bias_t5_backward, slopes) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 4; n++) {
        slopes s = {.t = {BUCKETS, LENGTH, 5 + 4 * n, 9, n % 2}};
        for (uint32_t i = 0; i < BUCKETS * HEADS; i++) {
            s.table[i] = ref_rng_normal(&rng);
        }
        for (uint32_t i = 0; i < HEADS * LENGTH; i++) {
            s.d_out[i] = ref_rng_normal(&rng);
        }
        for (uint32_t i = 0; i < BUCKETS * HEADS; i++) {
            double gradient[HEADS], slope = ref_slope(&s.table[i], loss_of, &s);
            ref_t5_gradient(&s.t, HEADS, s.d_out, i / HEADS, false, gradient);
            cr_expect_float_eq(gradient[i % HEADS], slope, 1e-9, "[%u]: %g, but the slope is %g; VKATTN_SEED=%llu", i,
                               gradient[i % HEADS], slope, (unsigned long long)test_seed());
        }
    }
}
