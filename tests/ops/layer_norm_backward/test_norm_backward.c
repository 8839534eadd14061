/* Gradients of layer norm and RMS norm against float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/norm.h>

#include "op/op.h"
#include "plan_check.h"
#include "plan_devices.h"
#include "plan_view.h"
#include "support/context.h"
#include "support/tensor.h"

/* Tensors with rows, statistics, and of columns. */
enum { X, D_OUT, RESIDUAL, D_SUM, D_X, MEAN, INVERSE, WEIGHT, D_WEIGHT, D_BIAS, TENSORS };
static const char *const names[] = {"x",    "d_out",   "residual", "d_sum",    "d_x",
                                    "mean", "inverse", "weight",   "d_weight", "d_bias"};
#define BIT(tensor) (1u << (tensor))
#define GRADIENTS   (BIT(D_X) | BIT(D_WEIGHT) | BIT(D_BIAS))
#define STATISTICS  (BIT(MEAN) | BIT(INVERSE))

/* Zero types: f32. */
typedef struct problem {
    vka_dtype type, weight_type, parameter_type;
    uint32_t rank, shape[4];
    uint32_t has; /* tensors that are there besides x and d_out: bits */
    layout layout;
    bool rms, zero_centred, accumulate;
    uint32_t in_place; /* d_x is in place of this one; D_X: of none; 0: of x */
    float center, epsilon;

    context *c;
    uint32_t rows, cols;
    tensor t[TENSORS];
    float *values[TENSORS]; /* as uploaded */
    double *d_x, *d_weight, *d_bias;
    float *naive_d_x, *naive_d_weight, *naive_d_bias;
} problem;

static bool has(const problem *p, uint32_t which) {
    return p->has >> which & 1;
}

static void make_tensors(problem *p) {
    uint32_t one = 1, rank = p->rank > 1 ? p->rank - 1 : 1;
    const uint32_t *of_rows = p->rank > 1 ? p->shape : &one;
    layout flat = {.pad = p->layout.pad, .shift = p->layout.shift};
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t i = 0; i < TENSORS; i++) {
        vka_dtype type = i == WEIGHT ? p->weight_type : i >= D_WEIGHT ? p->parameter_type : p->type;
        p->t[i] = i <= D_X     ? tensor_create(p->c, type, p->rank, p->shape, p->layout)
                  : i < WEIGHT ? tensor_create(p->c, VKA_F32, rank, of_rows, flat)
                               : tensor_create(p->c, type, 1, &p->cols, flat);
        tensor_fill_normal(&p->t[i], &rng, i == X ? p->center : i == WEIGHT ? 1 : 0, i == WEIGHT ? 0.3f : 1);
        tensor_round(&p->t[i]);
    }
}

static ref_norm reference_of(const problem *p) {
    return (ref_norm){.rows = p->rows,
                      .cols = p->cols,
                      .x = p->values[X],
                      .weight = has(p, WEIGHT) ? p->values[WEIGHT] : NULL,
                      .residual = has(p, RESIDUAL) ? p->values[RESIDUAL] : NULL,
                      .rms = p->rms,
                      .zero_centred = p->zero_centred,
                      .epsilon = p->epsilon != 0 ? (double)p->epsilon : 1e-5};
}

static void *make_room(size_t count, size_t size) {
    void *room = calloc(count + 1, size);
    cr_assert_not_null(room);
    return room;
}

static void compute(problem *p) {
    size_t count = (size_t)p->rows * p->cols;
    p->d_x = make_room(count, sizeof(double));
    p->d_weight = make_room(p->cols, sizeof(double));
    p->d_bias = make_room(p->cols, sizeof(double));
    p->naive_d_x = make_room(count, sizeof(float));
    p->naive_d_weight = make_room(p->cols, sizeof(float));
    p->naive_d_bias = make_room(p->cols, sizeof(float));
    ref_norm n = reference_of(p);
    double *out = make_room(p->cols, sizeof *out), mean, inverse;
    const float *d_sum = has(p, D_SUM) ? p->values[D_SUM] : NULL;
    for (uint32_t row = 0; row < p->rows; row++) {
        ref_norm_row(&n, p->type, row, out, NULL, &mean, &inverse);
        p->t[MEAN].values[row] = (float)mean;
        p->t[INVERSE].values[row] = (float)inverse;
        ref_norm_backward_row(&n, p->type, row, p->values[D_OUT], d_sum, p->d_x + (size_t)row * p->cols, p->d_weight,
                              p->d_bias);
        ref_norm_naive_backward_row(&n, p->type, row, p->values[D_OUT], d_sum, p->naive_d_x + (size_t)row * p->cols,
                                    p->naive_d_weight, p->naive_d_bias);
    }
    for (uint32_t i = 0; i < p->cols; i++) {
        float weight = p->accumulate ? p->values[D_WEIGHT][i] : 0, bias = p->accumulate ? p->values[D_BIAS][i] : 0;
        p->d_weight[i] += (double)weight;
        p->d_bias[i] += (double)bias;
        p->naive_d_weight[i] = ref_round(p->parameter_type, p->naive_d_weight[i] + weight);
        p->naive_d_bias[i] = ref_round(p->parameter_type, p->naive_d_bias[i] + bias);
    }
    free(out);
}

static void make(context *c, problem *p) {
    p->c = c;
    p->type = p->type ? p->type : VKA_F32;
    p->weight_type = p->weight_type ? p->weight_type : p->type;
    p->parameter_type = p->parameter_type ? p->parameter_type : VKA_F32;
    p->has &= p->rms ? ~(BIT(MEAN) | BIT(D_BIAS)) : ~0u;
    p->cols = p->shape[p->rank - 1];
    p->rows = 1;
    for (uint32_t i = 0; i + 1 < p->rank; i++) {
        p->rows *= p->shape[i];
    }
    make_tensors(p);
    for (uint32_t i = 0; i < TENSORS; i++) {
        p->values[i] = make_room(p->t[i].count, sizeof(float));
        memcpy(p->values[i], p->t[i].values, p->t[i].count * sizeof(float));
    }
    compute(p);
    memcpy(p->values[MEAN], p->t[MEAN].values, p->rows * sizeof(float));
    memcpy(p->values[INVERSE], p->t[INVERSE].values, p->rows * sizeof(float));
}

static void destroy(problem *p) {
    for (uint32_t i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
        free(p->values[i]);
    }
    void *const all[] = {p->d_x, p->d_weight, p->d_bias, p->naive_d_x, p->naive_d_weight, p->naive_d_bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

static vka_tensor view(const problem *p, uint32_t which) {
    return has(p, which) ? p->t[which].view : (vka_tensor){0};
}

static vka_layer_norm_backward_desc describe(const problem *p, vka_norm_path path) {
    return (vka_layer_norm_backward_desc){
        .x = p->t[X].view,
        .d_out = p->t[D_OUT].view,
        .weight = view(p, WEIGHT),
        .residual = view(p, RESIDUAL),
        .mean = view(p, MEAN),
        .inv_std = view(p, INVERSE),
        .d_sum = view(p, D_SUM),
        .d_x = has(p, D_X) ? p->t[p->in_place].view : (vka_tensor){0},
        .d_weight = view(p, D_WEIGHT),
        .d_bias = view(p, D_BIAS),
        .epsilon = p->epsilon,
        .path = path,
        .accumulate = p->accumulate,
    };
}

static vka_status record(const problem *p, vka_norm_path path) {
    vka_layer_norm_backward_desc d = describe(p, path);
    if (!p->rms) {
        return vka_layer_norm_backward(p->c->recorder, &d);
    }
    vka_rms_norm_backward_desc r = {.x = d.x,
                                    .d_out = d.d_out,
                                    .weight = d.weight,
                                    .residual = d.residual,
                                    .inv_rms = d.inv_std,
                                    .d_sum = d.d_sum,
                                    .d_x = d.d_x,
                                    .d_weight = d.d_weight,
                                    .epsilon = d.epsilon,
                                    .path = d.path,
                                    .zero_centred = p->zero_centred,
                                    .accumulate = d.accumulate};
    return vka_rms_norm_backward(p->c->recorder, &r);
}

static void execute(problem *p, vka_norm_path path) {
    for (uint32_t i = 0; i < TENSORS; i++) {
        bool output = i == D_X || i >= D_WEIGHT;
        memcpy(p->t[i].values, p->values[i], p->t[i].count * sizeof(float));
        if (output && !(p->accumulate && i >= D_WEIGHT)) {
            tensor_poison(&p->t[i]);
        } else {
            tensor_upload(&p->t[i]);
        }
    }
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(record(p, path));
    context_finish(p->c);
}

static void compare(const problem *p, uint32_t which, size_t count, const float *got, const double *ref,
                    const float *naive, vka_norm_path path) {
    ref_error e = {0};
    for (size_t i = 0; i < count; i++) {
        ref_error_add(&e, (double)got[i], (double)naive[i], ref[i]);
    }
    cr_assert(ref_error_ok(&e), "%s, path %d, %s, %u rows of %u, tensors %x: %s is off by %g, naive by %g%s; seed %llu",
              p->rms ? "RMS" : "layer", path, dtype_name(p->type), p->rows, p->cols, p->has, names[which], e.out,
              e.naive, e.broken ? ", NaN or infinity out of place" : "", (unsigned long long)test_seed());
}

static void run(problem *p, vka_norm_path path) {
    char what[96];
    snprintf(what, sizeof what, "path %d, %u rows of %u", path, p->rows, p->cols);
    execute(p, path);
    uint32_t d_x = p->in_place;
    for (uint32_t i = 0; i < TENSORS; i++) {
        bool output = has(p, i) && i >= D_WEIGHT;
        tensor_collect(&p->t[i], output || (has(p, D_X) && i == d_x), names[i], what);
    }
    if (has(p, D_X)) {
        compare(p, D_X, p->t[X].count, p->t[d_x].values, p->d_x, p->naive_d_x, path);
    }
    if (has(p, D_WEIGHT)) {
        compare(p, D_WEIGHT, p->cols, p->t[D_WEIGHT].values, p->d_weight, p->naive_d_weight, path);
    }
    if (has(p, D_BIAS)) {
        compare(p, D_BIAS, p->cols, p->t[D_BIAS].values, p->d_bias, p->naive_d_bias, path);
    }
}

static void both_paths(context *c, problem p) {
    bool lane = !context_leaves_out(c, 13), group = !context_leaves_out(c, 13);
    if (!lane && !group) {
        return;
    }
    make(c, &p);
    if (lane) {
        run(&p, VKA_NORM_PATH_LANE);
    }
    if (group) {
        run(&p, VKA_NORM_PATH_GROUP);
    }
    destroy(&p);
}

/* Of what paths do alike, on all drivers. */
static void one_path(context *c, problem p) {
    make(c, &p);
    run(&p, VKA_NORM_PATH_AUTO);
    destroy(&p);
}

static void widths(vka_dtype type) {
    static const uint32_t list[] = {1, 2, 7, 8, 31, 64, 127, 768, 1025, 4096, 9001};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * sizeof list / sizeof *list; i++) {
        both_paths(&c, (problem){.type = type,
                                 .rank = 2,
                                 .shape = {list[i / 2] > 1000 ? 5 : 53, list[i / 2]},
                                 .has = GRADIENTS | BIT(WEIGHT) | (i / 2 % 2 ? STATISTICS : 0),
                                 .in_place = D_X,
                                 .rms = i % 2});
    }
    context_close(&c);
}

Test(norm_backward, widths_f32) {
    widths(VKA_F32);
}

Test(norm_backward, widths_f16) {
    widths(VKA_F16);
}

Test(norm_backward, widths_bf16) {
    widths(VKA_BF16);
}

/* Each optional tensor there and not there; gradients alone and together; types of parameters. */
Test(norm_backward, tensors) {
    static const uint32_t gradients[] = {GRADIENTS, BIT(D_X), BIT(D_WEIGHT), BIT(D_WEIGHT) | BIT(D_BIAS), BIT(D_BIAS)};
    context c;
    context_open(&c, &config_real);
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t i = 0; i < 40; i++) {
        bool rms = i % 2 && gradients[i % 5] != BIT(D_BIAS), weight = ref_rng_below(&rng, 4);
        both_paths(&c, (problem){.type = dtypes[i % DTYPES],
                                 .weight_type = i % 4 == 1 ? VKA_F32 : 0,
                                 .parameter_type = dtypes[i / 3 % DTYPES],
                                 .rank = 3,
                                 .shape = {3, 7, 36 + i % 3},
                                 .has = gradients[i % 5] | (weight ? BIT(WEIGHT) : 0) |
                                        (ref_rng_below(&rng, 2) ? BIT(RESIDUAL) : 0) |
                                        (ref_rng_below(&rng, 2) ? BIT(D_SUM) : 0) |
                                        (ref_rng_below(&rng, 2) ? STATISTICS : 0),
                                 .in_place = D_X,
                                 .accumulate = ref_rng_below(&rng, 2),
                                 .rms = rms,
                                 .zero_centred = rms && weight && ref_rng_below(&rng, 2),
                                 .center = i % 3 == 2 ? 5 : 0,
                                 .epsilon = i % 4 == 2 ? 0.5f : 0});
    }
    context_close(&c);
}

Test(norm_backward, layouts) {
    static const struct {
        uint32_t rank, shape[4];
        const char *order;
    } list[] = {{1, {41}, NULL},        {2, {7, 33}, "10"},         {3, {3, 5, 64}, "102"},
                {3, {4, 5, 12}, "210"}, {4, {2, 3, 4, 20}, "0213"}, {4, {2, 3, 4, 19}, "3120"}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 18; i++) {
        problem p = {.type = dtypes[i % 3],
                     .rank = list[i % 6].rank,
                     .layout = {list[i % 6].order, i % 2, i / 6},
                     .has = GRADIENTS | BIT(WEIGHT) | BIT(RESIDUAL) | BIT(D_SUM) | (i / 6 % 2 ? STATISTICS : 0),
                     .in_place = D_X,
                     .rms = i % 2};
        memcpy(p.shape, list[i % 6].shape, sizeof p.shape);
        both_paths(&c, p);
    }
    context_close(&c);
}

Test(norm_backward, in_place) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 12; i++) {
        both_paths(&c, (problem){.type = dtypes[i % DTYPES],
                                 .rank = 2,
                                 .shape = {11, i / 4 == 0   ? 63
                                               : i / 4 == 1 ? 64
                                                            : 3001},
                                 .has = GRADIENTS | BIT(WEIGHT) | BIT(RESIDUAL) | BIT(D_SUM),
                                 .in_place = i % 4, /* x, d_out, residual, d_sum */
                                 .rms = i / 4 % 2,
                                 .layout = {.pad = i % 2}});
    }
    context_close(&c);
}

/* More than a chunk, and than a dispatch of a device with few workgroups; few columns and many. */
Test(norm_backward, many_rows) {
    context c;
    for (uint32_t i = 0; i < 2; i++) {
        context_open(&c, i ? &config_few_groups : &config_real);
        both_paths(&c, (problem){.rank = 3,
                                 .shape = {7, 259, 13},
                                 .has = GRADIENTS | BIT(WEIGHT),
                                 .in_place = D_X,
                                 .layout = {.order = "102"},
                                 .center = 1});
        both_paths(&c, (problem){.rank = 2, .shape = {601, 132}, .has = GRADIENTS, .in_place = D_X, .rms = true});
        context_close(&c);
    }
}

/* Bindings that see some of the rows. */
Test(norm_backward, boxes) {
    context c;
    context_open(&c, &config_short);
    one_path(&c, (problem){.rank = 2, .shape = {170, 300}, .has = GRADIENTS | BIT(WEIGHT), .in_place = D_X});
    one_path(&c, (problem){.type = VKA_F16,
                           .rank = 3,
                           .shape = {5, 61, 301},
                           .has = GRADIENTS | BIT(RESIDUAL),
                           .in_place = D_X,
                           .rms = true});
    context_close(&c);
}

/* So many boxes, and so many columns, that their sums must share memory. */
Test(norm_backward, shared_sums) {
    context c;
    context_open(&c, &config_short);
    one_path(&c, (problem){.rank = 2,
                           .shape = {35, 9000},
                           .has = BIT(D_WEIGHT) | STATISTICS,
                           .in_place = D_X,
                           .parameter_type = VKA_F16});
    context_close(&c);
}

/* A row's d_x has the same bits alone, and all have the same bits every time. */
Test(norm_backward, bits) {
    context c;
    context_open(&c, &config_real);
    problem all = {.type = VKA_F16, .rank = 2, .shape = {70, 515}, .has = GRADIENTS | BIT(WEIGHT), .in_place = D_X};
    make(&c, &all);
    execute(&all, VKA_NORM_PATH_AUTO);
    cr_assert(tensor_download(&all.t[D_X]) && tensor_download(&all.t[D_WEIGHT]));
    float *d_x = make_room(all.t[D_X].count, sizeof *d_x), *d_weight = make_room(all.cols, sizeof *d_weight);
    memcpy(d_x, all.t[D_X].values, all.t[D_X].count * sizeof *d_x);
    memcpy(d_weight, all.t[D_WEIGHT].values, all.cols * sizeof *d_weight);
    execute(&all, VKA_NORM_PATH_AUTO);
    cr_assert(tensor_download(&all.t[D_X]) && tensor_download(&all.t[D_WEIGHT]));
    cr_assert(!memcmp(d_x, all.t[D_X].values, all.t[D_X].count * sizeof *d_x));
    cr_assert(!memcmp(d_weight, all.t[D_WEIGHT].values, all.cols * sizeof *d_weight));
    tensor_poison(&all.t[D_X]);
    vka_layer_norm_backward_desc one = describe(&all, VKA_NORM_PATH_AUTO);
    vka_tensor *const rows[] = {&one.x, &one.d_out, &one.d_x};
    for (int i = 0; i < 3; i++) {
        rows[i]->shape[0] = 1;
        rows[i]->offset += 33 * rows[i]->stride[0] * 2;
    }
    one.d_weight = one.d_bias = (vka_tensor){0};
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_layer_norm_backward(c.recorder, &one));
    context_finish(&c);
    tensor_download(&all.t[D_X]);
    cr_assert(!memcmp(d_x + 33 * 515, all.t[D_X].values + 33 * 515, 515 * sizeof *d_x));
    free(d_x);
    free(d_weight);
    destroy(&all);
    context_close(&c);
}

/* Sums of no rows are 0. */
Test(norm_backward, no_rows) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t accumulate = 0; accumulate < 2; accumulate++) {
        problem p = {.rank = 2, .shape = {4, 19}, .has = GRADIENTS, .in_place = D_X, .accumulate = accumulate};
        make(&c, &p);
        tensor_upload(&p.t[D_WEIGHT]);
        tensor_upload(&p.t[D_BIAS]);
        vka_layer_norm_backward_desc d = describe(&p, VKA_NORM_PATH_AUTO);
        d.x.shape[0] = d.d_out.shape[0] = d.d_x.shape[0] = 0;
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_layer_norm_backward(c.recorder, &d));
        context_finish(&c);
        for (uint32_t t = D_WEIGHT; t <= D_BIAS; t++) {
            cr_assert(tensor_download(&p.t[t]));
            for (uint32_t i = 0; i < p.cols; i++) {
                float want = accumulate ? p.values[t][i] : 0;
                cr_assert(p.t[t].values[i] == want, "%s[%u] is %g", names[t], i, (double)p.t[t].values[i]);
            }
        }
        destroy(&p);
    }
    context_close(&c);
}

/* What no table says. */
Test(norm_backward, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F16, 3, 8);
    vka_layer_norm_backward_desc d = {.x = x, .d_out = x};
    EXPECT_FAILURE(vka_layer_norm_backward_prepare(c.device, &d), VKA_INVALID, "vka_layer_norm_backward.d_x");
    d.d_x = x;
    EXPECT_OK(vka_layer_norm_backward_prepare(c.device, &d));
    d.mean = vka_tensor_1d(NULL, VKA_F32, 3);
    EXPECT_FAILURE(vka_layer_norm_backward_prepare(c.device, &d), VKA_INVALID, "vka_layer_norm_backward.mean");
    d.inv_std = d.mean;
    EXPECT_OK(vka_layer_norm_backward_prepare(c.device, &d));
    vka_rms_norm_backward_desc r = {.x = x, .d_out = x, .d_x = x, .zero_centred = true};
    EXPECT_FAILURE(vka_rms_norm_backward_prepare(c.device, &r), VKA_INVALID, "vka_rms_norm_backward.zero_centred");
    context_close(&c);
}

/* What is not asked for is not done. */
Test(norm_backward, steps) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F16, 3, 8), rows = vka_tensor_1d(NULL, VKA_F32, 3);
    vka_layer_norm_backward_desc d = {.x = x, .d_out = x, .d_x = x};
    vka_requirements need;
    EXPECT_OK(vka_layer_norm_backward_requirements(c.device, &d, &need));
    cr_expect(need.dispatches == 2 && need.workspace_bytes == 512, "statistics and d_x");
    d.mean = d.inv_std = rows;
    EXPECT_OK(vka_layer_norm_backward_requirements(c.device, &d, &need));
    cr_expect(need.dispatches == 1 && need.workspace_bytes == 0, "d_x");
    d.d_x = d.mean = d.inv_std = (vka_tensor){0};
    d.d_bias = vka_tensor_1d(NULL, VKA_F32, 8);
    EXPECT_OK(vka_layer_norm_backward_requirements(c.device, &d, &need));
    cr_expect(need.dispatches == 2 && need.workspace_bytes == 256, "sums need no statistics");
    d.d_weight = d.d_bias;
    EXPECT_OK(vka_layer_norm_backward_requirements(c.device, &d, &need));
    cr_expect(need.dispatches == 3, "statistics, sums and their sums");
    context_close(&c);
}

/* Plans for devices that are not here keep to their limits. */
Test(norm_backward, plans) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 20 * DEVICES; n++) {
        const device *d = &devices[n % DEVICES];
        uint32_t rows = ONE_OF(&rng, 1, 77, 3000, 1000000), cols = ONE_OF(&rng, 1, 7, 1023, 65536);
        vka__view x = random_view(&rng, VKA_F16, 1, 1, rows, cols);
        vka_layer_norm_backward_desc desc = {.x = tensor_of(&x, 2),
                                             .d_out = tensor_of(&x, 2),
                                             .d_x = tensor_of(&x, 2),
                                             .d_weight = vka_tensor_1d(NULL, VKA_F32, cols),
                                             .d_bias = vka_tensor_1d(NULL, VKA_BF16, cols),
                                             .path = (vka_norm_path)(n % 3)};
        vka__call c;
        if (!PLAN(&c, layer_norm_backward, &d->caps, &desc)) {
            cr_assert_gt(vka__view_extent(&x, 3) * 2 + 8 * (uint64_t)rows + 1024, d->caps.storage_range,
                         "%s refuses %s: %s", d->name, c.refusal.field, c.refusal.reason);
            continue;
        }
        for (uint32_t i = 0; i < c.key_count; i++) {
            bool shares = !strstr(vka__kernel_name((vka__kernel)c.key[i].kernel), "lane");
            check_key(d, &c.key[i], shares ? 8 * c.key[i].spec[VKA_SPEC_GROUP_SIZE] : 0);
        }
        for (uint64_t i = 0; i < c.dispatches; i += 1 + c.dispatches / 100) {
            vka__dispatch at;
            vka__call_dispatch(&c, i, &at);
            check_dispatch(d, &at);
        }
    }
}
