/* SPDX-License-Identifier: MIT */
#include "weights.h"

#include "common/program.h"

#include <stdlib.h>
#include <vkattn/elementwise.h>

static const vka_log to_stderr = {.fn = log_line};

/* Numbers as a row, which the device converts from one type to another. */
static vka_tensor row(vka_buffer *buffer, vka_dtype type, uint64_t offset, uint64_t count) {
    vka_tensor t = vka_tensor_1d(buffer, type, (uint32_t)count);
    t.offset = offset;
    return t;
}

static void convert(vka_device *device, vka_tensor x, vka_tensor out) {
    vka_recorder *recorder;
    check(vka_recorder_create(device, NULL, &recorder));
    check(vka_recorder_begin(recorder));
    check(vka_map(recorder, &(vka_map_desc){.x = x, .out = out}));
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));
    vka_recorder_destroy(&recorder);
}

/* All parameters lie in one buffer: each is where it lies there, in half the bytes. */
void weights_save(const char *path, vka_device *device, const parameters *p, const config *c) {
    const uint64_t count = p->bytes / sizeof(float);
    vka_buffer *half = create_buffer(device, count * 2, VKA_MEMORY_READBACK);
    vka_safetensor *tensors = allocate(p->count, sizeof *tensors);
    convert(device, row(p->values, VKA_F32, 0, count), row(half, VKA_F16, 0, count));
    for (uint32_t i = 0; i < p->count; i++) {
        const parameter *q = &p->list[i];
        tensors[i] = checkpoint_tensor(q, q->name, (const char *)vka_buffer_map(half) + q->offset / 2);
        tensors[i].dtype = VKA_F16;
        tensors[i].bytes /= 2;
    }
    checkpoint_write(path, tensors, p->count, c->texts, c->count);
    free(tensors);
    vka_buffer_destroy(&half);
}

vka_safetensors *weights_open(const char *path) {
    vka_safetensors *file;
    if (vka_safetensors_open(path, &to_stderr, &file) != VKA_OK) {
        fail("%s: has no weights that can be read", path);
    }
    return file;
}

uint32_t weights_number(const vka_safetensors *file, const char *path, const char *key) {
    const char *text = vka_safetensors_metadata(file, key);
    if (text == NULL || strtoul(text, NULL, 10) == 0) {
        fail("%s: does not say its %s", path, key);
    }
    return (uint32_t)strtoul(text, NULL, 10);
}

/* In f32 or f16, of this shape. */
static const vka_safetensor *find(const vka_safetensors *file, const char *path, const char *name, uint32_t rank,
                                  const uint32_t *shape) {
    const vka_safetensor *t = vka_safetensors_find(file, name);
    if (t == NULL) {
        fail("%s: lacks the tensor %s", path, name);
    }
    bool same = (t->dtype == VKA_F32 || t->dtype == VKA_F16) && t->rank == rank;
    for (uint32_t k = 0; k < rank && same; k++) {
        same = t->shape[k] == shape[k];
    }
    if (!same) {
        fail("%s: the tensor %s is not of this model's shape", path, name);
    }
    return t;
}

void weights_check(const vka_safetensors *file, const char *path, const char *name, uint32_t n0, uint32_t n1) {
    find(file, path, name, 2, (uint32_t[]){n0, n1});
}

static void load(const vka_safetensor *t, vka_device *device, const parameters *p, const parameter *q) {
    if (t->dtype == VKA_F32) {
        check(vka_buffer_write(p->values, q->offset, t->data, t->bytes));
        return;
    }
    const uint64_t count = t->bytes / 2;
    vka_buffer *half = create_buffer(device, (t->bytes + 3) / 4 * 4, VKA_MEMORY_UPLOAD);
    check(vka_buffer_write(half, 0, t->data, t->bytes));
    convert(device, row(half, VKA_F16, 0, count), row(p->values, VKA_F32, q->offset, count));
    vka_buffer_destroy(&half);
}

void weights_load(const vka_safetensors *file, const char *path, vka_device *device, const parameters *p) {
    for (uint32_t i = 0; i < p->count; i++) {
        const parameter *q = &p->list[i];
        const vka_safetensor *t = find(file, path, q->name, q->rank, q->shape);
        load(t, device, p, q);
    }
}
