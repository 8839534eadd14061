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

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALIDATION_BATCHES = 8 };

#define DEFAULT_RATE 2e-3f

const char program_name[] = "train-gpt";

typedef struct training {
    const options *o;
    vka_device *device;
    text text;
    model model;
    session session;
    double bigram;
    text_vocabulary vocabulary; /* of the text */
    int32_t *ids, *targets;     /* of a batch  */
    dump dump;
} training;

/* ---- checkpoints --------------------------------------------------------------------------------------------- */

static void fill_config(config *c, const training *t) {
    const trunk_desc *d = &t->model.desc;
    config_add(c, "layers", d->layers);
    config_add(c, "heads", d->heads);
    config_add(c, "width", d->width);
    config_add(c, "context", d->context);
    config_add(c, "batch", d->batch);
    config_add_text(c, "vocabulary", t->vocabulary.digits);
}

static void take_sizes(const vka_safetensors *file, trunk_desc *d) {
    d->layers = config_number(file, "layers");
    d->heads = config_number(file, "heads");
    d->width = config_number(file, "width");
    d->context = config_number(file, "context");
    d->batch = config_number(file, "batch");
}

/* ---- losses -------------------------------------------------------------------------------------------------- */

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
        sum += (double)training_submit(t->session.evaluation, t->model.loss);
    }
    return sum / batches;
}

/* As many as there are. */
static uint32_t all_batches(const training *t) {
    return text_validation_count(&t->text, t->model.desc.context) / t->model.desc.batch;
}

static double validate_some(void *user, char *more, size_t size) {
    training *t = user;
    uint32_t all = all_batches(t);
    (void)more, (void)size;
    return validate(t, all < VALIDATION_BATCHES ? all : VALIDATION_BATCHES);
}

/* ---- training ------------------------------------------------------------------------------------------------ */

static float train_step(void *user, uint32_t step) {
    training *t = user;
    const trunk_desc *m = &t->model.desc;
    const size_t bytes = sizeof(int32_t) * m->batch * m->context;
    (void)step;
    text_draw(&t->text, &t->session.random, m->batch, m->context, t->ids, t->targets);
    memcpy(vka_buffer_map(t->model.ids), t->ids, bytes);
    memcpy(vka_buffer_map(t->model.targets), t->targets, bytes);
    float loss = training_submit(t->session.step, t->model.loss);
    dump_add(&t->dump, t->ids, t->targets, loss);
    return loss;
}

static void train(training *t) {
    const trunk_desc *m = &t->model.desc;
    config c = {.count = 0};
    fill_config(&c, t);
    t->ids = allocate((size_t)m->batch * m->context, sizeof *t->ids);
    t->targets = allocate((size_t)m->batch * m->context, sizeof *t->targets);
    session_run(&t->session,
                &(training_run){.level = (float)t->bigram,
                                .label = "bigram model",
                                .batch = m->batch * m->context,
                                .unit = "tokens",
                                .step = train_step,
                                .validate = validate_some,
                                .user = t},
                &c);
    free(t->ids);
    free(t->targets);
}

/* In f16, and says what that costs. */
static void write_weights(training *t) {
    config c = {.count = 0};
    fill_config(&c, t);
    checkpoint_save_weights(t->o->weights, &t->model.parameters, optimizer_get_step(&t->session.optimizer), c.texts,
                            c.count);
    printf("validation loss with weights in f16 %.4f\n", validate(t, all_batches(t)));
}

static void write_sample(training *t) {
    int32_t *tokens = allocate(t->o->sample, sizeof *tokens);
    int32_t first = 0; /* of a new line, where there are lines */
    while ((uint32_t)first + 1 < t->text.classes && t->text.bytes[first] < '\n') {
        first++;
    }
    sample(&t->model, t->o->training.seed, t->o->temperature, first, t->o->sample, tokens);
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
    vka_safetensors *file = training_options_open(&o->training, 1000, DEFAULT_RATE);
    if (file) {
        take_sizes(file, &o->model);
    }
    t->o = o;
    t->text = text_load(o->data, (uint64_t)o->model.batch * o->model.context + 1);
    t->vocabulary = text_vocabulary_of(&t->text);
    if (file && strcmp(t->vocabulary.digits, checkpoint_get(file, "vocabulary")) != 0) {
        fail("%s: has other characters than what %s was trained on", o->data, o->training.resume);
    }
    o->model.classes = t->text.classes;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &t->device));
    model_create(&t->model, t->device, &o->model, o->training.seed);
    session_begin(&t->session, t->device, &o->training, &t->model.parameters, &file);
    model_build(&t->model, &t->session.optimizer);
    session_record(&t->session, t->model.step, t->model.evaluation);
    t->bigram = text_bigram_loss(&t->text, all_batches(t) * o->model.batch * o->model.context);
}

static void close_training(training *t) {
    session_end(&t->session);
    model_destroy(&t->model);
    text_free(&t->text);
    vka_device_destroy(&t->device);
}

int main(int argc, char **argv) {
    options o = options_parse(argc, argv);
    training t = {0};
    open_training(&t, &o);
    printf("%" PRIu64 " parameters, %" PRIu32 " kinds of characters, %" PRIu32 " to learn from, on %s\n",
           parameters_total(&t.model.parameters), t.text.classes, t.text.training, vka_device_get_caps(t.device)->name);
    if (o.dump) {
        t.dump = dump_begin(&t.model.parameters, o.training.steps, o.model.batch, o.model.context);
    }
    train(&t);
    if (o.dump) {
        config c = {.count = 0};
        fill_config(&c, &t);
        config_add_optimizer(&c, &t.session.optimizer.desc);
        dump_end(&t.dump, o.dump, &t.model.parameters, c.texts, c.count);
    }
    double loss = validate(&t, all_batches(&t));
    printf("validation loss %.4f; of a bigram model %.4f\n", loss, t.bigram);
    if (o.weights) {
        write_weights(&t);
    }
    if (o.sample) {
        write_sample(&t);
    }
    close_training(&t);
    return loss < t.bigram || o.any_loss ? 0 : 1;
}
