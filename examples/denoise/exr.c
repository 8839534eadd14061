/* SPDX-License-Identifier: MIT */
#include "exr.h"

#include "common/program.h"

#include <openexr.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SIDE = 1 << 16 };

static void say_nothing(exr_const_context_t file, exr_result_t code, const char *message) {
    (void)file, (void)code, (void)message;
}

/* Which channel of a file goes where; -1: nowhere. */
typedef struct routes {
    uint32_t channels;
    int to[64];
} routes;

static int find(const exr_attr_chlist_t *list, const char *name) {
    for (int i = 0; i < list->num_channels; i++) {
        if (strcmp(list->entries[i].name.str, name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool route(const char *path, const exr_attr_chlist_t *list, routes *r) {
    static const char *const names[][3] = {{"R", "G", "B"}, {"X", "Y", "Z"}};
    memset(r->to, -1, sizeof r->to);
    if (list->num_channels > (int)(sizeof r->to / sizeof *r->to)) {
        return plane_refuse(path, "has %d channels", list->num_channels);
    }
    for (int i = 0; i < list->num_channels; i++) {
        if (list->entries[i].x_sampling != 1 || list->entries[i].y_sampling != 1) {
            return plane_refuse(path, "channel %s is sampled at some pixels only", list->entries[i].name.str);
        }
    }
    for (int set = 0; set < 2; set++) {
        int at[3] = {find(list, names[set][0]), find(list, names[set][1]), find(list, names[set][2])};
        if (at[0] >= 0 && at[1] >= 0 && at[2] >= 0) {
            r->channels = 3;
            r->to[at[0]] = 0, r->to[at[1]] = 1, r->to[at[2]] = 2;
            return true;
        }
    }
    int one = list->num_channels == 1 ? 0 : find(list, "Y");
    if (one < 0) {
        return plane_refuse(path, "has neither the channels R, G, B nor X, Y, Z, nor one alone");
    }
    r->channels = 1;
    r->to[one] = 0;
    return true;
}

/* One chunk of lines, which begins with line y of the picture. */
static exr_result_t read_chunk(exr_context_t file, int32_t top, int32_t y, exr_decode_pipeline_t *d, bool first,
                               const routes *r, plane_file *f) {
    exr_chunk_info_t chunk;
    exr_result_t result = exr_read_scanline_chunk_info(file, 0, top + y, &chunk);
    if (result == EXR_ERR_SUCCESS) {
        result = first ? exr_decoding_initialize(file, 0, &chunk, d) : exr_decoding_update(file, 0, &chunk, d);
    }
    if (result != EXR_ERR_SUCCESS) {
        return result;
    }
    if (d->channel_count > (int)(sizeof r->to / sizeof *r->to)) {
        return EXR_ERR_INVALID_ARGUMENT;
    }
    for (int i = 0; i < d->channel_count; i++) {
        exr_coding_channel_info_t *c = &d->channels[i];
        float *to = f->values + (size_t)y * f->width * f->channels;
        if (r->to[i] >= 0) { /* NULL: is skipped */
            c->decode_to_ptr = (uint8_t *)(to + r->to[i]);
        }
        c->user_bytes_per_element = sizeof(float);
        c->user_data_type = EXR_PIXEL_FLOAT;
        c->user_pixel_stride = (int32_t)(f->channels * sizeof(float));
        c->user_line_stride = (int32_t)(f->width * f->channels * sizeof(float));
    }
    result = first ? exr_decoding_choose_default_routines(file, 0, d) : result;
    return result == EXR_ERR_SUCCESS ? exr_decoding_run(file, 0, d) : result;
}

static bool read_lines(const char *path, exr_context_t file, int32_t top, const routes *r, plane_file *f) {
    exr_decode_pipeline_t d = EXR_DECODE_PIPELINE_INITIALIZER;
    int32_t lines = 0;
    exr_result_t result = exr_get_scanlines_per_chunk(file, 0, &lines);
    f->values = allocate((size_t)f->width * f->height * f->channels, sizeof *f->values);
    for (uint32_t y = 0; result == EXR_ERR_SUCCESS && lines > 0 && y < f->height; y += (uint32_t)lines) {
        result = read_chunk(file, top, (int32_t)y, &d, y == 0, r, f);
    }
    exr_decoding_destroy(file, &d);
    if (result == EXR_ERR_SUCCESS && lines > 0) {
        return true;
    }
    free(f->values);
    f->values = NULL;
    return plane_refuse(path, "%s", exr_get_default_error_message(result));
}

static bool read_part(const char *path, exr_context_t file, plane_file *f) {
    exr_storage_t storage;
    exr_attr_box2i_t window;
    const exr_attr_chlist_t *list;
    routes r;
    exr_result_t result = exr_get_storage(file, 0, &storage);
    result = result == EXR_ERR_SUCCESS ? exr_get_data_window(file, 0, &window) : result;
    result = result == EXR_ERR_SUCCESS ? exr_get_channels(file, 0, &list) : result;
    if (result != EXR_ERR_SUCCESS) {
        return plane_refuse(path, "%s", exr_get_default_error_message(result));
    }
    if (storage != EXR_STORAGE_SCANLINE) {
        return plane_refuse(path, "has tiles or deep pixels; only flat lines are read");
    }
    int64_t width = (int64_t)window.max.x - window.min.x + 1, height = (int64_t)window.max.y - window.min.y + 1;
    if (width < 1 || height < 1 || width > MOST_SIDE || height > MOST_SIDE || width * height > PLANES_MOST) {
        return plane_refuse(path, "has too many pixels, or none");
    }
    if (!route(path, list, &r)) {
        return false;
    }
    *f = (plane_file){(uint32_t)width, (uint32_t)height, r.channels, NULL};
    return read_lines(path, file, window.min.y, &r, f);
}

bool exr_load(const char *path, plane_file *f) {
    exr_context_initializer_t settings = EXR_DEFAULT_CONTEXT_INITIALIZER;
    settings.error_handler_fn = say_nothing;
    settings.max_image_width = settings.max_image_height = MOST_SIDE;
    exr_context_t file;
    exr_result_t result = exr_start_read(&file, path, &settings);
    if (result != EXR_ERR_SUCCESS) {
        return plane_refuse(path, "%s", exr_get_default_error_message(result));
    }
    bool ok = read_part(path, file, f);
    exr_finish(&file);
    return ok;
}
