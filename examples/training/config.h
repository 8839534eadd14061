/* Sizes of a model and of a training as texts of a checkpoint.
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_CONFIG_H
#define TRAINING_CONFIG_H

#include "checkpoint.h"

/* Not to be copied: texts point into it. */
typedef struct config {
    char numbers[16][16];
    checkpoint_text texts[16];
    uint32_t count;
} config;

void config_add(config *c, const char *key, double value);
/* `value` must outlive the configuration. */
void config_add_text(config *c, const char *key, const char *value);
/* Steps, rates and so on. */
void config_add_optimizer(config *c, const optimizer_desc *d);

/* A number that was saved. */
uint32_t config_number(const vka_safetensors *file, const char *key);

#endif
