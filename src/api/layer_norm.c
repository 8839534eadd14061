/* vka_layer_norm: checks, defaults, plan, record.
 * SPDX-License-Identifier: MIT */
#include <vkattn/norm.h>

#include "api/check.h"
#include "api/entry.h"

#include <math.h>
#include <string.h>

typedef struct prepared {
    vka__norm_problem problem;
    vka__norm_plan plan;
    const vka_device_caps *caps;
    bool nothing; /* no rows: success without work */
} prepared;

/* The tensors of a description, in one order for all loops below. */
enum { X, RESIDUAL, OUT, SUM, WEIGHT, BIAS, MEAN, INV_STD, TENSORS };
static const char *const names[TENSORS] = {"x", "residual", "out", "sum", "weight", "bias", "mean", "inv_std"};

typedef struct tensors {
    const vka_tensor *t[TENSORS];
    vka__view *view[TENSORS];
} tensors;

static tensors tensors_of(const vka_layer_norm_desc *d, vka__norm_problem *p) {
    return (tensors){
        .t = {&d->x, &d->residual, &d->out, &d->sum, &d->weight, &d->bias, &d->mean, &d->inv_std},
        .view = {&p->x, &p->residual, &p->out, &p->sum, &p->weight, &p->bias, &p->mean, &p->inv_std},
    };
}

static vka_status check_dtypes(const vka__check *c, const vka_layer_norm_desc *d) {
    vka_dtype x = d->x.dtype;
    const struct {
        const char *field;
        const vka_tensor *t;
        vka_dtype dtype;
        const char *rule;
    } rules[] = {
        {"out", &d->out, x, "must be x's"},
        {"residual", &d->residual, x, "must be x's"},
        {"sum", &d->sum, x, "must be x's"},
        {"weight", &d->weight, d->weight.dtype == VKA_F32 ? VKA_F32 : x, "must be x's or VKA_F32"},
        {"bias", &d->bias,
         d->weight.buffer           ? d->weight.dtype
         : d->bias.dtype == VKA_F32 ? VKA_F32
                                    : x,
         d->weight.buffer ? "must be weight's" : "must be x's or VKA_F32"},
        {"mean", &d->mean, VKA_F32, "must be VKA_F32"},
        {"inv_std", &d->inv_std, VKA_F32, "must be VKA_F32"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; ++i) {
        vka_status status = vka__check_dtype(c, rules[i].field, rules[i].t, rules[i].dtype, rules[i].rule);
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

static vka_status check_shapes(const vka__check *c, const tensors *all) {
    const vka_tensor *x = all->t[X];
    uint32_t cols = x->shape[x->rank - 1];
    if (cols < 1 || cols > VKA_MAX_NORM_COLS)
        return vka__check_fail(c, VKA_INVALID, "x", "its last dimension is %u, but must be 1 .. %d", cols,
                               VKA_MAX_NORM_COLS);
    const uint32_t one = 1;
    for (int i = 0; i < TENSORS; ++i) {
        bool statistics = i >= MEAN, parameter = i == WEIGHT || i == BIAS;
        uint32_t rank = parameter ? 1 : statistics && x->rank > 1 ? x->rank - 1 : statistics ? 1 : x->rank;
        const uint32_t *shape = parameter ? &cols : statistics && x->rank == 1 ? &one : x->shape;
        vka_status status = vka__check_shape(c, names[i], all->t[i], rank, shape);
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

static vka_status check_memory(const vka__check *c, const tensors *all) {
    static const int written[] = {OUT, SUM, MEAN, INV_STD};
    for (int w = 0; w < 4; ++w) {
        int i = written[w];
        vka_status status = vka__check_output(c, names[i], all->view[i]);
        for (int j = 0; j < TENSORS && status == VKA_OK; ++j) {
            bool in_place = (i == OUT && (j == X || j == RESIDUAL || j == SUM)) ||
                            (i == SUM && (j == X || j == RESIDUAL || j == OUT));
            if (i != j)
                status =
                    vka__check_apart(c, names[i], all->t[i], all->view[i], names[j], all->t[j], all->view[j], in_place);
        }
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

/* Squares that are subnormal, and 0 on many devices, are nothing beside it. */
#define LEAST_EPSILON 1e-30f

static vka_status check_options(const vka__check *c, const vka_layer_norm_desc *d) {
    if (!(d->epsilon >= 0) || isinf(d->epsilon))
        return vka__check_fail(c, VKA_INVALID, "epsilon", "is %g, but must be finite and not negative",
                               (double)d->epsilon);
    if (d->epsilon > 0 && d->epsilon < LEAST_EPSILON)
        return vka__check_fail(c, VKA_INVALID, "epsilon", "is %g, but must be 0, which stands for 1e-5, or at least %g",
                               (double)d->epsilon, (double)LEAST_EPSILON);
    if ((unsigned)d->path > VKA_NORM_PATH_GROUP)
        return vka__check_fail(c, VKA_INVALID, "path", "%d is not a vka_norm_path", (int)d->path);
    if (d->sum.buffer && !d->residual.buffer)
        return vka__check_fail(c, VKA_INVALID, "sum", "needs residual");
    return VKA_OK;
}

static vka_status check(const vka__check *c, const vka_layer_norm_desc *d, vka__norm_problem *p) {
    if (!d)
        return vka__check_fail(c, VKA_INVALID, "desc", "must not be NULL");
    tensors all = tensors_of(d, p);
    vka_status status = VKA_OK;
    for (int i = 0; i < TENSORS && status == VKA_OK; ++i)
        status = vka__check_tensor(c, names[i], all.t[i], VKA__FLOATS, i == X || i == OUT, all.view[i]);
    if (status == VKA_OK)
        status = check_dtypes(c, d);
    if (status == VKA_OK)
        status = check_shapes(c, &all);
    if (status == VKA_OK)
        status = check_options(c, d);
    return status == VKA_OK ? check_memory(c, &all) : status;
}

static vka_status prepare(vka_device *device, const void *desc, void *prepared_) {
    const vka_layer_norm_desc *d = desc;
    prepared *out = prepared_;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_layer_norm"};
    memset(out, 0, sizeof *out);
    vka__norm_problem *p = &out->problem;
    vka_status status = check(&c, d, p);
    if (status != VKA_OK)
        return status;
    /* Statistics join the rows as [.., .., .., 1]. */
    for (int i = MEAN; i <= INV_STD && d->x.rank > 1; ++i)
        vka__view_append_one(tensors_of(d, p).view[i]);
    out->caps = c.caps;
    out->nothing = !p->x.shape[0] || !p->x.shape[1] || !p->x.shape[2];
    if (out->nothing)
        return VKA_OK;
    if ((uint64_t)p->x.shape[0] * p->x.shape[1] > UINT32_MAX / p->x.shape[2])
        return vka__check_fail(&c, VKA_UNSUPPORTED, "x", "has more than 2^32 - 1 rows");
    p->epsilon = d->epsilon ? d->epsilon : 1e-5f;
    p->path = d->path;
    vka__refusal refusal = {0};
    status = vka__plan_norm(c.caps, p, &out->plan, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(&c, status, refusal.field, "%s", refusal.reason);
}

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const prepared *p = user;
    vka__norm_dispatch(p->caps, &p->problem, &p->plan, index, out);
}

static vka__operation operation_of(const void *desc, void *prepared_) {
    const vka_layer_norm_desc *d = desc;
    const prepared *p = prepared_;
    vka__operation op = {
        .item = "vka_layer_norm",
        .params = &p->plan.params,
        .params_size = sizeof p->plan.params,
        .dispatches = p->nothing ? 0 : vka__norm_dispatches(&p->plan),
        .dispatch = dispatch_at,
        .user = p,
    };
    op.buffers[VKA_BIND_X] = d->x.buffer;
    op.buffers[VKA_BIND_RESIDUAL] = d->residual.buffer;
    op.buffers[VKA_BIND_WEIGHT] = d->weight.buffer;
    op.buffers[VKA_BIND_NORM_OUT] = d->out.buffer;
    op.buffers[VKA_BIND_SUM] = d->sum.buffer;
    op.buffers[VKA_BIND_BIAS] = d->bias.buffer;
    op.buffers[VKA_BIND_STATS_MEAN] = d->mean.buffer;
    op.buffers[VKA_BIND_STATS_INV] = d->inv_std.buffer;
    return op;
}

static size_t explain(const void *prepared_, char *text, size_t capacity) {
    const prepared *p = prepared_;
    return p->nothing ? 0 : vka__explain_norm(&p->problem, &p->plan, text, capacity);
}

static const vka__entry entry = {"vka_layer_norm", prepare, operation_of, explain, NULL};

VKA__DEFINE_ENTRY(layer_norm, &entry)
