/* Gradients of group norm against float64, by the accuracy rule: the reference of a layer norm, for which a group is a
 * row. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/norm.h>

#include "op/op.h"
#include "plan_check.h"
#include "plan_devices.h"
#include "plan_view.h"
#include "support/context.h"
#include "support/tensor.h"

enum { X, D_OUT, D_X, WEIGHT, D_WEIGHT, D_BIAS, MEAN, INVERSE, TENSORS };
static const char *const names[] = {"x", "d_out", "d_x", "weight", "d_weight", "d_bias", "mean", "inv_std"};

/* Zero types: f32. */
typedef struct problem {
    vka_dtype type, weight_type, parameter_type;
    uint32_t batch, channels, positions, groups;
    layout layout, d_layout; /* "021": channels side by side; of d_out and d_x */
    bool plain, statistics, accumulate, no_d_x, no_d_weight;
    int in_place; /* 1: over x, 2: over d_out */

    context *c;
    tensor t[TENSORS];
    float *values[TENSORS], *naive[TENSORS];
    double *ref[TENSORS];
} problem;

static void *make_room(size_t count, size_t size) {
    void *room = calloc(count + 1, size);
    cr_assert_not_null(room);
    return room;
}

/* The group as a row, its weights one for each element. */
static void compute_group(problem *p, uint32_t row) {
    uint32_t channels = p->channels / p->groups, cols = channels * p->positions, first = row % p->groups * channels;
    float *weight = make_room(cols, sizeof *weight), *naive = make_room(2 * (size_t)cols, sizeof *naive);
    double *sums = make_room(2 * (size_t)cols, sizeof *sums), *out = make_room(cols, sizeof *out), mean, inverse;
    for (uint32_t i = 0; i < cols; i++) {
        weight[i] = p->values[WEIGHT][first + i / p->positions];
    }
    size_t at = (size_t)row * cols;
    ref_norm n = {.rows = 1, .cols = cols, .x = p->values[X] + at, .weight = p->plain ? NULL : weight, .epsilon = 1e-5};
    ref_norm_row(&n, p->type, 0, out, NULL, &mean, &inverse);
    p->values[MEAN][row] = (float)mean;
    p->values[INVERSE][row] = (float)inverse;
    const float *d_out = p->values[D_OUT] + at;
    ref_norm_backward_row(&n, p->type, 0, d_out, NULL, p->ref[D_X] + at, sums, sums + cols);
    ref_norm_naive_backward_row(&n, p->type, 0, d_out, NULL, p->naive[D_X] + at, naive, naive + cols);
    for (uint32_t i = 0; i < cols; i++) {
        uint32_t channel = first + i / p->positions;
        p->ref[D_WEIGHT][channel] += sums[i];
        p->ref[D_BIAS][channel] += sums[cols + i];
        p->naive[D_WEIGHT][channel] += naive[i];
        p->naive[D_BIAS][channel] += naive[cols + i];
    }
    free(weight);
    free(naive);
    free(sums);
    free(out);
}

static void make(context *c, problem *p) {
    p->c = c;
    p->type = p->type ? p->type : VKA_F32;
    p->weight_type = p->weight_type ? p->weight_type : p->type;
    p->parameter_type = p->parameter_type ? p->parameter_type : VKA_F32;
    ref_rng rng = ref_rng_seed(test_seed());
    layout flat = {.pad = p->layout.pad, .shift = p->layout.shift};
    const uint32_t shape[] = {p->batch, p->channels, p->positions}, rows[] = {p->batch, p->groups};
    for (uint32_t i = 0; i < TENSORS; i++) {
        vka_dtype type = i == WEIGHT ? p->weight_type : i > WEIGHT ? p->parameter_type : p->type;
        p->t[i] = i < WEIGHT ? tensor_create(c, type, 3, shape, i == X || p->in_place ? p->layout : p->d_layout)
                  : i < MEAN ? tensor_create(c, type, 1, &p->channels, flat)
                             : tensor_create(c, VKA_F32, 2, rows, flat);
        tensor_fill_normal(&p->t[i], &rng, i == X ? 0.5f : i == WEIGHT ? 1 : 0, 1);
        tensor_round(&p->t[i]);
        p->values[i] = make_room(p->t[i].count, sizeof(float));
        p->naive[i] = make_room(p->t[i].count, sizeof(float));
        p->ref[i] = make_room(p->t[i].count, sizeof(double));
        memcpy(p->values[i], p->t[i].values, p->t[i].count * sizeof(float));
    }
    for (uint32_t row = 0; row < p->batch * p->groups; row++) {
        compute_group(p, row);
    }
    for (uint32_t i = 0; i < 2 * p->channels; i++) {
        uint32_t which = i % 2 ? D_WEIGHT : D_BIAS;
        float more = p->accumulate ? p->values[which][i / 2] : 0;
        p->ref[which][i / 2] += (double)more;
        p->naive[which][i / 2] = ref_round(p->parameter_type, p->naive[which][i / 2] + more);
    }
}

static void destroy(problem *p) {
    for (uint32_t i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
        free(p->values[i]);
        free(p->naive[i]);
        free(p->ref[i]);
    }
}

static vka_group_norm_backward_desc describe(const problem *p, vka_norm_path path) {
    vka_group_norm_backward_desc d = {.x = p->t[X].view,
                                      .d_out = p->t[D_OUT].view,
                                      .d_bias = p->t[D_BIAS].view,
                                      .groups = p->groups,
                                      .path = path,
                                      .accumulate = p->accumulate};
    if (!p->no_d_x) {
        d.d_x = p->t[p->in_place == 1 ? X : p->in_place ? D_OUT : D_X].view;
    }
    if (!p->no_d_weight) {
        d.d_weight = p->t[D_WEIGHT].view;
    }
    if (!p->plain) {
        d.weight = p->t[WEIGHT].view;
    }
    if (p->statistics) {
        d.mean = p->t[MEAN].view;
        d.inv_std = p->t[INVERSE].view;
    }
    return d;
}

static void compare(const problem *p, uint32_t which, tensor *got, vka_norm_path path) {
    cr_assert(tensor_download(got), "writes outside of %s", names[which]);
    ref_error e = {0};
    for (size_t i = 0; i < got->count; i++) {
        ref_error_add(&e, (double)got->values[i], (double)p->naive[which][i], p->ref[which][i]);
    }
    cr_assert(ref_error_ok(&e),
              "path %d, %s %ux%ux%u in %u groups, order %s: %s is off by %g, naive by %g%s; seed %llu", path,
              dtype_name(p->type), p->batch, p->channels, p->positions, p->groups,
              p->layout.order ? p->layout.order : "012", names[which], e.out, e.naive,
              e.broken ? ", NaN or infinity out of place" : "", (unsigned long long)test_seed());
}

static void run(problem *p, vka_norm_path path) {
    vka_group_norm_backward_desc d = describe(p, path);
    for (uint32_t i = 0; i < TENSORS; i++) {
        bool output = i == D_X || ((i == D_WEIGHT || i == D_BIAS) && !p->accumulate);
        memcpy(p->t[i].values, p->values[i], p->t[i].count * sizeof(float));
        if (output) {
            tensor_poison(&p->t[i]);
        } else {
            tensor_upload(&p->t[i]);
        }
    }
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_group_norm_backward(p->c->recorder, &d));
    context_finish(p->c);
    if (!p->no_d_x) {
        compare(p, D_X, &p->t[p->in_place == 1 ? X : p->in_place ? D_OUT : D_X], path);
    }
    if (!p->no_d_weight) {
        compare(p, D_WEIGHT, &p->t[D_WEIGHT], path);
    }
    compare(p, D_BIAS, &p->t[D_BIAS], path);
}

static void both_paths(context *c, problem p) {
    bool lane = !context_leaves_out(c, 7), group = !context_leaves_out(c, 7);
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

/* Positions side by side and channels side by side, instance norm, one group, groups that end within a vector. */
Test(group_norm_backward, shapes) {
    static const uint32_t list[][4] = {{2, 12, 35, 3}, {2, 6, 33, 6}, {3, 8, 64, 1},  {2, 10, 7, 2},  {1, 32, 96, 8},
                                       {1, 3, 1, 3},   {5, 4, 1, 2},  {1, 1, 129, 1}, {2, 64, 4, 16}, {2, 2, 9001, 1}};
    static const char *const orders[] = {"012", "021", "102"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 30; i++) {
        const uint32_t *s = list[i % 10];
        uint32_t order = i / 10;
        both_paths(&c, (problem){.type = dtypes[i % 3],
                                 .weight_type = i % 4 == 1 ? VKA_F32 : 0,
                                 .parameter_type = dtypes[i / 3 % 3],
                                 .batch = s[0],
                                 .channels = s[1],
                                 .positions = s[2],
                                 .groups = s[3],
                                 .layout = {orders[order], i % 2, i % 3},
                                 .d_layout = {orders[i % 5 ? order : (order + 1) % 3], i % 2, i % 3},
                                 .plain = i % 7 == 3,
                                 .statistics = i % 2,
                                 .accumulate = i / 2 % 2,
                                 .in_place = i % 5 == 4 ? 1 + i % 2 : 0});
    }
    context_close(&c);
}

/* What is not wanted is not there. */
Test(group_norm_backward, some) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 1; i < 4; i++) {
        both_paths(&c, (problem){.batch = 2,
                                 .channels = 6,
                                 .positions = 40,
                                 .groups = 2,
                                 .no_d_x = i & 1,
                                 .no_d_weight = i & 2,
                                 .plain = i == 2});
    }
    context_close(&c);
}

/* Many positions and batch entries; devices that see few groups at a time. */
Test(group_norm_backward, large) {
    context c;
    const device_config *const configs[] = {&config_real, &config_few_groups, &config_short};
    for (uint32_t i = 0; i < 3; i++) {
        context_open(&c, configs[i]);
        problem p = {.batch = 37, .channels = 12, .positions = 130, .groups = 4, .layout = {.order = i ? NULL : "021"}};
        make(&c, &p);
        run(&p, i ? VKA_NORM_PATH_GROUP : VKA_NORM_PATH_AUTO); /* sums along positions, and of columns */
        destroy(&p);
        context_close(&c);
    }
}

Test(group_norm_backward, no_batch) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_3d(NULL, VKA_F32, 0, 6, 8), w = vka_tensor_1d(NULL, VKA_F32, 6);
    vka_group_norm_backward_desc d = {.x = x, .d_out = x, .d_x = x, .groups = 2};
    vka_requirements need;
    EXPECT_OK(vka_group_norm_backward_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 0);
    d.d_weight = w;
    EXPECT_OK(vka_group_norm_backward_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 1, "zeros");
    d.accumulate = true;
    EXPECT_OK(vka_group_norm_backward_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 0);
    context_close(&c);
}

/* Plans for devices that are not here keep to their limits. */
Test(group_norm_backward, plans) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t runs = 0;
    for (uint32_t n = 0; n < 20 * DEVICES; n++) {
        const device *d = &devices[n % DEVICES];
        uint32_t batch = ONE_OF(&rng, 1, 7, 3000), groups = ONE_OF(&rng, 1, 3, 32), each = ONE_OF(&rng, 1, 4, 16);
        uint32_t positions = ONE_OF(&rng, 1, 49, 4096, 200000);
        vka_tensor x = n % 3
                           ? vka_tensor_3d(NULL, VKA_F16, batch, groups * each, positions)
                           : vka_tensor_transpose(vka_tensor_3d(NULL, VKA_F16, batch, positions, groups * each), 1, 2);
        vka_tensor w = vka_tensor_1d(NULL, VKA_F32, groups * each);
        vka_group_norm_backward_desc desc = {
            .x = x, .d_out = x, .d_x = x, .d_weight = w, .d_bias = w, .groups = groups, .path = (vka_norm_path)(n % 2)};
        vka__call c;
        if (!PLAN(&c, group_norm_backward, &d->caps, &desc)) {
            cr_assert_gt((uint64_t)each * positions * 2 * (n % 3 ? 1 : groups) + 4 * (uint64_t)batch * groups + 1024,
                         d->caps.storage_range, "%s refuses %s: %s", d->name, c.refusal.field, c.refusal.reason);
            continue;
        }
        for (uint32_t i = 0; i < c.key_count; i++) {
            const char *kernel = vka__kernel_name((vka__kernel)c.key[i].kernel);
            runs += strstr(kernel, "runs") != NULL;
            check_key(d, &c.key[i], strstr(kernel, "lane") ? 0 : 8 * c.key[i].spec[VKA_SPEC_GROUP_SIZE]);
        }
        for (uint64_t i = 0; i < c.dispatches; i += 1 + c.dispatches / 100) {
            vka__dispatch at;
            vka__call_dispatch(&c, i, &at);
            check_dispatch(d, &at);
        }
    }
    cr_expect_gt(runs, 0, "some plan sums along positions");
}
