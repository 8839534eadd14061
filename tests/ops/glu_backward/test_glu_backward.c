/* Gradients of gated linear units.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vkattn/elementwise.h>

#include "support/context.h"
#include "support/tensor.h"

enum { GATE, UP, D_OUT, D_GATE, D_UP, TENSORS };

typedef struct problem {
    vka_dtype type[TENSORS];
    uint32_t rank, size[VKA_MAX_RANK];
    layout lie[TENSORS];
    vka_activation activation;
    float alpha;
    int gate_in, up_in; /* 1 + the input in whose place a gradient is; 0: none; -1: it is absent */
} problem;

/* float64, or the formula in f32, which rounds. */
static void reference(const problem *p, float gate, float up, float d_out, double ref[2], float naive[2]) {
    bool swish = p->activation == VKA_ACTIVATION_SILU && p->alpha != 0;
    float s = 1 / (1 + expf(-p->alpha * gate));
    double alpha = (double)p->alpha,
           y = swish ? ref_swish((double)gate, alpha) : ref_activation(p->activation, (double)gate);
    double slope = swish ? ref_swish_slope((double)gate, alpha) : ref_activation_slope(p->activation, (double)gate);
    ref[0] = (double)d_out * (double)up * slope;
    ref[1] = (double)d_out * y;
    naive[0] =
        d_out * up * (swish ? s * (1 + p->alpha * gate * (1 - s)) : ref_naive_activation_slope(p->activation, gate));
    naive[1] = d_out * (swish ? gate * s : ref_naive_activation(p->activation, gate));
}

static void check(context *c, problem p) {
    if (context_leaves_out(c, 7)) {
        return;
    }
    ref_rng rng = ref_rng_seed(test_seed());
    tensor t[TENSORS];
    float *inputs[3];
    for (int i = 0; i < TENSORS; i++) {
        t[i] = tensor_create(c, p.type[i] ? p.type[i] : VKA_F32, p.rank, p.size, p.lie[i]);
        if (i < D_GATE) {
            tensor_fill_normal(&t[i], &rng, 0, 2);
            tensor_upload(&t[i]);
            inputs[i] = malloc((t[i].count + 1) * sizeof(float));
            memcpy(inputs[i], t[i].values, t[i].count * sizeof(float));
        }
    }
    tensor *out[2] = {p.gate_in > 0 ? &t[p.gate_in - 1] : &t[D_GATE], p.up_in > 0 ? &t[p.up_in - 1] : &t[D_UP]};
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_glu_backward(c->recorder, &(vka_glu_backward_desc){
                                                .gate = t[GATE].view,
                                                .up = t[UP].view,
                                                .d_out = t[D_OUT].view,
                                                .d_gate = p.gate_in < 0 ? (vka_tensor){0} : out[0]->view,
                                                .d_up = p.up_in < 0 ? (vka_tensor){0} : out[1]->view,
                                                .activation = p.activation,
                                                .alpha = p.alpha,
                                            }));
    context_finish(c);
    ref_error e[2] = {{0}, {0}};
    cr_assert(tensor_download(out[0]) && tensor_download(out[1]), "bytes outside of the results have changed");
    for (size_t i = 0; i < t[GATE].count; i++) {
        double ref[2];
        float naive[2];
        reference(&p, inputs[GATE][i], inputs[UP][i], inputs[D_OUT][i], ref, naive);
        for (int g = 0; g < 2; g++) {
            bool absent = (g ? p.up_in : p.gate_in) < 0;
            cr_assert(!absent || tensor_untouched(out[g], i));
            if (!absent) {
                ref_error_add(&e[g], (double)out[g]->values[i], (double)ref_round(out[g]->view.dtype, naive[g]),
                              ref[g]);
            }
        }
    }
    for (int g = 0; g < 2; g++) {
        cr_assert(ref_error_ok(&e[g]),
                  "%s: gradient %d of %s, activation %d, alpha %g, rank %u: off by %g, naive by %g", c->config->name, g,
                  dtype_name(out[g]->view.dtype), p.activation, (double)p.alpha, p.rank, e[g].out, e[g].naive);
    }
    for (int i = 0; i < TENSORS; i++) {
        free(i < D_GATE ? inputs[i] : NULL);
        tensor_destroy(&t[i]);
    }
}

static const problem shapes[] = {
    {.rank = 1, .size = {1}},
    {.rank = 2, .size = {7, 64}},
    {.rank = 2,
     .size = {9, 50},
     .lie = {{.pad = 25}, {.pad = 25, .shift = 50}, {.shift = 1}, {.pad = 1}, {.shift = 3}}},
    {.rank = 3, .size = {3, 5, 36}, .lie = {{"102"}, {"201"}, {0}, {"201"}, {"102"}}},
    {.rank = 4,
     .size = {2, 3, 5, 7},
     .lie = {{"0213", 3, 2}, {"3210", 1, 1}, {"1023", 0, 1}, {"3210", 1, 0}, {"0213", 1, 1}}},
};
#define SHAPES (sizeof shapes / sizeof *shapes)

Test(glu_backward, accuracy) {
    static const device_config *const configs[] = {&config_real, &config_gpu};
    for (uint32_t n = 0; n < 2; n++) {
        context c;
        context_open(&c, configs[n]);
        for (uint32_t i = 0; i < 3 * SHAPES; i++) {
            problem p = shapes[i % SHAPES];
            for (uint32_t k = 0; k < TENSORS; k++) {
                p.type[k] = dtypes[(i + k * (i / 3 + 1)) % DTYPES];
            }
            p.activation = (vka_activation)(i % (VKA_ACTIVATION_SIGMOID + 1));
            p.alpha = p.activation == VKA_ACTIVATION_SILU ? 1.702f : 0;
            check(&c, p);
        }
        context_close(&c);
    }
}

Test(glu_backward, in_place_and_absent) {
    static const int places[][2] = {
        {1 + GATE, 1 + UP}, {1 + UP, 1 + GATE}, {1 + D_OUT, 0}, {0, 1 + D_OUT}, {-1, 0}, {0, -1}, {-1, 1 + D_OUT}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof places / sizeof *places; i++) {
        vka_dtype type = dtypes[i % DTYPES];
        check(&c, (problem){.rank = 2,
                            .size = {5, 39},
                            .type = {type, type, type, type, type},
                            .activation = VKA_ACTIVATION_GELU,
                            .gate_in = places[i][0],
                            .up_in = places[i][1]});
    }
    context_close(&c);
}

Test(glu_backward, narrow) {
    static const device_config *const small[] = {&config_short, &config_few_groups, &config_few_buffers};
    for (uint32_t n = 0; n < 3; n++) {
        context c;
        context_open(&c, small[n]);
        check(&c,
              (problem){.rank = 3, .size = {7, 90, 129}, .lie = {{"102", 1, 1}}, .activation = VKA_ACTIVATION_SILU});
        context_close(&c);
    }
}

/* Both halves of one tensor, and their gradients those of another. */
Test(glu_backward, halves) {
    enum { ROWS = 7, COLS = 24 };
    context c;
    context_open(&c, &config_real);
    ref_rng rng = ref_rng_seed(test_seed());
    tensor both = tensor_create(&c, VKA_F16, 2, (uint32_t[]){ROWS, 2 * COLS}, (layout){0});
    tensor d_both = tensor_create(&c, VKA_F16, 2, (uint32_t[]){ROWS, 2 * COLS}, (layout){0});
    tensor d_out = tensor_create(&c, VKA_F16, 2, (uint32_t[]){ROWS, COLS}, (layout){0});
    tensor_fill_normal(&both, &rng, 0, 2);
    tensor_fill_normal(&d_out, &rng, 0, 2);
    tensor_upload(&both);
    tensor_upload(&d_out);
    vka_tensor half[2][2] = {{both.view, both.view}, {d_both.view, d_both.view}};
    for (int i = 0; i < 4; i++) {
        vka_tensor *h = &half[i / 2][i % 2];
        h->shape[1] = COLS;
        h->stride[1] = 1;
        h->stride[0] = 2 * COLS;
        h->offset += i % 2 * COLS * 2;
    }
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_glu_backward(c.recorder, &(vka_glu_backward_desc){.gate = half[0][0],
                                                                    .up = half[0][1],
                                                                    .d_out = d_out.view,
                                                                    .d_gate = half[1][0],
                                                                    .d_up = half[1][1],
                                                                    .activation = VKA_ACTIVATION_SILU}));
    context_finish(&c);
    cr_assert(tensor_download(&d_both));
    ref_error e = {0};
    for (uint32_t i = 0; i < ROWS * COLS; i++) {
        uint32_t at = i / COLS * 2 * COLS + i % COLS;
        double ref[2];
        float naive[2];
        reference(&(problem){.activation = VKA_ACTIVATION_SILU}, both.values[at], both.values[at + COLS],
                  d_out.values[i], ref, naive);
        for (uint32_t g = 0; g < 2; g++) {
            ref_error_add(&e, (double)d_both.values[at + g * COLS], (double)ref_round(VKA_F16, naive[g]), ref[g]);
        }
    }
    cr_assert(ref_error_ok(&e), "off by %g, naive by %g", e.out, e.naive);
    tensor_destroy(&both);
    tensor_destroy(&d_both);
    tensor_destroy(&d_out);
    context_close(&c);
}

Test(glu_backward, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F32, 3, 8);
    vka_glu_backward_desc d = {.gate = x, .up = x, .d_out = x, .activation = VKA_ACTIVATION_GELU};
    EXPECT_FAILURE(vka_glu_backward_prepare(c.device, &d), VKA_INVALID, "vka_glu_backward.d_gate");
    d.d_up = x;
    EXPECT_OK(vka_glu_backward_prepare(c.device, &d));
    d.alpha = 2;
    EXPECT_FAILURE(vka_glu_backward_prepare(c.device, &d), VKA_INVALID, "vka_glu_backward.alpha");
    d.alpha = 0;
    d.up = vka_tensor_2d(NULL, VKA_F32, 1, 8);
    EXPECT_FAILURE(vka_glu_backward_prepare(c.device, &d), VKA_INVALID, "vka_glu_backward.up");
    context_close(&c);
}
