/* Bad attention descriptions: the right status, one line that names the field, and nothing recorded. What follows from
 * the table of its arguments and numbers is ops/contract.c's: here is what attention checks by itself, and tensors that
 * its sample (ops/attention/sample.c) lacks. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "attention_case.h"

/* A good problem; every bad description is a copy of its description with one thing wrong. */
typedef struct fixture {
    context c;
    attention_problem p;
    vka_attention_desc good;
    vka_buffer *scratch; /* of 1 MiB */
} fixture;

/* Recording has begun, so that whatever a refused call records would run at the end. */
static fixture begin(void) {
    fixture f;
    context_open(&f.c, &config_real);
    f.p = attention_make(&f.c,
                         (attention_case){.batch = 2,
                                          .q_heads = 4,
                                          .kv_heads = 2,
                                          .q_len = 5,
                                          .kv_len = 300,
                                          .head_dim = 8,
                                          .value_dim = 12,
                                          .layout = {"0213", 0, 0}},
                         test_seed());
    f.p.c = &f.c;
    f.good = attention_desc(&f.p);
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = 1 << 20}, &f.scratch));
    EXPECT_OK(vka_attention_prepare(f.c.device, &f.good));
    tensor_poison(&f.p.out);
    tensor_poison(&f.p.lse);
    EXPECT_OK(vka_recorder_begin(f.c.recorder));
    return f;
}

/* Nothing was recorded, and the recorder still works. */
static void end(fixture *f) {
    context_finish(&f->c);
    cr_expect(tensor_download(&f->p.out) && tensor_download(&f->p.lse));
    for (size_t i = 0; i < f->p.out.count; i++) {
        cr_assert(isnan(f->p.out.values[i]), "a refused call wrote out[%zu]", i);
    }
    for (size_t i = 0; i < f->p.lse.count; i++) {
        cr_assert(isnan(f->p.lse.values[i]), "a refused call wrote lse[%zu]", i);
    }
    f->p.c = &f->c;
    attention_run(&f->p, VKA_ATTENTION_PATH_AUTO, 0);
    vka_buffer_destroy(&f->scratch);
    attention_destroy(&f->p);
    context_close(&f->c);
}

/* Every function that takes the description must refuse it, in the same way. */
static void refused(fixture *f, const vka_attention_desc *d, vka_status status, const char *field) {
    char item[64], text[256];
    vka_requirements need;
    size_t length = 0;
    snprintf(item, sizeof item, "vka_attention.%s", field);
    EXPECT_FAILURE(vka_attention(f->c.recorder, d), status, item);
    EXPECT_FAILURE(vka_attention_prepare(f->c.device, d), status, item);
    EXPECT_FAILURE(vka_attention_requirements(f->c.device, d, &need), status, item);
    EXPECT_FAILURE(vka_attention_explain(f->c.device, d, text, sizeof text, &length), status, item);
    if (!d->path && !d->tile.key_tile && !d->splits) { /* which candidates ignore */
        uint32_t count = 1;
        EXPECT_FAILURE(vka_attention_candidates(f->c.device, d, NULL, 0, &count), status, item);
        cr_expect_eq(count, 0);
    }
}

/* What follows departs from this description, which is good itself. */
static void depart_from(fixture *f, vka_attention_desc d) {
    vka_requirements need;
    EXPECT_OK(vka_attention_requirements(f->c.device, &d, &need));
    f->good = d;
}

/* `d` is the good description until `change` has been at it. */
#define REFUSED(field, status, change)                                                                                 \
    do {                                                                                                               \
        vka_attention_desc d = f.good;                                                                                 \
        change;                                                                                                        \
        refused(&f, &d, status, field);                                                                                \
    } while (0)
#define INVALID(field, change)     REFUSED(field, VKA_INVALID, change)
#define UNSUPPORTED(field, change) REFUSED(field, VKA_UNSUPPORTED, change)

static vka_tensor at(vka_tensor t, uint64_t offset) {
    t.offset = offset;
    return t;
}

/* ---- the table of arguments and numbers, whose entries ops/contract.c takes as they are -------------------------- */

#define WITH(field) offsetof(vka_attention_desc, field), #field

static vka_tensor *tensor_at(vka_attention_desc *d, size_t where) {
    return (vka_tensor *)(void *)((char *)d + where);
}

Test(errors_attention, required) {
    fixture f = begin();
    INVALID("q", d.q = (vka_tensor){0});
    INVALID("k", d.k = (vka_tensor){0});
    INVALID("v", d.v = (vka_tensor){0});
    INVALID("out", d.out = (vka_tensor){0});
    end(&f);
}

/* Dimensions that another tensor has too, and one that is a number. */
Test(errors_attention, shapes) {
    static const struct {
        size_t where;
        const char *name;
        uint32_t dim, size;
    } list[] = {
        {WITH(q), 3, 0},       {WITH(k), 3, 7},       {WITH(v), 1, 1},       {WITH(v), 2, 299},
        {WITH(v), 3, 0},       {WITH(out), 0, 1},     {WITH(out), 1, 3},     {WITH(out), 2, 4},
        {WITH(out), 3, 11},    {WITH(lse), 0, 1},     {WITH(lse), 1, 2},     {WITH(lse), 2, 4},
        {WITH(stats), 0, 1},   {WITH(stats), 1, 2},   {WITH(stats), 2, 4},   {WITH(stats), 3, 1},
        {WITH(scores), 0, 1},  {WITH(scores), 1, 2},  {WITH(scores), 2, 6},  {WITH(scores), 3, 299},
        {WITH(k_scale), 0, 1}, {WITH(k_scale), 1, 4}, {WITH(k_scale), 2, 9}, {WITH(v_scale), 0, 1},
        {WITH(v_scale), 1, 4}, {WITH(v_scale), 2, 9}, {WITH(sinks), 0, 2},   {WITH(alibi_slopes), 0, 2},
    };
    fixture f = begin();
    vka_attention_desc good = f.good;
    good.k.dtype = good.v.dtype = VKA_I8;
    good.k_scale = good.v_scale = vka_tensor_3d(f.scratch, VKA_F32, 2, 2, 300);
    good.sinks = good.alibi_slopes = vka_tensor_1d(f.scratch, VKA_F32, 4);
    good.stats = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 2);
    good.stats.offset = 1 << 18;
    good.scores = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 300);
    good.scores.offset = 1 << 19;
    depart_from(&f, good);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        INVALID(list[i].name, tensor_at(&d, list[i].where)->shape[list[i].dim] = list[i].size);
    }
    end(&f);
}

/* Types that exist, and are not for this tensor. */
Test(errors_attention, types) {
    static const struct {
        size_t where;
        const char *name;
        vka_dtype dtype;
    } list[] = {
        {WITH(q), VKA_U8},      {WITH(q), VKA_I8},      {WITH(q), VKA_I32},     {WITH(q), VKA_Q8_0},
        {WITH(out), VKA_U8},    {WITH(out), VKA_I8},    {WITH(out), VKA_I32},   {WITH(out), VKA_Q8_0},
        {WITH(k), VKA_U8},      {WITH(k), VKA_I32},     {WITH(v), VKA_U8},      {WITH(v), VKA_I32},
        {WITH(lse), VKA_F16},   {WITH(lse), VKA_BF16},  {WITH(lse), VKA_I32},   {WITH(alibi_slopes), VKA_F16},
        {WITH(sinks), VKA_F16}, {WITH(stats), VKA_F16}, {WITH(scores), VKA_I8}, {WITH(relative_bias), VKA_BF16},
        {WITH(mask), VKA_I8},   {WITH(mask), VKA_I32},
    };
    fixture f = begin();
    vka_attention_desc good = f.good;
    good.sinks = good.alibi_slopes = vka_tensor_1d(f.scratch, VKA_F32, 4);
    good.relative_bias = vka_tensor_2d(f.scratch, VKA_F32, 4, 9);
    good.mask = vka_tensor_2d(f.scratch, VKA_F32, 5, 300);
    good.stats = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 2);
    good.stats.offset = 1 << 18;
    good.scores = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 300);
    good.scores.offset = 1 << 19;
    depart_from(&f, good);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        INVALID(list[i].name, tensor_at(&d, list[i].where)->dtype = list[i].dtype);
    }
    end(&f);
}

Test(errors_attention, dimensions) {
    fixture f = begin();
    INVALID("q", (d.q = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 577),
                  d.k = vka_tensor_4d(f.scratch, VKA_F32, 2, 2, 10, 577),
                  d.v = vka_tensor_4d(f.scratch, VKA_F32, 2, 2, 10, 12)));
    INVALID("v", (d.k = vka_tensor_4d(f.scratch, VKA_F32, 2, 2, 10, 8),
                  d.v = vka_tensor_4d(f.scratch, VKA_F32, 2, 2, 10, 513)));
    end(&f);
}

Test(errors_attention, numbers) {
    fixture f = begin();
    INVALID("scale", d.scale = 9e-38f);
    INVALID("scale", d.scale = 1.1e37f);
    INVALID("softcap", d.softcap = -1e-30f);
    INVALID("dropout", d.dropout = -0.1f);
    INVALID("dropout", d.dropout = 1);
    INVALID("diagonal", d.diagonal = (vka_diagonal)3);
    INVALID("selection", d.selection = (vka_selection)3);
    INVALID("score_stage", d.score_stage = (vka_score_stage)4);
    INVALID("path", d.path = (vka_attention_path)(VKA_ATTENTION_PATH_COOPMAT_REGISTERS + 1));
    INVALID("splits", d.splits = 65);
    end(&f);
}

/* ---- what attention checks by itself ----------------------------------------------------------------------------- */

/* Heads and batches of keys and values, which may be those of q or fewer. */
Test(errors_attention, heads_and_batch) {
    fixture f = begin();
    INVALID("k", d.k.shape[0] = 3);
    INVALID("k", d.k.shape[1] = 0);
    INVALID("k", d.k.shape[1] = 3);
    INVALID("v", d.v.shape[0] = 3);
    end(&f);
}

Test(errors_attention, choices) {
    fixture f = begin();
    INVALID("diagonal_offset", d.diagonal_offset = 1);
    INVALID("diagonal_offset", (d.diagonal = VKA_DIAGONAL_TOP_LEFT, d.diagonal_offset = -5));
    INVALID("window", d.window = ((vka_window){true, -1, 0}));
    INVALID("window", d.window = ((vka_window){true, 3, -4}));
    INVALID("window", d.window = ((vka_window){true, INT32_MIN, INT32_MIN}));
    INVALID("window", d.window = ((vka_window){true, INT32_MIN, VKA_UNBOUNDED - 1}));
    INVALID("tile", d.tile.key_tile = 4);
    INVALID("tile", (d.path = VKA_ATTENTION_PATH_ROW, d.tile.query_tile = 8));
    end(&f);
}

/* ---- options --------------------------------------------------------------------------------------------------- */

/* What can be wrong with a dense tensor of f32 or i32 that the sample lacks, whatever its role and rank. */
static void bad_option(const fixture *fixture_, size_t where, const char *field) {
    fixture f = *fixture_;
#define T tensor_at(&d, where)
    INVALID(field, T->dtype = VKA_DTYPE_INVALID);
    INVALID(field, T->dtype = (vka_dtype)77);
    INVALID(field, T->dtype = VKA_I8);
    INVALID(field, T->dtype = VKA_Q8_0);
    INVALID(field, T->dtype = T->dtype == VKA_I32 ? VKA_F32 : VKA_I32);
    INVALID(field, T->rank = 0);
    INVALID(field, T->rank = T->rank % 4 + 1);
    INVALID(field, T->rank = 5);
    INVALID(field, T->rank = UINT32_MAX);
    INVALID(field, T->offset += 1);
    INVALID(field, T->offset += 2);
    INVALID(field, T->offset = vka_buffer_size(T->buffer));
    INVALID(field, T->offset = UINT64_MAX - 3);
    INVALID(field, T->stride[0] = UINT64_MAX);
    INVALID(field, T->stride[0] = UINT64_C(1) << 62);
    INVALID(field, T->stride[T->rank - 1] = 1 << 20);
    INVALID(field, T->shape[0] += 1);
#undef T
}
#define BAD_OPTION(field) bad_option(&f, offsetof(vka_attention_desc, field), #field)

Test(errors_attention, mask) {
    fixture f = begin();
    vka_attention_desc good = f.good;
    for (uint32_t rank = 2; rank <= 4; rank++) {
        good.mask = rank == 2   ? vka_tensor_2d(f.scratch, VKA_F32, 5, 300)
                    : rank == 3 ? vka_tensor_3d(f.scratch, VKA_F32, 4, 5, 300)
                                : vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 300);
        depart_from(&f, good);
        INVALID("mask", d.mask.shape[rank - 1] = 299);
        INVALID("mask", d.mask.shape[rank - 1] = 0);
        INVALID("mask", d.mask.shape[rank - 2] = 4);
    }
    INVALID("mask", d.mask.shape[0] = 3);
    INVALID("mask", d.mask.shape[0] = 0);
    INVALID("mask", d.mask.shape[1] = 2);
    INVALID("mask", d.mask.shape[1] = 5);
    INVALID("mask", d.mask = vka_tensor_1d(f.scratch, VKA_F32, 300));
    end(&f);
}

Test(errors_attention, relative_bias) {
    fixture f = begin();
    vka_attention_desc good = f.good;
    good.relative_bias = vka_tensor_2d(f.scratch, VKA_F32, 4, 9);
    good.relative_zero = 8;
    depart_from(&f, good);
    INVALID("relative_bias", d.relative_bias.rank = 1);
    INVALID("relative_bias", d.relative_bias.rank = 3);
    INVALID("relative_bias", d.relative_bias.shape[0] = 2);
    INVALID("relative_zero", d.relative_zero = 9);
    INVALID("relative_zero", d.relative_zero = UINT32_MAX);
    INVALID("relative_zero", (d.relative_bias.shape[1] = 0, d.relative_zero = 0));
    end(&f);
}

static const int32_t lengths[] = {5, 0}, kv_lengths[] = {300, 7};

Test(errors_attention, lengths) {
    fixture f = begin();
    static const int32_t below[] = {-1, 5}, above[] = {3, 6}, kv_below[] = {9, INT32_MIN}, kv_above[] = {301, 3};
    INVALID("max_q_len", d.max_q_len = 5);
    INVALID("max_kv_len", d.max_kv_len = 300);
    INVALID("max_kv_len", (d.q_lengths.values = lengths, d.max_kv_len = 300));
    INVALID("sequences", d.sequences = 2);
    vka_attention_desc good = f.good;
    good.q_lengths.values = lengths;
    good.kv_lengths.values = kv_lengths;
    depart_from(&f, good);
    INVALID("q_lengths", d.q_lengths.values = below);
    INVALID("q_lengths", d.q_lengths.values = above);
    INVALID("q_lengths", d.max_q_len = 4);
    INVALID("kv_lengths", d.kv_lengths.values = kv_below);
    INVALID("kv_lengths", d.kv_lengths.values = kv_above);
    INVALID("kv_lengths", d.max_kv_len = 299);
    INVALID("q_lengths", d.q_lengths.tensor = vka_tensor_1d(f.scratch, VKA_I32, 2));
    INVALID("kv_lengths", d.kv_lengths.tensor = vka_tensor_1d(f.scratch, VKA_I32, 2));
    INVALID("q_offsets", d.q_offsets.values = lengths);
    INVALID("kv_offsets", d.kv_offsets.tensor = vka_tensor_1d(f.scratch, VKA_I32, 3));
    INVALID("sequences", d.sequences = 2);
    good.q_lengths = good.kv_lengths = (vka_integers){.tensor = vka_tensor_1d(f.scratch, VKA_I32, 2)};
    depart_from(&f, good);
    bad_option(&f, offsetof(vka_attention_desc, q_lengths.tensor), "q_lengths");
    end(&f);
}

/* Packed sequences: a batch of 1 that offsets cut. */
Test(errors_attention, offsets) {
    fixture f = begin();
    static const int32_t offsets[] = {0, 2, 2, 5}, kv_offsets[] = {3, 100, 290, 300};
    static const int32_t back[] = {0, 3, 2, 5}, negative[] = {-1, 0, 2, 5}, beyond[] = {0, 2, 2, 6};
    vka_attention_desc good = f.good;
    good.q.shape[0] = good.k.shape[0] = good.v.shape[0] = good.out.shape[0] = good.lse.shape[0] = 1;
    good.sequences = 3;
    good.q_offsets.values = offsets;
    good.kv_offsets.values = kv_offsets;
    depart_from(&f, good);
    INVALID("q_offsets", d.q_offsets.values = back);
    INVALID("q_offsets", d.q_offsets.values = negative);
    INVALID("q_offsets", d.q_offsets.values = beyond);
    INVALID("q_offsets", d.max_q_len = 2);
    INVALID("kv_offsets", d.kv_offsets.values = back);
    INVALID("kv_offsets", d.kv_offsets.values = negative);
    INVALID("kv_offsets", d.k.shape[2] = d.v.shape[2] = 299);
    INVALID("kv_offsets", d.max_kv_len = 189);
    INVALID("sequences", d.sequences = 0);
    UNSUPPORTED("sequences", d.sequences = UINT32_MAX);
    INVALID("q_offsets", d.q_lengths.values = lengths);
    INVALID("kv_offsets", d.kv_lengths.values = kv_lengths);
    INVALID("q", d.q.shape[0] = 2);
    INVALID("k", d.k.shape[0] = 2);
    INVALID("v", d.v.shape[0] = 3);
    INVALID("out", d.out.shape[0] = 2);
    INVALID("kv_offsets", d.page_table = vka_tensor_2d(f.scratch, VKA_I32, 3, 4));
    INVALID("kv_offsets", (d.page_table = vka_tensor_2d(f.scratch, VKA_I32, 3, 4), d.k.shape[0] = 2));
    good.q_offsets = good.kv_offsets = (vka_integers){.tensor = vka_tensor_1d(f.scratch, VKA_I32, 4)};
    depart_from(&f, good);
    bad_option(&f, offsetof(vka_attention_desc, q_offsets.tensor), "q_offsets");
    bad_option(&f, offsetof(vka_attention_desc, kv_offsets.tensor), "kv_offsets");
    INVALID("q_offsets", d.q_offsets.tensor.shape[0] = 3);
    INVALID("q_offsets", d.q_offsets.values = offsets);
    INVALID("q_offsets", d.sequences = 2);
    /* Keys alone: as many sequences as q has batch entries. */
    vka_attention_desc keys = f.good;
    keys.q = f.p.q.view;
    keys.out = f.p.out.view;
    keys.lse = f.p.lse.view;
    keys.q_offsets = (vka_integers){0};
    keys.sequences = 2;
    keys.kv_offsets.tensor.shape[0] = 3;
    depart_from(&f, keys);
    INVALID("sequences", d.sequences = 3);
    INVALID("v", d.v.shape[0] = 2);
    end(&f);
}

Test(errors_attention, pages) {
    fixture f = begin();
    vka_attention_desc good = f.good;
    good.k = vka_tensor_4d(f.scratch, VKA_F32, 7, 2, 16, 8);
    good.v = vka_tensor_4d(f.scratch, VKA_F32, 7, 2, 16, 12);
    good.page_table = vka_tensor_2d(f.scratch, VKA_I32, 2, 3);
    depart_from(&f, good);
    BAD_OPTION(page_table);
    INVALID("page_table", d.page_table.shape[0] = 1);
    INVALID("page_table", d.page_table.shape[1] = 0);
    INVALID("page_table", d.k.shape[0] = d.v.shape[0] = 0);
    INVALID("k", d.k.shape[2] = d.v.shape[2] = 12);
    INVALID("k", d.k.shape[2] = d.v.shape[2] = 4);
    INVALID("k", d.k.shape[2] = d.v.shape[2] = 0);
    INVALID("v", d.v.shape[2] = 8);
    INVALID("v", d.v.shape[0] = 6);
    INVALID("v", d.v.shape[0] = 1);
    INVALID("max_kv_len", d.max_kv_len = 48);
    static const int32_t above[] = {48, 49};
    INVALID("kv_lengths", d.kv_lengths.values = above);
    vka_buffer *large = NULL;
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = 4 << 20}, &large));
    UNSUPPORTED("page_table", (d.k = vka_tensor_4d(large, VKA_F32, 1, 2, 1 << 15, 8),
                               d.v = vka_tensor_4d(large, VKA_F32, 1, 2, 1 << 15, 12),
                               d.page_table = vka_tensor_2d(large, VKA_I32, 2, (1 << 13) + 1)));
    vka_buffer_destroy(&large);
    end(&f);
}

/* Blocks of 32 elements, and scales of a tensor's own. */
Test(errors_attention, quantised) {
    fixture f = begin();
    const uint64_t apart = 1 << 19;
    vka_attention_desc good = f.good;
    good.q = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 64);
    good.k = vka_tensor_4d(f.scratch, VKA_Q8_0, 2, 2, 10, 64);
    good.v = vka_tensor_4d(f.scratch, VKA_Q8_0, 2, 2, 10, 32);
    good.out = at(vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 32), apart);
    depart_from(&f, good);
    INVALID("k", d.q.shape[3] = d.k.shape[3] = 63);
    INVALID("k", d.q.shape[3] = d.k.shape[3] = 8);
    INVALID("v", d.v.shape[3] = d.out.shape[3] = 40);
    INVALID("v", d.v.shape[3] = d.out.shape[3] = 1);
    INVALID("k", (d.k.stride[0] = 2048, d.k.stride[1] = 1024, d.k.stride[2] = 80, d.k.stride[3] = 1));
    INVALID("k", (d.k.stride[0] = 2049, d.k.stride[1] = 1024, d.k.stride[2] = 64, d.k.stride[3] = 1));
    INVALID("v", (d.v.stride[0] = 2048, d.v.stride[1] = 1040, d.v.stride[2] = 32, d.v.stride[3] = 1));
    INVALID("v", (d.v.stride[0] = 4096, d.v.stride[1] = 2048, d.v.stride[2] = 64, d.v.stride[3] = 2));
    INVALID("v", (d.v.stride[0] = 2048, d.v.stride[1] = 1024, d.v.stride[2] = 1, d.v.stride[3] = 32));
    INVALID("k", d.k.offset = 1);
    INVALID("v", d.v.offset = vka_buffer_size(f.scratch) - 32);
    INVALID("k_scale", d.k_scale = vka_tensor_3d(f.scratch, VKA_F32, 2, 2, 10));
    INVALID("k_scale", d.k.dtype = VKA_I8);
    INVALID("v_scale", d.v.dtype = VKA_I8);
    good.k.dtype = good.v.dtype = VKA_I8;
    good.k_scale = good.v_scale = vka_tensor_3d(f.scratch, VKA_F32, 2, 2, 10);
    depart_from(&f, good);
    BAD_OPTION(v_scale);
    INVALID("k_scale", d.k.dtype = VKA_F32);
    INVALID("v_scale", d.v.dtype = VKA_F16);
    INVALID("v_scale", d.v_scale = (vka_tensor){0});
    end(&f);
}

Test(errors_attention, selection) {
    fixture f = begin();
    for (int hard = VKA_SELECTION_ARGMAX; hard <= VKA_SELECTION_SAMPLE; hard++) {
        vka_attention_desc good = f.good;
        good.selection = (vka_selection)hard;
        depart_from(&f, good);
        INVALID("dropout", d.dropout = 0.5f);
        INVALID("sinks", d.sinks = vka_tensor_1d(f.scratch, VKA_F32, 4));
        INVALID("score_stage",
                (d.scores = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 300), d.score_stage = VKA_SCORES_PROBABILITIES));
        UNSUPPORTED("path", d.path = VKA_ATTENTION_PATH_TILE);
    }
    end(&f);
}

/* What takes the place of q . k. */
Test(errors_attention, products) {
    fixture f = begin();
    vka_attention_desc good = f.good;
    uint32_t channels = good.q.shape[3];
    good.cosine_scale = vka_tensor_1d(f.scratch, VKA_F32, 4);
    depart_from(&f, good);
    BAD_OPTION(cosine_scale);
    INVALID("cosine_scale", d.cosine_scale.shape[0] = 2);
    INVALID("cosine_scale", d.cosine_scale.dtype = VKA_F16);
    INVALID("cosine_scale", d.alibi_slopes = d.cosine_scale);
    INVALID("content_bias", d.content_bias = vka_tensor_2d(f.scratch, VKA_F32, 4, channels));
    INVALID("position_bias", d.position_bias = vka_tensor_2d(f.scratch, VKA_F32, 4, channels));
    INVALID("relative_keys_zero", d.relative_keys_zero = 1);
    INVALID("relative_keys", d.relative_keys = vka_tensor_3d(f.scratch, VKA_F32, 4, 9, channels));
    UNSUPPORTED("path", d.path = VKA_ATTENTION_PATH_COOPMAT);
    good.cosine_scale = (vka_tensor){0};
    good.relative_keys = vka_tensor_3d(f.scratch, VKA_F32, 4, 9, channels);
    good.content_bias = good.position_bias = vka_tensor_2d(f.scratch, VKA_F32, 4, channels);
    good.relative_keys_zero = 8;
    depart_from(&f, good);
    BAD_OPTION(relative_keys);
    BAD_OPTION(content_bias);
    BAD_OPTION(position_bias);
    INVALID("relative_keys", d.relative_keys.shape[0] = 2);
    INVALID("relative_keys", d.relative_keys.shape[1] = 0);
    INVALID("relative_keys", d.relative_keys.shape[2] = channels + 1);
    INVALID("relative_keys", d.relative_keys.dtype = VKA_Q8_0);
    INVALID("relative_keys_zero", d.relative_keys_zero = 9);
    INVALID("content_bias", d.content_bias.shape[0] = 1);
    INVALID("position_bias", d.position_bias.shape[1] = channels + 1);
    INVALID("position_bias", d.position_bias.dtype = VKA_F16);
    INVALID("relative_keys", d.alibi_slopes = vka_tensor_1d(f.scratch, VKA_F32, 4));
    INVALID("relative_keys", d.sinks = vka_tensor_1d(f.scratch, VKA_F32, 4));
    INVALID("relative_keys", d.relative_bias = vka_tensor_2d(f.scratch, VKA_F32, 4, 9));
    UNSUPPORTED("path", d.path = VKA_ATTENTION_PATH_DOT);
    end(&f);
}

Test(errors_attention, random_step) {
    fixture f = begin();
    vka_attention_desc good = f.good;
    good.dropout = 0.5f;
    good.random_step = vka_tensor_1d(f.scratch, VKA_I32, 1);
    depart_from(&f, good);
    INVALID("random_step", d.random_step.dtype = VKA_F32);
    INVALID("random_step", d.random_step.rank = 2);
    INVALID("random_step", d.random_step.offset += 1);
    INVALID("random_step", d.random_step.shape[0] = 2);
    INVALID("random_step", d.permutation = vka_tensor_3d(f.scratch, VKA_I32, 1, 1, 300));
    end(&f);
}

/* A function of the caller's, and what it reads. */
Test(errors_attention, score_function) {
    fixture f = begin();
    vka_attention_desc good = f.good;
    INVALID("score_tensors[1]", d.score_tensors[1] = vka_tensor_1d(f.scratch, VKA_F32, 4));
    INVALID("score_constants[3]", d.score_constants[3] = 0.5f);
    good.score_function = score_borders.function;
    good.score_tensors[0] = good.score_tensors[3] = vka_tensor_1d(f.scratch, VKA_F32, 4);
    good.score_tensors[1] = good.score_tensors[2] = vka_tensor_2d(f.scratch, VKA_I32, 2, 300);
    depart_from(&f, good);
    vka_score_function other = *good.score_function, empty = other, none = other;
    other.shaders ^= 1;
    empty.kernel_count = 0;
    none.code = 0;
    UNSUPPORTED("score_function", d.score_function = &other);
    INVALID("score_function", d.score_function = &empty);
    INVALID("score_function", d.score_function = &none);
    UNSUPPORTED("score_function", (d.diagonal = VKA_DIAGONAL_EXPLICIT, d.diagonal_offset = INT32_MAX));
    INVALID("score_function", d.cosine_scale = vka_tensor_1d(f.scratch, VKA_F32, 4));
    INVALID("score_function", d.relative_keys = vka_tensor_3d(f.scratch, VKA_F32, 4, 9, f.good.q.shape[3]));
    INVALID("score_tensors[0]", d.alibi_slopes = d.score_tensors[0]);
    INVALID("score_tensors[1]", d.relative_bias = vka_tensor_2d(f.scratch, VKA_F32, 4, 9));
    INVALID("score_tensors[2]", d.mask = vka_tensor_2d(f.scratch, VKA_F32, 5, 300));
    INVALID("score_tensors[3]", d.sinks = d.score_tensors[3]);
    INVALID("score_tensors[2]", d.score_tensors[2].shape[1] = 0);
    INVALID("score_tensors[2]", d.score_tensors[2].dtype = VKA_Q8_0);
    INVALID("score_tensors[2]", d.score_tensors[2].rank = 5);
    INVALID("score_constants[2]", d.score_constants[2] = NAN);
    vka_attention_backward_desc backward = {
        .forward = good, .d_out = good.out, .d_q = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, good.q.shape[3])};
    EXPECT_FAILURE(vka_attention_backward(f.c.recorder, &backward), VKA_UNSUPPORTED,
                   "vka_attention_backward.forward.score_function");
    end(&f);
}

Test(errors_attention, key_lists) {
    fixture f = begin();
    vka_attention_desc good = f.good;
    good.key_lists = vka_tensor_4d(f.scratch, VKA_I32, 2, 2, 5, 7);
    depart_from(&f, good);
    BAD_OPTION(key_lists);
    INVALID("key_lists", d.key_lists.dtype = VKA_F32);
    INVALID("key_lists", d.key_lists.rank = 3);
    INVALID("key_lists", d.key_lists.shape[0] = 1);
    INVALID("key_lists", d.key_lists.shape[1] = 3);
    INVALID("key_lists", d.key_lists.shape[2] = 4);
    INVALID("key_lists", d.permutation = vka_tensor_3d(f.scratch, VKA_I32, 1, 1, 5));
    INVALID("key_lists", d.scores = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 300));
    end(&f);
}

Test(errors_attention, scores) {
    fixture f = begin();
    vka_attention_desc good = f.good;
    good.scores = vka_tensor_4d(f.scratch, VKA_F32, 2, 4, 5, 300);
    good.score_stage = VKA_SCORES_PROBABILITIES;
    depart_from(&f, good);
    INVALID("score_stage", d.lse = (vka_tensor){0});
    INVALID("scores", d.kv_lengths.tensor = vka_tensor_1d(f.scratch, VKA_I32, 2));
    INVALID("scores", (d.kv_lengths.values = kv_lengths, d.max_kv_len = 300, d.scores.shape[3] = 301));
    end(&f);
}

static void bad_requirements(fixture *f, vka_attention_desc d) {
    EXPECT_FAILURE(vka_attention(f->c.recorder, &d), VKA_INVALID, "vka_attention.workspace.offset");
}

Test(errors_attention, workspace) {
    fixture f = begin();
    vka_attention_desc d = f.good;
    vka_requirements need;
    d.splits = 4;
    EXPECT_OK(vka_attention_requirements(f.c.device, &d, &need));
    cr_assert_gt(need.workspace_bytes, 0, "split keys need a workspace");
    d.workspace.buffer = f.scratch;
    for (uint64_t offset = 1; offset < 256; offset *= 2) {
        d.workspace.offset = offset;
        bad_requirements(&f, d);
    }
    d.workspace.offset = (UINT64_MAX / 256) * 256;
    EXPECT_FAILURE(vka_attention(f.c.recorder, &d), VKA_INVALID, "vka_attention");
    vka_buffer *small = NULL;
    EXPECT_OK(vka_buffer_create(f.c.device, &(vka_buffer_desc){.size = need.workspace_bytes + 240}, &small));
    d.workspace.buffer = small;
    d.workspace.offset = 256;
    EXPECT_FAILURE(vka_attention(f.c.recorder, &d), VKA_INVALID, "vka_attention.workspace");
    vka_buffer_destroy(&small);
    end(&f);
}
