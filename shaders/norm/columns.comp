#version 450
// Gradients of weights and biases of norms, first step: sums of columns over chunks of rows, of d_out and of d_out times
// normalised values. Invocations own four columns of a chunk; BC of them lie side by side. Of groups a column is a channel,
// and a row a position. Sums go to the workspace, where norm/reduce.comp adds those of all chunks.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "norm_backward.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 8u;

layout(set = 0, binding = VKA_BIND_NORM_PARTIALS, std430) buffer Partials {
    float partials[];
};

// Sums are taken of blocks, and then of blocks' sums: one long sum would lose digits.
const uint BLOCK = 64u;

#if VKA_GROUPS

struct Columns {
    uint count;     // of this dispatch
    uvec4 x, d_out; // elements of four columns, from their row on
    uvec4 group;    // in statistics
};

Columns columns_of(uint v) {
    uint count = push.y0 * p.channels;
    uvec4 c = min(4u * v + uvec4(0u, 1u, 2u, 3u), uvec4(count - 1u));
    return Columns(count, c * b.x_column.d, c * b.d_out_column.d, c / p.channels);
}

void add_row(uint row, uint v, Columns c, inout vec4 weights, inout vec4 biases) {
    uvec2 i = uvec2(row / b.positions, row % b.positions);
    uvec4 at = push.base[VKA_BIND_NORM_D_OUT] + i.x * b.d_out_column.b + i.y * b.d_out_column.n + c.d_out;
    vec4 g = fast() ? d_out_at4(at.x >> 2) : vec4(d_out_at(at.x), d_out_at(at.y), d_out_at(at.z), d_out_at(at.w));
    biases += g;
    if (!has(VKA_FLAG_WEIGHT))
        return;
    at = push.base[VKA_BIND_X] + i.x * b.x_column.b + i.y * b.x_column.n + c.x;
    vec4 y = fast() ? x_at4(at.x >> 2) : vec4(x_at(at.x), x_at(at.y), x_at(at.z), x_at(at.w));
    uvec4 m = push.base[VKA_BIND_STATS_MEAN] + i.x * p.mean.b + c.group * p.mean.h;
    uvec4 s = push.base[VKA_BIND_STATS_INV] + i.x * p.inv_std.b + c.group * p.inv_std.h;
    vec4 centred = y - vec4(mean_at(m.x), mean_at(m.y), mean_at(m.z), mean_at(m.w));
    weights += g * (centred * vec4(inv_std_at(s.x), inv_std_at(s.y), inv_std_at(s.z), inv_std_at(s.w)));
}

uint row_count() {
    return push.x0 * b.positions;
}

#else

struct Columns {
    uint count;
};

Columns columns_of(uint v) {
    return Columns(p.cols);
}

void add_row(uint row, uint v, Columns c, inout vec4 weights, inout vec4 biases) {
    uvec3 i = place_of_row(row);
    vec4 g = d_out_words4(row_at(VKA_BIND_NORM_D_OUT, b.d_out, i), b.d_out.d, v, p.cols, fast());
    biases += g;
    if (!has(VKA_FLAG_WEIGHT))
        return;
    vec4 y = x_words4(row_at(VKA_BIND_X, p.x, i), p.x.d, v, p.cols, fast());
    if (has(VKA_FLAG_RESIDUAL))
        y += residual_words4(row_at(VKA_BIND_RESIDUAL, p.residual, i), p.residual.d, v, p.cols, fast());
    if (!has(VKA_FLAG_RMS))
        y -= mean_at(row_at(VKA_BIND_STATS_MEAN, p.mean, i));
    weights += g * (y * inv_std_at(row_at(VKA_BIND_STATS_INV, p.inv_std, i)));
}

uint row_count() {
    return push.rows;
}

#endif

// push.h0 = 1: on top of what an earlier dispatch has put there.
void put(uint at, uint count, vec4 sums) {
    for (uint i = 0u; i < min(count, 4u); ++i)
        partials[at + i] = sums[i] + (push.h0 == 1u ? partials[at + i] : 0.0);
}

// Chunk `chunk` of this dispatch, the vector v of its columns.
void do_chunk(uint chunk, uint v) {
    Columns c = columns_of(v);
    if (4u * v >= c.count)
        return;
    vec4 weights = vec4(0.0), biases = vec4(0.0);
    uint begin = min(chunk * b.chunk, row_count()), end = begin + min(b.chunk, row_count() - begin);
    while (begin < end) {
        vec4 block_weights = vec4(0.0), block_biases = vec4(0.0);
        uint stop = begin + min(BLOCK, end - begin);
        for (; begin < stop; ++begin)
            add_row(begin, v, c, block_weights, block_biases);
        weights += block_weights;
        biases += block_biases;
    }
    uint at = push.base[VKA_BIND_NORM_PARTIALS] + (push.z0 + chunk) * b.columns + push.row0 + 4u * v;
    if (has(VKA_FLAG_WEIGHT))
        put(at, c.count - 4u * v, weights);
    if (has(VKA_FLAG_BIAS))
        put(at + b.bias_partials, c.count - 4u * v, biases);
}

// push.b0: chunks of this dispatch; z0: the first of them; row0: the first column; h0: see put. Of groups x0, y0: batch entries, groups.
void main() {
    uint across = gl_LocalInvocationIndex % BC, down = gl_LocalInvocationIndex / BC;
    uint vectors = (columns_of(0u).count + 3u) / 4u;
    for (uint chunk = gl_WorkGroupID.y * (GROUP_SIZE / BC) + down; chunk < push.b0;
         chunk += gl_NumWorkGroups.y * (GROUP_SIZE / BC))
        for (uint v = gl_WorkGroupID.x * BC + across; v < vectors; v += gl_NumWorkGroups.x * BC)
            do_chunk(chunk, v);
}
