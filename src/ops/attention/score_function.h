/* A caller's function of scores: checks, and its kernels. SPDX-License-Identifier: MIT */
#ifndef VKA_SCORE_FUNCTION_H
#define VKA_SCORE_FUNCTION_H

#include "op/op.h"
#include "ops/attention/plan.h"

/* Its part of vka__attention_check, for a problem that has everything else. */
vka_status vka__attention_check_score(vka__call *call, vka__attention_problem *problem);

/* Was the problem's function compiled into a kernel? True where there is no function. */
bool vka__has_score_kernel(const vka__attention_problem *problem, uint32_t kernel);
/* Lets the pipeline have the function's code, if there is a function. */
void vka__take_score_kernel(const vka__attention_problem *problem, vka__pipeline_key *key);
/* Types of its tensors, as VKA_SPEC_SCORE_TYPES. */
uint32_t vka__score_types(const vka__attention_problem *problem);
/* Its name, in a line of its own; nothing without a function. */
void vka__say_score_function(const vka__attention_problem *problem, vka__text *text);
void vka__fill_score_params(const vka__attention_problem *problem, vka_attention_params *params);

#endif
