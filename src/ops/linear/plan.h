/* Plans of linear layers. Pure.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_LINEAR_PLAN_H
#define VKA_LINEAR_PLAN_H

#include <vkattn/linear.h>

#include "op/op.h"
#include "params/linear.h"

enum { VKA__LINEAR_X, VKA__LINEAR_WEIGHT, VKA__LINEAR_BIAS, VKA__LINEAR_RESIDUAL, VKA__LINEAR_OUT, VKA__LINEAR_ARGS };

#define VKA__LINEAR_MAX_SPLITS 64

/* Batches that share their weights are rows like others, where strides allow: then the first dimensions are 1. */
typedef struct vka__linear_problem {
    vka__view view[VKA__LINEAR_ARGS];
    uint32_t batch[2], rows, outputs, columns;
    vka_activation activation;
    uint32_t path;        /* that the description asks for; 0: none */
    vka__tile tile;       /* likewise; bc = 0: none                 */
    uint32_t splits;      /* likewise; 0: none                      */
    bool batch_invariant; /* bits must not depend on how many rows there are */
    uint32_t choice_rows; /* that path and tile are chosen for, but for the vector path's, whose rows change no sum */
    const vka__tuning *tuning;
} vka__linear_problem;

/* A dispatch does a box of batches and rows, and a range of outputs, that bindings and the grid can hold. */
enum { VKA__LINEAR_BATCH0, VKA__LINEAR_BATCH1, VKA__LINEAR_ROWS, VKA__LINEAR_OUTPUTS, VKA__LINEAR_DIMS };

typedef struct vka__linear_plan {
    vka__path_choice choice;
    uint32_t shared_bytes;
    vka__pipeline_key main, reduce;
    vka_linear_params params;
    uint32_t size[VKA__LINEAR_DIMS], part[VKA__LINEAR_DIMS], parts[VKA__LINEAR_DIMS];
    uint64_t workspace_bytes;
} vka__linear_plan;

typedef struct vka__linear_state {
    vka__linear_problem problem;
    vka__linear_plan plan;
} vka__linear_state;

/* A path, of problems that are vka__linear_problem, with the pipeline of a tile. */
typedef struct vka__linear_path {
    vka__path path;
    /* Kernel, shared memory, flags of its own, and specialization constants but for types and the tile. */
    void (*fill)(const vka_device_caps *caps, const vka__linear_problem *problem, const vka__tile *tile,
                 vka__linear_plan *plan);
} vka__linear_path;

/* Can rows be read eight elements at a time? */
bool vka__linear_is_wide(const vka__view *view);

extern const vka__linear_path vka__linear_path_vector, vka__linear_path_tile, vka__linear_path_coopmat,
    vka__linear_path_row, vka__linear_path_dot, vka__linear_path_coopmat2;
/* By vka_linear_path. */
extern const vka__paths vka__linear_paths;

/* Is tensor `weight` a matrix, or one for each entry of the leading dimensions of tensor `lead`, of as many outputs and
 * columns as these tensors have? */
vka_status vka__linear_check_weight(const vka__call *call, uint32_t weight, uint32_t lead, uint32_t outputs,
                                    uint32_t columns);
/* Do rows lie as evenly when the entries of dimension `dim` are rows, too? */
bool vka__linear_can_merge(const vka__view *view, uint32_t dim);
void vka__linear_merge(vka__view *view, uint32_t dim);
/* From the views, which rows of batches that share weights are merged in: the problem's sizes. */
void vka__linear_measure(vka__linear_problem *problem, vka_determinism determinism);

/* False with the refusal: no kernel can do it here. */
bool vka__plan_linear(const vka_device_caps *caps, const vka__linear_problem *problem, vka__linear_plan *plan,
                      vka__refusal *refusal);
uint64_t vka__linear_dispatches(const vka__linear_plan *plan);
void vka__linear_dispatch(const vka_device_caps *caps, const vka__linear_problem *problem, const vka__linear_plan *plan,
                          uint64_t index, vka__dispatch *out);

#endif
