/* A small path tracer: the source of noise.
 * SPDX-License-Identifier: MIT */
#ifndef DENOISE_SCENE_H
#define DENOISE_SCENE_H

#include "picture.h"

/* What a renderer knows about each pixel: means over its samples, three floats each, row by row from the top.
 *
 * The light that reaches the eye is radiance = emission + albedo * light. Only `light` takes long paths to find out and
 * is noisy. The rest comes from where a path first meets a diffuse surface, be it in a mirror: that is cheap. */
typedef struct frame {
    uint32_t width, height;
    float *radiance; /* the picture, linear                                         */
    float *emission; /* sky                                                         */
    float *light;    /* what falls on the surface: the picture without its textures */
    float *albedo;   /* the surface's colour                                        */
    float *normal;
    float *place; /* position in the world                    */
    float *depth; /* how far from the eye that is, one float each */
} frame;

/* Renders the built-in scene, always with the same noise for the same arguments. `paths` samples per pixel are lit;
 * `guides` samples, at least as many, are taken for everything but radiance and light. */
frame scene_render(uint32_t width, uint32_t height, uint32_t paths, uint32_t guides);
void frame_free(frame *f);

/* Linear light to displayed colour, one channel. */
float display(float linear);

#endif
