/* SPDX-License-Identifier: MIT */
#include "ops/elementwise/elementwise.h"

_Static_assert(VKA_ACT_NONE == VKA_ACTIVATION_NONE && VKA_ACT_RELU == VKA_ACTIVATION_RELU &&
                   VKA_ACT_GELU == VKA_ACTIVATION_GELU && VKA_ACT_GELU_TANH == VKA_ACTIVATION_GELU_TANH &&
                   VKA_ACT_SILU == VKA_ACTIVATION_SILU && VKA_ACT_TANH == VKA_ACTIVATION_TANH &&
                   VKA_ACT_SIGMOID == VKA_ACTIVATION_SIGMOID,
               "kernels have the same numbers");

vka_status vka__check_broadcast(const vka__call *c, uint32_t arg, uint32_t out) {
    const vka__view *v = &c->view[arg];
    uint32_t last = c->op->args[arg].flags & VKA__PER_ROW ? 3 : VKA_MAX_RANK; /* of a row there is one number */
    for (uint32_t i = 0; v->present && i < last; ++i)
        if (v->shape[i] != 1 && v->shape[i] != c->view[out].shape[i])
            return vka__call_fail(c, VKA_INVALID, c->op->args[arg].name,
                                  "dimension %u from the end is %u, but must be 1 or, as that of %s, %u", last - i,
                                  v->shape[i], c->op->args[out].name, c->view[out].shape[i]);
    return VKA_OK;
}

vka_status vka__elementwise_check(const vka__call *c, uint32_t out) {
    vka_status status = VKA_OK;
    for (uint32_t i = 0; i < c->op->arg_count && status == VKA_OK; ++i)
        status = i != out ? vka__check_broadcast(c, i, out) : VKA_OK;
    return status == VKA_OK ? vka__call_check_rows(c, out, c->view[out].shape) : status;
}

/* Software drivers like long rows; so many items are an invocation's there. */
#define ITEMS_OF_CPU 16
/* Of a row. With fewer invocations than items each steps through the row. */
#define MOST_UNITS (1 << 16)

bool vka__elementwise_plan(vka__call *c, vka__kernel kernel, uint32_t out, uint32_t items, uint32_t flags) {
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    uint32_t group = vka__group_size(c->caps, cpu ? 8 : 128);
    uint64_t most = vka__min_u64((uint64_t)c->caps->max_groups[0] * group, MOST_UNITS);
    vka_elementwise_params *params = VKA__PARAMS(c, vka_elementwise_params);
    params->cols = c->view[out].shape[3];
    params->units = vka__min_u32(vka__div_up(items, cpu ? ITEMS_OF_CPU : 1), (uint32_t)most);
    vka__pipeline_key *key = vka__call_add_key(c, kernel, group);
    key->spec[VKA_SPEC_FLAGS] = flags;
    for (uint32_t i = 0; i < c->op->arg_count; ++i) {
        const vka__arg *a = &c->op->args[i];
        if (!c->view[i].present || (a->flags & VKA__PER_ROW))
            continue;
        static const struct {
            uint32_t role, vec4;
        } of[] = {[VKA_BIND_FIRST] = {VKA_ROLE_FIRST, VKA_FLAG_X_VEC4},
                  [VKA_BIND_SECOND] = {VKA_ROLE_SECOND, VKA_FLAG_SECOND_VEC4},
                  [VKA_BIND_RESULT] = {VKA_ROLE_OUT, VKA_FLAG_VEC4}};
        key->spec[VKA_SPEC_TYPES] |= vka__call_type(c, i, of[a->binding].role);
        key->spec[VKA_SPEC_FLAGS] |= vka__view_vec4(&c->view[i]) ? of[a->binding].vec4 : 0;
    }
    return !params->units || vka__rows_plan(c, out, params->units, group);
}

void vka__elementwise_explain(const vka__call *c, vka__text *text) {
    const uint32_t *spec = c->key[0].spec;
    vka__say(text, "invocations_per_row: %u\nvector_loads: %s\nvector_stores: %s\n", c->rows.units,
             vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_X_VEC4), vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4));
}
