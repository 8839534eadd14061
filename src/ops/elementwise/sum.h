/* Sums over dimensions: steps of operations.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_SUM_H
#define VKA_SUM_H

#include "op/op.h"
#include "params/sum.h"

/* out = [out +] the sum of x over the dimensions that are 1 in out alone: in one dispatch, or two with partial sums in
 * the workspace between them. */
typedef struct vka__sum {
    const char *field; /* of x, as refusals name it                                                       */
    const char *out_field;
    vka__view x, out;
    vka__view ids; /* optional: rows of x whose id is not below `table` don't count; [.., 1]             */
    uint32_t table;
    uint32_t copies; /* of x, so many elements apart, are summed over as well; 0: one. Not with ids      */
    uint32_t copy_stride;
    bool accumulate;
    bool empty;         /* nothing of x is read: out is a sum of no terms                                    */
    uint64_t workspace; /* where the partial sums lie                                                        */

    /* Planned: */
    uint64_t workspace_bytes; /* of them, 0: there are none */
    uint32_t parts, key, rows[3];
} vka__sum;

/* In how many parts sums of so many terms keep a device busy, by class, of which one has `invocations`. */
uint32_t vka__sum_choose_parts(const vka_device_caps *caps, uint64_t invocations, uint64_t sums, uint32_t terms);

/* Adds keys, one or two, and fills in as many parameter blocks. */
bool vka__sum_plan(vka__call *call, vka__sum *sum, vka_sum_params *first, vka_sum_params *second);
uint64_t vka__sum_dispatches(const vka__sum *sum);
/* But for which parameter block it is: the first for index 0, the second for 1. */
void vka__sum_dispatch(const vka__call *call, const vka__sum *sum, uint64_t index, vka__dispatch *out);

#endif
