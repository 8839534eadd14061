/* Operations. Each is one description: its tensors and numbers as tables, and a pure plan. Checks, views, bindings, the
 * functions, explanations and the tests of malformed calls follow from it.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_OP_H
#define VKA_OP_H

#include <float.h>
#include <stddef.h>

#include "op/check.h"
#include "op/geometry.h"
#include "op/path.h"
#include "op/text.h"

typedef struct vka__call vka__call;

/* What a dispatch binds of a tensor. */
typedef enum vka__extent {
    VKA__BOX = 0,    /* its box of the rows, which lie in the first three dimensions of the view          */
    VKA__ALL = 1,    /* all of it                                                                         */
    VKA__CUSTOM = 2, /* what the operation's `dispatch` says                                              */
} vka__extent;

typedef enum vka__arg_flags {
    VKA__REQUIRED = 1,
    VKA__LIST = 2,     /* the field is a vka_integers: host values or a tensor                            */
    VKA__PER_ROW = 4,  /* has one number for each row: a last dimension of 1 is appended to the view      */
    VKA__INTERNAL = 8, /* not in the description: the operation says where it lies                        */
} vka__arg_flags;

#define VKA__NONE 0xffff
/* Of numbers without a bound: the largest, and the smallest above 0. */
#define VKA__FINITE ((double)FLT_MAX)
#define VKA__LEAST  1e-45
/* The largest float below 1. */
#define VKA__BELOW_ONE 0x1.fffffep-1

/* A tensor of an operation. */
typedef struct vka__arg {
    const char *name; /* of the field, with those of the structures around it: "options.cos" */
    /* Dimensions, separated by blanks. A capital letter is bound to a size where it first occurs, and must agree
     * afterwards; "1|H" may be 1 as well; "..." in front stands for any number of dimensions, the same for all tensors
     * (where they are none and nothing follows: [1]). NULL: the operation's `check` looks at it. */
    const char *shape;
    uint16_t desc;     /* where in the description                                                        */
    uint16_t strides;  /* where in the parameters its vka_strides are; VKA__NONE: nowhere                 */
    uint32_t types;    /* that it may have                                                                */
    uint64_t in_place; /* set of tensors of which this one, which is written, may be the very same view   */
    uint8_t like;      /* 1 + the tensor whose type it must have, if it is none of `or_types`; 0: any     */
    uint8_t or_types;
    uint8_t flags;   /* vka__arg_flags                                                                  */
    uint8_t access;  /* vka__access                                                                     */
    uint8_t binding; /* its binding                                                                     */
    uint8_t extent;  /* vka__extent                                                                     */
} vka__arg;

typedef enum vka__number_type {
    VKA__NUMBER_F32,
    VKA__NUMBER_U32,
    VKA__NUMBER_I32,
    VKA__NUMBER_ENUM, /* from 0 to `most` */
} vka__number_type;

/* A scalar of a description. NaN and infinity are never legal. */
typedef struct vka__number {
    const char *name;
    uint16_t desc;
    uint8_t type;       /* vka__number_type                                          */
    bool zero;          /* 0 is legal too, and stands for `fallback`                 */
    double least, most; /* both legal                                                */
    double fallback;
    const char *enum_name; /* "vka_norm_path"                                          */
} vka__number;

/* What a letter of shapes may be. */
typedef struct vka__limit {
    char letter; /* 0 ends a list */
    uint32_t least, most;
} vka__limit;

typedef struct vka__op {
    const char *name; /* of the function that records it: "vka_rope" */
    /* "forward.", of a structure within the description that another operation has for its own: checks that they share
     * look there, and name its fields. NULL: there is none. */
    const char *within;
    uint16_t within_at;
    const vka__arg *args;
    const vka__number *numbers;
    const vka__limit *limits; /* may be NULL */
    uint32_t arg_count, number_count;
    uint16_t desc_size, params_size, state_size;
    uint16_t param_blocks; /* of `params_size` bytes, of which a dispatch says which it has; 0: one        */
    uint16_t workspace;    /* where in the description a vka_workspace is; 0: it needs none */
    /* For an operation with a choice of paths; otherwise NULL and 0. Its `plan` calls vka__path_choose. */
    const vka__paths *paths;
    uint16_t problem;           /* where in the state is what they are asked about                        */
    uint16_t asked, asked_size; /* where in the description is what asks for a path, a tile and so on     */
    /* Before shapes are compared: binds letters that depend on more than tensors. May be NULL. */
    vka_status (*sizes)(vka__call *call);
    /* What the tables can't say, for tensors and numbers that keep to them. May be NULL. */
    vka_status (*check)(vka__call *call);
    /* Pure: parameters, pipelines, dispatches, workspace. False with a refusal: legal, but no kernel can do it here.
     * Not called when there are no rows. */
    bool (*plan)(vka__call *call);
    /* Dispatch `index` into zeroed memory; NULL: vka__rows_dispatch. */
    void (*dispatch)(const vka__call *call, uint64_t index, vka__dispatch *out);
    /* What is particular, after the kernel and before the number of dispatches. May be NULL. */
    void (*explain)(const vka__call *call, vka__text *text);
} vka__op;

#define VKA__MAX_ARGS    (VKA__MAX_SOURCES - VKA__SOURCE_ARGS)
#define VKA__MAX_NUMBERS 16
#define VKA__MAX_DESC    3584
#define VKA__MAX_STATE   6144
/* Bytes of all parameter blocks. */
#define VKA__MAX_ALL_PARAMS 2304

/* Rows cut into boxes, one a dispatch. */
typedef struct vka__rows {
    uint32_t shape[3];
    uint32_t part[3], parts[3]; /* the size of a box, the last of a dimension may be smaller; how many there are */
    uint32_t units, group;      /* of work of a row; that a workgroup does */
} vka__rows;

/* One call of an operation: a checked description with its plan. */
struct vka__call {
    const vka__op *op;
    const vka__context *ctx;
    vka_device *device; /* NULL: nothing but a plan is wanted */
    const vka_device_caps *caps;
    bool describes; /* tensors need no buffers: their shapes are enough for what is asked */
    uint32_t bound; /* letters that have a size, as bits */
    uint32_t letter[26];
    const vka__arg *letter_from[26];        /* the tensor that gave it its size; NULL: none did */
    uint32_t lead_rank, lead[VKA_MAX_RANK]; /* what "..." stands for; rank VKA__NONE: nothing yet */
    double number[VKA__MAX_NUMBERS];        /* as applied: `fallback` for 0 */

    vka__refusal refusal;
    vka__rows rows;
    uint64_t dispatches; /* 0: there is nothing to do */
    uint32_t key_count;
    uint32_t param_blocks; /* that dispatches have, at most the operation's */
    bool counts;           /* the first dispatch computes numbers of workgroups */
    uint64_t workspace_bytes;
    vka__pipeline_key key[VKA__MAX_KEYS];

    vka__view view[VKA__MAX_ARGS];
    vka__source source[VKA__MAX_ARGS];
    /* As much of them as the operation has. */
    _Alignas(16) unsigned char params[VKA__MAX_ALL_PARAMS];
    _Alignas(16) unsigned char state[VKA__MAX_STATE];
    _Alignas(16) unsigned char desc[VKA__MAX_DESC];
};

/* Checks a description of `size` bytes (what it lacks of ours is 0; what it has beyond must be 0) and plans. On an
 * error one line is logged. `device` NULL and `describes` make a plan for capabilities alone. */
vka_status vka__call_init(vka__call *call, const vka__op *op, const vka__context *ctx, vka_device *device,
                          const vka_device_caps *caps, bool describes, const void *desc, size_t size);
/* The same with the device's own context and capabilities. */
vka_status vka__call_begin(vka__call *call, const vka__op *op, vka_device *device, bool describes, const void *desc,
                           size_t size);
/* Dispatch `index`, into memory that need not be zeroed. */
void vka__call_dispatch(const vka__call *call, uint64_t index, vka__dispatch *out);

/* ---- for checks ------------------------------------------------------------------------------------------------ */

/* Logs "function.field: .." and returns the status. */
vka_status vka__call_fail(const vka__call *call, vka_status status, const char *field, const char *format, ...)
    VKA_PRINTF(4, 5);

/* The tensor in the description; of lists the one that may stand for host values. */
const vka_tensor *vka__call_tensor(const vka__call *call, uint32_t arg);
static inline bool vka__call_has(const vka__call *call, uint32_t arg) {
    return call->view[arg].present;
}

/* Do two tensors lie in one piece of memory? Without buffers nobody knows. */
bool vka__call_same_memory(const vka__call *call, uint32_t arg, uint32_t other);

/* Host values, or a table that a plan made, instead of a tensor. */
void vka__call_set_values(vka__call *call, uint32_t arg, const int32_t *values, uint32_t count);

/* Letters of shapes. */
void vka__call_bind_letter(vka__call *call, char letter, uint32_t size);
static inline uint32_t vka__call_letter(const vka__call *call, char letter) {
    return call->letter[letter - 'A'];
}

/* Rows of `arg`, so many in each of three dimensions, must be fewer than 2^32. */
vka_status vka__call_check_rows(const vka__call *call, uint32_t arg, const uint32_t shape[3]);
/* Host values of a list, if it has some: lengths of `sequences`, or offsets, which must lie in `rows` and be at most
 * `most` apart. They are known now: a wrong one is a mistake and not data. */
vka_status vka__call_check_list(const vka__call *call, uint32_t arg, bool offsets, uint32_t sequences, uint32_t rows,
                                uint32_t most);
/* Lengths of the host, if `arg` has some: `count` of them, each 0 .. most. */
vka_status vka__call_check_lengths(const vka__call *call, uint32_t arg, uint32_t count, uint32_t most);
/* Is the mask, if there is one, rank 2 to 4 and right-aligned to `pairs`: batch, heads, queries, keys? Sizes of 1
 * broadcast. */
vka_status vka__call_check_mask(const vka__call *call, uint32_t arg, const uint32_t pairs[4]);

/* ---- for plans ------------------------------------------------------------------------------------------------- */

#define VKA__DESC(call, type)   ((const type *)(const void *)(call)->desc)
#define VKA__PARAMS(call, type) ((type *)(void *)(call)->params)
/* Of an operation whose parameter blocks are of this type. */
#define VKA__PARAMS_AT(call, type, index) (VKA__PARAMS(call, type) + (index))
#define VKA__STATE(call, type)            ((type *)(void *)(call)->state)

/* Adds a pipeline and returns its key, zeroed. */
vka__pipeline_key *vka__call_add_key(vka__call *call, vka__kernel kernel, uint32_t group_size);

/* The next place in the workspace, for f32, dense. */
vka__view vka__call_place(vka__call *call, const uint32_t shape[VKA_MAX_RANK]);

/* Can rows of all tensors of the set be read and written four elements at a time? Sets are of the first 32 tensors. */
bool vka__call_vec4(const vka__call *call, uint32_t args);
/* The type of a tensor, as VKA_SPEC_TYPES has it. */
static inline uint32_t vka__call_type(const vka__call *call, uint32_t arg, uint32_t role) {
    return (uint32_t)call->view[arg].dtype << 4 * role;
}

/* Can bindings see all of the VKA__ALL tensors? Otherwise the refusal names the first one that is too large. */
bool vka__call_sees_whole(vka__call *call);
/* Binds those that are in a set, as the table says. */
void vka__call_bind_whole(const vka__call *call, uint32_t args, vka__dispatch *out);
/* Binds a box of any other tensor, as the table says. */
void vka__call_bind_box(const vka__call *call, uint32_t arg, const uint32_t begin[3], const uint32_t size[3],
                        vka__dispatch *out);

/* Cuts the rows of tensor `arg` into boxes that the bindings of all VKA__BOX tensors and the grid can hold, and fills
 * in strides and the number of dispatches. A row has `units` of work, of which a workgroup does `group`. */
bool vka__rows_plan(vka__call *call, uint32_t arg, uint32_t units, uint32_t group);
/* Kernels of one operation in which a workgroup owns a row, or an invocation. */
typedef struct vka__row_kernels {
    vka__kernel lane, group, group_subgroup;
    uint32_t subgroup_rows; /* that a workgroup of a single subgroup does in turn; 0: the kernel has no such way */
    uint32_t long_rows;     /* of rows that are read again for each pass: fewer than these are done so */
    vka__kernel lane_int64, group_subgroup_int64; /* the same by loads of 64 bits; 0: there is none */
} vka__row_kernels;
/* What they are chosen by. */
typedef struct vka__row_problem {
    uint32_t path; /* number of the path in the description: 0 for the device's choice, 1 for lanes, 2 for groups */
    uint64_t rows;
    uint32_t cols, most; /* columns; invocations of a workgroup at most                                           */
    bool vec4;           /* rows are contiguous and aligned                                                       */
} vka__row_problem;
/* Adds the pipeline for rows and returns how many a workgroup does. Short rows stay in the registers of a workgroup,
 * VKA_SPEC_COLS vectors an invocation. */
uint32_t vka__rows_add_key(vka__call *call, const vka__row_kernels *kernels, const vka__row_problem *problem);
/* The lines about the first pipeline's path; `shared`: bytes of each invocation of a workgroup that owns a row. */
void vka__rows_explain(const vka__call *call, uint32_t path, uint32_t shared, vka__text *text);
/* Dispatch `index` with the first pipeline: binds boxes and whole tensors. */
void vka__rows_dispatch(const vka__call *call, uint64_t index, vka__dispatch *out);

/* The steps of these, for operations that do more than that. All rows in one box: */
vka__rows vka__rows_of(const uint32_t shape[3], uint32_t units, uint32_t group);
/* Cuts boxes that bindings can see so that the grid can hold them, too, and makes them of equal size. */
void vka__rows_cut(const vka_device_caps *caps, vka__rows *rows);
/* Box `index`: what kernels are told of it, its workgroups, where it begins and its size. */
void vka__rows_at(const vka__rows *rows, uint64_t index, uint32_t begin[3], uint32_t size[3], vka__dispatch *out);

/* ---- entry points ---------------------------------------------------------------------------------------------- */

/* Defines vka__op_<name>, of tables `args` and `numbers`. */
#define VKA__OPERATION(op, ...)                                                                                        \
    const vka__op vka__op_##op = {.name = "vka_" #op,                                                                  \
                                  .args = args,                                                                        \
                                  .numbers = numbers,                                                                  \
                                  .arg_count = ARGS,                                                                   \
                                  .number_count = NUMBERS,                                                             \
                                  .desc_size = sizeof(vka_##op##_desc),                                                \
                                  __VA_ARGS__};                                                                        \
    _Static_assert(sizeof(vka_##op##_desc) <= VKA__MAX_DESC && ARGS <= VKA__MAX_ARGS && NUMBERS <= VKA__MAX_NUMBERS,   \
                   "a call has room for it")

/* All operations. */
#define X(NAME, value, name) extern const vka__op vka__op_##name;
VKA_OPERATIONS(X)
#undef X

/* NULL: there is no such operation. */
const vka__op *vka__op_at(vka_operation operation);

vka_status vka__op_record(const vka__op *op, vka_recorder *recorder, const void *desc, size_t size);
vka_status vka__op_plan(const vka__op *op, vka_device *device, const void *desc, size_t size, vka_plan **plan);
vka_status vka__op_prepare(const vka__op *op, vka_device *device, const void *desc, size_t size);
vka_status vka__op_requirements(const vka__op *op, vka_device *device, const void *desc, size_t size,
                                vka_requirements *requirements, size_t requirements_size);
vka_status vka__op_explain(const vka__op *op, vka_device *device, const void *desc, size_t size, char *text,
                           size_t capacity, size_t *length);
/* Only for operations with paths. */
vka_status vka__op_candidates(const vka__op *op, vka_device *device, const void *desc, size_t size, void *candidates,
                              size_t candidate_size, uint32_t capacity, uint32_t *count);

/* What any vka_<op>_candidate begins with. */
typedef struct vka__candidate {
    uint32_t path;
    vka__tile tile;
} vka__candidate;
#define VKA__CANDIDATE(op)                                                                                             \
    _Static_assert(sizeof(vka_##op##_candidate) == sizeof(vka__candidate) &&                                           \
                       sizeof((vka_##op##_candidate){0}.path) == sizeof(uint32_t) &&                                   \
                       offsetof(vka_##op##_candidate, tile) == offsetof(vka__candidate, tile),                         \
                   "all operations' candidates are laid out alike")

#endif
