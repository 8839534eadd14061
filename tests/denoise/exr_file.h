/* EXR files to read, where OpenEXR is.
 * SPDX-License-Identifier: MIT */
#ifndef DENOISE_EXR_FILE_H
#define DENOISE_EXR_FILE_H

#include <stdbool.h>
#include <stdint.h>

/* rgb [height, width, 3] as floats, compressed. false: there is no OpenEXR, or it can't be written. */
bool exr_file_save(const char *path, int32_t width, int32_t height, const float *rgb);

#endif
