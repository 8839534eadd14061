/* SPDX-License-Identifier: MIT */
#include "pfm.h"

#include "common/program.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 128 /* bytes that a header may have */ };

static bool is_little(void) {
    return *(const uint8_t *)&(uint16_t){1} == 1;
}

static float value_at(const uint8_t *b, bool little, float scale) {
    uint8_t own[4] = {b[0], b[1], b[2], b[3]};
    if (little != is_little()) {
        own[0] = b[3], own[1] = b[2], own[2] = b[1], own[3] = b[0];
    }
    float x;
    memcpy(&x, own, sizeof x);
    return x * scale;
}

/* "PF" or "Pf", width, height, and a scale whose sign says in which order bytes are. Returns where the numbers begin,
 * or 0. */
static size_t read_header(const char *path, const uint8_t *bytes, size_t size, plane_file *f, float *scale) {
    char text[HEADER + 1] = "", letter = 0;
    int used = 0;
    unsigned long width = 0, height = 0;
    memcpy(text, bytes, size < HEADER ? size : HEADER);
    if (sscanf(text, "P%c %8lu %8lu %f%n", &letter, &width, &height, scale, &used) != 4 ||
        (letter != 'F' && letter != 'f') || used >= HEADER ||
        (text[used] != '\n' && text[used] != '\r' && text[used] != ' ')) {
        return plane_refuse(path, "is not a PFM file");
    }
    if (!isfinite(*scale) || *scale == 0) {
        return plane_refuse(path, "has a scale of %g", (double)*scale);
    }
    if (width == 0 || height == 0 || width > PLANES_MOST / height) {
        return plane_refuse(path, "has %lu x %lu pixels; 1 to %u are read", width, height, PLANES_MOST);
    }
    f->width = (uint32_t)width, f->height = (uint32_t)height, f->channels = letter == 'F' ? 3 : 1;
    return (size_t)used + 1 + (text[used] == '\r' && text[used + 1] == '\n');
}

static bool parse(const char *path, const uint8_t *bytes, size_t size, plane_file *f) {
    float scale = 0;
    size_t start = read_header(path, bytes, size, f, &scale), row = (size_t)f->width * f->channels;
    if (start == 0) {
        return false;
    }
    if (size < start || size - start != row * f->height * 4) {
        return plane_refuse(path, "has %zu bytes, but %u x %u pixels of %u channels take %zu", size, f->width,
                            f->height, f->channels, start + row * f->height * 4);
    }
    f->values = allocate(row * f->height, sizeof *f->values);
    for (size_t i = 0; i < row * f->height; i++) { /* from the bottom */
        f->values[(f->height - 1 - i / row) * row + i % row] = value_at(bytes + start + 4 * i, scale < 0, fabsf(scale));
    }
    return true;
}

bool pfm_load(const char *path, plane_file *f) {
    static const size_t most = HEADER + (size_t)PLANES_MOST * 3 * sizeof(float);
    FILE *file = fopen(path, "rb");
    long size = -1;
    *f = (plane_file){0};
    if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0) {
        rewind(file);
    }
    if (size < 0 || (size_t)size > most) {
        plane_refuse(path, "%s", size < 0 ? strerror(errno) : "is too large");
        if (file) {
            fclose(file);
        }
        return false;
    }
    uint8_t *bytes = allocate((size_t)size + 1, 1);
    bool ok = fread(bytes, 1, (size_t)size, file) == (size_t)size || plane_refuse(path, "can't be read");
    fclose(file);
    ok = ok && parse(path, bytes, (size_t)size, f);
    free(bytes);
    return ok;
}

bool pfm_save(const char *path, uint32_t width, uint32_t height, uint32_t channels, const float *values) {
    FILE *file = fopen(path, "wb");
    size_t row = (size_t)width * channels, written = 0;
    if (file == NULL) {
        return plane_refuse(path, "%s", strerror(errno));
    }
    fprintf(file, "P%c\n%u %u\n%d\n", channels == 3 ? 'F' : 'f', width, height, is_little() ? -1 : 1);
    for (uint32_t y = height; y-- > 0;) {
        written += fwrite(values + y * row, sizeof *values, row, file);
    }
    bool closed = fclose(file) == 0;
    return (closed && written == row * height) || plane_refuse(path, "can't be written");
}
