/* Gradients of activations.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <vkattn/elementwise.h>

#include "pair_case.h"

typedef struct parameters {
    vka_activation activation;
    float scale, offset; /* scale 0: 1 */
} parameters;

static vka_status record(vka_recorder *recorder, vka_tensor x, vka_tensor d_out, vka_tensor d_x, const void *user) {
    const parameters *p = user;
    return vka_map_backward(
        recorder,
        &(vka_map_backward_desc){
            .x = x, .d_out = d_out, .d_x = d_x, .activation = p->activation, .scale = p->scale, .offset = p->offset});
}

static double reference(double x, double d_out, const void *user) {
    const parameters *p = user;
    double scale = p->scale != 0 ? (double)p->scale : 1;
    return d_out * scale * ref_activation_slope(p->activation, x * scale + (double)p->offset);
}

static float naive(float x, float d_out, const void *user) {
    const parameters *p = user;
    float scale = p->scale != 0 ? p->scale : 1;
    return d_out * scale * ref_naive_activation_slope(p->activation, x * scale + p->offset);
}

static const pair_op op = {record, reference, naive, .same_shapes = true};

Test(map_backward, accuracy) {
    pair_check_all(&op, &(parameters){VKA_ACTIVATION_GELU, -1.25f, 0.375f});
}

Test(map_backward, activations) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n <= 2 * VKA_ACTIVATION_SIGMOID + 1; n++) {
        parameters p = {(vka_activation)(n / 2), n % 2 ? 2.5f : 0, n % 2 ? -0.5f : 0};
        pair_check(&c, &op, &(pair_case){.a_type = dtypes[n % DTYPES], .rank = 2, .size = {9, 119}}, &p);
    }
    context_close(&c);
}

Test(map_backward, narrow) {
    pair_check_narrow(&op, &(parameters){VKA_ACTIVATION_SILU, 0, 0});
}

/* Where functions have limits, and next to where f32 ends: slopes of numbers that no random draw hits. */
Test(map_backward, far_away) {
    static const float places[] = {0,   -0.0f, 1e-40f, -1e-30f, 5,     -5,     9.5f,     -9.5f,     14,
                                   -14, 40,    -40,    100,     -100,  1e10f,  -1e10f,   3e38f,     -3e38f,
                                   88,  -88,   20.5f,  -20.5f,  1e-3f, -1e-3f, INFINITY, -INFINITY, NAN};
    enum { PLACES = sizeof places / sizeof *places };
    context c;
    context_open(&c, &config_real);
    tensor x = tensor_create(&c, VKA_F32, 1, (uint32_t[]){PLACES}, (layout){0}),
           d_out = tensor_create(&c, VKA_F32, 1, (uint32_t[]){PLACES}, (layout){0}),
           d_x = tensor_create(&c, VKA_F32, 1, (uint32_t[]){PLACES}, (layout){0});
    for (uint32_t i = 0; i < PLACES; i++) {
        x.values[i] = places[i];
        d_out.values[i] = 1;
    }
    tensor_upload(&x);
    tensor_upload(&d_out);
    for (int a = 0; a <= VKA_ACTIVATION_SIGMOID; a++) {
        parameters p = {(vka_activation)a, 0, 0};
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(record(c.recorder, x.view, d_out.view, d_x.view, &p));
        context_finish(&c);
        cr_assert(tensor_download(&d_x));
        for (uint32_t i = 0; i < PLACES; i++) {
            double want = reference((double)places[i], 1, &p), have = (double)d_x.values[i];
            cr_expect(isnan(places[i]) && a ? isnan(have) : fabs(have - want) <= 1e-6,
                      "activation %d at %g: %g, not %g", a, (double)places[i], have, want);
        }
    }
    tensor_destroy(&x);
    tensor_destroy(&d_out);
    tensor_destroy(&d_x);
    context_close(&c);
}

Test(map_backward, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F32, 3, 8);
    vka_map_backward_desc d = {.x = x, .d_out = x, .d_x = x, .activation = VKA_ACTIVATION_GELU};
    EXPECT_OK(vka_map_backward_prepare(c.device, &d));
    d.x = vka_tensor_2d(NULL, VKA_F32, 1, 8);
    EXPECT_FAILURE(vka_map_backward_prepare(c.device, &d), VKA_INVALID, "vka_map_backward.d_out");
    d.x = vka_tensor_2d(NULL, VKA_Q8_0, 3, 32);
    EXPECT_FAILURE(vka_map_backward_prepare(c.device, &d), VKA_INVALID, "vka_map_backward.x");
    d.x = x;
    d.activation = (vka_activation)7;
    EXPECT_FAILURE(vka_map_backward_prepare(c.device, &d), VKA_INVALID, "vka_map_backward.activation");
    context_close(&c);
}
