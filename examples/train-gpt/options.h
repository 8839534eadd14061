/* The command line.
 * SPDX-License-Identifier: MIT */
#ifndef TRAIN_GPT_OPTIONS_H
#define TRAIN_GPT_OPTIONS_H

#include "model.h"
#include "training/session.h"

typedef struct options {
    training_options training;
    trunk_desc model; /* classes are the text's */
    const char *data, *weights, *dump, *text;
    uint32_t sample;
    float temperature;
    bool any_loss;
} options;

/* Says how to use the program, and ends it, where that was asked for or is not understood. */
options options_parse(int argc, char **argv);

#endif
