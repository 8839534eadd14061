#version 450
// Gradients of a causal convolution's weights, first step: partial sums of g, the gradient before the activation, times inputs.
//
// Tokens of all entries are rows, one after the other, cut into chunks. An invocation owns four channels and some taps of a
// chunk: it keeps the inputs of its taps in registers, so that each row reads one g and one input. Its sums go to the
// workspace, [chunks, C, K], and are added up by elementwise/sum.comp.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/causal_conv_backward.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_RM) const uint TAPS = 1u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_causal_conv_backward_params p;
};

#define X_TYPE TYPE_OF(VKA_ROLE_X)
#define G_TYPE TYPE_OF(VKA_ROLE_D_OUT)
#define STATE_TYPE TYPE_OF(VKA_ROLE_CONV_D_OF_STATE)

VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_INPUT(VKA_BIND_CONV_G, g)
VKA_READERS(g, VKA_BIND_CONV_G, G_TYPE)
VKA_INPUT(VKA_BIND_CONV_D_OF_STATE, state_in)
VKA_READERS(state_in, VKA_BIND_CONV_D_OF_STATE, STATE_TYPE)
VKA_OUTPUT_F32(VKA_BIND_CONV_PARTIALS, partials)

const bool VEC4 = (FLAGS & VKA_FLAG_VEC4) != 0u;
// Sums are taken of blocks, and then of blocks' sums: one long sum would lose digits.
const uint BLOCK = 64u;

struct Unit {
    uint quad, tap, chunk; // its taps begin with `tap`
};

// Taps behind the last one, whose sums are thrown away, may lie behind the last token.
vec4 input_of(Unit u, uint entry, int t) {
    if (t >= int(p.tokens))
        return vec4(0.0);
    if (t >= 0)
        return x_row4(push.base[VKA_BIND_X] + entry * p.x.b + uint(t) * p.x.h, p.x.n, u.quad, p.channels, VEC4);
    if (!has(VKA_FLAG_CONV_D_STATE))
        return vec4(0.0);
    uint at = push.base[VKA_BIND_CONV_D_OF_STATE] + entry * p.state_in.b + uint(t + int(p.taps) - 1) * p.state_in.h;
    return state_in_row4(at, p.state_in.n, u.quad, p.channels, VEC4);
}

void store(Unit u, vec4 sum[TAPS]) {
    uint at = push.base[VKA_BIND_CONV_PARTIALS] + (u.chunk * p.channels + 4u * u.quad) * p.taps + u.tap;
    uint channels = min(p.channels - 4u * u.quad, 4u);
    [[unroll]] for (uint j = 0u; j < TAPS; ++j)
        if (u.tap + j < p.taps)
            for (uint c = 0u; c < channels; ++c)
                partials_put(at + c * p.taps + j, sum[j][c]);
}

void main() {
    uint index = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint quads = (p.channels + 3u) / 4u, parts = (p.taps + TAPS - 1u) / TAPS, units = quads * parts;
    if (index / units >= p.chunks)
        return;
    Unit u = Unit(index % quads, index / quads % parts * TAPS, index / units);
    uint rows = p.entries * p.tokens, begin = u.chunk * p.chunk, end = begin + min(p.chunk, rows - begin);
    vec4 inputs[TAPS], sum[TAPS], block[TAPS];
    [[unroll]] for (uint j = 0u; j < TAPS; ++j)
        inputs[j] = sum[j] = block[j] = vec4(0.0);
    [[dont_unroll]] for (uint row = begin; row < end; ++row) {
        uint entry = row / p.tokens, t = row % p.tokens;
        int oldest = int(t) - int(p.taps) + 1 + int(u.tap);
        if (row == begin || t == 0u) {
            [[unroll]] for (uint j = 1u; j < TAPS; ++j)
                inputs[j] = input_of(u, entry, oldest - 1 + int(j));
        }
        [[unroll]] for (uint j = 1u; j < TAPS; ++j)
            inputs[j - 1u] = inputs[j];
        inputs[TAPS - 1u] = input_of(u, entry, oldest + int(TAPS) - 1);
        vec4 g = g_row4(push.base[VKA_BIND_CONV_G] + entry * p.g.b + t * p.g.h, p.g.n, u.quad, p.channels, VEC4);
        bool ends = (row - begin) % BLOCK == BLOCK - 1u || row + 1u == end;
        [[unroll]] for (uint j = 0u; j < TAPS; ++j) {
            block[j] = fma(g, inputs[j], block[j]);
            sum[j] += ends ? block[j] : vec4(0.0);
            block[j] = ends ? vec4(0.0) : block[j];
        }
    }
    store(u, sum);
}
