/* PFM files: floats, of one channel or of red, green and blue (Debevec's format, as netpbm's pfmtopam and PBRT read
 * it). SPDX-License-Identifier: MIT */
#ifndef DENOISE_PFM_H
#define DENOISE_PFM_H

#include "planes.h"

/* What is cut short, too long, or has more than PLANES_MOST pixels is refused. false: said why on stderr. */
bool pfm_load(const char *path, plane_file *f);

/* values [height, width, channels], row by row from the top; channels is 1 or 3. */
bool pfm_save(const char *path, uint32_t width, uint32_t height, uint32_t channels, const float *values);

#endif
