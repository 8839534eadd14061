/* A score function of one's own (docs/score-functions.md): texts in one sequence see each other less, the more borders
 * lie between them, by a slope of each head, which is learned. SPDX-License-Identifier: MIT
 *
 * soft_borders.glsl is compiled into attention's kernels when this is built. What is learned from is the output of an
 * attention whose slopes are known, by the definition in double. Heads don't depend on each other, so one attention
 * with all slopes a little higher, and one with all of them lower, tell how each head's output changes, and
 * Gauss-Newton's step is one division a head. The attention is recorded once: only the tensor of slopes changes from
 * run to run. */
#include <vkattn/attention.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "soft_borders.h"

enum { HEADS = 4, TOKENS = 120, DIM = 32, STEPS = 8 };
enum { COUNT = HEADS * TOKENS * DIM };
static const uint32_t borders[] = {17, 40, 41, 77, 100}; /* where a text begins, but for the first one */
static const float known[HEADS] = {0.125f, 0.4f, 0.9f, 1.7f};

static void check(vka_status status) {
    if (status != VKA_OK) {
        fprintf(stderr, "soft_borders: %s\n", vka_status_string(status));
        exit(1);
    }
}

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "soft_borders: %s: %s\n", item, message);
}

/* In memory that the host sees. */
static vka_buffer *create(vka_device *device, vka_memory memory, size_t count) {
    vka_buffer *buffer;
    check(vka_buffer_create(device, &(vka_buffer_desc){.size = 4 * count, .memory = memory}, &buffer));
    return buffer;
}

static vka_tensor create_random(vka_device *device) {
    vka_tensor t = vka_tensor_4d(create(device, VKA_MEMORY_UPLOAD, COUNT), VKA_F32, 1, HEADS, TOKENS, DIM);
    float *values = vka_buffer_map(t.buffer);
    for (uint32_t i = 0; i < COUNT; i++) {
        values[i] = 3 * ((float)rand() / (float)RAND_MAX) - 1.5f;
    }
    return t;
}

/* Which text each token is of. */
static vka_tensor create_texts(vka_device *device) {
    vka_tensor t = vka_tensor_1d(create(device, VKA_MEMORY_UPLOAD, TOKENS), VKA_I32, TOKENS);
    int32_t *text = vka_buffer_map(t.buffer);
    for (uint32_t i = 0; i < TOKENS; i++) {
        text[i] = 0;
        for (size_t b = 0; b < sizeof borders / sizeof *borders; b++) {
            text[i] += i >= borders[b];
        }
    }
    return t;
}

static const float *row_of(const vka_tensor *t, uint32_t head, uint32_t token) {
    return (const float *)vka_buffer_map(t->buffer) + ((size_t)head * TOKENS + token) * DIM;
}

/* A row of causal attention by its definition, with the known slopes. */
static void expected_row(const vka_attention_desc *d, uint32_t h, uint32_t i, double out[DIM]) {
    const int32_t *text = vka_buffer_map(d->score_tensors[1].buffer);
    double weight[TOKENS], highest = -INFINITY, sum = 0;
    for (uint32_t j = 0; j <= i; j++) {
        weight[j] = -(double)known[h] * abs(text[i] - text[j]);
        for (uint32_t c = 0; c < DIM; c++) {
            weight[j] += (double)row_of(&d->q, h, i)[c] * (double)row_of(&d->k, h, j)[c] / sqrt(DIM);
        }
        highest = fmax(highest, weight[j]);
    }
    for (uint32_t c = 0; c < DIM; c++) {
        out[c] = 0;
    }
    for (uint32_t j = 0; j <= i; j++) {
        weight[j] = exp(weight[j] - highest);
        sum += weight[j];
        for (uint32_t c = 0; c < DIM; c++) {
            out[c] += weight[j] * (double)row_of(&d->v, h, j)[c];
        }
    }
    for (uint32_t c = 0; c < DIM; c++) {
        out[c] /= sum;
    }
}

/* Runs the recording with all slopes higher by `more`. */
static void run(vka_recorder *recorder, const vka_attention_desc *d, const double slopes[HEADS], double more,
                float *out) {
    float *slope = vka_buffer_map(d->score_tensors[0].buffer);
    for (uint32_t h = 0; h < HEADS; h++) {
        slope[h] = (float)(slopes[h] + more);
    }
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));
    const float *result = vka_buffer_map(d->out.buffer);
    for (uint32_t i = 0; i < COUNT; i++) {
        out[i] = result[i];
    }
}

/* The largest error of any output before the step. */
static double step(vka_recorder *recorder, const vka_attention_desc *d, const double *target, double slopes[HEADS]) {
    static float out[COUNT], higher[COUNT], lower[COUNT];
    const double little = 0.01;
    double worst = 0;
    run(recorder, d, slopes, little, higher);
    run(recorder, d, slopes, -little, lower);
    run(recorder, d, slopes, 0, out);
    for (uint32_t h = 0; h < HEADS; h++) {
        double along = 0, squares = 0;
        for (uint32_t i = h * TOKENS * DIM; i < (h + 1) * TOKENS * DIM; i++) {
            double change = ((double)higher[i] - (double)lower[i]) / (2 * little), error = target[i] - (double)out[i];
            along += change * error;
            squares += change * change;
            worst = fmax(worst, fabs(error));
        }
        slopes[h] += along / squares;
    }
    return worst;
}

int main(void) {
    vka_device *device;
    vka_recorder *recorder;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &device));
    if (vka_device_get_caps(device)->storage_buffers < 17) {
        printf("soft_borders: this device has too few storage buffers for options\n");
        vka_device_destroy(&device);
        return 77;
    }
    vka_tensor slope = vka_tensor_1d(create(device, VKA_MEMORY_UPLOAD, HEADS), VKA_F32, HEADS);
    vka_attention_desc d = {
        .q = create_random(device),
        .k = create_random(device),
        .v = create_random(device),
        .out = vka_tensor_4d(create(device, VKA_MEMORY_READBACK, COUNT), VKA_F32, 1, HEADS, TOKENS, DIM),
        .causal = true,
        .score_function = &soft_borders,
        .score_tensors = {slope, create_texts(device)},
    };
    check(vka_recorder_create(device, NULL, &recorder));
    check(vka_recorder_begin(recorder));
    check(vka_attention(recorder, &d));

    static double target[COUNT];
    for (uint32_t row = 0; row < HEADS * TOKENS; row++) {
        expected_row(&d, row / TOKENS, row % TOKENS, target + (size_t)row * DIM);
    }
    double slopes[HEADS] = {0}, worst = 0;
    for (uint32_t n = 0; n < STEPS; n++) {
        printf("step %u   slopes %.4f %.4f %.4f %.4f", n, slopes[0], slopes[1], slopes[2], slopes[3]);
        worst = step(recorder, &d, target, slopes);
        printf("   error %.2g\n", worst);
    }
    bool learned = worst < 1e-4;
    for (uint32_t h = 0; h < HEADS; h++) {
        learned = learned && fabs(slopes[h] - (double)known[h]) < 1e-3;
    }
    printf("%s\n", learned ? "the slopes are those that the targets were made with" : "WRONG: these are other slopes");

    vka_buffer *buffers[] = {d.q.buffer, d.k.buffer, d.v.buffer, d.out.buffer, slope.buffer, d.score_tensors[1].buffer};
    vka_recorder_destroy(&recorder);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        vka_buffer_destroy(&buffers[i]);
    }
    vka_device_destroy(&device);
    return learned ? 0 : 1;
}
