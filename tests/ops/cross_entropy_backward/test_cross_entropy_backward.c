/* Gradients of cross entropy against float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/loss.h>

#include "op/op.h"
#include "plan_check.h"
#include "plan_devices.h"
#include "plan_view.h"
#include "support/context.h"
#include "support/tensor.h"

#define IGNORED (-7)

/* Zero types: f32. */
typedef struct problem {
    vka_dtype type, d_type;
    uint32_t rank, shape[4];
    layout layout;
    float smoothing;
    vka_reduction reduction;
    bool lse, d_loss, d_lse, no_total, in_place, unusual, all_ignored;

    context *c;
    uint32_t rows, cols;
    tensor logits, targets, log_sums, d_losses, d_log_sums, d_total, d_logits;
    float *values;
} problem;

/* Row 1 is ignored: its NaN reaches nothing. The targets of rows 2 and 3 are no classes. */
static void make_unusual(problem *p) {
    float *x = p->logits.values;
    for (uint32_t i = 0; i < p->cols; i++) {
        x[p->cols + i] = NAN;
        x[4 * p->cols + i] = -INFINITY;
        x[5 * p->cols + i] = i == 5 ? NAN : 1;
        x[6 * p->cols + i] = i == 5 ? INFINITY : 1;
        x[7 * p->cols + i] = (p->lse ? 16 : 1e6f) + (float)(i % 3); /* a given sum is one float */
        x[8 * p->cols + i] = i % 3 == 1 ? -INFINITY : (float)i;
        x[9 * p->cols + i] = i == 2 ? 3e38f : -3e38f;
    }
    for (uint32_t row = 0; row < 10; row++) {
        p->targets.values[row] = row == 1 ? IGNORED : row == 2 ? (float)p->cols : row == 3 ? -1 : 2;
    }
}

static ref_logits row_of(const problem *p, uint32_t row) {
    return (ref_logits){.cols = p->cols, .live = p->cols, .x = p->values + (size_t)row * p->cols, .scale = 1};
}

static void make(context *c, problem *p) {
    p->c = c;
    p->type = p->type ? p->type : VKA_F32;
    p->d_type = p->in_place || !p->d_type ? p->type : p->d_type;
    p->cols = p->shape[p->rank - 1];
    p->rows = 1;
    for (uint32_t i = 0; i + 1 < p->rank; i++) {
        p->rows *= p->shape[i];
    }
    uint32_t one = 1, rank = p->rank > 1 ? p->rank - 1 : 1;
    const uint32_t *shape = p->rank > 1 ? p->shape : &one;
    layout flat = {.pad = p->layout.pad, .shift = p->layout.shift};
    ref_rng rng = ref_rng_seed(test_seed());
    p->logits = tensor_create(c, p->type, p->rank, p->shape, p->layout);
    p->d_logits = tensor_create(c, p->d_type, p->rank, p->shape, p->layout);
    p->targets = tensor_create(c, VKA_I32, rank, shape, flat);
    tensor *const of_rows[] = {&p->log_sums, &p->d_losses, &p->d_log_sums};
    for (int i = 0; i < 3; i++) {
        *of_rows[i] = tensor_create(c, VKA_F32, rank, shape, flat);
        tensor_fill_normal(of_rows[i], &rng, 0, 1);
    }
    p->d_total = tensor_create(c, VKA_F32, 1, &one, flat);
    p->d_total.values[0] = 1.75f;
    tensor_fill_normal(&p->logits, &rng, 0, 3);
    for (uint32_t i = 0; i < p->rows; i++) {
        bool ignored = i % 4 == 3 || p->all_ignored;
        p->targets.values[i] = ignored ? IGNORED : (float)ref_rng_below(&rng, p->cols);
    }
    if (p->unusual) {
        make_unusual(p);
    }
    tensor_round(&p->logits);
    p->values = malloc((p->logits.count + 1) * sizeof *p->values);
    cr_assert_not_null(p->values);
    memcpy(p->values, p->logits.values, p->logits.count * sizeof *p->values);
    for (uint32_t i = 0; i < p->rows; i++) {
        ref_logits row = row_of(p, i);
        p->log_sums.values[i] = (float)ref_logits_lse(&row);
    }
}

static void destroy(problem *p) {
    tensor *const all[] = {&p->logits,     &p->targets, &p->log_sums, &p->d_losses,
                           &p->d_log_sums, &p->d_total, &p->d_logits};
    for (int i = 0; i < 7; i++) {
        tensor_destroy(all[i]);
    }
    free(p->values);
}

static void compare(const problem *p, const tensor *got, vka_softmax_path path) {
    double *ref = malloc(p->cols * sizeof *ref), share = 1;
    float *naive = malloc(p->cols * sizeof *naive);
    uint32_t count = 0;
    cr_assert(ref && naive);
    for (uint32_t row = 0; row < p->rows; row++) {
        count += p->targets.values[row] != IGNORED;
    }
    share = p->no_total ? 0 : p->reduction == VKA_REDUCTION_SUM ? 1 : count ? 1.0 / count : 0;
    ref_error e = {0};
    for (uint32_t row = 0; row < p->rows; row++) {
        ref_logits s = row_of(p, row);
        float target = p->targets.values[row];
        double d_lse = p->d_lse ? (double)p->d_log_sums.values[row] : 0;
        double d = (double)p->d_total.values[0] * share + (p->d_loss ? (double)p->d_losses.values[row] : 0);
        d = target == IGNORED ? 0 : target < 0 || target >= (float)p->cols ? NAN : d;
        ref_logits_loss_backward(&s, (uint32_t)fmaxf(target, 0), (double)p->smoothing, d, d_lse, ref);
        ref_logits_naive_loss_backward(&s, (uint32_t)fmaxf(target, 0), p->smoothing, p->d_type, (float)d, (float)d_lse,
                                       naive);
        for (uint32_t i = 0; i < p->cols; i++) {
            double want = target == IGNORED && !p->d_lse ? 0 : ref[i];
            float simple = target == IGNORED && !p->d_lse ? 0 : naive[i];
            ref_error_add(&e, (double)got->values[(size_t)row * p->cols + i], (double)simple, want);
            cr_assert(!e.broken, "path %d, row %u of target %g, column %u: %g, not %g", path, row, (double)target, i,
                      (double)got->values[(size_t)row * p->cols + i], want);
        }
    }
    cr_assert(ref_error_ok(&e), "path %d, %s, %u rows of %u: off by %g, naive by %g; VKATTN_SEED=%llu", path,
              dtype_name(p->type), p->rows, p->cols, e.out, e.naive, (unsigned long long)test_seed());
    free(ref);
    free(naive);
}

static void run(problem *p, vka_softmax_path path) {
    tensor *d_logits = p->in_place ? &p->logits : &p->d_logits;
    vka_tensor absent = {0};
    vka_cross_entropy_backward_desc d = {.logits = p->logits.view,
                                         .targets = p->targets.view,
                                         .lse = p->lse ? p->log_sums.view : absent,
                                         .d_loss = p->d_loss ? p->d_losses.view : absent,
                                         .d_lse = p->d_lse ? p->d_log_sums.view : absent,
                                         .d_total = p->no_total ? absent : p->d_total.view,
                                         .d_logits = d_logits->view,
                                         .reduction = p->reduction,
                                         .label_smoothing = p->smoothing,
                                         .ignore_index = IGNORED,
                                         .has_ignore_index = true,
                                         .path = path};
    memcpy(p->logits.values, p->values, p->logits.count * sizeof *p->values);
    tensor *const inputs[] = {&p->logits, &p->targets, &p->log_sums, &p->d_losses, &p->d_log_sums, &p->d_total};
    for (int i = 0; i < 6; i++) {
        tensor_upload(inputs[i]);
    }
    tensor_poison(&p->d_logits);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_cross_entropy_backward(p->c->recorder, &d));
    context_finish(p->c);
    cr_assert(tensor_download(d_logits), "writes outside of d_logits");
    compare(p, d_logits, path);
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

Test(cross_entropy_backward, widths) {
    static const uint32_t list[] = {1, 2, 7, 8, 31, 64, 127, 1024, 4095, 33001};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 3 * sizeof list / sizeof *list; i++) {
        uint32_t width = list[i / 3];
        both_paths(&c, (problem){.type = dtypes[i % 3],
                                 .rank = 2,
                                 .shape = {width > 5000 ? 5 : 23, width},
                                 .lse = i % 2,
                                 .smoothing = i % 4 == 1 ? 0.1f : 0,
                                 .reduction = (vka_reduction)(i / 3 % 2)});
    }
    context_close(&c);
}

/* What gradients there may be, with types and layouts. */
Test(cross_entropy_backward, tensors) {
    static const struct {
        uint32_t rank, shape[4];
        const char *order;
    } list[] = {{1, {41}, NULL}, {2, {7, 33}, "10"}, {3, {3, 5, 64}, "102"}, {4, {2, 3, 4, 19}, "3120"}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 24; i++) {
        problem p = {.type = dtypes[i % 3],
                     .d_type = dtypes[i / 3 % 3],
                     .rank = list[i % 4].rank,
                     .layout = {list[i % 4].order, i % 2, i / 8},
                     .smoothing = i % 5 == 1   ? 1
                                  : i % 5 == 2 ? 0.3f
                                               : 0,
                     .lse = i / 2 % 2,
                     .d_loss = i / 3 % 2 || i % 4 == 3,
                     .d_lse = i / 5 % 2,
                     .no_total = i % 4 == 3,
                     .in_place = i % 6 == 4,
                     .reduction = (vka_reduction)(i / 4 % 2)};
        memcpy(p.shape, list[i % 4].shape, sizeof p.shape);
        both_paths(&c, p);
    }
    context_close(&c);
}

Test(cross_entropy_backward, in_place) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 6; i++) {
        both_paths(&c, (problem){.type = dtypes[i % 3],
                                 .rank = 2,
                                 .shape = {9, i / 3 ? 9001 : 67},
                                 .layout = {.pad = i % 2},
                                 .in_place = true,
                                 .lse = i % 2});
    }
    context_close(&c);
}

Test(cross_entropy_backward, unusual_values) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4; i++) {
        both_paths(&c, (problem){.rank = 2, .shape = {10, 23}, .unusual = true, .lse = i % 2, .d_loss = i / 2});
    }
    both_paths(&c, (problem){.rank = 2, .shape = {10, 23}, .all_ignored = true});
    context_close(&c);
}

Test(cross_entropy_backward, many_rows) {
    context c;
    context_open(&c, &config_real);
    both_paths(&c, (problem){.rank = 3, .shape = {7, 3001, 3}, .layout = {.order = "102"}});
    context_close(&c);
    context_open(&c, &config_few_groups);
    both_paths(&c, (problem){.rank = 2, .shape = {301, 5}, .lse = true});
    context_close(&c);
}

Test(cross_entropy_backward, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F16, 3, 8);
    vka_cross_entropy_backward_desc d = {.logits = x, .targets = vka_tensor_1d(NULL, VKA_I32, 3), .d_logits = x};
    EXPECT_FAILURE(vka_cross_entropy_backward_prepare(c.device, &d), VKA_INVALID, "vka_cross_entropy_backward.d_total");
    d.d_total = vka_tensor_1d(NULL, VKA_F32, 1);
    vka_requirements need;
    EXPECT_OK(vka_cross_entropy_backward_requirements(c.device, &d, &need));
    cr_expect(need.workspace_bytes == 256 && need.dispatches == 2);
    d.reduction = VKA_REDUCTION_SUM;
    EXPECT_OK(vka_cross_entropy_backward_requirements(c.device, &d, &need));
    cr_expect(need.workspace_bytes == 0 && need.dispatches == 1);
    d.logits.shape[0] = d.d_logits.shape[0] = d.targets.shape[0] = 0;
    EXPECT_OK(vka_cross_entropy_backward_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 0);
    context_close(&c);
}

/* Plans for devices that are not here keep to their limits. */
Test(cross_entropy_backward, plans) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 20 * DEVICES; n++) {
        const device *d = &devices[n % DEVICES];
        uint32_t rows = ONE_OF(&rng, 1, 77, 3000, 1000000), cols = ONE_OF(&rng, 1, 7, 1023, 150000);
        vka__view x = random_view(&rng, VKA_F16, 1, 1, rows, cols);
        vka_cross_entropy_backward_desc desc = {.logits = tensor_of(&x, 2),
                                                .targets = vka_tensor_1d(NULL, VKA_I32, rows),
                                                .d_total = vka_tensor_1d(NULL, VKA_F32, 1),
                                                .d_logits = tensor_of(&x, 2),
                                                .path = (vka_softmax_path)(n % 3)};
        vka__call c;
        if (!PLAN(&c, cross_entropy_backward, &d->caps, &desc)) {
            cr_assert_gt(vka__view_extent(&x, 3) * 2 + 4 * (uint64_t)rows + 1024, d->caps.storage_range,
                         "%s refuses %s: %s", d->name, c.refusal.field, c.refusal.reason);
            continue;
        }
        bool lane = strstr(vka__kernel_name((vka__kernel)c.key[0].kernel), "lane");
        check_key(d, &c.key[0], lane ? 0 : 4 * c.key[0].spec[VKA_SPEC_GROUP_SIZE]);
        check_key(d, &c.key[1], 4 * c.key[1].spec[VKA_SPEC_GROUP_SIZE]);
        uint64_t done = 0;
        for (uint64_t i = 0; i < c.dispatches; i++) {
            vka__dispatch at;
            vka__call_dispatch(&c, i, &at);
            check_dispatch(d, &at);
            cr_assert_eq(at.key, i == 0);
            done += at.push.rows;
        }
        cr_assert_eq(done, rows);
    }
}
