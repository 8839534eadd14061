/* Pictures, their files, noise and PSNR.
 * SPDX-License-Identifier: MIT */
#include "picture.h"

#include "common/png_file.h"
#include "common/program.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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
    uint32_t width, height;
    uint8_t *bytes;
    if (!png_file_load(path, &width, &height, &bytes)) {
        return false;
    }
    *p = picture_create(width, height);
    for (size_t i = 0; i < value_count(p); i++) {
        p->rgb[i] = (float)bytes[i] / 255;
    }
    free(bytes);
    return true;
}

bool picture_save(const char *directory, const char *name, const picture *p) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
        fprintf(stderr, "denoise: %s: the path is too long\n", directory);
        return false;
    }
    uint8_t *bytes = allocate(value_count(p), 1);
    for (size_t i = 0; i < value_count(p); i++) {
        bytes[i] = (uint8_t)lrintf(clamp01(p->rgb[i]) * 255);
    }
    bool ok = png_file_save(path, p->width, p->height, bytes);
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
