/* Checks of vka_attention. SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_CHECK_H
#define VKA_ATTENTION_CHECK_H

#include <vkattn/attention.h>

#include "op/op.h"
#include "ops/attention/dequantise.h"
#include "ops/attention/plan.h"
#include "ops/pattern/object.h"

/* The tensors. */
enum {
    VKA__ATTENTION_Q,
    VKA__ATTENTION_K,
    VKA__ATTENTION_V,
    VKA__ATTENTION_OUT,
    VKA__ATTENTION_LSE,
    VKA__ATTENTION_MASK,
    VKA__ATTENTION_ALIBI,
    VKA__ATTENTION_RELATIVE,
    VKA__ATTENTION_SINKS,
    VKA__ATTENTION_PAGES,
    VKA__ATTENTION_K_SCALE,
    VKA__ATTENTION_V_SCALE,
    VKA__ATTENTION_STATS,
    VKA__ATTENTION_SCORES,
    VKA__ATTENTION_PERMUTATION,
    VKA__ATTENTION_COSINE_SCALE,
    VKA__ATTENTION_RELATIVE_KEYS,
    VKA__ATTENTION_CONTENT_BIAS,
    VKA__ATTENTION_POSITION_BIAS,
    VKA__ATTENTION_KEY_LISTS,
    VKA__ATTENTION_RANDOM_STEP,
    VKA__ATTENTION_SCORE_TENSOR, /* four of them */
    VKA__ATTENTION_Q_LENGTHS = VKA__ATTENTION_SCORE_TENSOR + VKA_SCORE_TENSORS,
    VKA__ATTENTION_Q_OFFSETS,
    VKA__ATTENTION_KV_LENGTHS,
    VKA__ATTENTION_KV_OFFSETS,
    VKA__ATTENTION_MAP,
    VKA__ATTENTION_ARGS
};

typedef struct vka__attention_state {
    vka__attention_problem problem;
    vka__attention_plan plan;
    vka__dequantise dequantise;
} vka__attention_state;

/* These are for every operation whose description has a vka_attention_desc, and whose state begins with a problem. */
static inline const vka_attention_desc *vka__attention_desc_of(const vka__call *call) {
    return (const vka_attention_desc *)(const void *)(call->desc + call->op->within_at);
}
/* Lengths, batches and letters of shapes. */
vka_status vka__attention_sizes_of(vka__call *call);
/* Fills in everything of the problem but its tuning, or fails with a named error. */
vka_status vka__attention_check(vka__call *call);

/* check_pattern.c: its part of that, for a problem that has everything else. */
vka_status vka__attention_check_pattern(vka__call *call, vka__attention_problem *problem);

#endif
