/* Plans of layer normalisations for devices that are not here: every dispatch keeps to the device's limits and finds
 * its rows in every tensor, and together they do every row once. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/norm.h>

#include "plan_check.h"
#include "plan_view.h"
#include "support/tensor.h"

static vka__norm_problem random_norm(ref_rng *rng) {
    vka_dtype dtype = dtypes[ref_rng_below(rng, DTYPES)], affine = ref_rng_below(rng, 2) ? VKA_F32 : dtype;
    uint32_t a = ONE_OF(rng, 1, 1, 2, 5), b = ONE_OF(rng, 1, 3, 64), c = ONE_OF(rng, 1, 2, 77, 3000);
    uint32_t cols = ONE_OF(rng, 1, 2, 3, 7, 8, 31, 64, 127, 768, 1024, 4095, 5000, 65536);
    vka__norm_problem p = {.x = random_view(rng, dtype, a, b, c, cols),
                           .out = random_view(rng, dtype, a, b, c, cols),
                           .epsilon = 1e-5f,
                           .path = ref_rng_below(rng, 3)};
    p.weight = ref_rng_below(rng, 2) ? random_view(rng, affine, 1, 1, 1, cols) : (vka__view){0};
    p.bias = ref_rng_below(rng, 2) ? random_view(rng, affine, 1, 1, 1, cols) : (vka__view){0};
    p.residual = ref_rng_below(rng, 2) ? random_view(rng, dtype, a, b, c, cols) : (vka__view){0};
    p.sum = p.residual.present && ref_rng_below(rng, 2) ? random_view(rng, dtype, a, b, c, cols) : (vka__view){0};
    p.mean = ref_rng_below(rng, 2) ? random_view(rng, VKA_F32, a, b, c, 1) : (vka__view){0};
    p.inv_std = ref_rng_below(rng, 2) ? random_view(rng, VKA_F32, a, b, c, 1) : (vka__view){0};
    return p;
}

/* ---- what holds for every plan ---------------------------------------------------------------------------------- */

/* Kernels of one type of storage. */
static void check_storage(const device *d, const vka__pipeline_key *key, vka_dtype dtype) {
    const char *name = vka__kernel_name((vka__kernel)key->kernel);
    char type[8];
    snprintf(type, sizeof type, "_%s", dtype_name(dtype));
    bool packed = strstr(name, "_packed");
    cr_assert(strstr(name, type), "%s: %s for%s", d->name, name, type);
    cr_assert_eq(packed, dtype == VKA_F16 && !d->caps.f16_storage, "%s: %s", d->name, name);
}

/* Box `index` of rows, as the plan cuts them: where it begins, and its size. */
static void norm_box(const vka__norm_problem *p, const vka__norm_plan *plan, uint64_t index, uint32_t begin[3],
                     uint32_t size[3]) {
    for (uint32_t dim = 3; dim-- > 0; index /= plan->parts[dim]) {
        begin[dim] = (uint32_t)(index % plan->parts[dim]) * plan->part[dim];
        cr_assert_lt(begin[dim], p->x.shape[dim], "an empty box");
        size[dim] = vka__min_u32(plan->part[dim], p->x.shape[dim] - begin[dim]);
    }
}

/* Row `number` of the dispatch as the kernel finds it: of every tensor the right one, and in sight of the binding.
 * Returns its number in the whole tensor. */
static uint64_t check_norm_row(const device *d, const vka__norm_problem *p, const vka__norm_plan *plan,
                               const vka__dispatch *x, const uint32_t begin[3], uint32_t number) {
    const vka__view *views[] = {&p->x, &p->residual, &p->out, &p->sum, &p->mean, &p->inv_std};
    const vka_norm_params *s = &plan->params;
    const vka_strides strides[] = {s->x, s->residual, s->out_, s->sum, s->mean, s->inv_std};
    static const int slots[] = {VKA_BIND_X,   VKA_BIND_RESIDUAL,   VKA_BIND_NORM_OUT,
                                VKA_BIND_SUM, VKA_BIND_STATS_MEAN, VKA_BIND_STATS_INV};
    uint64_t row[3] = {number / (x->push.dim1 * x->push.dim2), number / x->push.dim2 % x->push.dim1,
                       number % x->push.dim2};
    for (int i = 0; i < 6; i++) {
        const vka__view *v = views[i];
        const vka__binding *bound = &x->binding[slots[i]];
        if (!v->present) {
            continue;
        }
        uint64_t at = x->push.base[slots[i]], wanted = v->offset, last = (v->shape[3] - 1) * v->stride[3];
        for (int dim = 0; dim < 3; dim++) {
            at += row[dim] * (dim == 0 ? strides[i].b : dim == 1 ? strides[i].h : strides[i].n);
            wanted += (begin[dim] + row[dim]) * v->stride[dim] * v->size;
        }
        cr_assert_eq(bound->offset + at * v->size, wanted, "%s: tensor %d, row %u", d->name, i, number);
        cr_assert_geq(bound->range, (at + last + 1) * v->size, "%s: tensor %d, row %u is cut off", d->name, i, number);
        cr_assert_lt(at + last, UINT64_C(1) << 32);
    }
    return ((begin[0] + row[0]) * p->x.shape[1] + begin[1] + row[1]) * p->x.shape[2] + begin[2] + row[2];
}

static vka__dispatch check_norm_dispatch(const device *d, const vka__norm_problem *p, const vka__norm_plan *plan,
                                         uint64_t index, uint32_t begin[3]) {
    vka__dispatch x;
    uint32_t size[3], each = plan->path == VKA_NORM_PATH_LANE ? plan->key.spec[VKA_SPEC_GROUP_SIZE] : 1;
    vka__norm_dispatch(&d->caps, p, plan, index, &x);
    norm_box(p, plan, index, begin, size);
    check_dispatch(d, &x);
    check_key(d, &x.key, plan->shared_bytes);
    check_storage(d, &x.key, p->x.dtype);
    cr_assert_eq(x.push.rows, size[0] * size[1] * size[2], "%s", d->name);
    cr_assert(x.push.dim1 == size[1] && x.push.dim2 == size[2], "%s", d->name);
    cr_assert_eq(x.groups[0], vka__div_up(x.push.rows, each), "%s", d->name);
    check_binding(d, &p->weight, 0, p->x.shape[3], &x.binding[VKA_BIND_WEIGHT], x.push.base[VKA_BIND_WEIGHT], "weight");
    check_binding(d, &p->bias, 0, p->x.shape[3], &x.binding[VKA_BIND_BIAS], x.push.base[VKA_BIND_BIAS], "bias");
    return x;
}

static void check_norm(const device *d, const vka__norm_problem *p) {
    vka__norm_plan plan;
    vka__refusal refusal = {0};
    vka_status status = vka__plan_norm(&d->caps, p, &plan, &refusal);
    if (status != VKA_OK) {
        cr_assert_eq(status, VKA_UNSUPPORTED);
        cr_assert(refusal.field && refusal.reason[0]);
        cr_assert_gt(vka__view_extent(&p->x, 3) * 8 + vka__view_extent(&p->out, 3) * 8 +
                         (p->sum.present ? vka__view_extent(&p->sum, 3) * 8 : 0) +
                         (p->residual.present ? vka__view_extent(&p->residual, 3) * 8 : 0) + 1024,
                     d->caps.storage_range, "%s refuses %s: %s", d->name, refusal.field, refusal.reason);
        return;
    }
    uint64_t count = vka__norm_dispatches(&plan), seen = 0, stride = count > 400 ? count / 200 : 1;
    for (uint64_t i = 0; i < count; i += stride) {
        uint32_t begin[3];
        vka__dispatch x = check_norm_dispatch(d, p, &plan, i, begin);
        check_norm_row(d, p, &plan, &x, begin, 0);
        check_norm_row(d, p, &plan, &x, begin, x.push.rows / 2);
        check_norm_row(d, p, &plan, &x, begin, x.push.rows - 1);
        seen += x.push.rows;
    }
    uint64_t rows = (uint64_t)p->x.shape[0] * p->x.shape[1] * p->x.shape[2];
    if (stride == 1) {
        cr_assert_eq(seen, rows, "%s", d->name);
    }
}

/* ---- any problem ------------------------------------------------------------------------------------------------ */

Test(plan_norm, norm_keeps_to_limits) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 4000; i++) {
        vka__norm_problem p = random_norm(&rng);
        for (size_t d = 0; d < DEVICES; d++) {
            check_norm(&devices[d], &p);
        }
    }
}

/* The same device, with dispatches of a few groups. */
Test(plan_norm, norm_in_small_dispatches) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 500; i++) {
        vka__norm_problem p = random_norm(&rng);
        for (size_t d = 0; d < DEVICES; d++) {
            device few = devices[d];
            few.caps.max_groups[0] = 1 + ref_rng_below(&rng, 2000);
            check_norm(&few, &p);
        }
    }
}

Test(plan_norm, norm_by_device) {
    ref_rng rng = ref_rng_seed(1);
    for (size_t i = 0; i < DEVICES; i++) {
        vka__norm_problem p = random_norm(&rng);
        vka__norm_plan plan;
        vka__refusal refusal;
        p.path = VKA_NORM_PATH_AUTO;
        if (vka__plan_norm(&devices[i].caps, &p, &plan, &refusal) == VKA_OK) {
            bool software = devices[i].caps.type == VKA_DEVICE_CPU;
            cr_expect_eq(plan.path, software ? VKA_NORM_PATH_LANE : VKA_NORM_PATH_GROUP, "%s", devices[i].name);
        }
    }
}

/* ---- beyond a binding ------------------------------------------------------------------------------------------- */

/* Every row of every dispatch, counted. Returns the number of dispatches. */
static uint64_t check_norm_rows(const device *d, const vka__norm_problem *p) {
    vka__norm_plan plan;
    vka__refusal refusal = {0};
    size_t rows = (size_t)p->x.shape[0] * p->x.shape[1] * p->x.shape[2];
    uint8_t *seen = calloc(rows, 1);
    cr_assert_not_null(seen);
    cr_assert_eq(vka__plan_norm(&d->caps, p, &plan, &refusal), VKA_OK, "%s: %s", d->name, refusal.reason);
    uint64_t count = vka__norm_dispatches(&plan);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t begin[3];
        vka__dispatch x = check_norm_dispatch(d, p, &plan, i, begin);
        for (uint32_t row = 0; row < x.push.rows; row++) {
            seen[check_norm_row(d, p, &plan, &x, begin, row)]++;
        }
    }
    for (size_t row = 0; row < rows; row++) {
        cr_assert_eq(seen[row], 1, "%s: row %zu is done %d times", d->name, row, seen[row]);
    }
    free(seen);
    return count;
}

/* Tensors of many bindings take about as many dispatches as bindings, whichever dimension lies outermost in memory. */
Test(plan_norm, norm_beyond_a_binding) {
    static const struct {
        vka_dtype dtype;
        uint32_t shape[4];
        const char *order;
        uint64_t range, least, most; /* dispatches */
    } cases[] = {
        {VKA_F32, {1, 1, 300000, 1024}, "0123", 128 * MIB, 10, 10},
        {VKA_F16, {1, 1, 300001, 1023}, "0123", 128 * MIB, 5, 5},
        {VKA_F32, {1, 300, 1000, 1024}, "0123", 128 * MIB, 10, 10},
        {VKA_F32, {1, 1000, 300, 1024}, "0213", 128 * MIB, 10, 10},
        {VKA_F32, {1, 7, 40000, 1024}, "0123", 128 * MIB, 9, 14},
        {VKA_F32, {7, 13, 3001, 1024}, "2013", 128 * MIB, 9, 10},
        {VKA_F16, {5, 601, 101, 999}, "1203", 128 * MIB, 5, 5},
        {VKA_F32, {601, 5, 101, 999}, "0123", 4096 * MIB - 1, 5, 5}, /* by the grid: 65535 groups of a row */
        {VKA_F32, {1, 1, 4001, 100}, "0123", 65536, 25, 25},
        {VKA_F32, {3, 11, 121, 100}, "0123", 65536, 25, 33},
        {VKA_F32, {3, 11, 121, 100}, "2103", 65536, 25, 31},
        {VKA_F32, {3, 11, 121, 1}, "1023", 4096 * MIB - 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t *n = cases[i].shape, one[4] = {n[0], n[1], n[2], 1}, cols[4] = {1, 1, 1, n[3]};
        device d = {"discrete", {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, cases[i].range, 16, true)}};
        vka__norm_problem p = {.x = ordered(cases[i].dtype, n, cases[i].order),
                               .residual = ordered(cases[i].dtype, n, cases[i].order),
                               .sum = ordered(cases[i].dtype, n, cases[i].order),
                               .out = ordered(cases[i].dtype, n, cases[i].order),
                               .weight = ordered(VKA_F32, cols, "0123"),
                               .mean = ordered(VKA_F32, one, "0123")};
        uint64_t count = check_norm_rows(&d, &p);
        cr_expect(count >= cases[i].least && count <= cases[i].most, "case %zu: %llu dispatches", i,
                  (unsigned long long)count);
    }
}

/* Rows lie in x in another order than in out: boxes that both can see. */
Test(plan_norm, norm_beyond_a_binding_in_two_orders) {
    static const char *const orders[] = {"0123", "0213", "1023", "1203", "2013", "2103"};
    static const uint32_t shape[4] = {17, 19, 23, 100};
    const uint64_t range = 262144, bytes = UINT64_C(17) * 19 * 23 * 100 * 4;
    device d = {"discrete", {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, range, 16, true)}};
    for (int x = 0; x < 6; x++) {
        for (int out = 0; out < 6; out++) {
            vka__norm_problem p = {.x = ordered(VKA_F32, shape, orders[x]),
                                   .out = ordered(VKA_F32, shape, orders[out])};
            uint64_t count = check_norm_rows(&d, &p);
            cr_expect(count <= (x == out ? 2 * bytes / range : 400), "x %s, out %s: %llu dispatches", orders[x],
                      orders[out], (unsigned long long)count);
        }
    }
}
