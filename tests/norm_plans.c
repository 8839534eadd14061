/* Plans of norms for devices that are not here: every dispatch keeps to the device's limits and finds its rows in every
 * tensor, and together they do every row once. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "norm_suite.h"
#include "plan_check.h"
#include "plan_view.h"
#include "support/tensor.h"

static vka_tensor maybe(ref_rng *rng, vka_dtype dtype, uint32_t rank, const uint32_t shape[4]) {
    vka__view v = random_view(rng, dtype, shape[0], shape[1], shape[2], shape[3]);
    return ref_rng_below(rng, 2) ? tensor_of(&v, rank) : (vka_tensor){0};
}

/* [a, b, c] for what has one number for each row. */
static vka_tensor maybe_statistics(ref_rng *rng, const uint32_t shape[4]) {
    return maybe(rng, VKA_F32, 3, (const uint32_t[4]){1, shape[0], shape[1], shape[2]});
}

static vka_layer_norm_desc random_norm(const norm_op *op, ref_rng *rng) {
    vka_dtype dtype = dtypes[ref_rng_below(rng, DTYPES)], affine = ref_rng_below(rng, 2) ? VKA_F32 : dtype;
    uint32_t a = ONE_OF(rng, 1, 1, 2, 5), b = ONE_OF(rng, 1, 3, 64), c = ONE_OF(rng, 1, 2, 77, 3000);
    uint32_t cols = ONE_OF(rng, 1, 2, 3, 7, 8, 31, 64, 127, 768, 1024, 4095, 5000, 65536);
    const uint32_t shape[4] = {a, b, c, cols}, row[4] = {1, 1, 1, cols};
    vka__view x = random_view(rng, dtype, a, b, c, cols), out = random_view(rng, dtype, a, b, c, cols);
    vka_layer_norm_desc p = {.x = tensor_of(&x, 4),
                             .out = tensor_of(&out, 4),
                             .weight = maybe(rng, affine, 1, row),
                             .bias = maybe(rng, affine, 1, row),
                             .residual = maybe(rng, dtype, 4, shape),
                             .mean = maybe_statistics(rng, shape),
                             .inv_std = maybe_statistics(rng, shape),
                             .path = (vka_norm_path)ref_rng_below(rng, 3)};
    if (op->rms) {
        p.bias = p.mean = (vka_tensor){0};
    }
    p.sum = p.residual.dtype ? maybe(rng, dtype, 4, shape) : (vka_tensor){0};
    return p;
}

/* ---- what holds for every plan ---------------------------------------------------------------------------------- */

/* Types of rows and of weights. */
static void check_types(const device *d, const vka__pipeline_key *key, const vka_layer_norm_desc *p) {
    uint32_t types = key->spec[VKA_SPEC_TYPES];
    cr_assert_eq(types >> 4 * VKA_ROLE_X & 15, p->x.dtype, "%s", d->name);
    cr_assert_eq(types >> 4 * VKA_ROLE_TABLE & 15, p->weight.dtype ? p->weight.dtype : p->bias.dtype, "%s", d->name);
}

static bool is_lane(const vka__call *c) {
    return strstr(vka__kernel_name((vka__kernel)c->key[0].kernel), "lane");
}

static bool plan(vka__call *c, const norm_op *op, const device *d, const vka_layer_norm_desc *p) {
    bool zero_centred = op->rms && p->weight.dtype && p->x.shape[3] % 2; /* now and then, the same every time */
    norm_description desc = norm_describe(op, p, zero_centred);
    return plan_call(c, op->op, &d->caps, desc.bytes, op->op->desc_size);
}

uint64_t norm_check_plan(const norm_op *op, const device *d, const vka_layer_norm_desc *p, bool all) {
    vka__call c;
    if (!plan(&c, op, d, p)) {
        uint64_t rows = 0;
        static const char *const names[] = {"x", "out", "sum", "residual"};
        for (int i = 0; i < 4; i++) {
            const vka__view *v = view_named(&c, names[i]);
            rows += v->present ? vka__view_extent(v, 3) * 8 : 0;
        }
        cr_assert_gt(rows + 1024, d->caps.storage_range, "%s refuses %s: %s", d->name, c.refusal.field,
                     c.refusal.reason);
        return 0;
    }
    check_key(d, &c.key[0], is_lane(&c) ? 0 : 8 * c.key[0].spec[VKA_SPEC_GROUP_SIZE]);
    check_types(d, &c.key[0], p);
    return check_rows(d, &c, all);
}

/* ---- any problem ------------------------------------------------------------------------------------------------ */

void norm_test_plan_limits(const norm_op *op) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 4000; i++) {
        vka_layer_norm_desc p = random_norm(op, &rng);
        for (size_t d = 0; d < DEVICES; d++) {
            norm_check_plan(op, &devices[d], &p, false);
        }
    }
}

/* The same device, with dispatches of a few groups. */
void norm_test_plan_small_dispatches(const norm_op *op) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 500; i++) {
        vka_layer_norm_desc p = random_norm(op, &rng);
        for (size_t d = 0; d < DEVICES; d++) {
            device few = devices[d];
            few.caps.max_groups[0] = 1 + ref_rng_below(&rng, 2000);
            norm_check_plan(op, &few, &p, false);
        }
    }
}

void norm_test_plan_by_device(const norm_op *op) {
    ref_rng rng = ref_rng_seed(1);
    for (size_t i = 0; i < DEVICES; i++) {
        vka_layer_norm_desc p = random_norm(op, &rng);
        vka__call c;
        p.path = VKA_NORM_PATH_AUTO;
        if (plan(&c, op, &devices[i], &p)) {
            bool software = is_lane(&c) || c.key[0].spec[VKA_SPEC_SUBGROUP];
            cr_expect_eq(software, devices[i].caps.type == VKA_DEVICE_CPU, "%s", devices[i].name);
        }
    }
}

/* A subgroup a row where a driver loads a vector of lanes at once, rows are long enough and either stay in its
 * registers or are few. */
void norm_test_plan_by_rows(const norm_op *op) {
    static const struct {
        const char *device;
        uint32_t rows, cols, subgroup, vectors, rows_of_group;
    } cases[] = {
        {"lavapipe 25.0", 4096, 1024, 0, 0, 0}, {"lavapipe 26.1", 4096, 124, 0, 0, 0},
        {"lavapipe 26.1", 4096, 130, 0, 0, 0}, /* not in whole vectors */
        {"lavapipe 26.1", 4096, 128, 8, 4, 16}, {"lavapipe 26.1", 4096, 1024, 8, 32, 16},
        {"lavapipe 26.1", 511, 1024, 8, 32, 1}, {"lavapipe 26.1", 16, 1028, 0, 0, 0},
        {"lavapipe 26.1", 15, 1028, 8, 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_layer_norm_desc p = {.x = vka_tensor_2d(NULL, VKA_F32, cases[i].rows, cases[i].cols)};
        p.out = p.x;
        vka__call c;
        cr_assert(plan(&c, op, device_named(cases[i].device), &p));
        const uint32_t *spec = c.key[0].spec;
        cr_expect_eq(is_lane(&c), !cases[i].subgroup, "case %zu", i);
        cr_expect_eq(spec[VKA_SPEC_SUBGROUP], cases[i].subgroup, "case %zu", i);
        cr_expect_eq(spec[VKA_SPEC_COLS], cases[i].vectors, "case %zu", i);
        cr_expect_eq(spec[VKA_SPEC_BR], cases[i].rows_of_group, "case %zu", i);
    }
}

/* Loads of 64 bits where the device has such integers, a driver loads a vector of lanes at once, and rows are aligned.
 */
void norm_test_plan_int64(const norm_op *op) {
    static const struct {
        const char *device;
        uint32_t rows, cols;
        bool int64;
        vka__kernel kernel;
    } cases[] = {
        {"lavapipe 26.1", 4096, 1024, true, VKA__norm_group_sg_int64},
        {"lavapipe 26.1", 4096, 2048, true, VKA__norm_lane_int64},
        {"lavapipe 26.1", 4096, 1024, false, VKA__norm_group_sg},
        {"lavapipe 26.1", 4096, 2048, false, VKA__norm_lane},
        {"lavapipe 26.1", 4096, 1023, true, VKA__norm_lane},
        {"lavapipe 25.0", 4096, 1024, true, VKA__norm_lane},
        {"nvidia with matrices", 4096, 1024, true, VKA__norm_group_sg},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_layer_norm_desc p = {.x = vka_tensor_2d(NULL, VKA_F32, cases[i].rows, cases[i].cols)};
        p.out = p.x;
        device d = *device_named(cases[i].device);
        d.caps.int64 = cases[i].int64;
        vka__call c;
        cr_assert(plan(&c, op, &d, &p));
        cr_expect_eq(c.key[0].kernel, cases[i].kernel, "case %zu: %s", i,
                     vka__kernel_name((vka__kernel)c.key[0].kernel));
    }
}
