#version 450
// Hadamard transforms of blocks of columns, by the fast Walsh-Hadamard transform: log2(BLOCK) rounds, in each of which
// columns whose numbers differ in one bit become their sum and their difference.
//
// TEAM invocations own a unit: a block, or, of blocks of two, a vector of four columns. Each owns vectors that lie TEAM apart,
// so that neighbours read neighbouring memory. Rounds of the two lowest bits lie within a vector, those of the highest ones
// within an invocation's registers, the others pass through shared memory. All of a unit is read before any of it is written.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/hadamard.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_TC) const uint TEAM = 1u;
layout(constant_id = VKA_SPEC_D) const uint BLOCK = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_hadamard_params p;
};

const uint X_TYPE = TYPE_OF(VKA_ROLE_X);
const uint OUT_TYPE = TYPE_OF(VKA_ROLE_OUT);
const uint VECTORS = (BLOCK + 3u) / 4u; // of a unit
const uint KEPT = VECTORS / TEAM;       // of an invocation

VKA_INPUT(VKA_BIND_X, x)
VKA_OUTPUT(VKA_BIND_HADAMARD, out)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_WORD_READERS(x, X_TYPE)
VKA_WRITERS(out, OUT_TYPE)
VKA_WORD_WRITERS(out, OUT_TYPE)

shared vec4 passed[TEAM > 1u ? GROUP_SIZE : 1u];

vec4 kept[KEPT];

vec4 within_vector(vec4 y) {
    y = vec4(y.x + y.y, y.x - y.y, y.z + y.w, y.z - y.w);
    return BLOCK > 2u ? vec4(y.xy + y.zw, y.xy - y.zw) : y;
}

// Vectors of neighbours whose numbers differ in bit `step`.
void between_invocations(uint member, uint step) {
    for (uint i = 0u; i < KEPT; ++i) {
        barrier();
        passed[gl_LocalInvocationIndex] = kept[i];
        barrier();
        vec4 other = passed[gl_LocalInvocationIndex ^ step];
        kept[i] = (member & step) == 0u ? kept[i] + other : other - kept[i];
    }
}

void main() {
    uint member = gl_LocalInvocationIndex % TEAM;
    uint number = gl_WorkGroupID.x * (GROUP_SIZE / TEAM) + gl_LocalInvocationIndex / TEAM;
    bool live = number < push.rows * p.units; // others come along for the barriers
    uint row = live ? number / p.units : 0u, first = live ? number % p.units * VECTORS : 0u;
    uvec3 i = uvec3(row / (push.dim1 * push.dim2), row / push.dim2 % push.dim1, row % push.dim2);
    uint x = push.base[VKA_BIND_X] + i.x * p.x.b + i.y * p.x.h + i.z * p.x.n;
    uint to = push.base[VKA_BIND_HADAMARD] + i.x * p.out_.b + i.y * p.out_.h + i.z * p.out_.n;
    // Scaled first: so no sum is infinite unless a result is.
    [[unroll]] for (uint n = 0u; n < KEPT; ++n)
        kept[n] = within_vector(x_words4(x, p.x.d, first + n * TEAM + member, p.cols, has(VKA_FLAG_VEC4)) * p.scale);
    for (uint step = 1u; step < TEAM; step *= 2u)
        between_invocations(member, step);
    [[unroll]] for (uint step = 1u; step < KEPT; step *= 2u)
        [[unroll]] for (uint n = 0u; n < KEPT; ++n)
            if ((n & step) == 0u) {
                vec4 a = kept[n], b = kept[n + step];
                kept[n] = a + b;
                kept[n + step] = a - b;
            }
    if (TEAM > 1u)
        barrier();
    [[unroll]] for (uint n = 0u; n < KEPT; ++n)
        if (live)
            out_put_words4(to, p.out_.d, first + n * TEAM + member, p.cols, has(VKA_FLAG_VEC4), kept[n]);
}
