/* A norm against float64, by the accuracy rule alone.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "norm_suite.h"

static const uint32_t widths[] = {1, 2, 3, 7, 8, 31, 64, 127, 768, 1024, 4095, 5000, 65536};
#define WIDTHS (sizeof widths / sizeof *widths)

/* One case in so many where drivers compile for seconds: the norms share a kernel. */
static uint32_t share_of(const norm_op *op) {
    return op->rms ? 13 : 7;
}

/* Far from 0, E[y^2] - E[y]^2 would have no correct digit left. */
void norm_test_widths(const norm_op *op, vka_dtype dtype, float center) {
    static const uint32_t rows[] = {1, 3, 17, 1000};
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < WIDTHS; i++) {
        size_t w = (i + 2 * (size_t)dtype) % WIDTHS;
        if (context_leaves_out(&c, share_of(op))) {
            continue; /* the same ones with and without an offset, which share their pipelines */
        }
        for (size_t r = 0; r < 4; r++) {
            if ((uint64_t)rows[r] * widths[w] > 1100000 || (rows[r] == 1000 && w % 3 != 0)) {
                continue;
            }
            norm_run_case(&c,
                          (norm_case){.op = op,
                                      .dtype = dtype,
                                      .rank = 2,
                                      .shape = {rows[r], widths[w]},
                                      .weight = true,
                                      .bias = true,
                                      .mean = true,
                                      .inv_std = true,
                                      .center = center},
                          (uint32_t)(w + dtype));
        }
    }
    context_close(&c);
}

/* So many rows that a workgroup does several, the last one fewer, and the last vectors of a row are not all there. */
void norm_test_many_rows(const norm_op *op) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t sum = 0; sum < 2; sum++) {
        norm_case n = {.op = op, .rank = 2, .shape = {517 + 2 * sum, 136}, .weight = true, .inv_std = true};
        n.bias = n.mean = !op->rms;
        n.residual = n.sum = sum;
        norm_run_case(&c, n, sum);
    }
    context_close(&c);
}

/* Every combination of optional tensors; odd and even widths take scalar and vector loads. */
void norm_test_optional(const norm_op *op, vka_dtype dtype, vka_dtype affine) {
    context c;
    context_open(&c, &config_real);
    /* Each is a pipeline: software drivers take a share of them, another one for each type. */
    uint32_t step = context_is_software(&c) ? 5 : 1;
    for (uint32_t bits = (uint32_t)(dtype + 3 * affine) % step; bits < 64; bits += step) {
        norm_case n = {.op = op,
                       .dtype = dtype,
                       .affine = affine,
                       .rank = 2,
                       .shape = {5, bits % 2 ? 37 : 64},
                       .weight = bits & 1,
                       .zero_centred = bits & 2,
                       .bias = bits & 2,
                       .mean = bits & 4,
                       .inv_std = bits & 8,
                       .residual = bits & 16,
                       .sum = bits & 32};
        if ((n.residual || !n.sum) && !context_leaves_out(&c, share_of(op))) {
            norm_run_case(&c, n, bits / step + (uint32_t)(dtype + affine));
        }
    }
    context_close(&c);
}

void norm_test_layouts(const norm_op *op, vka_dtype dtype) {
    static const struct {
        uint32_t rank, shape[4];
        const char *order;
    } list[] = {
        {1, {41}, NULL},
        {1, {1}, NULL},
        {2, {7, 33}, "10"},
        {2, {7, 32}, "01"},
        {3, {3, 5, 64}, "102"},
        {3, {3, 5, 21}, "201"},
        {3, {1, 5, 12}, "210"},
        {4, {2, 3, 4, 20}, "0213"},
        {4, {2, 3, 4, 19}, "0312"},
        {4, {2, 1, 4, 19}, "3210"},
        {4, {2, 3, 1, 1}, "1302"},
    };
    context c;
    context_open(&c, &config_real);
    bool slow = context_compiles_slowly(&c); /* what stands beside a pad decides the pipeline */
    for (size_t n = 0; n < sizeof list / sizeof *list; n++) {
        size_t i = (n + 4 * (size_t)dtype) % (sizeof list / sizeof *list);
        for (uint32_t pad = slow ? (uint32_t)dtype % 3 : 0; pad < 3; pad += slow ? 3 : 1) {
            if (context_leaves_out(&c, share_of(op))) {
                continue;
            }
            norm_case p = {.op = op,
                           .dtype = dtype,
                           .rank = list[i].rank,
                           .weight = true,
                           .residual = pad > 0,
                           .sum = pad > 1,
                           .mean = true,
                           .inv_std = pad < 2,
                           .layout = {list[i].order, pad, pad}};
            memcpy(p.shape, list[i].shape, sizeof p.shape);
            norm_run_case(&c, p, (uint32_t)(i + dtype));
        }
    }
    context_close(&c);
}

void norm_test_in_place(const norm_op *op) {
    context c;
    context_open(&c, &config_real);
    bool slow = context_compiles_slowly(&c);
    uint32_t several = slow ? 1001 : 5001; /* vectors of an invocation: two or five, each compiled as a copy */
    for (int alias = ALIAS_NONE; alias < ALIAS_COUNT; alias++) {
        for (uint32_t n = slow ? (uint32_t)alias % DTYPES : 0; n < 2 * DTYPES; n += slow ? DTYPES : 1) {
            bool wide = n >= DTYPES;
            if (context_leaves_out(&c, 7)) {
                continue;
            }
            norm_run_case(&c,
                          (norm_case){.op = op,
                                      .dtype = dtypes[n % DTYPES],
                                      .rank = 2,
                                      .shape = {wide ? 2 : 19, wide ? several : 63},
                                      .weight = true,
                                      .residual = alias != ALIAS_OUT_X,
                                      .sum = alias >= ALIAS_OUT_SUM,
                                      .alias = (norm_alias)alias,
                                      .layout = {.pad = n}},
                          (uint32_t)alias + n / DTYPES);
        }
    }
    context_close(&c);
}

void norm_test_epsilon(const norm_op *op) {
    static const float epsilons[] = {1e-12f, 1e-5f, 1e-3f, 1, 100};
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof epsilons / sizeof *epsilons; i++) {
        norm_run_case(&c, (norm_case){.op = op, .rank = 2, .shape = {9, 50}, .epsilon = epsilons[i], .inv_std = true},
                      context_compiles_slowly(&c) ? 0 : (uint32_t)i);
    }
    context_close(&c);
}

/* A constant row has variance 0: the result is the bias, exactly as the reference has it. */
void norm_test_constant_rows(const norm_op *op) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < DTYPES; n++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        norm_problem p = norm_make(
            &c,
            (norm_case){
                .op = op, .dtype = dtypes[n], .rank = 2, .shape = {3, 300}, .weight = true, .bias = true, .mean = true},
            test_seed());
        for (size_t i = 0; i < p.x.count; i++) {
            p.x_values[i] = i / 300 == 0 ? 0 : i / 300 == 1 ? 1024 : -0.5f;
        }
        norm_run_paths(&p, (uint32_t)n);
        norm_destroy(&p);
    }
    context_close(&c);
}

/* NaN and infinity spoil their own row and no other. */
void norm_test_nan_stays_in_its_row(const norm_op *op) {
    context c;
    context_open(&c, &config_real);
    for (int n = 0; n < DTYPES; n++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        norm_problem p = norm_make(
            &c, (norm_case){.op = op, .dtype = dtypes[n], .rank = 2, .shape = {40, 51}, .mean = true}, test_seed());
        p.x_values[7 * 51 + 3] = NAN;
        norm_run_paths(&p, (uint32_t)n + 1);
        norm_destroy(&p);
    }
    context_close(&c);
}

void norm_test_no_rows(const norm_op *op) {
    context c;
    context_open(&c, &config_real);
    norm_problem p = norm_make(&c, (norm_case){.op = op, .rank = 3, .shape = {2, 3, 16}}, test_seed());
    vka_layer_norm_desc desc = norm_desc(&p);
    memset(desc.x.stride, 0, sizeof desc.x.stride);
    memset(desc.out.stride, 0, sizeof desc.out.stride);
    desc.x.shape[0] = desc.out.shape[0] = 0;
    EXPECT_OK(norm_prepare(&p, &desc));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(norm_record(&p, &desc));
    context_finish(&c);
    cr_assert(tensor_download(&p.out));
    for (size_t i = 0; i < p.out.count; i++) {
        cr_assert(isnan(p.out.values[i]), "out was written");
    }
    norm_destroy(&p);
    context_close(&c);
}

void norm_test_same_bits(const norm_op *op) {
    context c;
    context_open(&c, &config_real);
    norm_problem p = norm_make(&c, (norm_case){.op = op, .rank = 2, .shape = {31, 1000}, .weight = true}, test_seed());
    for (int path = VKA_NORM_PATH_LANE; path <= VKA_NORM_PATH_GROUP; path++) {
        norm_run(&p, (vka_norm_path)path);
        uint8_t *first = malloc(p.out.size);
        memcpy(first, p.out.image, p.out.size);
        vka_layer_norm_desc desc = norm_desc(&p);
        desc.path = (vka_norm_path)path;
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(norm_record(&p, &desc));
        for (int i = 0; i < 50; i++) {
            tensor_poison(&p.out);
            context_finish(&c);
            cr_assert(tensor_download(&p.out));
            cr_assert(!memcmp(first, p.out.image, p.out.size), "path %d differs in repetition %d", path, i);
        }
        free(first);
    }
    norm_destroy(&p);
    context_close(&c);
}
