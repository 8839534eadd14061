/* A norm of rows that f32 can't square, or that lie far from 0 and close together.
 *
 * A row times a power of two, plus an offset, has the same normal form as the row itself. So the accuracy rule holds
 * with the naive computation of the plain row, which has no trouble, and with the reference of the row as it is.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "norm_suite.h"

/* x = plain * 2^exponent + offset, which the storage type has exactly. */
typedef struct extreme {
    const norm_op *op;
    vka_dtype dtype;
    uint32_t cols;
    int exponent;
    float offset, step; /* with an offset: plain values are multiples of step */
    bool residual, sum;
    float epsilon;
    bool outlier; /* the first value of a row is 1000 times larger */
} extreme;

#define ROWS 2

typedef struct plain_rows {
    float *x, *residual; /* before exponent and offset */
} plain_rows;

static void fill(norm_problem *p, const extreme *e, plain_rows *out) {
    for (size_t i = 0; i < p->x.count; i++) {
        float large = e->outlier && i % e->cols == 0 ? 1000 : 1;
        float x = p->x.values[i] * large, residual = p->residual.values[i];
        out->x[i] = e->step != 0 ? roundf(4 * x) * e->step : ref_round(e->dtype, x);
        out->residual[i] = residual;
        p->x_values[i] = ldexpf(out->x[i], e->exponent) + e->offset;
        p->residual_values[i] = ldexpf(residual, e->exponent);
        cr_assert_eq(ref_round(e->dtype, p->x_values[i]) - e->offset, ldexpf(out->x[i], e->exponent),
                     "the test's value %g is not exact", (double)p->x_values[i]);
    }
}

/* Of a value whose size is not about 1. */
static void add_relative(ref_error *error, double out, double naive, double ref) {
    ref_error_add(error, out / ref, naive / ref, 1);
}

static void compare(norm_problem *p, const extreme *e, const plain_rows *plain, vka_norm_path path) {
    ref_error out_error = {0}, std_error = {0}, mean_error = {0};
    double unit = ldexp(1, e->exponent), *ref = malloc(sizeof *ref * e->cols);
    float *naive = malloc(sizeof *naive * e->cols);
    ref_norm easy = p->ref;
    easy.x = plain->x;
    easy.residual = p->n.residual ? plain->residual : NULL;
    easy.epsilon = p->ref.epsilon / unit / unit;
    cr_assert(ref && naive);
    for (uint32_t row = 0; row < ROWS; row++) {
        double mean, inv_std;
        float naive_mean, naive_inv_std;
        ref_norm_row(&p->ref, e->dtype, row, ref, NULL, &mean, &inv_std);
        ref_norm_naive_row(&easy, e->dtype, row, naive, NULL, &naive_mean, &naive_inv_std);
        for (uint32_t i = 0; i < e->cols; i++) {
            ref_error_add(&out_error, p->out.values[row * e->cols + i], naive[i], ref[i]);
        }
        if (inv_std >= FLT_MIN) {
            add_relative(&std_error, p->inv_std.values[row], naive_inv_std / unit, inv_std);
        }
        if (!p->n.mean) {
            continue;
        }
        double nearest = e->offset != 0 ? mean - (double)(float)mean : 0; /* what f32 can't say */
        ref_error_add(&mean_error, p->mean.values[row] / unit + nearest / unit, naive_mean + e->offset / unit,
                      mean / unit);
    }
    cr_assert(
        ref_error_ok(&out_error) && ref_error_ok(&std_error) && ref_error_ok(&mean_error),
        "path %d, %s, %u columns times 2^%d plus %g%s%s: out is off by %g (naive %g), inv_std by %g of itself (%g),"
        " mean by %g (%g), broken %d %d %d",
        path, dtype_name(e->dtype), e->cols, e->exponent, (double)e->offset, e->residual ? ", residual" : "",
        e->sum ? ", sum" : "", out_error.out, out_error.naive, std_error.out, std_error.naive, mean_error.out,
        mean_error.naive, out_error.broken, std_error.broken, mean_error.broken);
    free(ref);
    free(naive);
}

static void run(norm_problem *p, vka_norm_path path) {
    norm_execute(p, path);
    cr_assert(tensor_download(&p->out) && tensor_download(&p->mean) && tensor_download(&p->inv_std));
}

static void check(context *c, extreme e, uint32_t turn) {
    norm_case n = {.op = e.op,
                   .dtype = e.dtype,
                   .rank = 2,
                   .shape = {ROWS, e.cols},
                   .weight = true,
                   .bias = true,
                   .mean = true,
                   .inv_std = true,
                   .residual = e.residual,
                   .sum = e.sum,
                   .epsilon = e.epsilon};
    norm_problem p = norm_make(c, n, test_seed());
    plain_rows plain = {malloc(p.x.count * sizeof(float)), malloc(p.x.count * sizeof(float))};
    cr_assert(plain.x && plain.residual);
    fill(&p, &e, &plain);
    norm_paths paths = norm_paths_of(&p, turn + (uint32_t)e.dtype);
    for (int path = paths.first; path <= (int)paths.last; path++) {
        run(&p, (vka_norm_path)path);
        compare(&p, &e, &plain, (vka_norm_path)path);
    }
    free(plain.x);
    free(plain.residual);
    norm_destroy(&p);
}

/* Kept in registers, and too long for that. */
static const uint32_t widths[] = {1, 16, 301, 4097, 32768};
#define WIDTHS (sizeof widths / sizeof *widths)

/* From squares whose sum is too large to values that are. */
void norm_test_magnitudes(const norm_op *op) {
    static const int exponents[] = {60, 64, 100, 124};
    static const vka_dtype types[] = {VKA_F32, VKA_BF16};
    context c;
    context_open(&c, &config_real);
    for (size_t t = 0; t < 2; t++) {
        for (uint32_t w = 0; w < WIDTHS; w++) {
            bool left_out = context_leaves_out(&c, 7);
            for (size_t i = 0; !left_out && i < sizeof exponents / sizeof *exponents; i++) {
                check(&c, (extreme){.op = op, .dtype = types[t], .cols = widths[w], .exponent = exponents[i]}, w);
            }
        }
        for (uint32_t i = 0; i < 3; i++) {
            extreme e = {.op = op, .dtype = types[t], .cols = i < 2 ? 301 : 32768, .exponent = 100, .residual = true};
            e.sum = i > 0;
            if (!context_leaves_out(&c, 7)) {
                check(&c, e, i);
            }
        }
    }
    check(&c, (extreme){.op = op, .dtype = VKA_F32, .cols = 64, .exponent = 30, .epsilon = 3e38f}, 0);
    check(&c, (extreme){.op = op, .dtype = VKA_F32, .cols = 64, .exponent = 63, .epsilon = 3e38f}, 0);
    check(&c, (extreme){.op = op, .dtype = VKA_F32, .cols = 64, .exponent = -60, .epsilon = 1e-30f}, 0);
    context_close(&c);
}

/* 0.001, 0.06, 0.5: what f32 and bf16 have next to the offset. */
void norm_test_offsets(const norm_op *op) {
    static const struct {
        vka_dtype dtype;
        float offset, step;
        int exponent;
    } list[] = {
        {VKA_F32, 10000, 0x1p-10f, 0}, {VKA_F32, -10000, 0x1p-10f, 0},    {VKA_F32, 16777216, 2, 0},
        {VKA_F32, 1e6f, 0x1p-4f, 0},   {VKA_F16, 1000, 0.5f, 0},          {VKA_F16, 30000, 16, 0},
        {VKA_BF16, 1024, 8, 0},        {VKA_BF16, 0x1p120f, 0x1p113f, 0}, {VKA_F32, 0x1p100f, 0x1p77f, 0},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        for (uint32_t w = 1; w < WIDTHS; w++) {
            if (context_leaves_out(&c, 11)) {
                continue;
            }
            check(&c,
                  (extreme){.op = op,
                            .dtype = list[i].dtype,
                            .cols = widths[w],
                            .offset = list[i].offset,
                            .step = list[i].step / ldexpf(1, ilogbf(list[i].step)),
                            .exponent = ilogbf(list[i].step)},
                  w);
        }
    }
    context_close(&c);
}

/* As the first token's activations are in many models. */
void norm_test_outliers(const norm_op *op) {
    context c;
    context_open(&c, &config_real);
    for (int t = 0; t < DTYPES; t++) {
        for (uint32_t w = 1; w < WIDTHS; w++) {
            if (!context_leaves_out(&c, 7)) {
                check(&c, (extreme){.op = op, .dtype = dtypes[t], .cols = widths[w], .outlier = true}, w);
            }
        }
    }
    context_close(&c);
}

/* The largest floats there are, of both signs, alone and as sums that are beyond them. */
void norm_test_largest_floats(const norm_op *op) {
    context c;
    context_open(&c, &config_real);
    for (int residual = 0; residual < 2; residual++) {
        norm_problem p = norm_make(
            &c, (norm_case){.op = op, .rank = 2, .shape = {1, 70}, .residual = residual, .mean = true, .inv_std = true},
            test_seed());
        norm_paths paths = norm_paths_of(&p, (uint32_t)residual);
        for (int path = paths.first; path <= (int)paths.last; path++) {
            for (uint32_t i = 0; i < 70; i++) {
                p.x_values[i] = p.residual_values[i] = i % 7 == 3 ? -FLT_MAX : FLT_MAX;
            }
            run(&p, (vka_norm_path)path);
            double wanted[70], mean, inv_std;
            ref_norm_row(&p.ref, VKA_F32, 0, wanted, NULL, &mean, &inv_std);
            for (uint32_t i = 0; i < 70; i++) {
                cr_assert_float_eq(p.out.values[i], wanted[i], 1e-5, "path %d, residual %d: out[%u] is %g and not %g",
                                   path, residual, i, (double)p.out.values[i], wanted[i]);
            }
        }
        norm_destroy(&p);
    }
    context_close(&c);
}

/* All alike, also where x + residual is beyond the type: nothing is left but the bias. */
void norm_test_equal_values(const norm_op *op) {
    static const struct {
        vka_dtype dtype;
        float x, residual, epsilon;
    } list[] = {
        {VKA_F32, 3e38f, 3e38f, 0},   {VKA_F32, FLT_MAX, FLT_MAX, 1e-30f}, {VKA_F32, -2e38f, -3e38f, 1},
        {VKA_F32, FLT_MAX, 1e30f, 0}, {VKA_BF16, 0x1p127f, 0x1p127f, 0},
    };
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 3 * sizeof list / sizeof *list; i++) {
        uint32_t cols = widths[i % 3], at = i / 3;
        double epsilon = list[at].epsilon != 0 ? list[at].epsilon : 1e-5;
        if (context_leaves_out(&c, 13)) {
            continue;
        }
        norm_problem p = norm_make(&c,
                                   (norm_case){.op = op,
                                               .dtype = list[at].dtype,
                                               .rank = 2,
                                               .shape = {1, cols},
                                               .residual = true,
                                               .bias = true,
                                               .mean = true,
                                               .inv_std = true,
                                               .epsilon = list[at].epsilon},
                                   test_seed());
        for (uint32_t x = 0; x < cols; x++) {
            p.x_values[x] = list[at].x;
            p.residual_values[x] = list[at].residual;
        }
        norm_paths paths = norm_paths_of(&p, i + at);
        for (int path = paths.first; path <= (int)paths.last; path++) {
            run(&p, (vka_norm_path)path);
            cr_assert_float_eq(p.inv_std.values[0] * sqrt(epsilon), 1, 1e-6, "path %d, case %u: inv_std is %g", path,
                               at, (double)p.inv_std.values[0]);
            for (uint32_t x = 0; x < cols; x++) {
                cr_assert_eq(p.out.values[x], p.bias.values[x], "path %d, case %u: out[%u] is %g and not %g", path, at,
                             x, (double)p.out.values[x], (double)p.bias.values[x]);
            }
        }
        norm_destroy(&p);
    }
    context_close(&c);
}

/* What is not finite stays so, and the mean is what it is in float64. */
void norm_test_infinities(const norm_op *op) {
    context c;
    context_open(&c, &config_real);
    norm_problem p =
        norm_make(&c, (norm_case){.op = op, .rank = 2, .shape = {4, 9}, .mean = true, .inv_std = true}, test_seed());
    p.x_values[0] = INFINITY;
    p.x_values[9 + 4] = -INFINITY;
    p.x_values[18] = INFINITY;
    p.x_values[18 + 8] = -INFINITY;
    norm_run_paths(&p, 0);
    norm_destroy(&p);
    context_close(&c);
}
