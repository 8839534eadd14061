#version 450
// Keys, or values, as rows of floats that lie one behind the other: what many tiles of queries read is dequantised once. Of
// pages only those rows that sequences have.
//
// An invocation owns four channels of a row. What is here k may be the attention's v.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#define VKA_WITH_OPTIONS 1
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

VKA_INPUT(VKA_BIND_K, k)
VKA_OUTPUT(VKA_BIND_OUT, out)
VKA_ANY_READERS(k, VKA_BIND_K, K_TYPE)
VKA_WRITERS(out, OUT_TYPE)
VKA_INPUT_F32(VKA_BIND_K_SCALE, k_scale)


#include "attention_keys.glsl"

void main() {
    uint item = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint key = item / D4, d = item % D4;
    Grid g = sequence_of(gl_WorkGroupID.y + push.y0, gl_WorkGroupID.z + push.z0);
    if (key >= uint(g.kv_len))
        return;
    uint row = push.base[VKA_BIND_OUT] + g.batch * p.out_.b + g.head * p.out_.h + (g.kv_begin + key) * p.out_.n;
    vec4 x = key_vector4(key_source(g, key_head_at(g), int(key)), d);
    out_put_row4(row, p.out_.d, d, D, has(VKA_FLAG_VEC4_OUT), x);
}
