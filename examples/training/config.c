/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "common/program.h"

#include <stdio.h>
#include <stdlib.h>

void config_add_text(config *c, const char *key, const char *value) {
    if (c->count == sizeof c->texts / sizeof *c->texts) {
        fail("too many texts for a checkpoint");
    }
    c->texts[c->count++] = (checkpoint_text){key, value};
}

void config_add(config *c, const char *key, double value) {
    uint32_t at = c->count;
    config_add_text(c, key, c->numbers[at]);
    snprintf(c->numbers[at], sizeof c->numbers[at], "%.9g", value);
}

void config_add_optimizer(config *c, const optimizer_desc *d) {
    config_add(c, "steps", d->steps);
    config_add(c, "warm_up", d->warm_up);
    config_add(c, "learning_rate", (double)d->learning_rate);
    config_add(c, "last_rate", (double)d->last_rate);
    config_add(c, "weight_decay", (double)d->weight_decay);
    config_add(c, "beta2", (double)d->beta2);
    config_add(c, "max_norm", (double)d->max_norm);
}

uint32_t config_number(const vka_safetensors *file, const char *key) {
    return (uint32_t)strtoul(checkpoint_get(file, key), NULL, 10);
}
