/* What an encoder looks at, and what counts: pages and sheets of the lens.
 * SPDX-License-Identifier: MIT */
#ifndef SENTENCES_EXPLAIN_H
#define SENTENCES_EXPLAIN_H

#include "weights.h"

typedef struct explained {
    const char *text;
    const int32_t *ids; /* [n] */
    uint32_t n;
    const float *embedding; /* [outputs] */
} explained;

typedef struct explanation {
    vka_device *device;
    const weights *weights;
    const vocabulary *words;
    explained sentence[2];
    uint32_t count;           /* of sentences: 1; or 2, for integrated gradients of their cosine */
    uint32_t steps;           /* of the integral                                                 */
    const char *page, *sheet; /* files to write; either may be NULL                              */
} explanation;

/* What the first sentence's pieces look at, and what each piece of both adds to their cosine. Prints by how much
 * integrated gradients miss what they should add up to. Ends the program where something is wrong. */
void explain(const explanation *x);

#endif
