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

/* ---- activations ------------------------------------------------------------------------------------------------- */

typedef struct activation {
    float x, alpha;
    vka_activation name;
} activation;

static double activation_value(const void *user) {
    const activation *p = user;
    return p->alpha ? ref_swish((double)p->x, (double)p->alpha) : ref_activation(p->name, (double)p->x);
}

/* Of vka_map, vka_glu and linear layers; not where relu has a corner. */
Test(reference_backward, activations) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int n = 0; n < 200; n++) {
        activation p = {.name = (vka_activation)(n % (VKA_ACTIVATION_SIGMOID + 1)), .x = 2 * ref_rng_normal(&rng)};
        p.x = fabsf(p.x) < 0.01f ? 1 : p.x;
        expect_slope("activation", &p.x, activation_value, &p, ref_activation_slope(p.name, (double)p.x));
        p.alpha = 0.5f + (float)(n % 4);
        expect_slope("swish", &p.x, activation_value, &p, ref_swish_slope((double)p.x, (double)p.alpha));
    }
}

/* ---- maps whose backward pass is one of them ------------------------------------------------------------------- */

/* A rotation's gradient is turned back, that of a Hadamard transform is transformed. */
typedef struct turn {
    float x[8], d_out[8], cosines[3], sines[3];
    ref_rope rope;
    bool tables, hadamard;
} turn;

static void turn_row(const turn *p, const float *x, bool back, double *out) {
    ref_rope rope = p->rope;
    rope.inverse = back != p->rope.inverse;
    ref_rope_row row = {.x = x, .position = 5};
    if (p->tables) {
        row.cos = p->cosines;
        row.sin = p->sines;
    }
    if (p->hadamard) {
        ref_hadamard_row(8, 4, x, out);
    } else {
        ref_rope_rotate(&rope, &row, out);
    }
}

static double turn_loss(const void *user) {
    const turn *p = user;
    double loss = 0, out[8];
    turn_row(p, p->x, false, out);
    for (uint32_t c = 0; c < 8; c++) {
        loss += out[c] * (double)p->d_out[c];
    }
    return loss;
}

Test(reference_backward, rotations_and_transforms) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int n = 0; n < 9; n++) {
        turn p = {.tables = n % 2, .hadamard = n == 8};
        p.rope = (ref_rope){
            .cols = 8, .dims = 6, .interleaved = n / 2 % 2, .inverse = n / 4 % 2, .theta = 10000, .frequency_scale = 1};
        double d_x[8];
        fill(&rng, p.x, 8, 0);
        fill(&rng, p.d_out, 8, 0);
        fill(&rng, p.cosines, 3, 0); /* tables may scale */
        fill(&rng, p.sines, 3, 0);
        turn_row(&p, p.d_out, true, d_x);
        for (uint32_t c = 0; c < 8; c++) {
            expect_slope(p.hadamard ? "transform" : "rotation", &p.x[c], turn_loss, &p, d_x[c]);
        }
    }
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

/* ---- linear attention -------------------------------------------------------------------------------------------- */

enum { LA_TOKENS = 4, LA_KEYS = 3, LA_VALUES = 2, LA_QUERIES = 2 };

typedef struct recurrence {
    float q[LA_QUERIES * LA_TOKENS * LA_KEYS], k[LA_TOKENS * LA_KEYS], v[LA_TOKENS * LA_VALUES];
    float decay[LA_TOKENS * LA_KEYS], beta[LA_TOKENS], state_in[LA_KEYS * LA_VALUES];
    float d_out[LA_QUERIES * LA_TOKENS * LA_VALUES], d_state_out[LA_KEYS * LA_VALUES];
    ref_linear_attention_backward b;
} recurrence;

static double recurrence_loss(const void *user) {
    const recurrence *p = user;
    double state[LA_KEYS * LA_VALUES], out[LA_QUERIES * LA_VALUES], loss = 0;
    for (uint32_t i = 0; i < LA_KEYS * LA_VALUES; i++) {
        state[i] = (double)p->state_in[i];
    }
    for (uint32_t t = 0; t < LA_TOKENS; t++) {
        ref_linear_attention_step(&p->b.forward, t, state, out);
        for (uint32_t i = 0; i < LA_QUERIES * LA_VALUES; i++) {
            size_t row = (size_t)(i / LA_VALUES) * LA_TOKENS + t;
            loss += (double)p->d_out[row * LA_VALUES + i % LA_VALUES] * out[i];
        }
    }
    for (uint32_t i = 0; i < LA_KEYS * LA_VALUES; i++) {
        loss += (double)p->d_state_out[i] * state[i];
    }
    return loss;
}

static void expect_slopes(recurrence *p, const char *what, float *x, const double *got, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        expect_slope(what, &x[i], recurrence_loss, p, got[i]);
    }
}

Test(reference_backward, linear_attention) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 8; n++) {
        recurrence p;
        bool delta = n & 2, gated = n & 1, channels = n & 4;
        double d_q[LA_QUERIES * LA_TOKENS * LA_KEYS] = {0}, d_k[LA_TOKENS * LA_KEYS] = {0};
        double d_v[LA_TOKENS * LA_VALUES] = {0}, d_decay[LA_TOKENS * LA_KEYS] = {0}, d_beta[LA_TOKENS] = {0};
        double d_state_in[LA_KEYS * LA_VALUES] = {0};
        float *all[] = {p.q, p.k, p.v, p.decay, p.beta, p.state_in, p.d_out, p.d_state_out};
        static const size_t sizes[] = {sizeof p.q,    sizeof p.k,        sizeof p.v,     sizeof p.decay,
                                       sizeof p.beta, sizeof p.state_in, sizeof p.d_out, sizeof p.d_state_out};
        for (int i = 0; i < 8; i++) {
            fill(&rng, all[i], (uint32_t)(sizes[i] / sizeof(float)), i == 3 ? -1.0f : 0.0f);
        }
        for (uint32_t i = 0; i < LA_TOKENS * LA_KEYS; i++) {
            p.k[i] *= 0.5f;
        }
        p.b = (ref_linear_attention_backward){
            .forward = {.rule = (vka_linear_attention_rule)(1 + n % 4),
                        .tokens = LA_TOKENS,
                        .key_dim = LA_KEYS,
                        .value_dim = LA_VALUES,
                        .queries = LA_QUERIES,
                        .q = p.q,
                        .k = p.k,
                        .v = p.v,
                        .decay = gated ? p.decay : NULL,
                        .decay_per_channel = channels,
                        .beta = delta ? p.beta : NULL,
                        .scale = 0.75},
            .state_in = p.state_in,
            .d_out = p.d_out,
            .d_state_out = p.d_state_out,
            .d_q = d_q,
            .d_k = d_k,
            .d_v = d_v,
            .d_decay = d_decay,
            .d_beta = d_beta,
            .d_state_in = d_state_in,
        };
        ref_linear_attention_gradients(&p.b);
        expect_slopes(&p, "d_q", p.q, d_q, LA_QUERIES * LA_TOKENS * LA_KEYS);
        expect_slopes(&p, "d_k", p.k, d_k, LA_TOKENS * LA_KEYS);
        expect_slopes(&p, "d_v", p.v, d_v, LA_TOKENS * LA_VALUES);
        expect_slopes(&p, "d_decay", p.decay, d_decay, gated ? LA_TOKENS * (channels ? LA_KEYS : 1) : 0);
        expect_slopes(&p, "d_beta", p.beta, d_beta, delta ? LA_TOKENS : 0);
        expect_slopes(&p, "d_state_in", p.state_in, d_state_in, LA_KEYS * LA_VALUES);
    }
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

enum { AT_HEADS = 2, AT_QUERIES = 3, AT_KEYS = 4, AT_DIM = 3, AT_VALUES = 2, AT_RELATIVE = 5 };

typedef struct attention {
    float q[AT_HEADS * AT_QUERIES * AT_DIM], k[AT_KEYS * AT_DIM], v[AT_KEYS * AT_VALUES], cosine[AT_HEADS];
    float relative_keys[AT_HEADS * AT_RELATIVE * AT_DIM], content[AT_HEADS * AT_DIM], position[AT_HEADS * AT_DIM];
    float mask[AT_HEADS * AT_QUERIES * AT_KEYS], relative[AT_HEADS * AT_RELATIVE], alibi[AT_HEADS], sinks[AT_HEADS];
    float d_out[AT_HEADS * AT_QUERIES * AT_VALUES], d_lse[AT_HEADS * AT_QUERIES];
    ref_attention a;
} attention;

typedef struct attention_slopes {
    double q[AT_HEADS * AT_QUERIES * AT_DIM], k[AT_KEYS * AT_DIM], v[AT_KEYS * AT_VALUES], cosine[AT_HEADS];
    double relative_keys[AT_HEADS * AT_RELATIVE * AT_DIM], content[AT_HEADS * AT_DIM], position[AT_HEADS * AT_DIM];
    double mask[AT_HEADS * AT_QUERIES * AT_KEYS], relative[AT_HEADS * AT_RELATIVE], alibi[AT_HEADS], sinks[AT_HEADS];
} attention_slopes;

static double attention_loss(const void *user) {
    const attention *p = user;
    double loss = 0, out[AT_VALUES], scratch[AT_KEYS];
    for (uint32_t n = 0; n < AT_HEADS * AT_QUERIES; n++) {
        ref_softmax row;
        ref_attention_row(&p->a, 0, n / AT_QUERIES, n % AT_QUERIES, out, &row, scratch);
        for (uint32_t c = 0; c < AT_VALUES; c++) {
            loss += out[c] * (double)p->d_out[n * AT_VALUES + c];
        }
        loss += row.lse == -INFINITY ? 0 : row.lse * (double)p->d_lse[n];
    }
    return loss;
}

static void add_attention_biases(const attention *p, uint32_t h, uint32_t i, uint32_t j, double score,
                                 attention_slopes *s) {
    if (!p->a.mask) {
        return;
    }
    ref_attention distance = p->a; /* with a slope of 1 and no other bias: what the slope is multiplied by */
    const float one[AT_HEADS] = {1, 1};
    double terms[3];
    distance.mask = distance.relative = NULL;
    distance.alibi = one;
    ref_attention_biases(&distance, 0, h, i, j, terms);
    s->mask[ref_attention_mask_index(&p->a, 0, h, i, j)] += score;
    s->relative[ref_attention_relative_index(&p->a, 0, h, i, j)] += score;
    s->alibi[h] += score * terms[0];
}

static void add_attention_pair(const attention *p, uint32_t h, uint32_t i, uint32_t j, const ref_pairs *pairs,
                               attention_slopes *s) {
    double product = pairs->product[j] * p->a.scale;
    ref_product by;
    ref_attention_product(&p->a, 0, h, i, j, &by);
    for (uint32_t d = 0; d < AT_DIM; d++) {
        s->q[(h * AT_QUERIES + i) * AT_DIM + d] += product * by.q[d];
        s->k[j * AT_DIM + d] += product * by.k[d];
        if (p->a.relative_keys) {
            const float *r = ref_attention_relative_key(&p->a, 0, h, i, j);
            s->relative_keys[r - p->relative_keys + d] += product * by.relative_key[d];
            s->content[h * AT_DIM + d] += product * (double)p->k[j * AT_DIM + d];
            s->position[h * AT_DIM + d] += product * (double)r[d];
        }
    }
    s->cosine[h] += product * by.cosine;
    add_attention_biases(p, h, i, j, pairs->score[j], s);
    for (uint32_t c = 0; c < AT_VALUES; c++) {
        s->v[j * AT_VALUES + c] += pairs->weight[j] * (double)p->d_out[(h * AT_QUERIES + i) * AT_VALUES + c];
    }
}

static void add_attention_pairs(const attention *p, attention_slopes *s) {
    double weight[AT_KEYS], score[AT_KEYS], product[AT_KEYS];
    ref_pairs pairs = {weight, score, product, 0, 0};
    for (uint32_t n = 0; n < AT_HEADS * AT_QUERIES; n++) {
        uint32_t h = n / AT_QUERIES, i = n % AT_QUERIES;
        ref_attention_backward_row(&p->a, 0, h, i, p->d_out + n * AT_VALUES, (double)p->d_lse[n], &pairs);
        for (uint32_t j = 0; j < AT_KEYS; j++) {
            if (ref_attention_visible(&p->a, 0, h, i, j)) {
                add_attention_pair(p, h, i, j, &pairs, s);
            }
        }
        s->sinks[h] += pairs.sink;
    }
}

/* What lists of keys have, key by key: some twice, and one query nothing. */
static const uint32_t listed_keys[AT_HEADS * AT_QUERIES * AT_KEYS] = {2, 0, 1, 0, 1, 3, 0, 1, 0, 1, 2, 1,
                                                                      1, 1, 0, 0, 0, 0, 0, 1, 2, 2, 1, 0};

static void check_attention(bool cosine, bool relative, bool biased, double softcap, bool listed) {
    ref_rng rng = ref_rng_seed(test_seed());
    attention p;
    attention_slopes s = {0};
    const struct {
        const char *name;
        float *x;
        const double *slope;
        uint32_t count;
    } all[] = {{"d_q", p.q, s.q, AT_HEADS * AT_QUERIES * AT_DIM},
               {"d_k", p.k, s.k, AT_KEYS * AT_DIM},
               {"d_v", p.v, s.v, AT_KEYS * AT_VALUES},
               {"d_cosine_scale", p.cosine, s.cosine, AT_HEADS},
               {"d_relative_keys", p.relative_keys, s.relative_keys, AT_HEADS * AT_RELATIVE * AT_DIM},
               {"d_content_bias", p.content, s.content, AT_HEADS * AT_DIM},
               {"d_position_bias", p.position, s.position, AT_HEADS * AT_DIM},
               {"d_mask", p.mask, s.mask, AT_HEADS * AT_QUERIES * AT_KEYS},
               {"d_relative_bias", p.relative, s.relative, AT_HEADS * AT_RELATIVE},
               {"d_alibi_slopes", p.alibi, s.alibi, AT_HEADS},
               {"d_sinks", p.sinks, s.sinks, AT_HEADS}};
    const int count = sizeof all / sizeof *all;
    for (int i = 0; i < count; i++) {
        fill(&rng, all[i].x, all[i].count, i == 3 ? 3 : 0);
    }
    for (uint32_t i = 0; i < AT_KEYS; i++) {
        p.k[i * AT_DIM] += 2; /* the slopes of a short row's direction are steep */
    }
    for (uint32_t i = 0; i < AT_HEADS * AT_QUERIES; i++) {
        p.q[i * AT_DIM] += 2;
    }
    fill(&rng, p.d_out, AT_HEADS * AT_QUERIES * AT_VALUES, 0);
    fill(&rng, p.d_lse, AT_HEADS * AT_QUERIES, 0);
    p.a = (ref_attention){.batch = 1,
                          .q_heads = AT_HEADS,
                          .kv_heads = 1,
                          .q_len = AT_QUERIES,
                          .kv_len = AT_KEYS,
                          .head_dim = AT_DIM,
                          .value_dim = AT_VALUES,
                          .q = p.q,
                          .k = p.k,
                          .v = p.v,
                          .scale = 0.75,
                          .causal = true,
                          .softcap = softcap,
                          .cosine = cosine ? p.cosine : NULL,
                          .relative_keys = relative ? p.relative_keys : NULL,
                          .relative_keys_heads = AT_HEADS,
                          .relative_keys_len = AT_RELATIVE,
                          .relative_keys_zero = 1,
                          .content_bias = relative ? p.content : NULL,
                          .position_bias = relative ? p.position : NULL,
                          .mask = biased ? p.mask : NULL,
                          .mask_shape = {1, AT_HEADS, AT_QUERIES, AT_KEYS},
                          .relative = biased ? p.relative : NULL,
                          .relative_heads = AT_HEADS,
                          .relative_len = AT_RELATIVE,
                          .relative_zero = 1,
                          .alibi = biased ? p.alibi : NULL,
                          .sinks = biased ? p.sinks : NULL,
                          .listed = listed ? listed_keys : NULL,
                          .dropout = listed ? 0.3 : 0,
                          .seed = 5};
    add_attention_pairs(&p, &s);
    for (int i = 0; i < count; i++) {
        for (uint32_t n = 0; n < all[i].count; n++) {
            expect_slope(all[i].name, &all[i].x[n], attention_loss, &p, all[i].slope[n]);
        }
    }
}

Test(reference_backward, attention) {
    check_attention(false, false, false, 0, false);
    check_attention(true, false, false, 0, false);
    check_attention(true, false, true, 2, false);
    check_attention(false, true, false, 0, false);
    check_attention(false, true, true, 2, false);
    check_attention(false, false, true, 0, false);
    check_attention(false, false, true, 2, true);
    check_attention(true, false, false, 0, true);
}
