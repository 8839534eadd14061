/* Norms over the last dimension: what vka_layer_norm and vka_rms_norm share.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_NORM_H
#define VKA_NORM_H

#include <vkattn/norm.h>

#include "op/op.h"
#include "params/norm.h"

/* Tensors and numbers of both; what one has alone comes behind them. */
enum {
    VKA__NORM_X,
    VKA__NORM_OUT,
    VKA__NORM_WEIGHT,
    VKA__NORM_RESIDUAL,
    VKA__NORM_SUM,
    VKA__NORM_INVERSE, /* of the standard deviation, or of the root mean square */
    VKA__NORM_ARGS,
};
enum { VKA__NORM_EPSILON, VKA__NORM_PATH, VKA__NORM_NUMBERS };

/* A tensor with rows, a parameter of [C], a statistic of each row. */
#define VKA__NORM_ROWS(name, desc, param, in_place, flags_, access_, binding_)                                         \
    {                                                                                                                  \
        name, "... C", desc, offsetof(vka_norm_params, param), VKA__FLOATS, in_place,                                  \
            .like = 1 + VKA__NORM_X, .flags = flags_, .access = access_, .binding = binding_                           \
    }
#define VKA__NORM_PARAMETER(name, desc, binding_)                                                                      \
    {                                                                                                                  \
        name, "C", desc, VKA__NONE, VKA__FLOATS, .like = 1 + VKA__NORM_X, .or_types = VKA__TYPE(VKA_F32),              \
                                                 .access = VKA__READ, .binding = binding_, .extent = VKA__ALL          \
    }
#define VKA__NORM_STATISTIC(name, desc, param, binding_)                                                               \
    {                                                                                                                  \
        name, "...", desc, offsetof(vka_norm_params, param), VKA__TYPE(VKA_F32),                                       \
            .flags = VKA__PER_ROW, .access = VKA__WRITE, .binding = binding_                                           \
    }

/* The tensors of both. The sum is read again by later passes. */
#define VKA__NORM_COMMON_ARGS(desc, inverse)                                                                           \
    [VKA__NORM_X] = VKA__NORM_ROWS("x", offsetof(desc, x), x, 0, VKA__REQUIRED, VKA__READ, VKA_BIND_X),                \
    [VKA__NORM_OUT] = VKA__NORM_ROWS("out", offsetof(desc, out), out_,                                                 \
                                     1u << VKA__NORM_X | 1u << VKA__NORM_RESIDUAL | 1u << VKA__NORM_SUM,               \
                                     VKA__REQUIRED, VKA__WRITE, VKA_BIND_NORM_OUT),                                    \
    [VKA__NORM_WEIGHT] = VKA__NORM_PARAMETER("weight", offsetof(desc, weight), VKA_BIND_WEIGHT),                       \
    [VKA__NORM_RESIDUAL] =                                                                                             \
        VKA__NORM_ROWS("residual", offsetof(desc, residual), residual, 0, 0, VKA__READ, VKA_BIND_RESIDUAL),            \
    [VKA__NORM_SUM] = VKA__NORM_ROWS("sum", offsetof(desc, sum), sum, 1u << VKA__NORM_X | 1u << VKA__NORM_RESIDUAL, 0, \
                                     VKA__READ_WRITE, VKA_BIND_SUM),                                                   \
    [VKA__NORM_INVERSE] = VKA__NORM_STATISTIC(#inverse, offsetof(desc, inverse), inv_std, VKA_BIND_STATS_INV)

/* Squares that are subnormal, and 0 on many devices, are nothing beside the least epsilon. */
#define VKA__NORM_COMMON_NUMBERS(desc)                                                                                 \
    [VKA__NORM_EPSILON] = {"epsilon", offsetof(desc, epsilon), VKA__NUMBER_F32, true, 1e-30, VKA__FINITE, 1e-5, NULL}, \
    [VKA__NORM_PATH] = {"path", offsetof(desc, path), VKA__NUMBER_ENUM, false, 0, VKA_NORM_PATH_GROUP,                 \
                        0,      "vka_norm_path"}

#define VKA__NORM_LIMITS                                                                                               \
    {                                                                                                                  \
        {'C', 1, 65536}, {                                                                                             \
            0                                                                                                          \
        }                                                                                                              \
    }

extern const vka__row_kernels vka__norm_kernels, vka__group_norm_kernels;

/* ---- groups.c: a group is a row of several runs; the tensor that is normalised is VKA__NORM_X ----------------------
 */

#define VKA__GROUPS_LIMITS                                                                                             \
    {                                                                                                                  \
        {'C', 1, UINT32_MAX}, {'P', 1, UINT32_MAX}, {                                                                  \
            0                                                                                                          \
        }                                                                                                              \
    }
/* Binds G; what tables can't say of [B, C, P] in G groups. */
vka_status vka__groups_sizes(vka__call *call, uint32_t groups);
vka_status vka__groups_check(vka__call *call);
/* Do channels lie closer together than positions? */
bool vka__groups_channels_last(const vka__view *x);
/* [B, C, P] as [B, G, runs, run]; [B, G] as [B, G, 1, 1]. */
void vka__groups_split(vka__view *view, uint32_t groups, bool last);
void vka__groups_split_statistic(vka__view *view);
/* As vka__rows_add_key. */
uint32_t vka__groups_add_key(vka__call *call, const vka__row_kernels *kernels, uint32_t path);
/* As vka__rows_plan: cuts all tensors that have strides among the parameters into boxes of groups. */
bool vka__groups_plan(vka__call *call, uint32_t group_rows);
/* All but biases. */
void vka__groups_fill(const vka__call *call, uint32_t weight, uint32_t channels, vka_norm_params *params);
void vka__groups_bind(const vka__call *call, uint32_t arg, const uint32_t begin[3], const uint32_t size[3],
                      vka__dispatch *out);

/* ---- norm.c ------------------------------------------------------------------------------------------------------ */

vka_status vka__norm_check(vka__call *call);
/* `bias`: the argument, or VKA__NORM_WEIGHT where there is none; `flags`: VKA_FLAG_* of what is particular. */
bool vka__norm_plan(vka__call *call, uint32_t bias, uint32_t flags);
void vka__norm_explain(const vka__call *call, vka__text *text);

#endif
