#version 450
// Gradients of a dynamic convolution, first step: the shares of taps, which the other steps read. Rows are those of entries,
// tokens and heads, of which there is one where all have the same; an invocation computes one.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "float_bits.glsl"
#include "dynamic_conv_backward.glsl"

#define WEIGHT_TYPE TYPE_OF(VKA_ROLE_SHARE_D_WEIGHT)

VKA_INPUT(VKA_BIND_SHARE_D_OF_WEIGHT, weight)
VKA_READERS(weight, VKA_BIND_SHARE_D_OF_WEIGHT, WEIGHT_TYPE)
VKA_OUTPUT_F32(VKA_BIND_SHARES, out)

#define SHARE_ROWS GROUP_SIZE
#define SHARE_STEP p.weight.d
#include "shares.glsl"

void main() {
    uint own = gl_LocalInvocationIndex, row = (gl_WorkGroupID.x + push.x0) * GROUP_SIZE + own;
    uint head = row % p.heads, token = row / p.heads % p.share_tokens, entry = row / p.heads / p.share_tokens;
    if (entry >= p.share_entries)
        return;
    uint length = p.share_entries > 1u || p.entries == 1u ? length_of(entry) : p.tokens;
    if (p.share_tokens > 1u && token >= length) // nobody reads them
        return;
    uint first = 0u, end = TAPS;
    if (has(VKA_FLAG_SHARE_D_VALID)) {
        first = p.before - min(p.before, token);
        end = min(TAPS, max(length, token) - token + p.before);
    }
    compute_shares(own, push.base[VKA_BIND_SHARE_D_OF_WEIGHT] + entry * p.weight.b + token * p.weight.h + head * p.weight.n,
                   first, end);
    uint to = push.base[VKA_BIND_SHARES] + row * TAPS;
    for (uint k = 0u; k < TAPS; ++k)
        out_put(to + k, shares[own * PITCH + k]);
}
