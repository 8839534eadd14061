/* PNG files (libpng).
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_PNG_FILE_H
#define COMMON_PNG_FILE_H

#include <stdbool.h>
#include <stdint.h>

/* Red, green, blue for each pixel, row by row from the top. false: said why on stderr. */
bool png_file_save(const char *path, uint32_t width, uint32_t height, const uint8_t *rgb);

/* *rgb is the caller's to free. Transparent pixels are in front of white. */
bool png_file_load(const char *path, uint32_t *width, uint32_t *height, uint8_t **rgb);

#endif
