/* Lists of compiled patterns: ranges of tokens, random blocks, documents, the caller's masks.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/build.h"

#include <stdlib.h>
#include <string.h>

#include "core/philox.h"
#include "pattern_program.h"

uint32_t vka__pattern_list(vka__pattern_lists *l, uint64_t words) {
    uint64_t at = l->count, end = at + words;
    if (l->failed || end > UINT32_MAX || end > SIZE_MAX / 8) {
        l->failed = true;
        return 0;
    }
    if (end > l->capacity) {
        uint64_t capacity = vka__max_u64(end, 2 * l->capacity);
        uint32_t *grown = vka__realloc(l->ctx, l->words, (size_t)capacity * sizeof *grown);
        if (!grown) {
            l->failed = true;
            return 0;
        }
        l->words = grown;
        l->capacity = capacity;
    }
    memset(l->words + at, 0, (size_t)words * sizeof *l->words);
    l->count = end;
    return (uint32_t)at;
}

/* ---- ranges ---------------------------------------------------------------------------------------------------- */

/* Tokens from `size` on are left out. */
void vka__compile_ranges(vka__pattern_lists *l, uint32_t *term, const uint32_t *tokens, uint32_t count, uint32_t size) {
    uint32_t ranges = 0, used = 0;
    for (; used < count && tokens[used] < size; ++used)
        ranges += !used || tokens[used] != tokens[used - 1] + 1;
    term[VKA_RANGES_COUNT] = ranges;
    term[VKA_RANGES_DATA] = vka__pattern_list(l, 2 * (uint64_t)ranges);
    if (l->failed)
        return;
    uint32_t *range = l->words + term[VKA_RANGES_DATA];
    for (uint32_t i = 0; i < used; ++i) {
        if (i && tokens[i] != tokens[i - 1] + 1)
            range += 2;
        if (!i || tokens[i] != tokens[i - 1] + 1)
            range[0] = tokens[i];
        range[1] = tokens[i];
    }
}

/* ---- random blocks --------------------------------------------------------------------------------------------- */

/* Inserts into an ascending list that may have it already. */
static void insert(uint32_t *list, uint32_t *count, uint32_t value) {
    uint32_t at = *count;
    while (at && list[at - 1] >= value)
        --at;
    if (at < *count && list[at] == value)
        return;
    memmove(list + at + 1, list + at, (*count - at) * sizeof *list);
    list[at] = value;
    ++*count;
}

#define MAX_RANDOM_BLOCKS 64

/* The draws of one block row, as pattern.h documents them: `blocks` blocks of keys, the window r - 1 .. r + 1 and, of
 * ITC, the first and the last one left out. */
static void draw_row(const vka_pattern_term *t, uint32_t head, uint32_t row, uint32_t blocks, uint32_t *out) {
    uint32_t taken[MAX_RANDOM_BLOCKS + 5], taken_count = 0, drawn = 0;
    for (uint32_t b = row ? row - 1 : 0; b <= row + 1 && b < blocks; ++b)
        insert(taken, &taken_count, b);
    if (!t->bigbird.global_tokens && blocks) {
        insert(taken, &taken_count, 0);
        insert(taken, &taken_count, blocks - 1);
    }
    uint32_t left = blocks - taken_count, words[4] = {0};
    for (uint32_t draw = 0; draw < t->bigbird.random_blocks && left; ++draw, --left) {
        if (draw % 4 == 0)
            vka__philox((uint32_t[]){draw / 4, row, head, 0}, t->bigbird.seed, words);
        /* The place among those left is the number of the block once those taken before it are counted, too. */
        uint32_t block = (uint32_t)((uint64_t)words[draw % 4] * left >> 32);
        for (uint32_t i = 0; i < taken_count && taken[i] <= block; ++i)
            ++block;
        insert(taken, &taken_count, block);
        insert(out, &drawn, block);
    }
    for (; drawn < t->bigbird.random_blocks; ++drawn)
        out[drawn] = VKA_PATTERN_NONE;
}

static uint32_t blocks_behind(uint32_t tokens, uint32_t offset, uint32_t block) {
    return tokens > offset ? vka__div_up(tokens - offset, block) : 0;
}

void vka__compile_random_blocks(vka__pattern_lists *l, uint32_t *term, const vka_pattern_term *t,
                                const vka_pattern_info *info, uint32_t first_head, uint32_t heads) {
    uint32_t block = t->bigbird.block, each = t->bigbird.random_blocks, offset = term[VKA_BLOCK_OFFSET];
    uint32_t rows = blocks_behind(info->queries, offset, block), columns = blocks_behind(info->keys, offset, block);
    term[VKA_BLOCK_LIST_PER_ROW] = each;
    term[VKA_BLOCK_LIST_HEAD] = (uint32_t)((uint64_t)rows * each);
    uint64_t head_words = (uint64_t)rows * each;
    term[VKA_BLOCK_LIST_DATA] = vka__pattern_list(l, head_words > UINT32_MAX ? UINT32_MAX : head_words * heads);
    if (l->failed)
        return;
    uint32_t *out = l->words + term[VKA_BLOCK_LIST_DATA];
    for (uint32_t head = 0; head < heads; ++head)
        for (uint32_t row = 0; row < rows; ++row, out += each)
            draw_row(t, first_head + head, row, columns, out);
}

/* ---- documents ------------------------------------------------------------------------------------------------- */

/* Tokens first .. last of one id. */
typedef struct run {
    int32_t id;
    uint32_t first, last;
} run;

static int compare_runs(const void *a, const void *b) {
    const run *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static uint32_t find_runs(const int32_t *ids, uint32_t tokens, run *runs) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < tokens; ++i) {
        bool begins = !i || ids[i] != ids[i - 1];
        if (runs && begins)
            runs[count] = (run){ids[i], i, i};
        count += begins;
        if (runs)
            runs[count - 1].last = i;
    }
    return count;
}

/* Writes (first key, last key, id) of the tokens of the runs, which have one id. */
static void write_hulls(const run *runs, uint32_t count, uint32_t keys, uint32_t *data) {
    uint32_t first = runs[0].first, last = 0;
    for (uint32_t i = 0; i < count; ++i)
        if (runs[i].first < keys)
            last = vka__min_u32(runs[i].last, keys - 1);
    if (first >= keys) { /* no key has this id */
        first = 1;
        last = 0;
    }
    for (uint32_t i = 0; i < count; ++i)
        for (uint32_t token = runs[i].first; token <= runs[i].last; ++token) {
            data[3 * (uint64_t)token] = first;
            data[3 * (uint64_t)token + 1] = last;
            data[3 * (uint64_t)token + 2] = (uint32_t)runs[i].id;
        }
}

/* The hulls of tiles of queries, from those of tokens. */
static void write_tile_hulls(const uint32_t *data, const vka_pattern_info *info, uint32_t *hulls) {
    for (uint32_t row = 0; row < info->tile_rows; ++row) {
        uint32_t first = UINT32_MAX, last = 0;
        uint32_t end = vka__min_u32((row + 1) * info->query_tile, info->queries);
        for (uint32_t i = row * info->query_tile; i < end; ++i) {
            const uint32_t *token = data + 3 * (uint64_t)i;
            if (token[0] <= token[1]) {
                first = vka__min_u32(first, token[0]);
                last = vka__max_u32(last, token[1]);
            }
        }
        hulls[2 * row] = first;
        hulls[2 * row + 1] = last;
    }
}

void vka__compile_documents(vka__pattern_lists *l, uint32_t *term, const int32_t *ids, const vka_pattern_info *info) {
    uint32_t tokens = vka__max_u32(info->queries, info->keys), count = find_runs(ids, tokens, NULL);
    term[VKA_DOCUMENTS_DATA] = vka__pattern_list(l, 3 * (uint64_t)tokens);
    term[VKA_DOCUMENTS_HULLS] = vka__pattern_list(l, 2 * (uint64_t)info->tile_rows);
    run *runs = l->failed ? NULL : vka__alloc(l->ctx, count, sizeof *runs);
    if (!runs) {
        l->failed = true;
        return;
    }
    find_runs(ids, tokens, runs);
    qsort(runs, count, sizeof *runs, compare_runs);
    uint32_t *data = l->words + term[VKA_DOCUMENTS_DATA];
    term[VKA_DOCUMENTS_CONTIGUOUS] = 1;
    for (uint32_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && runs[end].id == runs[begin].id; ++end)
            term[VKA_DOCUMENTS_CONTIGUOUS] = 0;
        write_hulls(runs + begin, end - begin, info->keys, data);
    }
    write_tile_hulls(data, info, l->words + term[VKA_DOCUMENTS_HULLS]);
    vka__free(l->ctx, runs);
}

/* ---- masks ----------------------------------------------------------------------------------------------------- */

void vka__compile_blocks(vka__pattern_lists *l, uint32_t *term, const vka_pattern_term *t, const vka_pattern_info *info,
                         uint32_t heads) {
    uint32_t rows = vka__div_up(info->queries, t->blocks.query_block);
    uint32_t columns = vka__div_up(info->keys, t->blocks.key_block), row_words = vka__div_up(columns, 32);
    uint64_t head_words = (uint64_t)rows * row_words, masks = t->blocks.per_head ? heads : 1;
    term[VKA_BLOCKS_QUERY_BLOCK] = vka__min_u32(t->blocks.query_block, VKA_PATTERN_LIMIT);
    term[VKA_BLOCKS_KEY_BLOCK] = vka__min_u32(t->blocks.key_block, VKA_PATTERN_LIMIT);
    term[VKA_BLOCKS_ROW] = row_words;
    term[VKA_BLOCKS_HEAD] = t->blocks.per_head ? (uint32_t)head_words : 0;
    term[VKA_BLOCKS_DATA] = vka__pattern_list(l, head_words > UINT32_MAX ? UINT32_MAX : head_words * masks);
    if (l->failed)
        return;
    const uint8_t *live = t->blocks.live;
    uint32_t *out = l->words + term[VKA_BLOCKS_DATA];
    for (uint64_t row = 0; row < masks * rows; ++row, out += row_words)
        for (uint32_t column = 0; column < columns; ++column)
            out[column / 32] |= (uint32_t)(*live++ != 0) << column % 32;
}

void vka__compile_bits(vka__pattern_lists *l, uint32_t *term, const uint32_t *words, const vka_pattern_info *info) {
    uint32_t row_words = vka__div_up(info->keys, 32), live_words = vka__div_up(info->tile_columns, 32);
    uint64_t count = (uint64_t)info->queries * row_words;
    term[VKA_BITS_ROW] = row_words;
    term[VKA_BITS_LIVE_ROW] = live_words;
    term[VKA_BITS_DATA] = vka__pattern_list(l, count);
    term[VKA_BITS_LIVE] = vka__pattern_list(l, (uint64_t)info->tile_rows * live_words);
    if (l->failed)
        return;
    uint32_t last = info->keys % 32 ? (1u << info->keys % 32) - 1 : UINT32_MAX; /* keys of a row's last word */
    memcpy(l->words + term[VKA_BITS_DATA], words, (size_t)count * sizeof *words);
    for (uint32_t query = 0; query < info->queries; ++query) {
        uint32_t *live = l->words + term[VKA_BITS_LIVE] + (uint64_t)(query / info->query_tile) * live_words;
        for (uint32_t word = 0; word < row_words; ++word) {
            uint32_t tile = word / (info->key_tile / 32), bits = words[(uint64_t)query * row_words + word];
            bits &= word + 1 == row_words ? last : UINT32_MAX;
            live[tile / 32] |= (uint32_t)(bits != 0) << tile % 32;
        }
    }
}
