/* The model's definition, token by token on the host: in float64, or unfused with sums in f32.
 * SPDX-License-Identifier: MIT */
#ifndef GENERATE_REFERENCE_H
#define GENERATE_REFERENCE_H

#include "weights.h"

typedef struct reference {
    const weights *w;
    float **values; /* of each tensor, as in w->list */
    bool naive;     /* sums and results are f32      */
    uint32_t length;
    double *k, *v; /* [layers, context, width]       */
} reference;

/* The caches of who is compared with hold rounded numbers. So what is computed from them has the same, k and v of a
 * token are handed over to be compared, and replaced. */
typedef void (*reference_cache_fn)(void *user, uint32_t layer, uint32_t position, double *k, double *v);

reference reference_create(const weights *w, bool naive); /* before weights_upload */
void reference_free(reference *r);

/* Puts a token behind the others; `length` of 0 begins anew. logits [classes]. */
void reference_step(reference *r, int32_t token, reference_cache_fn cache, void *user, double *logits);

#endif
