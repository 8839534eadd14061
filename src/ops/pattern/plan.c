/* Block maps built by the device: a pass that counts each row's tiles, a sum on the host, a pass that writes them.
 * SPDX-License-Identifier: MIT */
#include "ops/pattern/build.h"

#include <string.h>

static vka__view words_of(uint32_t source, uint64_t count) {
    return (vka__view){.present = true,
                       .source = source,
                       .dtype = VKA_I32,
                       .size = 4,
                       .block = 1,
                       .shape = {1, 1, 1, (uint32_t)count},
                       .stride = {0, 0, 0, 1}};
}

/* Operations that a word of a tile takes, of patterns with many terms. */
#define OPS_OF_WORD 1000

/* No dispatch may last long, even if all tiles were live. */
static vka__grid plan_grid(const vka_device_caps *caps, const vka_pattern_info *info) {
    uint64_t words = (uint64_t)info->tile_columns * info->query_tile * (info->key_tile / 32);
    vka__grid grid = vka__grid_of(caps, info->tile_rows, info->heads, 1);
    vka__grid_cap_ops(&grid, caps, words * OPS_OF_WORD);
    return grid;
}

vka_status vka__plan_pattern(const vka_device_caps *caps, const vka__pattern_program *program,
                             const vka__pattern_shape *shape, vka__pattern_pass *pass, vka__refusal *refusal) {
    const vka_pattern_info *info = &program->info;
    uint64_t rows = (uint64_t)info->heads * info->tile_rows,
             row_words = shape ? VKA_PATTERN_STARTS : VKA_PATTERN_COUNTS;
    memset(pass, 0, sizeof *pass);
    pass->program = words_of(VKA__PATTERN_PROGRAM, program->count);
    pass->rows = words_of(VKA__PATTERN_ROWS, vka__min_u64(rows * row_words, UINT32_MAX));
    if (shape) {
        pass->built = words_of(VKA__PATTERN_BUILT, shape->words);
        pass->params = (vka_pattern_params){shape->tiles_at, shape->bits_at, shape->permutation_at};
    }
    if (!vka__sees_all(caps, &pass->program, "terms", refusal) || !vka__sees_all(caps, &pass->rows, "terms", refusal))
        return VKA_UNSUPPORTED;
    pass->key.kernel = VKA__pattern_build;
    /* CPUs: a few lanes. GPUs: many, as a row of global queries is long, and one workgroup does it. */
    pass->key.spec[VKA_SPEC_GROUP_SIZE] = vka__group_size(caps, caps->type == VKA_DEVICE_CPU ? 8 : 256);
    pass->grid = plan_grid(caps, info);
    return VKA_OK;
}

uint64_t vka__pattern_dispatches(const vka__pattern_pass *pass) {
    return vka__grid_chunks(&pass->grid);
}

void vka__pattern_dispatch(const vka_device_caps *caps, const vka__pattern_pass *pass, uint64_t index,
                           vka__dispatch *out) {
    bool fill = pass->built.present;
    vka__bind_all(caps, &pass->program, VKA_BIND_PROGRAM, VKA__READ, out);
    vka__bind_all(caps, &pass->rows, VKA_BIND_ROWS, fill ? VKA__READ : VKA__WRITE, out);
    vka__bind_all(caps, &pass->built, VKA_BIND_BUILT, VKA__WRITE, out);
    uint32_t first[3];
    vka__grid_chunk(&pass->grid, index, first, out);
    out->push.x0 = first[0];
    out->push.y0 = first[1];
    out->push.z0 = fill;
}

bool vka__pattern_scan(const vka__pattern_program *program, const uint32_t *counts, uint32_t *starts,
                       vka__pattern_shape *shape) {
    *shape = (vka__pattern_shape){.info = program->info};
    vka_pattern_info *info = &shape->info;
    uint64_t rows = (uint64_t)info->heads * info->tile_rows, partial = 0;
    for (uint64_t row = 0; row < rows; ++row, counts += VKA_PATTERN_COUNTS, starts += VKA_PATTERN_STARTS) {
        starts[0] = (uint32_t)info->live_tiles;
        starts[1] = (uint32_t)partial;
        info->live_tiles += counts[0];
        partial += counts[1];
        info->pairs += counts[2] | (uint64_t)counts[3] << 32;
        info->longest_row = vka__max_u32(info->longest_row, counts[0]);
    }
    info->full_tiles = info->live_tiles - partial;
    return vka__pattern_layout(shape);
}
