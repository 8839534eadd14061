/* A small vision transformer learns to read handwritten digits.
 * SPDX-License-Identifier: MIT
 *
 * A step is recorded once and submitted for each batch of pictures: the host cuts them into patches and reads a loss.
 * train-vision/model.c has the model, training/ what any training needs. */
#include "common/program.h"
#include "train-vision/digits.h"
#include "train-vision/model.h"
#include "training/session.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_RATE 2e-3f

const char program_name[] = "train-vision";

static const char usage[] =
    "usage: train-vision [options]\n"
    "\n"
    "Trains a vision transformer on handwritten digits of 8 x 8 pixels, cut into patches of 2 x 2.\n"
    "\n"
    "  --data FILE         pictures, a line each; the last fifth is to judge by (build/data/digits.csv:\n"
    "                      tools/fetch-data)\n"
    "  --steps N           of the whole training (1500)\n"
    "  --layers N --heads N --width N --batch N\n"
    "                      sizes of the model, and of a step (3, 4, 64, 64)\n"
    "  --rate X            the largest learning rate (0.002)\n"
    "  --seed N            of initial parameters and batches (1)\n"
    "  --show N            a line and a validation each N steps (100)\n"
    "  --save FILE         a checkpoint at the end, and each --save-every N steps (500)\n"
    "  --resume FILE       goes on where a checkpoint was saved, with its sizes, steps and rate\n"
    "  --curve FILE.png    draws losses\n"
    "  --any-accuracy      succeeds whatever is learned\n"
    "\n"
    "Exit status: 0 if it reads more of the pictures to judge by than the nearest mean does; otherwise 1.\n";

typedef struct options {
    training_options training;
    trunk_desc model;
    const char *data;
    bool any_accuracy;
} options;

typedef struct training {
    const options *o;
    vka_device *device;
    digits digits;
    model model;
    session session;
} training;

/* What was judged. */
typedef struct result {
    double loss, accuracy;
} result;

/* ---- options ------------------------------------------------------------------------------------------------- */

static options parse(int argc, char **argv) {
    options o = {.training = training_options_usual(),
                 .model = {.layers = 3, .heads = 4, .width = 64, .batch = 64},
                 .data = "build/data/digits.csv"};
    const option list[] = {
        TRAINING_OPTIONS(o.training),
        {"--data", OPTION_TEXT, &o.data},
        {"--layers", OPTION_NUMBER, &o.model.layers},
        {"--heads", OPTION_NUMBER, &o.model.heads},
        {"--width", OPTION_NUMBER, &o.model.width},
        {"--batch", OPTION_NUMBER, &o.model.batch},
        {"--any-accuracy", OPTION_FLAG, &o.any_accuracy},
    };
    options_read(argc, argv, list, sizeof list / sizeof *list, usage);
    options_check(usage, training_options_wrong(&o.training));
    return o;
}

static void take_sizes(const vka_safetensors *file, trunk_desc *d) {
    d->layers = config_number(file, "layers");
    d->heads = config_number(file, "heads");
    d->width = config_number(file, "width");
    d->batch = config_number(file, "batch");
}

static void fill_config(config *c, const training *t) {
    const trunk_desc *d = &t->model.trunk.desc;
    config_add(c, "layers", d->layers);
    config_add(c, "heads", d->heads);
    config_add(c, "width", d->width);
    config_add(c, "batch", d->batch);
}

/* ---- judging ------------------------------------------------------------------------------------------------- */

static void judge_logits(const float *logits, int32_t label, result *r) {
    int best = 0;
    double sum = 0;
    for (int c = 1; c < DIGIT_CLASSES; c++) {
        best = logits[c] > logits[best] ? c : best;
    }
    for (int c = 0; c < DIGIT_CLASSES; c++) {
        sum += exp((double)logits[c] - (double)logits[best]);
    }
    r->loss += log(sum) + (double)logits[best] - (double)logits[label];
    r->accuracy += best == label;
}

/* Of all pictures that nothing was learned from; the last batch is filled up with others. */
static result judge(training *t) {
    const digits *d = &t->digits;
    const uint32_t batch = t->model.trunk.desc.batch;
    result r = {0};
    for (uint32_t first = d->training; first < d->count; first += batch) {
        uint32_t count = d->count - first < batch ? d->count - first : batch;
        for (uint32_t i = 0; i < batch; i++) {
            uint32_t which = i < count ? first + i : 0;
            model_set_picture(&t->model, i, d->pixels[which], d->labels[which]);
        }
        training_submit(t->session.evaluation, t->model.logits);
        const float *logits = vka_buffer_map(t->model.logits);
        for (uint32_t i = 0; i < count; i++) {
            judge_logits(logits + (size_t)i * DIGIT_CLASSES, d->labels[first + i], &r);
        }
    }
    const uint32_t all = d->count - d->training;
    return (result){r.loss / all, r.accuracy / all};
}

static double validate(void *user, char *more, size_t size) {
    result r = judge(user);
    snprintf(more, size, " (%.1f %% right)", 100 * r.accuracy);
    return r.loss;
}

/* ---- training ------------------------------------------------------------------------------------------------ */

static float train_step(void *user, uint32_t step) {
    training *t = user;
    (void)step;
    for (uint32_t i = 0; i < t->model.trunk.desc.batch; i++) {
        float pixels[DIGIT_PIXELS];
        int32_t label = digits_draw(&t->digits, &t->session.random, pixels);
        model_set_picture(&t->model, i, pixels, label);
    }
    return training_submit(t->session.step, t->model.loss);
}

static void train(training *t) {
    config c = {.count = 0};
    fill_config(&c, t);
    session_run(
        &t->session,
        &(training_run){
            .batch = t->o->model.batch, .unit = "pictures", .step = train_step, .validate = validate, .user = t},
        &c);
}

static void open_training(training *t, options *o) {
    vka_safetensors *file = training_options_open(&o->training, 1500, DEFAULT_RATE);
    if (file) {
        take_sizes(file, &o->model);
    }
    t->o = o;
    t->digits = digits_load(o->data);
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &t->device));
    model_create(&t->model, t->device, &o->model, o->training.seed);
    session_begin(&t->session, t->device, &o->training, &t->model.parameters, &file);
    model_build(&t->model, &t->session.optimizer);
    session_record(&t->session, t->model.step, t->model.evaluation);
}

static void close_training(training *t) {
    session_end(&t->session);
    model_destroy(&t->model);
    digits_free(&t->digits);
    vka_device_destroy(&t->device);
}

int main(int argc, char **argv) {
    options o = parse(argc, argv);
    training t = {0};
    open_training(&t, &o);
    printf("%" PRIu64 " parameters, %" PRIu32 " pictures to learn from, %" PRIu32 " to judge by, on %s\n",
           parameters_total(&t.model.parameters), t.digits.training, t.digits.count - t.digits.training,
           vka_device_get_caps(t.device)->name);
    train(&t);
    result r = judge(&t);
    double baseline = digits_baseline(&t.digits);
    printf("%.1f %% of them right; %.1f %% by the nearest mean\n", 100 * r.accuracy, 100 * baseline);
    close_training(&t);
    return r.accuracy > baseline || o.any_accuracy ? 0 : 1;
}
