/* Linear attention: every rule, type, size and layout against the recurrence in float64, states in place and apart, and
 * sequences in pieces. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/linear_attention.h>

#include "support/context.h"
#include "support/tensor.h"

enum { Q, K, V, DECAY, BETA, STATE_IN, STATE_OUT, OUT, TENSORS };
static const char *const names[TENSORS] = {"q", "k", "v", "decay", "beta", "state_in", "state_out", "out"};

/* Zero: f32; 1 for sizes; as many heads of queries and keys as states; a decay for each head and channel. */
typedef struct linear_case {
    vka_linear_attention_rule rule;
    uint32_t batch, q_heads, k_heads, states, tokens, key_dim, value_dim;
    vka_dtype types[TENSORS]; /* those of states are f32 */
    bool decay_per_head, decay_of_all, beta_of_all, no_beta;
    bool state_in, state_out, in_place, nonfinite;
    float scale;
    float least, most; /* of decays; both 0: of any strength up to 0 */
    layout layout;
    vka_linear_attention_path path;
    vka_linear_attention_tile tile;
} linear_case;

typedef struct linear_problem {
    context *c;
    linear_case k;
    tensor t[TENSORS];
    float *in[TENSORS]; /* as uploaded */
} linear_problem;

static bool is_gated(const linear_case *k) {
    return k->rule == VKA_LINEAR_ATTENTION_GATED || k->rule == VKA_LINEAR_ATTENTION_GATED_DELTA;
}

static bool has_beta(const linear_case *k) {
    return k->rule >= VKA_LINEAR_ATTENTION_DELTA && !k->no_beta;
}

static const char *describe(const linear_problem *p, char *text, size_t size) {
    const linear_case *k = &p->k;
    snprintf(text, size,
             "%s: rule %d, %s, %s, %s -> %s, path %d, tokens %u, %ux(%u, %u, %u)x%ux(%u, %u), order "
             "%s+%u>>%u%s%s%s%s%s%s%s, "
             "VKATTN_SEED=%llu",
             p->c->config->name, (int)k->rule, dtype_name(k->types[Q]), dtype_name(k->types[K]),
             dtype_name(k->types[V]), dtype_name(k->types[OUT]), (int)k->path, k->tile.tokens, k->batch, k->q_heads,
             k->k_heads, k->states, k->tokens, k->key_dim, k->value_dim, k->layout.order ? k->layout.order : "dense",
             k->layout.pad, k->layout.shift, k->decay_per_head ? " decay per head" : "",
             k->decay_of_all ? " one decay" : "", k->beta_of_all ? " one beta" : "", k->no_beta ? " no beta" : "",
             k->state_in ? " state in" : "", k->state_out ? " state out" : "", k->in_place ? " in place" : "",
             (unsigned long long)test_seed());
    return text;
}

static float *copy_of(const tensor *t) {
    float *copy = malloc((t->count + 1) * sizeof *copy);
    cr_assert_not_null(copy);
    memcpy(copy, t->values, t->count * sizeof *copy);
    return copy;
}

/* Keys of length about 1, betas of 0 to 1, decays of any strength, some of which leave all or nothing: of an infinity
 * that would be NaN. */
static void fill(linear_problem *p, int i, ref_rng *rng) {
    tensor *t = &p->t[i];
    tensor_fill_normal(t, rng, 0, i == K ? 1 / sqrtf((float)p->k.key_dim) : 1);
    for (size_t n = 0; n < t->count && (i == DECAY || i == BETA); n++) {
        float x = ref_rng_uniform(rng, 0, 1);
        t->values[n] = i == BETA ? x : n % 11 == 3 ? 0 : n % 17 == 5 && !p->k.nonfinite ? -100 : -x * x * x;
        if (i == DECAY && (p->k.least < 0 || p->k.most > 0)) {
            t->values[n] = p->k.least + x * (p->k.most - p->k.least);
        }
    }
    for (size_t n = 3; n < t->count && p->k.nonfinite && i == V; n += 29) {
        t->values[n] = n % 2 ? NAN : n % 3 ? INFINITY : -INFINITY;
    }
    tensor_round(t);
    p->in[i] = copy_of(t);
}

static linear_case complete(linear_case k) {
    uint32_t *sizes[] = {&k.batch, &k.states, &k.key_dim, &k.value_dim};
    for (int i = 0; i < 4; i++) {
        *sizes[i] = *sizes[i] ? *sizes[i] : 1;
    }
    k.q_heads = k.q_heads ? k.q_heads : k.states;
    k.k_heads = k.k_heads ? k.k_heads : k.states;
    for (int i = 0; i < TENSORS; i++) {
        k.types[i] = k.types[i] && i != STATE_IN && i != STATE_OUT ? k.types[i] : VKA_F32;
    }
    return k;
}

static uint32_t out_heads(const linear_case *k) {
    return k->q_heads > k->states ? k->q_heads : k->states;
}

static linear_problem make(context *c, linear_case given) {
    linear_case k = complete(given);
    linear_problem p = {.c = c, .k = k};
    ref_rng rng = ref_rng_seed(test_seed());
    const uint32_t shapes[TENSORS][4] = {
        [Q] = {k.batch, k.q_heads, k.tokens, k.key_dim},
        [K] = {k.batch, k.k_heads, k.tokens, k.key_dim},
        [V] = {k.batch, k.states, k.tokens, k.value_dim},
        [DECAY] = {k.batch, k.decay_of_all ? 1 : k.states, k.tokens, k.decay_per_head ? 1 : k.key_dim},
        [BETA] = {k.batch, k.beta_of_all ? 1 : k.states, k.tokens},
        [STATE_IN] = {k.batch, k.states, k.key_dim, k.value_dim},
        [STATE_OUT] = {k.batch, k.states, k.key_dim, k.value_dim},
        [OUT] = {k.batch, out_heads(&k), k.tokens, k.value_dim},
    };
    for (int i = 0; i < TENSORS; i++) {
        layout l = i == BETA ? (layout){.pad = k.layout.pad, .shift = k.layout.shift} : k.layout;
        p.t[i] = tensor_create(c, k.types[i], i == BETA ? 3 : 4, shapes[i], l);
        fill(&p, i, &rng);
    }
    return p;
}

static void destroy(linear_problem *p) {
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
        free(p->in[i]);
    }
}

static vka_linear_attention_desc desc_of(const linear_problem *p) {
    const linear_case *k = &p->k;
    vka_linear_attention_desc d = {.rule = k->rule,
                                   .scale = k->scale,
                                   .q = p->t[Q].view,
                                   .k = p->t[K].view,
                                   .v = p->t[V].view,
                                   .out = p->t[OUT].view,
                                   .path = k->path,
                                   .tile = k->tile};
    d.decay = is_gated(k) ? p->t[DECAY].view : d.decay;
    d.beta = has_beta(k) ? p->t[BETA].view : d.beta;
    d.state_in = k->state_in ? p->t[STATE_IN].view : d.state_in;
    d.state_out = k->state_out ? p->t[k->in_place ? STATE_IN : STATE_OUT].view : d.state_out;
    return d;
}

static bool is_written(const linear_problem *p, int i) {
    return i == OUT || (p->k.state_out && i == (p->k.in_place ? STATE_IN : STATE_OUT));
}

/* Row `head` of entry b of a tensor whose heads are shared by states. */
static const float *head_of(const linear_problem *p, int i, uint32_t b, uint32_t h) {
    const tensor *t = &p->t[i];
    uint32_t heads = t->view.shape[1];
    size_t size = t->count / t->view.shape[0] / heads;
    return p->in[i] + ((size_t)b * heads + (size_t)h * heads / p->k.states) * size;
}

static ref_linear_attention reference_of(const linear_problem *p, uint32_t b, uint32_t h) {
    const linear_case *k = &p->k;
    return (ref_linear_attention){
        .rule = k->rule,
        .tokens = k->tokens,
        .key_dim = k->key_dim,
        .value_dim = k->value_dim,
        .queries = out_heads(k) / k->states,
        .q = head_of(p, Q, b, h),
        .k = head_of(p, K, b, h),
        .v = head_of(p, V, b, h),
        .decay = is_gated(k) ? head_of(p, DECAY, b, h) : NULL,
        .decay_per_channel = !k->decay_per_head,
        .beta = has_beta(k) ? head_of(p, BETA, b, h) : NULL,
        .scale = k->scale > 0 ? (double)k->scale : 1 / sqrt(k->key_dim),
    };
}

static void compare_state(const linear_problem *p, uint32_t b, uint32_t h, ref_error errors[2]) {
    const linear_case *k = &p->k;
    ref_linear_attention a = reference_of(p, b, h);
    size_t elements = (size_t)k->key_dim * k->value_dim, first = ((size_t)b * k->states + h) * elements;
    size_t row = (size_t)a.queries * k->value_dim;
    double *state = calloc(elements, sizeof *state), *out = malloc(row * sizeof *out);
    float *naive = calloc(elements, sizeof *naive), *naive_out = malloc(row * sizeof *naive_out);
    cr_assert(state && out && naive && naive_out);
    for (size_t i = 0; i < elements && k->state_in; i++) {
        naive[i] = p->in[STATE_IN][first + i];
        state[i] = (double)naive[i];
    }
    for (uint32_t t = 0; t < k->tokens; t++) {
        ref_linear_attention_step(&a, t, state, out);
        ref_linear_attention_naive_step(&a, k->types[OUT], t, naive, naive_out);
        for (size_t i = 0; i < row; i++) {
            size_t head = (size_t)b * out_heads(k) + (size_t)h * a.queries + i / k->value_dim;
            float got = p->t[OUT].values[(head * k->tokens + t) * k->value_dim + i % k->value_dim];
            ref_error_add(&errors[0], (double)got, (double)naive_out[i], out[i]);
        }
    }
    const float *got = p->t[k->in_place ? STATE_IN : STATE_OUT].values + first;
    for (size_t i = 0; i < elements && k->state_out; i++) {
        ref_error_add(&errors[1], (double)got[i], (double)naive[i], state[i]);
    }
    free(state);
    free(out);
    free(naive);
    free(naive_out);
}

static void compare(const linear_problem *p) {
    ref_error errors[2] = {{0}};
    static const char *const what[] = {"out", "state_out"};
    char text[512];
    for (uint32_t b = 0; b < p->k.batch; b++) {
        for (uint32_t h = 0; h < p->k.states; h++) {
            compare_state(p, b, h, errors);
        }
    }
    for (int i = 0; i < 2; i++) {
        cr_assert(ref_error_ok(&errors[i]), "%s is off by %.3g%s where the naive computation is off by %.3g; %s",
                  what[i], errors[i].out, errors[i].broken ? ", or NaN or infinite out of place," : "", errors[i].naive,
                  describe(p, text, sizeof text));
    }
}

static void run(linear_problem *p) {
    vka_linear_attention_desc d = desc_of(p);
    char text[512];
    for (int i = 0; i < TENSORS; i++) {
        tensor_upload(&p->t[i]);
    }
    tensor_poison(&p->t[OUT]);
    tensor_poison(&p->t[STATE_OUT]);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_linear_attention(p->c->recorder, &d));
    context_finish(p->c);
    for (int i = 0; i < TENSORS; i++) {
        tensor_collect(&p->t[i], is_written(p, i), names[i], describe(p, text, sizeof text));
    }
    compare(p);
}

/* By each path that can. Where drivers compile for seconds, a share of the cases. */
static void check(context *c, linear_case k) {
    if (context_leaves_out(c, 5)) {
        return;
    }
    linear_problem p = make(c, k);
    for (uint32_t path = VKA_LINEAR_ATTENTION_PATH_RECURRENT; path <= VKA_LINEAR_ATTENTION_PATH_CHUNKED; path++) {
        vka_linear_attention_desc d = desc_of(&p);
        p.k.path = d.path = (vka_linear_attention_path)path;
        /* More queries than are staged together, and keys of which shared memory does not hold eight. */
        bool large = out_heads(&p.k) > 4 * p.k.states || p.k.key_dim > 256;
        if (path == VKA_LINEAR_ATTENTION_PATH_CHUNKED && large) {
            EXPECT_FAILURE(vka_linear_attention_prepare(c->device, &d), VKA_UNSUPPORTED, "vka_linear_attention.path");
            continue;
        }
        if (path == VKA_LINEAR_ATTENTION_PATH_CHUNKED && p.k.in_place) {
            memcpy(p.t[STATE_IN].values, p.in[STATE_IN], p.t[STATE_IN].count * sizeof(float));
        }
        run(&p);
    }
    destroy(&p);
}

/* In place, one call after the other. */
static void run_in_pieces(linear_problem *p, const uint32_t *pieces, uint32_t count) {
    vka_linear_attention_desc d = desc_of(p);
    vka_tensor *rows[] = {&d.q, &d.k, &d.v, &d.decay, &d.beta, &d.out};
    for (int i = 0; i < TENSORS; i++) {
        memcpy(p->t[i].values, p->in[i], p->t[i].count * sizeof(float));
        tensor_upload(&p->t[i]);
    }
    tensor_poison(&p->t[OUT]);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    for (uint32_t i = 0; i < count; i++) {
        for (int t = 0; t < 6; t++) {
            rows[t]->shape[2] = rows[t]->dtype ? pieces[i] : 0;
        }
        EXPECT_OK(vka_linear_attention(p->c->recorder, &d));
        for (int t = 0; t < 6; t++) {
            rows[t]->offset += pieces[i] * rows[t]->stride[2] * 4;
        }
    }
    context_finish(p->c);
    cr_assert(tensor_download(&p->t[OUT]) && tensor_download(&p->t[STATE_IN]));
}

#define ALL_STATES .state_in = true, .state_out = true
#define RULES      4
static vka_linear_attention_rule rule_of(uint32_t i) {
    return (vka_linear_attention_rule)(VKA_LINEAR_ATTENTION_LINEAR + i % RULES);
}

/* With every form of decay and beta, and a state or none. */
Test(linear_attention, rules) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * RULES; i++) {
        check(&c, (linear_case){.rule = rule_of(i),
                                .batch = 2,
                                .states = 3,
                                .tokens = 37,
                                .key_dim = 16,
                                .value_dim = 20,
                                .decay_per_head = i & 4,
                                .decay_of_all = i & 8,
                                .beta_of_all = i & 4,
                                .no_beta = (i & 12) == 8,
                                .state_in = i & 4,
                                .state_out = i & 8,
                                .scale = i & 4 ? 0.7f : 0});
    }
    context_close(&c);
}

/* Sizes where vectors, invocations and workgroups don't line up. */
Test(linear_attention, dimensions) {
    static const uint32_t sizes[][2] = {{1, 1},  {8, 8},     {40, 59},  {64, 64}, {80, 3},
                                        {3, 80}, {128, 128}, {256, 33}, {512, 5}, {96, 111}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check(&c, (linear_case){.rule = rule_of(3 + i % 2 * 2),
                                .states = 2,
                                .tokens = 19,
                                .key_dim = sizes[i][0],
                                .value_dim = sizes[i][1],
                                ALL_STATES,
                                .in_place = i % 2});
    }
    context_close(&c);
}

/* Queries that share a state, more than are staged at a time, and states that share queries and keys. */
Test(linear_attention, heads) {
    static const uint32_t heads[][3] = {{4, 2, 2}, {8, 1, 1}, {3, 1, 3}, {6, 2, 2}, {2, 2, 4}, {1, 1, 6}, {2, 4, 8}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        check(&c, (linear_case){.rule = rule_of(i),
                                .batch = 2,
                                .q_heads = heads[i][0],
                                .k_heads = heads[i][1],
                                .states = heads[i][2],
                                .tokens = 11,
                                .key_dim = i % 2 ? 32 : 72,
                                .value_dim = 24,
                                ALL_STATES});
    }
    context_close(&c);
}

Test(linear_attention, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * DTYPES; i++) {
        linear_case k = {.rule = rule_of(3),
                         .batch = 2,
                         .states = 2,
                         .tokens = 9,
                         .key_dim = i % 2 ? 16 : 13,
                         .value_dim = i % 2 ? 16 : 11,
                         .decay_per_head = i % 2,
                         ALL_STATES};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = i < DTYPES ? dtypes[i] : dtypes[(i / 3 * t + i) % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

/* "0213" is [B, T, H, D]. */
Test(linear_attention, layouts) {
    static const char *const orders[] = {"0123", "0213", "2013", "0132", "3210"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 5; i++) {
        vka_dtype t = dtypes[i % DTYPES];
        check(&c, (linear_case){.rule = rule_of(i),
                                .batch = 2,
                                .states = 3,
                                .tokens = 10,
                                .key_dim = 20,
                                .value_dim = 12,
                                .types = {t, t, t, t, t, t, t, t},
                                .in_place = i % 2,
                                ALL_STATES,
                                .layout = {orders[i % 5], i % 4, i % 3}});
    }
    context_close(&c);
}

/* Nothing spreads to other value channels, heads and entries, or comes from channels that are not there. */
Test(linear_attention, nonfinite) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < RULES; i++) {
        check(&c, (linear_case){.rule = rule_of(i),
                                .batch = 2,
                                .states = 2,
                                .tokens = 45,
                                .key_dim = 13,
                                .value_dim = 17,
                                .nonfinite = true,
                                ALL_STATES});
    }
    context_close(&c);
}

/* Decays of many tokens multiply up, and so do their errors. */
Test(linear_attention, long_sequence) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < RULES; i++) {
        check(&c, (linear_case){.rule = rule_of(i), .tokens = 2000, .key_dim = 32, .value_dim = 16, ALL_STATES});
    }
    context_close(&c);
}

/* Bindings, grids and workgroups that are too small for it. */
Test(linear_attention, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        check(&c, (linear_case){.rule = rule_of(3),
                                .batch = 3,
                                .q_heads = 4,
                                .k_heads = 1,
                                .states = 2,
                                .tokens = 300,
                                .key_dim = 24,
                                .value_dim = 20,
                                ALL_STATES,
                                .in_place = i % 2});
        check(&c, (linear_case){.rule = rule_of(1),
                                .q_heads = 2,
                                .states = 4,
                                .tokens = 900,
                                .key_dim = 40,
                                .value_dim = 8,
                                .decay_of_all = true,
                                ALL_STATES,
                                .layout = {"0213", 1, 1}});
        context_close(&c);
    }
}

/* Without tokens the state goes on as it is. */
Test(linear_attention, nothing) {
    context c;
    context_open(&c, &config_real);
    linear_case k = {.rule = rule_of(3), .batch = 2, .states = 2, .key_dim = 9, .value_dim = 6, ALL_STATES};
    check(&c, k);
    k.in_place = true;
    check(&c, k);
    k.in_place = k.state_in = false;
    check(&c, k);
    k.state_out = false;
    check(&c, k);
    k.tokens = 2;
    linear_problem p = make(&c, k);
    vka_linear_attention_desc d = desc_of(&p);
    d.q.shape[0] = d.k.shape[0] = d.v.shape[0] = d.decay.shape[0] = d.beta.shape[0] = d.out.shape[0] = 0;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_linear_attention(c.recorder, &d));
    context_finish(&c);
    destroy(&p);
    context_close(&c);
}

/* Decays that leave all, nothing, and between; factors above 1, which chunks leave to the recurrence; and both in one
 * sequence. States grow by less than a float holds. */
Test(linear_attention, decays) {
    static const float ranges[][2] = {{-200, -80}, {-3e38f, -50}, {-12, 0}, {-1e-6f, 0}, {0, 0.05f}, {-1, 0.4f}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * sizeof ranges / sizeof *ranges; i++) {
        check(&c, (linear_case){.rule = rule_of(1 + i % 2 * 2),
                                .states = 2,
                                .tokens = 75,
                                .key_dim = 24,
                                .value_dim = 20,
                                .decay_per_head = i & 2,
                                .least = ranges[i / 4][0],
                                .most = ranges[i / 4][1],
                                ALL_STATES});
    }
    context_close(&c);
}

/* A few factors above 1, an infinite decay and infinite values among chunks without. */
Test(linear_attention, mixed_chunks) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 8; i++) {
        linear_problem p = make(&c, (linear_case){.rule = rule_of(1 + i % 2 * 2),
                                                  .tokens = 100,
                                                  .key_dim = 24,
                                                  .value_dim = 8,
                                                  .decay_per_head = i & 2,
                                                  .least = -3,
                                                  .path = VKA_LINEAR_ATTENTION_PATH_CHUNKED,
                                                  ALL_STATES});
        size_t step = p.t[DECAY].count / 100;
        p.t[DECAY].values[20 * step] = p.in[DECAY][20 * step] = 1.5f;
        p.t[DECAY].values[70 * step] = p.in[DECAY][70 * step] = -INFINITY;
        if (i & 4) {
            p.t[V].values[50 * 8 + 3] = p.in[V][50 * 8 + 3] = INFINITY;
        }
        run(&p);
        destroy(&p);
    }
    context_close(&c);
}

/* Chunks of a sequence in pieces, where each piece begins another chunk. */
Test(linear_attention, chunks_in_pieces) {
    enum { TOKENS = 1100 };
    static const uint32_t pieces[] = {1, 700, 33, 366};
    context c;
    context_open(&c, &config_real);
    for (uint32_t rule = 0; rule < RULES; rule++) {
        linear_problem p = make(&c, (linear_case){.rule = rule_of(rule),
                                                  .path = VKA_LINEAR_ATTENTION_PATH_CHUNKED,
                                                  .tokens = TOKENS,
                                                  .key_dim = 36,
                                                  .value_dim = 16,
                                                  ALL_STATES,
                                                  .in_place = true});
        run_in_pieces(&p, pieces, sizeof pieces / sizeof *pieces);
        compare(&p);
        destroy(&p);
    }
    context_close(&c);
}

/* Everything that a tuning may measure. */
Test(linear_attention, candidates) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2; i++) {
        linear_problem p = make(&c, (linear_case){.rule = rule_of(1 + 2 * i),
                                                  .batch = 2,
                                                  .q_heads = 2,
                                                  .k_heads = 1,
                                                  .tokens = 70,
                                                  .key_dim = 40,
                                                  .value_dim = 36,
                                                  .decay_per_head = i,
                                                  ALL_STATES});
        vka_linear_attention_candidate list[32];
        uint32_t count = 0, chunked = 0;
        vka_linear_attention_desc d = desc_of(&p);
        EXPECT_OK(vka_linear_attention_candidates(c.device, &d, list, 32, &count));
        cr_assert(count >= 6 && count <= 32, "%u candidates", count);
        for (uint32_t n = 0; n < count; n++) {
            chunked += list[n].path == VKA_LINEAR_ATTENTION_PATH_CHUNKED;
            if (context_leaves_out(&c, 3)) {
                continue;
            }
            p.k.path = list[n].path;
            p.k.tile = list[n].tile;
            run(&p);
        }
        cr_assert(chunked >= 4 && chunked < count);
        destroy(&p);
    }
    context_close(&c);
}

/* A prompt, then a token at a time, then several: the same bits as all at once. */
Test(linear_attention, pieces) {
    enum { TOKENS = 40 };
    static const uint32_t pieces[] = {27, 1, 1, 1, 2, 8};
    context c;
    context_open(&c, &config_real);
    for (uint32_t rule = 0; rule < RULES; rule++) {
        linear_problem p = make(&c, (linear_case){.rule = rule_of(rule),
                                                  .path = VKA_LINEAR_ATTENTION_PATH_RECURRENT,
                                                  .tokens = TOKENS,
                                                  .key_dim = 36,
                                                  .value_dim = 16,
                                                  ALL_STATES,
                                                  .in_place = true});
        run(&p);
        float *whole = copy_of(&p.t[OUT]), *state = copy_of(&p.t[STATE_IN]);
        run_in_pieces(&p, pieces, sizeof pieces / sizeof *pieces);
        cr_assert(!memcmp(whole, p.t[OUT].values, p.t[OUT].count * sizeof(float)), "rule %u", rule);
        cr_assert(!memcmp(state, p.t[STATE_IN].values, p.t[STATE_IN].count * sizeof(float)), "rule %u", rule);
        free(whole);
        free(state);
        destroy(&p);
    }
    context_close(&c);
}

/* What no table says. */
Test(linear_attention, refusals) {
    context c;
    context_open(&c, &config_short);
    vka_tensor q = vka_tensor_4d(NULL, VKA_F16, 1, 4, 9, 8), decay = vka_tensor_4d(NULL, VKA_F16, 1, 4, 9, 8);
    vka_linear_attention_desc d = {.rule = VKA_LINEAR_ATTENTION_LINEAR, .q = q, .k = q, .v = q, .out = q};
    EXPECT_OK(vka_linear_attention_prepare(c.device, &d));
    d.decay = decay;
    EXPECT_FAILURE(vka_linear_attention_prepare(c.device, &d), VKA_INVALID, "vka_linear_attention.decay");
    d.rule = VKA_LINEAR_ATTENTION_GATED;
    EXPECT_OK(vka_linear_attention_prepare(c.device, &d));
    d.beta = vka_tensor_3d(NULL, VKA_F16, 1, 4, 9);
    EXPECT_FAILURE(vka_linear_attention_prepare(c.device, &d), VKA_INVALID, "vka_linear_attention.beta");
    d.rule = VKA_LINEAR_ATTENTION_GATED_DELTA;
    EXPECT_OK(vka_linear_attention_prepare(c.device, &d));
    d.decay = (vka_tensor){0};
    EXPECT_FAILURE(vka_linear_attention_prepare(c.device, &d), VKA_INVALID, "vka_linear_attention.decay");
    d.rule = VKA_LINEAR_ATTENTION_INVALID;
    EXPECT_FAILURE(vka_linear_attention_prepare(c.device, &d), VKA_INVALID, "vka_linear_attention.rule");
    d.rule = VKA_LINEAR_ATTENTION_DELTA;
    d.k.shape[1] = 3;
    EXPECT_FAILURE(vka_linear_attention_prepare(c.device, &d), VKA_INVALID, "vka_linear_attention.k");
    d.k = q;
    d.q.shape[1] = d.out.shape[1] = 6;
    EXPECT_FAILURE(vka_linear_attention_prepare(c.device, &d), VKA_INVALID, "vka_linear_attention.q");
    d.beta = (vka_tensor){0};
    d.q = d.k = d.v = d.out = vka_tensor_4d(NULL, VKA_F32, 1, 1, 5000, 8);
    EXPECT_FAILURE(vka_linear_attention_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_linear_attention.q");
    d.state_out = vka_tensor_4d(NULL, VKA_F32, 1, 1, 8, 8);
    EXPECT_OK(vka_linear_attention_prepare(c.device, &d));
    d.v = d.out = vka_tensor_4d(NULL, VKA_F32, 1, 1, 5000, 3000);
    d.state_out = vka_tensor_4d(NULL, VKA_F32, 1, 1, 8, 3000);
    EXPECT_FAILURE(vka_linear_attention_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_linear_attention.state_out");
    context_close(&c);
}
