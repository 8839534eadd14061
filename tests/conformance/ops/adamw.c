/* PyTorch's AdamW, as one vka_adamw a step; a copy of the parameter after each is compared.
 * SPDX-License-Identifier: MIT */
#include <vkattn/elementwise.h>
#include <vkattn/optim.h>

#include <stdio.h>
#include <stdlib.h>

#include "conformance.h"

static bool read_numbers(const op_case *c, vka_adamw_desc *d, result *r) {
    return case_get_float(c, "lr", 1e-3f, &d->learning_rate, r) && case_get_float(c, "beta1", 0.9f, &d->beta1, r) &&
           case_get_float(c, "beta2", 0.999f, &d->beta2, r) && case_get_float(c, "eps", 1e-8f, &d->epsilon, r) &&
           case_get_float(c, "weight_decay", 1e-2f, &d->weight_decay, r);
}

/* How many steps there are; 0, with a verdict: the case is not of this kind. */
static uint32_t count_steps(const op_case *c, result *r) {
    const case_tensor *p = case_input(c, "p");
    uint32_t steps = 0;
    for (; steps < CASE_MAX_COUNT && c->outputs[steps].type; steps++) {
        char name[16];
        snprintf(name, sizeof name, "g%u", steps);
        const case_tensor *gradient = case_input(c, name);
        if (!gradient->type || !case_has_shape(gradient, p->rank, p->dims, r) || !case_is_real(gradient, r) ||
            !case_has_shape(&c->outputs[steps], p->rank, p->dims, r) || !case_is_result(&c->outputs[steps], r)) {
            return gradient->type ? 0 : (fail(r, "there is no gradient %s", name), 0);
        }
    }
    return steps;
}

static vka_tensor zeros(gpu *g, const case_tensor *like, result *r) {
    float *values = calloc(like->count + 1, sizeof *values);
    vka_tensor t = {0};
    if (values) {
        t = gpu_result(g, like, VKA_F32);
        t.buffer = gpu_input(g, values, like->count * sizeof *values);
    } else {
        fail(r, "no memory");
    }
    free(values);
    return t;
}

static void run(gpu *g, const op_case *c, result *r) {
    const case_tensor *p = case_input(c, "p");
    vka_adamw_desc d = {0};
    vka_tensor after[CASE_MAX_COUNT];
    vka_status status = VKA_OK;
    uint32_t steps = count_steps(c, r);
    if (!steps || !read_numbers(c, &d, r)) {
        return;
    }
    if (p->type->dtype != VKA_F32) {
        skip(r, "parameters are not f32");
        return;
    }
    gpu_begin(g);
    d.parameter = gpu_tensor(g, p);
    d.first_moment = zeros(g, p, r);
    d.second_moment = zeros(g, p, r);
    for (uint32_t i = 0; i < steps; i++) {
        char name[16];
        int32_t number = (int32_t)i + 1;
        snprintf(name, sizeof name, "g%u", i);
        d.gradient = gpu_tensor(g, case_input(c, name));
        d.step = (vka_integers){.values = &number};
        after[i] = gpu_result(g, &c->outputs[i], VKA_F32);
        status = status == VKA_OK ? vka_adamw(g->recorder, &d) : status;
        status = status == VKA_OK ? vka_map(g->recorder, &(vka_map_desc){.x = d.parameter, .out = after[i]}) : status;
    }
    if (gpu_run(g, status, r)) {
        for (uint32_t i = 0; i < steps && gpu_check(g, after[i].buffer, VKA_F32, &c->outputs[i], r); i++) {
        }
    }
    gpu_end(g);
}

const operation group_adamw[] = {
    {"torch.AdamW", 0, 6, 5, {"lr", "beta1", "beta2", "eps", "weight_decay"}, run},
    {0},
};
