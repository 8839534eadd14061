/* What holds for every plan of attention.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_PLAN_CHECK_ATTENTION_H
#define VKATTN_TEST_PLAN_CHECK_ATTENTION_H

#include <vkattn/attention.h>

#include "attention_paths.h"
#include "ops/attention/plan.h"
#include "plan_check.h"

/* Every dispatch keeps to the device's limits and sees its tensors, and together they do each slice's grid once. */
void check_dispatches(const device *d, const vka__attention_problem *p, const vka__attention_plan *plan);

/* The same of the device's own plan, which it may refuse only for a path that was asked for, or for a single head that
 * no binding can see. */
void check_attention(const device *d, const vka__attention_problem *p);

#endif
