/* Plans: which kernels run, with which tiles, over which ranges. Pure functions of capabilities and numbers.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PLAN_H
#define VKA_PLAN_H

#include "core/core.h"
#include "plan/view.h"
#include "params.h"

/* Kernels, in the order of kernels.def. */
typedef enum vka__kernel {
#define VKA_KERNEL(name, source, defines, needs) VKA__##name,
#include "kernels.def"
#undef VKA_KERNEL
    VKA__KERNEL_COUNT
} vka__kernel;

/* The source-independent name of a kernel. */
const char *vka__kernel_name(vka__kernel kernel);

/* Four storage flavours of one kernel stand next to each other in the table: f32, f16, f16 packed, bf16. */
vka__kernel vka__kernel_for_storage(vka__kernel f32_variant, vka_dtype dtype, const vka_device_caps *caps);

/* A pipeline: a kernel and its specialization constants. Compared bytewise. */
typedef struct vka__pipeline_key {
    uint32_t kernel;
    uint32_t spec[VKA_SPEC_COUNT];
} vka__pipeline_key;

typedef enum vka__access {
    VKA__UNUSED = 0,
    VKA__READ = 1,
    VKA__WRITE = 2,
    VKA__READ_WRITE = 3,
} vka__access;

/* One binding of a dispatch, relative to its tensor's buffer (binding 0, the parameters, is not listed). */
typedef struct vka__binding {
    vka__access access;
    uint32_t buffer; /* among the operation's; 0: the one with the number of the binding */
    uint64_t offset; /* bytes, a multiple of the device's storage alignment */
    uint64_t range;  /* bytes, a multiple of 4                              */
} vka__binding;

/* Attention's scores, which a dispatch of its own binds as its output. */
#define VKA__BUFFER_SCORES VKA_MAX_BINDINGS
/* Sizes of dispatches that the device computes: memory of the recorder. */
#define VKA__BUFFER_SIZES (VKA_MAX_BINDINGS + 1)
#define VKA__BUFFERS      (VKA_MAX_BINDINGS + 2)
#define VKA__SIZES_BYTES  24

typedef struct vka__dispatch {
    vka__pipeline_key key;
    vka__binding binding[VKA_MAX_BINDINGS];
    uint32_t groups[3]; /* at most, when the device computes them */
    uint32_t sized;     /* 1 or 2: by the first or second size that the operation computed; 0: as said */
    vka_push push;
} vka__dispatch;

/* Why a plan can't be made, for the log: the field and the rule. */
typedef struct vka__refusal {
    const char *field;
    char reason[200];
} vka__refusal;

/* ---- geometry shared by the plans: slices that fit a binding, chunks that fit a dispatch ---------------------- */

/* A grid of workgroups cut into dispatches of at most `limit` groups a dimension. */
typedef struct vka__grid {
    uint32_t groups[3];
    uint32_t limit[3];
} vka__grid;
/* Lowers the limits, z's first and x's last, until a dispatch has at most `most` groups, or one. */
void vka__grid_cap(vka__grid *grid, uint64_t most);
uint64_t vka__grid_chunks(const vka__grid *grid);
/* Chunk `index`: its first group and its number of groups. */
void vka__grid_chunk(const vka__grid *grid, uint64_t index, uint32_t first[3], uint32_t groups[3]);

/* Operations that a dispatch may have. */
uint64_t vka__dispatch_ops(const vka_device_caps *caps);

/* Binds `elements` elements of a view from element `first` on; *base receives the first element's index within the
 * binding, or of blocks the first one's place in pairs of bytes. */
vka__binding vka__bind(const vka_device_caps *caps, const vka__view *view, uint64_t first, uint64_t elements,
                       vka__access access, uint32_t *base);
/* Elements that a binding can see, whatever the alignment. */
uint64_t vka__binding_elements(const vka_device_caps *caps, const vka__view *view);
bool vka__fits_binding(const vka_device_caps *caps, const vka__view *view, uint64_t elements);

/* A dispatch may do a box of a tensor's rows, which lie in its first three dimensions; no row is ever cut. */

/* Shortens a box until a binding sees it: along the one of `dims` (bits of dimensions) that lies widest in memory, to
 * as much as fits, so that what is left of the others is seen in whole. False: not even a box of one row fits. */
#define VKA__DIMS_ALL 7
bool vka__cut_to_binding(const vka_device_caps *caps, const vka__view *view, uint32_t dims, uint32_t part[3]);
uint64_t vka__volume(const uint32_t part[3]);
/* Shortens it to at most `most` rows, or one. A box is one dispatch: boxes may differ in size, and a dispatch knows
 * only its own. Its work needs no cap: it takes what memory takes to pass through a few bindings. */
void vka__cut_to_grid(uint64_t most, uint32_t part[3]);
/* As many boxes, of equal size but for the last ones. */
void vka__even_out(const uint32_t shape[3], uint32_t part[3], uint32_t parts[3]);
/* Where box `index` begins, and its size. */
void vka__box_at(const uint32_t shape[3], const uint32_t part[3], const uint32_t parts[3], uint64_t index,
                 uint32_t begin[3], uint32_t size[3]);
/* Binds a box of a tensor, as vka__bind does. */
vka__binding vka__bind_box(const vka_device_caps *caps, const vka__view *view, const uint32_t begin[3],
                           const uint32_t size[3], vka__access access, uint32_t *base);
/* Strides as kernels get them; those that a box never takes are dropped, as they may exceed 32 bits. */
vka_strides vka__box_strides(const vka__view *view, const uint32_t part[3]);

/* Refuses a tensor of which no binding sees `what`; false. */
bool vka__refuse_span(const vka_device_caps *caps, const char *field, const char *what, vka__refusal *refusal);
/* Does one binding see all of a tensor? Otherwise the refusal says which it is. */
bool vka__sees_all(const vka_device_caps *caps, const vka__view *view, const char *field, vka__refusal *refusal);
/* Binds all of a tensor, which may be absent. */
void vka__bind_all(const vka_device_caps *caps, const vka__view *view, uint32_t slot, uint32_t buffer,
                   vka__access access, vka__dispatch *out);

/* ---- attention ------------------------------------------------------------------------------------------------ */

#define VKA_MAX_HEAD_DIM  576
#define VKA_MAX_VALUE_DIM 512
#define VKA_MAX_SPLITS    64

/* Query rows of a workgroup, keys of a step, rows of an invocation (matrices: products stacked in a block), invocations
 * that share a row (decode: lanes; matrices: subgroups). */
typedef struct vka__tile {
    uint32_t br, bc, rm, tc;
} vka__tile;

typedef struct vka__tuning vka__tuning;
typedef struct vka__pattern_shape vka__pattern_shape;

/* Storage buffers that kernels with options bind. */
#define VKA_OPTIONS_BUFFERS (VKA_MAX_BINDINGS - 1)

/* A checked description. q, k, v, out, mask, stats and scores are [B, H, N, D]-shaped views, lse and the scales of keys
 * and values too, with D = 1; a dimension of 1 serves any. Paged k, v and scales are [pages, H, page rows, D]. Lists,
 * biases and sinks are [1, 1, rows, columns]-shaped. */
typedef struct vka__attention_problem {
    vka__view q, k, v, out, lse;
    vka__view mask, relative, alibi, sinks, q_list, kv_list, pages, k_scale, v_scale, stats, scores;
    vka__view map;   /* a block map's words; rows are those of the problem's queries, in places if there is an order */
    vka__view order; /* [B, H, places, 1]                                                                           */
    const vka__pattern_shape *pattern; /* of map                                                                    */
    bool order_sure;                   /* places of full tiles need no look: the order is the map's own             */
    uint32_t batch, q_len, kv_len;     /* sequences, and the longest one's lengths */
    bool device_lengths;               /* some are read when the commands run      */
    uint32_t options;                  /* VKA_FLAG_* of kernels with options, but for those of views           */
    float scale;                       /* as applied                                          */
    float softcap;
    int32_t band_lo; /* query i sees i + band_lo <= j <= i + band_hi        */
    int32_t band_hi;
    bool band;        /* false: every query sees every key                   */
    int32_t diagonal; /* query i has the position i + diagonal; both relative to each sequence's own last key with  */
                      /*   VKA_FLAG_OWN_DIAGONAL                              */
    int64_t diagonal_rest; /* of a diagonal too far off for 32 bits: what it is above that, a multiple of */
    /*   relative_width                                   */
    uint32_t relative_zero;
    uint32_t relative_width, relative_zero_row; /* of a grid; 0: none. relative is then [1, H, rows, columns]-shaped */
    float dropout;
    uint64_t seed;
    uint32_t random_offset;
    uint32_t score_stage;
    uint32_t path;             /* vka_attention_path                                  */
    vka__tile tile;            /* bc = 0: choose                                      */
    uint32_t splits;           /* 0 = choose                                          */
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
    bool sized;                                  /* the first dispatch computes the sizes of main and merge */
    vka__grid main_grid, merge_grid, scores_grid;
    uint64_t main_chunks, merge_chunks, scores_chunks; /* dispatches of a slice; of scores and main, for each part */
    uint64_t workspace_bytes;
    const char *why;  /* the reason of the choice, for explain               */
    uint32_t avoided; /* lines of the table of known drivers that concern the problem, as bits */
} vka__attention_plan;

/* Sizes of a problem without lists and pages, from its views. */
void vka__attention_sizes(vka__attention_problem *problem);
/* Rows of a query head: its queries, or the places of an order. */
uint32_t vka__attention_rows(const vka__attention_problem *problem);
/* Does it need a kernel with options? */
bool vka__attention_has_options(const vka__attention_problem *problem);

/* VKA_OK or VKA_UNSUPPORTED with the refusal filled in. Batch, queries and value dimension are not zero. */
vka_status vka__plan_attention(const vka_device_caps *caps, const vka__attention_problem *problem,
                               vka__attention_plan *plan, vka__refusal *refusal);
uint64_t vka__attention_dispatches(const vka__attention_plan *plan);
/* Dispatch `index` in the order of execution. */
void vka__attention_dispatch(const vka_device_caps *caps, const vka__attention_problem *problem,
                             const vka__attention_plan *plan, uint64_t index, vka__dispatch *dispatch);
/* As snprintf: returns the whole length. */
size_t vka__explain_attention(const vka__attention_problem *problem, const vka__attention_plan *plan, char *text,
                              size_t capacity);

/* ---- layer norm ----------------------------------------------------------------------------------------------- */

#define VKA_MAX_NORM_COLS 65536

typedef struct vka__norm_problem {
    vka__view x, out, weight, bias, residual, sum; /* rank 4, weight and bias [1, 1, 1, C]          */
    vka__view mean, inv_std;                       /* [.., .., .., 1]                               */
    float epsilon;                                 /* as applied                                    */
    uint32_t path;                                 /* vka_norm_path                                 */
} vka__norm_problem;

typedef struct vka__norm_plan {
    vka_norm_params params;
    uint32_t path;
    uint32_t part[3];    /* a dispatch does a box of rows: its size; the last of a dimension may be smaller */
    uint32_t parts[3];   /* boxes of each dimension                                                         */
    uint32_t rows;       /* of a whole box                                                                  */
    uint32_t group_rows; /* of a workgroup                                                                  */
    uint32_t shared_bytes;
    vka__pipeline_key key;
    const char *why;
} vka__norm_plan;

vka_status vka__plan_norm(const vka_device_caps *caps, const vka__norm_problem *problem, vka__norm_plan *plan,
                          vka__refusal *refusal);
uint64_t vka__norm_dispatches(const vka__norm_plan *plan);
void vka__norm_dispatch(const vka_device_caps *caps, const vka__norm_problem *problem, const vka__norm_plan *plan,
                        uint64_t index, vka__dispatch *dispatch);
size_t vka__explain_norm(const vka__norm_problem *problem, const vka__norm_plan *plan, char *text, size_t capacity);

#endif
