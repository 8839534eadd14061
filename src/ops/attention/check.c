/* Checks and defaults of vka_attention: a description becomes a problem of plain numbers, or a named error.
 * SPDX-License-Identifier: MIT */
#include "ops/attention/check.h"
#include "ops/attention/score_function.h"

#include <math.h>
#include <string.h>

/* Positions are compared in 32-bit integers with room to add. */
#define MAX_SEQUENCE (1 << 28)

static const vka_attention_desc *desc_of(const vka__call *c) {
    return vka__attention_desc_of(c);
}

static vka__attention_problem *problem_of(vka__call *c) {
    return VKA__STATE(c, vka__attention_problem);
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

static vka_status check_lists(const vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    const struct {
        const vka_integers *lengths, *offsets;
        const char *name;
        uint32_t most;
        const char *bound;
    } sides[] = {{&d->q_lengths, &d->q_offsets, "q_offsets", d->max_q_len, "max_q_len"},
                 {&d->kv_lengths, &d->kv_offsets, "kv_offsets", d->max_kv_len, "max_kv_len"}};
    for (int i = 0; i < 2; ++i) {
        if (vka__is_list(sides[i].lengths) && vka__is_list(sides[i].offsets))
            return vka__call_fail(c, VKA_INVALID, sides[i].name, "there are lengths as well; one of them, please");
        if (sides[i].most && !vka__is_list(sides[i].lengths) && !vka__is_list(sides[i].offsets))
            return vka__call_fail(c, VKA_INVALID, sides[i].bound, "is %u, but there are neither lengths nor offsets",
                                  sides[i].most);
    }
    bool offsets = vka__is_list(&d->q_offsets) || vka__is_list(&d->kv_offsets);
    if (offsets != (d->sequences != 0))
        return vka__call_fail(c, VKA_INVALID, "sequences", "is %u, but there are %s", d->sequences,
                              offsets ? "offsets, which count them" : "no offsets");
    if (d->sequences > MAX_SEQUENCE)
        return vka__call_fail(c, VKA_UNSUPPORTED, "sequences", "is %u, which is above %d", d->sequences, MAX_SEQUENCE);
    return VKA_OK;
}

static vka_status check_ranks(const vka__call *c) {
    for (uint32_t i = VKA__ATTENTION_Q; i <= VKA__ATTENTION_V; ++i)
        if (vka__call_tensor(c, i)->rank != 4)
            return vka__call_fail(c, VKA_INVALID, c->op->args[i].name, "rank is %u, but its shape must be [B, H, N, D]",
                                  vka__call_tensor(c, i)->rank);
    return VKA_OK;
}

/* Batches of q, k and v, and the number of sequences. */
static vka_status measure_batch(vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    vka__attention_problem *p = problem_of(c);
    bool q_packed = vka__is_list(&d->q_offsets), kv_packed = vka__is_list(&d->kv_offsets),
         paged = vka__is_present(&d->page_table);
    p->batch = q_packed ? d->sequences : d->q.shape[0];
    if (q_packed && d->q.shape[0] != 1)
        return vka__call_fail(c, VKA_INVALID, "q", "shape[0] is %u, but must be 1 with q_offsets", d->q.shape[0]);
    if (paged && kv_packed)
        return vka__call_fail(c, VKA_INVALID, "kv_offsets", "a page table places keys already");
    if (d->sequences && d->sequences != p->batch)
        return vka__call_fail(c, VKA_INVALID, "sequences", "is %u, but q has a batch of %u", d->sequences, p->batch);
    for (int i = 0; i < 2; ++i) {
        uint32_t have = i ? d->v.shape[0] : d->k.shape[0];
        if (kv_packed && have != 1)
            return vka__call_fail(c, VKA_INVALID, i ? "v" : "k", "shape[0] is %u, but must be 1 with kv_offsets", have);
        if (!paged && have != 1 && have != p->batch)
            return vka__call_fail(c, VKA_INVALID, i ? "v" : "k", "shape[0] is %u, but must be %u, the batch, or 1",
                                  have, p->batch);
    }
    if (paged && d->v.shape[0] != d->k.shape[0])
        return vka__call_fail(c, VKA_INVALID, "v", "shape[0] is %u, but k has %u pages", d->v.shape[0], d->k.shape[0]);
    return VKA_OK;
}

static vka_status check_heads(const vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    const uint32_t *q = d->q.shape, *k = d->k.shape;
    if (!k[1] || q[1] % k[1])
        return vka__call_fail(c, VKA_INVALID, "k", "shape[1] is %u, which does not divide the %u heads of q", k[1],
                              q[1]);
    return VKA_OK;
}

/* The most queries and keys of a sequence. */
static vka_status measure_lengths(vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    vka__attention_problem *p = problem_of(c);
    bool paged = vka__is_present(&d->page_table);
    if (paged && (d->k.shape[2] < 8 || d->k.shape[2] % 8))
        return vka__call_fail(c, VKA_INVALID, "k", "shape[2], the page size, is %u, but must be a multiple of 8",
                              d->k.shape[2]);
    if (paged && (d->page_table.rank != 2 || !d->k.shape[0] || !d->page_table.shape[1]))
        return vka__call_fail(c, VKA_INVALID, "page_table",
                              "rank is %u with %u columns for %u pages, but must be 2 with "
                              "at least one of each",
                              d->page_table.rank, d->page_table.shape[1], d->k.shape[0]);
    uint64_t keys = paged ? (uint64_t)d->page_table.shape[1] * d->k.shape[2] : d->k.shape[2];
    if (paged && keys > MAX_SEQUENCE)
        return vka__call_fail(c, VKA_UNSUPPORTED, "page_table", "has room for %llu keys, which are above %d",
                              (unsigned long long)keys, MAX_SEQUENCE);
    if (d->q.shape[2] > MAX_SEQUENCE || keys > MAX_SEQUENCE)
        return vka__call_fail(c, VKA_UNSUPPORTED, d->q.shape[2] > MAX_SEQUENCE ? "q" : "k", "shape[2] is above %d",
                              MAX_SEQUENCE);
    p->q_len = d->max_q_len ? vka__min_u32(d->max_q_len, d->q.shape[2]) : d->q.shape[2];
    p->kv_len = d->max_kv_len ? vka__min_u32(d->max_kv_len, (uint32_t)keys) : (uint32_t)keys;
    p->options |= vka__is_list(&d->q_lengths) ? VKA_FLAG_Q_LENGTHS : 0;
    p->options |= vka__is_list(&d->q_offsets) ? VKA_FLAG_Q_OFFSETS : 0;
    p->options |= vka__is_list(&d->kv_lengths) ? VKA_FLAG_KV_LENGTHS : 0;
    p->options |= vka__is_list(&d->kv_offsets) ? VKA_FLAG_KV_OFFSETS : 0;
    return VKA_OK;
}

vka_status vka__attention_sizes_of(vka__call *c) {
    vka_status status = check_lists(c);
    if (status == VKA_OK)
        status = check_ranks(c);
    if (status == VKA_OK)
        status = check_heads(c);
    if (status == VKA_OK)
        status = measure_batch(c);
    if (status == VKA_OK)
        status = measure_lengths(c);
    const vka__attention_problem *p = problem_of(c);
    vka__call_bind_letter(c, 'S', p->batch);
    vka__call_bind_letter(c, 'F', p->batch + 1);
    vka__call_bind_letter(c, 'A', p->q_len);
    vka__call_bind_letter(c, 'E', p->kv_len);
    return status;
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

static vka_status check_all_lists(vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    vka__attention_problem *p = problem_of(c);
    uint32_t queries = d->q.shape[2], keys = d->k.shape[2];
    keys *= vka__call_has(c, VKA__ATTENTION_PAGES) ? d->page_table.shape[1] : 1;
    const struct {
        uint32_t arg;
        bool offsets;
        uint32_t rows, most;
        vka__view *view;
    } lists[] = {{VKA__ATTENTION_Q_LENGTHS, false, queries, p->q_len, &p->q_list},
                 {VKA__ATTENTION_Q_OFFSETS, true, queries, p->q_len, &p->q_list},
                 {VKA__ATTENTION_KV_LENGTHS, false, keys, p->kv_len, &p->kv_list},
                 {VKA__ATTENTION_KV_OFFSETS, true, keys, p->kv_len, &p->kv_list}};
    vka_status status = VKA_OK;
    for (int i = 0; i < 4 && status == VKA_OK; ++i) {
        status = vka__call_check_list(c, lists[i].arg, lists[i].offsets, p->batch, lists[i].rows, lists[i].most);
        if (vka__call_has(c, lists[i].arg)) {
            *lists[i].view = c->view[lists[i].arg];
            p->device_lengths = p->device_lengths || !c->source[lists[i].arg].values;
        }
    }
    return status;
}

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

static vka_status check_relative(const vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    const vka_tensor *t = &d->relative_bias;
    uint32_t rank = d->relative_width ? 3 : 2, heads = d->q.shape[1];
    if (d->relative_width > MAX_SEQUENCE || (d->relative_width && !vka__is_present(t)))
        return vka__call_fail(c, VKA_INVALID, "relative_width", "is %u, but %s", d->relative_width,
                              vka__is_present(t) ? "at most 2^28" : "there is no relative_bias");
    if (!vka__is_present(t))
        return VKA_OK;
    if (t->rank != rank)
        return vka__call_fail(c, VKA_INVALID, "relative_bias", "rank is %u, but its shape must be %s", t->rank,
                              d->relative_width ? "[H, Ly, Lx]" : "[H, L]");
    if (t->shape[0] != 1 && t->shape[0] != heads)
        return vka__call_fail(c, VKA_INVALID, "relative_bias", "shape[0] is %u, but must be 1 or %u", t->shape[0],
                              heads);
    if (d->relative_zero >= t->shape[rank - 1])
        return vka__call_fail(c, VKA_INVALID, "relative_zero", "is %u, but relative_bias has %u columns",
                              d->relative_zero, t->shape[rank - 1]);
    if (d->relative_width && d->relative_zero_row >= t->shape[1])
        return vka__call_fail(c, VKA_INVALID, "relative_zero_row", "is %u, but relative_bias has %u rows",
                              d->relative_zero_row, t->shape[1]);
    return VKA_OK;
}

/* Both take the place of q . k, and their tensors that of others in kernels. */
static vka_status check_products(const vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    bool cosine = vka__is_present(&d->cosine_scale), relative = vka__is_present(&d->relative_keys);
    const struct {
        bool without;
        const vka_tensor *t;
        const char *name;
    } others[] = {{relative, &d->cosine_scale, "cosine_scale"},
                  {cosine || relative, &d->alibi_slopes, "alibi_slopes"},
                  {relative, &d->relative_bias, "relative_bias"},
                  {relative, &d->sinks, "sinks"}};
    for (int i = 0; i < 4; ++i)
        if (others[i].without && vka__is_present(others[i].t))
            return vka__call_fail(c, VKA_INVALID, relative ? "relative_keys" : "cosine_scale",
                                  "does not go together with %s", others[i].name);
    return VKA_OK;
}

static vka_status check_relative_keys(const vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    bool relative = vka__is_present(&d->relative_keys);
    const vka_tensor *biases[] = {&d->content_bias, &d->position_bias};
    for (uint32_t i = 0; i < 2; ++i)
        if (!relative && vka__is_present(biases[i]))
            return vka__call_fail(c, VKA_INVALID, c->op->args[VKA__ATTENTION_CONTENT_BIAS + i].name,
                                  "is there, but there are no relative_keys");
    uint32_t rows = relative ? d->relative_keys.shape[1] : 1;
    if (!rows || rows > MAX_SEQUENCE)
        return vka__call_fail(c, rows ? VKA_UNSUPPORTED : VKA_INVALID, "relative_keys",
                              "shape[1] is %u, but must be 1 .. %d", rows, MAX_SEQUENCE);
    if (d->relative_keys_zero >= rows)
        return relative ? vka__call_fail(c, VKA_INVALID, "relative_keys_zero", "is %u, but relative_keys has %u rows",
                                         d->relative_keys_zero, rows)
                        : vka__call_fail(c, VKA_INVALID, "relative_keys_zero", "is %u, but there are no relative_keys",
                                         d->relative_keys_zero);
    return VKA_OK;
}

/* They share a binding, and the walk, with what they do not go together with. */
static vka_status check_key_lists(const vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    const vka_tensor *t = &d->key_lists;
    if (!vka__is_present(t))
        return VKA_OK;
    uint32_t heads = t->shape[1];
    if (heads != 1 && heads != d->k.shape[1] && heads != d->q.shape[1])
        return vka__call_fail(c, VKA_INVALID, "key_lists",
                              "shape[1] is %u, but must be 1, %u or %u, the heads of k or q", heads, d->k.shape[1],
                              d->q.shape[1]);
    if (t->shape[3] > MAX_SEQUENCE)
        return vka__call_fail(c, VKA_UNSUPPORTED, "key_lists", "shape[3] is %u, which is above %d", t->shape[3],
                              MAX_SEQUENCE);
    const char *other = d->pattern                         ? "a pattern"
                        : vka__is_present(&d->permutation) ? "a permutation"
                        : vka__is_present(&d->scores)      ? "scores"
                                                           : NULL;
    return other ? vka__call_fail(c, VKA_INVALID, "key_lists", "do not go together with %s", other) : VKA_OK;
}

static vka_status check_scales(const vka__call *c) {
    for (uint32_t i = 0; i < 2; ++i) {
        uint32_t scale = VKA__ATTENTION_K_SCALE + i;
        bool scaled = c->view[VKA__ATTENTION_K + i].dtype == VKA_I8;
        if (scaled != vka__call_has(c, scale))
            return vka__call_fail(c, VKA_INVALID, c->op->args[scale].name, "%s, as %s %s VKA_I8",
                                  scaled ? "is required" : "must be absent", c->op->args[VKA__ATTENTION_K + i].name,
                                  scaled ? "is" : "is not");
    }
    return VKA_OK;
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

static vka_status check_selection(const vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    bool soft = d->selection == VKA_SELECTION_SOFTMAX, probabilities = d->score_stage == VKA_SCORES_PROBABILITIES;
    if (!soft && d->dropout > 0)
        return vka__call_fail(c, VKA_INVALID, "dropout", "needs VKA_SELECTION_SOFTMAX");
    if (!soft && vka__is_present(&d->sinks))
        return vka__call_fail(c, VKA_INVALID, "sinks", "need VKA_SELECTION_SOFTMAX");
    if (vka__is_present(&d->scores) && probabilities && (!soft || !vka__is_present(&d->lse)))
        return vka__call_fail(c, VKA_INVALID, "score_stage",
                              "VKA_SCORES_PROBABILITIES needs lse, and VKA_SELECTION_SOFTMAX");
    return VKA_OK;
}

static vka_status check_choices(const vka__call *c) {
    const vka_attention_desc *d = desc_of(c);
    if (d->diagonal != VKA_DIAGONAL_EXPLICIT && d->diagonal_offset)
        return vka__call_fail(c, VKA_INVALID, "diagonal_offset", "is %d, but diagonal is not VKA_DIAGONAL_EXPLICIT",
                              d->diagonal_offset);
    bool bounded = d->window.left != VKA_UNBOUNDED && d->window.right != VKA_UNBOUNDED;
    if (d->window.enabled && bounded && (int64_t)d->window.left + d->window.right < 0)
        return vka__call_fail(c, VKA_INVALID, "window", "left %d + right %d is negative: it keeps nothing",
                              d->window.left, d->window.right);
    const vka_attention_tile *t = &d->tile;
    bool any = t->query_tile || t->key_tile || t->rows_per_invocation || t->team;
    if (any && (!d->path || !t->key_tile))
        return vka__call_fail(c, VKA_INVALID, "tile", "needs a path and a key_tile");
    return VKA_OK;
}

/* Twice the longest sequence: a bound of a band beyond it is as good as one at it. */
#define POSITION_LIMIT (INT64_C(1) << 29)

static int32_t clamp_position(int64_t x) {
    return (int32_t)(x < -POSITION_LIMIT ? -POSITION_LIMIT : x > POSITION_LIMIT ? POSITION_LIMIT : x);
}

/* Positions matter to biases even where no key is near: a diagonal beyond the limit is brought to it by whole rows of a
 * picture, as few as possible. Half of the limit stays, and no key is so far from the first query. */
static void split_diagonal(int64_t diagonal, vka__attention_problem *p) {
    int64_t row = vka__max_u32(p->relative_width, 1), size = diagonal < 0 ? -diagonal : diagonal;
    int64_t rest = size > POSITION_LIMIT ? (size - POSITION_LIMIT + row - 1) / row * row : 0;
    p->diagonal_rest = diagonal < 0 ? -rest : rest;
    p->diagonal = (int32_t)(diagonal - p->diagonal_rest);
}

/* Causality and window become one band of visible keys around the diagonal, which is each sequence's own where lengths
 * differ. */
static void fill_band(const vka_attention_desc *d, vka__attention_problem *p) {
    int64_t nq = p->q_len, nk = p->kv_len;
    bool own = d->diagonal == VKA_DIAGONAL_BOTTOM_RIGHT && (p->q_list.present || p->kv_list.present);
    int64_t diagonal = d->diagonal == VKA_DIAGONAL_TOP_LEFT || own ? 0
                       : d->diagonal == VKA_DIAGONAL_EXPLICIT      ? d->diagonal_offset
                                                                   : nk - nq;
    int64_t lo = INT64_MIN, hi = INT64_MAX;
    if (d->window.enabled && d->window.left != VKA_UNBOUNDED)
        lo = diagonal - d->window.left;
    if (d->window.enabled && d->window.right != VKA_UNBOUNDED)
        hi = diagonal + d->window.right;
    if (d->causal && hi > diagonal)
        hi = diagonal;
    p->band = own ? lo != INT64_MIN || hi != INT64_MAX : lo > 1 - nq || hi < nk - 1;
    p->band_lo = clamp_position(lo);
    p->band_hi = clamp_position(hi);
    split_diagonal(diagonal, p);
    p->options |= own ? VKA_FLAG_OWN_DIAGONAL : 0;
}

static void fill_options(const vka_attention_desc *d, vka__attention_problem *p) {
    bool cosine = vka__is_present(&d->cosine_scale);
    p->scale = d->scale ? d->scale : cosine ? 1 : 1 / sqrtf((float)d->q.shape[3]);
    p->relative_keys_zero = d->relative_keys_zero;
    p->softcap = d->softcap;
    p->options |= d->softcap > 0 ? VKA_FLAG_SOFTCAP : 0;
    p->options |= d->selection != VKA_SELECTION_SOFTMAX ? VKA_FLAG_HARD : 0;
    p->options |= d->selection == VKA_SELECTION_SAMPLE ? VKA_FLAG_SAMPLE : 0;
    p->options |= d->dropout > 0 ? VKA_FLAG_DROPOUT : 0;
    p->options |= vka__is_present(&d->key_lists) ? VKA_FLAG_KEY_LISTS : 0;
    p->relative_zero = d->relative_zero;
    p->relative_width = d->relative_width;
    p->relative_zero_row = d->relative_zero_row;
    p->dropout = d->dropout;
    p->seed = d->seed;
    p->random_offset = d->random_offset;
    p->score_stage = d->score_stage;
    p->path = d->path;
    p->tile = (vka__tile){d->tile.query_tile, d->tile.key_tile, d->tile.rows_per_invocation, d->tile.team};
    p->splits = d->splits;
    p->dequantise = d->dequantise;
    p->batch_invariant = d->determinism == VKA_DETERMINISM_BATCH;
    fill_band(d, p);
}

/* All but the lists, which are there. */
static void fill_views(const vka__call *c, vka__attention_problem *p) {
    vka__view *const views[VKA__ATTENTION_RANDOM_STEP + 1] = {
        [VKA__ATTENTION_Q] = &p->q,
        [VKA__ATTENTION_K] = &p->k,
        [VKA__ATTENTION_V] = &p->v,
        [VKA__ATTENTION_OUT] = &p->out,
        [VKA__ATTENTION_LSE] = &p->lse,
        [VKA__ATTENTION_MASK] = &p->mask,
        [VKA__ATTENTION_ALIBI] = &p->alibi,
        [VKA__ATTENTION_RELATIVE] = &p->relative,
        [VKA__ATTENTION_SINKS] = &p->sinks,
        [VKA__ATTENTION_PAGES] = &p->pages,
        [VKA__ATTENTION_K_SCALE] = &p->k_scale,
        [VKA__ATTENTION_V_SCALE] = &p->v_scale,
        [VKA__ATTENTION_STATS] = &p->stats,
        [VKA__ATTENTION_SCORES] = &p->scores,
        [VKA__ATTENTION_PERMUTATION] = &p->permutation,
        [VKA__ATTENTION_COSINE_SCALE] = &p->cosine,
        [VKA__ATTENTION_RELATIVE_KEYS] = &p->relative_keys,
        [VKA__ATTENTION_CONTENT_BIAS] = &p->content,
        [VKA__ATTENTION_POSITION_BIAS] = &p->position,
        [VKA__ATTENTION_KEY_LISTS] = &p->key_lists,
        [VKA__ATTENTION_RANDOM_STEP] = &p->random_step,
    };
    for (uint32_t i = 0; i <= VKA__ATTENTION_RANDOM_STEP; ++i)
        *views[i] = c->view[i];
}

/* Is v the first channels of k, in the same memory? */
static bool values_are_keys(const vka__call *c, const vka__attention_problem *p) {
    bool scaled = p->k_scale.present || p->v_scale.present;
    bool same_scales = vka__call_same_memory(c, VKA__ATTENTION_K_SCALE, VKA__ATTENTION_V_SCALE) &&
                       vka__view_same(&p->k_scale, &p->v_scale);
    return (!scaled || same_scales) && vka__call_same_memory(c, VKA__ATTENTION_K, VKA__ATTENTION_V) &&
           vka__view_begins(&p->k, &p->v);
}

/* It shares a binding with what says where keys are. Without randomness it is not read. */
static vka_status check_random_step(const vka__call *c, vka__attention_problem *p) {
    if (p->random_step.present && (p->pages.present || p->permutation.present))
        return vka__call_fail(c, VKA_INVALID, "random_step", "does not go together with %s",
                              p->pages.present ? "page_table" : "a permutation");
    if (!(p->options & (VKA_FLAG_DROPOUT | VKA_FLAG_SAMPLE)))
        p->random_step.present = false;
    return VKA_OK;
}

vka_status vka__attention_check(vka__call *c) {
    vka__attention_problem *p = problem_of(c);
    const uint32_t pairs[] = {p->batch, desc_of(c)->q.shape[1], p->q_len, p->kv_len};
    vka_status status = vka__call_check_mask(c, VKA__ATTENTION_MASK, pairs);
    if (status == VKA_OK)
        status = check_relative(c);
    if (status == VKA_OK)
        status = check_products(c);
    if (status == VKA_OK)
        status = check_relative_keys(c);
    if (status == VKA_OK)
        status = check_key_lists(c);
    if (status == VKA_OK)
        status = check_scales(c);
    if (status == VKA_OK)
        status = check_all_lists(c);
    if (status == VKA_OK)
        status = check_selection(c);
    if (status == VKA_OK)
        status = check_choices(c);
    if (status != VKA_OK)
        return status;
    fill_views(c, p);
    fill_options(desc_of(c), p);
    p->values_are_keys = values_are_keys(c, p);
    status = vka__attention_check_score(c, p);
    if (status == VKA_OK)
        status = vka__attention_check_pattern(c, p);
    return status == VKA_OK ? check_random_step(c, p) : status;
}
