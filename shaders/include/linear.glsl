// What the kernels of linear layers share: where rows lie, eight elements of them at a time, and what becomes of sums.
// SPDX-License-Identifier: MIT

#include "params/linear.h"
#include "activation.glsl"
#include "blocks.glsl"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_linear_params p;
};

const uint X_TYPE = TYPE_OF(VKA_ROLE_X);
const uint WEIGHT_TYPE = TYPE_OF(VKA_ROLE_WEIGHT);
const uint BIAS_TYPE = TYPE_OF(VKA_ROLE_BIAS);
const uint RESIDUAL_TYPE = TYPE_OF(VKA_ROLE_RESIDUAL);
const uint OUT_TYPE = TYPE_OF(VKA_ROLE_OUT);
const bool QUANTISED = WEIGHT_TYPE == VKA_TYPE_Q8_0 || WEIGHT_TYPE == VKA_TYPE_Q4_0;

VKA_INPUT(VKA_BIND_X, x)
VKA_INPUT(VKA_BIND_LINEAR_WEIGHT, weights)
VKA_INPUT(VKA_BIND_LINEAR_BIAS, bias)
VKA_INPUT(VKA_BIND_LINEAR_RESIDUAL, residual)
VKA_OUTPUT(VKA_BIND_LINEAR_OUT, out)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_ANY_READERS(weights, VKA_BIND_LINEAR_WEIGHT, WEIGHT_TYPE)
VKA_READERS(bias, VKA_BIND_LINEAR_BIAS, BIAS_TYPE)
VKA_READERS(residual, VKA_BIND_LINEAR_RESIDUAL, RESIDUAL_TYPE)
VKA_WRITERS(out, OUT_TYPE)
layout(set = 0, binding = VKA_BIND_LINEAR_WORKSPACE, std430) buffer workspace_vectors {
    vec4 workspace[];
};

// An entry of the batch, and a workgroup's part of the columns.
struct Batch {
    uint x, weight, residual, out_; // first element
    uint number, split;
    uint begin, end; // columns
};

Batch find_batch() {
    uint number = gl_WorkGroupID.z / p.splits, split = gl_WorkGroupID.z % p.splits;
    uint b = number / push.dim2, h = number % push.dim2;
    return Batch(push.base[VKA_BIND_X] + b * p.x.b + h * p.x.h,
                 (QUANTISED ? 0u : push.base[VKA_BIND_LINEAR_WEIGHT]) + b * p.weight.b + h * p.weight.h,
                 push.base[VKA_BIND_LINEAR_RESIDUAL] + b * p.residual.b + h * p.residual.h,
                 push.base[VKA_BIND_LINEAR_OUT] + b * p.out_.b + h * p.out_.h, number, split, split * p.split_k,
                 min(p.k, (split + 1u) * p.split_k));
}

// ---- elements ---------------------------------------------------------------------------------------------------------

struct Eight {
    vec4 a, b;
};

Eight eight_of(uint type, uvec4 words) {
    return Eight(vec4(unpack_pair(type, words.x), unpack_pair(type, words.y)),
                 vec4(unpack_pair(type, words.z), unpack_pair(type, words.w)));
}

bool is_half(uint type) {
    return type == VKA_TYPE_F16 || type == VKA_TYPE_BF16;
}

// Elements 8 c .. 8 c + 7, of which the first one exists, of the row that begins at element `row`; 0 beyond its end.
Eight x_eight(uint row, uint c) {
    if (has(VKA_LINEAR_X_VEC8) && is_half(X_TYPE))
        return eight_of(X_TYPE, x_w4[(row >> 3) + c]);
    Eight e = Eight(x_row4(row, p.x.d, 2u * c, p.k, has(VKA_LINEAR_X_VEC4)), vec4(0.0));
    if (has(VKA_LINEAR_X_VEC8) || 8u * c + 4u < p.k)
        e.b = x_row4(row, p.x.d, 2u * c + 1u, p.k, has(VKA_LINEAR_X_VEC4));
    return e;
}

// Blocks lie at any even address: eight bytes from the pair of bytes `at` on, and a block's scale.
uvec2 weight_bytes(uint at) {
    uvec2 words = uvec2(weights_w[at >> 1], weights_w[(at >> 1) + 1u]);
    if ((at & 1u) != 0u)
        words = words >> 16 | uvec2(words.y, weights_w[(at >> 1) + 2u]) << 16;
    return words;
}

float weight_scale(uint block) {
    vec2 scales = unpackHalf2x16(weights_w[block >> 1]);
    return (block & 1u) == 0u ? scales.x : scales.y;
}

const uint BLOCK_PAIRS = WEIGHT_TYPE == VKA_TYPE_Q8_0 ? 17u : 9u;

// The pair of bytes where the block of an element begins.
uint block_of(uint element) {
    return push.base[VKA_BIND_LINEAR_WEIGHT] + (element >> 5) * BLOCK_PAIRS;
}

// A whole block: the words of its bytes, with the scale. Its first pair of bytes is a word's lower half, or its upper half.
struct Block {
    float scale;
    uint words[8]; // of Q4_0 four
};

Block weight_block(uint element) {
    uint at = block_of(element), before = weights_w[at >> 1];
    bool upper = (at & 1u) != 0u;
    vec2 scales = unpackHalf2x16(before);
    Block block;
    block.scale = upper ? scales.y : scales.x;
    [[unroll]] for (uint i = 0u; i < (BLOCK_PAIRS - 1u) / 2u; ++i) {
        uint word = weights_w[(at >> 1) + 1u + i];
        block.words[i] = upper ? word : before >> 16 | word << 16;
        before = word;
    }
    return block;
}

// Nibbles of the low halves of four bytes, less 8.
vec4 nibbles(uint word) {
    return vec4(word & 15u, word >> 8 & 15u, word >> 16 & 15u, word >> 24 & 15u) - 8.0;
}

// Eight e of the block's four.
Eight eight_of_block(Block b, uint e) {
    if (WEIGHT_TYPE == VKA_TYPE_Q8_0)
        return Eight(unpack_signed_bytes(b.words[2u * e]) * b.scale, unpack_signed_bytes(b.words[2u * e + 1u]) * b.scale);
    uint first = 2u * (e & 1u), shift = (e & 2u) * 2u;
    return Eight(nibbles(b.words[first] >> shift) * b.scale, nibbles(b.words[first + 1u] >> shift) * b.scale);
}

Eight weight_eight(uint row, uint c) {
    if (WEIGHT_TYPE == VKA_TYPE_Q8_0) {
        uint block = block_of(row + 8u * c);
        uvec2 words = weight_bytes(block + 1u + (c & 3u) * 4u);
        float scale = weight_scale(block);
        return Eight(unpack_signed_bytes(words.x) * scale, unpack_signed_bytes(words.y) * scale);
    }
    if (WEIGHT_TYPE == VKA_TYPE_Q4_0) {
        uint block = block_of(row + 8u * c);
        uvec2 words = weight_bytes(block + 1u + (c & 1u) * 4u) >> ((c & 2u) * 2u);
        float scale = weight_scale(block);
        return Eight(nibbles(words.x) * scale, nibbles(words.y) * scale);
    }
    if (has(VKA_LINEAR_WEIGHT_VEC8) && is_half(WEIGHT_TYPE))
        return eight_of(WEIGHT_TYPE, weights_w4[(row >> 3) + c]);
    Eight e = Eight(weights_row4(row, p.weight.d, 2u * c, p.k, has(VKA_LINEAR_WEIGHT_VEC4)), vec4(0.0));
    if (has(VKA_LINEAR_WEIGHT_VEC8) || 8u * c + 4u < p.k)
        e.b = weights_row4(row, p.weight.d, 2u * c + 1u, p.k, has(VKA_LINEAR_WEIGHT_VEC4));
    return e;
}

// One element of quantised weights.
float weight_element(uint element) {
    uint block = block_of(element), i = element & 31u;
    uint at = 2u * (block + 1u) + (WEIGHT_TYPE == VKA_TYPE_Q4_0 ? i & 15u : i), bits = weights_w[at >> 2] >> (at & 3u) * 8u;
    float x = WEIGHT_TYPE == VKA_TYPE_Q4_0 ? float(bits >> (i >> 4) * 4u & 15u) - 8.0 : float(int(bits << 24) >> 24);
    return x * weight_scale(block);
}

float dot_add(vec4 a, vec4 b, float sum) {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

// ---- results ----------------------------------------------------------------------------------------------------------

// Sums of a split: vectors of outputs, of rows, of entries of the batch.
uint workspace_at(uint split, uint number, uint row, uint d) {
    uint vectors = (push.dim1 + 3u) / 4u;
    return ((split * push.b0 + number) * push.rows + row) * vectors + d;
}

// Outputs 4 d .. of a row, of which the first one exists, from whole sums.
void put_results(Batch b, uint row, uint d, vec4 y) {
    if (has(VKA_LINEAR_BIAS))
        y += bias_row4(push.base[VKA_BIND_LINEAR_BIAS], p.bias_stride, d, push.dim1, has(VKA_LINEAR_BIAS_VEC4));
    y = activate4(ACTIVATION, y);
    if (has(VKA_LINEAR_RESIDUAL))
        y += residual_row4(b.residual + row * p.residual.n, p.residual.d, d, push.dim1, has(VKA_LINEAR_RESIDUAL_VEC4));
    out_put_row4(b.out_ + row * p.out_.n, p.out_.d, d, push.dim1, has(VKA_LINEAR_OUT_VEC4), y);
}

// The same of one output, which the caller stores.
float result(Batch b, uint row, uint n, float y) {
    if (has(VKA_LINEAR_BIAS))
        y += bias_at(push.base[VKA_BIND_LINEAR_BIAS] + n * p.bias_stride);
    y = activate(ACTIVATION, y);
    if (has(VKA_LINEAR_RESIDUAL))
        y += residual_at(b.residual + row * p.residual.n + n * p.residual.d);
    return y;
}

void put_sums(Batch b, uint row, uint d, vec4 y) {
    if (row >= push.rows || 4u * d >= push.dim1)
        return;
    if (has(VKA_LINEAR_SPLIT))
        workspace[workspace_at(b.split, b.number, row, d)] = y;
    else
        put_results(b, row, d, y);
}
