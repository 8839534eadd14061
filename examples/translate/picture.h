/* Alignments as heat maps: a row for each character that was written, a column for each one that was read.
 * SPDX-License-Identifier: MIT */
#ifndef TRANSLATE_PICTURE_H
#define TRANSLATE_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct picture_map {
    const char *columns, *rows; /* characters                                       */
    const float *shares;        /* of rows x columns, 0 .. 1, a row behind the other */
    uint32_t stride;            /* from one row to the next                         */
} picture_map;

/* Maps of as many rows, side by side and in lines, as PNG. false: said why on stderr. */
bool picture_save(const char *path, const picture_map *maps, uint32_t count);

#endif
