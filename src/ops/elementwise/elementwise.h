/* Operations on elements: what vka_map and its like share.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ELEMENTWISE_H
#define VKA_ELEMENTWISE_H

#include <vkattn/elementwise.h>

#include "op/op.h"
#include "params/activation.h"
#include "params/elementwise.h"

/* Must tensor `arg` have, of every dimension, the size of tensor `out` or 1? */
vka_status vka__check_broadcast(const vka__call *call, uint32_t arg, uint32_t out);
/* Refuses tensors other than `out` of which a dimension is neither 1 nor out's, and too many rows. */
vka_status vka__elementwise_check(const vka__call *call, uint32_t out);

/* Refuses an alpha, by number `alpha`, of an activation that has none. */
vka_status vka__check_alpha(const vka__call *call, uint32_t alpha, uint32_t activation);

/* The first pipeline: invocations that each have some of `items` of a row, with the types and flags given, and with
 * vector flags of those that are there. Fills in cols and units, and plans the rows of `out`. */
bool vka__elementwise_plan(vka__call *call, vka__kernel kernel, uint32_t out, uint32_t items, uint32_t flags);
/* An activation as a flag. */
static inline uint32_t vka__activation_flag(vka_activation activation) {
    return (uint32_t)activation << VKA_ACT_SHIFT;
}
void vka__elementwise_explain(const vka__call *call, vka__text *text);

/* Invocations of a workgroup, and those that share a row of so many items. */
uint32_t vka__elementwise_group(const vka_device_caps *caps);
uint32_t vka__elementwise_units(const vka_device_caps *caps, uint32_t items);

/* The same as a step of an operation of several, whose tensors may lie in the workspace: by their bindings. */
typedef struct vka__element_step {
    const char *field; /* that a refusal names                                             */
    vka__view view[VKA_BIND_RESULT + 1];
    vka__rows rows;
    uint32_t key; /* which of the call's */
    uint64_t dispatches;
} vka__element_step;
/* Adds the key and fills in the parameters, but for what the operation computes with. */
bool vka__element_step_plan(vka__call *call, vka__kernel kernel, uint32_t flags, vka_elementwise_params *params,
                            vka__element_step *step);
void vka__element_step_dispatch(const vka_device_caps *caps, const vka__element_step *step, uint64_t index,
                                vka__dispatch *out);

/* Tensors of operations on two inputs. */
#define VKA__FIRST(desc, field)                                                                                        \
    {                                                                                                                  \
#        field, NULL, offsetof(desc, field), offsetof(vka_elementwise_params, first), VKA__FLOATS,                     \
            .flags = VKA__REQUIRED, .access = VKA__READ, .binding = VKA_BIND_FIRST                                     \
    }
#define VKA__SECOND(desc, field)                                                                                       \
    {                                                                                                                  \
#        field, NULL, offsetof(desc, field), offsetof(vka_elementwise_params, second), VKA__FLOATS,                    \
            .flags = VKA__REQUIRED, .access = VKA__READ, .binding = VKA_BIND_SECOND                                    \
    }
#define VKA__RESULT(desc, in_place)                                                                                    \
    {                                                                                                                  \
        "out", "... C", offsetof(desc, out), offsetof(vka_elementwise_params, out_), VKA__FLOATS, in_place,            \
            .flags = VKA__REQUIRED, .access = VKA__WRITE, .binding = VKA_BIND_RESULT                                   \
    }

/* Numbers that any operation with an activation has. */
#define VKA__ACTIVATION_NUMBER(desc)                                                                                   \
    {                                                                                                                  \
        "activation", offsetof(desc, activation), VKA__NUMBER_ENUM, false, 0, VKA_ACTIVATION_SIGMOID, 0,               \
            "vka_activation"                                                                                           \
    }

#endif
