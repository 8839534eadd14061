#version 450
// Gradients of softmax and its logarithm, from their results: two passes over a row, the sum of what the gradients of its
// columns have in common, and the results. See row_owner.glsl for who owns it.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_basic : require
#endif
#include "elements.glsl"
#include "params/softmax.h"

#define VKA_PARTS float
#include "row_owner.glsl"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_softmax_backward_params p;
};

const uint Y_TYPE = TYPE_OF(VKA_ROLE_X);
const uint G_TYPE = TYPE_OF(VKA_ROLE_D_OUT);
const uint DX_TYPE = TYPE_OF(VKA_ROLE_OUT);

VKA_INPUT(VKA_BIND_X, y)
VKA_INPUT_I32(VKA_BIND_ROW_LENGTHS, lengths)
VKA_INPUT(VKA_BIND_SOFTMAX_D_OUT, g)
VKA_OUTPUT(VKA_BIND_SOFTMAX, dx)
VKA_READERS(y, VKA_BIND_X, Y_TYPE)
VKA_READERS(g, VKA_BIND_SOFTMAX_D_OUT, G_TYPE)
VKA_WORD_READERS(y, Y_TYPE)
VKA_WORD_READERS(g, G_TYPE)
VKA_WRITERS(dx, DX_TYPE)
VKA_WORD_WRITERS(dx, DX_TYPE)
VKA_ROW_STREAM(dx, DX_TYPE)

// Sums are taken of blocks, and then of blocks' sums: one long sum of a long row would lose digits.
const uint BLOCK = 64u;

struct Row {
    uint y, g, dx; // first element of the row in each tensor
    uint live;     // columns before its length
};

Row find_row(uint row) {
    uvec3 i = uvec3(row / (push.dim1 * push.dim2), row / push.dim2 % push.dim1, row % push.dim2);
    uvec3 global = i + uvec3(push.b0, push.h0, push.x0);
    uint live = p.cols;
    if (has(VKA_FLAG_LENGTHS)) {
        uint at = global.x * p.lengths.b + global.y * p.lengths.h + global.z * p.lengths.n;
        live = uint(clamp(lengths_at(at), 0, int(p.cols)));
    }
    return Row(push.base[VKA_BIND_X] + i.x * p.y.b + i.y * p.y.h + i.z * p.y.n,
               push.base[VKA_BIND_SOFTMAX_D_OUT] + i.x * p.g.b + i.y * p.g.h + i.z * p.g.n,
               push.base[VKA_BIND_SOFTMAX] + i.x * p.dx.b + i.y * p.dx.h + i.z * p.dx.n, live);
}

bool fast() {
    return has(VKA_FLAG_VEC4);
}

struct Values {
    vec4 y, g;    // probabilities; gradients
    bvec4 hidden; // both are 0 there
};

// Vector c of a row; columns that are not live are not read.
Values values_of(Row row, uint c) {
    if (4u * c >= row.live)
        return Values(vec4(0.0), vec4(0.0), bvec4(true));
    vec4 y = y_words4(row.y, p.y.d, c, p.cols, fast()), g = g_words4(row.g, p.g.d, c, p.cols, fast());
    bvec4 hidden = greaterThanEqual(4u * c + uvec4(0u, 1u, 2u, 3u), uvec4(row.live));
    if (has(VKA_FLAG_LOG)) {
        hidden = bvec4(uvec4(hidden) | uvec4(equal(floatBitsToUint(y), uvec4(0xff800000u))));
        y = exp2(y * 1.4426950408889634);
    } else {
        hidden = bvec4(uvec4(hidden) | uvec4(equal(floatBitsToUint(y) & 0x7fffffffu, uvec4(0u))));
    }
    return Values(mix(y, vec4(0.0), hidden), mix(g, vec4(0.0), hidden), hidden);
}

// What a vector adds to the row's sum.
float part(Values v) {
    return has(VKA_FLAG_LOG) ? (v.g.x + v.g.y) + (v.g.z + v.g.w) : dot(v.y, v.g);
}

vec4 gradient(Values v, float sum) {
    vec4 d = has(VKA_FLAG_LOG) ? v.g - v.y * sum : v.y * (v.g - sum);
    return mix(p.scale * d, vec4(0.0), v.hidden); // the sum may be NaN
}

void do_row(Row row) {
    uint vectors = (p.cols + 3u) / 4u;
    Values kept[KEPT];
    float sum = 0.0;
    if (COLS > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; ++i) {
            kept[i] = values_of(row, vector(i));
            sum += part(kept[i]);
        }
    } else {
        for (uint begin = 0u; vector(begin) < vectors; begin += BLOCK) {
            float block = 0.0;
            for (uint i = begin; i < begin + BLOCK && vector(i) < vectors; ++i)
                block += part(values_of(row, vector(i)));
            sum += block;
        }
    }
    sum = group_sum(sum);
#if VKA_LANE
    uint carry = 0u;
    for (uint c = 0u; c < vectors; ++c)
        dx_stream4(row.dx, p.dx.d, c, p.cols, fast(), gradient(values_of(row, c), sum), carry);
    dx_stream4(row.dx, p.dx.d, vectors, p.cols, fast(), vec4(0.0), carry);
#else
    if (COLS > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; ++i)
            if (i + 1u < COLS || vector(i) < vectors)
                dx_put_words4(row.dx, p.dx.d, vector(i), p.cols, fast(), gradient(kept[i], sum));
    } else {
        for (uint i = 0u; vector(i) < vectors; ++i)
            dx_put_words4(row.dx, p.dx.d, vector(i), p.cols, fast(), gradient(values_of(row, vector(i)), sum));
    }
#endif
}

void main() {
    VKA_EACH_ROW(do_row)
}
