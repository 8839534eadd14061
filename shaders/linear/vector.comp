#version 450
// A linear layer of few rows: a matrix times vectors, whose time is that of reading the weights once.
//
// Tiling: a workgroup owns BC outputs of BR rows of x. Its TC invocations share the columns: each takes RM times eight of
// every weight row at a step, neighbours neighbouring ones, and keeps BR * BC sums, which are added up at the end in an order
// that never changes. Rows of x come from the cache: BC rows of weights share each element.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif
#include "elements.glsl"
#include "linear.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 32u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 1u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 4u;
layout(constant_id = VKA_SPEC_RM) const uint RM = 2u; // eights of a step
layout(constant_id = VKA_SPEC_TC) const uint TC = 32u;

const uint SUMS = BR * BC;

float sums[SUMS];

#if VKA_SUBGROUP
// Room for subgroups of any width from four on.
shared float parts[(TC + 3u) / 4u * SUMS];

void share_sums() {
    [[unroll]] for (uint i = 0u; i < SUMS; ++i) {
        float sum = subgroupAdd(sums[i]);
        if (subgroupElect())
            parts[gl_SubgroupID * SUMS + i] = sum;
    }
}
#define PARTS gl_NumSubgroups
#else
shared float parts[TC * SUMS];

void share_sums() {
    [[unroll]] for (uint i = 0u; i < SUMS; ++i) parts[gl_LocalInvocationIndex * SUMS + i] = sums[i];
}
#define PARTS TC
#endif

float whole_sum(uint i) {
    float sum = 0.0;
    for (uint part = 0u; part < PARTS; ++part)
        sum += parts[part * SUMS + i];
    return sum;
}

uint weight_rows[BC], x_rows[BR];

// Adds the products of eight columns, of all rows of x.
void multiply(uint c, Eight w[BC]) {
    [[unroll]] for (uint r = 0u; r < BR; ++r) {
        Eight x = x_eight(x_rows[r], c);
        [[unroll]] for (uint n = 0u; n < BC; ++n)
            sums[r * BC + n] = dot_add(x.b, w[n].b, dot_add(x.a, w[n].a, sums[r * BC + n]));
    }
}

// Four eights are a block: its words are read once, where eights for themselves would each read the scale and words that
// they share.
void multiply_blocks(uint first, uint end) {
    [[dont_unroll]] for (uint c = first + 4u * gl_LocalInvocationIndex; c < end; c += 4u * TC) {
        Block blocks[BC];
        [[unroll]] for (uint n = 0u; n < BC; ++n) blocks[n] = weight_block(weight_rows[n] + 8u * c);
        [[unroll]] for (uint e = 0u; e < 4u; ++e) {
            Eight w[BC];
            [[unroll]] for (uint n = 0u; n < BC; ++n) w[n] = eight_of_block(blocks[n], e);
            multiply(c + e, w);
        }
    }
}

// Eights of a row that this invocation takes at a step. Of halves of bytes, eight bytes have those of elements that are
// sixteen apart.
uint place_of(uint i, uint e) {
    uint t = i * TC + gl_LocalInvocationIndex;
    if (WEIGHT_TYPE == VKA_TYPE_Q4_0 && RM == 2u)
        return (t >> 1) * 4u + (t & 1u) + 2u * e;
    if (WEIGHT_TYPE == VKA_TYPE_Q8_0)
        return RM * t + e;
    return (RM * i + e) * TC + gl_LocalInvocationIndex;
}

void multiply_eights(uint first, uint end) {
    uint steps = (end - min(first, end) + RM * TC - 1u) / (RM * TC);
    for (uint i = 0u; i < steps; ++i) {
        Eight w[RM][BC];
        bool exists[RM];
        [[unroll]] for (uint e = 0u; e < RM; ++e) {
            uint c = first + place_of(i, e);
            exists[e] = c < end;
            if (exists[e])
                [[unroll]] for (uint n = 0u; n < BC; ++n) w[e][n] = weight_eight(weight_rows[n], c);
        }
        [[unroll]] for (uint e = 0u; e < RM; ++e) if (exists[e]) multiply(first + place_of(i, e), w[e]);
    }
}

void main() {
    Batch b = find_batch();
    uint n0 = gl_WorkGroupID.x * BC, row0 = gl_WorkGroupID.y * BR;
    [[unroll]] for (uint i = 0u; i < SUMS; ++i) sums[i] = 0.0;
    [[unroll]] for (uint n = 0u; n < BC; ++n) weight_rows[n] = b.weight + min(n0 + n, push.dim1 - 1u) * p.weight.n;
    [[unroll]] for (uint r = 0u; r < BR; ++r) x_rows[r] = b.x + min(row0 + r, push.rows - 1u) * p.x.n;
    if (QUANTISED && RM == 4u)
        multiply_blocks(b.begin / 8u, (b.end + 7u) / 8u);
    else
        multiply_eights(b.begin / 8u, (b.end + 7u) / 8u);
    share_sums();
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < SUMS / 4u; i += TC) {
        vec4 y = vec4(whole_sum(4u * i), whole_sum(4u * i + 1u), whole_sum(4u * i + 2u), whole_sum(4u * i + 3u));
        put_sums(b, row0 + i / (BC / 4u), n0 / 4u + i % (BC / 4u), y);
    }
}
