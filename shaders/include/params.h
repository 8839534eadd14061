/* Layouts that C and GLSL share: push constants, specialization constants, and what parameter blocks (uniform buffer,
 * binding 0) of operations are made of: each has its own in params/. Structures of four 32-bit members first, then single ones: so std140 and C agree. SPDX-License-Identifier:
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

/* Push constants of every kernel: what changes from dispatch to dispatch. */
VKA_STRUCT(vka_push) {
    VKA_UINT_ base[18]; /* first element of each tensor within its binding                            */
    VKA_UINT_ x0;       /* attention, relative biases, patterns, sorts: first workgroup in x, y, z    */
    VKA_UINT_ y0;       /* cache: first new token; first page, or token, that is bound, and how many   */
    VKA_UINT_ z0;       /* patterns: 1 writes the map, 0 counts its tiles; sorts: first round         */
    VKA_UINT_ b0;   /* attention, sorts: batch entry and query head where the slice begins; linear: b0  */
    VKA_UINT_ h0;   /*   entries of the batch; cache: h0 0 keys, 1 values                               */
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
#define VKA_SPEC_COLS       8 /* norms: vectors of four that an invocation keeps in registers; 0: rows are read again;
                                 attention_row: steps of a block                                     */
#define VKA_SPEC_SUBGROUP   9 /* subgroup size that the kernel is made for; 0: any                   */
#define VKA_SPEC_M          10 /* matrices: one product is M x K by K x N                             */
#define VKA_SPEC_N          11 /* attention_decode: vectors of a key that a lane takes side by side                  */
#define VKA_SPEC_K          12
#define VKA_SPEC_TYPES      13 /* types of tensors, a field of four bits each: VKA_TYPE_* << 4 * VKA_ROLE_*       */
#define VKA_SPEC_PAGE       14 /* rows of a page; 0: not paged                                         */
#define VKA_SPEC_MAP        15 /* block map: log2 of its query tile + 256 * log2 of its key tile; 0: there is none */
#define VKA_SPEC_LOW_REGISTER 16 /* matrices: what else would wait in registers, VKA_LEAN_*                    */
#define VKA_SPEC_SCORE_TYPES 17 /* attention: types of the tensors of a caller's function, as VKA_SPEC_TYPES   */
#define VKA_SPEC_COUNT      18

/* How kernels with matrices go about few registers: flags. */
#define VKA_LEAN_STEPS         1u /* steps are copied to shared memory and do not wait in registers             */
#define VKA_LEAN_QUERY_ROWS    2u /* attention: queries stay in shared memory, row by row                       */
#define VKA_LEAN_BY_KEY        4u /*   .. as what each lane holds of an operand, and scores key by key           */
#define VKA_LEAN_KEY_VALUES    8u /* attention: values are the keys' first channels, and read from their tile   */
#define VKA_LEAN_BY_CHANNEL    16u /* attention: subgroups of a block share channels of queries and keys, not keys */

/* Types as in vka_dtype; 0: absent. */
#define VKA_TYPE_F32  1
#define VKA_TYPE_F16  2
#define VKA_TYPE_BF16 3
#define VKA_TYPE_U8   4
#define VKA_TYPE_I8   5
#define VKA_TYPE_I32  6
#define VKA_TYPE_Q8_0 7
#define VKA_TYPE_Q4_0 8

/* Roles of tensors that have types: what several operations have. */
#define VKA_ROLE_X           0
#define VKA_ROLE_TABLE       1
#define VKA_ROLE_D_OUT       2 /* backward: the gradient of the output */
#define VKA_ROLE_OUT         3

/* Flags that several operations have. */
#define VKA_FLAG_X_VEC4  32   /* rows of x can be read or written four channels at a time */
#define VKA_FLAG_LENGTHS 128  /* a list of lengths is there                               */
#define VKA_FLAG_VEC4    8192 /* all rows can be read and written four columns at a time  */

/* Bindings. 0 is always the parameter block. */
#define VKA_BIND_PARAMS  0
#define VKA_BIND_X       1
#define VKA_MAX_BINDINGS 18

#endif
