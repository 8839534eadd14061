/* vka_attention: checks, defaults, plan, record.
 * SPDX-License-Identifier: MIT */
#include <vkattn/attention.h>

#include "api/check.h"
#include "plan/attention_paths.h"

#include <math.h>
#include <string.h>

/* Positions are compared in 32-bit integers with room to add. */
#define MAX_SEQUENCE (1 << 28)

/* A checked description with its plan. */
typedef struct prepared {
    vka__attention_problem problem;
    vka__attention_plan plan;
    const vka_device_caps *caps;
    bool nothing; /* no query or no batch: success without work */
} prepared;

static vka_status check_tensors(const vka__check *c, const vka_attention_desc *d, vka__attention_problem *p) {
    const struct {
        const char *field;
        const vka_tensor *t;
        vka__view *view;
    } tensors[] = {{"q", &d->q, &p->q}, {"k", &d->k, &p->k}, {"v", &d->v, &p->v}, {"out", &d->out, &p->out}};
    for (int i = 0; i < 4; ++i) {
        vka_status status = vka__check_tensor(c, tensors[i].field, tensors[i].t, VKA__FLOATS, true, tensors[i].view);
        if (status == VKA_OK && tensors[i].t->rank != 4)
            status = vka__check_fail(c, VKA_INVALID, tensors[i].field, "rank is %u, but must be 4: [B, H, N, D]",
                                     tensors[i].t->rank);
        if (status == VKA_OK)
            status = vka__check_dtype(c, tensors[i].field, tensors[i].t, d->q.dtype, "must be q's");
        if (status != VKA_OK)
            return status;
    }
    return vka__check_tensor(c, "lse", &d->lse, VKA__FLOATS, false, &p->lse);
}

static vka_status check_shapes(const vka__check *c, const vka_attention_desc *d) {
    const uint32_t *q = d->q.shape, *k = d->k.shape, *v = d->v.shape;
    for (int i = 0; i < 2; ++i) {
        uint32_t dim = i ? v[3] : q[3];
        if (dim < 1 || dim > VKA_MAX_HEAD_DIM)
            return vka__check_fail(c, VKA_INVALID, i ? "v" : "q", "shape[3] is %u, but head dimensions are 1 .. %d",
                                   dim, VKA_MAX_HEAD_DIM);
    }
    if (!k[1] || q[1] % k[1])
        return vka__check_fail(c, VKA_INVALID, "k", "shape[1] is %u, which does not divide the %u heads of q", k[1],
                               q[1]);
    if (q[2] > MAX_SEQUENCE || k[2] > MAX_SEQUENCE)
        return vka__check_fail(c, VKA_UNSUPPORTED, q[2] > MAX_SEQUENCE ? "q" : "k", "shape[2] is above %d",
                               MAX_SEQUENCE);
    const uint32_t k_shape[] = {q[0], k[1], k[2], q[3]}, v_shape[] = {q[0], k[1], k[2], v[3]};
    const uint32_t out_shape[] = {q[0], q[1], q[2], v[3]};
    vka_status status = vka__check_shape(c, "k", &d->k, 4, k_shape);
    if (status == VKA_OK)
        status = vka__check_shape(c, "v", &d->v, 4, v_shape);
    if (status == VKA_OK)
        status = vka__check_shape(c, "out", &d->out, 4, out_shape);
    if (status == VKA_OK)
        status = vka__check_shape(c, "lse", &d->lse, 3, q);
    if (status == VKA_OK)
        status = vka__check_dtype(c, "lse", &d->lse, VKA_F32, "must be VKA_F32");
    return status;
}

static vka_status check_memory(const vka__check *c, const vka_attention_desc *d, const vka__attention_problem *p) {
    const vka_tensor *t[] = {&d->q, &d->k, &d->v, &d->out, &d->lse};
    const vka__view *v[] = {&p->q, &p->k, &p->v, &p->out, &p->lse};
    static const char *const names[] = {"q", "k", "v", "out", "lse"};
    for (int written = 3; written < 5; ++written) {
        vka_status status = vka__check_output(c, names[written], t[written], v[written]);
        for (int other = 0; other < written && status == VKA_OK; ++other)
            status =
                vka__check_apart(c, names[written], t[written], v[written], names[other], t[other], v[other], false);
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

static vka_status check_options(const vka__check *c, const vka_attention_desc *d) {
    if (!(d->scale >= 0) || isinf(d->scale))
        return vka__check_fail(c, VKA_INVALID, "scale", "is %g, but must be finite and not negative", (double)d->scale);
    if ((unsigned)d->diagonal > VKA_DIAGONAL_EXPLICIT)
        return vka__check_fail(c, VKA_INVALID, "diagonal", "%d is not a vka_diagonal", (int)d->diagonal);
    if (d->diagonal != VKA_DIAGONAL_EXPLICIT && d->diagonal_offset)
        return vka__check_fail(c, VKA_INVALID, "diagonal_offset", "is %d, but diagonal is not VKA_DIAGONAL_EXPLICIT",
                               d->diagonal_offset);
    bool bounded = d->window.left != VKA_UNBOUNDED && d->window.right != VKA_UNBOUNDED;
    if (d->window.enabled && bounded && (int64_t)d->window.left + d->window.right < 0)
        return vka__check_fail(c, VKA_INVALID, "window", "left %d + right %d is negative: it keeps nothing",
                               d->window.left, d->window.right);
    if ((unsigned)d->path > VKA_PATH_COOPMAT2)
        return vka__check_fail(c, VKA_INVALID, "path", "%d is not a vka_attention_path", (int)d->path);
    const vka_attention_tile *t = &d->tile;
    bool any = t->query_tile || t->key_tile || t->rows_per_invocation || t->team;
    if (any && (!d->path || !t->key_tile))
        return vka__check_fail(c, VKA_INVALID, "tile", "needs a path and a key_tile");
    if (d->splits > VKA_MAX_SPLITS)
        return vka__check_fail(c, VKA_INVALID, "splits", "is %u, but at most %d", d->splits, VKA_MAX_SPLITS);
    return VKA_OK;
}

static int32_t clamp_position(int64_t x) {
    const int64_t limit = INT64_C(1) << 29;
    return (int32_t)(x < -limit ? -limit : x > limit ? limit : x);
}

/* Causality and window become one band of visible keys around the diagonal. */
static void fill_band(const vka_attention_desc *d, vka__attention_problem *p) {
    int64_t nq = d->q.shape[2], nk = d->k.shape[2];
    int64_t diagonal = d->diagonal == VKA_DIAGONAL_TOP_LEFT   ? 0
                       : d->diagonal == VKA_DIAGONAL_EXPLICIT ? d->diagonal_offset
                                                              : nk - nq;
    int64_t lo = INT64_MIN, hi = INT64_MAX;
    if (d->window.enabled && d->window.left != VKA_UNBOUNDED)
        lo = diagonal - d->window.left;
    if (d->window.enabled && d->window.right != VKA_UNBOUNDED)
        hi = diagonal + d->window.right;
    if (d->causal && hi > diagonal)
        hi = diagonal;
    p->band = lo > 1 - nq || hi < nk - 1;
    p->band_lo = clamp_position(lo);
    p->band_hi = clamp_position(hi);
}

static vka_status prepare(vka_device *device, const vka_attention_desc *d, prepared *out) {
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_attention"};
    memset(out, 0, sizeof *out);
    if (!d)
        return vka__check_fail(&c, VKA_INVALID, "desc", "must not be NULL");
    vka__attention_problem *p = &out->problem;
    vka_status status = check_tensors(&c, d, p);
    if (status == VKA_OK)
        status = check_shapes(&c, d);
    if (status == VKA_OK)
        status = check_options(&c, d);
    if (status == VKA_OK)
        status = check_memory(&c, d, p);
    if (status != VKA_OK)
        return status;
    /* lse joins the others as [B, H, N, 1]. */
    for (int i = 0; i < 4 && p->lse.present; ++i) {
        p->lse.shape[i] = i < 3 ? p->lse.shape[i + 1] : 1;
        p->lse.stride[i] = i < 3 ? p->lse.stride[i + 1] : 0;
    }
    out->caps = c.caps;
    out->nothing = !d->q.shape[0] || !d->q.shape[1] || !d->q.shape[2];
    if (out->nothing)
        return VKA_OK;
    p->scale = d->scale ? d->scale : 1 / sqrtf((float)d->q.shape[3]);
    p->path = d->path;
    p->tile = (vka__tile){d->tile.query_tile, d->tile.key_tile, d->tile.rows_per_invocation, d->tile.team};
    p->tuning = vka__device_tuning(device);
    p->splits = d->splits;
    fill_band(d, p);
    vka__refusal refusal = {0};
    status = vka__plan_attention(c.caps, p, &out->plan, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(&c, status, refusal.field, "%s", refusal.reason);
}

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const prepared *p = user;
    vka__attention_dispatch(p->caps, &p->problem, &p->plan, index, out);
}

static vka__operation operation_of(const vka_attention_desc *d, const prepared *p) {
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
    op.buffers[VKA_BIND_Q] = d->q.buffer;
    op.buffers[VKA_BIND_K] = d->k.buffer;
    op.buffers[VKA_BIND_V] = d->v.buffer;
    op.buffers[VKA_BIND_OUT] = d->out.buffer;
    op.buffers[VKA_BIND_LSE] = d->lse.buffer;
    op.buffers[VKA_BIND_WORKSPACE] = d->workspace;
    return op;
}

static vka_status check_workspace(vka_device *device, const vka_attention_desc *d, const prepared *p) {
    const vka__check c = {vka__device_context(device), device, p->caps, "vka_attention"};
    if (!d->workspace) {
        if (d->workspace_offset)
            return vka__check_fail(&c, VKA_INVALID, "workspace_offset", "is %llu, but workspace is NULL",
                                   (unsigned long long)d->workspace_offset);
        return VKA_OK;
    }
    if (vka__buffer_device(d->workspace) != device)
        return vka__check_fail(&c, VKA_INVALID, "workspace", "belongs to another device");
    uint64_t start = vka__buffer_base(d->workspace) + d->workspace_offset;
    if (d->workspace_offset % 256 || start % vka__max_u32(p->caps->storage_align, 16))
        return vka__check_fail(&c, VKA_INVALID, "workspace_offset", "%llu is not a multiple of 256",
                               (unsigned long long)start);
    uint64_t size = vka__buffer_bytes(d->workspace);
    if (d->workspace_offset > size || p->plan.workspace_bytes > size - d->workspace_offset)
        return vka__check_fail(&c, VKA_INVALID, "workspace", "has %llu bytes after its offset, but %llu are needed",
                               (unsigned long long)(d->workspace_offset > size ? 0 : size - d->workspace_offset),
                               (unsigned long long)p->plan.workspace_bytes);
    return VKA_OK;
}

vka_status vka_attention(vka_recorder *recorder, const vka_attention_desc *desc) {
    if (!recorder)
        return VKA_INVALID;
    prepared p;
    vka_device *device = vka__recorder_device(recorder);
    vka_status status = prepare(device, desc, &p);
    if (status == VKA_OK)
        status = check_workspace(device, desc, &p);
    if (status != VKA_OK)
        return status;
    vka__operation op = operation_of(desc, &p);
    if (p.nothing)
        op.dispatches = 0;
    return vka__record(recorder, &op);
}

vka_status vka_attention_prepare(vka_device *device, const vka_attention_desc *desc) {
    if (!device)
        return VKA_INVALID;
    prepared p;
    vka_status status = prepare(device, desc, &p);
    if (status != VKA_OK || p.nothing)
        return status;
    vka__operation op = operation_of(desc, &p);
    return vka__prepare(device, &op);
}

vka_status vka_attention_workspace(vka_device *device, const vka_attention_desc *desc, uint64_t *bytes) {
    if (!device)
        return VKA_INVALID;
    if (!bytes)
        return vka__fail(vka__device_context(device), VKA_INVALID, "vka_attention_workspace.bytes", "must not be NULL");
    prepared p;
    vka_status status = prepare(device, desc, &p);
    *bytes = status == VKA_OK ? p.plan.workspace_bytes : 0;
    return status;
}

vka_status vka_attention_explain(vka_device *device, const vka_attention_desc *desc, char *text, size_t capacity,
                                 size_t *length) {
    if (!device)
        return VKA_INVALID;
    if (!text && capacity)
        return vka__fail(vka__device_context(device), VKA_INVALID, "vka_attention_explain.text", "must not be NULL");
    prepared p;
    vka_status status = prepare(device, desc, &p);
    if (capacity)
        text[0] = 0;
    if (length)
        *length = 0;
    if (status != VKA_OK || p.nothing)
        return status;
    size_t n = vka__explain_attention(&p.problem, &p.plan, text, capacity);
    if (length)
        *length = n;
    return VKA_OK;
}

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
