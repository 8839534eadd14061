/* SPDX-License-Identifier: MIT */
#include "exr.h"

bool exr_load(const char *path, plane_file *f) {
    (void)f;
    return plane_refuse(path, "this build has no OpenEXR (3.1 or later; Debian: libopenexr-dev)");
}
