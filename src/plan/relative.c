/* What the plans of relative biases share.
 * SPDX-License-Identifier: MIT */
#include "plan/relative.h"

#include <string.h>

vka__relative_grid vka__relative_grid_of(const vka_device_caps *caps, vka__kernel kernel, const vka__view *out) {
    uint32_t group = vka__min_u32(caps->type == VKA_DEVICE_CPU ? 8 : 64, caps->max_invocations);
    vka__relative_grid g = {.key.kernel = kernel, .grid.groups = {vka__div_up(out->shape[3], group), out->shape[2], 1}};
    g.key.spec[VKA_SPEC_GROUP_SIZE] = group;
    memcpy(g.grid.limit, caps->max_groups, sizeof g.grid.limit);
    return g;
}

uint64_t vka__relative_dispatches(const vka__relative_grid *g) {
    return vka__grid_chunks(&g->grid);
}

void vka__relative_dispatch(const vka_device_caps *caps, const vka__relative_grid *g, const vka__view *biases,
                            uint64_t index, vka__dispatch *out) {
    memset(out, 0, sizeof *out);
    vka__bind_all(caps, biases, VKA_BIND_BIASES, 0, VKA__WRITE, out);
    uint32_t first[3];
    vka__grid_chunk(&g->grid, index, first, out->groups);
    out->key = g->key;
    out->push.x0 = first[0];
    out->push.y0 = first[1];
}
