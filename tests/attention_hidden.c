/* Does anything of keys and values that a row does not see reach its results?
 * SPDX-License-Identifier: MIT */
#include "attention_case.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Results of a run, dense; and which rows of keys and values hold something else in the next one. */
typedef struct hidden {
    attention_problem *p;
    float *out, *lse, *stats;
    bool *k, *v;
} hidden;

static float *copy(const tensor *t) {
    float *values = attention_must(malloc((t->count + 1) * sizeof *values));
    memcpy(values, t->values, t->count * sizeof *values);
    return values;
}

/* Half of the rows that one query of every head does not see, so that there is one to compare, and half of those that
 * belong to no sequence. */
static bool *choose_rows(const attention_problem *p, const tensor *t, ref_rng *rng) {
    size_t rows = t->count / t->view.shape[3];
    bool *chosen = attention_must(calloc(rows + 1, sizeof *chosen));
    uint32_t group = p->a.q_heads / p->a.kv_heads;
    ref_rng queries = ref_rng_seed(p->seed); /* the same for keys and values */
    for (size_t row = 0; row < rows; row++) {
        chosen[row] = ref_rng_below(rng, 2) == 0;
    }
    for (uint32_t b = 0; b < p->a.batch; b++) {
        for (uint32_t head = 0; head < p->a.kv_heads; head++) {
            uint32_t i = ref_rng_below(&queries, p->sequences.q_len[b] + 1);
            uint32_t q_head = head * group + ref_rng_below(&queries, group);
            for (uint32_t j = 0; j < p->sequences.kv_len[b]; j++) {
                bool seen = i < p->sequences.q_len[b] && ref_attention_visible(&p->ref, b, q_head, i, j);
                size_t row = attention_kv_row(p, t, b, head, j);
                chosen[row] = chosen[row] && !seen;
            }
        }
    }
    return chosen;
}

static void replace(tensor *t, tensor *scale, const bool *chosen, ref_rng *rng) {
    static const float numbers[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, NAN};
    uint32_t dim = t->view.shape[3];
    for (size_t row = 0; row < t->count / dim; row++) {
        float number = numbers[ref_rng_below(rng, sizeof numbers / sizeof *numbers)];
        for (uint32_t d = 0; d < dim && chosen[row] && !scale->count; d++) {
            t->values[row * dim + d] = number;
        }
        if (chosen[row] && scale->count) {
            scale->values[row] = number;
        }
    }
    tensor_upload(t);
    if (scale->count) {
        tensor_upload(scale);
    }
}

static void restore(tensor *t, float *values) {
    memcpy(t->values, values, t->count * sizeof *values);
    if (t->count) {
        tensor_upload(t);
    }
    free(values);
}

static bool sees_replaced(const hidden *h, uint32_t b, uint32_t head, uint32_t i) {
    const attention_problem *p = h->p;
    uint32_t kv_head = head / (p->a.q_heads / p->a.kv_heads);
    for (uint32_t j = 0; j < p->sequences.kv_len[b]; j++) {
        bool replaced =
            h->k[attention_kv_row(p, &p->k, b, kv_head, j)] || h->v[attention_kv_row(p, &p->v, b, kv_head, j)];
        if (replaced && ref_attention_visible(&p->ref, b, head, i, j)) {
            return true;
        }
    }
    return false;
}

static bool same(const tensor *t, const float *before, size_t row, size_t width) {
    return !t->count || !memcmp(t->values + row * width, before + row * width, width * sizeof *before);
}

static bool compare_row(const hidden *h, uint32_t b, uint32_t head, uint32_t i, char *why, size_t size) {
    const attention_problem *p = h->p;
    size_t row = attention_q_row(p, b, head, i);
    const char *differs = !same(&p->out, h->out, row, p->a.value_dim) ? "out"
                          : !same(&p->lse, h->lse, row, 1)            ? "lse"
                          : !same(&p->stats, h->stats, row, 2)        ? "stats"
                                                                      : NULL;
    if (!differs || !p->written[row] || sees_replaced(h, b, head, i)) {
        return true;
    }
    char text[1024];
    snprintf(why, size, "%s of batch %u head %u query %u depends on keys or values that it does not see; %s", differs,
             b, head, i, attention_describe(p, text, sizeof text));
    return false;
}

static bool compare(const hidden *h, char *why, size_t size) {
    const attention_problem *p = h->p;
    for (uint32_t b = 0; b < p->a.batch; b++) {
        for (uint32_t head = 0; head < p->a.q_heads; head++) {
            for (uint32_t i = 0; i < p->sequences.q_len[b]; i++) {
                if (!compare_row(h, b, head, i, why, size)) {
                    return false;
                }
            }
        }
    }
    return true;
}

static void download(attention_problem *p) {
    tensor *results[] = {&p->out, &p->lse, &p->stats};
    for (int i = 0; i < 3; i++) {
        if (results[i]->count) {
            tensor_download(results[i]);
        }
    }
}

bool attention_try_hidden(attention_problem *p, vka_attention_path path, uint32_t splits, char *why, size_t size) {
    if (!attention_record(p, path, splits, why, size)) {
        return false;
    }
    download(p);
    tensor *inputs[] = {&p->k, &p->v, &p->k_scale, &p->v_scale};
    float *kept[] = {copy(&p->k), copy(&p->v), copy(&p->k_scale), copy(&p->v_scale)};
    ref_rng rng = ref_rng_seed(p->seed ^ 0x68696464656e);
    hidden h = {p, copy(&p->out), copy(&p->lse), copy(&p->stats), NULL, NULL};
    h.k = choose_rows(p, &p->k, &rng);
    h.v = choose_rows(p, &p->v, &rng);
    replace(&p->k, &p->k_scale, h.k, &rng);
    replace(&p->v, &p->v_scale, h.v, &rng);
    bool ok = attention_record(p, path, splits, why, size);
    if (ok) {
        download(p);
        ok = compare(&h, why, size);
    }
    for (int i = 0; i < 4; i++) {
        restore(inputs[i], kept[i]);
    }
    free(h.out);
    free(h.lse);
    free(h.stats);
    free(h.k);
    free(h.v);
    return ok;
}
