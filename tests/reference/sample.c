/* A token of a row of logits: what float64 draws, and what f32 may draw as well.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

#define EPS 0x1p-24

/* Kept by float64; and where a bound is within rounding: kept whatever arithmetic there is, kept by some. */
enum { KEPT = 1, CERTAIN = 2, POSSIBLE = 4 };

typedef struct row {
    float *x;    /* with the penalty               */
    double *arg; /* (x - maximum) / temperature    */
    uint32_t *order;
    uint8_t *state;
    uint32_t live; /* that may be drawn but for filters: the first of the order */
    bool nan;
} row;

static bool has_penalty(const ref_sampling *s) {
    return s->penalty > 1 || s->penalty < 1;
}

/* Of a temperature of 0, by which nothing is divided, 1: the largest is the largest. */
static double temperature_of(const ref_sampling *s) {
    return s->temperature > 0 ? s->temperature : 1;
}

static void free_row(row *r) {
    free(r->x);
    free(r->arg);
    free(r->order);
    free(r->state);
}

static bool make_row(const ref_sampling *s, row *r) {
    size_t n = s->cols;
    *r = (row){malloc(n * sizeof *r->x), calloc(n, sizeof *r->arg), malloc(n * sizeof *r->order), calloc(n, 1), 0, 0};
    return r->x && r->arg && r->order && r->state;
}

static void penalise(const ref_sampling *s, row *r) {
    for (uint32_t i = 0; i < s->cols; i++) {
        r->x[i] = s->logits[i];
        r->nan = r->nan || isnan(r->x[i]);
    }
    for (uint32_t i = 0; i < s->history_count && has_penalty(s); i++) {
        int32_t id = s->history[i];
        if (id >= 0 && (uint32_t)id < s->cols) { /* from the logits, or what occurs twice would be penalised twice */
            float x = s->logits[id];
            r->x[id] = x > 0 ? x / s->penalty : x * s->penalty;
        }
    }
}

/* By how much f32 may be off in a difference in units of the temperature. */
static double arg_error(const ref_sampling *s, const row *r, uint32_t id) {
    double rounding = has_penalty(s) && isfinite(r->x[id]) ? 6 * EPS * fabs((double)r->x[id]) / temperature_of(s) : 0;
    return isfinite(r->arg[id]) ? 4 * EPS * fabs(r->arg[id]) + rounding : 0;
}

static void find_args(const ref_sampling *s, row *r) {
    double maximum = (double)r->x[r->order[0]];
    for (uint32_t i = 0; i < s->cols; i++) {
        double x = (double)r->x[i];
        r->arg[i] = x == maximum ? 0 : maximum == INFINITY ? -INFINITY : (x - maximum) / temperature_of(s);
    }
    while (r->live < s->cols && r->x[r->order[r->live]] > -INFINITY) {
        r->live++;
    }
}

/* Top-k, then top-p. */
static void keep_first(const ref_sampling *s, row *r) {
    uint32_t count = s->top_k < r->live ? s->top_k : r->live;
    double total = 0, off = 0, before = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = r->order[i];
        double w = exp(r->arg[id]);
        total += w;
        off += 2 * w * ((8 + 4 * fabs(r->arg[id])) * EPS + arg_error(s, r, id)) + 0x1p-38;
    }
    double slack = off / total + EPS;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = r->order[i];
        double share = before / total;
        bool all = s->top_p >= 1 || !i;
        r->state[id] = (all || share < s->top_p ? KEPT : 0) | (all || share < s->top_p - slack ? CERTAIN : 0) |
                       (all || share < s->top_p + slack ? POSSIBLE : 0);
        before += exp(r->arg[id]);
    }
}

static void keep_probable(const ref_sampling *s, row *r) {
    double least = log(s->min_p), slack = 8 * EPS * fabs(least);
    for (uint32_t id = 0; id < s->cols && s->min_p > 0; id++) {
        double off = slack + arg_error(s, r, id);
        off = r->arg[id] == 0 ? 0 : off; /* the largest */
        r->state[id] &= (uint8_t)((r->arg[id] >= least ? KEPT : 0) | (r->arg[id] >= least + off ? CERTAIN : 0) |
                                  (r->arg[id] >= least - off ? POSSIBLE : 0));
    }
}

/* False: out of memory. No id is kept where there is none to draw. */
static bool analyse(const ref_sampling *s, row *r) {
    if (!make_row(s, r)) {
        return false;
    }
    penalise(s, r);
    if (!ref_order(r->x, s->cols, r->order)) {
        return false;
    }
    if (!r->nan && r->x[r->order[0]] > -INFINITY) {
        find_args(s, r);
        keep_first(s, r);
        keep_probable(s, r);
    }
    return true;
}

/* The noise of an id, and what logarithms that are as bad as Vulkan allows may make of it. */
static double noise_of(const ref_sampling *s, uint32_t id, double *error) {
    uint32_t words[4];
    ref_philox((uint32_t[]){id / 4, s->row, 0, s->draw}, (uint32_t[]){(uint32_t)s->seed, (uint32_t)(s->seed >> 32)},
               words);
    double u = (words[id % 4] + 0.5) * 0x1p-32, e = words[id % 4] >> 31 ? -log1p(-(1 - u)) : -log(u);
    double of_e = u > 0.5 && u < 0.9375 ? 0x1p-21 / e + 4 * EPS : 8 * EPS;
    *error = of_e + (e > 0.49 && e < 2.01 ? 0x1p-21 : 4 * EPS * fabs(log(e)));
    return -log(e);
}

/* What the draw compares, and by how much f32 may be off in that. */
static double score_of(const ref_sampling *s, const row *r, uint32_t id, double *error) {
    *error = arg_error(s, r, id);
    if (s->temperature <= 0) {
        *error = has_penalty(s) ? *error : 0;
        return r->arg[id];
    }
    double of_noise, noise = noise_of(s, id, &of_noise);
    *error += of_noise + 2 * EPS * (fabs(r->arg[id]) + fabs(noise));
    return r->arg[id] + noise;
}

bool ref_sample(const ref_sampling *s, int32_t *choice, bool *possible) {
    row r;
    double *high = malloc(s->cols * sizeof *high), best = -INFINITY, least = -INFINITY;
    bool ok = analyse(s, &r) && high;
    *choice = -1;
    for (uint32_t id = 0; ok && id < s->cols; id++) {
        double off = 0, score = r.state[id] ? score_of(s, &r, id, &off) : -INFINITY;
        high[id] = score + off;
        least = r.state[id] & CERTAIN ? fmax(least, score - off) : least;
        if (r.state[id] & KEPT && (*choice < 0 || score > best)) {
            best = score;
            *choice = (int32_t)id;
        }
    }
    bool exact = s->temperature <= 0 && !has_penalty(s);
    for (uint32_t id = 0; ok && id < s->cols; id++) {
        possible[id] = exact ? (int32_t)id == *choice : r.state[id] & POSSIBLE && high[id] >= least;
    }
    free(high);
    free_row(&r);
    return ok;
}

bool ref_sample_probabilities(const ref_sampling *s, double *probability) {
    row r;
    double total = 0;
    bool ok = analyse(s, &r);
    for (int pass = 0; pass < 2 && ok; pass++) {
        for (uint32_t id = 0; id < s->cols; id++) {
            bool kept = s->temperature > 0 ? r.state[id] & KEPT : id == r.order[0];
            double w = kept ? exp(r.arg[id]) : 0;
            total += pass ? 0 : w;
            probability[id] = total > 0 ? w / total : 0;
        }
    }
    free_row(&r);
    return ok;
}
