/* SPDX-License-Identifier: MIT */
#include "ops/relative/relative.h"

vka_status vka__relative_check_zero(const vka__call *c, uint32_t zero) {
    uint32_t columns = vka__call_letter(c, 'L');
    return zero < columns
               ? VKA_OK
               : vka__call_fail(c, VKA_INVALID, "relative_zero", "is %u, but out has %u columns", zero, columns);
}

static bool plan_grid(vka__call *c, vka__kernel kernel, uint32_t columns_each, uint32_t group, uint32_t columns,
                      uint32_t rows) {
    vka__grid *grid = &VKA__STATE(c, vka__relative_grid)->grid;
    if (!rows)
        return true;
    if (!vka__call_sees_whole(c))
        return false;
    vka__call_add_key(c, kernel, group);
    *grid = vka__grid_of(c->caps, vka__div_up(columns, columns_each), rows, 1);
    c->dispatches = vka__grid_chunks(grid);
    return true;
}

bool vka__relative_plan(vka__call *c, vka__kernel kernel) {
    const vka__view *out = &c->view[VKA__RELATIVE_OUT];
    uint32_t group = vka__min_u32(c->caps->type == VKA_DEVICE_CPU ? 8 : 64, c->caps->max_invocations);
    return plan_grid(c, kernel, group, group, out->shape[3], out->shape[2]);
}

bool vka__relative_plan_sums(vka__call *c, vka__kernel kernel, uint32_t columns, uint32_t rows, bool add) {
    if (!plan_grid(c, kernel, 1, vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 64), columns,
                   columns ? rows : 0))
        return false;
    if (c->dispatches)
        c->key[0].spec[VKA_SPEC_FLAGS] = add ? VKA_FLAG_ADD_SUMS : 0;
    return true;
}

void vka__relative_dispatch(const vka__call *c, uint64_t index, vka__dispatch *out) {
    const vka__relative_grid *state = (const vka__relative_grid *)(const void *)c->state;
    uint32_t first[3];
    vka__call_bind_whole(c, ~0u, out);
    vka__grid_chunk(&state->grid, index, first, out);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
}
