/* What C and GLSL share of rotary embeddings. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_ROPE_H
#define VKA_PARAMS_ROPE_H

#include "params.h"

/* Two numbers of 64 bits. */
VKA_STRUCT(vka_digits) {
    VKA_UINT_ first_high;
    VKA_UINT_ first_low;
    VKA_UINT_ second_high;
    VKA_UINT_ second_low;
}
VKA_END(vka_digits);

/* Half the channels that theta can serve: frequencies are products of one of 16 coarse and one of 16 fine numbers. */
#define VKA_ROPE_DIGITS    16
#define VKA_ROPE_MAX_PAIRS 256

/* How rows are rotated; a multiple of 16 bytes. */
VKA_STRUCT(vka_rope_params) {
    vka_digits coarse[8]; /* turns per position of pairs 0, 16, ..; in units of 2^-64                */
    vka_digits fine[8];   /* what pairs 0, 1, .. 15 are slower by; in units of 2^-63                 */
    vka_strides cos_;     /* b of an entry, n of a position or row, d of a pair                      */
    vka_strides sin_;
    VKA_UINT_ pairs;      /* R / 2                                                                     */
    VKA_UINT_ table_rows; /* positions of tables of rank 2                                             */
    VKA_INT_ offset;      /* added to every position                                                   */
    VKA_UINT_ reserved;
}
VKA_END(vka_rope_params);

/* One rotation of a tensor. */
VKA_STRUCT(vka_rotate_params) {
    vka_rope_params rope;
    vka_strides x;
    vka_strides out_;
    vka_strides scale; /* of an i8 cache's rows                                                        */
    VKA_UINT_ cols;       /* D                                                                         */
    VKA_UINT_ units;      /* of a row: VKA_ROPE_UNIT channels each, those that turn first              */
    VKA_UINT_ position_b; /* strides of the list of positions                                          */
    VKA_UINT_ position_n;
}
VKA_END(vka_rotate_params);
#define VKA_ROPE_UNIT 8

#define VKA_ROLE_CACHE 3 /* rope: out */

/* Of cache and rope kernels. */
#define VKA_FLAG_ROPE          1
#define VKA_FLAG_INTERLEAVED   2
#define VKA_FLAG_TABLES        4
#define VKA_FLAG_TABLE_ROWS    8  /* tables have a row for each row of x, not for each position             */
#define VKA_FLAG_ROPE_VEC4     16 /* the partners of four channels are four channels, aligned alike         */
#define VKA_FLAG_CACHE_VEC4    64
#define VKA_FLAG_OFFSETS       256
#define VKA_FLAG_POSITIONS     512
#define VKA_FLAG_SAME_POSITION 1024 /* a row's number is not added to its position                          */
#define VKA_FLAG_INVERSE       2048 /* sines have the other sign                                            */

/* Bindings; the first ones of the cache's kernels, too. */
#define VKA_BIND_ROTATED    2
#define VKA_BIND_POSITIONS  3
#define VKA_BIND_COS        4
#define VKA_BIND_SIN        5
#define VKA_BIND_CACHE      VKA_BIND_ROTATED
#define VKA_BIND_SCALE      6 /* of an i8 cache's rows                                                     */

#endif
