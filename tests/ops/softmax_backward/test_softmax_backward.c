/* Gradients of softmax against float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/softmax.h>

#include "op/op.h"
#include "plan_check.h"
#include "plan_devices.h"
#include "plan_view.h"
#include "support/context.h"
#include "support/tensor.h"

/* Zero types: f32. */
typedef struct problem {
    vka_dtype type, d_out_type, d_x_type;
    uint32_t rank, shape[4];
    layout layout;
    bool lengths, log;
    int in_place; /* 1: over out, 2: over d_out */
    float scale;
    bool unusual;

    context *c;
    uint32_t rows, cols, first; /* first: the size of the dimension that has lengths */
    tensor out, d_out, d_x, list;
    float *y, *d_y; /* as uploaded */
    int32_t *live;
} problem;

static uint32_t live(const problem *p, uint32_t row) {
    return p->lengths ? (uint32_t)p->live[row / (p->rows / p->first)] : p->cols;
}

/* Hidden columns hold what must not matter, beyond lengths and where the probability is 0. */
static void hide(problem *p) {
    for (uint32_t row = 0; row < p->rows; row++) {
        for (uint32_t col = 0; col < p->cols; col++) {
            size_t at = (size_t)row * p->cols + col;
            bool hidden = col >= live(p, row), none = p->unusual && (col % 5 == 1 || row % 7 == 2);
            p->out.values[at] = hidden ? NAN : none ? (p->log ? -INFINITY : 0) : p->out.values[at];
            p->d_out.values[at] = hidden || none ? (col % 2 ? NAN : INFINITY) : p->d_out.values[at];
            if (p->unusual && !hidden && row % 7 == 4 && col == 3) {
                p->d_out.values[at] = NAN;
            }
        }
    }
}

/* A softmax of random logits. */
static void fill(problem *p) {
    ref_rng rng = ref_rng_seed(test_seed());
    tensor_fill_normal(&p->out, &rng, 0, 2);
    tensor_fill_normal(&p->d_out, &rng, 0, 1);
    double *y = malloc((p->cols + 1) * sizeof *y);
    cr_assert_not_null(y);
    for (uint32_t i = 0; i < p->first; i++) {
        p->live[i] = (int32_t)(i % 5 == 1 ? 0 : i % 5 == 2 ? p->cols : ref_rng_below(&rng, p->cols + 1));
        p->list.values[i] = i % 10 == 1 ? -7 : i % 10 == 2 ? (float)p->cols + 3 : (float)p->live[i];
    }
    for (uint32_t row = 0; row < p->rows; row++) {
        float *x = p->out.values + (size_t)row * p->cols;
        ref_logits_softmax(&(ref_logits){.cols = p->cols, .live = live(p, row), .x = x, .scale = 1, .log = p->log}, y);
        for (uint32_t i = 0; i < p->cols; i++) {
            x[i] = (float)y[i];
        }
    }
    free(y);
    hide(p);
    tensor_round(&p->out);
    tensor_round(&p->d_out);
}

static void make(context *c, problem *p) {
    p->c = c;
    p->type = p->type ? p->type : VKA_F32;
    p->d_out_type = p->d_out_type ? p->d_out_type : p->type;
    p->d_x_type = p->in_place == 1 ? p->type : p->in_place ? p->d_out_type : p->d_x_type ? p->d_x_type : p->type;
    p->cols = p->shape[p->rank - 1];
    p->first = p->rank > 1 ? p->shape[0] : 1;
    p->rows = 1;
    for (uint32_t i = 0; i + 1 < p->rank; i++) {
        p->rows *= p->shape[i];
    }
    p->out = tensor_create(c, p->type, p->rank, p->shape, p->layout);
    p->d_out = tensor_create(c, p->d_out_type, p->rank, p->shape, p->layout);
    p->d_x = tensor_create(c, p->d_x_type, p->rank, p->shape, p->layout);
    p->list = tensor_create(c, VKA_I32, 1, &p->first, (layout){.pad = p->layout.pad});
    size_t size = p->out.count * sizeof(float);
    p->y = malloc(size + 1);
    p->d_y = malloc(size + 1);
    p->live = calloc(p->first + 1, sizeof *p->live);
    cr_assert(p->y && p->d_y && p->live);
    fill(p);
    memcpy(p->y, p->out.values, size);
    memcpy(p->d_y, p->d_out.values, size);
}

static void destroy(problem *p) {
    tensor_destroy(&p->out);
    tensor_destroy(&p->d_out);
    tensor_destroy(&p->d_x);
    tensor_destroy(&p->list);
    free(p->y);
    free(p->d_y);
    free(p->live);
}

/* In units of the row's largest gradient, or every result of a long row would be near enough to 0. */
static void compare(const problem *p, const tensor *got, vka_softmax_path path) {
    double *ref = malloc((p->cols + 1) * sizeof *ref);
    float *naive = malloc((p->cols + 1) * sizeof *naive);
    cr_assert(ref && naive);
    ref_error e = {0};
    for (uint32_t row = 0; row < p->rows; row++) {
        size_t first = (size_t)row * p->cols;
        ref_softmax_backward s = {.cols = p->cols,
                                  .live = live(p, row),
                                  .y = p->y + first,
                                  .d_y = p->d_y + first,
                                  .scale = p->scale != 0 ? (double)p->scale : 1,
                                  .log = p->log};
        ref_softmax_backward_row(&s, ref);
        ref_softmax_backward_naive_row(&s, p->d_x_type, naive);
        double unit = 0;
        for (uint32_t i = 0; i < p->cols; i++) {
            unit = fmax(unit, fabs(ref[i]));
        }
        unit = unit > 0 ? unit : 1;
        for (uint32_t i = 0; i < p->cols; i++) {
            double out = (double)got->values[first + i];
            ref_error_add(&e, out / unit, (double)naive[i] / unit, ref[i] / unit);
            cr_assert(!e.broken && (ref[i] != 0 || out == 0), "path %d, row %u with %u, column %u: %g, not %g", path,
                      row, s.live, i, out, ref[i]);
        }
    }
    cr_assert(ref_error_ok(&e), "path %d, %s, %u rows of %u%s: off by %g, naive by %g; VKATTN_SEED=%llu", path,
              dtype_name(p->type), p->rows, p->cols, p->log ? ", log" : "", e.out, e.naive,
              (unsigned long long)test_seed());
    free(ref);
    free(naive);
}

static void run(problem *p, vka_softmax_path path) {
    tensor *d_x = p->in_place == 1 ? &p->out : p->in_place ? &p->d_out : &p->d_x;
    vka_softmax_backward_desc d = {
        .out = p->out.view, .d_out = p->d_out.view, .d_x = d_x->view, .scale = p->scale, .path = path, .log = p->log};
    d.lengths.tensor = p->lengths ? p->list.view : (vka_tensor){0};
    memcpy(p->out.values, p->y, p->out.count * sizeof *p->y);
    memcpy(p->d_out.values, p->d_y, p->out.count * sizeof *p->y);
    tensor_upload(&p->out);
    tensor_upload(&p->d_out);
    tensor_upload(&p->list);
    tensor_poison(&p->d_x);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_softmax_backward(p->c->recorder, &d));
    context_finish(p->c);
    cr_assert(tensor_download(d_x), "writes outside of d_x");
    compare(p, d_x, path);
}

static void both_paths(context *c, problem p) {
    bool lane = !context_leaves_out(c, 7), group = !context_leaves_out(c, 7);
    if (!lane && !group) {
        return;
    }
    make(c, &p);
    if (lane) {
        run(&p, VKA_SOFTMAX_PATH_LANE);
    }
    if (group) {
        run(&p, VKA_SOFTMAX_PATH_GROUP);
    }
    destroy(&p);
}

Test(softmax_backward, widths) {
    static const uint32_t list[] = {1, 2, 3, 7, 8, 31, 64, 127, 768, 1024, 4095, 8192, 33001};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 3 * sizeof list / sizeof *list; i++) {
        uint32_t width = list[i / 3];
        both_paths(&c, (problem){.type = dtypes[i % 3],
                                 .rank = 2,
                                 .shape = {width > 5000 ? 2 : 19, width},
                                 .scale = i % 4 ? 0 : 0.25f,
                                 .log = i / 3 % 2});
    }
    context_close(&c);
}

Test(softmax_backward, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 9; n++) {
        both_paths(&c, (problem){.type = dtypes[n % 3],
                                 .d_out_type = dtypes[n / 3],
                                 .d_x_type = dtypes[(n + n / 3) % 3],
                                 .rank = 3,
                                 .shape = {2, 5, 36 + n % 2},
                                 .log = n % 2,
                                 .lengths = true});
    }
    context_close(&c);
}

Test(softmax_backward, layouts) {
    static const struct {
        uint32_t rank, shape[4];
        const char *order;
    } list[] = {{1, {41}, NULL},        {2, {7, 33}, "10"},         {3, {3, 5, 64}, "102"},
                {3, {4, 5, 12}, "210"}, {4, {2, 3, 4, 20}, "0213"}, {4, {2, 3, 4, 19}, "0312"}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 12; i++) {
        problem p = {.type = dtypes[i % 3],
                     .rank = list[i % 6].rank,
                     .layout = {list[i % 6].order, i / 6, i / 6},
                     .lengths = i % 2,
                     .log = i / 2 % 2};
        memcpy(p.shape, list[i % 6].shape, sizeof p.shape);
        both_paths(&c, p);
    }
    context_close(&c);
}

Test(softmax_backward, in_place) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 12; n++) {
        both_paths(&c, (problem){.type = dtypes[n % 3],
                                 .d_out_type = dtypes[n / 2 % 3],
                                 .rank = 2,
                                 .shape = {11, n / 4 == 0   ? 63
                                               : n / 4 == 1 ? 64
                                                            : 9001},
                                 .in_place = 1 + n % 2,
                                 .lengths = n % 3 == 0,
                                 .log = n / 2 % 2,
                                 .layout = {.pad = n % 2}});
    }
    context_close(&c);
}

Test(softmax_backward, unusual_values) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 4; n++) {
        both_paths(&c, (problem){.rank = 2, .shape = {14, n % 2 ? 9000 : 51}, .log = n >= 2, .unusual = true});
    }
    context_close(&c);
}

Test(softmax_backward, no_rows) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_3d(NULL, VKA_F32, 0, 3, 8);
    vka_softmax_backward_desc d = {.out = x, .d_out = x, .d_x = x};
    vka_requirements need;
    EXPECT_OK(vka_softmax_backward_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 0);
    context_close(&c);
}

/* Plans for devices that are not here keep to their limits, and do every row once. */
Test(softmax_backward, plans) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 20 * DEVICES; n++) {
        const device *d = &devices[n % DEVICES];
        uint32_t a = ONE_OF(&rng, 1, 2, 5), b = ONE_OF(&rng, 1, 3, 64), rows = ONE_OF(&rng, 1, 77, 3000);
        uint32_t cols = ONE_OF(&rng, 1, 7, 64, 1023, 8193, 150000);
        vka__view x = random_view(&rng, VKA_F16, a, b, rows, cols), out = random_view(&rng, VKA_F32, a, b, rows, cols);
        vka_softmax_backward_desc desc = {.out = tensor_of(&x, 4),
                                          .d_out = tensor_of(&out, 4),
                                          .d_x = tensor_of(&out, 4),
                                          .path = (vka_softmax_path)(n / DEVICES % 3)};
        vka__call c;
        if (PLAN(&c, softmax_backward, &d->caps, &desc)) {
            bool lane = strstr(vka__kernel_name((vka__kernel)c.key[0].kernel), "lane");
            check_key(d, &c.key[0], lane ? 0 : 4 * c.key[0].spec[VKA_SPEC_GROUP_SIZE]);
            check_rows(d, &c, false);
        } else {
            cr_assert_gt(vka__view_extent(&x, 3) * 2 + vka__view_extent(&out, 3) * 4 + 1024, d->caps.storage_range);
        }
    }
}
