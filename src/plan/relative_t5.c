/* Plans of vka_relative_bias_t5.
 * SPDX-License-Identifier: MIT */
#include "plan/relative.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(vka_relative_t5_params) <= sizeof(vka_attention_params), "a recorder's slots have room for it");

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

/* ---- plan ------------------------------------------------------------------------------------------------------ */

static void fill_params(const vka__relative_t5_problem *p, vka__relative_t5_plan *plan) {
    uint32_t buckets = p->table.shape[2];
    plan->params = (vka_relative_t5_params){
        .table_row = (uint32_t)p->table.stride[2],
        .table_step = (uint32_t)p->table.stride[3],
        .out_row = (uint32_t)p->out.stride[2],
        .out_step = (uint32_t)p->out.stride[3],
        .cols = p->out.shape[3],
        .zero = (int32_t)p->zero,
        .edges = vka__t5_edges(buckets, p->bidirectional, p->max_distance, plan->edges),
        .ahead = p->bidirectional ? buckets / 2 : 0,
    };
}

vka_status vka__plan_relative_t5(const vka_device_caps *caps, const vka__relative_t5_problem *p,
                                 vka__relative_t5_plan *plan, vka__refusal *refusal) {
    memset(plan, 0, sizeof *plan);
    if (!vka__sees_all(caps, &p->table, "table", refusal) || !vka__sees_all(caps, &p->out, "out", refusal))
        return VKA_UNSUPPORTED;
    plan->grid = vka__relative_grid_of(caps, VKA__relative_bias_t5, &p->out);
    plan->grid.key.spec[VKA_SPEC_TYPES] = (uint32_t)p->table.dtype << 4 * VKA_ROLE_BIAS_TABLE;
    fill_params(p, plan);
    return VKA_OK;
}

void vka__relative_t5_dispatch(const vka_device_caps *caps, const vka__relative_t5_problem *p,
                               const vka__relative_t5_plan *plan, uint64_t index, vka__dispatch *out) {
    const vka__view edges = {.present = true,
                             .dtype = VKA_I32,
                             .size = 4,
                             .block = 1,
                             .shape = {1, 1, 1, plan->params.edges},
                             .stride = {0, 0, 0, 1}};
    vka__relative_dispatch(caps, &plan->grid, &p->out, index, out);
    vka__bind_all(caps, &p->table, VKA_BIND_BIAS_TABLE, 0, VKA__READ, out);
    vka__bind_all(caps, &edges, VKA_BIND_EDGES, 0, VKA__READ, out);
}

/* Returns the length that the text then has, whether there is room for it or not. */
static size_t append(char *text, size_t capacity, size_t at, const char *format, unsigned long long number) {
    char piece[64];
    int n = snprintf(piece, sizeof piece, format, number);
    if (at < capacity)
        snprintf(text + at, capacity - at, "%s", piece);
    return at + (n < 0 ? 0 : (size_t)n);
}

size_t vka__explain_relative_t5(const vka__relative_t5_plan *plan, char *text, size_t capacity) {
    int n = snprintf(text, capacity,
                     "kernel: %s\nworkgroup: %u\nedges:", vka__kernel_name((vka__kernel)plan->grid.key.kernel),
                     plan->grid.key.spec[VKA_SPEC_GROUP_SIZE]);
    size_t at = n < 0 ? 0 : (size_t)n;
    for (uint32_t i = 0; i < plan->params.edges; ++i)
        at = append(text, capacity, at, " %llu", (unsigned long long)plan->edges[i]);
    return append(text, capacity, at, "\ndispatches: %llu\nworkspace_bytes: 0\n",
                  vka__relative_dispatches(&plan->grid));
}
