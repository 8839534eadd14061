/* Compares vision/attribution.c with a small transformer in float64: its results, attention's probabilities, and
 * gradients with central differences, in which a probability, or an element of a vector in front of the last layer, is
 * a little more and a little less. test_gradient [SEED] SPDX-License-Identifier: MIT */
#include "common/program.h"
#include "training/random.h"
#include "vision/attribution.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char program_name[] = "test_gradient";

enum { LAYERS = 2, HEADS = 2, WIDTH = 12, DIM = WIDTH / HEADS, TOKENS = 7, PIXELS = 3, CLASSES = 5, BATCH = 2 };
enum { INNER = 4 * WIDTH, SQUARE = TOKENS * TOKENS, ROWS = TOKENS * WIDTH };

/* The most that results may be off: what the accuracy rule adds to twice the error of another computation in f32. */
static const double bound = 1e-5, difference = 1e-4;

/* What is added on the way: to one probability of a layer, or to one element of the last layer's input. */
typedef struct nudge {
    int layer, probability, vector; /* -1: none */
    double by;
} nudge;

typedef struct test {
    parameters parameters;
    trunk trunk;
    patches patches;
    attribution attribution;
    float *values; /* all parameters */
    bool unit;
} test;

/* ---- the reference ------------------------------------------------------------------------------------------- */

static const float *value(const test *t, const char *name) {
    return t->values + parameters_value(&t->parameters, name).offset / sizeof(float);
}

static const float *of_layer(const test *t, int layer, const char *name) {
    char whole[64];
    snprintf(whole, sizeof whole, "layers.%d.%s", layer, name);
    return value(t, whole);
}

static void linear(const double *x, int rows, int inputs, int outputs, const float *weight, const float *bias,
                   double *out) {
    for (int r = 0; r < rows; r++) {
        for (int o = 0; o < outputs; o++) {
            double sum = bias ? (double)bias[o] : 0;
            for (int i = 0; i < inputs; i++) {
                sum += x[r * inputs + i] * (double)weight[o * inputs + i];
            }
            out[r * outputs + o] = sum;
        }
    }
}

static void layer_norm(const double *x, int rows, const float *weight, const float *bias, double *out) {
    for (int r = 0; r < rows; r++) {
        const double *row = x + r * WIDTH;
        double mean = 0, variance = 0;
        for (int i = 0; i < WIDTH; i++) {
            mean += row[i] / WIDTH;
        }
        for (int i = 0; i < WIDTH; i++) {
            variance += (row[i] - mean) * (row[i] - mean) / WIDTH;
        }
        for (int i = 0; i < WIDTH; i++) {
            out[r * WIDTH + i] = (row[i] - mean) / sqrt(variance + 1e-5) * (double)weight[i] + (double)bias[i];
        }
    }
}

/* Of one query and head. */
static void softmax(const double *qkv, int head, int query, double *p) {
    double sum = 0;
    for (int j = 0; j < TOKENS; j++) {
        double score = 0;
        for (int d = 0; d < DIM; d++) {
            score += qkv[query * 3 * WIDTH + head * DIM + d] * qkv[j * 3 * WIDTH + WIDTH + head * DIM + d];
        }
        sum += p[j] = exp(score / sqrt(DIM));
    }
    for (int j = 0; j < TOKENS; j++) {
        p[j] /= sum;
    }
}

/* `probabilities` may be NULL. */
static void attention(const double *qkv, const nudge *by, bool here, double *probabilities, double *out) {
    double p[HEADS * SQUARE];
    for (int h = 0; h < HEADS; h++) {
        for (int i = 0; i < TOKENS; i++) {
            softmax(qkv, h, i, p + (h * TOKENS + i) * TOKENS);
        }
    }
    if (probabilities) {
        memcpy(probabilities, p, sizeof p);
    }
    if (here) {
        p[by->probability] += by->by;
    }
    memset(out, 0, ROWS * sizeof *out);
    for (int h = 0; h < HEADS; h++) {
        for (int i = 0; i < SQUARE; i++) {
            for (int d = 0; d < DIM; d++) {
                out[i / TOKENS * WIDTH + h * DIM + d] +=
                    p[h * SQUARE + i] * qkv[i % TOKENS * 3 * WIDTH + 2 * WIDTH + h * DIM + d];
            }
        }
    }
}

static void reference_layer(const test *t, int l, const nudge *by, double *probabilities, double *x) {
    double normed[ROWS], qkv[3 * ROWS], attended[ROWS], more[ROWS], inner[TOKENS * INNER];
    layer_norm(x, TOKENS, of_layer(t, l, "norm1.weight"), of_layer(t, l, "norm1.bias"), normed);
    linear(normed, TOKENS, WIDTH, 3 * WIDTH, of_layer(t, l, "self_attn.in_proj_weight"),
           of_layer(t, l, "self_attn.in_proj_bias"), qkv);
    attention(qkv, by, by->probability >= 0 && by->layer == l, probabilities, attended);
    linear(attended, TOKENS, WIDTH, WIDTH, of_layer(t, l, "self_attn.out_proj.weight"),
           of_layer(t, l, "self_attn.out_proj.bias"), more);
    for (int i = 0; i < ROWS; i++) {
        x[i] += more[i];
    }
    layer_norm(x, TOKENS, of_layer(t, l, "norm2.weight"), of_layer(t, l, "norm2.bias"), normed);
    linear(normed, TOKENS, WIDTH, INNER, of_layer(t, l, "linear1.weight"), of_layer(t, l, "linear1.bias"), inner);
    for (int i = 0; i < TOKENS * INNER; i++) {
        inner[i] *= (1 + erf(inner[i] / sqrt(2))) / 2;
    }
    linear(inner, TOKENS, INNER, WIDTH, of_layer(t, l, "linear2.weight"), of_layer(t, l, "linear2.bias"), more);
    for (int i = 0; i < ROWS; i++) {
        x[i] += more[i];
    }
}

/* What the head gives; `probabilities`, of all layers, and `vectors` may be NULL. */
static void reference(const test *t, int picture, const nudge *by, double *probabilities, double *vectors,
                      double *result) {
    const float *pixels = patches_at(&t->patches, (uint32_t)picture) - PIXELS;
    double input[TOKENS * PIXELS], x[ROWS], normed[WIDTH], squares = 0;
    for (int i = 0; i < TOKENS * PIXELS; i++) {
        input[i] = (double)pixels[i];
    }
    linear(input, TOKENS, PIXELS, WIDTH, value(t, "patches.weight"), NULL, x);
    for (int i = 0; i < ROWS; i++) {
        x[i] += (double)value(t, "positions.weight")[i];
    }
    for (int l = 0; l < LAYERS; l++) {
        if (l == LAYERS - 1 && vectors) {
            memcpy(vectors, x, sizeof x);
        }
        if (l == LAYERS - 1 && by->vector >= 0) {
            x[by->vector] += by->by;
        }
        reference_layer(t, l, by, probabilities ? probabilities + l * HEADS * SQUARE : NULL, x);
    }
    layer_norm(x, 1, value(t, "norm.weight"), value(t, "norm.bias"), normed);
    linear(normed, 1, WIDTH, CLASSES, value(t, "head.weight"), NULL, result);
    for (int c = 0; c < CLASSES; c++) {
        squares += result[c] * result[c] / CLASSES;
    }
    for (int c = 0; c < CLASSES && t->unit; c++) {
        result[c] /= sqrt(squares + 1e-5);
    }
}

/* ---- comparing ----------------------------------------------------------------------------------------------- */

static bool near(const char *what, int at, float is, double should) {
    if (!(fabs((double)is - should) <= bound)) {
        printf("%s %d is %.9g, not %.9g\n", what, at, (double)is, should);
        return false;
    }
    return true;
}

/* The sum of results that gradients are of. */
static double sum_of(const test *t, int picture, const nudge *by) {
    const float *weights = (const float *)vka_buffer_map(t->attribution.d_result) + (size_t)picture * CLASSES;
    double result[CLASSES], sum = 0;
    reference(t, picture, by, NULL, NULL, result);
    for (int c = 0; c < CLASSES; c++) {
        sum += (double)weights[c] * result[c];
    }
    return sum;
}

static double slope(const test *t, int picture, nudge by) {
    by.by = difference;
    double above = sum_of(t, picture, &by);
    by.by = -difference;
    return (above - sum_of(t, picture, &by)) / (2 * difference);
}

static bool compare(const test *t, int picture, attribution_maps *m) {
    double result[CLASSES], probabilities[LAYERS * HEADS * SQUARE], vectors[ROWS];
    const float *results = (const float *)vka_buffer_map(t->attribution.result) + (size_t)picture * CLASSES;
    const nudge none = {-1, -1, -1, 0};
    bool ok = true;
    attribution_read(&t->attribution, (uint32_t)picture, m);
    reference(t, picture, &none, probabilities, vectors, result);
    for (int c = 0; c < CLASSES; c++) {
        ok &= near("result", c, results[c], result[c]);
    }
    for (int i = 0; i < LAYERS * HEADS * SQUARE; i++) {
        ok &= near("probability", i, m->probabilities[i], probabilities[i]);
        ok &= near("gradient of probability", i, m->gradients[i],
                   slope(t, picture, (nudge){i / (HEADS * SQUARE), i % (HEADS * SQUARE), -1, 0}));
    }
    for (int i = 0; i < ROWS; i++) {
        ok &= near("vector", i, m->vectors[i], vectors[i]);
        ok &= near("gradient of vector", i, m->d_vectors[i], slope(t, picture, (nudge){-1, -1, i, 0}));
    }
    return ok;
}

/* ---- the test ------------------------------------------------------------------------------------------------ */

static void draw(float *to, size_t count, random_state *r) {
    for (size_t i = 0; i < count; i++) {
        to[i] = random_normal(r);
    }
}

/* Not as training begins, where biases are 0. */
static void draw_parameters(test *t, random_state *r) {
    t->values = allocate((size_t)t->parameters.bytes, 1);
    for (uint32_t i = 0; i < t->parameters.count; i++) {
        const parameter *q = &t->parameters.list[i];
        const bool norm = q->mean > 0;
        for (uint64_t k = 0; k < parameter_bytes(q) / sizeof(float); k++) {
            t->values[q->offset / sizeof(float) + k] = (norm ? 1 : 0) + 0.3f * random_normal(r);
        }
    }
    check(vka_buffer_write(t->parameters.values, 0, t->values, t->parameters.bytes));
}

static bool run(vka_device *device, uint64_t seed, bool unit) {
    const trunk_desc desc = {
        .layers = LAYERS, .heads = HEADS, .width = WIDTH, .context = TOKENS, .batch = BATCH, .classes = CLASSES};
    test t = {.unit = unit};
    random_state r = random_seed(seed, unit ? "unit" : "logits");
    patches_add_parameters(&t.parameters, &desc, PIXELS);
    trunk_add_parameters(&t.parameters, &desc);
    parameters_create(&t.parameters, device, seed);
    draw_parameters(&t, &r);
    trunk_create(&t.trunk, device, &t.parameters, &desc);
    patches_create(&t.patches, &t.trunk, PIXELS);
    attribution_create(&t.attribution, &t.patches, unit);
    for (uint32_t i = 0; i < BATCH; i++) {
        draw(patches_at(&t.patches, i), (TOKENS - 1) * PIXELS, &r);
    }
    draw(vka_buffer_map(t.attribution.d_result), BATCH * CLASSES, &r);
    attribution_run(&t.attribution);
    attribution_maps m = attribution_maps_create(&t.attribution);
    bool ok = true;
    for (int i = 0; i < BATCH; i++) {
        ok &= compare(&t, i, &m);
    }
    attribution_maps_free(&m);
    attribution_destroy(&t.attribution);
    patches_destroy(&t.patches);
    trunk_destroy(&t.trunk);
    parameters_destroy(&t.parameters);
    free(t.values);
    return ok;
}

int main(int argc, char **argv) {
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    vka_device *device;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &device));
    printf("seed %llu\n", (unsigned long long)seed);
    const bool logits = run(device, seed, false), unit = run(device, seed, true);
    vka_device_destroy(&device);
    return logits && unit ? 0 : 1;
}
