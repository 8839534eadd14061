/* vka_rope: checks, defaults, plan, record.
 * SPDX-License-Identifier: MIT */
#include "api/rope.h"

#include "api/entry.h"

#include <stdio.h>
#include <string.h>

/* ---- options --------------------------------------------------------------------------------------------------- */

/* One line about "prefix.field". */
#define FAIL(field, ...) vka__check_fail(c, VKA_INVALID, named(name, prefix, field), __VA_ARGS__)
typedef char field_name[48];

static const char *named(field_name name, const char *prefix, const char *field) {
    snprintf(name, sizeof(field_name), "%s.%s", prefix, field);
    return name;
}

static vka_status check_tables(const vka__check *c, const char *prefix, const vka_rope_options *o,
                               const vka__rotated *rotated, vka__rope *rope) {
    field_name name;
    const vka_tensor *tables[] = {&o->cos, &o->sin};
    vka__view *views[] = {&rope->cos, &rope->sin};
    static const char *const names[] = {"cos", "sin"};
    bool any = o->cos.buffer || o->sin.buffer;
    const vka_tensor *like = tables[0];
    for (int i = 0; i < 2 && any; ++i) {
        const vka_tensor *t = tables[i];
        const char *field = named(name, prefix, names[i]);
        vka_status status = vka__check_tensor(c, field, t, VKA__FLOATS, true, views[i]);
        if (status != VKA_OK)
            return status;
        if (t->rank != 2 && t->rank != 3)
            return FAIL(names[i], "rank is %u, but must be 2 or 3", t->rank);
        uint32_t first = t->shape[0], batch = first == 1 ? 1 : rotated->batch;
        const uint32_t shapes[2][3] = {{first, rope->pairs}, {batch, rotated->rows, rope->pairs}};
        status = vka__check_shape(c, field, t, t->rank, shapes[t->rank - 2]);
        if (status == VKA_OK && t->rank == 2 && (!first || first > INT32_MAX))
            status = FAIL(names[i], "shape[0], the positions, is %u, but must be 1 .. %d", first, INT32_MAX);
        if (status == VKA_OK && i && t->rank != like->rank)
            status = FAIL(names[i], "rank is %u, but that of cos is %u", t->rank, like->rank);
        if (status == VKA_OK && i && first != like->shape[0])
            status = FAIL(names[i], "shape[0] is %u, but that of cos is %u", first, like->shape[0]);
        if (status == VKA_OK)
            status = vka__check_dtype(c, field, t, like->dtype, "must be that of cos");
        if (status != VKA_OK)
            return status;
    }
    rope->table_rows = any && like->rank == 3;
    return VKA_OK;
}

vka_status vka__check_rope(const vka__check *c, const char *prefix, const vka_rope_options *o,
                           const vka__rotated *rotated, vka__rope *rope) {
    field_name name;
    uint32_t dims = o->dims ? o->dims : rotated->cols;
    if (dims % 2 || dims > rotated->cols)
        return FAIL("dims", "%u of %u channels can't be rotated: they come in pairs", dims, rotated->cols);
    if (o->theta && !(o->theta >= 1 && o->theta <= 1e30f))
        return FAIL("theta", "is %g, but must be 1 .. 1e30", (double)o->theta);
    if (o->frequency_scale && !(o->frequency_scale > 0 && o->frequency_scale <= 1))
        return FAIL("frequency_scale", "is %g, but must be above 0 and at most 1", (double)o->frequency_scale);
    bool tables = o->cos.buffer || o->sin.buffer;
    if (!tables && dims / 2 > VKA_ROPE_MAX_PAIRS)
        return FAIL("dims", "is %u, but at most %d without tables", dims, 2 * VKA_ROPE_MAX_PAIRS);
    *rope = (vka__rope){
        .enabled = true,
        .interleaved = o->interleaved,
        .pairs = dims / 2,
        .theta = o->theta ? (double)o->theta : 10000,
        .frequency_scale = o->frequency_scale ? (double)o->frequency_scale : 1,
        .offset = o->position_offset,
    };
    return check_tables(c, prefix, o, rotated, rope);
}

vka_status vka__check_reach(const vka__check *c, const char *field, const vka__rope *rope, int64_t first,
                            uint32_t rows) {
    int64_t begin = first + rope->offset, end = begin + rows;
    if (!rope->enabled || rope->cos.present || !rows || (begin >= INT32_MIN && end <= (int64_t)INT32_MAX + 1))
        return VKA_OK;
    return vka__check_fail(c, VKA_INVALID, field, "rows have the positions %lld .. %lld, but they go from %d to %d",
                           (long long)begin, (long long)end - 1, INT32_MIN, INT32_MAX);
}

/* ---- vka_rope -------------------------------------------------------------------------------------------------- */

typedef struct prepared {
    vka__rotate_problem problem;
    vka__rotate_plan plan;
    const vka_device_caps *caps;
    bool nothing; /* no rows: success without work */
} prepared;

/* Positions that the host knows must be such; those of the device are clamped. */
static vka_status check_reach(const vka__check *c, const vka_rope_desc *d, const vka__rope *rope) {
    const int32_t *first = d->positions.values;
    if (d->x.shape[2] > INT32_MAX)
        return vka__check_fail(c, VKA_UNSUPPORTED, "x", "shape[2] is %u, but at most %d", d->x.shape[2], INT32_MAX);
    if (d->row_positions.buffer || d->positions.tensor.buffer)
        return VKA_OK;
    vka_status status = first ? VKA_OK : vka__check_reach(c, "options.position_offset", rope, 0, d->x.shape[2]);
    for (uint32_t b = 0; first && b < d->x.shape[0] && status == VKA_OK; ++b)
        status = vka__check_reach(c, "positions", rope, first[b], d->x.shape[2]);
    return status;
}

/* Positions as [.., B, N]. */
static vka_status check_positions(const vka__check *c, const vka_rope_desc *d, vka__view *view) {
    const vka_tensor *rows = &d->row_positions;
    vka_status status = vka__check_integers(c, "positions", &d->positions, d->x.shape[0], view);
    if (status != VKA_OK)
        return status;
    if (view->present) {
        view->shape[2] = view->shape[3];
        view->stride[2] = view->stride[3];
        view->shape[3] = 1;
        view->stride[3] = 0;
        return rows->buffer ? vka__check_fail(c, VKA_INVALID, "row_positions", "there are positions as well") : VKA_OK;
    }
    status = vka__check_tensor(c, "row_positions", rows, VKA__TYPE(VKA_I32), false, view);
    const uint32_t shape[] = {rows->buffer && rows->shape[0] == 1 ? 1 : d->x.shape[0], d->x.shape[2]};
    return status == VKA_OK ? vka__check_shape(c, "row_positions", rows, 2, shape) : status;
}

static vka_status check_tensors(const vka__check *c, const vka_rope_desc *d, vka__rotate_problem *p) {
    vka_status status = vka__check_tensor(c, "x", &d->x, VKA__FLOATS, true, &p->x);
    if (status == VKA_OK && d->x.rank != 4)
        status = vka__check_fail(c, VKA_INVALID, "x", "rank is %u, but must be 4: [B, H, N, D]", d->x.rank);
    if (status == VKA_OK)
        status = vka__check_tensor(c, "out", &d->out, VKA__FLOATS, true, &p->out);
    if (status == VKA_OK)
        status = vka__check_shape(c, "out", &d->out, 4, d->x.shape);
    if (status != VKA_OK)
        return status;
    uint32_t cols = d->x.shape[3];
    if (cols < 1 || cols > VKA_MAX_ROPE_DIM)
        return vka__check_fail(c, VKA_INVALID, "x", "shape[3] is %u, but must be 1 .. %d", cols, VKA_MAX_ROPE_DIM);
    if ((uint64_t)d->x.shape[0] * d->x.shape[1] > UINT32_MAX / vka__max_u32(d->x.shape[2], 1))
        return vka__check_fail(c, VKA_UNSUPPORTED, "x", "has more than 2^32 - 1 rows");
    p->positions_field = d->row_positions.buffer ? "row_positions" : "positions";
    return check_positions(c, d, &p->positions);
}

static vka_status check_memory(const vka__check *c, const vka_rope_desc *d, const vka__rotate_problem *p) {
    const vka_tensor *positions = d->row_positions.buffer ? &d->row_positions : &d->positions.tensor;
    const struct {
        const char *field;
        const vka_tensor *t;
        const vka__view *view;
    } others[] = {{"x", &d->x, &p->x},
                  {positions == &d->row_positions ? "row_positions" : "positions", positions, &p->positions},
                  {"options.cos", &d->options.cos, &p->rope.cos},
                  {"options.sin", &d->options.sin, &p->rope.sin}};
    vka_status status = vka__check_output(c, "out", &p->out);
    for (int i = 0; i < 4 && status == VKA_OK; ++i)
        if (others[i].t->buffer)
            status = vka__check_apart(c, "out", &d->out, &p->out, others[i].field, others[i].t, others[i].view, i == 0);
    return status;
}

static vka_status prepare(vka_device *device, const void *desc, void *prepared_) {
    const vka_rope_desc *d = desc;
    prepared *out = prepared_;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_rope"};
    memset(out, 0, sizeof *out);
    vka__rotate_problem *p = &out->problem;
    if (!d)
        return vka__check_fail(&c, VKA_INVALID, "desc", "must not be NULL");
    vka_status status = check_tensors(&c, d, p);
    const vka__rotated rotated = {d->x.shape[0], d->x.shape[2], d->x.shape[3]};
    if (status == VKA_OK)
        status = vka__check_rope(&c, "options", &d->options, &rotated, &p->rope);
    if (status == VKA_OK)
        status = check_reach(&c, d, &p->rope);
    if (status == VKA_OK)
        status = check_memory(&c, d, p);
    if (status != VKA_OK)
        return status;
    out->caps = c.caps;
    out->nothing = !d->x.shape[0] || !d->x.shape[1] || !d->x.shape[2];
    if (out->nothing)
        return VKA_OK;
    vka__refusal refusal = {0};
    status = vka__plan_rotate(c.caps, p, &out->plan, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(&c, status, refusal.field, "%s", refusal.reason);
}

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const prepared *p = user;
    vka__rotate_dispatch(p->caps, &p->problem, &p->plan, index, out);
}

static vka__operation operation_of(const void *desc, void *prepared_) {
    const vka_rope_desc *d = desc;
    const prepared *p = prepared_;
    vka__operation op = {
        .item = "vka_rope",
        .params = &p->plan.params,
        .params_size = sizeof p->plan.params,
        .dispatches = p->nothing ? 0 : vka__rotate_dispatches(&p->plan),
        .dispatch = dispatch_at,
        .user = p,
    };
    op.buffers[VKA_BIND_X] = d->x.buffer;
    op.buffers[VKA_BIND_ROTATED] = d->out.buffer;
    op.buffers[VKA_BIND_POSITIONS] = d->row_positions.buffer ? d->row_positions.buffer : d->positions.tensor.buffer;
    op.values[VKA_BIND_POSITIONS] = d->positions.values;
    op.buffers[VKA_BIND_COS] = d->options.cos.buffer;
    op.buffers[VKA_BIND_SIN] = d->options.sin.buffer;
    return op;
}

static size_t explain(const void *prepared_, char *text, size_t capacity) {
    const prepared *p = prepared_;
    return p->nothing ? 0 : vka__explain_rotate(&p->problem, &p->plan, text, capacity);
}

static const vka__entry entry = {"vka_rope", prepare, operation_of, explain, NULL};

VKA__DEFINE_ENTRY(rope, &entry)
