/* What merges and their gradients share.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_MERGE_H
#define VKA_MERGE_H

#include "op/op.h"
#include "params/merge.h"

/* Where invocations run side by side, enough of them share a row that each has one vector of it, so that neighbours
 * read neighbouring channels. Software drivers like long rows and no barriers. Returns the rows of a workgroup. */
static inline uint32_t vka__merge_group(const vka__call *c, uint32_t cols, uint32_t *group) {
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    uint32_t team = 1;
    *group = vka__group_size(c->caps, cpu ? 8 : 128);
    while (!cpu && team < *group && team < vka__div_up(cols, 4))
        team *= 2;
    return *group / team;
}

#endif
