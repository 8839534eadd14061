/* vka_relative_bias_span: checks, plan, record. vka_relative_bias_span_left.
 * SPDX-License-Identifier: MIT */
#include <vkattn/relative.h>

#include "api/entry.h"
#include "api/relative.h"
#include "plan/relative.h"

#include <math.h>
#include <string.h>

typedef struct prepared {
    vka__relative_span_problem problem;
    vka__relative_span_plan plan;
    const vka_device_caps *caps;
    bool nothing; /* no heads: success without work */
} prepared;

static vka_status check(const vka__check *c, const vka_relative_bias_span_desc *d, vka__relative_span_problem *p) {
    vka_status status = vka__check_tensor(c, "spans", &d->spans, VKA__TYPE(VKA_F32), true, &p->spans);
    if (status == VKA_OK)
        status = vka__check_shape(c, "spans", &d->spans, 1, d->spans.shape);
    if (status == VKA_OK)
        status = vka__check_relative_out(c, &d->out, d->spans.shape[0], "spans", &d->spans, &p->spans, &p->out);
    if (status == VKA_OK)
        status = vka__check_relative_zero(c, d->relative_zero, &d->out);
    if (status == VKA_OK && !(d->ramp > 0 && d->ramp <= VKA__MAX_DISTANCE))
        status = vka__check_fail(c, VKA_INVALID, "ramp", "is %g, but must be above 0 and at most %d", (double)d->ramp,
                                 VKA__MAX_DISTANCE);
    p->zero = d->relative_zero;
    p->ramp = d->ramp;
    return status;
}

static vka_status prepare(vka_device *device, const void *desc, void *prepared_) {
    prepared *out = prepared_;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_relative_bias_span"};
    memset(out, 0, sizeof *out);
    if (!desc)
        return vka__check_fail(&c, VKA_INVALID, "desc", "must not be NULL");
    vka_status status = check(&c, desc, &out->problem);
    out->caps = c.caps;
    out->nothing = !out->problem.out.shape[2];
    if (status != VKA_OK || out->nothing)
        return status;
    vka__refusal refusal = {0};
    status = vka__plan_relative_span(c.caps, &out->problem, &out->plan, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(&c, status, refusal.field, "%s", refusal.reason);
}

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const prepared *p = user;
    vka__relative_span_dispatch(p->caps, &p->problem, &p->plan, index, out);
}

static vka__operation operation_of(const void *desc, void *prepared_) {
    const vka_relative_bias_span_desc *d = desc;
    const prepared *p = prepared_;
    vka__operation op = {
        .item = "vka_relative_bias_span",
        .params = &p->plan.params,
        .params_size = sizeof p->plan.params,
        .dispatches = p->nothing ? 0 : vka__relative_dispatches(&p->plan.grid),
        .dispatch = dispatch_at,
        .user = p,
    };
    op.buffers[VKA_BIND_SPANS] = d->spans.buffer;
    op.buffers[VKA_BIND_BIASES] = d->out.buffer;
    return op;
}

static size_t explain(const void *prepared_, char *text, size_t capacity) {
    const prepared *p = prepared_;
    return p->nothing ? 0 : vka__explain_relative_span(&p->plan, text, capacity);
}

static const vka__entry entry = {"vka_relative_bias_span", prepare, operation_of, explain, NULL};

VKA__DEFINE_ENTRY(relative_bias_span, &entry)

/* Key j = p - n is x = n - 1 tokens away, and lives while x < z + ramp: up to n = ceil(z + ramp), or, where a small
 * ramp is lost in that sum, up to x = floor(z). */
int32_t vka_relative_bias_span_left(const float *spans, uint32_t heads, float ramp) {
    double left = 1;
    for (uint32_t h = 0; h < heads; ++h) {
        double z = (double)spans[h], end = z + (double)ramp, last = fmax(ceil(end), floor(z) + 1);
        if (isnan(end) || last >= VKA_UNBOUNDED)
            return VKA_UNBOUNDED;
        left = fmax(left, last);
    }
    return (int32_t)left;
}
