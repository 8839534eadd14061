/* vka_attention: checks, defaults, plan, record.
 * SPDX-License-Identifier: MIT */
#include <vkattn/attention.h>

#include "api/attention_check.h"
#include "api/entry.h"
#include "plan/attention_paths.h"

#include <string.h>

/* A checked description with its plan. */
typedef struct prepared {
    vka__attention_problem problem;
    vka__attention_plan plan;
    const vka_device_caps *caps;
    bool nothing; /* no query or no batch: success without work */
} prepared;

static vka_status prepare(vka_device *device, const void *desc, void *prepared_) {
    const vka_attention_desc *d = desc;
    prepared *out = prepared_;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_attention"};
    memset(out, 0, sizeof *out);
    if (!d)
        return vka__check_fail(&c, VKA_INVALID, "desc", "must not be NULL");
    vka__attention_problem *p = &out->problem;
    vka_status status = vka__check_attention(&c, d, p);
    if (status != VKA_OK)
        return status;
    out->caps = c.caps;
    out->nothing = !p->batch || !d->q.shape[1] || !p->q_len;
    if (out->nothing)
        return VKA_OK;
    p->tuning = vka__device_tuning(device);
    vka__refusal refusal = {0};
    status = vka__plan_attention(c.caps, p, &out->plan, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(&c, status, refusal.field, "%s", refusal.reason);
}

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const prepared *p = user;
    vka__attention_dispatch(p->caps, &p->problem, &p->plan, index, out);
}

static vka__operation operation_of(const void *desc, void *prepared_) {
    const vka_attention_desc *d = desc;
    const prepared *p = prepared_;
    vka__operation op = {
        .item = "vka_attention",
        .params = &p->plan.params,
        .params_size = sizeof p->plan.params,
        .workspace_bytes = p->plan.workspace_bytes,
        .workspace_offset = d->workspace_offset,
        .workspace_binding = VKA_BIND_WORKSPACE,
        .dispatches = vka__attention_dispatches(&p->plan),
        .dispatch = dispatch_at,
        .user = p,
    };
    vka__attention_buffers(d, &op);
    return op;
}

static vka_status check_recording(vka_device *device, const void *desc, const void *prepared_) {
    const vka_attention_desc *d = desc;
    const prepared *p = prepared_;
    const vka__check c = {vka__device_context(device), device, p->caps, "vka_attention"};
    return vka__check_attention_workspace(&c, d, &p->problem, p->plan.workspace_bytes);
}

static size_t explain(const void *prepared_, char *text, size_t capacity) {
    const prepared *p = prepared_;
    return p->nothing ? 0 : vka__explain_attention(&p->problem, &p->plan, text, capacity);
}

static const vka__entry entry = {"vka_attention", prepare, operation_of, explain, check_recording};

VKA__DEFINE_ENTRY(attention, &entry)

vka_status vka_attention_candidates(vka_device *device, const vka_attention_desc *desc,
                                    vka_attention_candidate *candidates, uint32_t capacity, uint32_t *count) {
    if (!device)
        return VKA_INVALID;
    if (!count || (!candidates && capacity))
        return vka__fail(vka__device_context(device), VKA_INVALID, "vka_attention_candidates.count",
                         "and the list must not be NULL");
    *count = 0;
    if (!desc)
        return vka__fail(vka__device_context(device), VKA_INVALID, "vka_attention_candidates.desc", "must not be NULL");
    vka_attention_desc plain = *desc;
    plain.path = VKA_PATH_AUTO;
    plain.tile = (vka_attention_tile){0};
    plain.splits = 0;
    prepared p;
    vka_status status = prepare(device, &plain, &p);
    if (status != VKA_OK || p.nothing)
        return status;
    uint32_t path;
    for (vka__tile t; vka__attention_candidate(p.caps, &p.problem, *count, &path, &t); ++*count)
        if (*count < capacity)
            candidates[*count] = (vka_attention_candidate){(vka_attention_path)path, {t.br, t.bc, t.rm, t.tc}};
    return VKA_OK;
}
