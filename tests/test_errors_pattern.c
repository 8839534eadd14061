/* Bad descriptions and damaged maps: the right status, one line that names the field, no pattern, nothing leaks. What a
 * map can be read with stays within its blob, whatever that holds.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pattern_case.h"
#include "support/context.h"
#include "support/intercept.h"

/* ---- descriptions ---------------------------------------------------------------------------------------------- */

static void refused(const context *c, const vka_pattern_desc *d, const char *field) {
    char item[96];
    snprintf(item, sizeof item, "vka_pattern_create.%s", field);
    for (int how = VKA_PATTERN_BUILD_AUTO; how <= VKA_PATTERN_BUILD_HOST; how++) {
        vka_pattern_desc tried = *d;
        vka_pattern *pattern = (vka_pattern *)(void *)&tried;
        int64_t blocks = allocator_live(), handles = intercept_live();
        tried.build = d->build ? d->build : (vka_pattern_build)how;
        EXPECT_FAILURE(vka_pattern_create(c->device, &tried, &pattern), VKA_INVALID, item);
        cr_expect_null(pattern, "%s", field);
        cr_expect(allocator_live() == blocks && intercept_live() == handles, "%s leaks", field);
    }
}

/* A rule of the description broken once. */
#define INVALID(field, change)                                                                                         \
    do {                                                                                                               \
        vka_pattern_term t[2] = {good[0], good[1]};                                                                    \
        vka_pattern_desc d = {.queries = 24, .keys = 24, .heads = 4, .terms = t, .term_count = 2};                     \
        change;                                                                                                        \
        refused(&c, &d, field);                                                                                        \
    } while (0)

/* What a rule just allows. */
#define VALID(change)                                                                                                  \
    do {                                                                                                               \
        vka_pattern_term t[2] = {good[0], good[1]};                                                                    \
        vka_pattern_desc d = {.queries = 24, .keys = 24, .heads = 4, .terms = t, .term_count = 2};                     \
        vka_pattern *pattern = NULL;                                                                                   \
        change;                                                                                                        \
        d.build = VKA_PATTERN_BUILD_HOST;                                                                              \
        EXPECT_OK(vka_pattern_create(c.device, &d, &pattern));                                                         \
        vka_pattern_destroy(&pattern);                                                                                 \
    } while (0)

Test(errors_pattern, description) {
    static const vka_pattern_term good[2] = {{.kind = VKA_PATTERN_CAUSAL},
                                             {.kind = VKA_PATTERN_ALL, .intersect = true}};
    static const vka_pattern_term many[17] = {{.kind = VKA_PATTERN_CAUSAL}};
    context c;
    context_open(&c, &config_real);
    VALID((void)0);
    INVALID("queries", d.queries = 0);
    INVALID("queries", d.queries = 1u << 28);
    INVALID("keys", d.keys = 0);
    INVALID("keys", d.keys = 1u << 28);
    INVALID("query_tile", d.query_tile = 1);
    INVALID("query_tile", d.query_tile = 48);
    INVALID("query_tile", d.query_tile = 256);
    INVALID("key_tile", d.key_tile = 16);
    INVALID("key_tile", d.key_tile = 96);
    INVALID("key_tile", d.key_tile = 256);
    INVALID("build", d.build = (vka_pattern_build)3);
    INVALID("term_count", (d.terms = many, d.term_count = 17));
    INVALID("terms", d.terms = NULL);
    VALID((d.terms = many, d.term_count = 16));
    VALID((d.terms = NULL, d.term_count = 0));
    context_close(&c);
}

Test(errors_pattern, terms) {
    static const vka_pattern_term good[2] = {{.kind = VKA_PATTERN_CAUSAL}, {.kind = VKA_PATTERN_ALL}};
    context c;
    context_open(&c, &config_real);
    INVALID("terms[1].kind", t[1].kind = (vka_pattern_kind)13);
    INVALID("terms[0].kind", t[0].kind = (vka_pattern_kind)-1);
    INVALID("terms[0].intersect", t[0].intersect = true);
    INVALID("terms[1].first_head", t[1].first_head = 4);
    INVALID("terms[1].heads", (t[1].first_head = 3, t[1].heads = 2));
    INVALID("terms[1].heads", t[1].heads = 5);
    INVALID("terms[1].heads", (t[1].first_head = 2, t[1].heads = UINT32_MAX));
    INVALID("terms[1].heads", (d.heads = 0, t[1].heads = 1));
    INVALID("terms[1].first_head", (d.heads = 0, t[1].first_head = 1));
    VALID((t[1].first_head = 3, t[1].heads = 1));
    context_close(&c);
}

Test(errors_pattern, sequences) {
    static const uint32_t falling[] = {3, 2}, twice[] = {3, 3}, rising[] = {3, 23}, beyond[] = {3, 24};
    static const vka_pattern_term good[2] = {{.kind = VKA_PATTERN_WINDOW}, {.kind = VKA_PATTERN_CHUNKS, .chunks = {5}}};
    context c;
    context_open(&c, &config_real);
    INVALID("terms[0].window.left", (t[0].window.left = -2, t[0].window.right = 1));
    INVALID("terms[0].window.left", (t[0].window.left = INT32_MIN, t[0].window.right = INT32_MIN));
    VALID((t[0].window.left = -2, t[0].window.right = 2));
    VALID((t[0].window.left = INT32_MIN, t[0].window.right = VKA_UNBOUNDED));
    INVALID("terms[1].chunks.size", t[1].chunks.size = 0);
#define GLOBAL(...)                                                                                                    \
    t[1] = (vka_pattern_term) {                                                                                        \
        VKA_PATTERN_GLOBAL, .global = { __VA_ARGS__ }                                                                  \
    }
    INVALID("terms[1].global.tokens", GLOBAL(NULL, 2));
    INVALID("terms[1].global.tokens", GLOBAL(falling, 2));
    INVALID("terms[1].global.tokens", GLOBAL(twice, 2));
    INVALID("terms[1].global.tokens", GLOBAL(beyond, 2));
    VALID(GLOBAL(rising, 2));
#undef GLOBAL
#define FIXED(...)                                                                                                     \
    t[1] = (vka_pattern_term) {                                                                                        \
        VKA_PATTERN_FIXED, .fixed = { __VA_ARGS__ }                                                                    \
    }
    INVALID("terms[1].fixed.span", FIXED(0, 0, 0));
    INVALID("terms[1].fixed.span", FIXED(10, 4, 1));
    INVALID("terms[1].fixed.last_blocks", FIXED(8, 4, 3));
    INVALID("terms[1].fixed.last_blocks", FIXED(8, 0, 9));
    VALID(FIXED(8, 4, 2));
#undef FIXED
#define BIGBIRD(...)                                                                                                   \
    t[1] = (vka_pattern_term) {                                                                                        \
        VKA_PATTERN_BIGBIRD, .bigbird = { __VA_ARGS__ }                                                                \
    }
    INVALID("terms[1].bigbird.block", BIGBIRD(0, 1));
    INVALID("terms[1].bigbird.random_blocks", BIGBIRD(1, 65));
    VALID(BIGBIRD(1, 64));
#undef BIGBIRD
    context_close(&c);
}

Test(errors_pattern, grids) {
    static const vka_pattern_term good[2] = {
        {VKA_PATTERN_NEIGHBORHOOD, .grid = {.rank = 2, .size = {4, 6}, .window = {2, 3}}},
        {VKA_PATTERN_SWIN, .grid = {.rank = 3, .size = {1, 4, 6}, .window = {1, 2, 3}, .shift = {0, 1, 2}}},
    };
    context c;
    context_open(&c, &config_real);
    VALID((void)0);
    INVALID("terms[0].grid.rank", t[0].grid.rank = 0);
    INVALID("terms[0].grid.rank", t[0].grid.rank = 4);
    INVALID("terms[0].grid.size", t[0].grid.size[0] = 0);
    INVALID("terms[0].grid.size", t[0].grid.size[1] = 7);
    INVALID("terms[0].grid.size", d.queries = 23);
    INVALID("terms[0].grid.size", d.keys = 25);
    INVALID("terms[0].grid.size",
            (d.queries = d.keys = 1, t[0].grid.size[0] = 641, t[0].grid.size[1] = 6700417)); /* 2^32 + 1 */
    INVALID("terms[0].grid.window[0]", t[0].grid.window[0] = 0);
    INVALID("terms[0].grid.window[0]", t[0].grid.window[0] = 5);
    INVALID("terms[0].grid.window[1]", t[0].grid.dilation[1] = 3);
    INVALID("terms[0].grid.window[1]", t[0].grid.dilation[1] = UINT32_MAX);
    INVALID("terms[1].grid.window[2]", t[1].grid.window[2] = 4);
    INVALID("terms[1].grid.window[1]", t[1].grid.window[1] = 0);
    INVALID("terms[1].grid.shift[1]", t[1].grid.shift[1] = 2);
    INVALID("terms[1].grid.size", t[1].grid.size[2] = 12);
    VALID(t[0].grid.dilation[1] = 2);
    VALID(t[0].grid.stride[1] = 5);
    VALID((t[0].grid.size[2] = 77, t[0].grid.window[2] = 0)); /* beyond the rank */
    context_close(&c);
}

Test(errors_pattern, masks) {
    static const uint8_t live[4] = {1};
    static const int32_t ids[24] = {0};
    static const uint32_t words[24] = {0};
    static const vka_pattern_term good[2] = {{VKA_PATTERN_BLOCKS, .blocks = {live, 12, 12}},
                                             {VKA_PATTERN_DOCUMENTS, .documents = {ids}}};
    context c;
    context_open(&c, &config_real);
    VALID((void)0);
    INVALID("terms[0].blocks.live", t[0].blocks.live = NULL);
    INVALID("terms[0].blocks.query_block", t[0].blocks.query_block = 0);
    INVALID("terms[0].blocks.key_block", t[0].blocks.key_block = 0);
    INVALID("terms[1].documents.ids", t[1].documents.ids = NULL);
    INVALID("terms[1].bits.words", t[1].kind = VKA_PATTERN_BITS);
    VALID((t[1].kind = VKA_PATTERN_BITS, t[1].bits.words = words));
    context_close(&c);
}

Test(errors_pattern, arguments) {
    context c;
    context_open(&c, &config_real);
    vka_pattern_desc d = {.queries = 20, .keys = 30};
    vka_pattern *pattern = (vka_pattern *)(void *)&d;
    size_t size = 0, whole;
    EXPECT_FAILURE(vka_pattern_create(c.device, NULL, &pattern), VKA_INVALID, "vka_pattern_create");
    cr_expect_null(pattern);
    EXPECT_FAILURE(vka_pattern_create(c.device, &d, NULL), VKA_INVALID, "vka_pattern_create");
    pattern = (vka_pattern *)(void *)&d;
    cr_expect_eq(vka_pattern_create(NULL, &d, &pattern), VKA_INVALID);
    cr_expect_null(pattern);
    EXPECT_OK(vka_pattern_create(c.device, &d, &pattern));
    EXPECT_FAILURE(vka_pattern_save(pattern, NULL, NULL), VKA_INVALID, "vka_pattern_save");
    cr_expect_eq(vka_pattern_save(NULL, NULL, &size), VKA_INVALID);
    EXPECT_OK(vka_pattern_save(pattern, NULL, &whole));
    uint8_t *blob = calloc(whole + 1, 1);
    size = whole - 1;
    EXPECT_FAILURE(vka_pattern_save(pattern, blob, &size), VKA_INVALID, "vka_pattern_save");
    cr_expect_eq(size, whole, "what it takes: %zu, not %zu", whole, size);
    for (size_t i = 0; i <= whole; i++) {
        cr_assert_eq(blob[i], 0, "a refused save wrote byte %zu", i);
    }
    size = whole + 1;
    EXPECT_OK(vka_pattern_save(pattern, blob, &size));
    cr_expect_eq(size, whole);
    vka_pattern_map map;
    vka_pattern *loaded = (vka_pattern *)(void *)&d;
    EXPECT_FAILURE(vka_pattern_load(c.device, NULL, whole, &loaded), VKA_INVALID, "vka_pattern_load");
    cr_expect_null(loaded);
    EXPECT_FAILURE(vka_pattern_load(c.device, blob, whole, NULL), VKA_INVALID, "vka_pattern_load");
    cr_expect_eq(vka_pattern_load(NULL, blob, whole, &loaded), VKA_INVALID);
    EXPECT_FAILURE(vka_pattern_parse(c.device, NULL, whole, &map), VKA_INVALID, "vka_pattern_parse");
    EXPECT_FAILURE(vka_pattern_parse(c.device, blob, whole, NULL), VKA_INVALID, "vka_pattern_parse");
    EXPECT_OK(vka_pattern_parse(c.device, blob, whole, &map));
    EXPECT_OK(vka_pattern_parse(NULL, blob, whole, &map));
    free(blob);
    vka_pattern_destroy(&pattern);
    vka_pattern_destroy(&pattern);
    vka_pattern_destroy(NULL);
    context_close(&c);
}
