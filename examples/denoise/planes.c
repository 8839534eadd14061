/* SPDX-License-Identifier: MIT */
#include "planes.h"

#include "common/png_file.h"
#include "common/program.h"
#include "exr.h"
#include "pfm.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool plane_refuse(const char *path, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: %s: ", program_name, path);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

void plane_free(plane_file *f) {
    free(f->values);
    *f = (plane_file){0};
}

static float linear_of(uint8_t byte) {
    float x = (float)byte / 255;
    return x <= 0.04045f ? x / 12.92f : powf((x + 0.055f) / 1.055f, 2.4f);
}

static bool png_load(const char *path, plane_kind kind, plane_file *f) {
    uint8_t *rgb;
    if (kind == PLANE_PLACE) {
        return plane_refuse(path, "positions are floats: a PFM or EXR file");
    }
    if (!png_file_load(path, &f->width, &f->height, &rgb)) {
        return false;
    }
    size_t count = (size_t)f->width * f->height * 3;
    f->channels = 3;
    f->values = allocate(count, sizeof *f->values);
    for (size_t i = 0; i < count; i++) {
        float x = (float)rgb[i] / 255;
        f->values[i] = kind == PLANE_COLOUR ? linear_of(rgb[i]) : kind == PLANE_NORMAL ? 2 * x - 1 : x;
    }
    free(rgb);
    return true;
}

/* Three channels of one, or the first one of three. */
static void convert(plane_file *f, uint32_t channels) {
    size_t pixels = (size_t)f->width * f->height;
    float *values = allocate(pixels * channels, sizeof *values);
    for (size_t i = 0; i < pixels * channels; i++) {
        values[i] = f->values[i / channels * f->channels + (f->channels == 1 ? 0 : i % channels)];
    }
    free(f->values);
    f->values = values, f->channels = channels;
}

/* Negative colours come from filters and rounding: they are counted, and are 0. */
static bool check_values(const char *path, plane_kind kind, plane_file *f) {
    size_t count = (size_t)f->width * f->height * f->channels, below = 0;
    for (size_t i = 0; i < count; i++) {
        float *x = &f->values[i];
        size_t pixel = i / f->channels;
        if (isnan(*x) || (isinf(*x) && (kind != PLANE_DEPTH || *x < 0)) || (kind != PLANE_DEPTH && fabsf(*x) > 1e18f)) {
            return plane_refuse(path, "pixel %zu, %zu has the value %g", pixel % f->width, pixel / f->width,
                                (double)*x);
        }
        if (kind == PLANE_COLOUR && *x < 0) {
            *x = 0;
            below++;
        }
    }
    if (below) {
        plane_refuse(path, "%zu values are negative, and count as 0", below);
    }
    return true;
}

static bool load_any(const char *path, plane_kind kind, plane_file *f) {
    const char *end = strrchr(path, '.');
    if (end && strcmp(end, ".pfm") == 0) {
        return pfm_load(path, f);
    }
    if (end && strcmp(end, ".png") == 0) {
        return png_load(path, kind, f);
    }
    if (end && strcmp(end, ".exr") == 0) {
        return exr_load(path, f);
    }
    return plane_refuse(path, "the name must end in .pfm, .png or .exr");
}

bool plane_load(const char *path, plane_kind kind, uint32_t width, uint32_t height, plane_file *f) {
    *f = (plane_file){0};
    if (!load_any(path, kind, f)) {
        return false;
    }
    convert(f, kind == PLANE_DEPTH ? 1 : 3);
    if ((width && (f->width != width || f->height != height)) || (size_t)f->width * f->height > PLANES_MOST) {
        plane_refuse(path, "has %u x %u pixels, and not %u x %u", f->width, f->height, width, height);
    } else if (check_values(path, kind, f)) {
        return true;
    }
    plane_free(f);
    return false;
}
