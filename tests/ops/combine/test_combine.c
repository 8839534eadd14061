/* Two tensors made into one.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <vkattn/elementwise.h>

#include "pair_case.h"

typedef struct parameters {
    vka_combine_kind kind;
    float scale; /* 0: 1 */
} parameters;

static vka_status record(vka_recorder *recorder, vka_tensor a, vka_tensor b, vka_tensor out, const void *user) {
    const parameters *p = user;
    return vka_combine(recorder, &(vka_combine_desc){.a = a, .b = b, .out = out, .kind = p->kind, .scale = p->scale});
}

static double reference(double a, double b, const void *user) {
    const parameters *p = user;
    double scale = p->scale != 0 ? (double)p->scale : 1;
    return p->kind == VKA_COMBINE_MUL ? scale * a * b : a + scale * b;
}

static float naive(float a, float b, const void *user) {
    const parameters *p = user;
    float scale = p->scale != 0 ? p->scale : 1;
    return p->kind == VKA_COMBINE_MUL ? scale * a * b : a + scale * b;
}

static const pair_op combine = {record, reference, naive};
static const parameters all[] = {{VKA_COMBINE_ADD, 0},
                                 {VKA_COMBINE_ADD, -1},
                                 {VKA_COMBINE_ADD, 0.3f},
                                 {VKA_COMBINE_MUL, 0},
                                 {VKA_COMBINE_MUL, -2.5f}};

Test(combine, accuracy) {
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pair_check_all(&combine, &all[i]);
    }
}

Test(combine, narrow) {
    pair_check_narrow(&combine, &all[0]);
}

/* NaN and infinities as IEEE says. */
Test(combine, nonfinite) {
    static const float values[] = {1, 0, INFINITY, -INFINITY, NAN, 0x1.fffffep127f};
    enum { COUNT = sizeof values / sizeof *values };
    context c;
    context_open(&c, &config_real);
    for (int kind = VKA_COMBINE_ADD; kind <= VKA_COMBINE_MUL; kind++) {
        tensor a = tensor_create(&c, VKA_F32, 2, (uint32_t[]){COUNT, 1}, (layout){0}),
               b = tensor_create(&c, VKA_F32, 1, (uint32_t[]){COUNT}, (layout){0}),
               out = tensor_create(&c, VKA_F32, 2, (uint32_t[]){COUNT, COUNT}, (layout){0});
        for (int i = 0; i < COUNT; i++) {
            a.values[i] = b.values[i] = values[i];
        }
        tensor_upload(&a);
        tensor_upload(&b);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(record(c.recorder, a.view, b.view, out.view, &(parameters){(vka_combine_kind)kind, 0}));
        context_finish(&c);
        cr_assert(tensor_download(&out));
        for (int i = 0; i < COUNT * COUNT; i++) {
            float want = naive(values[i / COUNT], values[i % COUNT], &(parameters){(vka_combine_kind)kind, 0});
            float got = out.values[i];
            cr_expect(isnan(want) ? isnan(got) : got == want, "kind %d of %g and %g is %g", kind,
                      (double)values[i / COUNT], (double)values[i % COUNT], (double)got);
        }
        tensor_destroy(&a);
        tensor_destroy(&b);
        tensor_destroy(&out);
    }
    context_close(&c);
}

Test(combine, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F32, 3, 8);
    vka_combine_desc d = {.a = x, .b = x, .out = x};
    EXPECT_FAILURE(vka_combine_prepare(c.device, &d), VKA_INVALID, "vka_combine.kind");
    d.kind = VKA_COMBINE_MUL;
    EXPECT_OK(vka_combine_prepare(c.device, &d));
    d.b = vka_tensor_2d(NULL, VKA_F32, 3, 4);
    EXPECT_FAILURE(vka_combine_prepare(c.device, &d), VKA_INVALID, "vka_combine.b");
    d.b = vka_tensor_3d(NULL, VKA_F32, 2, 3, 8);
    EXPECT_FAILURE(vka_combine_prepare(c.device, &d), VKA_INVALID, "vka_combine.b");
    context_close(&c);
}
