/* The references of gradients against differences of those of what they are gradients of, both in float64.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>

#include "reference.h"
#include "support/context.h"

#define ROWS 3
#define COLS 7

static void expect_slope(const char *what, float *at, double (*loss)(const void *user), const void *user, double got) {
    double slope = ref_slope(at, loss, user);
    cr_expect(fabs(got - slope) <= 2e-5 * fmax(fabs(slope), 1), "%s: %g, but the slope is %g; VKATTN_SEED=%llu", what,
              got, slope, (unsigned long long)test_seed());
}

static void fill(ref_rng *rng, float *x, uint32_t count, float mean) {
    for (uint32_t i = 0; i < count; i++) {
        x[i] = mean + ref_rng_normal(rng);
    }
}

/* ---- norms ------------------------------------------------------------------------------------------------------- */

typedef struct norm {
    float x[ROWS * COLS], residual[ROWS * COLS], weight[COLS], bias[COLS], d_out[ROWS * COLS], d_sum[ROWS * COLS];
    ref_norm n;
} norm;

/* The sum of all outputs, each times its gradient. */
static double norm_loss(const void *user) {
    const norm *p = user;
    double loss = 0, out[COLS], sum[COLS], mean, inverse;
    for (uint32_t row = 0; row < ROWS; row++) {
        ref_norm_row(&p->n, VKA_F32, row, out, sum, &mean, &inverse);
        for (uint32_t c = 0; c < COLS; c++) {
            loss += out[c] * (double)p->d_out[row * COLS + c] + sum[c] * (double)p->d_sum[row * COLS + c];
        }
    }
    return loss;
}

static void check_norm(bool rms, bool zero_centred) {
    ref_rng rng = ref_rng_seed(test_seed());
    norm p;
    fill(&rng, p.x, ROWS * COLS, 1);
    fill(&rng, p.residual, ROWS * COLS, 0);
    fill(&rng, p.weight, COLS, 1);
    fill(&rng, p.bias, COLS, 0);
    fill(&rng, p.d_out, ROWS * COLS, 0);
    fill(&rng, p.d_sum, ROWS * COLS, 0);
    p.n = (ref_norm){.rows = ROWS,
                     .cols = COLS,
                     .x = p.x,
                     .weight = p.weight,
                     .bias = p.bias,
                     .residual = p.residual,
                     .rms = rms,
                     .zero_centred = zero_centred,
                     .epsilon = 0.01};
    double d_x[COLS], d_weight[COLS] = {0}, d_bias[COLS] = {0};
    for (uint32_t row = 0; row < ROWS; row++) {
        ref_norm_backward_row(&p.n, VKA_F32, row, p.d_out, p.d_sum, d_x, d_weight, d_bias);
        for (uint32_t c = 0; c < COLS; c++) {
            expect_slope("d_x", &p.x[row * COLS + c], norm_loss, &p, d_x[c]);
            expect_slope("d_x by residual", &p.residual[row * COLS + c], norm_loss, &p, d_x[c]);
        }
    }
    for (uint32_t c = 0; c < COLS; c++) {
        expect_slope("d_weight", &p.weight[c], norm_loss, &p, d_weight[c]);
        expect_slope("d_bias", &p.bias[c], norm_loss, &p, d_bias[c]);
    }
}

Test(reference_backward, layer_norm) {
    check_norm(false, false);
}

Test(reference_backward, rms_norm) {
    check_norm(true, false);
    check_norm(true, true);
}

/* ---- softmax ----------------------------------------------------------------------------------------------------- */

typedef struct softmax {
    float x[COLS], d_y[COLS];
    ref_logits s;
} softmax;

static double softmax_loss(const void *user) {
    const softmax *p = user;
    double loss = 0, y[COLS];
    ref_logits_softmax(&p->s, y);
    for (uint32_t c = 0; c < p->s.live; c++) {
        loss += y[c] * (double)p->d_y[c];
    }
    return loss;
}

static void check_softmax(bool log, uint32_t live) {
    ref_rng rng = ref_rng_seed(test_seed());
    softmax p;
    fill(&rng, p.x, COLS, 0);
    fill(&rng, p.d_y, COLS, 0);
    p.s = (ref_logits){.cols = COLS, .live = live, .x = p.x, .scale = 0.75, .log = log};
    double y[COLS], d_x[COLS];
    float rounded[COLS];
    ref_logits_softmax(&p.s, y);
    for (uint32_t c = 0; c < COLS; c++) {
        rounded[c] = (float)y[c];
    }
    ref_softmax_backward b = {.cols = COLS, .live = live, .y = rounded, .d_y = p.d_y, .scale = p.s.scale, .log = log};
    ref_softmax_backward_row(&b, d_x);
    for (uint32_t c = 0; c < COLS; c++) {
        expect_slope("d_x", &p.x[c], softmax_loss, &p, d_x[c]);
    }
}

Test(reference_backward, softmax) {
    for (uint32_t live = 0; live <= COLS; live++) {
        check_softmax(false, live);
        check_softmax(true, live);
    }
}

/* ---- cross entropy ----------------------------------------------------------------------------------------------- */

typedef struct entropy {
    float x[COLS];
    double smoothing, d_loss, d_lse;
    uint32_t target;
    ref_logits s;
} entropy;

static double entropy_loss(const void *user) {
    const entropy *p = user;
    return p->d_loss * ref_logits_loss(&p->s, p->target, p->smoothing) + p->d_lse * ref_logits_lse(&p->s);
}

Test(reference_backward, cross_entropy) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t i = 0; i < COLS; i++) {
        entropy p = {.smoothing = i / 6.0, .d_loss = 1.5 - i, .d_lse = i % 2 ? 0.5 : 0, .target = i};
        fill(&rng, p.x, COLS, 0);
        p.s = (ref_logits){.cols = COLS, .live = COLS, .x = p.x, .scale = 1};
        double d_x[COLS];
        ref_logits_loss_backward(&p.s, p.target, p.smoothing, p.d_loss, p.d_lse, d_x);
        for (uint32_t c = 0; c < COLS; c++) {
            expect_slope("d_x", &p.x[c], entropy_loss, &p, d_x[c]);
        }
    }
}

/* ---- causal convolution ------------------------------------------------------------------------------------------ */

#define CONV_TOKENS   5
#define CONV_CHANNELS 2
#define CONV_TAPS     4

typedef struct conv {
    float x[CONV_TOKENS * CONV_CHANNELS], state[(CONV_TAPS - 1) * CONV_CHANNELS], weight[CONV_CHANNELS * CONV_TAPS];
    float bias[CONV_CHANNELS], d_out[CONV_TOKENS * CONV_CHANNELS], d_state_out[(CONV_TAPS - 1) * CONV_CHANNELS];
    ref_causal_conv_backward b;
} conv;

static double conv_loss(const void *user) {
    const conv *p = user;
    double loss = 0;
    for (uint32_t c = 0; c < CONV_CHANNELS; c++) {
        for (uint32_t t = 0; t < p->b.tokens; t++) {
            loss += (double)p->d_out[t * CONV_CHANNELS + c] * ref_causal_conv_at(&p->b.forward, t, c);
        }
        for (uint32_t j = 0; j + 1 < CONV_TAPS; j++) {
            float x = ref_causal_conv_input(&p->b.forward, (int64_t)p->b.tokens - CONV_TAPS + 1 + j, c);
            loss += (double)p->d_state_out[j * CONV_CHANNELS + c] * (double)x;
        }
    }
    return loss;
}

/* With fewer tokens than taps, too. */
Test(reference_backward, causal_conv) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t tokens = 0; tokens <= CONV_TOKENS; tokens++) {
        conv p;
        double d_x[CONV_TOKENS * CONV_CHANNELS] = {0}, d_state_in[(CONV_TAPS - 1) * CONV_CHANNELS] = {0};
        double d_weight[CONV_CHANNELS * CONV_TAPS] = {0}, d_bias[CONV_CHANNELS] = {0};
        fill(&rng, p.x, CONV_TOKENS * CONV_CHANNELS, 0);
        fill(&rng, p.state, (CONV_TAPS - 1) * CONV_CHANNELS, 0);
        fill(&rng, p.weight, CONV_CHANNELS * CONV_TAPS, 0);
        fill(&rng, p.bias, CONV_CHANNELS, 0);
        fill(&rng, p.d_out, CONV_TOKENS * CONV_CHANNELS, 0);
        fill(&rng, p.d_state_out, (CONV_TAPS - 1) * CONV_CHANNELS, 0);
        p.b = (ref_causal_conv_backward){
            .forward = {CONV_CHANNELS, CONV_TAPS, p.x, p.weight, p.bias, p.state,
                        tokens % 2 ? VKA_ACTIVATION_SILU : VKA_ACTIVATION_TANH},
            .tokens = tokens,
            .d_out = p.d_out,
            .d_state_out = p.d_state_out,
            .d_x = d_x,
            .d_state_in = d_state_in,
            .d_weight = d_weight,
            .d_bias = d_bias,
        };
        ref_causal_conv_gradients(&p.b);
        for (uint32_t i = 0; i < tokens * CONV_CHANNELS; i++) {
            expect_slope("d_x", &p.x[i], conv_loss, &p, d_x[i]);
        }
        for (uint32_t i = 0; i < (CONV_TAPS - 1) * CONV_CHANNELS; i++) {
            expect_slope("d_state_in", &p.state[i], conv_loss, &p, d_state_in[i]);
        }
        for (uint32_t i = 0; i < CONV_CHANNELS * CONV_TAPS; i++) {
            expect_slope("d_weight", &p.weight[i], conv_loss, &p, d_weight[i]);
        }
        for (uint32_t i = 0; i < CONV_CHANNELS; i++) {
            expect_slope("d_bias", &p.bias[i], conv_loss, &p, d_bias[i]);
        }
    }
}

/* ---- dynamic convolution ----------------------------------------------------------------------------------------- */

typedef struct shares {
    float x[5 * 4], weight[5 * 2 * 3], d_out[5 * 4];
    ref_dynamic_conv_backward b;
} shares;

static double shares_loss(const void *user) {
    const shares *p = user;
    const ref_dynamic_conv *c = &p->b.forward;
    double loss = 0;
    for (uint32_t i = 0; i < c->tokens * c->channels; i++) {
        loss += (double)p->d_out[i] * ref_dynamic_conv_at(c, i / c->channels, i % c->channels);
    }
    return loss;
}

Test(reference_backward, dynamic_conv) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 12; n++) {
        shares p;
        double d_x[5 * 4] = {0}, d_weight[5 * 2 * 3] = {0};
        fill(&rng, p.x, 5 * 4, 0);
        fill(&rng, p.weight, 5 * 2 * 3, 0);
        fill(&rng, p.d_out, 5 * 4, 0);
        p.b = (ref_dynamic_conv_backward){.forward = {.tokens = 5,
                                                      .channels = 4,
                                                      .heads = 2,
                                                      .taps = 3,
                                                      .ahead = n % 3,
                                                      .length = n % 5 == 4 ? 3 : 5,
                                                      .renormalise = n % 2,
                                                      .same = n / 6,
                                                      .x = p.x,
                                                      .weight = p.weight},
                                          .d_out = p.d_out,
                                          .d_x = d_x,
                                          .d_weight = d_weight};
        ref_dynamic_conv_gradients(&p.b);
        for (uint32_t i = 0; i < 5 * 4; i++) {
            expect_slope("d_x", &p.x[i], shares_loss, &p, d_x[i]);
        }
        for (uint32_t i = 0; i < 5 * 2 * 3; i++) {
            expect_slope("d_weight", &p.weight[i], shares_loss, &p, d_weight[i]);
        }
    }
}
