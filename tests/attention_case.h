/* One attention problem, with inputs, reference and outputs.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_ATTENTION_CASE_H
#define VKATTN_TEST_ATTENTION_CASE_H

#include <vkattn/attention.h>

#include "attention_paths.h"
#include "pattern_case.h"
#include "score_case.h"
#include "support/context.h"
#include "support/tensor.h"

/* What an additive or boolean mask holds. */
typedef enum mask_content {
    MASK_RANDOM = 0, /* two in five pairs are masked, and every seventh row entirely */
    MASK_NOTHING,    /* masks no pair                                                */
    MASK_ALL,        /* masks every pair                                             */
    MASK_INFINITE,   /* additive: as random, and a few are +inf                      */
    MASK_NAN,        /* additive: as random, and a few are NaN                       */
    MASK_LOWEST,     /* additive: as random, with the type's lowest number as -inf   */
} mask_content;

/* Lengths or offsets of one side. */
typedef struct attention_list {
    enum { LIST_NONE = 0, LIST_LENGTHS, LIST_OFFSETS } kind;
    bool tensor;           /* not host values                                                        */
    bool wild;             /* some do not exist; lengths only                                        */
    const int32_t *values; /* NULL: drawn                                                            */
} attention_list;

/* Zero: f32, one batch, one head, one query, one key, 64 dimensions, dense, no option. */
typedef struct attention_case {
    vka_dtype dtype;
    vka_dtype k_dtype, v_dtype, out_dtype; /* 0: dtype; I8 has scales of its own */
    uint32_t batch;                        /* or sequences, with offsets                      */
    uint32_t q_heads, kv_heads;
    uint32_t q_len, kv_len; /* the tensors' own: with offsets, all sequences together         */
    uint32_t head_dim, value_dim;
    bool no_keys; /* kv_len is really 0 */
    float scale;
    float softcap;
    vka_dtype mask;          /* 0: none; u8 is boolean */
    uint32_t mask_rank;      /* 0: 4                                                   */
    uint32_t mask_broadcast; /* bit n: the size of dimension n of [B, Hq, Nq, Nk] is 1 */
    mask_content mask_content;
    bool alibi;
    uint32_t relative_len; /* 0: no relative bias */
    uint32_t relative_zero;
    uint32_t relative_width, relative_rows, relative_zero_row; /* 0: not of a grid */
    bool relative_shared;                                      /* one row for all heads              */
    bool relative_masks;                                       /* a few of its elements are -inf     */
    bool cosine;                /* some rows of q and k are zeros, or about as short as what counts as zero,   */
    bool cosine_long_rows;      /*   unless they are all long                                                  */
    uint32_t relative_keys_len; /* 0: no relative keys */
    uint32_t relative_keys_zero;
    vka_dtype relative_keys_dtype, bias_dtype; /* 0: dtype, f32 */
    bool relative_keys_shared;                 /* one head's for all          */
    bool no_content_bias, no_position_bias;
    bool sinks;
    bool huge_sinks;    /* some are the largest or the lowest float, or not far from it                 */
    bool huge_slopes;   /* of ALiBi: times 2^100                                                        */
    bool lowest_biases; /* relative ones: a few are the lowest float                                    */
    bool whole_numbers; /* q and k are integers, whose products are exact at any scale                  */
    bool causal;
    vka_diagonal diagonal;
    int32_t offset;
    vka_window window;
    attention_list q_list, kv_list;
    uint32_t max_q_len, max_kv_len;
    bool k_shared, v_shared;         /* a batch of 1 for all of q's       */
    bool values_are_keys;            /* v is the first channels of k, in its buffer */
    uint32_t page_size;              /* 0: not paged; kv_len is then rounded up to pages */
    bool wild_pages;                 /* some ids in the table do not exist */
    const vka_pattern_desc *pattern; /* NULL: none; lives as long as the problem                       */
    uint64_t pattern_seed;           /* not 0: a drawn one instead, with these tiles, or of each head  */
    uint32_t pattern_query_tile, pattern_key_tile;
    bool pattern_heads;
    uint32_t permutation_len; /* 0: no permutation; otherwise slots, of which those beyond all tokens are holes */
    bool permutation_batch, permutation_heads; /* one for each batch entry, for each head                       */
    uint32_t key_list_len;   /* 0: no lists of keys; otherwise slots, of which some hold no key, or one twice  */
    uint32_t key_list_heads; /* 0: of all; 1: of each key head; 2: of each query head                         */
    const score_case *score; /* a function of scores; NULL: none */
    vka_selection selection;
    float dropout;
    uint64_t random_seed;
    uint32_t random_offset;
    bool random_step; /* what is added to random_offset lies in a tensor, and is drawn */
    bool batch_invariant;
    vka_dequantise dequantise;
    bool no_lse;
    bool stats;
    vka_dtype scores; /* 0: none */
    vka_score_stage score_stage;
    vka_attention_tile tile; /* of the path that it is run by; zero: chosen */
    layout layout;           /* of q, k, v and out; the others' pad and shift */
    bool poison_hidden; /* keys and values that no query sees are NaN and infinite; biases of pairs that length,   */
                        /* causality or window exclude, and queries that no sequence has, are NaN                  */
} attention_case;

/* Where the sequences lie in the tensors, [batch] each. */
typedef struct attention_sequences {
    uint32_t *q_first, *q_len, *kv_first, *kv_len;
    int64_t *diagonal;
} attention_sequences;

/* The tensors of a problem. Those that the case has no use for have no buffer. */
#define ATTENTION_PRODUCT_INPUTS(X) X(cosine_scale) X(relative_keys) X(content_bias) X(position_bias)
#define ATTENTION_INPUTS(X)                                                                                            \
    X(q)                                                                                                               \
    X(k)                                                                                                               \
    X(v)                                                                                                               \
    X(mask)                                                                                                            \
    X(alibi_slopes)                                                                                                    \
    X(relative_bias) X(sinks) X(page_table) X(k_scale) X(v_scale) X(permutation) X(key_lists) X(random_step)
#define ATTENTION_OUTPUTS(X) X(out) X(lse) X(stats) X(scores)

/* What the accuracy rule is about. */
typedef enum attention_result {
    ATTENTION_OUT,
    ATTENTION_LSE,
    ATTENTION_MAX,
    ATTENTION_SUM,
    ATTENTION_SCORES,
    ATTENTION_RESULTS
} attention_result;

typedef struct attention_problem {
    context *c;
    attention_case a;
    uint64_t seed;
#define X(name) tensor name;
    ATTENTION_INPUTS(X)
    ATTENTION_PRODUCT_INPUTS(X)
    ATTENTION_OUTPUTS(X)
#undef X
    tensor q_list, kv_list;
    tensor *score;                 /* [VKA_SCORE_TENSORS]: what a function of scores reads */
    int32_t *q_values, *kv_values; /* of the lists; NULL: none */
    attention_sequences sequences;
    vka_pattern *pattern;
    vka_pattern_desc *drawn; /* what the case's seed gives */
    pattern_storage drawn_storage;
    int64_t *slots; /* see ref_attention; NULL: no permutation */
    int64_t *lists; /* likewise; NULL: none */
    uint32_t *listed;
    ref_attention ref; /* of what follows: the sequences, gathered from the tensors */
    float *ref_q, *ref_k, *ref_v, *ref_k_scale, *ref_v_scale;
    /* In the order of out and lse: rows that no sequence has are not written. */
    bool *written;
    double *ref_out, *ref_lse, *ref_max;
    float *naive_out, *naive_lse, *naive_max;
    double score_error; /* how far off a score may be that a selection goes by */
    ref_error *errors;  /* of several problems that are judged together, by the caller; NULL: of this one alone */
    bool inaccurate;    /* what the last judgement found wrong is the accuracy, and nothing else */
} attention_problem;

/* Random inputs, uploaded, and the reference. */
/* Queries are at positions below this, if sequences are as long as they may be. */
int64_t attention_positions(const attention_case *a);
attention_problem attention_make(context *c, attention_case a, uint64_t seed);
/* After a change to the values of inputs or lists: uploads them and computes the reference anew. */
void attention_update(attention_problem *p);
void attention_destroy(attention_problem *p);

/* Which case it is, in words: what is not as in a zero case. */
const char *attention_describe(const attention_problem *p, char *text, size_t size);

/* The description, without path, splits and workspace. */
vka_attention_desc attention_desc(const attention_problem *p);

/* Runs it with poisoned outputs and workspace, and tests the accuracy rule for all results, and that nothing else was
 * written. Every element is compared. False: `why` says what was wrong. */
bool attention_try(attention_problem *p, vka_attention_path path, uint32_t splits, char *why, size_t size);
/* Runs it likewise, and leaves the judgement to the caller: validation and calls must succeed, no result is looked at.
 */
bool attention_record(attention_problem *p, vka_attention_path path, uint32_t splits, char *why, size_t size);

/* Runs it, puts NaN, infinities and huge numbers into keys and values drawn at random, runs it again: rows that see
 * none of them must have the same bits in out, lse and stats. What the keys and values held comes back. False: see
 * `why`. */
bool attention_try_hidden(attention_problem *p, vka_attention_path path, uint32_t splits, char *why, size_t size);

/* attention_try, asserting. */
void attention_run(attention_problem *p, vka_attention_path path, uint32_t splits);

/* Can the device run it by this path? Says why not on stderr. */
bool attention_can(attention_problem *p, vka_attention_path path);

/* attention_run by every path that the device can run it by; where drivers compile for seconds, by one in turn. */
void attention_run_paths(attention_problem *p, uint32_t splits);

/* attention_run by the path that is chosen, with keys split as the plan says and in three; `in_turns`: one of both, by
 * the case's number. */
void attention_run_splits(attention_problem *p, bool in_turns, size_t number);

/* Judges what the outputs hold after a run of the caller's own. `how` is for the message. */
bool attention_judge(attention_problem *p, const char *how, char *why, size_t size);
/* attention_judge, asserting. */
void attention_compare(attention_problem *p, const char *how);

/* make, attention_run_paths, destroy. */
void attention_on_paths(context *c, attention_case a);

/* ---- between the harness's own files --------------------------------------------------------------------------- */

/* Draws, creates and fills inputs and lists. */
void attention_make_inputs(attention_problem *p, ref_rng *rng);
/* Where a sequence's row lies in q, out, lse and stats: (batch, head, row) as one number. */
size_t attention_q_row(const attention_problem *p, uint32_t b, uint32_t h, uint32_t i);
/* Likewise in k and k_scale, or v and v_scale. */
size_t attention_kv_row(const attention_problem *p, const tensor *t, uint32_t b, uint32_t kv_head, uint32_t j);
/* The reference's view: where the lists say that the sequences lie, and what they hold. After a change, again. */
void attention_gather(attention_problem *p);
/* Poisons what no query sees. Needs the reference's view. */
void attention_poison_hidden(attention_problem *p, ref_rng *rng);
void *attention_must(void *memory);

#endif
