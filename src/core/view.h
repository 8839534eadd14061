/* A tensor as plans see it: numbers only, checked, strides filled in.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_VIEW_H
#define VKA_VIEW_H

#include "core/core.h"

typedef struct vka__view {
    bool present;
    uint32_t source; /* the memory in which it lies: vka__binding.source                          */
    vka_dtype dtype;
    uint32_t size;                 /* bytes of a block                                                          */
    uint32_t block;                /* elements of a block: 1 but for quantised types                            */
    uint64_t offset;               /* bytes from the start of the VkBuffer                                      */
    uint32_t shape[VKA_MAX_RANK];  /* right-aligned: missing leading dimensions are 1              */
    uint64_t stride[VKA_MAX_RANK]; /* elements; 0 for dimensions of size 1                        */
} vka__view;

/* Elements from the first to one past the last of dimensions `first` .. 3; 0 for an empty view. */
static inline uint64_t vka__view_extent(const vka__view *v, uint32_t first) {
    uint64_t last = 0;
    for (uint32_t i = first; i < VKA_MAX_RANK; ++i) {
        if (!v->shape[i])
            return 0;
        last += (uint64_t)(v->shape[i] - 1) * v->stride[i];
    }
    return last + 1;
}

/* Bytes of a number of elements that is a multiple of the block. */
static inline uint64_t vka__view_bytes(const vka__view *v, uint64_t elements) {
    return v->block > 1 ? elements / v->block * v->size : elements * v->size;
}

/* Caches have this type with scales, of their own or within. */
static inline bool vka__is_quantised(vka_dtype dtype) {
    return dtype == VKA_I8 || dtype == VKA_Q8_0 || dtype == VKA_Q4_0;
}

/* Can rows (the last dimension) be read and written four elements at a time? */
static inline bool vka__view_vec4(const vka__view *v) {
    if (!v->present)
        return true;
    if (v->block > 1)
        return true;
    bool ok = v->shape[3] % 4 == 0 && v->stride[3] == 1 && v->offset % (4 * (uint64_t)v->size) == 0;
    for (uint32_t i = 0; i < 3; ++i)
        ok = ok && v->stride[i] % 4 == 0;
    return ok;
}

/* Is `b`, of the same piece of memory, the first channels of `a`? */
static inline bool vka__view_begins(const vka__view *a, const vka__view *b) {
    bool begins = a->offset == b->offset && a->dtype == b->dtype && b->shape[3] <= a->shape[3] &&
                  (b->shape[3] == 1 || a->stride[3] == b->stride[3]);
    for (uint32_t i = 0; i < 3; ++i)
        begins = begins && a->shape[i] == b->shape[i] && a->stride[i] == b->stride[i];
    return begins;
}

/* Are these, of one piece of memory, the very same elements in the same order? */
static inline bool vka__view_same(const vka__view *a, const vka__view *b) {
    return vka__view_begins(a, b) && a->shape[3] == b->shape[3] && a->stride[3] == b->stride[3];
}

/* A view [.., N] becomes [.., N, 1], so that what rows have one number of each joins the rows themselves. */
static inline void vka__view_append_one(vka__view *v) {
    if (!v->present)
        return;
    for (uint32_t i = 0; i + 1 < VKA_MAX_RANK; ++i) {
        v->shape[i] = v->shape[i + 1];
        v->stride[i] = v->stride[i + 1];
    }
    v->shape[VKA_MAX_RANK - 1] = 1;
    v->stride[VKA_MAX_RANK - 1] = 0;
}

#endif
