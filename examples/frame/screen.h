/* The window's images: a swapchain that is made anew when the window changes, and pictures of it.
 * SPDX-License-Identifier: MIT */
#ifndef FRAME_SCREEN_H
#define FRAME_SCREEN_H

#include "frame/gpu.h"

enum { MAX_IMAGES = 8 };

typedef struct screen {
    VkFormat format;
    VkRenderPass pass;
    VkExtent2D size;
    VkSwapchainKHR chain; /* VK_NULL_HANDLE: the window has no area */
    uint32_t count;
    VkImage images[MAX_IMAGES];
    VkImageView views[MAX_IMAGES];
    VkFramebuffer framebuffers[MAX_IMAGES];
    VkSemaphore drawn[MAX_IMAGES];
} screen;

void screen_open(screen *s, const gpu *g);
void screen_close(screen *s, const gpu *g);
/* Images of the window's size, `width` x `height` where the window leaves it to us. VK_SUCCESS, or that the device is
 * lost. */
VkResult screen_resize(screen *s, const gpu *g, uint32_t width, uint32_t height);

void screen_begin_pass(const screen *s, VkCommandBuffer commands, uint32_t image);
/* Copies an image that was drawn to mapped memory of 4 bytes a pixel. */
void screen_copy(const screen *s, VkCommandBuffer commands, uint32_t image, const memory *to);
/* Writes what was copied as a PNG file; false: said why. */
bool screen_save(const screen *s, const memory *from, const char *path);

#endif
