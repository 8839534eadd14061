// What the norm kernels share: rows, their values, the results. Layer norm, or with VKA_FLAG_RMS the root mean square; with
// VKA_GROUPS = 1 group norm, whose rows are groups of channels: several runs of elements, each in vectors of its own.
// SPDX-License-Identifier: MIT

#include "params/norm.h"
#include "float_bits.glsl"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_norm_params p;
};

const uint X_TYPE = TYPE_OF(VKA_ROLE_X);
const uint PARAM_TYPE = TYPE_OF(VKA_ROLE_TABLE);

VKA_INPUT(VKA_BIND_X, x)
VKA_OUTPUT(VKA_BIND_NORM_OUT, out)
#if !VKA_GROUPS
VKA_INPUT(VKA_BIND_RESIDUAL, residual)
VKA_INOUT(VKA_BIND_SUM, sum)
VKA_READERS(residual, VKA_BIND_RESIDUAL, X_TYPE)
VKA_READERS(sum, VKA_BIND_SUM, X_TYPE)
VKA_WORD_READERS(residual, X_TYPE)
VKA_WORD_READERS(sum, X_TYPE)
VKA_WRITERS(sum, X_TYPE)
VKA_WORD_WRITERS(sum, X_TYPE)
#endif
VKA_INPUT(VKA_BIND_WEIGHT, weight)
VKA_INPUT(VKA_BIND_BIAS, bias)
VKA_OUTPUT_F32(VKA_BIND_STATS_MEAN, mean)
VKA_OUTPUT_F32(VKA_BIND_STATS_INV, inv_std)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_READERS(weight, VKA_BIND_WEIGHT, PARAM_TYPE)
VKA_READERS(bias, VKA_BIND_BIAS, PARAM_TYPE)
VKA_WORD_READERS(x, X_TYPE)
VKA_WRITERS(out, X_TYPE)
VKA_WORD_WRITERS(out, X_TYPE)
VKA_ROW_STREAM(out, X_TYPE)

struct Row {
    uint x, residual, sum, out_, mean, inv_std; // first element of the row in each tensor
    uint channel;                               // of groups: the first
};

uint row_at(uint binding, vka_strides s, uvec3 i) {
    return push.base[binding] + i.x * s.b + i.y * s.h + i.z * s.n;
}

Row find_row(uint row) {
    uvec3 i = uvec3(row / (push.dim1 * push.dim2), row / push.dim2 % push.dim1, row % push.dim2);
    return Row(row_at(VKA_BIND_X, p.x, i), row_at(VKA_BIND_RESIDUAL, p.residual, i), row_at(VKA_BIND_SUM, p.sum, i),
               row_at(VKA_BIND_NORM_OUT, p.out_, i), row_at(VKA_BIND_STATS_MEAN, p.mean, i),
               row_at(VKA_BIND_STATS_INV, p.inv_std, i), (push.h0 + i.y) * p.channels);
}

bool fast() {
    return has(VKA_FLAG_VEC4);
}

vec4 to_storage_and_back(vec4 y) {
    return X_TYPE == VKA_TYPE_F32
               ? y
               : vec4(unpack_pair(X_TYPE, pack_pair(X_TYPE, y.xy)), unpack_pair(X_TYPE, pack_pair(X_TYPE, y.zw)));
}

#if VKA_GROUPS

uint row_vectors() {
    return p.outer * p.inner_vectors;
}

// Where vector c lies: its run, and which vector of that it is.
uvec2 place_of(uint c) {
    return uvec2(c / p.inner_vectors, c % p.inner_vectors);
}

vec4 first_values(Row row, uint c) {
    uvec2 place = place_of(c);
    return x_words4(row.x + place.x * p.x.n, p.x.d, place.y, p.inner, fast());
}

vec4 later_values(Row row, uint c) {
    return first_values(row, c);
}

vec4 scaled_first_values(Row row, uint c, float scale) {
    return first_values(row, c) * scale;
}

void put_result(Row row, uint c, vec4 y) {
    uvec2 place = place_of(c);
    out_put_words4(row.out_ + place.x * p.out_.n, p.out_.d, place.y, p.inner, fast(), y);
}

// The first value of a row: sums are taken of differences from it, so that a large common offset costs no digits.
float row_origin(Row row) {
    return x_at(row.x);
}

// 1 for elements that exist, of a vector of which at least one does.
vec4 live_columns(uint c) {
    return fast() ? vec4(1.0) : vec4(lessThan(4u * place_of(c).y + uvec4(0u, 1u, 2u, 3u), uvec4(p.inner)));
}

// Weights and biases of a vector.
vec4 weights_of(Row row, uint c) {
    uvec2 place = place_of(c);
    uint base = push.base[VKA_BIND_WEIGHT] + row.channel * p.weight_stride;
    return has(VKA_FLAG_CHANNELS_LAST) ? weight_row4(base, p.weight_stride, place.y, p.inner, fast())
                                       : vec4(weight_at(base + place.x * p.weight_stride));
}

vec4 biases_of(Row row, uint c) {
    uvec2 place = place_of(c);
    uint base = push.base[VKA_BIND_BIAS] + row.channel * p.bias_stride;
    return has(VKA_FLAG_CHANNELS_LAST) ? bias_row4(base, p.bias_stride, place.y, p.inner, fast())
                                       : vec4(bias_at(base + place.x * p.bias_stride));
}

#else

uint row_vectors() {
    return (p.cols + 3u) / 4u;
}

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

// 1 for columns that exist, of a vector of which at least one does.
vec4 live_columns(uint c) {
    return fast() ? vec4(1.0) : vec4(lessThan(4u * c + uvec4(0u, 1u, 2u, 3u), uvec4(p.cols)));
}

// Of x and residual, which may be beyond f32 together.
vec4 scaled_first_values(Row row, uint c, float scale) {
    precise vec4 y = x_words4(row.x, p.x.d, c, p.cols, fast()) * scale; // the sum must not come first
    if (has(VKA_FLAG_RESIDUAL))
        y += residual_words4(row.residual, p.residual.d, c, p.cols, fast()) * scale;
    return y;
}

void put_result(Row row, uint c, vec4 y) {
    out_put_words4(row.out_, p.out_.d, c, p.cols, fast(), y);
}

vec4 weights_of(Row row, uint c) {
    return weight_row4(push.base[VKA_BIND_WEIGHT], p.weight_stride, c, p.cols, fast());
}

vec4 biases_of(Row row, uint c) {
    return bias_row4(push.base[VKA_BIND_BIAS], p.bias_stride, c, p.cols, fast());
}

#endif

vec4 deviation(vec4 y, float centre, uint c) {
    return mix(vec4(0.0), y - centre, bvec4(live_columns(c)));
}

float total(vec4 y) {
    return (y.x + y.y) + (y.z + y.w);
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

vec4 scale_of(Row row, uint c) {
    vec4 scale = has(VKA_FLAG_WEIGHT) ? weights_of(row, c) : vec4(1.0);
    return has(VKA_FLAG_ZERO_CENTRED) ? scale + 1.0 : scale;
}

vec4 shift_of(Row row, uint c) {
    return has(VKA_FLAG_BIAS) ? biases_of(row, c) : vec4(0.0);
}

vec4 normalised(vec4 y, Centre centre, float inverse) {
    return fma(y - centre.near, vec4(inverse), vec4(-centre.rest * inverse));
}

vec4 result(Row row, vec4 y, uint c, Centre centre, float inverse) {
    return fma(normalised(y, centre, inverse), scale_of(row, c), shift_of(row, c));
}

void store_values(Row row, uint c, vec4 y, Centre centre, float inverse) {
    put_result(row, c, result(row, y, c, centre, inverse));
}

void store_scaled_values(Row row, uint first, uint step, Centre centre, float inverse) {
    for (uint c = first; c < row_vectors(); c += step)
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
