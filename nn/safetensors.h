/* What reading and writing safetensors share.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_NN_SAFETENSORS_H
#define VKA_NN_SAFETENSORS_H

#include <vkattn/safetensors.h>

#include "../src/core/format.h"

#define SAFETENSORS_MAX_RANK   8
#define SAFETENSORS_MAX_HEADER 100000000u

/* An element type of the format. */
typedef struct safetensors_type {
    const char *name;
    uint32_t bits;
    vka_dtype dtype;
} safetensors_type;

/* NULL: there is none. */
const safetensors_type *safetensors_type_named(const char *name);
const safetensors_type *safetensors_type_of(vka_dtype dtype);
/* Bytes of a dense tensor; false: they are no whole number, or beyond 64 bits. */
bool safetensors_bytes(const safetensors_type *type, uint32_t rank, const uint64_t *shape, uint64_t *bytes);

/* Logs "item: .." and returns VKA_INVALID. */
vka_status safetensors_refuse(const vka_log *log, const char *item, const char *format, ...) VKA_PRINTF(3, 4);
vka_status safetensors_no_memory(const vka_log *log, const char *item);

/* Whole numbers of JSON, which are doubles, are exact below this. */
#define SAFETENSORS_MAX_NUMBER 9007199254740992u

/* json.c: is the text JSON and nothing else, in UTF-8, without NULs? And a name UTF-8? */
bool json_is_strict(const char *json, size_t length);
bool json_is_utf8(const char *name);

/* map.c: a whole file in memory; false: errno says why. */
typedef struct mapped_file {
    const void *data;
    uint64_t bytes;
} mapped_file;
bool map_file(const char *path, mapped_file *file);
/* Is there something that is no file of bytes: a device, a pipe, a folder? */
bool map_is_special(const char *path);
void unmap_file(mapped_file *file);
/* The file `by` becomes `path`, which may be there; false: errno says why not. */
bool map_replace(const char *by, const char *path);

#endif
