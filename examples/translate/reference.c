/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include "common/program.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <vkattn/positions.h>

enum { WIDTH = 8, INNER = 4 * WIDTH }; /* at most */

typedef struct rows {
    dual at[DATE_SOURCE][WIDTH];
    uint32_t count;
} rows;

typedef struct net {
    const model *m;
    const dual *values;
    uint32_t width;
    char prefix[48];
} net;

/* ---- numbers ------------------------------------------------------------------------------------------------- */

static dual add(dual a, dual b) {
    return (dual){a.v + b.v, a.d + b.d};
}

static dual mul(dual a, dual b) {
    return (dual){a.v * b.v, a.d * b.v + a.v * b.d};
}

static dual scaled(dual a, double by) {
    return (dual){a.v * by, a.d * by};
}

static dual divided(dual a, dual b) {
    return (dual){a.v / b.v, (a.d - a.v / b.v * b.d) / b.v};
}

static dual exp_of(dual a) {
    return (dual){exp(a.v), exp(a.v) * a.d};
}

static dual tanh_of(dual a) {
    return (dual){tanh(a.v), (1 - tanh(a.v) * tanh(a.v)) * a.d};
}

/* ---- layers -------------------------------------------------------------------------------------------------- */

static const dual *named(const net *n, const char *name) {
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s", n->prefix, name);
    return n->values + parameters_value(&n->m->parameters, whole).offset / sizeof(float);
}

/* y = W x + b, of rows `first` .. of both; without a name there is no b. */
static void linear(const net *n, const char *weight, const char *bias, uint32_t first, uint32_t outputs,
                   uint32_t inputs, const dual *x, dual *y) {
    const dual *w = named(n, weight) + (size_t)first * inputs, *b = bias ? named(n, bias) + first : NULL;
    for (uint32_t o = 0; o < outputs; o++) {
        y[o] = b ? b[o] : (dual){0, 0};
        for (uint32_t i = 0; i < inputs; i++) {
            y[o] = add(y[o], mul(w[(size_t)o * inputs + i], x[i]));
        }
    }
}

static rows project(const net *n, const char *weight, const char *bias, uint32_t first, const rows *x) {
    rows y = {.count = x->count};
    for (uint32_t i = 0; i < x->count; i++) {
        linear(n, weight, bias, first * n->width, n->width, n->width, x->at[i], y.at[i]);
    }
    return y;
}

static void add_to(const net *n, rows *x, const rows *y) {
    for (uint32_t i = 0; i < x->count; i++) {
        for (uint32_t k = 0; k < n->width; k++) {
            x->at[i][k] = add(x->at[i][k], y->at[i][k]);
        }
    }
}

static void normalise(const net *n, const char *weight, const char *bias, rows *x) {
    const dual *w = named(n, weight), *b = named(n, bias);
    for (uint32_t i = 0; i < x->count; i++) {
        dual mean = {0, 0}, variance = {1e-5, 0};
        for (uint32_t k = 0; k < n->width; k++) {
            mean = add(mean, scaled(x->at[i][k], 1.0 / n->width));
        }
        for (uint32_t k = 0; k < n->width; k++) {
            x->at[i][k] = add(x->at[i][k], scaled(mean, -1));
            variance = add(variance, scaled(mul(x->at[i][k], x->at[i][k]), 1.0 / n->width));
        }
        const dual deviation = {sqrt(variance.v), variance.d / (2 * sqrt(variance.v))};
        for (uint32_t k = 0; k < n->width; k++) {
            x->at[i][k] = add(mul(divided(x->at[i][k], deviation), w[k]), b[k]);
        }
    }
}

/* One head: channels `first` .. of all. `additive`: the vector of scores, or NULL. */
static void attend(const rows *q, const rows *k, const rows *v, uint32_t first, uint32_t dim, double scale, bool causal,
                   const dual *additive, rows *out) {
    for (uint32_t i = 0; i < q->count; i++) {
        dual sum = {0, 0}, weighted[WIDTH] = {{0, 0}};
        for (uint32_t j = 0; j < (causal ? i + 1 : k->count); j++) {
            dual score = {0, 0};
            for (uint32_t c = first; c < first + dim; c++) {
                const dual a = q->at[i][c], b = k->at[j][c];
                score = add(score, additive ? mul(additive[c], tanh_of(add(a, b))) : scaled(mul(a, b), scale));
            }
            const dual weight = exp_of(score);
            sum = add(sum, weight);
            for (uint32_t c = 0; c < dim; c++) {
                weighted[c] = add(weighted[c], mul(weight, v->at[j][first + c]));
            }
        }
        for (uint32_t c = 0; c < dim; c++) {
            out->at[i][first + c] = divided(weighted[c], sum);
        }
    }
}

static void attend_heads(const net *n, const rows *q, const rows *k, const rows *v, bool causal, rows *out) {
    const uint32_t heads = n->m->desc.heads, dim = n->width / heads;
    for (uint32_t h = 0; h < heads; h++) {
        attend(q, k, v, h * dim, dim, 1 / sqrt(dim), causal, NULL, out);
    }
}

static void add_self(const net *n, bool causal, rows *x) {
    static const char weight[] = "self_attn.in_proj_weight", bias[] = "self_attn.in_proj_bias";
    const rows q = project(n, weight, bias, 0, x), k = project(n, weight, bias, 1, x),
               v = project(n, weight, bias, 2, x);
    rows merged = *x;
    attend_heads(n, &q, &k, &v, causal, &merged);
    merged = project(n, "self_attn.out_proj.weight", "self_attn.out_proj.bias", 0, &merged);
    add_to(n, x, &merged);
}

static void add_cross(const net *n, const rows *memory, rows *x) {
    const cross_kind kind = n->m->desc.attention;
    const rows k = project(n, "cross.k_proj.weight", NULL, 0, memory);
    rows q = *x, v = *memory, merged = *x;
    if (kind != CROSS_LUONG) {
        q = project(n, "cross.q_proj.weight", "cross.q_proj.bias", 0, x);
    }
    if (kind == CROSS_DOT) {
        v = project(n, "cross.v_proj.weight", "cross.v_proj.bias", 0, memory);
        attend_heads(n, &q, &k, &v, false, &merged);
    } else {
        attend(&q, &k, &v, 0, n->width, 1, false, kind == CROSS_ADDITIVE ? named(n, "cross.score") : NULL, &merged);
    }
    merged = project(n, "cross.out_proj.weight", "cross.out_proj.bias", 0, &merged);
    add_to(n, x, &merged);
}

static void add_feed_forward(const net *n, rows *x) {
    rows y = {.count = x->count};
    for (uint32_t i = 0; i < x->count; i++) {
        dual inner[INNER];
        linear(n, "linear1.weight", "linear1.bias", 0, 4 * n->width, n->width, x->at[i], inner);
        for (uint32_t k = 0; k < 4 * n->width; k++) {
            inner[k] = inner[k].v > 0 ? inner[k] : (dual){0, 0};
        }
        linear(n, "linear2.weight", "linear2.bias", 0, n->width, 4 * n->width, inner, y.at[i]);
    }
    add_to(n, x, &y);
}

/* ---- the model ----------------------------------------------------------------------------------------------- */

static rows embed(const net *n, const char *table, const int32_t *ids, uint32_t count) {
    const dual *vectors = named(n, table);
    float positions[DATE_SOURCE * WIDTH];
    rows x = {.count = count};
    vka_sinusoidal_positions(0, count, n->width, VKA_SINUSOID_INTERLEAVED, 0, positions);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < n->width; k++) {
            const dual position = {(double)positions[i * n->width + k], 0};
            x.at[i][k] = add(scaled(vectors[(uint32_t)ids[i] * n->width + k], sqrt(n->width)), position);
        }
    }
    return x;
}

static rows encode(net *n, const int32_t *ids, uint32_t count) {
    rows x = embed(n, "source.weight", ids, count);
    for (uint32_t i = 0; i < n->m->desc.layers; i++) {
        snprintf(n->prefix, sizeof n->prefix, "encoder.layers.%u.", i);
        add_self(n, false, &x);
        normalise(n, "norm1.weight", "norm1.bias", &x);
        add_feed_forward(n, &x);
        normalise(n, "norm2.weight", "norm2.bias", &x);
    }
    n->prefix[0] = 0;
    return x;
}

static rows decode(net *n, const int32_t *ids, const rows *memory) {
    rows x = embed(n, "target.weight", ids, DATE_TARGET);
    for (uint32_t i = 0; i < n->m->desc.layers; i++) {
        snprintf(n->prefix, sizeof n->prefix, "decoder.layers.%u.", i);
        add_self(n, true, &x);
        normalise(n, "norm1.weight", "norm1.bias", &x);
        add_cross(n, memory, &x);
        normalise(n, "norm2.weight", "norm2.bias", &x);
        add_feed_forward(n, &x);
        normalise(n, "norm3.weight", "norm3.bias", &x);
    }
    n->prefix[0] = 0;
    return x;
}

static dual loss_of(const net *n, const dual *x, int32_t target) {
    dual logits[DATE_CLASSES], sum = {0, 0};
    linear(n, "target.weight", NULL, 0, DATE_CLASSES, n->width, x, logits);
    for (int c = 0; c < DATE_CLASSES; c++) {
        sum = add(sum, exp_of(logits[c]));
    }
    return add((dual){log(sum.v), sum.d / sum.v}, scaled(logits[target], -1));
}

dual reference_loss(const model *m, const dual *values) {
    net n = {.m = m, .values = values, .width = m->desc.width};
    const int32_t *source = vka_buffer_map(m->source.buffer), *lengths = vka_buffer_map(m->lengths.buffer);
    const int32_t *ids = vka_buffer_map(m->ids.buffer), *targets = vka_buffer_map(m->targets.buffer);
    dual loss = {0, 0};
    if (n.width > WIDTH) {
        fail("the reference has a width up to %d", WIDTH);
    }
    for (uint32_t b = 0; b < m->desc.batch; b++) {
        const rows memory = encode(&n, source + (size_t)b * DATE_SOURCE, (uint32_t)lengths[b]);
        const rows x = decode(&n, ids + (size_t)b * DATE_TARGET, &memory);
        for (uint32_t i = 0; i < DATE_TARGET; i++) {
            loss = add(loss, loss_of(&n, x.at[i], targets[(size_t)b * DATE_TARGET + i]));
        }
    }
    return scaled(loss, 1.0 / (m->desc.batch * DATE_TARGET));
}
