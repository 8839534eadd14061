#version 450
// Gradients of cross entropy: softmax minus target, times the gradient of the row's loss. Where log-sum-exps are not given, a
// first pass over a row finds its maximum and sum. See row_owner.glsl for who owns it.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_basic : require
#endif
#include "elements.glsl"
#include "params/cross_entropy.h"
#define VKA_PARTS float
#include "row_owner.glsl"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_cross_entropy_backward_params p;
};

const uint X_TYPE = TYPE_OF(VKA_ROLE_X);
const uint DX_TYPE = TYPE_OF(VKA_ROLE_OUT);

VKA_INPUT(VKA_BIND_X, x)
VKA_INPUT_I32(VKA_BIND_TARGETS, targets)
VKA_INPUT_F32(VKA_BIND_D_LOSS, d_loss)
VKA_INPUT_F32(VKA_BIND_LSE_IN, lse)
VKA_INPUT_F32(VKA_BIND_D_TOTAL, d_total)
VKA_INPUT_F32(VKA_BIND_SHARE, share)
VKA_INPUT_F32(VKA_BIND_D_LSE, d_lse)
VKA_OUTPUT(VKA_BIND_D_LOGITS, dx)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_WORD_READERS(x, X_TYPE)
VKA_WRITERS(dx, DX_TYPE)
VKA_WORD_WRITERS(dx, DX_TYPE)
VKA_ROW_STREAM(dx, DX_TYPE)

#define VKA_SUMS_BELOW 0
#include "softmax.glsl"
#if !VKA_LANE
#include "softmax_group.glsl"
#endif

struct Row {
    uint x, dx; // first element of the row in each tensor
    int target;
    float d, d_lse; // gradients of the row's loss and of its log-sum-exp
    uint lse;
};

uint row_at(uint binding, vka_strides s, uvec3 i) {
    return push.base[binding] + i.x * s.b + i.y * s.h + i.z * s.n;
}

float gradient_of_loss(uvec3 i, int target) {
    if (target == p.ignored)
        return 0.0;
    if (target < 0 || uint(target) >= p.cols)
        return not_a_number();
    float d = has(VKA_FLAG_LOSS) ? d_loss_at(row_at(VKA_BIND_D_LOSS, p.d_loss, i)) : 0.0;
    if (has(VKA_FLAG_TOTAL))
        d += d_total_at(push.base[VKA_BIND_D_TOTAL]) * (has(VKA_FLAG_MEAN_LOSS) ? share_at(0u) : 1.0);
    return d;
}

Row find_row(uint row) {
    uvec3 i = uvec3(row / (push.dim1 * push.dim2), row / push.dim2 % push.dim1, row % push.dim2);
    int target = targets_at(i.x * p.targets.b + i.y * p.targets.h + i.z * p.targets.n);
    return Row(row_at(VKA_BIND_X, p.x, i), row_at(VKA_BIND_D_LOGITS, p.d_x, i), target, gradient_of_loss(i, target),
               has(VKA_FLAG_LSE_OUT) ? d_lse_at(row_at(VKA_BIND_D_LSE, p.d_lse, i)) : 0.0,
               row_at(VKA_BIND_LSE_IN, p.lse, i));
}

bool fast() {
    return has(VKA_FLAG_VEC4);
}

// As if the sum of what values are below the log-sum-exp had been taken.
State given_state(float lse) {
    bool dead = floatBitsToUint(lse) == 0xff800000u;
    return State(dead ? LOWEST : lse, dead ? 0.0 : 1.0, is_nonfinite(lse) && !dead);
}

State state_of(Row row) {
    if (has(VKA_FLAG_LSE_IN))
        return given_state(lse_at(row.lse));
    State mine = walk(row.x, p.cols, vector(0u), vector(1u) - vector(0u), fast());
#if VKA_LANE
    return mine;
#else
    return group_state(mine);
#endif
}

vec4 gradient(Row row, uint c, State s, float normal) {
    vec4 q = weights(all_values_of(x_words4(row.x, p.x.d, c, p.cols, fast())), s.maximum) * normal;
    bvec4 is_target = equal(4u * c + uvec4(0u, 1u, 2u, 3u), uvec4(uint(row.target)));
    vec4 target = p.smoothing / float(p.cols) + mix(vec4(0.0), vec4(1.0 - p.smoothing), is_target);
    return row.d * (q - target) + row.d_lse * q;
}

void do_row(Row row) {
    uint vectors = (p.cols + 3u) / 4u;
    bool reads = row.target != p.ignored || has(VKA_FLAG_LSE_OUT);
    State s = no_values();
    if (reads) // of a row: the same for all who own it
        s = state_of(row);
    bool dead = is_dead(s) && !s.spoilt;
    float normal = dead ? 0.0 : 1.0 / s.sum;
#if VKA_LANE
    uint carry = 0u;
#endif
    for (uint i = 0u; vector(i) < vectors; ++i) {
        uint c = vector(i);
        vec4 d = dead ? vec4(0.0) : s.spoilt ? vec4(not_a_number()) : gradient(row, c, s, normal);
#if VKA_LANE
        dx_stream4(row.dx, p.d_x.d, c, p.cols, fast(), d, carry);
#else
        dx_put_words4(row.dx, p.d_x.d, c, p.cols, fast(), d);
#endif
    }
#if VKA_LANE
    dx_stream4(row.dx, p.d_x.d, vectors, p.cols, fast(), vec4(0.0), carry);
#endif
}

void main() {
    VKA_EACH_ROW(do_row)
}
