/* AdamW (Loshchilov 2019) for all parameters of a model, with clipped gradients, warm-up and a cosine schedule.
 *
 * The number of the step and the rates of all steps lie on the device, where each replay of the recording finds its
 * own: the host has nothing to write.
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_OPTIMIZER_H
#define TRAINING_OPTIMIZER_H

#include "parameters.h"

#include <vkattn/nn.h>

typedef struct optimizer_desc {
    uint32_t steps;      /* of the whole schedule; beyond them the rate is 0                                  */
    uint32_t warm_up;    /* steps in which the rate rises to learning_rate, linearly                          */
    float learning_rate; /* the largest one                                                                   */
    float last_rate;     /* where the cosine ends, at the last step                                           */
    float weight_decay, beta2;
    float max_norm; /* of all gradients together                                                              */
} optimizer_desc;

/* Warm-up of a tenth of the steps, at most 100, and then down to a twentieth of the rate. */
optimizer_desc optimizer_usual(uint32_t steps, float learning_rate);

typedef struct optimizer {
    optimizer_desc desc;
    vka_buffer *state;    /* step, and what the update computes on its way: a few numbers */
    vka_buffer *schedule; /* shares of learning_rate, by the number of the step */
} optimizer;

void optimizer_create(optimizer *o, vka_device *device, const optimizer_desc *desc);
void optimizer_destroy(optimizer *o);

/* Adds the update of `p` by its gradients to a sequence. */
void optimizer_add(const optimizer *o, vka_nn_sequence *sequence, const parameters *p);

/* The learning rate of a step, from 1 on. */
float optimizer_rate(const optimizer_desc *desc, uint32_t step);

/* How many steps were made. A step whose gradients are not finite is left out, and does not count. Only while nothing
 * of it runs. */
uint32_t optimizer_get_step(const optimizer *o);
void optimizer_set_step(optimizer *o, uint32_t step);
/* The norm of the last step's gradients, before clipping. */
float optimizer_get_norm(const optimizer *o);

#endif
