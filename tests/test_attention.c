/* Attention on the real device: every size, type and path against float64, by the accuracy rule alone.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"

/* ---- dimensions and lengths ---------------------------------------------------------------------------------- */

/* Drivers compile a pipeline for every dimension, type, path and class of lengths, which takes software drivers
 * seconds: a covering set. Every dimension meets two lengths that take the same pipelines; the others meet three
 * dimensions: one that is odd, one that is a multiple of four, one that is large. Old software drivers, whose compilers
 * take five times as long for 59 dimensions as for 11, meet these alone. */
enum { SLOW_DIM = 11 };
static const uint32_t everywhere[][2] = {{113, 203}, {65, 63}};
static const uint32_t elsewhere[][2] = {{1, 1}, {1, 239}, {3, 799}, {64, 64}, {1023, 1024}};

static void run_lengths(context *c, vka_dtype dtype, uint32_t dim, const uint32_t (*lengths)[2], size_t count,
                        const bool *runs) {
    for (size_t n = 0; n < count; n++) {
        bool small = lengths[n][0] < 1000;
        attention_problem p = attention_make(c,
                                             (attention_case){.dtype = dtype,
                                                              .batch = small ? 2 : 1,
                                                              .q_heads = small ? 2 : 1,
                                                              .q_len = lengths[n][0],
                                                              .kv_len = lengths[n][1],
                                                              .head_dim = dim},
                                             test_seed());
        for (int path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
            if (runs[path] && attention_can(&p, (vka_attention_path)path)) {
                attention_run(&p, (vka_attention_path)path, 0);
            }
        }
        attention_destroy(&p);
    }
}

/* What old software drivers take of it: every path with lengths of its own class, each with one type or two, the
 * default one with all. */
static void sizes_slow(context *c, vka_dtype dtype) {
    bool runs[LAST_PATH + 1] = {[VKA_ATTENTION_PATH_ROW] = true,
                                [VKA_ATTENTION_PATH_TILE] = dtype == VKA_F16,
                                [VKA_ATTENTION_PATH_DECODE] = dtype == VKA_F32};
    run_lengths(c, dtype, SLOW_DIM, everywhere, 2, runs);
    runs[VKA_ATTENTION_PATH_TILE] = false;
    run_lengths(c, dtype, SLOW_DIM, elsewhere, 5, runs);
}

static void sizes(vka_dtype dtype, const uint32_t *dims, size_t count) {
    context c;
    context_open(&c, &config_real);
    bool slow = context_compiles_slowly(&c), software = context_is_software(&c);
    for (size_t d = 0; d < count; d++) {
        bool thorough = dims[d] == 8 || dims[d] == 59 || dims[d] == 128;
        if (software && dtype == VKA_F16 && !thorough && d % 2 == 0) {
            continue; /* f16 differs from f32 in how elements are read and written: fewer dimensions */
        }
        if (slow) {
            if (dims[d] == 59) {
                sizes_slow(&c, dtype);
            }
            continue;
        }
        /* Matrices are compiled as hundreds of instructions each where they are not hardware; pairs have the tiles of
         * the tile path. */
        bool runs[LAST_PATH + 1] = {[VKA_ATTENTION_PATH_ROW] = true,
                                    [VKA_ATTENTION_PATH_TILE] = true,
                                    [VKA_ATTENTION_PATH_DECODE] = true,
                                    [VKA_ATTENTION_PATH_COOPMAT] = thorough || !software,
                                    [VKA_ATTENTION_PATH_COOPMAT2] = dims[d] <= 40 || !software,
                                    [VKA_ATTENTION_PATH_DOT] = thorough || !software,
                                    [VKA_ATTENTION_PATH_COOPMAT_REGISTERS] = dims[d] <= 40 || thorough || !software};
        run_lengths(&c, dtype, dims[d], everywhere, 2, runs);
        if (thorough) {
            runs[VKA_ATTENTION_PATH_DOT] = dims[d] == 59 || !software;
            runs[VKA_ATTENTION_PATH_COOPMAT] = dims[d] == 59 || !software;
            runs[VKA_ATTENTION_PATH_COOPMAT_REGISTERS] = dims[d] == 59 || !software;
            run_lengths(&c, dtype, dims[d], elsewhere, 5, runs);
        }
    }
    context_close(&c);
}

static const uint32_t small_dims[] = {1, 8, 40, 59, 64}, large_dims[] = {80, 96, 111, 128, 192, 256};

Test(attention, f32_small_dimensions) {
    sizes(VKA_F32, small_dims, 5);
}

Test(attention, f32_large_dimensions) {
    sizes(VKA_F32, large_dims, 6);
}

Test(attention, f16_small_dimensions) {
    sizes(VKA_F16, small_dims, 5);
}

Test(attention, f16_large_dimensions) {
    sizes(VKA_F16, large_dims, 6);
}

/* bf16 differs from f16 in how elements are read and written, nothing else: fewer dimensions. */
Test(attention, bf16_dimensions) {
    static const uint32_t dims[] = {1, 59, 256};
    sizes(VKA_BF16, dims, 3);
}

/* Keys and values of different width, as in MLA. */
Test(attention, value_dimension) {
    static const uint32_t all_dims[][2] = {{1, 40}, {64, 1}, {24, 59}, {192, 8}, {7, 256}, {16, 128}};
    /* Old software drivers take minutes for a value of 256. */
    static const uint32_t slow_dims[][2] = {{12, 1}, {8, 11}};
    context c;
    context_open(&c, &config_real);
    bool slow = context_compiles_slowly(&c);
    const uint32_t(*dims)[2] = slow ? slow_dims : all_dims;
    for (size_t i = 0; i < (slow ? 2 : 6); i++) {
        attention_on_paths(&c, (attention_case){.dtype = dtypes[i % DTYPES],
                                                .q_heads = 2,
                                                .q_len = 33,
                                                .kv_len = 71,
                                                .head_dim = dims[i][0],
                                                .value_dim = dims[i][1]});
    }
    context_close(&c);
}

/* ---- layouts and heads --------------------------------------------------------------------------------------- */

static const char *const orders[24] = {
    "0123", "0132", "0213", "0231", "0312", "0321", "1023", "1032", "1203", "1230", "1302", "1320",
    "2013", "2031", "2103", "2130", "2301", "2310", "3012", "3021", "3102", "3120", "3201", "3210",
};

static void layouts(vka_dtype dtype) {
    context c;
    context_open(&c, &config_real);
    bool software = context_is_software(&c);
    for (uint32_t i = 0; i < 24; i += context_compiles_slowly(&c) ? 7 : software ? 3 : 1) {
        /* The padding makes every distance between rows odd, the shift makes 16-bit types start between two words. */
        attention_on_paths(&c, (attention_case){.dtype = dtype,
                                                .batch = 2,
                                                .q_heads = 4,
                                                .kv_heads = 2,
                                                .q_len = 19,
                                                .kv_len = 37,
                                                .head_dim = 8,
                                                .causal = i % 2,
                                                .layout = {orders[i], i % 4, i % 3}});
    }
    context_close(&c);
}

Test(attention, layouts_f32) {
    layouts(VKA_F32);
}

Test(attention, layouts_f16) {
    layouts(VKA_F16);
}

Test(attention, layouts_bf16) {
    layouts(VKA_BF16);
}

/* Several heads and batches interleaved in one buffer, [B,N,3,H,D] as a projection to q, k and v writes it. */
Test(attention, packed_qkv) {
    enum { N = 29, H = 3, D = 12 };
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(
        &c, (attention_case){.q_heads = H, .q_len = N, .kv_len = N, .head_dim = D, .causal = true}, test_seed());
    tensor packed = tensor_create(&c, VKA_F32, 4, (uint32_t[]){N, 3, H, D}, (layout){0});
    const float *from[3] = {p.q.values, p.k.values, p.v.values};
    for (size_t i = 0; i < packed.count; i++) {
        size_t d = i % D, h = i / D % H, which = i / D / H % 3, n = i / D / H / 3;
        packed.values[i] = from[which][(h * N + n) * D + d];
    }
    tensor_upload(&packed);
    vka_attention_desc desc = attention_desc(&p);
    vka_tensor *views[3] = {&desc.q, &desc.k, &desc.v};
    for (uint64_t which = 0; which < 3; which++) {
        views[which]->buffer = packed.view.buffer;
        views[which]->offset = packed.view.offset + which * H * D * 4;
        memcpy(views[which]->stride, (uint64_t[4]){N * 3 * H * D, D, 3 * H * D, 1}, sizeof(uint64_t[4]));
    }
    for (int path = VKA_ATTENTION_PATH_AUTO; path <= LAST_PATH; path++) {
        desc.path = (vka_attention_path)path;
        if ((path && !attention_can(&p, desc.path)) || context_leaves_out(&c, 5)) {
            continue;
        }
        tensor_poison(&p.out);
        tensor_poison(&p.lse);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_attention(c.recorder, &desc));
        context_finish(&c);
        attention_compare(&p, "packed");
    }
    tensor_destroy(&packed);
    attention_destroy(&p);
    context_close(&c);
}

Test(attention, grouped_queries) {
    static const uint32_t heads[][2] = {{4, 4}, {4, 2}, {6, 2}, {8, 1}, {16, 2}, {3, 1}};
    context c;
    context_open(&c, &config_real);
    bool slow = context_compiles_slowly(&c); /* types are other pipelines, groups are not */
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        for (int decode = 0; decode < 2; decode++) {
            attention_on_paths(&c, (attention_case){.dtype = slow ? VKA_F32 : dtypes[i % DTYPES],
                                                    .batch = 2,
                                                    .q_heads = heads[i][0],
                                                    .kv_heads = heads[i][1],
                                                    .q_len = decode ? 1 : 21,
                                                    .kv_len = decode ? 131 : 45,
                                                    .head_dim = 16,
                                                    .causal = true});
        }
    }
    context_close(&c);
}

/* ---- scale --------------------------------------------------------------------------------------------------- */

Test(attention, scale) {
    static const float scales[] = {0, 1e-6f, 0.05f, 1, 30};
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        attention_on_paths(&c, (attention_case){.q_len = 31, .kv_len = 97, .head_dim = 16, .scale = scales[i]});
    }
    context_close(&c);
}

/* Scores of several thousand: exponentials overflow unless the maximum is subtracted first. */
Test(attention, large_scores) {
    context c;
    context_open(&c, &config_real);
    attention_problem p =
        attention_make(&c, (attention_case){.q_len = 17, .kv_len = 83, .head_dim = 16, .scale = 1}, test_seed());
    for (size_t i = 0; i < p.q.count; i++) {
        p.q.values[i] *= 30;
        p.k.values[i] *= 30;
    }
    attention_update(&p);
    attention_run_paths(&p, 0);
    attention_run_paths(&p, 3);
    attention_destroy(&p);
    context_close(&c);
}

/* ---- split keys ---------------------------------------------------------------------------------------------- */

static void splits(attention_case a) {
    static const uint32_t counts[] = {1, 2, 3, 7, 64};
    context c;
    context_open(&c, &config_real);
    if (a.head_dim % 2 && context_compiles_slowly(&c)) {
        a.head_dim = 16; /* odd ones take five times as long to compile, and splits don't depend on them */
    }
    attention_problem p = attention_make(&c, a, test_seed());
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        attention_run_paths(&p, counts[i]);
    }
    attention_destroy(&p);
    context_close(&c);
}

Test(attention, splits_decode_f32) {
    splits((attention_case){.q_heads = 4, .kv_heads = 2, .q_len = 1, .kv_len = 799, .head_dim = 16});
}

Test(attention, splits_decode_f16) {
    splits((attention_case){
        .dtype = VKA_F16, .batch = 2, .q_heads = 3, .kv_heads = 1, .q_len = 3, .kv_len = 239, .head_dim = 13});
}

Test(attention, splits_decode_bf16) {
    splits((attention_case){
        .dtype = VKA_BF16, .batch = 2, .q_heads = 6, .kv_heads = 2, .q_len = 3, .kv_len = 239, .head_dim = 13});
}

/* More splits than keys, and dead rows: most partial results are empty. */
Test(attention, splits_empty) {
    splits((attention_case){.q_heads = 2,
                            .q_len = 21,
                            .kv_len = 5,
                            .head_dim = 8,
                            .causal = true,
                            .diagonal = VKA_DIAGONAL_EXPLICIT,
                            .offset = -7});
}

Test(attention, splits_causal) {
    splits((attention_case){.q_heads = 2, .q_len = 70, .kv_len = 150, .head_dim = 8, .causal = true});
}

Test(attention, splits_window) {
    splits((attention_case){.dtype = VKA_F16,
                            .q_heads = 2,
                            .q_len = 33,
                            .kv_len = 300,
                            .head_dim = 8,
                            .window = {true, 40, 3},
                            .poison_hidden = true});
}

/* Without a workspace of the caller the recorder has its own. */
Test(attention, splits_own_scratch) {
    context c;
    context_open(&c, &config_real);
    attention_problem p =
        attention_make(&c, (attention_case){.q_heads = 2, .kv_len = 500, .head_dim = 16}, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    desc.splits = 7;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_attention(c.recorder, &desc));
    EXPECT_OK(vka_attention(c.recorder, &desc)); /* shares the scratch: a barrier must be in between */
    context_finish(&c);
    attention_compare(&p, "own scratch");
    attention_destroy(&p);
    context_close(&c);
}

/* ---- always the same ----------------------------------------------------------------------------------------- */

static void repeat(attention_case a, vka_attention_path path, uint32_t splits_wanted) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, a, test_seed());
    if (!attention_can(&p, path) || context_leaves_out(&c, 2)) {
        attention_destroy(&p);
        context_close(&c);
        return;
    }
    attention_run(&p, path, splits_wanted);
    uint8_t *first = malloc(p.out.size), *first_lse = malloc(p.lse.size);
    memcpy(first, p.out.image, p.out.size);
    memcpy(first_lse, p.lse.image, p.lse.size);
    vka_attention_desc desc = attention_desc(&p);
    desc.path = path;
    desc.splits = splits_wanted;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_attention(c.recorder, &desc));
    for (int i = 0; i < 50; i++) {
        tensor_poison(&p.out);
        tensor_poison(&p.lse);
        context_finish(&c);
        cr_assert(tensor_download(&p.out) && tensor_download(&p.lse));
        cr_assert(!memcmp(first, p.out.image, p.out.size), "out differs in repetition %d", i);
        cr_assert(!memcmp(first_lse, p.lse.image, p.lse.size), "lse differs in repetition %d", i);
    }
    free(first);
    free(first_lse);
    attention_destroy(&p);
    context_close(&c);
}

Test(attention, same_bits) {
    attention_case a = {.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 65, .kv_len = 130, .head_dim = 16};
    for (int path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
        repeat(a, (vka_attention_path)path, 0);
    }
}

Test(attention, same_bits_split_f16) {
    attention_case a = {.dtype = VKA_F16, .q_heads = 4, .q_len = 3, .kv_len = 400, .head_dim = 16};
    for (int path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
        repeat(a, (vka_attention_path)path, 5);
    }
}

/* ---- optional output ----------------------------------------------------------------------------------------- */

Test(attention, without_lse) {
    context c;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, (attention_case){.q_len = 40, .kv_len = 90, .head_dim = 16}, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    desc.lse = (vka_tensor){0};
    for (int n = 0; n < 2 * LAST_PATH; n++) {
        desc.path = (vka_attention_path)(VKA_ATTENTION_PATH_ROW + n / 2);
        desc.splits = n % 2 ? 1 : 3;
        if (!attention_can(&p, desc.path) || context_leaves_out(&c, 7)) {
            continue;
        }
        attention_run(&p, desc.path, 1); /* sets lse */
        tensor_poison(&p.out);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_attention(c.recorder, &desc));
        context_finish(&c);
        attention_compare(&p, "without lse");
    }
    attention_destroy(&p);
    context_close(&c);
}
