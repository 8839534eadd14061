/* vka_softmax.
 * SPDX-License-Identifier: MIT */
#include "ops/softmax/softmax.h"

enum { X, OUT, LENGTHS, ARGS };
enum { SCALE, PATH, NUMBERS };

#define BIT(arg)    (1u << (arg))
#define DESC(field) offsetof(vka_softmax_desc, field)

/* L: the first dimension of x, if it is not the last. */
static const vka__arg args[ARGS] = {
    [X] = {"x", "... C", DESC(x), offsetof(vka_softmax_params, x), VKA__FLOATS, .flags = VKA__REQUIRED,
           .access = VKA__READ, .binding = VKA_BIND_X},
    [OUT] = {"out", "... C", DESC(out), offsetof(vka_softmax_params, out_), VKA__FLOATS, BIT(X), .flags = VKA__REQUIRED,
             .access = VKA__WRITE, .binding = VKA_BIND_SOFTMAX},
    [LENGTHS] = {"lengths", "L", DESC(lengths), VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__LIST, .access = VKA__READ,
                 .binding = VKA_BIND_ROW_LENGTHS, .extent = VKA__ALL},
};
static const vka__number numbers[NUMBERS] = {
    [SCALE] = {"scale", DESC(scale), VKA__NUMBER_F32, true, 1e-37, 1e37, 1, NULL},
    [PATH] = {"path", DESC(path), VKA__NUMBER_ENUM, false, 0, VKA_SOFTMAX_PATH_GROUP, 0, "vka_softmax_path"},
};
static const vka__limit limits[] = {{'C', 1, 1u << 24}, {0}};

static vka_status sizes(vka__call *c) {
    vka__softmax_bind_lengths(c, X);
    return VKA_OK;
}

static vka_status check(vka__call *c) {
    return vka__softmax_check(c, X, LENGTHS);
}

static bool plan(vka__call *c) {
    static const vka__row_kernels kernels = {.lane = VKA__softmax_lane,
                                             .group = VKA__softmax_group,
                                             .group_subgroup = VKA__softmax_group_sg,
                                             .group_subgroup_int64 = VKA__softmax_group_sg_int64,
                                             .subgroup_rows = 4,
                                             .long_rows = UINT32_MAX};
    uint32_t cols = vka__call_letter(c, 'C');
    bool vec4 = vka__call_vec4(c, BIT(X) | BIT(OUT));
    vka__row_problem problem = {.path = PATH,
                                .rows = vka__volume(c->view[X].shape),
                                .cols = cols,
                                .most = cols > 32768 ? 512 : 256,
                                .vec4 = vec4};
    uint32_t rows = vka__rows_add_key(c, &kernels, &problem);
    uint32_t *spec = c->key[0].spec;
    if (!vec4 && spec[VKA_SPEC_COLS] > 4)
        spec[VKA_SPEC_COLS] = 0; /* loads of single elements need registers, too: Adreno would spill */
    spec[VKA_SPEC_FLAGS] = (VKA__DESC(c, vka_softmax_desc)->log ? VKA_FLAG_LOG : 0) |
                           (vka__call_has(c, LENGTHS) || c->source[LENGTHS].values ? VKA_FLAG_LENGTHS : 0) |
                           (vec4 ? VKA_FLAG_VEC4 : 0);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, OUT, VKA_ROLE_OUT);
    vka_softmax_params *params = VKA__PARAMS(c, vka_softmax_params);
    params->lengths = vka__softmax_length_strides(c, X, LENGTHS);
    params->cols = cols;
    params->log_scale = (float)(2 * c->number[SCALE]);
    params->exp_scale = (float)(2 * c->number[SCALE] * 1.4426950408889634); /* log2(e) */
    return vka__rows_plan(c, X, 1, rows);
}

static void explain(const vka__call *c, vka__text *text) {
    vka__rows_explain(c, PATH, 4, text);
    vka__say(text, "cols: %u\n", vka__call_letter(c, 'C'));
}

VKA__OPERATION(softmax, .params_size = sizeof(vka_softmax_params), .limits = limits, .sizes = sizes, .check = check,
               .plan = plan, .explain = explain);
