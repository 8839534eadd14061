/* A small CLIP: captions find pictures, and pictures captions.
 * SPDX-License-Identifier: MIT
 *
 * clip/scenes.c has pictures of digits and captions, clip/model.c the model, clip/judge.c what it finds among those
 * that it has not seen, clip/show.c sheets; training/ has what any training needs. */
#include "clip/judge.h"
#include "clip/model.h"
#include "clip/scenes.h"
#include "clip/show.h"
#include "common/options.h"
#include "common/program.h"
#include "training/session.h"
#include "training/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_RATE 2e-3f

const char program_name[] = "clip";

static const char usage[] =
    "usage: clip [options] [caption ..]\n"
    "       clip --train [options]\n"
    "\n"
    "Finds pictures of one or two handwritten digits by captions such as \"a three above a seven\",\n"
    "\"a seven right of a two\" or \"a nine at the top left\", and captions by pictures.\n"
    "\n"
    "  --weights FILE     a checkpoint, or what --export wrote (examples/clip/scenes.safetensors)\n"
    "  --data FILE        digits, a line each; of the last fifth it has learned nothing (build/data/digits.csv:\n"
    "                     tools/fetch-data)\n"
    "  --sheet FILE.png   draws captions with the pictures that they find\n"
    "  --words FILE.png   draws where in the picture the words of its caption are\n"
    "  --lens FILE.html   the same of the first caption as a page: choose a word\n"
    "  --export FILE      writes the weights in f16\n"
    "  --any-accuracy     succeeds whatever is found\n"
    "\n"
    "  --train            learns\n"
    "  --steps N          of the whole training (1500)\n"
    "  --layers N --text-layers N --heads N --width N --embedding N --batch N\n"
    "                     sizes of the model, and of a step (3, 2, 4, 64, 64, 64)\n"
    "  --rate X           the largest learning rate (0.002)\n"
    "  --seed N           of initial parameters and batches (1)\n"
    "  --show N           a line and a validation each N steps (100)\n"
    "  --save FILE        a checkpoint at the end, and each --save-every N steps (500)\n"
    "  --resume FILE      goes on where a checkpoint was saved, with its sizes, steps and rate\n"
    "  --curve FILE.png   draws losses\n"
    "\n"
    "Exit status: 0 if both ways it finds more than ten times what chance does; otherwise 1.\n";

typedef struct options {
    model_desc model;
    training_options training;
    const char *weights, *data, *sheet, *words, *lens, *export;
    bool train, any_accuracy;
    caption captions[SHOW_MOST];
    uint32_t caption_count;
} options;

typedef struct app {
    const options *o;
    vka_device *device;
    scenes scenes;
    judged *judged;
    model model;
    session session; /* of a training */
    vka_recorder *evaluation;
    uint32_t steps; /* that the weights were trained for */
} app;

/* ---- options ------------------------------------------------------------------------------------------------- */

static void add_caption(options *o, const char *text) {
    if (o->caption_count == SHOW_MOST) {
        fail("there are more than %d captions", SHOW_MOST);
    }
    if (!caption_parse(text, &o->captions[o->caption_count++])) {
        fail("'%s': has no words, more than %d, or one that is not known", text, CAPTION_WORDS);
    }
}

static void take_captions(options *o, int argc, char **argv, int first) {
    static const char *const usual[] = {"a three above a seven", "a seven above a three",   "a two left of a five",
                                        "a five right of a two", "a nine at the top right", "a four below a one"};
    for (int i = first; i < argc; i++) {
        add_caption(o, argv[i]);
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual && first == argc; i++) {
        add_caption(o, usual[i]);
    }
}

static options parse(int argc, char **argv) {
    options o = {.model = {.image_layers = 3, .text_layers = 2, .heads = 4, .width = 64, .embedding = 64, .batch = 64},
                 .weights = "examples/clip/scenes.safetensors",
                 .data = "build/data/digits.csv",
                 .training = training_options_usual()};
    const option list[] = {
        TRAINING_OPTIONS(o.training),
        {"--weights", OPTION_TEXT, &o.weights},
        {"--data", OPTION_TEXT, &o.data},
        {"--sheet", OPTION_TEXT, &o.sheet},
        {"--words", OPTION_TEXT, &o.words},
        {"--lens", OPTION_TEXT, &o.lens},
        {"--export", OPTION_TEXT, &o.export},
        {"--any-accuracy", OPTION_FLAG, &o.any_accuracy},
        {"--train", OPTION_FLAG, &o.train},
        {"--layers", OPTION_NUMBER, &o.model.image_layers},
        {"--text-layers", OPTION_NUMBER, &o.model.text_layers},
        {"--heads", OPTION_NUMBER, &o.model.heads},
        {"--width", OPTION_NUMBER, &o.model.width},
        {"--embedding", OPTION_NUMBER, &o.model.embedding},
        {"--batch", OPTION_NUMBER, &o.model.batch},
    };
    const int first = options_read_first(argc, argv, list, sizeof list / sizeof *list, usage);
    options_check(usage, training_options_wrong(&o.training));
    o.train = o.train || o.training.resume;
    take_captions(&o, argc, argv, first);
    return o;
}

/* ---- sizes in files ------------------------------------------------------------------------------------------ */

static const char *const size_names[] = {"image_layers", "text_layers", "heads", "width", "embedding", "batch"};

static uint32_t *size_of(model_desc *d, size_t which) {
    uint32_t *const sizes[] = {&d->image_layers, &d->text_layers, &d->heads, &d->width, &d->embedding, &d->batch};
    return sizes[which];
}

static void take_sizes(const vka_safetensors *file, const char *path, model_desc *d) {
    for (size_t i = 0; i < sizeof size_names / sizeof *size_names; i++) {
        *size_of(d, i) = weights_number(file, path, size_names[i]);
    }
}

static void fill_sizes(config *c, model_desc d) {
    for (size_t i = 0; i < sizeof size_names / sizeof *size_names; i++) {
        config_add(c, size_names[i], *size_of(&d, i));
    }
}

/* ---- training ------------------------------------------------------------------------------------------------ */

static judgement judge_all(app *a) {
    judged_embed(a->judged, &a->model, a->evaluation);
    return judge(a->judged, model_factor(&a->model));
}

static double validate(void *user, char *more, size_t size) {
    const judgement r = judge_all(user);
    snprintf(more, size, " (%.1f %% and %.1f %% right)", 100 * r.captions, 100 * r.pictures);
    return r.loss;
}

/* Pairs and single digits in turn, and no meaning twice: each caption is true of one picture of the batch alone. */
static uint32_t draw_meaning(random_state *r, bool single, bool *taken) {
    const uint32_t first = single ? MEANING_PAIRS : 0, count = single ? MEANING_SINGLES : MEANING_PAIRS;
    uint32_t meaning = first + random_below(r, count);
    while (taken[meaning]) {
        meaning = (meaning + 1) % MEANINGS;
    }
    taken[meaning] = true;
    return meaning;
}

static float train_step(void *user, uint32_t step) {
    app *a = user;
    bool taken[MEANINGS] = {false};
    (void)step;
    for (uint32_t i = 0; i < a->model.desc.batch; i++) {
        const uint32_t meaning = draw_meaning(&a->session.random, i % 2 == 0, taken);
        scene s;
        scenes_draw(&a->scenes, &a->session.random, false, meaning, &s);
        const caption c = caption_of(meaning, random_below(&a->session.random, CAPTION_KINDS));
        model_set_picture(&a->model, i, &s);
        model_set_caption(&a->model, i, &c);
    }
    return training_submit(a->session.step, a->model.loss) / 2;
}

static void train(app *a) {
    config c = {.count = 0};
    fill_sizes(&c, a->model.desc);
    session_run(
        &a->session,
        &(training_run){
            .batch = a->model.desc.batch, .unit = "pictures", .step = train_step, .validate = validate, .user = a},
        &c);
    a->steps = optimizer_get_step(&a->session.optimizer);
}

static void open_training(app *a, options *o) {
    vka_safetensors *file = training_options_open(&o->training, 1500, DEFAULT_RATE);
    if (file) {
        take_sizes(file, o->training.resume, &o->model);
    }
    model_create(&a->model, a->device, &o->model, o->training.seed);
    session_begin(&a->session, a->device, &o->training, &a->model.parameters, &file);
    model_build(&a->model, &a->session.optimizer);
    session_record(&a->session, a->model.step, a->model.evaluation);
    a->evaluation = a->session.evaluation;
}

/* ---- the program --------------------------------------------------------------------------------------------- */

static void open_weights(app *a, options *o) {
    vka_safetensors *file = checkpoint_open_weights(o->weights);
    take_sizes(file, o->weights, &o->model);
    weights_check(file, o->weights, "image.head.weight", o->model.embedding, o->model.width);
    model_create(&a->model, a->device, &o->model, 0);
    checkpoint_load_weights(file, &a->model.parameters);
    a->steps = checkpoint_step(file);
    vka_safetensors_close(&file);
    model_build(&a->model, NULL);
    a->evaluation = training_record(a->device, a->model.evaluation);
}

static void open_app(app *a, options *o) {
    a->o = o;
    a->scenes = scenes_load(o->data);
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &a->device));
    o->train ? open_training(a, o) : open_weights(a, o);
    a->judged = judged_create(&a->scenes, a->model.desc.embedding);
}

static void close_app(app *a) {
    if (a->o->train) {
        session_end(&a->session);
    } else {
        vka_recorder_destroy(&a->evaluation);
    }
    model_destroy(&a->model);
    judged_free(a->judged);
    scenes_free(&a->scenes);
    vka_device_destroy(&a->device);
}

static void export(const app *a) {
    config c = {.count = 0};
    fill_sizes(&c, a->model.desc);
    checkpoint_save_weights(a->o->export, &a->model.parameters, a->steps, c.texts, c.count);
}

static void draw_sheets(app *a) {
    const options *o = a->o;
    const show s = {&a->model, a->judged, a->evaluation};
    if (o->sheet) {
        show_pictures(&s, o->captions, o->caption_count, o->sheet);
    }
    if (o->words) {
        show_words(&s, o->captions, o->caption_count, o->words);
    }
    if (o->lens) {
        show_page(&s, &o->captions[0], o->lens);
    }
}

int main(int argc, char **argv) {
    options o = parse(argc, argv);
    app a = {0};
    open_app(&a, &o);
    if (o.train) {
        printf("%" PRIu64 " parameters, on %s\n", parameters_total(&a.model.parameters),
               vka_device_get_caps(a.device)->name);
        train(&a);
    }
    const judgement r = judge_all(&a);
    const double chance = 1.0 / MEANINGS;
    printf("of %d captions %.1f %% of pictures find theirs, of %d pictures %.1f %% of captions; %.1f %% by chance\n",
           MEANINGS, 100 * r.captions, MEANINGS, 100 * r.pictures, 100 * chance);
    printf("%.1f %% and %.1f %% find the right digits, wherever they lie\n", 100 * r.caption_digits,
           100 * r.picture_digits);
    if (o.export) {
        export(&a);
    }
    draw_sheets(&a);
    close_app(&a);
    return (r.captions > 10 * chance && r.pictures > 10 * chance) || o.any_accuracy ? 0 : 1;
}
