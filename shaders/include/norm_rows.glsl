// Rows of norms, of their gradients too: what is normalised, weights. With VKA_GROUPS = 1 rows are groups of channels: several
// runs of elements, each in vectors of its own. Expects vka_norm_params as `p`.
// SPDX-License-Identifier: MIT

const uint X_TYPE = TYPE_OF(VKA_ROLE_X);
const uint PARAM_TYPE = TYPE_OF(VKA_ROLE_TABLE);

VKA_INPUT(VKA_BIND_X, x)
VKA_INPUT(VKA_BIND_WEIGHT, weight)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_READERS(weight, VKA_BIND_WEIGHT, PARAM_TYPE)
VKA_WORD_READERS(x, X_TYPE)
#if !VKA_GROUPS
VKA_INPUT(VKA_BIND_RESIDUAL, residual)
VKA_READERS(residual, VKA_BIND_RESIDUAL, X_TYPE)
VKA_WORD_READERS(residual, X_TYPE)
#endif

uvec3 place_of_row(uint row) {
    return uvec3(row / (push.dim1 * push.dim2), row / push.dim2 % push.dim1, row % push.dim2);
}

uint row_at(uint binding, vka_strides s, uvec3 i) {
    return push.base[binding] + i.x * s.b + i.y * s.h + i.z * s.n;
}

bool fast() {
    return has(VKA_FLAG_VEC4);
}

#if VKA_GROUPS

uint row_vectors() {
    return p.outer * p.inner_vectors;
}

uint run_size() {
    return p.inner;
}

// Where vector c lies: its run, and which vector of that it is.
uvec2 place_of(uint c) {
    return uvec2(c / p.inner_vectors, c % p.inner_vectors);
}

// name_of: weights or biases of a vector, of a row whose first channel is `channel`.
#define VKA_TABLE(name, slot, step)                                                                                    \
    vec4 name##_of(uint channel, uint c) {                                                                             \
        uvec2 place = place_of(c);                                                                                     \
        uint base = push.base[slot] + channel * step;                                                                  \
        return has(VKA_FLAG_CHANNELS_LAST) ? name##_row4(base, step, place.y, p.inner, fast())                         \
                                           : vec4(name##_at(base + place.x * step));                                   \
    }

#else

uint row_vectors() {
    return (p.cols + 3u) / 4u;
}

uint run_size() {
    return p.cols;
}

uvec2 place_of(uint c) {
    return uvec2(0u, c);
}

#define VKA_TABLE(name, slot, step)                                                                                    \
    vec4 name##_of(uint channel, uint c) {                                                                             \
        return name##_row4(push.base[slot], step, c, p.cols, fast());                                                  \
    }

#endif

// Vector c of a tensor's row that begins at `row`.
#define VKA_VECTOR(name, row, s, c) name##_words4((row) + place_of(c).x * s.n, s.d, place_of(c).y, run_size(), fast())
#define VKA_PUT_VECTOR(name, row, s, c, value)                                                                             \
    name##_put_words4((row) + place_of(c).x * s.n, s.d, place_of(c).y, run_size(), fast(), value)

// 1 for elements that exist, of a vector of which at least one does.
vec4 live_columns(uint c) {
    return fast() ? vec4(1.0) : vec4(lessThan(4u * place_of(c).y + uvec4(0u, 1u, 2u, 3u), uvec4(run_size())));
}

float total(vec4 y) {
    return (y.x + y.y) + (y.z + y.w);
}

VKA_TABLE(weight, VKA_BIND_WEIGHT, p.weight_stride)

vec4 scale_of(uint channel, uint c) {
    vec4 scale = has(VKA_FLAG_WEIGHT) ? weight_of(channel, c) : vec4(1.0);
    return has(VKA_FLAG_ZERO_CENTRED) ? scale + 1.0 : scale;
}
