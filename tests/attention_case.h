/* One attention problem, with inputs, reference and outputs.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_ATTENTION_CASE_H
#define VKATTN_TEST_ATTENTION_CASE_H

#include <vkattn/attention.h>

#include "support/context.h"
#include "support/tensor.h"

/* Zero: f32, one batch, one head, one query, one key, 64 dimensions, dense. */
typedef struct attention_case {
    vka_dtype dtype;
    uint32_t batch, q_heads, kv_heads, q_len, kv_len, head_dim, value_dim;
    bool no_keys; /* kv_len is really 0 */
    float scale;
    bool causal;
    vka_diagonal diagonal;
    int32_t offset;
    vka_window window;
    layout layout;      /* of q, k, v and out */
    bool poison_hidden; /* keys and values that no query sees are NaN and infinite */
} attention_case;

typedef struct attention_problem {
    context *c;
    attention_case a;
    uint64_t seed;
    ref_attention ref;
    tensor q, k, v, out, lse;
    double *ref_out, *ref_lse;
    float *naive_out, *naive_lse;
} attention_problem;

/* Random inputs, uploaded, and the reference. */
attention_problem attention_make(context *c, attention_case a, uint64_t seed);
/* After a change to the values of q, k or v: uploads them and computes the reference anew. */
void attention_update(attention_problem *p);
void attention_destroy(attention_problem *p);

/* The description, without path, splits and workspace. */
vka_attention_desc attention_desc(const attention_problem *p);

/* Runs it with poisoned outputs and workspace, and asserts the accuracy rule for out and lse, and that nothing else
 * was written. Every element is compared. */
void attention_run(attention_problem *p, vka_attention_path path, uint32_t splits);

/* Can the device run it by this path? Says why not on stderr. */
bool attention_can(attention_problem *p, vka_attention_path path);

/* attention_run by every path that the device can run it by. */
void attention_run_paths(attention_problem *p, uint32_t splits);

#define LAST_PATH VKA_PATH_COOPMAT2

/* Asserts on what `out` and `lse` hold after a run of the caller's own. `how` is for the message. */
void attention_compare(attention_problem *p, const char *how);

/* make, attention_run_paths, destroy. */
void attention_on_paths(context *c, attention_case a);

#endif
