/* The reference of patterns against pictures drawn by hand, and against what their papers promise.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pattern_case.h"

/* A row a query, a character a key; what it sees is '#'. As many keys as the rows are long. */
static void looks_like(const char *name, vka_pattern_desc d, uint32_t head, const char *picture) {
    char row[64];
    for (int64_t p = 0; p < d.queries; p++) {
        for (int64_t j = 0; j < d.keys; j++) {
            row[j] = ref_pattern_sees(&d, head, p, j) ? '#' : '.';
        }
        row[d.keys] = 0;
        const char *wanted = picture + p * (d.keys + 1);
        cr_expect(!strncmp(row, wanted, d.keys), "%s: row %d of head %u is %s, not %.*s", name, (int)p, head, row,
                  (int)d.keys, wanted);
    }
    cr_assert_eq(strlen(picture), (size_t)d.queries * (d.keys + 1), "%s: the test's own picture", name);
}

static uint32_t seen(const vka_pattern_desc *d, uint32_t head, int64_t p) {
    uint32_t count = 0;
    for (int64_t j = 0; j < d->keys; j++) {
        count += ref_pattern_sees(d, head, p, j);
    }
    return count;
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

Test(reference_pattern, everything) {
    looks_like("no term", (vka_pattern_desc){.queries = 2, .keys = 3}, 0, "### ### ");
    looks_like("all", (vka_pattern_desc){.queries = 2, .keys = 3, TERMS({.kind = VKA_PATTERN_ALL})}, 0, "### ### ");
}

Test(reference_pattern, causal) {
    looks_like("causal", (vka_pattern_desc){.queries = 4, .keys = 3, TERMS({.kind = VKA_PATTERN_CAUSAL})}, 0,
               "#.. "
               "##. "
               "### "
               "### ");
}

Test(reference_pattern, window) {
    looks_like("window", (vka_pattern_desc){.queries = 5, .keys = 6, TERMS({VKA_PATTERN_WINDOW, .window = {1, 2, 0}})},
               0,
               "###... "
               "####.. "
               ".####. "
               "..#### "
               "...### ");
    looks_like("ahead", (vka_pattern_desc){.queries = 5, .keys = 6, TERMS({VKA_PATTERN_WINDOW, .window = {-2, 3, 1}})},
               0,
               "..##.. "
               "...##. "
               "....## "
               ".....# "
               "...... ");
    looks_like("open",
               (vka_pattern_desc){.queries = 3, .keys = 5, TERMS({VKA_PATTERN_WINDOW, .window = {0, VKA_UNBOUNDED}})},
               0,
               "##### "
               ".#### "
               "..### ");
}

Test(reference_pattern, dilated_window) {
    looks_like("dilated", (vka_pattern_desc){.queries = 8, .keys = 9, TERMS({VKA_PATTERN_WINDOW, .window = {2, 1, 2}})},
               0,
               "#.#...... "
               ".#.#..... "
               "#.#.#.... "
               ".#.#.#... "
               "#.#.#.#.. "
               ".#.#.#.#. "
               "..#.#.#.# "
               "...#.#.#. ");
    looks_like(
        "strided",
        (vka_pattern_desc){.queries = 7, .keys = 7, TERMS({VKA_PATTERN_WINDOW, .window = {VKA_UNBOUNDED, 0, 3}})}, 0,
        "#...... "
        ".#..... "
        "..#.... "
        "#..#... "
        ".#..#.. "
        "..#..#. "
        "#..#..# ");
}

Test(reference_pattern, global) {
    static const uint32_t tokens[] = {1, 4};
    looks_like("both ways",
               (vka_pattern_desc){.queries = 4, .keys = 6, TERMS({VKA_PATTERN_GLOBAL, .global = {tokens, 2, false}})},
               0,
               ".#..#. "
               "###### "
               ".#..#. "
               ".#..#. ");
    looks_like("one way",
               (vka_pattern_desc){.queries = 3, .keys = 6, TERMS({VKA_PATTERN_GLOBAL, .global = {tokens, 2, true}})}, 0,
               ".#..#. "
               ".#..#. "
               ".#..#. ");
}

/* Spans of four tokens, of which the last two are seen by all that comes later. */
Test(reference_pattern, fixed) {
    looks_like("fixed", (vka_pattern_desc){.queries = 10, .keys = 10, TERMS({VKA_PATTERN_FIXED, .fixed = {4, 2, 1}})},
               0,
               "#......... "
               "##........ "
               "###....... "
               "####...... "
               "..###..... "
               "..####.... "
               "..#####... "
               "..######.. "
               "..##..###. "
               "..##..#### ");
    looks_like("fixed, tokens",
               (vka_pattern_desc){.queries = 7, .keys = 7, TERMS({VKA_PATTERN_FIXED, .fixed = {3, 0, 1}})}, 0,
               "#...... "
               "##..... "
               "###.... "
               "..##... "
               "..###.. "
               "..####. "
               "..#..## ");
}

Test(reference_pattern, prefix_and_chunks) {
    looks_like("prefix", (vka_pattern_desc){.queries = 5, .keys = 5, TERMS({VKA_PATTERN_PREFIX, .prefix = {3}})}, 0,
               "###.. "
               "###.. "
               "###.. "
               "####. "
               "##### ");
    looks_like("chunks", (vka_pattern_desc){.queries = 7, .keys = 8, TERMS({VKA_PATTERN_CHUNKS, .chunks = {2, 1, 0}})},
               0,
               "##...... "
               "##...... "
               "####.... "
               "####.... "
               "..####.. "
               "..####.. "
               "....#### ");
    looks_like("chunks after",
               (vka_pattern_desc){.queries = 4, .keys = 7, TERMS({VKA_PATTERN_CHUNKS, .chunks = {3, 0, 1}})}, 0,
               "######. "
               "######. "
               "######. "
               "...#### ");
}

Test(reference_pattern, masks) {
    static const int32_t ids[] = {7, 7, -1, -1, 7};
    static const uint32_t words[] = {0x80000001, 2, 0x40000000, 0xfffffffd};
    static const uint8_t live[] = {1, 0, 0, 9};
    looks_like("documents",
               (vka_pattern_desc){.queries = 3, .keys = 5, TERMS({VKA_PATTERN_DOCUMENTS, .documents = {ids}})}, 0,
               "##..# "
               "##..# "
               "..##. ");
    looks_like("bits", (vka_pattern_desc){.queries = 2, .keys = 34, TERMS({VKA_PATTERN_BITS, .bits = {words}})}, 0,
               "#..............................#.# "
               "..............................#.#. ");
    looks_like("blocks",
               (vka_pattern_desc){.queries = 5, .keys = 4, TERMS({VKA_PATTERN_BLOCKS, .blocks = {live, 3, 2}})}, 0,
               "##.. "
               "##.. "
               "##.. "
               "..## "
               "..## ");
}

/* Heads 1 and 2 have masks of two rows and three columns; 0 and 3 see nothing. */
Test(reference_pattern, blocks_of_heads) {
    static const uint8_t live[] = {1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0};
    vka_pattern_desc d = {.queries = 3,
                          .keys = 5,
                          .heads = 4,
                          TERMS({VKA_PATTERN_BLOCKS, .first_head = 1, .heads = 2, .blocks = {live, 2, 2, true}})};
    looks_like("head 0", d, 0, "..... ..... ..... ");
    looks_like("head 1", d, 1, "##... ##... ..### ");
    looks_like("head 2", d, 2, "....# ....# ##... ");
    looks_like("head 3", d, 3, "..... ..... ..... ");
}

/* ---- BigBird --------------------------------------------------------------------------------------------------- */

Test(reference_pattern, bigbird_itc) {
    looks_like("ITC",
               (vka_pattern_desc){.queries = 11, .keys = 11, TERMS({VKA_PATTERN_BIGBIRD, .bigbird = {2, 0, 0, 0}})}, 0,
               "########### "
               "########### "
               "######....# "
               "######....# "
               "########..# "
               "########..# "
               "##..####### "
               "##..####### "
               "##....##### "
               "##....##### "
               "########### ");
}

Test(reference_pattern, bigbird_etc) {
    looks_like("ETC",
               (vka_pattern_desc){.queries = 9, .keys = 9, TERMS({VKA_PATTERN_BIGBIRD, .bigbird = {2, 0, 0, 1}})}, 0,
               "######### "
               "#####.... "
               "#####.... "
               "#######.. "
               "#######.. "
               "#..###### "
               "#..###### "
               "#....#### "
               "#....#### ");
}

/* Philox makes 6627e8d5 e169c58d bc57ac4c 9b00dbd8 of zeros (Random123's known answers). Row 0 sees blocks 0 and 1, and
 * may draw 2 .. 9. Their places: 0.399 of 8, then 0.881 of 7, 0.736 of 6, 0.606 of 5. */
Test(reference_pattern, bigbird_draws) {
    vka_pattern_term t = {VKA_PATTERN_BIGBIRD, .bigbird = {.block = 1, .global_tokens = 1}};
    vka_pattern_desc d = {.queries = 1 + 10, .keys = 1 + 10, .terms = &t, .term_count = 1};
    static const char *const rows[] = {"###........", "###...#....", "###...#...#", "###...#.#.#", "###...###.#"};
    for (uint32_t random = 0; random < 5; random++) {
        t.bigbird.random_blocks = random;
        for (int64_t j = 0; j < d.keys; j++) {
            cr_expect_eq(ref_pattern_sees(&d, 0, 1, j), rows[random][j] == '#', "%u blocks, key %d", random, (int)j);
        }
    }
}

/* The same on a list of blocks that shrinks, for more draws than a counter has words. */
Test(reference_pattern, bigbird_draws_from_a_list) {
    enum { BLOCKS = 40, DRAWS = 11, ROW = 7, HEAD = 3 };
    vka_pattern_term t = {VKA_PATTERN_BIGBIRD,
                          .bigbird = {.block = 2, .random_blocks = DRAWS, .seed = UINT64_C(0xfedcba9876543210)}};
    vka_pattern_desc d = {.queries = 2 * BLOCKS, .keys = 2 * BLOCKS, .heads = 4, .terms = &t, .term_count = 1};
    uint32_t list[BLOCKS], count = 0, key[2] = {0x76543210, 0xfedcba98}, words[4];
    bool sees[BLOCKS] = {[0] = true, [ROW - 1] = true, [ROW] = true, [ROW + 1] = true, [BLOCKS - 1] = true};
    for (uint32_t block = 0; block < BLOCKS; block++) {
        if (!sees[block]) {
            list[count++] = block;
        }
    }
    for (uint32_t draw = 0; draw < DRAWS; draw++) {
        ref_philox((uint32_t[]){draw / 4, ROW, HEAD, 0}, key, words);
        uint32_t place = (uint32_t)((uint64_t)words[draw % 4] * count / (UINT64_C(1) << 32));
        sees[list[place]] = true;
        count--;
        memmove(list + place, list + place + 1, (count - place) * sizeof *list);
    }
    for (int64_t j = 0; j < 2 * BLOCKS; j++) {
        cr_expect_eq(ref_pattern_sees(&d, HEAD, 2 * ROW + 1, j), sees[j / 2], "key %d", (int)j);
    }
}

/* Every row sees its own, its neighbors, the two globals, and as many random blocks as there are. */
Test(reference_pattern, bigbird_counts) {
    vka_pattern_term t = {VKA_PATTERN_BIGBIRD, .bigbird = {.block = 3, .seed = UINT64_C(0x123456789abcdef)}};
    vka_pattern_desc d = {.queries = 60, .keys = 60, .heads = 2, .terms = &t, .term_count = 1};
    for (t.bigbird.random_blocks = 0; t.bigbird.random_blocks <= 64; t.bigbird.random_blocks += 8) {
        for (int64_t row = 0; row < 20; row++) {
            uint32_t near = row == 1 || row == 18 ? 4 : 5, all = near + t.bigbird.random_blocks;
            uint32_t blocks = row == 0 || row == 19 || all > 20 ? 20 : all;
            for (int64_t p = 3 * row; p < 3 * row + 3; p++) {
                cr_assert_eq(seen(&d, 1, p), 3 * blocks, "%u random, query %d", t.bigbird.random_blocks, (int)p);
            }
        }
    }
}

static uint32_t differences(const vka_pattern_desc *a, uint32_t a_head, const vka_pattern_desc *b, uint32_t b_head) {
    uint32_t count = 0;
    for (int64_t p = 0; p < a->queries; p++) {
        for (int64_t j = 0; j < a->keys; j++) {
            count += ref_pattern_sees(a, a_head, p, j) != ref_pattern_sees(b, b_head, p, j);
        }
    }
    return count;
}

/* Heads, both halves of the seed and rows draw on their own; maps for all heads are those of head 0. */
Test(reference_pattern, bigbird_seeds) {
    vka_pattern_term t = {VKA_PATTERN_BIGBIRD, .bigbird = {.block = 1, .random_blocks = 3, .seed = 5}}, low = t,
                     high = t;
    vka_pattern_desc d = {.queries = 50, .keys = 50, .heads = 3, .terms = &t, .term_count = 1}, other = d, shared = d;
    low.bigbird.seed += 1;
    high.bigbird.seed += UINT64_C(1) << 32;
    shared.heads = 0;
    cr_expect_gt(differences(&d, 0, &d, 1), 100);
    other.terms = &low;
    cr_expect_gt(differences(&d, 0, &other, 0), 100);
    other.terms = &high;
    cr_expect_gt(differences(&d, 0, &other, 0), 100);
    cr_expect_eq(differences(&d, 0, &shared, 0), 0);
    cr_expect_eq(differences(&d, 0, &shared, 2), 0);
    uint32_t same = 0, rows = 0;
    for (int64_t p = 10; p < 40; p++) { /* rows whose windows are elsewhere, seen from their own place */
        rows++;
        for (int64_t j = 1; j < 49; j++) {
            same += ref_pattern_sees(&d, 0, p, j) && ref_pattern_sees(&d, 0, p - 5, j);
        }
    }
    cr_expect_lt(same, 2 * rows);
}

/* ---- neighborhoods --------------------------------------------------------------------------------------------- */

#define LINE(...) TERMS({VKA_PATTERN_NEIGHBORHOOD, .grid = {.rank = 1, __VA_ARGS__}})

Test(reference_pattern, neighborhood_line) {
    looks_like("3 of 6", (vka_pattern_desc){.queries = 6, .keys = 6, LINE(.size = {6}, .window = {3})}, 0,
               "###... "
               "###... "
               ".###.. "
               "..###. "
               "...### "
               "...### ");
    looks_like("4 of 6", (vka_pattern_desc){.queries = 6, .keys = 6, LINE(.size = {6}, .window = {4})}, 0,
               "####.. "
               "####.. "
               "####.. "
               ".####. "
               "..#### "
               "..#### ");
    looks_like("stride 2", (vka_pattern_desc){.queries = 7, .keys = 7, LINE(.size = {7}, .window = {3}, .stride = {2})},
               0,
               "###.... "
               "###.... "
               "..###.. "
               "..###.. "
               "....### "
               "....### "
               "....### ");
    looks_like("stride 3", (vka_pattern_desc){.queries = 8, .keys = 8, LINE(.size = {8}, .window = {4}, .stride = {3})},
               0,
               "####.... "
               "####.... "
               "####.... "
               "..####.. "
               "..####.. "
               "..####.. "
               "....#### "
               "....#### ");
}

Test(reference_pattern, neighborhood_causal_line) {
    looks_like("causal",
               (vka_pattern_desc){.queries = 5, .keys = 5, LINE(.size = {5}, .window = {3}, .causal = {true})}, 0,
               "#.... "
               "##... "
               "###.. "
               ".###. "
               "..### ");
    looks_like(
        "causal, stride 2",
        (vka_pattern_desc){.queries = 7, .keys = 7, LINE(.size = {7}, .window = {4}, .stride = {2}, .causal = {true})},
        0,
        "#...... "
        "##..... "
        "###.... "
        "####... "
        "..###.. "
        "..####. "
        "...#### ");
}

/* Even and odd tokens are lines of four and three. */
Test(reference_pattern, neighborhood_dilated_line) {
    looks_like("dilated",
               (vka_pattern_desc){.queries = 7, .keys = 7, LINE(.size = {7}, .window = {2}, .dilation = {2})}, 0,
               "#.#.... "
               ".#.#... "
               "#.#.... "
               ".#.#... "
               "..#.#.. "
               "...#.#. "
               "....#.# ");
    looks_like("dilated, causal",
               (vka_pattern_desc){
                   .queries = 7, .keys = 7, LINE(.size = {7}, .window = {2}, .dilation = {2}, .causal = {true})},
               0,
               "#...... "
               ".#..... "
               "#.#.... "
               ".#.#... "
               "..#.#.. "
               "...#.#. "
               "....#.# ");
}

/* Axes are independent, and the last one is the fastest: 2 x 3 tokens, 1 x 2 keys each. */
Test(reference_pattern, neighborhood_axes) {
    looks_like(
        "2 x 3",
        (vka_pattern_desc){.queries = 6,
                           .keys = 6,
                           TERMS({VKA_PATTERN_NEIGHBORHOOD, .grid = {.rank = 2, .size = {2, 3}, .window = {1, 2}}})},
        0,
        "##.... "
        "##.... "
        ".##... "
        "...##. "
        "...##. "
        "....## ");
    looks_like(
        "2 x 3, causal along the first",
        (vka_pattern_desc){.queries = 6,
                           .keys = 6,
                           TERMS({VKA_PATTERN_NEIGHBORHOOD,
                                  .grid = {.rank = 2, .size = {2, 3}, .window = {2, 1}, .causal = {true, false}}})},
        0,
        "#..... "
        ".#.... "
        "..#... "
        "#..#.. "
        ".#..#. "
        "..#..# ");
}

static uint32_t product(const vka_pattern_term *t, const uint32_t *sizes) {
    uint32_t n = 1;
    for (uint32_t axis = 0; axis < t->grid.rank; axis++) {
        n *= sizes[axis];
    }
    return n;
}

/* What the paper promises: without causality every query sees as many keys as the window has. */
Test(reference_pattern, neighborhood_counts) {
    ref_rng rng = ref_rng_seed(4);
    for (int n = 0; n < 200; n++) {
        vka_pattern_term t = {VKA_PATTERN_NEIGHBORHOOD, .grid = {.rank = 1 + (uint32_t)n % 3}};
        for (uint32_t axis = 0; axis < t.grid.rank; axis++) {
            t.grid.size[axis] = 1 + ref_rng_below(&rng, t.grid.rank == 3 ? 6 : 13);
            t.grid.dilation[axis] = 1 + ref_rng_below(&rng, t.grid.size[axis] < 4 ? t.grid.size[axis] : 4);
            t.grid.window[axis] = 1 + ref_rng_below(&rng, t.grid.size[axis] / t.grid.dilation[axis]);
            t.grid.stride[axis] = ref_rng_below(&rng, t.grid.window[axis] + 1);
        }
        uint32_t tokens = product(&t, t.grid.size);
        vka_pattern_desc d = {.queries = tokens, .keys = tokens, .terms = &t, .term_count = 1};
        for (int64_t p = 0; p < tokens; p++) {
            cr_assert_eq(seen(&d, 0, p), product(&t, t.grid.window), "case %d, query %d", n, (int)p);
            cr_assert(ref_pattern_sees(&d, 0, p, p), "case %d: %d does not see itself", n, (int)p);
        }
    }
}

/* The nearest keys, as the name says: none that is not seen is nearer than one that is. */
Test(reference_pattern, neighborhood_is_nearest) {
    for (int64_t size = 1; size < 14; size++) {
        for (uint32_t window = 1; window <= size; window += 2) {
            vka_pattern_term t = {VKA_PATTERN_NEIGHBORHOOD,
                                  .grid = {.rank = 1, .size = {(uint32_t)size}, .window = {window}}};
            vka_pattern_desc d = {.queries = (uint32_t)size, .keys = (uint32_t)size, .terms = &t, .term_count = 1};
            for (int64_t p = 0; p < size; p++) {
                int64_t farthest = 0, nearest = size;
                for (int64_t j = 0; j < size; j++) {
                    bool sees = ref_pattern_sees(&d, 0, p, j);
                    int64_t distance = llabs(p - j);
                    farthest = sees && distance > farthest ? distance : farthest;
                    nearest = !sees && distance < nearest ? distance : nearest;
                }
                cr_assert_leq(farthest, nearest, "%u of %d, query %d", window, (int)size, (int)p);
            }
        }
    }
}

/* ---- Swin ------------------------------------------------------------------------------------------------------ */

/* Tokens 2 .. 7 0 1 in windows of four; 6 and 7 are far from 0 and 1. */
Test(reference_pattern, swin_line) {
    looks_like(
        "shifted",
        (vka_pattern_desc){.queries = 8,
                           .keys = 8,
                           TERMS({VKA_PATTERN_SWIN, .grid = {.rank = 1, .size = {8}, .window = {4}, .shift = {2}}})},
        0,
        "##...... "
        "##...... "
        "..####.. "
        "..####.. "
        "..####.. "
        "..####.. "
        "......## "
        "......## ");
    looks_like(
        "one window, shifted",
        (vka_pattern_desc){.queries = 4,
                           .keys = 4,
                           TERMS({VKA_PATTERN_SWIN, .grid = {.rank = 1, .size = {4}, .window = {4}, .shift = {1}}})},
        0,
        "#... "
        ".### "
        ".### "
        ".### ");
    looks_like("not shifted",
               (vka_pattern_desc){
                   .queries = 6, .keys = 6, TERMS({VKA_PATTERN_SWIN, .grid = {.rank = 1, .size = {6}, .window = {3}}})},
               0,
               "###... "
               "###... "
               "###... "
               "...### "
               "...### "
               "...### ");
}

/* 4 x 4 tokens in windows of 2 x 2, shifted by one along both axes. */
Test(reference_pattern, swin_image) {
    looks_like("shifted image",
               (vka_pattern_desc){
                   .queries = 16,
                   .keys = 16,
                   TERMS({VKA_PATTERN_SWIN, .grid = {.rank = 2, .size = {4, 4}, .window = {2, 2}, .shift = {1, 1}}})},
               0,
               "#............... "
               ".##............. "
               ".##............. "
               "...#............ "
               "....#...#....... "
               ".....##..##..... "
               ".....##..##..... "
               ".......#...#.... "
               "....#...#....... "
               ".....##..##..... "
               ".....##..##..... "
               ".......#...#.... "
               "............#... "
               ".............##. "
               ".............##. "
               "...............# ");
}

/* Whoever sees, is seen, and sees the same; tokens whose window does not wrap see all of it. */
Test(reference_pattern, swin_groups) {
    vka_pattern_term t = {VKA_PATTERN_SWIN,
                          .grid = {.rank = 3, .size = {2, 6, 8}, .window = {2, 3, 4}, .shift = {0, 1, 3}}};
    vka_pattern_desc d = {.queries = 96, .keys = 96, .terms = &t, .term_count = 1};
    for (int64_t p = 0; p < 96; p++) {
        uint32_t y = (uint32_t)p / 8 % 6, x = (uint32_t)p % 8;
        uint32_t rows = y < 1 ? 1 : y < 4 ? 3 : 2, columns = x < 3 ? 3 : x < 7 ? 4 : 1;
        cr_assert_eq(seen(&d, 0, p), 2 * rows * columns, "query %d", (int)p);
        for (int64_t j = 0; j < 96; j++) {
            bool sees = ref_pattern_sees(&d, 0, p, j);
            cr_assert_eq(sees, ref_pattern_sees(&d, 0, j, p));
            for (int64_t k = 0; k < 96 && sees; k++) {
                cr_assert_eq(ref_pattern_sees(&d, 0, p, k), ref_pattern_sees(&d, 0, j, k));
            }
        }
    }
}

/* ---- compositions ---------------------------------------------------------------------------------------------- */

Test(reference_pattern, unions_and_intersections) {
    static const uint32_t first[] = {0};
    looks_like(
        "Longformer",
        (vka_pattern_desc){.queries = 5,
                           .keys = 5,
                           TERMS({VKA_PATTERN_WINDOW, .window = {1, 1}}, {VKA_PATTERN_GLOBAL, .global = {first, 1}})},
        0,
        "##### "
        "###.. "
        "####. "
        "#.### "
        "#..## ");
    /* (window and causal) or (global, one way) */
    looks_like("causal Longformer",
               (vka_pattern_desc){.queries = 5,
                                  .keys = 5,
                                  TERMS({VKA_PATTERN_WINDOW, .window = {1, 1}}, {VKA_PATTERN_CAUSAL, .intersect = true},
                                        {VKA_PATTERN_GLOBAL, .global = {first, 1, true}})},
               0,
               "#.... "
               "##... "
               "###.. "
               "#.##. "
               "#..## ");
    /* all or (window and causal): the second alternative restricts itself alone */
    looks_like("all or less",
               (vka_pattern_desc){.queries = 2,
                                  .keys = 2,
                                  TERMS({VKA_PATTERN_ALL}, {VKA_PATTERN_WINDOW, .window = {0, 0}},
                                        {VKA_PATTERN_CAUSAL, .intersect = true})},
               0, "## ## ");
}

/* Head 0 has the first term, heads 1 and 2 the second, 2 a restriction of it; 3 has none. */
Test(reference_pattern, heads) {
    vka_pattern_desc d = {.queries = 3,
                          .keys = 3,
                          .heads = 4,
                          TERMS({VKA_PATTERN_CAUSAL, .heads = 1},
                                {VKA_PATTERN_WINDOW, .first_head = 1, .heads = 2, .window = {1, 1}},
                                {VKA_PATTERN_CAUSAL, .intersect = true, .first_head = 2})};
    looks_like("head 0", d, 0, "#.. ##. ### ");
    looks_like("head 1", d, 1, "##. ### .## ");
    looks_like("head 2", d, 2, "#.. ##. .## ");
    looks_like("head 3", d, 3, "... ... ... ");
}

Test(reference_pattern, outside) {
    vka_pattern_desc d = {.queries = 2, .keys = 3};
    cr_expect(ref_pattern_sees(&d, 0, 1, 2));
    cr_expect(!ref_pattern_sees(&d, 0, 2, 0) && !ref_pattern_sees(&d, 0, 0, 3));
    cr_expect(!ref_pattern_sees(&d, 0, -1, 0) && !ref_pattern_sees(&d, 0, 0, -1));
}
