/* What a file of weights says of its model, which is looked at before memory is asked for.
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_WEIGHTS_H
#define TRAINING_WEIGHTS_H

#include "checkpoint.h"

/* A number among its texts, above 0; one that is missing ends the program. */
uint32_t weights_number(const vka_safetensors *file, const char *path, const char *key);
/* Ends the program with a line that names the tensor unless it is there, and [n0, n1]. */
void weights_check(const vka_safetensors *file, const char *path, const char *name, uint32_t n0, uint32_t n1);

#endif
