/* SPDX-License-Identifier: MIT */
#include "buffers.h"

#include "common/program.h"
#include "pfm.h"
#include "planes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LEAST_ALBEDO (1.0f / 256) /* of a surface: what is darker all over shines by itself, or is nothing */
#define DEPTHS       5.0f         /* metres that a difference of e times in depth counts like              */

static size_t pixel_count(const frame *f) {
    return (size_t)f->width * f->height;
}

/* `otherwise` for all where there is no file. */
static bool load(const char *path, plane_kind kind, const frame *f, float otherwise, float **values) {
    size_t count = pixel_count(f) * (kind == PLANE_DEPTH ? 1 : 3);
    if (path) {
        plane_file file;
        bool ok = plane_load(path, kind, f->width, f->height, &file);
        *values = file.values;
        return ok;
    }
    *values = allocate(count, sizeof **values);
    for (size_t i = 0; i < count; i++) {
        (*values)[i] = otherwise;
    }
    return true;
}

/* The geometric mean of what is not black. */
static float exposure_of(const frame *f) {
    double sum = 0;
    size_t lit = 0;
    for (size_t i = 0; i < pixel_count(f); i++) {
        const float *c = f->radiance + 3 * i;
        float luminance = 0.2126f * c[0] + 0.7152f * c[1] + 0.0722f * c[2];
        if (luminance > 1e-12f) {
            sum += log((double)luminance);
            lit++;
        }
    }
    return lit ? (float)(BUFFER_KEY / exp(sum / (double)lit)) : 1;
}

static void scale(float *values, size_t count, float factor) {
    for (size_t i = 0; i < count; i++) {
        values[i] *= factor;
    }
}

/* Colours become what shines by itself, and albedo times light. */
static void divide(frame *f, bool has_emission) {
    for (size_t i = 0; i < pixel_count(f); i++) {
        float *albedo = f->albedo + 3 * i, *emission = f->emission + 3 * i;
        bool surface = fmaxf(albedo[0], fmaxf(albedo[1], albedo[2])) >= LEAST_ALBEDO;
        for (size_t c = 0; c < 3; c++) {
            size_t at = 3 * i + c;
            if (!surface) {
                albedo[c] = 0;
                emission[c] = has_emission ? emission[c] : f->radiance[at];
            } else {
                albedo[c] = fmaxf(albedo[c], LEAST_ALBEDO);
                f->light[at] = fmaxf(0, f->radiance[at] - emission[c]) / albedo[c];
            }
        }
    }
}

/* Ratios of depths count: their logarithms lie as far apart as places do. Where there is no surface is behind all
 * others. */
static void place_depths(frame *f, const float *depth) {
    float most = 0, least = INFINITY;
    for (size_t i = 0; i < pixel_count(f); i++) {
        if (depth[i] > 0 && isfinite(depth[i])) {
            most = fmaxf(most, depth[i]);
            least = fminf(least, depth[i]);
        }
    }
    for (size_t i = 0; i < pixel_count(f); i++) {
        float d = isinf(depth[i]) ? 2 * most : fmaxf(depth[i], least);
        f->place[3 * i] = most > 0 && isfinite(d) ? DEPTHS * logf(d / least) : 0;
    }
}

static bool load_places(const buffer_paths *paths, frame *f) {
    float *depth = NULL;
    bool ok = load(paths->position, PLANE_PLACE, f, 0, &f->place);
    if (ok && paths->depth && !paths->position) {
        ok = load(paths->depth, PLANE_DEPTH, f, 0, &depth);
        if (ok) {
            place_depths(f, depth);
        }
    }
    free(depth);
    return ok;
}

bool buffers_load(const buffer_paths *paths, float *exposure, frame *f, float **reference) {
    plane_file color;
    *f = (frame){0};
    *reference = NULL;
    if (!plane_load(paths->color, PLANE_COLOUR, 0, 0, &color)) {
        return false;
    }
    f->width = color.width, f->height = color.height, f->radiance = color.values;
    f->light = allocate(pixel_count(f) * 3, sizeof *f->light);
    bool ok = load(paths->albedo, PLANE_COLOUR, f, 1, &f->albedo) &&
              load(paths->normal, PLANE_NORMAL, f, 0, &f->normal) &&
              load(paths->emission, PLANE_COLOUR, f, 0, &f->emission) && load_places(paths, f) &&
              (paths->reference == NULL || load(paths->reference, PLANE_COLOUR, f, 0, reference));
    if (!ok) {
        free(*reference);
        frame_free(f);
        return false;
    }
    *exposure = *exposure > 0 ? *exposure : exposure_of(f);
    scale(f->radiance, pixel_count(f) * 3, *exposure);
    scale(f->emission, pixel_count(f) * 3, *exposure);
    if (*reference) {
        scale(*reference, pixel_count(f) * 3, *exposure);
    }
    divide(f, paths->emission != NULL);
    return true;
}

bool buffers_save(const char *folder, const frame *f, const frame *reference) {
    const struct {
        const char *name;
        uint32_t channels;
        const float *values;
    } all[] = {{"color", 3, f->radiance},
               {"albedo", 3, f->albedo},
               {"normal", 3, f->normal},
               {"depth", 1, f->depth},
               {"position", 3, f->place},
               {"emission", 3, f->emission},
               {"reference", 3, reference->radiance}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[4096];
        if (snprintf(path, sizeof path, "%s/%s.pfm", folder, all[i].name) >= (int)sizeof path) {
            return plane_refuse(folder, "the path is too long");
        }
        if (!pfm_save(path, f->width, f->height, all[i].channels, all[i].values)) {
            return false;
        }
    }
    return true;
}
