/* A draw of each row by temperature and top-p, with its log-probability, which says whether it is the right one.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/sampling.h>

#include "reference.h"

#include <math.h>
#include <stdlib.h>

#define TEMPERATURE 0.8f
#define TOP_P       0.95f
/* Other operations' second output. */
#define IDS BENCH_SUM

static vka_sample_desc describe(const bench_problem *p) {
    return (vka_sample_desc){
        .logits = p->tensors[BENCH_X].view,
        .ids = vka_tensor_1d(p->tensors[IDS].buffer, VKA_I32, p->c->rows),
        .log_probs = vka_tensor_1d(p->tensors[BENCH_OUT].buffer, VKA_F32, p->c->rows),
        .temperature = TEMPERATURE,
        .top_p = TOP_P,
    };
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    return slot == BENCH_X ? vka_tensor_2d(NULL, c->dtype, c->rows, c->cols) : vka_tensor_2d(NULL, VKA_F32, c->rows, 1);
}

static bench_effort effort(const bench_case *c) {
    return (bench_effort){.ns = 300.0 * c->cols};
}

/* Bits of ids are those of floats next to 0. */
static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    uint32_t cols = p->c->cols;
    ref_sampling s = {.cols = cols,
                      .logits = p->tensors[BENCH_X].host + row * cols,
                      .temperature = (double)TEMPERATURE,
                      .top_k = cols,
                      .top_p = (double)TOP_P,
                      .penalty = 1,
                      .row = (uint32_t)row};
    ref_logits l = {.cols = cols, .live = cols, .x = s.logits, .scale = 1};
    bool *possible = malloc(cols * sizeof *possible);
    int32_t id = -1;
    bool drawn = possible && ref_sample(&s, &id, possible) && id >= 0;
    out->ref[0][0] = drawn ? (double)s.logits[id] - ref_logits_lse(&l) : 0;
    out->naive[0][0] = drawn ? s.logits[id] - ref_logits_naive_lse(&l) : 0;
    out->ref[1][0] = 0;
    out->naive[1][0] = 0;
    free(possible);
}

BENCH_OPERATION(sample, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = tensor, .effort = effort,
                .title = "sample", .word = "sample ", .group = "Sampling",
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT) | BENCH_BIT(IDS), .reference = reference);
