/* Gated linear units.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <vkattn/elementwise.h>

#include "pair_case.h"

typedef struct parameters {
    vka_activation activation;
    float alpha; /* 0: 1 */
} parameters;

static vka_status record(vka_recorder *recorder, vka_tensor gate, vka_tensor up, vka_tensor out, const void *user) {
    const parameters *p = user;
    return vka_glu(recorder,
                   &(vka_glu_desc){.gate = gate, .up = up, .out = out, .activation = p->activation, .alpha = p->alpha});
}

static double reference(double gate, double up, const void *user) {
    const parameters *p = user;
    return up * (p->alpha != 0 ? ref_swish(gate, (double)p->alpha) : ref_activation(p->activation, gate));
}

static float naive(float gate, float up, const void *user) {
    const parameters *p = user;
    float y = p->alpha != 0 ? gate / (1 + expf(-p->alpha * gate)) : ref_naive_activation(p->activation, gate);
    return y * up;
}

static const pair_op glu = {record, reference, naive};

Test(glu, accuracy) {
    pair_check_all(&glu, &(parameters){VKA_ACTIVATION_SILU, 1.702f});
}

Test(glu, activations) {
    static const parameters alphas[] = {{VKA_ACTIVATION_SILU, 0}, {VKA_ACTIVATION_SILU, -0.5f}};
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n <= VKA_ACTIVATION_SIGMOID + 2; n++) {
        parameters p =
            n > VKA_ACTIVATION_SIGMOID ? alphas[n - VKA_ACTIVATION_SIGMOID - 1] : (parameters){(vka_activation)n, 0};
        pair_check(&c, &glu, &(pair_case){.a_type = dtypes[n % DTYPES], .rank = 2, .size = {9, 119}}, &p);
    }
    context_close(&c);
}

Test(glu, narrow) {
    pair_check_narrow(&glu, &(parameters){VKA_ACTIVATION_SILU, 0});
}

/* Both in one tensor, as halves of its rows and in turns; the result in place of one. */
Test(glu, parts_of_a_tensor) {
    enum { ROWS = 7, COLS = 24 };
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < 8; n++) {
        bool turns = n % 2, in_place = n / 2 % 2;
        vka_dtype type = n / 4 ? VKA_F16 : VKA_F32;
        ref_rng rng = ref_rng_seed(test_seed());
        tensor both = tensor_create(&c, type, 2, (uint32_t[]){ROWS, 2 * COLS}, (layout){0}),
               out = tensor_create(&c, type, 2, (uint32_t[]){ROWS, COLS}, (layout){0});
        tensor_fill_normal(&both, &rng, 0, 2);
        tensor_upload(&both);
        float before[ROWS * 2 * COLS];
        memcpy(before, both.values, sizeof before);
        vka_tensor gate = both.view;
        gate.shape[1] = COLS;
        gate.stride[1] = turns ? 2 : 1;
        vka_tensor up = gate;
        up.offset += (turns ? 1 : COLS) * vka_dtype_size(type);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(record(c.recorder, gate, up, in_place ? up : out.view, &(parameters){VKA_ACTIVATION_SILU, 0}));
        context_finish(&c);
        cr_assert(tensor_download(&both) && tensor_download(&out));
        ref_error e = {0};
        for (uint32_t i = 0; i < ROWS * COLS; i++) {
            uint32_t row = i / COLS * 2 * COLS, col = i % COLS;
            uint32_t g = row + (turns ? 2 * col : col), u = row + (turns ? 2 * col + 1 : COLS + col);
            double ref = ref_activation(VKA_ACTIVATION_SILU, (double)before[g]) * (double)before[u];
            float f32 = ref_naive_activation(VKA_ACTIVATION_SILU, before[g]) * before[u];
            ref_error_add(&e, (double)(in_place ? both.values[u] : out.values[i]), (double)ref_round(type, f32), ref);
            cr_assert_eq(both.values[g], before[g]);
        }
        cr_assert(ref_error_ok(&e), "turns %d, in place %d: off by %g, naive by %g", turns, in_place, e.out, e.naive);
        tensor_destroy(&both);
        tensor_destroy(&out);
    }
    context_close(&c);
}

Test(glu, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F32, 3, 8);
    vka_glu_desc d = {.gate = x, .up = x, .out = x, .activation = VKA_ACTIVATION_GELU, .alpha = 2};
    EXPECT_FAILURE(vka_glu_prepare(c.device, &d), VKA_INVALID, "vka_glu.alpha");
    d.alpha = 1;
    EXPECT_OK(vka_glu_prepare(c.device, &d));
    d.up = vka_tensor_2d(NULL, VKA_F32, 3, 4);
    EXPECT_FAILURE(vka_glu_prepare(c.device, &d), VKA_INVALID, "vka_glu.up");
    context_close(&c);
}
