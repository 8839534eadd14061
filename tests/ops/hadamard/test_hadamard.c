/* Hadamard transforms against float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/hadamard.h>

#include "support/context.h"
#include "support/tensor.h"

/* Zero types: f32. */
typedef struct problem {
    vka_dtype x_type, out_type;
    uint32_t rank, shape[4], block;
    layout layout;
    bool in_place;
    float scale; /* of x; 0: 1 */

    context *c;
    uint32_t rows, cols;
    tensor x, out;
} problem;

static uint32_t block_of(const problem *p) {
    uint32_t largest = p->cols & (~p->cols + 1);
    return p->block ? p->block : largest < 1024 ? largest : 1024;
}

static void compare(const problem *p, const float *x, const tensor *out) {
    double *ref = malloc(p->cols * sizeof *ref);
    float *naive = malloc(p->cols * sizeof *naive);
    cr_assert(ref && naive);
    ref_error e = {0};
    for (uint32_t row = 0; row < p->rows; row++) {
        size_t first = (size_t)row * p->cols;
        ref_hadamard_row(p->cols, block_of(p), x + first, ref);
        ref_hadamard_naive_row(p->cols, block_of(p), out->view.dtype, x + first, naive);
        for (uint32_t i = 0; i < p->cols; i++) {
            ref_error_add(&e, (double)out->values[first + i], (double)naive[i], ref[i]);
        }
    }
    cr_assert(!e.broken && ref_error_ok(&e),
              "%s to %s, %u rows of %u in blocks of %u: off by %g, naive by %g; "
              "VKATTN_SEED=%llu",
              dtype_name(p->x.view.dtype), dtype_name(out->view.dtype), p->rows, p->cols, block_of(p), e.out, e.naive,
              (unsigned long long)test_seed());
    free(ref);
    free(naive);
}

static tensor *transform(problem *p) {
    tensor *out = p->in_place ? &p->x : &p->out;
    vka_hadamard_desc d = {.x = p->x.view, .out = out->view, .block = p->block};
    tensor_upload(&p->x);
    tensor_poison(&p->out);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_hadamard(p->c->recorder, &d));
    context_finish(p->c);
    cr_assert(tensor_download(out), "writes outside of out");
    return out;
}

static void make(context *c, problem *p) {
    p->c = c;
    p->cols = p->shape[p->rank - 1];
    p->rows = 1;
    for (uint32_t i = 0; i + 1 < p->rank; i++) {
        p->rows *= p->shape[i];
    }
    ref_rng rng = ref_rng_seed(test_seed());
    p->x = tensor_create(c, p->x_type ? p->x_type : VKA_F32, p->rank, p->shape, p->layout);
    p->out = tensor_create(c, p->out_type ? p->out_type : VKA_F32, p->rank, p->shape, p->layout);
    tensor_fill_normal(&p->x, &rng, 0, p->scale != 0 ? p->scale : 1);
}

static void check(context *c, problem p) {
    if (context_leaves_out(c, 5)) {
        return;
    }
    make(c, &p);
    float *x = malloc(p.x.count * sizeof *x);
    cr_assert_not_null(x);
    memcpy(x, p.x.values, p.x.count * sizeof *x);
    compare(&p, x, transform(&p));
    tensor_destroy(&p.x);
    tensor_destroy(&p.out);
    free(x);
}

/* Every block of every width that it divides. */
Test(hadamard, blocks) {
    static const uint32_t widths[] = {2, 6, 40, 64, 96, 128, 576, 1024, 2048, 3072};
    context c;
    context_open(&c, &config_real);
    for (uint32_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        for (uint32_t block = 1; block <= 1024 && widths[w] % block == 0; block *= 2) {
            check(&c, (problem){.rank = 2, .shape = {7, widths[w]}, .block = block > 1 ? block : 0});
        }
    }
    context_close(&c);
}

Test(hadamard, types_and_layouts) {
    static const struct {
        uint32_t rank, shape[4];
        const char *order;
    } list[] = {{1, {48}, NULL},           {2, {7, 34}, "10"},         {3, {3, 5, 64}, "102"},
                {3, {3, 5, 22}, "201"},    {4, {2, 3, 4, 96}, "0213"}, {4, {2, 3, 4, 18}, "0312"},
                {4, {2, 1, 4, 20}, "3210"}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 7 * DTYPES; i++) {
        bool in_place = i % 4 == 3;
        problem p = {.x_type = dtypes[i % DTYPES],
                     .out_type = in_place ? dtypes[i % DTYPES] : dtypes[(i + i / 7) % DTYPES],
                     .rank = list[i % 7].rank,
                     .layout = {list[i % 7].order, i / 7, i / 7},
                     .in_place = in_place};
        memcpy(p.shape, list[i % 7].shape, sizeof p.shape);
        check(&c, p);
    }
    context_close(&c);
}

/* Twice is nothing, to a few roundings; and products of rows stay what they were. */
Test(hadamard, is_its_own_inverse) {
    context c;
    context_open(&c, &config_real);
    problem p = {.rank = 2, .shape = {9, 192}, .in_place = true};
    make(&c, &p);
    float x[9 * 192], once[9 * 192];
    memcpy(x, p.x.values, sizeof x);
    transform(&p);
    memcpy(once, p.x.values, sizeof once);
    transform(&p);
    for (uint32_t i = 0; i < 9 * 192; i++) {
        cr_assert(fabsf(p.x.values[i] - x[i]) <= 1e-5f, "%u: %g became %g", i, (double)x[i], (double)p.x.values[i]);
    }
    double before = 0, after = 0;
    for (uint32_t i = 0; i < 192; i++) {
        before += (double)x[i] * (double)x[192 + i];
        after += (double)once[i] * (double)once[192 + i];
    }
    cr_assert(fabs(before - after) <= 1e-4, "%g became %g", before, after);
    tensor_destroy(&p.x);
    tensor_destroy(&p.out);
    context_close(&c);
}

/* A value that is not finite spoils its block and no other; the largest floats that have a transform, have one. */
Test(hadamard, nonfinite_values) {
    context c;
    context_open(&c, &config_real);
    problem p = {.rank = 2, .shape = {3, 128}, .block = 32};
    make(&c, &p);
    p.x.values[5] = NAN;
    p.x.values[128 + 40] = INFINITY;
    for (uint32_t i = 0; i < 128; i++) {
        p.x.values[256 + i] = i % 32 ? 0 : 3e38f;
    }
    tensor *out = transform(&p);
    for (uint32_t i = 0; i < 3 * 128; i++) {
        bool spoilt = i < 32 || (i >= 160 && i < 192);
        cr_assert(isfinite(out->values[i]) != spoilt, "%u is %g", i, (double)out->values[i]);
    }
    tensor_destroy(&p.x);
    tensor_destroy(&p.out);
    context_close(&c);
}

Test(hadamard, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F16, 3, 96), odd = vka_tensor_2d(NULL, VKA_F16, 3, 95);
    vka_hadamard_desc d = {.x = x, .out = x};
    EXPECT_OK(vka_hadamard_prepare(c.device, &d));
    static const uint32_t blocks[] = {1, 3, 64, 2048};
    for (int i = 0; i < 4; i++) {
        d.block = blocks[i];
        EXPECT_FAILURE(vka_hadamard_prepare(c.device, &d), VKA_INVALID, "vka_hadamard.block");
    }
    d = (vka_hadamard_desc){.x = odd, .out = odd};
    EXPECT_FAILURE(vka_hadamard_prepare(c.device, &d), VKA_INVALID, "vka_hadamard.x");
    context_close(&c);
}
