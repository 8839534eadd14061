/* Checks of an attention's pattern and permutation.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/check.h"

#include "ops/pattern/object.h"

/* Words of a map as a tensor. */
static vka__view words_at(uint64_t first, uint64_t count) {
    return (vka__view){.present = true,
                       .dtype = VKA_I32,
                       .size = 4,
                       .block = 1,
                       .offset = 4 * first,
                       .shape = {1, 1, (uint32_t)count, 1},
                       .stride = {0, 0, count > 1, 0}};
}

/* Positions that queries may have: below this. */
static int64_t positions(const vka__attention_problem *p) {
    return p->options & VKA_FLAG_OWN_DIAGONAL ? p->kv_len : p->diagonal + p->diagonal_rest + p->q_len;
}

static vka_status check_reach(const vka__call *c, const vka_attention_desc *d, const vka__attention_problem *p) {
    const vka_pattern_info *info = &p->pattern->info;
    if (info->heads > 1 && info->heads != d->q.shape[1])
        return vka__call_fail(c, VKA_INVALID, "pattern", "has %u heads, but q has %u", info->heads, d->q.shape[1]);
    if (vka__is_present(&d->permutation)) {
        uint32_t slots = d->permutation.shape[2];
        if (slots > info->queries || slots > info->keys)
            return vka__call_fail(c, VKA_INVALID, "pattern", "is for %u x %u slots, but permutation has %u",
                                  info->queries, info->keys, slots);
        return VKA_OK;
    }
    if (p->kv_len > info->keys)
        return vka__call_fail(c, VKA_INVALID, "pattern", "is for %u keys, but there may be %u", info->keys, p->kv_len);
    if (positions(p) > info->queries)
        return vka__call_fail(c, VKA_INVALID, "pattern",
                              "is for %u positions, but queries reach position %lld (see diagonal)", info->queries,
                              (long long)positions(p) - 1);
    return VKA_OK;
}

static vka_status check_permutation(const vka__call *c, const vka_attention_desc *d, const vka__attention_problem *p) {
    bool own = p->pattern && p->pattern->permutation_at;
    if (vka__is_present(&d->permutation) && vka__is_present(&d->page_table))
        return vka__call_fail(c, VKA_INVALID, "permutation", "a page table places keys already");
    if (vka__is_present(&d->permutation) && own)
        return vka__call_fail(c, VKA_INVALID, "permutation", "the pattern has one of its own");
    if (own && vka__is_present(&d->page_table))
        return vka__call_fail(c, VKA_INVALID, "pattern", "has a permutation, but a page table places keys already");
    if (own && (p->diagonal || p->options & VKA_FLAG_OWN_DIAGONAL))
        return vka__call_fail(c, VKA_INVALID, "pattern",
                              "is walked in boxes of a grid, which needs a diagonal of 0 (VKA_DIAGONAL_TOP_LEFT)");
    if (vka__is_present(&d->permutation) && d->permutation.shape[2] > 1u << 28)
        return vka__call_fail(c, VKA_UNSUPPORTED, "permutation", "shape[2] is above 2^28");
    return VKA_OK;
}

/* A map's words, in the pattern's buffer. */
static void place(vka__call *c, uint32_t arg, vka__view words, vka__view *view) {
    words.source = VKA__SOURCE_ARGS + arg;
    c->source[arg].buffer = vka__pattern_buffer(vka__attention_desc_of(c)->pattern);
    *view = words;
}

vka_status vka__attention_check_pattern(vka__call *c, vka__attention_problem *p) {
    const vka_attention_desc *d = vka__attention_desc_of(c);
    if (d->pattern && vka__pattern_device(d->pattern) != c->device)
        return vka__call_fail(c, VKA_INVALID, "pattern", "belongs to another device");
    if (d->pattern)
        p->pattern = vka__pattern_shape_of(d->pattern);
    vka_status status = check_permutation(c, d, p);
    if (status == VKA_OK && p->pattern)
        status = check_reach(c, d, p);
    if (status != VKA_OK || !p->pattern)
        return status;
    const vka_pattern_info *info = &p->pattern->info;
    place(c, VKA__ATTENTION_MAP, words_at(0, p->pattern->words), &p->map);
    if (p->pattern->permutation_at) {
        uint64_t slots = (uint64_t)info->tile_rows * info->query_tile;
        place(c, VKA__ATTENTION_PERMUTATION, words_at(p->pattern->permutation_at, slots), &p->permutation);
        p->permutation_sure = !p->band && !p->kv_list.present && p->kv_len == info->keys;
    }
    return VKA_OK;
}
