/* Pictures as tokens (Dosovitskiy 2021): patches through a linear layer whose residual is a table of positions, and in
 * front of them a token that is nothing but its position, of which the head reads the result.
 *
 * Parameters, behind the trunk's prefix: "patches.weight" and "positions.weight".
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_PATCHES_H
#define TRAINING_PATCHES_H

#include "trunk.h"

typedef struct patches {
    const trunk *trunk; /* of one token more than there are patches */
    uint32_t pixels;    /* of a patch                               */
    vka_buffer *values; /* f32 [batch, tokens, pixels], mapped: for the host to write, but for the first rows, which
                           are 0 */
    vka_buffer *places;
} patches;

void patches_add_parameters(parameters *p, const trunk_desc *desc, uint32_t pixels);
/* The trunk must outlive them. */
void patches_create(patches *p, const trunk *t, uint32_t pixels);
void patches_destroy(patches *p);

/* The patches of a picture of the batch, [context - 1, pixels]. */
float *patches_at(const patches *p, uint32_t picture);

/* Into trunk_input, and from trunk_gradient. */
void patches_add(const patches *p, vka_nn_sequence *s);
void patches_add_backward(const patches *p, vka_nn_sequence *s);

#endif
