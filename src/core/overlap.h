/* Do strided views share memory? Pure numbers; offsets count from the start of one piece of memory.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_OVERLAP_H
#define VKA_OVERLAP_H

#include "core/view.h"

/* Do two views of the same memory have a byte in common? Exact, but that views with three or more strides which have
 * nothing to do with each other count as sharing when the search takes too long. Absent and empty views share nothing.
 */
bool vka__views_share(const vka__view *a, const vka__view *b);

/* The same for a view and `bytes` bytes from `offset` on. */
bool vka__view_shares_range(const vka__view *view, uint64_t offset, uint64_t bytes);

/* Do two elements of a view share a byte? */
bool vka__view_folds(const vka__view *view);

#endif
