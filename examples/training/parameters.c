/* SPDX-License-Identifier: MIT */
#include "parameters.h"

#include "common/program.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256 }; /* of a binding's offset, the largest that Vulkan allows a device to ask for */

void parameters_add(parameters *p, const char *name, uint32_t rank, const uint32_t *shape, float mean,
                    float deviation) {
    if (p->count == p->capacity) {
        parameter *list = allocate(p->capacity = 2 * p->capacity + 16, sizeof *list);
        if (p->count) {
            memcpy(list, p->list, p->count * sizeof *list);
        }
        free(p->list);
        p->list = list;
    }
    parameter *q = &p->list[p->count++];
    *q = (parameter){.rank = rank, .mean = mean, .deviation = deviation};
    memcpy(q->shape, shape, rank * sizeof *shape);
    if (snprintf(q->name, sizeof q->name, "%s", name) >= (int)sizeof q->name) {
        fail("%s: the name is too long", name);
    }
}

uint64_t parameter_bytes(const parameter *p) {
    uint64_t bytes = sizeof(float);
    for (uint32_t i = 0; i < p->rank; i++) {
        bytes *= p->shape[i];
    }
    return bytes;
}

uint64_t parameters_total(const parameters *p) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        total += parameter_bytes(&p->list[i]) / sizeof(float);
    }
    return total;
}

static void place(parameters *p) {
    p->bytes = 0;
    for (int decays = 1; decays >= 0; decays--) {
        for (uint32_t i = 0; i < p->count; i++) {
            parameter *q = &p->list[i];
            if ((q->rank > 1) == decays) {
                q->offset = p->bytes;
                p->bytes += (parameter_bytes(q) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
            }
        }
        p->decaying_bytes = decays ? p->bytes : p->decaying_bytes;
    }
}

void parameters_create(parameters *p, vka_device *device, uint64_t seed) {
    place(p);
    float *values = allocate((size_t)p->bytes, 1);
    for (uint32_t i = 0; i < p->count; i++) {
        const parameter *q = &p->list[i];
        random_state r = random_seed(seed, q->name);
        for (uint64_t k = 0; k < parameter_bytes(q) / sizeof(float); k++) {
            values[q->offset / sizeof(float) + k] =
                q->deviation > 0 ? q->mean + q->deviation * random_normal(&r) : q->mean;
        }
    }
    p->values = create_buffer(device, p->bytes, VKA_MEMORY_DEVICE);
    p->gradients = create_buffer(device, p->bytes, VKA_MEMORY_DEVICE);
    p->moments[0] = create_buffer(device, p->bytes, VKA_MEMORY_DEVICE);
    p->moments[1] = create_buffer(device, p->bytes, VKA_MEMORY_DEVICE);
    check(vka_buffer_write(p->values, 0, values, p->bytes));
    free(values);
}

void parameters_destroy(parameters *p) {
    vka_buffer_destroy(&p->values);
    vka_buffer_destroy(&p->gradients);
    vka_buffer_destroy(&p->moments[0]);
    vka_buffer_destroy(&p->moments[1]);
    free(p->list);
    *p = (parameters){0};
}

static bool find(const parameters *p, vka_buffer *buffer, const char *name, vka_tensor *tensor) {
    for (uint32_t i = 0; i < p->count; i++) {
        const parameter *q = &p->list[i];
        if (strcmp(q->name, name) == 0) {
            *tensor = (vka_tensor){.buffer = buffer, .offset = q->offset, .dtype = VKA_F32, .rank = q->rank};
            memcpy(tensor->shape, q->shape, q->rank * sizeof *q->shape);
            return true;
        }
    }
    return false;
}

bool parameters_find_value(void *user, const char *name, vka_tensor *tensor) {
    const parameters *p = user;
    return find(p, p->values, name, tensor);
}

bool parameters_find_gradient(void *user, const char *name, vka_tensor *tensor) {
    const parameters *p = user;
    return find(p, p->gradients, name, tensor);
}

static vka_tensor named(const parameters *p, vka_buffer *buffer, const char *name) {
    vka_tensor t;
    if (!find(p, buffer, name, &t)) {
        fail("there is no parameter %s", name);
    }
    return t;
}

vka_tensor parameters_value(const parameters *p, const char *name) {
    return named(p, p->values, name);
}

vka_tensor parameters_gradient(const parameters *p, const char *name) {
    return named(p, p->gradients, name);
}
