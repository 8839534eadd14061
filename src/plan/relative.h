/* Plans of operations that write rows of relative biases: vka_relative_bias_t5, vka_relative_bias_span.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PLAN_RELATIVE_H
#define VKA_PLAN_RELATIVE_H

#include "plan/plan.h"

/* ---- what they share: an invocation owns an element of out, which is [1, 1, Hq, L]-shaped ---------------------- */

typedef struct vka__relative_grid {
    vka__pipeline_key key;
    vka__grid grid;
} vka__relative_grid;

vka__relative_grid vka__relative_grid_of(const vka_device_caps *caps, vka__kernel kernel, const vka__view *out);
uint64_t vka__relative_dispatches(const vka__relative_grid *grid);
/* All of a dispatch but its inputs. */
void vka__relative_dispatch(const vka_device_caps *caps, const vka__relative_grid *grid, const vka__view *out,
                            uint64_t index, vka__dispatch *dispatch);

/* ---- T5 -------------------------------------------------------------------------------------------------------- */

#define VKA_MAX_T5_BUCKETS 1024

typedef struct vka__relative_t5_problem {
    vka__view table;       /* [1, 1, buckets, Hq] */
    vka__view out;         /* [1, 1, Hq, L]       */
    uint32_t zero;         /* the distance of element l is l - zero                    */
    bool bidirectional;    /* half of the buckets are for positive distances           */
    uint32_t max_distance; /* as applied */
} vka__relative_t5_problem;

typedef struct vka__relative_t5_plan {
    vka_relative_t5_params params;
    int32_t edges[VKA_MAX_T5_BUCKETS - 1]; /* where buckets 1, 2, .. of one direction begin */
    vka__relative_grid grid;
} vka__relative_t5_plan;

/* Buckets of one direction that hold a single distance. */
uint32_t vka__t5_exact(uint32_t buckets, bool bidirectional);
/* Writes where buckets 1, 2, .. of one direction begin, and returns how many there are. max_distance is above
 * vka__t5_exact, which is not 0. */
uint32_t vka__t5_edges(uint32_t buckets, bool bidirectional, uint32_t max_distance, int32_t *edges);

vka_status vka__plan_relative_t5(const vka_device_caps *caps, const vka__relative_t5_problem *problem,
                                 vka__relative_t5_plan *plan, vka__refusal *refusal);
void vka__relative_t5_dispatch(const vka_device_caps *caps, const vka__relative_t5_problem *problem,
                               const vka__relative_t5_plan *plan, uint64_t index, vka__dispatch *dispatch);
/* As snprintf: returns the whole length. */
size_t vka__explain_relative_t5(const vka__relative_t5_plan *plan, char *text, size_t capacity);

/* ---- adaptive spans -------------------------------------------------------------------------------------------- */

typedef struct vka__relative_span_problem {
    vka__view spans; /* [1, 1, 1, Hq]                   */
    vka__view out;   /* [1, 1, Hq, L]                   */
    uint32_t zero;   /* element l is zero - l tokens before the query */
    float ramp;
} vka__relative_span_problem;

typedef struct vka__relative_span_plan {
    vka_relative_span_params params;
    vka__relative_grid grid;
} vka__relative_span_plan;

vka_status vka__plan_relative_span(const vka_device_caps *caps, const vka__relative_span_problem *problem,
                                   vka__relative_span_plan *plan, vka__refusal *refusal);
void vka__relative_span_dispatch(const vka_device_caps *caps, const vka__relative_span_problem *problem,
                                 const vka__relative_span_plan *plan, uint64_t index, vka__dispatch *dispatch);
size_t vka__explain_relative_span(const vka__relative_span_plan *plan, char *text, size_t capacity);

#endif
