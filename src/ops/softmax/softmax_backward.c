/* vka_softmax_backward.
 * SPDX-License-Identifier: MIT */
#include "ops/softmax/softmax.h"

enum { OUT, D_OUT, D_X, LENGTHS, ARGS };
enum { SCALE, PATH, NUMBERS };

#define BIT(arg)    (1u << (arg))
#define DESC(field) offsetof(vka_softmax_backward_desc, field)
#define ROWS(name, desc, param, in_place, access_, binding_)                                                           \
    {                                                                                                                  \
        name, "... C", DESC(desc), offsetof(vka_softmax_backward_params, param), VKA__FLOATS, in_place,                \
            .flags = VKA__REQUIRED, .access = access_, .binding = binding_                                             \
    }

/* L: the first dimension of out, if it is not the last. */
static const vka__arg args[ARGS] = {
    [OUT] = ROWS("out", out, y, 0, VKA__READ, VKA_BIND_X),
    [D_OUT] = ROWS("d_out", d_out, g, 0, VKA__READ, VKA_BIND_SOFTMAX_D_OUT),
    [D_X] = ROWS("d_x", d_x, dx, BIT(OUT) | BIT(D_OUT), VKA__WRITE, VKA_BIND_SOFTMAX),
    [LENGTHS] = {"lengths", "L", DESC(lengths), VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__LIST, .access = VKA__READ,
                 .binding = VKA_BIND_ROW_LENGTHS, .extent = VKA__ALL},
};
static const vka__number numbers[NUMBERS] = {
    [SCALE] = {"scale", DESC(scale), VKA__NUMBER_F32, true, 1e-37, 1e37, 1, NULL},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_SOFTMAX_PATH_GROUP, 0, "vka_softmax_path"},
};
static const vka__limit limits[] = {{'C', 1, 1u << 24}, {0}};

static vka_status sizes(vka__call *c) {
    vka__softmax_bind_lengths(c, OUT);
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    return vka__softmax_check(c, OUT, LENGTHS);
}

static bool plan(vka__call *c) {
    static const vka__row_kernels kernels = {VKA__softmax_backward_lane, VKA__softmax_backward_group,
                                             VKA__softmax_backward_group_sg, 4, UINT32_MAX};
    uint32_t cols = vka__call_letter(c, 'C');
    bool vec4 = vka__call_vec4(c, BIT(OUT) | BIT(D_OUT) | BIT(D_X));
    vka__row_problem problem = {.path = PATH,
                                .rows = vka__volume(c->view[OUT].shape),
                                .cols = cols,
                                .most = cols > 32768 ? 512 : 256,
                                .vec4 = vec4};
    uint32_t rows = vka__rows_add_key(c, &kernels, &problem);
    uint32_t *spec = c->key[0].spec;
    if (!vec4 && spec[VKA_SPEC_COLS] > 2)
        spec[VKA_SPEC_COLS] = 0; /* loads of single elements need registers, too */
    spec[VKA_SPEC_FLAGS] = (VKA__DESC(c, vka_softmax_backward_desc)->log ? VKA_FLAG_LOG : 0) |
                           (vka__call_has(c, LENGTHS) ? VKA_FLAG_LENGTHS : 0) | (vec4 ? VKA_FLAG_VEC4 : 0);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, OUT, VKA_ROLE_X) | vka__call_type(c, D_OUT, VKA_ROLE_D_OUT) |
                           vka__call_type(c, D_X, VKA_ROLE_OUT);
    vka_softmax_backward_params *params = VKA__PARAMS(c, vka_softmax_backward_params);
    params->lengths = vka__softmax_length_strides(c, OUT, LENGTHS);
    params->cols = cols;
    params->scale = (float)c->number[SCALE];
    return vka__rows_plan(c, OUT, 1, rows);
}

static void explain(const vka__call *c, vka__text *text) {
    vka__rows_explain(c, PATH, 4, text);
    vka__say(text, "cols: %u\n", vka__call_letter(c, 'C'));
}

VKA__OPERATION(softmax_backward, .params_size = sizeof(vka_softmax_backward_params), .limits = limits, .sizes = sizes,
               .check = check, .plan = plan, .explain = explain);
