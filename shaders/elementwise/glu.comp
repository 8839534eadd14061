#version 450
// out = activation(gate) up. See elementwise.glsl; an element is read and written by the same invocation, so that the output
// may lie where an input does.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "elementwise.glsl"
#include "activation.glsl"

VKA_ELEMENTS(VKA_BIND_FIRST, gate, FIRST_TYPE)
VKA_ELEMENTS(VKA_BIND_SECOND, up, SECOND_TYPE)
VKA_OUTPUT(VKA_BIND_RESULT, out)
VKA_WRITERS(out, OUT_TYPE)
VKA_WORD_WRITERS(out, OUT_TYPE)

void main() {
    if (invocation() >= push.rows * p.units)
        return;
    uvec3 row = row_of(invocation() / p.units);
    uint gate_row = gate_row_at(p.first, row), up_row = up_row_at(p.second, row);
    uint to = push.base[VKA_BIND_RESULT] + row_at(p.out_, row);
    for (uint v = invocation() % p.units; 4u * v < p.cols; v += p.units) {
        vec4 gate = gate_vector4(gate_row, p.first.d, v, p.cols, has(VKA_FLAG_X_VEC4));
        vec4 up = up_vector4(up_row, p.second.d, v, p.cols, has(VKA_FLAG_SECOND_VEC4));
        out_put_words4(to, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4), activate4(ACTIVATION, gate, p.scale) * up);
    }
}
