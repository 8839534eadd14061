/* Rotary position embedding of rows in heads of 128 channels, or of all channels if those are no multiple.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <vkattn/rope.h>

#include "reference.h"

enum { DIM = 128, MOST = 512 };

static uint32_t dim_of(const bench_case *c) {
    return c->cols % DIM ? c->cols : DIM;
}

static const char *check(const bench_case *c) {
    return dim_of(c) > MOST || dim_of(c) % 2 ? "--cols must be a multiple of 128, or even and at most 512" : NULL;
}

static vka_rope_desc describe(const bench_problem *p) {
    return (vka_rope_desc){.x = p->tensors[BENCH_X].view, .out = p->tensors[BENCH_OUT].view};
}

static vka_tensor tensor(const bench_case *c, bench_slot slot) {
    (void)slot;
    return vka_tensor_4d(NULL, c->dtype, 1, c->cols / dim_of(c), c->rows, dim_of(c));
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    uint32_t dim = dim_of(c);
    const ref_rope rope = {.cols = dim, .dims = dim, .theta = 10000, .frequency_scale = 1};
    const ref_rope_row at = {.x = p->tensors[BENCH_X].host + row * dim, .position = (int64_t)(row % c->rows)};
    ref_rope_rotate(&rope, &at, out->ref[0]);
    ref_rope_naive_rotate(&rope, &at, c->dtype, out->naive[0]);
}

BENCH_OPERATION(rope, .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = tensor,
                .effort = bench_rows_effort, .title = "RoPE", .word = "rope ", .group = "Elements", .check = check,
                .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_OUT), .reference = reference);
