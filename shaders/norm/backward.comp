#version 450
// Gradients of rows of norms. Of normalised values h and gradients g of them (those of the output times weights):
//
//     d_x = inverse * (g - mean(g) - h * mean(g * h)) + d_sum
//
// without mean(g) where no mean is subtracted. Two passes over a row: both means; the results. See row_owner.glsl for who
// owns it.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_basic : require
#endif
#include "elements.glsl"
#define VKA_PARTS vec2
#include "row_owner.glsl"
#include "norm_backward.glsl"

VKA_OUTPUT(VKA_BIND_NORM_D_X, d_x)
VKA_WRITERS(d_x, X_TYPE)
VKA_WORD_WRITERS(d_x, X_TYPE)
VKA_ROW_STREAM(d_x, X_TYPE)
#if !VKA_GROUPS
VKA_INPUT(VKA_BIND_NORM_D_SUM, d_sum)
VKA_READERS(d_sum, VKA_BIND_NORM_D_SUM, X_TYPE)
VKA_WORD_READERS(d_sum, X_TYPE)
#endif

// Sums are taken of blocks, and then of blocks' sums: one long sum of a long row would lose digits.
const uint BLOCK = 64u;

struct Row {
    uint x, residual, d_out, d_sum, d_x; // first element of the row in each tensor
    uint channel;                        // of groups: the first
    float mean, inverse;
};

Row find_row(uint row) {
    uvec3 i = place_of_row(row);
    return Row(row_at(VKA_BIND_X, p.x, i), row_at(VKA_BIND_RESIDUAL, p.residual, i),
               row_at(VKA_BIND_NORM_D_OUT, b.d_out, i), row_at(VKA_BIND_NORM_D_SUM, b.d_sum, i),
               row_at(VKA_BIND_NORM_D_X, b.d_x, i), (push.h0 + i.y) * p.channels,
               has(VKA_FLAG_RMS) ? 0.0 : mean_at(row_at(VKA_BIND_STATS_MEAN, p.mean, i)),
               inv_std_at(row_at(VKA_BIND_STATS_INV, p.inv_std, i)));
}

struct Values {
    vec4 h, g; // normalised; gradients of that, 0 for columns that don't exist
};

Values values_of(Row row, uint c) {
    vec4 y = VKA_VECTOR(x, row.x, p.x, c);
#if !VKA_GROUPS
    if (has(VKA_FLAG_RESIDUAL))
        y += residual_words4(row.residual, p.residual.d, c, p.cols, fast());
#endif
    vec4 h = (y - row.mean) * row.inverse;
    return Values(h, VKA_VECTOR(d_out, row.d_out, b.d_out, c) * scale_of(row.channel, c));
}

// What a vector adds to the row's sums.
vec2 part(Values v) {
    return vec2(has(VKA_FLAG_RMS) ? 0.0 : total(v.g), dot(v.g, v.h));
}

vec4 gradient(Row row, uint c, Values v, vec2 means) {
    vec4 d = row.inverse * ((v.g - means.x) - v.h * means.y);
#if !VKA_GROUPS
    if (has(VKA_FLAG_SUM))
        d += d_sum_words4(row.d_sum, b.d_sum.d, c, p.cols, fast());
#endif
    return d;
}

void do_row(Row row) {
    uint vectors = row_vectors();
    Values kept[KEPT];
    vec2 sums = vec2(0.0);
    if (COLS > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; ++i)
            if (i + 1u < COLS || vector(i) < vectors) {
                kept[i] = values_of(row, vector(i));
                sums += part(kept[i]);
            }
    } else {
        for (uint begin = 0u; vector(begin) < vectors; begin += BLOCK) {
            vec2 block = vec2(0.0);
            for (uint i = begin; i < begin + BLOCK && vector(i) < vectors; ++i)
                block += part(values_of(row, vector(i)));
            sums += block;
        }
    }
    vec2 means = group_sum(sums) / float(p.cols);
#if VKA_LANE && !VKA_GROUPS
    uint carry = 0u;
    for (uint c = 0u; c < vectors; ++c)
        d_x_stream4(row.d_x, b.d_x.d, c, p.cols, fast(), gradient(row, c, values_of(row, c), means), carry);
    d_x_stream4(row.d_x, b.d_x.d, vectors, p.cols, fast(), vec4(0.0), carry);
#else
    if (COLS > 0u) {
        [[unroll]] for (uint i = 0u; i < KEPT; ++i)
            if (i + 1u < COLS || vector(i) < vectors)
                VKA_PUT_VECTOR(d_x, row.d_x, b.d_x, vector(i), gradient(row, vector(i), kept[i], means));
    } else {
        for (uint i = 0u; vector(i) < vectors; ++i) {
            vec4 d = gradient(row, vector(i), values_of(row, vector(i)), means);
            VKA_PUT_VECTOR(d_x, row.d_x, b.d_x, vector(i), d);
        }
    }
#endif
}

void main() {
    VKA_EACH_ROW(do_row)
}
