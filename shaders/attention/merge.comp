#version 450
// Merges the partial results of keys split over workgroups (Flash-Decoding, Dao 2023).
//
// An invocation owns one channel of one row: it finds the largest maximum of the splits, and sums their outputs and sums,
// each scaled to it. Splits that saw nothing have a sum of 0 and the lowest maximum, and weigh nothing.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "storage.glsl"
#include "attention.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

VKA_OUTPUT(VKA_BIND_OUT, out)
VKA_OUTPUT_F32(VKA_BIND_LSE, lse)
VKA_INPUT_F32(VKA_BIND_WORKSPACE, ws)

void main() {
    uint item = (gl_WorkGroupID.x + push.x0) * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint query = item / DV, d = item % DV;
    uint head = gl_WorkGroupID.y + push.y0, batch = gl_WorkGroupID.z + push.z0;
    if (query >= p.q_len)
        return;
    uint row = (batch * p.ws_rows + head * p.q_len + query) * p.splits;
    float maximum = LOWEST, sum = 0.0, x = 0.0;
    for (uint s = 0u; s < p.splits; ++s)
        maximum = max(maximum, ws_at(p.ws_stats + (row + s) * 2u));
    for (uint s = 0u; s < p.splits; ++s) {
        float weight = exp2(ws_at(p.ws_stats + (row + s) * 2u) - maximum);
        sum += weight * ws_at(p.ws_stats + (row + s) * 2u + 1u);
        x += weight * ws_at((row + s) * DV + d);
    }
    out_put(push.base[VKA_BIND_OUT] + batch * p.out_.b + head * p.out_.h + query * p.out_.n + d * p.out_.d,
            x * normaliser(sum));
    if (has(VKA_FLAG_LSE) && d == 0u)
        lse_put(push.base[VKA_BIND_LSE] + batch * p.lse.b + head * p.lse.h + query * p.lse.n, lse_of(maximum, sum));
}
