/* Words of tiles, for the host: what the queries of a tile have in common is found once for a row of tiles.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PLAN_PATTERN_TILE_H
#define VKA_PLAN_PATTERN_TILE_H

#include "core/core.h"
#include "pattern_grid.h"

#define VKA_TILE_MOST       128 /* queries, or keys */
#define VKA_TILE_MOST_WORDS (VKA_TILE_MOST * (VKA_TILE_MOST / 32))
#define VKA_BOX_MOST        16 /* tokens along an axis */

/* What the queries of a row see by a term that is a grid: in an ordered map by coordinates in their box, axis by axis;
 * otherwise by slots. */
typedef union vka__row_sees {
    struct {
        axis_keys z[VKA_BOX_MOST], y[VKA_BOX_MOST], x[VKA_BOX_MOST];
    } box;
    grid_keys slot[VKA_TILE_MOST];
} vka__row_sees;

typedef struct vka__tile_row {
    const uint32_t *program;
    uint32_t head, i0, i1;            /* slots of its queries           */
    uint32_t queries;                 /* that there are                  */
    vka__row_sees *sees;              /* by term; NULL: none is a grid   */
    bool ordered;                     /* then tiles are boxes            */
    grid_point origin;                /* where the row's begins          */
    grid_point inside[VKA_TILE_MOST]; /* of slots, from where a box begins */
} vka__tile_row;

/* False: no memory. */
bool vka__tile_row_init(const vka__context *ctx, const uint32_t *program, vka__tile_row *r);
void vka__tile_row_free(const vka__context *ctx, vka__tile_row *r);

/* Goes to a row. */
void vka__tile_row_begin(vka__tile_row *r, uint32_t head, uint32_t row);

/* The tokens in the slots of the row's tile. */
void vka__tile_row_permutation(const vka__tile_row *r, uint32_t *permutation);

/* The words of tile t of keys, [query_tile, key_tile / 32]; queries and keys that don't exist have no bits. */
void vka__tile_row_words(const vka__tile_row *r, uint32_t t, uint32_t *words);

#endif
