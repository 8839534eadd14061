#version 450
// Rotates rows of an i8, q8_0 or q4_0 cache where they stand, and gives them new scales. TEAM invocations own a row
// (cache_rows.glsl); one that is not to be turned is left alone.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/rope.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_rotate_params p;
};

VKA_INPUT_I32(VKA_BIND_POSITIONS, positions)
layout(set = 0, binding = VKA_BIND_SCALE, std430) buffer Scales {
    float scale_f[];
};
void scale_put(uint i, float x) {
    scale_f[i] = x;
}

#define X_STEP p.x.d
#define CACHE_STEP p.out_.d
#include "cache_rows.glsl"

Token find_token(uint number) {
    Token t;
    t.stored = number < push.rows;
    if (!t.stored)
        return t;
    uvec3 i = uvec3(number / (push.dim1 * push.dim2), number / push.dim2 % push.dim1, number % push.dim2);
    uint b = push.b0 + i.x, n = push.x0 + i.z;
    int position = has(VKA_FLAG_POSITIONS) ? positions_at(b * p.position_b + n * p.position_n) : 0;
    t.rope = rope_row(position, has(VKA_FLAG_SAME_POSITION) ? 0 : int(n), b, n);
    t.stored = has(VKA_FLAG_TABLES) || t.rope.position != 0;
    t.x = any_base(VKA_BIND_X, X_TYPE) + i.x * p.x.b + i.y * p.x.h + i.z * p.x.n;
    t.cache_ = any_base(VKA_BIND_CACHE, CACHE_TYPE) + i.x * p.out_.b + i.y * p.out_.h + i.z * p.out_.n;
    t.scale = push.base[VKA_BIND_SCALE] + i.x * p.scale.b + i.y * p.scale.h + i.z * p.scale.n;
    t.factor = X_TYPE == VKA_TYPE_I8 ? scale_f[t.scale] : 1.0;
    return t;
}

void main() {
    uint row = gl_LocalInvocationIndex / TEAM, member = gl_LocalInvocationIndex % TEAM;
    store_quantised(find_token(gl_WorkGroupID.x * ROWS + row), member, row);
}
