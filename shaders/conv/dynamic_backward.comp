#version 450
// Gradients of a dynamic convolution's inputs: each is the sum of the outputs' gradients that it is part of, times its share.
//
// An invocation owns four channels of a run of tokens and reads each gradient once for all of them. A sum is taken in the order
// of tokens, whatever the run.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "dynamic_conv_backward.glsl"

layout(constant_id = VKA_SPEC_RM) const uint RUN = 1u;

#define D_OUT_TYPE TYPE_OF(VKA_ROLE_D_OUT)
#define D_X_TYPE TYPE_OF(VKA_ROLE_OUT)

VKA_INPUT(VKA_BIND_SHARE_D_OUT, d_out)
VKA_READERS(d_out, VKA_BIND_SHARE_D_OUT, D_OUT_TYPE)
VKA_INPUT_F32(VKA_BIND_SHARES, shares)
VKA_OUTPUT(VKA_BIND_SHARE_D_X, d_x)
VKA_WRITERS(d_x, D_X_TYPE)

vec4 shares_of(uvec4 at, uint token_tap) {
    if (has(VKA_FLAG_SHARE_D_QUADS))
        return vec4(shares_at(at.x + token_tap));
    return vec4(shares_at(at.x + token_tap), shares_at(at.y + token_tap), shares_at(at.z + token_tap),
                shares_at(at.w + token_tap));
}

void main() {
    uint index = (gl_WorkGroupID.x + push.x0) * GROUP_SIZE + gl_LocalInvocationIndex, entry = gl_WorkGroupID.y + push.y0;
    uint quads = (p.channels + 3u) / 4u, runs = (p.tokens + RUN - 1u) / RUN;
    if (index >= quads * runs)
        return;
    uint quad = has(VKA_FLAG_SHARE_D_TIME) ? index / runs : index % quads;
    uint first = (has(VKA_FLAG_SHARE_D_TIME) ? index % runs : index / quads) * RUN, length = length_of(entry);
    uvec4 channel = min(4u * quad + uvec4(0u, 1u, 2u, 3u), uvec4(p.channels - 1u));
    uvec4 at = push.base[VKA_BIND_SHARES] + entry * p.shares.b + channel / p.head_channels * p.shares.n;
    vec4 sum[RUN];
    VKA_UNROLL(r, RUN)
        sum[r] = vec4(0.0);
    // Outputs that see some of the run.
    int begin = max(int(first) - int(p.ahead), 0), end = int(min(length, first + RUN + p.before));
    uint d_out_row = push.base[VKA_BIND_SHARE_D_OUT] + entry * p.d_out.b;
    [[dont_unroll]] for (int t = begin; t < end; ++t) {
        vec4 d = d_out_row4(d_out_row + uint(t) * p.d_out.h, p.d_out.n, quad, p.channels, VEC4);
        VKA_UNROLL(r, RUN) {
            uint k = first + r + p.before - uint(t);
            if (k < TAPS)
                sum[r] = fma(shares_of(at, uint(t) * p.shares.h + k), d, sum[r]);
        }
    }
    uint to = push.base[VKA_BIND_SHARE_D_X] + entry * p.d_x.b;
    VKA_UNROLL(r, RUN) {
        uint i = first + r;
        if (i < p.tokens)
            d_x_put_row4(to + i * p.d_x.h, p.d_x.n, quad, p.channels, VEC4, i < length ? sum[r] : vec4(0.0));
    }
}
