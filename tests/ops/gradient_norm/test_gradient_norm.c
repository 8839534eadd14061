/* The norm of gradients and what follows from it.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include <vkattn/optim.h>

#include "support/context.h"
#include "support/tensor.h"

enum { SUM, NORM, GRAD_SCALE, LOSS_SCALE, FINITE_STEPS, STEP, SCALARS };

typedef struct problem {
    context *c;
    uint32_t count;
    tensor gradients[VKA_MAX_GRADIENTS], scalars[SCALARS];
} problem;

static problem make(context *c, uint32_t count, uint32_t shift) {
    static const uint32_t shapes[][4] = {{5, 7}, {61}, {3, 4, 32}, {2, 3, 5, 9}, {1, 1}, {300, 129}, {0, 4}, {16000}};
    static const uint32_t ranks[] = {2, 1, 3, 4, 2, 2, 2, 1};
    static const layout lies[] = {{"10", 1, 1}, {.shift = 1}, {"102"}, {"3120", 1}, {0}, {0}, {0}, {.shift = 3}};
    problem p = {.c = c, .count = count};
    ref_rng rng = ref_rng_seed(test_seed() + shift);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = (i + shift) % 8;
        p.gradients[i] = tensor_create(c, dtypes[(i + shift) % DTYPES], ranks[n], shapes[n], lies[n]);
        tensor_fill_normal(&p.gradients[i], &rng, 0, 2);
        tensor_upload(&p.gradients[i]);
    }
    for (int i = 0; i < SCALARS; i++) {
        p.scalars[i] =
            tensor_create(c, i >= FINITE_STEPS ? VKA_I32 : VKA_F32, 1, (uint32_t[]){1}, (layout){.shift = 1});
        p.scalars[i].values[0] = 0;
        tensor_upload(&p.scalars[i]);
    }
    return p;
}

static void destroy(problem *p) {
    for (uint32_t i = 0; i < p->count; i++) {
        tensor_destroy(&p->gradients[i]);
    }
    for (int i = 0; i < SCALARS; i++) {
        tensor_destroy(&p->scalars[i]);
    }
}

static vka_gradient_norm_desc describe(const problem *p) {
    vka_gradient_norm_desc d = {
        .sum = p->scalars[SUM].view, .norm = p->scalars[NORM].view, .grad_scale = p->scalars[GRAD_SCALE].view};
    for (uint32_t i = 0; i < p->count; i++) {
        d.gradients[i] = p->gradients[i].view;
    }
    return d;
}

static void run(problem *p, const vka_gradient_norm_desc *d) {
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_gradient_norm(p->c->recorder, d));
    context_finish(p->c);
    for (int i = 0; i < SCALARS; i++) {
        cr_assert(tensor_download(&p->scalars[i]), "bytes outside of scalar %d have changed", i);
    }
}

/* The sum of squares in float64, and in f32. */
static void squares(const problem *p, double *ref, float *naive) {
    for (uint32_t i = 0; i < p->count; i++) {
        for (size_t k = 0; k < p->gradients[i].count; k++) {
            float g = p->gradients[i].values[k];
            *ref += (double)g * (double)g;
            *naive += g * g;
        }
    }
}

/* By the rule, of numbers that are as long as one. */
static void expect_near(double have, double naive, double want, const char *name) {
    ref_error e = {0};
    ref_error_add(&e, have / want, naive / want, 1);
    cr_expect(ref_error_ok(&e), "%s is %.9g, not %.9g, naive %.9g", name, have, want, naive);
}

static void check(context *c, uint32_t count, uint32_t shift, float max_norm, float loss_scale) {
    problem p = make(c, count, shift);
    double ref = 0;
    float naive = 0;
    vka_gradient_norm_desc d = describe(&p);
    squares(&p, &ref, &naive);
    d.max_norm = max_norm;
    d.loss_scale = loss_scale != 0 ? p.scalars[LOSS_SCALE].view : (vka_tensor){0};
    p.scalars[LOSS_SCALE].values[0] = loss_scale;
    tensor_upload(&p.scalars[LOSS_SCALE]);
    run(&p, &d);
    double scale = loss_scale != 0 ? (double)loss_scale : 1, norm = sqrt(ref) / scale, limit = (double)max_norm;
    expect_near((double)p.scalars[SUM].values[0], (double)naive, ref, "sum");
    expect_near((double)p.scalars[NORM].values[0], sqrt((double)naive) / scale, norm, "norm");
    expect_near((double)p.scalars[GRAD_SCALE].values[0], 0, (limit > 0 ? fmin(1, limit / (norm + 1e-6)) : 1) / scale,
                "grad_scale");
    destroy(&p);
}

Test(gradient_norm, accuracy) {
    static const device_config *const configs[] = {&config_real, &config_few_buffers, &config_short,
                                                   &config_few_groups};
    for (uint32_t n = 0; n < 4; n++) {
        context c;
        context_open(&c, configs[n]);
        check(&c, 1, n, 1, 0);
        check(&c, 16, n, 1, 1024);
        check(&c, 8, n, 1e9f, 8);
        check(&c, 3, n + 5, 0, 0);
        context_close(&c);
    }
}

/* Two calls that together are one, and the same bits again. */
Test(gradient_norm, accumulates) {
    context c;
    context_open(&c, &config_real);
    problem p = make(&c, 16, 0);
    double ref = 0;
    float naive = 0, first[2];
    squares(&p, &ref, &naive);
    for (int i = 0; i < 2; i++) {
        vka_gradient_norm_desc d = describe(&p), rest = describe(&p);
        memset(d.gradients + 5, 0, 11 * sizeof *d.gradients);
        memset(rest.gradients, 0, 16 * sizeof *rest.gradients);
        for (int k = 5; k < 16; k++) {
            rest.gradients[k - 5] = p.gradients[k].view;
        }
        d.norm = d.grad_scale = (vka_tensor){0};
        run(&p, &d);
        rest.accumulate = true;
        rest.max_norm = 1;
        run(&p, &rest);
        expect_near((double)p.scalars[NORM].values[0], sqrt((double)naive), sqrt(ref), "norm");
        first[i] = p.scalars[SUM].values[0];
    }
    cr_expect_eq(first[0], first[1]);
    destroy(&p);
    context_close(&c);
}

/* Steps with gradients that are finite, and not: the loss scale and the steps that count. */
Test(gradient_norm, loss_scale) {
    static const float spoils[] = {0, 0, NAN, 0, 0, 0, INFINITY, -INFINITY, 0};
    context c;
    context_open(&c, &config_real);
    problem p = make(&c, 3, 0);
    vka_gradient_norm_desc d = describe(&p);
    d.loss_scale = p.scalars[LOSS_SCALE].view;
    d.finite_steps = p.scalars[FINITE_STEPS].view;
    d.step = p.scalars[STEP].view;
    d.growth = 4;
    d.backoff = 0.25f;
    d.interval = 2;
    float scale = 64, steps = 0, good = 0;
    p.scalars[LOSS_SCALE].values[0] = scale;
    tensor_upload(&p.scalars[LOSS_SCALE]);
    for (uint32_t n = 0; n < sizeof spoils / sizeof *spoils; n++) {
        bool finite = isfinite(spoils[n]);
        p.gradients[1].values[60] = finite ? 1 : spoils[n];
        tensor_upload(&p.gradients[1]);
        run(&p, &d);
        cr_expect_eq(p.scalars[GRAD_SCALE].values[0], finite ? 1 / scale : 0);
        cr_expect_eq((bool)isfinite(p.scalars[NORM].values[0]), finite);
        good = finite ? good + 1 : 0;
        scale = finite ? good >= 2 ? 4 * scale : scale : scale / 4;
        good = good >= 2 ? 0 : good;
        steps += finite;
        cr_expect_eq(p.scalars[LOSS_SCALE].values[0], scale, "step %u: a scale of %g, not %g", n,
                     (double)p.scalars[LOSS_SCALE].values[0], (double)scale);
        cr_expect_eq(p.scalars[FINITE_STEPS].values[0], good);
        cr_expect_eq(p.scalars[STEP].values[0], steps);
    }
    destroy(&p);
    context_close(&c);
}

Test(gradient_norm, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F32, 3, 8), one = vka_tensor_1d(NULL, VKA_F32, 1);
    vka_gradient_norm_desc d = {.gradients = {x}};
    EXPECT_FAILURE(vka_gradient_norm_prepare(c.device, &d), VKA_INVALID, "vka_gradient_norm.grad_scale");
    d.norm = one;
    EXPECT_OK(vka_gradient_norm_prepare(c.device, &d));
    d.accumulate = true;
    EXPECT_FAILURE(vka_gradient_norm_prepare(c.device, &d), VKA_INVALID, "vka_gradient_norm.sum");
    d.accumulate = false;
    d.finite_steps = vka_tensor_1d(NULL, VKA_I32, 1);
    EXPECT_FAILURE(vka_gradient_norm_prepare(c.device, &d), VKA_INVALID, "vka_gradient_norm.loss_scale");
    d.finite_steps = (vka_tensor){0};
    d.gradients[0] = (vka_tensor){0};
    EXPECT_FAILURE(vka_gradient_norm_prepare(c.device, &d), VKA_INVALID, "vka_gradient_norm.gradients[0]");
    d.gradients[0] = x;
    d.gradients[3] = vka_tensor_2d(NULL, VKA_I8, 3, 8);
    EXPECT_FAILURE(vka_gradient_norm_prepare(c.device, &d), VKA_INVALID, "vka_gradient_norm.gradients[3]");
    context_close(&c);
}
