/* Which tensors may share memory.
 * SPDX-License-Identifier: MIT */
#include "core/overlap.h"
#include "op/call.h"

static const vka_tensor absent;

static const vka_tensor *tensor_of(const vka__call *c, uint32_t arg) {
    const vka_tensor *t = vka__call_tensor(c, arg);
    return t ? t : &absent;
}

bool vka__call_same_memory(const vka__call *c, uint32_t arg, uint32_t other) {
    return vka__buffer_same_memory(tensor_of(c, arg)->buffer, tensor_of(c, other)->buffer);
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

/* Nothing else may lie in the bytes that are needed. */
vka_status vka__call_check_workspace(const vka__call *c) {
    const vka_workspace *w = vka__call_workspace(c);
    const vka__check check = vka__call_checker(c);
    vka_status status = w ? vka__check_workspace(&check, w, c->workspace_bytes) : VKA_OK;
    if (status != VKA_OK || !w || !w->buffer)
        return status;
    uint64_t start = vka__buffer_base(w->buffer) + w->offset;
    for (uint32_t i = 0; i < c->op->arg_count; ++i)
        if (vka__buffer_same_memory(tensor_of(c, i)->buffer, w->buffer) &&
            vka__view_shares_range(&c->view[i], start, c->workspace_bytes))
            return vka__call_fail(c, VKA_INVALID, "workspace", "overlaps %s", c->op->args[i].name);
    return VKA_OK;
}
