// What the layer norm kernels share: rows, their values, the results.
// SPDX-License-Identifier: MIT

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_norm_params p;
};

VKA_INPUT(VKA_BIND_X, x)
VKA_INPUT(VKA_BIND_RESIDUAL, residual)
VKA_OUTPUT(VKA_BIND_NORM_OUT, out)
VKA_INOUT(VKA_BIND_SUM, sum)
VKA_INPUT(VKA_BIND_WEIGHT, weight)
VKA_INPUT(VKA_BIND_BIAS, bias)
VKA_OUTPUT_F32(VKA_BIND_STATS_MEAN, mean)
VKA_OUTPUT_F32(VKA_BIND_STATS_INV, inv_std)
VKA_ROW_READER(x)
VKA_ROW_READER(residual)
VKA_ROW_READER(sum)
VKA_ROW_READER(weight)
VKA_ROW_READER(bias)
VKA_ROW_WRITER(out)
VKA_ROW_WRITER(sum)
#if VKA_STORAGE != 1
VKA_INPUT_F32(VKA_BIND_WEIGHT, weight32)
VKA_INPUT_F32(VKA_BIND_BIAS, bias32)
VKA_ROW_READER(weight32)
VKA_ROW_READER(bias32)
#endif

struct Row {
    uint x, residual, sum, out_, mean, inv_std; // first element of the row in each tensor
};

uint row_at(uint binding, vka_strides s, uvec3 i) {
    return push.base[binding] + i.x * s.b + i.y * s.h + i.z * s.n;
}

Row find_row(uint row) {
    uvec3 i = uvec3(row / (push.dim1 * push.dim2), row / push.dim2 % push.dim1, row % push.dim2);
    return Row(row_at(VKA_BIND_X, p.x, i), row_at(VKA_BIND_RESIDUAL, p.residual, i), row_at(VKA_BIND_SUM, p.sum, i),
               row_at(VKA_BIND_NORM_OUT, p.out_, i), row_at(VKA_BIND_STATS_MEAN, p.mean, i),
               row_at(VKA_BIND_STATS_INV, p.inv_std, i));
}

bool fast() {
    return has(VKA_FLAG_VEC4);
}

vec4 to_storage_and_back(vec4 y) {
#if VKA_STORAGE == 1
    return y;
#else
    return vec4(unpack_pair(pack_pair(y.xy)), unpack_pair(pack_pair(y.zw)));
#endif
}

// The values to be normalised, vector c of four columns; the first pass stores their sum, which later passes read back.
vec4 first_values(Row row, uint c) {
    vec4 y = x_row4(row.x, p.x.d, c, p.cols, fast());
    if (has(VKA_FLAG_RESIDUAL))
        y += residual_row4(row.residual, p.residual.d, c, p.cols, fast());
    if (has(VKA_FLAG_SUM)) {
        y = to_storage_and_back(y);
        sum_put_row4(row.sum, p.sum.d, c, p.cols, fast(), y);
    }
    return y;
}

vec4 later_values(Row row, uint c) {
    if (has(VKA_FLAG_SUM))
        return sum_row4(row.sum, p.sum.d, c, p.cols, fast());
    return first_values(row, c);
}

// The first value of a row: sums are taken of differences from it, so that a large common offset costs no digits.
float row_origin(Row row) {
    vec4 y = vec4(x_at(row.x));
    if (has(VKA_FLAG_RESIDUAL))
        y += residual_at(row.residual);
    return has(VKA_FLAG_SUM) ? to_storage_and_back(y).x : y.x;
}

// 1 for columns that exist, of a vector of which at least one does.
vec4 live_columns(uint c) {
    return fast() ? vec4(1.0) : vec4(lessThan(4u * c + uvec4(0u, 1u, 2u, 3u), uvec4(p.cols)));
}

vec4 deviation(vec4 y, float centre, uint c) {
    return mix(vec4(0.0), y - centre, bvec4(live_columns(c)));
}

float total(vec4 y) {
    return (y.x + y.y) + (y.z + y.w);
}

vec4 scale_and_shift(vec4 y, uint c) {
    uint w = push.base[VKA_BIND_WEIGHT], b = push.base[VKA_BIND_BIAS];
    vec4 scale = vec4(1.0), shift = vec4(0.0);
#if VKA_STORAGE != 1
    if (has(VKA_FLAG_PARAM_F32)) {
        if (has(VKA_FLAG_WEIGHT))
            scale = weight32_row4(w, p.weight_stride, c, p.cols, fast());
        if (has(VKA_FLAG_BIAS))
            shift = bias32_row4(b, p.bias_stride, c, p.cols, fast());
        return fma(y, scale, shift);
    }
#endif
    if (has(VKA_FLAG_WEIGHT))
        scale = weight_row4(w, p.weight_stride, c, p.cols, fast());
    if (has(VKA_FLAG_BIAS))
        shift = bias_row4(b, p.bias_stride, c, p.cols, fast());
    return fma(y, scale, shift);
}

void store_values(Row row, uint c, vec4 y, float centre, float inverse) {
    out_put_row4(row.out_, p.out_.d, c, p.cols, fast(), scale_and_shift((y - centre) * inverse, c));
}

void store_statistics(Row row, float centre, float inverse) {
    if (has(VKA_FLAG_MEAN))
        mean_put(row.mean, centre);
    if (has(VKA_FLAG_INV_STD))
        inv_std_put(row.inv_std, inverse);
}
