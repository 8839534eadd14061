/* Layer norm, as every norm is tested.
 * SPDX-License-Identifier: MIT */
#include "norm_suite.h"

NORM_TESTS(norm, &norm_op_layer_norm)
