/* How many translations of days that nothing was learned from are right.
 * SPDX-License-Identifier: MIT */
#ifndef TRANSLATE_JUDGE_H
#define TRANSLATE_JUDGE_H

#include "greedy.h"

enum { JUDGED_BATCHES = 32 };

/* Draws a batch of dates, which is the model's then, and translates it. Returns how many are exactly right. */
uint32_t judge_batch(greedy *g, random_state *r);
/* The share of JUDGED_BATCHES batches, the same ones every time, with a line that says so. */
double judge_all(greedy *g);

#endif
