/* Gradients of adaptive spans against differences of the biases, and against sums in float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>

#include <vkattn/relative.h>

#include "support/context.h"
#include "support/tensor.h"

typedef struct span_case {
    uint32_t heads, length, zero;
    float ramp;
    bool accumulate;
    layout layout;
} span_case;

static double sum_of(const span_case *s, const float *d_out, float z, double before, bool naive) {
    double sum = ref_span_gradient(d_out, s->length, s->zero, z, s->ramp, naive);
    return naive ? (double)((float)sum + (float)before) : sum + before;
}

static void run_case(context *c, span_case s) {
    ref_rng rng = ref_rng_seed(test_seed());
    layout flat = {.pad = s.layout.pad, .shift = s.layout.shift};
    tensor spans = tensor_create(c, VKA_F32, 1, &s.heads, flat), d_spans = tensor_create(c, VKA_F32, 1, &s.heads, flat);
    tensor d_out = tensor_create(c, VKA_F32, 2, (uint32_t[]){s.heads, s.length}, s.layout);
    float before[80] = {0};
    ref_error e = {0};
    tensor_fill_normal(&d_out, &rng, 0, 1);
    tensor_poison(&d_spans);
    tensor_fill_normal(s.accumulate ? &d_spans : &d_out, &rng, 0, 1);
    for (uint32_t h = 0; h < s.heads; h++) {
        /* Eighths: that a token is at an end of the slope is no matter of rounding, nor is one next to it. */
        float z = floorf(8 * ref_rng_uniform(&rng, -1.5f * s.ramp, (float)s.zero + 1.5f * s.ramp)) / 8;
        spans.values[h] = z;
        before[h] = s.accumulate ? d_spans.values[h] : 0;
    }
    if (s.accumulate) {
        tensor_upload(&d_spans);
    }
    tensor_upload(&spans);
    tensor_upload(&d_out);
    vka_relative_bias_span_backward_desc d = {.spans = spans.view,
                                              .d_out = d_out.view,
                                              .d_spans = d_spans.view,
                                              .relative_zero = s.zero,
                                              .ramp = s.ramp,
                                              .accumulate = s.accumulate};
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_relative_bias_span_backward(c->recorder, &d));
    context_finish(c);
    cr_assert(tensor_download(&d_spans), "writes outside of d_spans");
    for (uint32_t h = 0; h < s.heads; h++) {
        const float *row = d_out.values + (size_t)h * s.length;
        double ref = sum_of(&s, row, spans.values[h], (double)before[h], false);
        double naive = sum_of(&s, row, spans.values[h], (double)before[h], true);
        ref_error_add(&e, (double)d_spans.values[h], naive, ref);
        cr_assert(!e.broken, "span %g: %g, not %g", (double)spans.values[h], (double)d_spans.values[h], ref);
    }
    cr_assert(ref_error_ok(&e), "%u distances, zero %u, ramp %g: off by %g, naive by %g; VKATTN_SEED=%llu", s.length,
              s.zero, (double)s.ramp, e.out, e.naive, (unsigned long long)test_seed());
    tensor_destroy(&spans);
    tensor_destroy(&d_out);
    tensor_destroy(&d_spans);
}

Test(relative_bias_span_backward, spans) {
    static const span_case cases[] = {
        {.heads = 8, .length = 257, .zero = 256, .ramp = 32},
        {.heads = 1, .length = 1, .zero = 0, .ramp = 1},
        {.heads = 5, .length = 100, .zero = 99, .ramp = 0.25f, .layout = {"10", 2, 1}},
        {.heads = 6, .length = 111, .zero = 40, .ramp = 7.25f, .accumulate = true, .layout = {NULL, 3, 3}},
        {.heads = 67, .length = 1027, .zero = 1000, .ramp = 300},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case(&c, cases[i]);
    }
    context_close(&c);
}

typedef struct bias {
    float z;
    double ramp;
} bias;

/* The sum of the biases that are not -inf, each times its distance. */
static double bias_loss(const void *user) {
    const bias *b = user;
    double loss = 0;
    for (int64_t x = -3; x < 40; x++) {
        double mask = ref_span_mask((double)b->z, b->ramp, x);
        loss += mask > 0 ? (double)x * log(mask) : 0;
    }
    return loss;
}

Test(relative_bias_span_backward, slopes) {
    for (int i = 0; i < 20; i++) {
        bias b = {(float)i + 0.4f, 3.0 + i % 7};
        double is = 0, slope = ref_slope(&b.z, bias_loss, &b);
        for (int64_t x = -3; x < 40; x++) {
            is += (double)x * ref_span_slope((double)b.z, b.ramp, x);
        }
        cr_expect(fabs(is - slope) <= 1e-3 * fmax(fabs(slope), 1), "span %g: %g, but the slope is %g", (double)b.z, is,
                  slope);
    }
}
