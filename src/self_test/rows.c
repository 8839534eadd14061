/* Known answers of operations on rows: norms, softmax, losses, selections, copies.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include <vkattn/cache.h>
#include <vkattn/elementwise.h>
#include <vkattn/loss.h>
#include <vkattn/norm.h>
#include <vkattn/sampling.h>
#include <vkattn/softmax.h>

#include "self_test/answer.h"

/* Each by both paths: an invocation a row, and a workgroup. */
typedef struct rows {
    vka_dtype dtype;
    uint32_t path, cols;
} rows;

static const rows shapes[] = {{VKA_F32, 2, 301}, {VKA_F16, 2, 45},  {VKA_BF16, 2, 45},
                              {VKA_F32, 1, 45},  {VKA_F16, 1, 301}, {VKA_BF16, 1, 45}};
#define SHAPES (sizeof shapes / sizeof *shapes)
enum { ROWS = 5 };

static void name(vka__answer *a, const void *desc, size_t size, const rows *r) {
    vka__answer_is(a, desc, size, "of %s, path %s, %u columns", vka__answer_type(r->dtype),
                   r->path == 1 ? "lane" : "group", r->cols);
}

/* ---- norms ------------------------------------------------------------------------------------------------------ */

static double mean_of(const double *x, uint32_t count, double minus, bool squares) {
    double sum = 0;
    for (uint32_t i = 0; i < count; ++i)
        sum += squares ? (x[i] - minus) * (x[i] - minus) : x[i];
    return sum / count;
}

/* (x - mean) / sqrt(the mean square + epsilon) * weight + bias. */
static void normalise(const double *x, uint32_t count, bool centred, const double *weight, const double *bias,
                      double *out) {
    double mean = centred ? mean_of(x, count, 0, false) : 0, square = mean_of(x, count, mean, true);
    for (uint32_t i = 0; i < count; ++i)
        out[i] = (x[i] - mean) / sqrt(square + 1e-5) * weight[i] + (bias ? bias[i] : 0);
}

bool vka__answers_layer_norm(vka__answer *a, uint32_t index) {
    if (index >= SHAPES)
        return false;
    const rows *r = &shapes[index];
    const uint32_t shape[] = {ROWS, r->cols}, *cols = &shape[1];
    double *x = vka__answer_integers(a, ROWS * r->cols, 1, 9), *weight = vka__answer_integers(a, r->cols, 2, 2),
           *bias = vka__answer_integers(a, r->cols, 3, 2), *out = vka__answer_numbers(a, ROWS * r->cols);
    for (uint32_t i = 0; i < ROWS; ++i)
        normalise(x + i * r->cols, r->cols, true, weight, bias, out + i * r->cols);
    const vka_layer_norm_desc d = {
        .x = vka__answer_input(a, r->dtype, 2, shape, x),
        .weight = vka__answer_input(a, VKA_F32, 1, cols, weight),
        .bias = vka__answer_input(a, VKA_F32, 1, cols, bias),
        .out = vka__answer_result(a, r->dtype, 2, shape, out, vka__answer_bound(r->dtype)),
        .path = (vka_norm_path)r->path,
    };
    name(a, &d, sizeof d, r);
    return true;
}

bool vka__answers_rms_norm(vka__answer *a, uint32_t index) {
    if (index >= SHAPES)
        return false;
    const rows *r = &shapes[index];
    const uint32_t shape[] = {ROWS, r->cols};
    double *x = vka__answer_integers(a, ROWS * r->cols, 1, 9), *weight = vka__answer_integers(a, r->cols, 2, 2),
           *out = vka__answer_numbers(a, ROWS * r->cols);
    for (uint32_t i = 0; i < ROWS; ++i)
        normalise(x + i * r->cols, r->cols, false, weight, NULL, out + i * r->cols);
    const vka_rms_norm_desc d = {
        .x = vka__answer_input(a, r->dtype, 2, shape, x),
        .weight = vka__answer_input(a, r->dtype, 1, &shape[1], weight),
        .out = vka__answer_result(a, r->dtype, 2, shape, out, vka__answer_bound(r->dtype)),
        .path = (vka_norm_path)r->path,
    };
    name(a, &d, sizeof d, r);
    return true;
}

/* Two groups of three channels. */
bool vka__answers_group_norm(vka__answer *a, uint32_t index) {
    enum { GROUPS = 2, OF = 3 };
    if (index >= SHAPES)
        return false;
    const rows *r = &shapes[index];
    const uint32_t shape[] = {ROWS, GROUPS * OF, r->cols}, channels = GROUPS * OF, each = OF * r->cols;
    double *x = vka__answer_integers(a, ROWS * channels * r->cols, 1, 9),
           *weight = vka__answer_integers(a, channels, 2, 2), *weights = vka__answer_numbers(a, channels * r->cols),
           *out = vka__answer_numbers(a, ROWS * channels * r->cols);
    for (uint32_t i = 0; i < channels * r->cols; ++i)
        weights[i] = weight[i / r->cols];
    for (uint32_t i = 0; i < ROWS * GROUPS; ++i)
        normalise(x + i * each, each, true, weights + i % GROUPS * each, NULL, out + i * each);
    const vka_group_norm_desc d = {
        .x = vka__answer_input(a, r->dtype, 3, shape, x),
        .weight = vka__answer_input(a, VKA_F32, 1, &channels, weight),
        .out = vka__answer_result(a, r->dtype, 3, shape, out, vka__answer_bound(r->dtype)),
        .groups = GROUPS,
        .path = (vka_norm_path)r->path,
    };
    name(a, &d, sizeof d, r);
    return true;
}

/* ---- softmax and losses ----------------------------------------------------------------------------------------- */

static double lse_of(const double *x, uint32_t count) {
    double most = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < count; ++i)
        most = fmax(most, x[i]);
    for (uint32_t i = 0; i < count && !isinf(most); ++i)
        sum += exp(x[i] - most);
    return isinf(most) ? most : most + log(sum);
}

/* One row with values far apart, one of -inf alone, one with a NaN. */
bool vka__answers_softmax(vka__answer *a, uint32_t index) {
    if (index >= SHAPES)
        return false;
    const rows *r = &shapes[index];
    const uint32_t shape[] = {ROWS, r->cols};
    double *x = vka__answer_integers(a, ROWS * r->cols, 1, 3), *out = vka__answer_numbers(a, ROWS * r->cols);
    x[2 * r->cols + 7] = NAN;
    for (uint32_t c = 0; c < r->cols; ++c) {
        x[1 * r->cols + c] *= 64;
        x[3 * r->cols + c] = -INFINITY;
    }
    for (uint32_t i = 0; i < ROWS * r->cols; ++i) {
        double lse = lse_of(x + i / r->cols * r->cols, r->cols);
        out[i] = i / r->cols == 2 ? NAN : isinf(lse) ? 0 : exp(x[i] - lse);
    }
    const vka_softmax_desc d = {
        .x = vka__answer_input(a, r->dtype, 2, shape, x),
        .out = vka__answer_result(a, r->dtype, 2, shape, out, vka__answer_bound(r->dtype)),
        .path = (vka_softmax_path)r->path,
    };
    name(a, &d, sizeof d, r);
    return true;
}

bool vka__answers_cross_entropy(vka__answer *a, uint32_t index) {
    if (index >= SHAPES)
        return false;
    const rows *r = &shapes[index];
    const uint32_t shape[] = {ROWS, r->cols}, one = 1;
    double *x = vka__answer_integers(a, ROWS * r->cols, 1, 9), *target = vka__answer_numbers(a, ROWS),
           *loss = vka__answer_numbers(a, ROWS), *total = vka__answer_numbers(a, 1);
    *total = 0;
    for (uint32_t i = 0; i < ROWS; ++i) {
        target[i] = i * 7;
        loss[i] = lse_of(x + i * r->cols, r->cols) - x[i * r->cols + i * 7];
        *total += loss[i];
    }
    vka_cross_entropy_desc d = {
        .logits = vka__answer_input(a, r->dtype, 2, shape, x),
        .targets = vka__answer_input(a, VKA_I32, 1, shape, target),
        .loss = vka__answer_result(a, VKA_F32, 1, shape, loss, 1e-4),
        .reduction = VKA_REDUCTION_SUM,
        .path = (vka_softmax_path)r->path,
    };
    if (index % 2) /* the others are of one kernel alone */
        d.total = vka__answer_result(a, VKA_F32, 1, &one, total, 1e-4);
    name(a, &d, sizeof d, r);
    return true;
}

/* ---- selections ------------------------------------------------------------------------------------------------- */

/* Integers, of which many are equal: the lower column comes first. Longer rows are selected by radix. */
bool vka__answers_top_k(vka__answer *a, uint32_t index) {
    enum { K = 7 };
    static const rows selections[] = {{VKA_F32, 0, 1301}, {VKA_F16, 0, 45}, {VKA_BF16, 0, 301}};
    if (index >= sizeof selections / sizeof *selections)
        return false;
    const rows *r = &selections[index];
    const uint32_t shape[] = {ROWS, r->cols}, best[] = {ROWS, K};
    double *x = vka__answer_integers(a, ROWS * r->cols, 1, 99), *values = vka__answer_numbers(a, ROWS * K),
           *columns = vka__answer_numbers(a, ROWS * K);
    for (uint32_t i = 0; i < ROWS * K; ++i) {
        const double *row = x + i / K * r->cols;
        uint32_t c = 0, before = i % K ? (uint32_t)columns[i - 1] : 0;
        values[i] = -INFINITY;
        for (c = 0; c < r->cols; ++c) {
            bool later = i % K == 0 || row[c] < row[before] || (row[c] == row[before] && c > before);
            if (later && row[c] > values[i]) {
                values[i] = row[c];
                columns[i] = c;
            }
        }
    }
    const vka_top_k_desc d = {
        .x = vka__answer_input(a, r->dtype, 2, shape, x),
        .values = vka__answer_result(a, r->dtype, 2, best, values, 0),
        .indices = vka__answer_result(a, VKA_I32, 2, best, columns, 0),
    };
    vka__answer_is(a, &d, sizeof d, "of %s, %u columns", vka__answer_type(r->dtype), r->cols);
    return true;
}

/* ---- copies ----------------------------------------------------------------------------------------------------- */

/* Rows of five: those of 16 bits begin and end within words, of which the other half must stay. */
bool vka__answers_cache_append(vka__answer *a, uint32_t index) {
    enum { BATCH = 2, HEADS = 3, NEW = 2, CAPACITY = 7, D = 5 };
    static const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16};
    static const int32_t lengths[BATCH] = {1, 4};
    if (index >= sizeof types / sizeof *types)
        return false;
    const uint32_t shape[] = {BATCH, HEADS, NEW, D}, cache[] = {BATCH, HEADS, CAPACITY, D};
    double *k = vka__answer_integers(a, BATCH * HEADS * NEW * D, 1, 99),
           *want = vka__answer_numbers(a, BATCH * HEADS * CAPACITY * D);
    for (uint32_t i = 0; i < BATCH * HEADS * CAPACITY * D; ++i) {
        uint32_t row = i / D % CAPACITY, head = i / D / CAPACITY, first = (uint32_t)lengths[head / HEADS];
        want[i] = row < first || row >= first + NEW ? NAN : k[(head * NEW + row - first) * D + i % D];
    }
    const vka_cache_append_desc d = {
        .k = vka__answer_input(a, types[index], 4, shape, k),
        .k_cache = vka__answer_result(a, types[index], 4, cache, want, 0),
        .lengths.values = lengths,
    };
    vka__answer_is(a, &d, sizeof d, "of %s", vka__answer_type(types[index]));
    return true;
}

/* Conversions: exact ones, an infinity and a NaN. */
bool vka__answers_map(vka__answer *a, uint32_t index) {
    enum { COLS = 13 };
    static const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_Q8_0};
    uint32_t count = sizeof types / sizeof *types, from = index / count;
    if (index >= count * (count - 1))
        return false;
    vka_dtype x_type = types[index % count], out_type = types[from];
    bool blocks = vka_dtype_block(x_type) > 1;
    const uint32_t shape[] = {ROWS, blocks ? 32 : COLS}, elements = shape[0] * shape[1];
    double *x = vka__answer_integers(a, elements, 1, 99), *out = vka__answer_numbers(a, elements);
    if (!blocks) {
        x[3] = NAN;
        x[5] = -INFINITY;
    }
    for (uint32_t i = 0; i < elements; ++i)
        out[i] = x[i] * 0.5;
    const vka_map_desc d = {
        .x = vka__answer_input(a, x_type, 2, shape, x),
        .out = vka__answer_result(a, out_type, 2, shape, out, 0),
        .scale = 0.5f,
    };
    vka__answer_is(a, &d, sizeof d, "of %s to %s", vka__answer_type(x_type), vka__answer_type(out_type));
    return true;
}
