/* The paths of attention, for its plan. SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_PATHS_H
#define VKA_ATTENTION_PATHS_H

#include "op/path.h"
#include "ops/attention/plan.h"

/* A path, of problems that are vka__attention_problem, with the pipeline of a tile. */
typedef struct vka__attention_path {
    vka__path path;
    /* Kernel, shared memory, and specialization constants but for flags, dimensions and the tile. */
    void (*fill)(const vka_device_caps *caps, const vka__attention_problem *problem, const vka__tile *tile,
                 vka__attention_plan *plan);
    /* Query heads that share a key head share a tile when twice their queries are at most this many rows. */
    uint32_t (*pack_rows)(const vka_device_caps *caps, const vka__attention_problem *problem, const vka__tile *tile);
} vka__attention_path;

extern const vka__attention_path vka__path_row, vka__path_tile, vka__path_decode, vka__path_coopmat, vka__path_coopmat2,
    vka__path_dot, vka__path_coopmat_registers;
/* By vka_attention_path. */
extern const vka__paths vka__attention_paths;

/* What the paths share. */

/* The kernel without options, or one behind it, with them. */
vka__kernel vka__attention_kernel(vka__kernel plain, const vka__attention_problem *problem);
/* Does it need a kernel with products, the second one behind that without options? Only some paths have one. */
bool vka__has_products(const vka__attention_problem *problem);
/* Why the others can't run such a problem. */
#define VKA__NO_PRODUCTS "it multiplies rows as they are stored, and has neither cosines nor relative keys"
#define VKA__NO_ORDER    "it multiplies by whole rows of weights, and has no order among keys of equal score"
/* Is a tensor of keys or values stored as `dtype`, or quantised? Matrices and pairs are made of one type. */
bool vka__is_convertible(const vka__view *view, vka_dtype dtype);
/* Query heads of a key head. */
uint32_t vka__group_of(const vka__attention_problem *problem);
/* Is a tile small enough for the walk over the problem's block map, if it has one? */
bool vka__map_holds(const vka__attention_problem *problem, const vka__tile *tile);
/* The most queries of a sequence, or many, where the choice must not follow from them. */
uint32_t vka__queries(const vka__attention_problem *problem);
/* Rows of a grid head when packed. */
uint32_t vka__packed_rows(const vka__attention_problem *problem);
/* Rows that walk the same keys: those of a query head, packed if a path packs up to `pack_rows` and there are so few;
 * of lists of keys a query's heads that share one. */
uint32_t vka__rows_with_keys(const vka__attention_problem *problem, uint32_t pack_rows);
/* Shared memory that kernels with options declare where invocations share rows (key_lists.glsl). */
uint32_t vka__list_bytes(const vka__attention_problem *problem);

/* What the row path shares with the backward pass: do subgroups broadcast what their invocations load in parts, and how
 * many invocations a workgroup has. */
bool vka__row_broadcasts(const vka_device_caps *caps);
uint32_t vka__row_threads(const vka_device_caps *caps);

/* What the dot path shares with the tile path. */

const char *vka__tile_why_not(const vka_device_caps *caps, const void *problem);
/* With so much shared memory, and at most so many vectors of four outputs of an invocation. */
bool vka__tile_fits(const vka_device_caps *caps, const vka__attention_problem *problem, const vka__tile *tile,
                    uint32_t shared, uint32_t most_vectors);
uint32_t vka__tile_pack_rows(const vka_device_caps *caps, const vka__attention_problem *problem, const vka__tile *tile);
/* Rows that a tile may be asked to hold. */
uint32_t vka__tile_rows(const vka__attention_problem *problem);

/* Fills in kernel, tile, rows, shared memory, path and reason; false with the refusal: the path or the tile that the
 * description asks for can't run here. */
bool vka__choose_path(const vka_device_caps *caps, const vka__attention_problem *problem, vka__attention_plan *plan,
                      vka__refusal *refusal);

#endif
