/* AdamW against float64: step by step, each from what the device has, so that errors don't add up.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/optim.h>

#include "support/context.h"
#include "support/tensor.h"

enum { PARAMETER, GRADIENT, MASTER, MEAN, SQUARE, GRAD_SCALE, RATE_SCALE, STEP, TENSORS };

typedef struct problem {
    vka_dtype parameter, gradient; /* 0: f32; other parameters have a master */
    uint32_t rank, size[VKA_MAX_RANK];
    layout lie[5];
    float rate, beta1, beta2, epsilon, decay; /* 0: the default, of rate and decay 0 */
    float grad_scale, rate_scale;             /* 0: absent */
    bool host_step;
    uint32_t steps, first;
} problem;

typedef struct state {
    double x, m, v;
} state;

static state step_in_double(const problem *p, state s, double g, double t) {
    double b1 = (double)(p->beta1 != 0 ? p->beta1 : 0.9f), b2 = (double)(p->beta2 != 0 ? p->beta2 : 0.999f);
    double rate = (double)p->rate * (p->rate_scale != 0 ? (double)p->rate_scale : 1);
    double epsilon = p->epsilon != 0 ? (double)p->epsilon : 1e-8;
    g *= p->grad_scale != 0 ? (double)p->grad_scale : 1;
    s.x -= rate * (double)p->decay * s.x;
    s.m += (1 - b1) * (g - s.m);
    s.v = b2 * s.v + (1 - b2) * g * g;
    s.x -= rate / (1 - pow(b1, t)) * s.m / (sqrt(s.v / (1 - pow(b2, t))) + epsilon);
    return s;
}

/* As a program in f32 has it, whose corrections are by pow. */
static void step_in_float(const problem *p, const float old[3], float g, float t, float out[3]) {
    float b1 = p->beta1 != 0 ? p->beta1 : 0.9f, b2 = p->beta2 != 0 ? p->beta2 : 0.999f;
    float rate = p->rate * (p->rate_scale != 0 ? p->rate_scale : 1);
    g *= p->grad_scale != 0 ? p->grad_scale : 1;
    out[1] = b1 * old[1] + (1 - b1) * g;
    out[2] = b2 * old[2] + (1 - b2) * g * g;
    float root = sqrtf(out[2]) / sqrtf(1 - powf(b2, t)) + (p->epsilon != 0 ? p->epsilon : 1e-8f);
    out[0] = old[0] * (1 - rate * p->decay) - rate / (1 - powf(b1, t)) * out[1] / root;
}

static void make(context *c, const problem *p, tensor t[TENSORS], ref_rng *rng) {
    const vka_dtype types[TENSORS] = {p->parameter, p->gradient, 0, 0, 0, 0, 0, VKA_I32};
    for (int i = 0; i < TENSORS; i++) {
        bool scalar = i >= GRAD_SCALE;
        t[i] = tensor_create(c, types[i] ? types[i] : VKA_F32, scalar ? 1 : p->rank, scalar ? (uint32_t[]){1} : p->size,
                             scalar ? (layout){0} : p->lie[i]);
        tensor_fill_normal(&t[i], rng, 0, 1);
    }
    for (size_t i = 0; i < t[PARAMETER].count; i++) {
        t[MEAN].values[i] = t[SQUARE].values[i] = 0;
        t[PARAMETER].values[i] = ref_round(t[PARAMETER].view.dtype, t[MASTER].values[i]);
    }
    t[GRAD_SCALE].values[0] = p->grad_scale;
    t[RATE_SCALE].values[0] = p->rate_scale;
}

static vka_adamw_desc describe(const problem *p, tensor t[TENSORS], const int32_t *number) {
    const vka_tensor none = {0};
    return (vka_adamw_desc){
        .parameter = t[PARAMETER].view,
        .gradient = t[GRADIENT].view,
        .master = p->parameter && p->parameter != VKA_F32 ? t[MASTER].view : none,
        .first_moment = t[MEAN].view,
        .second_moment = t[SQUARE].view,
        .grad_scale = p->grad_scale != 0 ? t[GRAD_SCALE].view : none,
        .rate_scale = p->rate_scale != 0 ? t[RATE_SCALE].view : none,
        .step = {.values = p->host_step ? number : NULL, .tensor = p->host_step ? none : t[STEP].view},
        .learning_rate = p->rate,
        .beta1 = p->beta1,
        .beta2 = p->beta2,
        .epsilon = p->epsilon,
        .weight_decay = p->decay,
    };
}

static void check(context *c, problem p) {
    static const int written[] = {MASTER, MEAN, SQUARE};
    if (context_leaves_out(c, 5)) {
        return;
    }
    ref_rng rng = ref_rng_seed(test_seed());
    bool master = p.parameter && p.parameter != VKA_F32;
    tensor t[TENSORS], *x = master ? &t[MASTER] : &t[PARAMETER];
    make(c, &p, t, &rng);
    float *old[3];
    for (int i = 0; i < 3; i++) {
        old[i] = malloc((x->count + 1) * sizeof(float));
    }
    for (uint32_t n = 0; n < p.steps; n++) {
        int32_t number = (int32_t)(n + (p.first ? p.first : 1));
        t[STEP].values[0] = (float)number;
        tensor_fill_normal(&t[GRADIENT], &rng, 0, 1);
        for (int i = 0; i < TENSORS; i++) {
            tensor_upload(&t[i]);
        }
        for (int i = 0; i < 3; i++) {
            memcpy(old[i], (written[i] == MASTER ? x : &t[written[i]])->values, x->count * sizeof(float));
        }
        vka_adamw_desc d = describe(&p, t, &number);
        EXPECT_OK(vka_recorder_begin(c->recorder));
        EXPECT_OK(vka_adamw(c->recorder, &d));
        context_finish(c);
        for (int i = 0; i < TENSORS; i++) {
            cr_assert(tensor_download(&t[i]), "bytes outside of tensor %d have changed", i);
        }
        ref_error e[3] = {{0}, {0}, {0}};
        for (size_t i = 0; i < x->count; i++) {
            float naive[3], was[3] = {old[0][i], old[1][i], old[2][i]}, g = t[GRADIENT].values[i];
            state s = step_in_double(&p, (state){(double)was[0], (double)was[1], (double)was[2]}, (double)g, number);
            step_in_float(&p, was, g, (float)number, naive);
            ref_error_add(&e[0], (double)x->values[i], (double)naive[0], s.x);
            ref_error_add(&e[1], (double)t[MEAN].values[i], (double)naive[1], s.m);
            ref_error_add(&e[2], (double)t[SQUARE].values[i], (double)naive[2], s.v);
            cr_assert_eq(t[PARAMETER].values[i], ref_round(t[PARAMETER].view.dtype, x->values[i]));
        }
        for (int i = 0; i < 3; i++) {
            cr_assert(ref_error_ok(&e[i]),
                      "%s: result %d of step %d, parameter %s, gradient %s: off by %g, naive by %g", c->config->name, i,
                      number, dtype_name(t[PARAMETER].view.dtype), dtype_name(t[GRADIENT].view.dtype), e[i].out,
                      e[i].naive);
        }
    }
    for (int i = 0; i < 3; i++) {
        free(old[i]);
    }
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&t[i]);
    }
}

#define USUAL .rate = 0.01f, .decay = 0.1f, .steps = 3

Test(adamw, accuracy) {
    static const device_config *const configs[] = {&config_real, &config_few_buffers, &config_few_groups};
    for (uint32_t n = 0; n < 3; n++) {
        context c;
        context_open(&c, configs[n]);
        for (uint32_t i = 0; i < 9; i++) {
            check(&c, (problem){USUAL, .rank = 2, .size = {7, i % 2 ? 64 : 61}, .parameter = dtypes[i % 3],
                                .gradient = dtypes[i / 3], .grad_scale = i % 2 ? 0.5f : 0,
                                .rate_scale = i % 3 ? 0.25f : 0, .host_step = i % 2});
        }
        check(&c, (problem){USUAL, .rank = 3, .size = {3, 5, 23}, .parameter = VKA_BF16, .gradient = VKA_F16,
                            .lie = {{"201", 1, 1}, {"102", 2, 1}, {.pad = 3}, {"021"}, {"210", 1}}});
        context_close(&c);
    }
}

/* Numbers, far and near: the corrections of the first step and of the ten thousandth. */
Test(adamw, numbers) {
    context c;
    context_open(&c, &config_real);
    check(&c, (problem){.rank = 1, .size = {61}, .steps = 3, .rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.95f});
    check(&c,
          (problem){.rank = 1, .size = {61}, .steps = 2, .first = 10000, .rate = 1, .beta2 = 0.99999f, .decay = 0.5f});
    check(&c,
          (problem){.rank = 1, .size = {61}, .steps = 2, .rate = 1, .beta1 = 0.001f, .beta2 = 0.001f, .epsilon = 1});
    check(&c, (problem){.rank = 1, .size = {1}, .steps = 1, .rate = 0});
    context_close(&c);
}

/* A factor of 0, and those that are no numbers: nothing is touched. */
Test(adamw, skips) {
    static const float factors[] = {0, -0.0f, INFINITY, NAN};
    context c;
    context_open(&c, &config_real);
    ref_rng rng = ref_rng_seed(test_seed());
    problem p = {USUAL, .rank = 1, .size = {37}, .parameter = VKA_F16, .grad_scale = 1};
    tensor t[TENSORS];
    make(&c, &p, t, &rng);
    t[STEP].values[0] = 1;
    for (uint32_t n = 0; n < 4; n++) {
        uint8_t *before[TENSORS];
        t[GRAD_SCALE].values[0] = factors[n];
        for (int i = 0; i < TENSORS; i++) {
            tensor_upload(&t[i]);
            before[i] = malloc(t[i].size);
            memcpy(before[i], t[i].image, t[i].size);
        }
        vka_adamw_desc d = describe(&p, t, NULL);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_adamw(c.recorder, &d));
        context_finish(&c);
        for (int i = 0; i < TENSORS; i++) {
            cr_assert(tensor_download(&t[i]));
            cr_expect(!memcmp(before[i], t[i].image, t[i].size), "a factor of %g changes tensor %d", (double)factors[n],
                      i);
            free(before[i]);
        }
    }
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&t[i]);
    }
    context_close(&c);
}

Test(adamw, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F32, 3, 8), one = vka_tensor_1d(NULL, VKA_I32, 1);
    vka_adamw_desc d = {.parameter = x, .gradient = x, .first_moment = x, .second_moment = x};
    EXPECT_FAILURE(vka_adamw_prepare(c.device, &d), VKA_INVALID, "vka_adamw.step");
    d.step.tensor = one;
    EXPECT_OK(vka_adamw_prepare(c.device, &d));
    d.step.tensor.shape[0] = 2;
    EXPECT_FAILURE(vka_adamw_prepare(c.device, &d), VKA_INVALID, "vka_adamw.step");
    d.step.tensor = one;
    d.parameter.dtype = VKA_F16;
    EXPECT_FAILURE(vka_adamw_prepare(c.device, &d), VKA_INVALID, "vka_adamw.master");
    d.master = x;
    EXPECT_OK(vka_adamw_prepare(c.device, &d));
    d.beta1 = 1;
    EXPECT_FAILURE(vka_adamw_prepare(c.device, &d), VKA_INVALID, "vka_adamw.beta1");
    context_close(&c);
}
