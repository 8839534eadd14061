/* SPDX-License-Identifier: MIT */
#include "run.h"

#include "common/program.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What was done since the program began. */
typedef struct progress {
    double spent; /* seconds of steps, without validation and files */
    uint32_t steps, shown;
} progress;

vka_recorder *training_record(vka_device *device, const vka_nn_sequence *sequence) {
    vka_recorder *recorder;
    check(vka_recorder_create(device, &(vka_recorder_desc){.max_dispatches = 1024}, &recorder));
    check(vka_recorder_begin(recorder));
    check(vka_nn_sequence_record(recorder, sequence));
    return recorder;
}

float training_submit(vka_recorder *recorder, vka_buffer *loss) {
    float value;
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));
    memcpy(&value, vka_buffer_map(loss), sizeof value);
    return value;
}

static void draw(const training_run *r) {
    if (r->curve) {
        curve_draw(r->curve, r->state.training, r->state.validation, r->level, r->label);
    }
}

static void show(const training_run *r, progress *p, uint32_t step) {
    const curve *losses = r->state.training;
    const optimizer *o = r->state.optimizer;
    char more[64] = "";
    double mean = 0, loss = r->validate(r->user, more, sizeof more);
    uint32_t count = step - p->shown;
    for (uint32_t i = 0; i < count && i < losses->count; i++) {
        mean += (double)losses->points[losses->count - 1 - i].loss / count;
    }
    printf("step %6" PRIu32 "  loss %.4f  validation %.4f%s  gradient norm %.2f  rate %.1e  %.0f %s/s\n", step, mean,
           loss, more, (double)optimizer_get_norm(o), (double)optimizer_rate(&o->desc, step),
           p->steps * (double)r->batch / p->spent, r->unit);
    fflush(stdout);
    p->shown = step;
    curve_add(r->state.validation, step, (float)loss);
    draw(r);
}

void training_run_all(const training_run *r) {
    progress p = {.shown = optimizer_get_step(r->state.optimizer)};
    draw(r); /* what a checkpoint had, if nothing is left to do */
    for (uint32_t step = p.shown + 1; step <= r->steps; step++) {
        double began = seconds();
        float loss = r->step(r->user, step);
        if (optimizer_get_step(r->state.optimizer) != step) {
            fail("step %" PRIu32 ": gradients are not finite", step);
        }
        curve_add(r->state.training, step, loss);
        p.spent += seconds() - began;
        p.steps++;
        if (step % r->show == 0 || step == r->steps) {
            show(r, &p, step);
        }
        if (r->save && (step % r->save_every == 0 || step == r->steps)) {
            checkpoint_save(r->save, &r->state, r->texts, r->text_count);
        }
    }
}
