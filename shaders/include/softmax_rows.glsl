// What the kernels of vka_softmax share: rows and results.
// SPDX-License-Identifier: MIT

#include "params/softmax.h"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_softmax_params p;
};

const uint X_TYPE = TYPE_OF(VKA_ROLE_X);
const uint OUT_TYPE = TYPE_OF(VKA_ROLE_OUT);

VKA_INPUT(VKA_BIND_X, x)
VKA_INPUT_I32(VKA_BIND_ROW_LENGTHS, lengths)
VKA_OUTPUT(VKA_BIND_SOFTMAX, out)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_WORD_READERS(x, X_TYPE)
VKA_WRITERS(out, OUT_TYPE)
VKA_WORD_WRITERS(out, OUT_TYPE)
VKA_ROW_STREAM(out, OUT_TYPE)

#define VKA_SUMS_BELOW 0
#include "softmax.glsl"

struct Row {
    uint x, out_; // first element of the row in each tensor
    uint live;    // columns before its length
};

Row find_row(uint row) {
    uvec3 i = uvec3(row / (push.dim1 * push.dim2), row / push.dim2 % push.dim1, row % push.dim2);
    uvec3 global = i + uvec3(push.b0, push.h0, push.x0);
    uint live = p.cols;
    if (has(VKA_FLAG_LENGTHS)) {
        uint at = global.x * p.lengths.b + global.y * p.lengths.h + global.z * p.lengths.n;
        live = uint(clamp(lengths_at(at), 0, int(p.cols)));
    }
    return Row(push.base[VKA_BIND_X] + i.x * p.x.b + i.y * p.x.h + i.z * p.x.n,
               push.base[VKA_BIND_SOFTMAX] + i.x * p.out_.b + i.y * p.out_.h + i.z * p.out_.n, live);
}

bool fast() {
    return has(VKA_FLAG_VEC4);
}

// Vector c of a row; columns that are not live are not read. `whole`: all are, for certain.
Values row_values(Row row, uint c, bool whole) {
    if (whole)
        return all_values_of(x_words4(row.x, p.x.d, c, p.cols, fast()));
    vec4 x = 4u * c < row.live ? x_words4(row.x, p.x.d, c, p.cols, fast()) : vec4(0.0);
    return values_of(x, c, row.live);
}

// What becomes of the sum: a factor, or what is subtracted.
float normaliser(State s) {
    return has(VKA_FLAG_LOG) ? log_of_sum(s) : is_dead(s) ? 0.0 : 1.0 / s.sum;
}

// Hidden values have a weight of 0.
vec4 result(Row row, uint c, bool whole, Values v, State s, vec4 weight, float normal) {
    vec4 y = weight * normal, none = vec4(0.0);
    if (has(VKA_FLAG_LOG)) {
        none = vec4(negative_infinity());
        y = mix(below(v.x, s.maximum) * p.log_scale - normal, none, v.hidden);
    }
    y = s.spoilt ? vec4(not_a_number()) : y;
    uvec4 column = 4u * c + uvec4(0u, 1u, 2u, 3u);
    return whole ? y : mix(y, none, greaterThanEqual(column, uvec4(row.live)));
}

// The second pass over a row that was read once.
vec4 later_result(Row row, uint c, State s, float normal) {
    Values v = row_values(row, c, false);
    return result(row, c, false, v, s, has(VKA_FLAG_LOG) ? vec4(0.0) : weights(v, s.maximum), normal);
}
