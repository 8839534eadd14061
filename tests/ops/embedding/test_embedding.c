/* Rows of tables.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <vkattn/embedding.h>

#include "support/context.h"
#include "support/tensor.h"

typedef struct embedding_case {
    vka_dtype table_type, out_type, position_type; /* position_type 0: none */
    uint32_t vocabulary, batch, tokens, cols;
    bool shared; /* [N, C] positions instead of [B, N, C] */
    float scale;
    layout table, ids, out, position;
} embedding_case;

static void fill_ids(tensor *ids, ref_rng *rng, uint32_t vocabulary) {
    for (size_t i = 0; i < ids->count; i++) {
        ids->values[i] = (float)ref_rng_below(rng, vocabulary);
    }
    static const float nowhere[] = {-1, -0x1p31f, 0x1.fffffep30f};
    for (size_t i = 0; i < 3 && 2 * i + 1 < ids->count; i++) {
        ids->values[2 * i + 1] = nowhere[i];
    }
    ids->values[ids->count - 1] = ids->count % 2 ? (float)(vocabulary - 1) : (float)vocabulary;
}

static void check(context *c, const embedding_case *e) {
    if (context_leaves_out(c, 5)) {
        return;
    }
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t size[] = {e->batch, e->tokens, e->cols}, table_size[] = {e->vocabulary, e->cols};
    tensor table = tensor_create(c, e->table_type, 2, table_size, e->table),
           ids = tensor_create(c, VKA_I32, 2, size, e->ids), out = tensor_create(c, e->out_type, 3, size, e->out);
    tensor position = tensor_create(c, e->position_type ? e->position_type : VKA_F32, e->shared ? 2 : 3,
                                    size + e->shared, e->position);
    tensor_fill_normal(&table, &rng, 0, 1);
    tensor_fill_normal(&position, &rng, 0, 1);
    fill_ids(&ids, &rng, e->vocabulary);
    tensor_upload(&table);
    tensor_upload(&position);
    tensor_upload(&ids);
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(
        vka_embedding(c->recorder, &(vka_embedding_desc){.table = table.view,
                                                         .ids = ids.view,
                                                         .out = out.view,
                                                         .position = e->position_type ? position.view : (vka_tensor){0},
                                                         .scale = e->scale}));
    context_finish(c);
    cr_assert(tensor_download(&out), "%s: bytes outside of the result have changed", c->config->name);
    ref_error error = {0};
    float scale = e->scale != 0 ? e->scale : 1;
    for (size_t i = 0; i < out.count; i++) {
        size_t row = i / e->cols, col = i % e->cols;
        float id = ids.values[row];
        bool exists = id >= 0 && id < (float)e->vocabulary;
        float weight = exists ? table.values[(size_t)id * e->cols + col] : 0;
        float add = !e->position_type || !exists ? 0
                    : e->shared                  ? position.values[row % e->tokens * e->cols + col]
                                                 : position.values[i];
        cr_assert(exists || out.values[i] == 0, "%s: id %g of %u gives %g", c->config->name, (double)id, e->vocabulary,
                  (double)out.values[i]);
        ref_error_add(&error, (double)out.values[i], (double)ref_round(e->out_type, weight * scale + add),
                      (double)weight * (double)scale + (double)add);
    }
    cr_assert(ref_error_ok(&error), "%s: %s to %s, %u of %u x %u: off by %g, naive by %g", c->config->name,
              dtype_name(e->table_type), dtype_name(e->out_type), e->batch * e->tokens, e->vocabulary, e->cols,
              error.out, error.naive);
    tensor_destroy(&table);
    tensor_destroy(&ids);
    tensor_destroy(&out);
    tensor_destroy(&position);
}

static const vka_dtype tables[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_Q8_0, VKA_Q4_0};
#define TABLES (sizeof tables / sizeof *tables)

Test(embedding, accuracy) {
    static const device_config *const configs[] = {&config_real, &config_gpu};
    static const uint32_t cols[] = {96, 64, 33, 1, 7};
    for (size_t n = 0; n < 2; n++) {
        context c;
        context_open(&c, configs[n]);
        for (uint32_t t = 0; t < TABLES * DTYPES; t++) {
            vka_dtype type = tables[t % TABLES];
            bool blocks = vka_dtype_block(type) > 1;
            embedding_case e = {.table_type = type,
                                .out_type = dtypes[t / TABLES],
                                .position_type = t % 3 ? dtypes[t % DTYPES] : VKA_DTYPE_INVALID,
                                .vocabulary = 23,
                                .batch = 3,
                                .tokens = 1 + t,
                                .cols = blocks ? 32 * (1 + t % 3) : cols[t % 5],
                                .shared = t % 2,
                                .scale = t % 4 ? -1.5f : 0,
                                .table = {.pad = t % 2, .shift = t % 3},
                                .ids = {.order = t % 2 ? "10" : "01", .pad = t % 3}};
            e.out = t % 4 < 2 ? (layout){0} : (layout){"102", 1, 1};
            e.position = (layout){.pad = t % 2, .shift = t % 5};
            check(&c, &e);
        }
        context_close(&c);
    }
}

/* A table of which a binding sees some rows, results that take several dispatches. */
Test(embedding, narrow) {
    static const device_config *const small[] = {&config_short, &config_few_groups};
    for (size_t n = 0; n < 2; n++) {
        context c;
        context_open(&c, small[n]);
        for (uint32_t t = 0; t < TABLES; t++) {
            check(&c, &(embedding_case){.table_type = tables[t],
                                        .out_type = dtypes[t % DTYPES],
                                        .position_type = VKA_F16,
                                        .vocabulary = 1501,
                                        .batch = 5,
                                        .tokens = 67,
                                        .cols = 160,
                                        .table = {.pad = 1, .shift = 1},
                                        .shared = true});
        }
        context_close(&c);
    }
    context c;
    context_open(&c, &config_short);
    vka_embedding_desc d = {.table = vka_tensor_2d(NULL, VKA_F32, 1501, 160),
                            .ids = vka_tensor_1d(NULL, VKA_I32, 3),
                            .out = vka_tensor_2d(NULL, VKA_F32, 3, 160)};
    char text[1024];
    EXPECT_OK(vka_embedding_explain(c.device, &d, text, sizeof text, NULL));
    cr_expect(strstr(text, "table_parts: 15"), "%s", text);
    d.table = vka_tensor_2d(NULL, VKA_F32, 3, 20000);
    d.out = vka_tensor_2d(NULL, VKA_F16, 3, 20000);
    EXPECT_FAILURE(vka_embedding_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_embedding.table");
    context_close(&c);
}

/* Zeros, without positions; and nothing at all. */
Test(embedding, nothing) {
    context c;
    context_open(&c, &config_real);
    vka_embedding_desc d = {.table = vka_tensor_2d(NULL, VKA_F32, 0, 8),
                            .ids = vka_tensor_1d(NULL, VKA_I32, 3),
                            .out = vka_tensor_2d(NULL, VKA_F32, 3, 8)};
    tensor ids = tensor_create(&c, VKA_I32, 1, (uint32_t[]){3}, (layout){0}),
           out = tensor_create(&c, VKA_F32, 2, (uint32_t[]){3, 8}, (layout){0}),
           table = tensor_create(&c, VKA_F32, 2, (uint32_t[]){0, 8}, (layout){0});
    tensor_upload(&ids);
    d.table = table.view;
    d.ids = ids.view;
    d.out = out.view;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_embedding(c.recorder, &d));
    context_finish(&c);
    cr_assert(tensor_download(&out));
    for (size_t i = 0; i < out.count; i++) {
        cr_expect_eq(out.values[i], 0);
    }
    d.ids.shape[0] = d.out.shape[0] = 0;
    vka_requirements need;
    EXPECT_OK(vka_embedding_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 0);
    tensor_destroy(&ids);
    tensor_destroy(&out);
    tensor_destroy(&table);
    context_close(&c);
}

Test(embedding, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_embedding_desc good = {.table = vka_tensor_2d(NULL, VKA_F16, 9, 8),
                               .ids = vka_tensor_1d(NULL, VKA_I32, 3),
                               .out = vka_tensor_2d(NULL, VKA_F32, 3, 8)},
                       d = good;
    EXPECT_OK(vka_embedding_prepare(c.device, &d));
    d.position = vka_tensor_2d(NULL, VKA_F32, 2, 8);
    EXPECT_FAILURE(vka_embedding_prepare(c.device, &d), VKA_INVALID, "vka_embedding.position");
    d = good;
    d.ids = vka_tensor_1d(NULL, VKA_I32, 4);
    EXPECT_FAILURE(vka_embedding_prepare(c.device, &d), VKA_INVALID, "vka_embedding.ids");
    d = good;
    d.table = vka_tensor_2d(NULL, VKA_F16, 9, 7);
    EXPECT_FAILURE(vka_embedding_prepare(c.device, &d), VKA_INVALID, "vka_embedding.out");
    context_close(&c);
}
