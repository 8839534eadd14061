/* A small vision transformer learns to read handwritten digits.
 * SPDX-License-Identifier: MIT
 *
 * A step is recorded once and submitted for each batch of pictures: the host cuts them into patches and reads a loss.
 * train-vision/model.c has the model, training/ what any training needs. */
#include "common/options.h"
#include "common/program.h"
#include "train-vision/digits.h"
#include "train-vision/model.h"
#include "training/config.h"
#include "training/run.h"

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
    trunk_desc model;
    const char *data, *save, *resume, *curve;
    uint32_t steps, show, save_every, seed;
    float rate;
    bool any_accuracy;
} options;

typedef struct training {
    const options *o;
    vka_device *device;
    digits digits;
    model model;
    optimizer optimizer;
    random_state random;
    curve losses, validation;
    vka_recorder *step, *evaluation;
} training;

/* What was judged. */
typedef struct result {
    double loss, accuracy;
} result;

/* ---- options ------------------------------------------------------------------------------------------------- */

/* Steps and rate are 0 where they are not given. */
static options parse(int argc, char **argv) {
    options o = {.model = {.layers = 3, .heads = 4, .width = 64, .batch = 64},
                 .data = "build/data/digits.csv",
                 .show = 100,
                 .save_every = 500,
                 .seed = 1};
    const option list[] = {
        {"--data", OPTION_TEXT, &o.data},
        {"--save", OPTION_TEXT, &o.save},
        {"--resume", OPTION_TEXT, &o.resume},
        {"--curve", OPTION_TEXT, &o.curve},
        {"--steps", OPTION_NUMBER, &o.steps},
        {"--show", OPTION_NUMBER, &o.show},
        {"--save-every", OPTION_NUMBER, &o.save_every},
        {"--seed", OPTION_NUMBER, &o.seed},
        {"--layers", OPTION_NUMBER, &o.model.layers},
        {"--heads", OPTION_NUMBER, &o.model.heads},
        {"--width", OPTION_NUMBER, &o.model.width},
        {"--batch", OPTION_NUMBER, &o.model.batch},
        {"--rate", OPTION_REAL, &o.rate},
        {"--any-accuracy", OPTION_FLAG, &o.any_accuracy},
    };
    options_read(argc, argv, list, sizeof list / sizeof *list, usage);
    if (!o.show || !o.save_every) {
        options_refuse(usage);
    }
    return o;
}

/* Sizes are the file's, and so are the schedule's length and rate unless options say otherwise. */
static void take_sizes(const vka_safetensors *file, options *o) {
    o->model.layers = config_number(file, "layers");
    o->model.heads = config_number(file, "heads");
    o->model.width = config_number(file, "width");
    o->model.batch = config_number(file, "batch");
    o->steps = o->steps ? o->steps : config_number(file, "steps");
    o->rate = o->rate > 0 ? o->rate : strtof(checkpoint_get(file, "learning_rate"), NULL);
}

static void fill_config(config *c, const training *t) {
    const trunk_desc *d = &t->model.trunk.desc;
    config_add(c, "layers", d->layers);
    config_add(c, "heads", d->heads);
    config_add(c, "width", d->width);
    config_add(c, "batch", d->batch);
    config_add_optimizer(c, &t->optimizer.desc);
}

static training_state state_of(training *t) {
    return (training_state){&t->model.parameters, &t->optimizer, &t->random, &t->losses, &t->validation};
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
        training_submit(t->evaluation, t->model.logits);
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
        int32_t label = digits_draw(&t->digits, &t->random, pixels);
        model_set_picture(&t->model, i, pixels, label);
    }
    return training_submit(t->step, t->model.loss);
}

static void train(training *t) {
    const options *o = t->o;
    config c = {.count = 0};
    fill_config(&c, t);
    training_run_all(&(training_run){.steps = o->steps,
                                     .show = o->show,
                                     .save_every = o->save_every,
                                     .save = o->save,
                                     .curve = o->curve,
                                     .batch = o->model.batch,
                                     .unit = "pictures",
                                     .state = state_of(t),
                                     .texts = c.texts,
                                     .text_count = c.count,
                                     .step = train_step,
                                     .validate = validate,
                                     .user = t});
}

static void open_training(training *t, options *o) {
    vka_safetensors *file = o->resume ? checkpoint_open(o->resume) : NULL;
    const training_state state = state_of(t);
    if (file) {
        take_sizes(file, o);
    }
    o->rate = o->rate > 0 ? o->rate : DEFAULT_RATE;
    o->steps = o->steps ? o->steps : 1500;
    t->o = o;
    t->digits = digits_load(o->data);
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &t->device));
    model_create(&t->model, t->device, &o->model, o->seed);
    const optimizer_desc rates = optimizer_usual(o->steps, o->rate);
    optimizer_create(&t->optimizer, t->device, &rates);
    t->random = random_seed(o->seed, "batches");
    if (file) {
        checkpoint_load(file, &state);
        vka_safetensors_close(&file);
    }
    model_build(&t->model, &t->optimizer);
    t->step = training_record(t->device, t->model.step);
    t->evaluation = training_record(t->device, t->model.evaluation);
}

static void close_training(training *t) {
    vka_recorder_destroy(&t->step);
    vka_recorder_destroy(&t->evaluation);
    model_destroy(&t->model);
    optimizer_destroy(&t->optimizer);
    curve_free(&t->losses);
    curve_free(&t->validation);
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
