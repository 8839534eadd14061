/* The steps of a training: a recording that is submitted for each batch, lines about its losses, checkpoints, curves.
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_RUN_H
#define TRAINING_RUN_H

#include "checkpoint.h"

#include <stddef.h>

typedef struct training_run {
    uint32_t steps;       /* of the whole training                                       */
    uint32_t show;        /* a line and a validation each so many steps, and at the end  */
    uint32_t save_every;  /* likewise of checkpoints                                     */
    const char *save;     /* the checkpoint's file; NULL: none                           */
    const char *curve;    /* the picture's file; NULL: none                              */
    float level;          /* a line across it, with a label; 0: none                     */
    const char *label;    /*                                                             */
    uint32_t batch;       /* what a step works on, and its name: 1024 "tokens"           */
    const char *unit;     /*                                                             */
    training_state state; /* what checkpoints hold                                       */
    const checkpoint_text *texts;
    uint32_t text_count;
    float (*step)(void *user, uint32_t step);                /* trains on a batch and returns its loss            */
    double (*validate)(void *user, char *more, size_t size); /* a loss, and what else the line should say, or ""  */
    void *user;
} training_run;

/* From the step after the one that was made last. Gradients that are not finite end the program. */
void training_run_all(const training_run *r);

/* A sequence as a recording. */
vka_recorder *training_record(vka_device *device, const vka_nn_sequence *sequence);
/* Submits, waits, and reads what is first in a mapped buffer. */
float training_submit(vka_recorder *recorder, vka_buffer *loss);

#endif
