/* What vka_softmax and its gradient share: lengths of rows.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_SOFTMAX_H
#define VKA_SOFTMAX_H

#include <vkattn/softmax.h>

#include "op/op.h"
#include "params/softmax.h"

/* L: the first dimension of tensor `rows`, if it is not the last. */
void vka__softmax_bind_lengths(vka__call *call, uint32_t rows);
vka_status vka__softmax_check(vka__call *call, uint32_t rows, uint32_t lengths);
/* The stride of lengths stands where the rows' first dimension is, of at most three. */
vka_strides vka__softmax_length_strides(const vka__call *call, uint32_t rows, uint32_t lengths);

#endif
