/* Where does a vision transformer look, and what does its answer depend on?
 * SPDX-License-Identifier: MIT
 *
 * The model is train-vision's, with its weights. vision/attribution.c runs it forward and back for all pictures of a
 * batch, vision/relevance.c makes numbers for patches of what that gives, vision/sheet.c draws them. */
#include "common/options.h"
#include "common/program.h"
#include "lens/lens.h"
#include "train-vision/digits.h"
#include "train-vision/model.h"
#include "training/config.h"
#include "training/weights.h"
#include "vision/attribution.h"
#include "vision/heat.h"
#include "vision/sheet.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char program_name[] = "vision";

static const char usage[] =
    "usage: vision [options]\n"
    "\n"
    "Reads handwritten digits by a vision transformer, and shows where it looked.\n"
    "\n"
    "  --weights FILE     a checkpoint of train-vision, or what --export wrote\n"
    "                     (examples/vision/digits.safetensors)\n"
    "  --data FILE        pictures, a line each; of the last fifth it has learned nothing (build/data/digits.csv:\n"
    "                     tools/fetch-data)\n"
    "  --sheet FILE.png   draws pictures with what each head looks at, attention rolled out over all layers, and what\n"
    "                     the answer, and the next one, depend on\n"
    "  --mistakes         of pictures that are read wrong; otherwise of the first one of each digit\n"
    "  --rows N           at most so many pictures (10)\n"
    "  --lens FILE.html   a page about the first of these pictures: what every token looks at, in all layers\n"
    "  --export FILE      writes the weights in f16\n"
    "  --any-accuracy     succeeds whatever is read\n"
    "\n"
    "Exit status: 0 if it reads more of the last fifth than the nearest mean does; otherwise 1.\n";

typedef struct options {
    const char *weights, *data, *sheet, *lens, *export;
    uint32_t rows;
    bool mistakes, any_accuracy;
} options;

enum { BATCH = 32 };

typedef struct app {
    const options *o;
    vka_device *device;
    digits digits;
    model model;
    attribution attribution;
    float (*probabilities)[DIGIT_CLASSES]; /* of the pictures that nothing was learned from */
    uint32_t count;
    uint32_t step; /* that the weights were trained for */
} app;

static options parse(int argc, char **argv) {
    options o = {.weights = "examples/vision/digits.safetensors", .data = "build/data/digits.csv", .rows = 10};
    const option list[] = {
        {"--weights", OPTION_TEXT, &o.weights},   {"--data", OPTION_TEXT, &o.data},
        {"--sheet", OPTION_TEXT, &o.sheet},       {"--lens", OPTION_TEXT, &o.lens},
        {"--export", OPTION_TEXT, &o.export},     {"--rows", OPTION_NUMBER, &o.rows},
        {"--mistakes", OPTION_FLAG, &o.mistakes}, {"--any-accuracy", OPTION_FLAG, &o.any_accuracy},
    };
    options_read(argc, argv, list, sizeof list / sizeof *list, usage);
    options_check(usage, o.rows < 1 || o.rows > 100 ? "--rows must be 1 to 100" : NULL);
    return o;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

static void softmax(const float *logits, float *probabilities) {
    double sum = 0;
    for (int c = 0; c < DIGIT_CLASSES; c++) {
        sum += exp((double)logits[c]);
    }
    for (int c = 0; c < DIGIT_CLASSES; c++) {
        probabilities[c] = (float)(exp((double)logits[c]) / sum);
    }
}

static int best_of(const float *probabilities, int but) {
    int best = -1;
    for (int c = 0; c < DIGIT_CLASSES; c++) {
        best = c != but && (best < 0 || probabilities[c] > probabilities[best]) ? c : best;
    }
    return best;
}

static void read_all(app *a) {
    const digits *d = &a->digits;
    for (uint32_t first = 0; first < a->count; first += BATCH) {
        const uint32_t count = a->count - first < BATCH ? a->count - first : BATCH;
        for (uint32_t i = 0; i < count; i++) {
            model_set_picture(&a->model, i, d->pixels[d->training + first + i], 0);
        }
        attribution_run(&a->attribution);
        const float *logits = vka_buffer_map(a->attribution.result);
        for (uint32_t i = 0; i < count; i++) {
            softmax(logits + (size_t)i * DIGIT_CLASSES, a->probabilities[first + i]);
        }
    }
}

/* How many of them are right, and which are taken for which. */
static double show_confusion(const app *a) {
    uint32_t table[DIGIT_CLASSES][DIGIT_CLASSES] = {{0}}, right = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const int32_t is = a->digits.labels[a->digits.training + i], read = best_of(a->probabilities[i], -1);
        table[is][read]++;
        right += is == read;
    }
    printf("read as   0   1   2   3   4   5   6   7   8   9\n");
    for (int is = 0; is < DIGIT_CLASSES; is++) {
        printf("%7d", is);
        for (int read = 0; read < DIGIT_CLASSES; read++) {
            table[is][read] ? printf("%4" PRIu32, table[is][read]) : printf("   .");
        }
        putchar('\n');
    }
    return (double)right / a->count;
}

/* ---- the sheet ----------------------------------------------------------------------------------------------- */

/* Writes which pictures to draw, and returns how many. */
static uint32_t choose(const app *a, uint32_t *chosen) {
    bool taken[DIGIT_CLASSES] = {false};
    uint32_t n = 0;
    for (int digit = 0; digit < DIGIT_CLASSES && !a->o->mistakes; digit++) {
        for (uint32_t i = 0; i < a->count && !taken[digit] && n < a->o->rows; i++) {
            if (a->digits.labels[a->digits.training + i] == digit) {
                taken[digit] = true;
                chosen[n++] = i;
            }
        }
    }
    for (uint32_t i = 0; i < a->count && a->o->mistakes && n < a->o->rows; i++) {
        if (a->digits.labels[a->digits.training + i] != best_of(a->probabilities[i], -1)) {
            chosen[n++] = i;
        }
    }
    return n;
}

/* With gradients of one class's logit. */
static void look(app *a, uint32_t picture, int of, attribution_maps *maps) {
    float *d_logits = vka_buffer_map(a->attribution.d_result);
    memset(d_logits, 0, sizeof(float) * BATCH * DIGIT_CLASSES);
    d_logits[of] = 1;
    model_set_picture(&a->model, 0, a->digits.pixels[a->digits.training + picture], 0);
    attribution_run(&a->attribution);
    attribution_read(&a->attribution, 0, maps);
}

static void draw(app *a) {
    uint32_t *chosen = allocate(a->o->rows, sizeof *chosen);
    const uint32_t rows = choose(a, chosen);
    attribution_maps maps = attribution_maps_create(&a->attribution);
    sheet s = sheet_create(rows, maps.heads);
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t at = a->digits.training + chosen[r];
        const float *p = a->probabilities[chosen[r]];
        sheet_row row = {.pixels = a->digits.pixels[at], .is = a->digits.labels[at]};
        row.read[0] = best_of(p, -1);
        row.read[1] = row.read[0] != row.is ? row.is : best_of(p, row.read[0]);
        for (int k = 0; k < 2; k++) {
            row.share[k] = (double)p[row.read[k]];
            look(a, chosen[r], row.read[k], &maps);
            sheet_add(&s, r, k, &row, &maps);
        }
    }
    if (!canvas_save(&s.canvas, a->o->sheet)) {
        exit(1);
    }
    sheet_free(&s);
    attribution_maps_free(&maps);
    free(chosen);
}

/* The token of the class, and patches of which page and picture say where they lie. */
static void write_lens(app *a) {
    enum { SCALE = 16, SIDE = SCALE * DIGIT_SIDE };
    static const char *const tokens[MODEL_TOKENS] = {"class"};
    static uint8_t rgb[SIDE * SIDE][3];
    uint32_t *chosen = allocate(a->o->rows, sizeof *chosen);
    if (choose(a, chosen) == 0) {
        fail("there is no picture to write a page about");
    }
    const uint32_t at = a->digits.training + chosen[0];
    const int read = best_of(a->probabilities[chosen[0]], -1);
    char title[64];
    snprintf(title, sizeof title, "A handwritten %" PRId32 ", read as %d", a->digits.labels[at], read);
    heat_pixels(&(heat_picture){.pixels = a->digits.pixels[at], .side = DIGIT_SIDE, .scale = SCALE}, rgb);
    attribution_maps maps = attribution_maps_create(&a->attribution);
    look(a, chosen[0], read, &maps);
    lens l = {.title = title,
              .queries = tokens,
              .keys = tokens,
              .layers = maps.layers,
              .heads = maps.heads,
              .n = MODEL_TOKENS,
              .m = MODEL_TOKENS,
              .probabilities = maps.probabilities};
    l.query_picture = (lens_picture){.pixels = rgb[0], .width = SIDE, .height = SIDE, .channels = 3, .first = 1};
    l.query_picture.rows = l.query_picture.columns = DIGIT_SIDE / PATCH_SIDE;
    l.key_picture = l.query_picture;
    if (!lens_write(&l, a->o->lens)) {
        fail("%s: %s", a->o->lens, strerror(errno));
    }
    attribution_maps_free(&maps);
    free(chosen);
}

/* ---- the program --------------------------------------------------------------------------------------------- */

static void export(const app *a, const trunk_desc *d) {
    config c = {.count = 0};
    config_add(&c, "layers", d->layers);
    config_add(&c, "heads", d->heads);
    config_add(&c, "width", d->width);
    checkpoint_save_weights(a->o->export, &a->model.parameters, a->step, c.texts, c.count);
}

static void open_app(app *a) {
    vka_safetensors *file = checkpoint_open_weights(a->o->weights);
    const trunk_desc desc = {.layers = weights_number(file, a->o->weights, "layers"),
                             .heads = weights_number(file, a->o->weights, "heads"),
                             .width = weights_number(file, a->o->weights, "width"),
                             .batch = BATCH};
    weights_check(file, a->o->weights, "head.weight", DIGIT_CLASSES, desc.width);
    a->digits = digits_load(a->o->data);
    a->count = a->digits.count - a->digits.training;
    a->probabilities = allocate(a->count, sizeof *a->probabilities);
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &a->device));
    model_create(&a->model, a->device, &desc, 0);
    checkpoint_load_weights(file, &a->model.parameters);
    a->step = checkpoint_step(file);
    vka_safetensors_close(&file);
    attribution_create(&a->attribution, &a->model.patches, false);
    if (a->o->export) {
        export(a, &desc);
    }
}

static void close_app(app *a) {
    attribution_destroy(&a->attribution);
    model_destroy(&a->model);
    digits_free(&a->digits);
    free(a->probabilities);
    vka_device_destroy(&a->device);
}

int main(int argc, char **argv) {
    const options o = parse(argc, argv);
    app a = {.o = &o};
    open_app(&a);
    read_all(&a);
    const double accuracy = show_confusion(&a), baseline = digits_baseline(&a.digits);
    printf("%.1f %% of %" PRIu32 " right; %.1f %% by the nearest mean\n", 100 * accuracy, a.count, 100 * baseline);
    if (o.sheet) {
        draw(&a);
    }
    if (o.lens) {
        write_lens(&a);
    }
    close_app(&a);
    return accuracy > baseline || o.any_accuracy ? 0 : 1;
}
