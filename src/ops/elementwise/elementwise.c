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

vka_status vka__check_alpha(const vka__call *c, uint32_t alpha, uint32_t activation) {
    if (c->number[alpha] != 1 && c->number[activation] != VKA_ACTIVATION_SILU)
        return vka__call_fail(c, VKA_INVALID, "alpha", "is %g, but only VKA_ACTIVATION_SILU has one", c->number[alpha]);
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

uint32_t vka__elementwise_group(const vka_device_caps *caps) {
    return vka__group_size(caps, caps->type == VKA_DEVICE_CPU ? 8 : 128);
}

uint32_t vka__elementwise_units(const vka_device_caps *caps, uint32_t items) {
    uint64_t most = vka__min_u64((uint64_t)caps->max_groups[0] * vka__elementwise_group(caps), MOST_UNITS);
    return vka__min_u32(vka__div_up(items, caps->type == VKA_DEVICE_CPU ? ITEMS_OF_CPU : 1), (uint32_t)most);
}

/* Type and vector flag of the tensor of a binding. */
static void add_tensor(const vka__view *v, uint32_t binding, vka__pipeline_key *key) {
    static const struct {
        uint32_t role, vec4;
    } of[] = {[VKA_BIND_FIRST] = {VKA_ROLE_FIRST, VKA_FLAG_X_VEC4},
              [VKA_BIND_SECOND] = {VKA_ROLE_SECOND, VKA_FLAG_SECOND_VEC4},
              [VKA_BIND_RESULT] = {VKA_ROLE_OUT, VKA_FLAG_VEC4},
              [VKA_BIND_THIRD] = {VKA_ROLE_THIRD, VKA_FLAG_THIRD_VEC4},
              [VKA_BIND_FOURTH] = {VKA_ROLE_FOURTH, VKA_FLAG_FOURTH_VEC4}};
    if (!v->present)
        return;
    key->spec[VKA_SPEC_TYPES] |= (uint32_t)v->dtype << 4 * of[binding].role;
    key->spec[VKA_SPEC_FLAGS] |= vka__view_vec4(v) ? of[binding].vec4 : 0;
}

bool vka__elementwise_plan(vka__call *c, vka__kernel kernel, uint32_t out, uint32_t items, uint32_t flags) {
    uint32_t group = vka__elementwise_group(c->caps);
    vka_elementwise_params *params = VKA__PARAMS(c, vka_elementwise_params);
    params->cols = c->view[out].shape[3];
    params->units = vka__elementwise_units(c->caps, items);
    vka__pipeline_key *key = vka__call_add_key(c, kernel, group);
    key->spec[VKA_SPEC_FLAGS] = flags;
    for (uint32_t i = 0; i < c->op->arg_count; ++i)
        if (!(c->op->args[i].flags & VKA__PER_ROW) && c->op->args[i].extent != VKA__ALL)
            add_tensor(&c->view[i], c->op->args[i].binding, key);
    return !params->units || vka__rows_plan(c, out, params->units, group);
}

bool vka__element_step_plan(vka__call *c, vka__kernel kernel, uint32_t flags, vka_elementwise_params *params,
                            vka__element_step *s) {
    const vka__view *out = &s->view[VKA_BIND_RESULT];
    uint32_t group = vka__elementwise_group(c->caps);
    params->cols = out->shape[3];
    params->units = vka__elementwise_units(c->caps, vka__div_up(params->cols, 4));
    s->key = c->key_count;
    s->dispatches = 0;
    vka__pipeline_key *key = vka__call_add_key(c, kernel, group);
    key->spec[VKA_SPEC_FLAGS] = flags;
    s->rows = vka__rows_of(out->shape, params->units, group);
    if (!vka__volume(s->rows.shape) || !params->units)
        return true;
    for (uint32_t i = VKA_BIND_FIRST; i <= VKA_BIND_RESULT; ++i) {
        add_tensor(&s->view[i], i, key);
        if (s->view[i].present && !vka__cut_to_binding(c->caps, &s->view[i], VKA__DIMS_ALL, s->rows.part))
            return vka__refuse_span(c->caps, s->field, "one row", &c->refusal);
    }
    vka__rows_cut(c->caps, &s->rows);
    params->first = vka__box_strides(&s->view[VKA_BIND_FIRST], s->rows.part);
    params->second = vka__box_strides(&s->view[VKA_BIND_SECOND], s->rows.part);
    params->out_ = vka__box_strides(out, s->rows.part);
    s->dispatches = vka__volume(s->rows.parts);
    return true;
}

void vka__element_step_dispatch(const vka_device_caps *caps, const vka__element_step *s, uint64_t index,
                                vka__dispatch *out) {
    uint32_t begin[3], size[3];
    vka__rows_at(&s->rows, index, begin, size, out);
    out->key = s->key;
    for (uint32_t i = VKA_BIND_FIRST; i <= VKA_BIND_RESULT; ++i)
        if (s->view[i].present)
            out->binding[i] = vka__bind_box(caps, &s->view[i], begin, size,
                                            i == VKA_BIND_RESULT ? VKA__WRITE : VKA__READ, &out->push.base[i]);
}

void vka__elementwise_explain(const vka__call *c, vka__text *text) {
    const uint32_t *spec = c->key[0].spec;
    vka__say(text, "invocations_per_row: %u\nvector_loads: %s\nvector_stores: %s\n", c->rows.units,
             vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_X_VEC4), vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4));
}
