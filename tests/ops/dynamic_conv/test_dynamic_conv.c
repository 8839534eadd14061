/* LightConv and DynamicConv: every type, number of taps and heads, length and layout against float64.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/conv.h>

#include "support/context.h"
#include "support/tensor.h"

enum { X, WEIGHT, OUT, TENSORS };
static const char *const names[TENSORS] = {"x", "weight", "out"};

typedef enum lengths_of { LENGTHS_NONE, LENGTHS_HOST, LENGTHS_DEVICE } lengths_of;
typedef enum values_of { VALUES_USUAL, VALUES_NONFINITE_X, VALUES_NONFINITE_WEIGHTS, VALUES_LARGE } values_of;

/* Zero: f32, one sequence, one channel, one head, one tap. */
typedef struct conv_case {
    uint32_t batch, tokens, channels, heads, taps, ahead;
    vka_dtype types[TENSORS];
    bool same_tokens, same_entries; /* weights */
    bool renormalise;
    lengths_of lengths;
    values_of values;
    layout layout, weight_layout;
} conv_case;

typedef struct conv_problem {
    context *c;
    conv_case k;
    tensor t[TENSORS], list;
    int32_t *host;
} conv_problem;

static const char *describe(const conv_problem *p, char *text, size_t size) {
    const conv_case *k = &p->k;
    snprintf(text, size,
             "%s: %s -> %s [%u, %u, %u] %u heads, %u taps of %s, %u ahead%s%s%s, lengths %d, values %d, order "
             "%s+%u>>%u, VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(k->types[X]), dtype_name(k->types[OUT]), k->batch, k->tokens, k->channels,
             k->heads, k->taps, dtype_name(k->types[WEIGHT]), k->ahead, k->same_tokens ? ", of all tokens" : "",
             k->same_entries ? ", of all entries" : "", k->renormalise ? ", renormalised" : "", (int)k->lengths,
             (int)k->values, k->layout.order ? k->layout.order : "dense", k->layout.pad, k->layout.shift,
             (unsigned long long)test_seed());
    return text;
}

static void set_values(conv_problem *p) {
    const conv_case *k = &p->k;
    ref_rng rng = ref_rng_seed(test_seed());
    tensor_fill_normal(&p->t[X], &rng, 0, 1);
    tensor_fill_normal(&p->t[WEIGHT], &rng, 0, k->values == VALUES_LARGE ? 1e4f : 1);
    int spoilt = k->values == VALUES_NONFINITE_X ? X : k->values == VALUES_NONFINITE_WEIGHTS ? WEIGHT : TENSORS;
    for (size_t n = 5; spoilt < TENSORS && n < p->t[spoilt].count; n += 23) {
        p->t[spoilt].values[n] = n % 2 ? -INFINITY : n % 3 ? INFINITY : NAN;
    }
    /* A head without shares. */
    for (uint32_t i = 0; spoilt == WEIGHT && i < k->taps; i++) {
        p->t[WEIGHT].values[i] = -INFINITY;
    }
    for (uint32_t i = 0; i < k->batch; i++) { /* 0 and everything are among them */
        uint32_t length = i % 5 == 1 ? 0 : i % 5 == 2 ? k->tokens : ref_rng_below(&rng, k->tokens + 1);
        p->host[i] = (int32_t)length;
        /* What is no length in device memory is clamped. */
        p->list.values[i] = i % 10 == 1 ? -7 : i % 10 == 2 ? (float)k->tokens + 3 : (float)length;
    }
}

static uint32_t length_of(const conv_problem *p, uint32_t entry) {
    return p->k.lengths ? (uint32_t)p->host[entry] : p->k.tokens;
}

/* What lies beyond lengths must not matter. */
static void hide(conv_problem *p) {
    const conv_case *k = &p->k;
    size_t of_token = (size_t)k->heads * k->taps;
    bool own = !k->same_tokens && !k->same_entries;
    for (uint32_t b = 0; b < k->batch; b++) {
        for (uint32_t t = length_of(p, b); t < k->tokens; t++) {
            size_t row = (size_t)b * k->tokens + t;
            for (size_t i = 0; i < k->channels; i++) {
                p->t[X].values[row * k->channels + i] = NAN;
            }
            for (size_t i = 0; i < of_token && own; i++) {
                p->t[WEIGHT].values[row * of_token + i] = NAN;
            }
        }
    }
}

static conv_problem make(context *c, conv_case k) {
    conv_problem p = {.c = c};
    k.batch = k.batch ? k.batch : 1;
    k.channels = k.channels ? k.channels : 1;
    k.heads = k.heads ? k.heads : 1;
    k.taps = k.taps ? k.taps : 1;
    const uint32_t rows[] = {k.batch, k.tokens, k.channels};
    const uint32_t weight[] = {k.same_entries ? 1 : k.batch, k.same_tokens ? 1 : k.tokens, k.heads, k.taps};
    for (int i = 0; i < TENSORS; i++) {
        k.types[i] = k.types[i] ? k.types[i] : VKA_F32;
        p.t[i] = i == WEIGHT ? tensor_create(c, k.types[i], 4, weight, k.weight_layout)
                             : tensor_create(c, k.types[i], 3, rows, k.layout);
    }
    p.list = tensor_create(c, VKA_I32, 1, &k.batch, (layout){.pad = k.layout.pad});
    p.host = malloc(k.batch * sizeof *p.host);
    cr_assert_not_null(p.host);
    p.k = k;
    set_values(&p);
    hide(&p);
    return p;
}

static void destroy(conv_problem *p) {
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
    }
    tensor_destroy(&p->list);
    free(p->host);
}

static vka_dynamic_conv_desc desc_of(const conv_problem *p) {
    const conv_case *k = &p->k;
    vka_dynamic_conv_desc d = {.x = p->t[X].view,
                               .weight = p->t[WEIGHT].view,
                               .out = p->t[OUT].view,
                               .ahead = k->ahead,
                               .renormalise = k->renormalise};
    d.lengths.values = k->lengths == LENGTHS_HOST ? p->host : NULL;
    d.lengths.tensor = k->lengths == LENGTHS_DEVICE ? p->list.view : (vka_tensor){0};
    return d;
}

static ref_dynamic_conv reference_of(const conv_problem *p, uint32_t entry) {
    const conv_case *k = &p->k;
    size_t weights = (size_t)(k->same_tokens ? 1 : k->tokens) * k->heads * k->taps;
    return (ref_dynamic_conv){
        .tokens = k->tokens,
        .channels = k->channels,
        .heads = k->heads,
        .taps = k->taps,
        .ahead = k->ahead,
        .length = length_of(p, entry),
        .renormalise = k->renormalise,
        .same = k->same_tokens,
        .x = p->t[X].values + (size_t)entry * k->tokens * k->channels,
        .weight = p->t[WEIGHT].values + (k->same_entries ? 0 : entry * weights),
    };
}

static void compare(const conv_problem *p) {
    const conv_case *k = &p->k;
    ref_error e = {0};
    char text[512];
    for (uint32_t b = 0; b < k->batch; b++) {
        ref_dynamic_conv ref = reference_of(p, b);
        for (uint32_t t = 0; t < k->tokens; t++) {
            for (uint32_t c = 0; c < k->channels; c++) {
                float got = p->t[OUT].values[((size_t)b * k->tokens + t) * k->channels + c];
                float naive = ref_dynamic_conv_naive_at(&ref, k->types[OUT], t, c);
                double want = ref_dynamic_conv_at(&ref, t, c);
                ref_error_add(&e, (double)got, (double)naive, want);
                cr_assert(!e.broken && (t < ref.length || got == 0), "[%u, %u, %u] is %g, not %g; %s", b, t, c,
                          (double)got, want, describe(p, text, sizeof text));
            }
        }
    }
    cr_assert(ref_error_ok(&e), "off by %.3g where the naive computation is off by %.3g; %s", e.out, e.naive,
              describe(p, text, sizeof text));
}

static void run(conv_problem *p) {
    vka_dynamic_conv_desc d = desc_of(p);
    char text[512];
    for (int i = 0; i < TENSORS; i++) {
        tensor_upload(&p->t[i]);
    }
    tensor_upload(&p->list);
    tensor_poison(&p->t[OUT]);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_dynamic_conv(p->c->recorder, &d));
    context_finish(p->c);
    for (int i = 0; i < TENSORS; i++) {
        tensor_collect(&p->t[i], i == OUT, names[i], describe(p, text, sizeof text));
    }
    compare(p);
}

static void check(context *c, conv_case k) {
    if (context_leaves_out(c, 7)) {
        return;
    }
    conv_problem p = make(c, k);
    run(&p);
    destroy(&p);
}

/* Causal, centred and all ahead; sequences shorter than the taps. */
Test(dynamic_conv, taps) {
    static const uint32_t taps[] = {1, 2, 3, 4, 7, 15, 31, 32, 256}, tokens[] = {1, 2, 9, 70};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof taps / sizeof *taps; i++) {
        for (uint32_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            conv_case k = {.batch = 2, .tokens = tokens[t], .channels = 24, .heads = 3, .taps = taps[i]};
            check(&c, k);
            k.ahead = k.taps / 2;
            k.same_tokens = true;
            check(&c, k);
            k.renormalise = true;
            k.same_entries = true;
            check(&c, k);
            k.same_tokens = false;
            k.ahead = k.taps - 1;
            check(&c, k);
        }
    }
    context_close(&c);
}

/* Heads that a vector of four has in common, and others; more heads than a tile has channels. */
Test(dynamic_conv, heads) {
    static const uint32_t shapes[][2] = {{1, 1},   {4, 1},   {8, 2},   {37, 37},  {37, 1},  {60, 12},
                                         {60, 20}, {64, 16}, {96, 96}, {130, 13}, {256, 4}, {320, 2}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        conv_case k = {.tokens = 67, .channels = shapes[i][0], .heads = shapes[i][1], .taps = 5, .ahead = i % 5};
        check(&c, k);
        k.same_tokens = true;
        check(&c, k);
        k.tokens = 1;
        check(&c, k);
    }
    check(&c, (conv_case){.tokens = 20, .channels = 40, .heads = 40, .taps = 256, .ahead = 9});
    context_close(&c);
}

Test(dynamic_conv, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 3 * DTYPES; i++) {
        conv_case k = {
            .batch = 2, .tokens = 19, .channels = i % 2 ? 8 : 7, .taps = 3 + i % 2, .same_tokens = i % 3 == 1};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = i < DTYPES ? dtypes[i] : dtypes[(i / 3 * t + i) % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

/* "102" is [T, B, C], as fairseq has it. */
Test(dynamic_conv, layouts) {
    static const char *const orders[] = {"012", "021", "102", "210"}, *const weight_orders[] = {"0123", "1023", "3210",
                                                                                                "0132"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * DTYPES; i++) {
        vka_dtype t = dtypes[i % DTYPES];
        check(&c, (conv_case){.batch = 3,
                              .tokens = i % 2 ? 3 : 75,
                              .channels = 12,
                              .heads = i % 3 ? 3 : 2,
                              .taps = 6,
                              .ahead = 3,
                              .types = {t, t, t},
                              .same_entries = i % 4 == 3,
                              .layout = {orders[i % 4], i / 4, i % 3},
                              .weight_layout = {weight_orders[i % 4], i / 4, i % 3}});
    }
    context_close(&c);
}

Test(dynamic_conv, lengths) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 8; i++) {
        check(&c, (conv_case){.batch = 13,
                              .tokens = i < 4 ? 21 : 90,
                              .channels = 8,
                              .heads = 2,
                              .taps = 7,
                              .ahead = i % 3 * 3,
                              .same_tokens = i % 4 == 2,
                              .renormalise = i & 1,
                              .lengths = i & 2 ? LENGTHS_HOST : LENGTHS_DEVICE});
    }
    context_close(&c);
}

Test(dynamic_conv, extremes) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 12; i++) {
        check(&c, (conv_case){.batch = 2,
                              .tokens = 33,
                              .channels = 12 - i % 2,
                              .heads = i % 2 ? 1 : 3,
                              .taps = 5,
                              .ahead = 2,
                              .same_tokens = i & 2,
                              .renormalise = i & 1,
                              .values = (values_of)(VALUES_NONFINITE_X + i / 4)});
    }
    context_close(&c);
}

/* Weights whose difference is beyond f32. */
Test(dynamic_conv, far_apart) {
    static const float weights[] = {-3e38f, 3e38f, 3e38f, -INFINITY, 0};
    context c;
    context_open(&c, &config_real);
    conv_problem p = make(&c, (conv_case){.tokens = 12, .channels = 4, .taps = 5, .ahead = 2, .same_tokens = true});
    memcpy(p.t[WEIGHT].values, weights, sizeof weights);
    run(&p);
    destroy(&p);
    context_close(&c);
}

/* Bindings, grids and workgroups that are too small for it. */
Test(dynamic_conv, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        conv_case k = {.batch = 5, .tokens = 300, .channels = 36, .heads = 6, .taps = 7, .ahead = 3};
        check(&c, k);
        k.lengths = LENGTHS_DEVICE;
        k.renormalise = true;
        check(&c, k);
        check(&c, (conv_case){.batch = 2, .tokens = 1000, .channels = 50, .heads = 5, .taps = 20, .same_tokens = true});
        check(&c, (conv_case){.tokens = 60, .channels = 1500, .heads = 6, .taps = 9, .ahead = 4, .same_tokens = true});
        k = (conv_case){.batch = 2, .tokens = 5000, .channels = 9, .heads = 9, .taps = 4, .same_entries = true};
        k.layout.order = "021";
        check(&c, k);
        context_close(&c);
    }
}

Test(dynamic_conv, nothing) {
    context c;
    context_open(&c, &config_real);
    conv_problem p = make(&c, (conv_case){.batch = 2, .tokens = 3, .channels = 6, .taps = 4, .same_tokens = true});
    vka_dynamic_conv_desc d = desc_of(&p);
    tensor_poison(&p.t[OUT]);
    for (int dim = 0; dim < 2; dim++) {
        d.x.shape[dim] = d.out.shape[dim] = 0;
        d.weight.shape[dim] = dim ? 1 : 0;
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_dynamic_conv(c.recorder, &d));
        context_finish(&c);
        d = desc_of(&p);
    }
    cr_assert(tensor_download(&p.t[OUT]) && tensor_untouched(&p.t[OUT], 0));
    destroy(&p);
    context_close(&c);
}

/* A token of a batch has the same bits as alone with what its taps see. */
Test(dynamic_conv, pieces) {
    context c;
    context_open(&c, &config_real);
    conv_problem p = make(&c, (conv_case){.batch = 2, .tokens = 77, .channels = 40, .heads = 5, .taps = 6});
    run(&p);
    float *whole = malloc(p.t[OUT].count * sizeof *whole);
    cr_assert_not_null(whole);
    memcpy(whole, p.t[OUT].values, p.t[OUT].count * sizeof *whole);
    vka_dynamic_conv_desc d = desc_of(&p);
    tensor_poison(&p.t[OUT]);
    d.x.shape[1] = d.weight.shape[1] = d.out.shape[1] = 50;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_dynamic_conv(c.recorder, &d));
    context_finish(&c);
    cr_assert(tensor_download(&p.t[OUT]));
    for (size_t b = 0; b < 2; b++) {
        size_t at = b * p.k.tokens * p.k.channels;
        cr_assert(!memcmp(whole + at, p.t[OUT].values + at, (size_t)50 * p.k.channels * sizeof *whole));
    }
    free(whole);
    destroy(&p);
    context_close(&c);
}

/* What no table says. */
Test(dynamic_conv, refusals) {
    context c;
    context_open(&c, &config_short);
    vka_tensor x = vka_tensor_3d(NULL, VKA_F32, 1, 300, 1000);
    vka_dynamic_conv_desc d = {.x = x, .out = x, .weight = vka_tensor_4d(NULL, VKA_F32, 1, 1, 1000, 7), .ahead = 6};
    EXPECT_OK(vka_dynamic_conv_prepare(c.device, &d));
    d.ahead = 7;
    EXPECT_FAILURE(vka_dynamic_conv_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv.ahead");
    d.ahead = 0;
    d.weight = vka_tensor_4d(NULL, VKA_F32, 1, 1, 300, 7);
    EXPECT_FAILURE(vka_dynamic_conv_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv.weight");
    d.weight = vka_tensor_4d(NULL, VKA_F32, 1, 1, 1000, 17);
    EXPECT_FAILURE(vka_dynamic_conv_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_dynamic_conv.weight");
    d.weight = vka_tensor_4d(NULL, VKA_F32, 1, 1, 1, 9);
    d.lengths.values = &(int32_t){301};
    EXPECT_FAILURE(vka_dynamic_conv_prepare(c.device, &d), VKA_INVALID, "vka_dynamic_conv.lengths");
    d.lengths.values = NULL;
    d.x.stride[0] = d.x.stride[1] = 1 << 13; /* a binding sees two tokens */
    d.x.stride[2] = 1;
    EXPECT_FAILURE(vka_dynamic_conv_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_dynamic_conv.x");
    context_close(&c);
}
