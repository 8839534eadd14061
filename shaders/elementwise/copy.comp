#version 450
// Copies elements as they are: words (VKA_TYPE_I32), halves of words (VKA_TYPE_F16), of which blocks are made too, or bytes
// (VKA_TYPE_U8), whatever the type of the tensors is. See elementwise.glsl.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "elementwise.glsl"

VKA_INPUT(VKA_BIND_FIRST, x)
VKA_OUTPUT(VKA_BIND_RESULT, out)

// An element of less than a word, of `bits` bits.
void copy_part(uint from, uint to, uint bits) {
    uint each = 32u / bits, mask = (1u << bits) - 1u;
    uint value = x_w[from / each] >> from % each * bits & mask, shift = to % each * bits;
    atomicAnd(out_w[to / each], ~(mask << shift));
    atomicOr(out_w[to / each], value << shift);
}

// Four halves that lie side by side: of those that do not fill a word, others may change the rest of it.
void copy_halves(uint from, uint to) {
    uint first = x_w[from >> 1], middle = x_w[(from >> 1) + 1u], last = x_w[(from + 3u) >> 1];
    bool odd = (from & 1u) != 0u;
    uint low = odd ? first >> 16 | middle << 16 : first, high = odd ? middle >> 16 | last << 16 : middle;
    if ((to & 1u) == 0u) {
        out_w[to >> 1] = low;
        out_w[(to >> 1) + 1u] = high;
        return;
    }
    VKA_PUT_HALF(out_w[to >> 1], to, low & 0xffffu)
    out_w[(to >> 1) + 1u] = low >> 16 | high << 16;
    VKA_PUT_HALF(out_w[(to + 3u) >> 1], to + 3u, high >> 16)
}

// Vector v of rows that begin at these elements.
void copy4(uint from, uint to, uint v) {
    bool fast = has(VKA_FLAG_X_VEC4) && has(VKA_FLAG_VEC4);
    if (OUT_TYPE == VKA_TYPE_I32 && fast) {
        out_w4[(to >> 2) + v] = x_w4[(from >> 2) + v];
        return;
    }
    if (OUT_TYPE == VKA_TYPE_U8 && fast) {
        out_w[(to >> 2) + v] = x_w[(from >> 2) + v];
        return;
    }
    if (OUT_TYPE == VKA_TYPE_F16 && p.first.d == 1u && p.out_.d == 1u && 4u * v + 3u < p.cols) {
        copy_halves(from + 4u * v, to + 4u * v);
        return;
    }
    for (uint i = 4u * v; i < min(4u * v + 4u, p.cols); ++i) {
        if (OUT_TYPE == VKA_TYPE_I32)
            out_w[to + i * p.out_.d] = x_w[from + i * p.first.d];
        else
            copy_part(from + i * p.first.d, to + i * p.out_.d, OUT_TYPE == VKA_TYPE_U8 ? 8u : 16u);
    }
}

void main() {
    if (invocation() >= push.rows * p.units)
        return;
    uvec3 row = row_of(invocation() / p.units);
    uint from = push.base[VKA_BIND_FIRST] + row_at(p.first, row);
    uint to = push.base[VKA_BIND_RESULT] + row_at(p.out_, row);
    for (uint v = invocation() % p.units; 4u * v < p.cols; v += p.units)
        copy4(from, to, v);
}
