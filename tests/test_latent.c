/* Values that are the keys' first channels, as in multi-head latent attention: matrices take them from the keys' tile.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "attention_case.h"
#include "plan_check_attention.h"
#include "plan_problem.h"

#define LENGTHS(...)                                                                                                   \
    { .kind = LIST_LENGTHS, __VA_ARGS__ }

/* ---- plans ----------------------------------------------------------------------------------------------------- */

static vka__attention_problem latent(uint32_t queries, uint32_t d, uint32_t dv) {
    vka__attention_problem p = plain(VKA_F16, 128, 1, queries, 4096, d);
    p.v.shape[3] = p.out.shape[3] = dv;
    p.values_are_keys = true;
    return p;
}

static vka__attention_plan plan_for(const device *d, const vka__attention_problem *p) {
    vka__attention_plan plan;
    vka__refusal refusal;
    cr_assert_eq(vka__plan_attention(&d->caps, p, &plan, &refusal), VKA_OK, "%s: %s", d->name, refusal.reason);
    check_dispatches(d, p, &plan);
    return plan;
}

/* Which devices share channels of such heads, and how many rows a workgroup has of one token's 128 heads. */
Test(latent, chosen) {
    static const struct {
        const char *name;
        uint32_t rows; /* 0: another path */
    } cases[] = {{"rdna3", 64}, {"rdna4", 64}, {"nvidia with matrices", 32}, {"xe2", 0}, {"rdna2", 0}, {"amd", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const device *d = device_named(cases[i].name);
        for (uint32_t queries = 1; queries <= 512; queries += 511) {
            vka__attention_problem p = latent(queries, 576, 512);
            vka__attention_plan plan = plan_for(d, &p);
            const uint32_t *spec = plan.main.spec;
            cr_expect_eq(plan.path == VKA_ATTENTION_PATH_COOPMAT, cases[i].rows > 0, "%s: %s", d->name, plan.why);
            if (cases[i].rows) {
                cr_expect_eq(spec[VKA_SPEC_LOW_REGISTER], VKA_LEAN_KEY_VALUES | VKA_LEAN_BY_CHANNEL);
                cr_expect_eq(spec[VKA_SPEC_BR], cases[i].rows, "%s: %u rows", d->name, spec[VKA_SPEC_BR]);
            }
            p.values_are_keys = false;
            cr_expect_neq(plan_for(d, &p).path, VKA_ATTENTION_PATH_COOPMAT, "%s", d->name);
        }
        vka__attention_problem few = latent(1, 576, 512);
        few.q.shape[1] = few.out.shape[1] = 16;
        cr_expect(!cases[i].rows || plan_for(d, &few).main.spec[VKA_SPEC_BR] == 16, "%s", d->name);
    }
}

/* Narrow heads keep their tiles; values have one of their own where what transposes them costs more than they save. */
Test(latent, narrow_heads) {
    vka__attention_problem p = latent(512, 128, 128);
    uint32_t flag = VKA_LEAN_KEY_VALUES;
    cr_expect_eq(plan_for(device_named("rdna3"), &p).main.spec[VKA_SPEC_LOW_REGISTER], flag);
    cr_expect_eq(plan_for(device_named("xe2"), &p).main.spec[VKA_SPEC_LOW_REGISTER] & flag, 0);
    device nvidia = *device_named("nvidia with matrices");
    nvidia.caps.vendor_id = 0x10de;
    cr_expect_eq(plan_for(&nvidia, &p).main.spec[VKA_SPEC_LOW_REGISTER] & flag, 0);
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static vka_status explain(const attention_problem *p, const vka_attention_desc *desc, char *text, size_t size) {
    text[0] = 0;
    return vka_attention_explain(p->c->device, desc, text, size, NULL);
}

static bool has_matrices(context *c) {
    context_open(c, &config_real);
    const vka_device_caps *caps = vka_device_get_caps(c->device);
    if (caps->type == VKA_DEVICE_CPU && caps->matrix_shape_count && caps->matrix_shapes[0].m == 8) {
        return true;
    }
    fprintf(stderr, "SKIP: tiles are those of software drivers with matrices of 8 x 8 x 8\n");
    context_close(c);
    return false;
}

/* By the case's tile, keys in one piece or in three. */
static void run(attention_case a, uint32_t splits) {
    context c;
    char text[2048];
    if (!has_matrices(&c)) {
        return;
    }
    a.dtype = VKA_F16;
    a.values_are_keys = true;
    a.poison_hidden = !a.key_list_len;
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    desc.path = VKA_ATTENTION_PATH_COOPMAT;
    EXPECT_OK(explain(&p, &desc, text, sizeof text));
    cr_expect(strstr(text, "values_of_keys: yes\n"), "%s", text);
    attention_run(&p, VKA_ATTENTION_PATH_COOPMAT, splits);
    attention_destroy(&p);
    context_close(&c);
}

#define RUN(name, splits, ...)                                                                                         \
    Test(latent, name) {                                                                                               \
        run((attention_case){__VA_ARGS__}, splits);                                                                    \
    }

/* Heads of DeepSeek's latent attention, and odd ones: channels and values that leave parts of tiles, queries packed,
 * hidden keys that are NaN. Four subgroups share channels, eight, two in two blocks, or none. */
RUN(packed, 3, .q_heads = 6, .kv_heads = 1, .q_len = 3, .kv_len = 67, .head_dim = 40, .value_dim = 27, .causal = true,
    .tile = {8, 16, 1, 4})
RUN(window, 0, .q_len = 17, .kv_len = 83, .head_dim = 80, .value_dim = 72, .causal = true, .window = {true, 31, 0},
    .tile = {16, 16, 1, 2})
RUN(wide_values, 0, .q_heads = 2, .kv_heads = 1, .q_len = 5, .kv_len = 35, .head_dim = 192, .value_dim = 128,
    .tile = {8, 32, 1, 8})
RUN(few_owners, 0, .q_heads = 2, .kv_heads = 1, .q_len = 5, .kv_len = 35, .head_dim = 64, .value_dim = 64,
    .tile = {8, 16, 1, 8})
RUN(widest, 3, .q_heads = 16, .kv_heads = 1, .kv_len = 99, .head_dim = 576, .value_dim = 512, .tile = {8, 16, 1, 4})
RUN(whole_rows, 0, .q_len = 19, .kv_len = 37, .head_dim = 24, .value_dim = 17, .causal = true, .tile = {16, 16, 1, 1})

/* Caches that are read in other ways, and what options add to scores. */
#define SOME_HEADS .batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 9, .kv_len = 41
RUN(pages, 0, SOME_HEADS, .k_dtype = VKA_Q8_0, .v_dtype = VKA_Q8_0, .head_dim = 32, .value_dim = 32, .page_size = 8,
    .dequantise = VKA_DEQUANTISE_READ, .tile = {8, 16, 1, 2})
RUN(lists, 0, SOME_HEADS, .head_dim = 20, .value_dim = 11, .key_list_len = 29, .tile = {8, 16, 1, 4})
RUN(options, 3, SOME_HEADS, .head_dim = 24, .value_dim = 24, .mask = VKA_F16, .softcap = 4, .sinks = true,
    .stats = true, .dropout = 0.3f, .kv_list = LENGTHS(.tensor = true), .tile = {8, 16, 1, 2})

/* The chosen path, whatever the device: quantised keys are dequantised once, and values are a view of what they become.
 */
Test(latent, dequantised) {
    static const vka_dtype types[] = {VKA_Q8_0, VKA_I8};
    context c;
    context_open(&c, &config_real);
    for (size_t i = 0; i < 2; i++) {
        attention_problem p = attention_make(&c,
                                             (attention_case){.dtype = VKA_F16,
                                                              .k_dtype = types[i],
                                                              .v_dtype = types[i],
                                                              .values_are_keys = true,
                                                              .batch = 2,
                                                              .q_heads = 4,
                                                              .kv_heads = 1,
                                                              .q_len = 19,
                                                              .kv_len = 37,
                                                              .head_dim = 64,
                                                              .value_dim = 32,
                                                              .kv_list = LENGTHS(.tensor = true),
                                                              .poison_hidden = true,
                                                              .dequantise = VKA_DEQUANTISE_FIRST},
                                             test_seed());
        for (int path = VKA_ATTENTION_PATH_AUTO; path <= VKA_ATTENTION_PATH_COOPMAT;
             path += VKA_ATTENTION_PATH_COOPMAT) {
            char text[2048];
            vka_attention_desc desc = attention_desc(&p);
            desc.path = (vka_attention_path)path;
            if (path && !attention_can(&p, (vka_attention_path)path)) {
                continue;
            }
            EXPECT_OK(explain(&p, &desc, text, sizeof text));
            bool possible = vka_device_get_caps(c.device)->storage_buffers >= 17;
            cr_expect_eq(strstr(text, "dequantised_first: yes\n") != NULL, possible);
            attention_run(&p, (vka_attention_path)path, 3); /* partial results lie before what is dequantised */
        }
        attention_destroy(&p);
    }
    context_close(&c);
}

/* The same bits every time, and none of them another for what hidden keys hold. */
Test(latent, bits) {
    context c;
    if (!has_matrices(&c)) {
        return;
    }
    attention_problem p = attention_make(&c,
                                         (attention_case){.dtype = VKA_F16,
                                                          .values_are_keys = true,
                                                          .q_heads = 4,
                                                          .kv_heads = 1,
                                                          .q_len = 21,
                                                          .kv_len = 50,
                                                          .head_dim = 40,
                                                          .value_dim = 32,
                                                          .causal = true,
                                                          .tile = {8, 16, 1, 4}},
                                         test_seed());
    char why[1536] = "";
    cr_assert(attention_try_hidden(&p, VKA_ATTENTION_PATH_COOPMAT, 0, why, sizeof why), "%s", why);
    attention_destroy(&p);
    context_close(&c);
}

/* Without buffers nobody knows whether values are keys: what is then said to be needed is enough for both. */
Test(latent, workspace_without_buffers) {
    context c;
    context_open(&c, &config_real);
    vka_attention_desc desc = {.q = vka_tensor_4d(NULL, VKA_F16, 1, 16, 1, 576),
                               .k = vka_tensor_4d(NULL, VKA_F16, 1, 1, 4096, 576),
                               .out = vka_tensor_4d(NULL, VKA_F16, 1, 16, 1, 512)};
    desc.v = vka_tensor_transpose(desc.k, 0, 0);
    desc.v.shape[3] = 512;
    vka_requirements unknown, known;
    EXPECT_OK(vka_attention_requirements(c.device, &desc, &unknown));
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 4096 * 576 * 2}, &desc.k.buffer));
    desc.v.buffer = desc.k.buffer;
    EXPECT_OK(vka_attention_requirements(c.device, &desc, &known));
    cr_expect_geq(unknown.workspace_bytes, known.workspace_bytes);
    vka_buffer_destroy(&desc.k.buffer);
    context_close(&c);
}
