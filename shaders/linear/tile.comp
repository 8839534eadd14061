#version 450
// A linear layer where a workgroup owns a tile of outputs and stages rows of x and of the weights in shared memory as
// floats.
//
// Tiling: BR rows of x by BC outputs, 16 columns a step. Invocation t has RM rows of group t / TC, and CN = BC / TC outputs
// side by side. The next step is on its way while one is multiplied. Rows of shared memory are padded by a vector against
// bank conflicts; those of weights are in an order in which neighbouring invocations read neighbouring ones.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "linear.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 32u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 32u;
layout(constant_id = VKA_SPEC_RM) const uint RM = 4u;
layout(constant_id = VKA_SPEC_TC) const uint TC = 8u;

const uint CN = BC / TC;
const uint STEP = 16u;
const uint EIGHTS = STEP / 8u;
const uint STRIDE = STEP / 4u + 1u;
const uint X_PARTS = (BR * EIGHTS + GROUP_SIZE - 1u) / GROUP_SIZE;
const uint WEIGHT_PARTS = (BC * EIGHTS + GROUP_SIZE - 1u) / GROUP_SIZE;

shared vec4 x_tile[BR * STRIDE];
shared vec4 weight_tile[BC * STRIDE];

float sums[RM * CN];
Eight x_ahead[X_PARTS], weight_ahead[WEIGHT_PARTS];

// 0 beyond the last row and column.
void fetch(Batch b, uint row0, uint n0, uint k) {
    [[unroll]] for (uint i = 0u; i < X_PARTS; ++i) {
        uint t = i * GROUP_SIZE + gl_LocalInvocationIndex, row = row0 + t / EIGHTS, c = k / 8u + t % EIGHTS;
        x_ahead[i] = Eight(vec4(0.0), vec4(0.0));
        if (t < BR * EIGHTS && row < push.rows && 8u * c < b.end)
            x_ahead[i] = x_eight(b.x + row * p.x.n, c);
    }
    [[unroll]] for (uint i = 0u; i < WEIGHT_PARTS; ++i) {
        uint t = i * GROUP_SIZE + gl_LocalInvocationIndex, n = n0 + t / EIGHTS, c = k / 8u + t % EIGHTS;
        weight_ahead[i] = Eight(vec4(0.0), vec4(0.0));
        if (t < BC * EIGHTS && n < push.dim1 && 8u * c < b.end)
            weight_ahead[i] = weight_eight(b.weight + n * p.weight.n, c);
    }
}

void stage() {
    [[unroll]] for (uint i = 0u; i < X_PARTS; ++i) {
        uint t = i * GROUP_SIZE + gl_LocalInvocationIndex, at = t / EIGHTS * STRIDE + t % EIGHTS * 2u;
        if (t < BR * EIGHTS) {
            x_tile[at] = x_ahead[i].a;
            x_tile[at + 1u] = x_ahead[i].b;
        }
    }
    [[unroll]] for (uint i = 0u; i < WEIGHT_PARTS; ++i) {
        uint t = i * GROUP_SIZE + gl_LocalInvocationIndex, n = t / EIGHTS;
        uint at = (n % CN * TC + n / CN) * STRIDE + t % EIGHTS * 2u;
        if (t < BC * EIGHTS) {
            weight_tile[at] = weight_ahead[i].a;
            weight_tile[at + 1u] = weight_ahead[i].b;
        }
    }
}

void multiply(uint tr, uint tc) {
    for (uint i = 0u; i < STEP / 4u; ++i) {
        vec4 a[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) a[r] = x_tile[(tr * RM + r) * STRIDE + i];
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            vec4 w = weight_tile[(n * TC + tc) * STRIDE + i];
            [[unroll]] for (uint r = 0u; r < RM; ++r) sums[r * CN + n] = dot_add(a[r], w, sums[r * CN + n]);
        }
    }
}

void main() {
    Batch b = find_batch();
    uint tr = gl_LocalInvocationIndex / TC, tc = gl_LocalInvocationIndex % TC;
    uint row0 = gl_WorkGroupID.y * BR, n0 = gl_WorkGroupID.x * BC;
    [[unroll]] for (uint i = 0u; i < RM * CN; ++i) sums[i] = 0.0;
    fetch(b, row0, n0, b.begin);
    for (uint k = b.begin; k < b.end; k += STEP) {
        barrier();
        stage();
        barrier();
        fetch(b, row0, n0, k + STEP);
        multiply(tr, tc);
    }
    [[unroll]] for (uint r = 0u; r < RM; ++r)
        [[unroll]] for (uint n = 0u; n < CN; n += 4u)
            put_sums(b, row0 + tr * RM + r, (n0 + tc * CN + n) / 4u,
                     vec4(sums[r * CN + n], sums[r * CN + n + 1u], sums[r * CN + n + 2u], sums[r * CN + n + 3u]));
}
