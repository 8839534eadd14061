/* Positions at the ends of 32 bits: biases of far diagonals, rotations of far tokens.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vkattn/attention.h>
#include <vkattn/cache.h>
#include <vkattn/rope.h>

#include "support/context.h"

enum { QUERIES = 3, KEYS = 8, LINES = 3, COLUMNS = 5 };

static const int64_t diagonals[] = {
    0,         5,          -7,          536870911,     536870912, 536870913, 536870914, 1073741827, INT32_MAX - 1,
    INT32_MAX, -536870913, -1073741829, INT32_MIN + 1, INT32_MIN};
#define DIAGONALS (sizeof diagonals / sizeof *diagonals)

/* Queries and keys of zeros, values 1 .. 8, biases as given. */
typedef struct biased {
    context c;
    vka_buffer *zeros, *values, *out, *lse, *bias;
    vka_attention_desc desc;
} biased;

static vka_buffer *buffer_of(context *c, const float *values, size_t count) {
    vka_buffer *b;
    EXPECT_OK(vka_buffer_create(c->device, &(vka_buffer_desc){.size = count * sizeof *values}, &b));
    EXPECT_OK(vka_buffer_write(b, 0, values, count * sizeof *values));
    return b;
}

static void open(biased *x, const float *bias, size_t biases) {
    static const float zeros[KEYS], values[KEYS] = {1, 2, 3, 4, 5, 6, 7, 8};
    context_open(&x->c, &config_real);
    x->zeros = buffer_of(&x->c, zeros, KEYS);
    x->values = buffer_of(&x->c, values, KEYS);
    x->out = buffer_of(&x->c, zeros, QUERIES);
    x->lse = buffer_of(&x->c, zeros, QUERIES);
    x->bias = buffer_of(&x->c, bias, biases);
    x->desc = (vka_attention_desc){.q = vka_tensor_4d(x->zeros, VKA_F32, 1, 1, QUERIES, 1),
                                   .k = vka_tensor_4d(x->zeros, VKA_F32, 1, 1, KEYS, 1),
                                   .v = vka_tensor_4d(x->values, VKA_F32, 1, 1, KEYS, 1),
                                   .out = vka_tensor_4d(x->out, VKA_F32, 1, 1, QUERIES, 1),
                                   .lse = vka_tensor_3d(x->lse, VKA_F32, 1, 1, QUERIES),
                                   .diagonal = VKA_DIAGONAL_EXPLICIT};
}

static void close(biased *x) {
    vka_buffer **all[] = {&x->zeros, &x->values, &x->out, &x->lse, &x->bias};
    for (int i = 0; i < 5; i++) {
        vka_buffer_destroy(all[i]);
    }
    context_close(&x->c);
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static int64_t clamp(int64_t x, int64_t most) {
    return x < 0 ? 0 : x > most ? most : x;
}

/* The bias of query position p and key j, in double. */
typedef double (*bias_fn)(const float *bias, const vka_attention_desc *d, int64_t p, int64_t j);

static double grid_bias(const float *bias, const vka_attention_desc *d, int64_t p, int64_t j) {
    int64_t width = d->relative_width, row = floor_div(j, width) - floor_div(p, width);
    int64_t column = (j - floor_div(j, width) * width) - (p - floor_div(p, width) * width);
    return bias[clamp(row + d->relative_zero_row, LINES - 1) * COLUMNS + clamp(column + d->relative_zero, COLUMNS - 1)];
}

static double line_bias(const float *bias, const vka_attention_desc *d, int64_t p, int64_t j) {
    return bias[clamp(j - p + d->relative_zero, COLUMNS - 1)];
}

static double alibi_bias(const float *bias, const vka_attention_desc *d, int64_t p, int64_t j) {
    (void)d;
    return -(double)bias[0] * (double)llabs(p - j);
}

static void check(biased *x, const float *bias, bias_fn fn, double tolerance) {
    float out[QUERIES], lse[QUERIES];
    EXPECT_OK(vka_recorder_begin(x->c.recorder));
    EXPECT_OK(vka_attention(x->c.recorder, &x->desc));
    context_finish(&x->c);
    EXPECT_OK(vka_buffer_read(x->out, 0, out, sizeof out));
    EXPECT_OK(vka_buffer_read(x->lse, 0, lse, sizeof lse));
    for (int64_t i = 0; i < QUERIES; i++) {
        double most = -INFINITY, sum = 0, mean = 0;
        for (int64_t j = 0; j < KEYS; j++) {
            most = fmax(most, fn(bias, &x->desc, i + x->desc.diagonal_offset, j));
        }
        for (int64_t j = 0; j < KEYS; j++) {
            double weight = exp(fn(bias, &x->desc, i + x->desc.diagonal_offset, j) - most);
            sum += weight;
            mean += weight * (double)(j + 1);
        }
        double wanted = most + log(sum);
        cr_expect(fabs(lse[i] - wanted) <= tolerance * fmax(1, fabs(wanted)),
                  "diagonal %d, width %u, query %d: lse %.9g and not %.9g", x->desc.diagonal_offset,
                  x->desc.relative_width, (int)i, (double)lse[i], wanted);
        cr_expect(fabs(out[i] - mean / sum) <= 1e-5, "diagonal %d, width %u, query %d: out %.9g and not %.9g",
                  x->desc.diagonal_offset, x->desc.relative_width, (int)i, (double)out[i], mean / sum);
    }
}

Test(positions, grid_biases_of_far_diagonals) {
    static const float table[LINES * COLUMNS] = {1, 0.5f, -2, 3, 0.25f, -4, -1, 0, 2, 5, 7, -3, 1.5f, -0.5f, 4};
    static const uint32_t widths[] = {1, 3, 7, 1000, 1u << 28};
    biased x;
    open(&x, table, LINES * COLUMNS);
    x.desc.relative_bias = vka_tensor_3d(x.bias, VKA_F32, 1, LINES, COLUMNS);
    x.desc.relative_zero = 2;
    x.desc.relative_zero_row = 1;
    for (size_t w = 0; w < 5; w++) {
        for (size_t i = 0; i < DIAGONALS; i++) {
            x.desc.relative_width = widths[w];
            x.desc.diagonal_offset = (int32_t)diagonals[i];
            check(&x, table, grid_bias, 1e-6);
        }
    }
    close(&x);
}

/* One line of a table: 4.529763 and 5.774531. */
Test(positions, a_known_grid_bias) {
    static const float table[COLUMNS] = {-4, -1, 0, 2, 5};
    biased x;
    open(&x, table, COLUMNS);
    x.desc.q.shape[2] = x.desc.out.shape[2] = x.desc.lse.shape[2] = 1;
    x.desc.relative_bias = vka_tensor_3d(x.bias, VKA_F32, 1, 1, COLUMNS);
    x.desc.relative_zero = 2;
    x.desc.relative_width = 3;
    x.desc.diagonal_offset = 536870913;
    float out, lse;
    EXPECT_OK(vka_recorder_begin(x.c.recorder));
    EXPECT_OK(vka_attention(x.c.recorder, &x.desc));
    context_finish(&x.c);
    EXPECT_OK(vka_buffer_read(x.out, 0, &out, sizeof out));
    EXPECT_OK(vka_buffer_read(x.lse, 0, &lse, sizeof lse));
    cr_expect_float_eq(out, 4.529763, 2e-6, "out is %.7g", (double)out);
    cr_expect_float_eq(lse, 5.774531, 2e-6, "lse is %.7g", (double)lse);
    close(&x);
}

Test(positions, biases_of_far_diagonals) {
    static const float table[COLUMNS] = {-4, -1, 0, 2, 5}, slope[] = {0x1p-20f};
    biased x;
    open(&x, table, COLUMNS);
    x.desc.relative_bias = vka_tensor_2d(x.bias, VKA_F32, 1, COLUMNS);
    x.desc.relative_zero = 2;
    for (size_t i = 0; i < DIAGONALS; i++) {
        x.desc.diagonal_offset = (int32_t)diagonals[i];
        check(&x, table, line_bias, 1e-6);
    }
    EXPECT_OK(vka_buffer_write(x.bias, 0, slope, sizeof slope));
    x.desc.relative_bias = (vka_tensor){0};
    x.desc.relative_zero = 0;
    x.desc.alibi_slopes = vka_tensor_1d(x.bias, VKA_F32, 1);
    for (size_t i = 0; i < DIAGONALS; i++) {
        x.desc.diagonal_offset = (int32_t)diagonals[i];
        /* Scores of thousands are 2^-12 apart in f32, which moves the output by as much. */
        check(&x, slope, alibi_bias, 1e-6);
    }
    close(&x);
}

/* ---- rotations -------------------------------------------------------------------------------------------------- */

Test(positions, rotations_beyond_32_bits_are_refused) {
    static const int32_t near_end[] = {INT32_MAX - 3}, beyond[] = {INT32_MAX - 2}, first[] = {INT32_MIN};
    static const float ones[2 * 4 * 4];
    context c;
    context_open(&c, &config_real);
    vka_buffer *x = buffer_of(&c, ones, 32), *cache = buffer_of(&c, ones, 32);
    vka_tensor t = vka_tensor_4d(x, VKA_F32, 1, 1, 4, 4);
    vka_rope_desc d = {.x = t, .out = t, .positions.values = near_end};
    EXPECT_OK(vka_rope_prepare(c.device, &d));
    d.positions.values = beyond;
    EXPECT_REFUSED(vka_rope, &c, &d, VKA_INVALID, "vka_rope.positions");
    d.options.position_offset = -1;
    EXPECT_OK(vka_rope_prepare(c.device, &d));
    d.positions.values = first;
    EXPECT_REFUSED(vka_rope, &c, &d, VKA_INVALID, "vka_rope.positions");
    d.options.position_offset = 0;
    EXPECT_OK(vka_rope_prepare(c.device, &d));
    d.positions.values = NULL;
    d.options.position_offset = INT32_MAX - 2;
    EXPECT_REFUSED(vka_rope, &c, &d, VKA_INVALID, "vka_rope.options.position_offset");
    d.options.position_offset = INT32_MAX - 3;
    EXPECT_OK(vka_rope_prepare(c.device, &d));

    vka_cache_append_desc a = {.k = t, .k_cache = vka_tensor_4d(cache, VKA_F32, 1, 1, 8, 4), .rotate = true};
    a.rope.position_offset = INT32_MAX - 3;
    EXPECT_OK(vka_cache_append_prepare(c.device, &a));
    a.rope.position_offset = INT32_MAX - 2;
    EXPECT_REFUSED(vka_cache_append, &c, &a, VKA_INVALID, "vka_cache_append.rope.position_offset");
    vka_buffer_destroy(&x);
    vka_buffer_destroy(&cache);
    context_close(&c);
}

/* Positions that a tensor has: rows beyond the end turn as the last position does. */
Test(positions, rotations_beyond_32_bits_are_clamped) {
    static const struct {
        int32_t position, offset, clamped;
    } list[] = {{INT32_MAX, 0, INT32_MAX},      {INT32_MAX, 1, INT32_MAX},           {INT32_MAX, INT32_MAX, INT32_MAX},
                {INT32_MAX, -7, INT32_MAX - 7}, {INT32_MIN, -1, INT32_MIN},          {INT32_MIN, INT32_MIN, INT32_MIN},
                {INT32_MIN, 9, INT32_MIN + 9},  {1 << 30, (1 << 30) - 1, INT32_MAX}, {70000, -70001, -1}};
    static const float x[4] = {1, 0.5f, 2, -1};
    context c;
    context_open(&c, &config_real);
    vka_buffer *in = buffer_of(&c, x, 4), *out = buffer_of(&c, x, 4);
    vka_buffer *positions = buffer_of(&c, x, 1);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        float got[4];
        vka_rope_desc d = {.x = vka_tensor_4d(in, VKA_F32, 1, 1, 1, 4),
                           .out = vka_tensor_4d(out, VKA_F32, 1, 1, 1, 4),
                           .positions.tensor = vka_tensor_1d(positions, VKA_I32, 1),
                           .options.position_offset = list[i].offset};
        EXPECT_OK(vka_buffer_write(positions, 0, &list[i].position, 4));
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_rope(c.recorder, &d));
        context_finish(&c);
        EXPECT_OK(vka_buffer_read(out, 0, got, sizeof got));
        for (int pair = 0; pair < 2; pair++) {
            /* theta^(-2 k / R): 1 and 1/100, of which float64 knows the angle well enough */
            double angle = list[i].clamped * (pair ? 0.01 : 1.0);
            double first = cos(angle) * x[pair] - sin(angle) * x[pair + 2];
            double second = sin(angle) * x[pair] + cos(angle) * x[pair + 2];
            cr_expect(fabs(got[pair] - first) < 1e-5 && fabs(got[pair + 2] - second) < 1e-5,
                      "%d and %d, pair %d: %g %g and not %g %g", list[i].position, list[i].offset, pair,
                      (double)got[pair], (double)got[pair + 2], first, second);
        }
    }
    vka_buffer_destroy(&in);
    vka_buffer_destroy(&out);
    vka_buffer_destroy(&positions);
    context_close(&c);
}
