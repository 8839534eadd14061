/* Gradients of linear attention: rules, sizes, heads, types, layouts and states against float64, by the accuracy rule;
 * sequences in pieces. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <vkattn/linear_attention.h>

#include "gradient_case.h"

enum { Q, K, V, DECAY, BETA, STATE_IN, D_OUT, D_STATE_OUT, D_Q, D_K, D_V, D_DECAY, D_BETA, D_STATE_IN, TENSORS };
#define BIT(i) (1u << (i))

/* Zero: f32; 1 for sizes and heads; all gradients; no states. */
typedef struct recurrence_case {
    vka_linear_attention_rule rule;
    uint32_t batch, q_heads, k_heads, heads, tokens, keys, values;
    vka_dtype types[TENSORS];
    bool one_decay;   /* of all heads     */
    bool one_channel; /* of all channels  */
    bool one_beta;    /* of all heads     */
    bool no_beta;
    bool states, no_d_state_out;
    uint32_t want; /* gradients, as bits; 0: all */
    layout layout;
} recurrence_case;

typedef struct problem {
    context *c;
    recurrence_case k;
    gradient_tensor t[TENSORS];
} problem;

static const struct {
    const char *name;
    size_t field;
} fields[TENSORS] = {
#define FIELD(name)                                                                                                    \
    { #name, offsetof(vka_linear_attention_backward_desc, name) }
    FIELD(q),           FIELD(k),   FIELD(v),   FIELD(decay), FIELD(beta),    FIELD(state_in), FIELD(d_out),
    FIELD(d_state_out), FIELD(d_q), FIELD(d_k), FIELD(d_v),   FIELD(d_decay), FIELD(d_beta),   FIELD(d_state_in),
};

static bool is_gated(const recurrence_case *k) {
    return k->rule == VKA_LINEAR_ATTENTION_GATED || k->rule == VKA_LINEAR_ATTENTION_GATED_DELTA;
}

static bool has_beta(const recurrence_case *k) {
    return k->rule >= VKA_LINEAR_ATTENTION_DELTA && !k->no_beta;
}

static recurrence_case complete(recurrence_case k) {
    uint32_t *sizes[] = {&k.batch, &k.heads, &k.keys, &k.values};
    for (int i = 0; i < 4; i++) {
        *sizes[i] = *sizes[i] ? *sizes[i] : 1;
    }
    k.q_heads = k.q_heads ? k.q_heads : k.heads;
    k.k_heads = k.k_heads ? k.k_heads : k.heads;
    k.rule = k.rule ? k.rule : VKA_LINEAR_ATTENTION_LINEAR;
    k.want = k.want ? k.want : ~0u;
    return k;
}

static void shape_of(const recurrence_case *k, int i, uint32_t shape[4], uint32_t *rank) {
    bool state = i == STATE_IN || i == D_STATE_OUT || i == D_STATE_IN;
    uint32_t outputs = k->q_heads > k->heads ? k->q_heads : k->heads;
    *rank = i == BETA || i == D_BETA ? 3 : 4;
    shape[0] = k->batch;
    shape[1] = i == Q || i == D_Q ? k->q_heads : i == K || i == D_K ? k->k_heads : i == D_OUT ? outputs : k->heads;
    shape[2] = state ? k->keys : k->tokens;
    shape[3] = state || i == V || i == D_V || i == D_OUT ? k->values : k->keys;
    if (i == DECAY || i == D_DECAY) {
        shape[1] = k->one_decay ? 1 : shape[1];
        shape[3] = k->one_channel ? 1 : shape[3];
    } else if (*rank == 3) {
        shape[1] = k->one_beta ? 1 : shape[1];
    }
}

/* Keys of length 1 at most, decays that leave something, betas of 0 to 1. */
static void fill(problem *p, int i) {
    tensor *t = &p->t[i].t;
    for (size_t n = 0; n < t->count; n++) {
        float x = t->values[n];
        t->values[n] = i == K ? x / (2 * sqrtf((float)p->k.keys)) : i == DECAY ? -0.3f * fabsf(x) : 1 / (1 + x * x);
    }
    tensor_round(t);
}

static bool is_present(const recurrence_case *k, int i) {
    switch (i) {
    case DECAY:
    case D_DECAY:
        return is_gated(k);
    case BETA:
    case D_BETA:
        return has_beta(k);
    case STATE_IN:
    case D_STATE_OUT:
        return k->states && !k->no_d_state_out;
    case D_STATE_IN:
        return k->states;
    default:
        return true;
    }
}

static problem make(context *c, recurrence_case given) {
    problem p = {.c = c, .k = complete(given)};
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < TENSORS; i++) {
        uint32_t shape[4], rank;
        bool state = i == STATE_IN || i == D_STATE_OUT || i == D_STATE_IN;
        shape_of(&p.k, i, shape, &rank);
        layout l = {.order = rank == 4 ? p.k.layout.order : NULL, .pad = p.k.layout.pad, .shift = p.k.layout.shift};
        p.t[i] = (gradient_tensor){.name = fields[i].name, .field = fields[i].field, .written = i >= D_Q};
        gradient_make(&p.t[i], c, state ? VKA_F32 : p.k.types[i], rank, shape, l, &rng);
        if (i == K || i == DECAY || i == BETA) {
            fill(&p, i);
            gradient_keep(&p.t[i]);
        }
        p.t[i].present = is_present(&p.k, i) && (i < D_Q || p.k.want >> i & 1);
    }
    return p;
}

/* Where an entry's head begins. */
static size_t place(const problem *p, int i, uint32_t b, uint32_t h) {
    uint32_t shape[4], rank;
    shape_of(&p->k, i, shape, &rank);
    return ((size_t)b * shape[1] + (shape[1] == 1 ? 0 : h)) * shape[2] * (rank == 4 ? shape[3] : 1);
}

static void refer(problem *p, bool naive) {
    const recurrence_case *k = &p->k;
    gradient_tensor *t = p->t;
#define AT(i, h)  (t[i].before + place(p, i, b, h))
#define REF(i, h) ((naive ? t[i].naive : t[i].ref) + place(p, i, b, h))
    for (uint32_t n = 0; n < k->batch * k->heads; n++) {
        uint32_t b = n / k->heads, h = n % k->heads, queries = k->q_heads > k->heads ? k->q_heads / k->heads : 1;
        uint32_t q = k->q_heads > k->heads ? h * queries : h / (k->heads / k->q_heads);
        uint32_t key = h / (k->heads / k->k_heads);
        ref_linear_attention_gradients(&(ref_linear_attention_backward){
            .forward = {.rule = k->rule,
                        .tokens = k->tokens,
                        .key_dim = k->keys,
                        .value_dim = k->values,
                        .queries = queries,
                        .q = AT(Q, q),
                        .k = AT(K, key),
                        .v = AT(V, h),
                        .decay = is_gated(k) ? AT(DECAY, h) : NULL,
                        .decay_per_channel = !k->one_channel,
                        .beta = has_beta(k) ? AT(BETA, h) : NULL,
                        .scale = (double)(float)(1 / sqrt(k->keys))},
            .state_in = k->states ? AT(STATE_IN, h) : NULL,
            .d_out = AT(D_OUT, h * queries),
            .d_state_out = is_present(k, D_STATE_OUT) ? AT(D_STATE_OUT, h) : NULL,
            .naive = naive,
            .d_q = REF(D_Q, q),
            .d_k = REF(D_K, key),
            .d_v = REF(D_V, h),
            .d_decay = REF(D_DECAY, h),
            .d_beta = REF(D_BETA, h),
            .d_state_in = REF(D_STATE_IN, h),
        });
    }
#undef AT
#undef REF
}

static void run(problem *p) {
    const recurrence_case *k = &p->k;
    char text[512];
    snprintf(text, sizeof text,
             "%s: rule %d, %s, %s, %s, d_out %s, %u x (%u, %u, %u) x %u x (%u, %u)%s%s%s%s, order %s+%u>>%u, wants %x, "
             "VKATTN_SEED=%llu",
             p->c->config->name, (int)k->rule, dtype_name(p->t[Q].t.view.dtype), dtype_name(p->t[K].t.view.dtype),
             dtype_name(p->t[V].t.view.dtype), dtype_name(p->t[D_OUT].t.view.dtype), k->batch, k->q_heads, k->k_heads,
             k->heads, k->tokens, k->keys, k->values, k->one_decay ? ", one decay" : "",
             k->one_channel ? " of all channels" : "", k->one_beta ? ", one beta" : "", k->states ? ", states" : "",
             k->layout.order ? k->layout.order : "dense", k->layout.pad, k->layout.shift, k->want,
             (unsigned long long)test_seed());
    vka_linear_attention_backward_desc d = {.rule = k->rule};
    refer(p, false);
    refer(p, true);
    gradient_run(p->c, VKA_OPERATION_LINEAR_ATTENTION_BACKWARD, p->t, TENSORS, &d, sizeof d, text);
}

static void check_always(context *c, recurrence_case k) {
    problem p = make(c, k);
    run(&p);
    gradient_destroy(p.t, TENSORS);
}

static void check(context *c, recurrence_case k) {
    if (!context_leaves_out(c, 23)) {
        check_always(c, k);
    }
}

#define RULES 4

/* Sizes where vectors, rows, columns and chunks don't line up. */
Test(linear_attention_backward, sizes) {
    static const uint32_t sizes[][3] = {{1, 1, 1},    {2, 8, 4},    {7, 5, 3},     {30, 16, 16}, {65, 33, 20},
                                        {17, 64, 64}, {9, 70, 130}, {12, 128, 33}, {5, 200, 10}, {3, 512, 9}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < RULES * (sizeof sizes / sizeof *sizes); i++) {
        const uint32_t *s = sizes[i / RULES];
        check(&c, (recurrence_case){.rule = (vka_linear_attention_rule)(1 + i % RULES),
                                    .batch = 1 + i % 2,
                                    .heads = 2,
                                    .tokens = s[0],
                                    .keys = s[1],
                                    .values = s[2],
                                    .one_channel = i / RULES % 2,
                                    .states = i % 3 == 1});
    }
    context_close(&c);
}

/* More query heads than states, and fewer; keys, decays and betas in common. */
Test(linear_attention_backward, heads) {
    static const uint32_t heads[][3] = {{6, 3, 3}, {6, 1, 3}, {4, 2, 4}, {2, 1, 4}, {1, 4, 4}, {12, 2, 4}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * (sizeof heads / sizeof *heads); i++) {
        const uint32_t *h = heads[i / 2];
        check(&c, (recurrence_case){.rule = i % 4 ? VKA_LINEAR_ATTENTION_GATED_DELTA : VKA_LINEAR_ATTENTION_GATED,
                                    .batch = 2,
                                    .q_heads = h[0],
                                    .k_heads = h[1],
                                    .heads = h[2],
                                    .tokens = 11,
                                    .keys = 12,
                                    .values = 40,
                                    .one_decay = i % 2,
                                    .one_channel = i % 3 == 1,
                                    .one_beta = i % 3 == 2});
    }
    context_close(&c);
}

Test(linear_attention_backward, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * DTYPES; i++) {
        recurrence_case k = {.rule = (vka_linear_attention_rule)(1 + i % RULES),
                             .batch = 2,
                             .heads = 2,
                             .tokens = 10,
                             .keys = i % 2 ? 16 : 7,
                             .values = i % 2 ? 12 : 9,
                             .states = i % 5 == 1};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = i < DTYPES ? dtypes[i] : dtypes[(i / 3 * t + i) % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

Test(linear_attention_backward, layouts) {
    static const char *const orders[] = {"0213", "3210", "1032", "0132"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 8; i++) {
        recurrence_case k = {.rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
                             .batch = 2,
                             .heads = 3,
                             .tokens = 9,
                             .keys = 8,
                             .values = 12,
                             .states = true,
                             .layout = {orders[i % 4], i / 4, i % 3}};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = dtypes[i % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

Test(linear_attention_backward, absent) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 1; i < 64; i += 5) {
        check(&c, (recurrence_case){.rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
                                    .heads = 2,
                                    .tokens = 8,
                                    .keys = 9,
                                    .values = 6,
                                    .states = true,
                                    .no_beta = false,
                                    .want = i * BIT(D_Q)});
    }
    check(&c,
          (recurrence_case){.rule = VKA_LINEAR_ATTENTION_DELTA, .tokens = 8, .keys = 9, .values = 6, .no_beta = true});
    context_close(&c);
}

/* Grids and workgroups that are too small for it; without states eight bindings are enough. */
Test(linear_attention_backward, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        check(&c, (recurrence_case){.rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
                                    .batch = 2,
                                    .heads = 2,
                                    .tokens = 9,
                                    .keys = 16,
                                    .values = 20,
                                    .one_channel = true});
        context_close(&c);
    }
}

/* Without tokens a state's gradient goes on as it is. */
Test(linear_attention_backward, nothing) {
    context c;
    context_open(&c, &config_real);
    check_always(&c, (recurrence_case){.batch = 2, .heads = 3, .keys = 5, .values = 6, .states = true});
    check_always(
        &c, (recurrence_case){.batch = 2, .heads = 3, .keys = 5, .values = 6, .states = true, .no_d_state_out = true});
    check_always(&c, (recurrence_case){.batch = 2, .heads = 3, .keys = 5, .values = 6});
    context_close(&c);
}

Test(linear_attention_backward, refusals) {
    context c;
    context_open(&c, &config_few_buffers);
#define PREPARE(c, d) vka_linear_attention_backward_prepare((c).device, &(d))
#define NAMED(field)  "vka_linear_attention_backward." field
    vka_tensor q = vka_tensor_4d(NULL, VKA_F32, 1, 4, 30, 8), v = vka_tensor_4d(NULL, VKA_F32, 1, 4, 30, 16);
    vka_tensor state = vka_tensor_4d(NULL, VKA_F32, 1, 4, 8, 16), beta = vka_tensor_3d(NULL, VKA_F32, 1, 4, 30);
    const vka_linear_attention_backward_desc good = {
        .rule = VKA_LINEAR_ATTENTION_DELTA, .q = q, .k = q, .v = v, .d_out = v, .d_q = q, .beta = beta};
    vka_linear_attention_backward_desc d = good;
    EXPECT_OK(PREPARE(c, d));
    d.rule = VKA_LINEAR_ATTENTION_INVALID;
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("rule"));
    d.rule = VKA_LINEAR_ATTENTION_GATED;
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("decay"));
    d = good;
    d.decay = d.q;
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("decay"));
    d = good;
    d.d_q = (vka_tensor){0};
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("d_q"));
    d.d_beta = vka_tensor_3d(NULL, VKA_F32, 1, 1, 30);
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("d_beta"));
    d.beta = (vka_tensor){0};
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("d_beta"));
    d = good;
    d.k = vka_tensor_4d(NULL, VKA_F32, 1, 3, 30, 8);
    EXPECT_FAILURE(PREPARE(c, d), VKA_INVALID, NAMED("k"));
    d = good;
    d.state_in = state;
    EXPECT_FAILURE(PREPARE(c, d), VKA_UNSUPPORTED, NAMED("state_in"));
    context_close(&c);
    context_open(&c, &config_short);
    EXPECT_OK(PREPARE(c, d));
    d = good; /* the states of 240 tokens */
    d.q = d.k = d.d_q = vka_tensor_4d(NULL, VKA_F16, 1, 4, 240, 16);
    d.v = d.d_out = vka_tensor_4d(NULL, VKA_F16, 1, 4, 240, 16);
    d.beta = vka_tensor_3d(NULL, VKA_F32, 1, 4, 240);
    EXPECT_FAILURE(PREPARE(c, d), VKA_UNSUPPORTED, NAMED("workspace"));
    context_close(&c);
}
