/* The command line.
 * SPDX-License-Identifier: MIT */
#ifndef TRAIN_GPT_OPTIONS_H
#define TRAIN_GPT_OPTIONS_H

#include "model.h"

typedef struct options {
    trunk_desc model; /* classes are the text's */
    const char *data, *save, *resume, *curve, *dump, *text;
    uint32_t steps, show, save_every, sample, seed;
    float rate; /* 0: not given */
    float temperature;
    bool has_steps, any_loss;
} options;

/* Says how to use the program, and ends it, where that was asked for or is not understood. */
options options_parse(int argc, char **argv);

#endif
