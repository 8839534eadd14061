#version 450
// d_x = d_out activation'(x scale + offset) scale. See elementwise.glsl; an element is read and written by the same invocation, so
// that the output may lie where an input does.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "elementwise.glsl"
#include "activation_slope.glsl"

VKA_ELEMENTS(VKA_BIND_FIRST, x, FIRST_TYPE)
VKA_ELEMENTS(VKA_BIND_SECOND, d_out, SECOND_TYPE)
VKA_OUTPUT(VKA_BIND_RESULT, out)
VKA_WRITERS(out, OUT_TYPE)
VKA_WORD_WRITERS(out, OUT_TYPE)

void main() {
    if (invocation() >= push.rows * p.units)
        return;
    uvec3 row = row_of(invocation() / p.units);
    uint x_row = x_row_at(p.first, row), d_out_row = d_out_row_at(p.second, row);
    uint to = push.base[VKA_BIND_RESULT] + row_at(p.out_, row);
    for (uint v = invocation() % p.units; 4u * v < p.cols; v += p.units) {
        vec4 x = x_vector4(x_row, p.first.d, v, p.cols, has(VKA_FLAG_X_VEC4));
        vec4 d = d_out_vector4(d_out_row, p.second.d, v, p.cols, has(VKA_FLAG_SECOND_VEC4));
        if (has(VKA_FLAG_AFFINE)) {
            x = fma(x, vec4(p.scale), vec4(p.offset));
            d *= p.scale;
        }
        out_put_words4(to, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4), d * slopes4(ACTIVATION, x, 1.0));
    }
}
