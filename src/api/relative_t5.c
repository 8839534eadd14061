/* vka_relative_bias_t5: checks, defaults, plan, record.
 * SPDX-License-Identifier: MIT */
#include <vkattn/relative.h>

#include "api/entry.h"
#include "api/relative.h"
#include "plan/relative.h"

#include <string.h>

typedef struct prepared {
    vka__relative_t5_problem problem;
    vka__relative_t5_plan plan;
    const vka_device_caps *caps;
    bool nothing; /* no heads: success without work */
} prepared;

static vka_status check_tensors(const vka__check *c, const vka_relative_bias_t5_desc *d, vka__relative_t5_problem *p) {
    vka_status status = vka__check_tensor(c, "table", &d->table, VKA__FLOATS, true, &p->table);
    if (status == VKA_OK && d->table.rank != 2)
        status =
            vka__check_fail(c, VKA_INVALID, "table", "rank is %u, but its shape must be [buckets, H]", d->table.rank);
    if (status == VKA_OK)
        status = vka__check_relative_out(c, &d->out, d->table.shape[1], "table", &d->table, &p->table, &p->out);
    return status;
}

static vka_status check_numbers(const vka__check *c, const vka_relative_bias_t5_desc *d, vka__relative_t5_problem *p) {
    uint32_t buckets = d->table.shape[0], least = d->bidirectional ? 4 : 2;
    if (buckets < least || buckets > VKA_MAX_T5_BUCKETS)
        return vka__check_fail(c, VKA_INVALID, "table", "shape[0] is %u, but buckets are %u .. %d", buckets, least,
                               VKA_MAX_T5_BUCKETS);
    vka_status status = vka__check_relative_zero(c, d->relative_zero, &d->out);
    if (status != VKA_OK)
        return status;
    uint32_t exact = vka__t5_exact(buckets, d->bidirectional);
    p->zero = d->relative_zero;
    p->bidirectional = d->bidirectional;
    p->max_distance = d->max_distance ? d->max_distance : 128;
    if (p->max_distance <= exact || p->max_distance > VKA__MAX_DISTANCE)
        return vka__check_fail(c, VKA_INVALID, "max_distance", "is %u, but must be above %u and at most %d",
                               p->max_distance, exact, VKA__MAX_DISTANCE);
    return VKA_OK;
}

static vka_status prepare(vka_device *device, const void *desc, void *prepared_) {
    const vka_relative_bias_t5_desc *d = desc;
    prepared *out = prepared_;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_relative_bias_t5"};
    memset(out, 0, sizeof *out);
    if (!d)
        return vka__check_fail(&c, VKA_INVALID, "desc", "must not be NULL");
    vka__relative_t5_problem *p = &out->problem;
    vka_status status = check_tensors(&c, d, p);
    if (status == VKA_OK)
        status = check_numbers(&c, d, p);
    out->caps = c.caps;
    out->nothing = !p->out.shape[2];
    if (status != VKA_OK || out->nothing)
        return status;
    vka__refusal refusal = {0};
    status = vka__plan_relative_t5(c.caps, p, &out->plan, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(&c, status, refusal.field, "%s", refusal.reason);
}

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const prepared *p = user;
    vka__relative_t5_dispatch(p->caps, &p->problem, &p->plan, index, out);
}

static vka__operation operation_of(const void *desc, void *prepared_) {
    const vka_relative_bias_t5_desc *d = desc;
    const prepared *p = prepared_;
    vka__operation op = {
        .item = "vka_relative_bias_t5",
        .params = &p->plan.params,
        .params_size = sizeof p->plan.params,
        .dispatches = p->nothing ? 0 : vka__relative_dispatches(&p->plan.grid),
        .dispatch = dispatch_at,
        .user = p,
    };
    op.buffers[VKA_BIND_BIAS_TABLE] = d->table.buffer;
    op.buffers[VKA_BIND_BIASES] = d->out.buffer;
    op.values[VKA_BIND_EDGES] = p->plan.edges;
    return op;
}

static size_t explain(const void *prepared_, char *text, size_t capacity) {
    const prepared *p = prepared_;
    return p->nothing ? 0 : vka__explain_relative_t5(&p->plan, text, capacity);
}

static const vka__entry entry = {"vka_relative_bias_t5", prepare, operation_of, explain, NULL};

VKA__DEFINE_ENTRY(relative_bias_t5, &entry)
