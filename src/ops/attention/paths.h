/* The paths of attention, for its plan. SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_PATHS_H
#define VKA_ATTENTION_PATHS_H

#include "ops/attention/plan.h"

/* One way to run an attention: where it can, its tiles, and the pipeline of a tile. */
typedef struct vka__path {
    /* Why the path can't run a problem here, whatever the tile; NULL: it can. */
    const char *(*why_not)(const vka_device_caps *caps, const vka__attention_problem *problem);
    /* Number `index` of the path's tiles, fitting or not; false: there are no more. */
    bool (*tile)(const vka_device_caps *caps, const vka__attention_problem *problem, uint32_t index, vka__tile *tile);
    bool (*fits)(const vka_device_caps *caps, const vka__attention_problem *problem, const vka__tile *tile);
    /* The tile it takes when nothing was measured; false: none that pays. What is not listed, or does not fit, is not
     * taken. */
    bool (*choose)(const vka_device_caps *caps, const vka__attention_problem *problem, vka__tile *tile);
    /* Kernel, shared memory, and specialization constants but for flags, dimensions and the tile. */
    void (*fill)(const vka_device_caps *caps, const vka__attention_problem *problem, const vka__tile *tile,
                 vka__attention_plan *plan);
    /* Query heads that share a key head share a tile when twice their queries are at most this many rows. */
    uint32_t (*pack_rows)(const vka_device_caps *caps, const vka__attention_problem *problem, const vka__tile *tile);
    bool rows_follow; /* a tile's rows follow from the problem: only its keys are a choice */
} vka__path;

extern const vka__path vka__path_row, vka__path_tile, vka__path_decode, vka__path_coopmat, vka__path_coopmat2,
    vka__path_dot;

/* What the paths share. */

/* The kernel without options or the one behind it, with them. */
vka__kernel vka__attention_kernel(vka__kernel plain, const vka__attention_problem *problem);
/* Is a tensor of keys or values stored as `dtype`, or quantised? Matrices and pairs are made of one type. */
bool vka__is_convertible(const vka__view *view, vka_dtype dtype);
/* Do compilers for it spill where others have registers to spare? */
bool vka__has_few_registers(const vka_device_caps *caps);
/* Query heads of a key head. */
uint32_t vka__group_of(const vka__attention_problem *problem);
/* Is a tile small enough for the walk over the problem's block map, if it has one? */
bool vka__map_holds(const vka__attention_problem *problem, const vka__tile *tile);
/* Rows of a grid head when packed. */
uint32_t vka__packed_rows(const vka__attention_problem *problem);
/* The smallest of the path's first `count` tiles that holds `rows`, or the first that fits. */
bool vka__first_fitting(const vka__path *path, const vka_device_caps *caps, const vka__attention_problem *problem,
                        uint32_t rows, uint32_t count, vka__tile *tile);
/* The width that a workgroup of one subgroup is made for; 0: nobody knows how wide subgroups are here. */
uint32_t vka__subgroup_width(const vka_device_caps *caps);
/* The width that matrices are made for; 0 likewise. */
uint32_t vka__matrix_width(const vka_device_caps *caps);
/* Does the coopmat2 path load the problem's keys and values through functions that decode each element, where a
 * workgroup holds the matrices? */
bool vka__coopmat2_decodes(const vka__attention_problem *problem);
/* Does a tile of the coopmat path need more registers than the device has? */
bool vka__coopmat_spills(const vka_device_caps *caps, const vka__attention_problem *problem, const vka__tile *tile);

/* What the dot path shares with the tile path. */

const char *vka__tile_why_not(const vka_device_caps *caps, const vka__attention_problem *problem);
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

/* Number `index` of all paths' tiles that fit a problem, in the order of paths; false: there are no more. */
bool vka__attention_candidate(const vka_device_caps *caps, const vka__attention_problem *problem, uint32_t index,
                              uint32_t *path, vka__tile *tile);

#endif
