/* How descriptions of patterns become block maps.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PLAN_PATTERN_BUILD_H
#define VKA_PLAN_PATTERN_BUILD_H

#include "ops/pattern/shape.h"
#include "op/geometry.h"
#include "params/pattern.h"

/* Positions of queries and keys are below this. */
#define VKA_PATTERN_LIMIT (INT32_C(1) << 28)

/* ---- sizes ----------------------------------------------------------------------------------------------------- */

/* What is known of a checked description before anything is built: queries, keys, heads, tiles, their rows and columns,
 * and whether they are boxes of a grid. */
vka_pattern_info vka__pattern_geometry(const vka_pattern_desc *desc, vka_device_type device);

/* Tokens of a box along the axes of a grid of two or three: as many as a tile of 32, 64 or 128. */
void vka__pattern_box(uint32_t tile, uint32_t rank, uint32_t box[3]);
/* Places of the first box along an axis of the pattern's first term that have no token, for the boxes to begin where
 * the windows of Swin do, which are shifted. */
uint32_t vka__pattern_lead(const vka_pattern_term *first, uint32_t axis, uint32_t box);

/* Where the parts lie, and what follows from the numbers of tiles and pairs in the info. False: more than 2^32 words.
 */
bool vka__pattern_layout(vka__pattern_shape *shape);

/* ---- compiled patterns ----------------------------------------------------------------------------------------- */

/* A pattern's words, see shaders/include/pattern_program.h. */
typedef struct vka__pattern_program {
    uint32_t *words;
    uint32_t count;
    vka_pattern_info info; /* as vka__pattern_geometry said */
} vka__pattern_program;

/* Of a checked description. False: no memory. */
bool vka__pattern_compile(const vka__context *ctx, const vka_pattern_desc *desc, const vka_pattern_info *info,
                          vka__pattern_program *program);
void vka__pattern_program_free(const vka__context *ctx, vka__pattern_program *program);

/* The lists of a program while it is compiled. */
typedef struct vka__pattern_lists {
    const vka__context *ctx;
    uint32_t *words;
    uint64_t count, capacity;
    bool failed; /* out of memory, or of 32 bits */
} vka__pattern_lists;

/* Room for more words, zeroed; returns where it begins, 0 when there is none. */
uint32_t vka__pattern_list(vka__pattern_lists *lists, uint64_t words);

/* Fill in a term's own words, and append its lists. */
void vka__compile_ranges(vka__pattern_lists *lists, uint32_t *term, const uint32_t *tokens, uint32_t count,
                         uint32_t size);
void vka__compile_random_blocks(vka__pattern_lists *lists, uint32_t *term, const vka_pattern_term *t,
                                const vka_pattern_info *info, uint32_t first_head, uint32_t heads);
void vka__compile_documents(vka__pattern_lists *lists, uint32_t *term, const int32_t *ids,
                            const vka_pattern_info *info);
void vka__compile_blocks(vka__pattern_lists *lists, uint32_t *term, const vka_pattern_term *t,
                         const vka_pattern_info *info, uint32_t heads);
void vka__compile_bits(vka__pattern_lists *lists, uint32_t *term, const uint32_t *words, const vka_pattern_info *info);

/* ---- the host's build ------------------------------------------------------------------------------------------ */

/* The map in memory of the context. VKA_OUT_OF_MEMORY; VKA_UNSUPPORTED: it has more than `most` words. */
vka_status vka__pattern_build(const vka__context *ctx, const vka__pattern_program *program, uint64_t most,
                              uint32_t **words, vka__pattern_shape *shape);

/* ---- the device's build ---------------------------------------------------------------------------------------- */

/* A pass over the rows of a map: it counts their tiles, or writes them. */
typedef struct vka__pattern_pass {
    vka_pattern_params params;
    vka__pipeline_key key;
    vka__grid grid;
    vka__view program, rows,
        built; /* rows: what is counted, or where each row's tiles begin. built: absent, or the map */
} vka__pattern_pass;

/* Words of a row that the counting pass writes (tiles, partial tiles, low and high word of pairs) and that the filling
 * pass reads (first tile, first partial tile). */
#define VKA_PATTERN_COUNTS 4
#define VKA_PATTERN_STARTS 2

/* Sources of its bindings. */
enum { VKA__PATTERN_PROGRAM = VKA__SOURCE_ARGS, VKA__PATTERN_ROWS, VKA__PATTERN_BUILT };

/* `shape` NULL: the counting pass. VKA_UNSUPPORTED with a refusal: lists that no binding sees. */
vka_status vka__plan_pattern(const vka_device_caps *caps, const vka__pattern_program *program,
                             const vka__pattern_shape *shape, vka__pattern_pass *pass, vka__refusal *refusal);
uint64_t vka__pattern_dispatches(const vka__pattern_pass *pass);
void vka__pattern_dispatch(const vka_device_caps *caps, const vka__pattern_pass *pass, uint64_t index,
                           vka__dispatch *dispatch);

/* From the counts of all rows to the shape, and to where each row's tiles begin. False: more than 2^32 words. */
bool vka__pattern_scan(const vka__pattern_program *program, const uint32_t *counts, uint32_t *starts,
                       vka__pattern_shape *shape);

#endif
