/* A trained model's parameters alone, by their names, as a safetensors file: half of a checkpoint's precision, and a
 * sixth of its bytes. SPDX-License-Identifier: MIT */
#ifndef TRAINING_WEIGHTS_H
#define TRAINING_WEIGHTS_H

#include "config.h"

/* In f16, rounded on the device, with texts of the program's own. Ends the program if it can't. */
void weights_save(const char *path, vka_device *device, const parameters *p, const config *c);

/* Opens such a file, or a checkpoint. One that can't be read ends the program with a line that says so. */
vka_safetensors *weights_open(const char *path);
/* A number among its texts, above 0; one that is missing ends the program. */
uint32_t weights_number(const vka_safetensors *file, const char *path, const char *key);
/* Ends the program with a line that names the tensor unless it is there, and [n0, n1]: before memory is asked for by
 * sizes that a damaged file says. */
void weights_check(const vka_safetensors *file, const char *path, const char *name, uint32_t n0, uint32_t n1);
/* Takes parameters in f32 or f16. What is missing or has another shape ends the program with a line that names it. */
void weights_load(const vka_safetensors *file, const char *path, vka_device *device, const parameters *p);

#endif
