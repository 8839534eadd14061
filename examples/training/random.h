/* Random numbers whose whole state is 64 bits, so that a checkpoint can have it (SplitMix64, Steele 2014).
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_RANDOM_H
#define TRAINING_RANDOM_H

#include <stdint.h>

typedef struct random_state {
    uint64_t at;
} random_state;

/* The same for the same seed and text; different texts give unrelated sequences. */
random_state random_seed(uint64_t seed, const char *text);
uint64_t random_next(random_state *r);
/* 0 .. n - 1, n below 2^32. */
uint32_t random_below(random_state *r, uint32_t n);
/* With a mean of 0 and a standard deviation of 1. */
float random_normal(random_state *r);

#endif
