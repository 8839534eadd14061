#version 450
// The sum or mean of the losses of rows that count: one workgroup, in an order that never changes.
//
// Invocation t sums the rows t, t + GROUP_SIZE, .., in blocks, and then of blocks' sums: one long sum would lose digits.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/cross_entropy.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_cross_entropy_params p;
};
layout(set = 0, binding = VKA_BIND_ROW_LOSSES, std430) readonly buffer RowLosses {
    uint row_losses[];
};
VKA_OUTPUT_F32(VKA_BIND_TOTAL, total)

const uint BLOCK = 64u;

shared float sums[GROUP_SIZE];
shared uint counts[GROUP_SIZE];

void main() {
    uint t = gl_LocalInvocationIndex, count = 0u;
    float sum = 0.0;
    // Indices may come close to 2^32.
    for (uint row = t; row < p.rows;) {
        float block = 0.0;
        for (uint i = 0u; i < BLOCK && row < p.rows; ++i) {
            uint bits = row_losses[row];
            block += bits == VKA_LOSS_IGNORED ? 0.0 : uintBitsToFloat(bits);
            count += bits == VKA_LOSS_IGNORED ? 0u : 1u;
            row = p.rows - row > GROUP_SIZE ? row + GROUP_SIZE : p.rows;
        }
        sum += block;
    }
    sums[t] = sum;
    counts[t] = count;
    for (uint width = 1u; width < GROUP_SIZE; width *= 2u) {
        barrier();
        uint at = t * width * 2u;
        if (at + width < GROUP_SIZE) {
            sums[at] += sums[at + width];
            counts[at] += counts[at + width];
        }
    }
    if (t == 0u) {
        // 0 / 0 is asked for by bits: what a driver makes of it is its choice.
        float mean = counts[0] == 0u ? uintBitsToFloat(0x7fc00000u) : sums[0] / float(counts[0]);
        total_put(push.base[VKA_BIND_TOTAL], has(VKA_FLAG_MEAN_LOSS) ? mean : sums[0]);
    }
}
