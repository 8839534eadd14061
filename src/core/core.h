/* What every part of the library shares: logging, host memory, small helpers. No Vulkan here.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_CORE_H
#define VKA_CORE_H

#include <vkattn/vkattn.h>

#include "core/format.h"

/* Log and host memory, as the caller gave them. Embedded in every device. */
typedef struct vka__context {
    vka_log log;
    vka_allocator allocator;
    bool quiet; /* what is refused is no failure of anybody's: it is neither logged nor kept */
} vka__context;

/* Fills in the defaults of an allocator; VKA_INVALID when only a part of it is given. */
vka_status vka__context_init(vka__context *ctx, const char *function, const vka_log *log,
                             const vka_allocator *allocator);

/* Zeroed memory, or NULL. `count * size` may not overflow. */
void *vka__alloc(const vka__context *ctx, size_t count, size_t size);
void *vka__realloc(const vka__context *ctx, void *old, size_t size);
void vka__free(const vka__context *ctx, void *memory);

void vka__log(const vka__context *ctx, vka_log_level level, const char *item, const char *format, ...) VKA_PRINTF(4, 5);

/* Logs an error, keeps it for vka_last_error, and returns the status, so that a failing check is one line. `ctx` NULL:
 * a call without a device, of which nobody can be told. */
vka_status vka__fail(const vka__context *ctx, vka_status status, const char *item, const char *format, ...)
    VKA_PRINTF(4, 5);

/* Descriptions grow at their end. Copies one of `from_size` bytes, or none (NULL), into ours of `size`: what a program
 * that is older than the library does not know becomes 0. What a newer one knows and the library does not must be 0:
 * otherwise an error is logged and VKA_UNSUPPORTED returned. `item`: a function, or
 * function.field where it is no "desc". */
vka_status vka__read_desc(const vka__context *ctx, const char *item, void *desc, size_t size, const void *from,
                          size_t from_size);
/* The same of a description that has the context's log and allocator itself, at these offsets of ours. */
vka_status vka__context_read(vka__context *ctx, const char *item, void *desc, size_t size, const void *from,
                             size_t from_size, size_t log, size_t allocator);
/* The same without an error. False: something behind our end is not 0. */
bool vka__copy_desc(void *desc, size_t size, const void *from, size_t from_size);

/* Lowers what the library believes about a device, so that tests see the plans of smaller ones. Called once with the
 * real capabilities; raised values are taken back. Device creation and import take it; `fn` may be NULL. */
typedef struct vka__narrowing {
    void (*fn)(void *user, vka_device_caps *caps);
    void *user;
} vka__narrowing;
vka_status vka__device_create(const vka_device_desc *desc, size_t desc_size, vka__narrowing narrowing,
                              vka_device **device);
struct vka_import_desc;
vka_status vka__device_import(const struct vka_import_desc *desc, size_t desc_size, vka__narrowing narrowing,
                              vka_device **device);

static inline uint32_t vka__min_u32(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}
static inline uint32_t vka__max_u32(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}
static inline uint64_t vka__min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}
static inline uint64_t vka__max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}
static inline uint32_t vka__div_up(uint32_t a, uint32_t b) {
    return a / b + (a % b != 0);
}
static inline uint32_t vka__round_up(uint32_t a, uint32_t multiple) {
    return vka__div_up(a, multiple) * multiple;
}
static inline uint64_t vka__align_up(uint64_t a, uint64_t power_of_two) {
    return (a + power_of_two - 1) & ~(power_of_two - 1);
}
/* Bits that are set. */
static inline uint32_t vka__count_bits(uint32_t word) {
    word -= word >> 1 & 0x55555555u;
    word = (word & 0x33333333u) + (word >> 2 & 0x33333333u);
    return ((word + (word >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}

#endif
