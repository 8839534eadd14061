/* Known answers of attention and of merged attentions.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include <vkattn/attention.h>
#include <vkattn/merge.h>

#include "self_test/answer.h"

typedef enum kind { PLAIN, HIDDEN, OPTIONS, COSINE } kind;

/* HIDDEN: causal, and the last key and value are NaN, which only the last query sees. OPTIONS: a mask that hides all
 * keys of a row, a soft cap, ALiBi and sinks. Sizes are no multiples of any tile. */
typedef struct problem {
    vka_dtype dtype, kv_dtype;
    kind kind;
    uint32_t queries, keys, splits;
    bool wide; /* of the head dimensions */
} problem;

static const problem problems[] = {
    {VKA_F32, VKA_F32, HIDDEN, 37, 45, 1, false},    {VKA_F16, VKA_F16, HIDDEN, 37, 45, 1, false},
    {VKA_BF16, VKA_BF16, HIDDEN, 37, 45, 1, false},  {VKA_F32, VKA_F32, PLAIN, 1, 75, 1, false},
    {VKA_F16, VKA_F16, PLAIN, 1, 75, 2, false},      {VKA_F16, VKA_Q8_0, PLAIN, 19, 45, 1, true},
    {VKA_F32, VKA_F32, OPTIONS, 37, 45, 1, false},   {VKA_F16, VKA_F16, OPTIONS, 37, 45, 1, false},
    {VKA_BF16, VKA_BF16, OPTIONS, 37, 45, 1, false}, {VKA_F32, VKA_F32, OPTIONS, 3, 75, 2, false},
    {VKA_F32, VKA_F32, COSINE, 37, 45, 1, false},
};
#define PROBLEMS (sizeof problems / sizeof *problems)

enum { HEADS = 4, KV_HEADS = 2, GROUP = HEADS / KV_HEADS };

typedef struct numbers {
    const double *q, *k, *v, *mask, *slopes, *sinks, *cosine;
    double scale, cap;
    uint32_t d, dv;
    bool causal;
} numbers;

static double dot(const double *a, const double *b, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; ++i)
        sum += a[i] * b[i];
    return sum;
}

static double score(const problem *p, const numbers *n, uint32_t head, uint32_t i, uint32_t j) {
    const double *q = n->q + (head * p->queries + i) * n->d, *k = n->k + (head / GROUP * p->keys + j) * n->d;
    double s = n->scale * dot(q, k, n->d);
    if (n->cosine)
        s *= n->cosine[head] / sqrt(dot(q, q, n->d) * dot(k, k, n->d));
    s = n->cap > 0 ? n->cap * tanh(s / n->cap) : s;
    return n->slopes ? s - n->slopes[head] * fabs((double)i + p->keys - p->queries - j) : s;
}

static bool sees(const problem *p, const numbers *n, uint32_t i, uint32_t j) {
    return (!n->causal || j + p->queries <= i + p->keys) && (!n->mask || n->mask[i * p->keys + j] != 0);
}

/* One row of out, and its lse. */
static void attend(const problem *p, const numbers *n, uint32_t head, uint32_t i, double *out, double *lse) {
    double most = n->sinks ? n->sinks[head] : -INFINITY, sum = 0;
    for (uint32_t j = 0; j < p->keys; ++j) /* fmax takes no NaN, which the sum then has */
        most = sees(p, n, i, j) ? fmax(most, score(p, n, head, i, j)) : most;
    for (uint32_t c = 0; c < n->dv; ++c)
        out[c] = 0;
    sum = n->sinks ? exp(n->sinks[head] - most) : 0;
    for (uint32_t j = 0; j < p->keys; ++j) {
        if (!sees(p, n, i, j))
            continue;
        double e = exp(score(p, n, head, i, j) - most);
        sum += e;
        for (uint32_t c = 0; c < n->dv; ++c)
            out[c] += e * n->v[(head / GROUP * p->keys + j) * n->dv + c];
    }
    for (uint32_t c = 0; c < n->dv && sum != 0; ++c)
        out[c] /= sum;
    *lse = sum == 0 ? -INFINITY : most + log(sum);
}

static void add_options(vka__answer *a, const problem *p, numbers *n, vka_attention_desc *d) {
    double *mask = vka__answer_numbers(a, p->queries * p->keys), *slopes = vka__answer_numbers(a, HEADS),
           *sinks = vka__answer_integers(a, HEADS, 9, 2);
    for (uint32_t i = 0; i < p->queries * p->keys; ++i)
        mask[i] = i / p->keys != 1 && vka__answer_integer(i, 7, 2) > -2;
    for (uint32_t h = 0; h < HEADS; ++h)
        slopes[h] = h / 16.0;
    d->mask = vka__answer_input(a, VKA_U8, 2, (const uint32_t[]){p->queries, p->keys}, mask);
    d->alibi_slopes = vka__answer_input(a, VKA_F32, 1, (const uint32_t[]){HEADS}, slopes);
    d->softcap = 8;
    n->mask = mask;
    n->slopes = slopes;
    n->cap = 8;
    if (p->splits > 1) { /* without them a row stays that sees nothing at all */
        d->sinks = vka__answer_input(a, VKA_F32, 1, (const uint32_t[]){HEADS}, sinks);
        n->sinks = sinks;
    }
}

/* A row whose scores are far apart, so that the lowest floats are exponentials' results, and the one key that is seen
 * last. */
static void add_edges(const problem *p, numbers *n, double *q, double *k, double *v) {
    for (uint32_t h = 0; h < HEADS; ++h)
        for (uint32_t c = 0; c < n->d; ++c)
            q[(h * p->queries + 5) * n->d + c] *= 64;
    for (uint32_t h = 0; h < KV_HEADS; ++h) {
        k[((h + 1) * p->keys - 1) * n->d] = NAN;
        v[((h + 1) * p->keys - 1) * n->dv + 1] = NAN;
    }
}

/* Software drivers compile unrolled code slowly, and matrices of wide heads with gigabytes. */
static void fill_dims(const vka_device_caps *caps, const problem *p, numbers *n) {
    bool software = caps->type == VKA_DEVICE_CPU;
    n->d = software ? 16 : 64;
    if (p->wide)
        n->d = software ? 32 : 128;
    n->dv = n->d;
}

static void fill_answers(vka__answer *a, const problem *p, const numbers *n, vka_attention_desc *d) {
    double *out = vka__answer_numbers(a, HEADS * p->queries * n->dv), *lse = vka__answer_numbers(a, HEADS * p->queries);
    for (uint32_t h = 0; h < HEADS; ++h)
        for (uint32_t i = 0; i < p->queries; ++i)
            attend(p, n, h, i, out + (h * p->queries + i) * n->dv, lse + h * p->queries + i);
    double bound = vka__answer_bound(p->dtype);
    d->out = vka__answer_result(a, p->dtype, 4, (const uint32_t[]){1, HEADS, p->queries, n->dv}, out, 2 * bound);
    d->lse = vka__answer_result(a, VKA_F32, 3, (const uint32_t[]){1, HEADS, p->queries}, lse, bound);
}

bool vka__answers_attention(vka__answer *a, uint32_t index) {
    static const char *const kinds[] = {"", ", hidden NaN", ", options", ", cosines"};
    if (index >= PROBLEMS)
        return false;
    const problem *p = &problems[index];
    numbers n = {.causal = p->kind == HIDDEN};
    vka_attention_desc d = {.causal = n.causal, .splits = p->splits};
    fill_dims(a->caps, p, &n);
    double *q = vka__answer_integers(a, HEADS * p->queries * n.d, 1, 2),
           *k = vka__answer_integers(a, KV_HEADS * p->keys * n.d, 2, 2),
           *v = vka__answer_integers(a, KV_HEADS * p->keys * n.dv, 3, 2);
    if (p->kind == HIDDEN)
        add_edges(p, &n, q, k, v);
    n.q = q;
    n.k = k;
    n.v = v;
    n.scale = 1 / sqrt(n.d);
    d.q = vka__answer_input(a, p->dtype, 4, (const uint32_t[]){1, HEADS, p->queries, n.d}, q);
    d.k = vka__answer_input(a, p->kv_dtype, 4, (const uint32_t[]){1, KV_HEADS, p->keys, n.d}, k);
    d.v = vka__answer_input(a, p->kv_dtype, 4, (const uint32_t[]){1, KV_HEADS, p->keys, n.dv}, v);
    if (p->kind == OPTIONS)
        add_options(a, p, &n, &d);
    if (p->kind == COSINE) {
        n.scale = 1;
        n.cosine = vka__answer_integers(a, HEADS, 8, 4);
        d.cosine_scale = vka__answer_input(a, VKA_F32, 1, (const uint32_t[]){HEADS}, n.cosine);
    }
    fill_answers(a, p, &n, &d);
    vka__answer_is(a, &d, sizeof d, "of %s, keys of %s, %u queries%s", vka__answer_type(p->dtype),
                   vka__answer_type(p->kv_dtype), p->queries, kinds[p->kind]);
    return true;
}

/* ---- merging ---------------------------------------------------------------------------------------------------- */

bool vka__answers_merge(vka__answer *a, uint32_t index) {
    enum { ROWS = 5, D = 13 };
    static const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16};
    if (index >= sizeof types / sizeof *types)
        return false;
    const uint32_t shape[] = {1, 1, ROWS, D}, rows[] = {1, 1, ROWS};
    double *x = vka__answer_integers(a, ROWS * D, 1, 2), *y = vka__answer_integers(a, ROWS * D, 2, 2),
           *x_lse = vka__answer_integers(a, ROWS, 3, 2), *y_lse = vka__answer_integers(a, ROWS, 4, 2),
           *out = vka__answer_numbers(a, ROWS * D), *lse = vka__answer_numbers(a, ROWS);
    x_lse[1] = x_lse[2] = y_lse[2] = -INFINITY;
    x[D + 3] = NAN; /* of an empty part */
    for (uint32_t i = 0; i < ROWS; ++i) {
        double most = fmax(x_lse[i], y_lse[i]);
        lse[i] = most + log(exp(x_lse[i] - most) + exp(y_lse[i] - most));
        if (isinf(most))
            lse[i] = -INFINITY;
        for (uint32_t c = i * D; c < (i + 1) * D; ++c)
            out[c] = (isinf(x_lse[i]) ? 0 : x[c] * exp(x_lse[i] - lse[i])) +
                     (isinf(y_lse[i]) ? 0 : y[c] * exp(y_lse[i] - lse[i]));
    }
    double bound = vka__answer_bound(types[index]);
    const vka_attention_merge_desc d = {
        .a = vka__answer_input(a, types[index], 4, shape, x),
        .b = vka__answer_input(a, types[index], 4, shape, y),
        .a_lse = vka__answer_input(a, VKA_F32, 3, rows, x_lse),
        .b_lse = vka__answer_input(a, VKA_F32, 3, rows, y_lse),
        .out = vka__answer_result(a, types[index], 4, shape, out, bound),
        .lse = vka__answer_result(a, VKA_F32, 3, rows, lse, 1e-4),
    };
    vka__answer_is(a, &d, sizeof d, "of %s", vka__answer_type(types[index]));
    return true;
}
