/* SPDX-License-Identifier: MIT
 *
 * Points of the way from the baseline to the sentence are sentences of a batch, as many as there is room for. The
 * device computes their embeddings and, by the backward pass, the gradients of f there; the host multiplies these by
 * the pieces' vectors and adds up. */
#include "gradients.h"

#include "encoder_parts.h"

#include <vkattn/positions.h>

#include <stdlib.h>
#include <string.h>

enum { BATCH = 1024 /* pieces */ };

typedef struct integral {
    encoder *e;
    const gradients_desc *desc;
    uint32_t points;        /* of a batch                                                     */
    float *pieces, *places; /* [n, channels]: the vectors, and where they lie in the sentence */
    float *embeddings;      /* [points, outputs]                                              */
    float *gradients;       /* [points, n, channels]                                          */
} integral;

/* How far from the baseline a point is: midpoints, and behind them the sentence and the baseline. */
static double distance(const gradients_desc *d, uint32_t point) {
    return point < d->steps ? (point + 0.5) / d->steps : point == d->steps ? 1 : 0;
}

static void fill_vectors(integral *in, const weights *w) {
    const gradients_desc *d = in->desc;
    const float *table = w->embedding->data;
    vka_sinusoidal_positions(0, d->n, w->channels, VKA_SINUSOID_HALVES, 0, in->places);
    for (size_t i = 0; i < (size_t)d->n * w->channels; i++) {
        in->pieces[i] = 2 * table[(size_t)d->ids[i / w->channels] * w->channels + i % w->channels];
    }
}

/* A batch is always full: points behind the last one are baselines again. */
static void write_batch(const integral *in, uint32_t first) {
    encoder *e = in->e;
    const gradients_desc *d = in->desc;
    size_t size = (size_t)d->n * e->channels;
    float *x = vka_buffer_map(e->input.buffer), *toward = vka_buffer_map(e->toward.buffer);
    int32_t *offsets = vka_buffer_map(e->offsets.buffer), *ids = vka_buffer_map(e->ids.buffer);
    for (uint32_t s = 0; s < in->points; s++) {
        float share = (float)distance(d, first + s);
        for (size_t i = 0; i < size; i++) {
            x[s * size + i] = share * in->pieces[i] + in->places[i];
        }
        memcpy(toward + (size_t)s * e->outputs, d->toward, e->outputs * sizeof *toward);
        offsets[s + 1] = (int32_t)((s + 1) * d->n);
        for (uint32_t i = 0; i < d->n; i++) {
            ids[s * d->n + i] = (int32_t)s;
        }
    }
    offsets[0] = 0;
}

static bool run_batch(const integral *in, complaint *why) {
    encoder *e = in->e;
    uint64_t rows = (uint64_t)in->points * e->outputs * sizeof(float);
    uint64_t inputs = (uint64_t)in->points * in->desc->n * e->channels * sizeof(float);
    return encoder_done(vka_recorder_submit(e->recorder), why) &&
           encoder_done(vka_recorder_wait(e->recorder, VKA_FOREVER), why) &&
           encoder_done(vka_buffer_read(e->embeddings.buffer, 0, in->embeddings, rows), why) &&
           encoder_done(vka_buffer_read(e->d_input.buffer, 0, in->gradients, inputs), why);
}

static double product(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static void add_point(const integral *in, uint32_t point, uint32_t s, double *sums, gradients_result *r) {
    const gradients_desc *d = in->desc;
    size_t channels = in->e->channels, outputs = in->e->outputs;
    if (point < d->steps) {
        for (uint32_t i = 0; i < d->n; i++) {
            const float *gradient = in->gradients + ((size_t)s * d->n + i) * channels;
            sums[i] += product(gradient, in->pieces + i * channels, channels) / d->steps;
        }
    } else if (point <= d->steps + 1) {
        *(point == d->steps ? &r->value : &r->baseline) = product(in->embeddings + s * outputs, d->toward, outputs);
    }
}

static bool integrate(const integral *in, gradients_result *r, complaint *why) {
    double sums[MAX_TOKENS] = {0};
    for (uint32_t first = 0; first < in->desc->steps + 2; first += in->points) {
        write_batch(in, first);
        if (!run_batch(in, why)) {
            return false;
        }
        for (uint32_t s = 0; s < in->points; s++) {
            add_point(in, first + s, s, sums, r);
        }
    }
    for (uint32_t i = 0; i < in->desc->n; i++) {
        r->values[i] = (float)sums[i];
    }
    return true;
}

bool integrate_gradients(vka_device *device, const weights *w, const gradients_desc *desc, gradients_result *result,
                         complaint *why) {
    if (desc->n == 0 || desc->n > MAX_TOKENS || desc->steps == 0) {
        return complain(why, "integrated gradients need 1 .. %d pieces, and steps", MAX_TOKENS);
    }
    uint32_t room = BATCH / desc->n, points = room < desc->steps + 2 ? room : desc->steps + 2;
    size_t size = (size_t)desc->n * w->channels;
    integral in = {.desc = desc, .points = points};
    in.e = encoder_create(device, w, &(encoder_desc){points * desc->n, points, .gradients = true}, why);
    float *memory = in.e ? calloc((2 + points) * size + (size_t)points * w->outputs, sizeof *memory) : NULL;
    bool ok = memory != NULL;
    if (ok) {
        in.pieces = memory, in.places = memory + size, in.gradients = memory + 2 * size;
        in.embeddings = in.gradients + points * size;
        fill_vectors(&in, w);
        ok = integrate(&in, result, why);
    } else if (in.e) {
        complain(why, "out of memory");
    }
    free(memory);
    encoder_destroy(&in.e);
    return ok;
}
