/* Pictures as the denoiser sees them, and their files.
 * SPDX-License-Identifier: MIT */
#ifndef DENOISE_PICTURE_H
#define DENOISE_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Red, green, blue for each pixel, row by row from the top, as displayed (sRGB), 0 .. 1; noise may leave that range. */
typedef struct picture {
    uint32_t width, height;
    float *rgb;
} picture;

picture picture_create(uint32_t width, uint32_t height);
void picture_free(picture *p);

/* PNG files. false: said why on stderr. */
bool picture_load(const char *path, picture *p);
bool picture_save(const char *directory, const char *name, const picture *p);

/* A copy with Gaussian noise of this standard deviation, the same for the same seed. */
picture picture_add_noise(const picture *p, float sigma, uint32_t seed);

/* Peak signal-to-noise ratio in dB, of what the files would show: clamped to 0 .. 1. */
double picture_psnr(const picture *p, const picture *clean);

/* Hash to a uniform number, 0 <= x < 1 (PCG, O'Neill 2014, as a hash: Jarzynski and Olano 2020). */
uint32_t hash32(uint32_t x);
float uniform01(uint32_t x);

#endif
