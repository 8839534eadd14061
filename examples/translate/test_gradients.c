/* Tests the loss and every number of every gradient of a small model against its definition in double, for each kind of
 * attention.
 * SPDX-License-Identifier: MIT */
#include "common/program.h"
#include "reference.h"
#include "training/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the largest number of a gradient. What f32 rounds in a model of this size; mistakes are as large as gradients. */
#define TOLERANCE 1e-4

const char program_name[] = "test_gradients";

/* Biases that are 0 and norms that are 1 would hide mistakes. */
static void disturb(const parameters *p, float *values) {
    random_state r = random_seed(1, "values");
    check(vka_buffer_read(p->values, 0, values, p->bytes));
    for (uint64_t i = 0; i < p->bytes / sizeof *values; i++) {
        values[i] += 0.1f * random_normal(&r);
    }
    check(vka_buffer_write(p->values, 0, values, p->bytes));
}

static bool is_near(double error, double scale) {
    return error <= TOLERANCE * scale; /* NaN is not */
}

static bool test_parameter(const model *m, const parameter *p, const float *gradients, dual *values) {
    const uint64_t first = p->offset / sizeof *gradients, count = parameter_bytes(p) / sizeof *gradients;
    double worst = 0, largest = 0;
    for (uint64_t i = first; i < first + count; i++) {
        values[i].d = 1;
        const double expected = reference_loss(m, values).d, error = fabs((double)gradients[i] - expected);
        values[i].d = 0;
        largest = fmax(largest, fabs(expected));
        worst = error <= worst ? worst : error; /* NaN stays */
    }
    if (!is_near(worst, largest) || largest == 0) {
        printf("%s: the gradient is off by %.1e, of up to %.1e\n", p->name, worst, largest);
        return false;
    }
    return true;
}

static bool test_kind(vka_device *device, cross_kind kind) {
    static const char *const texts[][2] = {{"3 May 1990", "1990-05-03"}, {"24.XII.'07", "2007-12-24"}};
    model m;
    optimizer o;
    model_create(&m, device, &(model_desc){.layers = 2, .heads = 2, .width = 4, .batch = 2, .attention = kind}, 1);
    const optimizer_desc rates = optimizer_usual(1, 1e-3f);
    optimizer_create(&o, device, &rates);
    model_build_training(&m, &o);
    const size_t numbers = (size_t)(m.parameters.bytes / sizeof(float));
    float *values = allocate(numbers, sizeof *values), *gradients = allocate(numbers, sizeof *gradients);
    dual *duals = allocate(numbers, sizeof *duals);
    disturb(&m.parameters, values);
    for (uint32_t i = 0; i < 2; i++) {
        model_set_source(&m, i, texts[i][0]);
        model_set_target(&m, i, texts[i][1]);
    }
    vka_recorder *step = training_record(device, m.step);
    const double loss = (double)training_submit(step, m.loss.buffer);
    check(vka_buffer_read(m.parameters.gradients, 0, gradients, m.parameters.bytes));
    for (size_t i = 0; i < numbers; i++) {
        duals[i].v = (double)values[i];
    }
    const double expected = reference_loss(&m, duals).v;
    bool ok = is_near(fabs(loss - expected), expected);
    printf("kind %d: loss %.7f, expected %.7f\n", (int)kind, loss, expected);
    for (uint32_t i = 0; i < m.parameters.count; i++) {
        ok &= test_parameter(&m, &m.parameters.list[i], gradients, duals);
    }
    vka_recorder_destroy(&step);
    optimizer_destroy(&o);
    model_destroy(&m);
    free(values);
    free(gradients);
    free(duals);
    return ok;
}

int main(void) {
    vka_device *device;
    bool ok = true;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &device));
    for (int kind = 0; kind < CROSS_KINDS; kind++) {
        ok &= test_kind(device, (cross_kind)kind);
    }
    vka_device_destroy(&device);
    return ok ? 0 : 1;
}
