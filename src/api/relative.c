/* SPDX-License-Identifier: MIT */
#include "api/relative.h"

vka_status vka__check_relative_out(const vka__check *c, const vka_tensor *out, uint32_t heads, const char *input_field,
                                   const vka_tensor *input, const vka__view *input_view, vka__view *view) {
    vka_status status = vka__check_tensor(c, "out", out, VKA__TYPE(VKA_F32), true, view);
    const uint32_t shape[] = {heads, out->shape[1]};
    if (status == VKA_OK)
        status = vka__check_shape(c, "out", out, 2, shape);
    if (status == VKA_OK)
        status = vka__check_output(c, "out", view);
    if (status == VKA_OK)
        status = vka__check_apart(c, "out", out, view, input_field, input, input_view, false);
    return status;
}

vka_status vka__check_relative_zero(const vka__check *c, uint32_t zero, const vka_tensor *out) {
    if (zero >= out->shape[1])
        return vka__check_fail(c, VKA_INVALID, "relative_zero", "is %u, but out has %u columns", zero, out->shape[1]);
    return VKA_OK;
}
