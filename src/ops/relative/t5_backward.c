/* vka_relative_bias_t5_backward.
 * SPDX-License-Identifier: MIT */
#include "ops/relative/relative.h"

enum { D_OUT, D_TABLE, EDGES, ARGS };
enum { MAX_DISTANCE, NUMBERS };

#define DESC(field) offsetof(vka_relative_bias_t5_backward_desc, field)

static const vka__arg args[ARGS] = {
    [D_OUT] = {"d_out", "H L", DESC(d_out), VKA__NONE, VKA__TYPE(VKA_F32), .flags = VKA__REQUIRED, .access = VKA__READ,
               .binding = VKA_BIND_BIASES, .extent = VKA__ALL},
    [D_TABLE] = {"d_table", "U H", DESC(d_table), VKA__NONE, VKA__FLOATS, .flags = VKA__REQUIRED,
                 .access = VKA__READ_WRITE, .binding = VKA_BIND_D_SUMS, .extent = VKA__ALL},
    [EDGES] = {"d_table", NULL, 0, VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__INTERNAL, .access = VKA__READ,
               .binding = VKA_BIND_EDGES, .extent = VKA__ALL},
};
static const vka__limit limits[] = {{'U', 2, VKA_MAX_T5_BUCKETS}, {0}};
static const vka__number numbers[NUMBERS] = {
    [MAX_DISTANCE] = {"max_distance", DESC(max_distance), VKA__NUMBER_U32, true, 1, VKA__MAX_DISTANCE, 128, NULL},
};

typedef struct state {
    vka__relative_grid grid;
    int32_t edges[VKA_MAX_T5_BUCKETS - 1];
} state;

static vka_status check(vka__call *c) {
    const vka_relative_bias_t5_backward_desc *d = VKA__DESC(c, vka_relative_bias_t5_backward_desc);
    return vka__t5_check(c, d->bidirectional, d->relative_zero, c->number[MAX_DISTANCE]);
}

static bool plan(vka__call *c) {
    const vka_relative_bias_t5_backward_desc *d = VKA__DESC(c, vka_relative_bias_t5_backward_desc);
    const vka__view *table = &c->view[D_TABLE];
    vka__t5_fill(c, d->bidirectional, d->relative_zero, c->number[MAX_DISTANCE], D_TABLE, D_OUT, EDGES,
                 VKA__STATE(c, state)->edges);
    if (!vka__relative_plan_sums(c, VKA__relative_bias_t5_backward, table->shape[2], table->shape[3], d->accumulate))
        return false;
    if (c->dispatches)
        c->key[0].spec[VKA_SPEC_TYPES] = vka__call_type(c, D_TABLE, VKA_ROLE_BIAS_TABLE);
    return true;
}

VKA__OPERATION(relative_bias_t5_backward, .params_size = sizeof(vka_relative_t5_params), .state_size = sizeof(state),
               .limits = limits, .check = check, .plan = plan, .dispatch = vka__relative_dispatch);
