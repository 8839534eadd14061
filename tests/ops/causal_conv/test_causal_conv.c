/* Causal convolutions: every type, number of taps, length and layout against float64, states in place and apart, and
 * sequences in pieces. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/conv.h>

#include "support/context.h"
#include "support/tensor.h"

enum { X, WEIGHT, BIAS, STATE_IN, STATE_OUT, OUT, TENSORS };
static const char *const names[TENSORS] = {"x", "weight", "bias", "state_in", "state_out", "out"};

/* Zero: f32, one token of one channel, one tap. */
typedef struct conv_case {
    uint32_t batch, tokens, channels, taps;
    vka_dtype types[TENSORS];
    bool bias, state_in, state_out, in_place, nonfinite;
    vka_activation activation;
    layout layout;
} conv_case;

typedef struct conv_problem {
    context *c;
    conv_case k;
    tensor t[TENSORS];
    float *in[TENSORS]; /* as uploaded: state_out may overwrite state_in */
} conv_problem;

static const char *describe(const conv_problem *p, char *text, size_t size) {
    const conv_case *k = &p->k;
    snprintf(text, size,
             "%s: %s -> %s [%u, %u, %u] %u taps of %s, order %s+%u>>%u%s%s%s%s activation %d, VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(k->types[X]), dtype_name(k->types[OUT]), k->batch, k->tokens, k->channels,
             k->taps, dtype_name(k->types[WEIGHT]), k->layout.order ? k->layout.order : "dense", k->layout.pad,
             k->layout.shift, k->bias ? " bias" : "", k->state_in ? " state in" : "", k->state_out ? " state out" : "",
             k->in_place ? " in place" : "", (int)k->activation, (unsigned long long)test_seed());
    return text;
}

static float *copy_of(const tensor *t) {
    float *copy = malloc((t->count + 1) * sizeof *copy);
    cr_assert_not_null(copy);
    memcpy(copy, t->values, t->count * sizeof *copy);
    return copy;
}

static conv_problem make(context *c, conv_case k) {
    k.batch = k.batch ? k.batch : 1;
    k.channels = k.channels ? k.channels : 1;
    k.taps = k.taps ? k.taps : 1;
    k.types[STATE_OUT] = k.in_place ? k.types[STATE_IN] : k.types[STATE_OUT];
    conv_problem p = {.c = c};
    const uint32_t rows[] = {k.batch, k.tokens, k.channels}, state[] = {k.batch, k.taps - 1, k.channels};
    const uint32_t weight[] = {k.channels, k.taps};
    const uint32_t *shapes[TENSORS] = {rows, weight, &k.channels, state, state, rows};
    static const uint32_t ranks[TENSORS] = {3, 2, 1, 3, 3, 3};
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < TENSORS; i++) {
        layout l = ranks[i] == 3 ? k.layout : (layout){.pad = k.layout.pad, .shift = k.layout.shift};
        k.types[i] = k.types[i] ? k.types[i] : VKA_F32;
        p.t[i] = tensor_create(c, k.types[i], ranks[i], shapes[i], l);
        tensor_fill_normal(&p.t[i], &rng, 0, i == WEIGHT ? 0.5f : 1);
        for (size_t n = 5; n < p.t[i].count && k.nonfinite && (i == X || i == STATE_IN); n += 13) {
            p.t[i].values[n] = n % 2 ? NAN : n % 3 ? INFINITY : -INFINITY;
        }
        p.in[i] = copy_of(&p.t[i]);
    }
    p.k = k;
    return p;
}

static void destroy(conv_problem *p) {
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
        free(p->in[i]);
    }
}

static vka_causal_conv_desc desc_of(const conv_problem *p) {
    const conv_case *k = &p->k;
    vka_causal_conv_desc d = {
        .x = p->t[X].view, .weight = p->t[WEIGHT].view, .out = p->t[OUT].view, .activation = k->activation};
    d.bias = k->bias ? p->t[BIAS].view : d.bias;
    d.state_in = k->state_in ? p->t[STATE_IN].view : d.state_in;
    d.state_out = k->state_out ? p->t[k->in_place ? STATE_IN : STATE_OUT].view : d.state_out;
    return d;
}

static bool is_written(const conv_problem *p, int i) {
    return i == OUT || (p->k.state_out && i == (p->k.in_place ? STATE_IN : STATE_OUT));
}

static ref_causal_conv reference_of(const conv_problem *p, uint32_t entry) {
    const conv_case *k = &p->k;
    return (ref_causal_conv){
        .channels = k->channels,
        .taps = k->taps,
        .x = p->in[X] + (size_t)entry * k->tokens * k->channels,
        .weight = p->in[WEIGHT],
        .bias = k->bias ? p->in[BIAS] : NULL,
        .state = k->state_in ? p->in[STATE_IN] + (size_t)entry * (k->taps - 1) * k->channels : NULL,
        .activation = k->activation,
    };
}

static void compare_state(const conv_problem *p, const ref_causal_conv *ref, uint32_t entry) {
    const conv_case *k = &p->k;
    const tensor *state = &p->t[k->in_place ? STATE_IN : STATE_OUT];
    char text[512];
    for (uint32_t j = 0; j + 1 < k->taps; j++) {
        for (uint32_t c = 0; c < k->channels; c++) {
            float x = ref_causal_conv_input(ref, (int64_t)k->tokens - k->taps + 1 + j, c);
            float got = state->values[((size_t)entry * (k->taps - 1) + j) * k->channels + c];
            x = ref_round(state->view.dtype, x);
            cr_assert(got == x || (isnan(got) && isnan(x)), "state %u of channel %u is %g, not %g; %s", j, c,
                      (double)got, (double)x, describe(p, text, sizeof text));
        }
    }
}

static void compare(const conv_problem *p) {
    const conv_case *k = &p->k;
    ref_error e = {0};
    char text[512];
    for (uint32_t b = 0; b < k->batch; b++) {
        ref_causal_conv ref = reference_of(p, b);
        for (uint32_t t = 0; t < k->tokens; t++) {
            for (uint32_t c = 0; c < k->channels; c++) {
                float got = p->t[OUT].values[((size_t)b * k->tokens + t) * k->channels + c];
                float naive = ref_causal_conv_naive_at(&ref, k->types[OUT], t, c);
                ref_error_add(&e, (double)got, (double)naive, ref_causal_conv_at(&ref, t, c));
                cr_assert(!e.broken, "[%u, %u, %u] is %g, not %g; %s", b, t, c, (double)got, (double)naive,
                          describe(p, text, sizeof text));
            }
        }
        if (k->state_out) {
            compare_state(p, &ref, b);
        }
    }
    cr_assert(ref_error_ok(&e), "off by %.3g where the naive computation is off by %.3g; %s", e.out, e.naive,
              describe(p, text, sizeof text));
}

static void run(conv_problem *p) {
    vka_causal_conv_desc d = desc_of(p);
    char text[512];
    for (int i = 0; i < TENSORS; i++) {
        tensor_upload(&p->t[i]);
    }
    tensor_poison(&p->t[OUT]);
    tensor_poison(&p->t[STATE_OUT]);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_causal_conv(p->c->recorder, &d));
    context_finish(p->c);
    for (int i = 0; i < TENSORS; i++) {
        tensor_collect(&p->t[i], is_written(p, i), names[i], describe(p, text, sizeof text));
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

#define ALL_STATES .state_in = true, .state_out = true

/* Sums in registers, and not; sequences shorter than the taps. */
Test(causal_conv, taps) {
    static const uint32_t taps[] = {1, 2, 3, 4, 5, 8, 9, 31}, tokens[] = {1, 2, 7, 70};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof taps / sizeof *taps; i++) {
        for (uint32_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            check(&c, (conv_case){.batch = 2, .tokens = tokens[t], .channels = 6, .taps = taps[i], ALL_STATES});
            check(&c, (conv_case){.batch = 2,
                                  .tokens = tokens[t],
                                  .channels = 6,
                                  .taps = taps[i],
                                  .in_place = true,
                                  .bias = true,
                                  ALL_STATES});
        }
    }
    context_close(&c);
}

/* Vectors of four, and channels that are none. */
Test(causal_conv, channels) {
    static const uint32_t channels[] = {1, 4, 8, 37, 64, 130};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * sizeof channels / sizeof *channels; i++) {
        check(&c, (conv_case){.tokens = 67,
                              .channels = channels[i / 2],
                              .taps = 4,
                              .bias = true,
                              .state_in = i & 1,
                              .state_out = true,
                              .activation = VKA_ACTIVATION_SILU});
    }
    context_close(&c);
}

Test(causal_conv, types) {
    context c;
    context_open(&c, &config_real);
    for (int i = 0; i < 3 * DTYPES; i++) {
        conv_case k = {.batch = 2, .tokens = 9, .channels = i % 2 ? 8 : 7, .taps = 4, .bias = true, ALL_STATES};
        for (int t = 0; t < TENSORS; t++) {
            k.types[t] = i < DTYPES ? dtypes[i] : dtypes[(i / 3 * t + i) % DTYPES];
        }
        check(&c, k);
        k.in_place = true;
        check(&c, k);
    }
    context_close(&c);
}

Test(causal_conv, activations) {
    context c;
    context_open(&c, &config_real);
    for (int a = 0; a <= VKA_ACTIVATION_SIGMOID; a++) {
        check(&c, (conv_case){.tokens = 20, .channels = 12, .taps = 3, .activation = (vka_activation)a});
    }
    context_close(&c);
}

/* "021" is [B, C, T], as ONNX has it. */
Test(causal_conv, layouts) {
    static const char *const orders[] = {"012", "021", "102", "210"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * DTYPES; i++) {
        vka_dtype t = dtypes[i % DTYPES];
        check(&c, (conv_case){.batch = 3,
                              .tokens = i % 2 ? 3 : 75,
                              .channels = 10,
                              .taps = 5,
                              .types = {t, t, t, t, t, t},
                              .in_place = i % 3,
                              ALL_STATES,
                              .layout = {orders[i % 4], i / 4, i % 3}});
    }
    context_close(&c);
}

Test(causal_conv, nonfinite) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4; i++) {
        check(&c, (conv_case){.batch = 2,
                              .tokens = 33,
                              .channels = 8 - i,
                              .taps = i & 1 ? 4 : 12,
                              .nonfinite = true,
                              ALL_STATES,
                              .activation = i & 2 ? VKA_ACTIVATION_SILU : VKA_ACTIVATION_NONE});
    }
    context_close(&c);
}

/* Bindings, grids and workgroups that are too small for it. */
Test(causal_conv, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        check(&c, (conv_case){.batch = 5, .tokens = 300, .channels = 33, .taps = 4, ALL_STATES, .in_place = i % 2});
        check(&c, (conv_case){.batch = 2, .tokens = 1000, .channels = 50, .taps = 20, ALL_STATES, .in_place = true});
        check(&c,
              (conv_case){.batch = 2, .tokens = 5000, .channels = 9, .taps = 4, ALL_STATES, .layout = {"021", 0, 0}});
        context_close(&c);
    }
}

/* Without tokens the state goes on as it is. */
Test(causal_conv, nothing) {
    context c;
    context_open(&c, &config_real);
    check(&c, (conv_case){.batch = 2, .channels = 6, .taps = 4, ALL_STATES});
    check(&c, (conv_case){.batch = 2, .channels = 6, .taps = 4, ALL_STATES, .in_place = true});
    check(&c, (conv_case){.batch = 2, .channels = 6, .taps = 4, .state_out = true});
    check(&c, (conv_case){.batch = 2, .channels = 6, .taps = 4, .state_in = true});
    conv_problem p = make(&c, (conv_case){.batch = 2, .tokens = 3, .channels = 6, .taps = 4, ALL_STATES});
    vka_causal_conv_desc d = desc_of(&p);
    d.x.shape[0] = d.out.shape[0] = d.state_in.shape[0] = d.state_out.shape[0] = 0;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_causal_conv(c.recorder, &d));
    context_finish(&c);
    destroy(&p);
    context_close(&c);
}

/* A prompt, then a token at a time, then several: the same bits as all at once. */
Test(causal_conv, pieces) {
    enum { TOKENS = 90, CHANNELS = 24 };
    static const uint32_t pieces[] = {70, 1, 1, 1, 2, 1, 14};
    context c;
    context_open(&c, &config_real);
    for (uint32_t taps = 2; taps <= 12; taps += 5) {
        conv_case k = {.tokens = TOKENS, .channels = CHANNELS, .taps = taps, ALL_STATES, .in_place = true};
        conv_problem p = make(&c, k);
        run(&p);
        float *whole = copy_of(&p.t[OUT]), *state = copy_of(&p.t[STATE_IN]);
        memcpy(p.t[STATE_IN].values, p.in[STATE_IN], p.t[STATE_IN].count * sizeof(float));
        tensor_upload(&p.t[STATE_IN]);
        tensor_poison(&p.t[OUT]);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        vka_causal_conv_desc d = desc_of(&p);
        for (uint32_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
            d.x.shape[1] = d.out.shape[1] = pieces[i];
            EXPECT_OK(vka_causal_conv(c.recorder, &d));
            d.x.offset += pieces[i] * d.x.stride[1] * 4;
            d.out.offset += pieces[i] * d.out.stride[1] * 4;
        }
        context_finish(&c);
        cr_assert(tensor_download(&p.t[OUT]) && tensor_download(&p.t[STATE_IN]));
        cr_assert(!memcmp(whole, p.t[OUT].values, p.t[OUT].count * sizeof(float)), "%u taps", taps);
        cr_assert(!memcmp(state, p.t[STATE_IN].values, p.t[STATE_IN].count * sizeof(float)), "%u taps", taps);
        free(whole);
        free(state);
        destroy(&p);
    }
    context_close(&c);
}

/* What no table says. */
Test(causal_conv, refusals) {
    context c;
    context_open(&c, &config_short);
    vka_tensor x = vka_tensor_3d(NULL, VKA_F32, 1, 300, 1000);
    vka_causal_conv_desc d = {.x = x, .out = x, .weight = vka_tensor_2d(NULL, VKA_F32, 1000, 7)};
    EXPECT_OK(vka_causal_conv_prepare(c.device, &d));
    d.weight = vka_tensor_2d(NULL, VKA_F16, 1000, 16);
    EXPECT_FAILURE(vka_causal_conv_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_causal_conv.x");
    d.weight = vka_tensor_2d(NULL, VKA_F32, 1000, 17);
    EXPECT_FAILURE(vka_causal_conv_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_causal_conv.weight");
    d.weight = vka_tensor_2d(NULL, VKA_F16, 1000, 9);
    d.x.stride[0] = d.x.stride[1] = 1 << 13; /* a binding sees two tokens */
    d.x.stride[2] = 1;
    EXPECT_FAILURE(vka_causal_conv_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_causal_conv.x");
    d.weight = vka_tensor_2d(NULL, VKA_F16, 1000, 9);
    d.x = x;
    d.state_in = vka_tensor_3d(NULL, VKA_F32, 1, 9, 1000);
    EXPECT_FAILURE(vka_causal_conv_prepare(c.device, &d), VKA_INVALID, "vka_causal_conv.state_in");
    context_close(&c);
}
