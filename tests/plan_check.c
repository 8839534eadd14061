/* What holds for every dispatch of every plan.
 * SPDX-License-Identifier: MIT */
#include "plan_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/must.h"

vka_tensor tensor_of(const vka__view *view, uint32_t rank) {
    vka_tensor t = {.offset = view->offset, .dtype = view->dtype, .rank = rank};
    for (uint32_t i = 0; i < rank && view->present; i++) {
        t.shape[i] = view->shape[VKA_MAX_RANK - rank + i];
        t.stride[i] = view->stride[VKA_MAX_RANK - rank + i];
    }
    return view->present ? t : (vka_tensor){0};
}

static void keep_message(void *user, vka_log_level level, const char *item, const char *message) {
    (void)level;
    snprintf(user, 256, "%s: %s", item, message);
}

bool plan_call(vka__call *call, const vka__op *op, const vka_device_caps *caps, const void *desc, size_t size) {
    static char message[256]; /* the call keeps them */
    static const vka__context ctx = {.log = {keep_message, message, VKA_LOG_ERROR}};
    vka_status status = vka__call_init(call, op, &ctx, NULL, caps, true, desc, size);
    cr_assert(status == VKA_OK || status == VKA_UNSUPPORTED, "%s", message);
    return status == VKA_OK;
}

const vka__view *view_named(const vka__call *call, const char *name) {
    for (uint32_t i = 0; i < call->op->arg_count; i++) {
        if (!strcmp(call->op->args[i].name, name)) {
            return &call->view[i];
        }
    }
    cr_assert(false, "%s has no %s", call->op->name, name);
    return NULL;
}

/* Box `index` of rows, as the plan cuts them: where it begins, and its size. */
static void box_at(const vka__rows *r, uint64_t index, uint32_t begin[3], uint32_t size[3]) {
    for (uint32_t dim = 3; dim-- > 0; index /= r->parts[dim]) {
        begin[dim] = (uint32_t)(index % r->parts[dim]) * r->part[dim];
        must(begin[dim] < r->shape[dim], "an empty box");
        size[dim] = vka__min_u32(r->part[dim], r->shape[dim] - begin[dim]);
    }
}

/* Row `number` of a dispatch as the kernel finds it: of every tensor the right one, and in sight of the binding.
 * Returns its number in the whole tensor. */
static uint64_t check_row(const device *d, const vka__call *c, const vka__dispatch *x, const uint32_t begin[3],
                          uint32_t number) {
    uint64_t row[3] = {number / (x->push.dim1 * x->push.dim2), number / x->push.dim2 % x->push.dim1,
                       number % x->push.dim2};
    for (uint32_t i = 0; i < c->op->arg_count; i++) {
        const vka__arg *a = &c->op->args[i];
        const vka__view *v = &c->view[i];
        const vka__binding *bound = &x->binding[a->binding];
        if (!v->present || a->extent != VKA__BOX) {
            continue;
        }
        const vka_strides *s = (const vka_strides *)(const void *)(c->params + a->strides);
        uint64_t at = x->push.base[a->binding], wanted = v->offset, last = (v->shape[3] - 1) * v->stride[3];
        for (int dim = 0; dim < 3; dim++) {
            at += row[dim] * (dim == 0 ? s->b : dim == 1 ? s->h : s->n);
            wanted += (begin[dim] + row[dim]) * v->stride[dim] * v->size;
        }
        must(bound->offset + at * v->size == wanted, "%s: %s, row %u", d->name, a->name, number);
        must(bound->range >= (at + last + 1) * v->size, "%s: %s, row %u is cut off", d->name, a->name, number);
        must(at + last < UINT64_C(1) << 32);
    }
    const uint32_t *shape = c->rows.shape;
    return ((begin[0] + row[0]) * shape[1] + begin[1] + row[1]) * shape[2] + begin[2] + row[2];
}

static void check_rows_dispatch(const device *d, const vka__call *c, uint64_t index, vka__dispatch *x,
                                uint32_t begin[3]) {
    uint32_t size[3];
    vka__call_dispatch(c, index, x);
    box_at(&c->rows, index, begin, size);
    check_dispatch(d, x);
    must(x->push.rows == size[0] * size[1] * size[2], "%s", d->name);
    must(x->push.dim1 == size[1] && x->push.dim2 == size[2], "%s", d->name);
    uint64_t work = (uint64_t)x->push.rows * c->rows.units;
    must(x->groups[0] == (work + c->rows.group - 1) / c->rows.group, "%s", d->name);
    for (uint32_t i = 0; i < c->op->arg_count; i++) {
        const vka__arg *a = &c->op->args[i];
        if (a->extent == VKA__ALL && c->view[i].present) {
            check_binding(d, &c->view[i], 0, vka__view_extent(&c->view[i], 0), &x->binding[a->binding],
                          x->push.base[a->binding], a->name);
        }
    }
}

uint64_t check_rows(const device *d, const vka__call *c, bool all) {
    uint64_t rows = vka__volume(c->rows.shape), seen = 0, count = c->dispatches;
    uint64_t stride = !all && count > 400 ? count / 200 : 1;
    uint8_t *done = calloc(all ? rows : 1, 1);
    cr_assert_not_null(done);
    for (uint64_t i = 0; i < count; i += stride) {
        uint32_t begin[3];
        vka__dispatch x;
        check_rows_dispatch(d, c, i, &x, begin);
        check_row(d, c, &x, begin, 0);
        check_row(d, c, &x, begin, x.push.rows / 2);
        check_row(d, c, &x, begin, x.push.rows - 1);
        for (uint32_t row = 0; all && row < x.push.rows; row++) {
            done[check_row(d, c, &x, begin, row)]++;
        }
        seen += x.push.rows;
    }
    must(stride > 1 || seen == rows, "%s", d->name);
    for (uint64_t row = 0; all && row < rows; row++) {
        must(done[row] == 1, "%s: row %llu is done %d times", d->name, (unsigned long long)row, done[row]);
    }
    free(done);
    return count;
}

void check_dispatch(const device *d, const vka__dispatch *x) {
    for (int i = 0; i < 3; i++) {
        must(x->groups[i] >= 1 && x->groups[i] <= d->caps.max_groups[i], "%s: %u groups", d->name, x->groups[i]);
    }
    for (int i = 1; i < VKA_MAX_BINDINGS; i++) {
        const vka__binding *b = &x->binding[i];
        if (b->access != VKA__UNUSED) {
            must((uint32_t)i <= d->caps.storage_buffers, "%s: binding %d", d->name, i);
            must(b->offset % d->caps.storage_align == 0, "%s: binding %d", d->name, i);
            must(b->range > 0 && b->range % 4 == 0, "%s: binding %d has a range of %llu", d->name, i,
                 (unsigned long long)b->range);
            must(b->range <= d->caps.storage_range, "%s: binding %d", d->name, i);
        }
    }
}

void check_key(const device *d, const vka__pipeline_key *key, uint32_t shared) {
    const char *name = vka__kernel_name((vka__kernel)key->kernel);
    cr_assert_leq(key->spec[VKA_SPEC_GROUP_SIZE], d->caps.max_invocations, "%s: %s", d->name, name);
    cr_assert_gt(key->spec[VKA_SPEC_GROUP_SIZE], 0);
    cr_assert_leq(shared, d->caps.shared_bytes, "%s: %s", d->name, name);
    cr_assert(!strstr(name, "_sg") || d->caps.subgroup_arithmetic, "%s: %s", d->name, name);
    cr_assert(!strstr(name, "decode") || d->caps.subgroup_shuffle, "%s: %s", d->name, name);
    if (key->spec[VKA_SPEC_SUBGROUP]) { /* made for a width: it is the only one, or can be asked for */
        bool matrices = strstr(name, "coopmat");
        cr_assert(matrices || key->spec[VKA_SPEC_GROUP_SIZE] == key->spec[VKA_SPEC_SUBGROUP], "%s: %s", d->name, name);
        cr_assert(d->caps.subgroup_size_control || d->caps.subgroup_min == d->caps.subgroup_max);
        cr_assert_geq(key->spec[VKA_SPEC_SUBGROUP], d->caps.subgroup_min);
        cr_assert_leq(key->spec[VKA_SPEC_SUBGROUP], d->caps.subgroup_max);
    }
}

void check_binding(const device *d, const vka__view *v, uint64_t first, uint64_t extent, const vka__binding *b,
                   uint32_t base, const char *name) {
    if (!v->present || !extent) {
        return;
    }
    uint64_t begin = v->offset + vka__view_bytes(v, first), unit = v->block > 1 ? 2 : v->size;
    must(b->access != VKA__UNUSED, "%s: %s is not bound", d->name, name);
    must(b->offset + base * unit == begin, "%s: %s begins at the wrong place", d->name, name);
    must(b->offset + b->range >= begin + vka__view_bytes(v, extent), "%s: %s is cut off", d->name, name);
}
