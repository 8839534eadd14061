/* The plan of an attention: which kernel runs, with which tiles, over which ranges.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_PLAN_H
#define VKA_ATTENTION_PLAN_H

#include "op/geometry.h"
#include "op/text.h"
#include "op/tuning.h"
#include "params/attention.h"

#define VKA_MAX_HEAD_DIM  576
#define VKA_MAX_VALUE_DIM 512
#define VKA_MAX_SPLITS    64

typedef struct vka__pattern_shape vka__pattern_shape;

/* Storage buffers that kernels with options bind. */
#define VKA_OPTIONS_BUFFERS (VKA_MAX_BINDINGS - 1)

/* A checked description. q, k, v, out, mask, stats and scores are [B, H, N, D]-shaped views, lse and the scales of keys
 * and values too, with D = 1; a dimension of 1 serves any. Paged k, v and scales are [pages, H, page rows, D]. Lists,
 * biases and sinks are [1, 1, rows, columns]-shaped. */
typedef struct vka__attention_problem {
    vka__view q, k, v, out, lse;
    vka__view mask, relative, alibi, sinks, q_list, kv_list, pages, k_scale, v_scale, stats, scores;
    vka__view
        map; /* a block map's words; rows are those of the problem's queries, in slots if there is a permutation */
    vka__view permutation;                           /* [B, H, slots, 1]             */
    vka__view cosine, content, position;             /* as biases are                */
    vka__view relative_keys;                         /* [1, H, rows, D]              */
    vka__view key_lists;                             /* [B, H or fewer, N, slots]    */
    vka__view random_step;                           /* present if it is read        */
    const struct vka_score_function *score_function; /* the caller's; NULL: none */
    vka__view score_tensor[4];                       /* that it reads            */
    float score_constant[4];
    bool values_are_keys;              /* v is the first channels of k                                               */
    const vka__pattern_shape *pattern; /* of map                                                                    */
    bool permutation_sure;         /* slots of full tiles need no look: the permutation is the map's own             */
    uint32_t batch, q_len, kv_len; /* sequences, and the longest one's lengths */
    bool device_lengths;           /* some are read when the commands run      */
    uint32_t options;              /* VKA_FLAG_* of kernels with options, but for those of views           */
    float scale;                   /* as applied                                          */
    float softcap;
    int32_t band_lo; /* query i sees i + band_lo <= j <= i + band_hi        */
    int32_t band_hi;
    bool band;        /* false: every query sees every key                   */
    int32_t diagonal; /* query i has the position i + diagonal; both relative to each sequence's own last key with  */
                      /*   VKA_FLAG_OWN_DIAGONAL                              */
    int64_t diagonal_rest; /* of a diagonal too far off for 32 bits: what it is above that, a multiple of */
    /*   relative_width                                   */
    uint32_t relative_zero;
    uint32_t relative_keys_zero;
    uint32_t relative_width, relative_zero_row; /* of a grid; 0: none. relative is then [1, H, rows, columns]-shaped */
    float dropout;
    uint64_t seed;
    uint32_t random_offset;
    uint32_t score_stage;
    uint32_t path;             /* vka_attention_path                                  */
    vka__tile tile;            /* bc = 0: choose                                      */
    uint32_t splits;           /* 0 = choose                                          */
    uint32_t dequantise;       /* vka_dequantise                                      */
    bool batch_invariant;      /* bits must not depend on other sequences             */
    const vka__tuning *tuning; /* what was measured on this device; may be NULL */
} vka__attention_problem;

/* What a binding sees at a time: everything; one batch entry; in it, one key head with its query heads; one query head.
 */
typedef enum vka__slice {
    VKA__SLICE_ALL = 0,
    VKA__SLICE_BATCH = 1,
    VKA__SLICE_HEAD = 2,
    VKA__SLICE_QUERY_HEAD = 3,
} vka__slice;

typedef struct vka__attention_plan {
    vka_attention_params params;
    uint32_t path;
    vka__slice slice;
    uint32_t slices;    /* times ranges of queries                              */
    uint32_t part_rows; /* of a query head that a slice has; fewer than all only where it is one head */
    uint32_t row_parts; /* ranges of so many                                    */
    uint32_t parts;     /* of keys, each bound by dispatches of its own, and merged */
    uint32_t part_keys; /* pages, or rows of k and v, of a part                 */
    uint32_t splits;    /* of a part                                            */
    uint32_t tiles;     /* query tiles of a (packed) head of a slice       */
    uint32_t heads;     /* heads of the grid: key heads when packed        */
    uint32_t rows;      /* rows of a grid head                             */
    uint32_t shared_bytes;
    uint32_t workgroups;                         /* that splits aim at; 0: the class's default  */
    vka__pipeline_key main, merge, scores, size; /* merge only with splits or parts */
    bool indirect; /* the first dispatch computes how many workgroups main and merge have */
    vka__grid main_grid, merge_grid, scores_grid;
    uint64_t main_chunks, merge_chunks, scores_chunks; /* dispatches of a slice; of scores and main, for each part */
    uint64_t workspace_bytes;
    const char *why;  /* the reason of the choice, for explain               */
    uint32_t avoided; /* lines of the table of known drivers that concern the problem, as bits */
} vka__attention_plan;

/* Sizes of a problem without lists and pages, from its views. */
void vka__attention_sizes(vka__attention_problem *problem);
/* Rows of a query head: its queries, or the slots of a permutation. */
uint32_t vka__attention_rows(const vka__attention_problem *problem);
/* Rows of a grid head: of lists of keys each query has whole tiles. */
uint32_t vka__grid_rows(const vka__attention_problem *problem, bool pack, uint32_t tile_rows);
/* Keys that a tile of queries can see at most. */
uint32_t vka__live_keys(const vka__attention_problem *problem, uint32_t tile_rows);
/* Does it need a kernel with options? */
bool vka__attention_has_options(const vka__attention_problem *problem);

/* What kernels are told, for an attention whose slices, ranges and parts are chosen. */
void vka__attention_fill_params(const vka_device_caps *caps, const vka__attention_problem *problem,
                                const vka__attention_plan *plan, vka_attention_params *params);
/* Specialization constants but for those of a tile: flags, types, dimensions, pages and map. `pack`: query heads share
 * a tile. */
void vka__attention_fill_spec(const vka_device_caps *caps, const vka__attention_problem *problem, bool pack,
                              uint32_t *spec);

/* VKA_OK or VKA_UNSUPPORTED with the refusal filled in. Batch, queries and value dimension are not zero. */
vka_status vka__plan_attention(const vka_device_caps *caps, const vka__attention_problem *problem,
                               vka__attention_plan *plan, vka__refusal *refusal);
uint64_t vka__attention_dispatches(const vka__attention_plan *plan);
/* Dispatch `index` in the order of execution, into zeroed memory. */
void vka__attention_dispatch(const vka_device_caps *caps, const vka__attention_problem *problem,
                             const vka__attention_plan *plan, uint64_t index, vka__dispatch *dispatch);
/* The pipelines that dispatches number; kernel VKA__KERNEL_COUNT: no dispatch has it. */
#define VKA__ATTENTION_KEYS 4
void vka__attention_keys(const vka__attention_plan *plan, vka__pipeline_key keys[VKA__ATTENTION_KEYS]);
void vka__explain_attention(const vka__attention_problem *problem, const vka__attention_plan *plan, vka__text *text);

#endif
