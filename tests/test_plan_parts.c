/* Plans for devices that are not here: pools, keys and masks of which no binding sees a head.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include <vkattn/cache.h>

#include "ops/attention/paths.h"
#include "plan_check_attention.h"
#include "plan_problem.h"

static vka__attention_plan plan_of(const device *d, const vka__attention_problem *p) {
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    vka_status status = vka__plan_attention(&d->caps, p, &plan, &refusal);
    cr_assert_eq(status, VKA_OK, "%s: %s: %s", d->name, refusal.field, refusal.reason);
    check_dispatches(d, p, &plan);
    return plan;
}

static void expect_refused(const device *d, const vka__attention_problem *p, const char *field, const char *part) {
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    cr_assert_eq(vka__plan_attention(&d->caps, p, &plan, &refusal), VKA_UNSUPPORTED, "%s", d->name);
    cr_expect_str_eq(refusal.field, field, "%s: %s", d->name, refusal.reason);
    cr_expect(strstr(refusal.reason, part), "%s: %s", d->name, refusal.reason);
}

/* A step of decoding over a pool of so many pages of 16 keys: 8 key heads of 128 channels. */
static vka__attention_problem pooled(vka_dtype k, vka_dtype v, uint32_t pages, uint32_t sequences, uint32_t keys) {
    vka__attention_problem p = plain(VKA_F16, 32, 8, 1, 16, 128);
    vka__view *queries[] = {&p.q, &p.out};
    for (int i = 0; i < 2; i++) {
        *queries[i] = dense(VKA_F16, sequences, 32, 1, 128);
    }
    p.k = dense(k, pages, 8, 16, 128);
    p.v = dense(v, pages, 8, 16, 128);
    p.k_scale = k == VKA_I8 ? dense(VKA_F32, pages, 8, 16, 1) : p.k_scale;
    p.v_scale = v == VKA_I8 ? dense(VKA_F32, pages, 8, 16, 1) : p.v_scale;
    p.pages = dense(VKA_I32, 1, 1, sequences, keys / 16);
    p.batch = sequences;
    p.kv_len = keys;
    return p;
}

/* 156 MiB where a binding sees 128: two parts. And pools of gigabytes. */
Test(plan_parts, pools) {
    static const struct {
        const char *device;
        uint32_t mib;
        vka_dtype k, v;
        uint32_t parts;
    } cases[] = {
        {"software", 156, VKA_F16, VKA_F16, 2},  {"adreno 618", 156, VKA_F16, VKA_F16, 2},
        {"powervr", 3072, VKA_F16, VKA_F16, 25}, {"software", 127, VKA_F16, VKA_F16, 1},
        {"software", 140, VKA_F16, VKA_I8, 2},   {"software", 100, VKA_F16, VKA_F32, 2}, /* values are larger */
        {"software", 500, VKA_Q8_0, VKA_F16, 4}, {"nvidia", 3072, VKA_F16, VKA_F16, 1},
        {"nvidia", 20000, VKA_F16, VKA_F16, 5},  {"amd", 9000, VKA_F16, VKA_Q8_0, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const device *d = device_named(cases[i].device);
        vka__attention_problem p =
            pooled(cases[i].k, cases[i].v, cases[i].mib * 32, 3, 4096); /* a page has 32 KiB of f16 */
        vka__attention_plan plan = plan_of(d, &p);
        cr_expect_eq(plan.parts, cases[i].parts, "%s, %u MiB: %u parts", d->name, cases[i].mib, plan.parts);
        cr_expect_eq(plan.slice, VKA__SLICE_ALL, "%s: a part serves all sequences and heads", d->name);
        p.scores = dense(VKA_F32, 3, 32, 1, 4096);
        plan_of(d, &p);
        if (plan.parts > 1) {
            p.path = VKA_ATTENTION_PATH_ROW;
            plan_of(d, &p);
            p.splits = 5;
            plan_of(d, &p);
        }
    }
}

/* One page, of one head, is the least that both bind. */
Test(plan_parts, appends_and_attentions_refuse_alike) {
    ref_rng rng = ref_rng_seed(7);
    uint32_t accepted = 0, refused = 0;
    for (int round = 0; round < 400; round++) {
        const device *d = &devices[ref_rng_below(&rng, DEVICES)];
        static const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_I8, VKA_Q8_0};
        vka_dtype type = types[ref_rng_below(&rng, 4)];
        uint32_t heads = ONE_OF(&rng, 1, 2, 8), page = ONE_OF(&rng, 8, 64, 4096, 65536, 1u << 20);
        uint32_t pages = ONE_OF(&rng, 1, 7, 60), dim = ONE_OF(&rng, 32, 128);
        vka__view pool = random_view(&rng, type, pages, heads, page, dim);
        vka__view rows = random_view(&rng, VKA_F32, 1, pages, heads, page), scale = rows;
        vka__view_append_one(&scale);
        vka__attention_problem p = plain(VKA_F16, heads, heads, 1, 1, dim);
        p.k = p.v = pool;
        p.k_scale = p.v_scale = type == VKA_I8 ? scale : (vka__view){0};
        p.pages = dense(VKA_I32, 1, 1, 1, 1);
        p.kv_len = page;
        vka_cache_append_desc append = {.k = vka_tensor_4d(NULL, VKA_F16, 1, heads, 1, dim),
                                        .k_cache = tensor_of(&pool, 4),
                                        .k_scale = type == VKA_I8 ? tensor_of(&rows, 3) : (vka_tensor){0},
                                        .page_table = vka_tensor_2d(NULL, VKA_I32, 1, 1)};
        append.v = append.k;
        append.v_cache = append.k_cache;
        append.v_scale = append.k_scale;
        vka__attention_plan plan;
        vka__call call;
        vka__refusal why = {0};
        vka_status status = vka__plan_attention(&d->caps, &p, &plan, &why);
        vka_status append_status = PLAN(&call, cache_append, &d->caps, &append) ? VKA_OK : VKA_UNSUPPORTED;
        const vka__refusal append_why = call.refusal;
        bool tiny = d->caps.storage_range <= MIB; /* where partial results may be too many */
        cr_expect(status == append_status || (tiny && strstr(why.reason, "partial results")),
                  "%s: %s: %s, but append: %s", d->name, why.field, why.reason, append_why.reason);
        if (status == VKA_OK) {
            check_dispatches(d, &p, &plan);
            accepted++;
        } else if (append_status != VKA_OK) {
            cr_expect(strstr(append_why.field, why.field) == append_why.field, "%s and %s", why.field,
                      append_why.field);
            cr_expect_str_eq(why.reason, append_why.reason);
            refused++;
        }
    }
    cr_expect(accepted > 100 && refused > 20, "%u and %u", accepted, refused);
}

/* Keys of one head: 512 MiB where a binding sees 128. */
Test(plan_parts, keys_of_a_head) {
    const device *d = device_named("software");
    vka__attention_problem p = plain(VKA_F32, 4, 2, 100, 1u << 20, 128);
    vka__attention_plan plan = plan_of(d, &p);
    cr_expect_eq(plan.slice, VKA__SLICE_HEAD);
    cr_expect_eq(plan.parts, 5, "%u parts", plan.parts);
    cr_expect_eq(plan.part_keys % 64, 0);
    /* All heads together, where their rows are neighbours. */
    const uint32_t shape[] = {1, 8, 1u << 19, 128};
    p = plain(VKA_F16, 32, 8, 1, 1u << 19, 128);
    p.k = p.v = ordered(VKA_F16, shape, "0213");
    plan = plan_of(d, &p);
    cr_expect_eq(plan.slice, VKA__SLICE_ALL);
    cr_expect_eq(plan.parts, 9, "%u parts", plan.parts);
}

/* Tensor layouts of a workgroup's matrices address what no binding sees: another path takes such keys. */
Test(plan_parts, matrices_that_load_from_one_place) {
    device d = *device_named("nvidia with matrices of workgroups");
    vka__attention_problem p = plain(VKA_F16, 1, 1, 100, 1u << 20, 128);
    cr_expect_eq(plan_of(&d, &p).path, VKA_ATTENTION_PATH_COOPMAT2);
    d.caps.storage_range = 128 * MIB;
    cr_expect_eq(plan_of(&d, &p).path, VKA_ATTENTION_PATH_COOPMAT);
    p.path = VKA_ATTENTION_PATH_COOPMAT2;
    expect_refused(&d, &p, "path", "one binding");
    p.k = p.v = dense(VKA_F16, 1u << 16, 1, 16, 128);
    p.pages = dense(VKA_I32, 1, 1, 1, 1u << 16);
    cr_expect_eq(plan_of(&d, &p).parts, 3);
}

/* A mask of 65536 x 65536: 4 GiB of bytes for each head, or for all. */
Test(plan_parts, masks) {
    for (size_t i = 0; i < DEVICES; i++) {
        const device *d = &devices[i];
        vka__attention_problem p = plain(VKA_F16, 8, 2, 65536, 65536, 64);
        p.mask = dense(VKA_U8, 1, 1, 65536, 65536);
        if (d->caps.storage_range < MIB) { /* not even one query's */
            expect_refused(d, &p, "mask", "a tile of");
            continue;
        }
        if (d->caps.storage_range == MIB) {
            plan_of(d, &p);
            continue;
        }
        vka__attention_plan plan = plan_of(d, &p);
        uint64_t most = vka__min_u64(d->caps.storage_range, UINT64_C(4) << 30);
        cr_expect_eq(plan.slice, VKA__SLICE_QUERY_HEAD, "%s", d->name);
        cr_expect_geq(plan.row_parts, 2, "%s", d->name);
        /* Ranges are as long as a binding allows, but for what watchdogs allow. */
        bool worked = vka__dispatch_ops(&d->caps) != UINT64_MAX;
        cr_expect(worked || (uint64_t)plan.part_rows * 65536 * 3 > most, "%s: %u rows", d->name, plan.part_rows);
        p.scores = dense(VKA_F16, 1, 8, 65536, 65536);
        p.mask = (vka__view){0};
        plan = plan_of(d, &p);
        cr_expect_geq(plan.row_parts, 2, "%s", d->name);
    }
}

/* Where a binding does not see the masks of the tile that is chosen otherwise, it is one of fewer queries. */
Test(plan_parts, tiles_of_fewer_queries) {
    const device *d = device_named("software");
    vka__attention_problem p = plain(VKA_F16, 1, 1, 4096, 1u << 21, 64);
    p.mask = dense(VKA_F32, 1, 1, 4096, 1u << 21); /* 8 MiB a query */
    cr_expect_leq(plan_of(d, &p).main.spec[VKA_SPEC_BR], 15);
    vka__tile tile;
    uint32_t path, count = 0;
    for (; vka__path_candidate(&vka__attention_paths, &d->caps, &p, count, &path, &tile); count++) {
        vka__attention_problem asked = p;
        asked.path = path;
        asked.tile = tile;
        plan_of(d, &asked);
    }
    cr_expect_gt(count, 0);
}

/* A step of decoding with a mask that was made for all steps binds what it needs of it. */
Test(plan_parts, a_row_of_a_large_mask) {
    const device *d = device_named("software");
    vka__attention_problem p = plain(VKA_F16, 8, 2, 1, 65536, 64);
    p.mask = dense(VKA_F32, 1, 1, 65536, 65536);
    vka__attention_plan plan = plan_of(d, &p);
    cr_expect_eq(plan.slice, VKA__SLICE_ALL);
    cr_expect_eq(plan.row_parts, 1);
}

/* What can't be cut is refused by name, and says what may help. */
Test(plan_parts, refusals) {
    const device *d = device_named("software");
    vka__attention_problem p = plain(VKA_F16, 1, 1, 64, 1u << 26, 64);
    p.mask = dense(VKA_F32, 1, 1, 64, 1u << 26);
    expect_refused(d, &p, "mask", "spans more than the 134217728 bytes a binding can see; a smaller type");
    /* Rows of one query are neighbours' columns. */
    p = plain(VKA_F16, 1, 1, 16384, 16384, 64);
    p.mask = ordered(VKA_F32, (const uint32_t[]){1, 1, 16384, 16384}, "0132");
    expect_refused(d, &p, "mask", "a tile of");
    p = plain(VKA_F32, 1, 1, 1u << 20, 64, 64);
    p.options |= VKA_FLAG_Q_OFFSETS;
    p.q_list = dense(VKA_I32, 1, 1, 1, 2);
    expect_refused(d, &p, "q", "one head of packed sequences");
    p = plain(VKA_F32, 1, 1, 64, 1u << 20, 64);
    p.permutation = dense(VKA_I32, 1, 1, 1u << 20, 1);
    expect_refused(d, &p, "k", "a permutation");
    p = plain(VKA_F32, 2, 2, 64, 64, 64);
    p.relative_width = 8;
    p.relative = dense(VKA_F32, 1, 2, 6000, 6000);
    expect_refused(d, &p, "relative_bias", "one head");
    p = pooled(VKA_F16, VKA_F16, 100, 40, 16);
    p.pages = dense(VKA_I32, 1, 1, 40, 1u << 20);
    expect_refused(d, &p, "page_table", "it spans");
}

/* Biases of a grid are bound a head at a time. */
Test(plan_parts, grid_biases) {
    const device *d = device_named("software");
    vka__attention_problem p = plain(VKA_F32, 6, 3, 64, 64, 64);
    p.relative_width = 8;
    p.relative = dense(VKA_F32, 1, 6, 4000, 4000);
    cr_expect_eq(plan_of(d, &p).slice, VKA__SLICE_HEAD);
}
