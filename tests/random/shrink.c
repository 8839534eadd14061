/* Makes a case that fails smaller: takes away one thing at a time, and keeps what still fails.
 * SPDX-License-Identifier: MIT */
#include "random.h"

#include <string.h>

/* Options, off; and sizes, smaller. What changes nothing is no step. */
#define REDUCTIONS(X)                                                                                                  \
    X(a->scores = VKA_DTYPE_INVALID)                                                                                   \
    X(a->stats = false)                                                                                                \
    X(a->no_lse = false)                                                                                               \
    X(a->selection = VKA_SELECTION_SOFTMAX)                                                                            \
    X(a->dropout = 0)                                                                                                  \
    X(a->sinks = false)                                                                                                \
    X(r->compares_hidden = false)                                                                                      \
    X(a->huge_sinks = false)                                                                                           \
    X(a->huge_slopes = false)                                                                                          \
    X(a->lowest_biases = false)                                                                                        \
    X(a->whole_numbers = false)                                                                                        \
    X(a->score = NULL)                                                                                                 \
    X(a->softcap = 0)                                                                                                  \
    X(a->mask = VKA_DTYPE_INVALID)                                                                                     \
    X(a->alibi = false)                                                                                                \
    X(a->cosine = false)                                                                                               \
    X(a->relative_keys_len = 0)                                                                                        \
    X(a->no_content_bias = true)                                                                                       \
    X(a->no_position_bias = true)                                                                                      \
    X(a->relative_keys_dtype = VKA_F32)                                                                                \
    X(a->bias_dtype = VKA_F32)                                                                                         \
    X(a->relative_keys_shared = false)                                                                                 \
    X(a->relative_keys_len = a->relative_keys_len ? 1 : 0)                                                             \
    X(r->candidate = 0)                                                                                                \
    X(a->relative_width = 0)                                                                                           \
    X(a->relative_len = 0)                                                                                             \
    X(a->causal = false)                                                                                               \
    X(a->window = (vka_window){0})                                                                                     \
    X(a->diagonal = VKA_DIAGONAL_BOTTOM_RIGHT)                                                                         \
    X(a->page_size = 0)                                                                                                \
    X(a->pattern_seed = 0)                                                                                             \
    X(a->pattern_heads = false)                                                                                        \
    X(a->permutation_len = 0)                                                                                          \
    X(a->k_shared = false)                                                                                             \
    X(a->v_shared = false)                                                                                             \
    X(a->q_list = (attention_list){0})                                                                                 \
    X(a->kv_list = (attention_list){0})                                                                                \
    X(a->max_q_len = 0)                                                                                                \
    X(a->max_kv_len = 0)                                                                                               \
    X(a->q_list.wild = false)                                                                                          \
    X(a->kv_list.wild = false)                                                                                         \
    X(a->wild_pages = false)                                                                                           \
    X(a->poison_hidden = false)                                                                                        \
    X(a->layout = (layout){0})                                                                                         \
    X(a->layout.pad = 0)                                                                                               \
    X(a->layout.shift = 0)                                                                                             \
    X(a->scale = 0)                                                                                                    \
    X(a->out_dtype = VKA_DTYPE_INVALID)                                                                                \
    X(a->v_dtype = VKA_DTYPE_INVALID)                                                                                  \
    X(a->k_dtype = VKA_DTYPE_INVALID)                                                                                  \
    X(a->dtype = VKA_F32)                                                                                              \
    X(a->mask_content = MASK_NOTHING)                                                                                  \
    X(a->mask_broadcast = 0)                                                                                           \
    X(a->mask_rank = 4)                                                                                                \
    X(a->relative_masks = false)                                                                                       \
    X(a->relative_len = a->relative_len ? 1 : 0)                                                                       \
    X(a->q_list.tensor = false)                                                                                        \
    X(a->kv_list.tensor = false)                                                                                       \
    X(a->dequantise = VKA_DEQUANTISE_AUTO)                                                                             \
    X(a->batch_invariant = false)                                                                                      \
    X(a->random_seed = 0)                                                                                              \
    X(a->random_offset = 0)                                                                                            \
    X(a->batch = 1)                                                                                                    \
    X(a->q_heads = a->kv_heads)                                                                                        \
    X(a->q_heads = a->kv_heads = 1)                                                                                    \
    X(a->q_len = 1)                                                                                                    \
    X(a->q_len = (a->q_len + 1) / 2)                                                                                   \
    X(a->q_len = a->q_len > 1 ? a->q_len - 1 : 1)                                                                      \
    X(a->kv_len = a->kv_len ? 1 : 0)                                                                                   \
    X(a->kv_len = (a->kv_len + 1) / 2)                                                                                 \
    X(a->kv_len = a->kv_len > 1 ? a->kv_len - 1 : a->kv_len)                                                           \
    X(a->batch = a->batch > 1 ? a->batch - 1 : 1)                                                                      \
    X(a->head_dim = a->value_dim = 8)                                                                                  \
    X(a->head_dim = a->value_dim = 1)                                                                                  \
    X(r->splits = 0)                                                                                                   \
    X(r->splits = r->splits > 2 ? 2 : r->splits)                                                                       \
    X(r->seed = 1)

static random_case reduced(const random_case *from, int step) {
    random_case result = *from, *r = &result;
    attention_case *a = &r->a;
    int n = 0;
#define X(change)                                                                                                      \
    if (n++ == step) {                                                                                                 \
        change;                                                                                                        \
    }
    REDUCTIONS(X)
#undef X
    random_make_legal(r);
    return result;
}

#define X(change) +1
enum { STEPS = 0 REDUCTIONS(X) };
#undef X

/* A new pipeline a step may take seconds: enough of them is enough. */
#define MOST_TRIES 200

void random_shrink(context *c, random_case *r, char *why, size_t size) {
    int tries = 0;
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (int step = 0; step < STEPS && tries < MOST_TRIES; step++) {
            random_case next = reduced(r, step);
            char next_why[2048];
            if (!memcmp(&next, r, sizeof next)) {
                continue;
            }
            tries++;
            if (!random_try(c, &next, next_why, sizeof next_why)) {
                *r = next;
                strncpy(why, next_why, size - 1);
                why[size - 1] = 0;
                smaller = true;
            }
        }
    }
}
