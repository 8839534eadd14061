/* Features per pixel, each divided by the difference that shall cost a factor e of weight.
 * SPDX-License-Identifier: MIT
 *
 * The divisors were found by trying: the best PSNR on the built-in scene; for pictures, on that scene and on
 * photographs. */
#include "guides.h"

#include <math.h>

/* Rendered frames. Surfaces that differ in one of these don't share their light. */
#define FRAME_PIXELS 4.0f  /* distance in the picture: the reach */
#define FRAME_NORMAL 0.8f  /* 1.4 is a right angle */
#define FRAME_ALBEDO 0.8f  /* 0 .. 1 */
#define FRAME_PLACE  0.5f  /* metres */
#define FRAME_LIGHT  0.15f /* root mean square over the patch, of the square root of light: keeps shadows apart */

/* Pictures. */
#define PICTURE_PIXELS 8.0f
#define PICTURE_SIGMAS 5.0f /* a patch differs from a noisy copy of itself by sqrt(2 * 27) = 7.3 sigmas */

enum { PATCH = 3, PATCH_PIXELS = PATCH * PATCH };

/* Number i of the pixels around (x, y), moved inwards at the borders. */
static size_t neighbour(const guide *g, uint32_t x, uint32_t y, int i) {
    int64_t nx = (int64_t)x + i % PATCH - PATCH / 2, ny = (int64_t)y + i / PATCH - PATCH / 2;
    nx = nx < 0 ? 0 : nx >= g->width ? g->width - 1 : nx;
    ny = ny < 0 ? 0 : ny >= g->height ? g->height - 1 : ny;
    return (size_t)(ny * g->width + nx);
}

/* Brightness as the eye has it, roughly: noise is as large in light as in shadow. */
static float brightness(const float *light) {
    return sqrtf(0.2126f * light[0] + 0.7152f * light[1] + 0.0722f * light[2]);
}

static float *put3(float *to, const float *from, size_t pixel, float divisor) {
    for (size_t c = 0; c < 3; c++) {
        *to++ = from[3 * pixel + c] / divisor;
    }
    return to;
}

guide guide_of_frame(const frame *f) {
    guide g = guide_create(f->width, f->height, 3 * 3 + PATCH_PIXELS, FRAME_PIXELS);
    float *to = g.features;
    for (uint32_t y = 0; y < g.height; y++) {
        for (uint32_t x = 0; x < g.width; x++) {
            size_t pixel = (size_t)y * g.width + x;
            to = put3(to, f->normal, pixel, FRAME_NORMAL);
            to = put3(to, f->albedo, pixel, FRAME_ALBEDO);
            to = put3(to, f->place, pixel, FRAME_PLACE);
            for (int i = 0; i < PATCH_PIXELS; i++) {
                *to++ = brightness(f->light + 3 * neighbour(&g, x, y, i)) / (FRAME_LIGHT * PATCH);
            }
        }
    }
    return g;
}

guide guide_of_picture(const picture *noisy, float sigma) {
    guide g = guide_create(noisy->width, noisy->height, 3 * PATCH_PIXELS, PICTURE_PIXELS);
    float *to = g.features;
    for (uint32_t y = 0; y < g.height; y++) {
        for (uint32_t x = 0; x < g.width; x++) {
            for (int i = 0; i < PATCH_PIXELS; i++) {
                to = put3(to, noisy->rgb, neighbour(&g, x, y, i), PICTURE_SIGMAS * sigma);
            }
        }
    }
    return g;
}
