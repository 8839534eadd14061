// Operations on elements: which an invocation does.
//
// A row is the last dimension. `units` invocations share it, each has every units-th vector of four, so that neighbours read
// neighbouring memory; then comes the next row. Dimensions that broadcast have a stride of 0.
// SPDX-License-Identifier: MIT
#include "blocks.glsl"
#include "params/elementwise.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

// Other operations on rows have parameters of their own, with cols and units.
#ifndef ELEMENT_PARAMS
#define ELEMENT_PARAMS vka_elementwise_params
#endif
layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    ELEMENT_PARAMS p;
};

#define FIRST_TYPE  TYPE_OF(VKA_ROLE_FIRST)
#define SECOND_TYPE TYPE_OF(VKA_ROLE_SECOND)
#define THIRD_TYPE  TYPE_OF(VKA_ROLE_THIRD)
#define FOURTH_TYPE TYPE_OF(VKA_ROLE_FOURTH)
#define OUT_TYPE    TYPE_OF(VKA_ROLE_OUT)

uint invocation() {
    return gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
}

uvec3 row_of(uint number) {
    return uvec3(number / (push.dim1 * push.dim2), number / push.dim2 % push.dim1, number % push.dim2);
}

uint row_at(vka_strides s, uvec3 row) {
    return row.x * s.b + row.y * s.h + row.z * s.n;
}

// Declares an input of any type and vec4 name_vector4(row, stride, d, size, fast): vector d of a row, whose first element's
// place is name_row_at(strides, row).
#define VKA_ELEMENTS(slot, name, type)                                                                                 \
    VKA_INPUT(slot, name)                                                                                              \
    VKA_ANY_READERS(name, slot, type)                                                                               \
    VKA_WORD_READERS(name, type)                                                                                       \
    uint name##_row_at(vka_strides s, uvec3 row) {                                                                     \
        return any_base(slot, type) + row_at(s, row);                                                               \
    }                                                                                                                  \
    vec4 name##_vector4(uint row, uint stride, uint d, uint size, bool fast) {                                         \
        if (type == VKA_TYPE_F16 || type == VKA_TYPE_BF16)                                                             \
            return name##_words4(row, stride, d, size, fast);                                                          \
        if (type != VKA_TYPE_I32)                                                                                      \
            return name##_any4(row, stride, d, size, fast);                                                        \
        vec4 x = vec4(0.0);                                                                                            \
        [[unroll]] for (uint i = 0u; i < 4u; ++i)                                                                      \
            if (4u * d + i < size)                                                                                     \
                x[i] = float(int(name##_w[row + (4u * d + i) * stride]));                                              \
        return x;                                                                                                      \
    }
