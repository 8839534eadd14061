/* An encoder-decoder transformer learns to write dates as ISO 8601 has them, and shows what it looks at.
 * SPDX-License-Identifier: MIT
 *
 * translate/dates.c makes dates and their spellings, translate/model.c is the model with its gradients, of which
 * translate/cross.c has three kinds of attention to the source, translate/learn.c trains it: a step is recorded once
 * and submitted for each batch. translate/greedy.c translates, and translate/picture.c draws. */
#include "common/options.h"
#include "common/program.h"
#include "lens/lens.h"
#include "training/run.h"
#include "translate/judge.h"
#include "translate/learn.h"
#include "translate/picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXTS = 64 };

#define ENOUGH 0.99 /* of translations are right */

const char program_name[] = "translate";

static const char usage[] =
    "usage: translate [options] TEXT ...\n"
    "       translate --judge [options]\n"
    "       translate --train [options]\n"
    "\n"
    "Writes dates as ISO 8601 has them, by an encoder-decoder transformer that has learned it from examples.\n"
    "\n"
    "  --weights FILE      of a trained model (examples/translate/dates.safetensors)\n"
    "  --picture FILE.png  draws which characters it looked at to write each one\n"
    "  --lens FILE.html    a page that shows the same of the first text, for each head\n"
    "  --hard              looks at one character at a time, the one that the model looks at most\n"
    "  --judge             translates dates of days that were left out of training, and counts\n"
    "\n"
    "  --train             makes a model\n"
    "  --attention KIND    of the decoder to the text: dot (Vaswani 2017), additive (Bahdanau 2014), luong (2015)\n"
    "  --steps N           of the whole training (1500)\n"
    "  --layers N --heads N --width N --batch N\n"
    "                      sizes of the model, and of a step (1, 4, 64, 64)\n"
    "  --rate X            the largest learning rate (0.004)\n"
    "  --seed N            of initial parameters and batches (1)\n"
    "  --show N            a line and a validation each N steps (100)\n"
    "  --write FILE        weights at the end, for --weights\n"
    "  --save FILE         a checkpoint at the end, and each --save-every N steps (500)\n"
    "  --resume FILE       goes on where a checkpoint was saved, with its sizes, steps and rate\n"
    "  --curve FILE.png    draws losses\n"
    "  --any-accuracy      succeeds whatever is learned\n"
    "\n"
    "Exit status: of --train and --judge 0 if 99 % are right; of texts 0; otherwise 1.\n";

typedef struct options {
    training_options training;
    model_desc model;
    const char *attention, *weights, *write, *picture, *lens;
    bool train, judge, any_accuracy;
    char **texts;
    uint32_t count;
} options;

static options parse(int argc, char **argv) {
    options o = {.training = training_options_usual(),
                 .model = {.layers = 1, .heads = 4, .width = 64, .batch = 64},
                 .attention = "dot",
                 .weights = "examples/translate/dates.safetensors"};
    const option list[] = {
        TRAINING_OPTIONS(o.training),
        {"--weights", OPTION_TEXT, &o.weights},
        {"--write", OPTION_TEXT, &o.write},
        {"--picture", OPTION_TEXT, &o.picture},
        {"--lens", OPTION_TEXT, &o.lens},
        {"--attention", OPTION_TEXT, &o.attention},
        {"--layers", OPTION_NUMBER, &o.model.layers},
        {"--heads", OPTION_NUMBER, &o.model.heads},
        {"--width", OPTION_NUMBER, &o.model.width},
        {"--batch", OPTION_NUMBER, &o.model.batch},
        {"--hard", OPTION_FLAG, &o.model.hard},
        {"--train", OPTION_FLAG, &o.train},
        {"--judge", OPTION_FLAG, &o.judge},
        {"--any-accuracy", OPTION_FLAG, &o.any_accuracy},
    };
    const int first = options_read_first(argc, argv, list, sizeof list / sizeof *list, usage);
    o.texts = argv + first;
    o.count = (uint32_t)(argc - first);
    options_check(usage, (o.count > 0) + o.train + o.judge != 1 ? "wants texts, or --train, or --judge"
                         : o.count > MOST_TEXTS                 ? "takes 64 texts at most"
                         : o.train && o.model.hard              ? "--hard is for a trained model, not for --train"
                         : !learn_find_kind(o.attention, &o.model.attention)
                             ? "--attention must be dot, additive or luong"
                             : training_options_wrong(&o.training));
    return o;
}

/* ---- a trained model ----------------------------------------------------------------------------------------- */

/* With a batch of so many texts, or of the file's size. */
static void open_model(const options *o, vka_device *device, uint32_t batch, model *m) {
    vka_safetensors *file = checkpoint_open_weights(o->weights);
    model_desc d = o->model;
    learn_take_config(file, &d);
    d.batch = batch ? batch : d.batch;
    if (d.hard && d.attention == CROSS_ADDITIVE) {
        fail("additive attention can't be hard");
    }
    model_create(m, device, &d, o->training.seed);
    checkpoint_load_weights(file, &m->parameters);
    vka_safetensors_close(&file);
}

static bool judge(const options *o, vka_device *device) {
    model m;
    greedy g;
    open_model(o, device, 0, &m);
    greedy_create(&g, &m);
    const double right = judge_all(&g);
    greedy_destroy(&g);
    model_destroy(&m);
    return right >= ENOUGH;
}

/* ---- pictures ------------------------------------------------------------------------------------------------ */

/* [heads, DATE_TARGET, DATE_SOURCE] */
static const float *alignment_of(const model *m, uint32_t layer, uint32_t text) {
    const size_t one = (size_t)m->alignment.shape[1] * DATE_TARGET * DATE_SOURCE;
    return (const float *)vka_buffer_map(m->alignment.buffer) + ((size_t)layer * m->desc.batch + text) * one;
}

static void align(model *m, char (*translations)[DATE_TARGET + 1]) {
    model_build_alignment(m);
    vka_recorder *recording = training_record(m->tensors.device, m->align);
    for (uint32_t i = 0; i < m->desc.batch; i++) {
        model_set_target(m, i, translations[i]);
    }
    check(vka_recorder_submit(recording));
    check(vka_recorder_wait(recording, VKA_FOREVER));
    vka_recorder_destroy(&recording);
}

/* The last layer's, and of heads the mean. */
static void draw(const options *o, const model *m, char (*translations)[DATE_TARGET + 1]) {
    const uint32_t heads = m->alignment.shape[1], size = DATE_TARGET * DATE_SOURCE;
    picture_map *maps = allocate(o->count, sizeof *maps);
    float *shares = allocate((size_t)o->count * size, sizeof *shares);
    for (uint32_t i = 0; i < o->count; i++) {
        const float *from = alignment_of(m, m->desc.layers - 1, i);
        maps[i] = (picture_map){o->texts[i], translations[i], shares + (size_t)i * size, DATE_SOURCE};
        for (uint32_t k = 0; k < heads * size; k++) {
            shares[(size_t)i * size + k % size] += from[k] / (float)heads;
        }
    }
    const bool ok = picture_save(o->picture, maps, o->count);
    free(shares);
    free(maps);
    if (!ok) {
        exit(1);
    }
}

/* Characters as texts, of which a blank can be seen. */
static void split(const char *text, char (*to)[4], const char **tokens) {
    for (uint32_t i = 0; text[i]; i++) {
        snprintf(to[i], sizeof to[i], text[i] == ' ' ? "\u2423" : "%c", text[i]);
        tokens[i] = to[i];
    }
}

static void write_lens(const options *o, const model *m, char *translation) {
    char letters[DATE_TARGET + DATE_SOURCE][4];
    const char *tokens[DATE_TARGET + DATE_SOURCE];
    const uint32_t heads = m->alignment.shape[1], columns = (uint32_t)strlen(o->texts[0]);
    const size_t rows = (size_t)m->desc.layers * heads * DATE_TARGET;
    float *shares = allocate(rows * columns, sizeof *shares);
    for (size_t i = 0; i < rows; i++) {
        const float *layer = alignment_of(m, (uint32_t)(i / ((size_t)heads * DATE_TARGET)), 0);
        memcpy(shares + i * columns, layer + i % ((size_t)heads * DATE_TARGET) * DATE_SOURCE, columns * sizeof *shares);
    }
    split(translation, letters, tokens);
    split(o->texts[0], letters + DATE_TARGET, tokens + DATE_TARGET);
    const lens l = {.title = o->texts[0],
                    .queries = tokens,
                    .keys = tokens + DATE_TARGET,
                    .layers = m->desc.layers,
                    .heads = heads,
                    .n = DATE_TARGET,
                    .m = columns,
                    .probabilities = shares};
    if (!lens_write(&l, o->lens)) {
        fail("%s: %s", o->lens, strerror(errno));
    }
    free(shares);
}

/* ---- translations -------------------------------------------------------------------------------------------- */

static void translate(const options *o, vka_device *device) {
    char translations[MOST_TEXTS][DATE_TARGET + 1];
    model m;
    greedy g;
    open_model(o, device, o->count, &m);
    greedy_create(&g, &m);
    for (uint32_t i = 0; i < o->count; i++) {
        if (!model_set_source(&m, i, o->texts[i])) {
            fail("%s: is not 1 to %d letters, digits and signs of dates", o->texts[i], DATE_SOURCE);
        }
    }
    greedy_run(&g);
    for (uint32_t i = 0; i < o->count; i++) {
        greedy_get(&g, i, translations[i]);
        printf("%s  %s\n", translations[i], o->texts[i]);
    }
    if (o->picture || o->lens) {
        align(&m, translations);
    }
    if (o->picture) {
        draw(o, &m, translations);
    }
    if (o->lens) {
        write_lens(o, &m, translations[0]);
    }
    greedy_destroy(&g);
    model_destroy(&m);
}

int main(int argc, char **argv) {
    options o = parse(argc, argv);
    vka_device *device;
    bool ok = true;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &device));
    if (o.train) {
        ok = learn(device, &o.training, &o.model, o.write) >= ENOUGH;
    } else if (o.judge) {
        ok = judge(&o, device);
    } else {
        translate(&o, device);
    }
    vka_device_destroy(&device);
    return ok || o.any_accuracy ? 0 : 1;
}
