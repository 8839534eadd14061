/* Writing safetensors.
 * SPDX-License-Identifier: MIT */
#include "safetensors.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char item[] = "vka_safetensors_write";

static vka_status check(const vka_log *log, const vka_safetensor *t, uint32_t index) {
    uint64_t need;
    const safetensors_type *type = safetensors_type_of(t->dtype);
    if (!t->name || !strcmp(t->name, "__metadata__") || !json_is_utf8(t->name))
        return safetensors_refuse(log, item, "tensor %u: needs a name in UTF-8, and not __metadata__", index);
    if (!type)
        return safetensors_refuse(log, item, "%s: its dtype is none of the format", t->name);
    if (t->rank > SAFETENSORS_MAX_RANK)
        return safetensors_refuse(log, item, "%s: has %u dimensions, at most %d", t->name, t->rank,
                                  SAFETENSORS_MAX_RANK);
    for (uint32_t i = 0; i < t->rank; ++i)
        if (t->shape[i] >= SAFETENSORS_MAX_NUMBER)
            return safetensors_refuse(log, item, "%s: shape[%u] is %llu, but must be below 2^53", t->name, i,
                                      (unsigned long long)t->shape[i]);
    if (!safetensors_bytes(type, t->rank, t->shape, &need) || need != t->bytes || (!t->data && need))
        return safetensors_refuse(log, item, "%s: has %llu bytes, which are not those of its shape and %s", t->name,
                                  (unsigned long long)t->bytes, type->name);
    return VKA_OK;
}

static vka_status check_metadata(const vka_log *log, const char *const (*metadata)[2], uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
        const char *const *m = metadata[i];
        if (!m[0] || !m[1] || !json_is_utf8(m[0]) || !json_is_utf8(m[1]))
            return safetensors_refuse(log, item, "metadata %u: must have a key and a text, both in UTF-8", i);
        for (uint32_t j = 0; j < i; ++j)
            if (!strcmp(metadata[j][0], m[0]))
                return safetensors_refuse(log, item, "metadata: %s is there twice", m[0]);
    }
    return VKA_OK;
}

static bool add_number(cJSON *array, uint64_t n) {
    cJSON *number = cJSON_CreateNumber((double)n);
    return cJSON_AddItemToArray(array, number);
}

static bool add_tensor(cJSON *header, const vka_safetensor *t, uint64_t begin) {
    cJSON *o = cJSON_AddObjectToObject(header, t->name);
    bool ok = cJSON_AddStringToObject(o, "dtype", safetensors_type_of(t->dtype)->name);
    cJSON *shape = cJSON_AddArrayToObject(o, "shape"), *offsets = cJSON_AddArrayToObject(o, "data_offsets");
    for (uint32_t i = 0; i < t->rank; ++i)
        ok = add_number(shape, t->shape[i]) && ok;
    return add_number(offsets, begin) && add_number(offsets, begin + t->bytes) && shape && ok;
}

static bool add_metadata(cJSON *header, const char *const (*metadata)[2], uint32_t count) {
    cJSON *texts = count ? cJSON_AddObjectToObject(header, "__metadata__") : NULL;
    bool ok = !count || texts;
    for (uint32_t i = 0; i < count; ++i)
        ok = cJSON_AddStringToObject(texts, metadata[i][0], metadata[i][1]) && ok;
    return ok;
}

/* The header as text; NULL: no memory, or a name is there twice (*twice). */
static char *header_text(const vka_safetensor *tensors, uint32_t count, const char *const (*metadata)[2],
                         uint32_t metadata_count, const char **twice) {
    cJSON *header = cJSON_CreateObject();
    uint64_t at = 0;
    bool ok = header && add_metadata(header, metadata, metadata_count);
    *twice = NULL;
    for (uint32_t i = 0; i < count && ok; ++i) {
        *twice = cJSON_GetObjectItemCaseSensitive(header, tensors[i].name) ? tensors[i].name : NULL;
        ok = !*twice && add_tensor(header, &tensors[i], at);
        at += tensors[i].bytes;
    }
    char *text = ok ? cJSON_PrintUnformatted(header) : NULL;
    cJSON_Delete(header);
    return text;
}

static bool put(FILE *file, const void *data, uint64_t bytes) {
    return !bytes || fwrite(data, 1, (size_t)bytes, file) == bytes;
}

/* Blanks behind the header align what follows it. */
static bool write_all(FILE *file, const char *header, const vka_safetensor *tensors, uint32_t count) {
    uint64_t length = strlen(header), padded = (length + 7) / 8 * 8;
    unsigned char size[8];
    for (int i = 0; i < 8; ++i)
        size[i] = (unsigned char)(padded >> 8 * i);
    bool ok = put(file, size, sizeof size) && put(file, header, length) && put(file, "        ", padded - length);
    for (uint32_t i = 0; i < count && ok; ++i)
        ok = put(file, tensors[i].data, tensors[i].bytes);
    return ok;
}

/* Beside the file, so that it takes its place at once. */
static vka_status write_file(const char *path, const char *header, const vka_safetensor *tensors, uint32_t count,
                             const vka_log *log) {
    if (map_is_special(path))
        return safetensors_refuse(log, "vka_safetensors_write.path", "%s: is there, and no file", path);
    size_t length = strlen(path) + 8;
    char *beside = malloc(length);
    if (!beside)
        return safetensors_no_memory(log, item);
    snprintf(beside, length, "%s.part", path);
    errno = 0;
    FILE *file = fopen(beside, "wb");
    bool ok = file && write_all(file, header, tensors, count);
    if (file && fclose(file) != 0)
        ok = false;
    if (ok)
        ok = map_replace(beside, path);
    int error = errno;
    if (!ok && file)
        remove(beside);
    free(beside);
    return ok ? VKA_OK : safetensors_refuse(log, "vka_safetensors_write.path", "%s: %s", path, strerror(error));
}

vka_status vka_safetensors_write(const char *path, const vka_safetensor *tensors, uint32_t count,
                                 const char *const (*metadata)[2], uint32_t metadata_count, const vka_log *log) {
    const char *twice;
    if (!path || (!tensors && count) || (!metadata && metadata_count))
        return safetensors_refuse(log, item, "%s must not be NULL", !path ? "path" : !tensors ? "tensors" : "metadata");
    vka_status status = check_metadata(log, metadata, metadata_count);
    for (uint32_t i = 0; i < count && status == VKA_OK; ++i)
        status = check(log, &tensors[i], i);
    if (status != VKA_OK)
        return status;
    char *header = header_text(tensors, count, metadata, metadata_count, &twice);
    if (!header)
        return twice ? safetensors_refuse(log, item, "%s: is there twice", twice) : safetensors_no_memory(log, item);
    status = write_file(path, header, tensors, count, log);
    cJSON_free(header);
    return status;
}
