/* Attentions of which no binding sees all: slices, ranges of queries, parts of keys.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/slices.h"

#include "ops/attention/paths.h"

#include <stddef.h>
#include <stdio.h>

#include <vkattn/attention.h>

/* What a tensor has a part of for each batch entry, head and so on. */
typedef enum kind {
    WHOLE,   /* of all                                                   */
    QUERIES, /* rows of queries, packed ones of all sequences            */
    PAIRS,   /* rows of a sequence's queries, with an element for each key */
    KEYS,    /* rows of keys, or pages                                   */
    SLOTS,
    LISTS,  /* rows of queries, of heads that may be fewer */
    BIASES, /* only heads, in dimension 1 of grids and of relative keys, otherwise 2, and where the kernel counts them
               from the first one of all */
} kind;

/* The tensors, by binding. */
static const struct sliced {
    const char *name; /* of the description's field; NULL: see field_of */
    size_t view;      /* where in the problem */
    size_t strides;   /* where in the parameters; of some kinds nowhere */
    uint32_t binding;
    kind kind;
    vka__access access;
} sliced[] = {
#define SLICED(name, params, binding, kind, access)                                                                    \
    { #name, offsetof(vka__attention_problem, name), offsetof(vka_attention_params, params), binding, kind, access }
#define WITHOUT_STRIDES(view, field, binding, kind)                                                                    \
    { field, offsetof(vka__attention_problem, view), 0, binding, kind, VKA__READ }
    SLICED(q, q, VKA_BIND_Q, QUERIES, VKA__READ),
    SLICED(k, k, VKA_BIND_K, KEYS, VKA__READ),
    SLICED(v, v, VKA_BIND_V, KEYS, VKA__READ),
    SLICED(out, out_, VKA_BIND_OUT, QUERIES, VKA__WRITE),
    SLICED(lse, lse, VKA_BIND_LSE, QUERIES, VKA__WRITE),
    SLICED(mask, mask, VKA_BIND_MASK, PAIRS, VKA__READ),
    SLICED(k_scale, k_scale, VKA_BIND_K_SCALE, KEYS, VKA__READ),
    SLICED(v_scale, v_scale, VKA_BIND_V_SCALE, KEYS, VKA__READ),
    SLICED(stats, stats, VKA_BIND_STATS, QUERIES, VKA__WRITE),
    SLICED(scores, scores, VKA_BIND_OUT, PAIRS, VKA__WRITE), /* in a dispatch of its own */
    SLICED(permutation, permutation_, VKA_BIND_PERMUTATION, SLOTS, VKA__READ),
    SLICED(key_lists, permutation_, VKA_BIND_KEY_LISTS, LISTS, VKA__READ),
    WITHOUT_STRIDES(relative, "relative_bias", VKA_BIND_RELATIVE, BIASES),
    WITHOUT_STRIDES(map, "pattern", VKA_BIND_MAP, WHOLE),
    WITHOUT_STRIDES(relative_keys, "relative_keys", VKA_BIND_RELATIVE_KEYS, BIASES),
    WITHOUT_STRIDES(cosine, "cosine_scale", VKA_BIND_COSINE, WHOLE),
    WITHOUT_STRIDES(content, "content_bias", VKA_BIND_CONTENT, WHOLE),
    WITHOUT_STRIDES(position, "position_bias", VKA_BIND_POSITION, WHOLE),
    WITHOUT_STRIDES(alibi, "alibi_slopes", VKA_BIND_ALIBI, WHOLE),
    WITHOUT_STRIDES(sinks, "sinks", VKA_BIND_SINKS, WHOLE),
    WITHOUT_STRIDES(q_list, NULL, VKA_BIND_Q_LIST, WHOLE),
    WITHOUT_STRIDES(kv_list, NULL, VKA_BIND_KV_LIST, WHOLE),
    WITHOUT_STRIDES(pages, "page_table", VKA_BIND_PAGES, WHOLE),
    WITHOUT_STRIDES(random_step, "random_step", VKA_BIND_RANDOM_STEP, WHOLE),
    WITHOUT_STRIDES(score_tensor[0], "score_tensors[0]", VKA_BIND_SCORE_TENSOR0, WHOLE),
    WITHOUT_STRIDES(score_tensor[1], "score_tensors[1]", VKA_BIND_SCORE_TENSOR1, WHOLE),
    WITHOUT_STRIDES(score_tensor[2], "score_tensors[2]", VKA_BIND_SCORE_TENSOR2, WHOLE),
    WITHOUT_STRIDES(score_tensor[3], "score_tensors[3]", VKA_BIND_SCORE_TENSOR3, WHOLE),
};
#define SLICED_COUNT (sizeof sliced / sizeof *sliced)

static const vka__view *view_of(const vka__attention_problem *p, const struct sliced *t) {
    return (const vka__view *)((const char *)p + t->view);
}

/* A list may be either of two. */
static const char *field_of(const vka__attention_problem *p, const struct sliced *t) {
    if (t->binding == VKA_BIND_Q_LIST)
        return p->options & VKA_FLAG_Q_OFFSETS ? "q_offsets" : "q_lengths";
    if (t->binding == VKA_BIND_KV_LIST)
        return p->options & VKA_FLAG_KV_OFFSETS ? "kv_offsets" : "kv_lengths";
    return t->name;
}

void vka__heads_of_slice(const vka__attention_problem *p, vka__slice slice, uint32_t *q_heads, uint32_t *kv_heads) {
    *q_heads = slice == VKA__SLICE_QUERY_HEAD ? 1 : slice == VKA__SLICE_HEAD ? vka__group_of(p) : p->q.shape[1];
    *kv_heads = slice >= VKA__SLICE_HEAD ? 1 : p->k.shape[1];
}

/* ---- parts of tensors ------------------------------------------------------------------------------------------- */

/* Is it unknown which keys some queries see, so that neither can be cut? */
static bool is_whole(const vka__attention_problem *p) {
    return p->permutation.present || p->key_lists.present;
}

/* Can the rows of a tensor be bound a range of a sequence's queries at a time? */
static bool has_rows(const vka__attention_problem *p, const struct sliced *t) {
    bool packed = p->options & VKA_FLAG_Q_OFFSETS;
    return !is_whole(p) && (t->kind == PAIRS || (t->kind == QUERIES && !packed));
}

/* The dimension along which keys and values have parts. */
static uint32_t key_dim(const vka__attention_problem *p) {
    return p->pages.present ? 0 : 2;
}

static void cut_dim(vka__view *part, uint32_t dim, uint32_t begin, uint32_t size, uint64_t *first) {
    *first += begin * part->stride[dim];
    part->shape[dim] = vka__min_u32(size, part->shape[dim] - begin);
}

/* The part of a tensor that a region of a slice needs: elements from *first on, shaped as *part; *skipped of them the
 * kernel counts, too, as it counts queries from a sequence's first one. Pages belong to all batch entries. */
static void cut(const vka__attention_problem *p, const struct sliced *t, vka__slice slice, const vka__region *r,
                vka__view *part, uint64_t *first, uint64_t *skipped) {
    uint32_t q_heads, kv_heads, group = vka__group_of(p);
    vka__heads_of_slice(p, slice, &q_heads, &kv_heads);
    *part = *view_of(p, t);
    *first = *skipped = 0;
    if (t->kind == WHOLE)
        return;
    if (t->kind == BIASES) {
        uint32_t dim = p->relative_width || p->relative_keys.present ? 1 : 2;
        if (slice >= VKA__SLICE_HEAD && part->shape[dim] > 1)
            cut_dim(part, dim, r->q_head, q_heads, first);
        *skipped = *first;
        return;
    }
    bool keys = t->kind == KEYS;
    bool of_key_heads = keys || (t->kind == LISTS && part->shape[1] == p->k.shape[1]);
    if (slice >= VKA__SLICE_BATCH && !(keys && p->pages.present) && part->shape[0] > 1)
        cut_dim(part, 0, r->batch, 1, first);
    if (slice >= VKA__SLICE_HEAD && part->shape[1] > 1)
        cut_dim(part, 1, of_key_heads ? r->q_head / group : r->q_head, of_key_heads ? kv_heads : q_heads, first);
    if (keys)
        cut_dim(part, key_dim(p), r->key, r->keys, first);
    if (t->kind == PAIRS) { /* a mask may be made for more queries and keys */
        part->shape[2] = vka__min_u32(part->shape[2], p->q_len);
        part->shape[3] = vka__min_u32(part->shape[3], p->kv_len);
    }
    if (has_rows(p, t) && part->shape[2] > 1) {
        cut_dim(part, 2, r->row, r->rows, first);
        *skipped = r->row * part->stride[2];
    }
}

static const vka__region everything = {.rows = UINT32_MAX, .keys = UINT32_MAX};

/* The first tensor whose part no binding sees; NULL: all fit. */
static const struct sliced *misfit(const vka_device_caps *caps, const vka__attention_problem *p, vka__slice slice,
                                   const vka__region *r) {
    for (size_t i = 0; i < SLICED_COUNT; ++i) {
        vka__view part;
        uint64_t first, skipped;
        cut(p, &sliced[i], slice, r, &part, &first, &skipped);
        if (!vka__fits_binding(caps, &part, vka__view_extent(&part, 0)))
            return &sliced[i];
    }
    return NULL;
}

bool vka__has_key_parts(const vka_device_caps *caps, const vka__attention_problem *p) {
    for (size_t i = 0; i < SLICED_COUNT && !is_whole(p); ++i) {
        vka__view part;
        uint64_t first, skipped;
        cut(p, &sliced[i], VKA__SLICE_QUERY_HEAD, &everything, &part, &first, &skipped);
        if (sliced[i].kind == KEYS && !vka__fits_binding(caps, &part, vka__view_extent(&part, 0)))
            return true;
    }
    return false;
}

/* ---- choice ----------------------------------------------------------------------------------------------------- */

/* As much of dimension `dim` as a binding sees of every tensor of such kinds in a slice, at most `most`; 0: not even
 * one, and *which is the tensor. */
static uint32_t longest_part(const vka_device_caps *caps, const vka__attention_problem *p, vka__slice slice, bool keys,
                             uint32_t most, const struct sliced **which) {
    uint32_t dim = keys ? key_dim(p) : 2;
    for (size_t i = 0; i < SLICED_COUNT; ++i) {
        const struct sliced *t = &sliced[i];
        vka__view part;
        uint64_t first, skipped;
        cut(p, t, slice, &everything, &part, &first, &skipped);
        if (!part.present || !vka__view_extent(&part, 0) || (keys ? t->kind != KEYS : !has_rows(p, t)) ||
            part.shape[dim] < 2)
            continue;
        uint32_t box[3] = {part.shape[0], part.shape[1], part.shape[2]};
        if (!vka__cut_to_binding(caps, &part, 1u << dim, box)) {
            *which = t;
            return 0;
        }
        most = vka__min_u32(most, box[dim]);
    }
    return most;
}

uint64_t vka__workspace_floats(const vka_device_caps *caps) {
    uint64_t bytes = vka__min_u64(caps->storage_range, UINT64_C(1) << 32);
    return bytes / 256 * 256 / 4; /* as workspaces are rounded up */
}

/* Why a slice of one query head does not fit. */
static bool refuse(const vka_device_caps *caps, const vka__attention_problem *p, const vka__attention_plan *plan,
                   const struct sliced *t, vka__refusal *refusal) {
    uint32_t tile_rows = plan->main.spec[VKA_SPEC_BR];
    const char *what = t->kind == WHOLE                        ? "it"
                       : t->kind == BIASES                     ? "one head"
                       : p->permutation.present                ? "one head, all of which a permutation may name,"
                       : p->key_lists.present                  ? "one head, all of which lists may name,"
                       : t->kind == QUERIES && !has_rows(p, t) ? "one head of packed sequences"
                       : t->kind == KEYS && p->pages.present   ? "one page"
                       : t->kind == KEYS                       ? "one key"
                       : tile_rows == 1                        ? "a tile of one query"
                                                               : NULL;
    if (what)
        return vka__refuse_span(caps, field_of(p, t), what, refusal);
    refusal->field = field_of(p, t);
    snprintf(refusal->reason, sizeof refusal->reason,
             "a tile of %u queries spans more than the %llu bytes a binding can see; a smaller type, or a path and a "
             "tile of fewer queries, may fit",
             tile_rows, (unsigned long long)caps->storage_range);
    return false;
}

static bool refuse_workspace(const vka_device_caps *caps, const vka__attention_plan *plan, vka__refusal *refusal) {
    refusal->field = "k";
    snprintf(refusal->reason, sizeof refusal->reason,
             "its keys take %u bindings, whose partial results of a tile of %u queries span more than the %llu bytes "
             "that another can see",
             plan->parts, plan->main.spec[VKA_SPEC_BR], (unsigned long long)caps->storage_range);
    return false;
}

/* Keys are walked in steps, of which a part has whole ones. */
#define KEY_STEP 64

static void even_parts(const vka__attention_problem *p, uint32_t all, uint32_t longest, vka__attention_plan *plan) {
    uint32_t step = !p->pages.present && longest >= KEY_STEP ? KEY_STEP : 1;
    plan->parts = longest >= all ? 1 : vka__div_up(all, longest / step * step);
    plan->part_keys = plan->parts == 1 ? all : vka__round_up(vka__div_up(all, plan->parts), step);
    plan->parts = vka__max_u32(vka__div_up(all, vka__max_u32(plan->part_keys, 1)), 1);
}

/* Do parts of keys, and of one query head ranges of queries, make a slice fit? Fills them in, or the refusal. */
static bool fit_parts(const vka_device_caps *caps, const vka__attention_problem *p, vka__slice slice,
                      vka__attention_plan *plan, vka__refusal *refusal) {
    const struct sliced *which = NULL;
    uint32_t tile_rows = plan->main.spec[VKA_SPEC_BR], all = p->k.shape[key_dim(p)], rows = p->q_len;
    uint32_t keys = longest_part(caps, p, slice, true, all, &which), q_heads, kv_heads;
    if (which)
        return refuse(caps, p, plan, which, refusal);
    even_parts(p, all, keys, plan);
    uint64_t row_floats = (uint64_t)plan->parts * (p->v.shape[3] + 2);
    if (slice == VKA__SLICE_QUERY_HEAD) {
        rows = longest_part(caps, p, slice, false, rows, &which);
        if (plan->parts > 1)
            rows = (uint32_t)vka__min_u64(rows, vka__workspace_floats(caps) / row_floats);
        if (rows < p->q_len)
            rows = rows / tile_rows * tile_rows;
    }
    const vka__region region = {.rows = rows ? rows : tile_rows, .keys = plan->part_keys};
    which = which ? which : misfit(caps, p, slice, &region);
    if (which)
        return refuse(caps, p, plan, which, refusal);
    vka__heads_of_slice(p, slice, &q_heads, &kv_heads);
    uint64_t slice_rows = (uint64_t)(slice == VKA__SLICE_ALL ? p->batch : 1) * q_heads * rows;
    if (!rows || (plan->parts > 1 && slice_rows * row_floats > vka__workspace_floats(caps)))
        return refuse_workspace(caps, plan, refusal);
    plan->part_rows = rows;
    plan->slice = slice;
    return true;
}

bool vka__choose_slice(const vka_device_caps *caps, const vka__attention_problem *p, vka__attention_plan *plan,
                       vka__refusal *refusal) {
    plan->parts = 1;
    plan->part_keys = p->k.shape[key_dim(p)];
    plan->part_rows = vka__attention_rows(p);
    const struct sliced *which = NULL;
    for (int slice = VKA__SLICE_ALL; slice <= VKA__SLICE_QUERY_HEAD; ++slice) {
        which = misfit(caps, p, (vka__slice)slice, &everything);
        plan->slice = (vka__slice)slice;
        if (!which)
            return true;
    }
    if (is_whole(p))
        return refuse(caps, p, plan, which, refusal);
    for (int slice = VKA__SLICE_ALL; slice <= VKA__SLICE_QUERY_HEAD; ++slice)
        if (fit_parts(caps, p, (vka__slice)slice, plan, refusal))
            return true;
    return false;
}

bool vka__has_slice(const vka_device_caps *caps, const vka__attention_problem *p, uint32_t tile_rows) {
    vka__attention_plan plan = {0};
    vka__refusal refusal;
    plan.main.spec[VKA_SPEC_BR] = tile_rows;
    return vka__choose_slice(caps, p, &plan, &refusal);
}

/* ---- bindings --------------------------------------------------------------------------------------------------- */

/* Strides as the kernels get them; those that a slice never takes are dropped. Others may exceed 32 bits, where
 * products with what they are multiplied by, and the base, wrap alike. */
static vka_strides kernel_strides(const vka__view *part) {
    return (vka_strides){
        .b = part->shape[0] < 2 ? 0 : (uint32_t)part->stride[0],
        .h = part->shape[1] < 2 ? 0 : (uint32_t)part->stride[1],
        .n = part->shape[2] < 2 ? 0 : (uint32_t)part->stride[2],
        .d = part->shape[3] < 2 ? 0 : (uint32_t)part->stride[3],
    };
}

void vka__fill_strides(const vka__attention_problem *p, const vka__attention_plan *plan, vka_attention_params *params) {
    const vka__region region = {.rows = UINT32_MAX, .keys = plan->part_keys};
    for (size_t i = 0; i < SLICED_COUNT; ++i) {
        vka__view part;
        uint64_t first, skipped;
        cut(p, &sliced[i], plan->slice, &region, &part, &first, &skipped);
        /* A permutation and lists of keys share theirs. */
        if (view_of(p, &sliced[i])->present && sliced[i].kind != WHOLE && sliced[i].kind != BIASES)
            *(vka_strides *)(void *)((char *)params + sliced[i].strides) = kernel_strides(&part);
    }
}

/* Does a part of the work use a tensor? */
static bool uses(const vka__attention_problem *p, const vka__attention_plan *plan, vka__stage what,
                 const struct sliced *t) {
    const vka__view *v = view_of(p, t);
    bool result = v == &p->out || v == &p->lse || v == &p->stats, score = v == &p->scores;
    bool needed_by_scores = (v == &p->lse || v == &p->stats) && p->score_stage == VKA_SCORES_PROBABILITIES;
    switch (what) {
    case VKA__STAGE_SIZE:
        return v == &p->q_list || v == &p->kv_list;
    case VKA__STAGE_MAIN:
        return !score && (!result || plan->params.splits == 1);
    case VKA__STAGE_MERGE:
        return result || v == &p->sinks || v == &p->q_list || v == &p->kv_list || v == &p->map;
    default:
        return !result || needed_by_scores;
    }
}

void vka__bind_region(const vka_device_caps *caps, const vka__attention_problem *p, const vka__attention_plan *plan,
                      vka__stage what, const vka__region *region, vka__dispatch *out) {
    for (size_t i = 0; i < SLICED_COUNT; ++i) {
        const struct sliced *t = &sliced[i];
        if (!view_of(p, t)->present || !uses(p, plan, what, t))
            continue;
        uint64_t first, skipped;
        vka__view part;
        cut(p, t, plan->slice, region, &part, &first, &skipped);
        bool read_back = what == VKA__STAGE_SCORES && (t->binding == VKA_BIND_LSE || t->binding == VKA_BIND_STATS);
        uint32_t *base = &out->push.base[t->binding];
        out->binding[t->binding] =
            vka__bind(caps, &part, first, vka__view_extent(&part, 0), read_back ? VKA__READ : t->access, base);
        *base -= (uint32_t)skipped; /* wraps, as the sum with what the kernel adds does */
    }
}
