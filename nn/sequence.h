/* Sequences of plans, and the arena that their intermediate results lie in.
 *
 * A layer is a function that takes memory from the arena and adds operations. It runs twice: first without buffers,
 * which checks every operation and measures the arena, then with them, which plans. So it is added in whole or not at
 * all.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_NN_SEQUENCE_H
#define VKA_NN_SEQUENCE_H

#include <vkattn/nn.h>

/* Intermediate results and workspaces that are there at the same time. */
#define NN_MAX_LIVE 32

typedef struct nn_range {
    uint64_t begin, end;
} nn_range;

typedef struct nn_step {
    vka_operation operation;
    vka_plan *plan;
} nn_step;

struct vka_nn_sequence {
    vka_device *device;
    vka_log log;
    vka_workspace arena;
    uint64_t arena_bytes; /* that there are                                */
    uint64_t used;        /* that layers need                              */
    uint64_t most_live;   /* of these, at a time                           */
    bool own;             /* the arena is the sequence's                   */
    vka_buffer **retired; /* arenas that were too small, of earlier plans  */
    uint32_t retired_count;
    nn_step *steps;
    uint32_t count, capacity;

    /* While a layer is added. */
    const char *function;
    bool measuring;
    bool placed;
    vka_status status; /* of the layer: after an error nothing is done */
    nn_range live[NN_MAX_LIVE];
    uint32_t live_count;
    uint64_t peak;
    uint64_t live_bytes, live_peak;
};

/* Logs "function.field: .."; the layer's status is then VKA_INVALID. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void nn_refuse(vka_nn_sequence *s, const char *field, const char *format, ...);

/* Logs that an argument is NULL, and returns VKA_INVALID; `log` may be NULL: vka_last_error knows it still. */
vka_status nn_missing(const vka_log *log, const char *item);

/* Adds a layer: `build` adds its operations. */
vka_status nn_add(vka_nn_sequence *s, const char *function, void (*build)(vka_nn_sequence *s, const void *desc),
                  const void *desc);
/* Copies a description of `from_size` bytes into ours of `size`, as the library's do; false: refused. */
bool nn_read(vka_nn_sequence *s, const char *function, void *desc, size_t size, const void *from, size_t from_size);

/* ---- for layers ---------------------------------------------------------------------------------------------------- */

/* A dense tensor of the arena. */
vka_tensor nn_take(vka_nn_sequence *s, vka_dtype dtype, uint32_t rank, const uint32_t *shape);
/* Its memory may be used for what follows. */
void nn_give_back(vka_nn_sequence *s, const vka_tensor *t);

void nn_operation(vka_nn_sequence *s, vka_operation operation, const void *desc, size_t size);
/* With a workspace in the arena. */
void nn_run_attention(vka_nn_sequence *s, vka_attention_desc desc);
/* out = activation(x W^T + bias) + residual; `residual` may be NULL. */
void nn_project(vka_nn_sequence *s, const vka_nn_linear *linear, const vka_tensor *x, vka_activation activation,
                const vka_tensor *residual, const vka_tensor *out);

/* Layers within layers. `field`: where the description lies in the outer one: "self.". */
void nn_build_attention(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *desc);
void nn_build_feed_forward(vka_nn_sequence *s, const char *field, const vka_nn_feed_forward_desc *desc);
void nn_build_norm(vka_nn_sequence *s, const char *field, const vka_nn_norm *norm, const vka_tensor *x,
                   const vka_tensor *out);

/* Refuses a tensor that is absent, or has another shape; `rank` 0: any of the ranks that there are. */
bool nn_has_shape(vka_nn_sequence *s, const char *field, const char *name, const vka_tensor *t, uint32_t rank,
                  const uint32_t *shape);
bool nn_is_absent(vka_nn_sequence *s, const char *field, const char *name, const vka_tensor *t);

#endif
