/* vka_lsh_sort: checks, defaults, plan, record. And what its callers prepare on the host.
 * SPDX-License-Identifier: MIT */
#include <vkattn/lsh.h>

#include "api/check.h"
#include "api/entry.h"
#include "core/philox.h"
#include "plan/lsh.h"

#include <math.h>
#include <string.h>

typedef struct prepared {
    vka__lsh_problem problem;
    vka__lsh_plan plan;
    const vka_device_caps *caps;
    bool nothing; /* no tokens: success without work */
} prepared;

/* ---- checks ---------------------------------------------------------------------------------------------------- */

static vka_status check_inputs(const vka__check *c, const vka_lsh_sort_desc *d, vka__lsh_problem *p) {
    vka_status status = vka__check_tensor(c, "x", &d->x, VKA__FLOATS, true, &p->x);
    if (status == VKA_OK && d->x.rank != 4)
        status = vka__check_fail(c, VKA_INVALID, "x", "rank is %u, but must be 4: [B, H, N, D]", d->x.rank);
    if (status == VKA_OK)
        status = vka__check_tensor(c, "rotations", &d->rotations, VKA__TYPE(VKA_F32), true, &p->rotations);
    if (status == VKA_OK && d->rotations.rank != 4)
        status = vka__check_fail(c, VKA_INVALID, "rotations", "rank is %u, but must be 4: [rounds, H or 1, D, columns]",
                                 d->rotations.rank);
    if (status == VKA_OK)
        status = vka__check_integers(c, "lengths", &d->lengths, d->x.shape[0], &p->lengths);
    if (status != VKA_OK)
        return status;
    uint32_t dim = d->x.shape[3], rounds = d->rotations.shape[0];
    if (dim < 1 || dim > VKA_MAX_LSH_DIM)
        return vka__check_fail(c, VKA_INVALID, "x", "shape[3] is %u, but must be 1 .. %d", dim, VKA_MAX_LSH_DIM);
    if (!rounds)
        return vka__check_fail(c, VKA_INVALID, "rotations", "shape[0] is 0, but there must be a round");
    if ((uint64_t)d->x.shape[0] * d->x.shape[1] > UINT32_MAX / rounds)
        return vka__check_fail(c, VKA_UNSUPPORTED, "x", "has more than 2^32 - 1 heads in all rounds");
    return VKA_OK;
}

static vka_status check_buckets(const vka__check *c, const vka_lsh_sort_desc *d, vka__lsh_problem *p) {
    const uint32_t *n = d->bucket_count;
    if (n[0] < 2 || n[0] % 2 || n[1] % 2)
        return vka__check_fail(c, VKA_INVALID, "bucket_count",
                               "is {%u, %u}, but must be even, and the first at least 2", n[0], n[1]);
    if (n[0] > VKA_MAX_LSH_BUCKETS || n[1] > VKA_MAX_LSH_BUCKETS / n[0])
        return vka__check_fail(c, VKA_INVALID, "bucket_count", "{%u, %u} are more than %d buckets", n[0], n[1],
                               VKA_MAX_LSH_BUCKETS);
    memcpy(p->bucket_count, n, sizeof p->bucket_count);
    uint32_t heads = d->rotations.shape[1] == 1 ? 1 : d->x.shape[1];
    const uint32_t shape[] = {d->rotations.shape[0], heads, d->x.shape[3], (n[0] + n[1]) / 2};
    return vka__check_shape(c, "rotations", &d->rotations, 4, shape);
}

static vka_status check_outputs(const vka__check *c, const vka_lsh_sort_desc *d, vka__lsh_problem *p) {
    const uint32_t *x = d->x.shape, rows[] = {d->rotations.shape[0], x[0], x[1], x[2]};
    const struct {
        const char *field;
        const vka_tensor *t;
        vka__view *view;
        uint32_t types;
        bool required;
        const uint32_t *shape;
    } outputs[] = {
        {"order", &d->order, &p->order, VKA__TYPE(VKA_I32), true, rows},
        {"buckets", &d->buckets, &p->buckets, VKA__TYPE(VKA_I32), false, rows},
        {"keys", &d->keys, &p->keys, VKA__FLOATS, false, x},
    };
    vka_status status = VKA_OK;
    for (int i = 0; i < 3 && status == VKA_OK; ++i) {
        status = vka__check_tensor(c, outputs[i].field, outputs[i].t, outputs[i].types, outputs[i].required,
                                   outputs[i].view);
        if (status == VKA_OK)
            status = vka__check_shape(c, outputs[i].field, outputs[i].t, 4, outputs[i].shape);
        if (status == VKA_OK)
            status = vka__check_output(c, outputs[i].field, outputs[i].view);
    }
    return status;
}

/* Outputs first; each must be apart from all that come behind it. */
enum { OUTPUTS = 3, TENSORS = 6 };
static const char *const names[TENSORS] = {"order", "buckets", "keys", "x", "rotations", "lengths"};

typedef struct tensors {
    const vka_tensor *t[TENSORS];
    vka__view *view[TENSORS];
} tensors;

static tensors tensors_of(const vka_lsh_sort_desc *d, vka__lsh_problem *p) {
    return (tensors){
        .t = {&d->order, &d->buckets, &d->keys, &d->x, &d->rotations, &d->lengths.tensor},
        .view = {&p->order, &p->buckets, &p->keys, &p->x, &p->rotations, &p->lengths},
    };
}

static vka_status check_memory(const vka__check *c, const vka_lsh_sort_desc *d, vka__lsh_problem *p) {
    const tensors all = tensors_of(d, p);
    vka_status status = VKA_OK;
    for (int i = 0; i < OUTPUTS; ++i)
        for (int j = i + 1; j < TENSORS && status == VKA_OK; ++j)
            status = vka__check_apart(c, names[i], all.t[i], all.view[i], names[j], all.t[j], all.view[j], false);
    return status;
}

static vka_status check_numbers(const vka__check *c, const vka_lsh_sort_desc *d, vka__lsh_problem *p) {
    for (uint32_t b = 0; d->lengths.values && b < d->x.shape[0]; ++b)
        if (d->lengths.values[b] < 0 || (uint32_t)d->lengths.values[b] > d->x.shape[2])
            return vka__check_fail(c, VKA_INVALID, "lengths", "values[%u] is %d, but must be 0 .. %u", b,
                                   d->lengths.values[b], d->x.shape[2]);
    if (!(d->epsilon >= 0 && isfinite(d->epsilon)))
        return vka__check_fail(c, VKA_INVALID, "epsilon", "is %g, but must be 0 or above, and finite",
                               (double)d->epsilon);
    p->epsilon = d->epsilon > 0 ? d->epsilon : 1e-6f;
    return VKA_OK;
}

/* ---- entry ----------------------------------------------------------------------------------------------------- */

static vka_status prepare(vka_device *device, const void *desc, void *prepared_) {
    const vka_lsh_sort_desc *d = desc;
    prepared *out = prepared_;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_lsh_sort"};
    memset(out, 0, sizeof *out);
    if (!d)
        return vka__check_fail(&c, VKA_INVALID, "desc", "must not be NULL");
    vka__lsh_problem *p = &out->problem;
    vka_status status = check_inputs(&c, d, p);
    if (status == VKA_OK)
        status = check_buckets(&c, d, p);
    if (status == VKA_OK)
        status = check_outputs(&c, d, p);
    if (status == VKA_OK)
        status = check_numbers(&c, d, p);
    if (status == VKA_OK)
        status = check_memory(&c, d, p);
    out->caps = c.caps;
    out->nothing = !d->x.shape[0] || !d->x.shape[1] || !d->x.shape[2];
    if (status != VKA_OK || out->nothing)
        return status;
    vka__refusal refusal = {0};
    status = vka__plan_lsh(c.caps, p, &out->plan, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(&c, status, refusal.field, "%s", refusal.reason);
}

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const prepared *p = user;
    vka__lsh_dispatch(p->caps, &p->problem, &p->plan, index, out);
}

static vka__operation operation_of(const void *desc, void *prepared_) {
    const vka_lsh_sort_desc *d = desc;
    const prepared *p = prepared_;
    vka__operation op = {
        .item = "vka_lsh_sort",
        .params = &p->plan.params,
        .params_size = sizeof p->plan.params,
        .workspace_bytes = p->plan.workspace_bytes,
        .workspace_offset = d->workspace_offset,
        .workspace_binding = VKA_BIND_SCRATCH,
        .dispatches = p->nothing ? 0 : vka__lsh_dispatches(&p->plan),
        .dispatch = dispatch_at,
        .user = p,
    };
    op.buffers[VKA_BIND_X] = d->x.buffer;
    op.buffers[VKA_BIND_ROTATIONS] = d->rotations.buffer;
    op.buffers[VKA_BIND_KEYS] = d->keys.buffer;
    op.buffers[VKA_BIND_SORTED] = d->order.buffer;
    op.buffers[VKA_BIND_BUCKETS] = d->buckets.buffer;
    op.buffers[VKA_BIND_SCRATCH] = d->workspace;
    op.buffers[VKA_BIND_SORT_LENS] = d->lengths.tensor.buffer;
    op.values[VKA_BIND_SORT_LENS] = d->lengths.values;
    return op;
}

static size_t explain(const void *prepared_, char *text, size_t capacity) {
    const prepared *p = prepared_;
    return p->nothing ? 0 : vka__explain_lsh(&p->plan, text, capacity);
}

static vka_status check_recording(vka_device *device, const void *desc, const void *prepared_) {
    const vka_lsh_sort_desc *d = desc;
    const prepared *p = prepared_;
    const vka__check c = {vka__device_context(device), device, p->caps, "vka_lsh_sort"};
    vka__lsh_problem problem = p->problem;
    const tensors all = tensors_of(d, &problem);
    const vka__tensors list = {TENSORS, names, all.t, all.view};
    return vka__check_workspace(&c, d->workspace, d->workspace_offset, p->plan.workspace_bytes, &list);
}

static const vka__entry entry = {"vka_lsh_sort", prepare, operation_of, explain, check_recording};

VKA__DEFINE_ENTRY(lsh_sort, &entry)

/* ---- on the host ----------------------------------------------------------------------------------------------- */

void vka_lsh_rotations(uint64_t seed, uint64_t first, size_t count, float *values) {
    uint32_t words[4] = {0};
    for (size_t n = 0; n < count; ++n) {
        uint64_t number = first + n;
        if (n == 0 || number % 4 == 0)
            vka__philox((uint32_t[]){(uint32_t)(number / 4), (uint32_t)(number / 4 >> 32), 0, 0}, seed, words);
        const uint32_t *pair = words + number % 4 / 2 * 2;
        double length = sqrt(-2 * log((pair[0] + 0.5) * 0x1p-32)), angle = pair[1] * 0x1p-32 * 6.283185307179586;
        values[n] = (float)(length * (number % 2 ? sin(angle) : cos(angle)));
    }
}

vka_tensor vka_lsh_round(vka_tensor t, uint32_t round) {
    if (t.rank != 4 || round >= t.shape[0])
        return t;
    uint64_t stride = t.stride[0];
    if (!stride && !t.stride[1] && !t.stride[2] && !t.stride[3]) /* dense */
        stride = (uint64_t)t.shape[1] * t.shape[2] * t.shape[3];
    t.offset += round * stride * vka_dtype_size(t.dtype);
    t.rank = 3;
    for (uint32_t i = 0; i < 3; ++i) {
        t.shape[i] = t.shape[i + 1];
        t.stride[i] = t.stride[i + 1];
    }
    t.shape[3] = 0;
    t.stride[3] = 0;
    return t;
}
