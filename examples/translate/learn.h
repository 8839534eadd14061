/* Training.
 * SPDX-License-Identifier: MIT */
#ifndef TRANSLATE_LEARN_H
#define TRANSLATE_LEARN_H

#include "model.h"
#include "training/session.h"

/* Sizes of a model as texts of a file. */
void learn_fill_config(config *c, const model_desc *d);
/* And back; what can't be ends the program. */
void learn_take_config(const vka_safetensors *file, model_desc *d);
/* By its name: "dot", "additive" or "luong". */
bool learn_find_kind(const char *name, cross_kind *kind);

/* Trains, and saves weights to a file unless it is NULL. Returns the share of days for judging that are right then. */
double learn(vka_device *device, training_options *o, model_desc *d, const char *weights);

#endif
