#version 450
// Gradients of a causal convolution's inputs: x, and the state before them.
//
// An invocation owns four channels of a run of inputs, which it walks in order. It reads each g, the gradient before the
// activation, once and keeps the sums of the inputs that it is part of: d_x[t - K + 1] is complete with g[t]. With many taps
// the sums do not fit registers, and each input reads its g again. Inputs before token 0 are those of the state. The last
// K - 1 inputs are the state that goes out, too, whose gradient is added. A sum is taken in the order of tokens, whatever the
// run.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/causal_conv_backward.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_RM) const uint HELD = 0u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_causal_conv_backward_params p;
};

#define G_TYPE TYPE_OF(VKA_ROLE_D_OUT)
#define WEIGHT_TYPE TYPE_OF(VKA_ROLE_CONV_D_WEIGHT)
#define D_X_TYPE TYPE_OF(VKA_ROLE_OUT)
#define D_STATE_IN_TYPE TYPE_OF(VKA_ROLE_CONV_D_STATE_IN)
#define D_STATE_OUT_TYPE TYPE_OF(VKA_ROLE_CONV_D_STATE_OUT)

VKA_INPUT(VKA_BIND_CONV_G, g)
VKA_READERS(g, VKA_BIND_CONV_G, G_TYPE)
VKA_INPUT(VKA_BIND_CONV_D_WEIGHT, weight)
VKA_READERS(weight, VKA_BIND_CONV_D_WEIGHT, WEIGHT_TYPE)
VKA_INPUT(VKA_BIND_CONV_D_STATE_OUT, d_state_out)
VKA_READERS(d_state_out, VKA_BIND_CONV_D_STATE_OUT, D_STATE_OUT_TYPE)
VKA_OUTPUT(VKA_BIND_CONV_D_X, d_x)
VKA_WRITERS(d_x, D_X_TYPE)
VKA_OUTPUT(VKA_BIND_CONV_D_STATE_IN, d_state_in)
VKA_WRITERS(d_state_in, D_STATE_IN_TYPE)

const bool VEC4 = (FLAGS & VKA_FLAG_VEC4) != 0u;

struct Unit {
    uint quad; // its channels are 4 quad .. 4 quad + 3
    uint g, d_x, d_state_in, d_state_out; // where the entry begins in each tensor
};

vec4 weight_of(Unit u, uint tap) {
    return weight_row4(push.base[VKA_BIND_CONV_D_WEIGHT] + tap * p.weight.d, p.weight.n, u.quad, p.channels, false);
}

bool is_token(int t) {
    return t >= 0 && t < int(p.tokens);
}

vec4 g_of(Unit u, int t) {
    return g_row4(u.g + uint(t) * p.g.h, p.g.n, u.quad, p.channels, VEC4);
}

// Input i, of which those before token 0 are the state's.
void store(Unit u, int i, vec4 y) {
    int kept = i - int(p.tokens) + int(p.taps) - 1;
    if (has(VKA_FLAG_CONV_D_STATE_OUT) && kept >= 0)
        y += d_state_out_row4(u.d_state_out + uint(kept) * p.d_state_out.h, p.d_state_out.n, u.quad, p.channels, VEC4);
    if (has(VKA_FLAG_CONV_D_X) && i >= 0)
        d_x_put_row4(u.d_x + uint(i) * p.d_x.h, p.d_x.n, u.quad, p.channels, VEC4, y);
    if (has(VKA_FLAG_CONV_D_STATE_IN) && i < 0)
        d_state_in_put_row4(u.d_state_in + uint(i + int(p.taps) - 1) * p.d_state_in.h, p.d_state_in.n, u.quad, p.channels,
                            VEC4, y);
}

// Sums in registers: sum[j] is that of the input j after the next one. What lies beyond the tokens has no product, not even
// with an infinite weight.
void walk_held(Unit u, int first, int end) {
    vec4 w[HELD != 0u ? HELD : 1u], sum[HELD != 0u ? HELD : 1u];
    [[unroll]] for (uint k = 0u; k < HELD; ++k) {
        w[k] = weight_of(u, k);
        sum[k] = vec4(0.0);
    }
    [[dont_unroll]] for (int t = first; t < end + int(HELD) - 1; ++t) {
        bool there = is_token(t);
        vec4 g = there ? g_of(u, t) : vec4(0.0);
        vec4 y = there ? fma(w[0], g, sum[0]) : sum[0];
        [[unroll]] for (uint j = 0u; j + 1u < HELD; ++j) {
            vec4 old = j + 2u < HELD ? sum[j + 1u] : vec4(0.0);
            sum[j] = there ? fma(w[j + 1u], g, old) : old;
        }
        int i = t - int(HELD) + 1;
        if (i >= first)
            store(u, i, y);
    }
}

void walk(Unit u, int first, int end) {
    [[dont_unroll]] for (int i = first; i < end; ++i) {
        vec4 y = vec4(0.0);
        [[dont_unroll]] for (uint j = 0u; j < p.taps; ++j)
            if (is_token(i + int(j)))
                y = fma(weight_of(u, p.taps - 1u - j), g_of(u, i + int(j)), y);
        store(u, i, y);
    }
}

void main() {
    uint index = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint entry = gl_WorkGroupID.y + push.y0;
    int begin = has(VKA_FLAG_CONV_D_STATE_IN) ? 1 - int(p.taps) : 0, stop = has(VKA_FLAG_CONV_D_X) ? int(p.tokens) : 0;
    uint quads = (p.channels + 3u) / 4u, runs = (uint(stop - begin) + p.run - 1u) / p.run;
    if (index >= quads * runs)
        return;
    uint run = has(VKA_FLAG_CONV_D_TIME) ? index % runs : index / quads;
    Unit u;
    u.quad = has(VKA_FLAG_CONV_D_TIME) ? index / runs : index % quads;
    u.g = push.base[VKA_BIND_CONV_G] + entry * p.g.b;
    u.d_x = push.base[VKA_BIND_CONV_D_X] + entry * p.d_x.b;
    u.d_state_in = push.base[VKA_BIND_CONV_D_STATE_IN] + entry * p.d_state_in.b;
    u.d_state_out = push.base[VKA_BIND_CONV_D_STATE_OUT] + entry * p.d_state_out.b;
    int first = begin + int(run * p.run), end = min(first + int(p.run), stop);
    if (HELD != 0u)
        walk_held(u, first, end);
    else
        walk(u, first, end);
}
