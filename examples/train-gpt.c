/* A small GPT learns to write like a text, character by character.
 * SPDX-License-Identifier: MIT
 *
 * A step - embedding, layers, loss, their gradients, the gradients' norm and AdamW - is recorded once and submitted for
 * each batch: the host writes tokens and reads a loss. train-gpt/model.c has the model, training/ what any training
 * needs: parameters by name, the optimizer with its schedule, checkpoints, the picture of the losses. */
#include "common/program.h"
#include "train-gpt/dump.h"
#include "train-gpt/model.h"
#include "train-gpt/options.h"
#include "train-gpt/sample.h"
#include "train-gpt/text.h"
#include "training/checkpoint.h"
#include "training/curve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALIDATION_BATCHES = 8, MAX_TEXTS = 16 };

#define DEFAULT_RATE 2e-3f

const char program_name[] = "train-gpt";

typedef struct training {
    const options *o;
    vka_device *device;
    text text;
    model model;
    optimizer optimizer;
    random_state random;
    curve losses, validation;
    double bigram;
    vka_recorder *step, *evaluation;
    double began, spent;   /* seconds: of steps, without validation */
    uint32_t since, shown; /* steps of this run; the step of the last line */
} training;

/* ---- checkpoints --------------------------------------------------------------------------------------------- */

/* Texts that a checkpoint has beside its tensors. */
typedef struct config {
    char numbers[MAX_TEXTS][16];
    text_vocabulary vocabulary;
    checkpoint_text texts[MAX_TEXTS];
    uint32_t count;
} config;

static void add_number(config *c, const char *key, double value) {
    snprintf(c->numbers[c->count], sizeof c->numbers[0], "%.9g", value);
    c->texts[c->count] = (checkpoint_text){key, c->numbers[c->count]};
    c->count++;
}

static void fill_config(config *c, const training *t) {
    const model_desc *d = &t->model.desc;
    const optimizer_desc *o = &t->optimizer.desc;
    c->count = 0;
    add_number(c, "layers", d->layers);
    add_number(c, "heads", d->heads);
    add_number(c, "width", d->width);
    add_number(c, "context", d->context);
    add_number(c, "batch", d->batch);
    add_number(c, "steps", o->steps);
    add_number(c, "warm_up", o->warm_up);
    add_number(c, "learning_rate", (double)o->learning_rate);
    add_number(c, "last_rate", (double)o->last_rate);
    add_number(c, "weight_decay", (double)o->weight_decay);
    add_number(c, "beta2", (double)o->beta2);
    add_number(c, "max_norm", (double)o->max_norm);
    c->vocabulary = text_vocabulary_of(&t->text);
    c->texts[c->count++] = (checkpoint_text){"vocabulary", c->vocabulary.digits};
}

static training_state state_of(training *t) {
    return (training_state){&t->model.parameters, &t->optimizer, &t->random, &t->losses, &t->validation};
}

static void save(training *t) {
    config c;
    const training_state state = state_of(t);
    if (t->o->save) {
        fill_config(&c, t);
        checkpoint_save(t->o->save, &state, c.texts, c.count);
    }
}

static uint32_t saved_number(const vka_safetensors *file, const char *key) {
    return (uint32_t)strtoul(checkpoint_get(file, key), NULL, 10);
}

/* Sizes are the file's, and so are the schedule's length and rate unless options say otherwise. */
static void take_sizes(const vka_safetensors *file, options *o) {
    o->model.layers = saved_number(file, "layers");
    o->model.heads = saved_number(file, "heads");
    o->model.width = saved_number(file, "width");
    o->model.context = saved_number(file, "context");
    o->model.batch = saved_number(file, "batch");
    o->steps = o->has_steps ? o->steps : saved_number(file, "steps");
    o->rate = o->rate > 0 ? o->rate : strtof(checkpoint_get(file, "learning_rate"), NULL);
}

/* ---- losses -------------------------------------------------------------------------------------------------- */

static float run_and_read_loss(training *t, vka_recorder *recorder) {
    float loss;
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));
    memcpy(&loss, vka_buffer_map(t->model.loss), sizeof loss);
    return loss;
}

/* Of `batches` batches that are spread over the validation part. */
static double validate(training *t, uint32_t batches) {
    const uint32_t context = t->model.desc.context, batch = t->model.desc.batch;
    int32_t *ids = vka_buffer_map(t->model.ids), *targets = vka_buffer_map(t->model.targets);
    uint64_t count = text_validation_count(&t->text, context), wanted = (uint64_t)batches * batch;
    double sum = 0;
    for (uint32_t i = 0; i < batches; i++) {
        for (uint32_t k = 0; k < batch; k++) {
            uint32_t which = (uint32_t)(((uint64_t)i * batch + k) * count / wanted);
            text_validation(&t->text, which, context, ids + (size_t)k * context, targets + (size_t)k * context);
        }
        sum += (double)run_and_read_loss(t, t->evaluation);
    }
    return sum / batches;
}

/* As many as there are. */
static uint32_t all_batches(const training *t) {
    return text_validation_count(&t->text, t->model.desc.context) / t->model.desc.batch;
}

static void show(training *t, uint32_t step) {
    double mean = 0, spent = t->spent;
    uint32_t all = all_batches(t), count = step - t->shown, of = t->losses.count;
    double loss = validate(t, all < VALIDATION_BATCHES ? all : VALIDATION_BATCHES);
    for (uint32_t i = 0; i < count && i < of; i++) {
        mean += (double)t->losses.points[of - 1 - i].loss / count;
    }
    printf("step %6" PRIu32 "  loss %.4f  validation %.4f  gradient norm %.2f  rate %.1e  %.0f tokens/s\n", step, mean,
           loss, (double)optimizer_get_norm(&t->optimizer), (double)optimizer_rate(&t->optimizer.desc, step), /* */
           t->since * (double)(t->model.desc.batch * t->model.desc.context) / spent);
    fflush(stdout);
    t->shown = step;
    curve_add(&t->validation, step, (float)loss);
    if (t->o->curve) {
        curve_draw(t->o->curve, &t->losses, &t->validation, (float)t->bigram, "bigram model");
    }
}

/* ---- training ------------------------------------------------------------------------------------------------ */

static vka_recorder *record(const training *t, const vka_nn_sequence *sequence) {
    vka_recorder *recorder;
    check(vka_recorder_create(t->device, &(vka_recorder_desc){.max_dispatches = 1024}, &recorder));
    check(vka_recorder_begin(recorder));
    check(vka_nn_sequence_record(recorder, sequence));
    return recorder;
}

static void train(training *t, dump *d) {
    const options *o = t->o;
    const model_desc *m = &t->model.desc;
    const size_t bytes = sizeof(int32_t) * m->batch * m->context;
    int32_t *ids = allocate(bytes, 1), *targets = allocate(bytes, 1);
    for (uint32_t step = optimizer_get_step(&t->optimizer) + 1; step <= o->steps; step++) {
        double began = seconds();
        text_draw(&t->text, &t->random, m->batch, m->context, ids, targets);
        memcpy(vka_buffer_map(t->model.ids), ids, bytes);
        memcpy(vka_buffer_map(t->model.targets), targets, bytes);
        float loss = run_and_read_loss(t, t->step);
        if (optimizer_get_step(&t->optimizer) != step) {
            fail("step %" PRIu32 ": gradients are not finite", step);
        }
        curve_add(&t->losses, step, loss);
        dump_add(d, ids, targets, loss);
        t->spent += seconds() - began;
        t->since++;
        if (step % o->show == 0 || step == o->steps) {
            show(t, step);
        }
        if (step % o->save_every == 0 || step == o->steps) {
            save(t);
        }
    }
    free(ids);
    free(targets);
}

static void write_sample(training *t) {
    int32_t *tokens = allocate(t->o->sample, sizeof *tokens);
    int32_t first = 0; /* of a new line, where there are lines */
    while ((uint32_t)first + 1 < t->text.classes && t->text.bytes[first] < '\n') {
        first++;
    }
    sample(&t->model, t->o->seed, t->o->temperature, first, t->o->sample, tokens);
    FILE *file = t->o->text ? fopen(t->o->text, "wb") : stdout;
    if (file == NULL) {
        fail("%s: can't be written", t->o->text);
    }
    for (uint32_t i = 0; i < t->o->sample; i++) {
        fputc(tokens[i] >= 0 ? t->text.bytes[tokens[i]] : '?', file);
    }
    if (file != stdout && fclose(file) != 0) {
        fail("%s: can't be written", t->o->text);
    }
    free(tokens);
}

static void open_training(training *t, options *o) {
    vka_safetensors *file = o->resume ? checkpoint_open(o->resume) : NULL;
    const training_state state = state_of(t);
    if (file) {
        take_sizes(file, o);
    }
    o->rate = o->rate > 0 ? o->rate : DEFAULT_RATE;
    t->o = o;
    t->text = text_load(o->data, o->model.batch * o->model.context + 1);
    if (file && strcmp(text_vocabulary_of(&t->text).digits, checkpoint_get(file, "vocabulary")) != 0) {
        fail("%s: has other characters than what %s was trained on", o->data, o->resume);
    }
    o->model.classes = t->text.classes;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &t->device));
    model_create(&t->model, t->device, &o->model, o->seed);
    const optimizer_desc rates = {.steps = o->steps,
                                  .warm_up = o->steps / 10 < 100 ? o->steps / 10 : 100,
                                  .learning_rate = o->rate,
                                  .last_rate = o->rate / 20,
                                  .weight_decay = 0.1f,
                                  .beta2 = 0.99f,
                                  .max_norm = 1};
    optimizer_create(&t->optimizer, t->device, &rates);
    t->random = random_seed(o->seed, "batches");
    if (file) {
        checkpoint_load(file, &state);
        vka_safetensors_close(&file);
    }
    model_build(&t->model, &t->optimizer);
    t->step = record(t, t->model.step);
    t->evaluation = record(t, t->model.evaluation);
    t->shown = optimizer_get_step(&t->optimizer);
    t->bigram = text_bigram_loss(&t->text, all_batches(t) * o->model.batch * o->model.context);
}

static void close_training(training *t) {
    vka_recorder_destroy(&t->step);
    vka_recorder_destroy(&t->evaluation);
    model_destroy(&t->model);
    optimizer_destroy(&t->optimizer);
    curve_free(&t->losses);
    curve_free(&t->validation);
    text_free(&t->text);
    vka_device_destroy(&t->device);
}

int main(int argc, char **argv) {
    options o = options_parse(argc, argv);
    training t = {0};
    dump d = {0};
    open_training(&t, &o);
    printf("%" PRIu64 " parameters, %" PRIu32 " kinds of characters, %" PRIu32 " to learn from, on %s\n",
           parameters_total(&t.model.parameters), t.text.classes, t.text.training, vka_device_get_caps(t.device)->name);
    if (o.dump) {
        d = dump_begin(&t.model.parameters, o.steps, o.model.batch, o.model.context);
    }
    train(&t, &d);
    if (o.dump) {
        config c;
        fill_config(&c, &t);
        dump_end(&d, o.dump, &t.model.parameters, c.texts, c.count);
    }
    double loss = validate(&t, all_batches(&t));
    printf("validation loss %.4f; of a bigram model %.4f\n", loss, t.bigram);
    if (o.sample) {
        write_sample(&t);
    }
    close_training(&t);
    return loss < t.bigram || o.any_loss ? 0 : 1;
}
