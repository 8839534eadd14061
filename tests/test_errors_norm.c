/* Bad normalisation descriptions: the right status, one line that names the field, and nothing recorded.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "norm_case.h"

typedef struct fixture {
    context c;
    norm_problem p;
    vka_layer_norm_desc good;
} fixture;

static fixture begin(void) {
    fixture f;
    context_open(&f.c, &config_real);
    f.p = norm_make(&f.c,
                    (norm_case){.rank = 3,
                                .shape = {4, 5, 24},
                                .weight = true,
                                .bias = true,
                                .residual = true,
                                .sum = true,
                                .mean = true,
                                .inv_std = true,
                                .layout = {"102", 0, 0}},
                    test_seed());
    f.p.c = &f.c;
    f.good = norm_desc(&f.p);
    EXPECT_OK(vka_layer_norm_prepare(f.c.device, &f.good));
    EXPECT_OK(vka_recorder_begin(f.c.recorder));
    return f;
}

static void end(fixture *f) {
    tensor *outputs[] = {&f->p.out, &f->p.sum, &f->p.mean, &f->p.inv_std};
    context_finish(&f->c);
    for (int t = 0; t < 4; t++) {
        cr_expect(tensor_download(outputs[t]));
        for (size_t i = 0; i < outputs[t]->count; i++) {
            cr_assert(isnan(outputs[t]->values[i]), "a refused call wrote output %d at %zu", t, i);
        }
    }
    f->p.c = &f->c;
    norm_run(&f->p, VKA_NORM_PATH_AUTO);
    norm_destroy(&f->p);
    context_close(&f->c);
}

static void refused(fixture *f, const vka_layer_norm_desc *d, const char *field) {
    char item[64];
    snprintf(item, sizeof item, field ? "vka_layer_norm.%s" : "vka_layer_norm", field);
    EXPECT_REFUSED(vka_layer_norm, &f->c, d, VKA_INVALID, item);
}

#define INVALID(field, change)                                                                                         \
    do {                                                                                                               \
        vka_layer_norm_desc d = f.good;                                                                                \
        change;                                                                                                        \
        refused(&f, &d, field);                                                                                        \
    } while (0)

/* What no table says. */
Test(errors_norm, tensors) {
    fixture f = begin();
    INVALID("x", d.x.shape[2] = 0);
    INVALID("weight", (d.weight.dtype = VKA_F16, d.bias.dtype = VKA_F16)); /* x is f32 */
    INVALID("weight", d.weight.shape[0] = 0);
    INVALID("weight", (d.weight.rank = 2, d.weight.shape[1] = 1));
    INVALID("bias", (d.weight = (vka_tensor){0}, d.bias.dtype = VKA_F16));
    INVALID("sum", d.residual = (vka_tensor){0});
    INVALID("mean", d.mean.rank = 1);
    INVALID("mean", d.mean.rank = 3);
    INVALID("out", d.out.stride[0] = d.out.stride[1]);
    end(&f);
}

/* bf16 with weights of f32 and biases that are not. */
Test(errors_norm, parameters) {
    context c;
    context_open(&c, &config_real);
    vka_layer_norm_desc d = {.x = vka_tensor_2d(NULL, VKA_BF16, 3, 8),
                             .out = vka_tensor_2d(NULL, VKA_BF16, 3, 8),
                             .weight = vka_tensor_1d(NULL, VKA_F32, 8),
                             .bias = vka_tensor_1d(NULL, VKA_F32, 8)};
    EXPECT_OK(vka_layer_norm_prepare(c.device, &d));
    d.bias.dtype = VKA_BF16;
    EXPECT_FAILURE(vka_layer_norm_prepare(c.device, &d), VKA_INVALID, "vka_layer_norm.bias");
    d.weight.dtype = VKA_BF16;
    EXPECT_OK(vka_layer_norm_prepare(c.device, &d));
    context_close(&c);
}

Test(errors_norm, columns) {
    fixture f = begin();
    vka_buffer *big = NULL;
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = 4 << 20}, &big));
    vka_tensor x = vka_tensor_2d(big, VKA_F32, 2, 65537), out = x;
    out.offset = 2 << 20;
    vka_layer_norm_desc wide = {.x = x, .out = out};
    refused(&f, &wide, "x");
    vka_buffer_destroy(&big);
    end(&f);
}
