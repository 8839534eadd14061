/* SPDX-License-Identifier: MIT */
#include "core/core.h"

#include "core/sync.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *default_reallocate(void *user, void *old, size_t size) {
    (void)user;
    return realloc(old, size);
}

static void default_release(void *user, void *memory) {
    (void)user;
    free(memory);
}

vka_status vka__context_init(vka__context *ctx, const char *function, const vka_log *log,
                             const vka_allocator *allocator) {
    *ctx = (vka__context){.log = *log, .allocator = *allocator};
    if (!ctx->log.level)
        ctx->log.level = VKA_LOG_WARNING;
    bool none = !allocator->reallocate && !allocator->release, both = allocator->reallocate && allocator->release;
    if (!none && !both) {
        char item[64];
        snprintf(item, sizeof item, "%s.allocator", function);
        return vka__fail(ctx, VKA_INVALID, item, "reallocate and release must both be given, or neither");
    }
    if (none)
        ctx->allocator = (vka_allocator){.reallocate = default_reallocate, .release = default_release};
    return VKA_OK;
}

void *vka__realloc(const vka__context *ctx, void *old, size_t size) {
    return ctx->allocator.reallocate(ctx->allocator.user, old, size);
}

void *vka__alloc(const vka__context *ctx, size_t count, size_t size) {
    if (size && count > SIZE_MAX / size)
        return NULL;
    size_t bytes = count && size ? count * size : 1;
    void *memory = vka__realloc(ctx, NULL, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void vka__free(const vka__context *ctx, void *memory) {
    if (memory)
        ctx->allocator.release(ctx->allocator.user, memory);
}

/* Messages quote names that come from files: a line stays one. */
static void write_line(char *line, size_t size, const char *format, va_list args) {
    vsnprintf(line, size, format, args);
    for (unsigned char *c = (unsigned char *)line; *c; ++c)
        *c = *c < ' ' || *c == 127 ? '?' : *c;
}

static void send(const vka__context *ctx, vka_log_level level, const char *item, const char *message) {
    if (ctx && ctx->log.fn && level <= ctx->log.level)
        ctx->log.fn(ctx->log.user, level, item, message);
}

void vka__log(const vka__context *ctx, vka_log_level level, const char *item, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    write_line(message, sizeof message, format, args);
    va_end(args);
    send(ctx, level, item, message);
}

static VKA_THREAD_LOCAL char last_error[640];

const char *vka_last_error(void) {
    return last_error;
}

void vka_log_error(const vka_log *log, const char *item, const char *message) {
    vka__context ctx = {.log.fn = log ? log->fn : NULL, .log.level = VKA_LOG_ERROR};
    ctx.log.user = log ? log->user : NULL;
    vka__fail(&ctx, VKA_INVALID, item ? item : "", "%s", message ? message : "");
}

vka_status vka__fail(const vka__context *ctx, vka_status status, const char *item, const char *format, ...) {
    char message[512];
    va_list args;
    if (ctx && ctx->quiet)
        return status;
    va_start(args, format);
    write_line(message, sizeof message, format, args);
    va_end(args);
    snprintf(last_error, sizeof last_error, "%s: %s", item, message);
    send(ctx, VKA_LOG_ERROR, item, message);
    return status;
}

bool vka__copy_desc(void *desc, size_t size, const void *from, size_t from_size) {
    size_t known = !from ? 0 : from_size < size ? from_size : size;
    if (known)
        memcpy(desc, from, known);
    memset((char *)desc + known, 0, size - known);
    for (size_t i = size; from && i < from_size; ++i)
        if (((const unsigned char *)from)[i])
            return false;
    return true;
}

static vka_status fail_newer(const vka__context *ctx, const char *item, size_t size, size_t from_size) {
    char field[96];
    snprintf(field, sizeof field, "%s%s", item, strchr(item, '.') ? "" : ".desc");
    return vka__fail(ctx, VKA_UNSUPPORTED, field,
                     "of %zu bytes uses fields that this version of the library, which knows %zu, lacks", from_size,
                     size);
}

vka_status vka__read_desc(const vka__context *ctx, const char *item, void *desc, size_t size, const void *from,
                          size_t from_size) {
    return vka__copy_desc(desc, size, from, from_size) ? VKA_OK : fail_newer(ctx, item, size, from_size);
}

vka_status vka__context_read(vka__context *ctx, const char *item, void *desc, size_t size, const void *from,
                             size_t from_size, size_t log, size_t allocator) {
    bool known = vka__copy_desc(desc, size, from, from_size);
    const char *bytes = desc;
    vka_status status = vka__context_init(ctx, item, (const vka_log *)(const void *)(bytes + log),
                                          (const vka_allocator *)(const void *)(bytes + allocator));
    return status == VKA_OK && !known ? fail_newer(ctx, item, size, from_size) : status;
}
