/* vka_pattern: creation, destruction, loading.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/object.h"

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
    vka__device_count(p->device, VKA__CHILD_PATTERN, -1);
    vka_buffer_destroy(&p->buffer);
    vka__free(vka__device_context(p->device), p);
}

/* A buffer can't have more either. */
uint64_t vka__pattern_most_words(const vka_device_caps *caps) {
    return vka__min_u64(caps->storage_range, UINT32_MAX) / 4;
}

vka_status vka__pattern_too_large(const vka__check *c, const char *field) {
    return vka__check_fail(c, VKA_UNSUPPORTED, field, "the map takes more than the %llu bytes a binding can see",
                           (unsigned long long)c->caps->storage_range);
}

static vka_status no_memory(const vka__check *c) {
    return vka__fail(c->ctx, VKA_OUT_OF_MEMORY, c->function, "no host memory");
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
    vka_status status = vka__pattern_build(c->ctx, program, vka__pattern_most_words(c->caps), &words, &p->shape);
    if (status == VKA_OK)
        status = upload(c, p, words);
    else
        status = status == VKA_UNSUPPORTED ? vka__pattern_too_large(c, "terms") : no_memory(c);
    vka__free(c->ctx, words);
    return status;
}

/* Maps of so few rows are built by the host before a submission is back. */
#define TINY_ROWS 64

/* Kernels of a software driver share the host's cores, and have to be compiled first. */
static bool repays_the_device(const vka__check *c, const vka__pattern_program *program) {
    return c->caps->type != VKA_DEVICE_CPU && (uint64_t)program->info.heads * program->info.tile_rows >= TINY_ROWS &&
           vka__device_has_queue(c->device) && vka__pattern_device_can(c->caps, program);
}

static vka_status build(const vka__check *c, const vka_pattern_desc *desc, vka_pattern *p) {
    const vka_pattern_info info = vka__pattern_geometry(desc, c->caps->type);
    vka__pattern_program program;
    if (desc->build == VKA_PATTERN_BUILD_DEVICE && !vka__device_has_queue(c->device))
        return vka__check_fail(c, VKA_UNSUPPORTED, "build", "the device was imported without a queue");
    if (!vka__pattern_compile(c->ctx, desc, &info, &program))
        return no_memory(c);
    bool device = desc->build == VKA_PATTERN_BUILD_DEVICE ||
                  (desc->build == VKA_PATTERN_BUILD_AUTO && repays_the_device(c, &program));
    vka_status status =
        device ? vka__pattern_build_on_device(c, &program, &p->shape, &p->buffer) : build_on_host(c, &program, p);
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
    vka__device_count(c->device, VKA__CHILD_PATTERN, 1);
    return VKA_OK;
}

static vka_status finish(vka_status status, vka_pattern **pattern) {
    if (status == VKA_OK)
        vka__buffer_adopt((*pattern)->buffer);
    else
        vka_pattern_destroy(pattern);
    return status;
}

/* The description and its terms, each of `term_size` bytes, as this version of the library has them. */
static vka_status read_desc(const vka__check *c, const vka_pattern_desc *desc, size_t desc_size, size_t term_size,
                            vka_pattern_desc *own, vka_pattern_term terms[VKA_MAX_PATTERN_TERMS]) {
    vka_status status = vka__read_desc(c->ctx, c->function, own, sizeof *own, desc, desc_size);
    for (uint32_t i = 0; own->terms && i < own->term_count && i < VKA_MAX_PATTERN_TERMS && status == VKA_OK; ++i)
        status = vka__read_desc(c->ctx, "vka_pattern_create.terms", &terms[i], sizeof *terms,
                                (const char *)own->terms + i * term_size, term_size);
    own->terms = own->terms ? terms : NULL;
    return status;
}

vka_status vka_pattern_create_sized(vka_device *device, const vka_pattern_desc *desc, size_t desc_size,
                                    size_t term_size, vka_pattern **pattern) {
    if (pattern)
        *pattern = NULL;
    if (!device)
        return vka__fail(NULL, VKA_INVALID, "vka_pattern_create.device", "must not be NULL");
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_pattern_create"};
    vka_pattern_desc own;
    vka_pattern_term terms[VKA_MAX_PATTERN_TERMS];
    vka_status status = read_desc(&c, desc, desc_size, term_size, &own, terms);
    if (status == VKA_OK)
        status = vka__pattern_check(&c, desc ? &own : NULL);
    if (status == VKA_OK)
        status = begin(&c, pattern);
    if (status != VKA_OK)
        return status;
    return finish(build(&c, &own, *pattern), pattern);
}

vka_status vka_pattern_load(vka_device *device, const void *data, size_t size, vka_pattern **pattern) {
    if (pattern)
        *pattern = NULL;
    if (!device)
        return vka__fail(NULL, VKA_INVALID, "vka_pattern_load.device", "must not be NULL");
    const vka__check c = {vka__device_context(device), device, vka_device_get_caps(device), "vka_pattern_load"};
    vka__pattern_shape shape;
    const uint32_t *words;
    vka_status status = vka__pattern_parse(c.ctx, "vka_pattern_load.data", data, size, &shape, &words);
    if (status == VKA_OK)
        status = begin(&c, pattern);
    if (status != VKA_OK)
        return status;
    (*pattern)->shape = shape;
    if (shape.words > vka__pattern_most_words(c.caps))
        status = vka__pattern_too_large(&c, "data");
    else
        status = upload(&c, *pattern, words);
    return finish(status, pattern);
}
