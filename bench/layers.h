/* vkattn-bench layers: what its files share.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_LAYERS_H
#define VKATTN_BENCH_LAYERS_H

#include "bench.h"

#include <vkattn/nn.h>

#include "reference.h"

/* ---- layers.c: tensors ------------------------------------------------------------------------------------------- */

/* Each in a buffer of its own. After an error there are no more, and `status` says which. */
typedef struct layers_memory {
    vka_device *device;
    ref_rng rng;
    vka_buffer *buffers[256];
    uint32_t count;
    vka_status status;
} layers_memory;

/* Uniform values between mean - spread and mean + spread. */
vka_tensor bench_layers_tensor(layers_memory *m, vka_dtype dtype, float mean, float spread, uint32_t rank,
                               const uint32_t *shape);
#define LAYERS_TENSOR(m, dtype, mean, spread, ...)                                                                     \
    bench_layers_tensor(m, dtype, mean, spread, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),            \
                        (const uint32_t[]){__VA_ARGS__})
/* Weights [outputs, inputs] and biases that keep the variance of what they are applied to. */
vka_nn_linear bench_layers_linear(layers_memory *m, vka_dtype weights, vka_dtype biases, uint32_t outputs,
                                  uint32_t inputs);
vka_nn_norm bench_layers_norm(layers_memory *m, uint32_t width);
void bench_layers_free(layers_memory *m);

/* ---- costs ------------------------------------------------------------------------------------------------------- */

enum { LAYERS_MAX_OPERATIONS = 16, LAYERS_MODELS = 2 };

/* A layer of an encoder, and each of its operations alone. */
typedef struct bench_layer_cost {
    vka_dtype dtype;
    bench_state state;
    char reason[160];
    uint32_t count; /* of operations */
    struct {
        const char *name;
        double ms; /* median */
    } operations[LAYERS_MAX_OPERATIONS];
    double ms;
    bench_summary ratio; /* of the layer to the sum of its operations, round by round */
    uint32_t rounds;
    vka_nn_sequence_info info;
} bench_layer_cost;

/* Tokens of a model. */
typedef struct bench_model_cost {
    const char *weights; /* their type */
    bench_state state;
    char reason[160];
    uint32_t tokens;
    double ms;             /* of a token                                                        */
    double floor_ms;       /* to read the weights once, at the bandwidth of copies              */
    uint64_t weight_bytes; /* that each token reads                                             */
} bench_model_cost;

bool bench_json_write_layers(const bench_report *report, const bench_layer_cost *layer, const bench_model_cost *models,
                             size_t count, const char *path);

/* ---- layers_model.c ---------------------------------------------------------------------------------------------- */

/* A step of a model of GPT-2's shape: recorded once, and submitted for each token. `gbps`: of copies, read and written.
 * Fills in all but the name of the weights' type. */
void bench_layers_model(bench_device *d, const bench_options *o, vka_dtype weights, double gbps,
                        bench_model_cost *cost);

#endif
