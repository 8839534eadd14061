/* SPDX-License-Identifier: MIT */
#include "learn.h"

#include "common/program.h"
#include "judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STEPS = 1500, VALIDATION_BATCHES = 4 };

#define DEFAULT_RATE 4e-3f

typedef struct training {
    model model;
    session session;
    greedy greedy;
} training;

/* ---- sizes --------------------------------------------------------------------------------------------------- */

static const char *const kinds[CROSS_KINDS] = {"dot", "additive", "luong"};

bool learn_find_kind(const char *name, cross_kind *kind) {
    for (int i = 0; i < CROSS_KINDS; i++) {
        if (strcmp(kinds[i], name) == 0) {
            *kind = (cross_kind)i;
            return true;
        }
    }
    return false;
}

void learn_fill_config(config *c, const model_desc *d) {
    config_add(c, "layers", d->layers);
    config_add(c, "heads", d->heads);
    config_add(c, "width", d->width);
    config_add(c, "batch", d->batch);
    config_add_text(c, "attention", kinds[d->attention]);
}

void learn_take_config(const vka_safetensors *file, model_desc *d) {
    d->layers = config_number(file, "layers");
    d->heads = config_number(file, "heads");
    d->width = config_number(file, "width");
    d->batch = config_number(file, "batch");
    if (!learn_find_kind(checkpoint_get(file, "attention"), &d->attention)) {
        fail("the file has an attention that there is not: %s", checkpoint_get(file, "attention"));
    }
}

/* ---- steps --------------------------------------------------------------------------------------------------- */

static float train_step(void *user, uint32_t step) {
    training *t = user;
    (void)step;
    for (uint32_t i = 0; i < t->model.desc.batch; i++) {
        const date_pair p = date_draw(&t->session.random, false);
        model_set_source(&t->model, i, p.source);
        model_set_target(&t->model, i, p.target);
    }
    return training_submit(t->session.step, t->model.loss.buffer);
}

/* The loss is that of the right character behind right ones; translations go on from what they wrote themselves. */
static double validate(void *user, char *more, size_t size) {
    training *t = user;
    random_state r = random_seed(0, "validation");
    double loss = 0, right = 0;
    for (int i = 0; i < VALIDATION_BATCHES; i++) {
        right += judge_batch(&t->greedy, &r);
        loss += (double)training_submit(t->session.evaluation, t->model.loss.buffer);
    }
    snprintf(more, size, " (%.1f %% right)", 100 * right / (VALIDATION_BATCHES * t->model.desc.batch));
    return loss / VALIDATION_BATCHES;
}

static void open_training(training *t, vka_device *device, training_options *o, model_desc *d) {
    vka_safetensors *file = training_options_open(o, STEPS, DEFAULT_RATE);
    if (file) {
        learn_take_config(file, d);
    }
    model_create(&t->model, device, d, o->seed);
    session_begin(&t->session, device, o, &t->model.parameters, &file);
    model_build_training(&t->model, &t->session.optimizer);
    session_record(&t->session, t->model.step, t->model.evaluation);
    greedy_create(&t->greedy, &t->model);
}

double learn(vka_device *device, training_options *o, model_desc *d, const char *weights) {
    training t = {0};
    config c = {.count = 0};
    open_training(&t, device, o, d);
    printf("%" PRIu64 " parameters, %s attention, on %s\n", parameters_total(&t.model.parameters), kinds[d->attention],
           vka_device_get_caps(device)->name);
    learn_fill_config(&c, d);
    session_run(
        &t.session,
        &(training_run){.batch = d->batch, .unit = "dates", .step = train_step, .validate = validate, .user = &t}, &c);
    if (weights) {
        checkpoint_save_weights(weights, &t.model.parameters, optimizer_get_step(&t.session.optimizer), c.texts,
                                c.count);
    }
    const double right = judge_all(&t.greedy);
    greedy_destroy(&t.greedy);
    session_end(&t.session);
    model_destroy(&t.model);
    return right;
}
