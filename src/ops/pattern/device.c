/* Block maps built by kernels that are submitted and waited for.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/object.h"

#include <string.h>

/* Everything but the map itself dies with the build. */
typedef struct session {
    const vka__check *check;
    const vka__pattern_program *program;
    vka_buffer *words, *rows;
    vka_recorder *recorder;
    uint32_t *counts, *starts;
    vka__pattern_pass pass;
} session;

static void dispatch_at(const void *user, uint64_t index, vka__dispatch *out) {
    const session *s = user;
    memset(out, 0, sizeof *out);
    vka__pattern_dispatch(s->check->caps, &s->pass, index, out);
}

/* Records, submits, waits. */
static vka_status run(session *s, vka_buffer *built) {
    const vka__commands op = {
        .item = s->check->function,
        .params = &s->pass.params,
        .params_size = sizeof s->pass.params,
        .keys = &s->pass.key,
        .key_count = 1,
        .source_count = VKA__PATTERN_BUILT + 1,
        .source = {[VKA__PATTERN_PROGRAM] = {.buffer = s->words},
                   [VKA__PATTERN_ROWS] = {.buffer = s->rows},
                   [VKA__PATTERN_BUILT] = {.buffer = built}},
        .dispatches = vka__pattern_dispatches(&s->pass),
        .dispatch = dispatch_at,
        .user = s,
    };
    vka_status status = vka_recorder_begin(s->recorder);
    if (status == VKA_OK)
        status = vka__record(s->recorder, &op);
    if (status == VKA_OK)
        status = vka_recorder_submit(s->recorder);
    if (status == VKA_OK)
        status = vka_recorder_wait(s->recorder, VKA_FOREVER);
    if (status != VKA_OK)
        vka_recorder_destroy(&s->recorder); /* what may still run is over then, and its buffers can be destroyed */
    return status;
}

static vka_status create_buffer(const session *s, uint64_t bytes, vka_memory memory, vka_buffer **buffer) {
    return vka_buffer_create(s->check->device, &(vka_buffer_desc){bytes, memory}, buffer);
}

static uint64_t rows_of(const session *s) {
    return (uint64_t)s->program->info.heads * s->program->info.tile_rows;
}

/* Plans a pass. */
static vka_status plan(session *s, const vka__pattern_shape *shape) {
    vka__refusal refusal = {0};
    vka_status status = vka__plan_pattern(s->check->caps, s->program, shape, &s->pass, &refusal);
    return status == VKA_OK ? VKA_OK : vka__check_fail(s->check, status, refusal.field, "%s", refusal.reason);
}

static vka_status open_session(session *s) {
    uint64_t rows = rows_of(s);
    vka_status status = plan(s, NULL);
    if (status != VKA_OK)
        return status;
    s->counts = vka__alloc(s->check->ctx, (size_t)rows, VKA_PATTERN_COUNTS * sizeof *s->counts);
    s->starts = vka__alloc(s->check->ctx, (size_t)rows, VKA_PATTERN_STARTS * sizeof *s->starts);
    if (!s->counts || !s->starts)
        return vka__fail(s->check->ctx, VKA_OUT_OF_MEMORY, s->check->function, "no host memory");
    const vka_recorder_desc desc = {.max_dispatches = (uint32_t)vka__pattern_dispatches(&s->pass)};
    status = vka_recorder_create(s->check->device, &desc, &s->recorder);
    if (status == VKA_OK)
        status = create_buffer(s, 4 * (uint64_t)s->program->count, VKA_MEMORY_DEVICE, &s->words);
    return status == VKA_OK ? vka_buffer_write(s->words, 0, s->program->words, 4 * (uint64_t)s->program->count)
                            : status;
}

/* The recorder first: it waits for what may still run. */
static void close_session(session *s) {
    vka_recorder_destroy(&s->recorder);
    vka_buffer_destroy(&s->words);
    vka_buffer_destroy(&s->rows);
    vka__free(s->check->ctx, s->counts);
    vka__free(s->check->ctx, s->starts);
}

static vka_status count_tiles(session *s) {
    uint64_t bytes = 4 * VKA_PATTERN_COUNTS * rows_of(s);
    vka_status status = create_buffer(s, bytes, VKA_MEMORY_READBACK, &s->rows);
    if (status == VKA_OK)
        status = run(s, NULL);
    if (status == VKA_OK)
        status = vka_buffer_read(s->rows, 0, s->counts, bytes);
    if (status == VKA_OK)
        vka_buffer_destroy(&s->rows); /* otherwise the pass may still run */
    return status;
}

static vka_status fill_map(session *s, const vka__pattern_shape *shape, vka_buffer **built) {
    uint64_t bytes = 4 * VKA_PATTERN_STARTS * rows_of(s);
    vka_status status = plan(s, shape);
    if (status == VKA_OK)
        status = create_buffer(s, bytes, VKA_MEMORY_UPLOAD, &s->rows);
    if (status == VKA_OK)
        status = vka_buffer_write(s->rows, 0, s->starts, bytes);
    if (status == VKA_OK)
        status = create_buffer(s, 4 * shape->words, VKA_MEMORY_DEVICE, built);
    return status == VKA_OK ? run(s, *built) : status;
}

bool vka__pattern_device_can(const vka_device_caps *caps, const vka__pattern_program *program) {
    vka__pattern_pass pass;
    vka__refusal refusal;
    return vka__plan_pattern(caps, program, NULL, &pass, &refusal) == VKA_OK;
}

vka_status vka__pattern_build_on_device(const vka__check *c, const vka__pattern_program *program,
                                        vka__pattern_shape *shape, vka_buffer **built) {
    session s = {.check = c, .program = program};
    vka_status status = open_session(&s);
    if (status == VKA_OK)
        status = count_tiles(&s);
    if (status == VKA_OK &&
        (!vka__pattern_scan(program, s.counts, s.starts, shape) || shape->words > vka__pattern_most_words(c->caps)))
        status = vka__pattern_too_large(c, "terms");
    if (status == VKA_OK)
        status = fill_map(&s, shape, built);
    close_session(&s);
    return status;
}
