#version 450
// The gradient of a table: each of its rows sums the rows of d_out whose id names it, in their order.
//
// An invocation owns vectors of a row of the table. The tokens of row v lie in the sorted order where bucket v does: from where
// the one before it ends to its own end, as the sort left them in its table.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/embedding_backward.h"
#define ELEMENT_PARAMS vka_embedding_backward_params
#include "elementwise.glsl"

VKA_ELEMENTS(VKA_BIND_FIRST, d_out, FIRST_TYPE)
VKA_INOUT(VKA_BIND_RESULT, out)
VKA_READERS(out, VKA_BIND_RESULT, OUT_TYPE)
VKA_WRITERS(out, OUT_TYPE)
VKA_WORD_WRITERS(out, OUT_TYPE)
layout(set = 0, binding = VKA_BIND_ENDS, std430) readonly buffer Ends {
    uint ends[];
};
layout(set = 0, binding = VKA_BIND_ORDER, std430) readonly buffer Order {
    int order[];
};

const uint BLOCK = 64u;

uint d_out_row(uint token) {
    uint outer = token / p.dim2;
    return d_out_row_at(p.d_out, uvec3(outer / p.dim1, outer % p.dim1, token % p.dim2));
}

// In blocks: one long sum would lose digits.
vec4 sum_of(uint begin, uint end, uint v) {
    vec4 sum = vec4(0.0);
    for (uint i = begin; i < end;) {
        vec4 block = vec4(0.0);
        for (uint n = 0u; n < BLOCK && i < end; ++n, ++i)
            block += d_out_vector4(d_out_row(uint(order[i])), p.d_out.d, v, p.cols, has(VKA_FLAG_X_VEC4));
        sum += block;
    }
    return p.scale * sum;
}

void main() {
    if (invocation() >= push.rows * p.units)
        return;
    uint local = invocation() / p.units, row = push.x0 + local, to = push.base[VKA_BIND_RESULT] + local * p.out_.n;
    uint begin = row > 0u ? ends[p.ends + row - 1u] : 0u, end = ends[p.ends + row];
    if (has(VKA_FLAG_ADD_TABLE) && begin == end)
        return;
    for (uint v = invocation() % p.units; 4u * v < p.cols; v += p.units) {
        vec4 sum = sum_of(begin, end, v);
        if (has(VKA_FLAG_ADD_TABLE))
            sum += out_row4(to, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4));
        out_put_words4(to, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4), sum);
    }
}
