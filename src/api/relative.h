/* What operations that write rows of relative biases check alike.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_API_RELATIVE_H
#define VKA_API_RELATIVE_H

#include "api/check.h"

/* Distances up to here are exact in float32. */
#define VKA__MAX_DISTANCE (1 << 24)

/* `out` is f32 [heads, L], apart from the input. */
vka_status vka__check_relative_out(const vka__check *c, const vka_tensor *out, uint32_t heads, const char *input_field,
                                   const vka_tensor *input, const vka__view *input_view, vka__view *view);
/* relative_zero lies in a row of out. */
vka_status vka__check_relative_zero(const vka__check *c, uint32_t zero, const vka_tensor *out);

#endif
