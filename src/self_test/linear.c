/* Known answers of linear layers and of linear attention.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include <vkattn/linear.h>
#include <vkattn/linear_attention.h>

#include "self_test/answer.h"

/* ---- linear layers ---------------------------------------------------------------------------------------------- */

typedef struct layer {
    vka_dtype x, weight, out;
    uint32_t rows, splits;
} layer;

/* Sums of small integers are exact, whatever their order. */
static const layer layers[] = {
    {VKA_F32, VKA_F32, VKA_F32, 37, 1},  {VKA_F16, VKA_F16, VKA_F16, 37, 1},   {VKA_BF16, VKA_BF16, VKA_F32, 37, 1},
    {VKA_F32, VKA_F32, VKA_F32, 1, 1},   {VKA_F16, VKA_F16, VKA_F16, 5, 1},    {VKA_BF16, VKA_BF16, VKA_F32, 1, 2},
    {VKA_F16, VKA_Q8_0, VKA_F16, 1, 1},  {VKA_F16, VKA_Q4_0, VKA_F32, 1, 1},   {VKA_F16, VKA_Q8_0, VKA_F32, 37, 1},
    {VKA_F32, VKA_Q4_0, VKA_F32, 37, 2}, {VKA_BF16, VKA_Q8_0, VKA_F32, 37, 1},
};
#define LAYERS (sizeof layers / sizeof *layers)

bool vka__answers_linear(vka__answer *a, uint32_t index) {
    enum { COLUMNS = 96, OUTPUTS = 45 };
    if (index >= LAYERS)
        return false;
    const layer *l = &layers[index];
    double *x = vka__answer_integers(a, l->rows * COLUMNS, 1, 2), *w = vka__answer_integers(a, OUTPUTS * COLUMNS, 2, 2),
           *bias = vka__answer_integers(a, OUTPUTS, 3, 9), *residual = vka__answer_integers(a, l->rows * OUTPUTS, 4, 9),
           *out = vka__answer_numbers(a, l->rows * OUTPUTS);
    for (uint32_t i = 0; i < l->rows * OUTPUTS; ++i) {
        const double *row = x + i / OUTPUTS * COLUMNS, *of = w + i % OUTPUTS * COLUMNS;
        out[i] = bias[i % OUTPUTS];
        for (uint32_t c = 0; c < COLUMNS; ++c)
            out[i] += row[c] * of[c];
        out[i] = fmax(out[i], 0) + residual[i];
    }
    const uint32_t shape[] = {l->rows, OUTPUTS};
    const vka_linear_desc d = {
        .x = vka__answer_input(a, l->x, 2, (const uint32_t[]){l->rows, COLUMNS}, x),
        .weight = vka__answer_input(a, l->weight, 2, (const uint32_t[]){OUTPUTS, COLUMNS}, w),
        .bias = vka__answer_input(a, VKA_F32, 1, (const uint32_t[]){OUTPUTS}, bias),
        .residual = vka__answer_input(a, VKA_F16, 2, shape, residual),
        .out = vka__answer_result(a, l->out, 2, shape, out, 1e-6),
        .activation = VKA_ACTIVATION_RELU,
        .splits = l->splits,
    };
    vka__answer_is(a, &d, sizeof d, "of %s, weights of %s, %u rows", vka__answer_type(l->x),
                   vka__answer_type(l->weight), l->rows);
    return true;
}

/* ---- linear attention ------------------------------------------------------------------------------------------- */

enum { HEADS = 2, KEY_DIM = 16, VALUE_DIM = 21 };

typedef struct sequence {
    vka_dtype dtype;
    vka_linear_attention_rule rule;
    uint32_t tokens;
} sequence;

static const sequence sequences[] = {
    {VKA_F32, VKA_LINEAR_ATTENTION_LINEAR, 37},
    {VKA_F32, VKA_LINEAR_ATTENTION_GATED_DELTA, 37},
    {VKA_F16, VKA_LINEAR_ATTENTION_GATED_DELTA, 75},
    {VKA_BF16, VKA_LINEAR_ATTENTION_GATED, 3},
};
#define SEQUENCES (sizeof sequences / sizeof *sequences)

/* One head. g is its decay, one for all channels. */
static void recur(const sequence *s, const double *q, const double *k, const double *v, const double *g,
                  const double *beta, double *out, double *state) {
    bool delta = s->rule == VKA_LINEAR_ATTENTION_GATED_DELTA;
    for (uint32_t i = 0; i < KEY_DIM * VALUE_DIM; ++i)
        state[i] = 0;
    for (uint32_t t = 0; t < s->tokens; ++t, q += KEY_DIM, k += KEY_DIM, v += VALUE_DIM, out += VALUE_DIM)
        for (uint32_t c = 0; c < VALUE_DIM; ++c) {
            double seen = 0;
            for (uint32_t r = 0; r < KEY_DIM; ++r) {
                state[r * VALUE_DIM + c] *= g ? exp(g[t]) : 1;
                seen += state[r * VALUE_DIM + c] * k[r];
            }
            out[c] = 0;
            for (uint32_t r = 0; r < KEY_DIM; ++r) {
                state[r * VALUE_DIM + c] += k[r] * (delta ? beta[t] * (v[c] - seen) : v[c]);
                out[c] += q[r] * state[r * VALUE_DIM + c];
            }
        }
}

bool vka__answers_linear_attention(vka__answer *a, uint32_t index) {
    if (index >= SEQUENCES)
        return false;
    const sequence *s = &sequences[index];
    bool decays = s->rule != VKA_LINEAR_ATTENTION_LINEAR, delta = s->rule == VKA_LINEAR_ATTENTION_GATED_DELTA;
    uint32_t rows = HEADS * s->tokens;
    double *q = vka__answer_integers(a, rows * KEY_DIM, 1, 2), *k = vka__answer_integers(a, rows * KEY_DIM, 2, 1),
           *v = vka__answer_integers(a, rows * VALUE_DIM, 3, 2), *g = vka__answer_integers(a, rows, 4, 3),
           *beta = vka__answer_integers(a, rows, 5, 1), *out = vka__answer_numbers(a, rows * VALUE_DIM),
           *state = vka__answer_numbers(a, HEADS * KEY_DIM * VALUE_DIM);
    for (uint32_t i = 0; i < rows * KEY_DIM; ++i)
        k[i] /= 4; /* no longer than 1 */
    for (uint32_t i = 0; i < rows; ++i) {
        g[i] = (g[i] - 3) / 16;
        beta[i] = 0.5 + beta[i] / 4;
    }
    for (uint32_t h = 0; h < HEADS; ++h) {
        uint32_t at = h * s->tokens;
        recur(s, q + at * KEY_DIM, k + at * KEY_DIM, v + at * VALUE_DIM, decays ? g + at : NULL, beta + at,
              out + at * VALUE_DIM, state + h * KEY_DIM * VALUE_DIM);
    }
    const uint32_t keys[] = {1, HEADS, s->tokens, KEY_DIM}, values[] = {1, HEADS, s->tokens, VALUE_DIM};
    vka_linear_attention_desc d = {
        .rule = s->rule,
        .scale = 1,
        .q = vka__answer_input(a, s->dtype, 4, keys, q),
        .k = vka__answer_input(a, s->dtype, 4, keys, k),
        .v = vka__answer_input(a, s->dtype, 4, values, v),
        .out = vka__answer_result(a, s->dtype, 4, values, out, vka__answer_bound(s->dtype)),
        .state_out = vka__answer_result(a, VKA_F32, 4, (const uint32_t[]){1, HEADS, KEY_DIM, VALUE_DIM}, state, 1e-4),
    };
    if (decays)
        d.decay = vka__answer_input(a, VKA_F32, 4, (const uint32_t[]){1, HEADS, s->tokens, 1}, g);
    if (delta)
        d.beta = vka__answer_input(a, VKA_F32, 3, (const uint32_t[]){1, HEADS, s->tokens}, beta);
    vka__answer_is(a, &d, sizeof d, "of %s, rule %d, %u tokens", vka__answer_type(s->dtype), (int)s->rule, s->tokens);
    return true;
}
