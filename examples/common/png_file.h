/* PNG files (libpng).
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_PNG_FILE_H
#define COMMON_PNG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Red, green, blue for each pixel, row by row from the top. false: said why on stderr. */
bool png_file_save(const char *path, uint32_t width, uint32_t height, const uint8_t *rgb);

/* *rgb is the caller's to free. Transparent pixels are in front of white. */
bool png_file_load(const char *path, uint32_t *width, uint32_t *height, uint8_t **rgb);

/* The bytes of such a file, the caller's to free; of 4 channels the last is opacity. NULL: said why on stderr. */
uint8_t *png_file_encode(uint32_t width, uint32_t height, uint32_t channels, const uint8_t *pixels, size_t *size);

#endif
