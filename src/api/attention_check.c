/* Checks and defaults of vka_attention: a description becomes a problem of plain numbers, or a named error.
 * SPDX-License-Identifier: MIT */
#include "api/attention_check.h"

#include "api/pattern.h"

#include <math.h>
#include <string.h>

/* Positions are compared in 32-bit integers with room to add. */
#define MAX_SEQUENCE (1 << 28)

/* All tensors of a description, with what each may be. */
enum {
    Q,
    K,
    V,
    OUT,
    LSE,
    MASK,
    ALIBI,
    RELATIVE,
    SINKS,
    PAGES,
    K_SCALE,
    V_SCALE,
    STATS,
    SCORES,
    ORDER,
    Q_LIST,
    KV_LIST,
    TENSORS
};

typedef struct tensors {
    const char *name[TENSORS];
    const vka_tensor *t[TENSORS];
    vka__view *view[TENSORS];
} tensors;

static const vka_integers *q_list(const vka_attention_desc *d) {
    return d->q_offsets.values || d->q_offsets.tensor.buffer ? &d->q_offsets : &d->q_lengths;
}

static const vka_integers *kv_list(const vka_attention_desc *d) {
    return d->kv_offsets.values || d->kv_offsets.tensor.buffer ? &d->kv_offsets : &d->kv_lengths;
}

static bool is_list(const vka_integers *list) {
    return list->values || list->tensor.buffer;
}

static tensors tensors_of(const vka_attention_desc *d, vka__attention_problem *p) {
    return (tensors){
        .name = {"q", "k", "v", "out", "lse", "mask", "alibi_slopes", "relative_bias", "sinks", "page_table", "k_scale",
                 "v_scale", "stats", "scores", "order", q_list(d) == &d->q_offsets ? "q_offsets" : "q_lengths",
                 kv_list(d) == &d->kv_offsets ? "kv_offsets" : "kv_lengths"},
        .t = {&d->q, &d->k, &d->v, &d->out, &d->lse, &d->mask, &d->alibi_slopes, &d->relative_bias, &d->sinks,
              &d->page_table, &d->k_scale, &d->v_scale, &d->stats, &d->scores, &d->order, &q_list(d)->tensor,
              &kv_list(d)->tensor},
        .view = {&p->q, &p->k, &p->v, &p->out, &p->lse, &p->mask, &p->alibi, &p->relative, &p->sinks, &p->pages,
                 &p->k_scale, &p->v_scale, &p->stats, &p->scores, &p->order, &p->q_list, &p->kv_list},
    };
}

/* Legal types and ranks of all but lists. */
static const struct {
    uint32_t types;
    uint32_t least_rank, most_rank;
    const char *shape;
} kinds[Q_LIST] = {
    [Q] = {VKA__FLOATS, 4, 4, "[B, H, N, D]"},
    [K] = {VKA__CACHES, 4, 4, "[B, H, N, D]"},
    [V] = {VKA__CACHES, 4, 4, "[B, H, N, D]"},
    [OUT] = {VKA__FLOATS, 4, 4, "[B, H, N, D]"},
    [LSE] = {VKA__TYPE(VKA_F32), 3, 3, "[B, H, N]"},
    [MASK] = {VKA__MASKS, 2, 4, "[.., Nq, Nk]"},
    [ALIBI] = {VKA__TYPE(VKA_F32), 1, 1, "[H]"},
    [RELATIVE] = {VKA__TYPE(VKA_F32), 2, 3, "[H, L], or [H, Ly, Lx] with relative_width"},
    [SINKS] = {VKA__TYPE(VKA_F32), 1, 1, "[H]"},
    [PAGES] = {VKA__TYPE(VKA_I32), 2, 2, "[B, columns]"},
    [K_SCALE] = {VKA__TYPE(VKA_F32), 3, 3, "[B, H, N]"},
    [V_SCALE] = {VKA__TYPE(VKA_F32), 3, 3, "[B, H, N]"},
    [STATS] = {VKA__TYPE(VKA_F32), 4, 4, "[B, H, N, 2]"},
    [SCORES] = {VKA__FLOATS, 4, 4, "[B, H, Nq, Nk]"},
    [ORDER] = {VKA__TYPE(VKA_I32), 3, 3, "[B, H, N]"},
};

/* All but lists, whose length depends on the others. */
static vka_status check_tensors(const vka__check *c, const tensors *all) {
    for (int i = 0; i < Q_LIST; ++i) {
        const vka_tensor *t = all->t[i];
        vka_status status = vka__check_tensor(c, all->name[i], t, kinds[i].types, i <= OUT, all->view[i]);
        if (status == VKA_OK && t->buffer && (t->rank < kinds[i].least_rank || t->rank > kinds[i].most_rank))
            status = vka__check_fail(c, VKA_INVALID, all->name[i], "rank is %u, but its shape must be %s", t->rank,
                                     kinds[i].shape);
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

static vka_status check_lists(const vka__check *c, const vka_attention_desc *d) {
    const struct {
        const vka_integers *lengths, *offsets;
        const char *name;
        uint32_t most;
        const char *bound;
    } sides[] = {{&d->q_lengths, &d->q_offsets, "q_offsets", d->max_q_len, "max_q_len"},
                 {&d->kv_lengths, &d->kv_offsets, "kv_offsets", d->max_kv_len, "max_kv_len"}};
    for (int i = 0; i < 2; ++i) {
        if (is_list(sides[i].lengths) && is_list(sides[i].offsets))
            return vka__check_fail(c, VKA_INVALID, sides[i].name, "there are lengths as well; one of them, please");
        if (sides[i].most && !is_list(sides[i].lengths) && !is_list(sides[i].offsets))
            return vka__check_fail(c, VKA_INVALID, sides[i].bound, "is %u, but there are neither lengths nor offsets",
                                   sides[i].most);
    }
    bool offsets = is_list(&d->q_offsets) || is_list(&d->kv_offsets);
    if (offsets != (d->sequences != 0))
        return vka__check_fail(c, VKA_INVALID, "sequences", "is %u, but there are %s", d->sequences,
                               offsets ? "offsets, which count them" : "no offsets");
    if (d->sequences > MAX_SEQUENCE)
        return vka__check_fail(c, VKA_UNSUPPORTED, "sequences", "is %u, which is above %d", d->sequences, MAX_SEQUENCE);
    return VKA_OK;
}

/* Batch, and the most queries and keys of a sequence. */
static vka_status measure(const vka__check *c, const vka_attention_desc *d, vka__attention_problem *p) {
    bool q_packed = is_list(&d->q_offsets), kv_packed = is_list(&d->kv_offsets), paged = d->page_table.buffer;
    p->batch = q_packed ? d->sequences : d->q.shape[0];
    if (q_packed && d->q.shape[0] != 1)
        return vka__check_fail(c, VKA_INVALID, "q", "shape[0] is %u, but must be 1 with q_offsets", d->q.shape[0]);
    if (paged && kv_packed)
        return vka__check_fail(c, VKA_INVALID, "kv_offsets", "a page table places keys already");
    if (kv_packed && d->k.shape[0] != 1)
        return vka__check_fail(c, VKA_INVALID, "k", "shape[0] is %u, but must be 1 with kv_offsets", d->k.shape[0]);
    if (d->sequences && d->sequences != p->batch)
        return vka__check_fail(c, VKA_INVALID, "sequences", "is %u, but q has a batch of %u", d->sequences, p->batch);
    if (paged && (d->k.shape[2] < 8 || d->k.shape[2] % 8))
        return vka__check_fail(c, VKA_INVALID, "k", "shape[2], the page size, is %u, but must be a multiple of 8",
                               d->k.shape[2]);
    uint64_t keys = paged ? (uint64_t)d->page_table.shape[1] * d->k.shape[2] : d->k.shape[2];
    if (paged && keys > MAX_SEQUENCE)
        return vka__check_fail(c, VKA_UNSUPPORTED, "page_table", "has room for %llu keys, which are above %d",
                               (unsigned long long)keys, MAX_SEQUENCE);
    if (d->q.shape[2] > MAX_SEQUENCE || keys > MAX_SEQUENCE)
        return vka__check_fail(c, VKA_UNSUPPORTED, d->q.shape[2] > MAX_SEQUENCE ? "q" : "k", "shape[2] is above %d",
                               MAX_SEQUENCE);
    p->q_len = d->max_q_len ? vka__min_u32(d->max_q_len, d->q.shape[2]) : d->q.shape[2];
    p->kv_len = d->max_kv_len ? vka__min_u32(d->max_kv_len, (uint32_t)keys) : (uint32_t)keys;
    p->device_lengths = q_list(d)->tensor.buffer || kv_list(d)->tensor.buffer;
    p->options |= is_list(&d->q_lengths) ? VKA_FLAG_Q_LENGTHS : 0;
    p->options |= q_packed ? VKA_FLAG_Q_OFFSETS : 0;
    p->options |= is_list(&d->kv_lengths) ? VKA_FLAG_KV_LENGTHS : 0;
    p->options |= kv_packed ? VKA_FLAG_KV_OFFSETS : 0;
    return VKA_OK;
}

/* Host values, which are known now: a wrong one is a mistake and not data. */
static vka_status check_values(const vka__check *c, const char *name, const int32_t *x, uint32_t batch, bool offsets,
                               uint32_t rows, uint32_t most) {
    for (uint32_t b = 0; b < batch; ++b) {
        int64_t begin = offsets ? x[b] : 0, end = offsets ? x[b + 1] : x[b];
        if (begin < 0 || end < begin || end > rows)
            return vka__check_fail(c, VKA_INVALID, name, "sequence %u is %lld .. %lld of %u rows", b, (long long)begin,
                                   (long long)end, rows);
        if (end - begin > most)
            return vka__check_fail(c, VKA_INVALID, name, "sequence %u has %lld rows, but at most %u were announced", b,
                                   (long long)(end - begin), most);
    }
    return VKA_OK;
}

static vka_status fill_list(const vka__check *c, const char *name, const vka_integers *list, uint32_t batch,
                            bool offsets, uint32_t rows, uint32_t most, vka__view *view) {
    vka_status status = vka__check_integers(c, name, list, batch + (offsets ? 1 : 0), view);
    return status == VKA_OK && list->values ? check_values(c, name, list->values, batch, offsets, rows, most) : status;
}

static vka_status fill_lists(const vka__check *c, const vka_attention_desc *d, const tensors *all,
                             vka__attention_problem *p) {
    uint32_t keys = p->pages.present ? d->page_table.shape[1] * d->k.shape[2] : d->k.shape[2];
    vka_status status = fill_list(c, all->name[Q_LIST], q_list(d), p->batch, p->options & VKA_FLAG_Q_OFFSETS,
                                  d->q.shape[2], p->q_len, &p->q_list);
    return status == VKA_OK ? fill_list(c, all->name[KV_LIST], kv_list(d), p->batch, p->options & VKA_FLAG_KV_OFFSETS,
                                        keys, p->kv_len, &p->kv_list)
                            : status;
}

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

static vka_status check_heads(const vka__check *c, const vka_attention_desc *d) {
    const uint32_t *q = d->q.shape, *k = d->k.shape, *v = d->v.shape;
    for (int i = 0; i < 2; ++i) {
        uint32_t dim = i ? v[3] : q[3], most = i ? VKA_MAX_VALUE_DIM : VKA_MAX_HEAD_DIM;
        if (dim < 1 || dim > most)
            return vka__check_fail(c, VKA_INVALID, i ? "v" : "q", "shape[3] is %u, but this dimension is 1 .. %u", dim,
                                   most);
    }
    if (!k[1] || q[1] % k[1])
        return vka__check_fail(c, VKA_INVALID, "k", "shape[1] is %u, which does not divide the %u heads of q", k[1],
                               q[1]);
    return VKA_OK;
}

static vka_status check_mask_shape(const vka__check *c, const vka_attention_desc *d, const vka__attention_problem *p) {
    static const char *const rules[] = {"the batch", "the heads of q", "the queries", "the keys"};
    const uint32_t need[] = {p->batch, d->q.shape[1], p->q_len, p->kv_len};
    for (uint32_t i = 0; i < 4 && p->mask.present; ++i) {
        uint32_t have = p->mask.shape[i];
        /* A mask made for a whole cache serves its beginning. */
        bool fits = have == 1 || (i < 2 ? have == need[i] : have >= need[i]);
        if (!fits)
            return vka__check_fail(c, VKA_INVALID, "mask", "has %u for %s, which are %u", have, rules[i], need[i]);
    }
    return VKA_OK;
}

static vka_status check_shapes(const vka__check *c, const vka_attention_desc *d, const tensors *all,
                               vka__attention_problem *p) {
    const uint32_t *q = d->q.shape, *k = d->k.shape, *v = d->v.shape;
    uint32_t k_batch = p->pages.present || k[0] == 1 ? k[0] : p->batch;
    bool one_v = v[0] == 1 || (p->options & VKA_FLAG_KV_OFFSETS);
    uint32_t v_batch = p->pages.present ? k[0] : one_v ? 1 : p->batch;
    uint32_t heads = q[1], biases = d->relative_bias.shape[0] == 1 ? 1 : heads;
    uint32_t relative_rank = d->relative_width ? 3 : 2;
    const uint32_t shapes[TENSORS][4] = {
        [Q] = {q[0], q[1], q[2], q[3]},
        [K] = {k_batch, k[1], k[2], q[3]},
        [V] = {v_batch, k[1], k[2], v[3]},
        [OUT] = {q[0], q[1], q[2], v[3]},
        [LSE] = {q[0], q[1], q[2]},
        [ALIBI] = {heads},
        [RELATIVE] = {biases, d->relative_bias.shape[1], d->relative_bias.shape[2]},
        [SINKS] = {heads},
        [PAGES] = {p->batch, d->page_table.shape[1]},
        [K_SCALE] = {k[0], k[1], k[2]},
        [V_SCALE] = {v[0], k[1], k[2]},
        [STATS] = {q[0], q[1], q[2], 2},
        [SCORES] = {p->batch, q[1], p->q_len, p->kv_len},
        [ORDER] = {d->order.shape[0] == 1 ? 1 : p->batch, d->order.shape[1] == 1 ? 1 : heads, d->order.shape[2]},
    };
    for (int i = 0; i < Q_LIST; ++i) {
        vka_status status = VKA_OK;
        if (i != MASK)
            status = vka__check_shape(c, all->name[i], all->t[i], i == RELATIVE ? relative_rank : kinds[i].most_rank,
                                      shapes[i]);
        if (status != VKA_OK)
            return status;
    }
    const uint32_t *relative = d->relative_bias.shape;
    if (p->relative.present && d->relative_zero >= relative[relative_rank - 1])
        return vka__check_fail(c, VKA_INVALID, "relative_zero", "is %u, but relative_bias has %u columns",
                               d->relative_zero, relative[relative_rank - 1]);
    if (p->relative.present && d->relative_width && d->relative_zero_row >= relative[1])
        return vka__check_fail(c, VKA_INVALID, "relative_zero_row", "is %u, but relative_bias has %u rows",
                               d->relative_zero_row, relative[1]);
    if (d->relative_width > MAX_SEQUENCE || (d->relative_width && !p->relative.present))
        return vka__check_fail(c, VKA_INVALID, "relative_width", "is %u, but %s", d->relative_width,
                               p->relative.present ? "at most 2^28" : "there is no relative_bias");
    if (p->pages.present && (!k[0] || !d->page_table.shape[1]))
        return vka__check_fail(c, VKA_INVALID, "page_table", "there are no pages");
    const vka_tensor *quantised[] = {&d->k, &d->v}, *scales[] = {&d->k_scale, &d->v_scale};
    for (int i = 0; i < 2; ++i)
        if ((quantised[i]->dtype == VKA_I8) != (scales[i]->buffer != NULL))
            return vka__check_fail(c, VKA_INVALID, i ? "v_scale" : "k_scale",
                                   "goes with a tensor of VKA_I8, and only with one");
    return check_mask_shape(c, d, p);
}

static vka_status check_memory(const vka__check *c, const tensors *all) {
    static const int written[] = {OUT, LSE, STATS, SCORES};
    for (int w = 0; w < 4; ++w) {
        int i = written[w];
        vka_status status = vka__check_output(c, all->name[i], all->view[i]);
        for (int other = 0; other < TENSORS && status == VKA_OK; ++other) {
            bool later = false;
            for (int x = w; x < 4; ++x)
                later = later || written[x] == other;
            if (!later)
                status = vka__check_apart(c, all->name[i], all->t[i], all->view[i], all->name[other], all->t[other],
                                          all->view[other], false);
        }
        if (status != VKA_OK)
            return status;
    }
    return VKA_OK;
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

static bool is_bad(float x) {
    return !(x >= 0) || isinf(x);
}

/* So that no number that kernels make of it is infinite, or so small that a device may take it for 0. */
#define LEAST_SCALE   1e-37f
#define LARGEST_SCALE 1e37f

static vka_status check_numbers(const vka__check *c, const vka_attention_desc *d) {
    if (d->scale != 0 && !(d->scale >= LEAST_SCALE && d->scale <= LARGEST_SCALE))
        return vka__check_fail(c, VKA_INVALID, "scale", "is %g, but must be 0 or %g .. %g", (double)d->scale,
                               (double)LEAST_SCALE, (double)LARGEST_SCALE);
    if (is_bad(d->softcap))
        return vka__check_fail(c, VKA_INVALID, "softcap", "is %g, but must be finite and not negative",
                               (double)d->softcap);
    if (!(d->dropout >= 0 && d->dropout < 1))
        return vka__check_fail(c, VKA_INVALID, "dropout", "is %g, but must be 0 .. below 1", (double)d->dropout);
    if ((unsigned)d->selection > VKA_SELECTION_SAMPLE)
        return vka__check_fail(c, VKA_INVALID, "selection", "%d is not a vka_selection", (int)d->selection);
    if ((unsigned)d->score_stage > VKA_SCORES_PROBABILITIES)
        return vka__check_fail(c, VKA_INVALID, "score_stage", "%d is not a vka_score_stage", (int)d->score_stage);
    bool soft = d->selection == VKA_SELECTION_SOFTMAX, probabilities = d->score_stage == VKA_SCORES_PROBABILITIES;
    if (!soft && d->dropout > 0)
        return vka__check_fail(c, VKA_INVALID, "dropout", "needs VKA_SELECTION_SOFTMAX");
    if (!soft && d->sinks.buffer)
        return vka__check_fail(c, VKA_INVALID, "sinks", "need VKA_SELECTION_SOFTMAX");
    if (d->scores.buffer && probabilities && (!soft || !d->lse.buffer))
        return vka__check_fail(c, VKA_INVALID, "score_stage",
                               "VKA_SCORES_PROBABILITIES needs lse, and VKA_SELECTION_SOFTMAX");
    return VKA_OK;
}

static vka_status check_choices(const vka__check *c, const vka_attention_desc *d) {
    if ((unsigned)d->diagonal > VKA_DIAGONAL_EXPLICIT)
        return vka__check_fail(c, VKA_INVALID, "diagonal", "%d is not a vka_diagonal", (int)d->diagonal);
    if (d->diagonal != VKA_DIAGONAL_EXPLICIT && d->diagonal_offset)
        return vka__check_fail(c, VKA_INVALID, "diagonal_offset", "is %d, but diagonal is not VKA_DIAGONAL_EXPLICIT",
                               d->diagonal_offset);
    bool bounded = d->window.left != VKA_UNBOUNDED && d->window.right != VKA_UNBOUNDED;
    if (d->window.enabled && bounded && (int64_t)d->window.left + d->window.right < 0)
        return vka__check_fail(c, VKA_INVALID, "window", "left %d + right %d is negative: it keeps nothing",
                               d->window.left, d->window.right);
    if ((unsigned)d->path > VKA_PATH_DOT)
        return vka__check_fail(c, VKA_INVALID, "path", "%d is not a vka_attention_path", (int)d->path);
    const vka_attention_tile *t = &d->tile;
    bool any = t->query_tile || t->key_tile || t->rows_per_invocation || t->team;
    if (any && (!d->path || !t->key_tile))
        return vka__check_fail(c, VKA_INVALID, "tile", "needs a path and a key_tile");
    if (d->splits > VKA_MAX_SPLITS)
        return vka__check_fail(c, VKA_INVALID, "splits", "is %u, but at most %d", d->splits, VKA_MAX_SPLITS);
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
    bool own = d->diagonal == VKA_DIAGONAL_BOTTOM_RIGHT && (is_list(q_list(d)) || is_list(kv_list(d)));
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
    p->scale = d->scale ? d->scale : 1 / sqrtf((float)d->q.shape[3]);
    p->softcap = d->softcap;
    p->options |= d->softcap > 0 ? VKA_FLAG_SOFTCAP : 0;
    p->options |= d->selection != VKA_SELECTION_SOFTMAX ? VKA_FLAG_HARD : 0;
    p->options |= d->selection == VKA_SELECTION_SAMPLE ? VKA_FLAG_SAMPLE : 0;
    p->options |= d->dropout > 0 ? VKA_FLAG_DROPOUT : 0;
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
    fill_band(d, p);
}

/* Tensors of rank 3 join the others as [B, H, N, 1]. */
static void align_views(vka__attention_problem *p) {
    vka__view *rows[] = {&p->lse, &p->k_scale, &p->v_scale, &p->order};
    for (int n = 0; n < 4; ++n)
        for (int i = 0; i < 4 && rows[n]->present; ++i) {
            rows[n]->shape[i] = i < 3 ? rows[n]->shape[i + 1] : 1;
            rows[n]->stride[i] = i < 3 ? rows[n]->stride[i + 1] : 0;
        }
}

vka_status vka__check_attention(const vka__check *c, const vka_attention_desc *d, vka__attention_problem *p) {
    tensors all = tensors_of(d, p);
    vka_status status = check_lists(c, d);
    if (status == VKA_OK)
        status = check_tensors(c, &all);
    if (status == VKA_OK)
        status = check_heads(c, d);
    if (status == VKA_OK)
        status = measure(c, d, p);
    if (status == VKA_OK)
        status = check_shapes(c, d, &all, p);
    if (status == VKA_OK)
        status = fill_lists(c, d, &all, p);
    if (status == VKA_OK)
        status = check_numbers(c, d);
    if (status == VKA_OK)
        status = check_choices(c, d);
    if (status == VKA_OK)
        status = check_memory(c, &all);
    if (status != VKA_OK)
        return status;
    align_views(p);
    fill_options(d, p);
    return vka__check_pattern(c, d, p);
}

vka_status vka__check_attention_workspace(const vka__check *c, const vka_attention_desc *d,
                                          const vka__attention_problem *problem, uint64_t bytes) {
    vka__attention_problem p = *problem;
    const tensors all = tensors_of(d, &p);
    const vka__tensors list = {TENSORS, all.name, all.t, all.view};
    return vka__check_workspace(c, d->workspace, d->workspace_offset, bytes, &list);
}

void vka__attention_buffers(const vka_attention_desc *d, vka__operation *op) {
    const struct {
        uint32_t slot;
        vka_buffer *buffer;
    } list[] = {{VKA_BIND_Q, d->q.buffer},
                {VKA_BIND_K, d->k.buffer},
                {VKA_BIND_V, d->v.buffer},
                {VKA_BIND_OUT, d->out.buffer},
                {VKA_BIND_LSE, d->lse.buffer},
                {VKA_BIND_WORKSPACE, d->workspace},
                {VKA_BIND_MASK, d->mask.buffer},
                {VKA_BIND_RELATIVE, d->relative_bias.buffer},
                {VKA_BIND_ALIBI, d->alibi_slopes.buffer},
                {VKA_BIND_SINKS, d->sinks.buffer},
                {VKA_BIND_Q_LIST, q_list(d)->tensor.buffer},
                {VKA_BIND_KV_LIST, kv_list(d)->tensor.buffer},
                {VKA_BIND_PAGES, d->page_table.buffer ? d->page_table.buffer : d->order.buffer},
                {VKA_BIND_K_SCALE, d->k_scale.buffer},
                {VKA_BIND_V_SCALE, d->v_scale.buffer},
                {VKA_BIND_STATS, d->stats.buffer}};
    for (size_t i = 0; i < sizeof list / sizeof *list; ++i)
        op->buffers[list[i].slot] = list[i].buffer;
    op->buffers[VKA__BUFFER_SCORES] = d->scores.buffer;
    if (d->pattern)
        op->buffers[VKA_BIND_MAP] = vka__pattern_buffer(d->pattern);
    if (d->pattern && vka__pattern_shape_of(d->pattern)->order_at)
        op->buffers[VKA_BIND_ORDER] = vka__pattern_buffer(d->pattern);
    op->values[VKA_BIND_Q_LIST] = q_list(d)->values;
    op->values[VKA_BIND_KV_LIST] = kv_list(d)->values;
}
