/* SPDX-License-Identifier: MIT */
#include "session.h"

#include "common/program.h"

#include <stdlib.h>

training_options training_options_usual(void) {
    return (training_options){.steps = TRAINING_STEPS_NOT_GIVEN, .show = 100, .save_every = 500, .seed = 1};
}

const char *training_options_wrong(const training_options *o) {
    return !o->show ? "--show must be 1 or more" : !o->save_every ? "--save-every must be 1 or more" : NULL;
}

vka_safetensors *training_options_open(training_options *o, uint32_t steps, float rate) {
    vka_safetensors *file = o->resume ? checkpoint_open(o->resume) : NULL;
    if (o->steps == TRAINING_STEPS_NOT_GIVEN) {
        o->steps = file ? config_number(file, "steps") : steps;
    }
    if (!(o->rate > 0)) {
        o->rate = file ? strtof(checkpoint_get(file, "learning_rate"), NULL) : rate;
    }
    return file;
}

static training_state state_of(session *s) {
    return (training_state){s->parameters, &s->optimizer, &s->random, &s->losses, &s->validation};
}

void session_begin(session *s, vka_device *device, const training_options *o, parameters *p, vka_safetensors **file) {
    const optimizer_desc rates = optimizer_usual(o->steps, o->rate);
    *s = (session){.options = o, .device = device, .parameters = p, .random = random_seed(o->seed, "batches")};
    optimizer_create(&s->optimizer, device, &rates);
    if (*file) {
        const training_state state = state_of(s);
        checkpoint_load(*file, &state);
        vka_safetensors_close(file);
    }
}

void session_record(session *s, const vka_nn_sequence *step, const vka_nn_sequence *evaluation) {
    s->step = training_record(s->device, step);
    s->evaluation = training_record(s->device, evaluation);
}

void session_run(session *s, training_run *run, config *texts) {
    const training_options *o = s->options;
    config_add_optimizer(texts, &s->optimizer.desc);
    run->steps = o->steps;
    run->show = o->show;
    run->save_every = o->save_every;
    run->save = o->save;
    run->curve = o->curve;
    run->state = state_of(s);
    run->texts = texts->texts;
    run->text_count = texts->count;
    training_run_all(run);
}

void session_end(session *s) {
    vka_recorder_destroy(&s->step);
    vka_recorder_destroy(&s->evaluation);
    optimizer_destroy(&s->optimizer);
    curve_free(&s->losses);
    curve_free(&s->validation);
}
