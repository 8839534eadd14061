// What the norm kernels share: rows, their values, the results. Layer norm, or with VKA_FLAG_RMS the root mean square; with
// VKA_GROUPS = 1 group norm, whose rows are groups of channels: several runs of elements, each in vectors of its own.
// SPDX-License-Identifier: MIT

#include "params/norm.h"
#include "float_bits.glsl"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_norm_params p;
};

#include "norm_rows.glsl"

VKA_OUTPUT(VKA_BIND_NORM_OUT, out)
#if !VKA_GROUPS
VKA_INOUT(VKA_BIND_SUM, sum)
VKA_READERS(sum, VKA_BIND_SUM, X_TYPE)
VKA_WORD_READERS(sum, X_TYPE)
VKA_WRITERS(sum, X_TYPE)
VKA_WORD_WRITERS(sum, X_TYPE)
#endif
VKA_INPUT(VKA_BIND_BIAS, bias)
VKA_OUTPUT_F32(VKA_BIND_STATS_MEAN, mean)
VKA_OUTPUT_F32(VKA_BIND_STATS_INV, inv_std)
VKA_READERS(bias, VKA_BIND_BIAS, PARAM_TYPE)
VKA_WRITERS(out, X_TYPE)
VKA_WORD_WRITERS(out, X_TYPE)
VKA_ROW_STREAM(out, X_TYPE)
VKA_TABLE(bias, VKA_BIND_BIAS, p.bias_stride)

struct Row {
    uint x, residual, sum, out_, mean, inv_std; // first element of the row in each tensor
    uint channel;                               // of groups: the first
};

Row find_row(uint row) {
    uvec3 i = place_of_row(row);
    return Row(row_at(VKA_BIND_X, p.x, i), row_at(VKA_BIND_RESIDUAL, p.residual, i), row_at(VKA_BIND_SUM, p.sum, i),
               row_at(VKA_BIND_NORM_OUT, p.out_, i), row_at(VKA_BIND_STATS_MEAN, p.mean, i),
               row_at(VKA_BIND_STATS_INV, p.inv_std, i), (push.h0 + i.y) * p.channels);
}

// Are results wanted, and not the statistics alone?
bool has_results() {
    return !has(VKA_FLAG_STATISTICS);
}

vec4 to_storage_and_back(vec4 y) {
    return X_TYPE == VKA_TYPE_F32
               ? y
               : vec4(unpack_pair(X_TYPE, pack_pair(X_TYPE, y.xy)), unpack_pair(X_TYPE, pack_pair(X_TYPE, y.zw)));
}

#if VKA_GROUPS

vec4 first_values(Row row, uint c) {
    return VKA_VECTOR(x, row.x, p.x, c);
}

vec4 later_values(Row row, uint c) {
    return first_values(row, c);
}

vec4 scaled_first_values(Row row, uint c, float scale) {
    return first_values(row, c) * scale;
}

// The first value of a row: sums are taken of differences from it, so that a large common offset costs no digits.
float row_origin(Row row) {
    return x_at(row.x);
}

#else

// The values to be normalised, vector c of four columns; the first pass stores their sum, which later passes read back.
vec4 first_values(Row row, uint c) {
    vec4 y = x_words4(row.x, p.x.d, c, p.cols, fast());
    if (has(VKA_FLAG_RESIDUAL))
        y += residual_words4(row.residual, p.residual.d, c, p.cols, fast());
    if (has(VKA_FLAG_SUM)) {
        y = to_storage_and_back(y);
        sum_put_words4(row.sum, p.sum.d, c, p.cols, fast(), y);
    }
    return y;
}

vec4 later_values(Row row, uint c) {
    if (has(VKA_FLAG_SUM))
        return sum_words4(row.sum, p.sum.d, c, p.cols, fast());
    return first_values(row, c);
}

// The first value of a row: sums are taken of differences from it, so that a large common offset costs no digits.
float row_origin(Row row) {
    if (has(VKA_FLAG_RMS))
        return 0.0;
    vec4 y = vec4(x_at(row.x));
    if (has(VKA_FLAG_RESIDUAL))
        y += residual_at(row.residual);
    return has(VKA_FLAG_SUM) ? to_storage_and_back(y).x : y.x;
}

// Of x and residual, which may be beyond f32 together.
vec4 scaled_first_values(Row row, uint c, float scale) {
    precise vec4 y = x_words4(row.x, p.x.d, c, p.cols, fast()) * scale; // the sum must not come first
    if (has(VKA_FLAG_RESIDUAL))
        y += residual_words4(row.residual, p.residual.d, c, p.cols, fast()) * scale;
    return y;
}

#endif

vec4 deviation(vec4 y, float centre, uint c) {
    return mix(vec4(0.0), y - centre, bvec4(live_columns(c)));
}

// ---- statistics -------------------------------------------------------------------------------------------------------

// A row's mean, in two parts: one float is too coarse where values lie far from 0 and close together, and the first pass
// finds it less well where the row's first value lies far from the others.
struct Centre {
    float near; // as the first pass finds it
    float rest; // what the mean has above that
};

// The second pass has summed deviations from `near`, and their squares. The variance loses no digits here: `rest` is at
// most about the rounding error of `near`, of which the deviations are multiples.
float variance(vec2 sums, inout Centre centre) {
    vec2 means = sums / float(p.cols);
    if (has(VKA_FLAG_RMS))
        return means.y;
    centre.rest = means.x;
    return is_nonfinite(means.y) ? means.y : max(means.y - means.x * means.x, 0.0);
}

// Rows of which f32 does not hold the squares are measured again times this power of two. What it makes too small for f32
// is nothing beside such a variance. Small rows need nothing: epsilon is at least 1e-30.
const float SCALE = 1.0 / 1208925819614629174706176.0; // 2^-80

float inverse_of(float variance_) {
    return 1.0 / sqrt(variance_ + p.epsilon);
}

// The same of a row times SCALE. 0 for one whose values are all alike: what it multiplies is 0, and epsilon times SCALE
// times SCALE may be too small for f32.
float scaled_inverse_of(float variance_) {
    precise float epsilon = p.epsilon * SCALE * SCALE; // the square of SCALE alone is 0
    return variance_ == 0.0 ? 0.0 : 1.0 / sqrt(variance_ + epsilon);
}

// Later passes of such a row.
vec4 scaled_values(Row row, uint c) {
    return has(VKA_FLAG_SUM) ? later_values(row, c) * SCALE : scaled_first_values(row, c, SCALE);
}

// Sums are taken of blocks, and then of blocks' sums: one long sum of a row of 65536 would lose digits.
const uint BLOCK = 64u;

// Of the vectors first, first + step, ..: sums of deviations, and of their squares.
vec2 scaled_sums(Row row, uint first, uint step, float from) {
    vec4 sums = vec4(0.0), squares = vec4(0.0);
    for (uint begin = first; begin < row_vectors(); begin += BLOCK * step) {
        vec4 block_sums = vec4(0.0), block_squares = vec4(0.0);
        for (uint i = 0u; i < BLOCK && begin + i * step < row_vectors(); ++i) {
            vec4 d = deviation(scaled_values(row, begin + i * step), from, begin + i * step);
            block_sums += d;
            block_squares = fma(d, d, block_squares);
        }
        sums += block_sums;
        squares += block_squares;
    }
    return vec2(total(sums), total(squares));
}

// Pass `pass` of three over a scaled row: two find its mean, the last one measures deviations from it.
float nearer_centre(float centre, float sum, uint pass) {
    if (has(VKA_FLAG_RMS))
        return 0.0;
    float step = sum / float(p.cols);
    return pass == 0u || (pass == 1u && !is_nonfinite(step)) ? centre + step : centre;
}

// ---- results ----------------------------------------------------------------------------------------------------------

vec4 shift_of(uint channel, uint c) {
    return has(VKA_FLAG_BIAS) ? bias_of(channel, c) : vec4(0.0);
}

void put_result(Row row, uint c, vec4 y) {
    VKA_PUT_VECTOR(out, row.out_, p.out_, c, y);
}

vec4 normalised(vec4 y, Centre centre, float inverse) {
    return fma(y - centre.near, vec4(inverse), vec4(-centre.rest * inverse));
}

vec4 result(Row row, vec4 y, uint c, Centre centre, float inverse) {
    return fma(normalised(y, centre, inverse), scale_of(row.channel, c), shift_of(row.channel, c));
}

void store_values(Row row, uint c, vec4 y, Centre centre, float inverse) {
    put_result(row, c, result(row, y, c, centre, inverse));
}

void store_scaled_values(Row row, uint first, uint step, Centre centre, float inverse) {
    for (uint c = first; has_results() && c < row_vectors(); c += step)
        store_values(row, c, scaled_values(row, c), centre, inverse);
}

void store_statistics(Row row, Centre centre, float inverse, float scale) {
    if (has(VKA_FLAG_MEAN))
        mean_put(row.mean, (is_nonfinite(centre.rest) ? centre.near : centre.near + centre.rest) / scale);
    // 0 stands for values that are all alike; but of root mean squares it is that of an infinite one.
    bool alike = inverse == 0.0 && !has(VKA_FLAG_RMS);
    if (has(VKA_FLAG_INV_STD))
        inv_std_put(row.inv_std, alike ? inverse_of(0.0) : inverse * scale);
}
