/* Draws cases. First what decides about pipelines, which a whole group has in common, then the rest.
 * SPDX-License-Identifier: MIT */
#include "random.h"

#include <string.h>

static bool chance(ref_rng *g, uint32_t percent) {
    return ref_rng_below(g, 100) < percent;
}

static uint32_t between(ref_rng *g, uint32_t low, uint32_t high) {
    return low + ref_rng_below(g, high - low + 1);
}

static vka_dtype draw_float(ref_rng *g) {
    return dtypes[ref_rng_below(g, DTYPES)];
}

/* ---- of a group ------------------------------------------------------------------------------------------------ */

static void draw_types(ref_rng *g, attention_case *a) {
    static const uint32_t dims[] = {8, 8, 8, 16, 16, 32, 64, 1, 3, 7, 24, 40, 59};
    const uint32_t count = sizeof dims / sizeof *dims;
    a->dtype = draw_float(g);
    a->head_dim = dims[ref_rng_below(g, count)];
    a->value_dim = chance(g, 60) ? a->head_dim : dims[ref_rng_below(g, count)];
    vka_dtype *mixed[] = {&a->k_dtype, &a->v_dtype, &a->out_dtype};
    bool mixes = chance(g, 25);
    for (int i = 0; i < 3 && mixes; i++) {
        *mixed[i] = draw_float(g);
    }
    vka_dtype *caches[] = {&a->k_dtype, &a->v_dtype};
    uint32_t *cache_dims[] = {&a->head_dim, &a->value_dim};
    for (int i = 0; i < 2; i++) {
        uint32_t kind = ref_rng_below(g, 12);
        *caches[i] = kind == 0 ? VKA_I8 : kind == 1 ? VKA_Q8_0 : kind == 2 ? VKA_Q4_0 : *caches[i];
        *cache_dims[i] = kind == 1 || kind == 2 ? 32 * between(g, 1, 2) : *cache_dims[i];
    }
}

static void draw_options(ref_rng *g, attention_case *a) {
    static const vka_dtype masks[] = {VKA_U8, VKA_U8, VKA_F32, VKA_F16, VKA_BF16};
    a->softcap = chance(g, 20);
    a->mask = chance(g, 30) ? masks[ref_rng_below(g, 5)] : VKA_DTYPE_INVALID;
    a->alibi = chance(g, 20);
    a->relative_len = chance(g, 20);
    a->causal = chance(g, 40);
    a->window.enabled = chance(g, 25);
    a->selection = chance(g, 80) ? VKA_SELECTION_SOFTMAX : (vka_selection)between(g, 1, 2);
    a->sinks = !a->selection && chance(g, 20);
    a->dropout = !a->selection && chance(g, 20);
    a->no_lse = chance(g, 15);
    a->stats = chance(g, 20);
    a->scores = chance(g, 15) ? draw_float(g) : VKA_DTYPE_INVALID;
    a->score_stage = (vka_score_stage)ref_rng_below(g, 4);
}

static void draw_list(ref_rng *g, attention_list *list) {
    uint32_t kind = ref_rng_below(g, 10);
    list->kind = kind < 6 ? LIST_NONE : kind < 8 ? LIST_LENGTHS : LIST_OFFSETS;
    list->tensor = chance(g, 60);
}

static void draw_group(ref_rng *g, random_case *r) {
    attention_case *a = &r->a;
    draw_types(g, a);
    draw_options(g, a);
    draw_list(g, &a->q_list);
    draw_list(g, &a->kv_list);
    a->page_size = chance(g, 20) ? 8 * between(g, 1, 4) : 0;
    a->layout.pad = chance(g, 50) ? 4 : 1; /* 4: rows stay multiples of four */
    a->diagonal = (vka_diagonal)ref_rng_below(g, 3);
    a->pattern_seed = chance(g, 25);
    a->pattern_query_tile = 16u << ref_rng_below(g, 3);
    a->pattern_key_tile = 32u << ref_rng_below(g, 2);
    a->permutation_len = chance(g, 10);
    a->key_list_len = chance(g, 12);
    a->key_list_heads = ref_rng_below(g, 3);
    a->q_len = chance(g, 40) ? 8 : 70; /* at most */
    a->q_heads = chance(g, 50) ? 1 : 4;
    a->relative_width = a->relative_len && chance(g, 35);
    a->cosine = chance(g, 12);
    a->relative_keys_len = !a->cosine && chance(g, 16);
    a->relative_keys_dtype = draw_float(g);
    a->bias_dtype = draw_float(g);
    a->no_content_bias = chance(g, 20);
    a->no_position_bias = chance(g, 20);
    r->candidate = chance(g, 30) ? between(g, 1, 1000) : 0;
    r->path = chance(g, 40) ? VKA_ATTENTION_PATH_AUTO : (vka_attention_path)between(g, 1, LAST_PATH);
    r->splits = chance(g, 40) ? 0 : chance(g, 40) ? 1 : 2;
    a->batch_invariant = chance(g, 10);
    a->dequantise = chance(g, 30) ? VKA_DEQUANTISE_FIRST : VKA_DEQUANTISE_AUTO;
    a->score = a->relative_width || !chance(g, 12) ? NULL : chance(g, 50) ? &score_borders : &score_lattice;
}

/* ---- of a case ------------------------------------------------------------------------------------------------- */

static void draw_sizes(ref_rng *g, attention_case *a) {
    a->batch = between(g, 1, 4);
    a->kv_heads = between(g, 1, 3);
    a->q_heads = a->kv_heads * (a->q_heads == 1 ? 1 : between(g, 2, a->q_heads));
    a->q_len = a->q_len > 8 ? between(g, 9, a->q_len) : chance(g, 50) ? 1 : between(g, 1, 8);
    a->kv_len = chance(g, 4) ? 0 : between(g, 1, chance(g, 20) ? 40 : 150);
    a->no_keys = !a->kv_len;
    a->k_shared = chance(g, 15);
    a->v_shared = chance(g, 15);
}

static void draw_layout(ref_rng *g, layout *l) {
    static const char *const rows[] = {"0123", "0213", "1023", "2013", "1203", "2103"};
    static const char *const any[] = {"0123", "0132", "0312", "3012", "0231", "3210", "1302", "2310"};
    bool vectors = l->pad == 4;
    l->order = chance(g, 40) ? NULL : vectors ? rows[ref_rng_below(g, 6)] : any[ref_rng_below(g, 8)];
    l->pad = vectors ? 4 * ref_rng_below(g, 3) : ref_rng_below(g, 4);
    l->shift = vectors ? 4 * ref_rng_below(g, 2) : ref_rng_below(g, 4);
}

/* Near, or now and then at the ends of 32 bits or where the library parts positions. */
static int32_t draw_position(ref_rng *g, const attention_case *a) {
    const int32_t far[] = {INT32_MIN + 1, INT32_MAX - 9, (1 << 29) - 4, -(1 << 29) - 4};
    return chance(g, a->relative_width ? 30 : 6) ? far[ref_rng_below(g, 4)] + (int32_t)ref_rng_below(g, 9)
                                                 : (int32_t)ref_rng_below(g, 2 * a->kv_len + 20) - (int32_t)a->kv_len;
}

static void draw_band(ref_rng *g, attention_case *a) {
    a->offset = draw_position(g, a);
    a->window.left = chance(g, 20) ? VKA_UNBOUNDED : (int32_t)ref_rng_below(g, a->kv_len + 1) - 3;
    a->window.right = chance(g, 20) ? VKA_UNBOUNDED : (int32_t)ref_rng_below(g, a->kv_len + 1) - 3;
}

static void draw_scores(ref_rng *g, attention_case *a) {
    static const float caps[] = {0.05f, 1, 4, 30, 50, 4, 1, 1e-30f, 1e30f, 1e38f};
    static const float drops[] = {0.01f, 0.1f, 0.25f, 0.5f, 0.9f};
    a->scale = chance(g, 70) ? 0 : ref_rng_uniform(g, 0.01f, 3);
    a->softcap = a->softcap > 0 ? caps[ref_rng_below(g, 10)] : 0;
    a->dropout = a->dropout > 0 ? drops[ref_rng_below(g, 5)] : 0;
    a->random_seed = ref_rng_u64(g);
    a->random_offset = (uint32_t)ref_rng_u64(g);
    a->mask_rank = between(g, 2, 4);
    a->mask_broadcast = chance(g, 50) ? 0 : ref_rng_below(g, 16);
    a->mask_content = chance(g, 70) ? MASK_RANDOM : (mask_content)between(g, MASK_NOTHING, MASK_LOWEST);
    a->relative_len = a->relative_len ? between(g, 1, 40) : 0;
    a->relative_zero = ref_rng_below(g, a->relative_len + 1);
    a->relative_width = a->relative_width ? between(g, 1, 12) : 0;
    a->relative_rows = between(g, 1, 9);
    a->relative_zero_row = ref_rng_below(g, a->relative_rows);
    a->relative_shared = chance(g, 30);
    a->relative_masks = chance(g, 40);
    a->relative_keys_len = a->relative_keys_len ? between(g, 1, 90) : 0;
    a->relative_keys_zero = ref_rng_below(g, a->relative_keys_len + 1);
    a->relative_keys_shared = chance(g, 30);
}

/* Numbers at the ends of f32, in a few cases each. */
static void draw_extremes(ref_rng *g, attention_case *a) {
    a->huge_sinks = chance(g, 20);
    a->huge_slopes = chance(g, 15);
    a->lowest_biases = chance(g, 15);
    a->whole_numbers = chance(g, 10);
    a->scale = !a->whole_numbers ? a->scale : chance(g, 70) ? 0x1p100f : 0x1p-100f;
}

static void draw_sequences(ref_rng *g, attention_case *a) {
    a->q_list.wild = chance(g, 30);
    a->kv_list.wild = chance(g, 30);
    a->max_q_len = chance(g, 60) ? 0 : between(g, 1, a->q_len + 3);
    a->max_kv_len = chance(g, 60) ? 0 : between(g, 1, a->kv_len + 3);
    a->wild_pages = chance(g, 20);
    a->pattern_seed = a->pattern_seed ? ref_rng_u64(g) | 1 : 0;
    a->pattern_heads = chance(g, 30);
    a->permutation_len =
        a->permutation_len ? (uint32_t)between(g, 1, (a->q_len > a->kv_len ? a->q_len : a->kv_len) + 5) : 0;
    a->permutation_batch = chance(g, 50);
    a->permutation_heads = chance(g, 50);
    a->key_list_len = a->key_list_len ? between(g, 1, chance(g, 60) ? 40 : a->kv_len + 5) : 0;
    a->poison_hidden = chance(g, 80);
}

/* ---- legal ----------------------------------------------------------------------------------------------------- */

static void make_legal_list(attention_list *list, uint32_t *max) {
    *max = list->kind ? *max : 0;
    list->wild = list->wild && list->tensor && list->kind;
}

static void make_legal_types(attention_case *a) {
    vka_dtype caches[] = {a->k_dtype, a->v_dtype};
    uint32_t *dims[] = {&a->head_dim, &a->value_dim};
    for (int i = 0; i < 2; i++) {
        *dims[i] = vka_dtype_block(caches[i]) > 1 ? (*dims[i] + 31) / 32 * 32 : *dims[i];
    }
}

/* What the rule for accuracy can judge: it measures by arithmetic that is not exact for sums of a huge number and one
 * that is not small beside it, and that in f16 has no huge numbers at all. */
static void make_legal_extremes(attention_case *a) {
    bool halves = a->dtype == VKA_F16 && a->k_dtype != VKA_F32 && a->k_dtype != VKA_BF16;
    a->mask_content = halves && a->mask == VKA_F16 && a->mask_content == MASK_LOWEST ? MASK_RANDOM : a->mask_content;
    bool lowest_mask = a->mask && a->mask != VKA_U8 && a->mask_content == MASK_LOWEST;
    a->lowest_biases = a->lowest_biases && a->relative_len && !(lowest_mask && a->scores);
    bool exact = !halves && !ref_quantised(a->k_dtype) && a->softcap < 1e20f;
    a->whole_numbers =
        a->whole_numbers && exact && !a->cosine && !a->relative_keys_len && !lowest_mask && !a->lowest_biases;
    a->scale = a->whole_numbers || (a->scale < 0x1p99f && !(a->scale > 0 && a->scale < 0x1p-99f)) ? a->scale : 0;
    a->huge_sinks = a->huge_sinks && a->sinks;
    a->huge_slopes = a->huge_slopes && a->alibi && !halves && !lowest_mask && !a->lowest_biases && !a->whole_numbers;
    bool huge = a->huge_sinks || a->lowest_biases || a->huge_slopes || a->whole_numbers || lowest_mask;
    a->scores = huge && a->scores ? VKA_F32 : a->scores; /* others can't hold them */
    a->stats = a->stats || (huge && a->scores && a->score_stage == VKA_SCORES_PROBABILITIES);
}

/* Lists of keys share a binding with what they do not go together with. */
static void make_legal_lists(attention_case *a) {
    bool lists = a->key_list_len;
    a->pattern_seed = lists ? 0 : a->pattern_seed;
    a->permutation_len = lists ? 0 : a->permutation_len;
    a->scores = lists ? VKA_DTYPE_INVALID : a->scores;
}

static void make_legal_products(attention_case *a) {
    bool relative = a->relative_keys_len;
    a->cosine = a->cosine && !relative;
    a->alibi = a->alibi && !a->cosine && !relative;
    a->relative_len = relative ? 0 : a->relative_len;
    a->sinks = a->sinks && !relative;
    a->relative_keys_zero = a->relative_keys_zero < a->relative_keys_len ? a->relative_keys_zero : 0;
}

/* The tensors that a function reads have the bindings of options, and the reference's rule for accuracy does not judge
 * what it makes of huge scores. */
static void make_legal_function(attention_case *a) {
    bool reads_four = a->score == &score_lattice;
    a->cosine = a->cosine && !a->score;
    a->relative_keys_len = a->score ? 0 : a->relative_keys_len;
    a->alibi = a->alibi && !a->score;
    a->relative_len = a->score ? 0 : a->relative_len;
    a->mask = reads_four ? VKA_DTYPE_INVALID : a->mask;
    a->sinks = a->sinks && !reads_four;
    a->whole_numbers = a->whole_numbers && !a->score;
    a->offset = a->score ? a->offset % (1 << 29) : a->offset;
}

void random_make_legal(random_case *r) {
    attention_case *a = &r->a;
    make_legal_function(a);
    make_legal_types(a);
    make_legal_lists(a);
    make_legal_products(a);
    make_legal_extremes(a);
    make_legal_list(&a->q_list, &a->max_q_len);
    make_legal_list(&a->kv_list, &a->max_kv_len);
    a->q_list.wild = a->q_list.wild && a->q_list.kind == LIST_LENGTHS; /* packed queries would meet */
    a->page_size = a->kv_list.kind == LIST_OFFSETS || a->no_keys ? 0 : a->page_size;
    a->k_shared = a->k_shared && !a->page_size;
    a->v_shared = a->v_shared && !a->page_size;
    a->no_keys = !a->kv_len;
    a->offset = a->diagonal == VKA_DIAGONAL_EXPLICIT ? a->offset : 0;
    a->offset = a->alibi ? a->offset % 1000 : a->offset; /* nothing else is left of scores with huge biases in f32 */
    a->sinks = a->sinks && !a->selection;
    a->dropout = a->selection ? 0 : a->dropout;
    bool probabilities = a->score_stage == VKA_SCORES_PROBABILITIES && a->scores;
    a->score_stage = probabilities && a->selection ? VKA_SCORES_MASKED : a->score_stage;
    a->no_lse = a->no_lse && !probabilities;
    /* Too many positions for a map; keys and queries that no place has, or that share a table, are other tests'. */
    a->pattern_seed = attention_positions(a) > 5000 ? 0 : a->pattern_seed;
    a->permutation_len = a->page_size || a->no_keys || a->scores ? 0 : a->permutation_len;
    r->splits = a->permutation_len ? 0 : r->splits;
    a->relative_zero = a->relative_zero < a->relative_len ? a->relative_zero : 0;
    a->relative_width = a->relative_len ? a->relative_width : 0;
    a->relative_rows = a->relative_width ? a->relative_rows : 0;
    a->relative_zero_row = a->relative_width ? a->relative_zero_row : 0;
    a->mask_content = a->mask == VKA_U8 && a->mask_content > MASK_ALL ? MASK_RANDOM : a->mask_content;
    bool bounded = a->window.left != VKA_UNBOUNDED && a->window.right != VKA_UNBOUNDED;
    if (bounded && (int64_t)a->window.left + a->window.right < 0) {
        a->window.right = -a->window.left;
    }
}

random_case random_draw(uint64_t seed, uint64_t number) {
    random_case r = {.seed = seed * UINT64_C(0x9e3779b97f4a7c15) + number};
    ref_rng group = ref_rng_seed(seed ^ (number / RANDOM_GROUP * 2 + 1) * UINT64_C(0xd1342543de82ef95));
    ref_rng one = ref_rng_seed(r.seed);
    draw_group(&group, &r);
    draw_sizes(&one, &r.a);
    draw_layout(&one, &r.a.layout);
    draw_band(&one, &r.a);
    draw_scores(&one, &r.a);
    draw_sequences(&one, &r.a);
    draw_extremes(&one, &r.a);
    r.compares_hidden = chance(&one, 25);
    r.splits = r.splits < 2 ? r.splits : between(&one, 2, 9);
    random_make_legal(&r);
    return r;
}
