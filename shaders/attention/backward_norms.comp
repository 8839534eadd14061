#version 450
// Of cosines: 1 / max(|x|, 1e-12) of each row of queries and keys, once for all passes that need it; negative where the length
// does not count, as it is no more than that, or no number.
//
// An invocation owns a row: grid heads are those of queries, then those of keys.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#define VKA_WITH_OPTIONS 1
#define VKA_WITH_PRODUCTS 1
#define VKA_BACKWARD 1
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"
#include "attention_backward.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

float signed_inverse(float squares) {
    float inverse = inverse_norm(squares);
    return squares > 1e-24 && squares <= -LOWEST ? inverse : -inverse;
}

void main() {
    uint row = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint head = gl_WorkGroupID.y + push.y0, batch = gl_WorkGroupID.z + push.z0;
    bool is_key = head >= b.out_heads;
    if (is_key)
        head -= b.out_heads;
    if (row >= (is_key ? p.kv_rows : b.out_rows) || batch >= (is_key ? b.key_batches : b.out_batches))
        return;
    vka_strides s = is_key ? p.k : p.q;
    uint at = push.base[is_key ? VKA_BIND_K : VKA_BIND_Q] + batch * s.b + head * s.h + row * s.n;
    float squares = 0.0;
    for (uint d = 0u; d < D4; ++d) {
        vec4 x = vec4(0.0);
        if (is_key)
            x = k_any4(at, s.d, d, D, has(VKA_FLAG_VEC4_QK));
        else
            x = q_row4(at, s.d, d, D, has(VKA_FLAG_VEC4_QK));
        squares = dot_add(x, x, squares);
    }
    vka_strides to = is_key ? b.key_norm : b.delta;
    ws_f[(is_key ? b.key_norm.d : b.query_norms) + batch * to.b + head * to.h + row * to.n] = signed_inverse(squares);
}
