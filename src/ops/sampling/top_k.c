/* vka_top_k.
 * SPDX-License-Identifier: MIT */
#include <vkattn/sampling.h>

#include "ops/sampling/sampling.h"
#include "params/top_k.h"

enum { X, VALUES, INDICES, ARGS, NUMBERS = 0 };

#define DESC(field)    offsetof(vka_top_k_desc, field)
#define STRIDES(field) offsetof(vka_top_k_params, field)

static const vka__arg args[ARGS] = {
    [X] = {"x", "... C", DESC(x), STRIDES(x), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
           .binding = VKA_BIND_X},
    [VALUES] = {"values", "... K", DESC(values), STRIDES(values), VKA__FLOATS, .access = VKA__WRITE,
                .binding = VKA_BIND_TOP_VALUES},
    [INDICES] = {"indices", "... K", DESC(indices), STRIDES(indices), VKA__TYPE(VKA_I32), .access = VKA__WRITE,
                 .binding = VKA_BIND_TOP_INDICES},
};
static const vka__limit limits[] = {{'C', 1, 1u << 24}, {'K', 1, VKA_TOP_MOST}, {0}};
static const vka__number numbers[1];

static vka_status check(vka__call *c) {
    uint32_t output = vka__call_has(c, VALUES) ? VALUES : INDICES;
    if (!vka__call_has(c, output))
        return vka__call_fail(c, VKA_INVALID, "values", "is absent, and so is indices: there is no result");
    if (vka__call_letter(c, 'K') > vka__call_letter(c, 'C'))
        return vka__call_fail(c, VKA_INVALID, args[output].name, "has %u of a row, but x has only %u columns",
                              vka__call_letter(c, 'K'), vka__call_letter(c, 'C'));
    return vka__call_check_rows(c, X, c->view[X].shape);
}

static bool plan(vka__call *c) {
    uint32_t cols = vka__call_letter(c, 'C');
    uint32_t *spec = vka__call_add_key(c, VKA__top_k, vka__selection_group(c->caps, cols))->spec;
    spec[VKA_SPEC_FLAGS] = (vka__call_has(c, VALUES) ? VKA_FLAG_TOP_VALUES : 0) |
                           (vka__call_has(c, INDICES) ? VKA_FLAG_TOP_INDICES : 0) |
                           (vka__call_vec4(c, 1u << X) ? VKA_FLAG_VEC4 : 0);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, VALUES, VKA_ROLE_OUT);
    vka_top_k_params *params = VKA__PARAMS(c, vka_top_k_params);
    params->cols = cols;
    params->count = vka__call_letter(c, 'K');
    return vka__rows_plan(c, X, 1, 1);
}

static void explain(const vka__call *c, vka__text *text) {
    vka__say(text, "k: %u\nvector_loads: %s\n", vka__call_letter(c, 'K'),
             vka__yes(c->key[0].spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4));
}

VKA__OPERATION(top_k, .params_size = sizeof(vka_top_k_params), .limits = limits, .check = check, .plan = plan,
               .explain = explain);
