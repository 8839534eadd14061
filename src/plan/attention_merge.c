/* Plans of vka_attention_merge.
 * SPDX-License-Identifier: MIT */
#include "plan/attention_merge.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(vka_merge_params) <= sizeof(vka_attention_params), "a recorder's slots have room for it");

static const struct {
    const char *name;
    size_t view, strides; /* where in problem and parameters */
    uint32_t slot;
    vka__access access;
} tensors[] = {
    {"a", offsetof(vka__merge_problem, a), offsetof(vka_merge_params, a), VKA_BIND_A, VKA__READ},
    {"b", offsetof(vka__merge_problem, b), offsetof(vka_merge_params, b), VKA_BIND_B, VKA__READ},
    {"a_lse", offsetof(vka__merge_problem, a_lse), offsetof(vka_merge_params, a_lse), VKA_BIND_A_LSE, VKA__READ},
    {"b_lse", offsetof(vka__merge_problem, b_lse), offsetof(vka_merge_params, b_lse), VKA_BIND_B_LSE, VKA__READ},
    {"out", offsetof(vka__merge_problem, out), offsetof(vka_merge_params, out_), VKA_BIND_MERGED, VKA__WRITE},
    {"lse", offsetof(vka__merge_problem, lse), offsetof(vka_merge_params, lse), VKA_BIND_MERGED_LSE, VKA__WRITE},
};
#define TENSORS (sizeof tensors / sizeof *tensors)

static const vka__view *view_of(const vka__merge_problem *p, size_t i) {
    return (const vka__view *)(const void *)((const char *)p + tensors[i].view);
}

/* Where invocations run side by side, enough of them share a row that each has one vector of it, so that neighbours
 * read neighbouring channels. Software drivers like long rows and no barriers. */
static void choose_group(const vka_device_caps *caps, const vka__merge_problem *p, vka__merge_plan *plan) {
    uint32_t group = caps->type == VKA_DEVICE_CPU ? 8 : 128, team = 1;
    while (group > caps->max_invocations)
        group /= 2;
    while (caps->type != VKA_DEVICE_CPU && team < group && team < vka__div_up(p->out.shape[3], 4))
        team *= 2;
    plan->key.spec[VKA_SPEC_GROUP_SIZE] = group;
    plan->key.spec[VKA_SPEC_TC] = team;
    plan->group_rows = group / team;
}

static void fill_key(const vka__merge_problem *p, vka__pipeline_key *key) {
    bool vec4 = vka__view_vec4(&p->a) && vka__view_vec4(&p->b) && vka__view_vec4(&p->out);
    key->kernel = VKA__attention_merge_parts;
    key->spec[VKA_SPEC_FLAGS] = (vec4 ? VKA_FLAG_VEC4 : 0) | (p->lse.present ? VKA_FLAG_LSE : 0);
    key->spec[VKA_SPEC_TYPES] = (uint32_t)p->a.dtype << 4 * VKA_ROLE_A | (uint32_t)p->b.dtype << 4 * VKA_ROLE_B |
                                (uint32_t)p->out.dtype << 4 * VKA_ROLE_OUT;
}

vka_status vka__plan_merge(const vka_device_caps *caps, const vka__merge_problem *p, vka__merge_plan *plan,
                           vka__refusal *refusal) {
    memset(plan, 0, sizeof *plan);
    choose_group(caps, p, plan);
    fill_key(p, &plan->key);
    memcpy(plan->part, p->out.shape, sizeof plan->part);
    for (size_t i = 0; i < TENSORS; ++i)
        if (view_of(p, i)->present && !vka__cut_to_binding(caps, view_of(p, i), VKA__DIMS_ALL, plan->part)) {
            vka__refuse_span(caps, tensors[i].name, "one row", refusal);
            return VKA_UNSUPPORTED;
        }
    vka__even_out(p->out.shape, plan->part, plan->parts);
    vka__cut_to_grid((uint64_t)caps->max_groups[0] * plan->group_rows, plan->part);
    vka__even_out(p->out.shape, plan->part, plan->parts);
    for (size_t i = 0; i < TENSORS; ++i) {
        vka_strides strides = vka__box_strides(view_of(p, i), plan->part);
        memcpy((char *)&plan->params + tensors[i].strides, &strides, sizeof strides);
    }
    plan->params.cols = p->out.shape[3];
    return VKA_OK;
}

uint64_t vka__merge_dispatches(const vka__merge_plan *plan) {
    return vka__volume(plan->parts);
}

void vka__merge_dispatch(const vka_device_caps *caps, const vka__merge_problem *p, const vka__merge_plan *plan,
                         uint64_t index, vka__dispatch *out) {
    memset(out, 0, sizeof *out);
    uint32_t begin[3], size[3];
    vka__box_at(p->out.shape, plan->part, plan->parts, index, begin, size);
    for (size_t i = 0; i < TENSORS; ++i) {
        uint32_t slot = tensors[i].slot;
        out->binding[slot] = vka__bind_box(caps, view_of(p, i), begin, size, tensors[i].access, &out->push.base[slot]);
    }
    out->key = plan->key;
    out->push.rows = (uint32_t)vka__volume(size);
    out->push.dim1 = size[1];
    out->push.dim2 = size[2];
    out->groups[0] = vka__div_up(out->push.rows, plan->group_rows);
    out->groups[1] = out->groups[2] = 1;
}

size_t vka__explain_merge(const vka__merge_plan *plan, char *text, size_t capacity) {
    const uint32_t *spec = plan->key.spec;
    int n = snprintf(text, capacity,
                     "kernel: %s\nworkgroup: %u\ninvocations_per_row: %u\nvector_loads: %s\nrows_per_dispatch: %llu\n"
                     "dispatches: %llu\nworkspace_bytes: 0\n",
                     vka__kernel_name((vka__kernel)plan->key.kernel), spec[VKA_SPEC_GROUP_SIZE], spec[VKA_SPEC_TC],
                     spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4 ? "yes" : "no", (unsigned long long)vka__volume(plan->part),
                     (unsigned long long)vka__merge_dispatches(plan));
    return n < 0 ? 0 : (size_t)n;
}
