/* SPDX-License-Identifier: MIT */
#include "merge_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const merge_names[MERGE_TENSORS] = {"a", "b", "out", "a_lse", "b_lse", "lse"};

static const char *describe(const merge_problem *p, char *text, size_t size) {
    const merge_case *m = &p->m;
    snprintf(text, size, "%s: %s + %s = %s %ux%ux%ux%u order %s+%u>>%u, out over %d, lse over %d%s%s, VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(m->a), dtype_name(m->b), dtype_name(m->out), m->shape[0], m->shape[1],
             m->shape[2], m->shape[3], m->layout.order ? m->layout.order : "dense", m->layout.pad, m->layout.shift,
             m->out_over, m->lse_over, m->no_lse ? " no lse" : "", m->nonfinite ? " nonfinite" : "",
             (unsigned long long)test_seed());
    return text;
}

/* Rows take turns: like any other; a, b or both are empty, and NaN where they are; one outweighs the other; one has a
 * lse that no finite scores give. */
static void make_nonfinite(merge_problem *p) {
    static const float lses[][2] = {
        {0.5f, -1},      {-INFINITY, 2},   {3, -INFINITY},   {-INFINITY, -INFINITY}, {200, -200}, {-80, 20},
        {1e30f, -1e30f}, {-3e38f, -3e38f}, {INFINITY, 1},    {INFINITY, INFINITY},   {NAN, 1},    {-2, NAN},
        {-1, INFINITY},  {-INFINITY, NAN}, {NAN, -INFINITY}, {INFINITY, -INFINITY},
    };
    for (size_t row = 0; row < p->rows; row++) {
        for (int part = A; part <= B; part++) {
            float lse = lses[row % (sizeof lses / sizeof *lses)][part];
            p->t[A_LSE + part].values[row] = lse;
            for (size_t c = 0; c < p->cols && lse == -INFINITY; c++) {
                p->t[part].values[row * p->cols + c] = c % 3 == 1 ? INFINITY : NAN;
            }
        }
    }
}

merge_problem merge_make(context *c, merge_case m) {
    m.a = m.a ? m.a : VKA_F32;
    m.b = m.b ? m.b : VKA_F32;
    m.out = m.out ? m.out : VKA_F32;
    merge_problem p = {.c = c, .m = m, .rows = (size_t)m.shape[0] * m.shape[1] * m.shape[2], .cols = m.shape[3]};
    const vka_dtype types[MERGE_TENSORS] = {m.a, m.b, m.out, VKA_F32, VKA_F32, VKA_F32};
    layout flat = {.pad = m.layout.pad, .shift = m.layout.shift};
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < MERGE_TENSORS; i++) {
        p.t[i] = tensor_create(c, types[i], i < A_LSE ? 4 : 3, m.shape, i < A_LSE ? m.layout : flat);
        tensor_fill_normal(&p.t[i], &rng, i < A_LSE ? 0 : 4, i < A_LSE ? 1 : 2);
    }
    if (m.nonfinite) {
        make_nonfinite(&p);
    }
    for (int i = 0; i < MERGE_TENSORS; i++) {
        p.inputs[i] = malloc((p.t[i].count + 1) * sizeof(float));
        cr_assert_not_null(p.inputs[i]);
        memcpy(p.inputs[i], p.t[i].values, p.t[i].count * sizeof(float));
    }
    return p;
}

void merge_destroy(merge_problem *p) {
    for (int i = 0; i < MERGE_TENSORS; i++) {
        tensor_destroy(&p->t[i]);
        free(p->inputs[i]);
    }
}

static int place_of(const merge_problem *p, int output) {
    over where = output == OUT ? p->m.out_over : p->m.lse_over;
    return where == OVER_NOTHING ? output : (output == OUT ? A : A_LSE) + (where == OVER_B);
}

vka_attention_merge_desc merge_desc(const merge_problem *p) {
    return (vka_attention_merge_desc){
        .a = p->t[A].view,
        .b = p->t[B].view,
        .a_lse = p->t[A_LSE].view,
        .b_lse = p->t[B_LSE].view,
        .out = p->t[place_of(p, OUT)].view,
        .lse = p->m.no_lse ? (vka_tensor){0} : p->t[place_of(p, LSE)].view,
    };
}

/* Everything that was not an output must be as it was. */
static void download(merge_problem *p) {
    char text[512];
    for (int i = 0; i < MERGE_TENSORS; i++) {
        bool output = i == place_of(p, OUT) || (i == place_of(p, LSE) && !p->m.no_lse);
        tensor_collect(&p->t[i], output, merge_names[i], describe(p, text, sizeof text));
    }
}

static void compare(merge_problem *p) {
    ref_error out_error = {0}, lse_error = {0};
    char text[512];
    double *ref = malloc((p->cols + 1) * sizeof *ref), ref_lse;
    float *naive = malloc((p->cols + 1) * sizeof *naive), naive_lse;
    const tensor *out = &p->t[place_of(p, OUT)], *lse = &p->t[place_of(p, LSE)];
    cr_assert(ref && naive);
    for (size_t row = 0; row < p->rows; row++) {
        size_t first = row * p->cols;
        ref_merge m = {.cols = (uint32_t)p->cols,
                       .a = p->inputs[A] + first,
                       .b = p->inputs[B] + first,
                       .a_lse = p->inputs[A_LSE][row],
                       .b_lse = p->inputs[B_LSE][row]};
        ref_merge_row(&m, ref, &ref_lse);
        ref_merge_naive_row(&m, p->m.out, naive, &naive_lse);
        for (size_t i = 0; i < p->cols; i++) {
            ref_error_add(&out_error, (double)out->values[first + i], (double)naive[i], ref[i]);
        }
        if (!p->m.no_lse) {
            ref_error_add(&lse_error, (double)lse->values[row], (double)naive_lse, ref_lse);
        }
        cr_assert(!out_error.broken && !lse_error.broken,
                  "row %zu with lse %g and %g: lse is %g, not %g, or out[0] = %g, not %g; %s", row, (double)m.a_lse,
                  (double)m.b_lse, (double)lse->values[row], ref_lse, (double)out->values[first], ref[0],
                  describe(p, text, sizeof text));
    }
    cr_assert(ref_error_ok(&out_error), "out is off by %.3g where the naive computation is off by %.3g; %s",
              out_error.out, out_error.naive, describe(p, text, sizeof text));
    cr_assert(ref_error_ok(&lse_error), "lse is off by %.3g where the naive computation is off by %.3g; %s",
              lse_error.out, lse_error.naive, describe(p, text, sizeof text));
    free(ref);
    free(naive);
}

void merge_run(merge_problem *p) {
    vka_attention_merge_desc desc = merge_desc(p);
    for (int i = 0; i < MERGE_TENSORS; i++) {
        if (i == OUT || i == LSE) {
            tensor_poison(&p->t[i]);
        } else {
            memcpy(p->t[i].values, p->inputs[i], p->t[i].count * sizeof(float));
            tensor_upload(&p->t[i]);
        }
    }
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_attention_merge(p->c->recorder, &desc));
    context_finish(p->c);
    download(p);
    compare(p);
}

void merge_on(context *c, merge_case m) {
    if (context_leaves_out(c, 7)) {
        return;
    }
    merge_problem p = merge_make(c, m);
    merge_run(&p);
    merge_destroy(&p);
}
