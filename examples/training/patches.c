/* SPDX-License-Identifier: MIT */
#include "patches.h"

#include "operation.h"

#include <vkattn/embedding.h>

void patches_add_parameters(parameters *p, const trunk_desc *d, uint32_t pixels) {
    parameters_add(p, trunk_name(d, "patches.weight").text, 2, (uint32_t[]){d->width, pixels}, 0, 0.5f);
    parameters_add(p, trunk_name(d, "positions.weight").text, 2, (uint32_t[]){d->context, d->width}, 0, 0.3f);
}

void patches_create(patches *p, const trunk *t, uint32_t pixels) {
    const uint64_t tokens = (uint64_t)t->desc.batch * t->desc.context;
    *p = (patches){.trunk = t, .pixels = pixels};
    p->values = create_buffer(t->device, tokens * pixels * sizeof(float), VKA_MEMORY_UPLOAD);
    p->places = create_buffer(t->device, tokens * sizeof(int32_t), VKA_MEMORY_UPLOAD);
    for (uint64_t i = 0; i < tokens; i++) {
        ((int32_t *)vka_buffer_map(p->places))[i] = (int32_t)(i % t->desc.context);
    }
}

void patches_destroy(patches *p) {
    vka_buffer_destroy(&p->values);
    vka_buffer_destroy(&p->places);
}

float *patches_at(const patches *p, uint32_t picture) {
    return (float *)vka_buffer_map(p->values) + ((size_t)picture * p->trunk->desc.context + 1) * p->pixels;
}

static vka_tensor values_of(const patches *p) {
    return vka_tensor_3d(p->values, VKA_F32, p->trunk->desc.batch, p->trunk->desc.context, p->pixels);
}

static vka_tensor places_of(const patches *p) {
    return vka_tensor_2d(p->places, VKA_I32, p->trunk->desc.batch, p->trunk->desc.context);
}

void patches_add(const patches *p, vka_nn_sequence *s) {
    const vka_tensor x = trunk_input(p->trunk);
    ADD(s, EMBEDDING,
        (vka_embedding_desc){.table = trunk_value(p->trunk, "positions.weight"), .ids = places_of(p), .out = x});
    ADD(s, LINEAR,
        (vka_linear_desc){
            .x = values_of(p), .weight = trunk_value(p->trunk, "patches.weight"), .residual = x, .out = x});
}

void patches_add_backward(const patches *p, vka_nn_sequence *s) {
    const vka_tensor d_x = trunk_gradient(p->trunk);
    ADD(s, LINEAR_BACKWARD,
        (vka_linear_backward_desc){.x = values_of(p),
                                   .weight = trunk_value(p->trunk, "patches.weight"),
                                   .d_out = d_x,
                                   .d_weight = trunk_value_gradient(p->trunk, "patches.weight")});
    ADD(s, EMBEDDING_BACKWARD,
        (vka_embedding_backward_desc){
            .ids = places_of(p), .d_out = d_x, .d_table = trunk_value_gradient(p->trunk, "positions.weight")});
}
