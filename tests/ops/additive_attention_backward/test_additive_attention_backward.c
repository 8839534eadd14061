/* Gradients of additive attention on both paths: sizes, types, layouts, masks, lengths and causality against float64,
 * by the accuracy rule; what nobody sees. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/additive_attention.h>

#include "gradient_case.h"

enum { Q, K, V, VECTOR, MASK, LENGTHS, OUT, LSE, D_OUT, D_LSE, D_Q, D_K, D_V, D_VECTOR, D_MASK, TENSORS };
#define BIT(i) (1u << (i))

/* Zero: f32; 1 for sizes; as many heads of keys as of queries; a vector for each head; no mask; all gradients. */
typedef struct additive_case {
    uint32_t batch, heads, kv_heads, queries, keys, channels, values;
    vka_dtype types[TENSORS];
    uint32_t vector_rank; /* 1: one for all heads                                       */
    uint32_t mask_rank;   /* 0: none                                                    */
    uint32_t mask_ones;   /* dimensions of it that are 1, as bits of [B, H, Nq, Nk]     */
    uint32_t mask_more;   /* queries and keys that it has beyond                        */
    uint32_t want;        /* gradients, as bits; 0: all                                 */
    bool lengths, causal, d_lse, accumulate, hides;
    bool small; /* scores around 1, however many channels there are                     */
    vka_diagonal diagonal;
    int32_t offset;
    layout layout;
    vka_additive_attention_path path;
} additive_case;

typedef struct problem {
    context *c;
    additive_case k;
    gradient_tensor t[TENSORS];
    float *vectors; /* of each head */
    uint32_t *live; /* keys of each entry */
    int64_t *diagonals;
    uint32_t mask_shape[4];
} problem;

static const struct {
    const char *name;
    size_t field;
} fields[TENSORS] = {
#define FIELD(name)                                                                                                    \
    { #name, offsetof(vka_additive_attention_backward_desc, name) }
    FIELD(q),      FIELD(k),
    FIELD(v),      FIELD(score_vector),
    FIELD(mask),   FIELD(kv_lengths.tensor),
    FIELD(out),    FIELD(lse),
    FIELD(d_out),  FIELD(d_lse),
    FIELD(d_q),    FIELD(d_k),
    FIELD(d_v),    FIELD(d_score_vector),
    FIELD(d_mask),
};

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static additive_case complete(additive_case k) {
    uint32_t *sizes[] = {&k.batch, &k.heads, &k.channels, &k.values};
    for (int i = 0; i < 4; i++) {
        *sizes[i] = *sizes[i] ? *sizes[i] : 1;
    }
    k.kv_heads = k.kv_heads ? k.kv_heads : k.heads;
    k.vector_rank = k.vector_rank ? k.vector_rank : 2;
    k.want = k.want ? k.want : BIT(D_Q) | BIT(D_K) | BIT(D_V) | BIT(D_VECTOR) | BIT(D_MASK);
    for (int i = 0; i < TENSORS; i++) {
        k.types[i] = i == LENGTHS ? VKA_I32 : i != LSE && i != D_LSE && k.types[i] ? k.types[i] : VKA_F32;
    }
    return k;
}

static void shape_of(const problem *p, int i, uint32_t shape[4], uint32_t *rank) {
    const additive_case *k = &p->k;
    bool keys = i == K || i == V || i == D_K || i == D_V, values = i == V || i == D_V || i == OUT || i == D_OUT;
    *rank = i == LSE || i == D_LSE ? 3 : i == LENGTHS ? 1 : 4;
    shape[0] = k->batch;
    shape[1] = keys ? k->kv_heads : k->heads;
    shape[2] = keys ? k->keys : k->queries;
    shape[3] = values ? k->values : k->channels;
    if (i == VECTOR || i == D_VECTOR) {
        *rank = k->vector_rank;
        shape[0] = k->vector_rank == 1 ? k->channels : k->heads;
        shape[1] = k->channels;
    }
    if (i == MASK || i == D_MASK) {
        *rank = k->mask_rank;
        memcpy(shape, p->mask_shape + 4 - k->mask_rank, k->mask_rank * sizeof *shape);
    }
}

/* A third of a mask masks, and now and then all of a row. Lengths are anything, also all and nothing. */
static void fill(problem *p, int i, ref_rng *rng) {
    tensor *t = &p->t[i].t;
    for (size_t n = 0; n < t->count && i == VECTOR && p->k.small; n++) {
        t->values[n] /= sqrtf((float)p->k.channels);
    }
    for (size_t n = 0; n < t->count && i == MASK; n++) {
        bool masked = ref_rng_below(rng, 3) == 0 || n / p->mask_shape[3] % 7 == 5;
        t->values[n] = p->k.types[MASK] == VKA_U8 ? (float)(masked ? 0 : 1 + n % 3) : masked ? -INFINITY : t->values[n];
    }
    for (uint32_t b = 0; b < p->k.batch && i == LENGTHS; b++) {
        uint32_t keys = p->k.keys;
        p->live[b] = !p->k.lengths ? keys : b % 5 == 1 ? 0 : b % 5 == 2 ? keys : ref_rng_below(rng, keys + 1);
        t->values[b] = b % 10 == 1 ? -7 : b % 10 == 2 ? (float)keys + 3 : (float)p->live[b];
    }
}

/* What no query sees must not matter. */
static void hide(problem *p) {
    const additive_case *k = &p->k;
    size_t rows = (size_t)k->batch * k->kv_heads * k->keys;
    for (size_t row = 0; row < rows && k->hides; row++) {
        uint32_t b = (uint32_t)(row / k->keys / k->kv_heads), j = (uint32_t)(row % k->keys);
        for (uint32_t e = 0; e < k->channels && j >= p->live[b]; e++) {
            p->t[K].t.values[row * k->channels + e] = NAN;
        }
        for (uint32_t e = 0; e < k->values && j >= p->live[b]; e++) {
            p->t[V].t.values[row * k->values + e] = e % 2 ? NAN : INFINITY;
        }
    }
}

static problem make(context *c, additive_case given) {
    additive_case k = complete(given);
    problem p = {.c = c, .k = k, .mask_shape = {k.batch, k.heads, k.queries, k.keys}};
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t d = 0; d < 4; d++) {
        bool one = d < 4 - k.mask_rank || (k.mask_ones >> d & 1);
        p.mask_shape[d] = one ? 1 : p.mask_shape[d] + (d > 1 ? k.mask_more : 0);
    }
    p.live = calloc(k.batch, sizeof *p.live);
    p.diagonals = calloc(k.batch, sizeof *p.diagonals);
    p.vectors = calloc((size_t)k.heads * k.channels, sizeof *p.vectors);
    cr_assert(p.live && p.diagonals && p.vectors);
    for (int i = 0; i < TENSORS; i++) {
        uint32_t shape[4], rank;
        shape_of(&p, i, shape, &rank);
        layout l = {.order = rank == 4 ? k.layout.order : NULL, .pad = k.layout.pad, .shift = k.layout.shift};
        p.t[i] = (gradient_tensor){.name = fields[i].name, .field = fields[i].field, .written = i >= D_Q};
        if (rank) {
            gradient_make(&p.t[i], c, k.types[i], rank, shape, l, &rng);
            fill(&p, i, &rng);
        }
    }
    hide(&p);
    for (int i = 0; i < TENSORS; i++) {
        bool optional = i == MASK ? k.mask_rank > 0 : i == LENGTHS ? k.lengths : i == D_LSE ? k.d_lse : true;
        p.t[i].present = optional && (i < D_Q || k.want >> i & 1) && p.t[i].before;
        p.t[i].adds = k.accumulate && (i == D_VECTOR || i == D_MASK);
        if (p.t[i].before) {
            tensor_round(&p.t[i].t);
            gradient_keep(&p.t[i]);
        }
    }
    p.t[D_MASK].present = p.t[D_MASK].present && k.types[MASK] != VKA_U8;
    for (size_t i = 0; i < (size_t)k.heads * k.channels; i++) {
        p.vectors[i] = p.t[VECTOR].before[i % p.t[VECTOR].t.count];
    }
    for (uint32_t b = 0; b < k.batch; b++) {
        p.diagonals[b] = k.diagonal == VKA_DIAGONAL_TOP_LEFT   ? 0
                         : k.diagonal == VKA_DIAGONAL_EXPLICIT ? k.offset
                                                               : (int64_t)p.live[b] - k.queries;
    }
    return p;
}

static void destroy(problem *p) {
    gradient_destroy(p->t, TENSORS);
    free(p->vectors);
    free(p->live);
    free(p->diagonals);
}

/* ---- the reference ----------------------------------------------------------------------------------------------- */

static ref_attention attention_of(const problem *p) {
    const additive_case *k = &p->k;
    ref_attention a = {.batch = k->batch,
                       .q_heads = k->heads,
                       .kv_heads = k->kv_heads,
                       .q_len = k->queries,
                       .kv_len = k->keys,
                       .head_dim = k->channels,
                       .value_dim = k->values,
                       .q = p->t[Q].before,
                       .k = p->t[K].before,
                       .v = p->t[V].before,
                       .additive = p->vectors,
                       .scale = 1,
                       .causal = k->causal,
                       .kv_lens = p->live,
                       .diagonals = p->diagonals,
                       .mask = p->t[MASK].before,
                       .mask_boolean = k->types[MASK] == VKA_U8,
                       .q_type = k->types[Q],
                       .k_type = k->types[K],
                       .v_type = k->types[V],
                       .out_type = k->types[OUT]};
    memcpy(a.mask_shape, p->mask_shape, sizeof a.mask_shape);
    return a;
}

static void add(bool naive, double *to, double x) {
    *to = ref_step(naive, *to + ref_step(naive, x));
}

#define REF(i) (naive ? p->t[i].naive : p->t[i].ref)

typedef struct place {
    uint32_t b, h, i;
} place;

static place place_of(const additive_case *k, size_t row) {
    return (place){(uint32_t)(row / k->queries / k->heads), (uint32_t)(row / k->queries % k->heads),
                   (uint32_t)(row % k->queries)};
}

/* What a pair adds to the gradients. */
static void add_pair(problem *p, const ref_attention *a, bool naive, size_t row, uint32_t j, const ref_pairs *pairs) {
    const additive_case *k = &p->k;
    place at = place_of(k, row);
    size_t key = ((size_t)at.b * k->kv_heads + at.h / (k->heads / k->kv_heads)) * k->keys + j;
    for (uint32_t e = 0; e < k->channels; e++) {
        double x = ref_step(naive, (double)a->q[row * k->channels + e] + (double)a->k[key * k->channels + e]);
        double t = ref_step(naive, tanh(x)), w = (double)p->vectors[(size_t)at.h * k->channels + e];
        double slope = ref_step(naive, pairs->score[j] * w * (1 - t * t));
        add(naive, &REF(D_Q)[row * k->channels + e], slope);
        add(naive, &REF(D_K)[key * k->channels + e], slope);
        add(naive, &REF(D_VECTOR)[((size_t)at.h * k->channels + e) % p->t[VECTOR].t.count], pairs->score[j] * t);
    }
    for (uint32_t e = 0; e < k->values; e++) {
        add(naive, &REF(D_V)[key * k->values + e], pairs->weight[j] * (double)p->t[D_OUT].before[row * k->values + e]);
    }
    if (k->mask_rank) {
        add(naive, &REF(D_MASK)[ref_attention_mask_index(a, at.b, at.h, at.i, j)], pairs->score[j]);
    }
}

/* The operation takes probabilities from the log-sum-exp that it is given, and so does its naive twin. */
static void normalise_by_stored_lse(const problem *p, size_t row, ref_pairs *pairs) {
    double factor = pairs->lse == -INFINITY ? 1 : exp(pairs->lse - (double)p->t[LSE].before[row]);
    for (uint32_t j = 0; j < p->k.keys; j++) {
        pairs->weight[j] = ref_step(true, pairs->weight[j] * factor);
        pairs->score[j] = ref_step(true, pairs->score[j] * factor);
    }
}

/* Of a row, whose results are those of the forward pass. */
static void add_row(problem *p, const ref_attention *a, bool naive, size_t row, ref_pairs *pairs) {
    const additive_case *k = &p->k;
    place at = place_of(k, row);
    const float *d_out = p->t[D_OUT].before + row * k->values;
    double d_lse = k->d_lse ? (double)p->t[D_LSE].before[row] : 0;
    (naive ? ref_attention_naive_backward_row : ref_attention_backward_row)(a, at.b, at.h, at.i, d_out, d_lse, pairs);
    if (naive) {
        normalise_by_stored_lse(p, row, pairs);
    }
    for (uint32_t j = 0; j < k->keys; j++) {
        if (ref_attention_visible(a, at.b, at.h, at.i, j)) {
            add_pair(p, a, naive, row, j, pairs);
        }
    }
}

static void forward(problem *p, const ref_attention *a) {
    const additive_case *k = &p->k;
    double *out = calloc(k->values + k->keys + 1, sizeof *out);
    cr_assert_not_null(out);
    for (size_t row = 0; row < (size_t)k->batch * k->heads * k->queries; row++) {
        ref_softmax softmax;
        place at = place_of(k, row);
        ref_attention_row(a, at.b, at.h, at.i, out, &softmax, out + k->values);
        p->t[LSE].before[row] = (float)softmax.lse;
        for (uint32_t e = 0; e < k->values; e++) {
            p->t[OUT].before[row * k->values + e] = ref_round(k->types[OUT], (float)out[e]);
        }
    }
    free(out);
}

static void refer(problem *p) {
    const additive_case *k = &p->k;
    ref_attention a = attention_of(p);
    double *room = calloc(3 * (size_t)k->keys + 1, sizeof *room);
    cr_assert_not_null(room);
    ref_pairs pairs = {.weight = room, .score = room + k->keys, .product = room + 2 * (size_t)k->keys};
    forward(p, &a);
    for (size_t row = 0; row < (size_t)k->batch * k->heads * k->queries; row++) {
        add_row(p, &a, false, row, &pairs);
        add_row(p, &a, true, row, &pairs);
    }
    free(room);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static void run(problem *p, vka_additive_attention_path path) {
    const additive_case *k = &p->k;
    char text[512];
    snprintf(text, sizeof text,
             "%s: path %d, %s, %s, %s, %s, mask %s, out %s, %ux%u/%ux(%u, %u)x(%u, %u), mask rank %u - %x + %u%s%s%s "
             "%d%+d, order %s+%u>>%u, wants %x, VKATTN_SEED=%llu",
             p->c->config->name, (int)path, dtype_name(k->types[Q]), dtype_name(k->types[K]), dtype_name(k->types[V]),
             dtype_name(k->types[VECTOR]), dtype_name(k->types[MASK]), dtype_name(k->types[OUT]), k->batch, k->heads,
             k->kv_heads, k->queries, k->keys, k->channels, k->values, k->mask_rank, k->mask_ones, k->mask_more,
             k->lengths ? ", lengths" : "", k->causal ? " causal" : "", k->accumulate ? " accumulates" : "",
             (int)k->diagonal, k->offset, k->layout.order ? k->layout.order : "dense", k->layout.pad, k->layout.shift,
             k->want, (unsigned long long)test_seed());
    vka_additive_attention_backward_desc d = {.causal = k->causal,
                                              .diagonal = k->diagonal,
                                              .diagonal_offset = k->offset,
                                              .accumulate = k->accumulate,
                                              .path = path};
    gradient_run(p->c, VKA_OPERATION_ADDITIVE_ATTENTION_BACKWARD, p->t, TENSORS, &d, sizeof d, text);
}

/* On both paths; where drivers compile for seconds, a share of the cases. */
static void check(context *c, additive_case k) {
    bool row = !context_leaves_out(c, 23), tile = !context_leaves_out(c, 23);
    if (!row && !tile) {
        return;
    }
    problem p = make(c, k);
    refer(&p);
    if (row) {
        run(&p, VKA_ADDITIVE_ATTENTION_PATH_ROW);
    }
    if (tile) {
        run(&p, VKA_ADDITIVE_ATTENTION_PATH_TILE);
    }
    destroy(&p);
}

/* The reference's own: central differences of sum(d_out out) + sum(d_lse lse) in float64. */
static double loss(const void *user) {
    const problem *p = user;
    const additive_case *k = &p->k;
    ref_attention a = attention_of(p);
    double total = 0, *out = calloc(k->values + k->keys + 1, sizeof *out);
    cr_assert_not_null(out);
    for (size_t i = 0; i < (size_t)k->heads * k->channels; i++) {
        p->vectors[i] = p->t[VECTOR].before[i % p->t[VECTOR].t.count];
    }
    for (size_t row = 0; row < (size_t)k->batch * k->heads * k->queries; row++) {
        ref_softmax softmax;
        ref_attention_row(&a, (uint32_t)(row / k->queries / k->heads), (uint32_t)(row / k->queries % k->heads),
                          (uint32_t)(row % k->queries), out, &softmax, out + k->values);
        for (uint32_t e = 0; e < k->values; e++) {
            total += (double)p->t[D_OUT].before[row * k->values + e] * out[e];
        }
        total += softmax.lse > -INFINITY ? (double)p->t[D_LSE].before[row] * softmax.lse : 0;
    }
    free(out);
    return total;
}

Test(additive_attention_backward, reference) {
    static const int inputs[][2] = {{Q, D_Q}, {K, D_K}, {V, D_V}, {VECTOR, D_VECTOR}, {MASK, D_MASK}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 0; n < 3; n++) {
        problem p = make(&c, (additive_case){.batch = 2,
                                             .heads = 4,
                                             .kv_heads = n ? 2 : 4,
                                             .queries = 3,
                                             .keys = 4,
                                             .channels = 3,
                                             .values = 2,
                                             .vector_rank = n == 2 ? 1 : 2,
                                             .mask_rank = 4 - n,
                                             .mask_ones = n ? 0 : 2,
                                             .causal = n == 1,
                                             .lengths = n == 2,
                                             .d_lse = true});
        refer(&p);
        for (uint32_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
            gradient_tensor *t = &p.t[inputs[i][0]];
            for (size_t at = 0; at < t->t.count; at++) {
                double slope = isinf(t->before[at]) ? 0 : ref_slope(&t->before[at], loss, &p);
                cr_expect(fabs(p.t[inputs[i][1]].ref[at] - slope) <= 5e-5 * fmax(fabs(slope), 1), "%s[%zu]: %g, not %g",
                          t->name, at, p.t[inputs[i][1]].ref[at], slope);
            }
        }
        destroy(&p);
    }
    context_close(&c);
}

/* Sizes where vectors, rows and steps don't line up. */
Test(additive_attention_backward, sizes) {
    static const uint32_t sizes[][4] = {{1, 1, 1, 1},      {1, 39, 40, 59},  {3, 99, 8, 8},    {53, 43, 59, 3},
                                        {64, 64, 64, 64},  {35, 33, 16, 80}, {2, 65, 96, 128}, {17, 20, 333, 36},
                                        {20, 13, 12, 512}, {7, 30, 5, 257},  {9, 31, 1, 96},   {33, 49, 24, 1}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check(&c, (additive_case){.batch = 2,
                                  .heads = 1 + i % 2,
                                  .queries = sizes[i][0],
                                  .keys = sizes[i][1],
                                  .channels = sizes[i][2],
                                  .values = sizes[i][3],
                                  .vector_rank = 1 + i % 2,
                                  .d_lse = i % 3 == 1,
                                  .accumulate = i % 4 == 3});
    }
    context_close(&c);
}

/* More channels than fit: in blocks, on both paths. Scores are small: an error of a large one, of which lse has none
 * here, is one of its probability. */
Test(additive_attention_backward, channels) {
    context c;
    context_open(&c, &config_real);
    check(&c, (additive_case){.queries = 3, .keys = 4, .channels = 700, .values = 5, .small = true});
    check(&c, (additive_case){.queries = 4, .keys = 3, .channels = 2500, .values = 9, .small = true});
    context_close(&c);
}

Test(additive_attention_backward, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * DTYPES; i++) {
        additive_case k = {.batch = 2,
                           .heads = 2,
                           .queries = i % 2 ? 9 : 1,
                           .keys = 27,
                           .channels = i % 3 ? 24 : 13,
                           .values = i % 3 ? 20 : 11,
                           .mask_rank = i % 2 ? 4 : 0,
                           .accumulate = i % 3 == 1};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = i < DTYPES ? dtypes[i] : dtypes[(i / 3 * t + i) % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

Test(additive_attention_backward, heads) {
    static const uint32_t heads[][2] = {{4, 1}, {4, 2}, {6, 3}, {3, 3}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * sizeof heads / sizeof *heads; i++) {
        check(&c, (additive_case){.batch = 2,
                                  .heads = heads[i / 2][0],
                                  .kv_heads = heads[i / 2][1],
                                  .queries = 11,
                                  .keys = 14,
                                  .channels = 12,
                                  .values = 8,
                                  .vector_rank = 1 + i % 2,
                                  .causal = i % 3 == 1});
    }
    context_close(&c);
}

Test(additive_attention_backward, masks) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 16; i++) {
        check(&c, (additive_case){.batch = 3,
                                  .heads = 2,
                                  .queries = 9,
                                  .keys = 13,
                                  .channels = 10,
                                  .values = 6,
                                  .mask_rank = 2 + i % 3,
                                  .mask_ones = i % 16,
                                  .mask_more = i % 5 == 3 ? 4 : 0,
                                  .accumulate = i % 4 == 2,
                                  .causal = i % 7 == 5,
                                  .types[MASK] = i % 5 == 4 ? VKA_U8 : dtypes[i % DTYPES]});
    }
    context_close(&c);
}

Test(additive_attention_backward, lengths) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 8; i++) {
        check(&c, (additive_case){.batch = 7,
                                  .heads = 2,
                                  .queries = i % 2 ? 17 : 5,
                                  .keys = 21,
                                  .channels = 9,
                                  .values = 7,
                                  .lengths = true,
                                  .hides = true,
                                  .causal = i & 2,
                                  .diagonal = i & 4 ? VKA_DIAGONAL_EXPLICIT : VKA_DIAGONAL_BOTTOM_RIGHT,
                                  .offset = i & 4 ? 3 - (int32_t)i : 0});
    }
    context_close(&c);
}

Test(additive_attention_backward, causal) {
    static const int32_t offsets[] = {0, 5, -4, 100, -100};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 10; i++) {
        check(&c, (additive_case){.heads = 2,
                                  .queries = i % 2 ? 40 : 70,
                                  .keys = i % 2 ? 70 : 40,
                                  .channels = 8,
                                  .values = 12,
                                  .causal = true,
                                  .diagonal = i / 2 ? VKA_DIAGONAL_EXPLICIT : VKA_DIAGONAL_TOP_LEFT,
                                  .offset = i / 2 ? offsets[i / 2] : 0});
    }
    context_close(&c);
}

/* "0213": a [B, N, H, A] buffer seen as [B, H, N, A]. */
Test(additive_attention_backward, layouts) {
    static const char *const orders[] = {"0213", "3210", "1032", "0132"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 8; i++) {
        additive_case k = {.batch = 2,
                           .heads = 3,
                           .queries = 10,
                           .keys = 15,
                           .channels = 12,
                           .values = 8,
                           .mask_rank = i % 2 ? 4 : 0,
                           .layout = {orders[i % 4], i / 4, i % 3}};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = dtypes[i % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

Test(additive_attention_backward, absent) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 1; i < 32; i += 3) {
        check(&c, (additive_case){.batch = 2,
                                  .heads = 2,
                                  .queries = 9,
                                  .keys = 11,
                                  .channels = 9,
                                  .values = 5,
                                  .mask_rank = i & 16 ? 3 : 0,
                                  .want = i * BIT(D_Q)});
    }
    context_close(&c);
}

/* Grids and workgroups that are too small for it; without a mask eight bindings are enough. */
Test(additive_attention_backward, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        check(&c, (additive_case){.batch = 2, .heads = 3, .queries = 30, .keys = 41, .channels = 24, .values = 36});
        context_close(&c);
    }
}

/* Without queries keys' gradients are 0, and without keys queries'. */
Test(additive_attention_backward, nothing) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4; i++) {
        problem p = make(&c, (additive_case){.batch = 2,
                                             .heads = 2,
                                             .queries = i & 1 ? 5 : 0,
                                             .keys = i & 1 ? 0 : 5,
                                             .channels = 7,
                                             .values = 3,
                                             .accumulate = i & 2});
        refer(&p);
        run(&p, VKA_ADDITIVE_ATTENTION_PATH_AUTO);
        destroy(&p);
    }
    context_close(&c);
}

Test(additive_attention_backward, refusals) {
    context c;
    context_open(&c, &config_few_buffers);
#define PREPARE(c, d) vka_additive_attention_backward_prepare((c).device, &(d))
#define NAMED(field)  "vka_additive_attention_backward." field
    vka_tensor q = vka_tensor_4d(NULL, VKA_F32, 2, 4, 5, 8), k = vka_tensor_4d(NULL, VKA_F32, 2, 2, 7, 8),
               v = vka_tensor_4d(NULL, VKA_F32, 2, 2, 7, 3), out = vka_tensor_4d(NULL, VKA_F32, 2, 4, 5, 3);
    const vka_additive_attention_backward_desc good = {.q = q,
                                                       .k = k,
                                                       .v = v,
                                                       .score_vector = vka_tensor_1d(NULL, VKA_F32, 8),
                                                       .out = out,
                                                       .lse = vka_tensor_3d(NULL, VKA_F32, 2, 4, 5),
                                                       .d_out = out,
                                                       .d_q = q};
    vka_additive_attention_backward_desc d = good;
    EXPECT_OK(PREPARE(c, d));
    d.d_q = (vka_tensor){0};
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("d_q"));
    d.d_score_vector = vka_tensor_2d(NULL, VKA_F32, 1, 8);
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("d_score_vector"));
    d.d_score_vector = vka_tensor_1d(NULL, VKA_F32, 7);
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("d_score_vector"));
    d = good;
    d.score_vector = vka_tensor_2d(NULL, VKA_F32, 3, 8);
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("score_vector"));
    d = good;
    d.diagonal_offset = 1;
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("diagonal_offset"));
    d = good;
    d.d_mask = vka_tensor_2d(NULL, VKA_F32, 5, 7);
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("d_mask"));
    d.mask = vka_tensor_2d(NULL, VKA_U8, 5, 7);
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("d_mask"));
    d.mask = vka_tensor_2d(NULL, VKA_F32, 1, 7);
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("d_mask"));
    d.mask = vka_tensor_2d(NULL, VKA_F32, 5, 7);
    EXPECT_FAILURE(PREPARE(c, d), VKA_UNSUPPORTED, NAMED("mask"));
    context_close(&c);
    context_open(&c, &config_short);
    EXPECT_OK(PREPARE(c, d));
    d = good;
    d.q = vka_tensor_4d(NULL, VKA_F16, 2, 4, 500, 8); /* sums of score vectors are in f32 */
    d.d_q = d.q;
    d.out = d.d_out = vka_tensor_4d(NULL, VKA_F16, 2, 4, 500, 3);
    d.lse = vka_tensor_3d(NULL, VKA_F32, 2, 4, 500);
    EXPECT_OK(PREPARE(c, d));
    d.d_score_vector = d.score_vector;
    EXPECT_FAILURE(PREPARE(c, d), VKA_UNSUPPORTED, NAMED("q"));
    context_close(&c);
}
