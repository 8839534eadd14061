/* Gradients of linear layers against float64, by the accuracy rule alone.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/linear.h>

#include "support/context.h"
#include "support/tensor.h"

enum { X, WEIGHT, BIAS, Z, D_OUT, D_X, D_WEIGHT, D_BIAS, TENSORS };
#define BIT(i)  (1u << (i))
#define RESULTS (BIT(D_X) | BIT(D_WEIGHT) | BIT(D_BIAS))

/* Zero: f32, dense, all gradients, no bias. */
typedef struct problem {
    uint32_t rank, lead[2]; /* of x: 0 counts as 2; its dimensions before rows */
    uint32_t rows, outputs, columns;
    uint32_t batched; /* leading dimensions of which each entry has weights of its own, as bits */
    vka_dtype type[TENSORS];
    layout lie[TENSORS];
    uint32_t want; /* gradients; 0: all */
    bool bias, with_z, accumulate;
    vka_activation activation;
    vka_linear_path path;

    context *c;
    uint32_t size[4]; /* of x's rows in three dimensions, as [lead, lead, rows] */
    tensor t[TENSORS];
    double *z, *g; /* [rows, outputs] in float64 */
    float *naive_g;
    float *before[TENSORS];
} problem;

/* ---- places ----------------------------------------------------------------------------------------------------- */

static size_t all_rows(const problem *p) {
    return (size_t)p->size[0] * p->size[1] * p->size[2];
}

/* The matrix of weights that a row has. */
static size_t matrix_of(const problem *p, size_t row) {
    size_t b = row / p->size[2], b0 = b / p->size[1], b1 = b % p->size[1];
    return (p->batched & 1 ? b0 : 0) * (p->batched & 2 ? p->size[1] : 1) + (p->batched & 2 ? b1 : 0);
}

static float weight_at(const problem *p, size_t row, uint32_t n, uint32_t k) {
    return p->t[WEIGHT].values[(matrix_of(p, row) * p->outputs + n) * p->columns + k];
}

/* ---- making ----------------------------------------------------------------------------------------------------- */

static void make_tensor(problem *p, int i, uint32_t columns, ref_rng *rng) {
    bool matrix = i == WEIGHT || i == D_WEIGHT, vector = i == BIAS || i == D_BIAS;
    uint32_t shape[4], rank = p->rank;
    for (uint32_t dim = 0; dim < rank; dim++) {
        shape[dim] = p->size[3 - rank + 1 + dim > 2 ? 2 : 3 - rank + 1 + dim];
    }
    shape[rank - 1] = columns;
    if (vector) {
        rank = 1;
        shape[0] = columns;
    } else if (matrix && !p->batched) {
        rank = 2;
        shape[0] = p->outputs;
        shape[1] = p->columns;
    } else if (matrix) {
        shape[rank - 2] = p->outputs;
        for (uint32_t dim = 0; dim + 2 < rank; dim++) {
            shape[dim] = p->batched >> (dim + 4 - rank) & 1 ? shape[dim] : 1;
        }
    }
    p->t[i] = tensor_create(p->c, p->type[i] ? p->type[i] : VKA_F32, rank, shape, p->lie[i]);
    tensor_fill_normal(&p->t[i], rng, 0, 1);
}

static void *room(size_t count, size_t size) {
    void *memory = calloc(count + 1, size);
    cr_assert_not_null(memory);
    return memory;
}

/* z as the layer has it: of a tensor, or of sums, which the naive twin rounds to d_out's type. */
static void make_g(problem *p) {
    vka_dtype type = p->t[D_OUT].view.dtype;
    for (size_t row = 0; row < all_rows(p); row++) {
        for (uint32_t n = 0; n < p->outputs; n++) {
            size_t at = row * p->outputs + n;
            double z = p->bias ? (double)p->t[BIAS].values[n] : 0;
            float naive = 0;
            for (uint32_t k = 0; k < p->columns; k++) {
                float x = p->t[X].values[row * p->columns + k], w = weight_at(p, row, n, k);
                z += (double)x * (double)w;
                naive += x * w;
            }
            naive = ref_round(type, naive + (p->bias ? p->t[BIAS].values[n] : 0));
            if (p->with_z) {
                naive = p->t[Z].values[at] = ref_round(p->t[Z].view.dtype, (float)z);
                z = (double)naive;
            }
            float d_out = p->t[D_OUT].values[at];
            bool none = p->activation == VKA_ACTIVATION_NONE;
            p->z[at] = z;
            p->g[at] = (double)d_out * (none ? 1 : ref_activation_slope(p->activation, z));
            p->naive_g[at] = none ? d_out : ref_round(type, d_out * ref_naive_activation_slope(p->activation, naive));
        }
    }
}

static void make(context *c, problem *p) {
    ref_rng rng = ref_rng_seed(test_seed());
    p->c = c;
    p->rank = p->rank ? p->rank : 2;
    p->want = p->want ? p->want : RESULTS;
    p->size[0] = p->rank == 4 ? p->lead[0] : 1;
    p->size[1] = p->rank == 4 ? p->lead[1] : p->rank == 3 ? p->lead[0] : 1;
    p->size[2] = p->rank > 1 ? p->rows : 1;
    for (int i = 0; i < TENSORS; i++) {
        make_tensor(p, i, i == X || i == WEIGHT || i == D_X || i == D_WEIGHT ? p->columns : p->outputs, &rng);
    }
    p->z = room(all_rows(p) * p->outputs, sizeof(double));
    p->g = room(all_rows(p) * p->outputs, sizeof(double));
    p->naive_g = room(all_rows(p) * p->outputs, sizeof(float));
    make_g(p);
    for (int i = 0; i < TENSORS; i++) {
        p->before[i] = room(p->t[i].count, sizeof(float));
        memcpy(p->before[i], p->t[i].values, p->t[i].count * sizeof(float));
    }
}

static void destroy(problem *p) {
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
        free(p->before[i]);
    }
    free(p->z);
    free(p->g);
    free(p->naive_g);
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */

/* float64, and sums in f32. */
typedef struct sum {
    double ref;
    float naive;
} sum;

static sum d_x_at(const problem *p, size_t row, uint32_t k) {
    sum s = {0, 0};
    bool blocks = vka_dtype_block(p->t[WEIGHT].view.dtype) > 1;
    for (uint32_t n = 0; n < p->outputs; n++) {
        float w = weight_at(p, row, n, k);
        s.ref += p->g[row * p->outputs + n] * (double)w;
        s.naive += p->naive_g[row * p->outputs + n] * (blocks ? ref_round(p->t[D_OUT].view.dtype, w) : w);
    }
    return s;
}

static sum d_weight_at(const problem *p, size_t matrix, uint32_t n, uint32_t k) {
    sum s = {0, 0};
    for (size_t row = 0; row < all_rows(p); row++) {
        if (matrix_of(p, row) == matrix) {
            float x = p->t[X].values[row * p->columns + k];
            s.ref += p->g[row * p->outputs + n] * (double)x;
            s.naive += p->naive_g[row * p->outputs + n] * x;
        }
    }
    return s;
}

static sum d_bias_at(const problem *p, uint32_t n) {
    sum s = {0, 0};
    for (size_t row = 0; row < all_rows(p); row++) {
        s.ref += p->g[row * p->outputs + n];
        s.naive += p->naive_g[row * p->outputs + n];
    }
    return s;
}

static sum element(const problem *p, int i, size_t at) {
    if (i == D_BIAS) { /* which there is without columns, too */
        return d_bias_at(p, (uint32_t)at);
    }
    uint32_t k = (uint32_t)(at % p->columns);
    size_t row = at / p->columns;
    return i == D_X ? d_x_at(p, row, k) : d_weight_at(p, row / p->outputs, (uint32_t)(row % p->outputs), k);
}

static void compare(problem *p, int i, const char *what) {
    static const char *const names[TENSORS] = {[D_X] = "d_x", [D_WEIGHT] = "d_weight", [D_BIAS] = "d_bias"};
    const tensor *t = &p->t[i];
    ref_error e = {0};
    for (size_t at = 0; at < t->count; at++) {
        sum s = element(p, i, at);
        float old = p->accumulate && i != D_X ? p->before[i][at] : 0;
        ref_error_add(&e, (double)t->values[at], (double)ref_round(t->view.dtype, s.naive + old), s.ref + (double)old);
    }
    cr_assert(
        ref_error_ok(&e),
        "%s: %s of %s, x %s, weight %s, d_out %s, rank %u, %u rows, %u outputs, %u columns, batched %u, activation "
        "%d, %s z, accumulate %d, path %d: off by %g, naive by %g%s; VKATTN_SEED=%llu",
        what, names[i], dtype_name(t->view.dtype), dtype_name(p->t[X].view.dtype), dtype_name(p->t[WEIGHT].view.dtype),
        dtype_name(p->t[D_OUT].view.dtype), p->rank, p->rows, p->outputs, p->columns, p->batched, p->activation,
        p->with_z ? "with" : "without", p->accumulate, p->path, e.out, e.naive, e.broken ? ", nonfinite" : "",
        (unsigned long long)test_seed());
}

static vka_linear_backward_desc describe(const problem *p) {
    bool made = p->activation != VKA_ACTIVATION_NONE && !p->with_z;
    vka_linear_backward_desc d = {
        .d_out = p->t[D_OUT].view, .activation = p->activation, .accumulate = p->accumulate, .path = p->path};
    if (made || (p->want & BIT(D_WEIGHT))) {
        d.x = p->t[X].view;
    }
    if (made || (p->want & BIT(D_X))) {
        d.weight = p->t[WEIGHT].view;
    }
    if (p->bias) {
        d.bias = p->t[BIAS].view;
    }
    if (p->with_z) {
        d.z = p->t[Z].view;
    }
    d.d_x = p->want & BIT(D_X) ? p->t[D_X].view : (vka_tensor){0};
    d.d_weight = p->want & BIT(D_WEIGHT) ? p->t[D_WEIGHT].view : (vka_tensor){0};
    d.d_bias = p->want & BIT(D_BIAS) ? p->t[D_BIAS].view : (vka_tensor){0};
    return d;
}

static void run(problem *p) {
    for (int i = 0; i < TENSORS; i++) {
        memcpy(p->t[i].values, p->before[i], p->t[i].count * sizeof(float));
        bool old = p->accumulate && (i == D_WEIGHT || i == D_BIAS);
        (i < D_X || old ? tensor_upload : tensor_poison)(&p->t[i]);
    }
    vka_linear_backward_desc d = describe(p);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_linear_backward(p->c->recorder, &d));
    context_finish(p->c);
    for (int i = 0; i < TENSORS; i++) {
        tensor_collect(&p->t[i], p->want >> i & 1 && i >= D_X, "a tensor", p->c->config->name);
    }
    for (int i = D_X; i < TENSORS; i++) {
        if (p->want >> i & 1) {
            compare(p, i, p->c->config->name);
        }
    }
}

/* By the path that compiles fastest where that takes seconds: the test of paths has the others. */
static void check_always(context *c, problem p) {
    if (context_compiles_slowly(c)) {
        p.path = VKA_LINEAR_PATH_TILE;
    }
    make(c, &p);
    run(&p);
    destroy(&p);
}

static void check(context *c, problem p) {
    if (!context_leaves_out(c, 11)) {
        check_always(c, p);
    }
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

/* The reference's own: central differences of sum(d_out activation(x W^T + bias)) in float64. */
static double loss(problem *p) {
    double total = 0;
    for (size_t row = 0; row < all_rows(p); row++) {
        for (uint32_t n = 0; n < p->outputs; n++) {
            double z = (double)p->t[BIAS].values[n];
            for (uint32_t k = 0; k < p->columns; k++) {
                z += (double)p->t[X].values[row * p->columns + k] * (double)weight_at(p, row, n, k);
            }
            total += (double)p->t[D_OUT].values[row * p->outputs + n] * ref_activation(p->activation, z);
        }
    }
    return total;
}

Test(linear_backward, reference) {
    static const int inputs[][2] = {{X, D_X}, {WEIGHT, D_WEIGHT}, {BIAS, D_BIAS}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 3; n++) {
        problem p = {.rank = 4,
                     .lead = {2, 2},
                     .rows = 2,
                     .outputs = 3,
                     .columns = 4,
                     .bias = true,
                     .batched = n,
                     .activation = n ? VKA_ACTIVATION_GELU : VKA_ACTIVATION_TANH};
        make(&c, &p);
        for (uint32_t i = 0; i < 3; i++) {
            tensor *t = &p.t[inputs[i][0]];
            for (size_t at = 0; at < t->count; at++) {
                float old = t->values[at], up = old + 0.0078125f, down = old - 0.0078125f;
                t->values[at] = up;
                double above = loss(&p);
                t->values[at] = down;
                double below = loss(&p), slope = (above - below) / ((double)up - (double)down);
                t->values[at] = old;
                cr_expect(fabs(element(&p, inputs[i][1], at).ref - slope) < 2e-3, "input %d: %g, not %g", inputs[i][0],
                          element(&p, inputs[i][1], at).ref, slope);
            }
        }
        destroy(&p);
    }
    context_close(&c);
}

/* Types and sizes take turns. */
Test(linear_backward, sizes) {
    static const uint32_t rows[] = {1, 3, 17, 65}, outputs[] = {1, 5, 33, 64, 129}, columns[] = {1, 7, 32, 96, 130};
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 12; n++) {
        problem p = {.rows = rows[n % 4],
                     .outputs = outputs[n % 5],
                     .columns = columns[n * 2 % 5],
                     .bias = n % 2,
                     .activation = (vka_activation)(n % 3 ? 0 : 1 + n / 3 % VKA_ACTIVATION_SIGMOID),
                     .accumulate = n % 4 > 1};
        for (uint32_t i = 0; i < TENSORS; i++) {
            p.type[i] = dtypes[(n + (i > D_OUT ? i : 0)) % DTYPES];
        }
        check(&c, p);
    }
    context_close(&c);
}

Test(linear_backward, mixed_types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 6; n++) {
        problem p = {
            .rows = 13, .outputs = 21, .columns = 34, .activation = n % 2 ? VKA_ACTIVATION_SILU : 0, .with_z = n % 2};
        for (uint32_t i = 0; i < TENSORS; i++) {
            p.type[i] = dtypes[(n + i * (n / 3 + 1)) % DTYPES];
        }
        check(&c, p);
    }
    context_close(&c);
}

Test(linear_backward, activations) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < VKA_ACTIVATION_SIGMOID; n++) {
        problem p = {.rows = 9,
                     .outputs = 20,
                     .columns = 24,
                     .activation = (vka_activation)(1 + n),
                     .with_z = n % 2,
                     .bias = !(n % 2)};
        for (uint32_t i = 0; i < TENSORS; i++) {
            p.type[i] = dtypes[n % DTYPES];
        }
        check(&c, p);
    }
    context_close(&c);
}

/* One by one, of what is there then. */
Test(linear_backward, absent) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 1; n < 8; n++) {
        check(&c, (problem){.rows = 6,
                            .outputs = 10,
                            .columns = 12,
                            .want = n * BIT(D_X),
                            .with_z = n % 2,
                            .activation = n % 2 ? VKA_ACTIVATION_RELU : VKA_ACTIVATION_NONE});
    }
    context_close(&c);
}

/* Layouts, of which some leave rows of all batches side by side; batches of weights, of both leading dimensions or one.
 */
Test(linear_backward, layouts) {
    static const problem list[] = {
        {.rank = 1, .outputs = 33, .columns = 40},
        {.rank = 3, .lead = {3}, .rows = 7, .outputs = 20, .columns = 48},
        {.rank = 4,
         .lead = {2, 3},
         .rows = 5,
         .outputs = 20,
         .columns = 24,
         .lie = {[X] = {"1203"}, [D_OUT] = {"0213"}}},
        {.rank = 3,
         .lead = {3},
         .rows = 7,
         .outputs = 20,
         .columns = 48,
         .lie = {[X] = {"102"}, [D_OUT] = {"210", 1, 1}}},
        {.rank = 2,
         .rows = 12,
         .outputs = 21,
         .columns = 32,
         .lie = {[X] = {"10"}, [D_X] = {"10"}, [D_WEIGHT] = {"10", 1}}},
        {.rank = 2, .rows = 12, .outputs = 40, .columns = 32, .lie = {[WEIGHT] = {"10", 1, 1}, [D_BIAS] = {.pad = 1}}},
        {.rank = 3, .lead = {3}, .rows = 7, .outputs = 20, .columns = 48, .batched = 2},
        {.rank = 4, .lead = {2, 3}, .rows = 5, .outputs = 21, .columns = 40, .batched = 3},
        {.rank = 4, .lead = {2, 3}, .rows = 5, .outputs = 16, .columns = 31, .batched = 1},
        {.rank = 4, .lead = {2, 3}, .rows = 5, .outputs = 16, .columns = 31, .batched = 2},
        {.rank = 4, .lead = {2, 3}, .rows = 5, .outputs = 16, .columns = 32, .batched = 2, .lie = {[D_OUT] = {"1023"}}},
        {.rank = 4, .lead = {2, 3}, .rows = 5, .outputs = 16, .columns = 32, .batched = 1, .lie = {[X] = {"2013", 1}}},
    };
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof list / sizeof *list; i++) {
        problem p = list[i];
        for (uint32_t k = 0; k < TENSORS; k++) {
            p.type[k] = dtypes[i % DTYPES];
        }
        p.activation = i % 2 ? VKA_ACTIVATION_GELU_TANH : VKA_ACTIVATION_NONE;
        p.bias = i % 2;
        p.accumulate = i % 3 == 1;
        check(&c, p);
    }
    context_close(&c);
}

Test(linear_backward, quantised) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 4; n++) {
        vka_dtype type = n % 2 ? VKA_F16 : VKA_F32;
        check(&c, (problem){.rows = 9,
                            .outputs = 37,
                            .columns = 64,
                            .want = BIT(D_X),
                            .type = {[X] = type, [WEIGHT] = n / 2 ? VKA_Q4_0 : VKA_Q8_0, [D_OUT] = type, [D_X] = type},
                            .activation = n % 2 ? VKA_ACTIVATION_SILU : VKA_ACTIVATION_NONE});
    }
    context_close(&c);
}

/* So many that sums are split, of bias too; every path that takes all products. */
Test(linear_backward, paths) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n <= VKA_LINEAR_PATH_COOPMAT2; n++) {
        problem p = {.rows = 2100, .outputs = 24, .columns = 40, .path = (vka_linear_path)n};
        if (context_leaves_out(&c, 3)) {
            continue;
        }
        for (uint32_t i = 0; i < TENSORS; i++) {
            p.type[i] = n == VKA_LINEAR_PATH_AUTO || n == VKA_LINEAR_PATH_ROW ? VKA_F32 : VKA_F16;
        }
        make(&c, &p);
        vka_linear_backward_desc d = describe(&p);
        log_clear();
        vka_status status = vka_linear_backward_prepare(c.device, &d);
        cr_assert(status == VKA_OK || (p.path && status == VKA_UNSUPPORTED));
        log_clear();
        if (status == VKA_OK) {
            run(&p);
        }
        destroy(&p);
    }
    context_close(&c);
}

Test(linear_backward, narrow) {
    static const device_config *const small[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                 &config_no_sub};
    for (uint32_t n = 0; n < 4; n++) {
        context c;
        context_open(&c, small[n]);
        check(&c, (problem){.rows = 70, .outputs = 90, .columns = 60, .activation = VKA_ACTIVATION_RELU});
        context_close(&c);
    }
}

/* Without rows, outputs or columns: hardly a kernel is needed, and nothing left out. */
Test(linear_backward, empty) {
    context c;
    context_open(&c, &config_real);
    check_always(&c, (problem){.rows = 0, .outputs = 8, .columns = 12});
    check_always(
        &c, (problem){.rows = 0, .outputs = 8, .columns = 12, .accumulate = true, .activation = VKA_ACTIVATION_SILU});
    check_always(&c, (problem){.rows = 5, .outputs = 0, .columns = 12, .want = BIT(D_X)});
    check_always(&c, (problem){.rows = 5, .outputs = 8, .columns = 0, .want = BIT(D_BIAS)});
    context_close(&c);
}

Test(linear_backward, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F32, 3, 8), w = vka_tensor_2d(NULL, VKA_F32, 5, 8),
               y = vka_tensor_2d(NULL, VKA_F32, 3, 5);
    const vka_linear_backward_desc good = {.x = x, .weight = w, .d_out = y, .d_x = x, .d_weight = w};
    vka_linear_backward_desc d = good;
    EXPECT_OK(vka_linear_backward_prepare(c.device, &d));
    d.x = (vka_tensor){0};
    EXPECT_FAILURE(vka_linear_backward_prepare(c.device, &d), VKA_INVALID, "vka_linear_backward.x");
    d = good;
    d.weight = (vka_tensor){0};
    EXPECT_FAILURE(vka_linear_backward_prepare(c.device, &d), VKA_INVALID, "vka_linear_backward.weight");
    d = good;
    d.d_x = d.d_weight = (vka_tensor){0};
    EXPECT_FAILURE(vka_linear_backward_prepare(c.device, &d), VKA_INVALID, "vka_linear_backward.d_x");
    d = good;
    d.z = y;
    EXPECT_FAILURE(vka_linear_backward_prepare(c.device, &d), VKA_INVALID, "vka_linear_backward.z");
    d = good;
    d.d_weight = vka_tensor_2d(NULL, VKA_F32, 4, 8);
    EXPECT_FAILURE(vka_linear_backward_prepare(c.device, &d), VKA_INVALID, "vka_linear_backward.d_weight");
    d = good;
    d.x = d.d_x = vka_tensor_2d(NULL, VKA_F32, 3, 32);
    d.weight = vka_tensor_2d(NULL, VKA_Q8_0, 5, 32);
    d.d_weight = vka_tensor_2d(NULL, VKA_F32, 5, 32);
    EXPECT_FAILURE(vka_linear_backward_prepare(c.device, &d), VKA_INVALID, "vka_linear_backward.d_weight");
    d = good;
    d.path = (vka_linear_path)7;
    EXPECT_FAILURE(vka_linear_backward_prepare(c.device, &d), VKA_INVALID, "vka_linear_backward.path");
    context_close(&c);
}
