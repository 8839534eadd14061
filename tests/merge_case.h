/* One merge of two attentions, with inputs, reference and outputs.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_MERGE_CASE_H
#define VKATTN_TEST_MERGE_CASE_H

#include <vkattn/merge.h>

#include "support/context.h"
#include "support/tensor.h"

/* Which part an output lies over. */
typedef enum over { OVER_NOTHING, OVER_A, OVER_B, OVERS } over;

/* Zero types: f32. */
typedef struct merge_case {
    uint32_t shape[4];
    vka_dtype a, b, out; /* 0: f32 */
    layout layout;       /* of a, b and out; padding and shift also of the others */
    over out_over, lse_over;
    bool no_lse;
    bool nonfinite; /* empty parts full of NaN, lse of +inf and NaN, parts that weigh nothing to the digits of f32 */
} merge_case;

/* The tensors of a merge. */
enum { A, B, OUT, A_LSE, B_LSE, LSE, MERGE_TENSORS };
extern const char *const merge_names[MERGE_TENSORS];

typedef struct merge_problem {
    context *c;
    merge_case m;
    size_t rows, cols;
    tensor t[MERGE_TENSORS];
    float *inputs[MERGE_TENSORS]; /* as uploaded: outputs may overwrite them */
} merge_problem;

/* Random inputs. */
merge_problem merge_make(context *c, merge_case m);
void merge_destroy(merge_problem *p);

vka_attention_merge_desc merge_desc(const merge_problem *p);

/* Uploads inputs, poisons outputs, runs, asserts the accuracy rule for every output and that inputs and guards are
 * unchanged. */
void merge_run(merge_problem *p);

/* make, run, destroy; where drivers compile for seconds, a share of the cases. */
void merge_on(context *c, merge_case m);

#endif
