/* Well-known patterns by name: one table, and how their numbers become terms. docs/patterns.md has the formulas.
 * SPDX-License-Identifier: MIT */
#include "pattern.h"

#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* NULL: it has no such parameter. */
static const bench_numbers *numbers(const bench_making *m, const char *key) {
    for (uint32_t i = 0; i < BENCH_MAX_PARAMS && m->named->params[i].key; i++) {
        if (strcmp(m->named->params[i].key, key) == 0) {
            return &m->numbers[i];
        }
    }
    return NULL;
}

static int32_t number(const bench_making *m, const char *key) {
    return numbers(m, key)->at[0];
}

static uint32_t size(const bench_making *m, const char *key) {
    return (uint32_t)number(m, key);
}

static void *keep(const bench_making *m, size_t count, size_t bytes) {
    void *list = calloc(count, bytes);
    if (list) {
        m->lists->at[m->lists->count++] = list;
    }
    return list;
}

static vka_pattern_term *add(bench_terms *terms, vka_pattern_kind kind) {
    vka_pattern_term *t = &terms->at[terms->count++];
    *t = (vka_pattern_term){.kind = kind};
    return t;
}

/* ---- of sequences ------------------------------------------------------------------------------------------------ */

static void all(const bench_making *m, bench_terms *terms) {
    (void)m;
    add(terms, VKA_PATTERN_ALL);
}

static void causal(const bench_making *m, bench_terms *terms) {
    (void)m;
    add(terms, VKA_PATTERN_CAUSAL);
}

static void window(const bench_making *m, bench_terms *terms) {
    vka_pattern_term *t = add(terms, VKA_PATTERN_WINDOW);
    t->window.left = number(m, "left");
    t->window.right = number(m, "right");
    t->window.dilation = size(m, "dilation");
}

static void global(const bench_making *m, bench_terms *terms) {
    const bench_numbers *tokens = numbers(m, "tokens");
    vka_pattern_term *t = add(terms, VKA_PATTERN_GLOBAL);
    uint32_t *list = keep(m, tokens->count, sizeof *list);
    if (list) {
        memcpy(list, tokens->at, tokens->count * sizeof *list);
        t->global.tokens = list;
        t->global.count = tokens->count;
    }
}

static void longformer(const bench_making *m, bench_terms *terms) {
    vka_pattern_term *t = add(terms, VKA_PATTERN_WINDOW);
    t->window.left = t->window.right = number(m, "window");
    t->window.dilation = size(m, "dilation");
    global(m, terms);
}

static void strided(const bench_making *m, bench_terms *terms) {
    vka_pattern_term *t = add(terms, VKA_PATTERN_WINDOW);
    t->window.left = number(m, "local") - 1;
    t = add(terms, VKA_PATTERN_WINDOW);
    t->window.left = VKA_UNBOUNDED;
    t->window.dilation = size(m, "stride");
}

static void fixed(const bench_making *m, bench_terms *terms) {
    vka_pattern_term *t = add(terms, VKA_PATTERN_FIXED);
    t->fixed.span = size(m, "span");
    t->fixed.block = size(m, "block");
    t->fixed.last_blocks = size(m, "last");
}

static void bigbird(const bench_making *m, bench_terms *terms) {
    vka_pattern_term *t = add(terms, VKA_PATTERN_BIGBIRD);
    const bench_numbers *global_tokens = numbers(m, "global");
    t->bigbird.block = size(m, "block");
    t->bigbird.random_blocks = size(m, "random");
    t->bigbird.seed = size(m, "seed");
    t->bigbird.global_tokens = global_tokens ? (uint32_t)global_tokens->at[0] : 0;
}

static void prefix(const bench_making *m, bench_terms *terms) {
    add(terms, VKA_PATTERN_PREFIX)->prefix.length = size(m, "length");
}

/* Documents of these lengths, over and over. */
static void documents(const bench_making *m, bench_terms *terms) {
    const bench_numbers *lengths = numbers(m, "lengths");
    uint32_t count = m->queries > m->keys ? m->queries : m->keys, document = 0, end = (uint32_t)lengths->at[0];
    vka_pattern_term *t = add(terms, VKA_PATTERN_DOCUMENTS);
    int32_t *ids = keep(m, count, sizeof *ids);
    for (uint32_t i = 0; i < count && ids; i++) {
        while (i >= end) {
            uint32_t length = (uint32_t)lengths->at[++document % lengths->count];
            end += length ? length : 1;
        }
        ids[i] = (int32_t)document;
    }
    t->documents.ids = ids;
}

/* ---- masks ------------------------------------------------------------------------------------------------------- */

static bool chance(ref_rng *rng, uint32_t percent) {
    return ref_rng_below(rng, 100) < percent;
}

/* The blocks on the diagonal, and others by chance. */
static void blocks(const bench_making *m, bench_terms *terms) {
    uint32_t block = size(m, "block");
    if (block == 0) {
        block = 1;
    }
    uint32_t rows = (m->queries + block - 1) / block, columns = (m->keys + block - 1) / block;
    vka_pattern_term *t = add(terms, VKA_PATTERN_BLOCKS);
    uint8_t *live = keep(m, (size_t)rows * columns, sizeof *live);
    ref_rng rng = ref_rng_seed(size(m, "seed"));
    for (size_t i = 0; live && i < (size_t)rows * columns; i++) {
        live[i] = chance(&rng, size(m, "percent")) || i / columns == i % columns;
    }
    t->blocks.live = live;
    t->blocks.query_block = t->blocks.key_block = block;
}

static void bits(const bench_making *m, bench_terms *terms) {
    uint32_t row_words = (m->keys + 31) / 32;
    vka_pattern_term *t = add(terms, VKA_PATTERN_BITS);
    uint32_t *words = keep(m, (size_t)m->queries * row_words, sizeof *words);
    ref_rng rng = ref_rng_seed(size(m, "seed"));
    for (uint32_t i = 0; i < m->queries && words; i++) {
        for (uint32_t j = 0; j < m->keys; j++) {
            words[(size_t)i * row_words + j / 32] |= (uint32_t)chance(&rng, size(m, "percent")) << j % 32;
        }
    }
    t->bits.words = words;
}

static void chunks(const bench_making *m, bench_terms *terms) {
    vka_pattern_term *t = add(terms, VKA_PATTERN_CHUNKS);
    t->chunks.size = size(m, "tokens");
    t->chunks.before = size(m, "before");
    t->chunks.after = size(m, "after");
}

/* ---- of grids ---------------------------------------------------------------------------------------------------- */

/* The value of an axis: one number stands for all. */
static uint32_t axis_of(const bench_making *m, const char *key, uint32_t axis) {
    const bench_numbers *n = numbers(m, key);
    return (uint32_t)n->at[axis < n->count ? axis : n->count - 1];
}

/* Without a size, axes that are as equal as the number of tokens allows, the first ones shorter. */
static void grid_size(const bench_making *m, vka_pattern_term *t) {
    const bench_numbers *given = numbers(m, "size");
    uint32_t left = m->queries, rank = m->named->rank;
    t->grid.rank = rank;
    for (uint32_t axis = 0; axis < rank; axis++) {
        uint32_t length = left;
        if (axis + 1 < rank) {
            length = (uint32_t)(pow(left, 1.0 / (rank - axis)) + 1e-9);
            while (length > 1 && left % length) {
                length--;
            }
        }
        left /= length ? length : 1;
        t->grid.size[axis] = given->count ? axis_of(m, "size", axis) : length;
    }
}

static void neighborhood(const bench_making *m, bench_terms *terms) {
    vka_pattern_term *t = add(terms, VKA_PATTERN_NEIGHBORHOOD);
    grid_size(m, t);
    for (uint32_t axis = 0; axis < m->named->rank; axis++) {
        t->grid.window[axis] = axis_of(m, "window", axis);
        t->grid.stride[axis] = axis_of(m, "stride", axis);
        t->grid.dilation[axis] = axis_of(m, "dilation", axis);
        t->grid.causal[axis] = axis_of(m, "causal", axis) != 0;
    }
}

static void swin(const bench_making *m, bench_terms *terms) {
    vka_pattern_term *t = add(terms, VKA_PATTERN_SWIN);
    grid_size(m, t);
    for (uint32_t axis = 0; axis < m->named->rank; axis++) {
        t->grid.window[axis] = axis_of(m, "window", axis);
        t->grid.shift[axis] = axis_of(m, "shift", axis);
    }
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

#define NEIGHBORHOOD(window, stride, dilation, causal)                                                                 \
    {                                                                                                                  \
        {"size", ""}, {"window", window}, {"stride", stride}, {"dilation", dilation}, {                                \
            "causal", causal                                                                                           \
        }                                                                                                              \
    }
#define SWIN(shift)                                                                                                    \
    {                                                                                                                  \
        {"size", ""}, {"window", "8"}, {                                                                               \
            "shift", shift                                                                                             \
        }                                                                                                              \
    }

static const bench_named list[] = {
    {"all", {{0}}, 0, all, "everything"},
    {"causal", {{0}}, 0, causal, "itself and what came before"},
    {"window", {{"left", "32"}, {"right", "32"}, {"dilation", "1"}}, 0, window, "sliding window"},
    {"dilated", {{"left", "8"}, {"right", "8"}, {"dilation", "4"}}, 0, window, "every fourth key of a window"},
    {"global", {{"tokens", "0"}}, 0, global, "some tokens see, and are seen by, all"},
    {"longformer", {{"window", "16"}, {"dilation", "1"}, {"tokens", "0"}}, 0, longformer, "window and global tokens"},
    {"strided", {{"local", "16"}, {"stride", "16"}}, 0, strided, "Sparse Transformer: the last keys, and every l-th"},
    {"fixed",
     {{"span", "32"}, {"block", "1"}, {"last", "4"}},
     0,
     fixed,
     "Sparse Transformer: own span, ends of others"},
    {"bigbird-itc",
     {{"block", "16"}, {"random", "2"}, {"seed", "1"}},
     0,
     bigbird,
     "BigBird, first and last block global"},
    {"bigbird-etc",
     {{"block", "16"}, {"random", "2"}, {"seed", "1"}, {"global", "16"}},
     0,
     bigbird,
     "BigBird, extra global tokens in front"},
    {"prefix", {{"length", "64"}}, 0, prefix, "prefix-LM: all see the prefix, and what came before"},
    {"documents", {{"lengths", "100,40,70"}}, 0, documents, "packed documents of these lengths, over and over"},
    {"blocks", {{"block", "16"}, {"percent", "20"}, {"seed", "1"}}, 0, blocks, "a mask of blocks, here a random one"},
    {"bits", {{"percent", "5"}, {"seed", "1"}}, 0, bits, "a mask of tokens, here a random one"},
    {"lsh", {{"tokens", "32"}, {"before", "1"}, {"after", "0"}}, 0, chunks, "chunks of sorted tokens (Reformer)"},
    {"neighborhood1d", NEIGHBORHOOD("7", "1", "1", "0"), 1, neighborhood, "the nearest keys"},
    {"neighborhood2d", NEIGHBORHOOD("7", "1", "1", "0"), 2, neighborhood, "the nearest keys of a picture"},
    {"neighborhood3d", NEIGHBORHOOD("3", "1", "1", "0"), 3, neighborhood, "the nearest keys of a volume or a video"},
    {"neighborhood-strided", NEIGHBORHOOD("8", "4", "1", "0"), 2, neighborhood, "groups of queries share a window"},
    {"neighborhood-dilated", NEIGHBORHOOD("5", "1", "3", "0"), 2, neighborhood, "every third key of both axes"},
    {"neighborhood-causal", NEIGHBORHOOD("7", "1", "1", "1"), 2, neighborhood, "keys up to the query on both axes"},
    {"swin", SWIN("0"), 2, swin, "windows of a picture"},
    {"swin-shifted", SWIN("4"), 2, swin, "the same, shifted by half a window"},
};
#define LENGTH (sizeof list / sizeof *list)

const bench_named *bench_named_find(const char *name) {
    for (size_t i = 0; i < LENGTH; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

size_t bench_named_names(const char *names[BENCH_MAX_NAMED]) {
    for (size_t i = 0; i < LENGTH; i++) {
        names[i] = list[i].name;
    }
    return LENGTH;
}

void bench_named_print(FILE *file) {
    for (size_t i = 0; i < LENGTH; i++) {
        int at = fprintf(file, "%s", list[i].name);
        for (int p = 0; p < BENCH_MAX_PARAMS && list[i].params[p].key; p++) {
            at += fprintf(file, ":%s=%s", list[i].params[p].key, list[i].params[p].otherwise);
        }
        fprintf(file, at + 2 + (int)strlen(list[i].what) > 80 ? "\n    %s\n" : "  %s\n", list[i].what);
    }
}
