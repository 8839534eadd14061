/* A model's parameters by name, with gradients and AdamW's moments, on the device in f32.
 *
 * Values of all parameters lie in one buffer, and so do gradients and moments: then an update is a few operations,
 * however many parameters there are, and a tensor of one parameter is a view.
 *
 *   parameters p = {0};
 *   parameters_add(&p, "head.weight", 2, (uint32_t[]){classes, width}, 0, 0.02f);  ...
 *   parameters_create(&p, device, seed);
 *   vka_tensor w = parameters_value(&p, "head.weight"), d_w = parameters_gradient(&p, "head.weight");
 *
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_PARAMETERS_H
#define TRAINING_PARAMETERS_H

#include <vkattn/vkattn.h>

typedef struct parameter {
    char name[64];
    uint32_t rank, shape[VKA_MAX_RANK];
    float mean, deviation; /* of values at first: normally distributed */
    uint64_t offset;       /* bytes, in each of the buffers */
} parameter;

typedef struct parameters {
    parameter *list;
    uint32_t count, capacity;
    uint64_t bytes;          /* of each buffer */
    uint64_t decaying_bytes; /* what is in front has two dimensions or more, and decays; biases and norms don't */
    vka_buffer *values, *gradients, *moments[2];
} parameters;

/* Before parameters_create. */
void parameters_add(parameters *p, const char *name, uint32_t rank, const uint32_t *shape, float mean, float deviation);

/* Makes the buffers. What a value is at first depends on the seed and the parameter's name alone. */
void parameters_create(parameters *p, vka_device *device, uint64_t seed);
void parameters_destroy(parameters *p);

uint64_t parameter_bytes(const parameter *p);
uint64_t parameters_total(const parameters *p); /* numbers */

/* Views; a name that there is not ends the program. */
vka_tensor parameters_value(const parameters *p, const char *name);
vka_tensor parameters_gradient(const parameters *p, const char *name);

/* The same as vka_nn_find_fn, of a const parameters *. */
bool parameters_find_value(void *user, const char *name, vka_tensor *tensor);
bool parameters_find_gradient(void *user, const char *name, vka_tensor *tensor);

#endif
