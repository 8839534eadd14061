/* Sequences of plans, and the arena that their intermediate results lie in.
 *
 * A layer is a function that takes memory from the arena and adds operations. It runs twice: first without buffers,
 * which checks every operation and measures the arena, then with them, which plans. So it is added in whole or not at
 * all.
 *
 * A backward pass runs the layer's own function first. Where forward kept its results that only finds them again, without
 * operations, as what is kept lies in the order in which it is taken; otherwise it computes them once more.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_NN_SEQUENCE_H
#define VKA_NN_SEQUENCE_H

#include <vkattn/nn.h>

#include "../src/core/format.h"

/* Intermediate results and workspaces that are there at the same time. */
#define NN_MAX_LIVE 64

typedef struct nn_range {
    uint64_t begin, end;
} nn_range;

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
    vka_operation *operations; /* and the plan of each             */
    vka_plan **plans;
    uint32_t count, capacity;

    /* While a layer is added. */
    const char *function;
    const char *scope; /* of fields in the log: "forward.", or "" */
    bool measuring;
    vka_status status; /* of the layer: after an error nothing is done */
    nn_range live[NN_MAX_LIVE];
    uint32_t live_count;
    uint64_t peak;
    uint64_t live_bytes, live_peak;

    /* What backward passes read. */
    vka_nn_keep keep;
    vka_workspace kept;
    uint64_t kept_bytes; /* taken of it so far                                                */
    bool backward;       /* it is a backward pass: results of forward stay until its end     */
    bool recalling;      /* operations are not added: their results are in `kept`            */
    bool accumulate, accumulate_memory;
};

/* Logs "function.field: .."; the layer's status is then VKA_INVALID. */
void nn_refuse(vka_nn_sequence *s, const char *field, const char *format, ...) VKA_PRINTF(3, 4);

/* Logs that an argument is NULL, and returns VKA_INVALID; `log` may be NULL: vka_last_error knows it still. */
vka_status nn_missing(const vka_log *log, const char *item);

/* Adds a layer: `build` adds its operations. */
vka_status nn_add(vka_nn_sequence *s, const char *function, void (*build)(vka_nn_sequence *s, const void *desc),
                  const void *desc);
/* Runs `build` without adding anything: the bytes that it keeps. */
vka_status nn_measure(vka_nn_sequence *s, const char *function, void (*build)(vka_nn_sequence *s, const void *desc),
                      const void *desc, uint64_t *kept_bytes);
/* Copies a description of `from_size` bytes into ours of `size`, as the library's do; false: refused. */
bool nn_read(vka_nn_sequence *s, const char *function, void *desc, size_t size, const void *from, size_t from_size);

/* ---- for layers ---------------------------------------------------------------------------------------------------- */

/* A dense tensor of the arena. */
vka_tensor nn_take(vka_nn_sequence *s, vka_dtype dtype, uint32_t rank, const uint32_t *shape);
/* Its memory may be used for what follows. */
void nn_give_back(vka_nn_sequence *s, const vka_tensor *t);

/* Of forward: begins a layer whose description has these fields. False: refused. */
bool nn_begin_forward(vka_nn_sequence *s, vka_nn_keep keep, const vka_workspace *kept);
/* The same of a backward pass: until nn_end_forward operations and fields are forward's. */
bool nn_begin_backward(vka_nn_sequence *s, vka_nn_keep keep, const vka_workspace *kept, bool accumulate);
void nn_end_forward(vka_nn_sequence *s);
/* What backward reads: of `kept`, or of the arena. Given back it is when nothing reads it any more. */
vka_tensor nn_take_kept(vka_nn_sequence *s, vka_dtype dtype, uint32_t rank, const uint32_t *shape);
void nn_give_back_kept(vka_nn_sequence *s, const vka_tensor *t);

void nn_operation(vka_nn_sequence *s, vka_operation operation, const void *desc, size_t size);
/* With a workspace in the arena; `workspace` is a field of `desc`. */
void nn_run(vka_nn_sequence *s, vka_operation operation, const void *desc, size_t size, vka_workspace *workspace);
/* out = activation(x W^T + bias) + residual; `residual` may be NULL. */
void nn_project(vka_nn_sequence *s, const vka_nn_linear *linear, const vka_tensor *x, vka_activation activation,
                const vka_tensor *residual, const vka_tensor *out);
/* Its gradients: those of `gradient` that there are, and d_x unless it is absent; `z`, with an activation, is what that
 * was of. */
void nn_project_backward(vka_nn_sequence *s, const vka_nn_linear *linear, const vka_nn_linear *gradient,
                         const vka_tensor *x, vka_activation activation, const vka_tensor *z, const vka_tensor *d_out,
                         const vka_tensor *d_x);
/* to += from */
void nn_add_to(vka_nn_sequence *s, const vka_tensor *to, const vka_tensor *from);

/* ---- layers within layers ------------------------------------------------------------------------------------------ */

/* `field`: where the description lies in the outer one: "self.". Without an out, which backward passes don't read, what
 * nothing but out depends on is left out. */

typedef struct nn_attention_sizes {
    uint32_t batch, queries, keys, width; /* B, N, M, E */
    uint32_t heads, kv_heads, dim, value_dim;
} nn_attention_sizes;

/* Results of forward that backward reads. */
typedef struct nn_attention_results {
    nn_attention_sizes sizes;
    vka_attention_desc attention; /* as it ran                   */
    vka_tensor merged;            /* its out, as [B, N, H * Dv] */
} nn_attention_results;

typedef struct nn_feed_forward_results {
    vka_tensor up, gate; /* before the activation */
} nn_feed_forward_results;

void nn_build_attention(vka_nn_sequence *s, const char *field, const vka_nn_attention_desc *desc,
                        nn_attention_results *results);
void nn_build_feed_forward(vka_nn_sequence *s, const char *field, const vka_nn_feed_forward_desc *desc,
                           nn_feed_forward_results *results);
bool nn_normalises(vka_nn_sequence *s, const char *field, const vka_nn_norm *norm);
void nn_build_norm(vka_nn_sequence *s, const char *field, const vka_nn_norm *norm, const vka_tensor *x,
                   const vka_tensor *out);

/* `gradients` has that of out, and those that are asked for. `added`: to the gradient of x; NULL: nothing. */
void nn_attention_backward(vka_nn_sequence *s, const vka_nn_attention_desc *desc,
                           const vka_nn_attention_desc *gradients, const nn_attention_results *results,
                           const vka_tensor *added);
void nn_feed_forward_backward(vka_nn_sequence *s, const vka_nn_feed_forward_desc *desc,
                              const vka_nn_feed_forward_desc *gradients, const nn_feed_forward_results *results,
                              const vka_tensor *added);
/* d_sum is added to d_x; both may be absent. */
void nn_norm_backward(vka_nn_sequence *s, const char *field, const vka_nn_norm *norm, const vka_nn_norm *gradient,
                      const vka_tensor *x, const vka_tensor *d_out, const vka_tensor *d_sum, const vka_tensor *d_x);

/* attention.c: what forward and backward share. */
typedef struct nn_projection {
    vka_nn_linear linear, gradient;
    const vka_tensor *input;
    uint32_t rows, columns;
    vka_tensor out; /* [B, rows, columns] */
} nn_projection;
/* Those of queries, keys and values: one where all come of the same product, or three. Gradients are those of
 * `gradients`, unless that is NULL. */
uint32_t nn_list_projections(const vka_nn_attention_desc *desc, const vka_nn_attention_desc *gradients,
                             const nn_attention_sizes *sizes, nn_projection projections[3]);
/* Queries, keys and values in the results of projections, as [B, H, N, D]. */
void nn_find_heads(const nn_projection *projections, uint32_t count, const nn_attention_sizes *sizes,
                   vka_tensor heads[3]);
/* Of a projected tensor [B, rows, columns]: so many heads of `dim` channels, from column `first` on. */
vka_tensor nn_heads_of(const vka_tensor *t, uint32_t first, uint32_t heads, uint32_t dim);

/* Checks the gradients of x and out: d_x may be absent. */
bool nn_has_gradients(vka_nn_sequence *s, const vka_tensor *x, const vka_tensor *d_x, const vka_tensor *d_out);
/* Refuses an out that backward would find where x was. */
bool nn_is_not_x(vka_nn_sequence *s, const char *field, const vka_tensor *x, const vka_tensor *out);

/* Refuses a tensor that is absent, or has another shape; `rank` 0: any of the ranks that there are. */
bool nn_has_shape(vka_nn_sequence *s, const char *field, const char *name, const vka_tensor *t, uint32_t rank,
                  const uint32_t *shape);
bool nn_is_absent(vka_nn_sequence *s, const char *field, const char *name, const vka_tensor *t);

#endif
