/* SPDX-License-Identifier: MIT */
#include "weights.h"

#include "common/program.h"

#include <stdlib.h>

uint32_t weights_number(const vka_safetensors *file, const char *path, const char *key) {
    const char *text = vka_safetensors_metadata(file, key);
    if (text == NULL || strtoul(text, NULL, 10) == 0) {
        fail("%s: does not say its %s", path, key);
    }
    return (uint32_t)strtoul(text, NULL, 10);
}

void weights_check(const vka_safetensors *file, const char *path, const char *name, uint32_t n0, uint32_t n1) {
    const vka_safetensor *t = vka_safetensors_find(file, name);
    if (t == NULL) {
        fail("%s: lacks the tensor %s", path, name);
    }
    if (t->rank != 2 || t->shape[0] != n0 || t->shape[1] != n1) {
        fail("%s: the tensor %s is not of this model's shape", path, name);
    }
}
