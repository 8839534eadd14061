/* SPDX-License-Identifier: MIT */
#include "png_file.h"

#include "program.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_PIXELS (1u << 28) /* of a file that is read */

static bool say_why(const char *path, const png_image *image) {
    fprintf(stderr, "%s: %s: %s\n", program_name, path, image->message);
    return false;
}

bool png_file_save(const char *path, uint32_t width, uint32_t height, const uint8_t *rgb) {
    png_image image = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB, .width = width, .height = height};
    return png_image_write_to_file(&image, path, 0, rgb, 0, NULL) != 0 || say_why(path, &image);
}

bool png_file_load(const char *path, uint32_t *width, uint32_t *height, uint8_t **rgb) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&image, path)) {
        return say_why(path, &image);
    }
    image.format = PNG_FORMAT_RGB;
    if ((uint64_t)image.width * image.height > MOST_PIXELS) {
        fprintf(stderr, "%s: %s: has %u x %u pixels\n", program_name, path, image.width, image.height);
        png_image_free(&image);
        return false;
    }
    png_byte *bytes = allocate(PNG_IMAGE_SIZE(image), 1);
    if (!png_image_finish_read(&image, &(png_color){255, 255, 255}, bytes, 0, NULL)) {
        free(bytes);
        return say_why(path, &image);
    }
    *width = image.width, *height = image.height, *rgb = bytes;
    return true;
}

uint8_t *png_file_encode(uint32_t width, uint32_t height, uint32_t channels, const uint8_t *pixels, size_t *size) {
    png_image image = {.version = PNG_IMAGE_VERSION, .width = width, .height = height};
    image.format = channels == 4 ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
    png_alloc_size_t bytes = 0;
    uint8_t *file = NULL;
    if (png_image_write_to_memory(&image, NULL, &bytes, 0, pixels, 0, NULL)) {
        file = allocate(bytes, 1);
        if (png_image_write_to_memory(&image, file, &bytes, 0, pixels, 0, NULL)) {
            *size = bytes;
            return file;
        }
    }
    free(file);
    say_why("a picture", &image);
    return NULL;
}
