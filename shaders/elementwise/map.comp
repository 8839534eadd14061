#version 450
// out = activation(x * scale + offset), from any type to f32, f16 or bf16. See elementwise.glsl; an element is read and written
// by the same invocation, so that the output may lie where x does.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "map.glsl"

VKA_OUTPUT(VKA_BIND_RESULT, out)
VKA_WRITERS(out, OUT_TYPE)
VKA_WORD_WRITERS(out, OUT_TYPE)

void main() {
    if (invocation() >= push.rows * p.units)
        return;
    uvec3 row = row_of(invocation() / p.units);
    Source source = source_of(row);
    uint to = push.base[VKA_BIND_RESULT] + row_at(p.out_, row);
    for (uint v = invocation() % p.units; 4u * v < p.cols; v += p.units)
        out_put_words4(to, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4), mapped4(source, v));
}
