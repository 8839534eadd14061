/* The k largest against a sort of the whole row: results are exact.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/sampling.h>

#include "op/op.h"
#include "plan_check.h"
#include "plan_devices.h"
#include "plan_view.h"
#include "support/context.h"
#include "support/tensor.h"

/* Zero types: f32. The last size is that of the row, k that of the results. */
typedef struct problem {
    vka_dtype x_type, values_type;
    uint32_t rank, shape[4], k;
    layout layout;
    bool no_values, no_indices;
    float (*value)(uint32_t row, uint32_t col); /* NULL: random */
} problem;

typedef struct tensors {
    tensor x, values, indices;
} tensors;

static void make(context *c, problem *p, tensors *t) {
    uint32_t cols = p->shape[p->rank - 1], results[4];
    memcpy(results, p->shape, sizeof results);
    results[p->rank - 1] = p->k;
    p->x_type = p->x_type ? p->x_type : VKA_F32;
    p->values_type = p->values_type ? p->values_type : p->x_type;
    ref_rng rng = ref_rng_seed(test_seed());
    t->x = tensor_create(c, p->x_type, p->rank, p->shape, p->layout);
    t->values = tensor_create(c, p->values_type, p->rank, results, p->layout);
    t->indices = tensor_create(c, VKA_I32, p->rank, results, p->layout);
    tensor_fill_normal(&t->x, &rng, 0, 1);
    for (size_t i = 0; i < t->x.count && p->value; i++) {
        t->x.values[i] = p->value((uint32_t)(i / cols), (uint32_t)(i % cols));
    }
    tensor_round(&t->x);
    tensor_upload(&t->x);
    tensor_poison(&t->values);
    tensor_poison(&t->indices);
}

static bool same(float a, float b) {
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void compare(const problem *p, const tensors *t) {
    uint32_t cols = p->shape[p->rank - 1];
    uint32_t *order = malloc((cols + 1) * sizeof *order);
    cr_assert_not_null(order);
    for (size_t row = 0; row < t->x.count / cols; row++) {
        const float *x = t->x.values + row * cols;
        cr_assert(ref_order(x, cols, order));
        for (uint32_t i = 0; i < p->k; i++) {
            float value = t->values.values[row * p->k + i], index = t->indices.values[row * p->k + i];
            cr_assert(p->no_indices || index == (float)order[i],
                      "row %zu of %u, %s, k = %u: place %u is column %g, not %u; VKATTN_SEED=%llu", row, cols,
                      dtype_name(p->x_type), p->k, i, (double)index, order[i], (unsigned long long)test_seed());
            float wanted = ref_round(p->values_type, x[order[i]]);
            cr_assert(p->no_values || same(value, wanted), "row %zu of %u, %s, k = %u: place %u is %g, not %g", row,
                      cols, dtype_name(p->x_type), p->k, i, (double)value, (double)wanted);
        }
    }
    free(order);
}

static void run(context *c, problem p) {
    if (context_leaves_out(c, 5)) {
        return;
    }
    tensors t;
    make(c, &p, &t);
    vka_top_k_desc d = {.x = t.x.view,
                        .values = p.no_values ? (vka_tensor){0} : t.values.view,
                        .indices = p.no_indices ? (vka_tensor){0} : t.indices.view};
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_top_k(c->recorder, &d));
    context_finish(c);
    cr_assert(tensor_download(&t.values) && tensor_download(&t.indices), "writes outside of the results");
    compare(&p, &t);
    tensor_destroy(&t.x);
    tensor_destroy(&t.values);
    tensor_destroy(&t.indices);
}

static const device_config *const configs[] = {&config_real, &config_gpu};

/* Rows that are sorted as they are, and rows that are selected from; k up to everything. */
Test(top_k, widths) {
    static const uint32_t widths[] = {1, 2, 3, 7, 64, 127, 1023, 1024, 1025, 4099, 65536, 65537, 150001};
    static const uint32_t counts[] = {1, 2, 8, 50, 1000, 1024};
    for (size_t n = 0; n < 2; n++) {
        context c;
        context_open(&c, configs[n]);
        for (uint32_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            for (uint32_t j = 0; j < 6; j++) {
                uint32_t k = counts[j] < widths[i] ? counts[j] : widths[i], rows = widths[i] > 5000 ? 2 : 7;
                run(&c, (problem){.x_type = dtypes[(i + j) % DTYPES], .rank = 2, .shape = {rows, widths[i]}, .k = k});
            }
        }
        context_close(&c);
    }
}

/* More columns than sixteen bits count. */
Test(top_k, long_rows) {
    context c;
    context_open(&c, &config_real);
    run(&c, (problem){.rank = 1, .shape = {(1 << 20) + 3}, .k = 100});
    run(&c, (problem){.x_type = VKA_BF16, .rank = 1, .shape = {(1 << 20) + 3}, .k = 1024});
    context_close(&c);
}

Test(top_k, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < DTYPES * DTYPES * 2; n++) {
        run(&c, (problem){.x_type = dtypes[n % DTYPES],
                          .values_type = dtypes[n / DTYPES % DTYPES],
                          .rank = 3,
                          .shape = {2, 5, n % 2 ? 1300 : 37},
                          .k = 9,
                          .no_values = n == 5,
                          .no_indices = n == 6});
    }
    context_close(&c);
}

/* An order that ends with another dimension selects over that one. */
Test(top_k, layouts) {
    static const struct {
        uint32_t rank, shape[4];
        const char *order;
    } list[] = {
        {1, {41}, NULL},        {2, {7, 33}, "10"},       {3, {3, 5, 64}, "102"},     {3, {3, 5, 21}, "201"},
        {3, {4, 5, 12}, "210"}, {4, {2, 3, 4, 20}, NULL}, {4, {2, 3, 4, 19}, "0312"}, {2, {3, 1999}, "10"},
    };
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 8 * 3; i++) {
        problem p = {.x_type = dtypes[i % 3],
                     .rank = list[i % 8].rank,
                     .k = 5 + i / 8,
                     .layout = {list[i % 8].order, i / 8, i / 8}};
        memcpy(p.shape, list[i % 8].shape, sizeof p.shape);
        run(&c, p);
    }
    context_close(&c);
}

/* ---- values that are no ordinary numbers ------------------------------------------------------------------------ */

/* Many more equal ones than there is room for, at the last place and everywhere. */
static float tied(uint32_t row, uint32_t col) {
    switch (row) {
    case 0:
        return 1;
    case 1:
        return col % 3 == 0 ? 2 : 1;
    case 2:
        return col % 100 == 99 ? 3 : (float)(col % 2);
    case 3:
        return col % 2 ? -0.0f : 0.0f;
    default:
        return -(float)(col / 5000);
    }
}

Test(top_k, ties) {
    static const uint32_t widths[] = {200, 3000, 70000};
    for (size_t n = 0; n < 2; n++) {
        context c;
        context_open(&c, configs[n]);
        for (uint32_t i = 0; i < 3 * 3; i++) {
            run(&c, (problem){.x_type = dtypes[i / 3],
                              .rank = 2,
                              .shape = {5, widths[i % 3]},
                              .k = i % 2   ? 150
                                   : i % 3 ? 1024
                                           : 64,
                              .value = tied});
        }
        context_close(&c);
    }
}

static float unusual(uint32_t row, uint32_t col) {
    bool odd = col % 7 == 3;
    switch (row) {
    case 0:
        return odd ? NAN : (float)(col % 5);
    case 1:
        return NAN;
    case 2:
        return odd ? INFINITY : -INFINITY;
    case 3:
        return -INFINITY;
    case 4:
        return odd ? -NAN : INFINITY;
    case 5:
        return odd ? 3.4028235e38f : -3.4028235e38f;
    default:
        return odd ? 0x1p-149f * (float)col : -0x1p-149f;
    }
}

Test(top_k, unusual_values) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * DTYPES; i++) {
        run(&c,
            (problem){.x_type = dtypes[i / 2], .rank = 2, .shape = {7, i % 2 ? 9000 : 51}, .k = 40, .value = unusual});
    }
    context_close(&c);
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

/* Results that take several dispatches, workgroups of few invocations. */
Test(top_k, narrow) {
    static const device_config *const small[] = {&config_short, &config_few_groups, &config_tiny, &config_no_sub};
    for (size_t n = 0; n < 4; n++) {
        context c;
        context_open(&c, small[n]);
        run(&c, (problem){.rank = 3, .shape = {3, 11, 3001}, .k = 17});
        context_close(&c);
    }
}

Test(top_k, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_top_k_desc d = {.x = vka_tensor_2d(NULL, VKA_F32, 3, 8)};
    EXPECT_FAILURE(vka_top_k_prepare(c.device, &d), VKA_INVALID, "vka_top_k.values");
    d.indices = vka_tensor_2d(NULL, VKA_I32, 3, 9);
    EXPECT_FAILURE(vka_top_k_prepare(c.device, &d), VKA_INVALID, "vka_top_k.indices");
    d.indices = vka_tensor_2d(NULL, VKA_I32, 3, 8);
    EXPECT_OK(vka_top_k_prepare(c.device, &d));
    d.values = vka_tensor_2d(NULL, VKA_F32, 3, 7);
    EXPECT_FAILURE(vka_top_k_prepare(c.device, &d), VKA_INVALID, "vka_top_k.indices");
    d = (vka_top_k_desc){.x = vka_tensor_2d(NULL, VKA_F32, 0, 8), .indices = vka_tensor_2d(NULL, VKA_I32, 0, 3)};
    vka_requirements need;
    EXPECT_OK(vka_top_k_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 0);
    context_close(&c);
}

/* Plans for devices that are not here keep to their limits, and do every row once. */
Test(top_k, plans) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 20 * DEVICES; n++) {
        const device *d = &devices[n % DEVICES];
        uint32_t a = ONE_OF(&rng, 1, 2, 5), b = ONE_OF(&rng, 1, 3, 64), rows = ONE_OF(&rng, 1, 77, 3000);
        uint32_t cols = ONE_OF(&rng, 7, 64, 1023, 8193, 150000);
        vka__view x = random_view(&rng, VKA_F16, a, b, rows, cols), values = random_view(&rng, VKA_F32, a, b, rows, 7),
                  indices = random_view(&rng, VKA_I32, a, b, rows, 7);
        vka_top_k_desc desc = {
            .x = tensor_of(&x, 4), .values = tensor_of(&values, 4), .indices = tensor_of(&indices, 4)};
        vka__call c;
        if (PLAN(&c, top_k, &d->caps, &desc)) {
            check_key(d, &c.key[0], 8192 + 2048 + 128 + 16);
            check_rows(d, &c, false);
        } else {
            cr_assert_gt(vka__view_extent(&x, 3) * 2 + vka__view_extent(&values, 3) * 4 +
                             vka__view_extent(&indices, 3) * 4 + 1024,
                         d->caps.storage_range);
        }
    }
}
