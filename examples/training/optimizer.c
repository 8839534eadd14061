/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include "common/program.h"

#include <math.h>
#include <stdlib.h>
#include <vkattn/embedding.h>
#include <vkattn/optim.h>

/* Where the numbers of `state` lie: apart, so that none waits for another one. */
enum { STEP, NORM, GRAD_SCALE, RATE, NUMBERS, APART = 256, ROW = 64 };

static vka_tensor number(const optimizer *o, uint32_t which) {
    vka_tensor t = vka_tensor_1d(o->state, which == STEP ? VKA_I32 : VKA_F32, 1);
    t.offset = (uint64_t)which * APART;
    return t;
}

optimizer_desc optimizer_usual(uint32_t steps, float learning_rate) {
    return (optimizer_desc){.steps = steps,
                            .warm_up = steps / 10 < 100 ? steps / 10 : 100,
                            .learning_rate = learning_rate,
                            .last_rate = learning_rate / 20,
                            .weight_decay = 0.1f,
                            .beta2 = 0.99f,
                            .max_norm = 1};
}

float optimizer_rate(const optimizer_desc *d, uint32_t step) {
    if (step <= d->warm_up) {
        return d->learning_rate * (float)step / (float)d->warm_up;
    }
    if (step > d->steps) {
        return 0;
    }
    double at = (double)(step - d->warm_up) / (d->steps - d->warm_up);
    return (float)(d->last_rate + (d->learning_rate - d->last_rate) * (1 + cos(3.141592653589793 * at)) / 2);
}

void optimizer_create(optimizer *o, vka_device *device, const optimizer_desc *desc) {
    uint32_t rows = desc->steps + 1;
    float *shares = allocate(rows, sizeof *shares);
    *o = (optimizer){.desc = *desc};
    for (uint32_t i = 1; i < rows; i++) {
        shares[i] = optimizer_rate(desc, i) / desc->learning_rate;
    }
    o->state = create_buffer(device, NUMBERS * APART, VKA_MEMORY_READBACK);
    o->schedule = create_buffer(device, rows * sizeof *shares, VKA_MEMORY_DEVICE);
    check(vka_buffer_write(o->schedule, 0, shares, rows * sizeof *shares));
    free(shares);
}

void optimizer_destroy(optimizer *o) {
    vka_buffer_destroy(&o->state);
    vka_buffer_destroy(&o->schedule);
}

/* Parameters from byte `from` on, as rows: a single row would have to fit a binding. */
static vka_tensor rows_of(vka_buffer *buffer, uint64_t from, uint64_t bytes) {
    vka_tensor t = vka_tensor_2d(buffer, VKA_F32, (uint32_t)(bytes / (ROW * sizeof(float))), ROW);
    t.offset = from;
    return t;
}

static void add_adamw(const optimizer *o, vka_nn_sequence *sequence, const parameters *p, uint64_t from, uint64_t bytes,
                      float weight_decay) {
    const vka_adamw_desc d = {.parameter = rows_of(p->values, from, bytes),
                              .gradient = rows_of(p->gradients, from, bytes),
                              .first_moment = rows_of(p->moments[0], from, bytes),
                              .second_moment = rows_of(p->moments[1], from, bytes),
                              .grad_scale = number(o, GRAD_SCALE),
                              .rate_scale = number(o, RATE),
                              .step.tensor = number(o, STEP),
                              .learning_rate = o->desc.learning_rate,
                              .beta2 = o->desc.beta2,
                              .weight_decay = weight_decay};
    check(vka_nn_operation(sequence, VKA_OPERATION_ADAMW, &d, sizeof d));
}

void optimizer_add(const optimizer *o, vka_nn_sequence *sequence, const parameters *p) {
    const vka_gradient_norm_desc norm = {.gradients = {rows_of(p->gradients, 0, p->bytes)},
                                         .norm = number(o, NORM),
                                         .grad_scale = number(o, GRAD_SCALE),
                                         .step = number(o, STEP),
                                         .max_norm = o->desc.max_norm};
    check(vka_nn_operation(sequence, VKA_OPERATION_GRADIENT_NORM, &norm, sizeof norm));
    /* The row of a table by a number on the device is what an embedding is. */
    const vka_embedding_desc rate = {.table = vka_tensor_2d(o->schedule, VKA_F32, o->desc.steps + 1, 1),
                                     .ids = number(o, STEP),
                                     .out = number(o, RATE)};
    check(vka_nn_operation(sequence, VKA_OPERATION_EMBEDDING, &rate, sizeof rate));
    add_adamw(o, sequence, p, 0, p->decaying_bytes, o->desc.weight_decay);
    add_adamw(o, sequence, p, p->decaying_bytes, p->bytes - p->decaying_bytes, 0);
}

uint32_t optimizer_get_step(const optimizer *o) {
    return (uint32_t) * (int32_t *)vka_buffer_map(o->state);
}

void optimizer_set_step(optimizer *o, uint32_t step) {
    *(int32_t *)vka_buffer_map(o->state) = (int32_t)step;
}

float optimizer_get_norm(const optimizer *o) {
    return ((const float *)vka_buffer_map(o->state))[NORM * APART / sizeof(float)];
}
