/* Rotary position embedding: every type, pairing, partial rotation, source of positions and layout, against float64.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "rope_case.h"

static void check_all(const rope_case *cases, size_t count) {
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < count; i++) {
        rope_check(&c, cases[i]);
    }
    context_close(&c);
}
#define CHECK_ALL(cases) check_all(cases, sizeof cases / sizeof *cases)

/* Sizes where pairs, vectors of four and units of eight do not line up. */
Test(rope, dimensions) {
    static const uint32_t sizes[][2] = {{2, 2},   {8, 8},   {40, 40}, {64, 64}, {80, 80},  {128, 128}, {40, 6},
                                        {64, 16}, {80, 20}, {13, 10}, {59, 2},  {576, 64}, {512, 512}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            rope_check(&c, (rope_case){.batch = 2,
                                       .heads = 3,
                                       .rows = 5,
                                       .cols = sizes[i][0],
                                       .dims = sizes[i][1],
                                       .interleaved = interleaved,
                                       .first = 100,
                                       .positions = POSITIONS_TENSOR});
        }
    }
    context_close(&c);
}

Test(rope, types) {
    context c;
    context_open(&c, &config_real);
    for (int in = 0; in < DTYPES; in++) {
        for (int out = 0; out < DTYPES; out++) {
            rope_case r = {.dtype = dtypes[in], .out_type = dtypes[out], .heads = 3, .rows = 7, .cols = 40, .dims = 24};
            rope_check(&c, r);
            r.cols = 37;
            r.dims = 14;
            rope_check(&c, r);
        }
    }
    context_close(&c);
}

/* Whatever owns a channel owns its partner, too. */
Test(rope, in_place) {
    context c;
    context_open(&c, &config_real);
    for (int t = 0; t < DTYPES; t++) {
        for (uint32_t i = 0; i < 8; i++) {
            rope_check(&c, (rope_case){.dtype = dtypes[t],
                                       .batch = 2,
                                       .heads = 3,
                                       .rows = 11,
                                       .cols = i & 1 ? 80 : 37,
                                       .dims = i & 1 ? 80 : 22,
                                       .interleaved = i & 2,
                                       .in_place = true,
                                       .layout = {i & 4 ? "0213" : NULL, i & 4 ? 1 : 0, 1}});
        }
    }
    context_close(&c);
}

Test(rope, layouts) {
    static const char *const orders[] = {"0123", "0213", "2013", "0132", "3210"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 5 * DTYPES; i++) {
        rope_check(&c, (rope_case){.dtype = dtypes[i % DTYPES],
                                   .batch = 2,
                                   .heads = 3,
                                   .rows = 5,
                                   .cols = 16,
                                   .dims = i % 2 ? 16 : 12,
                                   .interleaved = i % 3 == 0,
                                   .positions = POSITIONS_ROWS,
                                   .layout = {orders[i % 5], i % 4, i % 3}});
    }
    context_close(&c);
}

Test(rope, positions_and_tables) {
    context c;
    context_open(&c, &config_real);
    for (int positions = 0; positions < POSITIONS_COUNT; positions++) {
        for (int tables = 0; tables < TABLES_COUNT; tables++) {
            rope_check(&c, (rope_case){.batch = 3,
                                       .heads = 2,
                                       .rows = 9,
                                       .cols = 24,
                                       .dims = tables % 2 ? 24 : 10,
                                       .interleaved = positions % 2,
                                       .first = 7,
                                       .offset = 4 - positions * 3,
                                       .positions = (rope_positions)positions,
                                       .tables = (rope_tables)tables,
                                       .table_type = dtypes[positions % DTYPES],
                                       .layout = {.pad = positions % 2}});
        }
    }
    context_close(&c);
}

/* Angles are as exact far from the beginning as near to it. */
Test(rope, far_positions) {
    static const rope_case cases[] = {
        {.rows = 300, .cols = 64, .first = 1000000, .positions = POSITIONS_HOST},
        {.rows = 300, .cols = 64, .offset = -1000000},
        {.rows = 40, .cols = 128, .first = 100000000, .positions = POSITIONS_HOST, .theta = 500000},
        {.rows = 40, .cols = 512, .first = 131072, .positions = POSITIONS_HOST, .theta = 1e6f, .interleaved = true},
        {.rows = 40, .cols = 96, .first = 131072, .positions = POSITIONS_HOST, .frequency_scale = 0.125f},
        {.rows = 40, .cols = 32, .first = 4096, .positions = POSITIONS_HOST, .theta = 1},
        {.rows = 40, .cols = 32, .first = 4096, .positions = POSITIONS_HOST, .theta = 1e30f},
    };
    CHECK_ALL(cases);
}

/* By how much rows move, whatever their number. */
Test(rope, shift) {
    context c;
    context_open(&c, &config_real);
    for (int positions = 0; positions < POSITIONS_COUNT; positions++) {
        for (int t = 0; t < DTYPES; t++) {
            rope_check(&c, (rope_case){.dtype = dtypes[t],
                                       .batch = 2,
                                       .heads = 2,
                                       .rows = 9,
                                       .cols = 40,
                                       .dims = t == 1 ? 22 : 0,
                                       .interleaved = positions % 2,
                                       .in_place = t != 2,
                                       .shift = true,
                                       .first = -300,
                                       .offset = positions ? 0 : INT32_MIN,
                                       .positions = (rope_positions)positions,
                                       .tables = t == 2 ? TABLES_ROWS : TABLES_NONE});
        }
    }
    /* Of the last positions there are, too: the next row's would not be one. */
    rope_check(&c, (rope_case){.rows = 3, .cols = 8, .shift = true, .offset = INT32_MAX});
    context_close(&c);
}

/* The other way: gradients. */
Test(rope, inverse) {
    context c;
    context_open(&c, &config_real);
    for (int i = 0; i < 2 * DTYPES; i++) {
        rope_check(&c, (rope_case){.dtype = dtypes[i % DTYPES],
                                   .batch = 2,
                                   .heads = 2,
                                   .rows = 7,
                                   .cols = i % 2 ? 40 : 64,
                                   .dims = i % 2 ? 22 : 0,
                                   .interleaved = i % 2,
                                   .in_place = i % 3 == 1,
                                   .inverse = true,
                                   .positions = (rope_positions)(i % POSITIONS_COUNT),
                                   .tables = i == 2 ? TABLES_ROWS : TABLES_NONE});
    }
    context_close(&c);
}

/* No row: success, and nothing is written. */
Test(rope, nothing) {
    context c;
    context_open(&c, &config_real);
    rope_problem p = rope_make(&c, (rope_case){.batch = 2, .heads = 2, .rows = 2, .cols = 8}, test_seed());
    vka_rope_desc desc = rope_desc(&p);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    for (int dim = 0; dim < 3; dim++) {
        vka_rope_desc empty = desc;
        empty.x.shape[dim] = empty.out.shape[dim] = 0;
        EXPECT_OK(vka_rope(c.recorder, &empty));
    }
    context_finish(&c);
    cr_assert(tensor_download(&p.out));
    for (size_t i = 0; i < p.out.count; i++) {
        cr_assert(tensor_untouched(&p.out, i));
    }
    rope_destroy(&p);
    context_close(&c);
}
