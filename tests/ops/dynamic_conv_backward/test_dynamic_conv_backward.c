/* Gradients of convolutions whose weights are a softmax: every type, number of taps, place of the own one, length and
 * layout against float64. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <vkattn/conv.h>

#include "gradient_case.h"

enum { X, WEIGHT, LENGTHS, D_OUT, D_X, D_WEIGHT, TENSORS };
#define BIT(i) (1u << (i))

/* Zero: f32, one entry of one channel and one tap with weights of its own, both gradients. */
typedef struct conv_case {
    uint32_t batch, tokens, channels, heads, taps, ahead;
    vka_dtype types[TENSORS];
    uint32_t want; /* gradients, as bits; 0: all */
    bool same_tokens, same_entries, renormalise, lengths, accumulate, nonfinite;
    layout layout, weight_layout;
} conv_case;

typedef struct problem {
    context *c;
    conv_case k;
    gradient_tensor t[TENSORS];
} problem;

static const struct {
    const char *name;
    size_t field;
} fields[TENSORS] = {
    {"x", offsetof(vka_dynamic_conv_backward_desc, x)},
    {"weight", offsetof(vka_dynamic_conv_backward_desc, weight)},
    {"lengths", offsetof(vka_dynamic_conv_backward_desc, lengths.tensor)},
    {"d_out", offsetof(vka_dynamic_conv_backward_desc, d_out)},
    {"d_x", offsetof(vka_dynamic_conv_backward_desc, d_x)},
    {"d_weight", offsetof(vka_dynamic_conv_backward_desc, d_weight)},
};

static size_t taps_of_entry(const conv_case *k) {
    return (size_t)(k->same_tokens ? 1 : k->tokens) * k->heads * k->taps;
}

/* 0 and everything are among them. */
static void set_lengths(problem *p, ref_rng *rng) {
    for (uint32_t b = 0; b < p->k.batch; b++) {
        float length = (float)(b % 5 == 1 ? 0 : b % 5 == 2 ? p->k.tokens : ref_rng_below(rng, p->k.tokens + 1));
        p->t[LENGTHS].t.values[b] = length;
    }
}

/* What lies beyond lengths must not matter. */
static void hide(problem *p) {
    const conv_case *k = &p->k;
    for (uint32_t b = 0; b < k->batch && k->lengths; b++) {
        for (uint32_t t = (uint32_t)p->t[LENGTHS].t.values[b]; t < k->tokens; t++) {
            size_t row = (size_t)b * k->tokens + t, taps = (size_t)k->heads * k->taps;
            for (size_t i = 0; i < k->channels; i++) {
                p->t[X].t.values[row * k->channels + i] = p->t[D_OUT].t.values[row * k->channels + i] = NAN;
            }
            for (size_t i = 0; i < taps && !k->same_tokens && !k->same_entries; i++) {
                p->t[WEIGHT].t.values[row * taps + i] = NAN;
            }
        }
    }
}

/* NaN and infinities here and there; a head without shares. */
static void spoil(problem *p) {
    for (int i = 0; i < TENSORS && p->k.nonfinite; i++) {
        tensor *t = &p->t[i].t;
        for (size_t n = 5; n < t->count && (i == X || i == WEIGHT || i == D_OUT); n += 83) {
            t->values[n] = n % 2 ? -INFINITY : n % 3 ? INFINITY : NAN;
        }
    }
    for (uint32_t i = 0; i < p->k.taps && p->k.nonfinite; i++) {
        p->t[WEIGHT].t.values[i] = -INFINITY;
    }
}

static problem make(context *c, conv_case k) {
    k.batch = k.batch ? k.batch : 1;
    k.channels = k.channels ? k.channels : 1;
    k.heads = k.heads ? k.heads : 1;
    k.taps = k.taps ? k.taps : 1;
    k.want = k.want ? k.want : BIT(D_X) | BIT(D_WEIGHT);
    problem p = {.c = c, .k = k};
    const uint32_t rows[] = {k.batch, k.tokens, k.channels};
    const uint32_t weight[] = {k.same_entries ? 1 : k.batch, k.same_tokens ? 1 : k.tokens, k.heads, k.taps};
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < TENSORS; i++) {
        bool taps = i == WEIGHT || i == D_WEIGHT;
        p.t[i] = (gradient_tensor){.name = fields[i].name, .field = fields[i].field, .written = i >= D_X};
        if (i == LENGTHS)
            gradient_make(&p.t[i], c, VKA_I32, 1, &k.batch, (layout){.pad = k.layout.pad}, &rng);
        else
            gradient_make(&p.t[i], c, k.types[i], taps ? 4 : 3, taps ? weight : rows, taps ? k.weight_layout : k.layout,
                          &rng);
    }
    set_lengths(&p, &rng);
    spoil(&p);
    hide(&p);
    for (int i = 0; i < TENSORS; i++) {
        gradient_keep(&p.t[i]);
    }
    p.t[X].present = k.want & BIT(D_WEIGHT);
    p.t[LENGTHS].present = k.lengths;
    p.t[D_X].present = k.want & BIT(D_X);
    p.t[D_WEIGHT].present = k.want & BIT(D_WEIGHT);
    p.t[D_WEIGHT].adds = k.accumulate;
    return p;
}

static void refer(problem *p, bool naive) {
    const conv_case *k = &p->k;
    const gradient_tensor *t = p->t;
    for (uint32_t b = 0; b < k->batch; b++) {
        size_t row = (size_t)b * k->tokens * k->channels, taps = k->same_entries ? 0 : b * taps_of_entry(k);
        ref_dynamic_conv_gradients(&(ref_dynamic_conv_backward){
            .forward = {.tokens = k->tokens,
                        .channels = k->channels,
                        .heads = k->heads,
                        .taps = k->taps,
                        .ahead = k->ahead,
                        .length = k->lengths ? (uint32_t)t[LENGTHS].before[b] : k->tokens,
                        .renormalise = k->renormalise,
                        .same = k->same_tokens,
                        .x = t[X].before + row,
                        .weight = t[WEIGHT].before + taps},
            .d_out = t[D_OUT].before + row,
            .naive = naive,
            .d_x = (naive ? t[D_X].naive : t[D_X].ref) + row,
            .d_weight = (naive ? t[D_WEIGHT].naive : t[D_WEIGHT].ref) + taps,
        });
    }
}

static void run(problem *p) {
    const conv_case *k = &p->k;
    char text[512];
    snprintf(text, sizeof text,
             "%s: x %s, d_out %s [%u, %u, %u], %u heads, %u taps of %s, ahead %u%s%s%s%s%s, order %s+%u>>%u, wants %x, "
             "VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(p->t[X].t.view.dtype), dtype_name(p->t[D_OUT].t.view.dtype), k->batch,
             k->tokens, k->channels, k->heads, k->taps, dtype_name(p->t[WEIGHT].t.view.dtype), k->ahead,
             k->same_tokens ? ", of all tokens" : "", k->same_entries ? ", of all entries" : "",
             k->renormalise ? ", renormalised" : "", k->lengths ? ", lengths" : "",
             k->accumulate ? ", accumulates" : "", k->layout.order ? k->layout.order : "dense", k->layout.pad,
             k->layout.shift, k->want, (unsigned long long)test_seed());
    vka_dynamic_conv_backward_desc d = {.ahead = k->ahead, .renormalise = k->renormalise, .accumulate = k->accumulate};
    refer(p, false);
    refer(p, true);
    gradient_run(p->c, VKA_OPERATION_DYNAMIC_CONV_BACKWARD, p->t, TENSORS, &d, sizeof d, text);
}

static void check_always(context *c, conv_case k) {
    problem p = make(c, k);
    run(&p);
    gradient_destroy(p.t, TENSORS);
}

static void check(context *c, conv_case k) {
    if (!context_leaves_out(c, 11)) {
        check_always(c, k);
    }
}

/* Causal, centred and all ahead; sequences shorter than the taps; weights in common and not. */
Test(dynamic_conv_backward, taps) {
    static const uint32_t taps[] = {1, 2, 3, 7, 15, 32, 256}, tokens[] = {1, 2, 9, 70};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof taps / sizeof *taps; i++) {
        for (uint32_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            conv_case k = {.batch = 2, .tokens = tokens[t], .channels = 24, .heads = 3, .taps = taps[i]};
            check(&c, k);
            k.ahead = k.taps / 2;
            k.same_tokens = true;
            k.accumulate = t % 2;
            check(&c, k);
            k.renormalise = true;
            k.same_entries = true;
            check(&c, k);
            k.same_tokens = false;
            k.ahead = k.taps - 1;
            check(&c, k);
            k.same_entries = false;
            check(&c, k);
        }
    }
    context_close(&c);
}

/* Heads that a vector of four has in common, and others. */
Test(dynamic_conv_backward, heads) {
    static const uint32_t shapes[][2] = {{1, 1},   {4, 1},   {8, 2},   {37, 37},  {37, 1},  {60, 12},
                                         {60, 20}, {64, 16}, {96, 96}, {130, 13}, {256, 4}, {320, 2}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        conv_case k = {.tokens = 67, .channels = shapes[i][0], .heads = shapes[i][1], .taps = 5, .ahead = i % 5};
        check(&c, k);
        k.same_tokens = true;
        check(&c, k);
    }
    context_close(&c);
}

Test(dynamic_conv_backward, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * DTYPES; i++) {
        conv_case k = {.batch = 2,
                       .tokens = 19,
                       .channels = i % 2 ? 8 : 7,
                       .taps = 3 + i % 2,
                       .same_tokens = i % 3 == 1,
                       .accumulate = i % 4 > 1};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = i < DTYPES ? dtypes[i] : dtypes[(i / 3 * t + i) % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

/* "102" is [T, B, C], as fairseq has it. */
Test(dynamic_conv_backward, layouts) {
    static const char *const orders[] = {"012", "021", "102", "210"}, *const weight_orders[] = {"0123", "1023", "3210",
                                                                                                "0132"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * DTYPES; i++) {
        conv_case k = {.batch = 3,
                       .tokens = i % 2 ? 3 : 75,
                       .channels = 12,
                       .heads = i % 3 ? 3 : 2,
                       .taps = 6,
                       .ahead = 3,
                       .same_entries = i % 4 == 3,
                       .layout = {orders[i % 4], i / 4, i % 3},
                       .weight_layout = {weight_orders[i % 4], i / 4, i % 3}};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = dtypes[i % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

Test(dynamic_conv_backward, lengths) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 12; i++) {
        conv_case k = {.batch = 13,
                       .tokens = i % 3 ? 21 : 90,
                       .channels = 8,
                       .heads = 2,
                       .taps = 7,
                       .ahead = i % 3 * 3,
                       .same_tokens = i & 2,
                       .same_entries = i & 4,
                       .renormalise = i & 1,
                       .lengths = true};
        check(&c, k);
    }
    context_close(&c);
}

Test(dynamic_conv_backward, absent) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 6; i++) {
        check(&c, (conv_case){.batch = 2,
                              .tokens = 23,
                              .channels = 12,
                              .heads = 3,
                              .taps = 5,
                              .ahead = 2,
                              .same_tokens = i / 2 == 1,
                              .lengths = i / 2 == 2,
                              .want = i % 2 ? BIT(D_X) : BIT(D_WEIGHT)});
    }
    context_close(&c);
}

Test(dynamic_conv_backward, nonfinite) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 8; i++) {
        check(&c, (conv_case){.batch = 2,
                              .tokens = 33,
                              .channels = 12 - i % 2,
                              .heads = i % 2 ? 1 : 3,
                              .taps = 5,
                              .ahead = 2,
                              .same_tokens = i & 2,
                              .renormalise = i & 4,
                              .nonfinite = true});
    }
    context_close(&c);
}

/* Bindings, grids and workgroups that are too small for it. */
Test(dynamic_conv_backward, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        conv_case k = {.batch = 3, .tokens = 70, .channels = 36, .heads = 6, .taps = 7, .ahead = 3, .lengths = true};
        check(&c, k);
        k.same_tokens = true;
        k.same_entries = true;
        check(&c, k);
        check(&c, (conv_case){.tokens = 60, .channels = 150, .heads = 6, .taps = 256, .ahead = 4, .same_tokens = true});
        context_close(&c);
    }
}

/* Without tokens weights in common have a gradient of 0. */
Test(dynamic_conv_backward, nothing) {
    context c;
    context_open(&c, &config_real);
    check_always(&c, (conv_case){.batch = 2, .channels = 6, .taps = 4, .same_tokens = true});
    check_always(&c, (conv_case){.batch = 2, .channels = 6, .taps = 4, .same_tokens = true, .accumulate = true});
    check_always(&c, (conv_case){.batch = 2, .channels = 6, .taps = 4});
    context_close(&c);
}

Test(dynamic_conv_backward, refusals) {
    context c;
    context_open(&c, &config_short);
    vka_tensor x = vka_tensor_3d(NULL, VKA_F32, 2, 30, 16), w = vka_tensor_4d(NULL, VKA_F32, 1, 30, 4, 5);
    const vka_dynamic_conv_backward_desc good = {.x = x, .weight = w, .d_out = x, .d_x = x, .d_weight = w, .ahead = 4};
    vka_dynamic_conv_backward_desc d = good;
    EXPECT_OK(vka_dynamic_conv_backward_prepare(c.device, &d));
    d.ahead = 5;
    EXPECT_FAILURE(vka_dynamic_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv_backward.ahead");
    d = good;
    d.x = (vka_tensor){0};
    EXPECT_FAILURE(vka_dynamic_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv_backward.x");
    d.d_weight = (vka_tensor){0};
    EXPECT_OK(vka_dynamic_conv_backward_prepare(c.device, &d));
    d.d_x = (vka_tensor){0};
    EXPECT_FAILURE(vka_dynamic_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv_backward.d_x");
    d = good;
    d.d_weight.shape[0] = 2;
    EXPECT_FAILURE(vka_dynamic_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv_backward.d_weight");
    d = good;
    d.d_weight.shape[1] = 1;
    EXPECT_FAILURE(vka_dynamic_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv_backward.d_weight");
    d = good;
    d.weight.shape[2] = d.d_weight.shape[2] = 3;
    EXPECT_FAILURE(vka_dynamic_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv_backward.weight");
    d = good;
    d.lengths.values = (int32_t[]){3, 31};
    EXPECT_FAILURE(vka_dynamic_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv_backward.lengths");
    d = good; /* partial sums of 4096 entries */
    d.x = d.d_out = d.d_x = vka_tensor_3d(NULL, VKA_F16, 4096, 1, 4);
    d.weight = d.d_weight = vka_tensor_4d(NULL, VKA_F32, 1, 1, 1, 5);
    EXPECT_FAILURE(vka_dynamic_conv_backward_prepare(c.device, &d), VKA_UNSUPPORTED,
                   "vka_dynamic_conv_backward.d_weight");
    d.d_weight = (vka_tensor){0};
    EXPECT_OK(vka_dynamic_conv_backward_prepare(c.device, &d));
    d.x = vka_tensor_3d(NULL, VKA_F32, 4096, 1, 16);
    d.d_out = d.d_x = d.x;
    EXPECT_FAILURE(vka_dynamic_conv_backward_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_dynamic_conv_backward.x");
    context_close(&c);
}
