/* What the page and sheets share.
 * SPDX-License-Identifier: MIT */
#ifndef LENS_WEIGHTS_H
#define LENS_WEIGHTS_H

#include "lens.h"

/* Whether patches are tokens that there are. */
bool lens_pictures_fit(const lens *l);

bool lens_is_patch(const lens_picture *p, uint32_t token);

/* The mean of a layer's heads: out [n, m]. */
void lens_mean(const lens *l, uint32_t layer, float *out);

/* Attention rolled out over all layers (Abnar and Zuidema 2020), of as many queries as keys: out [n, n]. false: out of
 * memory. */
bool lens_rollout(const lens *l, float *out);

#endif
