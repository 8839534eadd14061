/* What every program that trains begins and ends with: options, the optimizer, a checkpoint to go on from, recordings.
 *
 *   training_options o = training_options_usual();
 *   const option list[] = {TRAINING_OPTIONS(o), ..};    options_read(..)
 *   vka_safetensors *file = training_options_open(&o, 1000, 2e-3f);    sizes of the model, from the file if there is
 * one session s; session_begin(&s, device, &o, &model.parameters, &file);
 *   .. the model's sequences, with s.optimizer
 *   session_record(&s, step, evaluation);
 *   session_run(&s, &(training_run){.batch = .., ..});
 *
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_SESSION_H
#define TRAINING_SESSION_H

#include "common/options.h"
#include "config.h"
#include "run.h"

#define TRAINING_STEPS_NOT_GIVEN UINT32_MAX

typedef struct training_options {
    const char *save, *resume, *curve;
    uint32_t steps, show, save_every, seed;
    float rate; /* 0: not given */
} training_options;

#define TRAINING_OPTIONS(o)                                                                                            \
    {"--save", OPTION_TEXT, &(o).save}, {"--resume", OPTION_TEXT, &(o).resume}, {"--curve", OPTION_TEXT, &(o).curve},  \
        {"--steps", OPTION_NUMBER, &(o).steps}, {"--show", OPTION_NUMBER, &(o).show},                                  \
        {"--save-every", OPTION_NUMBER, &(o).save_every}, {"--seed", OPTION_NUMBER, &(o).seed}, {                      \
        "--rate", OPTION_REAL, &(o).rate                                                                               \
    }

/* Steps and rate are not given; a line each 100 steps, a checkpoint each 500. */
training_options training_options_usual(void);
/* What is wrong, or NULL. */
const char *training_options_wrong(const training_options *o);

/* Opens what is to be resumed, or returns NULL. Steps and rate that are not given become the file's, or these. */
vka_safetensors *training_options_open(training_options *o, uint32_t steps, float rate);

typedef struct session {
    const training_options *options;
    vka_device *device;
    parameters *parameters;
    optimizer optimizer;
    random_state random; /* of batches */
    curve losses, validation;
    vka_recorder *step, *evaluation;
} session;

/* Takes everything from *file, unless it is NULL, and closes it. */
void session_begin(session *s, vka_device *device, const training_options *o, parameters *p, vka_safetensors **file);
void session_record(session *s, const vka_nn_sequence *step, const vka_nn_sequence *evaluation);
/* Fills in what the session knows of a run, adds the optimizer's to its texts, and runs. */
void session_run(session *s, training_run *run, config *texts);
void session_end(session *s);

#endif
