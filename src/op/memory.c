/* Which tensors may share memory.
 * SPDX-License-Identifier: MIT */
#include "op/call.h"

static const vka_tensor absent;

static const vka_tensor *tensor_of(const vka__call *c, uint32_t arg) {
    const vka_tensor *t = vka__call_tensor(c, arg);
    return t ? t : &absent;
}

vka_status vka__call_check_memory(const vka__call *c) {
    const vka__check check = vka__call_checker(c);
    const vka__arg *args = c->op->args;
    for (uint32_t i = 0; i < c->op->arg_count; ++i) {
        if (!(args[i].access & VKA__WRITE) || !c->view[i].present)
            continue;
        vka_status status = vka__check_output(&check, args[i].name, &c->view[i]);
        for (uint32_t j = 0; j < c->op->arg_count && status == VKA_OK; ++j) {
            bool later = j > i && (args[j].access & VKA__WRITE) && c->view[j].present; /* it comes to this one */
            bool in_place = (args[i].in_place >> j | args[j].in_place >> i) & 1;
            if (i != j && !later)
                status = vka__check_apart(&check, args[i].name, tensor_of(c, i), &c->view[i], args[j].name,
                                          tensor_of(c, j), &c->view[j], in_place);
        }
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

vka_status vka__call_check_workspace(const vka__call *c) {
    if (!c->op->workspace)
        return VKA_OK;
    const vka_workspace *w = (const vka_workspace *)(const void *)(c->desc + c->op->workspace);
    const vka_tensor *t[VKA__MAX_ARGS];
    const char *name[VKA__MAX_ARGS];
    for (uint32_t i = 0; i < c->op->arg_count; ++i) {
        t[i] = tensor_of(c, i);
        name[i] = c->op->args[i].name;
    }
    const vka__check check = vka__call_checker(c);
    const vka__tensors all = {c->op->arg_count, name, t, c->view};
    return vka__check_workspace(&check, w, c->workspace_bytes, &all);
}
