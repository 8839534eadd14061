/* Attention and gradients of one picture as a number for each patch.
 * SPDX-License-Identifier: MIT */
#ifndef VISION_RELEVANCE_H
#define VISION_RELEVANCE_H

#include "attribution.h"

/* Each writes tokens - 1 numbers, 0 or more: how much the first token depends on each patch. */

/* What a head gives the first token to see. */
void relevance_of_head(const attribution_maps *m, uint32_t layer, uint32_t head, double *numbers);
/* Attention rolled out over all layers (Abnar 2020): heads' means, half of each layer going around it. No gradients. */
void relevance_rollout(const attribution_maps *m, double *numbers);
/* The same of probabilities times their gradients, where these are positive (Chefer 2021). */
void relevance_by_gradients(const attribution_maps *m, double *numbers);
/* Grad-CAM (Selvaraju 2017): the patches' vectors in front of the last layer, channels weighted by their mean
 * gradients, where the sum is positive. */
void relevance_grad_cam(const attribution_maps *m, double *numbers);

#endif
