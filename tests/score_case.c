/* SPDX-License-Identifier: MIT */
#include "score_case.h"

#include <math.h>
#include <stdlib.h>

#include "attention_case.h"
#include "borders.h"
#include "borders_tile.h"
#include "lattice.h"

static double clamped(const tensor *t, const int64_t *at, uint32_t rank) {
    size_t index = 0;
    for (uint32_t i = 0; i < rank; i++) {
        int64_t last = (int64_t)t->view.shape[i] - 1;
        index = index * t->view.shape[i] + (size_t)(at[i] < 0 ? 0 : at[i] > last ? last : at[i]);
    }
    return (double)t->values[index];
}
#define AT(t, ...) clamped(t, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* ---- borders ------------------------------------------------------------------------------------------------------
 */

static void make_borders(context *c, const attention_case *a, ref_rng *rng, tensor inputs[]) {
    uint32_t tokens = a->q_len > a->kv_len ? a->q_len : a->kv_len, shape[2] = {a->batch, tokens ? tokens : 1};
    inputs[0] = tensor_create(c, VKA_F32, 1, &a->q_heads, (layout){.shift = a->layout.shift});
    inputs[1] = tensor_create(c, VKA_I32, 2, shape, (layout){NULL, a->layout.pad, a->layout.shift});
    for (size_t i = 0; i < inputs[0].count; i++) {
        inputs[0].values[i] = ref_rng_uniform(rng, 0.1f, 0.9f);
    }
    for (size_t i = 0, document = 0; i < inputs[1].count; i++) {
        document = i % shape[1] == 0 ? 0 : document + (ref_rng_below(rng, 6) == 0);
        inputs[1].values[i] = (float)document;
    }
}

static double borders_twin(const void *user, double score, const ref_pair *at) {
    const tensor *inputs = user;
    double between = AT(&inputs[1], at->batch, at->position) - AT(&inputs[1], at->batch, at->key);
    return score - AT(&inputs[0], at->head) * fabs(between);
}

const score_case score_borders = {&borders, "borders", {0}, make_borders, borders_twin};
const score_case score_borders_tile = {&borders_tile, "borders of tile", {0}, make_borders, borders_twin};

/* ---- lattice ------------------------------------------------------------------------------------------------------
 */

static void make_lattice(context *c, const attention_case *a, ref_rng *rng, tensor inputs[]) {
    const layout l = {NULL, a->layout.pad, a->layout.shift};
    inputs[0] = tensor_create(c, VKA_F16, 2, (uint32_t[]){a->q_heads, 7}, l);
    inputs[1] = tensor_create(c, VKA_BF16, 4, (uint32_t[]){a->batch, a->kv_heads, 1, 5}, l);
    inputs[2] = tensor_create(c, VKA_U8, 1, (uint32_t[]){11}, (layout){.shift = a->layout.shift});
    inputs[3] = tensor_create(c, VKA_I32, 1, (uint32_t[]){6}, (layout){.shift = a->layout.shift});
    tensor_fill_normal(&inputs[0], rng, 0, 1);
    tensor_fill_normal(&inputs[1], rng, 0, 1);
    for (size_t i = 0; i < 11; i++) {
        inputs[2].values[i] = ref_rng_below(rng, 4) ? (float)(1 + ref_rng_below(rng, 255)) : 0;
    }
    for (size_t i = 0; i < 6; i++) {
        inputs[3].values[i] = (float)ref_rng_below(rng, 7);
    }
}

static bool lattice_hides(const tensor *inputs, const ref_pair *at) {
    return AT(&inputs[2], at->key % 11) == 0 ||
           (at->query + at->key + at->head) % 7 == (int64_t)AT(&inputs[3], at->query % 6) ||
           (at->query % 4 == 1 && at->key % 3 == 0);
}

static double lattice_twin(const void *user, double score, const ref_pair *at) {
    const tensor *inputs = user;
    if (lattice_hides(inputs, at)) {
        return -INFINITY;
    }
    const float *c = score_lattice.constants;
    double near = AT(&inputs[0], at->head, at->key - at->position + 3);
    double far = AT(&inputs[1], at->batch, at->key_head, 0, at->key % 5);
    double place = (double)c[1] * (double)(at->keys - at->key) + (double)c[2] * (double)(at->queries - at->query);
    return (double)c[0] * score + near * far + place;
}

const score_case score_lattice = {&lattice, "lattice", {0.75f, 0.03125f, -0.0625f, 0}, make_lattice, lattice_twin};
