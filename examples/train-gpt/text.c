/* SPDX-License-Identifier: MIT */
#include "text.h"

#include "common/program.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *read_file(const char *path, uint32_t *count) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail("%s: %s%s", path, strerror(errno), errno == ENOENT ? " (tools/fetch-data gets it)" : "");
    }
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size < 0 || size > INT32_MAX || fseek(file, 0, SEEK_SET) != 0) {
        fail("%s: is no file of less than 2 GiB", path);
    }
    uint8_t *bytes = allocate((size_t)size, 1);
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        fail("%s: can't be read", path);
    }
    fclose(file);
    *count = (uint32_t)size;
    return bytes;
}

text text_load(const char *path, uint64_t least) {
    text t = {0};
    uint32_t count;
    uint8_t class_of[256] = {0};
    bool there[256] = {false};
    t.tokens = read_file(path, &count);
    t.validation = count / 10;
    t.training = count - t.validation;
    if (t.validation < least) {
        fail("%s: is too short: a tenth of it are %" PRIu32 " bytes, not %" PRIu64, path, t.validation, least);
    }
    for (uint32_t i = 0; i < count; i++) {
        there[t.tokens[i]] = true;
    }
    for (int i = 0; i < 256; i++) {
        if (there[i]) {
            class_of[i] = (uint8_t)t.classes;
            t.bytes[t.classes++] = (uint8_t)i;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        t.tokens[i] = class_of[t.tokens[i]];
    }
    return t;
}

void text_free(text *t) {
    free(t->tokens);
    *t = (text){0};
}

text_vocabulary text_vocabulary_of(const text *t) {
    text_vocabulary v = {{0}};
    for (uint32_t i = 0; i < t->classes; i++) {
        snprintf(v.digits + (size_t)2 * i, 3, "%02x", t->bytes[i]);
    }
    return v;
}

static void take(const uint8_t *from, uint32_t count, int32_t *ids, int32_t *targets) {
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = from[i];
        targets[i] = from[i + 1];
    }
}

void text_draw(const text *t, random_state *random, uint32_t batch, uint32_t context, int32_t *ids, int32_t *targets) {
    for (uint32_t i = 0; i < batch; i++) {
        uint32_t at = random_below(random, t->training - context);
        take(t->tokens + at, context, ids + (size_t)i * context, targets + (size_t)i * context);
    }
}

uint32_t text_validation_count(const text *t, uint32_t context) {
    return (t->validation - 1) / context;
}

void text_validation(const text *t, uint32_t which, uint32_t context, int32_t *ids, int32_t *targets) {
    take(t->tokens + t->training + (size_t)which * context, context, ids, targets);
}

/* Mixed by a prior of so many observations (MacKay and Peto 1995). */
double text_bigram_loss(const text *t, uint32_t count) {
    const double prior = 8;
    double pairs[256][256] = {{0}}, firsts[256] = {0}, singles[256] = {0}, sum = 0;
    for (uint32_t i = 0; i + 1 < t->training; i++) {
        pairs[t->tokens[i]][t->tokens[i + 1]]++;
        firsts[t->tokens[i]]++;
        singles[t->tokens[i + 1]]++;
    }
    const uint8_t *from = t->tokens + t->training;
    for (uint32_t i = 0; i < count; i++) {
        double single = (singles[from[i + 1]] + 1) / ((double)t->training - 1 + t->classes);
        sum -= log((pairs[from[i]][from[i + 1]] + prior * single) / (firsts[from[i]] + prior));
    }
    return sum / count;
}
