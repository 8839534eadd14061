/* Linear layers against float64, by the accuracy rule alone.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linear_case.h"
#include "op/op.h"
#include "ops/linear/plan.h"

static const vka_dtype weights[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_Q8_0, VKA_Q4_0};
#define WEIGHTS (sizeof weights / sizeof *weights)

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

/* Parts of tiles, of steps, of vectors. Columns of weights with blocks are whole ones. */
static void test_sizes(vka_dtype x, vka_dtype weight) {
    static const uint32_t rows[] = {1, 3, 17, 33, 65}, outputs[] = {1, 3, 17, 65, 129};
    static const uint32_t columns[] = {1, 3, 17, 33, 64, 129, 520};
    context c;
    context_open(&c, &config_real);
    if (context_compiles_slowly(&c) && (x + weight) % 3) { /* every type of both is among the others */
        context_close(&c);
        cr_skip_test("SKIP: this driver takes seconds to compile a kernel (VKATTN_TEST_ALL=1 runs it)");
    }
    uint32_t turn = 0, step = context_compiles_slowly(&c) ? 88 : context_is_software(&c) ? 23 : 7;
    for (uint32_t r = 0; r < 5; r++) {
        for (uint32_t n = 0; n < 5; n++) {
            for (uint32_t k = 0; k < 7; k++) {
                if (turn++ % step != (uint32_t)(x + weight) % step) {
                    continue;
                }
                uint32_t block = vka_dtype_block(weight), size = (columns[k] + block - 1) / block * block;
                linear_all_paths(&c, (linear_case){.rows = rows[r],
                                                   .outputs = outputs[n],
                                                   .columns = size,
                                                   .x = x,
                                                   .weight = weight,
                                                   .out = x,
                                                   .bias = n % 2 ? VKA_F32 : x});
            }
        }
    }
    context_close(&c);
}

#define SIZES(x, X)                                                                                                    \
    Test(linear, sizes_##x##_f32) {                                                                                    \
        test_sizes(X, VKA_F32);                                                                                        \
    }                                                                                                                  \
    Test(linear, sizes_##x##_f16) {                                                                                    \
        test_sizes(X, VKA_F16);                                                                                        \
    }                                                                                                                  \
    Test(linear, sizes_##x##_bf16) {                                                                                   \
        test_sizes(X, VKA_BF16);                                                                                       \
    }                                                                                                                  \
    Test(linear, sizes_##x##_q8_0) {                                                                                   \
        test_sizes(X, VKA_Q8_0);                                                                                       \
    }                                                                                                                  \
    Test(linear, sizes_##x##_q4_0) {                                                                                   \
        test_sizes(X, VKA_Q4_0);                                                                                       \
    }
SIZES(f32, VKA_F32)
SIZES(f16, VKA_F16)
SIZES(bf16, VKA_BF16)

/* Every tile of every path. */
static void test_candidates(linear_case l) {
    static vka_linear_candidate list[512];
    uint32_t count = 0, tried = 0;
    context c;
    context_open(&c, &config_real);
    bool slow = context_compiles_slowly(&c), software = context_is_software(&c);
    linear_problem p = linear_make(&c, l, test_seed());
    vka_linear_desc d = linear_desc(&p);
    EXPECT_OK(vka_linear_candidates(c.device, &d, list, 512, &count));
    cr_assert(count > 1 && count <= 512);
    for (uint32_t i = 0; i < count; i++) {
        bool matrix = list[i].path == VKA_LINEAR_PATH_COOPMAT || list[i].path == VKA_LINEAR_PATH_COOPMAT2;
        uint32_t step = getenv("VKATTN_TEST_ALL") ? 1 : slow || (software && matrix) ? 48 : software ? 6 : 1;
        step = step < count ? step : count; /* one at least */
        if ((i + (uint32_t)l.weight) % step == 0) {
            d.path = list[i].path;
            d.tile = list[i].tile;
            linear_run(&p, &d);
            tried++;
        }
    }
    if (tried < count) {
        fprintf(stderr,
                "SKIP: %u of %u tiles: this driver takes seconds to compile one (VKATTN_TEST_ALL=1 runs them)\n",
                count - tried, count);
    }
    linear_destroy(&p);
    context_close(&c);
}

#define SHAPE .rows = 67, .outputs = 149, .columns = 96, .bias = VKA_F32
Test(linear, candidates_f32) {
    test_candidates((linear_case){SHAPE});
}
Test(linear, candidates_f16) {
    test_candidates((linear_case){SHAPE, .x = VKA_F16, .weight = VKA_F16, .out = VKA_F16});
}
Test(linear, candidates_bf16) {
    test_candidates((linear_case){SHAPE, .x = VKA_BF16, .weight = VKA_BF16, .out = VKA_F32});
}
Test(linear, candidates_q8_0) {
    test_candidates((linear_case){SHAPE, .x = VKA_F16, .weight = VKA_Q8_0, .out = VKA_BF16});
}
Test(linear, candidates_q4_0) {
    test_candidates((linear_case){SHAPE, .x = VKA_F16, .weight = VKA_Q4_0, .out = VKA_F32});
}
Test(linear, candidates_few_rows) {
    for (uint32_t rows = 1; rows < 9; rows = rows * 2 + 1) {
        test_candidates((linear_case){.rows = rows, .outputs = 37, .columns = 2080, .weight = VKA_Q4_0});
        test_candidates((linear_case){.rows = rows, .outputs = 37, .columns = 2080, .x = VKA_F16, .weight = VKA_Q8_0});
        test_candidates((linear_case){.rows = rows, .outputs = 37, .columns = 75});
    }
}

/* ---- what there is besides a product ---------------------------------------------------------------------------- */

Test(linear, activations) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t a = VKA_ACTIVATION_NONE; a <= VKA_ACTIVATION_SIGMOID; a++) {
        /* Each is a pipeline for every path: on software drivers types take turns. */
        uint32_t turn = context_is_software(&c) ? DTYPES : 1;
        for (uint32_t n = turn > 1 ? a % DTYPES : 0; n < DTYPES; n += turn) {
            linear_all_paths(&c, (linear_case){.rows = n ? 21 : 2,
                                               .outputs = 36 + n,
                                               .columns = 64,
                                               .x = dtypes[n],
                                               .weight = dtypes[n],
                                               .bias = dtypes[(n + 1) % DTYPES],
                                               .residual = dtypes[(n + 2) % DTYPES],
                                               .out = dtypes[n],
                                               .activation = (vka_activation)a,
                                               .splits = n});
        }
    }
    context_close(&c);
}

Test(linear, in_place) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 2 * DTYPES; n++) {
        linear_all_paths(&c, (linear_case){.rows = n < DTYPES ? 3 : 19,
                                           .outputs = n % 2 ? 64 : 35,
                                           .columns = 200,
                                           .residual = dtypes[n % DTYPES],
                                           .in_place = true,
                                           .splits = n % 3,
                                           .activation = VKA_ACTIVATION_RELU});
    }
    context_close(&c);
}

/* Layouts, of which some leave rows of all batches side by side, and batches of weights. */
Test(linear, layouts) {
    static const linear_case list[] = {
        {.rank = 1, .outputs = 33, .columns = 40},
        {.rank = 3, .lead = {3}, .rows = 7, .outputs = 20, .columns = 48},
        {.rank = 4, .lead = {2, 3}, .rows = 5, .outputs = 20, .columns = 48},
        {.rank = 3, .lead = {3}, .rows = 7, .outputs = 20, .columns = 48, .x_layout = {"102"}},
        {.rank = 4, .lead = {2, 3}, .rows = 5, .outputs = 24, .columns = 48, .out_layout = {"0213"}},
        {.rank = 4, .lead = {2, 3}, .rows = 5, .outputs = 21, .columns = 31, .x_layout = {"3210"}},
        {.rank = 2, .rows = 12, .outputs = 21, .columns = 32, .x_layout = {"10"}, .out_layout = {"10"}},
        {.rank = 2, .rows = 12, .outputs = 40, .columns = 32, .weight_layout = {"10", 1, 1}},
        {.rank = 2, .rows = 2, .outputs = 40, .columns = 64, .weight_layout = {"01", 4, 2}, .x_layout = {"01", 4, 4}},
        {.rank = 2, .rows = 9, .outputs = 40, .columns = 64, .weight_layout = {"01", 8, 8}, .out_layout = {"01", 3, 1}},
        {.rank = 3, .lead = {3}, .rows = 7, .outputs = 20, .columns = 48, .batched = true},
        {.rank = 4, .lead = {2, 3}, .rows = 1, .outputs = 21, .columns = 40, .batched = true, .splits = 2},
        {.rank = 4, .lead = {2, 3}, .rows = 9, .outputs = 16, .columns = 31, .batched = true, .x_layout = {"1203", 1}},
    };
    context c;
    context_open(&c, &config_real);
    /* Each is a pipeline for every path: on software drivers types take turns. */
    uint32_t step = context_compiles_slowly(&c) ? 5 : 1, turn = context_is_software(&c) ? DTYPES : 1;
    for (size_t i = 0; i < sizeof list / sizeof *list; i += step) {
        for (uint32_t n = turn > 1 ? (uint32_t)i % DTYPES : 0; n < DTYPES; n += turn) {
            linear_case l = list[i];
            l.x = l.weight = l.out = dtypes[n];
            l.bias = l.residual = dtypes[(n + i) % DTYPES];
            linear_all_paths(&c, l);
        }
    }
    context_close(&c);
}

/* Weights with blocks begin at any pair of bytes. */
Test(linear, blocks_anywhere) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 8; i++) {
        linear_all_paths(&c, (linear_case){.rank = 3,
                                           .lead = {2},
                                           .rows = i < 4 ? 2 : 9,
                                           .outputs = 21,
                                           .columns = 96,
                                           .x = i % 2 ? VKA_F16 : VKA_F32,
                                           .weight = i % 2 ? VKA_Q4_0 : VKA_Q8_0,
                                           .batched = i % 4 > 1,
                                           .weight_layout = {NULL, i % 3, i}});
    }
    context_close(&c);
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

Test(linear, long_sums) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < WEIGHTS; i++) {
        for (uint32_t splits = 0; splits < 8; splits += 7) {
            linear_all_paths(&c, (linear_case){.rows = i % 2 ? 2 : 9,
                                               .outputs = 19,
                                               .columns = 8192,
                                               .x = i == 0 ? VKA_F32 : VKA_F16,
                                               .weight = weights[i],
                                               .splits = splits});
        }
    }
    context_close(&c);
}

/* NaN and infinity in x spoil their row, in weights their output. */
Test(linear, nonfinite) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * DTYPES; i++) {
        vka_dtype t = dtypes[i % DTYPES];
        linear_problem p = linear_make(
            &c, (linear_case){.rows = i < DTYPES ? 5 : 23, .outputs = 37, .columns = 75, .x = t, .weight = t},
            test_seed());
        p.x.values[2 * 75 + 74] = NAN;
        p.x.values[4 * 75 + 3] = INFINITY;
        p.weight.values[36 * 75 + 70] = -INFINITY;
        p.weight.values[5 * 75] = NAN;
        tensor_upload(&p.x);
        tensor_upload(&p.weight);
        vka_linear_desc d = linear_desc(&p);
        uint32_t paths = linear_paths(&c, &d) | 1u << VKA_LINEAR_PATH_AUTO;
        for (uint32_t path = VKA_LINEAR_PATH_AUTO; path < vka__linear_paths.path_count; path++) {
            d.path = (vka_linear_path)path;
            if (paths >> path & 1) {
                linear_run(&p, &d);
            }
        }
        linear_destroy(&p);
    }
    context_close(&c);
}

Test(linear, no_columns) {
    context c;
    context_open(&c, &config_real);
    linear_all_paths(&c, (linear_case){.rows = 3,
                                       .outputs = 21,
                                       .columns = 0,
                                       .bias = VKA_F16,
                                       .residual = VKA_F32,
                                       .activation = VKA_ACTIVATION_TANH});
    linear_all_paths(&c, (linear_case){.rows = 30, .outputs = 8, .columns = 0, .splits = 4});
    context_close(&c);
}

Test(linear, nothing_to_do) {
    static const linear_case list[] = {
        {.rows = 0, .outputs = 8, .columns = 32},
        {.rows = 8, .outputs = 0, .columns = 32},
        {.rank = 3, .lead = {0}, .rows = 4, .outputs = 8, .columns = 32, .batched = true},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        linear_problem p = linear_make(&c, list[i], test_seed());
        vka_linear_desc d = linear_desc(&p);
        memset(d.x.stride, 0, sizeof d.x.stride);
        memset(d.weight.stride, 0, sizeof d.weight.stride);
        memset(d.out.stride, 0, sizeof d.out.stride);
        vka_requirements need;
        EXPECT_OK(vka_linear_requirements(c.device, &d, &need));
        cr_assert_eq(need.dispatches, 0);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_linear(c.recorder, &d));
        context_finish(&c);
        linear_destroy(&p);
    }
    context_close(&c);
}

Test(linear, same_bits) {
    context c;
    context_open(&c, &config_real);
    const linear_case l = {.rows = 7, .outputs = 131, .columns = 1000, .x = VKA_F16, .weight = VKA_F16, .splits = 3};
    linear_problem p = linear_make(&c, l, test_seed());
    vka_linear_desc d = linear_desc(&p);
    uint32_t paths = linear_paths(&c, &d);
    for (uint32_t path = VKA_LINEAR_PATH_VECTOR; path < vka__linear_paths.path_count; path++) {
        if (!(paths >> path & 1)) {
            continue;
        }
        d.path = (vka_linear_path)path;
        linear_run(&p, &d);
        uint8_t *first = malloc(p.out.size);
        cr_assert_not_null(first);
        memcpy(first, p.out.image, p.out.size);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_linear(c.recorder, &d));
        for (int i = 0; i < 20; i++) {
            tensor_poison(&p.out);
            context_finish(&c);
            cr_assert(tensor_download(&p.out));
            cr_assert(!memcmp(first, p.out.image, p.out.size), "path %u differs in repetition %d", path, i);
        }
        free(first);
    }
    linear_destroy(&p);
    context_close(&c);
}

/* ---- devices that are smaller ------------------------------------------------------------------------------------ */

static void test_device(const device_config *config) {
    context c;
    context_open(&c, config);
    for (uint32_t i = 0; i < WEIGHTS; i += context_compiles_slowly(&c) ? 4 : 1) {
        vka_dtype x = i == 2 ? VKA_BF16 : i ? VKA_F16 : VKA_F32;
        linear_all_paths(&c, (linear_case){.rows = 3, .outputs = 93, .columns = 640, .x = x, .weight = weights[i]});
        linear_all_paths(&c, (linear_case){.rows = 170, .outputs = 66, .columns = 128, .x = x, .weight = weights[i]});
    }
    context_close(&c);
}

Test(linear, no_subgroups) {
    test_device(&config_no_sub);
}
Test(linear, tiny) {
    test_device(&config_tiny);
}
Test(linear, few_groups) {
    test_device(&config_few_groups);
}
Test(linear, low_register) {
    test_device(&config_low_register);
}
Test(linear, few_buffers) {
    test_device(&config_few_buffers);
}

/* Bindings see 64 KiB: of weights, of x, of outputs. */
Test(linear, large_tensors) {
    static const linear_case list[] = {
        {.rows = 2, .outputs = 300, .columns = 512},
        {.rows = 260, .outputs = 9, .columns = 96},
        {.rows = 130, .outputs = 203, .columns = 32, .residual = VKA_F32, .bias = VKA_F16},
        {.rows = 2, .outputs = 40000, .columns = 8, .out = VKA_F16, .bias = VKA_F32},
        {.rank = 3, .lead = {5}, .rows = 9, .outputs = 50, .columns = 160, .batched = true, .residual = VKA_BF16},
        {.rank = 3, .lead = {5}, .rows = 9, .outputs = 300, .columns = 160, .weight = VKA_Q8_0, .batched = true},
    };
    context c;
    context_open(&c, &config_short);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        linear_problem p = linear_make(&c, list[i], test_seed());
        vka_linear_desc d = linear_desc(&p);
        vka_requirements need;
        EXPECT_OK(vka_linear_requirements(c.device, &d, &need));
        cr_assert_gt(need.dispatches, 1, "case %zu", i);
        linear_destroy(&p);
        linear_all_paths(&c, list[i]);
    }
    vka_linear_desc d = {.x = vka_tensor_2d(NULL, VKA_F32, 2, 20000),
                         .weight = vka_tensor_2d(NULL, VKA_F32, 3, 20000),
                         .out = vka_tensor_2d(NULL, VKA_F32, 2, 3)};
    EXPECT_FAILURE(vka_linear_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_linear.weight");
    context_close(&c);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

#define REFUSED(change, status, field)                                                                                 \
    do {                                                                                                               \
        vka_linear_desc d = good;                                                                                      \
        change;                                                                                                        \
        EXPECT_FAILURE(vka_linear_prepare(c.device, &d), status, "vka_linear." field);                                 \
    } while (0)

/* What no table says. */
Test(linear, refusals) {
    context c;
    context_open(&c, &config_real);
    const vka_linear_desc good = {.x = vka_tensor_3d(NULL, VKA_F32, 3, 5, 64),
                                  .weight = vka_tensor_3d(NULL, VKA_F32, 3, 7, 64),
                                  .out = vka_tensor_3d(NULL, VKA_F32, 3, 5, 7)};
    EXPECT_OK(vka_linear_prepare(c.device, &good));
    REFUSED(d.weight.shape[0] = 2, VKA_INVALID, "weight");
    REFUSED(d.weight.shape[1] = 8, VKA_INVALID, "weight");
    REFUSED(d.weight.shape[2] = 63, VKA_INVALID, "weight");
    REFUSED(d.weight = vka_tensor_1d(NULL, VKA_F32, 64), VKA_INVALID, "weight");
    REFUSED(d.weight = vka_tensor_4d(NULL, VKA_F32, 1, 3, 7, 64), VKA_INVALID, "weight");
    REFUSED(d.tile.team = 4, VKA_INVALID, "tile");
    REFUSED((d.path = VKA_LINEAR_PATH_TILE, d.tile.team = 4), VKA_INVALID, "tile");
    REFUSED((d.path = VKA_LINEAR_PATH_TILE, d.tile.output_tile = 4), VKA_UNSUPPORTED, "tile");
    REFUSED(d.path = VKA_LINEAR_PATH_COOPMAT, VKA_UNSUPPORTED, "path");
    context_close(&c);
}

#undef REFUSED
