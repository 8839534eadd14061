/* Gradients of causal convolutions: every type, number of taps, length and layout against float64, and those of
 * sequences in pieces. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <vkattn/conv.h>

#include "gradient_case.h"

enum { X, WEIGHT, BIAS, STATE_IN, D_OUT, D_STATE_OUT, D_X, D_WEIGHT, D_BIAS, D_STATE_IN, TENSORS };
#define BIT(i)    (1u << (i))
#define GRADIENTS (BIT(D_X) | BIT(D_WEIGHT) | BIT(D_BIAS) | BIT(D_STATE_IN))

/* Zero: f32, one entry of one channel and one tap, all gradients, no bias, no states. */
typedef struct conv_case {
    uint32_t batch, tokens, channels, taps;
    vka_dtype types[TENSORS];
    uint32_t want; /* gradients, as bits; 0: all */
    bool bias, states, accumulate, nonfinite;
    vka_activation activation;
    layout layout;
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
#define FIELD(name)                                                                                                    \
    { #name, offsetof(vka_causal_conv_backward_desc, name) }
    FIELD(x),           FIELD(weight), FIELD(bias),     FIELD(state_in), FIELD(d_out),
    FIELD(d_state_out), FIELD(d_x),    FIELD(d_weight), FIELD(d_bias),   FIELD(d_state_in),
};

/* What is needed for what is wanted, and no more. */
static bool is_present(const conv_case *k, int i) {
    bool activation = k->activation != VKA_ACTIVATION_NONE, x = activation || (k->want & BIT(D_WEIGHT));
    switch (i) {
    case X:
        return x;
    case WEIGHT:
        return activation || (k->want & (BIT(D_X) | BIT(D_STATE_IN)));
    case BIAS:
        return activation && k->bias;
    case STATE_IN:
        return x && k->states;
    case D_OUT:
        return true;
    case D_STATE_OUT:
        return k->states;
    default:
        return k->want & BIT(i);
    }
}

static void spoil(gradient_tensor *g) {
    for (size_t n = 5; n < g->t.count; n += 29) {
        g->t.values[n] = n % 2 ? NAN : n % 3 ? INFINITY : -INFINITY;
    }
}

static problem make(context *c, conv_case k) {
    k.batch = k.batch ? k.batch : 1;
    k.channels = k.channels ? k.channels : 1;
    k.taps = k.taps ? k.taps : 1;
    k.want = k.want ? k.want : GRADIENTS;
    problem p = {.c = c, .k = k};
    const uint32_t rows[] = {k.batch, k.tokens, k.channels}, state[] = {k.batch, k.taps - 1, k.channels};
    const uint32_t weight[] = {k.channels, k.taps};
    const uint32_t *shapes[TENSORS] = {rows, weight, &k.channels, state, rows, state, rows, weight, &k.channels, state};
    static const uint32_t ranks[TENSORS] = {3, 2, 1, 3, 3, 3, 3, 2, 1, 3};
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < TENSORS; i++) { /* of those that are absent for the reference alone */
        layout l = ranks[i] == 3 ? k.layout : (layout){.pad = k.layout.pad, .shift = k.layout.shift};
        p.t[i] = (gradient_tensor){.name = fields[i].name, .field = fields[i].field, .written = i >= D_X};
        gradient_make(&p.t[i], c, k.types[i], ranks[i], shapes[i], l, &rng);
        p.t[i].adds = k.accumulate && (i == D_WEIGHT || i == D_BIAS);
        if (k.nonfinite && (i == X || i == D_OUT)) {
            spoil(&p.t[i]);
            gradient_keep(&p.t[i]);
        }
        p.t[i].present = is_present(&k, i);
    }
    return p;
}

static void refer(problem *p, bool naive) {
    const conv_case *k = &p->k;
    const gradient_tensor *t = p->t;
#define WANTED(i) (naive ? t[i].naive : t[i].ref)
    for (uint32_t b = 0; b < k->batch; b++) {
        size_t row = (size_t)b * k->tokens * k->channels, state = (size_t)b * (k->taps - 1) * k->channels;
        ref_causal_conv_gradients(&(ref_causal_conv_backward){
            .forward = {.channels = k->channels,
                        .taps = k->taps,
                        .x = t[X].before + row,
                        .weight = t[WEIGHT].before,
                        .bias = k->bias ? t[BIAS].before : NULL,
                        .state = k->states ? t[STATE_IN].before + state : NULL,
                        .activation = k->activation},
            .tokens = k->tokens,
            .d_out = t[D_OUT].before + row,
            .d_state_out = k->states ? t[D_STATE_OUT].before + state : NULL,
            .naive = naive,
            .g_type = t[D_OUT].t.view.dtype,
            .d_x = WANTED(D_X) + row,
            .d_state_in = WANTED(D_STATE_IN) + state,
            .d_weight = WANTED(D_WEIGHT),
            .d_bias = WANTED(D_BIAS),
        });
    }
#undef WANTED
}

static void run(problem *p) {
    const conv_case *k = &p->k;
    char text[512];
    snprintf(text, sizeof text,
             "%s: x %s, d_out %s [%u, %u, %u], %u taps of %s, order %s+%u>>%u,%s%s%s activation %d, wants %x, "
             "VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(p->t[X].t.view.dtype), dtype_name(p->t[D_OUT].t.view.dtype), k->batch,
             k->tokens, k->channels, k->taps, dtype_name(p->t[WEIGHT].t.view.dtype),
             k->layout.order ? k->layout.order : "dense", k->layout.pad, k->layout.shift, k->bias ? " bias" : "",
             k->states ? " states" : "", k->accumulate ? " accumulates" : "", (int)k->activation, k->want,
             (unsigned long long)test_seed());
    vka_causal_conv_backward_desc d = {.activation = k->activation, .accumulate = k->accumulate};
    refer(p, false);
    refer(p, true);
    gradient_run(p->c, VKA_OPERATION_CAUSAL_CONV_BACKWARD, p->t, TENSORS, &d, sizeof d, text);
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

/* Sums in registers, and not; sequences shorter than the taps. */
Test(causal_conv_backward, taps) {
    static const uint32_t taps[] = {1, 2, 3, 4, 8, 9, 31}, tokens[] = {1, 2, 7, 70};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof taps / sizeof *taps; i++) {
        for (uint32_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            check(&c, (conv_case){.batch = 2,
                                  .tokens = tokens[t],
                                  .channels = 6,
                                  .taps = taps[i],
                                  .states = (i + t) % 3,
                                  .bias = t % 2,
                                  .accumulate = i % 2,
                                  .activation = t % 2 ? VKA_ACTIVATION_SILU : VKA_ACTIVATION_NONE});
        }
    }
    context_close(&c);
}

/* Vectors of four, and channels that are none; so many tokens that there are chunks. */
Test(causal_conv_backward, channels) {
    static const uint32_t channels[] = {1, 4, 8, 37, 64, 130};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 2 * sizeof channels / sizeof *channels; i++) {
        check(&c, (conv_case){.batch = 3,
                              .tokens = 333,
                              .channels = channels[i / 2],
                              .taps = i % 2 ? 4 : 11,
                              .bias = true,
                              .states = i & 1,
                              .activation = VKA_ACTIVATION_SILU});
    }
    context_close(&c);
}

Test(causal_conv_backward, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * DTYPES; i++) {
        conv_case k = {.batch = 2,
                       .tokens = 9,
                       .channels = i % 2 ? 8 : 7,
                       .taps = 4,
                       .bias = true,
                       .states = true,
                       .accumulate = i % 4 == 1,
                       .activation = (vka_activation)(i % (VKA_ACTIVATION_SIGMOID + 1))};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = i < DTYPES ? dtypes[i] : dtypes[(i / 3 * t + i) % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

/* One by one, of what is there then. */
Test(causal_conv_backward, absent) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t n = 1; n < 16; n++) {
        check(&c, (conv_case){.batch = 2,
                              .tokens = 19,
                              .channels = 5,
                              .taps = 3,
                              .states = true,
                              .want = n * BIT(D_X),
                              .activation = n % 2 ? VKA_ACTIVATION_RELU : VKA_ACTIVATION_NONE});
    }
    context_close(&c);
}

/* "021" is [B, C, T], as ONNX has it. */
Test(causal_conv_backward, layouts) {
    static const char *const orders[] = {"012", "021", "102", "210"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * DTYPES; i++) {
        conv_case k = {.batch = 3,
                       .tokens = i % 2 ? 3 : 75,
                       .channels = 10,
                       .taps = 5,
                       .states = i % 3,
                       .activation = i % 2 ? VKA_ACTIVATION_GELU : VKA_ACTIVATION_NONE,
                       .layout = {orders[i % 4], i / 4, i % 3}};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = dtypes[i % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

/* Tokens beyond the end have no products. */
Test(causal_conv_backward, nonfinite) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4; i++) {
        check(&c, (conv_case){.batch = 2,
                              .tokens = 33,
                              .channels = 8 - i,
                              .taps = i & 1 ? 4 : 12,
                              .nonfinite = true,
                              .states = true,
                              .activation = i & 2 ? VKA_ACTIVATION_SILU : VKA_ACTIVATION_NONE});
    }
    problem p = make(&c, (conv_case){.batch = 2, .tokens = 6, .channels = 4, .taps = 3, .states = true});
    p.t[WEIGHT].t.values[1] = INFINITY;
    p.t[WEIGHT].t.values[5] = -INFINITY;
    gradient_keep(&p.t[WEIGHT]);
    run(&p);
    gradient_destroy(p.t, TENSORS);
    context_close(&c);
}

/* Bindings, grids and workgroups that are too small for it. */
Test(causal_conv_backward, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        check(&c, (conv_case){.batch = 5,
                              .tokens = 90,
                              .channels = 33,
                              .taps = 4,
                              .states = true,
                              .activation = VKA_ACTIVATION_SILU});
        check(&c, (conv_case){.batch = 2, .tokens = 200, .channels = 35, .taps = 20, .states = true});
        context_close(&c);
    }
}

/* Without tokens a state's gradient goes on as it is; without entries weights' are 0. */
Test(causal_conv_backward, nothing) {
    context c;
    context_open(&c, &config_real);
    check_always(&c, (conv_case){.batch = 2, .channels = 6, .taps = 4, .states = true});
    check_always(&c, (conv_case){.batch = 2, .channels = 6, .taps = 4, .accumulate = true});
    check_always(&c,
                 (conv_case){.batch = 2, .channels = 6, .taps = 4, .states = true, .activation = VKA_ACTIVATION_SILU});
    problem p = make(&c, (conv_case){.batch = 2, .tokens = 0, .channels = 6, .taps = 4, .states = true});
    for (int i = 0; i < TENSORS; i++) {
        if (p.t[i].t.view.rank == 3) {
            p.t[i].present = i == X || i == D_OUT;
            p.t[i].t.view.shape[0] = 0;
        }
    }
    run(&p);
    gradient_destroy(p.t, TENSORS);
    context_close(&c);
}

/* The gradients of two pieces are those of the whole. */
Test(causal_conv_backward, pieces) {
    enum { TOKENS = 50, FIRST = 23, CHANNELS = 12 };
    context c;
    context_open(&c, &config_real);
    problem p =
        make(&c, (conv_case){.tokens = TOKENS, .channels = CHANNELS, .taps = 4, .states = true, .accumulate = true});
    vka_causal_conv_backward_desc d = {.accumulate = true};
    for (int i = 0; i < TENSORS; i++) {
        (i < D_X || p.t[i].adds ? tensor_upload : tensor_poison)(&p.t[i].t);
        memcpy((unsigned char *)&d + p.t[i].field, &p.t[i].t.view, sizeof(vka_tensor));
    }
    /* The inputs before the second piece are the state that it begins with. */
    vka_causal_conv_backward_desc second = d;
    vka_tensor *pieces[] = {&second.x, &second.d_out, &second.d_x};
    for (int i = 0; i < 3; i++) {
        pieces[i]->shape[1] = TOKENS - FIRST;
        pieces[i]->offset += FIRST * CHANNELS * sizeof(float);
    }
    second.state_in = d.x;
    second.state_in.shape[1] = 3;
    second.state_in.offset += (FIRST - 3) * CHANNELS * sizeof(float);
    d.x.shape[1] = d.d_out.shape[1] = d.d_x.shape[1] = FIRST;
    tensor between = tensor_create(&c, VKA_F32, 3, d.state_in.shape, (layout){0});
    tensor_poison(&between);
    second.d_state_in = d.d_state_out = between.view;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_causal_conv_backward(c.recorder, &second));
    EXPECT_OK(vka_causal_conv_backward(c.recorder, &d));
    context_finish(&c);
    refer(&p, false);
    for (int i = D_X; i < TENSORS; i++) {
        tensor_collect(&p.t[i].t, true, p.t[i].name, "in pieces");
        for (size_t n = 0; n < p.t[i].t.count; n++) {
            double want = p.t[i].ref[n] + (p.t[i].adds ? (double)p.t[i].before[n] : 0);
            cr_assert(fabs((double)p.t[i].t.values[n] - want) < 1e-4, "%s[%zu] is %g, not %g", p.t[i].name, n,
                      (double)p.t[i].t.values[n], want);
        }
    }
    tensor_destroy(&between);
    gradient_destroy(p.t, TENSORS);
    context_close(&c);
}

Test(causal_conv_backward, refusals) {
    context c;
    context_open(&c, &config_short);
    vka_tensor x = vka_tensor_3d(NULL, VKA_F32, 2, 30, 16), w = vka_tensor_2d(NULL, VKA_F32, 16, 4),
               s = vka_tensor_3d(NULL, VKA_F32, 2, 3, 16);
    const vka_causal_conv_backward_desc good = {
        .x = x, .weight = w, .d_out = x, .d_x = x, .d_weight = w, .d_state_in = s};
    vka_causal_conv_backward_desc d = good;
    EXPECT_OK(vka_causal_conv_backward_prepare(c.device, &d));
    d.x = (vka_tensor){0};
    EXPECT_FAILURE(vka_causal_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_causal_conv_backward.x");
    d.d_weight = (vka_tensor){0};
    EXPECT_OK(vka_causal_conv_backward_prepare(c.device, &d));
    d.activation = VKA_ACTIVATION_SILU;
    EXPECT_FAILURE(vka_causal_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_causal_conv_backward.x");
    d = good;
    d.weight = (vka_tensor){0};
    EXPECT_FAILURE(vka_causal_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_causal_conv_backward.weight");
    d.d_x = (vka_tensor){0};
    EXPECT_FAILURE(vka_causal_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_causal_conv_backward.weight");
    d.d_state_in = (vka_tensor){0};
    EXPECT_OK(vka_causal_conv_backward_prepare(c.device, &d));
    d.d_weight = (vka_tensor){0};
    EXPECT_FAILURE(vka_causal_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_causal_conv_backward.d_x");
    d = good;
    d.d_state_in.shape[1] = 2;
    EXPECT_FAILURE(vka_causal_conv_backward_prepare(c.device, &d), VKA_INVALID, "vka_causal_conv_backward.d_state_in");
    d = good;
    d.x = d.d_out = d.d_x = vka_tensor_3d(NULL, VKA_F16, 2, 300, 40);
    d.weight = d.d_weight = vka_tensor_2d(NULL, VKA_F32, 40, 4);
    d.d_state_in = (vka_tensor){0};
    EXPECT_OK(vka_causal_conv_backward_prepare(c.device, &d));
    d.activation = VKA_ACTIVATION_SILU; /* g is twice as large */
    EXPECT_FAILURE(vka_causal_conv_backward_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_causal_conv_backward.d_out");
    d.x = vka_tensor_3d(NULL, VKA_F32, 2, 300, 40);
    EXPECT_FAILURE(vka_causal_conv_backward_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_causal_conv_backward.x");
    context_close(&c);
}
