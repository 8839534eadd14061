/* Block maps against the reference, pair by pair: of every kind of term and of random compositions, built by the host
 * and by the device, saved and loaded.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "pattern_check.h"

static const uint32_t sizes[][2] = {{1, 1},   {1, 239},   {239, 1},   {17, 33},   {64, 64},   {65, 63},
                                    {16, 32}, {113, 203}, {128, 256}, {300, 129}, {97, 97},   {60, 60},
                                    {96, 96}, {144, 144}, {210, 210}, {343, 343}, {257, 257}, {360, 360}};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* ---- every kind ------------------------------------------------------------------------------------------------- */

/* Every size, and where it differs, with heads. */
static void check_kinds(vka_pattern_kind kind) {
    bool grid = kind == VKA_PATTERN_NEIGHBORHOOD || kind == VKA_PATTERN_SWIN;
    context c;
    context_open(&c, &config_real);
    ref_rng rng = ref_rng_seed(test_seed() + kind);
    for (uint32_t n = 0; n < 3 * SIZES; n++) {
        const uint32_t *size = sizes[n % SIZES];
        pattern_check_kind(&c, &rng, kind, grid ? size[1] : size[0], size[1],
                           kind == VKA_PATTERN_BIGBIRD ? n % 3 : n == 7);
    }
    context_close(&c);
}

#define TEST_KIND(name, kind)                                                                                          \
    Test(pattern, name) {                                                                                              \
        check_kinds(kind);                                                                                             \
    }
TEST_KIND(all, VKA_PATTERN_ALL)
TEST_KIND(causal, VKA_PATTERN_CAUSAL)
TEST_KIND(window, VKA_PATTERN_WINDOW)
TEST_KIND(global, VKA_PATTERN_GLOBAL)
TEST_KIND(fixed, VKA_PATTERN_FIXED)
TEST_KIND(bigbird, VKA_PATTERN_BIGBIRD)
TEST_KIND(prefix, VKA_PATTERN_PREFIX)
TEST_KIND(documents, VKA_PATTERN_DOCUMENTS)
TEST_KIND(neighborhood, VKA_PATTERN_NEIGHBORHOOD)
TEST_KIND(swin, VKA_PATTERN_SWIN)
TEST_KIND(blocks, VKA_PATTERN_BLOCKS)
TEST_KIND(bits, VKA_PATTERN_BITS)
TEST_KIND(chunks, VKA_PATTERN_CHUNKS)

/* ---- compositions ----------------------------------------------------------------------------------------------- */

#define COMPOSITIONS 60

static void compositions(uint32_t part) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < COMPOSITIONS; n++) {
        ref_rng rng = ref_rng_seed(test_seed() * 1000003 + part * COMPOSITIONS + n);
        const uint32_t *size = sizes[ref_rng_below(&rng, SIZES)];
        vka_pattern_desc d;
        pattern_storage s;
        pattern_draw(&rng, size[0], size[1], ref_rng_below(&rng, 4), &s, &d);
        pattern_check(&c, &d);
        pattern_free(&s);
    }
    context_close(&c);
}

Test(pattern, compositions_1) {
    compositions(0);
}

Test(pattern, compositions_2) {
    compositions(1);
}

Test(pattern, compositions_3) {
    compositions(2);
}

/* What a generator never draws is tested by nobody. */
Test(pattern, draws_everything) {
    enum { DRAWS = 3000 };
    uint32_t kinds[LAST_PATTERN_KIND + 1] = {0}, intersects = 0, some_heads = 0, none = 0, ranks[4] = {0};
    for (uint32_t n = 0; n < DRAWS; n++) {
        ref_rng rng = ref_rng_seed(n);
        vka_pattern_desc d;
        pattern_storage s;
        pattern_draw(&rng, 60, 60, n % 3, &s, &d);
        none += d.term_count == 0;
        for (uint32_t i = 0; i < d.term_count; i++) {
            kinds[d.terms[i].kind]++;
            intersects += d.terms[i].intersect;
            some_heads += d.terms[i].heads > 0;
            ranks[d.terms[i].kind == VKA_PATTERN_NEIGHBORHOOD ? d.terms[i].grid.rank : 0]++;
        }
        while (d.term_count) { /* what shrinking does */
            uint32_t count = d.term_count;
            pattern_drop(&s, &d, ref_rng_below(&rng, count));
            cr_assert(d.term_count == count - 1 && (!d.term_count || !d.terms[0].intersect));
        }
        pattern_free(&s);
    }
    for (int kind = 0; kind <= LAST_PATTERN_KIND; kind++) {
        cr_expect_gt(kinds[kind], DRAWS / 20, "kind %d: %u of %d", kind, kinds[kind], DRAWS);
    }
    cr_expect(intersects > DRAWS / 4 && some_heads > DRAWS / 10 && none > DRAWS / 200);
    cr_expect(ranks[1] > 20 && ranks[2] > 20 && ranks[3] > 20);
}
