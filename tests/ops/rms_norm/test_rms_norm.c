/* RMS norm: what holds for every norm, and what it has alone.
 * SPDX-License-Identifier: MIT */
#include "norm_suite.h"

static void describe(void *desc, const vka_layer_norm_desc *from, bool zero_centred) {
    *(vka_rms_norm_desc *)desc = (vka_rms_norm_desc){.x = from->x,
                                                     .out = from->out,
                                                     .weight = from->weight,
                                                     .residual = from->residual,
                                                     .sum = from->sum,
                                                     .inv_rms = from->inv_std,
                                                     .epsilon = from->epsilon,
                                                     .path = from->path,
                                                     .zero_centred = zero_centred};
}

static const norm_op rms_norm = {.op = &vka__op_rms_norm, .rms = true, .describe = describe};

NORM_TESTS(rms_norm, &rms_norm)
NORM_EXTREME_TESTS(rms_norm, &rms_norm)
NORM_PLAN_TESTS(rms_norm, &rms_norm)

/* Weights as small as they are stored, also where 1 + weight needs more digits than their type has. */
Test(rms_norm, zero_centred) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 2 * DTYPES; n++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        norm_case shape = {.op = &rms_norm,
                           .dtype = dtypes[n % DTYPES],
                           .affine = n < DTYPES ? VKA_F32 : dtypes[n % DTYPES],
                           .rank = 2,
                           .shape = {19, 129},
                           .weight = true,
                           .zero_centred = true,
                           .inv_std = true};
        norm_problem p = norm_make(&c, shape, test_seed());
        for (size_t i = 0; i < p.weight.count; i++) {
            p.weight.values[i] = (p.weight.values[i] - 1) * (i % 2 ? 1 : 0x1p-8f);
        }
        tensor_round(&p.weight);
        tensor_upload(&p.weight);
        norm_run_paths(&p, n + n / DTYPES);
        norm_destroy(&p);
    }
    context_close(&c);
}

/* Squares that are 0 in f32, beside the least epsilon and the default: the accuracy rule for each value by its size. */
Test(rms_norm, tiny_values) {
    enum { ROWS = 3, COLS = 301 };
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 2 * DTYPES; n++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        vka_dtype dtype = dtypes[n % DTYPES];
        norm_case shape = {.op = &rms_norm, .dtype = dtype, .rank = 2, .shape = {ROWS, COLS}, .inv_std = true};
        shape.epsilon = n < DTYPES ? 0 : 1e-30f;
        norm_problem p = norm_make(&c, shape, test_seed());
        for (size_t i = 0; i < p.x.count; i++) { /* of f16 no subnormal ones, which drivers may drop */
            float x = p.x_values[i] < 0 ? p.x_values[i] - 1 : p.x_values[i] + 1;
            p.x_values[i] = ref_round(dtype, x * (dtype == VKA_F16 ? 0x1p-13f : 0x1p-90f));
        }
        norm_paths paths = norm_paths_of(&p, n + n / DTYPES);
        for (int path = paths.first; path <= (int)paths.last; path++) {
            norm_execute(&p, (vka_norm_path)path);
            cr_assert(tensor_download(&p.out) && tensor_download(&p.inv_std));
            ref_error e = {0};
            for (uint32_t row = 0; row < ROWS; row++) {
                double ref[COLS], mean, inv_rms;
                float naive[COLS], naive_mean, naive_inv_rms;
                ref_norm_row(&p.ref, dtype, row, ref, NULL, &mean, &inv_rms);
                ref_norm_naive_row(&p.ref, dtype, row, naive, NULL, &naive_mean, &naive_inv_rms);
                for (uint32_t i = 0; i < COLS; i++) {
                    ref_error_add(&e, p.out.values[row * COLS + i] / ref[i], naive[i] / ref[i], 1);
                }
                ref_error_add(&e, p.inv_std.values[row] / inv_rms, naive_inv_rms / inv_rms, 1);
            }
            cr_assert(ref_error_ok(&e), "path %d, %s, epsilon %g: off by %g of themselves, naive by %g", path,
                      dtype_name(dtype), (double)p.n.epsilon, e.out, e.naive);
        }
        norm_destroy(&p);
    }
    context_close(&c);
}

/* What no table says. */
Test(rms_norm, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_BF16, 3, 8);
    vka_rms_norm_desc d = {.x = x, .out = x, .zero_centred = true};
    EXPECT_FAILURE(vka_rms_norm_prepare(c.device, &d), VKA_INVALID, "vka_rms_norm.zero_centred");
    d.weight = vka_tensor_1d(NULL, VKA_F32, 8);
    EXPECT_OK(vka_rms_norm_prepare(c.device, &d));
    d.sum = x;
    EXPECT_FAILURE(vka_rms_norm_prepare(c.device, &d), VKA_INVALID, "vka_rms_norm.sum");
    d.residual = x;
    EXPECT_OK(vka_rms_norm_prepare(c.device, &d));
    d.weight.dtype = VKA_F16;
    EXPECT_FAILURE(vka_rms_norm_prepare(c.device, &d), VKA_INVALID, "vka_rms_norm.weight");
    context_close(&c);
}
