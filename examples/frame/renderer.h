/* Frames: what is in flight, what is drawn, and how long it took.
 * SPDX-License-Identifier: MIT */
#ifndef FRAME_RENDERER_H
#define FRAME_RENDERER_H

#include "frame/flock.h"
#include "frame/overlay.h"
#include "frame/screen.h"

/* Timestamps of a frame. */
enum { BEFORE_ATTENTION, AFTER_ATTENTION, AFTER_DRAWING, TIMESTAMPS };

/* All that a frame needs until its fence has signalled. */
typedef struct slot {
    VkCommandBuffer commands;
    VkFence fence;
    VkSemaphore acquired;
    VkQueryPool queries;
    vka_recorder *recorder;
    memory boxes;
    VkDescriptorSet set;
    uint64_t work; /* of the attention in it */
    bool used;     /* its timestamps were written */
} slot;

typedef struct renderer {
    screen screen;
    flock flock;
    slot slots[IN_FLIGHT];
    VkPipeline points, boxes;
    uint32_t frame;
    timing history[HISTORY];
    double work_per_ms; /* of attention, as measured; 0: not yet */
} renderer;

/* How much attention a frame may have. */
typedef struct limits {
    float milliseconds; /* 0: no limit                                   */
    uint32_t slices;    /* frames that a step takes, instead; 0: no number */
} limits;

void renderer_open(renderer *r, const gpu *g, uint32_t points, uint32_t width, uint32_t height);
void renderer_close(renderer *r, const gpu *g);

/* Draws a frame. VK_SUCCESS; VK_NOT_READY: the window has no area; VK_ERROR_DEVICE_LOST. `picture`: where to write it
 * as a PNG file, or NULL; `lose`: act as if the device got lost. */
VkResult renderer_frame(renderer *r, const gpu *g, const limits *l, uint32_t width, uint32_t height, bool resized,
                        bool lose, const char *picture);

#endif
