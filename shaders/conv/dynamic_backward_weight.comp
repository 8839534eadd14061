#version 450
// Gradients of a dynamic convolution's weights. That of a tap's share is the sum over the head's channels of d_out times the
// input that the tap sees; through the softmax it is share (gradient - sum of all taps' share gradient).
//
// LANES invocations own a head of a chunk of tokens and share its taps, whose gradients they keep in shared memory, and add
// those of all tokens. A chunk is one token where each has weights of its own; otherwise chunks go to the workspace, and are
// added up by elementwise/sum.comp.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "dynamic_conv_backward.glsl"

layout(constant_id = VKA_SPEC_TC) const uint LANES = 1u;

#define X_TYPE TYPE_OF(VKA_ROLE_X)
#define D_OUT_TYPE TYPE_OF(VKA_ROLE_D_OUT)
#define D_WEIGHT_TYPE TYPE_OF(VKA_ROLE_OUT)

VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_INPUT(VKA_BIND_SHARE_D_OUT, d_out)
VKA_READERS(d_out, VKA_BIND_SHARE_D_OUT, D_OUT_TYPE)
VKA_INPUT_F32(VKA_BIND_SHARES, shares)
VKA_INOUT(VKA_BIND_SHARE_D_WEIGHT, d_weight)
VKA_READERS(d_weight, VKA_BIND_SHARE_D_WEIGHT, D_WEIGHT_TYPE)
VKA_WRITERS(d_weight, D_WEIGHT_TYPE)

const uint UNITS = GROUP_SIZE / LANES;
// Odd, so that neighbouring rows lie in different banks.
const uint PITCH = TAPS | 1u;

shared float slopes[UNITS * PITCH]; // of a token's shares
shared float sums[UNITS * PITCH];

struct Unit {
    uint entry, chunk, head, tokens;
    uint own; // where its taps are in shared memory
};

// Where tap k of a token lies in the sequence; beyond it nothing is.
bool is_there(Unit u, uint t, uint k) {
    return t + k >= p.before && t + k - p.before < u.tokens;
}

float slope_of(Unit u, uint t, uint k) {
    if (!is_there(u, t, k))
        return 0.0;
    uint first = u.head * p.head_channels;
    uint x_row = push.base[VKA_BIND_X] + u.entry * p.x.b + (t + k - p.before) * p.x.h + first * p.x.n;
    uint d_row = push.base[VKA_BIND_SHARE_D_OUT] + u.entry * p.d_out.b + t * p.d_out.h + first * p.d_out.n;
    vec4 sum = vec4(0.0);
    [[dont_unroll]] for (uint c = 0u; 4u * c < p.head_channels; ++c)
        sum = fma(d_out_row4(d_row, p.d_out.n, c, p.head_channels, VEC4), x_row4(x_row, p.x.n, c, p.head_channels, VEC4), sum);
    return (sum.x + sum.y) + (sum.z + sum.w);
}

void add_token(Unit u, uint t, uint lane) {
    uint at = push.base[VKA_BIND_SHARES] + u.entry * p.shares.b + t * p.shares.h + u.head * p.shares.n;
    float mean = 0.0;
    for (uint k = 0u; k < TAPS; ++k)
        if (!has(VKA_FLAG_SHARE_D_VALID) || is_there(u, t, k))
            mean = fma(shares_at(at + k), slopes[u.own + k], mean);
    for (uint k = lane; k < TAPS; k += LANES)
        if (!has(VKA_FLAG_SHARE_D_VALID) || is_there(u, t, k))
            sums[u.own + k] += shares_at(at + k) * (slopes[u.own + k] - mean);
}

void store(Unit u, uint lane) {
    uint row = push.base[VKA_BIND_SHARE_D_WEIGHT] + u.entry * p.d_weight.b + u.chunk * p.d_weight.h + u.head * p.d_weight.n;
    for (uint k = lane; k < TAPS; k += LANES) {
        uint to = row + k * p.d_weight.d;
        d_weight_put(to, sums[u.own + k] + (has(VKA_FLAG_SHARE_D_ACCUMULATE) ? d_weight_at(to) : 0.0));
    }
}

void main() {
    uint lane = gl_LocalInvocationIndex % LANES, number = gl_LocalInvocationIndex / LANES;
    uint unit = (gl_WorkGroupID.x + push.x0) * UNITS + number;
    Unit u;
    u.head = unit % p.heads;
    u.chunk = unit / p.heads % p.chunks;
    u.entry = unit / p.heads / p.chunks;
    u.own = number * PITCH;
    bool live = u.entry < p.entries;
    u.tokens = live ? length_of(u.entry) : 0u;
    for (uint k = lane; k < TAPS; k += LANES)
        sums[u.own + k] = 0.0;
    for (uint t = u.chunk * p.chunk, i = 0u; i < p.chunk; ++i, ++t) {
        if (LANES > 1u)
            barrier();
        for (uint k = lane; k < TAPS && t < u.tokens; k += LANES)
            slopes[u.own + k] = slope_of(u, t, k);
        if (LANES > 1u)
            barrier();
        if (t < u.tokens)
            add_token(u, t, lane);
    }
    if (live)
        store(u, lane);
}
