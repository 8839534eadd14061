/* Sorts by hashes: every bucket against float64, orders against a stable sort of the buckets that the device found,
 * keys by the accuracy rule; and what callers prepare on the host. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lsh_case.h"
#include "params/lsh.h"
#include "plan_check.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---- on the host ----------------------------------------------------------------------------------------------- */

Test(lsh, rotations_by_definition) {
    static const struct {
        uint64_t seed, first;
        size_t count;
    } spans[] = {{0, 0, 100}, {1, 3, 7}, {UINT64_MAX, 5, 1}, {77, (UINT64_C(1) << 34) - 6, 12}, {3, 2, 0}};
    for (size_t i = 0; i < COUNT(spans); i++) {
        float values[101] = {0};
        values[spans[i].count] = 42;
        vka_lsh_rotations(spans[i].seed, spans[i].first, spans[i].count, values);
        for (size_t n = 0; n < spans[i].count; n++) {
            float wanted = ref_lsh_rotation(spans[i].seed, spans[i].first + n);
            cr_assert(values[n] == wanted, "seed %llu: number %llu is %.9g, not %.9g",
                      (unsigned long long)spans[i].seed, (unsigned long long)(spans[i].first + n), (double)values[n],
                      (double)wanted);
        }
        cr_assert(values[spans[i].count] == 42, "writes beyond the count");
    }
}

/* Mean, deviation and fourth moment within six of their standard errors. */
Test(lsh, rotations_are_normal) {
    enum { MANY = 200000 };
    float *values = malloc(MANY * sizeof *values);
    double sum[3] = {0};
    cr_assert_not_null(values);
    vka_lsh_rotations(test_seed(), 0, MANY, values);
    for (size_t n = 0; n < MANY; n++) {
        double x = (double)values[n];
        sum[0] += x / MANY;
        sum[1] += x * x / MANY;
        sum[2] += x * x * x * x / MANY;
    }
    free(values);
    cr_assert_lt(fabs(sum[0]), 6 * sqrt(1.0 / MANY));
    cr_assert_lt(fabs(sum[1] - 1), 6 * sqrt(2.0 / MANY));
    cr_assert_lt(fabs(sum[2] - 3), 6 * sqrt(96.0 / MANY));
}

Test(lsh, rounds) {
    vka_tensor dense = vka_tensor_4d(NULL, VKA_I32, 3, 2, 5, 7), strided = vka_tensor_transpose(dense, 1, 3);
    vka_tensor second = vka_lsh_round(dense, 1), last = vka_lsh_round(strided, 2);
    cr_assert_eq(second.rank, 3);
    cr_assert_eq(second.offset, 1 * 70 * 4);
    cr_assert_eq(last.offset, 2 * 70 * 4);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(second.shape[i], dense.shape[i + 1]);
        cr_assert_eq(second.stride[i], 0, "dense stays dense");
        cr_assert_eq(last.shape[i], strided.shape[i + 1]);
        cr_assert_eq(last.stride[i], strided.stride[i + 1]);
    }
    const vka_tensor cube = vka_tensor_3d(NULL, VKA_I32, 3, 2, 5), none = vka_lsh_round(dense, 3),
                     same = vka_lsh_round(cube, 0);
    cr_assert(!memcmp(&none, &dense, sizeof none), "a round that there is not");
    cr_assert(!memcmp(&same, &cube, sizeof same), "not rounds");
}

/* ---- sorts ----------------------------------------------------------------------------------------------------- */

static void check_all(const device_config *config, const lsh_case *cases, size_t count) {
    context c;
    context_open(&c, config);
    for (size_t i = 0; i < count; i++) {
        lsh_check(&c, cases[i]);
    }
    context_close(&c);
}

/* Odd sizes; blocks that are not full; columns beside those of a tile. */
static const lsh_case shapes[] = {
    {.dim = 1, .bucket_count = {2}, .keys_type = VKA_F16},
    {.batch = 2, .heads = 3, .tokens = 333, .dim = 40, .rounds = 2, .bucket_count = {34}},
    {.tokens = 1023, .dim = 59, .rounds = 3, .bucket_count = {64}, .shared_rotations = true, .epsilon = 0.25f},
    {.dtype = VKA_F16, .heads = 2, .tokens = 257, .dim = 96, .bucket_count = {18}},
    {.dtype = VKA_F16, .batch = 3, .tokens = 100, .dim = 7, .rounds = 2, .keys_type = VKA_BF16},
    {.dtype = VKA_BF16, .tokens = 513, .dim = 33, .rounds = 4, .bucket_count = {100}, .keys_type = VKA_F32},
    {.dtype = VKA_BF16, .heads = 2, .tokens = 65, .dim = 1024, .bucket_count = {6}, .no_keys = true},
};

Test(lsh, shapes) {
    check_all(&config_real, shapes, COUNT(shapes));
}

Test(lsh, shapes_no_f16) {
    check_all(&config_no_f16, shapes, COUNT(shapes));
}

Test(lsh, shapes_few_groups) {
    check_all(&config_few_groups, shapes, COUNT(shapes));
}

/* Workgroups of 64 and less. */
Test(lsh, shapes_tiny) {
    check_all(&config_tiny, shapes, COUNT(shapes));
}

Test(lsh, shapes_few_buffers) {
    check_all(&config_few_buffers, shapes + 1, 1);
}

Test(lsh, shapes_staged) {
    check_all(&config_staged, shapes + 1, 1);
}

Test(lsh, layouts) {
    static const layout layouts[] = {{"0213", 0, 0}, {"0213", 4, 4}, {"3120", 1, 3}, {NULL, 5, 1}};
    lsh_case cases[2 * COUNT(layouts)];
    for (size_t i = 0; i < COUNT(cases); i++) {
        cases[i] = (lsh_case){.dtype = i % 2 ? VKA_F32 : VKA_F16,
                              .batch = 2,
                              .heads = 3,
                              .tokens = 70,
                              .dim = 24,
                              .rounds = 2,
                              .bucket_count = {10},
                              .lengths = i < 4 ? LENGTHS_NONE : LENGTHS_TENSOR,
                              .layout = layouts[i / 2]};
    }
    check_all(&config_real, cases, COUNT(cases));
}

/* Sums are exact, so that the first of equals is one and no other; most tokens are like many others. */
Test(lsh, ties) {
    static const lsh_case cases[] = {
        {.heads = 2, .tokens = 999, .dim = 2, .rounds = 3, .bucket_count = {12}, .content = CONTENT_WHOLE},
        {.tokens = 600, .dim = 3, .bucket_count = {40}, .content = CONTENT_WHOLE, .dtype = VKA_F16},
        {.tokens = 500, .dim = 1, .rounds = 2, .bucket_count = {6, 4}, .content = CONTENT_WHOLE, .dtype = VKA_BF16},
    };
    check_all(&config_real, cases, COUNT(cases));
}

Test(lsh, nonfinite_numbers) {
    static const lsh_case cases[] = {
        {.heads = 2, .tokens = 70, .dim = 5, .rounds = 2, .bucket_count = {12}, .content = CONTENT_NONFINITE},
        {.tokens = 70, .dim = 1, .bucket_count = {4, 6}, .content = CONTENT_NONFINITE, .dtype = VKA_F16},
        {.tokens = 70, .dim = 40, .bucket_count = {36}, .content = CONTENT_NONFINITE, .dtype = VKA_BF16},
        {.tokens = 700, .dim = 20, .content = CONTENT_ENORMOUS, .no_keys = true},
    };
    check_all(&config_real, cases, COUNT(cases));
}

Test(lsh, lengths) {
    lsh_case cases[3];
    for (size_t i = 0; i < COUNT(cases); i++) {
        cases[i] = (lsh_case){
            .batch = 5, .heads = 2, .tokens = 600, .dim = 8, .rounds = 2, .lengths = (lsh_lengths)(LENGTHS_HOST + i)};
    }
    check_all(&config_real, cases, COUNT(cases));
}

/* Two hashes of a token; and so many buckets that blocks become longer than workgroups are wide. */
Test(lsh, two_hashes) {
    static const lsh_case cases[] = {
        {.heads = 2, .tokens = 900, .dim = 16, .rounds = 2, .bucket_count = {6, 10}},
        {.tokens = 3000, .dim = 8, .bucket_count = {64, 64}, .lengths = LENGTHS_HOST},
    };
    check_all(&config_real, cases, COUNT(cases));
}

/* As many blocks as there may be, and longer than otherwise. */
Test(lsh, many_tokens) {
    static const lsh_case cases[] = {{.tokens = 300007, .dim = 2, .bucket_count = {14}, .no_keys = true}};
    check_all(&config_real, cases, COUNT(cases));
}

/* Slices of a round, of a batch entry in it, and of a head. */
Test(lsh, short_bindings) {
    static const lsh_case cases[] = {
        {.batch = 3, .heads = 2, .tokens = 150, .dim = 8, .rounds = 20},
        {.batch = 3, .heads = 2, .tokens = 300, .dim = 16, .rounds = 2},
        {.batch = 2, .heads = 3, .tokens = 600, .dim = 8, .rounds = 2, .layout = {"0213", 0, 0}},
        {.batch = 2, .heads = 3, .tokens = 2000, .dim = 5, .rounds = 5, .lengths = LENGTHS_TENSOR},
        {.batch = 1, .heads = 2, .tokens = 6000, .dim = 2, .rounds = 3, .lengths = LENGTHS_HOST},
    };
    check_all(&config_short, cases, COUNT(cases));
}

/* ---- other calls ----------------------------------------------------------------------------------------------- */

/* without optional outputs the permutation is the same, and the scratch memory may be the recorder's own. */
Test(lsh, order_alone) {
    context c;
    context_open(&c, &config_real);
    lsh_problem p =
        lsh_make(&c, (lsh_case){.batch = 2, .heads = 2, .tokens = 800, .dim = 12, .rounds = 2, .bucket_count = {30}},
                 test_seed());
    lsh_run(&p);
    uint8_t *permutation = malloc(p.permutation.size);
    cr_assert_not_null(permutation);
    memcpy(permutation, p.permutation.image, p.permutation.size);
    vka_lsh_sort_desc d = lsh_desc(&p);
    d.buckets = d.keys = (vka_tensor){0};
    lsh_poison(&p);
    EXPECT_OK(vka_lsh_sort_prepare(c.device, &d));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_lsh_sort(c.recorder, &d));
    context_finish(&c);
    cr_assert(tensor_download(&p.permutation));
    cr_assert(!memcmp(permutation, p.permutation.image, p.permutation.size),
              "another permutation without the other outputs");
    free(permutation);
    lsh_destroy(&p);
    context_close(&c);
}

/* A recording whose lengths and tokens change is submitted again. */
Test(lsh, replay) {
    context c;
    context_open(&c, &config_real);
    lsh_problem p =
        lsh_make(&c, (lsh_case){.batch = 3, .tokens = 400, .dim = 6, .rounds = 2, .lengths = LENGTHS_TENSOR}, 1);
    vka_lsh_sort_desc d = lsh_desc(&p);
    ref_rng rng = ref_rng_seed(test_seed());
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_lsh_sort(c.recorder, &d));
    for (int time = 0; time < 3; time++) {
        for (uint32_t b = 0; b < p.l.batch; b++) {
            p.tokens[b] = (int32_t)ref_rng_below(&rng, p.l.tokens + 1);
            memcpy(tensor_bytes(&p.lengths, b), &p.tokens[b], sizeof *p.tokens);
        }
        EXPECT_OK(vka_buffer_write(p.lengths.view.buffer, 0, p.lengths.image, p.lengths.size));
        tensor_fill_normal(&p.x, &rng, 0, 1);
        tensor_upload(&p.x);
        lsh_poison(&p);
        context_finish(&c);
        lsh_compare(&p);
    }
    lsh_destroy(&p);
    context_close(&c);
}

Test(lsh, nothing) {
    context c;
    context_open(&c, &config_real);
    lsh_problem p = lsh_make(&c, (lsh_case){.batch = 2, .heads = 3, .tokens = 5, .dim = 8}, test_seed());
    for (int dim = 0; dim < 3; dim++) {
        vka_lsh_sort_desc d = lsh_desc(&p);
        vka_requirements need;
        d.x.shape[dim] = d.keys.shape[dim] = d.permutation.shape[dim + 1] = d.buckets.shape[dim + 1] = 0;
        d.rotations.shape[1] = dim == 1 ? 1 : d.rotations.shape[1];
        lsh_poison(&p);
        EXPECT_OK(vka_lsh_sort_prepare(c.device, &d));
        EXPECT_OK(vka_lsh_sort_requirements(c.device, &d, &need));
        cr_assert_eq(need.workspace_bytes, 0);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_lsh_sort(c.recorder, &d));
        context_finish(&c);
        memset(p.tokens, 0, p.l.batch * sizeof *p.tokens);
        cr_assert(tensor_download(&p.permutation));
        for (size_t i = 0; i < p.permutation.count; i++) {
            cr_assert_eq(lsh_integer(&p.permutation, i), 0x77777777, "a permutation was written");
        }
    }
    lsh_destroy(&p);
    context_close(&c);
}

/* ---- plans ----------------------------------------------------------------------------------------------------- */

static vka_lsh_sort_desc long_sort(uint32_t rounds, uint32_t batch, uint32_t heads, uint32_t tokens, uint32_t buckets) {
    return (vka_lsh_sort_desc){.x = vka_tensor_4d(NULL, VKA_F32, batch, heads, tokens, 1),
                               .rotations = vka_tensor_4d(NULL, VKA_F32, rounds, 1, 1, buckets / 2),
                               .permutation = vka_tensor_4d(NULL, VKA_I32, rounds, batch, heads, tokens),
                               .bucket_count = {buckets}};
}

static const vka_device_caps *gpu(void) {
    static vka_device_caps caps;
    caps = (vka_device_caps){.type = VKA_DEVICE_INTEGRATED,
                             .max_invocations = 128,
                             .max_groups = {65535, 65535, 65535},
                             .storage_range = 1u << 27,
                             .storage_align = 64};
    return &caps;
}

/* What every dispatch of a plan must keep to. */
static void check_plan(const vka_lsh_sort_desc *desc, uint32_t slices) {
    const vka_device_caps *caps = gpu();
    vka__call c;
    cr_assert(PLAN(&c, lsh_sort, caps, desc), "%s: %s", c.refusal.field, c.refusal.reason);
    const vka_lsh_params *params = VKA__PARAMS(&c, vka_lsh_params);
    vka__dispatch first;
    vka__call_dispatch(&c, 0, &first);
    uint64_t rows = first.push.rows, all = vka__volume(desc->permutation.shape), groups = 0; /* of a slice, of all */
    cr_assert_eq(rows * slices, all, "%llu rows of a slice are not one of %u slices", (unsigned long long)rows, slices);
    cr_assert_geq((uint64_t)params->block * params->blocks, params->tokens);
    uint64_t words = rows * ((uint64_t)params->blocks * params->buckets + params->tokens);
    cr_assert(c.workspace_bytes >= 4 * words && c.workspace_bytes < 4 * words + 256);
    for (uint64_t i = 0; i < c.dispatches; i++) {
        vka__dispatch d;
        vka__call_dispatch(&c, i, &d);
        for (int n = 0; n < 3; n++) {
            cr_assert(d.groups[n] >= 1 && d.groups[n] <= caps->max_groups[n]);
        }
        for (int n = 1; n < VKA_MAX_BINDINGS; n++) {
            cr_assert_leq(d.binding[n].range, caps->storage_range);
        }
        groups += (uint64_t)d.groups[0] * d.groups[1];
    }
    cr_assert_eq(groups, (2 * params->blocks + 1) * rows * slices, "every block is hashed and placed once");
}

Test(lsh, plans) {
    vka_lsh_sort_desc d = long_sort(4, 1, 1, 1 << 24, 1024);
    check_plan(&d, 4);
    d = long_sort(1, 1, 1, 1, 2);
    check_plan(&d, 1);
    d = long_sort(3, 1000, 100, 10, 64); /* more rows than a dispatch has groups */
    check_plan(&d, 1);
    d = long_sort(2, 8, 4, 1 << 20, 4096);
    check_plan(&d, 16);
    vka__call c;
    d = long_sort(1, 1, 1, (1 << 25) + 1, 2);
    cr_assert(!PLAN(&c, lsh_sort, gpu(), &d));
    cr_assert_str_eq(c.refusal.field, "x");
    d = long_sort(1, 1, 1, (1 << 25) - 64, 2); /* whose workspace is the larger one */
    cr_assert(!PLAN(&c, lsh_sort, gpu(), &d));
    cr_assert_str_eq(c.refusal.field, "workspace");
}
