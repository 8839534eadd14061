#version 450
// The first pass of attention's backward: delta = dO . O - d_lse of each row, once for both passes that need it.
//
// An invocation owns a row.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/attention_backward.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_DV) const uint DV = 64u;

const uint VECTORS = (DV + 3u) / 4u, BLOCK = 4u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_attention_backward_params b;
    vka_attention_params p;
};

VKA_INPUT(VKA_BIND_DELTA_OUT, out)
VKA_INPUT(VKA_BIND_DELTA_D_OUT, d_out)
VKA_INPUT_F32(VKA_BIND_DELTA_D_LSE, d_lse)
VKA_OUTPUT_F32(VKA_BIND_WORKSPACE, ws)
VKA_READERS(out, VKA_BIND_DELTA_OUT, TYPE_OF(VKA_ROLE_OUT))
VKA_READERS(d_out, VKA_BIND_DELTA_D_OUT, TYPE_OF(VKA_ROLE_DELTA_D_OUT))

void main() {
    uint row = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint head = gl_WorkGroupID.y + push.y0, batch = gl_WorkGroupID.z + push.z0;
    if (row >= b.out_rows)
        return;
    uint out_at = push.base[VKA_BIND_DELTA_OUT] + batch * p.out_.b + head * p.out_.h + row * p.out_.n;
    uint d_out_at = push.base[VKA_BIND_DELTA_D_OUT] + batch * b.d_out.b + head * b.d_out.h + row * b.d_out.n;
    float sum = 0.0;
    // In blocks: where compilers unroll all of it, some load whole rows into registers first, and spill.
    [[dont_unroll]] for (uint block = 0u; block < VECTORS; block += BLOCK) {
        [[unroll]] for (uint d = block; d < block + BLOCK; ++d) {
            if (VECTORS % BLOCK != 0u && d >= VECTORS)
                break;
            vec4 x = out_row4(out_at, p.out_.d, d, DV, has(VKA_FLAG_VEC4_OUT));
            vec4 y = d_out_row4(d_out_at, b.d_out.d, d, DV, has(VKA_FLAG_VEC4_D_OUT));
            sum = fma(x.w, y.w, fma(x.z, y.z, fma(x.y, y.y, fma(x.x, y.x, sum))));
        }
    }
    if (has(VKA_FLAG_D_LSE))
        sum -= d_lse_at(push.base[VKA_BIND_DELTA_D_LSE] + batch * b.d_lse.b + head * b.d_lse.h + row * b.d_lse.n);
    ws_put(batch * b.delta.b + head * b.delta.h + row * b.delta.n, sum);
}
