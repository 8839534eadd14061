/* Layouts that C and GLSL share: parameter blocks (uniform buffer, binding 0), push constants, specialization
 * constants. Structures of four 32-bit members first, then single ones: so std140 and C agree. SPDX-License-Identifier:
 * MIT */
#ifndef VKA_PARAMS_H
#define VKA_PARAMS_H

#ifndef VKA_GLSL
#    include <stdint.h>
#    define VKA_UINT_        uint32_t
#    define VKA_INT_         int32_t
#    define VKA_FLOAT_       float
#    define VKA_STRUCT(name) typedef struct name
#    define VKA_END(name)    name
#else
#    define VKA_UINT_        uint
#    define VKA_INT_         int
#    define VKA_FLOAT_       float
#    define VKA_STRUCT(name) struct name
#    define VKA_END(name)
#endif

/* Strides in elements of batch, head, sequence and channel; 0 where a slice never steps. */
VKA_STRUCT(vka_strides) {
    VKA_UINT_ b;
    VKA_UINT_ h;
    VKA_UINT_ n;
    VKA_UINT_ d;
}
VKA_END(vka_strides);

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
    vka_strides permutation_;
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
    VKA_UINT_ map_heads; /* block map: 1 where all heads share it                                    */
    VKA_UINT_ map_rows;  /* rows of tiles of a head                                                   */
    VKA_UINT_ map_tiles; /* where its tiles and its bits begin, in words                              */
    VKA_UINT_ map_bits;
    VKA_UINT_ map_least; /* live tiles that repay a split                                             */
    VKA_UINT_ slots;     /* of a permutation                                                              */
    VKA_UINT_ permutation_sure; /* 1: every slot of a full tile has a token that may be seen               */
}
VKA_END(vka_attention_params);

/* One norm. Rows lie in up to three leading dimensions: b, h and n of the strides. */
VKA_STRUCT(vka_norm_params) {
    vka_strides x;
    vka_strides residual;
    vka_strides sum;
    vka_strides out_;
    vka_strides mean;
    vka_strides inv_std;
    VKA_UINT_ weight_stride;
    VKA_UINT_ bias_stride;
    VKA_UINT_ cols;
    VKA_FLOAT_ epsilon;
}
VKA_END(vka_norm_params);

/* One merge of two attentions. */
VKA_STRUCT(vka_merge_params) {
    vka_strides a;
    vka_strides b;
    vka_strides a_lse;
    vka_strides b_lse;
    vka_strides out_;
    vka_strides lse;
    VKA_UINT_ cols; /* Dv */
}
VKA_END(vka_merge_params);

/* One row of relative biases for every head, made from T5's table. */
VKA_STRUCT(vka_relative_t5_params) {
    VKA_UINT_ table_row; /* strides of a bucket and of a head */
    VKA_UINT_ table_step;
    VKA_UINT_ out_row; /* strides of a head and of a distance */
    VKA_UINT_ out_step;
    VKA_UINT_ cols;  /* L                                                                            */
    VKA_INT_ zero;   /* where the distance is 0                                                      */
    VKA_UINT_ edges; /* how many there are                                                           */
    VKA_UINT_ ahead; /* first bucket of keys after the query; 0: they count as being at the query    */
}
VKA_END(vka_relative_t5_params);

/* One row of relative biases for every head, made from adaptive spans. */
VKA_STRUCT(vka_relative_span_params) {
    VKA_UINT_ spans_step;
    VKA_UINT_ out_row; /* strides of a head and of a distance */
    VKA_UINT_ out_step;
    VKA_UINT_ cols;  /* L                                                                            */
    VKA_INT_ zero;   /* where the distance is 0                                                      */
    VKA_FLOAT_ ramp; /* R                                                                            */
}
VKA_END(vka_relative_span_params);

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
    VKA_UINT_ cols;       /* D                                                                         */
    VKA_UINT_ units;      /* of a row: VKA_ROPE_UNIT channels each, those that turn first              */
    VKA_UINT_ position_b; /* strides of the list of positions                                          */
    VKA_UINT_ position_n;
}
VKA_END(vka_rotate_params);
#define VKA_ROPE_UNIT 8

/* One append to a cache. Of pairs, the first is of keys and the second of values. */
VKA_STRUCT(vka_cache_params) {
    vka_rope_params rope;
    vka_strides x[2];
    vka_strides cache[2]; /* b of a sequence or a page, n of a token there                           */
    vka_strides scale[2];
    VKA_UINT_ capacity;
    VKA_UINT_ tokens; /* new ones of a sequence, at most                                          */
    VKA_UINT_ sequences;
    VKA_UINT_ rows;        /* of packed tensors, which offsets may not leave                           */
    VKA_UINT_ length_step; /* strides of lists                                                         */
    VKA_UINT_ offset_step;
    VKA_UINT_ new_step;
    VKA_UINT_ page_row; /* strides of a sequence's pages in the table, and of a page there             */
    VKA_UINT_ page_step;
}
VKA_END(vka_cache_params);

/* One pass of building a block map: where its parts begin, in words. */
VKA_STRUCT(vka_pattern_params) {
    VKA_UINT_ tiles_at;
    VKA_UINT_ bits_at;
    VKA_UINT_ permutation_at; /* 0: there is none                                                            */
}
VKA_END(vka_pattern_params);

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

/* Push constants of every kernel: what changes from dispatch to dispatch. */
VKA_STRUCT(vka_push) {
    VKA_UINT_ base[18]; /* first element of each tensor within its binding                            */
    VKA_UINT_ x0;       /* attention, relative biases, patterns, sorts: first workgroup in x, y, z    */
    VKA_UINT_ y0;       /* cache: first new token; first page, or token, that is bound, and how many   */
    VKA_UINT_ z0;       /* patterns: 1 writes the map, 0 counts its tiles; sorts: first round         */
    VKA_UINT_ b0;   /* attention, sorts: batch entry and query head where the slice begins              */
    VKA_UINT_ h0;   /* cache: 0 keys, 1 values                                                          */
    VKA_UINT_ rows; /* norms, merges, cache, rope, sorts: rows of the dispatch, a box with these sizes   */
                    /*   of dimensions 1 and 2                                                          */
    VKA_UINT_ dim1; /* attention: rows is the part of keys, dim1 the first page, or row of keys, that is */
    VKA_UINT_ dim2; /*   bound, and dim2 how many are                                                   */
    VKA_UINT_ row0; /* attention: first query of the slice                                              */
}
VKA_END(vka_push);

/* Specialization constant ids, shared by all kernels. */
#define VKA_SPEC_GROUP_SIZE 0 /* invocations of a workgroup                                          */
#define VKA_SPEC_D          1 /* head dimension                                                      */
#define VKA_SPEC_DV         2 /* value dimension                                                     */
#define VKA_SPEC_FLAGS      3 /* VKA_FLAG_*                                                          */
#define VKA_SPEC_BR         4 /* query rows of a workgroup                                           */
#define VKA_SPEC_BC         5 /* keys of a step                                                      */
#define VKA_SPEC_RM         6 /* rows of an invocation                                               */
#define VKA_SPEC_TC         7 /* invocations that share a row                                        */
#define VKA_SPEC_COLS       8 /* norms: vectors of four that an invocation keeps in registers; 0: rows are read again */
#define VKA_SPEC_SUBGROUP   9 /* subgroup size that the kernel is made for; 0: any                   */
#define VKA_SPEC_M          10 /* matrices: one product is M x K by K x N                             */
#define VKA_SPEC_N          11
#define VKA_SPEC_K          12
#define VKA_SPEC_TYPES      13 /* types of tensors, a field of four bits each: VKA_TYPE_* << 4 * VKA_ROLE_*       */
#define VKA_SPEC_PAGE       14 /* rows of a page; 0: not paged                                         */
#define VKA_SPEC_MAP        15 /* block map: log2 of its query tile + 256 * log2 of its key tile; 0: there is none */
#define VKA_SPEC_LOW_REGISTER 16 /* matrices: 1 keeps in shared memory what else would wait in registers          */
#define VKA_SPEC_COUNT      17

/* Types as in vka_dtype; 0: absent. */
#define VKA_TYPE_F32  1
#define VKA_TYPE_F16  2
#define VKA_TYPE_BF16 3
#define VKA_TYPE_U8   4
#define VKA_TYPE_I8   5
#define VKA_TYPE_I32  6
#define VKA_TYPE_Q8_0 7

/* Roles of tensors that have types. */
#define VKA_ROLE_Q           0
#define VKA_ROLE_K           1
#define VKA_ROLE_V           2
#define VKA_ROLE_OUT         3
#define VKA_ROLE_MASK        4
#define VKA_ROLE_SCORES      5
#define VKA_ROLE_SLOW_HALVES 7 /* no tensor: 1 where the device is slow at converting f16 */
/* Of merges and relative biases. */
#define VKA_ROLE_A          0
#define VKA_ROLE_B          1
#define VKA_ROLE_BIAS_TABLE 0
/* Cache, rope, norms (weights and biases are a table). */
#define VKA_ROLE_X        0
#define VKA_ROLE_TABLE    1
#define VKA_ROLE_CACHE    3 /* rope: out */

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

#define VKA_FLAG_WEIGHT       128 /* norms: optional tensors                                               */
#define VKA_FLAG_BIAS         256
#define VKA_FLAG_RESIDUAL     512
#define VKA_FLAG_SUM          1024
#define VKA_FLAG_MEAN         2048
#define VKA_FLAG_INV_STD      4096
#define VKA_FLAG_VEC4         8192  /* norms, merges: all rows can be read and written four columns at a time */
#define VKA_FLAG_RMS          16384 /* norms: of squares, not of deviations from the mean              */
#define VKA_FLAG_ZERO_CENTRED 32768 /* norms: weights are what there is above 1                         */

/* Of cache and rope kernels. */
#define VKA_FLAG_ROPE        1
#define VKA_FLAG_INTERLEAVED 2
#define VKA_FLAG_TABLES      4
#define VKA_FLAG_TABLE_ROWS  8  /* tables have a row for each row of x, not for each position             */
#define VKA_FLAG_ROPE_VEC4   16 /* the partners of four channels are four channels, aligned alike         */
#define VKA_FLAG_X_VEC4      32 /* rows can be read or written four channels at a time                    */
#define VKA_FLAG_CACHE_VEC4  64
#define VKA_FLAG_LENGTHS     128 /* lists that are there                                                   */
#define VKA_FLAG_OFFSETS     256
#define VKA_FLAG_POSITIONS   512

/* Of sorts; and VKA_FLAG_X_VEC4, VKA_FLAG_LENGTHS. */
#define VKA_FLAG_KEYS      1 /* optional outputs that are there                                          */
#define VKA_FLAG_BUCKETS   2
#define VKA_FLAG_KEYS_VEC4 4

/* Bindings. 0 is always the parameter block. */
#define VKA_BIND_PARAMS    0
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

#define VKA_BIND_X          1
#define VKA_BIND_RESIDUAL   2
#define VKA_BIND_WEIGHT     3
#define VKA_BIND_NORM_OUT   4
#define VKA_BIND_SUM        5
#define VKA_BIND_BIAS       6
#define VKA_BIND_STATS_MEAN 7
#define VKA_BIND_STATS_INV  8

/* Merges. */
#define VKA_BIND_A          1
#define VKA_BIND_B          2
#define VKA_BIND_A_LSE      3
#define VKA_BIND_B_LSE      4
#define VKA_BIND_MERGED     5
#define VKA_BIND_MERGED_LSE 6

/* Relative biases. */
#define VKA_BIND_BIAS_TABLE 1
#define VKA_BIND_SPANS      1
#define VKA_BIND_EDGES      2
#define VKA_BIND_BIASES     3

/* Sorts. */
#define VKA_BIND_ROTATIONS 2
#define VKA_BIND_KEYS      3
#define VKA_BIND_SORTED    4
#define VKA_BIND_BUCKETS   5
#define VKA_BIND_SCRATCH   6
#define VKA_BIND_SORT_LENS 7

/* Rope; the first ones of the cache's kernels, too. */
#define VKA_BIND_ROTATED    2
#define VKA_BIND_POSITIONS  3
#define VKA_BIND_COS        4
#define VKA_BIND_SIN        5

#define VKA_BIND_CACHE      2
#define VKA_BIND_LENGTHS    3
#define VKA_BIND_SCALE      6
#define VKA_BIND_OFFSETS    7
#define VKA_BIND_PAGE_TABLE 8
#define VKA_BIND_NEW        1 /* of the kernel that advances lengths                                      */

/* Patterns. */
#define VKA_BIND_PROGRAM    1
#define VKA_BIND_ROWS       2 /* what the counting pass finds, or what the host makes of it                   */
#define VKA_BIND_BUILT      3

#define VKA_MAX_BINDINGS    18

#endif
