/* vka_rope.
 * SPDX-License-Identifier: MIT */
#include "ops/rope/options.h"

enum { X, OUT, POSITIONS, ROW_POSITIONS, COS, SIN, ARGS };
enum { THETA, FREQUENCY_SCALE, NUMBERS };

#define DESC(field)    offsetof(vka_rope_desc, field)
#define STRIDES(field) offsetof(vka_rotate_params, field)

static const vka__arg args[ARGS] = {
    [X] = {"x", "B H N D", DESC(x), STRIDES(x), VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
           .binding = VKA_BIND_X},
    [OUT] = {"out", "B H N D", DESC(out), STRIDES(out_), VKA__FLOATS, 1u << X, .flags = VKA__REQUIRED,
             .access = VKA__WRITE, .binding = VKA_BIND_ROTATED},
    [POSITIONS] = {"positions", "B", DESC(positions), VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__LIST,
                   .access = VKA__READ, .binding = VKA_BIND_POSITIONS, .extent = VKA__ALL},
    [ROW_POSITIONS] = {"row_positions", "1|B N", DESC(row_positions), VKA__NONE, VKA__TYPE(VKA_I32),
                       .access = VKA__READ, .binding = VKA_BIND_POSITIONS, .extent = VKA__ALL},
    [COS] = {"options.cos", NULL, DESC(options.cos), VKA__NONE, VKA__FLOATS, .access = VKA__READ,
             .binding = VKA_BIND_COS, .extent = VKA__ALL},
    [SIN] = {"options.sin", NULL, DESC(options.sin), VKA__NONE, VKA__FLOATS, .access = VKA__READ,
             .binding = VKA_BIND_SIN, .extent = VKA__ALL},
};

static const vka__limit limits[] = {{'D', 1, 1024}, {0}};

static const vka__number numbers[NUMBERS] = {
    [THETA] = VKA__ROPE_THETA("options.theta", DESC(options.theta)),
    [FREQUENCY_SCALE] = VKA__ROPE_FREQUENCY_SCALE("options.frequency_scale", DESC(options.frequency_scale)),
};

/* Positions that the host knows must be such; those of the device are clamped. */
static vka_status check_reach(const vka__call *c, const vka__rope *rope) {
    const int32_t *first = c->source[POSITIONS].values;
    const uint32_t *shape = c->view[X].shape;
    if (shape[2] > INT32_MAX)
        return vka__call_fail(c, VKA_UNSUPPORTED, "x", "shape[2] is %u, but at most %d", shape[2], INT32_MAX);
    if (vka__call_has(c, ROW_POSITIONS) || (vka__call_has(c, POSITIONS) && !first))
        return VKA_OK;
    vka_status status = first ? VKA_OK : vka__rope_check_reach(c, "options.position_offset", rope, 0, shape[2]);
    for (uint32_t b = 0; first && b < shape[0] && status == VKA_OK; ++b)
        status = vka__rope_check_reach(c, "positions", rope, first[b], shape[2]);
    return status;
}

static vka_status check(vka__call *c) {
    vka__rope *rope = VKA__STATE(c, vka__rope);
    const uint32_t *shape = c->view[X].shape;
    const vka__rotated rotated = {shape[0], shape[2], shape[3], "options", COS, SIN, THETA, FREQUENCY_SCALE};
    if (vka__call_has(c, POSITIONS) && vka__call_has(c, ROW_POSITIONS))
        return vka__call_fail(c, VKA_INVALID, "row_positions", "there are positions as well");
    vka_status status = vka__call_check_rows(c, X, shape);
    if (status == VKA_OK)
        status = vka__rope_check(c, &VKA__DESC(c, vka_rope_desc)->options, &rotated, rope);
    return status == VKA_OK ? check_reach(c, rope) : status;
}

/* Are a unit's two vectors of four channels whole and aligned, in x and out? */
static bool is_vec4(const vka__call *c, const vka__rope *rope) {
    bool whole = rope->interleaved ? rope->pairs % 2 == 0 : rope->pairs % 4 == 0;
    return whole && vka__call_vec4(c, 1u << X | 1u << OUT);
}

static bool plan(vka__call *c) {
    const vka__rope *rope = VKA__STATE(c, vka__rope);
    const vka__view *list = &c->view[POSITIONS], *rows = &c->view[ROW_POSITIONS];
    vka_rotate_params *params = VKA__PARAMS(c, vka_rotate_params);
    uint32_t group = vka__min_u32(c->caps->type == VKA_DEVICE_CPU ? 8 : 64, c->caps->max_invocations);
    vka__pipeline_key *key = vka__call_add_key(c, VKA__rope, group);
    key->spec[VKA_SPEC_FLAGS] = vka__rope_flags(rope) | (list->present || rows->present ? VKA_FLAG_POSITIONS : 0) |
                                (is_vec4(c, rope) ? VKA_FLAG_ROPE_VEC4 : 0);
    key->spec[VKA_SPEC_TYPES] = vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, OUT, VKA_ROLE_CACHE) |
                                vka__call_type(c, COS, VKA_ROLE_TABLE);
    vka__rope_fill(c, rope, &params->rope);
    params->cols = c->view[X].shape[3];
    params->units =
        vka__div_up(rope->pairs, VKA_ROPE_UNIT / 2) + vka__div_up(params->cols - 2 * rope->pairs, VKA_ROPE_UNIT);
    params->position_b = (uint32_t)(list->present ? list->stride[3] : rows->stride[2]);
    params->position_n = (uint32_t)rows->stride[3];
    return vka__rows_plan(c, X, params->units, group);
}

static void explain(const vka__call *c, vka__text *text) {
    vka__say(text, "angles: %s\nvector_loads: %s\n", vka__call_has(c, COS) ? "tables" : "theta",
             vka__yes(c->key[0].spec[VKA_SPEC_FLAGS] & VKA_FLAG_ROPE_VEC4));
}

VKA__OPERATION(rope, .params_size = sizeof(vka_rotate_params), .state_size = sizeof(vka__rope), .limits = limits,
               .check = check, .plan = plan, .explain = explain);
