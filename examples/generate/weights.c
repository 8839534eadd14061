/* SPDX-License-Identifier: MIT */
#include "weights.h"

#include "common/program.h"
#include "gpt/parameters.h"
#include "training/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256, MAX_CONTEXT = 65536 };

/* ---- sizes and characters ------------------------------------------------------------------------------------ */

static const char *text_of(const weights *w, const char *key) {
    const char *text = vka_safetensors_metadata(w->file, key);
    if (text == NULL) {
        fail("%s: its metadata lack %s", w->path, key);
    }
    return text;
}

static uint32_t number_of(const weights *w, const char *key, uint32_t most) {
    const char *text = text_of(w, key);
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || value < 1 || value > most) {
        fail("%s: %s is '%s', but must be 1 .. %" PRIu32, w->path, key, text, most);
    }
    return (uint32_t)value;
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void read_vocabulary(weights *w) {
    const char *digits = text_of(w, "vocabulary");
    const size_t length = strlen(digits);
    bool right = length >= 2 && length <= 512 && length % 2 == 0;
    for (size_t i = 0; i < length && right; i += 2) {
        const int high = digit(digits[i]), low = digit(digits[i + 1]);
        w->bytes[i / 2] = (uint8_t)(16 * high + low);
        right = high >= 0 && low >= 0 && (i == 0 || w->bytes[i / 2] > w->bytes[i / 2 - 1]);
    }
    if (!right) {
        fail("%s: vocabulary must have two hexadecimal digits for each byte, in ascending order", w->path);
    }
    w->sizes.classes = (uint32_t)(length / 2);
}

static void read_sizes(weights *w) {
    read_vocabulary(w);
    w->sizes.layers = number_of(w, "layers", TRUNK_MAX_LAYERS);
    w->sizes.heads = number_of(w, "heads", TRUNK_MAX_WIDTH);
    w->sizes.width = number_of(w, "width", TRUNK_MAX_WIDTH);
    w->sizes.context = number_of(w, "context", MAX_CONTEXT);
    w->sizes.batch = 1;
    w->sizes.causal = true;
    if (w->sizes.width % w->sizes.heads) {
        fail("%s: its width, %" PRIu32 ", is no multiple of its %" PRIu32 " heads", w->path, w->sizes.width,
             w->sizes.heads);
    }
}

/* ---- tensors ------------------------------------------------------------------------------------------------- */

static bool is_float(vka_dtype type) {
    return type == VKA_F32 || type == VKA_F16 || type == VKA_BF16;
}

static const vka_safetensor *find(const weights *w, const parameter *p) {
    const vka_safetensor *t = vka_safetensors_find(w->file, p->name);
    if (t == NULL) {
        fail("%s: %s is missing", w->path, p->name);
    }
    if (!is_float(t->dtype)) {
        fail("%s: %s has the type %s, but must have F32, F16 or BF16", w->path, p->name, t->type);
    }
    bool same = t->rank == p->rank;
    for (uint32_t i = 0; i < p->rank && same; i++) {
        same = t->shape[i] == p->shape[i];
    }
    if (!same) {
        fail("%s: %s has not the shape that the file's sizes say", w->path, p->name);
    }
    return t;
}

weights weights_open(const char *path) {
    weights w = {.file = checkpoint_open_weights(path), .path = path};
    read_sizes(&w);
    gpt_add_parameters(&w.list, &w.sizes);
    for (uint32_t i = 0; i < w.list.count; i++) {
        find(&w, &w.list.list[i]);
    }
    return w;
}

float *weights_read(const weights *w, uint32_t index) {
    const vka_safetensor *t = find(w, &w->list.list[index]);
    const size_t numbers = (size_t)(t->bytes / vka_dtype_size(t->dtype));
    float *values = allocate(numbers, sizeof *values);
    uint16_t *halves = allocate(numbers, sizeof *halves); /* aligned, as a file's need not be */
    if (t->dtype == VKA_F32) {
        memcpy(values, t->data, t->bytes);
    } else {
        memcpy(halves, t->data, t->bytes);
        (t->dtype == VKA_F16 ? vka_f16_to_f32 : vka_bf16_to_f32)(halves, values, numbers);
    }
    free(halves);
    return values;
}

/* Matrices stay in the file's type; norms take no other than that of activations for their vectors. */
void weights_upload(weights *w, vka_device *device) {
    uint64_t bytes = 0;
    w->tensors = allocate(w->list.count, sizeof *w->tensors);
    for (uint32_t i = 0; i < w->list.count; i++) {
        const parameter *p = &w->list.list[i];
        const vka_dtype type = p->rank > 1 ? find(w, p)->dtype : VKA_F32;
        w->tensors[i] = (vka_tensor){.offset = bytes, .dtype = type, .rank = p->rank};
        memcpy(w->tensors[i].shape, p->shape, p->rank * sizeof *p->shape);
        const uint64_t size = parameter_bytes(p) / sizeof(float) * vka_dtype_size(type);
        bytes += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    w->buffer = create_buffer(device, bytes, VKA_MEMORY_DEVICE);
    for (uint32_t i = 0; i < w->list.count; i++) {
        const parameter *p = &w->list.list[i];
        const vka_safetensor *t = find(w, p);
        vka_tensor *to = &w->tensors[i];
        to->buffer = w->buffer;
        float *values = p->rank > 1 ? NULL : weights_read(w, i);
        check(
            vka_buffer_write(w->buffer, to->offset, values ? values : t->data, values ? parameter_bytes(p) : t->bytes));
        free(values);
    }
    vka_safetensors_close(&w->file);
}

void weights_free(weights *w) {
    vka_safetensors_close(&w->file);
    vka_buffer_destroy(&w->buffer);
    free(w->tensors);
    free(w->list.list);
    *w = (weights){0};
}

bool weights_find(void *user, const char *name, vka_tensor *tensor) {
    const weights *w = user;
    for (uint32_t i = 0; i < w->list.count; i++) {
        if (strcmp(w->list.list[i].name, name) == 0) {
            *tensor = w->tensors[i];
            return true;
        }
    }
    return false;
}

/* ---- text ---------------------------------------------------------------------------------------------------- */

int32_t *weights_tokens(const weights *w, const char *text, uint32_t *count) {
    const size_t length = strlen(text);
    if (length > INT32_MAX) {
        fail("a text is too long");
    }
    int32_t *tokens = allocate(length, sizeof *tokens);
    for (size_t i = 0; i < length; i++) {
        const uint8_t *at = memchr(w->bytes, text[i], w->sizes.classes);
        if (at == NULL) {
            fail("%s: the model has never seen the byte 0x%02x of '%s'", w->path, (unsigned char)text[i], text);
        }
        tokens[i] = (int32_t)(at - w->bytes);
    }
    *count = (uint32_t)length;
    return tokens;
}
