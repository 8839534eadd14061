/* Layer norm of values that f32 can't square, or that lie far from 0 and close together.
 * SPDX-License-Identifier: MIT */
#include "norm_suite.h"

NORM_EXTREME_TESTS(norm_extremes, &norm_op_layer_norm)
NORM_TEST(norm_extremes, offsets, norm_test_offsets(&norm_op_layer_norm))
NORM_TEST(norm_extremes, equal_values, norm_test_equal_values(&norm_op_layer_norm))
