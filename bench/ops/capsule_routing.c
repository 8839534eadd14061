/* Routing between capsules: 32 entries of `rows` input capsules, and of output capsules with 16 channels, `cols` in
 * all. CapsNet's for MNIST has 1152 rows and 160 columns. SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

#include <math.h>

enum { ENTRIES = 32, DIM = 16, ITERATIONS = 3 };

static vka_capsule_routing_desc describe(const bench_problem *p) {
    return (vka_capsule_routing_desc){
        .votes = p->tensors[BENCH_X].view, .out = p->tensors[BENCH_OUT].view, .iterations = ITERATIONS};
}

static const char *check(const bench_case *c) {
    return c->cols % DIM ? "--cols must be a multiple of 16" : NULL;
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    uint32_t outputs = c->cols / DIM;
    return slot == BENCH_X ? vka_tensor_4d(NULL, c->dtype, ENTRIES, c->rows, outputs, DIM)
                           : vka_tensor_3d(NULL, c->dtype, ENTRIES, outputs, DIM);
}

/* Sums of a length of about 1. */
static bench_bounds bounds(const bench_case *c, bench_slot slot) {
    float most = 5 / sqrtf((float)c->rows);
    (void)slot;
    return (bench_bounds){-most, most};
}

/* Sums of all iterations, logits of all but the first. Votes are read once for each. */
static bench_cost cost(const bench_case *c) {
    double votes = (double)ENTRIES * c->rows * c->cols, bytes = vka_dtype_size(c->dtype) * votes;
    return (bench_cost){
        .flops = votes * (2 * ITERATIONS + 2 * (ITERATIONS - 1)), .bytes = ITERATIONS * bytes, .footprint = bytes};
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 6.0 * ITERATIONS * c->rows * c->cols,
                          .scratch = 2 * (size_t)c->rows * c->cols / DIM + c->cols};
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    size_t outputs = c->cols / DIM, entry = row / outputs, first = row % outputs * DIM, pairs = c->rows * outputs;
    ref_capsule_routing r = {.inputs = c->rows,
                             .outputs = (uint32_t)outputs,
                             .dim = DIM,
                             .iterations = ITERATIONS,
                             .votes = p->tensors[BENCH_X].host + entry * c->rows * c->cols};
    double *exact = out->ref_scratch + 2 * pairs;
    float *naive = out->naive_scratch + 2 * pairs;
    ref_capsule_routing_entry(&r, exact, out->ref_scratch, out->ref_scratch + pairs);
    ref_capsule_routing_naive_entry(&r, naive, out->naive_scratch, out->naive_scratch + pairs);
    for (size_t d = 0; d < DIM; d++) {
        out->ref[0][d] = exact[first + d];
        out->naive[0][d] = ref_round(c->dtype, naive[first + d]);
    }
}

BENCH_OPERATION(capsule_routing, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .title = "capsule routing",
                .word = "routing ", .group = "Capsule routing", .check = check, .cost = cost, .tensor = tensor,
                .bounds = bounds, .effort = effort, .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT),
                .reference = reference);
