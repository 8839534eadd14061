#version 450
// Depthwise causal convolution with a state: what state space models and gated delta nets have before their recurrence.
//
// An invocation owns four channels of a run of tokens, which it walks in order. It reads each input once and keeps the sums of
// the outputs that the input is part of: y[t] is complete with its last tap, x[t]. Inputs before its run it reads as well; those
// before the first token are the state. With many taps the sums do not fit registers, and each output reads its inputs again.
//
// The state that comes out may be the memory of the one that comes in: only an entry's first run reads it (the plan makes it
// long enough), and whoever owns that writes it afterwards, in the order in which it shifts.
//
// VKA_SLOPES = 1: the result is d_out activation'(y), in float: what gradients begin with. There is no state that comes out;
// d_out has its binding.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#if VKA_SLOPES
#    include "activation_slope.glsl"
#else
#    include "activation.glsl"
#endif
#include "params/causal_conv.h"

// Of the dispatch: push.dim2 entries, rows tokens, row0 channels, the first of which is h0.

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_RM) const uint HELD = 0u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_causal_conv_params p;
};

#define X_TYPE TYPE_OF(VKA_ROLE_X)
#define OUT_TYPE TYPE_OF(VKA_ROLE_OUT)
#define WEIGHT_TYPE TYPE_OF(VKA_ROLE_CONV_WEIGHT)
#define BIAS_TYPE TYPE_OF(VKA_ROLE_CONV_BIAS)
#define STATE_IN_TYPE TYPE_OF(VKA_ROLE_CONV_STATE_IN)
#define STATE_OUT_TYPE TYPE_OF(VKA_ROLE_CONV_STATE_OUT)

VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_INPUT(VKA_BIND_CONV_WEIGHT, weight)
VKA_READERS(weight, VKA_BIND_CONV_WEIGHT, WEIGHT_TYPE)
VKA_INPUT(VKA_BIND_CONV_BIAS, bias)
VKA_READERS(bias, VKA_BIND_CONV_BIAS, BIAS_TYPE)
VKA_INPUT(VKA_BIND_CONV_STATE_IN, state_in)
VKA_READERS(state_in, VKA_BIND_CONV_STATE_IN, STATE_IN_TYPE)
#if VKA_SLOPES
VKA_INPUT(VKA_BIND_CONV_STATE_OUT, d_out)
VKA_READERS(d_out, VKA_BIND_CONV_STATE_OUT, STATE_OUT_TYPE)
#else
VKA_OUTPUT(VKA_BIND_CONV_STATE_OUT, state_out)
VKA_WRITERS(state_out, STATE_OUT_TYPE)
#endif
VKA_OUTPUT(VKA_BIND_CONV_OUT, out)
VKA_WRITERS(out, OUT_TYPE)

const bool VEC4 = (FLAGS & VKA_FLAG_VEC4) != 0u;

struct Unit {
    uint quad; // its channels are 4 quad .. 4 quad + 3
    uint x, out_, state_in, state_out; // where the entry begins in each tensor
};

// Token t of the dispatch; those before its first one lie in x too, if the sequence has them, or in the state.
vec4 input_at(Unit u, int t) {
    int at = t + int(push.dim1);
    if (at >= 0)
        return x_row4(u.x + uint(at) * p.x.h, p.x.n, u.quad, push.row0, VEC4);
    if (!has(VKA_FLAG_CONV_STATE_IN))
        return vec4(0.0);
    return state_in_row4(u.state_in + uint(t + int(p.taps) - 1) * p.state_in.h, p.state_in.n, u.quad, push.row0, VEC4);
}

vec4 weight_of(Unit u, uint tap) {
    uint at = push.base[VKA_BIND_CONV_WEIGHT] + push.h0 * p.weight.n + tap * p.weight.d;
    return weight_row4(at, p.weight.n, u.quad, push.row0, false);
}

vec4 result_of(Unit u, int t, vec4 y) {
#if VKA_SLOPES
    vec4 d = d_out_row4(u.state_out + uint(t) * p.state_out.h, p.state_out.n, u.quad, push.row0, VEC4);
    return d * slopes4(ACTIVATION, y, 1.0);
#else
    return activate4(ACTIVATION, y);
#endif
}

void store(Unit u, int t, vec4 y) {
    out_put_row4(u.out_ + uint(t) * p.out_.h, p.out_.n, u.quad, push.row0, VEC4, result_of(u, t, y));
}

// Sums in registers: sum[j] is that of the output j tokens after the next one.
void walk_held(Unit u, int first, int end, vec4 origin) {
    vec4 w[HELD != 0u ? HELD : 1u], sum[HELD != 0u ? HELD : 1u];
    [[unroll]] for (uint k = 0u; k < HELD; ++k) {
        w[k] = weight_of(u, k);
        sum[k] = origin;
    }
    [[dont_unroll]] for (int t = first - int(HELD) + 1; t < end; ++t) {
        vec4 x = input_at(u, t);
        vec4 y = fma(w[HELD - 1u], x, sum[0]);
        [[unroll]] for (uint j = 0u; j + 1u < HELD; ++j)
            sum[j] = fma(w[HELD - 2u - j], x, j + 2u < HELD ? sum[j + 1u] : origin);
        if (t >= first)
            store(u, t, y);
    }
}

void walk(Unit u, int first, int end, vec4 origin) {
    [[dont_unroll]] for (int t = first; t < end; ++t) {
        vec4 y = origin;
        [[dont_unroll]] for (uint k = 0u; k < p.taps; ++k)
            y = fma(weight_of(u, k), input_at(u, t - int(p.taps) + 1 + int(k)), y);
        store(u, t, y);
    }
}

#if !VKA_SLOPES
// The last inputs of the sequence. A place of the state that comes in is read before it is written: t goes up.
void store_state(Unit u) {
    [[dont_unroll]] for (uint j = 0u; j + 1u < p.taps; ++j) {
        vec4 x = input_at(u, int(push.rows) - int(p.taps) + 1 + int(j));
        state_out_put_row4(u.state_out + j * p.state_out.h, p.state_out.n, u.quad, push.row0, VEC4, x);
    }
}
#endif

void main() {
    uint index = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint entry = gl_WorkGroupID.y + push.y0;
    uint quads = (push.row0 + 3u) / 4u, runs = max((push.rows + p.run - 1u) / p.run, 1u);
    if (index >= quads * runs || entry >= push.dim2)
        return;
    uint run = has(VKA_FLAG_CONV_TIME_FIRST) ? index % runs : index / quads;
    Unit u;
    u.quad = has(VKA_FLAG_CONV_TIME_FIRST) ? index / runs : index % quads;
    u.x = push.base[VKA_BIND_X] + entry * p.x.b;
    u.out_ = push.base[VKA_BIND_CONV_OUT] + entry * p.out_.b;
    u.state_in = push.base[VKA_BIND_CONV_STATE_IN] + entry * p.state_in.b;
    u.state_out = push.base[VKA_BIND_CONV_STATE_OUT] + entry * p.state_out.b;
    vec4 origin = vec4(0.0);
    if (has(VKA_FLAG_CONV_BIAS))
        origin = bias_row4(push.base[VKA_BIND_CONV_BIAS] + push.h0 * p.bias_step, p.bias_step, u.quad, push.row0, false);
    int first = int(run * p.run), end = int(min((run + 1u) * p.run, push.rows));
    if (HELD != 0u)
        walk_held(u, first, end, origin);
    else
        walk(u, first, end, origin);
#if !VKA_SLOPES
    if (has(VKA_FLAG_CONV_STATE_OUT) && push.z0 != 0u && run == 0u)
        store_state(u);
#endif
}
