/* Merges of attentions over different keys, against float64 by the accuracy rule, and against attention itself.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "attention_case.h"
#include "merge_case.h"

/* What a line of vka_attention_merge_explain says. */
static unsigned explained(const merge_problem *p, const char *line) {
    char text[1024], format[64];
    vka_attention_merge_desc desc = merge_desc(p);
    unsigned value = 0;
    EXPECT_OK(vka_attention_merge_explain(p->c->device, &desc, text, sizeof text, NULL));
    snprintf(format, sizeof format, "\n%s: %%u", line);
    const char *at = strstr(text, line);
    cr_assert(at && sscanf(at - 1, format, &value) == 1, "%s: %s", line, text);
    return value;
}

/* ---- accuracy -------------------------------------------------------------------------------------------------- */

static void all_types(const device_config *config) {
    context c;
    context_open(&c, config);
    for (uint32_t n = 0; n < DTYPES * DTYPES * DTYPES; n++) {
        bool wide = n % 2;
        merge_on(&c, (merge_case){.a = dtypes[n % 3],
                                  .b = dtypes[n / 3 % 3],
                                  .out = dtypes[n / 9],
                                  .shape = {2, 3, 5, wide ? 36 : 7},
                                  .layout = {.shift = wide ? 0 : n % 4}});
    }
    context_close(&c);
}

Test(merge, types) {
    all_types(&config_real);
}

Test(merge, types_gpu) {
    all_types(&config_gpu);
}

static void shapes(const device_config *config) {
    static const uint32_t list[][4] = {{1, 1, 1, 1},   {1, 1, 1, 3},    {2, 1, 17, 8},  {1, 7, 3, 40},
                                       {3, 2, 41, 59}, {1, 2, 129, 64}, {1, 1, 5, 111}, {1, 3, 7, 128},
                                       {1, 2, 9, 512}, {1, 1, 2, 515},  {1, 1, 3, 2056}};
    context c;
    context_open(&c, config);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        merge_case m = {.a = VKA_F16, .b = VKA_F16, .out = VKA_F16};
        memcpy(m.shape, list[i], sizeof m.shape);
        merge_on(&c, m);
    }
    context_close(&c);
}

Test(merge, shapes) {
    shapes(&config_real);
}

Test(merge, shapes_gpu) {
    shapes(&config_gpu);
}

static void layouts(const device_config *config) {
    static const char *const orders[] = {"0213", "2013", "3210", "1320", "0132"};
    context c;
    context_open(&c, config);
    for (uint32_t i = 0; i < 3 * 5; i++) {
        merge_on(&c, (merge_case){.a = dtypes[i % 3],
                                  .b = dtypes[(i + i / 3) % 3],
                                  .out = dtypes[i / 5],
                                  .shape = {2, 3, 4, 20 + i % 2},
                                  .layout = {orders[i % 5], i % 4, i % 3},
                                  .no_lse = i == 7});
    }
    context_close(&c);
}

Test(merge, layouts) {
    layouts(&config_real);
}

Test(merge, layouts_gpu) {
    layouts(&config_gpu);
}

/* Rows that few, many and all invocations of a workgroup share. */
static void in_place(const device_config *config) {
    static const uint32_t widths[] = {3, 64, 509};
    context c;
    context_open(&c, config);
    for (uint32_t n = 0; n < OVERS * OVERS * 3; n++) {
        vka_dtype type = dtypes[n / 2 % DTYPES];
        over out = (over)(n % OVERS), lse = (over)(n / OVERS % OVERS);
        merge_on(&c, (merge_case){.a = out == OVER_B ? VKA_F32 : type,
                                  .b = out == OVER_A ? VKA_F32 : type,
                                  .out = type,
                                  .shape = {2, 3, 37, widths[n / (OVERS * OVERS)]},
                                  .layout = {.pad = n % 2},
                                  .out_over = out,
                                  .lse_over = lse,
                                  .nonfinite = n % 4 == 3});
    }
    context_close(&c);
}

Test(merge, in_place) {
    in_place(&config_real);
}

Test(merge, in_place_gpu) {
    in_place(&config_gpu);
}

static void nonfinite(const device_config *config) {
    context c;
    context_open(&c, config);
    for (uint32_t n = 0; n < 2 * DTYPES; n++) {
        merge_on(&c, (merge_case){.a = dtypes[n % 3],
                                  .b = dtypes[(n + 1) % 3],
                                  .out = dtypes[n % 3],
                                  .shape = {1, 4, 33, n < 3 ? 12 : 5},
                                  .nonfinite = true});
    }
    context_close(&c);
}

Test(merge, nonfinite) {
    nonfinite(&config_real);
}

Test(merge, nonfinite_gpu) {
    nonfinite(&config_gpu);
}

/* What meets an empty part passes bit by bit, -0 included, and lse with it. */
Test(merge, empty_part_changes_nothing) {
    context c;
    context_open(&c, &config_real);
    for (int part = A; part <= B; part++) {
        for (int n = 0; n < DTYPES; n++) {
            merge_problem p =
                merge_make(&c, (merge_case){.a = dtypes[n], .b = dtypes[n], .out = dtypes[n], .shape = {1, 2, 50, 24}});
            for (size_t i = 0; i < p.rows; i++) {
                p.inputs[A_LSE + part][i] = -INFINITY;
            }
            merge_run(&p);
            cr_assert(!memcmp(p.t[OUT].values, p.inputs[B - part], p.t[OUT].count * sizeof(float)), "%s: out differs",
                      merge_names[part]);
            cr_assert(!memcmp(p.t[LSE].values, p.inputs[B_LSE - part], p.rows * sizeof(float)), "%s: lse differs",
                      merge_names[part]);
            merge_destroy(&p);
        }
    }
    context_close(&c);
}

Test(merge, no_rows) {
    context c;
    context_open(&c, &config_real);
    merge_problem p = merge_make(&c, (merge_case){.shape = {2, 3, 4, 8}});
    vka_attention_merge_desc desc = merge_desc(&p);
    vka_tensor *all[] = {&desc.a, &desc.b, &desc.out, &desc.a_lse, &desc.b_lse, &desc.lse};
    for (int i = 0; i < MERGE_TENSORS; i++) {
        memset(all[i]->stride, 0, sizeof all[i]->stride);
        all[i]->shape[1] = 0;
    }
    tensor_poison(&p.t[OUT]);
    EXPECT_OK(vka_attention_merge_prepare(c.device, &desc));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_attention_merge(c.recorder, &desc));
    context_finish(&c);
    cr_assert(tensor_download(&p.t[OUT]));
    for (size_t i = 0; i < p.t[OUT].count; i++) {
        cr_assert(tensor_untouched(&p.t[OUT], i), "out was written");
    }
    merge_destroy(&p);
    context_close(&c);
}

/* ---- attention in parts ---------------------------------------------------------------------------------------- */

/* `count` keys from `first` on. */
static void take_keys(vka_tensor *t, uint32_t dim, uint32_t first, uint32_t count) {
    if (t->buffer) {
        t->offset += (uint64_t)first * t->stride[dim] * vka_dtype_size(t->dtype);
        t->shape[dim] = count;
    }
}

static vka_attention_desc attention_part(const attention_problem *p, uint32_t first, uint32_t count, bool sinks) {
    vka_attention_desc d = attention_desc(p);
    take_keys(&d.k, 2, first, count);
    take_keys(&d.v, 2, first, count);
    take_keys(&d.mask, 3, first, count);
    d.diagonal = VKA_DIAGONAL_EXPLICIT;
    d.diagonal_offset = (int32_t)(p->a.kv_len - p->a.q_len) - (int32_t)first;
    d.sinks = sinks ? d.sinks : (vka_tensor){0};
    return d;
}

/* The whole, then in parts of random length that are merged one after the other, over what was merged so far. */
static void attention_in_parts(context *c, attention_case a, uint32_t parts, vka_dtype type) {
    attention_problem p = attention_make(c, a, test_seed());
    ref_rng rng = ref_rng_seed(test_seed() + parts);
    char how[64];
    attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
    tensor part = tensor_create(c, type, 4, p.out.view.shape, (layout){.pad = 1});
    tensor part_lse = tensor_create(c, VKA_F32, 3, p.lse.view.shape, (layout){0});
    tensor sum = tensor_create(c, type, 4, p.out.view.shape, (layout){0});
    tensor sum_lse = tensor_create(c, VKA_F32, 3, p.lse.view.shape, (layout){.shift = 3});
    tensor_poison(&p.out);
    tensor_poison(&p.lse);
    EXPECT_OK(vka_recorder_begin(c->recorder));
    for (uint32_t n = 0, first = 0; n < parts; n++) {
        bool last = n + 1 == parts, swap = n % 2;
        uint32_t left = p.a.kv_len - first, count = last ? left : ref_rng_below(&rng, 2 * left / (parts - n) + 1);
        vka_attention_desc d = attention_part(&p, first, count, n == 0);
        first += count;
        d.out = n ? part.view : sum.view;
        d.lse = n ? part_lse.view : sum_lse.view;
        EXPECT_OK(vka_attention(c->recorder, &d));
        vka_attention_merge_desc m = {.a = swap ? sum.view : part.view,
                                      .b = swap ? part.view : sum.view,
                                      .a_lse = swap ? sum_lse.view : part_lse.view,
                                      .b_lse = swap ? part_lse.view : sum_lse.view,
                                      .out = last ? p.out.view : sum.view,
                                      .lse = last ? p.lse.view : sum_lse.view};
        if (n) {
            EXPECT_OK(vka_attention_merge(c->recorder, &m));
        }
    }
    context_finish(c);
    snprintf(how, sizeof how, "%u parts in %s:", parts, dtype_name(type));
    attention_compare(&p, how);
    tensor *own[] = {&part, &part_lse, &sum, &sum_lse};
    for (int i = 0; i < 4; i++) {
        tensor_destroy(own[i]);
    }
    attention_destroy(&p);
}

static void in_parts(attention_case a, vka_dtype type) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t parts = 2; parts <= 7; parts++) {
        attention_in_parts(&c, a, parts, type);
    }
    context_close(&c);
}

Test(merge, attention_in_parts) {
    in_parts((attention_case){.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 9, .kv_len = 101, .head_dim = 20},
             VKA_F32);
}

/* Early keys are all that early queries see: parts that are empty for some rows. */
Test(merge, causal_attention_in_parts) {
    in_parts((attention_case){.q_heads = 3, .q_len = 63, .kv_len = 59, .head_dim = 8, .causal = true}, VKA_F32);
}

Test(merge, window_in_parts_f16) {
    in_parts((attention_case){.dtype = VKA_F16,
                              .q_heads = 2,
                              .q_len = 17,
                              .kv_len = 80,
                              .head_dim = 12,
                              .value_dim = 9,
                              .window = {true, 30, 3}},
             VKA_F16);
}

Test(merge, bf16_in_parts_of_f32) {
    in_parts((attention_case){.dtype = VKA_BF16, .q_heads = 2, .q_len = 5, .kv_len = 70, .head_dim = 12}, VKA_F32);
}

/* The sink is the first part's. */
Test(merge, options_in_parts) {
    in_parts((attention_case){.q_heads = 2,
                              .q_len = 11,
                              .kv_len = 64,
                              .head_dim = 8,
                              .causal = true,
                              .mask = VKA_F32,
                              .alibi = true,
                              .sinks = true,
                              .softcap = 5},
             VKA_F32);
}

/* ---- smaller devices ------------------------------------------------------------------------------------------- */

static void short_gpu(void *user, vka_device_caps *caps) {
    config_short.narrow(user, caps);
    config_gpu.narrow(user, caps);
}

/* Tensors of many bindings: boxes of rows, about as few as the largest tensor has bindings. */
static void beyond_a_binding(const device_config *config) {
    static const struct {
        uint32_t shape[4];
        const char *order;
        uint32_t most;
    } cases[] = {{{1, 1, 1013, 127}, NULL, 9},
                 {{3, 7, 61, 64}, "0213", 11},
                 {{2, 5, 131, 52}, "2103", 10},
                 {{1, 3, 9001, 2}, NULL, 9}};
    context c;
    context_open(&c, config);
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        merge_case m = {.a = VKA_F16,
                        .b = VKA_F32,
                        .out = VKA_F16,
                        .layout = {cases[i].order, i & 1, i},
                        .out_over = i % 2 ? OVER_A : OVER_NOTHING,
                        .lse_over = i % 2 ? OVER_B : OVER_NOTHING};
        memcpy(m.shape, cases[i].shape, sizeof m.shape);
        merge_problem p = merge_make(&c, m);
        unsigned count = explained(&p, "dispatches");
        cr_expect(count > 1 && count <= cases[i].most, "case %u: %u dispatches", i, count);
        merge_run(&p);
        merge_destroy(&p);
    }
    context_close(&c);
}

Test(merge, beyond_a_binding) {
    beyond_a_binding(&config_short);
}

Test(merge, beyond_a_binding_gpu) {
    static const device_config config = {"short gpu", short_gpu};
    beyond_a_binding(&config);
}

/* A row of 20000 channels is longer than 64 KiB. */
Test(merge, row_too_long) {
    context c;
    context_open(&c, &config_short);
    merge_problem p = merge_make(&c, (merge_case){.a = VKA_F16, .b = VKA_F32, .shape = {1, 1, 2, 20000}});
    vka_attention_merge_desc desc = merge_desc(&p);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_FAILURE(vka_attention_merge(c.recorder, &desc), VKA_UNSUPPORTED, "vka_attention_merge.b");
    merge_destroy(&p);
    context_close(&c);
}

static void narrow(const device_config *config) {
    context c;
    context_open(&c, config);
    for (uint32_t n = 0; n < DTYPES; n++) {
        merge_on(&c, (merge_case){.a = dtypes[n],
                                  .b = dtypes[(n + 1) % 3],
                                  .out = dtypes[(n + 2) % 3],
                                  .shape = {2, 5, 67, 21 + n},
                                  .nonfinite = n == 1});
    }
    context_close(&c);
}

Test(merge, no_f16) {
    narrow(&config_no_f16);
}

Test(merge, few_groups) {
    narrow(&config_few_groups);
}

static void small_gpu(void *user, vka_device_caps *caps) {
    config_gpu.narrow(user, caps);
    caps->max_invocations = 100;
    caps->max_groups[0] = 7;
}

Test(merge, small_gpu) {
    static const device_config config = {"small gpu", small_gpu};
    narrow(&config);
}

Test(merge, invocations_follow_the_row) {
    static const struct {
        uint32_t cols, gpu;
    } cases[] = {{1, 1}, {4, 1}, {5, 2}, {64, 16}, {80, 32}, {128, 32}, {512, 128}, {2000, 128}};
    context c;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int gpu = 0; gpu < 2; gpu++) {
            context_open(&c, gpu ? &config_gpu : &config_real);
            merge_problem p = merge_make(&c, (merge_case){.shape = {1, 1, 3, cases[i].cols}});
            bool software = context_is_software(&c);
            cr_expect_eq(explained(&p, "invocations_per_row"), software ? 1 : cases[i].gpu, "%u channels",
                         cases[i].cols);
            merge_destroy(&p);
            context_close(&c);
        }
    }
}
