/* vkattn: sparse and local attention: which query sees which key, as a block map.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_PATTERN_H
#define VKATTN_PATTERN_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a term keeps. p is a query's position, j a key's; both count from 0. Blocks are runs of tokens: token t lies in
 * block t / size. */
typedef enum vka_pattern_kind {
    VKA_PATTERN_ALL = 0,          /* everything                                                                    */
    VKA_PATTERN_CAUSAL = 1,       /* j <= p                                                                        */
    VKA_PATTERN_WINDOW = 2,       /* p - left <= j <= p + right; dilated: (j - p) % dilation == 0 and              */
                                  /*   p - left dilation <= j <= p + right dilation (Longformer, Beltagy 2020).    */
                                  /*   left = VKA_UNBOUNDED, right = 0, dilation = l is the strided pattern of     */
                                  /*   Sparse Transformer (Child 2019)                                             */
    VKA_PATTERN_GLOBAL = 3,       /* j is a global token, or p is one                                              */
    VKA_PATTERN_FIXED = 4,        /* j <= p, and j lies in p's span or in the last blocks of its own span (the     */
                                  /*   fixed pattern of Sparse Transformer)                                        */
    VKA_PATTERN_BIGBIRD = 5,      /* blocks r - 1, r, r + 1 of p's block r, random ones, and globals (Zaheer 2020) */
    VKA_PATTERN_PREFIX = 6,       /* j < prefix or j <= p (prefix-LM, Raffel 2020)                                 */
    VKA_PATTERN_DOCUMENTS = 7,    /* document[p] == document[j]                                                    */
    VKA_PATTERN_NEIGHBORHOOD = 8, /* the nearest keys of a 1-, 2- or 3-dimensional grid (NATTEN, Hassani 2023)     */
    VKA_PATTERN_SWIN = 9,         /* the same shifted window of such a grid (Liu 2021)                             */
    VKA_PATTERN_BLOCKS = 10,      /* a caller's mask of blocks                                                     */
    VKA_PATTERN_BITS = 11,        /* a caller's mask of tokens, as bits                                            */
    VKA_PATTERN_CHUNKS = 12,      /* keys of p's chunk, and of `before` chunks before and `after` after it         */
} vka_pattern_kind;

/* A term; only the part that belongs to its kind is read. Lists and masks are copied. */
typedef struct vka_pattern_term {
    vka_pattern_kind kind;
    bool intersect;      /* true: restricts the alternative that the term before it belongs to; false: begins one, */
                         /*   as the first term does                                                               */
    uint32_t first_head; /* the heads of the pattern that the term belongs to ..                                   */
    uint32_t heads;      /* .. and how many; 0 = all from first_head on. Needs vka_pattern_desc.heads. Alternatives */
                         /*   are for the heads of the term that begins them; others restrict theirs only          */
    struct {
        int32_t left, right; /* tokens, or VKA_UNBOUNDED; may be negative, but not so that nothing is kept         */
        uint32_t dilation;   /* 0 = 1                                                                              */
    } window;
    struct {
        const uint32_t *tokens; /* strictly ascending, below max(queries, keys)                                    */
        uint32_t count;
        bool one_way; /* only: every query sees them. false: global queries see every key, too                     */
    } global;
    struct {
        uint32_t span;        /* tokens, a multiple of block                                                       */
        uint32_t block;       /* tokens; 0 = 1                                                                     */
        uint32_t last_blocks; /* of each earlier span; at most span / block                                        */
    } fixed;
    struct {
        uint32_t block;         /* tokens                                                                          */
        uint32_t random_blocks; /* of each block of queries, distinct, outside of its window and of the globals,   */
                                /*   or all that there are; at most 64                                             */
        uint64_t seed;          /* of them: see below                                                              */
        uint32_t global_tokens; /* 0: ITC, the first and the last block are global, both ways; the last one of     */
                                /*   queries sees, that of keys is seen. Otherwise ETC: so many tokens at the      */
                                /*   beginning are global, and blocks count from behind them                       */
    } bigbird;
    struct {
        uint32_t length; /* tokens                                                                                 */
    } prefix;
    struct {
        const int32_t *ids; /* [max(queries, keys)]; any numbers. Cost follows the tiles from a document's first   */
                            /*   token to its last: let documents be contiguous                                    */
    } documents;
    struct {
        uint32_t rank;        /* 1 .. 3                                                                            */
        uint32_t size[3];     /* tokens an axis, last axis fastest; their product is queries and keys              */
        uint32_t window[3];   /* keys an axis; 1 .. size / dilation. Swin: a divisor of size                       */
        uint32_t stride[3];   /* neighborhood: groups of so many queries share the window of their middle one, of  */
                              /*   their last one if causal; 0 = 1                                                 */
        uint32_t dilation[3]; /* neighborhood: 0 = 1                                                               */
        bool causal[3];       /* neighborhood: only keys up to the query along the axis                            */
        uint32_t shift[3];    /* Swin: tokens by which windows are shifted cyclically, below window                */
    } grid;
    struct {
        const uint8_t *live; /* [heads of the term if per_head, rows, columns], 0 = not; rows = queries / query_block */
                             /*   and columns = keys / key_block, rounded up                                       */
        uint32_t query_block, key_block; /* tokens                                                                 */
        bool per_head;                   /* false: one mask for all heads of the term                              */
    } blocks;
    struct {
        const uint32_t *words; /* [queries, (keys + 31) / 32]: key j is bit j % 32, lowest first, of word j / 32   */
    } bits;
    struct {
        uint32_t size; /* tokens                                                                                   */
        uint32_t before, after;
    } chunks;
} vka_pattern_term;

/* Who builds a map. */
typedef enum vka_pattern_build {
    VKA_PATTERN_BUILD_AUTO = 0,   /* on the device, if the library has a queue of it and there is enough to do; for */
                                  /*   a software driver by the host                                               */
    VKA_PATTERN_BUILD_DEVICE = 1, /* by kernels that are submitted and waited for                                  */
    VKA_PATTERN_BUILD_HOST = 2,   /* by the calling thread; the same map                                           */
} vka_pattern_build;

#define VKA_MAX_PATTERN_TERMS 16

/* A pattern is a union of alternatives, each of which is an intersection of terms: {WINDOW}, {GLOBAL} is Longformer;
 * {WINDOW}, {CAUSAL, intersect} a causal window. No term: everything. */
typedef struct vka_pattern_desc {
    uint32_t queries, keys; /* positions that there are: the largest N of the attentions it serves, below 2^28     */
    uint32_t heads;         /* 0: one map for all heads. Otherwise a map for each of an attention's query heads    */
    const vka_pattern_term *terms;
    uint32_t term_count; /* at most VKA_MAX_PATTERN_TERMS                                                          */
    uint32_t query_tile; /* queries of a tile: 16, 32, 64 or 128; 0 = chosen for the device                        */
    uint32_t key_tile;   /* keys of a tile: 32, 64 or 128; 0 = chosen                                              */
    bool keep_order;     /* neighborhoods and shifted windows of two and more axes are walked in small boxes of the */
                         /*   grid, so that tiles hold neighbors, where no other kind of term is there and both    */
                         /*   tiles are one size of 32 or more; true: in the order of tokens                       */
    vka_pattern_build build;
} vka_pattern_desc;

/* A built block map: for each tile of queries the tiles of keys of which it sees any, each full or with bits.
 * Immutable, and shared by any number of attentions, recorders and threads. */
typedef struct vka_pattern vka_pattern;

/* Builds a map, in time and memory that follow the live tiles. Meant for set-up: it submits and waits (device), or
 * computes (host).
 *
 * BigBird's random blocks: Philox4x32-10 (Salmon 2011) with the counter {draw / 4, block row, head, 0} and the key seed
 * (low word first); draw d takes word d % 4, times the number n of blocks left, divided by 2^32, as the place among
 * those blocks that are allowed and not drawn yet, in ascending order. Maps for all heads draw as head 0.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (the map is larger than a
 *         binding can see; DEVICE without a queue); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST. On failure *pattern is NULL.
 * Threads: any. */
VKA_API vka_status vka_pattern_create_sized(vka_device *device, const vka_pattern_desc *desc, size_t desc_size,
                                            size_t term_size, vka_pattern **pattern);
static inline vka_status vka_pattern_create(vka_device *device_, const vka_pattern_desc *desc_,
                                            vka_pattern **pattern_) {
    return vka_pattern_create_sized(device_, desc_, sizeof *desc_, sizeof *desc_->terms, pattern_);
}

/* Frees a map and sets *pattern to NULL. NULL and pointers to NULL are allowed. Work that uses it must have completed.
 */
VKA_API void vka_pattern_destroy(vka_pattern **pattern);

/* What a map is like. */
typedef struct vka_pattern_info {
    uint32_t queries, keys, heads; /* heads: 1 where all share a map                                               */
    uint32_t query_tile, key_tile;
    uint32_t tile_rows, tile_columns; /* of a head                                                                 */
    uint32_t longest_row;             /* live tiles of the row that has most                                       */
    bool ordered;                     /* walked in boxes of a grid                                                 */
    uint64_t live_tiles, full_tiles;  /* of all heads                                                              */
    uint64_t pairs;                   /* of a query and a key that it sees                                         */
    uint64_t bytes;                   /* of device memory                                                          */
    double density;                   /* pairs / (heads queries keys)                                              */
} vka_pattern_info;

/* What a map is like. Threads: any. */
VKA_API vka_pattern_info vka_pattern_get_info(const vka_pattern *pattern);

/* Copies a map to the host as a blob for vka_pattern_load and vka_pattern_parse; as vka_device_save_cache: with data ==
 * NULL only *size is set. Blobs fit every device.
 * @return VKA_OK; VKA_INVALID (capacity too small); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST. Threads: any. */
VKA_API vka_status vka_pattern_save(const vka_pattern *pattern, void *data, size_t *size);

/* Makes a map of a blob, or of one that a caller wrote (docs/pattern-format.md has the format). Everything is checked
 * first: a blob that leads outside of itself is refused, by name.
 * @return as vka_pattern_create. */
VKA_API vka_status vka_pattern_load(vka_device *device, const void *data, size_t size, vka_pattern **pattern);

/* A tile of keys that a tile of queries sees some of. */
typedef struct vka_pattern_tile {
    uint32_t column;  /* keys column * key_tile ..                                                                 */
    uint32_t partial; /* VKA_PATTERN_FULL, or the number of its bits                                               */
} vka_pattern_tile;
#define VKA_PATTERN_FULL UINT32_MAX

/* A blob's parts, which live as long as it does. */
typedef struct vka_pattern_map {
    vka_pattern_info info;
    const uint32_t *rows;          /* [heads * tile_rows + 1]: row r has the tiles rows[r] .. rows[r + 1] - 1      */
    const vka_pattern_tile *tiles; /* ascending columns in each row                                               */
    const uint32_t *bits;          /* [partial tiles, query_tile, key_tile / 32], lowest bit first                 */
    const uint32_t *permutation;   /* [tile_rows * query_tile]: the token in each slot; UINT32_MAX: none. NULL:   */
                                   /*   slot and token are the same                                               */
} vka_pattern_map;

/* Checks a blob as vka_pattern_load does; `device` is for the log, and may be NULL.
 * @return VKA_OK; VKA_INVALID; VKA_OUT_OF_MEMORY. Threads: any. */
VKA_API vka_status vka_pattern_parse(const vka_device *device, const void *data, size_t size, vka_pattern_map *map);

/* Does a query see a key? For looking at patterns: takes a search. False outside of the map. Threads: any. */
VKA_API bool vka_pattern_map_sees(const vka_pattern_map *map, uint32_t head, uint32_t query, uint32_t key);

#ifdef __cplusplus
}

extern "C++" {
static inline vka_status vka_pattern_create(vka_device *device_, const vka_pattern_desc &desc_,
                                            vka_pattern **pattern_) {
    return vka_pattern_create(device_, &desc_, pattern_);
}
}
#endif

#endif
