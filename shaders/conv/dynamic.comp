#version 450
// Depthwise convolution whose weights are a softmax over its taps: LightConv and DynamicConv (Wu 2019).
//
// A workgroup owns a tile of tokens and of vectors of four channels. First it computes the shares, which heads have in common,
// into shared memory: those of each token, or, if all tokens have the same, of each head. Then an invocation owns four channels
// of a run of tokens and reads each input once for all outputs of the run that it is part of. A sum is taken in the order of
// its taps, whatever the tile.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "float_bits.glsl"
#include "params/dynamic_conv.h"

// Of the dispatch: push.dim2 entries, the first of which is b0; rows tokens, the first of which is z0, with dim1 more before it
// in x; row0 channels, the first of which is h0.

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 1u;
layout(constant_id = VKA_SPEC_BR) const uint TAPS = 1u;
layout(constant_id = VKA_SPEC_RM) const uint RUN = 1u;
layout(constant_id = VKA_SPEC_TC) const uint QUADS = 1u;
layout(constant_id = VKA_SPEC_BC) const uint HEADS = 1u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_dynamic_conv_params p;
};

#define X_TYPE TYPE_OF(VKA_ROLE_X)
#define OUT_TYPE TYPE_OF(VKA_ROLE_OUT)
#define WEIGHT_TYPE TYPE_OF(VKA_ROLE_SHARE_WEIGHT)

VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_INPUT(VKA_BIND_SHARE_WEIGHT, weight)
VKA_READERS(weight, VKA_BIND_SHARE_WEIGHT, WEIGHT_TYPE)
VKA_INPUT_I32(VKA_BIND_SHARE_LENGTHS, lengths)
VKA_OUTPUT(VKA_BIND_SHARE_OUT, out)
VKA_WRITERS(out, OUT_TYPE)

const bool VEC4 = (FLAGS & VKA_FLAG_VEC4) != 0u;
const bool PER_TOKEN = (FLAGS & VKA_FLAG_SHARE_TOKENS) != 0u;
const uint RUNS = GROUP_SIZE / QUADS;
const uint TILE_ROWS = PER_TOKEN ? HEADS * RUN * RUNS : HEADS;

// ---- shares -----------------------------------------------------------------------------------------------------------

#define SHARE_ROWS TILE_ROWS
#define SHARE_STEP p.weight.d
#include "shares.glsl"

// Those of the tile; tokens that are beyond the sequence have none.
void stage_shares(uint entry, uint first_head, uint first_token, uint length) {
    for (uint row = gl_LocalInvocationIndex; row < TILE_ROWS; row += GROUP_SIZE) {
        uint head = first_head + row % HEADS, token = first_token + (PER_TOKEN ? row / HEADS : 0u);
        uint place = push.z0 + token;
        if (head >= p.heads || (PER_TOKEN && (token >= push.rows || place >= length)))
            continue;
        uint at = push.base[VKA_BIND_SHARE_WEIGHT] + entry * p.weight.b + token * p.weight.h + head * p.weight.n;
        uint first = 0u, end = TAPS;
        if (has(VKA_FLAG_SHARE_VALID)) {
            first = p.before - min(p.before, place);
            end = min(TAPS, length - place + p.before);
        }
        compute_shares(row, at, first, end);
    }
}

// Of tap k; `at` is where those of the four channels begin.
vec4 shares_at(uvec4 at, uint k) {
    if (has(VKA_FLAG_SHARE_QUADS))
        return vec4(shares[at.x + k]);
    return vec4(shares[at.x + k], shares[at.y + k], shares[at.z + k], shares[at.w + k]);
}

// ---- sums -------------------------------------------------------------------------------------------------------------

// The run that begins at the dispatch's token `first`; `at` is where the shares of its first token begin.
void walk(uint entry, uint quad, uint first, uint length, uvec4 at) {
    vec4 sum[RUN];
    VKA_UNROLL(r, RUN)
        sum[r] = vec4(0.0);
    // Places in the sequence; those that no output of the dispatch needs are not there to be read.
    int begin = int(push.z0 + first) - int(p.before), end = int(min(length, push.z0 + push.rows + p.ahead));
    uint x_row = push.base[VKA_BIND_X] + entry * p.x.b;
    [[dont_unroll]] for (int i = max(0, -begin); i < int(RUN + TAPS) - 1 && begin + i < end; ++i) {
        vec4 x = x_row4(x_row + (uint(begin + i) + push.dim1 - push.z0) * p.x.h, p.x.n, quad, push.row0, VEC4);
        VKA_UNROLL(r, RUN) {
            uint k = uint(i) - r;
            if (k < TAPS)
                sum[r] = fma(shares_at(at + (PER_TOKEN ? r * HEADS * PITCH : 0u), k), x, sum[r]);
        }
    }
    uint out_row = push.base[VKA_BIND_SHARE_OUT] + entry * p.out_.b;
    VKA_UNROLL(r, RUN) {
        uint t = first + r;
        if (t < push.rows)
            out_put_row4(out_row + t * p.out_.h, p.out_.n, quad, push.row0, VEC4,
                         push.z0 + t < length ? sum[r] : vec4(0.0));
    }
}

void main() {
    uint tile = gl_WorkGroupID.x + push.x0, entry = gl_WorkGroupID.y + push.y0, length = p.tokens;
    if (entry >= push.dim2)
        return;
    uint quads = (push.row0 + 3u) / 4u, across = (quads + QUADS - 1u) / QUADS;
    uint first_quad = tile % across * QUADS, first_token = tile / across * (RUN * RUNS);
    uint first_head = (push.h0 + 4u * first_quad) / p.head_channels;
    if (has(VKA_FLAG_LENGTHS))
        length = uint(clamp(lengths_at((push.b0 + entry) * p.lengths_step), 0, int(p.tokens)));
    stage_shares(entry, first_head, first_token, length);
    barrier();
    bool time_first = has(VKA_FLAG_SHARE_TIME_FIRST);
    uint index = gl_LocalInvocationIndex;
    uint quad = first_quad + (time_first ? index / RUNS : index % QUADS);
    uint run = time_first ? index % RUNS : index / QUADS, first = first_token + run * RUN;
    if (quad >= quads || first >= push.rows)
        return;
    uvec4 channel = min(4u * quad + uvec4(0u, 1u, 2u, 3u), uvec4(push.row0 - 1u)) + push.h0;
    uvec4 at = (channel / p.head_channels - first_head) * PITCH;
    if (PER_TOKEN)
        at += run * RUN * HEADS * PITCH;
    walk(entry, quad, first, length, at);
}
