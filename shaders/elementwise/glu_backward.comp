#version 450
// d_gate = d_out up activation'(gate), d_up = d_out activation(gate). See elementwise.glsl; elements are read and written by the same
// invocation, so that outputs may lie where inputs do.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "elementwise.glsl"
#include "activation_slope.glsl"

VKA_ELEMENTS(VKA_BIND_FIRST, gate, FIRST_TYPE)
VKA_ELEMENTS(VKA_BIND_SECOND, up, SECOND_TYPE)
VKA_ELEMENTS(VKA_BIND_THIRD, d_out, THIRD_TYPE)
VKA_OUTPUT(VKA_BIND_RESULT, d_gate)
VKA_WRITERS(d_gate, OUT_TYPE)
VKA_WORD_WRITERS(d_gate, OUT_TYPE)
VKA_OUTPUT(VKA_BIND_FOURTH, d_up)
VKA_WRITERS(d_up, FOURTH_TYPE)
VKA_WORD_WRITERS(d_up, FOURTH_TYPE)

void main() {
    if (invocation() >= push.rows * p.units)
        return;
    uvec3 row = row_of(invocation() / p.units);
    uint gate_row = gate_row_at(p.first, row), up_row = up_row_at(p.second, row), d_out_row = d_out_row_at(p.third, row);
    uint to_gate = push.base[VKA_BIND_RESULT] + row_at(p.out_, row), to_up = push.base[VKA_BIND_FOURTH] + row_at(p.fourth, row);
    for (uint v = invocation() % p.units; 4u * v < p.cols; v += p.units) {
        vec4 gate = gate_vector4(gate_row, p.first.d, v, p.cols, has(VKA_FLAG_X_VEC4));
        vec4 up = up_vector4(up_row, p.second.d, v, p.cols, has(VKA_FLAG_SECOND_VEC4));
        vec4 d = d_out_vector4(d_out_row, p.third.d, v, p.cols, has(VKA_FLAG_THIRD_VEC4));
        if (OUT_TYPE != 0u)
            d_gate_put_words4(to_gate, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4),
                              d * up * slopes4(ACTIVATION, gate, p.scale));
        if (FOURTH_TYPE != 0u)
            d_up_put_words4(to_up, p.fourth.d, v, p.cols, has(VKA_FLAG_FOURTH_VEC4),
                            d * activate4(ACTIVATION, gate, p.scale));
    }
}
