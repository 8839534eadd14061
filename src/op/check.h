/* Checks that all operations share: tensors become views, or a named error.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_CHECK_H
#define VKA_CHECK_H

#include <stdarg.h>

#include "core/view.h"
#include "vk/record.h"

typedef struct vka__check {
    const vka__context *ctx;
    vka_device *device;
    const vka_device_caps *caps;
    const char *function; /* public name; "function.field" is what the log names */
    bool describes;       /* tensors need no buffers                             */
} vka__check;

/* Logs "function.field: ..." and returns the status. */
vka_status vka__fail_field(const vka__context *ctx, vka_status status, const char *function, const char *field,
                           const char *format, va_list args) VKA_PRINTF(5, 0);
vka_status vka__check_fail(const vka__check *c, vka_status status, const char *field, const char *format, ...)
    VKA_PRINTF(4, 5);

/* Sets of types. */
#define VKA__TYPE(dtype) (1u << (dtype))
#define VKA__FLOATS      (VKA__TYPE(VKA_F32) | VKA__TYPE(VKA_F16) | VKA__TYPE(VKA_BF16))
/* Of matrices that are multiplied by, or looked up. */
#define VKA__WEIGHTS (VKA__FLOATS | VKA__TYPE(VKA_Q8_0) | VKA__TYPE(VKA_Q4_0))
#define VKA__CACHES  (VKA__WEIGHTS | VKA__TYPE(VKA_I8))
#define VKA__MASKS   (VKA__FLOATS | VKA__TYPE(VKA_U8))

/* "VKA_F32" */
const char *vka__dtype_name(vka_dtype dtype);
/* "VKA_F32, VKA_F16 or VKA_BF16" */
const char *vka__list_types(uint32_t types, char *text, size_t size);

/* A tensor is there when it has a type. */
static inline bool vka__is_present(const vka_tensor *t) {
    return t->dtype != VKA_DTYPE_INVALID || t->buffer;
}
/* Likewise a list, which may be host values instead. */
static inline bool vka__is_list(const vka_integers *list) {
    return list->values || vka__is_present(&list->tensor);
}

/* Absent tensors give an absent view, unless they are required. `types` is the set of legal types. */
vka_status vka__check_tensor(const vka__check *c, const char *field, const vka_tensor *t, uint32_t types, bool required,
                             vka__view *view);

/* No two elements of an output may share memory. */
vka_status vka__check_output(const vka__check *c, const char *field, const vka__view *view);

/* Two tensors, the first one written, must not share memory; `same_allowed`: unless they are the very same view. */
vka_status vka__check_apart(const vka__check *c, const char *field, const vka_tensor *t, const vka__view *view,
                            const char *other_field, const vka_tensor *other, const vka__view *other_view,
                            bool same_allowed);

/* Scratch memory of the caller, of which `bytes` are needed; or, without a buffer, an offset within the recorder's. */
vka_status vka__check_workspace(const vka__check *c, const vka_workspace *workspace, uint64_t bytes);

#endif
