// A vector of vka_map's results, before they are stored.
// SPDX-License-Identifier: MIT
#include "elementwise.glsl"
#include "activation.glsl"

VKA_ELEMENTS(VKA_BIND_FIRST, x, FIRST_TYPE)
VKA_INPUT_F32(VKA_BIND_SECOND, x_scale)

struct Source {
    uint row;    // its first element
    float scale; // of i8
};

Source source_of(uvec3 row) {
    uint scale = push.base[VKA_BIND_SECOND] + row_at(p.second, row);
    return Source(x_row_at(p.first, row), has(VKA_FLAG_X_SCALE) ? x_scale_at(scale) : 1.0);
}

vec4 mapped4(Source s, uint v) {
    vec4 y = x_vector4(s.row, p.first.d, v, p.cols, has(VKA_FLAG_X_VEC4));
    if (has(VKA_FLAG_X_SCALE))
        y *= s.scale;
    if (has(VKA_FLAG_AFFINE))
        y = fma(y, vec4(p.scale), vec4(p.offset));
    return activate4(ACTIVATION, y);
}
