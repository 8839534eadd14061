#version 450
// A linear layer where a workgroup owns a tile of outputs and stages rows of x and of the weights in shared memory.
//
// Tiling: BR rows of x by BC outputs. Invocation t has RM rows of group t / TC, and CN = BC / TC outputs side by side. The next
// step is on its way while one is multiplied. Two flavours differ in what shared memory holds and how it is multiplied:
//   VKA_PAIRS = 0: floats, of tensors of any type; 16 columns a step
//   VKA_PAIRS = 1: pairs of f16, by dot products that sum in f32 (VKA_MIXED_DOT: pair_dot.glsl); 32 columns a step
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_MIXED_DOT
#extension GL_EXT_spirv_intrinsics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#define VKA_BF16 0
#define VKA_HALVES VKA_PAIRS
#define VKA_NEAREST_F16 VKA_MIXED_DOT
#include "elements.glsl"
#if VKA_PAIRS
#include "halves.glsl"
#include "pair_dot.glsl"
#endif
#include "linear.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint THREADS = 64u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 32u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 32u;
layout(constant_id = VKA_SPEC_RM) const uint RM = 4u;
layout(constant_id = VKA_SPEC_TC) const uint TC = 8u;

const uint CN = BC / TC;
const uint STEP = VKA_PAIRS != 0 ? 32u : 16u;

uint thread;
float sums[RM * CN];

// The rows of an invocation's outputs lie apart, those of its neighbours together.
uint weight_place(uint n) {
    return n % CN * TC + n / CN;
}

#include "linear_stage.glsl"

// What a vector of shared memory adds to a sum.
#if VKA_PAIRS
float product(uvec4 a, uvec4 w, float sum) {
    [[unroll]] for (uint e = 0u; e < 4u; ++e) sum = pair_dot(a[e], w[e], sum);
    return sum;
}
#define VECTOR uvec4
#else
float product(vec4 a, vec4 w, float sum) {
    return dot_add(a, w, sum);
}
#define VECTOR vec4
#endif

void multiply(uint tr, uint tc) {
    for (uint i = 0u; i < STRIDE - 1u; ++i) {
        VECTOR a[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) a[r] = x_tile[(tr * RM + r) * STRIDE + i];
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            VECTOR w = weight_tile[(n * TC + tc) * STRIDE + i];
            [[unroll]] for (uint r = 0u; r < RM; ++r) sums[r * CN + n] = product(a[r], w, sums[r * CN + n]);
        }
    }
}

void main() {
    thread = gl_LocalInvocationIndex;
    Batch b = find_batch();
    uint tr = thread / TC, tc = thread % TC;
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
