/* Longformer (Beltagy 2020): a sliding window and global tokens, which have projections of their own.
 * SPDX-License-Identifier: MIT
 *
 * Every token sees its window and the global tokens, the first few of the text. A global token sees all, but by other
 * queries, keys and values: in the model, the text times other matrices. So there are two attentions:
 *
 *   all rows         by q, k, v and a pattern: the window, and global tokens that are seen
 *   the first rows   by their own q, k, v, over everything; they overwrite what the first attention left there
 *
 * Both go into one recording; the library sees that they write the same rows, and puts a barrier between. The result is
 * compared with the definition, pair by pair in double. */
#include <vkattn/attention.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADS = 4, TOKENS = 1000, DIM = 32, WINDOW = 64 /* to each side */, GLOBAL = 3 };

static void check(vka_status status) {
    if (status != VKA_OK) {
        fprintf(stderr, "longformer: %s\n", vka_status_string(status));
        exit(1);
    }
}

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "longformer: %s: %s\n", item, message);
}

/* [1, HEADS, tokens, DIM] in memory that the host sees. */
static vka_tensor tensor(vka_device *device, vka_memory memory, uint32_t tokens) {
    vka_buffer *buffer;
    uint64_t size = (uint64_t)HEADS * tokens * DIM * sizeof(float);
    check(vka_buffer_create(device, &(vka_buffer_desc){.size = size, .memory = memory}, &buffer));
    return vka_tensor_4d(buffer, VKA_F32, 1, HEADS, tokens, DIM);
}

static vka_tensor random_tensor(vka_device *device, uint32_t tokens) {
    vka_tensor t = tensor(device, VKA_MEMORY_UPLOAD, tokens);
    float *values = vka_buffer_map(t.buffer);
    for (uint32_t i = 0; i < HEADS * tokens * DIM; i++) {
        values[i] = 4 * ((float)rand() / (float)RAND_MAX) - 2;
    }
    return t;
}

static vka_pattern *window_and_global(vka_device *device) {
    static const uint32_t global[GLOBAL] = {0, 1, 2};
    vka_pattern_term terms[] = {
        {.kind = VKA_PATTERN_WINDOW, .window = {.left = WINDOW, .right = WINDOW}},
        /* One way: what global tokens see is the second attention's business. */
        {.kind = VKA_PATTERN_GLOBAL, .global = {.tokens = global, .count = GLOBAL, .one_way = true}},
    };
    vka_pattern_desc desc = {.queries = TOKENS, .keys = TOKENS, .terms = terms, .term_count = 2};
    vka_pattern *pattern;
    check(vka_pattern_create(device, &desc, &pattern));
    vka_pattern_info info = vka_pattern_get_info(pattern);
    printf("pattern      %.1f %% of the pairs, %llu of %u tiles\n", 100 * info.density,
           (unsigned long long)info.live_tiles, info.tile_rows * info.tile_columns);
    return pattern;
}

/* ---- the definition ---------------------------------------------------------------------------------------------- */

static const float *row_of(const vka_tensor *t, uint32_t head, uint32_t token) {
    return (const float *)vka_buffer_map(t->buffer) + ((size_t)head * t->shape[2] + token) * DIM;
}

/* One row of softmax(q k^T / sqrt(D)) v over the keys that the query sees. */
static void define(const vka_tensor qkv[3], uint32_t head, uint32_t i, double out[DIM]) {
    double sum = 0;
    for (int d = 0; d < DIM; d++) {
        out[d] = 0;
    }
    for (uint32_t j = 0; j < TOKENS; j++) {
        double score = 0;
        if (i >= GLOBAL && j >= GLOBAL && (j + WINDOW < i || j > i + WINDOW)) {
            continue;
        }
        for (int d = 0; d < DIM; d++) {
            score += (double)row_of(&qkv[0], head, i)[d] * (double)row_of(&qkv[1], head, j)[d];
        }
        double weight = exp(score / sqrt(DIM)); /* scores stay below 4 DIM / sqrt(DIM): no overflow */
        for (int d = 0; d < DIM; d++) {
            out[d] += weight * (double)row_of(&qkv[2], head, j)[d];
        }
        sum += weight;
    }
    for (int d = 0; d < DIM; d++) {
        out[d] /= sum;
    }
}

static double largest_error(const vka_tensor text[3], const vka_tensor global[3], const vka_tensor *out) {
    double worst = 0, expected[DIM];
    for (uint32_t head = 0; head < HEADS; head++) {
        for (uint32_t i = 0; i < TOKENS; i++) {
            define(i < GLOBAL ? global : text, head, i, expected);
            for (int d = 0; d < DIM; d++) {
                double error = fabs((double)row_of(out, head, i)[d] - expected[d]);
                worst = error <= worst ? worst : error; /* NaN stays */
            }
        }
    }
    return worst;
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

static void attend(vka_device *device, const vka_tensor text[3], const vka_tensor global[3], vka_tensor out,
                   const vka_pattern *pattern) {
    vka_tensor first_rows = vka_tensor_4d(out.buffer, VKA_F32, 1, HEADS, GLOBAL, DIM);
    for (int i = 0; i < 4; i++) { /* of out, so that heads lie where its heads do */
        first_rows.stride[i] = (uint64_t[]){HEADS * TOKENS * DIM, TOKENS * DIM, DIM, 1}[i];
    }
    vka_attention_desc all = {.q = text[0], .k = text[1], .v = text[2], .out = out, .pattern = pattern};
    vka_attention_desc few = {.q = global[0], .k = global[1], .v = global[2], .out = first_rows};
    vka_recorder *recorder;
    check(vka_recorder_create(device, NULL, &recorder));
    check(vka_recorder_begin(recorder));
    check(vka_attention(recorder, &all));
    check(vka_attention(recorder, &few));
    check(vka_recorder_submit(recorder));
    check(vka_recorder_wait(recorder, VKA_FOREVER));
    vka_recorder_destroy(&recorder);
}

int main(void) {
    vka_device *device;
    check(vka_device_create(&(vka_device_desc){.log = {.fn = log_line}}, &device));
    vka_tensor text[3], global[3], out = tensor(device, VKA_MEMORY_READBACK, TOKENS);
    for (int i = 0; i < 3; i++) {
        text[i] = random_tensor(device, TOKENS);
        global[i] = random_tensor(device, i == 0 ? GLOBAL : TOKENS); /* all keys and values, but few queries */
    }
    vka_pattern *pattern = window_and_global(device);
    attend(device, text, global, out, pattern);
    double error = largest_error(text, global, &out);
    printf("error        %.1e, on %s\n", error, vka_device_get_caps(device)->name);

    vka_pattern_destroy(&pattern);
    for (int i = 0; i < 3; i++) {
        vka_buffer_destroy(&text[i].buffer);
        vka_buffer_destroy(&global[i].buffer);
    }
    vka_buffer_destroy(&out.buffer);
    vka_device_destroy(&device);
    return error < 1e-5 ? 0 : 1; /* NaN is not */
}
