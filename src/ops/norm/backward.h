/* Gradients of norms: what those of layer norm, RMS norm and group norm share.
 *
 * Up to four steps, of which each is done only if something needs it: statistics that the caller has not stored, by the
 * norm's own kernels; sums of columns over chunks of rows; their sums, which are the gradients of weights and biases;
 * and d_x, the last one, so that it may lie over what the others read.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_NORM_BACKWARD_H
#define VKA_NORM_BACKWARD_H

#include "ops/norm/norm.h"

/* Tensors of all; what an operation does not have is VKA__NORM_D_ABSENT. VKA__NORM_X is the first here, too. */
enum {
    VKA__NORM_D_OUT = 1 + VKA__NORM_X,
    VKA__NORM_D_OF_WEIGHT, /* weight itself */
    VKA__NORM_D_RESIDUAL,  /* residual itself */
    VKA__NORM_D_MEAN,      /* the statistics: mean and inverse */
    VKA__NORM_D_INVERSE,
    VKA__NORM_D_SUM,
    VKA__NORM_D_X,
    VKA__NORM_D_WEIGHT,
    VKA__NORM_D_BIAS,
    VKA__NORM_D_ARGS,
};

#define VKA__NORM_D_STRIDES(field) offsetof(vka_norm_backward_params, field)
#define VKA__NORM_D_ABSENT                                                                                             \
    { "", NULL, 0, VKA__NONE, 0, .flags = VKA__INTERNAL, .extent = VKA__CUSTOM }
#define VKA__NORM_D_IN_PLACE                                                                                           \
    (1u << VKA__NORM_X | 1u << VKA__NORM_D_OUT | 1u << VKA__NORM_D_RESIDUAL | 1u << VKA__NORM_D_SUM)
/* A tensor with rows, a weight, a statistic that may be there, a gradient of weights or biases. */
#define VKA__NORM_D_ROWS(name, shape, desc, param, in_place, flags_, access_, binding_, extent_)                       \
    {                                                                                                                  \
        name, shape, desc, VKA__NORM_D_STRIDES(param), VKA__FLOATS, in_place,                                          \
            .like = 1 + VKA__NORM_X, .flags = flags_, .access = access_, .binding = binding_, .extent = extent_        \
    }
#define VKA__NORM_D_STATISTIC(name, shape, desc, param, flags_, binding_, extent_)                                     \
    {                                                                                                                  \
        name, shape, desc, VKA__NORM_D_STRIDES(param), VKA__TYPE(VKA_F32), .flags = flags_, .access = VKA__READ,       \
                                                                           .binding = binding_, .extent = extent_      \
    }
#define VKA__NORM_D_PARAMETER(name, desc, binding_)                                                                    \
    { name, "C", desc, VKA__NONE, VKA__FLOATS, .access = VKA__READ_WRITE, .binding = binding_, .extent = VKA__CUSTOM }

/* The tensors of norms over rows, but for mean and d_bias. */
#define VKA__NORM_D_COMMON_ARGS(desc, inverse)                                                                         \
    [VKA__NORM_X] =                                                                                                    \
        VKA__NORM_D_ROWS("x", "... C", offsetof(desc, x), norm.x, 0, VKA__REQUIRED, VKA__READ, VKA_BIND_X, VKA__BOX),  \
    [VKA__NORM_D_OUT] = VKA__NORM_D_ROWS("d_out", "... C", offsetof(desc, d_out), gradient.d_out, 0, VKA__REQUIRED,    \
                                         VKA__READ, VKA_BIND_NORM_D_OUT, VKA__BOX),                                    \
    [VKA__NORM_D_OF_WEIGHT] = VKA__NORM_PARAMETER("weight", offsetof(desc, weight), VKA_BIND_WEIGHT),                  \
    [VKA__NORM_D_RESIDUAL] = VKA__NORM_D_ROWS("residual", "... C", offsetof(desc, residual), norm.residual, 0, 0,      \
                                              VKA__READ, VKA_BIND_RESIDUAL, VKA__BOX),                                 \
    [VKA__NORM_D_INVERSE] = VKA__NORM_D_STATISTIC(#inverse, "...", offsetof(desc, inverse), norm.inv_std,              \
                                                  VKA__PER_ROW, VKA_BIND_STATS_INV, VKA__BOX),                         \
    [VKA__NORM_D_SUM] = VKA__NORM_D_ROWS("d_sum", "... C", offsetof(desc, d_sum), gradient.d_sum, 0, 0, VKA__READ,     \
                                         VKA_BIND_NORM_D_SUM, VKA__BOX),                                               \
    [VKA__NORM_D_X] = VKA__NORM_D_ROWS("d_x", "... C", offsetof(desc, d_x), gradient.d_x, VKA__NORM_D_IN_PLACE, 0,     \
                                       VKA__WRITE, VKA_BIND_NORM_D_X, VKA__BOX),                                       \
    [VKA__NORM_D_WEIGHT] = VKA__NORM_D_PARAMETER("d_weight", offsetof(desc, d_weight), VKA_BIND_D_WEIGHT)

/* What differs between the operations. */
typedef struct vka__norm_backward_kind {
    bool groups, rms, zero_centred, accumulate;
} vka__norm_backward_kind;

/* How a call is done. */
typedef struct vka__norm_backward_state {
    vka__norm_backward_kind kind;
    bool empty;                                             /* there are no rows                                  */
    bool statistics, sums, d_x, runs;                       /* which steps; positions are summed along their runs */
    uint32_t statistics_key, sums_key, reduce_key, d_x_key; /* pipelines                                          */
    uint32_t statistics_rows, d_x_rows;                     /* that a workgroup does                               */
    uint32_t boxes, box_chunks;                             /* dispatches of a step on rows; chunks of the largest */
    uint32_t slots;                                         /* boxes that have partial sums of their own */
    uint64_t partials, partials_bytes;                      /* in the workspace                                    */
} vka__norm_backward_state;

/* x: rows fit 32 bits, something is computed, statistics are whole. */
vka_status vka__norm_backward_check(vka__call *call, const char *inverse);
bool vka__norm_backward_plan(vka__call *call, const vka__norm_backward_kind *kind);
void vka__norm_backward_dispatch(const vka__call *call, uint64_t index, vka__dispatch *out);
void vka__norm_backward_explain(const vka__call *call, vka__text *text);

/* ---- columns.c: gradients of weights and biases ------------------------------------------------------------------ */

/* Adds the pipelines. Of groups the views are those that were not split yet. */
void vka__norm_columns_add_keys(vka__call *call, const vka__view *x, const vka__view *d_out);
/* Behind the cut of rows: chunks, and the workspace from `bytes` on. */
bool vka__norm_columns_plan(vka__call *call, uint64_t bytes);
void vka__norm_columns_sums(const vka__call *call, uint64_t index, vka__dispatch *out);
void vka__norm_columns_reduce(const vka__call *call, vka__dispatch *out);

#endif
