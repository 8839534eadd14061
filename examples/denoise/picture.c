/* Pictures, PNG files, noise and PSNR.
 * SPDX-License-Identifier: MIT */
#include "picture.h"

#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fprintf(stderr, "denoise: out of memory\n");
        exit(1);
    }
    return memory;
}

picture picture_create(uint32_t width, uint32_t height) {
    return (picture){width, height, allocate((size_t)width * height * 3, sizeof(float))};
}

void picture_free(picture *p) {
    free(p->rgb);
    *p = (picture){0};
}

static size_t value_count(const picture *p) {
    return (size_t)p->width * p->height * 3;
}

static float clamp01(float x) {
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

bool picture_load(const char *path, picture *p) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&image, path)) {
        fprintf(stderr, "denoise: %s: %s\n", path, image.message);
        return false;
    }
    image.format = PNG_FORMAT_RGB;
    png_byte *bytes = allocate(PNG_IMAGE_SIZE(image), 1);
    png_color white = {255, 255, 255}; /* what shows through transparent pixels */
    bool ok = png_image_finish_read(&image, &white, bytes, 0, NULL) != 0;
    if (ok) {
        *p = picture_create(image.width, image.height);
        for (size_t i = 0; i < value_count(p); i++) {
            p->rgb[i] = (float)bytes[i] / 255;
        }
    } else {
        fprintf(stderr, "denoise: %s: %s\n", path, image.message);
    }
    free(bytes);
    return ok;
}

bool picture_save(const char *directory, const char *name, const picture *p) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
        fprintf(stderr, "denoise: %s: the path is too long\n", directory);
        return false;
    }
    png_image image = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB, .width = p->width, .height = p->height};
    png_byte *bytes = allocate(value_count(p), 1);
    for (size_t i = 0; i < value_count(p); i++) {
        bytes[i] = (png_byte)lrintf(clamp01(p->rgb[i]) * 255);
    }
    bool ok = png_image_write_to_file(&image, path, 0, bytes, 0, NULL) != 0;
    if (!ok) {
        fprintf(stderr, "denoise: %s: %s\n", path, image.message);
    }
    free(bytes);
    return ok;
}

picture picture_add_noise(const picture *p, float sigma, uint32_t seed) {
    picture noisy = picture_create(p->width, p->height);
    for (size_t i = 0; i < value_count(p); i++) {
        uint32_t at = hash32(seed) + 2 * (uint32_t)i;
        float radius = sqrtf(-2 * logf(1 - uniform01(at))); /* Box and Muller 1958 */
        noisy.rgb[i] = p->rgb[i] + sigma * radius * cosf(6.2831853f * uniform01(at + 1));
    }
    return noisy;
}

double picture_psnr(const picture *p, const picture *clean) {
    double sum = 0;
    for (size_t i = 0; i < value_count(p); i++) {
        double e = (double)clamp01(p->rgb[i]) - (double)clamp01(clean->rgb[i]);
        sum += e * e;
    }
    return -10 * log10(sum / (double)value_count(p));
}

uint32_t hash32(uint32_t x) {
    uint32_t state = x * 747796405u + 2891336453u;
    uint32_t word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737u;
    return (word >> 22) ^ word;
}

float uniform01(uint32_t x) {
    return (float)(hash32(x) >> 8) * 0x1p-24f;
}
