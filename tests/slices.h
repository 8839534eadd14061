/* Plans run in slices of random budgets.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_SLICES_H
#define VKATTN_TEST_SLICES_H

#include "support/context.h"

/* How budgets are drawn. */
typedef enum slice_budgets {
    SLICES_SMALLEST, /* 0: the smallest pieces that there are     */
    SLICES_RANDOM,   /* from 0 to half of the work, or all of it  */
    SLICES_WHOLE,    /* everything at once                        */
} slice_budgets;

typedef struct slice_counts {
    uint32_t slices, submissions;
} slice_counts;

/* Prepares the plans and runs them one after the other, some slices to a recording, by two recorders in turn. Asserts
 * what each call promises: work within the budget, progress, and an end. */
slice_counts slices_run(context *c, vka_plan *const *plans, uint32_t count, slice_budgets budgets);

/* A workspace that a description can name; NULL where there is need of none. */
vka_buffer *slices_workspace(context *c, const vka_requirements *need);

#endif
