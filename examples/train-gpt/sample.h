/* Writes text with a model: tokens are drawn on the device, where keys and values of those before lie in caches.
 * SPDX-License-Identifier: MIT */
#ifndef TRAIN_GPT_SAMPLE_H
#define TRAIN_GPT_SAMPLE_H

#include "model.h"

/* `count` tokens into `tokens`, behind one that is `first`. */
void sample(model *m, uint64_t seed, float temperature, int32_t first, uint32_t count, int32_t *tokens);

#endif
