/* Problems of attention to plan for: plain ones, and ones with everything drawn at random.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_PLAN_PROBLEM_H
#define VKATTN_TEST_PLAN_PROBLEM_H

#include <vkattn/attention.h>

#include "ops/attention/plan.h"
#include "plan_view.h"

/* Dense tensors of one batch entry and one type, no options. Values are as wide as keys, or as wide as they can be. */
vka__attention_problem plain(vka_dtype dtype, uint32_t heads, uint32_t kv, uint32_t nq, uint32_t nk, uint32_t d);

/* Some options, or none but what its types need. */
vka__attention_problem random_attention(ref_rng *rng, bool options);

#endif
