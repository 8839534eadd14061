/* Reading safetensors: eight bytes with the length of a header, the header in JSON, the tensors' bytes without gaps.
 * SPDX-License-Identifier: MIT */
#include "safetensors.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vka_safetensors {
    mapped_file file; /* of vka_safetensors_open */
    cJSON *header;    /* has the names           */
    vka_safetensor *tensors;
    const vka_safetensor **by_name;
    uint32_t count;
};

/* ---- types --------------------------------------------------------------------------------------------------------- */

static const safetensors_type types[] = {
    {"F32", 32, VKA_F32},         {"F16", 16, VKA_F16},         {"BF16", 16, VKA_BF16},
    {"U8", 8, VKA_U8},            {"I8", 8, VKA_I8},            {"I32", 32, VKA_I32},
    {"F64", 64, 0},               {"I64", 64, 0},               {"U64", 64, 0},
    {"U32", 32, 0},               {"I16", 16, 0},               {"U16", 16, 0},
    {"BOOL", 8, 0},               {"F8_E4M3", 8, 0},            {"F8_E5M2", 8, 0},
    {"F8_E8M0", 8, 0},            {"F4", 4, 0},                 {"C64", 64, 0},
};
#define TYPES (sizeof types / sizeof *types)

const safetensors_type *safetensors_type_named(const char *name) {
    for (size_t i = 0; i < TYPES; ++i)
        if (!strcmp(types[i].name, name))
            return &types[i];
    return NULL;
}

const safetensors_type *safetensors_type_of(vka_dtype dtype) {
    for (size_t i = 0; i < TYPES && dtype; ++i)
        if (types[i].dtype == dtype)
            return &types[i];
    return NULL;
}

bool safetensors_bytes(const safetensors_type *type, uint32_t rank, const uint64_t *shape, uint64_t *bytes) {
    uint64_t bits = type->bits;
    for (uint32_t i = 0; i < rank; ++i)
        if (!shape[i])
            bits = 0;
    for (uint32_t i = 0; i < rank && bits; ++i) {
        if (shape[i] > UINT64_MAX / bits)
            return false;
        bits *= shape[i];
    }
    *bytes = bits / 8;
    return bits % 8 == 0;
}

vka_status safetensors_refuse(const vka_log *log, const char *item, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    vka_log_error(log, item, message);
    return VKA_INVALID;
}

vka_status safetensors_no_memory(const vka_log *log, const char *item) {
    safetensors_refuse(log, item, "no host memory");
    return VKA_OUT_OF_MEMORY;
}

/* ---- the header ------------------------------------------------------------------------------------------------------ */

static const char read_item[] = "vka_safetensors_read";

static bool whole(const cJSON *number, uint64_t *value) {
    const double most = (double)SAFETENSORS_MAX_NUMBER;
    if (!cJSON_IsNumber(number) || !(number->valuedouble >= 0) || !(number->valuedouble < most) ||
        floor(number->valuedouble) != number->valuedouble)
        return false;
    *value = (uint64_t)number->valuedouble;
    return true;
}

/* Exactly the three members that a tensor has. */
static bool has_members(const cJSON *o, const cJSON **dtype, const cJSON **shape, const cJSON **offsets) {
    *dtype = cJSON_GetObjectItemCaseSensitive(o, "dtype");
    *shape = cJSON_GetObjectItemCaseSensitive(o, "shape");
    *offsets = cJSON_GetObjectItemCaseSensitive(o, "data_offsets");
    return cJSON_IsObject(o) && cJSON_GetArraySize(o) == 3 && cJSON_IsString(*dtype) && cJSON_IsArray(*shape) &&
           cJSON_IsArray(*offsets) && cJSON_GetArraySize(*offsets) == 2;
}

static vka_status read_shape(const vka_log *log, const cJSON *shape, vka_safetensor *t) {
    const cJSON *size;
    if (cJSON_GetArraySize(shape) > SAFETENSORS_MAX_RANK)
        return safetensors_refuse(log, read_item, "%s: has %d dimensions, at most %d are read", t->name,
                                  cJSON_GetArraySize(shape), SAFETENSORS_MAX_RANK);
    cJSON_ArrayForEach(size, shape) {
        if (!whole(size, &t->shape[t->rank++]))
            return safetensors_refuse(log, read_item, "%s: shape[%u] is no whole number below 2^53", t->name,
                                      t->rank - 1);
    }
    return VKA_OK;
}

/* `data`: all tensors' bytes, so many. */
static vka_status read_tensor(const vka_log *log, const cJSON *o, const unsigned char *data, uint64_t bytes,
                              vka_safetensor *t) {
    const cJSON *dtype, *shape, *offsets;
    uint64_t begin, end, need;
    *t = (vka_safetensor){.name = o->string};
    if (!has_members(o, &dtype, &shape, &offsets))
        return safetensors_refuse(log, read_item, "%s: must have dtype, shape and two data_offsets, and nothing else",
                                  t->name);
    const safetensors_type *type = safetensors_type_named(dtype->valuestring);
    if (!type)
        return safetensors_refuse(log, read_item, "%s: dtype %s has no known size", t->name, dtype->valuestring);
    vka_status status = read_shape(log, shape, t);
    if (status != VKA_OK)
        return status;
    if (!whole(offsets->child, &begin) || !whole(offsets->child->next, &end) || begin > end || end > bytes)
        return safetensors_refuse(log, read_item, "%s: data_offsets must be ordered and within %llu bytes", t->name,
                                  (unsigned long long)bytes);
    if (!safetensors_bytes(type, t->rank, t->shape, &need) || need != end - begin)
        return safetensors_refuse(log, read_item, "%s: has %llu bytes, which are not those of its shape and %s",
                                  t->name, (unsigned long long)(end - begin), type->name);
    t->type = type->name;
    t->dtype = type->dtype;
    t->data = data + begin;
    t->bytes = need;
    return VKA_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b) {
    const vka_safetensor *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q)
        return p < q ? -1 : 1;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? -1 : 1) : strcmp(x->name, y->name); /* empty ones first */
}

static int by_name(const void *a, const void *b) {
    const vka_safetensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Every byte belongs to one tensor. */
static vka_status check_gaps(const vka_log *log, const vka_safetensors *f, const unsigned char *data, uint64_t bytes) {
    const unsigned char *at = data;
    for (uint32_t i = 0; i < f->count; ++i) {
        const vka_safetensor *t = &f->tensors[i];
        if ((const unsigned char *)t->data != at)
            return safetensors_refuse(log, read_item, "%s: its bytes %s", t->name,
                                      (const unsigned char *)t->data < at ? "belong to another tensor, too"
                                                                          : "do not follow those of the one before");
        at += t->bytes;
    }
    if ((uint64_t)(at - data) != bytes)
        return safetensors_refuse(log, read_item, "%llu bytes at the end belong to no tensor",
                                  (unsigned long long)(bytes - (uint64_t)(at - data)));
    return VKA_OK;
}

static vka_status index_names(const vka_log *log, vka_safetensors *f) {
    for (uint32_t i = 0; i < f->count; ++i)
        f->by_name[i] = &f->tensors[i];
    if (f->count)
        qsort((void *)f->by_name, f->count, sizeof *f->by_name, by_name);
    for (uint32_t i = 1; i < f->count; ++i)
        if (!strcmp(f->by_name[i - 1]->name, f->by_name[i]->name))
            return safetensors_refuse(log, read_item, "%s: is there twice", f->by_name[i]->name);
    return VKA_OK;
}

static int by_text(const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* A key of metadata that is there twice; NULL: none is. *memory: there was enough. */
static const char *key_twice(const cJSON *metadata, bool *memory) {
    const cJSON *text;
    const char *twice = NULL, **keys = calloc((size_t)cJSON_GetArraySize(metadata) + 1, sizeof *keys);
    size_t count = 0;
    *memory = keys;
    cJSON_ArrayForEach(text, metadata) if (keys) keys[count++] = text->string;
    if (keys && count)
        qsort((void *)keys, count, sizeof *keys, by_text);
    for (size_t i = 1; i < count && !twice; ++i)
        twice = strcmp(keys[i - 1], keys[i]) == 0 ? keys[i] : NULL;
    free((void *)keys);
    return twice;
}

static vka_status check_metadata(const vka_log *log, const cJSON *header, const cJSON *metadata) {
    const cJSON *text;
    bool ok = cJSON_IsObject(metadata), memory;
    cJSON_ArrayForEach(text, metadata) ok = ok && cJSON_IsString(text);
    if (!ok)
        return safetensors_refuse(log, read_item, "__metadata__: must be texts by name");
    if (cJSON_GetObjectItemCaseSensitive(header, "__metadata__") != metadata)
        return safetensors_refuse(log, read_item, "__metadata__: is there twice");
    const char *twice = key_twice(metadata, &memory);
    if (!memory)
        return safetensors_no_memory(log, read_item);
    return twice ? safetensors_refuse(log, read_item, "__metadata__: %s is there twice", twice) : VKA_OK;
}

static vka_status read_tensors(const vka_log *log, vka_safetensors *f, const unsigned char *data, uint64_t bytes) {
    const cJSON *o;
    size_t most = (size_t)cJSON_GetArraySize(f->header) + 1;
    f->tensors = calloc(most, sizeof *f->tensors);
    f->by_name = calloc(most, sizeof *f->by_name);
    vka_status status = f->tensors && f->by_name ? VKA_OK : safetensors_no_memory(log, read_item);
    cJSON_ArrayForEach(o, f->header) {
        if (status != VKA_OK)
            break;
        if (!strcmp(o->string, "__metadata__"))
            status = check_metadata(log, f->header, o);
        else
            status = read_tensor(log, o, data, bytes, &f->tensors[f->count++]);
    }
    if (status == VKA_OK && f->count)
        qsort(f->tensors, f->count, sizeof *f->tensors, by_place);
    if (status == VKA_OK)
        status = index_names(log, f);
    return status == VKA_OK ? check_gaps(log, f, data, bytes) : status;
}

/* The header's bytes; NULL: refused. */
static const char *header_of(const vka_log *log, const unsigned char *data, uint64_t bytes, uint64_t *length) {
    *length = 0;
    for (int i = 0; i < 8 && bytes >= 8; ++i)
        *length |= (uint64_t)data[i] << 8 * i;
    if (bytes < 8 || *length > bytes - 8 || *length > SAFETENSORS_MAX_HEADER) {
        safetensors_refuse(log, read_item, "the header has %llu bytes, of %llu in the file and at most %u",
                           (unsigned long long)*length, (unsigned long long)bytes, SAFETENSORS_MAX_HEADER);
        return NULL;
    }
    return (const char *)data + 8;
}

/* An object, with nothing but blanks behind it. */
static cJSON *parse(const char *text, size_t length) {
    return length && *text == '{' && json_is_strict(text, length) ? cJSON_ParseWithLength(text, length) : NULL;
}

vka_status vka_safetensors_read(const void *data, uint64_t bytes, const vka_log *log, vka_safetensors **file) {
    uint64_t length;
    if (file)
        *file = NULL;
    if (!file || (!data && bytes))
        return safetensors_refuse(log, file ? "vka_safetensors_read.data" : "vka_safetensors_read.file",
                                  "must not be NULL");
    const char *header = header_of(log, data, bytes, &length);
    if (!header)
        return VKA_INVALID;
    vka_safetensors *f = calloc(1, sizeof *f);
    if (!f)
        return safetensors_no_memory(log, read_item);
    f->header = parse(header, (size_t)length);
    vka_status status =
        f->header ? read_tensors(log, f, (const unsigned char *)data + 8 + length, bytes - 8 - length)
                  : safetensors_refuse(log, read_item, "the header is no JSON object in UTF-8");
    if (status != VKA_OK)
        vka_safetensors_close(&f);
    *file = f;
    return status;
}

vka_status vka_safetensors_open(const char *path, const vka_log *log, vka_safetensors **file) {
    mapped_file mapped = {0};
    if (file)
        *file = NULL;
    if (!file || !path)
        return safetensors_refuse(log, file ? "vka_safetensors_open.path" : "vka_safetensors_open.file",
                                  "must not be NULL");
    errno = 0;
    if (!map_file(path, &mapped))
        return safetensors_refuse(log, "vka_safetensors_open.path", "%s: %s", path,
                                  errno ? strerror(errno) : "can't be mapped");
    vka_status status = vka_safetensors_read(mapped.data, mapped.bytes, log, file);
    if (status == VKA_OK)
        (*file)->file = mapped;
    else
        unmap_file(&mapped);
    return status;
}

void vka_safetensors_close(vka_safetensors **file) {
    if (!file || !*file)
        return;
    vka_safetensors *f = *file;
    *file = NULL;
    cJSON_Delete(f->header);
    unmap_file(&f->file);
    free(f->tensors);
    free((void *)f->by_name);
    free(f);
}

uint32_t vka_safetensors_count(const vka_safetensors *f) {
    return f ? f->count : 0;
}

const vka_safetensor *vka_safetensors_at(const vka_safetensors *f, uint32_t index) {
    return f && index < f->count ? &f->tensors[index] : NULL;
}

const vka_safetensor *vka_safetensors_find(const vka_safetensors *f, const char *name) {
    const vka_safetensor key = {.name = name}, *wanted = &key;
    const vka_safetensor *const *found =
        f && name && f->count ? bsearch((const void *)&wanted, (const void *)f->by_name, f->count, sizeof *f->by_name, by_name)
                              : NULL;
    return found ? *found : NULL;
}

const char *vka_safetensors_metadata(const vka_safetensors *f, const char *key) {
    const cJSON *metadata = f && key ? cJSON_GetObjectItemCaseSensitive(f->header, "__metadata__") : NULL;
    const cJSON *text = metadata ? cJSON_GetObjectItemCaseSensitive(metadata, key) : NULL;
    return text ? text->valuestring : NULL;
}
