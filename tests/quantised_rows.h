/* Rows of i8, q8_0 and q4_0 tensors that a device has quantised.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_QUANTISED_ROWS_H
#define VKATTN_TEST_QUANTISED_ROWS_H

#include "support/tensor.h"

/* May row `row` of a tensor with rows of `cols`, and the scale of an i8 one, hold ref [cols], which the device has with
 * an absolute error of at most `error`? Both tensors were downloaded. */
bool quantised_row_ok(const tensor *t, const tensor *scale, size_t row, uint32_t cols, const double *ref, double error);

/* The scale of a channel, without its sign. */
float quantised_scale(const tensor *t, const tensor *scale, size_t row, uint32_t cols, uint32_t channel);

#endif
