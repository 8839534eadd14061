// What the kernels of dynamic convolutions' gradients share. After elements.glsl. SPDX-License-Identifier: MIT
#include "params/dynamic_conv_backward.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_BR) const uint TAPS = 1u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_dynamic_conv_backward_params p;
};

VKA_INPUT_I32(VKA_BIND_SHARE_D_LENGTHS, lengths)

const bool VEC4 = (FLAGS & VKA_FLAG_VEC4) != 0u;

// Tokens of an entry that count.
uint length_of(uint entry) {
    return has(VKA_FLAG_LENGTHS) ? uint(clamp(lengths_at(entry * p.lengths_step), 0, int(p.tokens))) : p.tokens;
}
