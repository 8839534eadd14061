/* vka_attention_merge: checks, plan, record.
 * SPDX-License-Identifier: MIT */
#include <vkattn/merge.h>

#include "api/check.h"
#include "api/entry.h"
#include "plan/attention_merge.h"

#include <string.h>

typedef struct prepared {
    vka__merge_problem problem;
    vka__merge_plan plan;
    const vka_device_caps *caps;
    bool nothing; /* no rows: success without work */
} prepared;

/* The tensors of a description, in one order for all loops below. */
enum { A, B, OUT, A_LSE, B_LSE, LSE, TENSORS };
static const char *const names[TENSORS] = {"a", "b", "out", "a_lse", "b_lse", "lse"};

typedef struct tensors {
    const vka_tensor *t[TENSORS];
    vka__view *view[TENSORS];
} tensors;

static tensors tensors_of(const vka_attention_merge_desc *d, vka__merge_problem *p) {
    return (tensors){
        .t = {&d->a, &d->b, &d->out, &d->a_lse, &d->b_lse, &d->lse},
        .view = {&p->a, &p->b, &p->out, &p->a_lse, &p->b_lse, &p->lse},
    };
}

static vka_status check_tensors(const vka__check *c, const tensors *all) {
    vka_status status = VKA_OK;
    for (int i = 0; i < TENSORS && status == VKA_OK; ++i)
        status = vka__check_tensor(c, names[i], all->t[i], i < A_LSE ? VKA__FLOATS : VKA__TYPE(VKA_F32), i != LSE,
                                   all->view[i]);
    const vka_tensor *a = all->t[A];
    if (status == VKA_OK && a->rank != 4)
        status = vka__check_fail(c, VKA_INVALID, "a", "rank is %u, but its shape must be [B, H, N, D]", a->rank);
    if (status == VKA_OK && !a->shape[3])
        status = vka__check_fail(c, VKA_INVALID, "a", "shape[3] is 0, but must be at least 1");
    for (int i = B; i < TENSORS && status == VKA_OK; ++i)
        status = vka__check_shape(c, names[i], all->t[i], i < A_LSE ? 4 : 3, a->shape);
    return status;
}

static vka_status check_memory(const vka__check *c, const tensors *all) {
    static const int written[] = {OUT, LSE};
    for (int w = 0; w < 2; ++w) {
        int i = written[w], first_part = w ? A_LSE : A;
        vka_status status = vka__check_output(c, names[i], all->view[i]);
        for (int j = 0; j < TENSORS && status == VKA_OK; ++j) {
            bool in_place = j == first_part || j == first_part + 1;
            if (i != j)
                status =
                    vka__check_apart(c, names[i], all->t[i], all->view[i], names[j], all->t[j], all->view[j], in_place);
        }
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

static vka_status prepare(vka_device *device, const void *desc, void *prepared_) {
    const vka_attention_merge_desc *d = desc;
    prepared *out = prepared_;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_attention_merge"};
    memset(out, 0, sizeof *out);
    if (!d)
        return vka__check_fail(&c, VKA_INVALID, "desc", "must not be NULL");
    vka__merge_problem *p = &out->problem;
    tensors all = tensors_of(d, p);
    vka_status status = check_tensors(&c, &all);
    if (status == VKA_OK)
        status = check_memory(&c, &all);
    if (status != VKA_OK)
        return status;
    for (int i = A_LSE; i < TENSORS; ++i)
        vka__view_append_one(all.view[i]);
    out->caps = c.caps;
    out->nothing = !p->a.shape[0] || !p->a.shape[1] || !p->a.shape[2];
    if (out->nothing)
        return VKA_OK;
    vka__refusal refusal = {0};
    status = vka__plan_merge(c.caps, p, &out->plan, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(&c, status, refusal.field, "%s", refusal.reason);
}

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const prepared *p = user;
    vka__merge_dispatch(p->caps, &p->problem, &p->plan, index, out);
}

static vka__operation operation_of(const void *desc, void *prepared_) {
    const vka_attention_merge_desc *d = desc;
    const prepared *p = prepared_;
    vka__operation op = {
        .item = "vka_attention_merge",
        .params = &p->plan.params,
        .params_size = sizeof p->plan.params,
        .dispatches = p->nothing ? 0 : vka__merge_dispatches(&p->plan),
        .dispatch = dispatch_at,
        .user = p,
    };
    op.buffers[VKA_BIND_A] = d->a.buffer;
    op.buffers[VKA_BIND_B] = d->b.buffer;
    op.buffers[VKA_BIND_A_LSE] = d->a_lse.buffer;
    op.buffers[VKA_BIND_B_LSE] = d->b_lse.buffer;
    op.buffers[VKA_BIND_MERGED] = d->out.buffer;
    op.buffers[VKA_BIND_MERGED_LSE] = d->lse.buffer;
    return op;
}

static size_t explain(const void *prepared_, char *text, size_t capacity) {
    const prepared *p = prepared_;
    return p->nothing ? 0 : vka__explain_merge(&p->plan, text, capacity);
}

static const vka__entry entry = {"vka_attention_merge", prepare, operation_of, explain, NULL};

VKA__DEFINE_ENTRY(attention_merge, &entry)
