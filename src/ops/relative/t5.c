/* vka_relative_bias_t5.
 * SPDX-License-Identifier: MIT */
#include "ops/relative/relative.h"

#include <math.h>

enum { TABLE = VKA__RELATIVE_IN, OUT, EDGES, ARGS };
enum { MAX_DISTANCE, NUMBERS };

#define DESC(field) offsetof(vka_relative_bias_t5_desc, field)

static const vka__arg args[ARGS] = {
    [TABLE] = {"table", "U H", DESC(table), VKA__NONE, VKA__FLOATS, .flags = VKA__REQUIRED, .access = VKA__READ,
               .binding = VKA_BIND_BIAS_TABLE, .extent = VKA__ALL},
    [OUT] = {"out", "H L", DESC(out), VKA__NONE, VKA__TYPE(VKA_F32), .flags = VKA__REQUIRED, .access = VKA__WRITE,
             .binding = VKA_BIND_BIASES, .extent = VKA__ALL},
    [EDGES] = {"table", NULL, 0, VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__INTERNAL, .access = VKA__READ,
               .binding = VKA_BIND_EDGES, .extent = VKA__ALL},
};

static const vka__limit limits[] = {{'U', 2, VKA_MAX_T5_BUCKETS}, {0}};

static const vka__number numbers[NUMBERS] = {
    [MAX_DISTANCE] = {"max_distance", DESC(max_distance), VKA__NUMBER_U32, true, 1, VKA__MAX_DISTANCE, 128, NULL},
};

typedef struct state {
    vka__relative_grid grid;
    int32_t edges[VKA_MAX_T5_BUCKETS - 1]; /* where buckets 1, 2, .. of one direction begin */
} state;

/* ---- buckets --------------------------------------------------------------------------------------------------- */

static uint32_t of_one_direction(uint32_t buckets, bool bidirectional) {
    return bidirectional ? buckets / 2 : buckets;
}

uint32_t vka__t5_exact(uint32_t buckets, bool bidirectional) {
    return of_one_direction(buckets, bidirectional) / 2;
}

/* The bucket of a distance of at least `exact`, but for the cap at the last bucket: exact + log(distance / exact) /
 * log(max_distance / exact) * (buckets - exact), cut off, where the reference computes in float32 what depends on the
 * distance, and rounds the rest from float64. Where the true value is a whole number those roundings decide, so they
 * are made as there. Libraries' logf differ in the last digit; log in float64 rounds to the nearest float32. */
static double raw_bucket(uint32_t distance, uint32_t exact, uint32_t buckets, uint32_t max_distance) {
    float ratio = (float)distance / (float)exact, range = (float)log((double)max_distance / exact);
    float share = (float)log((double)ratio) / range;
    return exact + floor((double)(share * (float)(buckets - exact)));
}

/* Buckets never fall as the distance grows, as every step of the above is monotonic. */
uint32_t vka__t5_edges(uint32_t buckets, bool bidirectional, uint32_t max_distance, int32_t *edges) {
    uint32_t count = of_one_direction(buckets, bidirectional), exact = count / 2;
    for (uint32_t bucket = 1; bucket < count; ++bucket) {
        uint32_t below = exact, edge = max_distance; /* from max_distance on it is the last bucket */
        while (bucket > exact && edge - below > 1) {
            uint32_t middle = below + (edge - below) / 2;
            if (raw_bucket(middle, exact, count, max_distance) < bucket)
                below = middle;
            else
                edge = middle;
        }
        edges[bucket - 1] = (int32_t)(bucket > exact ? edge : bucket);
    }
    return count - 1;
}

/* ---- operation ------------------------------------------------------------------------------------------------- */

vka_status vka__t5_check(const vka__call *c, bool bidirectional, uint32_t zero, double max_distance) {
    uint32_t buckets = vka__call_letter(c, 'U');
    const char *table = c->op->args[0].shape[0] == 'U' ? c->op->args[0].name : c->op->args[1].name;
    if (bidirectional && buckets < 4)
        return vka__call_fail(c, VKA_INVALID, table, "shape[0] is %u, but bidirectional buckets are at least 4",
                              buckets);
    uint32_t exact = vka__t5_exact(buckets, bidirectional);
    if (max_distance <= exact)
        return vka__call_fail(c, VKA_INVALID, "max_distance", "is %.0f, but must be above %u and at most %d",
                              max_distance, exact, VKA__MAX_DISTANCE);
    return vka__relative_check_zero(c, zero);
}

void vka__t5_fill(vka__call *c, bool bidirectional, uint32_t zero, double max_distance, uint32_t table, uint32_t biases,
                  uint32_t arg, int32_t *edges) {
    const vka__view *t = &c->view[table], *out = &c->view[biases];
    uint32_t buckets = t->shape[2], count = vka__t5_edges(buckets, bidirectional, (uint32_t)max_distance, edges);
    vka__call_set_values(c, arg, edges, count);
    *VKA__PARAMS(c, vka_relative_t5_params) = (vka_relative_t5_params){
        .table_row = (uint32_t)t->stride[2],
        .table_step = (uint32_t)t->stride[3],
        .out_row = (uint32_t)out->stride[2],
        .out_step = (uint32_t)out->stride[3],
        .cols = out->shape[3],
        .zero = (int32_t)zero,
        .edges = count,
        .ahead = bidirectional ? buckets / 2 : 0,
    };
}

static vka_status check(vka__call *c) {
    const vka_relative_bias_t5_desc *d = VKA__DESC(c, vka_relative_bias_t5_desc);
    return vka__t5_check(c, d->bidirectional, d->relative_zero, c->number[MAX_DISTANCE]);
}

static bool plan(vka__call *c) {
    const vka_relative_bias_t5_desc *d = VKA__DESC(c, vka_relative_bias_t5_desc);
    vka__t5_fill(c, d->bidirectional, d->relative_zero, c->number[MAX_DISTANCE], TABLE, OUT, EDGES,
                 VKA__STATE(c, state)->edges);
    if (!vka__relative_plan(c, VKA__relative_bias_t5))
        return false;
    c->key[0].spec[VKA_SPEC_TYPES] = vka__call_type(c, TABLE, VKA_ROLE_BIAS_TABLE);
    return true;
}

static void explain(const vka__call *c, vka__text *text) {
    vka__say(text, "edges:");
    for (uint64_t i = 0; i < c->source[EDGES].value_bytes / 4; ++i)
        vka__say(text, " %d", ((const int32_t *)c->source[EDGES].values)[i]);
    vka__say(text, "\n");
}

VKA__OPERATION(relative_bias_t5, .params_size = sizeof(vka_relative_t5_params), .state_size = sizeof(state),
               .limits = limits, .check = check, .plan = plan, .dispatch = vka__relative_dispatch, .explain = explain);
