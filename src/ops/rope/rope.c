/* vka_rope: a kernel for floats, and one that rotates quantised caches in place.
 * SPDX-License-Identifier: MIT */
#include "ops/rope/options.h"

enum { X, OUT, SCALE, POSITIONS, ROW_POSITIONS, COS, SIN, ARGS };
enum { THETA, FREQUENCY_SCALE, NUMBERS };

#define DESC(field)    offsetof(vka_rope_desc, field)
#define STRIDES(field) offsetof(vka_rotate_params, field)

static const vka__arg args[ARGS] = {
    [X] = {"x", "B H N D", DESC(x), STRIDES(x), VKA__CACHES, .flags = VKA__REQUIRED, .access = VKA__READ,
           .binding = VKA_BIND_X},
    [OUT] = {"out", "B H N D", DESC(out), STRIDES(out_), VKA__CACHES, 1u << X, .flags = VKA__REQUIRED,
             .access = VKA__WRITE, .binding = VKA_BIND_ROTATED},
    [SCALE] = {"scale", "B H N", DESC(scale), STRIDES(scale), VKA__TYPE(VKA_F32), .flags = VKA__PER_ROW,
               .access = VKA__READ_WRITE, .binding = VKA_BIND_SCALE},
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

static bool is_quantised(const vka__call *c, uint32_t arg) {
    return vka__is_quantised(c->view[arg].dtype);
}

/* What has scales gets new ones where it stands. */
static vka_status check_quantised(const vka__call *c) {
    bool i8 = c->view[X].dtype == VKA_I8;
    if ((is_quantised(c, X) || is_quantised(c, OUT)) &&
        (vka__call_tensor(c, X)->buffer != vka__call_tensor(c, OUT)->buffer ||
         !vka__view_same(&c->view[X], &c->view[OUT])))
        return vka__call_fail(c, VKA_INVALID, "out", "of i8, q8_0 or q4_0 it must be the very same view as x");
    if (vka__call_has(c, SCALE) != i8)
        return vka__call_fail(c, VKA_INVALID, "scale",
                              i8 ? "is required with an i8 x" : "only i8 tensors have scales of their own");
    return VKA_OK;
}

/* Positions that the host knows must be such; those of the device are clamped. */
static vka_status check_reach(const vka__call *c, const vka__rope *rope) {
    const int32_t *first = c->source[POSITIONS].values;
    const uint32_t *shape = c->view[X].shape;
    uint32_t rows = VKA__DESC(c, vka_rope_desc)->shift ? vka__min_u32(shape[2], 1) : shape[2];
    if (shape[2] > INT32_MAX)
        return vka__call_fail(c, VKA_UNSUPPORTED, "x", "shape[2] is %u, but at most %d", shape[2], INT32_MAX);
    if (vka__call_has(c, ROW_POSITIONS) || (vka__call_has(c, POSITIONS) && !first))
        return VKA_OK;
    vka_status status = first ? VKA_OK : vka__rope_check_reach(c, "options.position_offset", rope, 0, rows);
    for (uint32_t b = 0; first && b < shape[0] && status == VKA_OK; ++b)
        status = vka__rope_check_reach(c, "positions", rope, first[b], rows);
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
        status = check_quantised(c);
    if (status == VKA_OK)
        status = vka__rope_check(c, &VKA__DESC(c, vka_rope_desc)->options, &rotated, rope);
    return status == VKA_OK ? check_reach(c, rope) : status;
}

/* Are a unit's two vectors of four channels whole and aligned, in x and out? */
static bool is_vec4(const vka__call *c, const vka__rope *rope) {
    bool whole = rope->interleaved ? rope->pairs % 2 == 0 : rope->pairs % 4 == 0;
    return whole && vka__call_vec4(c, 1u << X | 1u << OUT);
}

/* Floats: an invocation has a unit of a row. Returns how many units a workgroup has. */
static uint32_t choose_units(vka__call *c) {
    const vka__rope *rope = VKA__STATE(c, vka__rope);
    vka_rotate_params *params = VKA__PARAMS(c, vka_rotate_params);
    uint32_t group = vka__min_u32(c->caps->type == VKA_DEVICE_CPU ? 8 : 64, c->caps->max_invocations);
    vka__pipeline_key *key = vka__call_add_key(c, VKA__rope, group);
    key->spec[VKA_SPEC_FLAGS] = is_vec4(c, rope) ? VKA_FLAG_ROPE_VEC4 : 0;
    params->units =
        vka__div_up(rope->pairs, VKA_ROPE_UNIT / 2) + vka__div_up(params->cols - 2 * rope->pairs, VKA_ROPE_UNIT);
    return group;
}

/* Rows that are quantised: a team has one. Returns how many rows a workgroup has. */
static uint32_t choose_teams(vka__call *c) {
    const vka__rope *rope = VKA__STATE(c, vka__rope);
    vka_rotate_params *params = VKA__PARAMS(c, vka_rotate_params);
    uint32_t team, rows = vka__row_teams(c->caps, params->cols, &team);
    vka__pipeline_key *key = vka__call_add_key(c, VKA__rope_cache, rows * team);
    bool vec4 = vka__view_vec4(&c->view[X]);
    key->spec[VKA_SPEC_TC] = team;
    key->spec[VKA_SPEC_D] = params->cols;
    key->spec[VKA_SPEC_FLAGS] =
        (vec4 ? VKA_FLAG_X_VEC4 | VKA_FLAG_CACHE_VEC4 : 0) | (vec4 && rope->pairs % 4 == 0 ? VKA_FLAG_ROPE_VEC4 : 0);
    params->units = 1;
    return rows;
}

static bool plan(vka__call *c) {
    const vka__rope *rope = VKA__STATE(c, vka__rope);
    const vka__view *list = &c->view[POSITIONS], *rows = &c->view[ROW_POSITIONS];
    vka_rotate_params *params = VKA__PARAMS(c, vka_rotate_params);
    bool same = rows->present || VKA__DESC(c, vka_rope_desc)->shift;
    params->cols = c->view[X].shape[3];
    uint32_t group = is_quantised(c, X) ? choose_teams(c) : choose_units(c), *spec = c->key[0].spec;
    spec[VKA_SPEC_FLAGS] |= vka__rope_flags(rope) | (list->present || rows->present ? VKA_FLAG_POSITIONS : 0) |
                            (same ? VKA_FLAG_SAME_POSITION : 0) |
                            (VKA__DESC(c, vka_rope_desc)->inverse ? VKA_FLAG_INVERSE : 0);
    spec[VKA_SPEC_TYPES] = vka__call_type(c, X, VKA_ROLE_X) | vka__call_type(c, OUT, VKA_ROLE_CACHE) |
                           vka__call_type(c, COS, VKA_ROLE_TABLE);
    vka__rope_fill(c, rope, &params->rope);
    params->position_b = (uint32_t)(list->present ? list->stride[3] : rows->stride[2]);
    params->position_n = (uint32_t)rows->stride[3];
    return vka__rows_plan(c, X, params->units, group);
}

static void explain(const vka__call *c, vka__text *text) {
    const uint32_t *spec = c->key[0].spec;
    vka__say(text, "angles: %s\nvector_loads: %s\n", vka__call_has(c, COS) ? "tables" : "theta",
             vka__yes(spec[VKA_SPEC_FLAGS] & (VKA_FLAG_ROPE_VEC4 | VKA_FLAG_X_VEC4)));
    if (is_quantised(c, X))
        vka__say(text, "team: %u\n", spec[VKA_SPEC_TC]);
}

VKA__OPERATION(rope, .params_size = sizeof(vka_rotate_params), .state_size = sizeof(vka__rope), .limits = limits,
               .check = check, .plan = plan, .explain = explain);
