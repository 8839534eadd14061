/* Is it right? Outputs against the float64 reference, by the accuracy rule of reference.h.
 * SPDX-License-Identifier: MIT */
#include "ops/op.h"

#include "reference.h"

#include <math.h>
#include <stdlib.h>

/* The reference takes about this long for all rows that are compared, so that large cases end some day. */
#define BUDGET_NS  0.6e9
#define LEAST_ROWS 16

/* ---- every element: was it written? ------------------------------------------------------------------------------ */

/* All inputs are finite and small, so every output is finite; what was poisoned and not written is not. */
static bool all_finite(const void *storage, vka_dtype dtype, size_t count) {
    const uint16_t *half = storage;
    const uint32_t *single = storage;
    uint16_t exponent = dtype == VKA_F16 ? 0x7c00 : 0x7f80;
    for (size_t i = 0; i < count; i++) {
        bool finite = dtype == VKA_F32 ? (single[i] & 0x7f800000) != 0x7f800000 : (half[i] & exponent) != exponent;
        if (!finite) {
            return false;
        }
    }
    return true;
}

/* ---- which rows -------------------------------------------------------------------------------------------------- */

static uint64_t rows_to_check(uint64_t rows, double ns_per_row) {
    double affordable = BUDGET_NS / ns_per_row;
    uint64_t n = affordable < LEAST_ROWS ? LEAST_ROWS : affordable > 1e15 ? rows : (uint64_t)affordable;
    return n < rows ? n : rows;
}

/* Row number `at` of `n` compared ones: all in order, or the first, the last, and random ones. */
static uint64_t pick_row(ref_rng *rng, uint64_t at, uint64_t n, uint64_t rows) {
    if (n == rows) {
        return at;
    }
    return at == 0 ? 0 : at == 1 ? rows - 1 : ref_rng_u64(rng) % rows;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Rows of outputs: as they are, and as they should be. All in two blocks. */
typedef struct scratch {
    double *doubles;
    float *floats, *out;
    bench_row row;
    size_t width[BENCH_OUTPUTS];
} scratch;

/* Rows are those of the last dimension of `out`; the other outputs have as many. */
static bool scratch_create(scratch *s, const bench_problem *p, uint64_t rows, size_t extra) {
    size_t all = 0;
    *s = (scratch){0};
    for (int i = 0; i < BENCH_OUTPUTS; i++) {
        s->width[i] = p->tensors[BENCH_OUT + i].count / rows;
        all += s->width[i];
    }
    s->doubles = malloc((all + extra) * sizeof *s->doubles);
    s->floats = malloc((2 * all + extra) * sizeof *s->floats);
    if (!s->doubles || !s->floats) {
        return false;
    }
    size_t at = 0;
    for (int i = 0; i < BENCH_OUTPUTS; i++) {
        s->row.ref[i] = s->width[i] ? s->doubles + at : NULL;
        s->row.naive[i] = s->width[i] ? s->floats + at : NULL;
        at += s->width[i];
    }
    s->row.ref_scratch = s->doubles + all;
    s->row.naive_scratch = s->floats + all;
    s->out = s->floats + all + extra;
    return true;
}

static void add_row(ref_error *e, const void *storage, vka_dtype dtype, uint64_t row, scratch *s, int output) {
    const char *bytes = storage;
    size_t width = s->width[output];
    ref_load(dtype, s->out, bytes + row * width * vka_dtype_size(dtype), width);
    for (size_t i = 0; i < width; i++) {
        ref_error_add(e, (double)s->out[i], (double)s->row.naive[output][i], s->row.ref[output][i]);
    }
}

/* "" if the values of the rows that are compared pass. */
static const char *compare_rows(const bench_problem *p, void *const *outputs, uint64_t seed, scratch *s,
                                bench_check *check) {
    ref_error errors[BENCH_OUTPUTS] = {{0}};
    ref_rng rng = ref_rng_seed(seed);
    for (uint64_t at = 0; at < check->rows_checked; at++) {
        uint64_t row = pick_row(&rng, at, check->rows_checked, check->rows);
        p->op->reference(p, row, &s->row);
        for (int i = 0; i < BENCH_OUTPUTS; i++) {
            if (s->width[i]) {
                add_row(&errors[i], outputs[i], p->tensors[BENCH_OUT + i].view.dtype, row, s, i);
            }
        }
    }
    bool ok = true;
    for (int i = 0; i < BENCH_OUTPUTS; i++) {
        check->max_error = fmax(check->max_error, errors[i].out); /* of NaN and a number the number */
        check->naive_error = fmax(check->naive_error, errors[i].naive);
        ok = ok && ref_error_ok(&errors[i]);
    }
    return ok ? "" : "the accuracy rule is broken";
}

/* ---- verdict ----------------------------------------------------------------------------------------------------- */

/* "" if the outputs pass. */
static const char *judge(const bench_problem *p, void *const *outputs, uint64_t seed, bench_check *check) {
    for (int i = 0; i < BENCH_OUTPUTS; i++) {
        size_t count = p->tensors[BENCH_OUT + i].count;
        if (count && !outputs[i]) {
            return "an output can't be read";
        }
        if (count && !all_finite(outputs[i], p->tensors[BENCH_OUT + i].view.dtype, count)) {
            return "an output element is NaN or infinite, or was never written";
        }
    }
    const bench_tensor *out = &p->tensors[BENCH_OUT];
    bench_effort effort = p->op->effort(p->c);
    scratch s;
    check->rows = out->count / out->view.shape[out->view.rank - 1];
    check->rows_checked = rows_to_check(check->rows, effort.ns);
    bool room = scratch_create(&s, p, check->rows, effort.scratch);
    const char *why = room ? compare_rows(p, outputs, seed, &s, check) : "out of host memory";
    free(s.doubles);
    free(s.floats);
    return why;
}

bench_check bench_verify(const bench_problem *p, void *const outputs[BENCH_OUTPUTS], uint64_t seed) {
    bench_check check = {.max_error = NAN, .naive_error = NAN};
    check.why = judge(p, outputs, seed, &check);
    check.ok = check.why[0] == '\0';
    return check;
}
