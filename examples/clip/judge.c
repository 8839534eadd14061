/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include "common/program.h"
#include "training/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

judged *judged_create(const scenes *s, uint32_t size) {
    judged *j = allocate(1, sizeof *j);
    random_state r = random_seed(1, "to judge by");
    j->size = size;
    j->images = allocate((size_t)MEANINGS * size, sizeof(float));
    j->texts = allocate((size_t)MEANINGS * size, sizeof(float));
    for (uint32_t i = 0; i < MEANINGS; i++) {
        scenes_draw(s, &r, true, i, &j->scenes[i]);
        j->captions[i] = caption_of(i, random_below(&r, CAPTION_KINDS));
    }
    return j;
}

void judged_free(judged *j) {
    free(j->images);
    free(j->texts);
    free(j);
}

static uint32_t part(uint32_t first, uint32_t all, uint32_t batch) {
    return all - first < batch ? all - first : batch;
}

void judged_embed(judged *j, model *m, vka_recorder *evaluation) {
    const size_t row = j->size * sizeof(float);
    for (uint32_t first = 0, count; first < MEANINGS; first += count) {
        count = part(first, MEANINGS, m->desc.batch);
        for (uint32_t i = 0; i < count; i++) {
            model_set_picture(m, i, &j->scenes[first + i]);
            model_set_caption(m, i, &j->captions[first + i]);
        }
        training_submit(evaluation, m->image.embedding);
        memcpy(j->images + (size_t)first * j->size, vka_buffer_map(m->image.embedding), count * row);
        memcpy(j->texts + (size_t)first * j->size, vka_buffer_map(m->text.embedding), count * row);
    }
}

void judged_embed_captions(const caption *captions, uint32_t all, model *m, vka_recorder *evaluation, float *texts) {
    const size_t size = m->desc.embedding;
    for (uint32_t first = 0, count; first < all; first += count) {
        count = part(first, all, m->desc.batch);
        for (uint32_t i = 0; i < count; i++) {
            model_set_caption(m, i, &captions[first + i]);
        }
        training_submit(evaluation, m->text.embedding);
        memcpy(texts + first * size, vka_buffer_map(m->text.embedding), count * size * sizeof(float));
    }
}

double judged_cosine(const float *x, const float *y, uint32_t size) {
    double product = 0, xx = 0, yy = 0;
    for (uint32_t i = 0; i < size; i++) {
        product += (double)x[i] * (double)y[i];
        xx += (double)x[i] * (double)x[i];
        yy += (double)y[i] * (double)y[i];
    }
    return product / sqrt(xx * yy);
}

/* Of two meanings, wherever they lie. */
static bool same_digits(uint32_t x, uint32_t y) {
    const bool pairs = x < MEANING_PAIRS && y < MEANING_PAIRS, singles = x >= MEANING_PAIRS && y >= MEANING_PAIRS;
    const uint32_t x1 = x / 10 % 10, x2 = x % 10, y1 = y / 10 % 10, y2 = y % 10;
    return (singles && x2 == y2) || (pairs && ((x1 == y1 && x2 == y2) || (x1 == y2 && x2 == y1)));
}

/* From each x to its own y among all; returns the mean loss. */
static double judge_way(const judged *j, const float *x, const float *y, double factor, double *right,
                        double *digits_right) {
    double loss = 0;
    uint32_t found = 0, found_digits = 0;
    for (uint32_t i = 0; i < MEANINGS; i++) {
        const float *of = x + (size_t)i * j->size;
        const double own = factor * judged_cosine(of, y + (size_t)i * j->size, j->size);
        double sum = 0, most = own;
        uint32_t best = i;
        for (uint32_t k = 0; k < MEANINGS; k++) {
            const double other = factor * judged_cosine(of, y + (size_t)k * j->size, j->size);
            sum += exp(other - own);
            if (k != i && other >= most) {
                most = other;
                best = k;
            }
        }
        loss += log(sum) / MEANINGS;
        found += best == i;
        found_digits += same_digits(i, best);
    }
    *right = (double)found / MEANINGS;
    *digits_right = (double)found_digits / MEANINGS;
    return loss;
}

judgement judge(const judged *j, double factor) {
    judgement r;
    r.loss = judge_way(j, j->images, j->texts, factor, &r.captions, &r.caption_digits) / 2;
    r.loss += judge_way(j, j->texts, j->images, factor, &r.pictures, &r.picture_digits) / 2;
    return r;
}

void judged_best(const judged *j, const float *x, const float *of, uint32_t count, uint32_t *best) {
    double cosines[MEANINGS];
    for (size_t i = 0; i < MEANINGS; i++) {
        cosines[i] = judged_cosine(x, of + i * j->size, j->size);
    }
    for (uint32_t n = 0; n < count; n++) {
        best[n] = 0;
        for (uint32_t i = 1; i < MEANINGS; i++) {
            best[n] = cosines[i] > cosines[best[n]] ? i : best[n];
        }
        cosines[best[n]] = -2;
    }
}
