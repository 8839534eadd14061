/* A renderer's buffers as a frame, from files and to files.
 * SPDX-License-Identifier: MIT */
#ifndef DENOISE_BUFFERS_H
#define DENOISE_BUFFERS_H

#include "scene.h"

/* Files, as planes.h reads them; NULL: there is none. All are as large as `color`. */
typedef struct buffer_paths {
    const char *color;     /* noisy, linear                                                          */
    const char *albedo;    /* of the surface; without it textures are smoothed as light is           */
    const char *normal;    /* in any space                                                           */
    const char *depth;     /* distances, of which ratios count; or                                   */
    const char *position;  /* places, in metres                                                      */
    const char *emission;  /* what light does not change; without it: colour where albedo is 0       */
    const char *reference; /* the same picture without noise                                         */
} buffer_paths;

/* What features are scaled for: light whose geometric mean is about this bright (Reinhard 2002). */
#define BUFFER_KEY 0.18f

/* Fills a frame, whose colours are multiplied by *exposure; 0 there is replaced by what brings the colours' geometric
 * mean to BUFFER_KEY. *reference [height, width, 3] is NULL without one. false: said why on stderr. */
bool buffers_load(const buffer_paths *paths, float *exposure, frame *f, float **reference);

/* color.pfm, albedo.pfm, .. in a folder; false: said why on stderr. */
bool buffers_save(const char *folder, const frame *f, const frame *reference);

#endif
