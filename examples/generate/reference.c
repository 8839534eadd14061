/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include "common/program.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double rounded(const reference *r, double x) {
    return r->naive ? (double)(float)x : x;
}

static const float *named(const reference *r, uint32_t layer, const char *name) {
    char whole[64];
    snprintf(whole, sizeof whole, "layers.%" PRIu32 ".%s", layer, name);
    const char *wanted = layer == UINT32_MAX ? name : whole;
    for (uint32_t i = 0; i < r->w->list.count; i++) {
        if (strcmp(r->w->list.list[i].name, wanted) == 0) {
            return r->values[i];
        }
    }
    fail("the reference lacks %s", wanted);
}

#define OF_MODEL UINT32_MAX

reference reference_create(const weights *w, bool naive) {
    const size_t cache = (size_t)w->sizes.layers * w->sizes.context * w->sizes.width;
    reference r = {.w = w, .naive = naive};
    r.values = allocate(w->list.count, sizeof *r.values);
    for (uint32_t i = 0; i < w->list.count; i++) {
        r.values[i] = weights_read(w, i);
    }
    r.k = allocate(cache, sizeof *r.k);
    r.v = allocate(cache, sizeof *r.v);
    return r;
}

void reference_free(reference *r) {
    for (uint32_t i = 0; i < r->w->list.count; i++) {
        free(r->values[i]);
    }
    free(r->values);
    free(r->k);
    free(r->v);
}

/* out[o] = (bias + sum of w[o] x) + residual */
static void linear(const reference *r, const float *w, const float *bias, const double *x, uint32_t columns,
                   uint32_t outputs, double *out) {
    for (uint32_t o = 0; o < outputs; o++) {
        double sum = 0;
        for (uint32_t i = 0; i < columns; i++) {
            sum = rounded(r, sum + rounded(r, (double)w[(size_t)o * columns + i] * x[i]));
        }
        out[o] = rounded(r, sum + (bias ? (double)bias[o] : 0));
    }
}

static void norm(const reference *r, uint32_t layer, const char *weight, const char *bias, const double *x,
                 double *out) {
    const uint32_t n = r->w->sizes.width;
    const float *w = named(r, layer, weight), *b = named(r, layer, bias);
    double mean = 0, variance = 0;
    for (uint32_t i = 0; i < n; i++) {
        mean = rounded(r, mean + x[i]);
    }
    mean = rounded(r, mean / n);
    for (uint32_t i = 0; i < n; i++) {
        variance = rounded(r, variance + rounded(r, (x[i] - mean) * (x[i] - mean)));
    }
    const double factor = rounded(r, 1 / sqrt(variance / n + 1e-5));
    for (uint32_t i = 0; i < n; i++) {
        out[i] = rounded(r, rounded(r, (x[i] - mean) * factor) * (double)w[i] + (double)b[i]);
    }
}

/* One head of one query over `count` keys. */
static void attend(const reference *r, const double *q, const double *k, const double *v, uint32_t count, uint32_t dim,
                   double *scores, double *out) {
    const uint32_t width = r->w->sizes.width;
    double most = -INFINITY, sum = 0;
    for (uint32_t j = 0; j < count; j++) {
        double dot = 0;
        for (uint32_t c = 0; c < dim; c++) {
            dot = rounded(r, dot + rounded(r, q[c] * k[(size_t)j * width + c]));
        }
        scores[j] = rounded(r, dot / sqrt(dim));
        most = fmax(most, scores[j]);
    }
    for (uint32_t j = 0; j < count; j++) {
        scores[j] = rounded(r, exp(scores[j] - most));
        sum = rounded(r, sum + scores[j]);
    }
    for (uint32_t c = 0; c < dim; c++) {
        out[c] = 0;
        for (uint32_t j = 0; j < count; j++) {
            out[c] = rounded(r, out[c] + rounded(r, scores[j] * v[(size_t)j * width + c]));
        }
        out[c] = rounded(r, out[c] / sum);
    }
}

static void add(const reference *r, double *x, const double *y) {
    for (uint32_t i = 0; i < r->w->sizes.width; i++) {
        x[i] = rounded(r, x[i] + y[i]);
    }
}

/* `work` has room for 9 widths and a context. */
static void run_layer(reference *r, uint32_t layer, double *x, reference_cache_fn cache, void *user, double *work) {
    const trunk_desc *s = &r->w->sizes;
    const uint32_t width = s->width, dim = width / s->heads;
    double *h = work, *qkv = h + width, *y = qkv + 3 * width, *inner = y + width, *scores = inner + 4 * width;
    double *k = r->k + (size_t)layer * s->context * width, *v = r->v + (size_t)layer * s->context * width;
    norm(r, layer, "norm1.weight", "norm1.bias", x, h);
    linear(r, named(r, layer, "self_attn.in_proj_weight"), named(r, layer, "self_attn.in_proj_bias"), h, width,
           3 * width, qkv);
    cache(user, layer, r->length, qkv + width, qkv + 2 * width);
    memcpy(k + (size_t)r->length * width, qkv + width, width * sizeof *k);
    memcpy(v + (size_t)r->length * width, qkv + 2 * width, width * sizeof *v);
    for (uint32_t i = 0; i < s->heads; i++) {
        attend(r, qkv + i * dim, k + i * dim, v + i * dim, r->length + 1, dim, scores, h + i * dim);
    }
    linear(r, named(r, layer, "self_attn.out_proj.weight"), named(r, layer, "self_attn.out_proj.bias"), h, width, width,
           y);
    add(r, x, y);
    norm(r, layer, "norm2.weight", "norm2.bias", x, h);
    linear(r, named(r, layer, "linear1.weight"), named(r, layer, "linear1.bias"), h, width, 4 * width, inner);
    for (uint32_t i = 0; i < 4 * width; i++) {
        inner[i] = rounded(r, inner[i] * (1 + erf(inner[i] / sqrt(2))) / 2);
    }
    linear(r, named(r, layer, "linear2.weight"), named(r, layer, "linear2.bias"), inner, 4 * width, width, y);
    add(r, x, y);
}

void reference_step(reference *r, int32_t token, reference_cache_fn cache, void *user, double *logits) {
    const trunk_desc *s = &r->w->sizes;
    double *x = allocate(s->width, sizeof *x), *work = allocate((size_t)9 * s->width + s->context, sizeof *work);
    const float *of_token = named(r, OF_MODEL, "tokens.weight") + (size_t)token * s->width;
    const float *of_position = named(r, OF_MODEL, "positions.weight") + (size_t)r->length * s->width;
    for (uint32_t i = 0; i < s->width; i++) {
        x[i] = rounded(r, (double)of_token[i] + (double)of_position[i]);
    }
    for (uint32_t i = 0; i < s->layers; i++) {
        run_layer(r, i, x, cache, user, work);
    }
    norm(r, OF_MODEL, "norm.weight", "norm.bias", x, work);
    linear(r, named(r, OF_MODEL, "head.weight"), NULL, work, s->width, s->classes, logits);
    r->length++;
    free(work);
    free(x);
}
