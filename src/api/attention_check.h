/* Checks of vka_attention. SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_CHECK_H
#define VKA_ATTENTION_CHECK_H

#include <vkattn/attention.h>

#include "api/check.h"

/* Fills in everything of a zeroed problem but its tuning, or fails with a named error. */
vka_status vka__check_attention(const vka__check *c, const vka_attention_desc *desc, vka__attention_problem *problem);

/* attention_pattern.c: its part of that, for a problem that has everything else. */
vka_status vka__check_pattern(const vka__check *c, const vka_attention_desc *desc, vka__attention_problem *problem);

/* The caller's workspace, for a checked description. */
vka_status vka__check_attention_workspace(const vka__check *c, const vka_attention_desc *desc,
                                          const vka__attention_problem *problem, uint64_t bytes);

/* Buffers and host values of a checked description, by binding. */
void vka__attention_buffers(const vka_attention_desc *desc, vka__operation *operation);

#endif
