/* A block map's tiles in the order of its columns: sorted by counting, with the kernels of sorts by hashes.
 * SPDX-License-Identifier: MIT */
#include "ops/attention_backward/attention_backward.h"
#include "ops/lsh/blocks.h"

static const vka__backward_state *state_of(const vka__call *c) {
    return (const vka__backward_state *)(const void *)c->state;
}

static uint64_t take_words(vka__call *c, uint64_t count) {
    uint64_t at = c->workspace_bytes;
    c->workspace_bytes += vka__align_up(4 * vka__max_u64(count, 1), 256);
    return at;
}

static void add(vka__call *c, vka__backward_pass pass, vka__kernel kernel, uint64_t groups, uint32_t group_size,
                uint64_t work) {
    c->key[pass].kernel = kernel;
    c->key[pass].spec[VKA_SPEC_GROUP_SIZE] = vka__group_size(c->caps, group_size);
    vka__backward_add_pass(c, pass, groups, 1, 1, work);
}

void vka__backward_plan_map(vka__call *c) {
    const vka_pattern_info *info = &state_of(c)->problem.pattern->info;
    vka__backward_plan *plan = &VKA__STATE(c, vka__backward_state)->plan;
    vka_attention_backward_params *b = &VKA__PARAMS_AT(c, vka__backward_block, 0)->attention.backward;
    vka_lsh_params *sort = &VKA__PARAMS_AT(c, vka__backward_block, VKA__BACKWARD_SORT_BLOCK)->sort;
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    uint32_t tiles = (uint32_t)info->live_tiles;
    sort->tokens = tiles;
    sort->dim = info->tile_columns;
    sort->permutation.d = 1;
    vka__lsh_choose_blocks(sort, vka__max_u32(tiles, 1), info->heads * info->tile_columns);
    sort->ws_buckets = sort->blocks * sort->buckets;
    plan->sort_at = take_words(c, (uint64_t)sort->ws_buckets + tiles);
    plan->order_at = take_words(c, tiles);
    plan->tiles_at = take_words(c, 2 * (uint64_t)tiles);
    b->map_columns = info->tile_columns;
    b->column_ends = (uint32_t)(plan->sort_at / 4) + (sort->blocks - 1) * sort->buckets;
    b->column_tiles = (uint32_t)(plan->tiles_at / 4);
    add(c, VKA__PASS_MAP_COLUMNS, VKA__attention_backward_map_columns, sort->blocks, cpu ? 16 : VKA__BLOCK_TOKENS,
        sort->block);
    add(c, VKA__PASS_MAP_OFFSETS, VKA__lsh_offsets, 1, cpu ? 16 : VKA__BLOCK_TOKENS, sort->ws_buckets);
    add(c, VKA__PASS_MAP_ORDER, VKA__lsh_place, sort->blocks, cpu ? 32 : VKA__BLOCK_TOKENS,
        (uint64_t)sort->block * VKA__BLOCK_TOKENS);
    uint32_t group = vka__group_size(c->caps, cpu ? 8 : 64);
    add(c, VKA__PASS_MAP_TILES, VKA__attention_backward_map_tiles, vka__div_up(tiles, group), group, group);
}

bool vka__backward_is_of_map(vka__backward_pass pass) {
    return pass >= VKA__PASS_MAP_COLUMNS && pass <= VKA__PASS_MAP_TILES;
}

static void bind_part(uint32_t binding, vka__access access, uint64_t at, uint64_t end, vka__dispatch *out) {
    out->binding[binding] =
        (vka__binding){.access = access, .source = VKA__SOURCE_WORKSPACE, .offset = at, .range = end - at};
}

void vka__backward_bind_map(const vka__call *c, vka__backward_pass pass, vka__dispatch *out) {
    const vka__backward_state *s = state_of(c);
    const vka__backward_plan *plan = &s->plan;
    bool sorted = pass == VKA__PASS_MAP_TILES, ours = sorted || pass == VKA__PASS_MAP_COLUMNS;
    out->params = VKA__BACKWARD_SORT_BLOCK;
    bind_part(VKA_BIND_SCRATCH, VKA__READ_WRITE, plan->sort_at, plan->order_at, out);
    if (sorted || pass == VKA__PASS_MAP_ORDER)
        bind_part(VKA_BIND_SORTED, sorted ? VKA__READ : VKA__WRITE, plan->order_at, plan->tiles_at, out);
    if (sorted)
        bind_part(VKA_BIND_COLUMN_TILES, VKA__WRITE, plan->tiles_at, c->workspace_bytes, out);
    if (ours)
        vka__bind_all(c->caps, &s->problem.map, VKA_BIND_X, VKA__READ, out);
    out->push.dim1 = ours ? s->problem.pattern->info.tile_rows : 1;
    out->push.dim2 = ours ? s->problem.pattern->info.heads * s->problem.pattern->info.tile_rows : 1;
}
