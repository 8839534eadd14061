/* What C and GLSL share of sorts by hashes. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_LSH_H
#define VKA_PARAMS_LSH_H

#include "params.h"

/* One sort by hashes. Of rows (round, entry, head), b of the strides is a round, h an entry, n a head. */
VKA_STRUCT(vka_lsh_params) {
    vka_strides x; /* b of an entry, h of a head, n of a token                                       */
    vka_strides keys;
    vka_strides rotations; /* b of a round, h of a head, n of a channel, d of a column                */
    vka_strides permutation; /* d of a token */
    vka_strides buckets_;
    VKA_UINT_ tokens;       /* N                                                                      */
    VKA_UINT_ dim;          /* D                                                                      */
    VKA_UINT_ columns;      /* of the first hash                                                      */
    VKA_UINT_ more_columns; /* of the second one; 0: there is none                                    */
    VKA_UINT_ buckets;      /* how many there are                                                     */
    VKA_UINT_ block;        /* tokens that are counted together                                       */
    VKA_UINT_ blocks;       /* of a row                                                               */
    VKA_UINT_ ws_buckets;   /* where in the workspace the tokens' buckets lie, behind all counts       */
    VKA_UINT_ length_step;
    VKA_FLOAT_ epsilon; /* D epsilon                                                                  */
}
VKA_END(vka_lsh_params);

/* And VKA_FLAG_X_VEC4, VKA_FLAG_LENGTHS. */
#define VKA_FLAG_KEYS      1 /* optional outputs that are there                                          */
#define VKA_FLAG_BUCKETS   2
#define VKA_FLAG_KEYS_VEC4 4

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_ROTATIONS 2
#define VKA_BIND_KEYS      3
#define VKA_BIND_SORTED    4
#define VKA_BIND_BUCKETS   5
#define VKA_BIND_SCRATCH   6
#define VKA_BIND_SORT_LENS 7
/* Of sorts of a block map's tiles. */
#define VKA_BIND_COLUMN_TILES 2

#endif
