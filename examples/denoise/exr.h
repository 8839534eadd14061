/* OpenEXR files, where the library is there (OpenEXR's core in C, 3.1 or later).
 * SPDX-License-Identifier: MIT */
#ifndef DENOISE_EXR_H
#define DENOISE_EXR_H

#include "planes.h"

/* The first part's channels R, G and B; or X, Y and Z; or, of one channel, that one or Y. Without the library, and what
 * is no such file or has other channels: false, and said why on stderr. */
bool exr_load(const char *path, plane_file *f);

#endif
