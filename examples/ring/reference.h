/* Results against the definition in float64, by the project's rule of accuracy: off by at most twice what the unfused
 * computation in the storage type is off by, and 1e-5.
 * SPDX-License-Identifier: MIT */
#ifndef RING_REFERENCE_H
#define RING_REFERENCE_H

#include "ring/worker.h"

#include <reference.h>

/* Adds the errors of a rank's rows. values[r]: as worker_read has them. */
void reference_compare(const problem *p, uint32_t rank, float *const values[RESULTS], ref_error errors[RESULTS]);

#endif
