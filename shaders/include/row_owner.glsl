// Who owns a row. With VKA_LANE = 1 an invocation does, for software drivers: no barriers, no shared memory. Otherwise a
// workgroup, for GPUs: neighbours read neighbouring columns; or a subgroup of its own, BR rows one after the other, for
// software drivers whose lanes load together. Invocation t owns the vectors of four columns t, t + GROUP_SIZE, .., of which
// it may keep COLS in registers; 0: rows are read again for each pass. Expects VKA_SUBGROUP and VKA_PARTS, the type of what
// group_sum adds.
// SPDX-License-Identifier: MIT

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

#if VKA_LANE

const uint COLS = 0u;

VKA_PARTS group_sum(VKA_PARTS value) {
    return value;
}

uint vector(uint i) {
    return i;
}

#define VKA_EACH_ROW(do_row)                                                                                           \
    uint number = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex;                                     \
    if (number < push.rows)                                                                                            \
        do_row(find_row(number));

#else

layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_COLS) const uint COLS = 0u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 1u;

#include "group_reduction.glsl"

uint vector(uint i) {
    return i * GROUP_SIZE + gl_LocalInvocationIndex;
}

#define VKA_EACH_ROW(do_row)                                                                                           \
    uint first = gl_WorkGroupID.x * BR;                                                                                \
    [[dont_unroll]] for (uint i = 0u; i < BR && (i == 0u || first + i < push.rows); ++i)                               \
        do_row(find_row(first + i));

#endif

const uint KEPT = COLS > 0u ? COLS : 1u;
