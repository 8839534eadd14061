/* SPDX-License-Identifier: MIT */
#include "op/check.h"

#include "core/overlap.h"

#include <stdarg.h>
#include <stdio.h>

vka_status vka__fail_field(const vka__context *ctx, vka_status status, const char *function, const char *field,
                           const char *format, va_list args) {
    char item[96], message[256];
    snprintf(item, sizeof item, "%s.%s", function, field);
    vsnprintf(message, sizeof message, format, args);
    return vka__fail(ctx, status, item, "%s", message);
}

vka_status vka__check_fail(const vka__check *c, vka_status status, const char *field, const char *format, ...) {
    va_list args;
    va_start(args, format);
    status = vka__fail_field(c->ctx, status, c->function, field, format, args);
    va_end(args);
    return status;
}

static const char *const dtype_names[] = {"VKA_DTYPE_INVALID", "VKA_F32",  "VKA_F16", "VKA_BF16", "VKA_U8", "VKA_I8",
                                          "VKA_I32",           "VKA_Q8_0", "VKA_Q4_0"};
#define DTYPES (sizeof dtype_names / sizeof *dtype_names)

const char *vka__dtype_name(vka_dtype dtype) {
    return (unsigned)dtype < DTYPES ? dtype_names[dtype] : "unknown";
}

const char *vka__list_types(uint32_t types, char *text, size_t size) {
    size_t at = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < DTYPES; ++i) {
        if (!(types & VKA__TYPE(i)))
            continue;
        const char *join = !at ? "" : types >> i >> 1 ? ", " : " or ";
        at += (size_t)snprintf(text + at, at < size ? size - at : 0, "%s%s", join, dtype_names[i]);
    }
    return text;
}

static vka_status check_dtype(const vka__check *c, const char *field, const vka_tensor *t, uint32_t types) {
    char allowed[96];
    if (!vka_dtype_size(t->dtype))
        return vka__check_fail(c, VKA_INVALID, field, "dtype %d is not a vka_dtype; it must be %s", (int)t->dtype,
                               vka__list_types(types, allowed, sizeof allowed));
    if (!(types & VKA__TYPE(t->dtype)))
        return vka__check_fail(c, VKA_INVALID, field, "dtype is %s, but must be %s", dtype_names[t->dtype],
                               vka__list_types(types, allowed, sizeof allowed));
    return VKA_OK;
}

/* Blocks lie along the last dimension, and no stride leads into one. */
static vka_status check_blocks(const vka__check *c, const char *field, const vka_tensor *t, const vka__view *v) {
    if (v->shape[3] % v->block)
        return vka__check_fail(c, VKA_INVALID, field, "shape[%u] is %u, but must be a multiple of %u for this dtype",
                               t->rank - 1, v->shape[3], v->block);
    for (uint32_t i = 0; i < VKA_MAX_RANK; ++i)
        if (i < 3 ? v->stride[i] % v->block : v->stride[i] > 1)
            return vka__check_fail(c, VKA_INVALID, field,
                                   "strides must be multiples of %u for this dtype, and the last one 1", v->block);
    return VKA_OK;
}

/* Right-aligns shape and strides, fills in dense strides. *span: bytes from first to last element. */
static vka_status fill_view(const vka__check *c, const char *field, const vka_tensor *t, vka__view *v, uint64_t *span) {
    bool dense = true;
    for (uint32_t i = 0; i < t->rank; ++i)
        dense = dense && !t->stride[i];
    uint64_t step = 1, last = 0;
    bool empty = false;
    for (uint32_t i = VKA_MAX_RANK; i-- > 0;) {
        bool exists = i + t->rank >= VKA_MAX_RANK;
        uint32_t dim = i + t->rank - VKA_MAX_RANK;
        v->shape[i] = exists ? t->shape[dim] : 1;
        v->stride[i] = !exists || v->shape[i] < 2 ? 0 : dense ? step : t->stride[dim];
        if (exists && v->shape[i] > 1 && !v->stride[i])
            return vka__check_fail(c, VKA_INVALID, field,
                                   "stride[%u] is 0 for a size of %u: broadcast with a size of 1 instead", dim,
                                   v->shape[i]);
        empty = empty || !v->shape[i];
        uint64_t steps = v->shape[i] ? v->shape[i] - 1 : 0;
        if (steps && v->stride[i] > (UINT64_MAX / 8 - last) / steps)
            return vka__check_fail(c, VKA_INVALID, field, "stride[%u] = %llu overflows", dim,
                                   (unsigned long long)v->stride[i]);
        last += steps * v->stride[i];
        step *= v->shape[i] ? v->shape[i] : 1;
    }
    *span = empty ? 0 : vka__view_bytes(v, last + 1);
    return v->block > 1 ? check_blocks(c, field, t, v) : VKA_OK;
}

static vka_status check_range(const vka__check *c, const char *field, const vka_tensor *t, uint64_t span) {
    uint64_t size = vka_buffer_size(t->buffer);
    if (t->offset > size || span > size - t->offset)
        return vka__check_fail(c, VKA_INVALID, field, "bytes %llu + %llu lie outside its buffer of %llu",
                               (unsigned long long)t->offset, (unsigned long long)span, (unsigned long long)size);
    /* Kernels access small elements in words: the last one must exist. */
    uint64_t word_end = vka__align_up(vka__buffer_base(t->buffer) + t->offset + span, 4);
    if (vka_dtype_size(t->dtype) % 4 && word_end > vka__buffer_base(t->buffer) + vka__buffer_bytes(t->buffer))
        return vka__check_fail(c, VKA_UNSUPPORTED, field,
                               "ends within the last, incomplete 32-bit word of a wrapped buffer, which this device's "
                               "kernels can't access");
    return VKA_OK;
}

vka_status vka__check_tensor(const vka__check *c, const char *field, const vka_tensor *t, uint32_t types, bool required,
                             vka__view *view) {
    bool present = vka__is_present(t);
    *view = (vka__view){.present = present, .dtype = t->dtype};
    if (!present)
        return required ? vka__check_fail(c, VKA_INVALID, field, "is required, but has no dtype") : VKA_OK;
    if (!t->buffer && !c->describes)
        return vka__check_fail(c, VKA_INVALID, field, "its buffer is NULL; absent tensors have no dtype");
    if (t->buffer && vka__buffer_device(t->buffer) != c->device)
        return vka__check_fail(c, VKA_INVALID, field, "its buffer belongs to another device");
    view->size = vka_dtype_size(t->dtype);
    view->block = vka_dtype_block(t->dtype);
    vka_status status = check_dtype(c, field, t, types);
    if (status != VKA_OK)
        return status;
    if (t->rank < 1 || t->rank > VKA_MAX_RANK)
        return vka__check_fail(c, VKA_INVALID, field, "rank %u is not 1 .. %d", t->rank, VKA_MAX_RANK);
    uint32_t align = view->block > 1 ? 2 : view->size;
    if (t->offset % align)
        return vka__check_fail(c, VKA_INVALID, field, "offset %llu is not a multiple of the element size %u",
                               (unsigned long long)t->offset, align);
    uint64_t span = 0;
    status = fill_view(c, field, t, view, &span);
    if (status == VKA_OK && t->buffer)
        status = check_range(c, field, t, span);
    view->offset = t->offset + (t->buffer ? vka__buffer_base(t->buffer) : 0);
    return status;
}

vka_status vka__check_output(const vka__check *c, const char *field, const vka__view *v) {
    if (!vka__view_folds(v))
        return VKA_OK;
    return vka__check_fail(c, VKA_INVALID, field, "its elements overlap: two indices lead to the same place");
}

vka_status vka__check_apart(const vka__check *c, const char *field, const vka_tensor *t, const vka__view *v,
                            const char *other_field, const vka_tensor *other, const vka__view *o, bool same_allowed) {
    if (!t->buffer || !other->buffer || !vka__buffer_same_memory(t->buffer, other->buffer))
        return VKA_OK;
    if ((same_allowed && vka__view_same(v, o)) || !vka__views_share(v, o))
        return VKA_OK;
    return vka__check_fail(c, VKA_INVALID, field, "overlaps %s", other_field);
}

vka_status vka__check_workspace(const vka__check *c, const vka_workspace *w, uint64_t bytes) {
    if (w->offset % 256)
        return vka__check_fail(c, VKA_INVALID, "workspace.offset", "%llu is not a multiple of 256",
                               (unsigned long long)w->offset);
    if (w->offset > UINT64_MAX - bytes)
        return vka__check_fail(c, VKA_INVALID, "workspace", "its offset, %llu, leaves no room for %llu bytes",
                               (unsigned long long)w->offset, (unsigned long long)bytes);
    if (!w->buffer)
        return VKA_OK;
    if (vka__buffer_device(w->buffer) != c->device)
        return vka__check_fail(c, VKA_INVALID, "workspace", "belongs to another device");
    uint64_t start = vka__buffer_base(w->buffer) + w->offset, size = vka__buffer_bytes(w->buffer);
    uint32_t align = vka__max_u32(c->caps->storage_align, 16);
    if (start % align)
        return vka__check_fail(c, VKA_INVALID, "workspace.offset", "%llu in the VkBuffer is not a multiple of %u",
                               (unsigned long long)start, align);
    if (w->offset > size || bytes > size - w->offset)
        return vka__check_fail(c, VKA_INVALID, "workspace", "has %llu bytes after its offset, but %llu are needed",
                               (unsigned long long)(w->offset > size ? 0 : size - w->offset),
                               (unsigned long long)bytes);
    return VKA_OK;
}
