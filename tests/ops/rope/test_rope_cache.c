/* Rotations of caches in place: i8, q8_0 and q4_0, and keys of every type that move to other positions.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cache_case.h"
#include "quantised_rows.h"

static const vka_dtype quantised[] = {VKA_I8, VKA_Q8_0, VKA_Q4_0};

/* Sizes where pairs, vectors and blocks do not line up. */
Test(rope_cache, dimensions) {
    static const uint32_t sizes[][3] = {{0, 2, 2},   {0, 40, 40},   {0, 13, 10},    {0, 59, 2},   {0, 80, 20},
                                        {1, 32, 32}, {1, 64, 64},   {1, 96, 96},    {1, 64, 18},  {1, 128, 40},
                                        {1, 160, 2}, {0, 128, 128}, {1, 1024, 512}, {0, 576, 64}, {2, 32, 32},
                                        {2, 96, 10}, {2, 256, 256}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            rope_check(&c, (rope_case){.dtype = quantised[sizes[i][0]],
                                       .batch = 2,
                                       .heads = 3,
                                       .rows = 5,
                                       .cols = sizes[i][1],
                                       .dims = sizes[i][2],
                                       .interleaved = interleaved,
                                       .first = -70,
                                       .positions = POSITIONS_TENSOR,
                                       .shift = true});
        }
    }
    context_close(&c);
}

/* Rows that stay where they are are not touched. */
Test(rope_cache, positions_and_tables) {
    context c;
    context_open(&c, &config_real);
    for (int positions = 0; positions < POSITIONS_COUNT; positions++) {
        for (int tables = 0; tables < TABLES_COUNT; tables++) {
            for (int t = 0; t < 3; t++) {
                rope_check(&c, (rope_case){.dtype = quantised[t],
                                           .batch = 3,
                                           .heads = 2,
                                           .rows = 17,
                                           .cols = 32,
                                           .dims = tables % 2 ? 32 : 10,
                                           .interleaved = positions % 2,
                                           .offset = positions ? 0 : -3,
                                           .positions = (rope_positions)positions,
                                           .tables = (rope_tables)tables,
                                           .shift = (positions + tables) % 2});
            }
        }
    }
    context_close(&c);
}

Test(rope_cache, layouts) {
    static const char *const orders[] = {"0123", "0213", "2013", "1023", "3210"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 10; i++) {
        rope_check(&c, (rope_case){.dtype = quantised[i % 2],
                                   .batch = 2,
                                   .heads = 3,
                                   .rows = 7,
                                   .cols = 64,
                                   .dims = i % 3 ? 64 : 24,
                                   .interleaved = i % 3 == 1,
                                   .positions = POSITIONS_ROWS,
                                   .layout = {orders[i / 2], i % 4, i % 3}});
    }
    context_close(&c);
}

/* NaN fills what shares its scale afterwards, and zeros stay zeros. */
Test(rope_cache, nonfinite) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4; i++) {
        rope_check(&c, (rope_case){.dtype = quantised[i % 2],
                                   .heads = 2,
                                   .rows = 9,
                                   .cols = 128,
                                   .interleaved = i / 2,
                                   .shift = true,
                                   .offset = -1000,
                                   .nonfinite = true});
    }
    context_close(&c);
}

/* Bindings, grids and workgroups that are too small for it. */
Test(rope_cache, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        for (int t = 0; t < 2; t++) {
            rope_check(&c, (rope_case){.dtype = quantised[t],
                                       .batch = 2,
                                       .heads = 3,
                                       .rows = 331,
                                       .cols = 64,
                                       .positions = POSITIONS_HOST,
                                       .shift = true,
                                       .first = 100});
        }
        context_close(&c);
    }
}

/* ---- keys that move -------------------------------------------------------------------------------------------- */

enum { LENGTH = 40, DIM = 64, HEADS = 2, BATCH = 2 };

/* Where a key should be that was stored at a position and then moved: rotated once, in float64. The naive twin is
 * rotated and stored twice. */
static void move(const ref_rope *rope, const float *x, int64_t position, int32_t delta, vka_dtype storage, double *ref,
                 float *naive) {
    float first[DIM];
    ref_rope_row row = {.x = x, .position = position + delta};
    ref_rope_rotate(rope, &row, ref);
    row.position = position;
    ref_rope_naive_rotate(rope, &row, storage, first);
    row = (ref_rope_row){.x = first, .position = delta};
    ref_rope_naive_rotate(rope, &row, storage, naive);
}

/* Of a pair two values that are each off by half a step turn by any angle, which makes sqrt(2) halves of the larger
 * step; and what comes out is off by half a new step. */
static double step_of(const tensor *cache, const tensor *scale, size_t row, uint32_t channel) {
    float own = quantised_scale(cache, scale, row, DIM, channel),
          other = quantised_scale(cache, scale, row, DIM, (channel + DIM / 2) % DIM);
    return (double)fmaxf(own, other);
}

static void check_moved(context *c, vka_dtype type, int32_t delta) {
    cache_problem p = cache_make(c,
                                 (cache_case){.k_type = type,
                                              .batch = BATCH,
                                              .heads = HEADS,
                                              .tokens = LENGTH,
                                              .capacity = LENGTH,
                                              .head_dim = DIM,
                                              .value_dim = 32,
                                              .no_values = true,
                                              .rotate = true,
                                              .offset = 1000},
                                 test_seed());
    cache_run(&p);
    tensor *cache = &p.side[0].cache, *scale = &p.side[0].scale;
    bool has_steps = ref_quantised(type);
    size_t rows = (size_t)BATCH * HEADS * LENGTH;
    double *before = malloc(rows * DIM * sizeof *before);
    cr_assert_not_null(before);
    for (size_t i = 0; i < rows * DIM && has_steps; i++) {
        before[i] = step_of(cache, scale, i / DIM, i % DIM);
    }
    vka_rope_desc d = {.x = cache->view,
                       .out = cache->view,
                       .scale = type == VKA_I8 ? scale->view : (vka_tensor){0},
                       .options.position_offset = delta,
                       .shift = true};
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_rope(c->recorder, &d));
    context_finish(c);
    cr_assert(tensor_download(cache) && tensor_download(scale));

    const ref_rope rope = {.cols = DIM, .dims = DIM, .theta = 10000, .frequency_scale = 1};
    ref_error error = {0};
    for (size_t row = 0; row < rows; row++) {
        double ref[DIM], naive_error = 0;
        float naive[DIM];
        move(&rope, p.side[0].x.values + row * DIM, 1000 + (int64_t)(row % LENGTH), delta, has_steps ? VKA_F32 : type,
             ref, naive);
        for (uint32_t i = 0; i < DIM; i++) {
            naive_error = fmax(naive_error, fabs((double)naive[i] - ref[i]));
        }
        for (uint32_t i = 0; i < DIM; i++) {
            double got = (double)cache->values[row * DIM + i];
            if (!has_steps) {
                ref_error_add(&error, got, (double)naive[i], ref[i]);
                continue;
            }
            double after = (double)quantised_scale(cache, scale, row, DIM, i);
            got = type == VKA_I8 ? got * after : got;
            double halves = type == VKA_Q4_0 ? 2 : 1; /* of a step: there a value near +8 steps becomes 7 */
            double most = halves * (sqrt(2) / 2 * before[row * DIM + i] + after / 2) + 2 * naive_error + 1e-5;
            cr_assert(fabs(got - ref[i]) <= most, "%s by %d: row %zu channel %u is %g, not %g +- %g", dtype_name(type),
                      delta, row, i, got, ref[i], most);
        }
    }
    cr_assert(ref_error_ok(&error), "%s by %d is off by %g where rotating twice is off by %g", dtype_name(type), delta,
              error.out, error.naive);
    free(before);
    cache_destroy(&p);
}

Test(rope_cache, moves_keys) {
    static const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_I8, VKA_Q8_0, VKA_Q4_0};
    static const int32_t deltas[] = {-1000, -1, 77, 1000000};
    context c;
    context_open(&c, &config_real);
    for (int t = 0; t < 6; t++) {
        for (int i = 0; i < 4; i++) {
            check_moved(&c, types[t], deltas[i]);
        }
    }
    context_close(&c);
}

/* Pages of a pool have differences of their own, and those that stay keep their bits. */
Test(rope_cache, pages) {
    context c;
    context_open(&c, &config_real);
    for (int t = 0; t < 2; t++) {
        rope_problem p = rope_make(&c,
                                   (rope_case){.dtype = quantised[t],
                                               .batch = 24,
                                               .heads = 2,
                                               .rows = 8,
                                               .cols = 32,
                                               .positions = POSITIONS_TENSOR,
                                               .shift = true},
                                   test_seed());
        for (uint32_t page = 0; page < 24; page++) {
            p.list[page] = page % 3 ? -(int32_t)page * 8 : 0;
            memcpy(tensor_bytes(&p.positions, page), &p.list[page], 4);
        }
        EXPECT_OK(vka_buffer_write(p.positions.view.buffer, 0, p.positions.image, p.positions.size));
        rope_run(&p);
        rope_destroy(&p);
    }
    context_close(&c);
}
