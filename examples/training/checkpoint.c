/* SPDX-License-Identifier: MIT */
#include "checkpoint.h"

#include "common/program.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 3, MAX_TEXTS = 32, OWN_TEXTS = 4, KEYS_SIZE = 512 };

static const vka_log to_stderr = {.fn = log_line};
static const char *const part_prefixes[PARTS] = {"", "first_moment.", "second_moment."};
static const char format_name[] = "vkattn-example-training-1", weights_format_name[] = "vkattn-example-weights-1";
static const char *const own_texts[OWN_TEXTS] = {"format", "step", "random", "texts"};

typedef struct tensor_name {
    char text[96];
} tensor_name;

static vka_buffer *part_of(const parameters *p, int part) {
    return part == 0 ? p->values : p->moments[part - 1];
}

static tensor_name name_of(const parameter *p, int part) {
    tensor_name name;
    snprintf(name.text, sizeof name.text, "%s%s", part_prefixes[part], p->name);
    return name;
}

/* ---- checksum ------------------------------------------------------------------------------------------------ */

/* FNV-1a (Fowler, Noll, Vo 1991) of 64 bits. */
static uint64_t add_bytes(uint64_t sum, const void *data, uint64_t bytes) {
    const unsigned char *p = data;
    for (uint64_t i = 0; i < bytes; i++) {
        sum = (sum ^ p[i]) * 0x100000001b3u;
    }
    return sum;
}

static uint64_t add_text(uint64_t sum, const char *text) {
    return add_bytes(sum, text, strlen(text) + 1);
}

/* Of all texts, but itself, and all tensors. */
static uint64_t checksum(const checkpoint_text *texts, uint32_t text_count, const vka_safetensor *const *tensors,
                         uint32_t count) {
    uint64_t sum = 0xcbf29ce484222325u;
    for (uint32_t i = 0; i < text_count; i++) {
        sum = add_text(add_text(sum, texts[i].key), texts[i].value);
    }
    for (uint32_t i = 0; i < count; i++) {
        sum = add_bytes(add_text(sum, tensors[i]->name), tensors[i]->data, tensors[i]->bytes);
    }
    return sum;
}

/* ---- saving -------------------------------------------------------------------------------------------------- */

vka_safetensor checkpoint_tensor(const parameter *p, const char *name, const void *data) {
    vka_safetensor t = {.name = name, .dtype = VKA_F32, .rank = p->rank, .data = data, .bytes = parameter_bytes(p)};
    for (uint32_t i = 0; i < p->rank; i++) {
        t.shape[i] = p->shape[i];
    }
    return t;
}

static vka_safetensor tensor_of_curve(const curve *c, const char *name) {
    return (vka_safetensor){.name = name,
                            .dtype = VKA_F32,
                            .rank = 2,
                            .shape = {c->count, 2},
                            .data = c->points,
                            .bytes = c->count * sizeof *c->points};
}

void checkpoint_write(const char *path, const vka_safetensor *tensors, uint32_t count, const checkpoint_text *texts,
                      uint32_t text_count) {
    const char *metadata[MAX_TEXTS][2];
    if (text_count > MAX_TEXTS) {
        fail("%s: too many texts", path);
    }
    for (uint32_t i = 0; i < text_count; i++) {
        metadata[i][0] = texts[i].key;
        metadata[i][1] = texts[i].value;
    }
    check(vka_safetensors_write(path, tensors, count, (const char *const(*)[2])metadata, text_count, &to_stderr));
}

/* Names of the program's own texts, as a file does not list those that it has. */
static void join_keys(const checkpoint_text *texts, uint32_t count, char *keys, size_t size) {
    size_t length = 0;
    keys[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        int step = snprintf(keys + length, size - length, "%s%s", i ? " " : "", texts[i].key);
        length += (size_t)step;
        if (length >= size) {
            fail("a checkpoint's texts have too long names");
        }
    }
}

/* What a file says of itself but for texts of the program's own. */
typedef struct label {
    const char *format;
    uint32_t step;
    uint64_t random;
} label;

static void write_labelled(const char *path, const label *l, const vka_safetensor *tensors, uint32_t count,
                           const checkpoint_text *texts, uint32_t text_count) {
    char step[16], random[24], keys[KEYS_SIZE], sum[24];
    checkpoint_text all_texts[MAX_TEXTS] = {
        {own_texts[0], l->format}, {own_texts[1], step}, {own_texts[2], random}, {own_texts[3], keys}};
    if (OWN_TEXTS + text_count + 1 > MAX_TEXTS) {
        fail("%s: too many texts", path);
    }
    const vka_safetensor **all = allocate(count, sizeof *all);
    for (uint32_t i = 0; i < count; i++) {
        all[i] = &tensors[i];
    }
    snprintf(step, sizeof step, "%" PRIu32, l->step);
    snprintf(random, sizeof random, "%016" PRIx64, l->random);
    join_keys(texts, text_count, keys, sizeof keys);
    memcpy(all_texts + OWN_TEXTS, texts, text_count * sizeof *texts);
    text_count += OWN_TEXTS;
    snprintf(sum, sizeof sum, "%016" PRIx64, checksum(all_texts, text_count, all, count));
    all_texts[text_count++] = (checkpoint_text){"checksum", sum};
    checkpoint_write(path, tensors, count, all_texts, text_count);
    free(all);
}

void checkpoint_save(const char *path, const training_state *t, const checkpoint_text *texts, uint32_t count) {
    const parameters *p = t->parameters;
    unsigned char *data = allocate((size_t)(PARTS * p->bytes), 1);
    tensor_name *names = allocate((size_t)PARTS * p->count, sizeof *names);
    vka_safetensor *tensors = allocate((size_t)PARTS * p->count + 2, sizeof *tensors);
    uint32_t n = 0;
    for (int part = 0; part < PARTS; part++) {
        unsigned char *from = data + part * p->bytes;
        check(vka_buffer_read(part_of(p, part), 0, from, p->bytes));
        for (uint32_t i = 0; i < p->count; i++, n++) {
            names[n] = name_of(&p->list[i], part);
            tensors[n] = checkpoint_tensor(&p->list[i], names[n].text, from + p->list[i].offset);
        }
    }
    tensors[n++] = tensor_of_curve(t->training, "curve.training");
    tensors[n++] = tensor_of_curve(t->validation, "curve.validation");
    const label l = {format_name, optimizer_get_step(t->optimizer), t->random->at};
    write_labelled(path, &l, tensors, n, texts, count);
    free(tensors);
    free(names);
    free(data);
}

void checkpoint_save_weights(const char *path, const parameters *p, uint32_t step, const checkpoint_text *texts,
                             uint32_t count) {
    const size_t numbers = (size_t)(p->bytes / sizeof(float));
    float *values = allocate(numbers, sizeof *values);
    uint16_t *halves = allocate(numbers, sizeof *halves);
    vka_safetensor *tensors = allocate(p->count, sizeof *tensors);
    check(vka_buffer_read(p->values, 0, values, p->bytes));
    vka_f32_to_f16(values, halves, numbers);
    vka_f16_to_f32(halves, values, numbers);
    check(vka_buffer_write(p->values, 0, values, p->bytes));
    for (uint32_t i = 0; i < p->count; i++) {
        const parameter *q = &p->list[i];
        tensors[i] = checkpoint_tensor(q, q->name, halves + q->offset / sizeof(float));
        tensors[i].dtype = VKA_F16;
        tensors[i].bytes /= 2;
    }
    write_labelled(path, &(label){weights_format_name, step, 0}, tensors, p->count, texts, count);
    free(tensors);
    free(halves);
    free(values);
}

/* ---- loading ------------------------------------------------------------------------------------------------- */

const char *checkpoint_get(const vka_safetensors *file, const char *key) {
    const char *text = vka_safetensors_metadata(file, key);
    if (text == NULL) {
        fail("the file's metadata lack %s: is it another program's?", key);
    }
    return text;
}

/* Of a file that may be anything. */
static const char *text_of(const vka_safetensors *file, const char *path, const char *what, const char *key) {
    const char *text = vka_safetensors_metadata(file, key);
    if (text == NULL) {
        fail("%s: the %s is damaged: it lacks %s", path, what, key);
    }
    return text;
}

static uint64_t checksum_of_file(const vka_safetensors *file, const char *path, const char *what) {
    uint32_t count = vka_safetensors_count(file), text_count = 0;
    checkpoint_text texts[MAX_TEXTS];
    char keys[KEYS_SIZE];
    for (; text_count < OWN_TEXTS; text_count++) {
        texts[text_count].key = own_texts[text_count];
    }
    snprintf(keys, sizeof keys, "%s", text_of(file, path, what, "texts"));
    for (char *key = strtok(keys, " "); key && text_count < MAX_TEXTS; key = strtok(NULL, " ")) {
        texts[text_count++].key = key;
    }
    for (uint32_t i = 0; i < text_count; i++) {
        texts[i].value = text_of(file, path, what, texts[i].key);
    }
    const vka_safetensor **all = allocate(count, sizeof *all);
    for (uint32_t i = 0; i < count; i++) {
        all[i] = vka_safetensors_at(file, i);
    }
    uint64_t sum = checksum(texts, text_count, all, count);
    free(all);
    return sum;
}

/* A checkpoint has weights, too. */
static vka_safetensors *open_labelled(const char *path, bool weights) {
    const char *what = weights ? "file of weights" : "checkpoint";
    vka_safetensors *file;
    char sum[24];
    if (vka_safetensors_open(path, &to_stderr, &file) != VKA_OK) {
        fail("%s: is no %s that can be read", path, what);
    }
    const char *is = vka_safetensors_metadata(file, "format");
    if (is == NULL || (strcmp(is, format_name) != 0 && (!weights || strcmp(is, weights_format_name) != 0))) {
        fail("%s: is not a %s of this program", path, what);
    }
    snprintf(sum, sizeof sum, "%016" PRIx64, checksum_of_file(file, path, what));
    const char *said = text_of(file, path, what, "checksum");
    if (strcmp(sum, said) != 0) {
        fail("%s: the %s is damaged: its checksum is %s, not %s", path, what, sum, said);
    }
    return file;
}

vka_safetensors *checkpoint_open(const char *path) {
    return open_labelled(path, false);
}

vka_safetensors *checkpoint_open_weights(const char *path) {
    return open_labelled(path, true);
}

uint32_t checkpoint_step(const vka_safetensors *file) {
    const char *step = vka_safetensors_metadata(file, "step");
    return step ? (uint32_t)strtoul(step, NULL, 10) : 0;
}

static const vka_safetensor *tensor_named(const vka_safetensors *file, const char *name) {
    const vka_safetensor *t = vka_safetensors_find(file, name);
    if (t == NULL) {
        fail("the checkpoint lacks the tensor %s", name);
    }
    return t;
}

/* The tensor of a parameter, of its shape. */
static const vka_safetensor *tensor_of(const vka_safetensors *file, const parameter *p, const char *name,
                                       bool may_be_half) {
    const vka_safetensor *t = tensor_named(file, name);
    bool same = (t->dtype == VKA_F32 || (may_be_half && t->dtype == VKA_F16)) && t->rank == p->rank;
    for (uint32_t k = 0; k < p->rank && same; k++) {
        same = t->shape[k] == p->shape[k];
    }
    if (!same) {
        fail("the checkpoint's tensor %s is not of this model's shape", name);
    }
    return t;
}

static void load_part(const vka_safetensors *file, const parameters *p, int part) {
    for (uint32_t i = 0; i < p->count; i++) {
        const parameter *q = &p->list[i];
        const tensor_name name = name_of(q, part);
        const vka_safetensor *t = tensor_of(file, q, name.text, false);
        check(vka_buffer_write(part_of(p, part), q->offset, t->data, t->bytes));
    }
}

void checkpoint_load_weights(const vka_safetensors *file, const parameters *p) {
    for (uint32_t i = 0; i < p->count; i++) {
        const parameter *q = &p->list[i];
        const vka_safetensor *t = tensor_of(file, q, q->name, true);
        const size_t count = (size_t)(parameter_bytes(q) / sizeof(float));
        float *values = allocate(count, sizeof *values);
        uint16_t *halves = allocate(count, sizeof *halves);
        memcpy(t->dtype == VKA_F16 ? (void *)halves : (void *)values, t->data, t->bytes); /* aligned */
        if (t->dtype == VKA_F16) {
            vka_f16_to_f32(halves, values, count);
        }
        check(vka_buffer_write(p->values, q->offset, values, count * sizeof *values));
        free(halves);
        free(values);
    }
}

static void load_curve(const vka_safetensors *file, const char *name, curve *c) {
    const vka_safetensor *t = tensor_named(file, name);
    if (t->dtype != VKA_F32 || t->rank != 2 || t->shape[1] != 2) {
        fail("the checkpoint's tensor %s is not a curve", name);
    }
    curve_free(c);
    for (uint64_t i = 0; i < t->shape[0]; i++) {
        curve_point point;
        memcpy(&point, (const char *)t->data + i * sizeof point, sizeof point);
        if (!(point.step >= 0 && point.step < 0x1p32f)) {
            fail("the checkpoint's tensor %s has a step that can't be", name);
        }
        curve_add(c, (uint32_t)point.step, point.loss);
    }
}

void checkpoint_load(const vka_safetensors *file, const training_state *t) {
    for (int part = 0; part < PARTS; part++) {
        load_part(file, t->parameters, part);
    }
    load_curve(file, "curve.training", t->training);
    load_curve(file, "curve.validation", t->validation);
    optimizer_set_step(t->optimizer, checkpoint_step(file));
    t->random->at = strtoull(checkpoint_get(file, "random"), NULL, 16);
}
