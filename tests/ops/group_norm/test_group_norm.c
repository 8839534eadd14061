/* Group norm against float64, by the accuracy rule: the reference of a layer norm, for which a group is a row.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "norm_case.h"
#include "params/norm.h"
#include "plan_check.h"
#include "plan_devices.h"
#include "plan_view.h"

/* Zero types: f32. */
typedef struct problem {
    vka_dtype type, affine;
    uint32_t batch, channels, positions, groups;
    layout layout; /* "021": channels side by side */
    float center, deviation, epsilon;
    bool plain, in_place; /* plain: nothing optional */
    float (*value)(uint32_t group, uint32_t element);

    context *c;
    tensor x, out, weight, bias, mean, inv_std;
    float *values;
} problem;

static void make(context *c, problem *p) {
    p->c = c;
    p->type = p->type ? p->type : VKA_F32;
    p->affine = p->affine ? p->affine : p->type;
    ref_rng rng = ref_rng_seed(test_seed());
    layout flat = {.pad = p->layout.pad, .shift = p->layout.shift};
    const uint32_t shape[] = {p->batch, p->channels, p->positions}, rows[] = {p->batch, p->groups};
    p->x = tensor_create(c, p->type, 3, shape, p->layout);
    p->out = tensor_create(c, p->type, 3, shape, p->layout);
    p->weight = tensor_create(c, p->affine, 1, &p->channels, flat);
    p->bias = tensor_create(c, p->affine, 1, &p->channels, flat);
    p->mean = tensor_create(c, VKA_F32, 2, rows, flat);
    p->inv_std = tensor_create(c, VKA_F32, 2, rows, flat);
    tensor_fill_normal(&p->x, &rng, p->center, p->deviation != 0 ? p->deviation : 1);
    tensor_fill_normal(&p->weight, &rng, 1, 0.2f);
    tensor_fill_normal(&p->bias, &rng, 0, 0.5f);
    size_t size = p->x.count / ((size_t)p->batch * p->groups);
    for (size_t i = 0; i < p->x.count && p->value; i++) {
        p->x.values[i] = p->value((uint32_t)(i / size), (uint32_t)(i % size));
    }
    tensor_round(&p->x);
    p->values = malloc((p->x.count + 1) * sizeof *p->values);
    cr_assert_not_null(p->values);
    memcpy(p->values, p->x.values, p->x.count * sizeof *p->values);
}

static void destroy(problem *p) {
    tensor *const all[] = {&p->x, &p->out, &p->weight, &p->bias, &p->mean, &p->inv_std};
    for (int i = 0; i < 6; i++) {
        tensor_destroy(all[i]);
    }
    free(p->values);
}

static vka_group_norm_desc describe(const problem *p, vka_norm_path path) {
    vka_group_norm_desc d = {.x = p->x.view,
                             .out = p->in_place ? p->x.view : p->out.view,
                             .epsilon = p->epsilon,
                             .groups = p->groups,
                             .path = path};
    if (!p->plain) {
        d.weight = p->weight.view;
        d.bias = p->bias.view;
        d.mean = p->mean.view;
        d.inv_std = p->inv_std.view;
    }
    return d;
}

/* The group as a row, its weights one for each element. */
static void compare_group(const problem *p, const tensor *out, uint32_t row, ref_error errors[3]) {
    uint32_t channels = p->channels / p->groups, cols = channels * p->positions, first = row % p->groups * channels;
    float *wide = malloc((size_t)cols * 3 * sizeof *wide);
    double *ref = malloc((size_t)cols * sizeof *ref), mean, inv_std;
    cr_assert(wide && ref);
    float *weight = wide, *bias = wide + cols, *naive = wide + 2 * (size_t)cols, naive_mean, naive_inv_std;
    for (uint32_t i = 0; i < cols; i++) {
        weight[i] = p->weight.values[first + i / p->positions];
        bias[i] = p->bias.values[first + i / p->positions];
    }
    ref_norm n = {.rows = 1,
                  .cols = cols,
                  .x = p->values + (size_t)row * cols,
                  .weight = p->plain ? NULL : weight,
                  .bias = p->plain ? NULL : bias,
                  .epsilon = p->epsilon != 0 ? (double)p->epsilon : 1e-5};
    ref_norm_row(&n, p->type, 0, ref, NULL, &mean, &inv_std);
    ref_norm_naive_row(&n, p->type, 0, naive, NULL, &naive_mean, &naive_inv_std);
    for (uint32_t i = 0; i < cols; i++) {
        ref_error_add(&errors[0], (double)out->values[(size_t)row * cols + i], (double)naive[i], ref[i]);
    }
    if (!p->plain) {
        double unit = fmax(fabs(mean), 1); /* a float has no more digits than that */
        ref_error_add(&errors[1], (double)p->mean.values[row] / unit, (double)naive_mean / unit, mean / unit);
        ref_error_add(&errors[2], (double)p->inv_std.values[row] / inv_std, (double)naive_inv_std / inv_std, 1);
    }
    free(wide);
    free(ref);
}

static void run(problem *p, vka_norm_path path) {
    static const char *const names[] = {"out", "mean", "inv_std"};
    vka_group_norm_desc d = describe(p, path);
    tensor *out = p->in_place ? &p->x : &p->out, *const outputs[] = {out, &p->mean, &p->inv_std};
    tensor_poison(&p->out);
    tensor_poison(&p->mean);
    tensor_poison(&p->inv_std);
    memcpy(p->x.values, p->values, p->x.count * sizeof *p->values);
    tensor_upload(&p->x);
    tensor_upload(&p->weight);
    tensor_upload(&p->bias);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_group_norm(p->c->recorder, &d));
    context_finish(p->c);
    ref_error errors[3] = {0};
    for (int i = 0; i < (p->plain ? 1 : 3); i++) {
        cr_assert(tensor_download(outputs[i]), "writes outside of %s", names[i]);
    }
    for (uint32_t row = 0; row < p->batch * p->groups; row++) {
        compare_group(p, out, row, errors);
    }
    for (int i = 0; i < 3; i++) {
        cr_assert(ref_error_ok(&errors[i]),
                  "path %d, %s %ux%ux%u in %u groups, order %s: %s is off by %g, naive by %g%s; VKATTN_SEED=%llu", path,
                  dtype_name(p->type), p->batch, p->channels, p->positions, p->groups,
                  p->layout.order ? p->layout.order : "012", names[i], errors[i].out, errors[i].naive,
                  errors[i].broken ? ", NaN or infinity out of place" : "", (unsigned long long)test_seed());
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

static void shapes(vka_dtype type, vka_dtype affine, float center) {
    static const uint32_t list[][4] = {{2, 12, 35, 3},  {1, 6, 64, 6},  {3, 8, 1, 2},   {2, 4, 7, 1},
                                       {1, 1, 1, 1},    {2, 64, 4, 32}, {2, 32, 49, 8}, {1, 320, 256, 32},
                                       {1, 3, 5000, 1}, {5, 2, 3, 1}};
    static const char *const orders[] = {NULL, "021", "201"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 30; i++) {
        const uint32_t *s = list[i % 10];
        both_paths(&c, (problem){.type = type,
                                 .affine = affine,
                                 .batch = s[0],
                                 .channels = s[1],
                                 .positions = s[2],
                                 .groups = s[3],
                                 .center = center,
                                 .layout = {orders[i / 10], i % 3 == 1, i % 4 == 3}});
    }
    context_close(&c);
}

Test(group_norm, shapes_f32) {
    shapes(VKA_F32, VKA_F32, 0);
}

Test(group_norm, shapes_f16) {
    shapes(VKA_F16, VKA_F16, 0);
}

Test(group_norm, shapes_bf16_weights_f32) {
    shapes(VKA_BF16, VKA_F32, 0);
}

Test(group_norm, offset) {
    shapes(VKA_F32, VKA_F32, 1000);
}

Test(group_norm, in_place) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 2 * DTYPES; n++) {
        both_paths(&c, (problem){.type = dtypes[n % DTYPES],
                                 .batch = 2,
                                 .channels = 6,
                                 .positions = n % 2 ? 33 : 5000,
                                 .groups = 2,
                                 .in_place = true,
                                 .plain = n % 2,
                                 .layout = {n < DTYPES ? NULL : "021"}});
    }
    context_close(&c);
}

/* More elements than a float sums well one after the other. */
Test(group_norm, large_groups) {
    context c;
    context_open(&c, &config_real);
    for (int last = 0; last < 2; last++) {
        both_paths(&c, (problem){.batch = 1,
                                 .channels = 16,
                                 .positions = 70001,
                                 .groups = 1,
                                 .center = 100,
                                 .layout = {last ? "021" : NULL}});
    }
    context_close(&c);
}

/* ---- values that are no ordinary numbers ------------------------------------------------------------------------ */

static float unusual(uint32_t group, uint32_t element) {
    switch (group) {
    case 0:
        return element % 2 ? 3e38f : -3e38f;
    case 1:
        return 1e38f;
    case 2:
        return 0;
    case 3:
        return element == 7 ? NAN : 1;
    case 4:
        return 10000 + 0.001f * (float)(element % 5);
    default:
        return (float)(element % 3);
    }
}

Test(group_norm, unusual_values) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 4; n++) {
        both_paths(&c, (problem){.batch = 2,
                                 .channels = 6,
                                 .positions = n % 2 ? 6000 : 21,
                                 .groups = 3,
                                 .plain = true,
                                 .value = unusual,
                                 .layout = {n < 2 ? NULL : "021"}});
    }
    context_close(&c);
}

Test(group_norm, epsilon) {
    static const float list[] = {1e-12f, 1e-3f, 100};
    context c;
    context_open(&c, &config_real);
    for (int i = 0; i < 3; i++) {
        both_paths(&c, (problem){.batch = 1, .channels = 4, .positions = 9, .groups = 2, .epsilon = list[i]});
    }
    context_close(&c);
}

/* ---- without a result -------------------------------------------------------------------------------------------- */

/* What no table says. */
Test(group_norm, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_3d(NULL, VKA_F16, 2, 6, 8);
    vka_group_norm_desc d = {.x = x, .out = x};
    EXPECT_FAILURE(vka_group_norm_prepare(c.device, &d), VKA_INVALID, "vka_group_norm.groups");
    d.groups = 4;
    EXPECT_FAILURE(vka_group_norm_prepare(c.device, &d), VKA_INVALID, "vka_group_norm.groups");
    d.groups = 3;
    EXPECT_OK(vka_group_norm_prepare(c.device, &d));
    d.weight = vka_tensor_1d(NULL, VKA_F32, 6);
    d.bias = vka_tensor_1d(NULL, VKA_F16, 6);
    EXPECT_FAILURE(vka_group_norm_prepare(c.device, &d), VKA_INVALID, "vka_group_norm.bias");
    d.bias = (vka_tensor){0};
    d.x = d.out = vka_tensor_3d(NULL, VKA_F16, 2, 6, VKA_GROUP_NORM_MAX / 2 + 1);
    EXPECT_FAILURE(vka_group_norm_prepare(c.device, &d), VKA_INVALID, "vka_group_norm.x");
    d.x = d.out = vka_tensor_3d(NULL, VKA_F16, 0, 6, 8);
    EXPECT_OK(vka_group_norm_prepare(c.device, &d));
    context_close(&c);
}

/* Plans for devices that are not here keep to their limits, and do every group once. */
Test(group_norm, plans) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 60 * DEVICES; n++) {
        const device *d = &devices[n % DEVICES];
        uint32_t groups = ONE_OF(&rng, 1, 3, 32), channels = groups * ONE_OF(&rng, 1, 2, 20);
        uint32_t batch = ONE_OF(&rng, 1, 7, 5000), positions = ONE_OF(&rng, 1, 49, 4096, 100000);
        vka__view x = random_view(&rng, VKA_F16, 1, batch, channels, positions);
        vka__view out = random_view(&rng, VKA_F16, 1, batch, channels, positions);
        vka_group_norm_desc desc = {.x = tensor_of(&x, 3),
                                    .out = tensor_of(&out, 3),
                                    .groups = groups,
                                    .mean = vka_tensor_2d(NULL, VKA_F32, batch, groups),
                                    .path = (vka_norm_path)(n % 3)};
        vka__call c;
        if (!PLAN(&c, group_norm, &d->caps, &desc)) {
            uint64_t range = d->caps.storage_range, group = channels / groups - 1;
            cr_assert(2 * (group * x.stride[2] + vka__view_extent(&x, 3)) + 1024 > range ||
                          2 * (group * out.stride[2] + vka__view_extent(&out, 3)) + 1024 > range,
                      "%s refuses %s: %s", d->name, c.refusal.field, c.refusal.reason);
            continue;
        }
        bool lane = strstr(vka__kernel_name((vka__kernel)c.key[0].kernel), "lane");
        check_key(d, &c.key[0], lane ? 0 : 8 * c.key[0].spec[VKA_SPEC_GROUP_SIZE]);
        uint64_t rows = 0;
        for (uint64_t i = 0; i < c.dispatches; i++) {
            vka__dispatch at;
            vka__call_dispatch(&c, i, &at);
            check_dispatch(d, &at);
            rows += at.push.rows;
            uint64_t element =
                (uint64_t)at.push.b0 * x.stride[1] + (uint64_t)at.push.h0 * (channels / groups) * x.stride[2];
            uint64_t extent = (uint64_t)(channels / groups - 1) * x.stride[2] + vka__view_extent(&x, 3);
            check_binding(d, &x, element, extent, &at.binding[VKA_BIND_X], at.push.base[VKA_BIND_X], "x");
        }
        cr_assert_eq(rows, (uint64_t)batch * groups);
    }
}
