/* What whole layers cost: the layer of an encoder against the sum of its operations, and tokens of a model of GPT-2's
 * shape against the bandwidth that its weights need.
 * SPDX-License-Identifier: MIT */
#include "layers.h"
#include "record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 512, WIDTH = 512, HEADS = 8, INNER = 2048, MAX_ROUNDS = 100, LEAST_ROUNDS = 3 };

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* Large tensors repeat their first elements. */
#define PERIOD (32u * 8191u)

static vka_status fill(layers_memory *m, vka_buffer *buffer, vka_dtype dtype, uint64_t count, float mean,
                       float spread) {
    uint64_t unit = count < PERIOD ? count : PERIOD;
    uint64_t bytes = unit / vka_dtype_block(dtype) * vka_dtype_size(dtype);
    uint64_t size = count / vka_dtype_block(dtype) * vka_dtype_size(dtype);
    float *values = malloc(unit * sizeof *values);
    void *storage = malloc(bytes);
    vka_status status = values && storage ? VKA_OK : VKA_OUT_OF_MEMORY;
    if (status == VKA_OK) {
        for (uint64_t i = 0; i < unit; i++) {
            values[i] = spread != 0 ? ref_rng_uniform(&m->rng, mean - spread, mean + spread) : mean;
        }
        ref_store(dtype, storage, values, unit);
    }
    for (uint64_t at = 0; status == VKA_OK && at < size; at += bytes) {
        status = vka_buffer_write(buffer, at, storage, size - at < bytes ? size - at : bytes);
    }
    free(values);
    free(storage);
    return status;
}

vka_tensor bench_layers_tensor(layers_memory *m, vka_dtype dtype, float mean, float spread, uint32_t rank,
                               const uint32_t *shape) {
    vka_tensor t = {.dtype = dtype, .rank = rank};
    uint64_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        t.shape[i] = shape[i];
        count *= shape[i];
    }
    if (m->status == VKA_OK && m->count == sizeof m->buffers / sizeof *m->buffers) {
        m->status = VKA_OUT_OF_MEMORY;
    }
    if (m->status != VKA_OK) {
        return t;
    }
    vka_buffer_desc desc = {.size = count / vka_dtype_block(dtype) * vka_dtype_size(dtype)};
    m->status = vka_buffer_create(m->device, &desc, &t.buffer);
    if (m->status == VKA_OK) {
        m->buffers[m->count++] = t.buffer;
        m->status = fill(m, t.buffer, dtype, count, mean, spread);
    }
    return t;
}

vka_nn_linear bench_layers_linear(layers_memory *m, vka_dtype weights, vka_dtype biases, uint32_t outputs,
                                  uint32_t inputs) {
    vka_tensor w = LAYERS_TENSOR(m, weights, 0, sqrtf(3.f / (float)inputs), outputs, inputs);
    return (vka_nn_linear){.weight = w, .bias = LAYERS_TENSOR(m, biases, 0, 0.1f, outputs)};
}

vka_nn_norm bench_layers_norm(layers_memory *m, uint32_t width) {
    vka_tensor w = LAYERS_TENSOR(m, VKA_F32, 1, 0.1f, width);
    return (vka_nn_norm){.kind = VKA_NN_NORM_LAYER, .weight = w, .bias = LAYERS_TENSOR(m, VKA_F32, 0, 0.1f, width)};
}

void bench_layers_free(layers_memory *m) {
    while (m->count) {
        vka_buffer_destroy(&m->buffers[--m->count]);
    }
}

/* ---- a layer against its operations ------------------------------------------------------------------------------ */

/* The whole layer, or one of its operations. */
typedef struct part {
    const vka_nn_sequence *sequence;
    uint32_t first, count;
    vka_recorder *recorder;
    bench_sampler sampler;
    double ms[MAX_ROUNDS];
} part;

typedef struct layer_run {
    layers_memory memory;
    vka_nn_sequence *sequence;
    part parts[LAYERS_MAX_OPERATIONS + 1]; /* the first one is the whole */
    uint32_t count;                        /* of the parts               */
    uint32_t rounds;
    double ratios[MAX_ROUNDS];
} layer_run;

static vka_status record_part(vka_recorder *recorder, void *user) {
    const part *p = user;
    return vka_nn_sequence_record_part(recorder, p->sequence, p->first, p->count);
}

static vka_status add_layer(layer_run *l, vka_dtype dtype) {
    layers_memory *m = &l->memory;
    vka_tensor x = LAYERS_TENSOR(m, dtype, 0, 1, 1, TOKENS, WIDTH);
    vka_nn_layer_desc desc = {
        .x = x,
        .out = LAYERS_TENSOR(m, dtype, 0, 0, 1, TOKENS, WIDTH),
        .norm_self = bench_layers_norm(m, WIDTH),
        .norm_feed_forward = bench_layers_norm(m, WIDTH),
        .self = {.heads = HEADS,
                 .qkv = bench_layers_linear(m, dtype, dtype, 3 * WIDTH, WIDTH),
                 .projection = bench_layers_linear(m, dtype, dtype, WIDTH, WIDTH)},
        .feed_forward = {.up = bench_layers_linear(m, dtype, dtype, INNER, WIDTH),
                         .down = bench_layers_linear(m, dtype, dtype, WIDTH, INNER),
                         .activation = VKA_ACTIVATION_GELU},
    };
    return m->status == VKA_OK ? vka_nn_layer(l->sequence, &desc) : m->status;
}

static vka_status prepare_part(layer_run *l, uint32_t first, uint32_t count) {
    part *p = &l->parts[l->count++];
    double ms;
    *p = (part){.sequence = l->sequence, .first = first, .count = count};
    vka_status status = bench_recorder_create(l->memory.device, 0, &p->recorder);
    return status == VKA_OK ? bench_sampler_begin(&p->sampler, l->memory.device, p->recorder, record_part, p, &ms)
                            : status;
}

static vka_status prepare_layer(layer_run *l, vka_dtype dtype) {
    vka_status status = vka_nn_sequence_create(l->memory.device, NULL, &l->sequence);
    if (status == VKA_OK) {
        status = add_layer(l, dtype);
    }
    uint32_t operations = vka_nn_sequence_get_info(l->sequence).operations;
    if (status == VKA_OK) {
        status = operations <= LAYERS_MAX_OPERATIONS ? prepare_part(l, 0, operations) : VKA_UNSUPPORTED;
    }
    for (uint32_t i = 0; i < operations && status == VKA_OK; i++) {
        status = prepare_part(l, i, 1);
    }
    return status;
}

/* Every part once a round, so that what else happens on the machine happens to all. */
static vka_status measure_layer(layer_run *l, double seconds) {
    double end = bench_now_ms() + seconds * 1e3;
    vka_status status = VKA_OK;
    while (status == VKA_OK && l->rounds < MAX_ROUNDS && !bench_stopped() &&
           (l->rounds < LEAST_ROUNDS || bench_now_ms() < end)) {
        double sum = 0;
        for (uint32_t i = 0; i < l->count && status == VKA_OK; i++) {
            status = bench_sampler_take(&l->parts[i].sampler, &l->parts[i].ms[l->rounds]);
            sum += i ? l->parts[i].ms[l->rounds] : 0;
        }
        l->ratios[l->rounds] = l->parts[0].ms[l->rounds] / sum;
        l->rounds++;
    }
    return status;
}

static const char *operation_name(vka_operation operation) {
    size_t i = 0;
    while (bench_record_ops[i].operation != operation) {
        i++; /* every operation is among them */
    }
    return bench_record_ops[i].name;
}

static void read_layer(layer_run *l, bench_layer_cost *c) {
    c->count = l->count - 1;
    for (uint32_t i = 0; i < c->count; i++) {
        c->operations[i].name = operation_name(vka_nn_sequence_get_operation(l->sequence, i));
        c->operations[i].ms = bench_summarise(l->parts[i + 1].ms, l->rounds).median;
    }
    c->ms = bench_summarise(l->parts[0].ms, l->rounds).median;
    c->ratio = bench_summarise(l->ratios, l->rounds);
    c->rounds = l->rounds;
    c->info = vka_nn_sequence_get_info(l->sequence);
}

static vka_status run_layer(layer_run *l, const bench_options *o, bench_layer_cost *c) {
    vka_status status = prepare_layer(l, c->dtype);
    if (status == VKA_OK) {
        status = measure_layer(l, o->seconds);
    }
    if (status == VKA_OK && l->rounds) {
        read_layer(l, c);
    }
    for (uint32_t i = 0; i < l->count; i++) {
        vka_recorder_destroy(&l->parts[i].recorder);
    }
    vka_nn_sequence_destroy(&l->sequence);
    bench_layers_free(&l->memory);
    return status;
}

static bench_layer_cost layer_cost(bench_device *d, const bench_options *o) {
    bench_layer_cost c = {.dtype = o->only ? o->only : VKA_F32};
    layer_run *l = calloc(1, sizeof *l);
    vka_status status = VKA_OUT_OF_MEMORY;
    bench_device_clear_error(d);
    if (l) {
        l->memory = (layers_memory){.device = bench_device_vka(d), .rng = ref_rng_seed(o->seed)};
        status = run_layer(l, o, &c);
        free(l);
    }
    c.state = bench_device_state(d, status, c.reason, sizeof c.reason);
    if (c.state == BENCH_DONE && !c.rounds) {
        c.state = BENCH_SKIPPED;
        snprintf(c.reason, sizeof c.reason, "stopped");
    }
    return c;
}

static void print_layer(const bench_layer_cost *c) {
    char text[BENCH_NUMBER_SIZE], live[BENCH_NUMBER_SIZE];
    double sum = 0;
    printf("\n%sencoder layer, B1 N%d C%d H%d, inner %d, %s%s\n", bench_style(BENCH_BOLD), TOKENS, WIDTH, HEADS, INNER,
           bench_dtype_name(c->dtype), bench_style(BENCH_PLAIN));
    if (c->state != BENCH_DONE) {
        bench_report_reason("encoder layer", c->state, c->reason, bench_columns(false));
        return;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        sum += c->operations[i].ms;
        printf("  %-12s %9s\n", c->operations[i].name, bench_time_text(c->operations[i].ms, text));
    }
    printf("  %-12s %9s\n", "their sum", bench_time_text(sum, text));
    printf("  %-12s %9s  %.2f of the sum; half of %u rounds: %.2f to %.2f\n", "the layer", bench_time_text(c->ms, text),
           c->ratio.median, c->rounds, c->ratio.low, c->ratio.high);
    printf("  %-12s %9s  %.2f of what is in use at a time, %s\n", "arena",
           bench_size_text((double)c->info.arena_bytes, text), (double)c->info.arena_bytes / (double)c->info.live_bytes,
           bench_size_text((double)c->info.live_bytes, live));
}

/* ---- tokens of a model ------------------------------------------------------------------------------------------- */

static void print_model(const bench_model_cost *c) {
    char each[BENCH_NUMBER_SIZE], rate[BENCH_NUMBER_SIZE], size[BENCH_NUMBER_SIZE], share[BENCH_NUMBER_SIZE];
    if (c->state != BENCH_DONE) {
        bench_report_reason(c->weights, c->state, c->reason, bench_columns(false));
        return;
    }
    printf("  %-7s %10s %7u %12s %10s %8s\n", c->weights, bench_size_text((double)c->weight_bytes, size), c->tokens,
           bench_time_text(c->ms, each), bench_number(1e3 / c->ms, rate),
           bench_percent_text(c->floor_ms / c->ms, share));
    fflush(stdout);
}

static void measure_models(bench_device *d, const bench_options *o, bench_model_cost costs[LAYERS_MODELS]) {
    static const vka_dtype weights[LAYERS_MODELS] = {VKA_F16, VKA_Q8_0};
    static const char *const names[LAYERS_MODELS] = {"f16", "q8_0"};
    bench_peaks peaks = bench_measure_peaks(d);
    bench_progress_pause();
    printf("\n%sGPT-2 small's shape, random weights: one recording, a submission for each token%s\n",
           bench_style(BENCH_BOLD), bench_style(BENCH_PLAIN));
    printf("  %-7s %10s %7s %12s %10s %8s\n", "weights", "size", "tokens", "a token", "tokens/s", "floor");
    for (int i = 0; i < LAYERS_MODELS; i++) {
        costs[i] = (bench_model_cost){.weights = names[i], .state = BENCH_SKIPPED, .reason = "stopped"};
        if (!bench_stopped()) {
            bench_progress_step(1 + (size_t)i, names[i]);
            bench_layers_model(d, o, weights[i], peaks.copy_gbps, &costs[i]);
        }
        bench_progress_pause();
        print_model(&costs[i]);
    }
    printf("\n");
    bench_column_help("floor",
                      "the time to read the weights once, at the bandwidth of copies, over the time of a token");
}

bench_exit bench_layers(const bench_options *o) {
    bench_model_cost models[LAYERS_MODELS];
    bench_report report;
    if (o->json && !bench_json_writable(o->json)) {
        return BENCH_EXIT_FAILED;
    }
    bench_device *d = bench_device_open(o->device, NULL);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    bench_report_begin(&report, d, o->seed);
    bench_device_introduce(bench_device_caps(d));
    printf("commit   %s\n", report.commit);
    bench_progress_start(1 + LAYERS_MODELS, INFINITY);
    bench_progress_step(0, "encoder layer");
    bench_layer_cost layer = layer_cost(d, o);
    bench_progress_pause();
    print_layer(&layer);
    measure_models(d, o, models);
    bench_progress_end();
    size_t measured = layer.state == BENCH_DONE, failed = layer.state == BENCH_FAILED;
    for (int i = 0; i < LAYERS_MODELS; i++) {
        measured += models[i].state == BENCH_DONE;
        failed += models[i].state == BENCH_FAILED;
    }
    bool written = !o->json || bench_json_write_layers(&report, &layer, models, LAYERS_MODELS, o->json);
    bench_report_end("layers and models", measured, 1 + LAYERS_MODELS, written ? o->json : NULL);
    bench_device_close(d);
    return failed || !written ? BENCH_EXIT_FAILED : bench_stopped() ? BENCH_EXIT_STOPPED : BENCH_EXIT_OK;
}
