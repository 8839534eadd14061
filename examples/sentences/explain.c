/* SPDX-License-Identifier: MIT */
#include "explain.h"

#include "common/program.h"
#include "encoder.h"
#include "gradients.h"
#include "lens/lens.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a lens points to. */
typedef struct kept {
    const char *pieces[2][MAX_TOKENS];
    gradients_result gradients[2];
    lens_attribution attributions[2];
    char of[2][256];
} kept;

static void name_pieces(const explanation *x, kept *k) {
    for (uint32_t s = 0; s < x->count; s++) {
        for (uint32_t i = 0; i < x->sentence[s].n; i++) {
            k->pieces[s][i] = x->words->pieces[x->sentence[s].ids[i]].bytes;
        }
    }
}

/* Probabilities of the first sentence, which is embedded once more: [layers, heads, n, n]. */
static float *attention_of(const explanation *x) {
    const explained *first = &x->sentence[0];
    const size_t layer = (size_t)x->weights->heads * first->n * first->n;
    float *probabilities = allocate(x->weights->layers * layer, sizeof *probabilities);
    float *embedding = allocate(x->weights->outputs, sizeof *embedding);
    int32_t offsets[] = {0, (int32_t)first->n};
    token_batch batch = {.ids = first->ids, .offsets = offsets, .sentences = 1};
    complaint why;
    encoder *e = encoder_create(x->device, x->weights, &(encoder_desc){first->n, 1, .attention = true}, &why);
    bool ok = e && encoder_run(e, &batch, embedding, &why);
    for (uint32_t i = 0; ok && i < x->weights->layers; i++) {
        ok = encoder_attention(e, i, 0, first->n, probabilities + i * layer, &why);
    }
    if (!ok) {
        fail("%s", why.text);
    }
    encoder_destroy(&e);
    free(embedding);
    return probabilities;
}

/* What pieces of sentence s add to its cosine with the other one. */
static void attribute(const explanation *x, uint32_t s, kept *k) {
    const explained *own = &x->sentence[s], *other = &x->sentence[1 - s];
    gradients_result *r = &k->gradients[s];
    complaint why;
    gradients_desc desc = {.ids = own->ids, .n = own->n, .toward = other->embedding, .steps = x->steps};
    if (!integrate_gradients(x->device, x->weights, &desc, r, &why)) {
        fail("%s", why.text);
    }
    double sum = 0, want = r->value - r->baseline;
    for (uint32_t i = 0; i < own->n; i++) {
        sum += (double)r->values[i];
    }
    printf("sentence %u: gradients add up to %.4f, of %.4f - %.4f: off by %.1e\n", s + 1, sum, r->value, r->baseline,
           fabs(sum - want));
    snprintf(k->of[s], sizeof k->of[s], "Cosine of sentence %u with sentence %u", s + 1, 2 - s);
    k->attributions[s] =
        (lens_attribution){.of = k->of[s], .tokens = k->pieces[s], .count = own->n, .values = r->values};
    k->attributions[s].value = r->value, k->attributions[s].baseline = r->baseline, k->attributions[s].steps = x->steps;
}

void explain(const explanation *x) {
    static kept k;
    const explained *first = &x->sentence[0];
    if (first->n == 0) {
        fail("the first sentence has no pieces to show");
    }
    name_pieces(x, &k);
    lens l = {.title = first->text, .queries = k.pieces[0], .keys = k.pieces[0], .n = first->n, .m = first->n};
    float *probabilities = attention_of(x);
    l.layers = x->weights->layers, l.heads = x->weights->heads, l.probabilities = probabilities;
    if (x->page && x->count == 2 && x->sentence[1].n) {
        attribute(x, 0, &k);
        attribute(x, 1, &k);
        l.attributions = k.attributions, l.attribution_count = 2;
    }
    if (x->page && !lens_write(&l, x->page)) {
        fail("%s: %s", x->page, strerror(errno));
    }
    if (x->sheet && !lens_write_png(&l, LENS_ALL_LAYERS, x->sheet)) {
        fail("%s: %s", x->sheet, strerror(errno));
    }
    free(probabilities);
}
