/* Compares what generate computes with its definition in float64, on the device that there is:
 *
 *   generate-compare WEIGHTS TOKENS
 *
 * For each type of caches it writes TOKENS tokens, always the likeliest, and compares all logits, keys and values, by
 * max|out - reference| <= 2 max|naive - reference| + 1e-5, in which naive is the definition with sums in f32. A token
 * must be the reference's, or have a logit that is within that of its largest. Then the same text is written by trees
 * of guesses, whose logits must have the same bits. Exit status: 0: all is as it should be; 1: it is not.
 * SPDX-License-Identifier: MIT */
#include "common/program.h"
#include "gpt/draft.h"
#include "gpt/write.h"
#include "generate/reference.h"
#include "training/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char program_name[] = "generate-compare";

enum { NODES = 8 };

/* The largest differences from float64. */
typedef struct differences {
    double naive, out;
} differences;

typedef struct comparison {
    weights w;
    vka_device *device;
    decoder_desc desc;
    decoder *decoder;
    reference exact, naive;
    uint32_t count;
    int32_t *tokens; /* [count + 1]: the first one is given                                          */
    float *logits;   /* [count, classes]                                                             */
    double *k, *v;   /* [layers, width] each: of a token, exact                                      */
    differences logit, cached;
    double furthest; /* below the largest exact logit is that of a token that was taken              */
} comparison;

static double bound(differences d) {
    return 2 * d.naive + 1e-5;
}

static void note(double *most, double value) {
    *most = value <= *most ? *most : value; /* NaN stays */
}

/* ---- keys and values ----------------------------------------------------------------------------------------- */

/* What rounding to the caches' type may change in a number of a head of which `most` is the largest: half a step; in
 * q8_0 a step is rounded to f16, too. */
static double half_step(vka_dtype type, double x, double most) {
    return type == VKA_F32   ? fabs(x) * 0x1p-24
           : type == VKA_F16 ? fabs(x) * 0x1p-11 + 0x1p-25
                             : most / 254 * (1 + 0x1p-10) + most * 0x1p-11;
}

static void compare_row(comparison *c, const double *exact, const float *out) {
    const uint32_t width = c->w.sizes.width, dim = width / c->w.sizes.heads;
    for (uint32_t first = 0; first < width; first += dim) {
        double most = 0;
        for (uint32_t i = first; i < first + dim; i++) {
            most = fmax(most, fabs(exact[i]));
        }
        for (uint32_t i = first; i < first + dim; i++) {
            note(&c->cached.out, fabs((double)out[i] - exact[i]) - half_step(c->desc.cache, exact[i], most));
        }
    }
}

/* Of the exact reference, which comes first. */
static void take_cache(void *user, uint32_t layer, uint32_t position, double *k, double *v) {
    comparison *c = user;
    const uint32_t width = c->w.sizes.width;
    double *const exact[] = {c->k + (size_t)layer * width, c->v + (size_t)layer * width}, *const own[] = {k, v};
    float *out = allocate((size_t)2 * width, sizeof *out);
    decoder_cached(c->decoder, layer, position, out, out + width);
    for (int part = 0; part < 2; part++) {
        memcpy(exact[part], own[part], width * sizeof *k);
        compare_row(c, exact[part], out + part * width);
        for (uint32_t i = 0; i < width; i++) {
            own[part][i] = (double)out[part * width + i];
        }
    }
    free(out);
}

static void take_cache_naive(void *user, uint32_t layer, uint32_t position, double *k, double *v) {
    comparison *c = user;
    const uint32_t width = c->w.sizes.width;
    for (uint32_t i = 0; i < width; i++) {
        note(&c->cached.naive, fabs(k[i] - c->k[(size_t)layer * width + i]));
        note(&c->cached.naive, fabs(v[i] - c->v[(size_t)layer * width + i]));
    }
    const size_t at = ((size_t)layer * c->w.sizes.context + position) * width;
    memcpy(k, c->exact.k + at, width * sizeof *k);
    memcpy(v, c->exact.v + at, width * sizeof *v);
}

/* ---- token by token ------------------------------------------------------------------------------------------ */

static void step_references(comparison *c, int32_t token, double *exact, double *naive) {
    reference_step(&c->exact, token, take_cache, c, exact);
    reference_step(&c->naive, token, take_cache_naive, c, naive);
}

static void compare_logits(comparison *c, const double *exact, const double *naive, const float *out, int32_t token) {
    double most = exact[0];
    for (uint32_t i = 0; i < c->w.sizes.classes; i++) {
        note(&c->logit.naive, fabs(naive[i] - exact[i]));
        note(&c->logit.out, fabs((double)out[i] - exact[i]));
        most = fmax(most, exact[i]);
    }
    note(&c->furthest, token < 0 ? NAN : most - exact[token]);
}

static void refill(comparison *c, uint32_t known) {
    const uint32_t tokens = refill_count(c->w.sizes.context);
    double *unused = allocate(c->w.sizes.classes, sizeof *unused);
    decoder_fill(c->decoder, c->tokens + known - tokens, tokens);
    c->exact.length = c->naive.length = 0;
    for (uint32_t i = known - tokens; i + 1 < known; i++) {
        step_references(c, c->tokens[i], unused, unused);
    }
    free(unused);
}

static void compare_steps(comparison *c) {
    const uint32_t classes = c->w.sizes.classes;
    double *exact = allocate(classes, sizeof *exact), *naive = allocate(classes, sizeof *naive);
    decoder_fill(c->decoder, c->tokens, 1);
    for (uint32_t i = 0; i < c->count; i++) {
        float *logits = c->logits + (size_t)i * classes;
        if (decoder_length(c->decoder) == c->w.sizes.context) {
            refill(c, i + 1);
        }
        decoder_step(c->decoder);
        decoder_read(c->decoder, i, 1, &c->tokens[i + 1]);
        decoder_logits(c->decoder, 1, logits);
        step_references(c, c->tokens[i], exact, naive);
        compare_logits(c, exact, naive, logits, c->tokens[i + 1]);
    }
    free(exact);
    free(naive);
}

/* ---- by trees ------------------------------------------------------------------------------------------------ */

/* A tree of any shape, of which some nodes are what comes next. */
static token_tree random_tree(const comparison *c, random_state *r, uint32_t at, uint32_t depth) {
    bool right[DECODER_MAX_NODES] = {true};
    token_tree t = {.count = 1, .token = {c->tokens[at]}};
    for (uint32_t i = 1 + random_below(r, 2); i < c->desc.nodes; i++) {
        const uint32_t n = t.count, parent = random_below(r, n);
        if (t.depth[parent] < depth) {
            t.parent[n] = parent;
            t.depth[n] = t.depth[parent] + 1;
            right[n] = right[parent] && random_below(r, 3);
            t.token[n] = right[n] ? c->tokens[at + t.depth[n]] : (int32_t)random_below(r, c->w.sizes.classes);
            t.count++;
        }
    }
    return t;
}

/* Of the nodes on the path that became text: as many as have other bits than token by token. */
static uint32_t compare_nodes(const comparison *c, const token_tree *t, uint32_t at, uint32_t more,
                              const int32_t *tokens) {
    const uint32_t classes = c->w.sizes.classes;
    float *logits = allocate((size_t)c->desc.nodes * classes, sizeof *logits);
    uint32_t wrong = 0;
    decoder_logits(c->decoder, c->desc.nodes, logits);
    for (uint32_t i = 0, node = 0; i < more; node = token_tree_child(t, node, tokens[i++])) {
        bool same = memcmp(logits + (size_t)node * classes, c->logits + (size_t)(at + i) * classes,
                           classes * sizeof *logits) == 0;
        wrong += !same || tokens[i] != c->tokens[at + i + 1];
    }
    free(logits);
    return wrong;
}

/* Returns how many tokens have other bits. */
static uint32_t compare_trees(comparison *c, uint32_t seed, uint32_t *steps) {
    const uint32_t context = c->w.sizes.context;
    random_state r = random_seed(seed, "trees");
    int32_t tokens[DECODER_MAX_NODES];
    uint32_t wrong = 0;
    decoder_fill(c->decoder, c->tokens, 1);
    for (uint32_t at = 0, more; at < c->count; at += more, ++*steps) {
        if (decoder_length(c->decoder) == context) {
            const uint32_t n = refill_count(context);
            decoder_fill(c->decoder, c->tokens + at + 1 - n, n);
        }
        const uint32_t room = context - 1 - decoder_length(c->decoder), rest = c->count - at - 1;
        const token_tree t = random_tree(c, &r, at, room < rest ? room : rest);
        more = decoder_verify(c->decoder, &t, at, tokens);
        wrong += compare_nodes(c, &t, at, more, tokens);
    }
    return wrong;
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

static void open_comparison(comparison *c, const char *path, uint32_t count) {
    c->w = weights_open(path);
    c->count = count;
    c->tokens = allocate((size_t)count + 1, sizeof *c->tokens);
    c->logits = allocate((size_t)count * c->w.sizes.classes, sizeof *c->logits);
    c->k = allocate((size_t)c->w.sizes.layers * c->w.sizes.width, sizeof *c->k);
    c->v = allocate((size_t)c->w.sizes.layers * c->w.sizes.width, sizeof *c->v);
    c->exact = reference_create(&c->w, false);
    c->naive = reference_create(&c->w, true);
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &c->device));
    weights_upload(&c->w, c->device);
}

static void close_comparison(comparison *c) {
    reference_free(&c->exact);
    reference_free(&c->naive);
    weights_free(&c->w);
    vka_device_destroy(&c->device);
    free(c->tokens);
    free(c->logits);
    free(c->k);
    free(c->v);
}

static bool compare(comparison *c, vka_dtype cache, const char *name, uint32_t seed) {
    uint32_t steps = 0;
    if (c->w.sizes.width / c->w.sizes.heads % vka_dtype_block(cache)) {
        printf("skipped: %s: heads have not a multiple of %" PRIu32 " channels\n", name, vka_dtype_block(cache));
        return true;
    }
    c->logit = c->cached = (differences){0};
    c->furthest = 0;
    c->exact.length = c->naive.length = 0;
    c->desc = (decoder_desc){
        .sizes = c->w.sizes, .find = weights_find, .user = &c->w, .cache = cache, .nodes = NODES, .count = c->count};
    c->decoder = decoder_create(c->device, &c->desc);
    compare_steps(c);
    const uint32_t wrong = compare_trees(c, seed, &steps);
    decoder_destroy(&c->decoder);
    const bool ok = c->logit.out <= bound(c->logit) && c->cached.out <= bound(c->cached) &&
                    c->furthest <= 2 * bound(c->logit) && wrong == 0;
    printf(
        "%s: %s: logits off by %.2g, naive ones by %.2g; keys and values by %.2g beyond rounding, naive ones by %.2g;"
        " %" PRIu32 " tokens, %.2g below the largest logit at most; in %" PRIu32 " steps of trees (seed %" PRIu32
        ") %" PRIu32 " with other bits\n",
        ok ? "ok" : "WRONG", name, c->logit.out, c->logit.naive, fmax(c->cached.out, 0), c->cached.naive, c->count,
        c->furthest, steps, seed, wrong);
    return ok;
}

int main(int argc, char **argv) {
    const uint32_t count = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    if (count < 1 || count > 1000000) {
        fail("usage: generate-compare WEIGHTS TOKENS");
    }
    static comparison c;
    open_comparison(&c, argv[1], count);
    const bool f32 = compare(&c, VKA_F32, "f32", 1), f16 = compare(&c, VKA_F16, "f16", 2);
    const bool q8_0 = compare(&c, VKA_Q8_0, "q8_0", 3);
    close_comparison(&c);
    return f32 && f16 && q8_0 ? 0 : 1;
}
