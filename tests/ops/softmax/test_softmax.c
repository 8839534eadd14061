/* Softmax against float64, by the accuracy rule.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
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

typedef enum lengths_of { LENGTHS_NONE, LENGTHS_HOST, LENGTHS_DEVICE } lengths_of;

/* Zero types: f32. */
typedef struct problem {
    vka_dtype x_type, out_type;
    uint32_t rank, shape[4];
    layout layout;
    lengths_of lengths;
    float scale, deviation; /* of x; 0: 1 */
    bool log, in_place;
    float (*value)(uint32_t row, uint32_t col); /* NULL: random */

    context *c;
    uint32_t rows, cols, first; /* first: the size of the dimension that has lengths */
    tensor x, out, list;
    float *values;
    int32_t *host;
} problem;

static void make(context *c, problem *p) {
    p->c = c;
    p->x_type = p->x_type ? p->x_type : VKA_F32;
    p->out_type = p->in_place ? p->x_type : p->out_type ? p->out_type : VKA_F32;
    p->cols = p->shape[p->rank - 1];
    p->first = p->rank > 1 ? p->shape[0] : 1;
    p->rows = 1;
    for (uint32_t i = 0; i + 1 < p->rank; i++) {
        p->rows *= p->shape[i];
    }
    ref_rng rng = ref_rng_seed(test_seed());
    p->x = tensor_create(c, p->x_type, p->rank, p->shape, p->layout);
    p->out = tensor_create(c, p->out_type, p->rank, p->shape, p->layout);
    p->list = tensor_create(c, VKA_I32, 1, &p->first, (layout){.pad = p->layout.pad});
    tensor_fill_normal(&p->x, &rng, 0, p->deviation != 0 ? p->deviation : 1);
    p->host = malloc((p->first + 1) * sizeof *p->host);
    p->values = malloc((p->x.count + 1) * sizeof *p->values);
    cr_assert(p->host && p->values);
    for (uint32_t i = 0; i < p->first; i++) { /* 0 and everything are among them */
        uint32_t length = i % 5 == 1 ? 0 : i % 5 == 2 ? p->cols : ref_rng_below(&rng, p->cols + 1);
        p->host[i] = (int32_t)length;
        /* What is no length in device memory is clamped. */
        p->list.values[i] = i % 10 == 1 ? -7 : i % 10 == 2 ? (float)p->cols + 3 : (float)length;
    }
    for (size_t i = 0; i < p->x.count && p->value; i++) {
        p->x.values[i] = p->value((uint32_t)(i / p->cols), (uint32_t)(i % p->cols));
    }
}

static uint32_t live(const problem *p, uint32_t row) {
    return p->lengths ? (uint32_t)p->host[row / (p->rows / p->first)] : p->cols;
}

/* Hidden columns hold what must not matter. */
static void hide(problem *p) {
    for (uint32_t row = 0; row < p->rows; row++) {
        for (uint32_t col = live(p, row); col < p->cols; col++) {
            p->x.values[(size_t)row * p->cols + col] = col % 2 ? NAN : INFINITY;
        }
    }
}

static vka_softmax_desc describe(const problem *p, vka_softmax_path path) {
    vka_softmax_desc d = {
        .x = p->x.view, .out = p->in_place ? p->x.view : p->out.view, .scale = p->scale, .log = p->log, .path = path};
    d.lengths.values = p->lengths == LENGTHS_HOST ? p->host : NULL;
    d.lengths.tensor = p->lengths == LENGTHS_DEVICE ? p->list.view : (vka_tensor){0};
    return d;
}

/* In units of the row's largest probability, or every result of a long row would be near enough to 0. */
static void compare(const problem *p, const tensor *out, vka_softmax_path path) {
    double *ref = malloc((p->cols + 1) * sizeof *ref);
    float *naive = malloc((p->cols + 1) * sizeof *naive);
    cr_assert(ref && naive);
    ref_error e = {0};
    for (uint32_t row = 0; row < p->rows; row++) {
        size_t first = (size_t)row * p->cols;
        ref_logits s = {.cols = p->cols,
                        .live = live(p, row),
                        .x = p->values + first,
                        .scale = p->scale != 0 ? (double)p->scale : 1,
                        .log = p->log};
        ref_logits_softmax(&s, ref);
        ref_logits_naive_softmax(&s, p->out_type, naive);
        double unit = 0;
        for (uint32_t i = 0; i < p->cols && !p->log; i++) {
            unit = fmax(unit, ref[i]);
        }
        unit = unit > 0 ? unit : 1;
        for (uint32_t i = 0; i < p->cols; i++) {
            double got = (double)out->values[first + i];
            double tell = ref[i] < -(double)FLT_MAX ? -INFINITY : ref[i]; /* a logarithm beyond f32 */
            ref_error_add(&e, got / unit, (double)naive[i] / unit, tell / unit);
            cr_assert(!e.broken && (tell != 0 || p->log || got == 0),
                      "path %d, %u rows of %u, row %u with %u, column %u: %g, not %g", path, p->rows, p->cols, row,
                      s.live, i, got, tell);
        }
    }
    cr_assert(ref_error_ok(&e),
              "path %d, %s to %s, %u rows of %u%s%s, scale %g: off by %g, naive by %g; VKATTN_SEED=%llu", path,
              dtype_name(p->x_type), dtype_name(p->out_type), p->rows, p->cols, p->log ? ", log" : "",
              p->lengths ? ", lengths" : "", (double)p->scale, e.out, e.naive, (unsigned long long)test_seed());
    free(ref);
    free(naive);
}

static void run(problem *p, vka_softmax_path path) {
    vka_softmax_desc d = describe(p, path);
    memcpy(p->x.values, p->values, p->x.count * sizeof *p->values);
    tensor_upload(&p->x);
    tensor_upload(&p->list);
    tensor_poison(&p->out);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_softmax(p->c->recorder, &d));
    context_finish(p->c);
    tensor *out = p->in_place ? &p->x : &p->out;
    cr_assert(tensor_download(out), "writes outside of out");
    compare(p, out, path);
}

static void both_paths(context *c, problem p) {
    bool lane = !context_leaves_out(c, 7), group = !context_leaves_out(c, 7);
    if (!lane && !group) {
        return;
    }
    make(c, &p);
    if (p.lengths) {
        hide(&p);
    }
    tensor_round(&p.x);
    memcpy(p.values, p.x.values, p.x.count * sizeof *p.values);
    if (lane) {
        run(&p, VKA_SOFTMAX_PATH_LANE);
    }
    if (group) {
        run(&p, VKA_SOFTMAX_PATH_GROUP);
    }
    tensor_destroy(&p.x);
    tensor_destroy(&p.out);
    tensor_destroy(&p.list);
    free(p.values);
    free(p.host);
}

static void widths(vka_dtype type) {
    static const uint32_t list[] = {1, 2, 3, 7, 8, 31, 64, 127, 768, 1024, 4095, 8192, 8193, 33000, 150001};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * sizeof list / sizeof *list; i++) {
        uint32_t width = list[i / 2], rows = width > 5000 ? 2 : 19;
        both_paths(
            &c, (problem){
                    .x_type = type, .out_type = type, .rank = 2, .shape = {rows, width}, .deviation = 3, .log = i % 2});
    }
    context_close(&c);
}

Test(softmax, widths_f32) {
    widths(VKA_F32);
}

Test(softmax, widths_f16) {
    widths(VKA_F16);
}

Test(softmax, widths_bf16) {
    widths(VKA_BF16);
}

/* So many that a workgroup does several, the last one fewer; the last vectors of a row are not all there. */
Test(softmax, many_rows) {
    context c;
    context_open(&c, &config_real);
    for (int log = 0; log < 2; log++) {
        both_paths(&c,
                   (problem){.rank = 2, .shape = {515, 136}, .log = log, .lengths = log ? LENGTHS_HOST : LENGTHS_NONE});
    }
    context_close(&c);
}

/* More columns than a float counts well one after the other. */
Test(softmax, long_rows) {
    context c;
    context_open(&c, &config_real);
    for (int log = 0; log < 2; log++) {
        both_paths(&c, (problem){.rank = 1, .shape = {(1 << 20) + 3}, .log = log});
    }
    context_close(&c);
}

Test(softmax, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < DTYPES * DTYPES; n++) {
        both_paths(&c, (problem){.x_type = dtypes[n % DTYPES],
                                 .out_type = dtypes[n / DTYPES],
                                 .rank = 3,
                                 .shape = {2, 5, 36 + n % 2},
                                 .log = n % 2,
                                 .lengths = LENGTHS_DEVICE});
    }
    context_close(&c);
}

/* An order that ends with another dimension is a softmax over that one. */
Test(softmax, layouts) {
    static const struct {
        uint32_t rank, shape[4];
        const char *order;
    } list[] = {
        {1, {41}, NULL},          {2, {7, 33}, "10"},         {3, {3, 5, 64}, "102"},     {3, {3, 5, 21}, "201"},
        {3, {4, 5, 12}, "210"},   {4, {2, 3, 4, 20}, "0213"}, {4, {2, 3, 4, 19}, "0312"}, {4, {2, 1, 4, 19}, "3210"},
        {4, {2, 3, 1, 1}, "1302"}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 9 * 3; i++) {
        problem p = {.x_type = dtypes[i % 3],
                     .out_type = dtypes[(i + i / 9) % 3],
                     .rank = list[i % 9].rank,
                     .layout = {list[i % 9].order, i / 9, i / 9},
                     .lengths = (lengths_of)(i % 3),
                     .log = i % 2};
        memcpy(p.shape, list[i % 9].shape, sizeof p.shape);
        both_paths(&c, p);
    }
    context_close(&c);
}

Test(softmax, in_place) {
    static const uint32_t widths_in_place[] = {63, 64, 9001};
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 3 * DTYPES; n++) {
        both_paths(&c, (problem){.x_type = dtypes[n % DTYPES],
                                 .rank = 2,
                                 .shape = {11, widths_in_place[n / DTYPES]},
                                 .in_place = true,
                                 .lengths = LENGTHS_HOST,
                                 .log = n % 2,
                                 .layout = {.pad = n % 2}});
    }
    context_close(&c);
}

/* Each dimension that can have lengths; long rows too. */
Test(softmax, lengths) {
    static const uint32_t shapes[][4] = {{37}, {31, 65}, {12, 3, 20}, {11, 2, 3, 9}, {1, 5}, {10, 9000}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 12; n++) {
        problem p = {
            .rank = n % 6 > 3 ? 2 : n % 6 + 1, .lengths = n % 2 ? LENGTHS_HOST : LENGTHS_DEVICE, .log = n >= 6};
        memcpy(p.shape, shapes[n % 6], sizeof p.shape);
        both_paths(&c, p);
    }
    context_close(&c);
}

Test(softmax, scales) {
    static const float scales[] = {1e-3f, 0.25f, 40, 1000};
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 8; n++) {
        both_paths(&c, (problem){.rank = 2, .shape = {9, 77}, .scale = scales[n % 4], .log = n >= 4});
    }
    context_close(&c);
}

/* ---- values that are no ordinary numbers ------------------------------------------------------------------------ */

static float unusual(uint32_t row, uint32_t col) {
    static const float most = 3.4028235e38f;
    bool odd = col % 7 == 3;
    switch (row) {
    case 0:
        return odd ? -INFINITY : (float)(col % 5);
    case 1:
        return -INFINITY;
    case 2:
        return odd ? most : -most;
    case 3:
        return -most;
    case 4:
        return col == 50 ? NAN : 1;
    case 5:
        return col == 3 ? INFINITY : -INFINITY;
    case 6:
        return odd ? -most : -INFINITY;
    case 7:
        return col == 2 ? NAN : -INFINITY;
    case 8:
        return 1e6f + (float)(col % 3);
    case 9:
        return -1e6f - (float)(col % 3);
    case 10:
        return most;
    default:
        return (float)(col % 3);
    }
}

Test(softmax, unusual_values) {
    static const uint32_t widths_unusual[] = {51, 9000};
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 4; n++) {
        both_paths(&c, (problem){.rank = 2, .shape = {12, widths_unusual[n % 2]}, .log = n >= 2, .value = unusual});
    }
    context_close(&c);
}

/* Differences of halves, or the largest of a float would be infinitely far from the lowest. */
static float far_apart(uint32_t row, uint32_t col) {
    return ((float)(col % 5) - 2) * (row % 2 ? 1.7e38f : 1e30f);
}

Test(softmax, small_scales) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 4; n++) {
        both_paths(
            &c,
            (problem){.rank = 2, .shape = {4, n % 2 ? 9000 : 37}, .scale = 1e-37f, .log = n >= 2, .value = far_apart});
    }
    context_close(&c);
}

Test(softmax, no_rows) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_3d(NULL, VKA_F32, 0, 3, 8);
    vka_softmax_desc d = {.x = x, .out = x};
    vka_requirements need;
    EXPECT_OK(vka_softmax_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 0);
    context_close(&c);
}

/* What no table says. */
Test(softmax, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_tensor x = vka_tensor_2d(NULL, VKA_F32, 3, 8);
    vka_softmax_desc d = {.x = x, .out = x, .lengths.values = (const int32_t[]){8, 0, 9}};
    EXPECT_FAILURE(vka_softmax_prepare(c.device, &d), VKA_INVALID, "vka_softmax.lengths");
    d.lengths.values = (const int32_t[]){8, -1, 3};
    EXPECT_FAILURE(vka_softmax_prepare(c.device, &d), VKA_INVALID, "vka_softmax.lengths");
    d.lengths.values = (const int32_t[]){8, 0, 3};
    EXPECT_OK(vka_softmax_prepare(c.device, &d));
    d.lengths = (vka_integers){.tensor = vka_tensor_1d(NULL, VKA_I32, 2)};
    EXPECT_FAILURE(vka_softmax_prepare(c.device, &d), VKA_INVALID, "vka_softmax.lengths");
    d.lengths = (vka_integers){0};
    d.scale = 1e38f;
    EXPECT_FAILURE(vka_softmax_prepare(c.device, &d), VKA_INVALID, "vka_softmax.scale");
    context_close(&c);
}

/* A subgroup a row where a driver loads a vector of lanes at once and rows are long enough. */
Test(softmax, plans_by_rows_of_software_drivers) {
    static const struct {
        const char *device;
        uint32_t cols, subgroup, vectors;
    } cases[] = {{"lavapipe 25.0", 1024, 0, 0}, {"lavapipe 26.1", 124, 0, 0},   {"lavapipe 26.1", 1022, 0, 0},
                 {"lavapipe 26.1", 128, 8, 4},  {"lavapipe 26.1", 1024, 8, 32}, {"lavapipe 26.1", 1028, 8, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_softmax_desc desc = {.x = vka_tensor_2d(NULL, VKA_F32, 4096, cases[i].cols)};
        desc.out = desc.x;
        vka__call c;
        cr_assert(plan_call(&c, &vka__op_softmax, &device_named(cases[i].device)->caps, &desc, sizeof desc));
        cr_expect_eq(c.key[0].spec[VKA_SPEC_SUBGROUP], cases[i].subgroup, "case %zu", i);
        cr_expect_eq(c.key[0].spec[VKA_SPEC_COLS], cases[i].vectors, "case %zu", i);
        cr_expect_eq(c.key[0].kernel == VKA__softmax_group_sg_int64, cases[i].subgroup != 0, "case %zu", i);
    }
}

/* Plans for devices that are not here keep to their limits, and do every row once. */
Test(softmax, plans) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 40 * DEVICES; n++) {
        const device *d = &devices[n % DEVICES];
        uint32_t a = ONE_OF(&rng, 1, 2, 5), b = ONE_OF(&rng, 1, 3, 64), rows = ONE_OF(&rng, 1, 77, 3000);
        uint32_t cols = ONE_OF(&rng, 1, 7, 64, 1023, 8193, 150000);
        vka__view x = random_view(&rng, VKA_F16, a, b, rows, cols), out = random_view(&rng, VKA_F32, a, b, rows, cols);
        vka_softmax_desc desc = {
            .x = tensor_of(&x, 4), .out = tensor_of(&out, 4), .path = (vka_softmax_path)(n / DEVICES % 3)};
        vka__call c;
        if (plan_call(&c, &vka__op_softmax, &d->caps, &desc, sizeof desc)) {
            bool lane = strstr(vka__kernel_name((vka__kernel)c.key[0].kernel), "lane");
            check_key(d, &c.key[0], lane ? 0 : 4 * c.key[0].spec[VKA_SPEC_GROUP_SIZE]);
            check_rows(d, &c, false);
        } else {
            cr_assert_gt(vka__view_extent(&x, 3) * 2 + vka__view_extent(&out, 3) * 4 + 1024, d->caps.storage_range);
        }
    }
}
