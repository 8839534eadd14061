/* SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/elementwise.h>

/* A multiple of what any device may ask of a storage buffer's offset. */
#define ALIGNMENT 256u

/* Tensors without elements lie somewhere, too. */
static uint64_t room_of(uint64_t bytes) {
    return bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

void nn_refuse(vka_nn_sequence *s, const char *field, const char *format, ...) {
    char item[128], message[256];
    va_list args;
    if (s->status != VKA_OK)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    snprintf(item, sizeof item, "%s.%s%s", s->function, s->scope, field);
    vka_log_error(&s->log, item, message);
    s->status = VKA_INVALID;
}

vka_status nn_missing(const vka_log *log, const char *item) {
    vka_log_error(log, item, "must not be NULL");
    return VKA_INVALID;
}

static void no_memory(vka_nn_sequence *s) {
    vka_log_error(&s->log, s->function, "no host memory");
    s->status = VKA_OUT_OF_MEMORY;
}

bool nn_read(vka_nn_sequence *s, const char *function, void *desc, size_t size, const void *from, size_t from_size) {
    s->function = function;
    s->scope = "";
    s->status = VKA_OK;
    if (!from) {
        nn_refuse(s, "desc", "must not be NULL");
        return false;
    }
    memset(desc, 0, size);
    memcpy(desc, from, from_size < size ? from_size : size);
    for (size_t i = size; i < from_size; ++i)
        if (((const unsigned char *)from)[i]) {
            vka_log_error(&s->log, function, "a field is not 0 that this library does not have");
            s->status = VKA_UNSUPPORTED;
            return false;
        }
    return true;
}

bool nn_is_absent(vka_nn_sequence *s, const char *field, const char *name, const vka_tensor *t) {
    char item[96];
    snprintf(item, sizeof item, "%s%s", field, name);
    if (t->dtype)
        nn_refuse(s, item, "must be absent here");
    return !t->dtype;
}

static void shape_text(uint32_t rank, const uint32_t *shape, char *text, size_t size) {
    size_t at = (size_t)snprintf(text, size, "[");
    for (uint32_t i = 0; i < rank && at < size; ++i)
        at += (size_t)snprintf(text + at, size - at, "%s%u", i ? ", " : "", shape[i]);
    if (at < size)
        snprintf(text + at, size - at, "]");
}

bool nn_has_shape(vka_nn_sequence *s, const char *field, const char *name, const vka_tensor *t, uint32_t rank,
                  const uint32_t *shape) {
    char item[96], is[64], must[64];
    snprintf(item, sizeof item, "%s%s", field, name);
    if (!t->dtype) {
        nn_refuse(s, item, "is required");
        return false;
    }
    if (!t->rank || t->rank > VKA_MAX_RANK) {
        nn_refuse(s, item, "has the rank %u, but it must be 1 .. %d", t->rank, VKA_MAX_RANK);
        return false;
    }
    if (!rank || (t->rank == rank && !memcmp(t->shape, shape, rank * sizeof *shape)))
        return true;
    shape_text(t->rank, t->shape, is, sizeof is);
    shape_text(rank, shape, must, sizeof must);
    nn_refuse(s, item, "has the shape %s, but must have %s", is, must);
    return false;
}

/* ---- the arena ------------------------------------------------------------------------------------------------------- */

/* The first gap that is wide enough. */
static uint64_t place(vka_nn_sequence *s, uint64_t bytes) {
    uint32_t i = 0;
    uint64_t at = 0;
    bytes = room_of(bytes);
    if (s->live_count == NN_MAX_LIVE) {
        no_memory(s);
        return 0;
    }
    for (; i < s->live_count && at + bytes > s->live[i].begin; ++i)
        at = s->live[i].end;
    memmove(&s->live[i + 1], &s->live[i], (s->live_count - i) * sizeof *s->live);
    s->live[i] = (nn_range){at, at + bytes};
    ++s->live_count;
    s->peak = larger(s->peak, s->live[i].end);
    s->live_bytes += bytes;
    s->live_peak = larger(s->live_peak, s->live_bytes);
    return at;
}

static void drop(vka_nn_sequence *s, uint64_t at) {
    for (uint32_t i = 0; i < s->live_count; ++i)
        if (s->live[i].begin == at) {
            s->live_bytes -= s->live[i].end - at;
            --s->live_count;
            memmove(&s->live[i], &s->live[i + 1], (s->live_count - i) * sizeof *s->live);
            return;
        }
}

static vka_tensor shaped(vka_dtype dtype, uint32_t rank, const uint32_t *shape, uint64_t *bytes) {
    vka_tensor t = {.dtype = dtype, .rank = rank};
    *bytes = vka_dtype_size(dtype);
    for (uint32_t i = 0; i < rank; ++i) {
        t.shape[i] = shape[i];
        *bytes *= shape[i];
    }
    return t;
}

/* Buffers exist in the second pass only; before, shapes are all that operations look at. */
vka_tensor nn_take(vka_nn_sequence *s, vka_dtype dtype, uint32_t rank, const uint32_t *shape) {
    uint64_t bytes;
    vka_tensor t = shaped(dtype, rank, shape, &bytes);
    if (s->status != VKA_OK)
        return t;
    t.offset = s->arena.offset + place(s, bytes);
    t.buffer = s->measuring ? NULL : s->arena.buffer;
    return t;
}

void nn_give_back(vka_nn_sequence *s, const vka_tensor *t) {
    if (s->status == VKA_OK)
        drop(s, t->offset - s->arena.offset);
}

/* ---- what backward passes read ----------------------------------------------------------------------------------------- */

bool nn_begin_forward(vka_nn_sequence *s, vka_nn_keep keep, const vka_workspace *kept) {
    if (keep != VKA_NN_KEEP_NOTHING && keep != VKA_NN_KEEP_RESULTS && keep != VKA_NN_KEEP_INPUTS)
        nn_refuse(s, "keep", "%d is not a vka_nn_keep", (int)keep);
    else if (keep != VKA_NN_KEEP_RESULTS && kept->buffer)
        nn_refuse(s, "kept", "must be absent without VKA_NN_KEEP_RESULTS");
    else if (kept->offset % ALIGNMENT)
        nn_refuse(s, "kept", "has the offset %llu, but it must be a multiple of %u", (unsigned long long)kept->offset,
                  ALIGNMENT);
    s->keep = keep;
    s->kept = *kept;
    return s->status == VKA_OK;
}

bool nn_begin_backward(vka_nn_sequence *s, vka_nn_keep keep, const vka_workspace *kept, bool accumulate) {
    s->scope = "forward.";
    if (keep == VKA_NN_KEEP_NOTHING)
        nn_refuse(s, "keep", "is 0, but backward needs results or inputs");
    s->backward = true;
    s->recalling = keep == VKA_NN_KEEP_RESULTS;
    s->accumulate = accumulate;
    return s->status == VKA_OK && nn_begin_forward(s, keep, kept);
}

void nn_end_forward(vka_nn_sequence *s) {
    s->scope = "gradients.";
    s->recalling = false;
}

vka_tensor nn_take_kept(vka_nn_sequence *s, vka_dtype dtype, uint32_t rank, const uint32_t *shape) {
    uint64_t bytes;
    if (s->keep != VKA_NN_KEEP_RESULTS)
        return nn_take(s, dtype, rank, shape);
    vka_tensor t = shaped(dtype, rank, shape, &bytes);
    t.offset = s->kept.offset + s->kept_bytes;
    t.buffer = s->measuring ? NULL : s->kept.buffer;
    s->kept_bytes += room_of(bytes);
    return t;
}

void nn_give_back_kept(vka_nn_sequence *s, const vka_tensor *t) {
    if (s->keep != VKA_NN_KEEP_RESULTS && !s->backward)
        nn_give_back(s, t);
}

static void check_kept(vka_nn_sequence *s) {
    uint64_t there = s->kept.buffer ? vka_buffer_size(s->kept.buffer) : 0;
    const char *field = s->backward ? "forward.kept" : "kept";
    if (!s->kept_bytes)
        return;
    if (!s->kept.buffer)
        nn_refuse(s, field, "is required: %llu bytes", (unsigned long long)s->kept_bytes);
    else if (s->kept.offset > there || s->kept_bytes > there - s->kept.offset)
        nn_refuse(s, field, "has %llu bytes behind its offset, but the layer keeps %llu",
                  (unsigned long long)(s->kept.offset > there ? 0 : there - s->kept.offset),
                  (unsigned long long)s->kept_bytes);
}

/* ---- operations ------------------------------------------------------------------------------------------------------ */

static bool grow(vka_nn_sequence *s) {
    uint32_t capacity = s->capacity ? 2 * s->capacity : 64;
    vka_operation *operations = realloc(s->operations, capacity * sizeof *operations);
    s->operations = operations ? operations : s->operations;
    vka_plan **plans = realloc((void *)s->plans, capacity * sizeof *plans);
    s->plans = plans ? plans : s->plans;
    bool ok = operations && plans;
    s->capacity = ok ? capacity : s->capacity;
    return ok;
}

void nn_operation(vka_nn_sequence *s, vka_operation operation, const void *desc, size_t size) {
    vka_requirements need;
    if (s->status != VKA_OK || s->recalling)
        return;
    if (s->measuring) {
        s->status = vka_operation_requirements(s->device, operation, desc, size, &need, sizeof need);
        return;
    }
    if (s->count == s->capacity && !grow(s)) {
        no_memory(s);
        return;
    }
    s->operations[s->count] = operation;
    s->status = vka_operation_plan(s->device, operation, desc, size, &s->plans[s->count]);
    s->count += s->status == VKA_OK;
}

void nn_run(vka_nn_sequence *s, vka_operation operation, const void *desc, size_t size, vka_workspace *workspace) {
    vka_requirements need = {0};
    if (s->status != VKA_OK || s->recalling)
        return;
    s->status = vka_operation_requirements(s->device, operation, desc, size, &need, sizeof need);
    if (s->status != VKA_OK)
        return;
    uint64_t at = need.workspace_bytes ? place(s, need.workspace_bytes) : 0;
    if (need.workspace_bytes)
        *workspace = (vka_workspace){s->measuring ? NULL : s->arena.buffer, s->arena.offset + at};
    if (!s->measuring) /* otherwise it was checked above */
        nn_operation(s, operation, desc, size);
    if (need.workspace_bytes && s->status == VKA_OK)
        drop(s, at);
}

void nn_project(vka_nn_sequence *s, const vka_nn_linear *l, const vka_tensor *x, vka_activation activation,
                const vka_tensor *residual, const vka_tensor *out) {
    vka_linear_desc d = {.x = *x, .weight = l->weight, .bias = l->bias, .out = *out, .activation = activation};
    if (residual)
        d.residual = *residual;
    nn_run(s, VKA_OPERATION_LINEAR, &d, sizeof d, &d.workspace);
}

void nn_project_backward(vka_nn_sequence *s, const vka_nn_linear *l, const vka_nn_linear *gradient, const vka_tensor *x,
                         vka_activation activation, const vka_tensor *z, const vka_tensor *d_out,
                         const vka_tensor *d_x) {
    vka_linear_backward_desc d = {.x = *x,
                                  .weight = l->weight,
                                  .d_out = *d_out,
                                  .d_x = *d_x,
                                  .d_weight = gradient->weight,
                                  .d_bias = gradient->bias,
                                  .activation = activation,
                                  .accumulate = s->accumulate};
    if (activation)
        d.z = *z;
    if (d.d_x.dtype || d.d_weight.dtype || d.d_bias.dtype)
        nn_run(s, VKA_OPERATION_LINEAR_BACKWARD, &d, sizeof d, &d.workspace);
}

void nn_add_to(vka_nn_sequence *s, const vka_tensor *to, const vka_tensor *from) {
    const vka_combine_desc d = {.a = *to, .b = *from, .out = *to, .kind = VKA_COMBINE_ADD};
    nn_operation(s, VKA_OPERATION_COMBINE, &d, sizeof d);
}

bool nn_has_gradients(vka_nn_sequence *s, const vka_tensor *x, const vka_tensor *d_x, const vka_tensor *d_out) {
    const vka_tensor *const gradients[] = {d_out, d_x};
    static const char *const names[] = {"out", "x"};
    for (int i = 0; i < 2; ++i) {
        if (i == 1 && !d_x->dtype)
            return true;
        if (!nn_has_shape(s, "", names[i], gradients[i], x->rank, x->shape))
            return false;
        if (gradients[i]->dtype != x->dtype)
            nn_refuse(s, names[i], "must have x's type");
    }
    return s->status == VKA_OK;
}

bool nn_is_not_x(vka_nn_sequence *s, const char *field, const vka_tensor *x, const vka_tensor *out) {
    char item[96];
    snprintf(item, sizeof item, "%sout", field);
    if (s->keep && out->dtype && x->buffer && x->buffer == out->buffer && x->offset == out->offset)
        nn_refuse(s, item, "must not be x, which backward reads");
    return s->status == VKA_OK;
}

/* ---- layers ---------------------------------------------------------------------------------------------------------- */

static bool retire(vka_nn_sequence *s) {
    if (!s->arena.buffer)
        return true;
    vka_buffer **retired = realloc(s->retired, (s->retired_count + 1) * sizeof *retired);
    if (!retired)
        return false;
    s->retired = retired;
    s->retired[s->retired_count++] = s->arena.buffer;
    s->arena.buffer = NULL;
    s->arena_bytes = 0;
    return true;
}

/* Plans so far keep what they have. */
static void reserve(vka_nn_sequence *s, uint64_t bytes) {
    if (bytes <= s->arena_bytes)
        return;
    if (!s->own) {
        nn_refuse(s, "arena", "has %llu bytes, but the layer needs %llu", (unsigned long long)s->arena_bytes,
                  (unsigned long long)bytes);
        return;
    }
    if (!retire(s)) {
        no_memory(s);
        return;
    }
    const vka_buffer_desc desc = {.size = bytes};
    s->status = vka_buffer_create(s->device, &desc, &s->arena.buffer);
    s->arena_bytes = s->status == VKA_OK ? bytes : 0;
}

static void pass(vka_nn_sequence *s, bool measuring, void (*build)(vka_nn_sequence *, const void *), const void *desc) {
    s->measuring = measuring;
    s->live_count = 0;
    s->scope = "";
    s->keep = VKA_NN_KEEP_NOTHING;
    s->kept_bytes = 0;
    s->backward = s->recalling = s->accumulate = s->accumulate_memory = false;
    s->peak = s->live_bytes = s->live_peak = 0;
    build(s, desc);
}

vka_status nn_add(vka_nn_sequence *s, const char *function, void (*build)(vka_nn_sequence *, const void *),
                  const void *desc) {
    uint32_t before = s->count;
    s->function = function;
    s->status = VKA_OK;
    pass(s, true, build, desc);
    uint64_t need = s->peak;
    s->scope = "";
    if (s->status == VKA_OK)
        check_kept(s);
    if (s->status == VKA_OK)
        reserve(s, need);
    if (s->status == VKA_OK)
        pass(s, false, build, desc);
    while (s->status != VKA_OK && s->count > before)
        vka_plan_destroy(&s->plans[--s->count]);
    if (s->status == VKA_OK) {
        s->used = larger(s->used, need);
        s->most_live = larger(s->most_live, s->live_peak);
    }
    return s->status;
}

vka_status nn_measure(vka_nn_sequence *s, const char *function, void (*build)(vka_nn_sequence *, const void *),
                      const void *desc, uint64_t *kept_bytes) {
    s->function = function;
    s->status = VKA_OK;
    if (!kept_bytes) {
        s->scope = "";
        nn_refuse(s, "bytes", "must not be NULL");
        return s->status;
    }
    pass(s, true, build, desc);
    *kept_bytes = s->status == VKA_OK ? s->kept_bytes : 0;
    return s->status;
}

/* ---- public ---------------------------------------------------------------------------------------------------------- */

vka_status vka_nn_sequence_create_sized(vka_device *device, const vka_nn_sequence_desc *desc, size_t desc_size,
                                        vka_nn_sequence **sequence) {
    static const char function[] = "vka_nn_sequence_create";
    static const vka_nn_sequence_desc nothing;
    vka_nn_sequence_desc d;
    vka_nn_sequence first = {.log = desc && desc_size >= sizeof *desc ? desc->log : (vka_log){0}};
    if (sequence)
        *sequence = NULL;
    if (!nn_read(&first, function, &d, sizeof d, desc ? desc : &nothing, desc ? desc_size : sizeof nothing))
        return first.status;
    if (!device)
        nn_refuse(&first, "device", "must not be NULL");
    else if (!sequence)
        nn_refuse(&first, "sequence", "must not be NULL");
    else if (d.arena.offset % ALIGNMENT)
        nn_refuse(&first, "arena", "has the offset %llu, but it must be a multiple of %u",
                  (unsigned long long)d.arena.offset, ALIGNMENT);
    if (first.status != VKA_OK)
        return first.status;
    vka_nn_sequence *s = malloc(sizeof *s);
    if (!s) {
        no_memory(&first);
        return first.status;
    }
    *s = first;
    s->device = device;
    s->arena = d.arena;
    s->arena_bytes = d.arena.buffer ? d.arena_bytes : 0;
    s->own = !d.arena.buffer;
    *sequence = s;
    return VKA_OK;
}

void vka_nn_sequence_destroy(vka_nn_sequence **sequence) {
    if (!sequence || !*sequence)
        return;
    vka_nn_sequence *s = *sequence;
    *sequence = NULL;
    for (uint32_t i = 0; i < s->count; ++i)
        vka_plan_destroy(&s->plans[i]);
    for (uint32_t i = 0; i < s->retired_count; ++i)
        vka_buffer_destroy(&s->retired[i]);
    if (s->own)
        vka_buffer_destroy(&s->arena.buffer);
    free(s->operations);
    free((void *)s->plans);
    free(s->retired);
    free(s);
}

vka_nn_sequence_info vka_nn_sequence_get_info(const vka_nn_sequence *s) {
    return s ? (vka_nn_sequence_info){s->used, s->count, s->most_live} : (vka_nn_sequence_info){0};
}

vka_operation vka_nn_sequence_get_operation(const vka_nn_sequence *s, uint32_t index) {
    return s && index < s->count ? s->operations[index] : (vka_operation)0;
}

vka_status vka_nn_sequence_record_part(vka_recorder *recorder, const vka_nn_sequence *s, uint32_t first,
                                       uint32_t count) {
    static const char function[] = "vka_nn_sequence_record_part";
    char message[96];
    if (!s)
        return nn_missing(NULL, "vka_nn_sequence_record_part.sequence");
    if (first > s->count || count > s->count - first) {
        snprintf(message, sizeof message, "operations %u and %u from there on are not among %u", first, count, s->count);
        vka_log_error(&s->log, function, message);
        return VKA_INVALID;
    }
    vka_status status = VKA_OK;
    for (uint32_t i = first; i < first + count && status == VKA_OK; ++i)
        status = vka_plan_record(recorder, s->plans[i]);
    return status;
}

vka_status vka_nn_sequence_record(vka_recorder *recorder, const vka_nn_sequence *s) {
    return s ? vka_nn_sequence_record_part(recorder, s, 0, s->count)
             : nn_missing(NULL, "vka_nn_sequence_record.sequence");
}

/* ---- slices ---------------------------------------------------------------------------------------------------------- */

vka_status vka_nn_sequence_prepare_slices(vka_nn_sequence *s) {
    vka_status status = s ? VKA_OK : nn_missing(NULL, "vka_nn_sequence_prepare_slices.sequence");
    for (uint32_t i = 0; status == VKA_OK && i < s->count; ++i)
        status = vka_plan_prepare_slices(s->plans[i]);
    return status;
}

uint64_t vka_nn_sequence_work(const vka_nn_sequence *s) {
    uint64_t work = 0;
    for (uint32_t i = 0; s && i < s->count; ++i)
        work += vka_plan_work(s->plans[i]);
    return work;
}

vka_status vka_nn_sequence_record_slice(vka_recorder *recorder, const vka_nn_sequence *s, uint64_t budget,
                                        vka_slice *slice) {
    return s ? vka_plan_record_slice(recorder, (const vka_plan *const *)s->plans, s->count, budget, slice)
             : nn_missing(NULL, "vka_nn_sequence_record_slice.sequence");
}
