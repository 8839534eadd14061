/* What keys find their queries by: a block map's tiles in the order of its columns, or entries of lists in the order of
 * their keys. Both are sorted by counting, with the kernels of sorts by hashes.
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

static void add(vka__call *c, vka__backward_pass pass, vka__kernel kernel, uint64_t groups, uint32_t rows,
                uint32_t group_size, uint64_t work) {
    c->key[pass].kernel = kernel;
    c->key[pass].spec[VKA_SPEC_GROUP_SIZE] = vka__group_size(c->caps, group_size);
    vka__backward_add_pass(c, pass, groups, rows, 1, work);
}

static vka_lsh_params *sort_params(vka__call *c) {
    return &VKA__PARAMS_AT(c, vka__backward_block, VKA__BACKWARD_SORT_BLOCK)->sort;
}

/* Makes room and adds the passes: `count` fills the table of counts, of `rows` rows with so many tokens each. Returns
 * where the first row's buckets end, in words. */
static uint32_t plan_rows(vka__call *c, vka__kernel count, uint32_t rows) {
    vka__backward_plan *plan = &VKA__STATE(c, vka__backward_state)->plan;
    vka_lsh_params *sort = sort_params(c);
    bool cpu = c->caps->type == VKA_DEVICE_CPU;
    uint64_t counts = (uint64_t)sort->blocks * sort->buckets;
    sort->permutation.d = 1;
    sort->ws_buckets = (uint32_t)(rows * counts);
    plan->sort_at = take_words(c, rows * (counts + sort->tokens));
    plan->order_at = take_words(c, (uint64_t)rows * sort->tokens);
    plan->tiles_at = c->workspace_bytes;
    add(c, VKA__PASS_SORT_COUNT, count, sort->blocks, rows, cpu ? 16 : VKA__BLOCK_TOKENS, sort->block);
    add(c, VKA__PASS_SORT_OFFSETS, VKA__lsh_offsets, 1, rows, cpu ? 16 : VKA__BLOCK_TOKENS, counts);
    add(c, VKA__PASS_SORT_ORDER, VKA__lsh_place, sort->blocks, rows, cpu ? 32 : VKA__BLOCK_TOKENS,
        (uint64_t)sort->block * VKA__BLOCK_TOKENS);
    return (uint32_t)(plan->sort_at / 4) + (sort->blocks - 1) * sort->buckets;
}

static void plan_map(vka__call *c, vka_attention_backward_params *b) {
    const vka_pattern_info *info = &state_of(c)->problem.pattern->info;
    vka_lsh_params *sort = sort_params(c);
    uint32_t tiles = (uint32_t)info->live_tiles;
    sort->tokens = tiles;
    sort->dim = info->tile_columns;
    vka__lsh_choose_blocks(sort, vka__max_u32(tiles, 1), info->heads * info->tile_columns);
    b->map_columns = info->tile_columns;
    b->column_ends = plan_rows(c, VKA__attention_backward_map_columns, 1);
    b->column_tiles = (uint32_t)(take_words(c, 2 * (uint64_t)tiles) / 4);
    uint32_t group = vka__group_size(c->caps, c->caps->type == VKA_DEVICE_CPU ? 8 : 64);
    add(c, VKA__PASS_SORT_TILES, VKA__attention_backward_map_tiles, vka__div_up(tiles, group), 1, group, group);
}

/* A row is what a head of a batch entry lists; blocks are whole lists. */
static bool plan_lists(vka__call *c, vka_attention_backward_params *b) {
    vka__backward_plan *plan = &VKA__STATE(c, vka__backward_state)->plan;
    const vka__view *lists = &state_of(c)->problem.key_lists;
    vka_lsh_params *sort = sort_params(c);
    uint64_t rows = (uint64_t)lists->shape[0] * lists->shape[1], tokens = (uint64_t)lists->shape[2] * lists->shape[3];
    uint64_t keys = (uint64_t)state_of(c)->problem.k.shape[2] + 1;
    if (tokens > UINT32_MAX || rows * (2 * tokens + keys) > UINT32_MAX / 4)
        return vka__refuse_span(c->caps, "workspace", "the sorted entries of lists", &c->refusal);
    sort->tokens = (uint32_t)tokens;
    sort->dim = vka__max_u32(lists->shape[3], 1);
    sort->x = vka__box_strides(lists, lists->shape);
    vka__lsh_choose_blocks(sort, vka__max_u32((uint32_t)tokens, 1), (uint32_t)keys);
    sort->block = vka__round_up(sort->block, sort->dim);
    sort->blocks = vka__div_up(vka__max_u32((uint32_t)tokens, 1), sort->block);
    sort->permutation.h = lists->shape[1] * sort->tokens;
    sort->permutation.n = sort->tokens;
    plan->sort_batches = lists->shape[0];
    plan->sort_heads = lists->shape[1];
    b->column_ends = plan_rows(c, VKA__attention_backward_list_count, (uint32_t)rows);
    b->column_row = sort->blocks * sort->buckets;
    b->column_tiles = (uint32_t)(plan->order_at / 4);
    return true;
}

bool vka__backward_plan_sort(vka__call *c) {
    vka_attention_backward_params *b = &VKA__PARAMS_AT(c, vka__backward_block, 0)->attention.backward;
    if (state_of(c)->problem.key_lists.present)
        return plan_lists(c, b);
    plan_map(c, b);
    return true;
}

bool vka__backward_is_of_sort(vka__backward_pass pass) {
    return pass >= VKA__PASS_SORT_COUNT && pass <= VKA__PASS_SORT_TILES;
}

static void bind_part(uint32_t binding, vka__access access, uint64_t at, uint64_t end, vka__dispatch *out) {
    out->binding[binding] =
        (vka__binding){.access = access, .source = VKA__SOURCE_WORKSPACE, .offset = at, .range = end - at};
}

/* A map is a list of tiles of all heads: a single row. */
static void bind_map(const vka__call *c, vka__backward_pass pass, vka__dispatch *out) {
    const vka__backward_state *s = state_of(c);
    const vka_pattern_info *info = &s->problem.pattern->info;
    bool ours = pass == VKA__PASS_SORT_TILES || pass == VKA__PASS_SORT_COUNT;
    if (pass == VKA__PASS_SORT_TILES)
        bind_part(VKA_BIND_COLUMN_TILES, VKA__WRITE, s->plan.tiles_at, c->workspace_bytes, out);
    if (ours)
        vka__bind_all(c->caps, &s->problem.map, VKA_BIND_X, VKA__READ, out);
    out->push.dim1 = ours ? info->tile_rows : 1;
    out->push.dim2 = ours ? info->heads * info->tile_rows : 1;
}

void vka__backward_bind_sort(const vka__call *c, vka__backward_pass pass, vka__dispatch *out) {
    const vka__backward_state *s = state_of(c);
    const vka__backward_plan *plan = &s->plan;
    bool sorted = pass == VKA__PASS_SORT_TILES;
    out->params = VKA__BACKWARD_SORT_BLOCK;
    bind_part(VKA_BIND_SCRATCH, VKA__READ_WRITE, plan->sort_at, plan->order_at, out);
    if (sorted || pass == VKA__PASS_SORT_ORDER)
        bind_part(VKA_BIND_SORTED, sorted ? VKA__READ : VKA__WRITE, plan->order_at, plan->tiles_at, out);
    if (s->problem.map.present) {
        bind_map(c, pass, out);
        return;
    }
    if (pass == VKA__PASS_SORT_COUNT)
        vka__bind_all(c->caps, &s->problem.key_lists, VKA_BIND_X, VKA__READ, out);
    out->push.dim1 = plan->sort_batches;
    out->push.dim2 = plan->sort_heads;
}
