/* The backward pass of attention: what its files share.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_BACKWARD_H
#define VKA_ATTENTION_BACKWARD_H

#include <vkattn/attention.h>

#include "op/op.h"
#include "ops/attention/check.h"
#include "params/attention_backward.h"
#include "params/lsh.h"

/* The tensors that forward does not have. */
enum {
    VKA__BACKWARD_D_OUT = VKA__ATTENTION_ARGS,
    VKA__BACKWARD_D_LSE,
    VKA__BACKWARD_D_Q,
    VKA__BACKWARD_D_K,
    VKA__BACKWARD_D_V,
    VKA__BACKWARD_D_MASK,
    VKA__BACKWARD_D_ALIBI,
    VKA__BACKWARD_D_RELATIVE,
    VKA__BACKWARD_D_SINKS,
    VKA__BACKWARD_D_COSINE,
    VKA__BACKWARD_D_RELATIVE_KEYS,
    VKA__BACKWARD_D_CONTENT,
    VKA__BACKWARD_D_POSITION,
    VKA__BACKWARD_ARGS
};

/* Passes, in the order of execution, each with a pipeline of its own. */
typedef enum vka__backward_pass {
    VKA__PASS_DELTA,
    VKA__PASS_NORMS,
    VKA__PASS_SORT_COUNT, /* a block map's tiles by columns, or entries of lists by keys: see sort.c */
    VKA__PASS_SORT_OFFSETS,
    VKA__PASS_SORT_ORDER,
    VKA__PASS_SORT_TILES,
    VKA__PASS_QUERIES,
    VKA__PASS_KEYS,
    VKA__PASS_HEADS,
    VKA__PASS_MASK,
    VKA__PASS_RELATIVE,
    VKA__PASS_RELATIVE_KEYS,
    VKA__PASS_CONTENT,
    VKA__PASS_POSITION,
    VKA__PASSES
} vka__backward_pass;

typedef struct vka__backward_params {
    vka_attention_backward_params backward;
    vka_attention_params forward;
} vka__backward_params;

/* Parameter blocks: of all passes, and of the sort. */
typedef union vka__backward_block {
    vka__backward_params attention;
    vka_lsh_params sort;
} vka__backward_block;
enum { VKA__BACKWARD_SORT_BLOCK = 1, VKA__BACKWARD_BLOCKS };

typedef struct vka__backward_plan {
    uint32_t path;
    bool options; /* kernels with options */
    vka__tile tile[VKA__PASSES];
    uint32_t shared_bytes[VKA__PASSES];
    vka__grid grid[VKA__PASSES];
    uint64_t chunks[VKA__PASSES]; /* dispatches; 0: the pass is not needed */
    /* Of the sort, in the workspace, in bytes: counts and columns, the order, rows and bits of tiles in it; of lists
     * only the end. */
    uint64_t sort_at, order_at, tiles_at;
    uint32_t sort_batches, sort_heads; /* of lists */
} vka__backward_plan;

typedef struct vka__backward_state {
    vka__attention_problem problem; /* stats, scores and the choice of a path left out */
    vka__backward_plan plan;
} vka__backward_state;

/* What the tables can't say. */
vka_status vka__backward_check(vka__call *call);
const char *vka__backward_path_name(uint32_t path);
/* How one of the passes over queries and keys runs: its kernel, its tile and the constants that say so. */
void vka__backward_take(vka__call *call, vka__backward_pass pass, vka__kernel kernel, const vka__tile *tile,
                        uint32_t group_size);
/* Fills in both as the coopmat path runs them; otherwise why it can't here. NULL: it is done. */
const char *vka__backward_take_coopmat(vka__call *call);
/* Chooses a path and fills in kernels, tiles and constants of the passes over queries and keys; false with the refusal.
 */
bool vka__backward_choose(vka__call *call);

/* A pass of `x` by `y` by `z` workgroups, each of which does so many multiply-adds. */
void vka__backward_add_pass(vka__call *call, vka__backward_pass pass, uint64_t x, uint32_t y, uint32_t z,
                            uint64_t work);
/* sort.c: the passes that sort a block map's tiles by columns, or entries of lists by keys, for keys to find their
 * queries. Planned after the passes' parameters and behind what the workspace has by then; false with the refusal. */
bool vka__backward_plan_sort(vka__call *call);
bool vka__backward_is_of_sort(vka__backward_pass pass);
void vka__backward_bind_sort(const vka__call *call, vka__backward_pass pass, vka__dispatch *dispatch);

#endif
