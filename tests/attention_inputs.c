/* What a problem's inputs hold, and the view of them that the reference has: one dense sequence an entry of the batch.
 * SPDX-License-Identifier: MIT */
#include "attention_case.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void *attention_must(void *memory) {
    cr_assert_not_null(memory, "the test itself is out of memory");
    return memory;
}

/* ---- sequences ------------------------------------------------------------------------------------------------- */

static uint32_t least(uint32_t x, uint32_t y) {
    return x < y ? x : y;
}

static int32_t draw_wild(ref_rng *rng, uint32_t rows) {
    const int32_t wild[] = {-1, -7, (int32_t)rows + 1, (int32_t)rows + 70, INT32_MIN, 1 << 30};
    return wild[ref_rng_below(rng, sizeof wild / sizeof *wild)];
}

static void draw_lengths(const attention_list *list, uint32_t count, uint32_t rows, uint32_t most, ref_rng *rng,
                         int32_t *values) {
    for (uint32_t b = 0; b < count; b++) {
        uint32_t kind = ref_rng_below(rng, 6);
        values[b] = (int32_t)(kind == 0 ? 0 : kind == 1 ? most : ref_rng_below(rng, most + 1));
        values[b] = list->wild && ref_rng_below(rng, 2) ? draw_wild(rng, rows) : values[b];
    }
}

static void draw_offsets(const attention_list *list, uint32_t count, uint32_t rows, uint32_t most, ref_rng *rng,
                         int32_t *values) {
    values[0] = (int32_t)least(ref_rng_below(rng, 3), rows);
    for (uint32_t b = 0; b < count; b++) {
        uint32_t left = rows - (uint32_t)values[b], share = least(2 * rows / count, least(left, most));
        values[b + 1] = values[b] + (int32_t)ref_rng_below(rng, share + 1);
    }
    for (uint32_t b = 0; b <= count && list->wild; b++) {
        values[b] = ref_rng_below(rng, 3) == 0 ? draw_wild(rng, rows) : values[b];
    }
}

/* Of the host they keep to the longest length allowed; in a tensor they may exceed it. */
static int32_t *draw_list(const attention_list *list, uint32_t count, uint32_t rows, uint32_t max, ref_rng *rng) {
    uint32_t most = max && !list->tensor ? least(max, rows) : rows, entries = count + (list->kind == LIST_OFFSETS);
    if (!list->kind) {
        return NULL;
    }
    int32_t *values = attention_must(calloc(entries + 1, sizeof *values));
    if (list->values) {
        memcpy(values, list->values, entries * sizeof *values);
    } else {
        (list->kind == LIST_LENGTHS ? draw_lengths : draw_offsets)(list, count, rows, most, rng, values);
    }
    return values;
}

static tensor make_list(context *c, const attention_list *list, uint32_t count, layout l) {
    uint32_t entries = count + (list->kind == LIST_OFFSETS);
    return list->kind && list->tensor ? tensor_create(c, VKA_I32, 1, &entries, l) : (tensor){0};
}

static uint32_t clamp(int64_t x, int64_t low, int64_t high) {
    return (uint32_t)(x < low ? low : x > high ? high : x);
}

/* First row and length of each sequence: what exists of what the list says. */
static void resolve(const attention_list *list, const int32_t *values, uint32_t count, uint32_t rows, uint32_t max,
                    uint32_t *first, uint32_t *len) {
    for (uint32_t b = 0; b < count; b++) {
        first[b] = 0;
        len[b] = rows;
        if (list->kind == LIST_LENGTHS) {
            len[b] = clamp(values[b], 0, rows);
        } else if (list->kind == LIST_OFFSETS) {
            first[b] = clamp(values[b], 0, rows);
            len[b] = clamp(values[b + 1], first[b], rows) - first[b];
        }
        len[b] = max ? least(len[b], max) : len[b];
    }
}

static int64_t diagonal(const attention_case *a, uint32_t q_len, uint32_t kv_len) {
    switch (a->diagonal) {
    case VKA_DIAGONAL_TOP_LEFT:
        return 0;
    case VKA_DIAGONAL_EXPLICIT:
        return a->offset;
    default:
        return (int64_t)kv_len - (int64_t)q_len;
    }
}

static void make_sequences(attention_problem *p, ref_rng *rng) {
    const attention_case *a = &p->a;
    attention_sequences *s = &p->sequences;
    layout flat = {.shift = a->layout.shift};
    p->q_values = draw_list(&a->q_list, a->batch, a->q_len, a->max_q_len, rng);
    p->kv_values = draw_list(&a->kv_list, a->batch, a->kv_len, a->max_kv_len, rng);
    p->q_list = make_list(p->c, &a->q_list, a->batch, flat);
    p->kv_list = make_list(p->c, &a->kv_list, a->batch, flat);
    uint32_t **arrays[] = {&s->q_first, &s->q_len, &s->kv_first, &s->kv_len};
    for (int i = 0; i < 4; i++) {
        *arrays[i] = attention_must(calloc(a->batch + 1, sizeof **arrays[i]));
    }
    s->diagonal = attention_must(calloc(a->batch + 1, sizeof *s->diagonal));
}

static void resolve_sequences(attention_problem *p) {
    const attention_case *a = &p->a;
    attention_sequences *s = &p->sequences;
    for (size_t i = 0; i < p->q_list.count; i++) {
        p->q_list.values[i] = (float)p->q_values[i];
    }
    for (size_t i = 0; i < p->kv_list.count; i++) {
        p->kv_list.values[i] = (float)p->kv_values[i];
    }
    resolve(&a->q_list, p->q_values, a->batch, a->q_len, a->max_q_len, s->q_first, s->q_len);
    resolve(&a->kv_list, p->kv_values, a->batch, a->kv_len, a->max_kv_len, s->kv_first, s->kv_len);
    for (uint32_t b = 0; b < a->batch; b++) {
        s->diagonal[b] = diagonal(a, s->q_len[b], s->kv_len[b]);
    }
}

/* ---- tensors --------------------------------------------------------------------------------------------------- */

static uint32_t columns(const attention_case *a) {
    return a->kv_len / a->page_size;
}

/* 0 .. count - 1 in random order (Fisher and Yates). */
static void shuffle(ref_rng *rng, uint32_t *list, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = ref_rng_below(rng, i + 1);
        list[i] = list[j];
        list[j] = i;
    }
}

/* Pages in random order, and two that no sequence has. */
static void make_pages(attention_problem *p, ref_rng *rng) {
    uint32_t batch = p->a.batch, count = batch * columns(&p->a), pages = count + 2;
    p->page_table = tensor_create(p->c, VKA_I32, 2, (uint32_t[]){batch, columns(&p->a)},
                                  (layout){.pad = p->a.layout.pad, .shift = p->a.layout.shift});
    uint32_t *ids = attention_must(calloc(pages, sizeof *ids));
    shuffle(rng, ids, pages);
    for (uint32_t i = 0; i < count; i++) {
        bool wild = p->a.wild_pages && ref_rng_below(rng, 3) == 0;
        p->page_table.values[i] = (float)(wild ? draw_wild(rng, pages) : (int32_t)ids[i]);
    }
    free(ids);
}

/* Tokens in random order; where there are fewer slots, the others have none. */
static void make_permutation(attention_problem *p, ref_rng *rng) {
    const attention_case *a = &p->a;
    uint32_t batch = a->permutation_batch ? a->batch : 1, heads = a->permutation_heads ? a->q_heads : 1,
             n = a->permutation_len;
    uint32_t tokens = a->q_len > a->kv_len ? a->q_len : a->kv_len, most = tokens > n ? tokens : n;
    p->permutation = tensor_create(p->c, VKA_I32, 3, (uint32_t[]){batch, heads, n},
                                   (layout){.pad = a->layout.pad, .shift = a->layout.shift});
    size_t slots = (size_t)a->batch * a->q_heads * tokens;
    p->slots = attention_must(malloc(slots * sizeof *p->slots));
    memset(p->slots, 0xff, slots * sizeof *p->slots);
    uint32_t *permutation = attention_must(calloc(most, sizeof *permutation));
    for (uint32_t plane = 0; plane < batch * heads; plane++) {
        shuffle(rng, permutation, most);
        for (uint32_t slot = 0; slot < n; slot++) {
            p->permutation.values[(size_t)plane * n + slot] = (float)permutation[slot];
            for (uint32_t bh = 0; bh < a->batch * a->q_heads && permutation[slot] < tokens; bh++) {
                uint32_t b = batch == 1 ? 0 : bh / a->q_heads, h = heads == 1 ? 0 : bh % a->q_heads;
                if (b * heads + h == plane) {
                    p->slots[(size_t)bh * tokens + permutation[slot]] = slot;
                }
            }
        }
    }
    free(permutation);
}

/* Keys that exist, some twice, and a few that don't; one list in three ends early, with keys behind its end. */
static void make_key_lists(attention_problem *p, ref_rng *rng) {
    const attention_case *a = &p->a;
    uint32_t heads = a->key_list_heads == 2 ? a->q_heads : a->key_list_heads ? a->kv_heads : 1, n = a->key_list_len;
    uint32_t batch = a->q_list.kind == LIST_OFFSETS ? 1 : a->batch;
    p->key_lists = tensor_create(p->c, VKA_I32, 4, (uint32_t[]){batch, heads, a->q_len, n}, a->layout);
    for (size_t list = 0; list < (size_t)batch * heads * a->q_len; list++) {
        float *keys = p->key_lists.values + list * n;
        uint32_t end = ref_rng_below(rng, 3) ? n : ref_rng_below(rng, n);
        for (uint32_t i = 0; i < n; i++) {
            bool wild = ref_rng_below(rng, 12) == 0, again = i && ref_rng_below(rng, 8) == 0;
            int32_t beyond = draw_wild(rng, a->kv_len);
            keys[i] = (float)ref_rng_below(rng, a->kv_len ? a->kv_len : 1);
            keys[i] = again ? keys[ref_rng_below(rng, i)] : wild && beyond > 0 ? (float)beyond : keys[i];
        }
        if (end < n) {
            keys[end] = ref_rng_below(rng, 2) ? -1 : (float)INT32_MIN;
        }
    }
    size_t rows = (size_t)a->batch * a->q_heads * a->q_len;
    p->lists = attention_must(calloc(rows * n + 1, sizeof *p->lists));
    p->listed = attention_must(calloc(rows * a->kv_len + 1, sizeof *p->listed));
}

static tensor make_kv(attention_problem *p, vka_dtype dtype, bool shared, uint32_t dim, ref_rng *rng, tensor *scale) {
    const attention_case *a = &p->a;
    uint32_t shape[4] = {shared || a->kv_list.kind == LIST_OFFSETS ? 1 : a->batch, a->kv_heads, a->kv_len, dim};
    if (a->page_size) {
        shape[0] = a->batch * columns(a) + 2;
        shape[2] = a->page_size;
    }
    tensor t = tensor_create(p->c, dtype, 4, shape, a->layout);
    tensor_fill_normal(&t, rng, 0, dtype == VKA_I8 ? 40 : 1);
    if (dtype == VKA_I8) {
        *scale = tensor_create(p->c, VKA_F32, 3, shape, (layout){.pad = a->layout.pad, .shift = a->layout.shift});
        for (size_t i = 0; i < scale->count; i++) {
            scale->values[i] = ref_rng_uniform(rng, 0.01f, 0.04f);
        }
    }
    return t;
}

/* What the reference takes for values. */
static void copy_keys(attention_problem *p) {
    uint32_t dim = p->a.head_dim, value_dim = p->a.value_dim;
    for (size_t row = 0; row < p->k.count / dim; row++) {
        memcpy(p->v.values + row * value_dim, p->k.values + row * dim, value_dim * sizeof *p->v.values);
    }
    if (p->v_scale.count) {
        memcpy(p->v_scale.values, p->k_scale.values, p->k_scale.count * sizeof *p->k_scale.values);
    }
}

/* What masks, or all but does. */
static float masking(vka_dtype type, mask_content content) {
    static const float lowest[] = {[VKA_F32] = -FLT_MAX, [VKA_F16] = -65504, [VKA_BF16] = -0x1.fep127f};
    return type == VKA_U8 ? 0 : content == MASK_LOWEST ? lowest[type] : -INFINITY;
}

static void fill_mask(attention_problem *p, ref_rng *rng) {
    tensor *t = &p->mask;
    uint32_t row = t->view.shape[t->view.rank - 1];
    mask_content content = p->a.mask_content;
    bool boolean = p->a.mask == VKA_U8, dead = false;
    for (size_t i = 0; i < t->count; i++) {
        dead = i % row == 0 ? ref_rng_below(rng, 7) == 0 : dead;
        bool masked = content == MASK_ALL || (content != MASK_NOTHING && (dead || ref_rng_below(rng, 5) < 2));
        bool odd = ref_rng_below(rng, 30) == 0;
        float some = boolean ? (float)(1 + ref_rng_below(rng, 255)) : ref_rng_normal(rng);
        some = odd && content == MASK_INFINITE ? INFINITY : odd && content == MASK_NAN ? NAN : some;
        t->values[i] = masked ? masking(p->a.mask, content) : some;
    }
    tensor_round(t);
}

static void make_mask(attention_problem *p, ref_rng *rng) {
    const attention_case *a = &p->a;
    const uint32_t whole[4] = {a->batch, a->q_heads, a->q_len, a->kv_len};
    uint32_t shape[4], first = 4 - a->mask_rank;
    for (uint32_t dim = first; dim < 4; dim++) {
        shape[dim - first] = a->mask_broadcast >> dim & 1 ? 1 : whole[dim];
    }
    layout l = {a->mask_rank == 4 ? a->layout.order : NULL, a->layout.pad, a->layout.shift};
    p->mask = tensor_create(p->c, a->mask, a->mask_rank, shape, l);
    fill_mask(p, rng);
}

static void make_biases(attention_problem *p, ref_rng *rng) {
    const attention_case *a = &p->a;
    layout flat = {.shift = a->layout.shift};
    if (a->alibi) {
        p->alibi_slopes = tensor_create(p->c, VKA_F32, 1, &a->q_heads, flat);
        for (size_t i = 0; i < p->alibi_slopes.count; i++) {
            p->alibi_slopes.values[i] = ref_rng_uniform(rng, 0.02f, 0.5f) * (a->huge_slopes ? 0x1p100f : 1);
        }
    }
    if (a->relative_len) {
        uint32_t heads = a->relative_shared ? 1 : a->q_heads, rank = a->relative_width ? 3 : 2;
        uint32_t shape[3] = {heads, a->relative_width ? a->relative_rows : a->relative_len, a->relative_len};
        p->relative_bias = tensor_create(p->c, VKA_F32, rank, shape, (layout){NULL, a->layout.pad, a->layout.shift});
        tensor_fill_normal(&p->relative_bias, rng, 0, 1);
        for (size_t i = 0; i < p->relative_bias.count && a->relative_masks; i++) {
            float *x = &p->relative_bias.values[i];
            *x = ref_rng_below(rng, 5) == 0 ? -INFINITY : *x;
        }
        for (size_t i = 0; i < p->relative_bias.count && a->lowest_biases; i++) {
            float *x = &p->relative_bias.values[i];
            *x = ref_rng_below(rng, 4) == 0 ? -FLT_MAX : *x;
        }
    }
    if (a->sinks) {
        p->sinks = tensor_create(p->c, VKA_F32, 1, &a->q_heads, flat);
        tensor_fill_normal(&p->sinks, rng, 0, 2);
        for (size_t i = 0; i < p->sinks.count && a->huge_sinks; i++) {
            static const float huge[] = {FLT_MAX, -FLT_MAX, 3.4e38f, -3.4e38f, 1e30f, -1e30f};
            float *x = &p->sinks.values[i];
            *x = ref_rng_below(rng, 4) == 0 ? *x : huge[ref_rng_below(rng, sizeof huge / sizeof *huge)];
        }
    }
}

/* One row in four is zeros, short, or about as short as what counts as zeros. */
static void shorten_rows(tensor *t, uint32_t dim, ref_rng *rng) {
    bool wide = t->view.dtype == VKA_F32 || t->view.dtype == VKA_BF16;
    const float factors[] = {0, t->view.dtype == VKA_I8 ? 1 : 0x1p-8f, wide ? 0x1p-42f : 0.25f};
    for (size_t row = 0; row < t->count / dim; row++) {
        float factor = ref_rng_below(rng, 4) ? 1 : factors[ref_rng_below(rng, 3)];
        for (uint32_t d = 0; d < dim; d++) {
            t->values[row * dim + d] *= factor;
        }
    }
    tensor_round(t);
}

static void make_products(attention_problem *p, ref_rng *rng) {
    const attention_case *a = &p->a;
    layout flat = {.shift = a->layout.shift}, rows = {NULL, a->layout.pad, a->layout.shift};
    if (a->cosine) {
        p->cosine_scale = tensor_create(p->c, VKA_F32, 1, &a->q_heads, flat);
        for (size_t i = 0; i < p->cosine_scale.count; i++) {
            p->cosine_scale.values[i] = ref_rng_uniform(rng, 0.5f, 20);
        }
        if (!a->cosine_long_rows) {
            shorten_rows(&p->q, a->head_dim, rng);
            shorten_rows(&p->k, a->head_dim, rng);
        }
    }
    if (a->relative_keys_len) {
        uint32_t shape[3] = {a->relative_keys_shared ? 1 : a->q_heads, a->relative_keys_len, a->head_dim};
        p->relative_keys = tensor_create(p->c, a->relative_keys_dtype, 3, shape, rows);
        tensor_fill_normal(&p->relative_keys, rng, 0, 1);
        tensor *biases[] = {&p->content_bias, &p->position_bias};
        bool absent[] = {a->no_content_bias, a->no_position_bias};
        for (int i = 0; i < 2; i++) {
            if (!absent[i]) {
                *biases[i] = tensor_create(p->c, a->bias_dtype, 2, (uint32_t[]){a->q_heads, a->head_dim}, rows);
                tensor_fill_normal(biases[i], rng, 0, 1);
            }
        }
    }
}

static void make_whole(tensor *t) {
    for (size_t i = 0; i < t->count; i++) {
        t->values[i] = roundf(t->values[i]);
    }
}

void attention_make_inputs(attention_problem *p, ref_rng *rng) {
    const attention_case *a = &p->a;
    uint32_t q_batch = a->q_list.kind == LIST_OFFSETS ? 1 : a->batch;
    p->q = tensor_create(p->c, a->dtype, 4, (uint32_t[]){q_batch, a->q_heads, a->q_len, a->head_dim}, a->layout);
    tensor_fill_normal(&p->q, rng, 0, 1);
    p->k = make_kv(p, a->k_dtype, a->k_shared, a->head_dim, rng, &p->k_scale);
    p->v = make_kv(p, a->v_dtype, a->v_shared, a->value_dim, rng, &p->v_scale);
    if (a->values_are_keys) {
        copy_keys(p);
    }
    if (a->whole_numbers) {
        make_whole(&p->q);
        make_whole(&p->k);
    }
    if (a->page_size) {
        make_pages(p, rng);
    }
    if (a->mask) {
        make_mask(p, rng);
    }
    make_biases(p, rng);
    make_products(p, rng);
    make_sequences(p, rng);
    if (a->permutation_len) {
        make_permutation(p, rng);
    }
    if (a->key_list_len) {
        make_key_lists(p, rng);
    }
    if (a->random_step) {
        p->random_step = tensor_create(p->c, VKA_I32, 1, (uint32_t[]){1}, (layout){.pad = a->layout.pad});
        p->random_step.values[0] = (float)(1 + ref_rng_below(rng, 1 << 20));
    }
    p->score = attention_must(calloc(VKA_SCORE_TENSORS, sizeof *p->score));
    if (a->score) {
        a->score->make(p->c, a, rng, p->score);
    }
}

/* ---- the reference's view -------------------------------------------------------------------------------------- */

size_t attention_q_row(const attention_problem *p, uint32_t b, uint32_t h, uint32_t i) {
    uint32_t row = p->sequences.q_first[b] + i;
    b = p->a.q_list.kind == LIST_OFFSETS ? 0 : b;
    return ((size_t)b * p->a.q_heads + h) * p->a.q_len + row;
}

static uint32_t page_of(const attention_problem *p, const tensor *t, uint32_t b, uint32_t column) {
    float id = p->page_table.values[b * columns(&p->a) + column];
    return id < 0 || id >= (float)t->view.shape[0] ? t->view.shape[0] - 1 : (uint32_t)id;
}

size_t attention_kv_row(const attention_problem *p, const tensor *t, uint32_t b, uint32_t kv_head, uint32_t j) {
    uint32_t row = p->sequences.kv_first[b] + j;
    b = t->view.shape[0] == 1 ? 0 : b;
    if (p->a.page_size) {
        b = page_of(p, t, b, row / p->a.page_size);
        row %= p->a.page_size;
    }
    return ((size_t)b * p->a.kv_heads + kv_head) * t->view.shape[2] + row;
}

static void gather_q(attention_problem *p) {
    const attention_case *a = &p->a;
    for (uint32_t b = 0; b < a->batch; b++) {
        for (uint32_t h = 0; h < a->q_heads; h++) {
            for (uint32_t i = 0; i < p->sequences.q_len[b]; i++) {
                size_t to = ((size_t)b * a->q_heads + h) * a->q_len + i;
                memcpy(p->ref_q + to * a->head_dim, p->q.values + attention_q_row(p, b, h, i) * a->head_dim,
                       a->head_dim * sizeof(float));
            }
        }
    }
}

static void gather_kv(const attention_problem *p, const tensor *t, const tensor *scale, float *to, float *scale_to) {
    const attention_case *a = &p->a;
    uint32_t dim = t->view.shape[3];
    for (uint32_t b = 0; b < a->batch; b++) {
        for (uint32_t h = 0; h < a->kv_heads; h++) {
            for (uint32_t j = 0; j < (p->ref.own_keys ? p->sequences.kv_len[b] : a->kv_len); j++) {
                size_t from = attention_kv_row(p, t, b, h, j), row = ((size_t)b * a->kv_heads + h) * a->kv_len + j;
                memcpy(to + row * dim, t->values + from * dim, dim * sizeof(float));
                if (scale->count) {
                    scale_to[row] = scale->values[from];
                }
            }
        }
    }
}

/* What a query's list has of its sequence's keys. */
static void gather_list(attention_problem *p, uint32_t b, uint32_t h, uint32_t i) {
    const attention_case *a = &p->a;
    const uint32_t *shape = p->key_lists.view.shape;
    size_t to = ((size_t)b * a->q_heads + h) * a->q_len + i, n = shape[3];
    size_t entry = shape[0] == 1 ? 0 : b, row = p->sequences.q_first[b] + i, head = h / (a->q_heads / shape[1]);
    const float *keys = p->key_lists.values + ((entry * shape[1] + head) * shape[2] + row) * n;
    bool ended = false;
    for (size_t slot = 0; slot < n; slot++) {
        ended = ended || keys[slot] < 0;
        bool lists = !ended && keys[slot] < (float)p->sequences.kv_len[b];
        p->lists[to * n + slot] = lists ? (int64_t)keys[slot] : -1;
        if (lists) {
            p->listed[to * a->kv_len + (size_t)keys[slot]]++;
        }
    }
}

static void gather_lists(attention_problem *p) {
    const attention_case *a = &p->a;
    memset(p->listed, 0, (size_t)a->batch * a->q_heads * a->q_len * a->kv_len * sizeof *p->listed);
    for (uint32_t b = 0; b < a->batch; b++) {
        for (uint32_t h = 0; h < a->q_heads; h++) {
            for (uint32_t i = 0; i < p->sequences.q_len[b]; i++) {
                gather_list(p, b, h, i);
            }
        }
    }
}

void attention_gather(attention_problem *p) {
    resolve_sequences(p);
    gather_q(p);
    if (p->lists) {
        gather_lists(p);
    }
    gather_kv(p, &p->k, &p->k_scale, p->ref_k, p->ref_k_scale);
    gather_kv(p, &p->v, &p->v_scale, p->ref_v, p->ref_v_scale);
}

/* ---- poison ---------------------------------------------------------------------------------------------------- */

/* An infinite scale makes NaN of zeros, but not in the reference, which multiplies sums: NaN alone where the scores of
 * such keys are looked at. */
static void poison_rows(tensor *t, tensor *scale, const bool *seen, uint32_t dim, bool looked_at, ref_rng *rng) {
    const float poisons[] = {NAN, INFINITY, -INFINITY};
    for (size_t row = 0; row < t->count / dim; row++) {
        float poison = poisons[ref_rng_below(rng, scale->count && looked_at ? 1 : 3)];
        for (uint32_t d = 0; d < dim && !seen[row] && !scale->count; d++) {
            t->values[row * dim + d] = poison;
        }
        if (!seen[row] && scale->count) {
            scale->values[row] = poison;
        }
    }
}

static size_t mask_index(const attention_problem *p, uint32_t b, uint32_t h, uint32_t i, uint32_t j) {
    const uint32_t at[4] = {b, h, i, j};
    size_t index = 0;
    for (int dim = 0; dim < 4; dim++) {
        index = index * p->ref.mask_shape[dim] + (p->ref.mask_shape[dim] == 1 ? 0 : at[dim]);
    }
    return index;
}

/* Which rows, and which elements of the mask, some query of a head needs. */
typedef struct needed {
    bool *q, *k, *v, *mask;
} needed;

static void mark(const attention_problem *p, uint32_t b, uint32_t h, uint32_t i, needed *n) {
    uint32_t kv_head = h / (p->a.q_heads / p->a.kv_heads);
    n->q[attention_q_row(p, b, h, i)] = true;
    for (uint32_t j = 0; j < p->sequences.kv_len[b]; j++) {
        if (p->ref.mask && ref_attention_in_band(&p->ref, b, i, j)) {
            n->mask[mask_index(p, b, h, i, j)] = true;
        }
        if (ref_attention_visible(&p->ref, b, h, i, j)) {
            n->k[attention_kv_row(p, &p->k, b, kv_head, j)] = true;
            n->v[attention_kv_row(p, &p->v, b, kv_head, j)] = true;
        }
    }
}

void attention_poison_hidden(attention_problem *p, ref_rng *rng) {
    const attention_case *a = &p->a;
    tensor none = {0};
    needed n = {
        attention_must(calloc(p->q.count / a->head_dim + 1, 1)),
        attention_must(calloc(p->k.count / a->head_dim + 1, 1)),
        attention_must(calloc(p->v.count / a->value_dim + 1, 1)),
        attention_must(calloc(p->mask.count + 1, 1)),
    };
    for (uint32_t b = 0; b < a->batch; b++) {
        for (uint32_t h = 0; h < a->q_heads; h++) {
            for (uint32_t i = 0; i < p->sequences.q_len[b]; i++) {
                mark(p, b, h, i, &n);
            }
        }
    }
    poison_rows(&p->q, &none, n.q, a->head_dim, false, rng);
    poison_rows(&p->k, &p->k_scale, n.k, a->head_dim, a->scores, rng);
    poison_rows(&p->v, &p->v_scale, n.v, a->value_dim, false, rng);
    for (size_t i = 0; i < p->mask.count && a->mask != VKA_U8; i++) {
        p->mask.values[i] = n.mask[i] ? p->mask.values[i] : NAN;
    }
    free(n.q);
    free(n.k);
    free(n.v);
    free(n.mask);
}
