/* SPDX-License-Identifier: MIT */
#include "exr_file.h"

#ifdef HAVE_OPENEXR
#    include <openexr.h>

/* ZIPS: each line is a chunk. */
static bool write_line(exr_context_t file, int32_t y, int32_t width, const float *rgb) {
    exr_chunk_info_t chunk;
    exr_encode_pipeline_t e = EXR_ENCODE_PIPELINE_INITIALIZER;
    bool ok = exr_write_scanline_chunk_info(file, 0, y, &chunk) == EXR_ERR_SUCCESS &&
              exr_encoding_initialize(file, 0, &chunk, &e) == EXR_ERR_SUCCESS;
    for (int i = 0; ok && i < e.channel_count; i++) {
        exr_coding_channel_info_t *c = &e.channels[i]; /* in alphabetical order: B, G, R */
        c->encode_from_ptr = (const uint8_t *)(rgb + (size_t)y * (size_t)width * 3 + (2 - i));
        c->user_bytes_per_element = sizeof(float);
        c->user_data_type = EXR_PIXEL_FLOAT;
        c->user_pixel_stride = 3 * sizeof(float);
        c->user_line_stride = 3 * width * (int32_t)sizeof(float);
    }
    ok = ok && exr_encoding_choose_default_routines(file, 0, &e) == EXR_ERR_SUCCESS &&
         exr_encoding_run(file, 0, &e) == EXR_ERR_SUCCESS;
    exr_encoding_destroy(file, &e);
    return ok;
}

bool exr_file_save(const char *path, int32_t width, int32_t height, const float *rgb) {
    static const char *const names[] = {"R", "G", "B"};
    exr_context_initializer_t settings = EXR_DEFAULT_CONTEXT_INITIALIZER;
    exr_context_t file;
    int part;
    if (exr_start_write(&file, path, EXR_WRITE_FILE_DIRECTLY, &settings) != EXR_ERR_SUCCESS) {
        return false;
    }
    bool ok = exr_add_part(file, "rgb", EXR_STORAGE_SCANLINE, &part) == EXR_ERR_SUCCESS &&
              exr_initialize_required_attr_simple(file, part, width, height, EXR_COMPRESSION_ZIPS) == EXR_ERR_SUCCESS;
    for (int i = 0; ok && i < 3; i++) {
        ok = exr_add_channel(file, part, names[i], EXR_PIXEL_FLOAT, EXR_PERCEPTUALLY_LINEAR, 1, 1) == EXR_ERR_SUCCESS;
    }
    ok = ok && exr_write_header(file) == EXR_ERR_SUCCESS;
    for (int32_t y = 0; ok && y < height; y++) {
        ok = write_line(file, y, width, rgb);
    }
    return exr_finish(&file) == EXR_ERR_SUCCESS && ok;
}
#else
bool exr_file_save(const char *path, int32_t width, int32_t height, const float *rgb) {
    (void)path, (void)width, (void)height, (void)rgb;
    return false;
}
#endif
