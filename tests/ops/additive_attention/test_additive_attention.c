/* Additive attention on both paths: sizes, types, layouts, masks, lengths and causality against float64, by the
 * accuracy rule; what tanh and softmax make of extreme numbers; what nobody sees. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/additive_attention.h>

#include "support/context.h"
#include "support/tensor.h"

enum { Q, K, V, VECTOR, MASK, LENGTHS, OUT, LSE, TENSORS };
static const char *const names[TENSORS] = {"q", "k", "v", "score_vector", "mask", "kv_lengths", "out", "lse"};

typedef enum lengths_of { LENGTHS_NONE, LENGTHS_HOST, LENGTHS_DEVICE } lengths_of;

typedef struct additive_problem additive_problem;

/* Zero: f32; 1 for sizes; as many heads of keys as of queries; a vector for each head; no mask. */
typedef struct additive_case {
    uint32_t batch, heads, kv_heads, queries, keys, channels, values;
    vka_dtype types[TENSORS];
    uint32_t vector_rank; /* 1: one for all heads                                       */
    bool shared_vector;   /* of rank 2                                                  */
    uint32_t mask_rank;   /* 0: none                                                    */
    uint32_t mask_ones;   /* dimensions of it that are 1, as bits of [B, H, Nq, Nk]     */
    uint32_t mask_more;   /* queries and keys that it has beyond                        */
    lengths_of lengths;
    bool causal, no_lse;
    vka_diagonal diagonal;
    int32_t offset;
    float deviation; /* of q and k; 0: 1 */
    layout layout;
    void (*change)(additive_problem *p); /* inputs, after they are random */
} additive_case;

struct additive_problem {
    context *c;
    additive_case k;
    tensor t[TENSORS];
    float *in[TENSORS]; /* as uploaded */
    int32_t *host;
    uint32_t *live; /* keys of each entry */
    int64_t *diagonals;
    uint32_t mask_shape[4];
};

static const char *describe(const additive_problem *p, vka_additive_attention_path path, char *text, size_t size) {
    const additive_case *k = &p->k;
    snprintf(text, size,
             "%s: path %d, %s, %s, %s, %s, mask %s -> %s, %ux%u/%ux(%u, %u)x(%u, %u), mask rank %u - %x + %u, "
             "lengths %d%s %d%+d, order %s+%u>>%u, VKATTN_SEED=%llu",
             p->c->config->name, (int)path, dtype_name(k->types[Q]), dtype_name(k->types[K]), dtype_name(k->types[V]),
             dtype_name(k->types[VECTOR]), dtype_name(k->types[MASK]), dtype_name(k->types[OUT]), k->batch, k->heads,
             k->kv_heads, k->queries, k->keys, k->channels, k->values, k->mask_rank, k->mask_ones, k->mask_more,
             (int)k->lengths, k->causal ? " causal" : "", (int)k->diagonal, k->offset,
             k->layout.order ? k->layout.order : "dense", k->layout.pad, k->layout.shift,
             (unsigned long long)test_seed());
    return text;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static additive_case complete(additive_case k) {
    uint32_t *sizes[] = {&k.batch, &k.heads, &k.channels, &k.values};
    for (int i = 0; i < 4; i++) {
        *sizes[i] = *sizes[i] ? *sizes[i] : 1;
    }
    k.kv_heads = k.kv_heads ? k.kv_heads : k.heads;
    k.vector_rank = k.vector_rank ? k.vector_rank : 2;
    k.deviation = k.deviation != 0 ? k.deviation : 1;
    for (int i = 0; i < TENSORS; i++) {
        k.types[i] = i == LENGTHS ? VKA_I32 : i != LSE && k.types[i] ? k.types[i] : VKA_F32;
    }
    return k;
}

/* A third of a mask masks, and now and then all of a row. Lengths are anything, also all and nothing; what is none in
 * device memory is clamped. */
static void fill(additive_problem *p, int i, ref_rng *rng) {
    tensor *t = &p->t[i];
    uint32_t keys = p->k.keys;
    tensor_fill_normal(t, rng, 0, i == Q || i == K ? p->k.deviation : 1);
    for (size_t n = 0; n < t->count && i == MASK; n++) {
        bool masked = ref_rng_below(rng, 3) == 0 || n / p->mask_shape[3] % 7 == 5;
        t->values[n] = p->k.types[MASK] == VKA_U8 ? (float)(masked ? 0 : 1 + n % 3) : masked ? -INFINITY : t->values[n];
    }
    for (uint32_t b = 0; b < p->k.batch && i == LENGTHS; b++) {
        p->live[b] = !p->k.lengths ? keys : b % 5 == 1 ? 0 : b % 5 == 2 ? keys : ref_rng_below(rng, keys + 1);
        p->host[b] = (int32_t)p->live[b];
        t->values[b] = b % 10 == 1 ? -7 : b % 10 == 2 ? (float)keys + 3 : (float)p->live[b];
    }
}

static void find_diagonals(additive_problem *p) {
    const additive_case *k = &p->k;
    for (uint32_t b = 0; b < k->batch; b++) {
        p->diagonals[b] = k->diagonal == VKA_DIAGONAL_TOP_LEFT   ? 0
                          : k->diagonal == VKA_DIAGONAL_EXPLICIT ? k->offset
                                                                 : (int64_t)p->live[b] - k->queries;
    }
}

static additive_problem make(context *c, additive_case given) {
    additive_case k = complete(given);
    additive_problem p = {.c = c, .k = k, .mask_shape = {k.batch, k.heads, k.queries, k.keys}};
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t d = 0; d < 4; d++) {
        bool one = d < 4 - k.mask_rank || (k.mask_ones >> d & 1);
        p.mask_shape[d] = one ? 1 : p.mask_shape[d] + (d > 1 ? k.mask_more : 0);
    }
    const uint32_t shapes[TENSORS][4] = {
        [Q] = {k.batch, k.heads, k.queries, k.channels},
        [K] = {k.batch, k.kv_heads, k.keys, k.channels},
        [V] = {k.batch, k.kv_heads, k.keys, k.values},
        [VECTOR] = {k.vector_rank == 1 ? k.channels
                    : k.shared_vector  ? 1
                                       : k.heads,
                    k.channels},
        [LENGTHS] = {k.batch},
        [OUT] = {k.batch, k.heads, k.queries, k.values},
        [LSE] = {k.batch, k.heads, k.queries},
    };
    const uint32_t ranks[TENSORS] = {4, 4, 4, k.vector_rank, k.mask_rank, 1, 4, 3};
    p.host = calloc(k.batch, sizeof *p.host);
    p.live = calloc(k.batch, sizeof *p.live);
    p.diagonals = calloc(k.batch, sizeof *p.diagonals);
    cr_assert(p.host && p.live && p.diagonals);
    for (int i = 0; i < TENSORS; i++) {
        bool four = ranks[i] == 4;
        layout l = {.order = four ? k.layout.order : NULL, .pad = k.layout.pad, .shift = k.layout.shift};
        const uint32_t *shape = i == MASK ? p.mask_shape + 4 - k.mask_rank : shapes[i];
        if (ranks[i]) {
            p.t[i] = tensor_create(c, k.types[i], ranks[i], shape, l);
            fill(&p, i, &rng);
        }
    }
    find_diagonals(&p);
    if (k.change) {
        k.change(&p);
    }
    for (int i = 0; i < TENSORS; i++) {
        if (ranks[i]) {
            tensor_round(&p.t[i]);
            p.in[i] = malloc((p.t[i].count + 1) * sizeof *p.in[i]);
            cr_assert_not_null(p.in[i]);
            memcpy(p.in[i], p.t[i].values, p.t[i].count * sizeof *p.in[i]);
        }
    }
    return p;
}

static void destroy(additive_problem *p) {
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
        free(p->in[i]);
    }
    free(p->host);
    free(p->live);
    free(p->diagonals);
}

static vka_additive_attention_desc desc_of(const additive_problem *p, vka_additive_attention_path path) {
    const additive_case *k = &p->k;
    vka_additive_attention_desc d = {.q = p->t[Q].view,
                                     .k = p->t[K].view,
                                     .v = p->t[V].view,
                                     .score_vector = p->t[VECTOR].view,
                                     .out = p->t[OUT].view,
                                     .mask = p->t[MASK].view,
                                     .causal = k->causal,
                                     .diagonal = k->diagonal,
                                     .diagonal_offset = k->offset,
                                     .path = path};
    d.lse = k->no_lse ? d.lse : p->t[LSE].view;
    d.kv_lengths.values = k->lengths == LENGTHS_HOST ? p->host : NULL;
    d.kv_lengths.tensor = k->lengths == LENGTHS_DEVICE ? p->t[LENGTHS].view : (vka_tensor){0};
    return d;
}

/* ---- the reference ----------------------------------------------------------------------------------------------- */

/* One vector for each head, whatever there is. */
static float *vectors_of(const additive_problem *p) {
    const additive_case *k = &p->k;
    float *vectors = malloc((size_t)k->heads * k->channels * sizeof *vectors);
    cr_assert_not_null(vectors);
    for (size_t i = 0; i < (size_t)k->heads * k->channels; i++) {
        vectors[i] = p->in[VECTOR][i % p->t[VECTOR].count];
    }
    return vectors;
}

static void compare_row(const additive_problem *p, const ref_attention *a, size_t row, ref_error errors[2]) {
    const additive_case *k = &p->k;
    uint32_t i = (uint32_t)(row % k->queries), h = (uint32_t)(row / k->queries % k->heads),
             b = (uint32_t)(row / k->queries / k->heads);
    ref_softmax softmax, naive_softmax;
    double *out = malloc((k->values + k->keys + 1) * sizeof *out);
    float *naive = malloc((k->values + k->keys + 1) * sizeof *naive);
    cr_assert(out && naive);
    ref_attention_row(a, b, h, i, out, &softmax, out + k->values);
    ref_attention_naive_row(a, b, h, i, naive, &naive_softmax, naive + k->values);
    bool overflows = naive_softmax.sum == 0 && softmax.sum > 0; /* all of its scores are -inf: that excuses nothing */
    for (uint32_t e = 0; e < k->values; e++) {
        double by_naive = overflows ? NAN : (double)naive[e];
        ref_error_add(&errors[0], (double)p->t[OUT].values[row * k->values + e], by_naive, out[e]);
    }
    if (!k->no_lse) {
        ref_error_add(&errors[1], (double)p->t[LSE].values[row], naive_softmax.lse, softmax.lse);
    }
    free(out);
    free(naive);
}

static void compare(const additive_problem *p, vka_additive_attention_path path) {
    const additive_case *k = &p->k;
    float *vectors = vectors_of(p);
    ref_attention a = {.batch = k->batch,
                       .q_heads = k->heads,
                       .kv_heads = k->kv_heads,
                       .q_len = k->queries,
                       .kv_len = k->keys,
                       .head_dim = k->channels,
                       .value_dim = k->values,
                       .q = p->in[Q],
                       .k = p->in[K],
                       .v = p->in[V],
                       .additive = vectors,
                       .scale = 1,
                       .causal = k->causal,
                       .kv_lens = p->live,
                       .diagonals = p->diagonals,
                       .mask = p->in[MASK],
                       .mask_boolean = k->types[MASK] == VKA_U8,
                       .q_type = k->types[Q],
                       .k_type = k->types[K],
                       .v_type = k->types[V],
                       .out_type = k->types[OUT]};
    memcpy(a.mask_shape, p->mask_shape, sizeof a.mask_shape);
    ref_error errors[2] = {{0}};
    static const char *const what[] = {"out", "lse"};
    char text[512];
    for (size_t row = 0; row < (size_t)k->batch * k->heads * k->queries; row++) {
        compare_row(p, &a, row, errors);
        cr_assert(!errors[0].broken && !errors[1].broken, "row %zu is NaN or infinite out of place; %s", row,
                  describe(p, path, text, sizeof text));
    }
    for (int i = 0; i < 2; i++) {
        cr_assert(ref_error_ok(&errors[i]), "%s is off by %.3g where the naive computation is off by %.3g; %s", what[i],
                  errors[i].out, errors[i].naive, describe(p, path, text, sizeof text));
    }
    free(vectors);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static void run(additive_problem *p, vka_additive_attention_path path) {
    vka_additive_attention_desc d = desc_of(p, path);
    char text[512];
    for (int i = 0; i < TENSORS; i++) {
        if (p->in[i]) {
            memcpy(p->t[i].values, p->in[i], p->t[i].count * sizeof(float));
            tensor_upload(&p->t[i]);
        }
    }
    tensor_poison(&p->t[OUT]);
    tensor_poison(&p->t[LSE]);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_additive_attention(p->c->recorder, &d));
    context_finish(p->c);
    for (int i = OUT; i <= LSE; i++) {
        cr_assert(tensor_download(&p->t[i]), "writes outside of %s; %s", names[i],
                  describe(p, path, text, sizeof text));
    }
    for (size_t i = 0; i < p->t[LSE].count && p->k.no_lse; i++) {
        cr_assert(tensor_untouched(&p->t[LSE], i));
    }
    compare(p, path);
}

/* On both paths; where drivers compile for seconds, a share of the cases. */
static void check(context *c, additive_case k) {
    bool row = !context_leaves_out(c, 23), tile = !context_leaves_out(c, 23);
    if (!row && !tile) {
        return;
    }
    additive_problem p = make(c, k);
    if (row) {
        run(&p, VKA_ADDITIVE_ATTENTION_PATH_ROW);
    }
    if (tile) {
        run(&p, VKA_ADDITIVE_ATTENTION_PATH_TILE);
    }
    destroy(&p);
}

/* Sizes where vectors, tiles and steps don't line up. */
Test(additive_attention, sizes) {
    static const uint32_t sizes[][4] = {{1, 1, 1, 1},      {1, 239, 40, 59},   {3, 799, 8, 8},      {113, 203, 59, 3},
                                        {64, 64, 64, 64},  {65, 63, 16, 80},   {2, 65, 96, 128},    {1, 1023, 33, 20},
                                        {17, 40, 333, 36}, {20, 33, 12, 512},  {7, 130, 5, 257},    {1, 70, 130, 512},
                                        {9, 31, 1, 96},    {4, 128, 128, 128}, {16, 32, 1024, 100}, {33, 129, 24, 1}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check(&c, (additive_case){.batch = 2,
                                  .heads = 1 + i % 2,
                                  .queries = sizes[i][0],
                                  .keys = sizes[i][1],
                                  .channels = sizes[i][2],
                                  .values = sizes[i][3],
                                  .no_lse = i % 4 == 3});
    }
    context_close(&c);
}

Test(additive_attention, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 3 * DTYPES; i++) {
        additive_case k = {.batch = 2,
                           .heads = 2,
                           .queries = i % 2 ? 9 : 1,
                           .keys = 37,
                           .channels = i % 3 ? 24 : 13,
                           .values = i % 3 ? 20 : 11,
                           .mask_rank = i % 2 ? 4 : 0};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = i < DTYPES ? dtypes[i] : dtypes[(i / 3 * t + i) % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

/* Queries that share keys, and score vectors that heads have in common. */
Test(additive_attention, heads) {
    static const uint32_t heads[][2] = {{4, 2}, {6, 1}, {6, 6}, {9, 3}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 12; i++) {
        check(&c, (additive_case){.batch = 2,
                                  .heads = heads[i % 4][0],
                                  .kv_heads = heads[i % 4][1],
                                  .queries = 5,
                                  .keys = 21,
                                  .channels = 20,
                                  .values = 12,
                                  .vector_rank = i % 3 == 0 ? 1 : 2,
                                  .shared_vector = i % 3 == 1});
    }
    context_close(&c);
}

/* "0213" is [B, N, H, D]. */
Test(additive_attention, layouts) {
    static const char *const orders[] = {"0123", "0213", "2013", "0132", "3210"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 10; i++) {
        vka_dtype t = dtypes[i % DTYPES];
        check(&c, (additive_case){.batch = 2,
                                  .heads = 3,
                                  .queries = 10,
                                  .keys = 19,
                                  .channels = 20,
                                  .values = 12,
                                  .mask_rank = 4,
                                  .types = {t, t, t, t, t, t, t, t},
                                  .layout = {orders[i % 5], i % 4, i % 3}});
    }
    context_close(&c);
}

/* Every dimension that can broadcast, in every rank, of every type; masks of a whole cache, too. */
Test(additive_attention, masks) {
    static const vka_dtype types[] = {VKA_F32, VKA_U8, VKA_F16, VKA_BF16};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 24; i++) {
        check(&c, (additive_case){.batch = 2,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .queries = 11,
                                  .keys = 43,
                                  .channels = 16,
                                  .values = 9,
                                  .types = {[MASK] = types[i % 4]},
                                  .mask_rank = i < 16 ? 4 : 2 + i % 2,
                                  .mask_ones = i < 16 ? i : i % 3 * 4,
                                  .mask_more = i % 5 == 4 ? 6 : 0,
                                  .causal = i % 3 == 2});
    }
    context_close(&c);
}

Test(additive_attention, lengths) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 12; i++) {
        check(&c, (additive_case){.batch = 11,
                                  .heads = 2,
                                  .queries = i % 3 ? 1 + i : 1,
                                  .keys = 50,
                                  .channels = 12,
                                  .values = 8,
                                  .lengths = i % 2 ? LENGTHS_HOST : LENGTHS_DEVICE,
                                  .causal = i % 4 >= 2,
                                  .diagonal = i / 4 == 1 ? VKA_DIAGONAL_TOP_LEFT : VKA_DIAGONAL_BOTTOM_RIGHT});
    }
    context_close(&c);
}

/* Also diagonals that leave rows without keys, or all of them visible. */
Test(additive_attention, causal) {
    static const struct {
        vka_diagonal diagonal;
        int32_t offset;
    } list[] = {{VKA_DIAGONAL_BOTTOM_RIGHT, 0},    {VKA_DIAGONAL_TOP_LEFT, 0},         {VKA_DIAGONAL_EXPLICIT, 7},
                {VKA_DIAGONAL_EXPLICIT, -20},      {VKA_DIAGONAL_EXPLICIT, INT32_MAX}, {VKA_DIAGONAL_EXPLICIT, -100},
                {VKA_DIAGONAL_EXPLICIT, INT32_MIN}};
    static const uint32_t sizes[][2] = {{40, 40}, {70, 35}, {19, 64}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 21; i++) {
        check(&c, (additive_case){.heads = 2,
                                  .queries = sizes[i % 3][0],
                                  .keys = sizes[i % 3][1],
                                  .channels = 12,
                                  .values = 16,
                                  .causal = true,
                                  .diagonal = list[i / 3].diagonal,
                                  .offset = list[i / 3].offset});
    }
    context_close(&c);
}

/* ---- values that are no ordinary numbers ------------------------------------------------------------------------- */

/* Sums that are huge, infinite, tiny, and 0; and score vectors that make tanh of tiny ones count. */
static void extreme_sums(additive_problem *p) {
    static const float list[] = {FLT_MAX, -FLT_MAX, 1e30f, -1e30f, 88, -89, 44, -44, 1e-6f, -3e-7f, 1e-20f, 1e-38f};
    for (size_t i = 0; i < p->t[Q].count; i++) {
        p->t[Q].values[i] = i % 3 ? list[i % 12] : p->t[Q].values[i] * 1e-5f;
    }
    for (size_t i = 0; i < p->t[K].count; i++) {
        p->t[K].values[i] = i % 5 ? i % 2 ? list[i % 12] : -list[i / 2 % 12] : p->t[K].values[i] * 1e-5f;
    }
}

static void tiny_sums(additive_problem *p) {
    for (size_t i = 0; i < p->t[VECTOR].count; i++) {
        p->t[VECTOR].values[i] *= 1e5f;
    }
}

/* Scores that are far apart and large. */
static void large_vectors(additive_problem *p) {
    for (size_t i = 0; i < p->t[VECTOR].count; i++) {
        p->t[VECTOR].values[i] *= 1e4f;
    }
}

/* Masks as large as floats are: rows of nothing but the lowest are the mean of their values. */
static void extreme_masks(additive_problem *p) {
    for (size_t i = 0; i < p->t[MASK].count; i++) {
        size_t row = i / p->k.keys;
        p->t[MASK].values[i] = row % 4 == 0   ? -FLT_MAX
                               : row % 4 == 1 ? (i % 3 ? -FLT_MAX : FLT_MAX)
                               : row % 4 == 2 ? (i % 3 ? -INFINITY : -FLT_MAX)
                                              : 1e6f + (float)(i % 3);
    }
}

/* Scores that are low already, under such masks: their sum is no float, and yet it masks nothing. */
static void low_scores_and_masks(additive_problem *p) {
    for (size_t i = 0; i < p->t[Q].count; i++) {
        p->t[Q].values[i] = 30; /* tanh is 1 */
    }
    for (size_t i = 0; i < p->t[VECTOR].count; i++) {
        p->t[VECTOR].values[i] = -1e37f;
    }
    for (size_t i = 0; i < p->t[MASK].count; i++) {
        p->t[MASK].values[i] = -FLT_MAX;
    }
}

/* What spoils a row: NaN and +inf, and infinite values. */
static void nonfinite(additive_problem *p) {
    for (size_t i = 5; i < p->t[K].count; i += 331) {
        p->t[K].values[i] = i % 2 ? NAN : INFINITY;
    }
    for (size_t i = 3; i < p->t[Q].count; i += 97) {
        p->t[Q].values[i] = i % 2 ? -INFINITY : NAN;
    }
    for (size_t i = 7; i < p->t[V].count; i += 211) {
        p->t[V].values[i] = i % 2 ? NAN : INFINITY;
    }
    for (size_t i = 11; i < p->t[MASK].count && p->k.types[MASK] != VKA_U8; i += 401) {
        p->t[MASK].values[i] = i % 2 ? NAN : INFINITY;
    }
}

static void infinite_vector(additive_problem *p) {
    p->t[VECTOR].values[1] = INFINITY;
    p->t[VECTOR].values[p->k.channels + 1] = -INFINITY;
    for (size_t i = 1; i < p->t[K].count; i += p->k.channels) {
        p->t[K].values[i] = i / p->k.channels % 2 ? 20 : -20; /* tanh is 1, or -1 */
    }
}

static void nan_vector(additive_problem *p) {
    p->t[VECTOR].values[p->k.channels + 1] = NAN;
}

Test(additive_attention, extremes) {
    static const struct {
        void (*change)(additive_problem *p);
        vka_dtype mask;
        bool no_lse;
    } list[] = {{extreme_sums, 0, false},        {tiny_sums, 0, false},       {large_vectors, 0, false},
                {extreme_masks, VKA_F32, false}, {nonfinite, VKA_F32, false}, {nonfinite, VKA_U8, false},
                {infinite_vector, 0, false},     {nan_vector, 0, false},      {low_scores_and_masks, VKA_F32, true}};
    enum { COUNT = sizeof list / sizeof *list };
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * COUNT; i++) {
        check(&c, (additive_case){.batch = 2,
                                  .heads = 3,
                                  .queries = i < COUNT ? 9 : 1,
                                  .keys = 53,
                                  .channels = 15,
                                  .values = 10,
                                  .deviation = list[i % COUNT].change == tiny_sums ? 1e-6f : 1,
                                  .mask_rank = list[i % COUNT].mask ? 4 : 0,
                                  .types = {[MASK] = list[i % COUNT].mask},
                                  .no_lse = list[i % COUNT].no_lse,
                                  .change = list[i % COUNT].change});
    }
    context_close(&c);
}

/* Of keys that no query of an entry sees nothing matters. */
static void poison_unseen(additive_problem *p) {
    const additive_case *k = &p->k;
    for (size_t i = 0; i < p->t[K].count; i++) {
        uint32_t key = (uint32_t)(i / k->channels % k->keys), b = (uint32_t)(i / k->channels / k->keys / k->kv_heads);
        p->t[K].values[i] = key < p->live[b] ? p->t[K].values[i] : i % 2 ? NAN : INFINITY;
    }
    for (size_t i = 0; i < p->t[V].count; i++) {
        uint32_t key = (uint32_t)(i / k->values % k->keys), b = (uint32_t)(i / k->values / k->keys / k->kv_heads);
        p->t[V].values[i] = key < p->live[b] ? p->t[V].values[i] : i % 2 ? NAN : INFINITY;
    }
}

Test(additive_attention, unseen) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4; i++) {
        check(&c, (additive_case){.batch = 7,
                                  .heads = 2,
                                  .queries = i % 2 ? 6 : 1,
                                  .keys = 61,
                                  .channels = 8,
                                  .values = 8,
                                  .mask_rank = i / 2 ? 3 : 0,
                                  .lengths = LENGTHS_DEVICE,
                                  .change = poison_unseen});
    }
    context_close(&c);
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

/* Bindings, grids and workgroups that are too small for it. */
Test(additive_attention, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        check(&c, (additive_case){.batch = 3,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .queries = 150,
                                  .keys = 300,
                                  .channels = 24,
                                  .values = 20,
                                  .mask_rank = 4,
                                  .lengths = LENGTHS_DEVICE,
                                  .causal = true});
        check(&c, (additive_case){.batch = 2,
                                  .heads = 3,
                                  .kv_heads = 1,
                                  .queries = 1700,
                                  .keys = 20,
                                  .channels = 24,
                                  .values = 8,
                                  .mask_rank = 4,
                                  .mask_ones = i % 4,
                                  .layout = {"0213", 1, 1}});
        context_close(&c);
    }
}

static float *copy_of(const tensor *t) {
    float *copy = malloc((t->count + 1) * sizeof *copy);
    cr_assert_not_null(copy);
    memcpy(copy, t->values, t->count * sizeof *copy);
    return copy;
}

/* Same inputs, same bits: twice, and with other things where nobody looks. */
Test(additive_attention, same_bits) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4; i++) {
        vka_additive_attention_path path = i % 2 ? VKA_ADDITIVE_ATTENTION_PATH_ROW : VKA_ADDITIVE_ATTENTION_PATH_TILE;
        additive_problem p = make(&c, (additive_case){.batch = 4,
                                                      .heads = 2,
                                                      .queries = i / 2 ? 1 : 37,
                                                      .keys = 90,
                                                      .channels = 20,
                                                      .values = 12,
                                                      .lengths = LENGTHS_DEVICE});
        run(&p, path);
        float *out = copy_of(&p.t[OUT]), *lse = copy_of(&p.t[LSE]);
        poison_unseen(&p);
        for (int t = K; t <= V; t++) {
            memcpy(p.in[t], p.t[t].values, p.t[t].count * sizeof(float));
        }
        run(&p, path);
        cr_assert(!memcmp(out, p.t[OUT].values, p.t[OUT].count * sizeof(float)));
        cr_assert(!memcmp(lse, p.t[LSE].values, p.t[LSE].count * sizeof(float)));
        free(out);
        free(lse);
        destroy(&p);
    }
    context_close(&c);
}

/* Without keys rows are dead; without queries or entries there is nothing to do. */
Test(additive_attention, nothing) {
    context c;
    context_open(&c, &config_real);
    check(&c, (additive_case){.batch = 2, .heads = 2, .queries = 5, .channels = 8, .values = 6});
    check(&c, (additive_case){.batch = 2, .heads = 2, .queries = 1, .channels = 8, .values = 6, .causal = true});
    for (int i = 0; i < 2; i++) {
        vka_tensor q = vka_tensor_4d(NULL, VKA_F32, i ? 0 : 2, 3, i ? 4 : 0, 8);
        vka_tensor k = vka_tensor_4d(NULL, VKA_F32, i ? 0 : 2, 3, 9, 8);
        vka_additive_attention_desc d = {
            .q = q, .k = k, .v = k, .out = q, .score_vector = vka_tensor_1d(NULL, VKA_F32, 8)};
        vka_requirements need;
        EXPECT_OK(vka_additive_attention_requirements(c.device, &d, &need));
        cr_expect_eq(need.dispatches, 0);
    }
    context_close(&c);
}

/* What no table says. */
Test(additive_attention, refusals) {
    context c;
    context_open(&c, &config_short);
    vka_tensor q = vka_tensor_4d(NULL, VKA_F16, 2, 4, 9, 8), k = vka_tensor_4d(NULL, VKA_F16, 2, 2, 9, 8);
    vka_additive_attention_desc good = {
        .q = q, .k = k, .v = k, .out = q, .score_vector = vka_tensor_2d(NULL, VKA_F32, 4, 8)};
    vka_additive_attention_desc d = good;
    EXPECT_OK(vka_additive_attention_prepare(c.device, &d));
    d.k.shape[1] = d.v.shape[1] = 3;
    EXPECT_FAILURE(vka_additive_attention_prepare(c.device, &d), VKA_INVALID, "vka_additive_attention.k");
    d = good;
    d.score_vector.shape[0] = 2;
    EXPECT_FAILURE(vka_additive_attention_prepare(c.device, &d), VKA_INVALID, "vka_additive_attention.score_vector");
    d.score_vector = vka_tensor_1d(NULL, VKA_F32, 9);
    EXPECT_FAILURE(vka_additive_attention_prepare(c.device, &d), VKA_INVALID, "vka_additive_attention.score_vector");
    d.score_vector = vka_tensor_3d(NULL, VKA_F32, 1, 4, 8);
    EXPECT_FAILURE(vka_additive_attention_prepare(c.device, &d), VKA_INVALID, "vka_additive_attention.score_vector");
    d = good;
    d.diagonal_offset = 1;
    EXPECT_FAILURE(vka_additive_attention_prepare(c.device, &d), VKA_INVALID, "vka_additive_attention.diagonal_offset");
    d = good;
    d.mask = vka_tensor_1d(NULL, VKA_F32, 9);
    EXPECT_FAILURE(vka_additive_attention_prepare(c.device, &d), VKA_INVALID, "vka_additive_attention.mask");
    d.mask = vka_tensor_2d(NULL, VKA_F32, 9, 8);
    EXPECT_FAILURE(vka_additive_attention_prepare(c.device, &d), VKA_INVALID, "vka_additive_attention.mask");
    d = good;
    const int32_t lengths[] = {9, 10};
    d.kv_lengths.values = lengths;
    EXPECT_FAILURE(vka_additive_attention_prepare(c.device, &d), VKA_INVALID, "vka_additive_attention.kv_lengths");
    d = good;
    d.k = d.v = vka_tensor_4d(NULL, VKA_F16, 2, 2, 5000, 8);
    EXPECT_FAILURE(vka_additive_attention_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_additive_attention.k");
    context_close(&c);
}
