#version 450
// Rotary position embedding (RoPE, Su 2021).
//
// An invocation owns a unit of eight channels: four pairs, or eight channels that pass through. Since it owns both channels
// of a pair, x may be rotated where it stands. Neighbours own neighbouring units of a row, and then of the next row.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/rope.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_rotate_params p;
};

#include "rope.glsl"

#define X_TYPE TYPE_OF(VKA_ROLE_X)
#define OUT_TYPE TYPE_OF(VKA_ROLE_CACHE)

VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_OUTPUT(VKA_BIND_ROTATED, out)
VKA_WRITERS(out, OUT_TYPE)
VKA_INPUT_I32(VKA_BIND_POSITIONS, positions)

// Four channels of a row from `channel` on, as far as they lie below `end`; none of them may.
vec4 load(uint row, uint channel, uint end) {
    if (channel >= end)
        return vec4(0.0);
    if (has(VKA_FLAG_ROPE_VEC4))
        return x_row4(row, 1u, channel >> 2, p.cols, true);
    return x_row4(row + channel * p.x.d, p.x.d, 0u, end - channel, false);
}

void store(uint row, uint channel, uint end, vec4 y) {
    if (channel >= end)
        return;
    if (has(VKA_FLAG_ROPE_VEC4))
        out_put_row4(row, 1u, channel >> 2, p.cols, true, y);
    else
        out_put_row4(row + channel * p.out_.d, p.out_.d, 0u, end - channel, false, y);
}

// Rotates pairs `pair` .. `pair` + 3, whose channels are a and b.
void rotate(RopeRow row, uint pair, inout vec4 a, inout vec4 b) {
    vec4 c, s;
    [[unroll]] for (uint i = 0u; i < 4u; ++i) {
        vec2 f = rope_factors(row, min(pair + i, p.rope.pairs - 1u));
        c[i] = f.x;
        s[i] = f.y;
    }
    vec4 turned = c * a - s * b;
    b = s * a + c * b;
    a = turned;
}

void main() {
    uint index = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    if (index >= push.rows * p.units)
        return;
    uint unit = index % p.units, number = index / p.units, dims = 2u * p.rope.pairs;
    uvec3 i = uvec3(number / (push.dim1 * push.dim2), number / push.dim2 % push.dim1, number % push.dim2);
    uint from = push.base[VKA_BIND_X] + i.x * p.x.b + i.y * p.x.h + i.z * p.x.n;
    uint to = push.base[VKA_BIND_ROTATED] + i.x * p.out_.b + i.y * p.out_.h + i.z * p.out_.n;
    uint b = push.b0 + i.x, n = push.x0 + i.z, pair = 4u * unit;
    uvec2 channel = uvec2(2u * pair, 2u * pair + 4u), end = uvec2(dims);
    if (pair >= p.rope.pairs) {
        uint first = dims + (unit - (p.rope.pairs + 3u) / 4u) * VKA_ROPE_UNIT;
        channel = uvec2(first, first + 4u);
        end = uvec2(p.cols);
    } else if (!has(VKA_FLAG_INTERLEAVED)) {
        channel = uvec2(pair, p.rope.pairs + pair);
        end = uvec2(p.rope.pairs, dims);
    }
    vec4 first = load(from, channel.x, end.x), second = load(from, channel.y, end.y);
    if (pair < p.rope.pairs) {
        int position = has(VKA_FLAG_POSITIONS) ? positions_at(b * p.position_b + n * p.position_n) : 0;
        RopeRow row = rope_row(position, has(VKA_FLAG_SAME_POSITION) ? 0 : int(n), b, n);
        if (has(VKA_FLAG_INTERLEAVED)) {
            vec4 even = vec4(first.xz, second.xz), odd = vec4(first.yw, second.yw);
            rotate(row, pair, even, odd);
            first = vec4(even.x, odd.x, even.y, odd.y);
            second = vec4(even.z, odd.z, even.w, odd.w);
        } else {
            rotate(row, pair, first, second);
        }
    }
    store(to, channel.x, end.x, first);
    store(to, channel.y, end.y, second);
}
