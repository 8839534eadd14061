/* Hashing by random rotations, and sorting by hashes (Andoni 2015; Reformer, Kitaev 2020).
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <float.h>
#include <math.h>

/* Entry i of [p, -p], p = x R, of the first or the second hash; and the error that f32 sums may have: whatever they
 * round to and however they are ordered (Higham 2002, 3.1), numbers that are taken for 0 included. */
static double entry(const ref_lsh *l, int hash, uint32_t i, double *error) {
    uint32_t columns = l->bucket_count[0] / 2 + l->bucket_count[1] / 2, half = l->bucket_count[hash] / 2;
    uint32_t column = i % half + (hash ? l->bucket_count[0] / 2 : 0);
    double sum = 0, magnitudes = 0, unit = (l->dim + 1) * (double)FLT_EPSILON;
    for (uint32_t d = 0; d < l->dim; d++) {
        double product = (double)l->x[d] * (double)l->rotation[d * columns + column];
        sum += product;
        magnitudes += fabs(product);
    }
    bool exact = magnitudes == 0 || !isfinite(sum);
    *error = exact ? 0 : unit / (1 - unit) * magnitudes + 2 * l->dim * (double)FLT_MIN;
    return i < half ? sum : -sum;
}

/* Which is the largest, NaN left out? The first of equals; 0 if all are NaN. */
static uint32_t exact(const ref_lsh *l, int hash) {
    double most = -INFINITY, error;
    uint32_t best = l->bucket_count[hash];
    for (uint32_t i = 0; i < l->bucket_count[hash]; i++) {
        double value = entry(l, hash, i, &error);
        if (value > most || (value == most && best == l->bucket_count[hash])) {
            most = value;
            best = i;
        }
    }
    return best == l->bucket_count[hash] ? 0 : best;
}

/* Can entry i be the largest, with errors? */
static bool possible(const ref_lsh *l, int hash, uint32_t i) {
    double error, other_error, value = entry(l, hash, i, &error);
    if (isnan(value)) {
        return i == exact(l, hash);
    }
    for (uint32_t j = 0; j < l->bucket_count[hash]; j++) {
        double other = entry(l, hash, j, &other_error);
        double high = value + error, low = other - other_error;
        if (j != i && (high < low || (high == low && j < i))) {
            return false;
        }
    }
    return true;
}

uint32_t ref_lsh_bucket(const ref_lsh *l) {
    return exact(l, 0) + (l->bucket_count[1] ? l->bucket_count[0] * exact(l, 1) : 0);
}

bool ref_lsh_possible(const ref_lsh *l, uint32_t bucket) {
    uint32_t first = bucket % l->bucket_count[0], second = bucket / l->bucket_count[0];
    if (!l->bucket_count[1]) {
        return second == 0 && possible(l, 0, first);
    }
    return second < l->bucket_count[1] && possible(l, 0, first) && possible(l, 1, second);
}

void ref_lsh_permutation(const int32_t *buckets, uint32_t tokens, uint32_t bucket_count, int32_t *permutation) {
    uint32_t slot = 0;
    for (int32_t bucket = 0; bucket < (int32_t)bucket_count; bucket++) {
        for (uint32_t n = 0; n < tokens; n++) {
            if (buckets[n] == bucket) {
                permutation[slot++] = (int32_t)n;
            }
        }
    }
    while (slot < tokens) {
        permutation[slot++] = -1;
    }
}

void ref_lsh_key(const float *x, uint32_t dim, double epsilon, double *key) {
    double square = 0;
    for (uint32_t d = 0; d < dim; d++) {
        square += (double)x[d] * (double)x[d];
    }
    for (uint32_t d = 0; d < dim; d++) {
        key[d] = (double)x[d] / sqrt(square + dim * epsilon);
    }
}

void ref_lsh_naive_key(const float *x, uint32_t dim, float epsilon, vka_dtype dtype, float *key) {
    float square = 0;
    for (uint32_t d = 0; d < dim; d++) {
        square += x[d] * x[d];
    }
    for (uint32_t d = 0; d < dim; d++) {
        key[d] = ref_round(dtype, x[d] / sqrtf(square + (float)dim * epsilon));
    }
}

float ref_lsh_rotation(uint64_t seed, uint64_t number) {
    const uint64_t draw = number / 4;
    const uint32_t counter[4] = {(uint32_t)draw, (uint32_t)(draw >> 32), 0, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t words[4];
    ref_philox(counter, key, words);
    const uint32_t first = words[number % 4 < 2 ? 0 : 2], second = words[number % 4 < 2 ? 1 : 3];
    double radius = sqrt(-2 * log((first + 0.5) / 4294967296.0));
    double angle = 2 * 3.14159265358979323846 * (second / 4294967296.0);
    return (float)(radius * (number % 2 == 0 ? cos(angle) : sin(angle)));
}
