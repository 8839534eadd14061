/* Appending to caches: every type, paged and contiguous, packed and not, rotated and not. Every row is compared, and
 * those without a new token must be as they were.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/attention.h>

#include "cache_case.h"

static const vka_dtype caches[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_I8, VKA_Q8_0, VKA_Q4_0};
#define CACHES (sizeof caches / sizeof *caches)

static void check_all(const cache_case *cases, size_t count) {
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < count; i++) {
        cache_check(&c, cases[i]);
    }
    context_close(&c);
}
#define CHECK_ALL(cases) check_all(cases, sizeof cases / sizeof *cases)

/* Each type of new tokens into each type of cache, where rows are aligned and where they are not. */
static void types_at(vka_dtype type) {
    context c;
    context_open(&c, &config_real);
    for (int in = 0; in < DTYPES; in++) {
        for (uint32_t shift = 0; shift < 2; shift++) {
            if (context_leaves_out(&c, 5)) { /* f32 where rows are aligned, bf16 where not */
                continue;
            }
            cache_check(&c, (cache_case){.dtype = dtypes[in],
                                         .k_type = type,
                                         .v_type = type,
                                         .batch = 2,
                                         .heads = 3,
                                         .tokens = 5,
                                         .head_dim = vka_dtype_block(type) > 1 ? 64 : 40,
                                         .value_dim = vka_dtype_block(type) > 1 ? 96 : 37,
                                         .capacity = 11,
                                         .lists = LISTS_TENSOR,
                                         .lengths = {3, 6},
                                         .new_lengths = true,
                                         .layout = {.shift = shift},
                                         .cache_layout = {.shift = shift}});
        }
    }
    context_close(&c);
}

Test(cache_append, into_f32) {
    types_at(VKA_F32);
}

Test(cache_append, into_f16) {
    types_at(VKA_F16);
}

Test(cache_append, into_bf16) {
    types_at(VKA_BF16);
}

Test(cache_append, into_i8) {
    types_at(VKA_I8);
}

Test(cache_append, into_q8_0) {
    types_at(VKA_Q8_0);
}

Test(cache_append, into_q4_0) {
    types_at(VKA_Q4_0);
}

/* Rows of 17 or 9 halves of words share words with their neighbours, others don't. */
Test(cache_append, dimensions) {
    static const uint32_t floats[] = {1, 8, 40, 64, 80, 128}, blocks[] = {32, 64, 96, 128};
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < 6; i++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        cache_check(&c, (cache_case){.dtype = VKA_F16,
                                     .k_type = VKA_F16,
                                     .v_type = VKA_I8,
                                     .batch = 2,
                                     .heads = 2,
                                     .tokens = 3,
                                     .head_dim = floats[i],
                                     .lists = LISTS_HOST,
                                     .lengths = {5, 0}});
    }
    for (size_t i = 0; i < 8; i++) {
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        cache_check(&c, (cache_case){.k_type = VKA_Q8_0,
                                     .v_type = VKA_Q4_0,
                                     .batch = 2,
                                     .heads = 3,
                                     .tokens = 7,
                                     .head_dim = blocks[i % 4],
                                     .lists = LISTS_HOST,
                                     .lengths = {0, 9},
                                     .cache_layout = {.pad = i / 4, .shift = i / 4}});
    }
    context_close(&c);
}

Test(cache_append, layouts) {
    static const char *const orders[] = {"0123", "0213", "2013", "0132", "3210"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 5 * CACHES; i++) {
        if (context_leaves_out(&c, 7)) {
            continue;
        }
        cache_check(&c, (cache_case){.dtype = dtypes[i % DTYPES],
                                     .k_type = caches[i % CACHES],
                                     .batch = 2,
                                     .heads = 3,
                                     .tokens = 4,
                                     .head_dim = 32,
                                     .capacity = 9,
                                     .lists = LISTS_TENSOR,
                                     .lengths = {4, 1},
                                     .layout = {orders[i / 5], i % 4, i % 3},
                                     .cache_layout = {orders[i % 5], i % 3, i % 4}});
    }
    context_close(&c);
}

Test(cache_append, paged) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * CACHES; i++) {
        if (context_leaves_out(&c, 7)) {
            continue;
        }
        cache_check(&c, (cache_case){.k_type = caches[i % CACHES],
                                     .v_type = caches[(i + 1) % CACHES],
                                     .batch = 3,
                                     .heads = 2,
                                     .tokens = 13,
                                     .head_dim = 32,
                                     .capacity = 40,
                                     .page = i < 2 * CACHES ? 8 : 24,
                                     .foreign_pages = i & 1,
                                     .lists = LISTS_TENSOR,
                                     .lengths = {0, 7, 35},
                                     .new_lengths = true,
                                     .cache_layout = {i & 2 ? "0213" : NULL, 0, i & 1}});
    }
    context_close(&c);
}

/* Lengths and offsets that make no sense, or leave no room, cost tokens and nothing else. */
Test(cache_append, dropped) {
    static const cache_case cases[] = {
        {.batch = 4, .heads = 2, .tokens = 5, .capacity = 8, .lengths = {8, 6, -3, 2147483647}},
        {.batch = 4, .heads = 2, .tokens = 9, .capacity = 8, .lengths = {0, 4, 9, -2147483647 - 1}},
        {.batch = 3, .tokens = 11, .capacity = 16, .page = 8, .lengths = {15, 16, 9}, .foreign_pages = true},
        {.batch = 3, .tokens = 10, .packed = true, .offsets = {-5, 4, 2, 12}, .lengths = {1, 2, 3}},
        {.batch = 3, .tokens = 10, .packed = true, .offsets = {11, 2147483647, 0, 10}, .lengths = {0, 0, 12}},
        {.batch = 2, .tokens = 10, .packed = true, .offsets = {0, 7, 10}, .max_len = 4, .lengths = {0, 1}},
    };
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int t = 0; t < 2; t++) {
            cache_case a = cases[i];
            a.lists = LISTS_TENSOR;
            a.new_lengths = true;
            a.head_dim = 32;
            a.k_type = t ? VKA_I8 : VKA_F16;
            a.v_type = t ? VKA_Q8_0 : VKA_F32;
            cache_check(&c, a);
        }
    }
    context_close(&c);
}

Test(cache_append, packed) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * CACHES; i++) {
        if (context_leaves_out(&c, 7)) {
            continue;
        }
        cache_check(&c, (cache_case){.dtype = dtypes[i % DTYPES],
                                     .k_type = caches[i % CACHES],
                                     .batch = 4,
                                     .heads = 3,
                                     .tokens = 17,
                                     .head_dim = 32,
                                     .capacity = 16,
                                     .page = i & 1 ? 8 : 0,
                                     .lists = i & 2 ? LISTS_HOST : LISTS_TENSOR,
                                     .lengths = {0, 3, 5, 1},
                                     .packed = true,
                                     .offsets = {0, 9, 9, 10, 17},
                                     .max_len = i & 4 ? 9 : 0,
                                     .new_lengths = true,
                                     .rotate = i % 3 == 0,
                                     .tables = i % 6 == 0 ? TABLES_ROWS : TABLES_NONE,
                                     .layout = {i & 8 ? "0213" : NULL, 0, 0}});
    }
    context_close(&c);
}

/* Only keys, only values, and both without lengths. */
Test(cache_append, optional) {
    static const cache_case cases[] = {
        {.tokens = 3, .no_values = true, .lists = LISTS_HOST, .lengths = {2}, .rotate = true},
        {.tokens = 3, .no_keys = true, .lists = LISTS_TENSOR, .lengths = {2}, .v_type = VKA_I8, .new_lengths = true},
        {.batch = 2, .tokens = 3, .head_dim = 64, .value_dim = 32, .k_type = VKA_Q8_0, .new_lengths = true},
        {.batch = 2, .tokens = 16, .head_dim = 8, .page = 8},
    };
    CHECK_ALL(cases);
}

Test(cache_append, rotated) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * CACHES; i++) {
        if (context_leaves_out(&c, 7)) {
            continue;
        }
        bool blocks = vka_dtype_block(caches[i % CACHES]) > 1;
        cache_check(&c, (cache_case){.dtype = dtypes[i % DTYPES],
                                     .k_type = caches[i % CACHES],
                                     .v_type = VKA_F16,
                                     .batch = 2,
                                     .heads = 2,
                                     .tokens = 5,
                                     .head_dim = blocks  ? 96
                                                 : i & 1 ? 40
                                                         : 39,
                                     .value_dim = 8,
                                     .capacity = 5000,
                                     .lists = LISTS_TENSOR,
                                     .lengths = {4990, 17},
                                     .rotate = true,
                                     .dims = i & 1 ? (blocks ? 96 : 40) : 22,
                                     .interleaved = i & 2,
                                     .offset = i & 4 ? -3000 : 0,
                                     .tables = i < 12 ? TABLES_NONE : (rope_tables)(i % 4)});
    }
    context_close(&c);
}

/* NaN and infinity spoil their own head or block, and no other; tiny values become zeros. */
Test(cache_append, nonfinite_values) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < DTYPES * CACHES; i++) {
        if (context_leaves_out(&c, 7)) {
            continue;
        }
        cache_check(&c, (cache_case){.dtype = dtypes[i % DTYPES],
                                     .k_type = caches[i / DTYPES],
                                     .batch = 2,
                                     .heads = 4,
                                     .tokens = 4,
                                     .head_dim = 64,
                                     .value_dim = 32,
                                     .nonfinite = true});
    }
    context_close(&c);
}

/* A step that was recorded once goes on by itself: lengths advance, and each run appends behind the last. */
Test(cache_append, replay) {
    context c;
    context_open(&c, &config_real);
    cache_problem p = cache_make(&c,
                                 (cache_case){.k_type = VKA_F16,
                                              .batch = 2,
                                              .heads = 2,
                                              .tokens = 3,
                                              .lists = LISTS_TENSOR,
                                              .lengths = {0, 5},
                                              .new_lengths = true,
                                              .layout = {.pad = 1}},
                                 test_seed());
    vka_cache_append_desc desc = cache_desc(&p);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_cache_append(c.recorder, &desc));
    EXPECT_OK(vka_copy(c.recorder, p.lengths.view.buffer, p.lengths.view.offset, p.new_lengths.view.buffer,
                       p.new_lengths.view.offset, 2 * p.lengths.view.stride[0] * 4));
    for (int step = 0; step < 3; step++) {
        const int32_t before[] = {p.a.lengths[0], p.a.lengths[1]};
        for (int i = 0; i < 2; i++) { /* only what this step writes is not poison */
            tensor_poison(&p.side[i].cache);
        }
        context_finish(&c);
        EXPECT_OK(vka_buffer_read(p.lengths.view.buffer, 0, p.lengths.image, p.lengths.size));
        cache_compare(&p);
        for (int b = 0; b < 2; b++) {
            memcpy(&p.a.lengths[b], tensor_bytes(&p.lengths, (size_t)b), 4);
            cr_assert_eq(p.a.lengths[b], before[b] + 3);
        }
    }
    cache_destroy(&p);
    context_close(&c);
}

/* What a cache holds by sequence, [batch, heads, capacity, channels], as its reader has to understand it. */
static float *gather(const cache_problem *p, const cache_side *s) {
    const cache_case *a = &p->a;
    uint32_t rows = s->cache.view.shape[2], cols = s->cache.view.shape[3];
    float *dense = calloc((size_t)a->batch * a->heads * a->capacity * cols, sizeof *dense), *to = dense;
    cr_assert_not_null(dense);
    for (uint32_t b = 0; b < a->batch; b++) {
        for (uint32_t h = 0; h < a->heads; h++) {
            for (uint32_t j = 0; j < a->capacity; j++, to += cols) {
                size_t outer = a->page ? (size_t)p->pages[b * p->columns + j / rows] : b;
                size_t row = (outer * a->heads + h) * rows + j % rows;
                for (uint32_t i = 0; i < cols; i++) {
                    float factor = s->cache.view.dtype == VKA_I8 ? s->scale.values[row] : 1;
                    to[i] = s->cache.values[row * cols + i] * factor;
                }
            }
        }
    }
    return dense;
}

static void compare_attention(const cache_problem *p, const tensor *q, const tensor *out) {
    const cache_case *a = &p->a;
    uint32_t lens[CACHE_SEQUENCES];
    float *k = gather(p, &p->side[0]), *v = gather(p, &p->side[1]);
    for (uint32_t b = 0; b < a->batch; b++) {
        lens[b] = (uint32_t)a->lengths[b] + a->tokens;
    }
    ref_attention ref = {.batch = a->batch,
                         .q_heads = a->heads,
                         .kv_heads = a->heads,
                         .q_len = 1,
                         .kv_len = a->capacity,
                         .head_dim = a->head_dim,
                         .value_dim = a->value_dim,
                         .q = q->values,
                         .k = k,
                         .v = v,
                         .scale = 1 / sqrt(a->head_dim),
                         .kv_lens = lens};
    ref_error e = {0};
    double *row = malloc(2048 * sizeof *row), *scratch = row + 1024;
    float *naive = malloc(2048 * sizeof *naive), *naive_scratch = naive + 1024;
    cr_assert(row && naive);
    for (uint32_t n = 0; n < a->batch * a->heads; n++) {
        ref_softmax softmax;
        ref_attention_row(&ref, n / a->heads, n % a->heads, 0, row, &softmax, scratch);
        ref_attention_naive_row(&ref, n / a->heads, n % a->heads, 0, naive, &softmax, naive_scratch);
        for (uint32_t i = 0; i < a->value_dim; i++) {
            ref_error_add(&e, (double)out->values[n * a->value_dim + i], (double)naive[i], row[i]);
        }
    }
    cr_assert(ref_error_ok(&e), "off by %g, naively by %g", e.out, e.naive);
    free(row);
    free(naive);
    free(k);
    free(v);
}

/* A step of decoding in one recording: attention reads what was appended, by the lengths that came of it. */
Test(cache_append, attended) {
    static const cache_case cases[] = {
        {.k_type = VKA_Q8_0,
         .v_type = VKA_I8,
         .batch = 2,
         .heads = 2,
         .tokens = 7,
         .head_dim = 32,
         .new_lengths = true},
        {.k_type = VKA_Q4_0,
         .v_type = VKA_Q8_0,
         .batch = 2,
         .heads = 2,
         .tokens = 11,
         .head_dim = 32,
         .capacity = 24,
         .page = 8,
         .new_lengths = true,
         .rotate = true},
    };
    context c;
    context_open(&c, &config_real);
    if (vka_device_get_caps(c.device)->storage_buffers < 17) {
        context_close(&c);
        cr_skip_test("SKIP: attention's options need 17 storage buffers");
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cache_problem p = cache_make(&c, cases[i], test_seed());
        const uint32_t shape[] = {p.a.batch, p.a.heads, 1, 32};
        tensor q = tensor_create(&c, VKA_F32, 4, shape, (layout){0});
        tensor out = tensor_create(&c, VKA_F32, 4, shape, (layout){0});
        ref_rng rng = ref_rng_seed(test_seed() + 1);
        tensor_fill_normal(&q, &rng, 0, 1);
        tensor_upload(&q);
        vka_cache_append_desc append = cache_desc(&p);
        vka_attention_desc attention = {.q = q.view,
                                        .k = append.k_cache,
                                        .v = append.v_cache,
                                        .k_scale = append.k_scale,
                                        .v_scale = append.v_scale,
                                        .page_table = append.page_table,
                                        .kv_lengths.tensor = append.new_lengths,
                                        .out = out.view};
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_cache_append(c.recorder, &append));
        EXPECT_OK(vka_attention(c.recorder, &attention));
        context_finish(&c);
        cache_compare(&p);
        cr_assert(tensor_download(&out));
        compare_attention(&p, &q, &out);
        tensor_destroy(&q);
        tensor_destroy(&out);
        cache_destroy(&p);
    }
    context_close(&c);
}

/* No sequence: nothing. No new token: the lengths as they are. */
Test(cache_append, nothing) {
    context c;
    context_open(&c, &config_real);
    cache_problem p = cache_make(
        &c, (cache_case){.batch = 2, .lists = LISTS_TENSOR, .lengths = {3, 99}, .new_lengths = true}, test_seed());
    vka_cache_append_desc desc = cache_desc(&p), none = desc;
    none.k.shape[0] = none.v.shape[0] = none.k_cache.shape[0] = none.v_cache.shape[0] = 0;
    none.lengths = (vka_integers){0};
    none.new_lengths = (vka_tensor){0};
    desc.k.shape[2] = desc.v.shape[2] = 0;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_cache_append(c.recorder, &none));
    EXPECT_OK(vka_cache_append(c.recorder, &desc));
    context_finish(&c);
    for (int i = 0; i < 2; i++) {
        cr_assert(tensor_download(&p.side[i].cache));
        for (size_t n = 0; n < p.side[i].cache.count; n++) {
            cr_assert(tensor_untouched(&p.side[i].cache, n));
        }
    }
    cr_assert(tensor_download(&p.new_lengths));
    cr_assert(p.new_lengths.values[0] == 3 && p.new_lengths.values[1] == 16);
    cache_destroy(&p);
    context_close(&c);
}
