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

static void bad_tensor(fixture *fixture_, size_t where, const char *field) {
    fixture f = *fixture_;
#define T ((vka_tensor *)(void *)((char *)&d + where))
    INVALID(field, T->dtype = VKA_DTYPE_INVALID);
    INVALID(field, T->dtype = (vka_dtype)77);
    INVALID(field, T->rank = 0);
    INVALID(field, T->rank = 5);
    INVALID(field, T->rank = UINT32_MAX);
    INVALID(field, T->offset += 1);
    INVALID(field, T->offset += 2);
    INVALID(field, T->offset = vka_buffer_size(T->buffer));
    INVALID(field, T->offset += 68);
    INVALID(field, T->offset = UINT64_MAX - 3);
    INVALID(field, T->stride[0] = UINT64_MAX);
    INVALID(field, T->stride[0] = 1 << 20);
#undef T
}

/* A tensor of x's shape that is not x. */
static void bad_like_x(fixture *fixture_, size_t where, const char *field) {
    fixture f = *fixture_;
    bad_tensor(&f, where, field);
#define T ((vka_tensor *)(void *)((char *)&d + where))
    INVALID(field, T->dtype = VKA_F16);
    INVALID(field, T->rank = 2);
    INVALID(field, T->rank = 4);
    INVALID(field, T->shape[0] -= 1);
    INVALID(field, T->shape[1] -= 1);
    INVALID(field, T->shape[2] -= 1);
    INVALID(field, T->shape[2] = 0);
    INVALID(field, T->stride[0] = 0);
#undef T
}

Test(errors_norm, x) {
    fixture f = begin();
    INVALID("x", d.x = (vka_tensor){0});
    INVALID("x", d.x = (vka_tensor){0});
    INVALID("x", d.x.shape[2] = 0);
    INVALID("x", d.x.stride[0] = 0);
    bad_tensor(&f, offsetof(vka_layer_norm_desc, x), "x");
    end(&f);
}

Test(errors_norm, out) {
    fixture f = begin();
    INVALID("out", d.out = (vka_tensor){0});
    bad_like_x(&f, offsetof(vka_layer_norm_desc, out), "out");
    INVALID("out", d.out.stride[0] = d.out.stride[2]);
    INVALID("out", d.out.stride[0] = d.out.stride[1]);
    /* The very same view is allowed, a shifted one is not. */
    INVALID("out", (d.out = d.x, d.out.shape[0] = 4, d.out.offset = d.x.offset - 32));
    INVALID("out", (d.weight.buffer = d.out.buffer, d.weight.offset = d.out.offset));
    end(&f);
}

Test(errors_norm, weight) {
    fixture f = begin();
    bad_tensor(&f, offsetof(vka_layer_norm_desc, weight), "weight");
    INVALID("weight", (d.weight.dtype = VKA_F16, d.bias.dtype = VKA_F16)); /* x is f32 */
    INVALID("weight", d.weight.shape[0] = 23);
    INVALID("weight", d.weight.shape[0] = 0);
    INVALID("weight", (d.weight.rank = 2, d.weight.shape[1] = 1));
    end(&f);
}

Test(errors_norm, bias) {
    fixture f = begin();
    bad_tensor(&f, offsetof(vka_layer_norm_desc, bias), "bias");
    INVALID("bias", d.bias.dtype = VKA_F16);
    INVALID("bias", d.bias.shape[0] = 23);
    INVALID("bias", (d.weight = (vka_tensor){0}, d.bias.dtype = VKA_F16));
    end(&f);
}

Test(errors_norm, residual) {
    fixture f = begin();
    bad_like_x(&f, offsetof(vka_layer_norm_desc, residual), "residual");
    end(&f);
}

Test(errors_norm, sum) {
    fixture f = begin();
    bad_like_x(&f, offsetof(vka_layer_norm_desc, sum), "sum");
    INVALID("sum", d.residual = (vka_tensor){0});
    INVALID("sum", d.sum.stride[0] = d.sum.stride[2]);
    INVALID("sum", (d.sum = d.x, d.sum.offset -= 32));
    end(&f);
}

Test(errors_norm, statistics) {
    fixture f = begin();
    bad_tensor(&f, offsetof(vka_layer_norm_desc, mean), "mean");
    bad_tensor(&f, offsetof(vka_layer_norm_desc, inv_std), "inv_std");
    INVALID("mean", d.mean.dtype = VKA_F16);
    INVALID("mean", d.mean.rank = 1);
    INVALID("mean", d.mean.rank = 3);
    INVALID("mean", d.mean.shape[0] = 3);
    INVALID("mean", d.mean.shape[1] = 4);
    INVALID("mean", d.mean.stride[0] = d.mean.stride[1]);
    INVALID("inv_std", d.inv_std.dtype = VKA_F16);
    INVALID("inv_std", d.inv_std.shape[0] = 5);
    INVALID(NULL, d.inv_std = d.mean); /* whichever of them is named */
    INVALID("mean", (d.mean.buffer = d.x.buffer, d.mean.offset = d.x.offset));
    end(&f);
}

Test(errors_norm, numbers) {
    fixture f = begin();
    INVALID("epsilon", d.epsilon = -1e-5f);
    INVALID("epsilon", d.epsilon = NAN);
    INVALID("epsilon", d.epsilon = INFINITY);
    INVALID("path", d.path = (vka_norm_path)3);
    INVALID("path", d.path = (vka_norm_path)-1);
    end(&f);
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

Test(errors_norm, arguments) {
    fixture f = begin();
    uint64_t bytes = 1;
    size_t length = 0;
    char text[64];
    EXPECT_FAILURE(vka_layer_norm(f.c.recorder, NULL), VKA_INVALID, "vka_layer_norm");
    EXPECT_FAILURE(vka_layer_norm_prepare(f.c.device, NULL), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_layer_norm_workspace(f.c.device, NULL, &bytes), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_layer_norm_workspace(f.c.device, &f.good, NULL), VKA_INVALID, ".");
    EXPECT_FAILURE(vka_layer_norm_explain(f.c.device, NULL, text, 64, &length), VKA_INVALID, ".");
    cr_expect_eq(vka_layer_norm(NULL, &f.good), VKA_INVALID);
    cr_expect_eq(vka_layer_norm_prepare(NULL, &f.good), VKA_INVALID);
    EXPECT_OK(vka_layer_norm_workspace(f.c.device, &f.good, &bytes));
    cr_expect_eq(bytes, 0);
    EXPECT_OK(vka_layer_norm_explain(f.c.device, &f.good, text, sizeof text, &length));
    cr_expect(length > 0 && strlen(text) < sizeof text);
    end(&f);
}
