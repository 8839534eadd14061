/* What makes two pixels alike, for each of the two kinds of pictures.
 * SPDX-License-Identifier: MIT */
#ifndef DENOISE_GUIDES_H
#define DENOISE_GUIDES_H

#include "rows.h"
#include "scene.h"

/* For a rendered frame: what the renderer knows about the surfaces, and the light around each pixel. 18 features. */
guide guide_of_frame(const frame *f);

/* For a picture of which only the colours are known, with noise of standard deviation sigma: the 3 x 3 pixels around
 * each one, as in non-local means. 27 features. */
guide guide_of_picture(const picture *noisy, float sigma);

#endif
