/* Tests shards.c by looking at every pair of tokens: each token is some rank's, once; each pair that may be seen is
 * seen once, and no other; and in a zigzag all ranks have about as much to do in each step. SPDX-License-Identifier:
 * MIT */
#include "shards.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_TOKENS = 67, MOST_RANKS = 8 };

static int failures;

static void expect(bool good, const shards *s, bool causal, const char *what) {
    if (!good && ++failures < 20) {
        printf("FAIL: %u tokens, %u ranks, %s, %s: %s\n", s->tokens, s->ranks,
               s->order == SHARDS_ZIGZAG ? "zigzag" : "contiguous", causal ? "causal" : "not causal", what);
    }
}

static void test_tokens(const shards *s) {
    uint32_t owners[MOST_TOKENS] = {0}, most = 0;
    for (uint32_t rank = 0; rank < s->ranks; rank++) {
        uint32_t rows = shards_rows(s, rank), last = 0;
        expect(rows > 0, s, false, "a rank has no tokens");
        most = rows > most ? rows : most;
        for (uint32_t row = 0; row < rows; row++) {
            uint32_t token = shards_token(s, rank, row);
            expect(token < s->tokens, s, false, "there is no such token");
            expect(row == 0 || token > last, s, false, "rows are not in the order of tokens");
            owners[token % MOST_TOKENS]++;
            last = token;
        }
    }
    for (uint32_t token = 0; token < s->tokens; token++) {
        expect(owners[token] == 1, s, false, "a token is not one rank's");
    }
    expect(most == shards_most_rows(s), s, false, "shards_most_rows is wrong");
}

static uint64_t count_part(const shards *s, const shards_part *p, uint32_t rank, uint32_t block,
                           uint8_t seen[MOST_TOKENS][MOST_TOKENS]) {
    uint64_t pairs = 0;
    for (uint32_t i = 0; i < p->queries; i++) {
        for (uint32_t j = 0; j < p->keys && (!p->diagonal || j <= i); j++, pairs++) {
            seen[shards_token(s, rank, p->first_query + i)][shards_token(s, block, p->first_key + j)]++;
        }
    }
    return pairs;
}

/* Chunks differ by a token at most, so a step's pairs by about a row and a column. */
static void test_balance(const shards *s, const uint64_t pairs[MOST_RANKS], uint32_t step) {
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t rank = 0; rank < s->ranks; rank++) {
        least = pairs[rank] < least ? pairs[rank] : least;
        most = pairs[rank] > most ? pairs[rank] : most;
    }
    expect(most - least <= 3 * (uint64_t)shards_most_rows(s) + 3, s, true,
           step ? "a step is out of balance" : "step 0 is");
}

static void test_pairs(const shards *s, bool causal) {
    static uint8_t seen[MOST_TOKENS][MOST_TOKENS];
    for (uint32_t i = 0; i < s->tokens; i++) {
        for (uint32_t j = 0; j < s->tokens; j++) {
            seen[i][j] = 0;
        }
    }
    for (uint32_t step = 0; step < s->ranks; step++) {
        uint64_t pairs[MOST_RANKS] = {0};
        for (uint32_t rank = 0; rank < s->ranks; rank++) {
            uint32_t block = shards_block(s, rank, step);
            shards_part p = shards_seen(s, causal, rank, block);
            expect(block == shards_block(s, (rank + 1) % s->ranks, step + 1), s, causal,
                   "blocks do not go to the next rank");
            expect(step > 0 || (p.queries == shards_rows(s, rank) && p.keys == p.queries), s, causal,
                   "the first step is not of all rows");
            pairs[rank] = count_part(s, &p, rank, block, seen);
            expect(pairs[rank] == shards_pairs(&p), s, causal, "shards_pairs is wrong");
        }
        if (causal && s->order == SHARDS_ZIGZAG) {
            test_balance(s, pairs, step);
        }
    }
    for (uint32_t i = 0; i < s->tokens; i++) {
        for (uint32_t j = 0; j < s->tokens; j++) {
            expect(seen[i][j] == (!causal || j <= i), s, causal, "a pair is not seen as often as it should be");
        }
    }
}

int main(void) {
    for (uint32_t ranks = 1; ranks <= MOST_RANKS; ranks++) {
        for (uint32_t tokens = 2 * ranks; tokens <= MOST_TOKENS; tokens++) {
            for (int order = SHARDS_ZIGZAG; order <= SHARDS_CONTIGUOUS; order++) {
                shards s = {tokens, ranks, (shards_order)order};
                test_tokens(&s);
                test_pairs(&s, false);
                test_pairs(&s, true);
            }
        }
    }
    printf("shards: %d failures\n", failures);
    return failures > 0;
}
