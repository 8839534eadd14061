/* Tests that every norm has to pass: NORM_TESTS(suite, operation), NORM_EXTREME_TESTS and NORM_PLAN_TESTS define them.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_NORM_SUITE_H
#define VKATTN_TEST_NORM_SUITE_H

#include <criterion/criterion.h>

#include "norm_case.h"
#include "plan_devices.h"

/* norm_suite.c */
void norm_test_widths(const norm_op *op, vka_dtype dtype, float center);
void norm_test_optional(const norm_op *op, vka_dtype dtype, vka_dtype affine);
void norm_test_many_rows(const norm_op *op);
void norm_test_layouts(const norm_op *op, vka_dtype dtype);
void norm_test_in_place(const norm_op *op);
void norm_test_epsilon(const norm_op *op);
void norm_test_constant_rows(const norm_op *op);
void norm_test_nan_stays_in_its_row(const norm_op *op);
void norm_test_no_rows(const norm_op *op);
void norm_test_same_bits(const norm_op *op);

/* norm_extremes.c; offsets and equal values leave nothing but rounding errors where a mean is subtracted. */
void norm_test_magnitudes(const norm_op *op);
void norm_test_outliers(const norm_op *op);
void norm_test_largest_floats(const norm_op *op);
void norm_test_infinities(const norm_op *op);
void norm_test_offsets(const norm_op *op);
void norm_test_equal_values(const norm_op *op);

/* norm_plans.c */
void norm_test_plan_limits(const norm_op *op);
void norm_test_plan_small_dispatches(const norm_op *op);
void norm_test_plan_by_device(const norm_op *op);
void norm_test_plan_by_rows(const norm_op *op);
void norm_test_plan_int64(const norm_op *op);
/* Returns the number of dispatches; 0 where the device can't do it. */
uint64_t norm_check_plan(const norm_op *op, const device *d, const vka_layer_norm_desc *p, bool all);

#define NORM_TEST(suite, name, call)                                                                                   \
    Test(suite, name) {                                                                                                \
        call;                                                                                                          \
    }

#define NORM_TESTS(suite, op)                                                                                          \
    NORM_TEST(suite, widths_f32, norm_test_widths(op, VKA_F32, 0))                                                     \
    NORM_TEST(suite, widths_f16, norm_test_widths(op, VKA_F16, 0))                                                     \
    NORM_TEST(suite, widths_bf16, norm_test_widths(op, VKA_BF16, 0))                                                   \
    NORM_TEST(suite, offset_f32, norm_test_widths(op, VKA_F32, 1000))                                                  \
    NORM_TEST(suite, offset_f16, norm_test_widths(op, VKA_F16, 1000))                                                  \
    NORM_TEST(suite, offset_bf16, norm_test_widths(op, VKA_BF16, 1000))                                                \
    NORM_TEST(suite, optional_f32, norm_test_optional(op, VKA_F32, VKA_F32))                                           \
    NORM_TEST(suite, optional_f16, norm_test_optional(op, VKA_F16, VKA_F16))                                           \
    NORM_TEST(suite, optional_f16_affine_f32, norm_test_optional(op, VKA_F16, VKA_F32))                                \
    NORM_TEST(suite, optional_bf16, norm_test_optional(op, VKA_BF16, VKA_BF16))                                        \
    NORM_TEST(suite, optional_bf16_affine_f32, norm_test_optional(op, VKA_BF16, VKA_F32))                              \
    NORM_TEST(suite, layouts_f32, norm_test_layouts(op, VKA_F32))                                                      \
    NORM_TEST(suite, layouts_f16, norm_test_layouts(op, VKA_F16))                                                      \
    NORM_TEST(suite, layouts_bf16, norm_test_layouts(op, VKA_BF16))                                                    \
    NORM_TEST(suite, many_rows, norm_test_many_rows(op))                                                               \
    NORM_TEST(suite, in_place, norm_test_in_place(op))                                                                 \
    NORM_TEST(suite, epsilon, norm_test_epsilon(op))                                                                   \
    NORM_TEST(suite, constant_rows, norm_test_constant_rows(op))                                                       \
    NORM_TEST(suite, nan_stays_in_its_row, norm_test_nan_stays_in_its_row(op))                                         \
    NORM_TEST(suite, no_rows, norm_test_no_rows(op))                                                                   \
    NORM_TEST(suite, same_bits, norm_test_same_bits(op))

#define NORM_EXTREME_TESTS(suite, op)                                                                                  \
    NORM_TEST(suite, magnitudes, norm_test_magnitudes(op))                                                             \
    NORM_TEST(suite, outliers, norm_test_outliers(op))                                                                 \
    NORM_TEST(suite, largest_floats, norm_test_largest_floats(op))                                                     \
    NORM_TEST(suite, infinities, norm_test_infinities(op))

#define NORM_PLAN_TESTS(suite, op)                                                                                     \
    NORM_TEST(suite, keeps_to_limits, norm_test_plan_limits(op))                                                       \
    NORM_TEST(suite, in_small_dispatches, norm_test_plan_small_dispatches(op))                                         \
    NORM_TEST(suite, by_device, norm_test_plan_by_device(op))                                                          \
    NORM_TEST(suite, by_rows_of_software_drivers, norm_test_plan_by_rows(op))                                          \
    NORM_TEST(suite, by_64_bit_integers, norm_test_plan_int64(op))

#endif
