/* Plans of layer normalisations for devices that are not here: every dispatch keeps to the device's limits and finds
 * its rows in every tensor, and together they do every row once. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include <vkattn/norm.h>

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

static vka_layer_norm_desc random_norm(ref_rng *rng) {
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

static uint64_t check_norm(const device *d, const vka_layer_norm_desc *p, bool all) {
    vka__call c;
    if (!PLAN(&c, layer_norm, &d->caps, p)) {
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

Test(plan_norm, norm_keeps_to_limits) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 4000; i++) {
        vka_layer_norm_desc p = random_norm(&rng);
        for (size_t d = 0; d < DEVICES; d++) {
            check_norm(&devices[d], &p, false);
        }
    }
}

/* The same device, with dispatches of a few groups. */
Test(plan_norm, norm_in_small_dispatches) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 500; i++) {
        vka_layer_norm_desc p = random_norm(&rng);
        for (size_t d = 0; d < DEVICES; d++) {
            device few = devices[d];
            few.caps.max_groups[0] = 1 + ref_rng_below(&rng, 2000);
            check_norm(&few, &p, false);
        }
    }
}

Test(plan_norm, norm_by_device) {
    ref_rng rng = ref_rng_seed(1);
    for (size_t i = 0; i < DEVICES; i++) {
        vka_layer_norm_desc p = random_norm(&rng);
        vka__call c;
        p.path = VKA_NORM_PATH_AUTO;
        if (PLAN(&c, layer_norm, &devices[i].caps, &p)) {
            cr_expect_eq(is_lane(&c), devices[i].caps.type == VKA_DEVICE_CPU, "%s", devices[i].name);
        }
    }
}

/* ---- beyond a binding ------------------------------------------------------------------------------------------- */

static vka_tensor in_order(vka_dtype dtype, uint32_t rank, const uint32_t shape[4], const char *order) {
    vka__view v = ordered(dtype, shape, order);
    return tensor_of(&v, rank);
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
        const uint32_t *n = cases[i].shape, one[4] = {1, n[0], n[1], n[2]}, cols[4] = {1, 1, 1, n[3]};
        device d = {"discrete", {CAPS(VKA_DEVICE_DISCRETE, 32, 32, 32, 49152, 1024, cases[i].range, 16, true)}};
        vka_layer_norm_desc p = {.x = in_order(cases[i].dtype, 4, n, cases[i].order),
                                 .residual = in_order(cases[i].dtype, 4, n, cases[i].order),
                                 .sum = in_order(cases[i].dtype, 4, n, cases[i].order),
                                 .out = in_order(cases[i].dtype, 4, n, cases[i].order),
                                 .weight = in_order(VKA_F32, 1, cols, "0123"),
                                 .mean = in_order(VKA_F32, 3, one, "0123")};
        uint64_t count = check_norm(&d, &p, true);
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
            vka_layer_norm_desc p = {.x = in_order(VKA_F32, 4, shape, orders[x]),
                                     .out = in_order(VKA_F32, 4, shape, orders[out])};
            uint64_t count = check_norm(&d, &p, true);
            cr_expect(count && count <= (x == out ? 2 * bytes / range : 400), "x %s, out %s: %llu dispatches",
                      orders[x], orders[out], (unsigned long long)count);
        }
    }
}
