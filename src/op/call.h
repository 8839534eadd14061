/* The steps of checking a call, for op/ alone.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_CALL_H
#define VKA_CALL_H

#include "op/check.h"
#include "op/op.h"

vka__check vka__call_checker(const vka__call *call);
/* "key: value" lines; none where there is nothing to do. */
void vka__call_explain(const vka__call *call, vka__text *text);

/* shape.c */
vka_status vka__call_match_shapes(vka__call *call);
/* numbers.c: reads and checks them. */
vka_status vka__call_check_numbers(vka__call *call);
/* memory.c: outputs that overlap themselves or other tensors. */
vka_status vka__call_check_memory(const vka__call *call);
/* That the description names; NULL: the operation has none. */
const vka_workspace *vka__call_workspace(const vka__call *call);
/* For a planned call: the workspace that the description names. */
vka_status vka__call_check_workspace(const vka__call *call);

#endif
