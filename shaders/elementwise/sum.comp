#version 450
// Sums over dimensions: out = [out +] the sum of x over those that out does not have.
//
// An invocation owns a vector of four columns of a row of out, and sums a part of its terms, in blocks: one long sum would lose
// digits. Where there are few rows, parts are many, and summed by a second dispatch: parts are then its only dimension.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/sum.h"
#define ELEMENT_PARAMS vka_sum_params
#include "elementwise.glsl"

VKA_ELEMENTS(VKA_BIND_FIRST, x, FIRST_TYPE)
VKA_INPUT_I32(VKA_BIND_SECOND, ids)
VKA_INOUT(VKA_BIND_RESULT, out)
VKA_READERS(out, VKA_BIND_RESULT, OUT_TYPE)
VKA_WRITERS(out, OUT_TYPE)

const uint BLOCK = 64u;

uint offset_of(vka_strides s, uvec4 at) {
    return at.x * s.b + at.y * s.h + at.z * s.n + at.w * s.d;
}

// The next term: the first of the next copy, where one ends.
void step_on(inout uvec4 at, inout uint copy) {
    if (++at.w < p.size.d)
        return;
    at.w = 0u;
    if (++at.z < p.size.n)
        return;
    at.z = 0u;
    if (++at.y < p.size.h)
        return;
    at.y = 0u;
    if (++at.x < p.size.b)
        return;
    at.x = 0u;
    ++copy;
}

bool counts(uint ids_row, uvec4 at) {
    return !has(VKA_FLAG_IDS) || uint(ids_at(ids_row + offset_of(p.summed_ids, at))) < p.table;
}

vec4 sum_of(uvec3 row, uint v, uint begin, uint end) {
    uint from = x_row_at(p.kept, row), ids_row = row_at(p.kept_ids, row), inner = p.size.n * p.size.d;
    uint copy = begin / (p.size.b * p.size.h * inner);
    uvec4 at = uvec4(begin / (p.size.h * inner) % p.size.b, begin / inner % p.size.h, begin / p.size.d % p.size.n,
                     begin % p.size.d);
    vec4 sum = vec4(0.0);
    for (uint term = begin; term < end;) {
        vec4 block = vec4(0.0);
        for (uint i = 0u; i < BLOCK && term < end; ++i, ++term) {
            if (counts(ids_row, at))
                block += x_vector4(from + copy * p.copy_stride + offset_of(p.summed, at), p.kept.d, v, p.cols,
                                   has(VKA_FLAG_X_VEC4));
            step_on(at, copy);
        }
        sum += block;
    }
    return sum;
}

void main() {
    uint begin = min(gl_WorkGroupID.y * p.part, p.total), end = begin + min(p.part, p.total - begin);
    uint base = push.base[VKA_BIND_RESULT] + gl_WorkGroupID.y * p.part_stride;
    for (uint i = invocation(); i < push.rows * p.units; i += gl_NumWorkGroups.x * gl_WorkGroupSize.x) {
        uvec3 row = row_of(i / p.units);
        uint v = i % p.units, to = base + row_at(p.out_, row);
        vec4 sum = sum_of(row, v, begin, end);
        if (has(VKA_FLAG_ACCUMULATE))
            sum += out_row4(to, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4));
        out_put_row4(to, p.out_.d, v, p.cols, has(VKA_FLAG_VEC4), sum);
    }
}
