/* Gradients of merges against float64, by the accuracy rule, and of the reference against differences.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include <vkattn/merge.h>

#include "support/context.h"
#include "support/tensor.h"

/* Zero types: f32. */
typedef struct merge_case {
    uint32_t shape[4];
    vka_dtype a, b, d_out, d_a;
    layout layout;
    bool no_d_lse, no_d_a, no_d_a_lse;
    bool nonfinite; /* empty parts full of NaN, and lse of +inf and NaN */
} merge_case;

enum { A, B, D_OUT, D_A, A_LSE, B_LSE, D_LSE, D_A_LSE, TENSORS };

static void make_nonfinite(tensor *t, size_t rows, size_t cols) {
    static const float lses[][2] = {{0.5f, -1},  {-INFINITY, 2}, {3, -INFINITY}, {-INFINITY, -INFINITY},
                                    {200, -200}, {INFINITY, 1},  {NAN, 1},       {-INFINITY, NAN}};
    for (size_t row = 0; row < rows; row++) {
        for (int part = A; part <= B; part++) {
            float lse = lses[row % 8][part];
            t[A_LSE + part].values[row] = lse;
            for (size_t c = 0; c < cols && lse == -INFINITY; c++) {
                t[part].values[row * cols + c] = c % 3 == 1 ? INFINITY : NAN;
            }
        }
    }
}

static void compare(const merge_case *m, const tensor *t, size_t rows, uint32_t cols) {
    ref_error a = {0}, lse = {0};
    double *ref = malloc((cols + 1) * sizeof *ref), ref_lse;
    float *naive = malloc((cols + 1) * sizeof *naive), naive_lse;
    cr_assert(ref && naive);
    for (size_t row = 0; row < rows; row++) {
        ref_merge r = {cols, t[A].values + row * cols, t[B].values + row * cols, t[A_LSE].values[row],
                       t[B_LSE].values[row]};
        float d_lse = m->no_d_lse ? 0 : t[D_LSE].values[row];
        ref_merge_backward_row(&r, t[D_OUT].values + row * cols, (double)d_lse, ref, &ref_lse);
        ref_merge_naive_backward_row(&r, m->d_a, t[D_OUT].values + row * cols, d_lse, naive, &naive_lse);
        for (uint32_t c = 0; c < cols && !m->no_d_a; c++) {
            ref_error_add(&a, (double)t[D_A].values[row * cols + c], (double)naive[c], ref[c]);
        }
        if (!m->no_d_a_lse) {
            ref_error_add(&lse, (double)t[D_A_LSE].values[row], (double)naive_lse, ref_lse);
        }
        cr_assert(!a.broken && !lse.broken, "row %zu with lse %g and %g: d_a_lse is not %g, or d_a[0] not %g", row,
                  (double)r.a_lse, (double)r.b_lse, ref_lse, ref[0]);
    }
    cr_assert(ref_error_ok(&a), "d_a is off by %g, naive by %g; VKATTN_SEED=%llu", a.out, a.naive,
              (unsigned long long)test_seed());
    cr_assert(ref_error_ok(&lse), "d_a_lse is off by %g, naive by %g; VKATTN_SEED=%llu", lse.out, lse.naive,
              (unsigned long long)test_seed());
    free(ref);
    free(naive);
}

static void run_case(context *c, merge_case m) {
    vka_dtype *types[] = {&m.a, &m.b, &m.d_out, &m.d_a};
    size_t rows = (size_t)m.shape[0] * m.shape[1] * m.shape[2];
    layout flat = {.pad = m.layout.pad, .shift = m.layout.shift};
    ref_rng rng = ref_rng_seed(test_seed());
    tensor t[TENSORS];
    for (int i = 0; i < TENSORS; i++) {
        vka_dtype dtype = i < A_LSE && *types[i] ? *types[i] : VKA_F32;
        t[i] = tensor_create(c, dtype, i < A_LSE ? 4 : 3, m.shape, i < A_LSE ? m.layout : flat);
        tensor_fill_normal(&t[i], &rng, 0, i < A_LSE ? 1 : 2);
        tensor_round(&t[i]);
        if (i < A_LSE) {
            *types[i] = dtype;
        }
    }
    if (m.nonfinite) {
        make_nonfinite(t, rows, m.shape[3]);
    }
    for (int i = 0; i < TENSORS; i++) {
        if (i == D_A || i == D_A_LSE) {
            tensor_poison(&t[i]);
        } else {
            tensor_upload(&t[i]);
        }
    }
    vka_attention_merge_backward_desc d = {.a = t[A].view,
                                           .b = t[B].view,
                                           .a_lse = t[A_LSE].view,
                                           .b_lse = t[B_LSE].view,
                                           .d_out = t[D_OUT].view,
                                           .d_lse = m.no_d_lse ? (vka_tensor){0} : t[D_LSE].view,
                                           .d_a = m.no_d_a ? (vka_tensor){0} : t[D_A].view,
                                           .d_a_lse = m.no_d_a_lse ? (vka_tensor){0} : t[D_A_LSE].view};
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_attention_merge_backward(c->recorder, &d));
    context_finish(c);
    cr_assert(m.no_d_a || tensor_download(&t[D_A]), "writes outside of d_a");
    cr_assert(m.no_d_a_lse || tensor_download(&t[D_A_LSE]), "writes outside of d_a_lse");
    compare(&m, t, rows, m.shape[3]);
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&t[i]);
    }
}

static void run_all(const device_config *config) {
    static const merge_case cases[] = {
        {.shape = {2, 3, 17, 64}},
        {.shape = {1, 2, 9, 33}, .a = VKA_F16, .b = VKA_BF16, .d_a = VKA_F16, .layout = {"0213", 3, 1}},
        {.shape = {1, 1, 5, 1}, .d_out = VKA_BF16, .no_d_lse = true, .layout = {NULL, 1, 1}},
        {.shape = {1, 3, 40, 20}, .nonfinite = true},
        {.shape = {1, 1, 3, 512}, .no_d_a = true},
        {.shape = {3, 1, 3, 7}, .no_d_a_lse = true},
    };
    context c;
    context_open(&c, config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case(&c, cases[i]);
    }
    context_close(&c);
}

Test(attention_merge_backward, cases) {
    run_all(&config_real);
}

Test(attention_merge_backward, cases_few_buffers) {
    run_all(&config_few_buffers);
}

/* ---- slopes ------------------------------------------------------------------------------------------------------ */

enum { COLS = 3 };

typedef struct slopes {
    float a[COLS], b[COLS], lse[2], d_out[COLS];
    double d_lse;
} slopes;

static ref_merge merge_of(const slopes *s) {
    return (ref_merge){COLS, s->a, s->b, s->lse[0], s->lse[1]};
}

static double loss_of(const void *user) {
    const slopes *s = user;
    double out[COLS], lse, loss;
    ref_merge m = merge_of(s);
    ref_merge_row(&m, out, &lse);
    loss = s->d_lse * lse;
    for (int c = 0; c < COLS; c++) {
        loss += (double)s->d_out[c] * out[c];
    }
    return loss;
}

Test(attention_merge_backward, slopes) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int n = 0; n < 10; n++) {
        slopes s = {.lse = {ref_rng_normal(&rng), ref_rng_normal(&rng)}, .d_lse = n % 2 ? 0.75 : 0};
        double d_a[COLS], d_lse;
        for (int c = 0; c < COLS; c++) {
            s.a[c] = ref_rng_normal(&rng);
            s.b[c] = ref_rng_normal(&rng);
            s.d_out[c] = ref_rng_normal(&rng);
        }
        ref_merge m = merge_of(&s);
        ref_merge_backward_row(&m, s.d_out, s.d_lse, d_a, &d_lse);
        for (int c = 0; c < COLS; c++) {
            cr_expect_float_eq(d_a[c], ref_slope(&s.a[c], loss_of, &s), 2e-5);
        }
        cr_expect_float_eq(d_lse, ref_slope(&s.lse[0], loss_of, &s), 2e-5);
    }
}
