/* A renderer's own planes of floats - colour, albedo, normals, depth - from files.
 * SPDX-License-Identifier: MIT */
#ifndef DENOISE_PLANES_H
#define DENOISE_PLANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLANES_MOST (1u << 26) /* pixels that are read */

/* [height, width, channels], row by row from the top; channels is 1 or 3. */
typedef struct plane_file {
    uint32_t width, height, channels;
    float *values;
} plane_file;

/* What an 8-bit file means. */
typedef enum plane_kind {
    PLANE_COLOUR, /* PNG: sRGB, which becomes linear light. Below 0 counts as 0                    */
    PLANE_NORMAL, /* PNG: 0 .. 255 is -1 .. 1                                                      */
    PLANE_DEPTH,  /* PNG: the first channel. Infinite is where there is no surface, and is kept    */
    PLANE_PLACE,  /* PFM and EXR alone                                                             */
} plane_kind;

/* By the name's end: .pfm, .png or .exr. The result has three channels, depth one. Refused, by name: what is no such
 * file, or is damaged; other sizes than `width` x `height`, unless these are 0; and what is not finite. false: said why
 * on stderr. */
bool plane_load(const char *path, plane_kind kind, uint32_t width, uint32_t height, plane_file *f);
void plane_free(plane_file *f);

/* A line on stderr, with the program's and the file's names. Returns false. */
bool plane_refuse(const char *path, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;

#endif
