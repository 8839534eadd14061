/* vka_hadamard.
 * SPDX-License-Identifier: MIT */
#include <vkattn/hadamard.h>

#include <math.h>

#include "op/op.h"
#include "params/hadamard.h"

enum { X, OUT, ARGS };
enum { BLOCK, NUMBERS };

#define BIT(arg)    (1u << (arg))
#define DESC(field) offsetof(vka_hadamard_desc, field)
#define MOST_BLOCK  1024

static const vka__arg args[ARGS] = {
    [X] = {"x", "... C", DESC(x), offsetof(vka_hadamard_params, x), VKA__FLOATS, .flags = VKA__REQUIRED,
           .access = VKA__READ, .binding = VKA_BIND_X},
    [OUT] = {"out", "... C", DESC(out), offsetof(vka_hadamard_params, out_), VKA__FLOATS, BIT(X),
             .flags = VKA__REQUIRED, .access = VKA__WRITE, .binding = VKA_BIND_HADAMARD},
};
static const vka__number numbers[NUMBERS] = {
    [BLOCK] = {"block", DESC(block), VKA__NUMBER_U32, true, 2, MOST_BLOCK, 0, NULL},
};
static const vka__limit limits[] = {{'C', 2, 1u << 24}, {0}};

static uint32_t block_of(const vka__call *c) {
    uint32_t asked = VKA__DESC(c, vka_hadamard_desc)->block, cols = vka__call_letter(c, 'C');
    uint32_t largest = cols & (~cols + 1);
    return asked ? asked : vka__min_u32(largest, MOST_BLOCK);
}

static vka_status check(vka__call *c) {
    uint32_t cols = vka__call_letter(c, 'C'), block = block_of(c);
    if (cols % 2)
        return vka__call_fail(c, VKA_INVALID, "x", "the last dimension is %u, but must be even", cols);
    if (block & (block - 1))
        return vka__call_fail(c, VKA_INVALID, "block", "is %u, but must be a power of two", block);
    if (cols % block)
        return vka__call_fail(c, VKA_INVALID, "block", "is %u, which does not divide the %u columns of x", block, cols);
    return vka__call_check_rows(c, X, c->view[X].shape);
}

/* Invocations that share a unit of so many vectors: on software drivers, whose barriers are dear, as few as registers
 * allow; elsewhere one a vector, of long blocks each has several. */
static uint32_t team_of(const vka_device_caps *caps, uint32_t vectors) {
    uint32_t most = vka__min_u32(64, caps->max_invocations), team = 1;
    uint32_t wanted = caps->type == VKA_DEVICE_CPU ? vectors / 32 : vectors;
    while (team * 2 <= vka__min_u32(wanted, most))
        team *= 2;
    return team;
}

static bool plan(vka__call *c) {
    uint32_t cols = vka__call_letter(c, 'C'), block = block_of(c), vectors = vka__div_up(block, 4);
    uint32_t team = team_of(c->caps, vectors), group = c->caps->type == VKA_DEVICE_CPU ? 8 : 64;
    group = vka__max_u32(vka__min_u32(group, c->caps->max_invocations) / team, 1);
    vka__pipeline_key *key = vka__call_add_key(c, VKA__hadamard, group * team);
    key->spec[VKA_SPEC_D] = block;
    key->spec[VKA_SPEC_TC] = team;
    key->spec[VKA_SPEC_FLAGS] = vka__call_vec4(c, BIT(X) | BIT(OUT)) ? VKA_FLAG_VEC4 : 0;
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, OUT, VKA_ROLE_OUT);
    vka_hadamard_params *params = VKA__PARAMS(c, vka_hadamard_params);
    params->cols = cols;
    params->units = vka__div_up(cols, 4 * vectors);
    params->scale = (float)(1 / sqrt(block));
    return vka__rows_plan(c, X, params->units, group);
}

static void explain(const vka__call *c, vka__text *text) {
    const uint32_t *spec = c->key[0].spec;
    vka__say(text, "block: %u\nworkgroup: %u\nteam: %u\nvector_loads: %s\n", spec[VKA_SPEC_D],
             spec[VKA_SPEC_GROUP_SIZE], spec[VKA_SPEC_TC], vka__yes(spec[VKA_SPEC_FLAGS] & VKA_FLAG_VEC4));
}

VKA__OPERATION(hadamard, .params_size = sizeof(vka_hadamard_params), .limits = limits, .check = check, .plan = plan,
               .explain = explain);
