/* Plans of layer norms for devices that are not here: every dispatch keeps to the device's limits and finds its rows in
 * every tensor, and together they do every row once. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "norm_suite.h"
#include "plan_check.h"
#include "plan_view.h"
#include "support/tensor.h"

NORM_PLAN_TESTS(plan_norm, &norm_op_layer_norm)

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
        uint64_t count = norm_check_plan(&norm_op_layer_norm, &d, &p, true);
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
            uint64_t count = norm_check_plan(&norm_op_layer_norm, &d, &p, true);
            cr_expect(count && count <= (x == out ? 2 * bytes / range : 400), "x %s, out %s: %llu dispatches",
                      orders[x], orders[out], (unsigned long long)count);
        }
    }
}
