/* Caches and rotation on smaller devices, and on devices of the other kind: the same results.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cache_case.h"

/* Teams of invocations are for GPUs, single ones for software drivers. Any device can do either. */
static void as_cpu(void *user, vka_device_caps *caps) {
    (void)user;
    caps->type = VKA_DEVICE_CPU;
}

static void tiny_gpu(void *user, vka_device_caps *caps) {
    config_gpu.narrow(user, caps);
    config_tiny.narrow(user, caps);
    caps->max_invocations = 24;
}

static void few_buffers(void *user, vka_device_caps *caps) {
    config_gpu.narrow(user, caps);
    caps->storage_buffers = 8;
}

static void few_groups(void *user, vka_device_caps *caps) {
    config_gpu.narrow(user, caps);
    config_few_groups.narrow(user, caps);
}

static void short_gpu(void *user, vka_device_caps *caps) {
    config_gpu.narrow(user, caps);
    config_short.narrow(user, caps);
}

static void wide_alignment(void *user, vka_device_caps *caps) {
    config_gpu.narrow(user, caps);
    caps->storage_align = 256;
}

static const cache_case appends[] = {
    {.dtype = VKA_F16,
     .k_type = VKA_I8,
     .v_type = VKA_Q8_0,
     .batch = 2,
     .heads = 3,
     .tokens = 7,
     .head_dim = 96,
     .lists = LISTS_TENSOR,
     .lengths = {3, 9},
     .new_lengths = true},
    {.k_type = VKA_Q8_0,
     .v_type = VKA_I8,
     .batch = 2,
     .heads = 3,
     .tokens = 7,
     .head_dim = 32,
     .value_dim = 37,
     .lists = LISTS_HOST,
     .lengths = {3, 9},
     .rotate = true,
     .dims = 22,
     .cache_layout = {.pad = 1, .shift = 1}},
    {.dtype = VKA_BF16,
     .k_type = VKA_F16,
     .v_type = VKA_BF16,
     .batch = 3,
     .heads = 2,
     .tokens = 21,
     .head_dim = 40,
     .value_dim = 13,
     .capacity = 40,
     .page = 8,
     .lists = LISTS_TENSOR,
     .lengths = {0, 7, 35},
     .rotate = true,
     .interleaved = true,
     .tables = TABLES_ROWS,
     .new_lengths = true,
     .foreign_pages = true},
    {.k_type = VKA_I8,
     .v_type = VKA_Q4_0,
     .batch = 4,
     .heads = 3,
     .tokens = 33,
     .head_dim = 64,
     .page = 8,
     .capacity = 24,
     .lists = LISTS_TENSOR,
     .lengths = {0, 3, 5, 1},
     .packed = true,
     .offsets = {0, 9, 9, 21, 33},
     .new_lengths = true,
     .rotate = true,
     .nonfinite = false},
    {.k_type = VKA_I8,
     .v_type = VKA_Q4_0,
     .heads = 2,
     .tokens = 2,
     .head_dim = 1024,
     .value_dim = 1024,
     .nonfinite = true},
    {.dtype = VKA_F16,
     .batch = 2,
     .heads = 5,
     .tokens = 3,
     .head_dim = 1,
     .value_dim = 3,
     .k_type = VKA_F16,
     .v_type = VKA_I8},
};

static const rope_case rotations[] = {
    {.batch = 2, .heads = 3, .rows = 33, .cols = 40, .positions = POSITIONS_TENSOR},
    {.dtype = VKA_F16, .batch = 2, .heads = 3, .rows = 33, .cols = 37, .dims = 10, .in_place = true},
    {.dtype = VKA_BF16,
     .out_type = VKA_F16,
     .heads = 3,
     .rows = 21,
     .cols = 64,
     .interleaved = true,
     .positions = POSITIONS_ROWS,
     .tables = TABLES_POSITIONS,
     .batch = 3,
     .layout = {"0213", 0, 0}},
    {.dtype = VKA_F16,
     .out_type = VKA_BF16,
     .heads = 3,
     .rows = 21,
     .cols = 19,
     .dims = 6,
     .batch = 2,
     .positions = POSITIONS_HOST,
     .tables = TABLES_ROWS,
     .layout = {"2013", 1, 1}},
};

/* From case `first` on: where drivers compile for seconds each device takes others. */
static void run_on(const device_config *config, size_t first) {
    enum { APPENDS = sizeof appends / sizeof *appends, ALL = APPENDS + sizeof rotations / sizeof *rotations };
    context c;
    context_open(&c, config);
    for (size_t n = 0; n < ALL; n++) {
        size_t i = (first + n) % ALL;
        if (context_leaves_out(&c, 5)) {
            continue;
        }
        if (i < APPENDS) {
            cache_check(&c, appends[i]);
        } else {
            rope_check(&c, rotations[i - APPENDS]);
        }
    }
    context_close(&c);
}

Test(narrow_cache, gpu) {
    run_on(&config_gpu, 0);
}

Test(narrow_cache, cpu) {
    static const device_config config = {"as_cpu", as_cpu};
    run_on(&config, 1);
}

Test(narrow_cache, tiny) {
    static const device_config config = {"tiny_gpu", tiny_gpu};
    run_on(&config, 2);
}

Test(narrow_cache, no_f16) {
    run_on(&config_no_f16, 3);
}

Test(narrow_cache, few_buffers) {
    static const device_config config = {"few_buffers", few_buffers};
    run_on(&config, 4);
}

Test(narrow_cache, few_groups) {
    static const device_config config = {"few_groups_gpu", few_groups};
    run_on(&config, 5);
}

Test(narrow_cache, staged) {
    run_on(&config_staged, 6);
}

Test(narrow_cache, wide_alignment) {
    static const device_config config = {"wide_alignment", wide_alignment};
    run_on(&config, 7);
}

/* ---- tensors of many bindings ---------------------------------------------------------------------------------- */

static unsigned number_after(const char *text, const char *what) {
    const char *line = strstr(text, what);
    unsigned count = 0;
    cr_assert(line && sscanf(line + strlen(what), "%u", &count) == 1, "%s", text);
    return count;
}

/* k takes more than one binding; so does its cache, and of a paged one each range of pages. */
static void append_in_parts(const device_config *config) {
    static const struct {
        cache_case a;
        unsigned least, most;
    } cases[] = {
        /* 4 x 5 heads of 12.5 KiB */
        {{.batch = 4,
          .heads = 5,
          .tokens = 7,
          .head_dim = 32,
          .capacity = 100,
          .lists = LISTS_TENSOR,
          .lengths = {0, 93, 95, 11},
          .new_lengths = true},
         4,
         8},
        {{.k_type = VKA_Q8_0,
          .batch = 4,
          .heads = 5,
          .tokens = 90,
          .head_dim = 64,
          .capacity = 300,
          .lists = LISTS_TENSOR,
          .lengths = {0, 93, 295, 11},
          .rotate = true,
          .new_lengths = true,
          .cache_layout = {.pad = 1, .shift = 1}},
         6,
         20},
        /* k alone: one sequence spans 75 KiB */
        {{.k_type = VKA_I8,
          .batch = 2,
          .heads = 3,
          .tokens = 200,
          .head_dim = 32,
          .capacity = 210,
          .lists = LISTS_TENSOR,
          .lengths = {3, 9},
          .rotate = true,
          .layout = {"0213", 0, 0}},
         3,
         8},
        /* 53 pages of 6 KiB */
        {{.batch = 2,
          .heads = 3,
          .tokens = 60,
          .head_dim = 64,
          .value_dim = 16,
          .capacity = 200,
          .page = 8,
          .lists = LISTS_TENSOR,
          .lengths = {100, 35},
          .foreign_pages = true},
         5,
         12},
        {{.k_type = VKA_I8,
          .dtype = VKA_F16,
          .batch = 4,
          .heads = 3,
          .tokens = 130,
          .head_dim = 160,
          .value_dim = 64,
          .capacity = 60,
          .page = 8,
          .packed = true,
          .offsets = {0, 40, 75, 130, 130},
          .lists = LISTS_TENSOR,
          .lengths = {10, 0, 3, 1},
          .rotate = true,
          .dims = 64,
          .new_lengths = true},
         3,
         14},
    };
    context c;
    context_open(&c, config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cache_problem p = cache_make(&c, cases[i].a, test_seed());
        vka_cache_append_desc desc = cache_desc(&p);
        char text[1024];
        EXPECT_OK(vka_cache_append_explain(c.device, &desc, text, sizeof text, NULL));
        unsigned count = number_after(text, "k_dispatches: ");
        cr_expect(count >= cases[i].least && count <= cases[i].most, "case %zu: %u dispatches", i, count);
        cache_run(&p);
        cache_destroy(&p);
    }
    context_close(&c);
}

Test(narrow_cache, append_in_parts) {
    append_in_parts(&config_short);
}

Test(narrow_cache, append_in_parts_gpu) {
    static const device_config config = {"short_gpu", short_gpu};
    append_in_parts(&config);
}

Test(narrow_cache, rotate_in_parts) {
    static const rope_case cases[] = {
        {.batch = 3, .heads = 2, .rows = 131, .cols = 40, .positions = POSITIONS_TENSOR},
        {.dtype = VKA_F16,
         .batch = 2,
         .heads = 3,
         .rows = 213,
         .cols = 59,
         .dims = 22,
         .in_place = true,
         .positions = POSITIONS_ROWS},
        {.dtype = VKA_BF16,
         .batch = 2,
         .heads = 3,
         .rows = 331,
         .cols = 64,
         .interleaved = true,
         .tables = TABLES_ROWS_SHARED,
         .table_type = VKA_F16,
         .layout = {"0213", 0, 0}},
    };
    context c;
    context_open(&c, &config_short);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rope_problem p = rope_make(&c, cases[i], test_seed());
        vka_rope_desc desc = rope_desc(&p);
        char text[1024];
        EXPECT_OK(vka_rope_explain(c.device, &desc, text, sizeof text, NULL));
        unsigned count = number_after(text, "\ndispatches: ");
        cr_expect(count >= 2 && count <= 6, "case %zu: %u dispatches", i, count);
        rope_run(&p);
        rope_destroy(&p);
    }
    context_close(&c);
}

/* Caches of which no binding sees one head's tokens. */
Test(narrow_cache, heads_beyond_a_binding) {
    static const cache_case cases[] = {
        {.batch = 3,
         .heads = 2,
         .tokens = 150,
         .capacity = 300,
         .head_dim = 64,
         .value_dim = 8,
         .lists = LISTS_TENSOR,
         .lengths = {150, 3, 299}},
        {.batch = 2, .heads = 2, .tokens = 9, .capacity = 1300, .head_dim = 59, .k_type = VKA_I8, .v_type = VKA_F16},
    };
    context c;
    context_open(&c, &config_short);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cache_check(&c, cases[i]);
    }
    context_close(&c);
}

/* What no binding can see is refused by the name of its tensor. */
static void too_large(context *c, cache_case a, const char *item) {
    cache_problem p = cache_make(c, a, test_seed());
    vka_cache_append_desc desc = cache_desc(&p);
    EXPECT_FAILURE(vka_cache_append(c->recorder, &desc), VKA_UNSUPPORTED, item);
    EXPECT_FAILURE(vka_cache_append_prepare(c->device, &desc), VKA_UNSUPPORTED, item);
    cache_destroy(&p);
}

Test(narrow_cache, too_large) {
    context c;
    context_open(&c, &config_short);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    too_large(&c, (cache_case){.head_dim = 64, .heads = 1, .capacity = 512, .page = 512, .value_dim = 8},
              "vka_cache_append.k_cache");
    too_large(&c, (cache_case){.head_dim = 8, .heads = 1, .capacity = 512, .page = 512, .value_dim = 40},
              "vka_cache_append.v_cache");
    too_large(&c, (cache_case){.head_dim = 1, .k_type = VKA_I8, .value_dim = 1, .capacity = 20000, .page = 20000},
              "vka_cache_append.k_scale");
    too_large(&c, (cache_case){.head_dim = 64, .tokens = 300, .packed = true, .offsets = {0, 3}, .max_len = 3},
              "vka_cache_append.k");
    rope_problem p = rope_make(&c, (rope_case){.cols = 8, .rows = 20000, .positions = POSITIONS_ROWS}, test_seed());
    vka_rope_desc desc = rope_desc(&p);
    EXPECT_FAILURE(vka_rope(c.recorder, &desc), VKA_UNSUPPORTED, "vka_rope.row_positions");
    context_finish(&c);
    rope_destroy(&p);
    context_close(&c);
}
