/* SPDX-License-Identifier: MIT */
#include "attention_case.h"

#include "pattern_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/say.h"

static attention_case with_defaults(attention_case a) {
    a.dtype = a.dtype ? a.dtype : VKA_F32;
    a.k_dtype = a.k_dtype ? a.k_dtype : a.dtype;
    a.v_dtype = a.v_dtype ? a.v_dtype : a.dtype;
    a.out_dtype = a.out_dtype ? a.out_dtype : a.dtype;
    a.batch = a.batch ? a.batch : 1;
    a.q_heads = a.q_heads ? a.q_heads : 1;
    a.kv_heads = a.kv_heads ? a.kv_heads : a.q_heads;
    a.q_len = a.q_len ? a.q_len : 1;
    a.kv_len = a.kv_len || a.no_keys ? a.kv_len : 1;
    a.kv_len = a.page_size ? (a.kv_len + a.page_size - 1) / a.page_size * a.page_size : a.kv_len;
    a.head_dim = a.head_dim ? a.head_dim : 64;
    a.value_dim = a.value_dim ? a.value_dim : a.head_dim;
    a.mask_rank = a.mask_rank ? a.mask_rank : 4;
    a.relative_keys_dtype = a.relative_keys_dtype ? a.relative_keys_dtype : a.dtype;
    a.bias_dtype = a.bias_dtype ? a.bias_dtype : VKA_F32;
    return a;
}

/* ---- reference ------------------------------------------------------------------------------------------------- */

static void refer_to_options(attention_problem *p) {
    const attention_case *a = &p->a;
    ref_attention *r = &p->ref;
    r->softcap = (double)a->softcap;
    r->mask = p->mask.values;
    r->mask_boolean = a->mask == VKA_U8;
    for (uint32_t dim = 0; dim < 4; dim++) {
        uint32_t missing = 4 - a->mask_rank;
        r->mask_shape[dim] = !a->mask || dim < missing ? 1 : p->mask.view.shape[dim - missing];
    }
    r->alibi = p->alibi_slopes.values;
    r->relative = p->relative_bias.values;
    r->relative_heads = p->relative_bias.view.shape[0];
    r->relative_len = a->relative_len;
    r->relative_zero = a->relative_zero;
    r->relative_width = a->relative_width;
    r->relative_rows = a->relative_rows;
    r->relative_zero_row = a->relative_zero_row;
    r->cosine = p->cosine_scale.values;
    r->relative_keys = p->relative_keys.values;
    r->relative_keys_heads = p->relative_keys.view.shape[0];
    r->relative_keys_len = a->relative_keys_len;
    r->relative_keys_zero = a->relative_keys_zero;
    r->content_bias = p->content_bias.values;
    r->position_bias = p->position_bias.values;
    r->sinks = p->sinks.values;
    r->selection = a->selection;
    r->dropout = (double)a->dropout;
    r->seed = a->random_seed;
    r->function = a->score ? a->score->twin : NULL;
    r->function_user = p->score;
    r->q_lens = p->sequences.q_len;
}

static void make_reference(attention_problem *p) {
    const attention_case *a = &p->a;
    size_t q = (size_t)a->batch * a->q_heads * a->q_len, kv = (size_t)a->batch * a->kv_heads * a->kv_len;
    p->ref_q = attention_must(calloc(q * a->head_dim + 1, sizeof(float)));
    p->ref_k = attention_must(calloc(kv * a->head_dim + 1, sizeof(float)));
    p->ref_v = attention_must(calloc(kv * a->value_dim + 1, sizeof(float)));
    p->ref_k_scale = p->k_scale.count ? attention_must(calloc(kv + 1, sizeof(float))) : NULL;
    p->ref_v_scale = p->v_scale.count ? attention_must(calloc(kv + 1, sizeof(float))) : NULL;
    p->ref = (ref_attention){
        .batch = a->batch,
        .q_heads = a->q_heads,
        .kv_heads = a->kv_heads,
        .q_len = a->q_len,
        .kv_len = a->kv_len,
        .head_dim = a->head_dim,
        .value_dim = a->value_dim,
        .q = p->ref_q,
        .k = p->ref_k,
        .v = p->ref_v,
        .scale = a->scale != 0 ? (double)a->scale
                 : a->cosine   ? 1
                               : 1 / sqrt(a->head_dim),
        .causal = a->causal,
        .window = a->window.enabled,
        .left = a->window.left,
        .right = a->window.right,
        .kv_lens = p->sequences.kv_len,
        .pattern = a->pattern,
        .slots = p->slots,
        .key_lists = p->lists,
        .key_list_len = a->key_list_len,
        .listed = p->listed,
        .own_keys = a->page_size || a->kv_list.kind == LIST_OFFSETS,
        .diagonals = p->sequences.diagonal,
        .k_scale = p->ref_k_scale,
        .v_scale = p->ref_v_scale,
        .q_type = a->dtype,
        .k_type = a->k_dtype,
        .v_type = a->v_dtype,
        .out_type = a->out_dtype,
    };
    refer_to_options(p);
}

/* Of the scores that a selection compares. */
static void add_score_errors(const attention_problem *p, uint32_t b, uint32_t h, uint32_t i, double *score,
                             float *naive, ref_error *error) {
    ref_attention_scores(&p->ref, VKA_SCORES_MASKED, b, h, i, score);
    ref_attention_naive_scores(&p->ref, VKA_SCORES_MASKED, b, h, i, naive);
    for (uint32_t j = 0; j < p->a.kv_len; j++) {
        ref_error_add(error, score[j], (double)naive[j], score[j]);
    }
}

static void compute_row(attention_problem *p, uint32_t b, uint32_t h, uint32_t i, double *scratch,
                        float *naive_scratch) {
    size_t row = attention_q_row(p, b, h, i);
    ref_softmax softmax, naive;
    size_t tokens = p->a.q_len > p->a.kv_len ? p->a.q_len : p->a.kv_len;
    if (p->slots && p->slots[((size_t)b * p->a.q_heads + h) * tokens + i] < 0) {
        return;
    }
    cr_assert(!p->written[row], "the test's own sequences share queries");
    p->written[row] = true;
    ref_attention_row(&p->ref, b, h, i, p->ref_out + row * p->a.value_dim, &softmax, scratch);
    ref_attention_naive_row(&p->ref, b, h, i, p->naive_out + row * p->a.value_dim, &naive, naive_scratch);
    p->ref_lse[row] = softmax.lse;
    p->ref_max[row] = softmax.max;
    p->naive_lse[row] = (float)naive.lse;
    p->naive_max[row] = (float)naive.max;
}

static void compute_reference(attention_problem *p) {
    const attention_case *a = &p->a;
    double *scratch = attention_must(malloc((a->kv_len + 1) * sizeof *scratch));
    float *naive_scratch = attention_must(malloc((a->kv_len + 1) * sizeof *naive_scratch));
    ref_error error = {0};
    memset(p->written, 0, p->q.count / a->head_dim);
    for (uint32_t b = 0; b < a->batch; b++) {
        for (uint32_t h = 0; h < a->q_heads; h++) {
            for (uint32_t i = 0; i < p->sequences.q_len[b]; i++) {
                compute_row(p, b, h, i, scratch, naive_scratch);
                if (a->selection) {
                    add_score_errors(p, b, h, i, scratch, naive_scratch, &error);
                }
            }
        }
    }
    p->score_error = 2 * error.naive + 1e-5; /* the accuracy rule */
    free(scratch);
    free(naive_scratch);
}

/* ---- the problem ----------------------------------------------------------------------------------------------- */

static tensor *const *inputs_of(attention_problem *p, tensor *list[24]) {
    uint32_t n = 0;
#define X(name) list[n++] = &p->name;
    ATTENTION_INPUTS(X)
    ATTENTION_PRODUCT_INPUTS(X)
#undef X
    list[n++] = &p->q_list;
    list[n++] = &p->kv_list;
    for (uint32_t i = 0; i < VKA_SCORE_TENSORS; i++) {
        list[n++] = &p->score[i];
    }
    list[n] = NULL;
    return list;
}

void attention_update(attention_problem *p) {
    tensor *list[24];
    attention_gather(p);
    p->ref.random_offset = p->a.random_offset + (p->a.random_step ? (uint32_t)p->random_step.values[0] : 0);
    for (tensor *const *t = inputs_of(p, list); *t; t++) {
        if ((*t)->view.buffer) {
            tensor_upload(*t);
        }
    }
    compute_reference(p);
}

static uint32_t longest(uint32_t rows, uint32_t max) {
    return max && max < rows ? max : rows;
}

static void make_outputs(attention_problem *p) {
    const attention_case *a = &p->a;
    uint32_t batch = p->q.view.shape[0], rows[4] = {batch, a->q_heads, a->q_len, 2};
    layout flat = {.pad = a->layout.pad, .shift = a->layout.shift};
    p->out = tensor_create(p->c, a->out_dtype, 4, (uint32_t[]){batch, a->q_heads, a->q_len, a->value_dim}, a->layout);
    if (!a->no_lse) {
        p->lse = tensor_create(p->c, VKA_F32, 3, rows, flat);
    }
    if (a->stats) {
        p->stats = tensor_create(p->c, VKA_F32, 4, rows, a->layout);
    }
    if (a->scores) {
        uint32_t shape[4] = {a->batch, a->q_heads, longest(a->q_len, a->max_q_len), longest(a->kv_len, a->max_kv_len)};
        p->scores = tensor_create(p->c, a->scores, 4, shape, a->layout);
    }
    size_t count = p->q.count / a->head_dim + 1, out_count = count * a->value_dim;
    p->written = attention_must(calloc(count, sizeof *p->written));
    p->ref_out = attention_must(calloc(out_count, sizeof *p->ref_out));
    p->naive_out = attention_must(calloc(out_count, sizeof *p->naive_out));
    double **refs[] = {&p->ref_lse, &p->ref_max};
    float **naives[] = {&p->naive_lse, &p->naive_max};
    for (int i = 0; i < 2; i++) {
        *refs[i] = attention_must(calloc(count, sizeof **refs[i]));
        *naives[i] = attention_must(calloc(count, sizeof **naives[i]));
    }
}

int64_t attention_positions(const attention_case *a) {
    int64_t keys = longest(a->kv_len, a->max_kv_len), queries = longest(a->q_len, a->max_q_len);
    switch (a->diagonal) {
    case VKA_DIAGONAL_BOTTOM_RIGHT:
        return keys;
    case VKA_DIAGONAL_TOP_LEFT:
        return queries;
    default:
        return queries + a->offset;
    }
}

/* For as many positions and keys as there are. */
static void draw_pattern(attention_problem *p) {
    attention_case *a = &p->a;
    if (!a->pattern_seed) {
        return;
    }
    ref_rng rng = ref_rng_seed(a->pattern_seed);
    int64_t positions = attention_positions(a);
    uint32_t keys = longest(a->kv_len, a->max_kv_len), queries = positions < 1 ? 1 : (uint32_t)positions;
    if (a->permutation_len) {
        keys = queries = a->permutation_len;
    }
    p->drawn = attention_must(calloc(1, sizeof *p->drawn));
    pattern_draw(&rng, queries, keys ? keys : 1, a->pattern_heads ? a->q_heads : 0, &p->drawn_storage, p->drawn);
    p->drawn->query_tile = a->pattern_query_tile;
    p->drawn->key_tile = a->pattern_key_tile;
    p->drawn->keep_order = true;
    a->pattern = p->drawn;
}

attention_problem attention_make(context *c, attention_case a, uint64_t seed) {
    attention_problem p = {.c = c, .a = with_defaults(a), .seed = seed};
    ref_rng rng = ref_rng_seed(seed);
    draw_pattern(&p);
    if (p.a.pattern) {
        EXPECT_OK(vka_pattern_create(c->device, p.a.pattern, &p.pattern));
    }
    attention_make_inputs(&p, &rng);
    make_outputs(&p);
    make_reference(&p);
    attention_gather(&p);
    if (a.poison_hidden) {
        attention_poison_hidden(&p, &rng);
    }
    attention_update(&p);
    return p;
}

void attention_destroy(attention_problem *p) {
    tensor *list[24];
    for (tensor *const *t = inputs_of(p, list); *t; t++) {
        tensor_destroy(*t);
    }
#define X(name) tensor_destroy(&p->name);
    ATTENTION_OUTPUTS(X)
#undef X
    vka_pattern_destroy(&p->pattern);
    pattern_free(&p->drawn_storage);
    free(p->drawn);
    free(p->slots);
    free(p->lists);
    free(p->listed);
    free(p->score);
    void *memory[] = {p->q_values, p->kv_values, p->ref_q,   p->ref_k,   p->ref_v,     p->ref_k_scale, p->ref_v_scale,
                      p->written,  p->ref_out,   p->ref_lse, p->ref_max, p->naive_out, p->naive_lse,   p->naive_max};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) {
        free(memory[i]);
    }
    attention_sequences *s = &p->sequences;
    free(s->q_first);
    free(s->q_len);
    free(s->kv_first);
    free(s->kv_len);
    free(s->diagonal);
}

static vka_integers integers(const attention_list *list, int wanted, const int32_t *values, const tensor *t) {
    if ((int)list->kind != wanted) {
        return (vka_integers){0};
    }
    return list->tensor ? (vka_integers){.tensor = t->view} : (vka_integers){.values = values};
}

vka_attention_desc attention_desc(const attention_problem *p) {
    const attention_case *a = &p->a;
    bool packed = a->q_list.kind == LIST_OFFSETS || a->kv_list.kind == LIST_OFFSETS;
    vka_attention_desc desc = {
#define X(name) .name = p->name.view,
        ATTENTION_INPUTS(X) ATTENTION_PRODUCT_INPUTS(X) ATTENTION_OUTPUTS(X)
#undef X
            .scale = a->scale,
        .softcap = a->softcap,
        .relative_zero = a->relative_zero,
        .relative_width = a->relative_width,
        .relative_zero_row = a->relative_zero_row,
        .relative_keys_zero = a->relative_keys_zero,
        .tile = a->tile,
        .causal = a->causal,
        .diagonal = a->diagonal,
        .diagonal_offset = a->offset,
        .window = a->window,
        .q_lengths = integers(&a->q_list, LIST_LENGTHS, p->q_values, &p->q_list),
        .kv_lengths = integers(&a->kv_list, LIST_LENGTHS, p->kv_values, &p->kv_list),
        .q_offsets = integers(&a->q_list, LIST_OFFSETS, p->q_values, &p->q_list),
        .kv_offsets = integers(&a->kv_list, LIST_OFFSETS, p->kv_values, &p->kv_list),
        .sequences = packed ? a->batch : 0,
        .max_q_len = a->max_q_len,
        .max_kv_len = a->max_kv_len,
        .pattern = p->pattern,
        .selection = a->selection,
        .dropout = a->dropout,
        .seed = a->random_seed,
        .random_offset = a->random_offset,
        .score_stage = a->score_stage,
        .determinism = a->batch_invariant ? VKA_DETERMINISM_BATCH : VKA_DETERMINISM_CALL,
        .dequantise = a->dequantise,
    };
    if (a->score) {
        desc.score_function = a->score->function;
        memcpy(desc.score_constants, a->score->constants, sizeof desc.score_constants);
        for (uint32_t i = 0; i < VKA_SCORE_TENSORS; i++) {
            desc.score_tensors[i] = p->score[i].view;
        }
    }
    if (a->values_are_keys) {
        desc.v = desc.k;
        desc.v.shape[3] = a->value_dim;
        desc.v_scale = desc.k_scale;
    }
    return desc;
}

/* ---- in words -------------------------------------------------------------------------------------------------- */

static void say_list(writer *w, const char *name, const attention_list *list, const int32_t *values, uint32_t batch) {
    uint32_t entries = batch + (list->kind == LIST_OFFSETS);
    say(w, list->kind, " %s %s%s", name, list->kind == LIST_OFFSETS ? "offsets" : "lengths",
        list->tensor ? " (tensor)" : "");
    for (uint32_t i = 0; i < entries && list->kind; i++) {
        say(w, true, " %d", values[i]);
    }
}

static void say_scores(writer *w, const attention_problem *p) {
    static const char *const contents[] = {"random", "masks nothing", "masks all", "with +inf", "with NaN", "lowest"};
    static const char *const selections[] = {"softmax", "argmax", "sample"};
    const attention_case *a = &p->a;
    say(w, a->scale != 0, " scale %g", (double)a->scale);
    say(w, a->softcap != 0, " softcap %g", (double)a->softcap);
    if (a->mask) {
        say(w, true, " mask %s (%s)", dtype_name(a->mask), contents[a->mask_content]);
        for (uint32_t i = 0; i < a->mask_rank; i++) {
            say(w, true, "%c%u", i ? 'x' : ' ', p->mask.view.shape[i]);
        }
    }
    say(w, a->alibi, " alibi%s", a->huge_slopes ? " (huge)" : "");
    say(w, a->relative_len, " relative %ux%u zero %u%s", p->relative_bias.view.shape[0], a->relative_len,
        a->relative_zero, a->relative_masks ? " with -inf" : "");
    say(w, a->relative_len && a->lowest_biases, " with the lowest");
    say(w, a->relative_width, " rows %u zero %u of a grid %u wide", a->relative_rows, a->relative_zero_row,
        a->relative_width);
    say(w, a->tile.query_tile, " tile %ux%u, %u, %u", a->tile.query_tile, a->tile.key_tile, a->tile.rows_per_invocation,
        a->tile.team);
    say(w, a->cosine, " cosine");
    say(w, a->relative_keys_len, " relative keys %s %ux%u zero %u", dtype_name(a->relative_keys_dtype),
        p->relative_keys.view.shape[0], a->relative_keys_len, a->relative_keys_zero);
    say(w, a->relative_keys_len, "%s%s of %s", a->no_content_bias ? " without content bias" : "",
        a->no_position_bias ? " without position bias" : "", dtype_name(a->bias_dtype));
    say(w, a->sinks, " sinks%s", a->huge_sinks ? " (huge)" : "");
    say(w, a->whole_numbers, " whole numbers");
    say(w, a->score, " function %s", a->score ? a->score->name : "");
    say(w, a->selection, " %s", selections[a->selection]);
    say(w, a->dropout != 0, " dropout %g", (double)a->dropout);
    say(w, a->selection == VKA_SELECTION_SAMPLE || a->dropout != 0, " random %#llx+%u%s",
        (unsigned long long)a->random_seed, a->random_offset, a->random_step ? " + step" : "");
}

const char *attention_describe(const attention_problem *p, char *text, size_t size) {
    static const char *const diagonals[] = {"bottom right", "top left", "explicit"};
    const attention_case *a = &p->a;
    writer w = {text, size};
    bool mixed = a->k_dtype != a->dtype || a->v_dtype != a->dtype || a->out_dtype != a->dtype;
    say(&w, true, "%s: %s", p->c->config->name, dtype_name(a->dtype));
    say(&w, mixed, "/%s/%s/%s", dtype_name(a->k_dtype), dtype_name(a->v_dtype), dtype_name(a->out_dtype));
    say(&w, true, " B %u%s%s H %u/%u N %ux%u D %u/%u", a->batch, a->k_shared ? " (k 1)" : "",
        a->v_shared ? " (v 1)" : "", a->q_heads, a->kv_heads, a->q_len, a->kv_len, a->head_dim, a->value_dim);
    say(&w, a->layout.order || a->layout.pad || a->layout.shift, " order %s+%u>>%u",
        a->layout.order ? a->layout.order : "dense", a->layout.pad, a->layout.shift);
    say(&w, a->values_are_keys, " values are keys");
    say_scores(&w, p);
    say(&w, a->causal, " causal");
    say(&w, a->window.enabled, " window %d .. %d", a->window.left, a->window.right);
    say(&w, a->causal || a->window.enabled || a->alibi || a->score || a->relative_len || a->relative_keys_len,
        " diagonal %s %d", diagonals[a->diagonal], a->offset);
    say_list(&w, "q", &a->q_list, p->q_values, a->batch);
    say(&w, a->max_q_len, " at most %u", a->max_q_len);
    say_list(&w, "kv", &a->kv_list, p->kv_values, a->batch);
    say(&w, a->max_kv_len, " at most %u", a->max_kv_len);
    say(&w, a->page_size, " pages of %u%s", a->page_size, a->wild_pages ? " (wild)" : "");
    say(&w, a->permutation_len, " permutation of %u%s%s", a->permutation_len, a->permutation_batch ? " each entry" : "",
        a->permutation_heads ? " each head" : "");
    say(&w, a->key_list_len, " lists of %u keys%s", a->key_list_len,
        a->key_list_heads == 2   ? " each head"
        : a->key_list_heads == 1 ? " each key head"
                                 : "");
    if (a->pattern) {
        char pattern[768];
        say(&w, true, " pattern {%s}", pattern_describe(a->pattern, pattern, sizeof pattern));
    }
    say(&w, a->batch_invariant, " batch invariant");
    say(&w, a->dequantise, " dequantise %d", a->dequantise);
    say(&w, a->no_lse, " no lse");
    say(&w, a->stats, " stats");
    say(&w, a->scores, " scores %s stage %d", dtype_name(a->scores), a->score_stage);
    say(&w, a->poison_hidden, " poison");
    say(&w, true, ", VKATTN_SEED=%llu", (unsigned long long)p->seed);
    return text;
}
