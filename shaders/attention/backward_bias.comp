#version 450
// Gradients of tensors that are added to scores: of a mask, VKA_RELATIVE = 0, or of relative biases, VKA_RELATIVE = 1. Each of
// their elements gets the sum over all pairs that it was added to.
//
// A workgroup owns an element, whose pairs its TC invocations take turns at, or each of its RM invocations one (TC = 1).
// Products are computed from memory: nothing that is as large as all pairs is ever kept.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#define VKA_WITH_OPTIONS 1
#define VKA_BACKWARD 1
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"
#include "attention_backward.glsl"
#include "backward_pair.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

#if VKA_RELATIVE
#define SIZE b.relative_size
#define STRIDES b.d_relative
#else
#define SIZE b.mask_size
#define STRIDES b.d_mask
#endif

VKA_OUTPUT(VKA_BIND_GRAD + VKA_OPTION_BIND, grad)
VKA_WRITERS(grad, TYPE_OF(VKA_ROLE_GRAD))

#define VKA_SUBGROUP 0
#define VKA_PARTS float
#include "group_reduction.glsl"

uint sharers_of(uint size, uint all) {
    return size > 1u ? 1u : all;
}

#if VKA_RELATIVE
// Keys begin .. end-1 of a query may have the element in a column of the table; in tables of a grid, all.
ivec2 keys_of(Grid g, uint query, int column) {
    if (has(VKA_FLAG_GRID_BIAS))
        return ivec2(0, g.kv_len);
    int key = int(query) + g.diagonal + column - p.relative_zero;
    return clamp(ivec2(column == 0 ? 0 : key, column == p.relative_last ? g.kv_len : key + 1), ivec2(0), ivec2(g.kv_len));
}

// The sum of invocation `t` of TC for element (head, row, column).
float sum_of(uvec4 element, uint t) {
    uint heads = sharers_of(SIZE.h, b.out_heads);
    ivec2 place = ivec2(element.wz);
    float sum = 0.0;
    for (uint i = 0u; i < heads * b.sequences; ++i) {
        Grid g = sequence_of(element.y + i % heads, i / heads);
        for (uint query = t; query < g.q_len; query += TC) {
            Row r = row_of(g, query);
            ivec2 keys = keys_of(g, query, int(element.w));
            for (int key = keys.x; key < keys.y; ++key)
                if (relative_place(r, key, key - int(query) - g.diagonal) == place)
                    sum += memory_pair(g, query, key).score;
        }
    }
    return sum;
}
#else
// Of element (batch, head, query, key), each of which may stand for all.
float sum_of(uvec4 element, uint t) {
    uint batches = sharers_of(SIZE.b, b.sequences), heads = sharers_of(SIZE.h, b.out_heads);
    uint queries = sharers_of(SIZE.n, p.q_len), keys = sharers_of(SIZE.d, p.kv_len);
    float sum = 0.0;
    for (uint i = 0u; i < batches * heads; ++i) {
        Grid g = sequence_of(element.y + i % heads, element.x + i / heads);
        for (uint j = t; j < queries * keys; j += TC)
            sum += memory_pair(g, element.z + j / keys, int(element.w + j % keys)).score;
    }
    return sum;
}
#endif

void main() {
    uint t = gl_LocalInvocationIndex % TC, columns = SIZE.d, rows = SIZE.n;
    uint at = (gl_WorkGroupID.x + push.x0) * RM + gl_LocalInvocationIndex / TC;
    bool mine = at < columns * rows;
    uvec4 element = uvec4(gl_WorkGroupID.z + push.z0, gl_WorkGroupID.y + push.y0, at / columns, at % columns);
    float sum = mine ? sum_of(element, t) : 0.0;
    if (TC > 1u)
        sum = group_sum(sum);
    if (t == 0u && mine)
        grad_put(push.base[VKA_BIND_GRAD + VKA_OPTION_BIND] + element.x * STRIDES.b + element.y * STRIDES.h +
                     element.z * STRIDES.n + element.w * STRIDES.d,
                 sum);
}
