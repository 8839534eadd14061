/* vka_pattern: creation, destruction, loading.
 * SPDX-License-Identifier: MIT */
#include "api/pattern.h"

#include <stdio.h>

struct vka_pattern {
    vka_device *device;
    vka_buffer *buffer; /* the map as vka__pattern_shape lays it out */
    vka__pattern_shape shape;
};

const vka__pattern_shape *vka__pattern_shape_of(const vka_pattern *pattern) {
    return &pattern->shape;
}

vka_buffer *vka__pattern_buffer(const vka_pattern *pattern) {
    return pattern->buffer;
}

vka_device *vka__pattern_device(const vka_pattern *pattern) {
    return pattern->device;
}

vka_pattern_info vka_pattern_get_info(const vka_pattern *pattern) {
    return pattern ? pattern->shape.info : (vka_pattern_info){0};
}

void vka_pattern_destroy(vka_pattern **pattern) {
    if (!pattern || !*pattern)
        return;
    vka_pattern *p = *pattern;
    *pattern = NULL;
    vka_buffer_destroy(&p->buffer);
    vka__free(vka__device_context(p->device), p);
}

static vka_status too_large(const vka__check *c) {
    return vka__check_fail(c, VKA_UNSUPPORTED, "terms", "its map takes more than the %llu bytes a binding can see",
                           (unsigned long long)c->caps->storage_range);
}

static vka_status no_memory(const vka__check *c) {
    return vka__fail(c->ctx, VKA_OUT_OF_MEMORY, c->function, "no host memory");
}

/* Words of a map that a binding can see, and a buffer can have. */
static uint64_t most_words(const vka__check *c) {
    return vka__min_u64(c->caps->storage_range, UINT32_MAX) / 4;
}

/* Brings a map that the host has to the device. Without a queue nothing could copy it there. */
static vka_status upload(const vka__check *c, vka_pattern *p, const uint32_t *words) {
    const vka_buffer_desc desc = {.size = 4 * p->shape.words,
                                  .memory = vka__device_has_queue(c->device) ? VKA_MEMORY_DEVICE : VKA_MEMORY_UPLOAD};
    vka_status status = vka_buffer_create(c->device, &desc, &p->buffer);
    return status == VKA_OK ? vka_buffer_write(p->buffer, 0, words, desc.size) : status;
}

static vka_status build_on_host(const vka__check *c, const vka__pattern_program *program, vka_pattern *p) {
    uint32_t *words;
    vka_status status = vka__pattern_build(c->ctx, program, most_words(c), &words, &p->shape);
    if (status == VKA_OK)
        status = upload(c, p, words);
    else
        status = status == VKA_UNSUPPORTED ? too_large(c) : no_memory(c);
    vka__free(c->ctx, words);
    return status;
}

static vka_status build(const vka__check *c, const vka_pattern_desc *desc, vka_pattern *p) {
    const vka_pattern_info info = vka__pattern_geometry(desc, c->caps->type);
    vka__pattern_program program;
    if (!vka__pattern_compile(c->ctx, desc, &info, &program))
        return no_memory(c);
    vka_status status = build_on_host(c, &program, p);
    vka__pattern_program_free(c->ctx, &program);
    return status;
}

/* An empty pattern, unless an argument is wrong. */
static vka_status begin(const vka__check *c, vka_pattern **pattern) {
    if (!pattern)
        return vka__check_fail(c, VKA_INVALID, "pattern", "must not be NULL");
    *pattern = vka__alloc(c->ctx, 1, sizeof **pattern);
    if (!*pattern)
        return no_memory(c);
    (*pattern)->device = c->device;
    return VKA_OK;
}

vka_status vka_pattern_create(vka_device *device, const vka_pattern_desc *desc, vka_pattern **pattern) {
    if (pattern)
        *pattern = NULL;
    if (!device)
        return VKA_INVALID;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_pattern_create"};
    vka_status status = vka__pattern_check(&c, desc);
    if (status == VKA_OK)
        status = begin(&c, pattern);
    if (status != VKA_OK)
        return status;
    status = build(&c, desc, *pattern);
    if (status != VKA_OK)
        vka_pattern_destroy(pattern);
    return status;
}

vka_status vka_pattern_load(vka_device *device, const void *data, size_t size, vka_pattern **pattern) {
    if (pattern)
        *pattern = NULL;
    if (!device)
        return VKA_INVALID;
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_pattern_load"};
    vka__pattern_shape shape;
    const uint32_t *words;
    vka_status status = vka__pattern_parse(c.ctx, "vka_pattern_load.data", data, size, &shape, &words);
    if (status == VKA_OK)
        status = begin(&c, pattern);
    if (status != VKA_OK)
        return status;
    (*pattern)->shape = shape;
    if (shape.words > most_words(&c))
        status = vka__check_fail(&c, VKA_UNSUPPORTED, "data", "takes more than the %llu bytes a binding can see",
                                 (unsigned long long)c.caps->storage_range);
    else
        status = upload(&c, *pattern, words);
    if (status != VKA_OK)
        vka_pattern_destroy(pattern);
    return status;
}
