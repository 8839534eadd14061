/* Rotary position embedding by its definition, one row at a time (RoPE, Su 2021).
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

/* The channels of a pair. */
static void channels(const ref_rope *r, uint32_t pair, uint32_t *first, uint32_t *second) {
    *first = r->interleaved ? 2 * pair : pair;
    *second = r->interleaved ? 2 * pair + 1 : pair + r->dims / 2;
}

static void factors(const ref_rope *r, const ref_rope_row *row, uint32_t pair, double *c, double *s) {
    double angle = (double)row->position * r->frequency_scale * pow(r->theta, -2.0 * pair / r->dims);
    *c = row->cos ? (double)row->cos[pair] : cos(angle);
    *s = row->cos ? (double)row->sin[pair] : sin(angle);
    *s = r->inverse ? -*s : *s;
}

void ref_rope_rotate(const ref_rope *r, const ref_rope_row *row, double *out) {
    for (uint32_t i = 0; i < r->cols; i++) {
        out[i] = (double)row->x[i];
    }
    for (uint32_t pair = 0; pair < r->dims / 2; pair++) {
        uint32_t i, j;
        double c, s;
        channels(r, pair, &i, &j);
        factors(r, row, pair, &c, &s);
        out[i] = c * (double)row->x[i] - s * (double)row->x[j];
        out[j] = s * (double)row->x[i] + c * (double)row->x[j];
    }
}

void ref_rope_naive_rotate(const ref_rope *r, const ref_rope_row *row, vka_dtype dtype, float *out) {
    for (uint32_t i = 0; i < r->cols; i++) {
        out[i] = ref_round(dtype, row->x[i]);
    }
    for (uint32_t pair = 0; pair < r->dims / 2; pair++) {
        uint32_t i, j;
        double c, s;
        channels(r, pair, &i, &j);
        factors(r, row, pair, &c, &s);
        out[i] = ref_round(dtype, (float)c * row->x[i] - (float)s * row->x[j]);
        out[j] = ref_round(dtype, (float)s * row->x[i] + (float)c * row->x[j]);
    }
}
