#version 450
// out = table[ids] scale + position. See elementwise.glsl.
//
// A dispatch may see a part of the table: rows push.y0 .. push.y0 + push.z0 - 1. It does what lies there; the first one also
// writes zeros for ids that are nowhere.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "elementwise.glsl"

VKA_ELEMENTS(VKA_BIND_FIRST, table, FIRST_TYPE)
VKA_ELEMENTS(VKA_BIND_SECOND, position, SECOND_TYPE)
VKA_INPUT_I32(VKA_BIND_THIRD, ids)
VKA_OUTPUT(VKA_BIND_RESULT, out)
VKA_WRITERS(out, OUT_TYPE)
VKA_WORD_WRITERS(out, OUT_TYPE)

void main() {
    if (invocation() >= push.rows * p.units)
        return;
    uvec3 row = row_of(invocation() / p.units);
    uint id = uint(ids_at(row_at(p.third, row))), here = id - push.y0; // large where it is negative
    bool exists = id < p.table;
    if (exists ? here >= push.z0 : push.y0 > 0u)
        return;
    uint from = table_row_at(p.first, uvec3(0u, 0u, exists ? here : 0u)), add = position_row_at(p.second, row);
    uint to = push.base[VKA_BIND_RESULT] + row_at(p.out_, row);
    for (uint v = invocation() % p.units; 4u * v < p.cols; v += p.units) {
        vec4 y = vec4(0.0);
        if (exists) {
            y = table_vector4(from, p.first.d, v, p.cols, has(VKA_FLAG_X_VEC4));
            if (has(VKA_FLAG_AFFINE))
                y *= p.scale;
            if (has(VKA_FLAG_POSITION))
                y += position_vector4(add, p.second.d, v, p.cols, has(VKA_FLAG_SECOND_VEC4));
        }
        out_put_words4(to, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4), y);
    }
}
