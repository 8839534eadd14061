/* What C and GLSL share of attention. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_ATTENTION_H
#define VKA_PARAMS_ATTENTION_H

#include "params.h"

/* One attention, the same for all of its dispatches. */
VKA_STRUCT(vka_attention_params) {
    vka_strides q;
    vka_strides k;
    vka_strides v;
    vka_strides out_;
    vka_strides lse;
    vka_strides mask; /* n: of a query, d: of a key */
    vka_strides stats;
    vka_strides k_scale;
    vka_strides v_scale;
    vka_strides scores;
    vka_strides permutation_; /* or of lists of keys: n of a query, d of a slot */
    vka_strides score_strides[4]; /* tensors of a caller's function: strides, and last indices, of dimensions */
    vka_strides score_last[4];    /*   that are aligned to the right                                    */
    VKA_UINT_ q_len; /* of the longest sequence */
    VKA_UINT_ kv_len;
    VKA_UINT_ group;       /* query heads per key head                                                 */
    VKA_INT_ band_lo;      /* query i sees keys i + band_lo .. i + band_hi, inclusive, and 0 .. kv_len - 1; */
    VKA_INT_ band_hi;      /*   with VKA_FLAG_OWN_DIAGONAL relative to kv_len - q_len of the sequence  */
    VKA_INT_ diagonal;     /* likewise: query i has the position i + diagonal                          */
    VKA_FLOAT_ score_scale; /* q.k to units of scores; 1 for kernels without options                   */
    VKA_FLOAT_ exp_scale;   /* a difference of two scores to an exponent of two                        */
    VKA_FLOAT_ lse_scale;   /* units of scores to natural ones                                         */
    VKA_UINT_ splits;    /* partial results of a row: of parts of keys times workgroups that share one */
    VKA_UINT_ parts;     /* of keys: see VKA_FLAG_PARTS                                                */
    VKA_UINT_ part_rows; /* rows of a query head that a slice has                                      */
    VKA_UINT_ ws_rows;  /* rows (head, query) of one batch of a slice in the workspace                 */
    VKA_UINT_ ws_stats; /* where the workspace's (max, sum) pairs begin, in floats                     */
    VKA_UINT_ least;    /* keys that repay a split                                                     */
    VKA_UINT_ heads;    /* query heads of the whole attention                                          */
    VKA_UINT_ q_rows;   /* rows of q and of k, which offsets may not leave                             */
    VKA_UINT_ kv_rows;
    VKA_FLOAT_ cap;         /* softcap in units of scores, and what it is divided by                   */
    VKA_FLOAT_ cap_inverse;
    VKA_UINT_ relative_row; /* stride of a head's relative biases                                      */
    VKA_UINT_ relative_step;
    VKA_INT_ relative_zero;
    VKA_INT_ relative_last;
    VKA_UINT_ relative_line;  /* of a grid: stride of a row of differences, its zero and its last one; tokens a row */
    VKA_INT_ relative_zero_y;
    VKA_INT_ relative_last_y;
    VKA_INT_ relative_width;
    VKA_UINT_ page_row; /* strides of a sequence's pages in the table, and of a page there             */
    VKA_UINT_ page_step;
    VKA_UINT_ page_last;
    VKA_UINT_ list_q_step; /* strides of the lists                                                     */
    VKA_UINT_ list_kv_step;
    VKA_UINT_ alibi_step;
    VKA_FLOAT_ alibi_beyond; /* of every distance: what the true diagonal has beyond `diagonal`        */
    VKA_UINT_ sinks_step;
    VKA_UINT_ drop_below;  /* dropout * 2^32                                                          */
    VKA_FLOAT_ keep_scale; /* 1 / (1 - dropout)                                                       */
    VKA_UINT_ seed_lo;
    VKA_UINT_ seed_hi;
    VKA_UINT_ random_offset;
    VKA_UINT_ has_random_step; /* 1: a tensor has what is added to it                                  */
    VKA_UINT_ map_heads; /* block map: 1 where all heads share it; of lists of keys: query heads that share one */
    VKA_UINT_ map_rows;  /* rows of tiles of a head                                                   */
    VKA_UINT_ map_tiles; /* where its tiles and its bits begin, in words                              */
    VKA_UINT_ map_bits;
    VKA_UINT_ map_least; /* live tiles that repay a split                                             */
    VKA_UINT_ slots;     /* of a permutation, of a list of keys                                           */
    VKA_UINT_ permutation_sure; /* 1: every slot of a full tile has a token that may be seen               */
    VKA_FLOAT_ score_constant0; /* of a caller's function                                                */
    VKA_FLOAT_ score_constant1;
    VKA_FLOAT_ score_constant2;
    VKA_FLOAT_ score_constant3;
#if !defined(VKA_GLSL) || defined(VKA_WITH_PRODUCTS)
    VKA_UINT_ cosine_step;
    VKA_UINT_ relative_keys_head; /* strides of a head's relative keys, of a key and a channel of them      */
    VKA_UINT_ relative_keys_row;
    VKA_UINT_ relative_keys_step;
    VKA_INT_ relative_keys_zero;
    VKA_INT_ relative_keys_last;
    VKA_UINT_ content_head; /* strides of a head's biases of queries, and of a channel                       */
    VKA_UINT_ content_step;
    VKA_UINT_ position_head;
    VKA_UINT_ position_step;
#endif
}
VKA_END(vka_attention_params);

/* Roles of tensors, and VKA_ROLE_OUT. */
#define VKA_ROLE_Q           0
#define VKA_ROLE_K           1
#define VKA_ROLE_V           2
#define VKA_ROLE_MASK        4
#define VKA_ROLE_RELATIVE_KEYS 5
#define VKA_ROLE_CONTENT     6
#define VKA_ROLE_SLOW_HALVES 7 /* no tensor: 1 where the device is slow at converting f16 */

#define VKA_FLAG_BAND        1  /* band_lo or band_hi excludes something                                 */
#define VKA_FLAG_LSE         2  /* the log-sum-exp is wanted                                             */
#define VKA_FLAG_SPLIT       4  /* keys are split: partial results go to the workspace                   */
#define VKA_FLAG_PACK        8  /* query heads of a key head share a tile                                */
#define VKA_FLAG_VEC4_QK     16 /* q and k can be read four channels at a time                           */
#define VKA_FLAG_VEC4_V      32
#define VKA_FLAG_VEC4_OUT    64
/* Of attention kernels with options. */
#define VKA_FLAG_SOFTCAP      128
#define VKA_FLAG_ALIBI        256
#define VKA_FLAG_RELATIVE     512
#define VKA_FLAG_SINKS        1024
#define VKA_FLAG_Q_LENGTHS    2048
#define VKA_FLAG_Q_OFFSETS    4096
#define VKA_FLAG_KV_LENGTHS   8192
#define VKA_FLAG_KV_OFFSETS   16384
#define VKA_FLAG_OWN_DIAGONAL 32768  /* the band lies relative to each sequence's own last key        */
#define VKA_FLAG_HARD         65536  /* the highest score takes all                                   */
#define VKA_FLAG_SAMPLE       131072 /* scores get noise                                              */
#define VKA_FLAG_DROPOUT      262144
#define VKA_FLAG_STATS        524288
#define VKA_FLAG_VEC4_MASK    1048576 /* a row's masks can be read four keys at a time, from a multiple of four on */

#define VKA_FLAG_GRID_BIAS    4194304 /* relative biases are of rows and columns of a grid               */
#define VKA_FLAG_PERMUTATION  2097152 /* rows and keys are walked in a permutation: slots are not tokens    */
#define VKA_FLAG_PARTS        8388608 /* a dispatch binds a part of the keys, and sees no others; of all kernels */
#define VKA_FLAG_KEY_LISTS    536870912 /* rows and keys are of a query's list: see attention.glsl            */
/* Of attention kernels with products. */
#define VKA_FLAG_COSINE             16777216 /* rows of q and k count as of length 1                       */
#define VKA_FLAG_RELATIVE_KEYS      33554432 /* and queries are multiplied by keys of relative positions, too */
#define VKA_FLAG_VEC4_RELATIVE_KEYS 67108864 /* which can be read four channels at a time                  */
#define VKA_FLAG_CONTENT_BIAS       134217728 /* what queries get before they are multiplied by keys,      */
#define VKA_FLAG_POSITION_BIAS      268435456 /* and by keys of relative positions                         */

/* Bindings. */
#define VKA_BIND_Q         1
#define VKA_BIND_K         2
#define VKA_BIND_V         3
#define VKA_BIND_OUT       4
#define VKA_BIND_LSE       5
#define VKA_BIND_WORKSPACE 6
/* Of attention kernels with options (VKA_WITH_OPTIONS = 1). */
#define VKA_BIND_MASK       7
#define VKA_BIND_RELATIVE   8
#define VKA_BIND_ALIBI      9
#define VKA_BIND_SINKS      10
#define VKA_BIND_Q_LIST     11
#define VKA_BIND_KV_LIST    12
#define VKA_BIND_PAGES      13
#define VKA_BIND_K_SCALE    14
#define VKA_BIND_V_SCALE    15
#define VKA_BIND_STATS      16
#define VKA_BIND_MAP        17
#define VKA_BIND_PERMUTATION 13 /* pages have none */
#define VKA_BIND_RANDOM_STEP 13 /* neither do they go together with it */
#define VKA_BIND_KEY_LISTS   VKA_BIND_MAP
/* Tensors of a caller's function (VKA_SCORE_FUNCTION), which has none of what else is bound there. */
#define VKA_BIND_SCORE_TENSOR0 VKA_BIND_ALIBI
#define VKA_BIND_SCORE_TENSOR1 VKA_BIND_RELATIVE
#define VKA_BIND_SCORE_TENSOR2 VKA_BIND_MASK
#define VKA_BIND_SCORE_TENSOR3 VKA_BIND_SINKS
/* Of attention kernels with products (VKA_WITH_PRODUCTS), which have none of what else is bound there. */
#define VKA_BIND_COSINE        VKA_BIND_ALIBI
#define VKA_BIND_RELATIVE_KEYS VKA_BIND_RELATIVE
#define VKA_BIND_CONTENT       VKA_BIND_ALIBI
#define VKA_BIND_POSITION      VKA_BIND_SINKS

#endif
