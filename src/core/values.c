/* Statuses, versions, types and tensors: the parts of the API that need no device.
 * SPDX-License-Identifier: MIT */
#include "core/core.h"

const char *vka_status_string(vka_status status) {
    switch (status) {
#define X(name, value, sentence)                                                                                       \
    case name:                                                                                                         \
        return sentence;
        VKA_STATUSES(X)
#undef X
    }
    return "not a vka_status";
}

uint32_t vka_version(void) {
    return VKA_VERSION_MAJOR << 16 | VKA_VERSION_MINOR << 8 | VKA_VERSION_PATCH;
}

uint32_t vka_dtype_size(vka_dtype dtype) {
    switch (dtype) {
    case VKA_F32:
    case VKA_I32:
        return 4;
    case VKA_F16:
    case VKA_BF16:
        return 2;
    case VKA_U8:
    case VKA_I8:
        return 1;
    case VKA_Q8_0:
        return 34;
    case VKA_Q4_0:
        return 18;
    case VKA_DTYPE_INVALID:
        break;
    }
    return 0;
}

uint32_t vka_dtype_block(vka_dtype dtype) {
    return dtype == VKA_Q8_0 || dtype == VKA_Q4_0 ? 32 : vka_dtype_size(dtype) ? 1 : 0;
}

vka_tensor vka_tensor_1d(vka_buffer *buffer, vka_dtype dtype, uint32_t n0) {
    return (vka_tensor){.buffer = buffer, .dtype = dtype, .rank = 1, .shape = {n0}};
}

vka_tensor vka_tensor_2d(vka_buffer *buffer, vka_dtype dtype, uint32_t n0, uint32_t n1) {
    return (vka_tensor){.buffer = buffer, .dtype = dtype, .rank = 2, .shape = {n0, n1}};
}

vka_tensor vka_tensor_3d(vka_buffer *buffer, vka_dtype dtype, uint32_t n0, uint32_t n1, uint32_t n2) {
    return (vka_tensor){.buffer = buffer, .dtype = dtype, .rank = 3, .shape = {n0, n1, n2}};
}

vka_tensor vka_tensor_4d(vka_buffer *buffer, vka_dtype dtype, uint32_t n0, uint32_t n1, uint32_t n2, uint32_t n3) {
    return (vka_tensor){.buffer = buffer, .dtype = dtype, .rank = 4, .shape = {n0, n1, n2, n3}};
}

/* All strides zero stands for dense. */
static bool is_dense_shorthand(const vka_tensor *t) {
    for (uint32_t i = 0; i < t->rank; ++i)
        if (t->stride[i])
            return false;
    return true;
}

vka_tensor vka_tensor_transpose(vka_tensor t, uint32_t a, uint32_t b) {
    if (t.rank > VKA_MAX_RANK || a >= t.rank || b >= t.rank)
        return t;
    if (is_dense_shorthand(&t)) {
        uint64_t step = 1;
        for (uint32_t i = t.rank; i-- > 0;) {
            t.stride[i] = step;
            step *= t.shape[i] ? t.shape[i] : 1;
        }
    }
    uint32_t shape = t.shape[a];
    t.shape[a] = t.shape[b];
    t.shape[b] = shape;
    uint64_t stride = t.stride[a];
    t.stride[a] = t.stride[b];
    t.stride[b] = stride;
    return t;
}
