/* What operations that write rows of relative biases share.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_RELATIVE_H
#define VKA_RELATIVE_H

#include <vkattn/relative.h>

#include "op/op.h"
#include "params/relative.h"

/* Distances up to here are exact in float32. */
#define VKA__MAX_DISTANCE (1 << 24)

/* Tensors of both: the input, what is written, and T5's edges of buckets. */
enum { VKA__RELATIVE_IN, VKA__RELATIVE_OUT, VKA__RELATIVE_EDGES };

/* `zero` lies in a row of out. */
vka_status vka__relative_check_zero(const vka__call *call, uint32_t zero);

/* The state of both begins with the grid, an element of out for each invocation. */
typedef struct vka__relative_grid {
    vka__grid grid;
} vka__relative_grid;

/* Plans the dispatches of a kernel; false with a refusal. */
bool vka__relative_plan(vka__call *call, vka__kernel kernel);
/* The same of one with a workgroup for each of `columns` by `rows` sums, which may be added to what is there. */
bool vka__relative_plan_sums(vka__call *call, vka__kernel kernel, uint32_t columns, uint32_t rows, bool add);
void vka__relative_dispatch(const vka__call *call, uint64_t index, vka__dispatch *out);

/* ---- T5 -------------------------------------------------------------------------------------------------------- */

#define VKA_MAX_T5_BUCKETS 1024

/* What forward and backward check and compute alike. `edges` is argument number `arg` and has room for all buckets but
 * one; `table` and `biases` are [buckets, Hq] and [Hq, L]. */
vka_status vka__t5_check(const vka__call *call, bool bidirectional, uint32_t zero, double max_distance);
void vka__t5_fill(vka__call *call, bool bidirectional, uint32_t zero, double max_distance, uint32_t table,
                  uint32_t biases, uint32_t arg, int32_t *edges);

/* Buckets of one direction that hold a single distance. */
uint32_t vka__t5_exact(uint32_t buckets, bool bidirectional);
/* Writes where buckets 1, 2, .. of one direction begin, and returns how many there are. max_distance is above
 * vka__t5_exact, which is not 0. */
uint32_t vka__t5_edges(uint32_t buckets, bool bidirectional, uint32_t max_distance, int32_t *edges);

#endif
