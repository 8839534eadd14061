/* Gradients of T5's tables against sums in float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>

#include <vkattn/relative.h>

#include "support/context.h"
#include "support/tensor.h"

/* Zero type: f32. */
typedef struct table_case {
    uint32_t buckets, heads, length, zero, max_distance;
    bool bidirectional, accumulate;
    vka_dtype dtype;
    layout layout;
} table_case;

/* Element [bucket][h] of the gradient; `naive`: with sums in f32. */
static double sum_of(const table_case *t, const tensor *d_out, uint32_t bucket, uint32_t h, double before, bool naive) {
    double sum = 0;
    for (uint32_t l = 0; l < t->length; l++) {
        int64_t distance = (int64_t)l - t->zero;
        if (ref_t5_bucket(distance, t->bidirectional, t->buckets, t->max_distance) == bucket) {
            sum += (double)d_out->values[h * t->length + l];
            sum = naive ? (double)(float)sum : sum;
        }
    }
    return naive ? (double)ref_round(t->dtype, (float)(sum + before)) : sum + before;
}

static void run_case(context *c, table_case t) {
    t.dtype = t.dtype ? t.dtype : VKA_F32;
    ref_rng rng = ref_rng_seed(test_seed());
    tensor d_out = tensor_create(c, VKA_F32, 2, (uint32_t[]){t.heads, t.length}, t.layout);
    tensor d_table = tensor_create(c, t.dtype, 2, (uint32_t[]){t.buckets, t.heads}, t.layout);
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
                                            .relative_zero = t.zero,
                                            .bidirectional = t.bidirectional,
                                            .max_distance = t.max_distance,
                                            .accumulate = t.accumulate};
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_relative_bias_t5_backward(c->recorder, &d));
    context_finish(c);
    cr_assert(tensor_download(&d_table), "writes outside of d_table");
    for (size_t i = 0; i < d_table.count; i++) {
        uint32_t bucket = (uint32_t)(i / t.heads), h = (uint32_t)(i % t.heads);
        double ref = sum_of(&t, &d_out, bucket, h, (double)before[i], false);
        ref_error_add(&e, (double)d_table.values[i], sum_of(&t, &d_out, bucket, h, (double)before[i], true), ref);
        cr_assert(!e.broken, "bucket %u of head %u: %g, not %g", bucket, h, (double)d_table.values[i], ref);
    }
    cr_assert(ref_error_ok(&e), "%u buckets, %u distances, zero %u: off by %g, naive by %g; VKATTN_SEED=%llu",
              t.buckets, t.length, t.zero, e.out, e.naive, (unsigned long long)test_seed());
    free(before);
    tensor_destroy(&d_out);
    tensor_destroy(&d_table);
}

static void run_all(const device_config *config) {
    static const table_case cases[] = {
        {.buckets = 32, .heads = 3, .length = 257, .zero = 128, .max_distance = 128, .bidirectional = true},
        {.buckets = 32, .heads = 2, .length = 129, .zero = 128, .max_distance = 128},
        {.buckets = 33,
         .heads = 3,
         .length = 301,
         .zero = 90,
         .max_distance = 40,
         .bidirectional = true,
         .accumulate = true,
         .dtype = VKA_F16,
         .layout = {"10", 3, 1}},
        {.buckets = 5, .heads = 1, .length = 70, .zero = 3, .max_distance = 9, .dtype = VKA_BF16, .accumulate = true},
        {.buckets = 64, .heads = 7, .length = 1, .zero = 0, .max_distance = 1000, .layout = {NULL, 1, 3}},
        {.buckets = 4, .heads = 2, .length = 1027, .zero = 1026, .max_distance = 2, .bidirectional = true},
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
