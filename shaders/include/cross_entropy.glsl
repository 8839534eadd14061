// What the kernels of vka_cross_entropy share: rows, their targets, their losses.
// SPDX-License-Identifier: MIT

#include "params/cross_entropy.h"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_cross_entropy_params p;
};

const uint X_TYPE = TYPE_OF(VKA_ROLE_X);

VKA_INPUT(VKA_BIND_X, x)
VKA_INPUT_I32(VKA_BIND_TARGETS, targets)
VKA_OUTPUT_F32(VKA_BIND_LOSS, loss)
VKA_OUTPUT_F32(VKA_BIND_LOSS_LSE, lse)
layout(set = 0, binding = VKA_BIND_ROW_LOSSES, std430) writeonly buffer RowLosses {
    uint row_losses[];
};
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_WORD_READERS(x, X_TYPE)

#define VKA_SUMS_BELOW 1
#include "softmax.glsl"

struct Row {
    uint x, loss, lse; // first element of the row in each tensor
    uint number;       // among all rows
    int target;
};

Row find_row(uint row) {
    uvec3 i = uvec3(row / (push.dim1 * push.dim2), row / push.dim2 % push.dim1, row % push.dim2);
    uvec3 all = i + uvec3(push.b0, push.h0, push.x0);
    return Row(push.base[VKA_BIND_X] + i.x * p.x.b + i.y * p.x.h + i.z * p.x.n,
               push.base[VKA_BIND_LOSS] + i.x * p.loss.b + i.y * p.loss.h + i.z * p.loss.n,
               push.base[VKA_BIND_LOSS_LSE] + i.x * p.lse.b + i.y * p.lse.h + i.z * p.lse.n,
               (all.x * p.rows_h + all.y) * p.rows_n + all.z,
               targets_at(i.x * p.targets.b + i.y * p.targets.h + i.z * p.targets.n));
}

bool fast() {
    return has(VKA_FLAG_VEC4);
}

bool is_ignored(Row row) {
    return row.target == p.ignored;
}

// The logits of ignored rows are read for nothing but their lse.
bool needs_logits(Row row) {
    return !is_ignored(row) || has(VKA_FLAG_LSE_OUT);
}

// Differences are of halves, as softmax has them; of the target, and mean of all.
float loss_of(Row row, State s) {
    if (is_ignored(row))
        return 0.0;
    if (s.spoilt || row.target < 0 || uint(row.target) >= p.cols)
        return not_a_number();
    if (is_dead(s))
        return -negative_infinity();
    float target = 2.0 * below(vec4(x_at(row.x + uint(row.target) * p.x.d)), s.maximum).x;
    if (has(VKA_FLAG_SMOOTHING)) {
        precise float mean = p.smoothing * (s.under / float(p.cols)) * (2.0 * UNDER); // the share must come first
        target = mean + (p.smoothing < 1.0 ? (1.0 - p.smoothing) * target : 0.0);
    }
    return log_of_sum(s) - target;
}

void store_row(Row row, State s) {
    float loss = loss_of(row, s);
    if (has(VKA_FLAG_LOSS))
        loss_put(row.loss, loss);
    if (has(VKA_FLAG_LSE_OUT))
        lse_put(row.lse, s.spoilt ? not_a_number() : is_dead(s) ? negative_infinity() : s.maximum + log_of_sum(s));
    if (has(VKA_FLAG_TOTAL))
        row_losses[row.number] = is_ignored(row) ? VKA_LOSS_IGNORED : floatBitsToUint(loss);
}
