/* Cross entropy against float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
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

typedef struct problem {
    vka_dtype type; /* 0: f32 */
    uint32_t rank, shape[4];
    layout layout;
    float smoothing, deviation;
    vka_reduction reduction;
    bool total_alone, default_index, all_ignored;
    float (*value)(uint32_t row, uint32_t col);
    int32_t (*target)(uint32_t row);

    context *c;
    uint32_t rows, cols;
    tensor logits, targets, loss, lse, total;
} problem;

static int32_t ignored_of(const problem *p) {
    return p->default_index ? VKA_IGNORE_INDEX : IGNORED;
}

static void make(context *c, problem *p) {
    p->c = c;
    p->type = p->type ? p->type : VKA_F32;
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
    p->targets = tensor_create(c, VKA_I32, rank, shape, flat);
    p->loss = tensor_create(c, VKA_F32, rank, shape, flat);
    p->lse = tensor_create(c, VKA_F32, rank, shape, flat);
    p->total = tensor_create(c, VKA_F32, 1, &one, flat);
    tensor_fill_normal(&p->logits, &rng, 0, p->deviation != 0 ? p->deviation : 3);
    for (size_t i = 0; i < p->logits.count && p->value; i++) {
        p->logits.values[i] = p->value((uint32_t)(i / p->cols), (uint32_t)(i % p->cols));
    }
    tensor_round(&p->logits);
    for (uint32_t i = 0; i < p->rows; i++) {
        int32_t target = p->target ? p->target(i) : i % 4 == 3 ? ignored_of(p) : (int32_t)ref_rng_below(&rng, p->cols);
        p->targets.values[i] = (float)(p->all_ignored ? ignored_of(p) : target);
    }
    tensor_upload(&p->logits);
    tensor_upload(&p->targets);
}

static void destroy(problem *p) {
    tensor *const all[] = {&p->logits, &p->targets, &p->loss, &p->lse, &p->total};
    for (int i = 0; i < 5; i++) {
        tensor_destroy(all[i]);
    }
}

static vka_cross_entropy_desc describe(const problem *p, vka_softmax_path path) {
    return (vka_cross_entropy_desc){.logits = p->logits.view,
                                    .targets = p->targets.view,
                                    .loss = p->total_alone ? (vka_tensor){0} : p->loss.view,
                                    .lse = p->total_alone ? (vka_tensor){0} : p->lse.view,
                                    .total = p->total.view,
                                    .reduction = p->reduction,
                                    .label_smoothing = p->smoothing,
                                    .ignore_index = p->default_index ? 0 : IGNORED,
                                    .has_ignore_index = !p->default_index,
                                    .path = path};
}

static const char *text_of(const problem *p, vka_softmax_path path, char text[256]) {
    snprintf(text, 256, "path %d, %s, %u rows of %u, smoothing %g; VKATTN_SEED=%llu", path, dtype_name(p->type),
             p->rows, p->cols, (double)p->smoothing, (unsigned long long)test_seed());
    return text;
}

static void compare(const problem *p, vka_softmax_path path) {
    ref_error loss_error = {0}, lse_error = {0}, total_error = {0};
    double sum = 0;
    float naive_sum = 0;
    uint32_t count = 0;
    char text[256];
    for (uint32_t row = 0; row < p->rows; row++) {
        ref_logits l = {.cols = p->cols, .live = p->cols, .x = p->logits.values + (size_t)row * p->cols, .scale = 1};
        double target = (double)p->targets.values[row];
        bool counts = (int32_t)target != ignored_of(p), legal = target >= 0 && target < p->cols;
        double loss = !counts ? 0 : legal ? ref_logits_loss(&l, (uint32_t)target, (double)p->smoothing) : NAN;
        float naive = counts && legal ? ref_logits_naive_loss(&l, (uint32_t)target, p->smoothing) : 0;
        sum += loss;
        naive_sum += naive;
        count += counts;
        if (!p->total_alone) {
            double lse = ref_logits_lse(&l),
                   unit = isfinite(lse) ? fmax(fabs(lse), 1) : 1;  /* a float has no more digits */
            double size = isfinite(loss) && loss > 1e6 ? loss : 1; /* so large are unusual values alone */
            ref_error_add(&loss_error, (double)p->loss.values[row] / size, (double)naive / size, loss / size);
            ref_error_add(&lse_error, (double)p->lse.values[row] / unit, (double)ref_logits_naive_lse(&l) / unit,
                          lse / unit);
            cr_assert(!loss_error.broken && !lse_error.broken,
                      "row %u with target %g: loss %g, not %g; lse %g, not %g; %s", row, target,
                      (double)p->loss.values[row], loss, (double)p->lse.values[row], lse, text_of(p, path, text));
        }
    }
    double unit = p->reduction == VKA_REDUCTION_MEAN ? count : 1;
    double size = fmax(fabs(sum / unit), 1);
    size = isfinite(size) ? size : 1;
    ref_error_add(&total_error, (double)p->total.values[0] / size, (double)naive_sum / unit / size, sum / unit / size);
    cr_assert(ref_error_ok(&loss_error), "loss is off by %g, naive by %g; %s", loss_error.out, loss_error.naive,
              text_of(p, path, text));
    cr_assert(ref_error_ok(&lse_error), "lse is off by %g, naive by %g; %s", lse_error.out, lse_error.naive,
              text_of(p, path, text));
    cr_assert(ref_error_ok(&total_error), "total is %g, not %g, naive %g; %s", (double)p->total.values[0], sum / unit,
              (double)naive_sum / unit, text_of(p, path, text));
}

static void run(problem *p, vka_softmax_path path) {
    vka_cross_entropy_desc d = describe(p, path);
    tensor *const outputs[] = {&p->total, &p->loss, &p->lse};
    int count = p->total_alone ? 1 : 3;
    for (int i = 0; i < 3; i++) {
        tensor_poison(outputs[i]);
    }
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_cross_entropy(p->c->recorder, &d));
    context_finish(p->c);
    for (int i = 0; i < count; i++) {
        cr_assert(tensor_download(outputs[i]), "writes outside of output %d", i);
    }
    compare(p, path);
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

static void widths(vka_dtype type) {
    static const uint32_t list[] = {1, 2, 7, 64, 127, 1024, 5000, 40000, 151936};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 18; i++) {
        uint32_t width = list[i / 2];
        both_paths(&c, (problem){.type = type,
                                 .rank = 2,
                                 .shape = {width > 5000 ? 3 : 23, width},
                                 .smoothing = i % 2 ? 0.1f : 0,
                                 .reduction = (vka_reduction)(i / 2 % 2)});
    }
    context_close(&c);
}

Test(cross_entropy, widths_f32) {
    widths(VKA_F32);
}

Test(cross_entropy, widths_f16) {
    widths(VKA_F16);
}

Test(cross_entropy, widths_bf16) {
    widths(VKA_BF16);
}

Test(cross_entropy, layouts) {
    static const struct {
        uint32_t rank, shape[4];
        const char *order;
    } list[] = {{1, {41}, NULL},
                {2, {7, 33}, "10"},
                {3, {3, 5, 64}, "102"},
                {3, {4, 5, 12}, "210"},
                {4, {2, 3, 4, 19}, "3120"}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 15; i++) {
        problem p = {.type = dtypes[i % 3],
                     .rank = list[i % 5].rank,
                     .layout = {list[i % 5].order, i % 2, i / 5},
                     .smoothing = i % 2 ? 1 : 0,
                     .default_index = i % 3 == 1};
        memcpy(p.shape, list[i % 5].shape, sizeof p.shape);
        both_paths(&c, p);
    }
    context_close(&c);
}

/* So many rows that one long sum would lose digits; without the losses of rows, too. */
Test(cross_entropy, many_rows) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4; i++) {
        both_paths(
            &c, (problem){.rank = 2, .shape = {200001, 3}, .total_alone = i % 2, .reduction = (vka_reduction)(i / 2)});
    }
    context_close(&c);
}

Test(cross_entropy, all_ignored) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2; i++) {
        both_paths(&c, (problem){.rank = 2, .shape = {5, 9}, .all_ignored = true, .reduction = (vka_reduction)i});
    }
    context_close(&c);
}

/* ---- values that are no ordinary numbers ------------------------------------------------------------------------ */

static float unusual(uint32_t row, uint32_t col) {
    switch (row) {
    case 0:
        return col == 2 ? -INFINITY : (float)col;
    case 1:
        return -INFINITY;
    case 2:
        return col == 2 ? 3e38f : -3e38f;
    case 3:
        return col == 5 ? NAN : 1;
    case 4:
        return col == 5 ? INFINITY : 1;
    case 5:
        return 1e6f + (float)(col % 3);
    case 6:
        return NAN;
    default:
        return (float)(col % 7);
    }
}

/* Row 6 is ignored: its NaN reaches nothing but its lse. The targets of rows 7 and 8 are no classes. */
static int32_t unusual_target(uint32_t row) {
    return row == 6 ? IGNORED : row == 7 ? 11 : row == 8 ? -1 : 2;
}

/* Those that are harmless, so that the total is a number. */
static float harmless(uint32_t row, uint32_t col) {
    return row == 1 ? NAN : unusual(row % 2 ? 5 : 2, col);
}

static int32_t harmless_target(uint32_t row) {
    return row == 1 ? IGNORED : 2;
}

Test(cross_entropy, unusual_values) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2; i++) {
        both_paths(
            &c,
            (problem){
                .rank = 2, .shape = {10, 11}, .value = unusual, .target = unusual_target, .smoothing = i ? 0.25f : 0});
        both_paths(
            &c,
            (problem){.rank = 2, .shape = {10, 11}, .value = harmless, .target = harmless_target, .total_alone = i});
    }
    context_close(&c);
}

/* ---- without a result -------------------------------------------------------------------------------------------- */

Test(cross_entropy, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_cross_entropy_desc d = {.logits = vka_tensor_2d(NULL, VKA_F16, 3, 8),
                                .targets = vka_tensor_1d(NULL, VKA_I32, 3)};
    EXPECT_FAILURE(vka_cross_entropy_prepare(c.device, &d), VKA_INVALID, "vka_cross_entropy.total");
    d.total = vka_tensor_1d(NULL, VKA_F32, 2);
    EXPECT_FAILURE(vka_cross_entropy_prepare(c.device, &d), VKA_INVALID, "vka_cross_entropy.total");
    d.total.shape[0] = 1;
    EXPECT_OK(vka_cross_entropy_prepare(c.device, &d));
    vka_requirements need;
    EXPECT_OK(vka_cross_entropy_requirements(c.device, &d, &need));
    cr_expect(need.workspace_bytes == 256 && need.dispatches == 2);
    d.loss = vka_tensor_1d(NULL, VKA_F32, 3);
    d.total = (vka_tensor){0};
    EXPECT_OK(vka_cross_entropy_requirements(c.device, &d, &need));
    cr_expect(need.workspace_bytes == 0 && need.dispatches == 1);
    d.label_smoothing = 1.5f;
    EXPECT_FAILURE(vka_cross_entropy_prepare(c.device, &d), VKA_INVALID, "vka_cross_entropy.label_smoothing");
    d.label_smoothing = 0;
    d.logits = vka_tensor_2d(NULL, VKA_F16, 0, 8);
    d.targets = d.loss = vka_tensor_1d(NULL, VKA_F32, 0);
    d.targets.dtype = VKA_I32;
    EXPECT_OK(vka_cross_entropy_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 0);
    context_close(&c);
}

/* Plans for devices that are not here keep to their limits. */
Test(cross_entropy, plans) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 40 * DEVICES; n++) {
        const device *d = &devices[n % DEVICES];
        uint32_t rows = ONE_OF(&rng, 1, 77, 3000, 1000000), cols = ONE_OF(&rng, 1, 7, 1023, 150000);
        vka__view x = random_view(&rng, VKA_F16, 1, 1, rows, cols);
        vka_cross_entropy_desc desc = {.logits = tensor_of(&x, 2),
                                       .targets = vka_tensor_1d(NULL, VKA_I32, rows),
                                       .total = vka_tensor_1d(NULL, VKA_F32, 1),
                                       .path = (vka_softmax_path)(n % 3)};
        vka__call c;
        if (!PLAN(&c, cross_entropy, &d->caps, &desc)) {
            cr_assert_gt(vka__view_extent(&x, 3) * 2 + 4 * (uint64_t)rows + 1024, d->caps.storage_range,
                         "%s refuses %s: %s", d->name, c.refusal.field, c.refusal.reason);
            continue;
        }
        bool lane = strstr(vka__kernel_name((vka__kernel)c.key[0].kernel), "lane");
        check_key(d, &c.key[0], lane ? 0 : 4 * c.key[0].spec[VKA_SPEC_GROUP_SIZE]);
        check_key(d, &c.key[1], 8 * c.key[1].spec[VKA_SPEC_GROUP_SIZE]);
        uint64_t done = 0;
        for (uint64_t i = 0; i < c.dispatches; i++) {
            vka__dispatch at;
            vka__call_dispatch(&c, i, &at);
            check_dispatch(d, &at);
            cr_assert_eq(at.key, i + 1 == c.dispatches);
            done += at.push.rows;
        }
        cr_assert_eq(done, rows);
    }
}
