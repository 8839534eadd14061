/* Float64 references, and the naive storage-precision computations that the accuracy rule compares with.
 * Everything works on dense arrays in the order of the public shapes; values are already rounded to storage type.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_REFERENCE_H
#define VKATTN_REFERENCE_H

#include <vkattn/attention.h>
#include <vkattn/linear_attention.h>

/* Attention with every option. Entry b is a sequence: packed, paged and shared tensors are gathered by the caller, so
 * that everything here is dense and [b, head, row]. */
/* A pair of query and key, as a function of scores sees it. */
typedef struct ref_pair {
    int64_t batch, head, key_head, query, key, position, queries, keys;
} ref_pair;

typedef struct ref_attention {
    uint32_t batch, q_heads, kv_heads, q_len, kv_len, head_dim, value_dim;
    const float *q;        /* [batch, q_heads, q_len, head_dim]    */
    const float *k;        /* [batch, kv_heads, kv_len, head_dim]  */
    const float *v;        /* [batch, kv_heads, kv_len, value_dim] */
    double scale;          /* as applied: never 0                  */
    const float *additive; /* [q_heads, head_dim]: a score is additive . tanh(q + k) instead of q . k; NULL: it isn't */
    bool causal;
    int64_t diagonal; /* resolved: p = i + diagonal          */
    bool window;
    int32_t left, right; /* VKA_UNBOUNDED: no bound          */
    /* Zero and NULL: off. */
    const uint32_t *kv_lens;        /* [batch]: keys of each sequence, at most kv_len                                */
    bool own_keys;                  /* there is nothing to look at beyond them                                       */
    const int64_t *diagonals;       /* [batch]: instead of diagonal                                                  */
    const float *k_scale, *v_scale; /* [batch, kv_heads, kv_len]: factors of a row's elements                         */
    double softcap;
    const float *mask;      /* dense, of the following shape; sizes of 1 broadcast                                  */
    uint32_t mask_shape[4]; /* of [batch, q_heads, query, key]                                                      */
    bool mask_boolean;      /* keep where it is not 0; otherwise it is added                                        */
    const float *alibi;     /* [q_heads] */
    const float *relative;  /* [q_heads, relative_len], or one row for all heads */
    uint32_t relative_heads, relative_len, relative_zero;
    uint32_t relative_width, relative_rows, relative_zero_row; /* of a grid: [q_heads, relative_rows, relative_len] */
    const float *sinks;                                        /* [q_heads] */
    const float *cosine; /* [q_heads]: rows of q and k are normalised, and their product gets this factor; NULL: not */
    const float *relative_keys; /* [q_heads, relative_keys_len, head_dim], or of one head for all; NULL: none        */
    uint32_t relative_keys_heads, relative_keys_len, relative_keys_zero;
    const float *content_bias, *position_bias; /* [q_heads, head_dim]; NULL: 0 */
    vka_selection selection;
    double dropout;
    uint64_t seed;
    uint32_t random_offset;
    const vka_pattern_desc *pattern;
    const int64_t
        *slots; /* [batch, q_heads, max(q_len, kv_len)]: where a permutation has a token, -1: nowhere. The pattern */
                /* is then about slots                                                                 */
    const int64_t
        *key_lists;         /* [batch, q_heads, q_len, key_list_len]: the only keys that a query sees; those below 0 */
    uint32_t key_list_len;  /*   are none. NULL: no lists                                                         */
    const uint32_t *listed; /* [batch, q_heads, q_len, kv_len]: how often they have each key                      */
    /* What becomes of a capped score; -INFINITY hides the key, whatever the score is. NULL: it stays. */
    double (*function)(const void *user, double score, const ref_pair *at);
    const void *function_user;
    const uint32_t *q_lens;                     /* [batch]: queries of each sequence, for functions alone */
    vka_dtype q_type, k_type, v_type, out_type; /* for the naive twin alone; 0: f32 */
} ref_attention;

/* May query i see key j? Not when a mask or a bias is -inf there. */
bool ref_attention_visible(const ref_attention *a, uint32_t b, uint32_t h, int64_t i, int64_t j);
/* How often it counts: 1, unless a list has it more often. */
uint32_t ref_attention_count(const ref_attention *a, uint32_t b, uint32_t h, int64_t i, int64_t j);
/* Without masks and biases: what lengths, causality and window say. */
bool ref_attention_in_band(const ref_attention *a, uint32_t b, int64_t i, int64_t j);

/* The scores of a row: kv_len of them. Masks come last, and a length is a mask: the first stages have the keys beyond a
 * sequence's end too, or 0 with own_keys. */
void ref_attention_scores(const ref_attention *a, vka_score_stage stage, uint32_t b, uint32_t h, uint32_t i,
                          double *score);

/* What the function makes of a score, if there is one. */
double ref_attention_function(const ref_attention *a, double score, uint32_t b, uint32_t h, int64_t i, int64_t j);

/* The key of the relative position of query i and key j. */
const float *ref_attention_relative_key(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j);

/* The biases of a score in the order in which they are added; returns how many there are. */
uint32_t ref_attention_biases(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j, double terms[3]);

/* Of a row, sink included. One that sees nothing has -inf, 0, -inf. */
typedef struct ref_softmax {
    double max, sum, lse;
} ref_softmax;
ref_softmax ref_attention_softmax(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const double *score);

/* One output row in float64: out [value_dim]. scratch holds kv_len doubles. */
void ref_attention_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, double *out, ref_softmax *softmax,
                       double *scratch);

/* The same, unfused: keys and values dequantised, scores and probabilities rounded to the storage types, sums in f32,
 * output rounded. A matrix has the type of its factors; f32 if they differ, and quantised ones have the other's.
 * Scratch holds kv_len floats. The row is for VKA_SELECTION_SOFTMAX: others see ref_attention_naive_pick. */
void ref_attention_naive_scores(const ref_attention *a, vka_score_stage stage, uint32_t b, uint32_t h, uint32_t i,
                                float *score);
void ref_attention_naive_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, float *out,
                             ref_softmax *softmax, float *scratch);

/* Is it a pair without a score at this stage? What it has instead. */
bool ref_attention_hidden(const ref_attention *a, vka_score_stage stage, uint32_t b, uint32_t h, uint32_t i, uint32_t j,
                          double *score);

/* VKA_SELECTION_ARGMAX and _SAMPLE. The key that a row's scores (VKA_SCORES_MASKED) select: the first of equals; kv_len
 * if it sees none. */
uint32_t ref_attention_choice(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const double *score);
/* The keys that arithmetic whose scores are off by `error` may select. */
void ref_attention_choices(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, double error,
                           const double *score, bool *possible);
/* The output row when key j is selected; j = kv_len: none is. */
void ref_attention_pick(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j, const double *score,
                        double *out, ref_softmax *softmax);
void ref_attention_naive_pick(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j,
                              const float *score, float *out, ref_softmax *softmax);

/* Where the mask and the relative biases have the element of a pair. */
size_t ref_attention_mask_index(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j);
size_t ref_attention_relative_index(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j);

/* The gradients of a row's pairs, kv_len of each: what multiplies d_out on its way to d_v; that of the score, which its
 * biases get; that of scale * q . k. And of the sink; and the row's log-sum-exp. d_out [value_dim]. */
typedef struct ref_pairs {
    double *weight, *score, *product;
    double sink, lse;
} ref_pairs;
void ref_attention_backward_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const float *d_out,
                                double d_lse, ref_pairs *pairs);
/* The same, unfused, as ref_attention_naive_row is. */
void ref_attention_naive_backward_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, const float *d_out,
                                      double d_lse, ref_pairs *pairs);

/* The derivatives of a pair's q . k, or of what stands in its place, by a row of q, of k, and of relative_keys, and by
 * the head's factor of cosines. By content_bias and position_bias they are the pair's key and its relative key. */
typedef struct ref_product {
    double q[576], k[576], relative_key[576], cosine;
} ref_product;
void ref_attention_product(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j, ref_product *p);
/* The same with rows rounded to the storage type before they are multiplied. */
void ref_attention_naive_product(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j,
                                 ref_product *p);

/* Philox4x32-10. */
void ref_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]);
/* The random word of a query and a key. */
uint32_t ref_attention_word(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j);
/* What a word adds to a score for VKA_SELECTION_SAMPLE; what is added to a key's score, if anything; and that by the
 * worst logarithm that Vulkan allows. */
double ref_attention_gumbel(uint32_t word);
double ref_attention_noise(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j);
double ref_attention_naive_noise(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j);
/* What dropout multiplies the weight by. */
double ref_attention_keep(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, uint32_t j);

/* Does a query at position p see the key at position j? Not outside of the pattern, either. A term that does not belong
 * to the head is not there: an alternative that begins with it is none for this head. */
bool ref_pattern_sees(const vka_pattern_desc *d, uint32_t head, int64_t p, int64_t j);

/* Layer norm, or RMS norm. */
typedef struct ref_norm {
    uint32_t rows, cols;
    const float *x;        /* [rows, cols]           */
    const float *weight;   /* [cols] or NULL         */
    const float *bias;     /* [cols] or NULL         */
    const float *residual; /* [rows, cols] or NULL   */
    bool round_sum;        /* y = x + residual is rounded to storage before it is normalised */
    bool rms;              /* the mean is not subtracted: it counts as 0    */
    bool zero_centred;     /* 1 is added to the weight                      */
    double epsilon;        /* as applied: never 0    */
} ref_norm;

/* One row in float64: out [cols], sum [cols] (x + residual; may be NULL), *mean, *inv_std. */
void ref_norm_row(const ref_norm *n, vka_dtype dtype, uint32_t row, double *out, double *sum, double *mean,
                  double *inv_std);

/* The same with f32 arithmetic (two passes) and outputs rounded to storage. sum may be NULL. */
void ref_norm_naive_row(const ref_norm *n, vka_dtype dtype, uint32_t row, float *out, float *sum, float *mean,
                        float *inv_std);

/* Gradients of one row. In float64: d_x [cols]; d_weight and d_bias [cols] get the row's part added. d_out and d_sum
 * [rows, cols]; d_sum may be NULL. */
void ref_norm_backward_row(const ref_norm *n, vka_dtype dtype, uint32_t row, const float *d_out, const float *d_sum,
                           double *d_x, double *d_weight, double *d_bias);
/* The same with f32 arithmetic and d_x rounded to storage. */
void ref_norm_naive_backward_row(const ref_norm *n, vka_dtype dtype, uint32_t row, const float *d_out,
                                 const float *d_sum, float *d_x, float *d_weight, float *d_bias);

/* A step of a computation in float64, or with f32 arithmetic: what a sum, product or quotient of floats is as a float.
 */
static inline double ref_step(bool naive, double x) {
    return naive ? (double)(float)x : x;
}

/* By how much `value` changes with *at: a central difference. */
double ref_slope(float *at, double (*value)(const void *user), const void *user);

/* A row of logits, of which there is a softmax or its logarithm. */
typedef struct ref_logits {
    uint32_t cols, live; /* columns from `live` on are hidden */
    const float *x;      /* [cols]                            */
    double scale;        /* as applied: never 0               */
    bool log;
} ref_logits;

/* In float64: out [cols]; the logarithm of the sum of exponentials. */
void ref_logits_softmax(const ref_logits *s, double *out);
double ref_logits_lse(const ref_logits *s);
/* With f32 arithmetic, out rounded to its type. */
void ref_logits_naive_softmax(const ref_logits *s, vka_dtype dtype, float *out);
float ref_logits_naive_lse(const ref_logits *s);
/* A row of a softmax, or of its logarithm, of which there is the gradient. */
typedef struct ref_softmax_backward {
    uint32_t cols, live;  /* columns from `live` on are hidden                */
    const float *y, *d_y; /* [cols]: what the softmax wrote, and its gradient */
    double scale;         /* as applied: never 0                              */
    bool log;
} ref_softmax_backward;
void ref_softmax_backward_row(const ref_softmax_backward *s, double *d_x);
void ref_softmax_backward_naive_row(const ref_softmax_backward *s, vka_dtype dtype, float *d_x);
/* Cross entropy with label smoothing; scale is 1 and everything is live. */
double ref_logits_loss(const ref_logits *s, uint32_t target, double smoothing);
float ref_logits_naive_loss(const ref_logits *s, uint32_t target, float smoothing);
/* d_x [cols] of gradients of the loss and of the log-sum-exp. */
void ref_logits_loss_backward(const ref_logits *s, uint32_t target, double smoothing, double d_loss, double d_lse,
                              double *d_x);
void ref_logits_naive_loss_backward(const ref_logits *s, uint32_t target, float smoothing, vka_dtype dtype,
                                    float d_loss, float d_lse, float *d_x);

/* The columns of a row from the largest value to the smallest, of equal ones the lower first; NaN is the largest.
 * False: out of memory. */
bool ref_order(const float *x, uint32_t cols, uint32_t *order);

/* A row of logits of which a token is drawn. */
typedef struct ref_sampling {
    uint32_t cols, history_count;
    const float *logits;    /* [cols]                                        */
    const int32_t *history; /* [history_count]: those that count             */
    double temperature;     /* 0: the largest                                */
    uint32_t top_k;         /* as applied: not 0                             */
    double top_p, min_p;    /* as applied: 1 and 0 are off                   */
    float penalty;          /* as applied: 1 is off                          */
    uint64_t seed;
    uint32_t row, draw; /* number of the draw, with the random offset    */
} ref_sampling;

/* The id that float64 draws, -1 if there is none; and whether f32 may draw each one: bounds and draws within rounding
 * may go either way. False: out of memory. */
bool ref_sample(const ref_sampling *s, int32_t *choice, bool *possible);
/* How probable each id is. */
bool ref_sample_probabilities(const ref_sampling *s, double *probability);

/* One row of two attentions over different keys. */
typedef struct ref_merge {
    uint32_t cols;
    const float *a, *b; /* [cols] */
    float a_lse, b_lse; /* -inf: empty */
} ref_merge;

/* In float64: out [cols] and *lse. */
void ref_merge_row(const ref_merge *m, double *out, double *lse);
/* With f32 arithmetic, out rounded to its type. */
void ref_merge_naive_row(const ref_merge *m, vka_dtype dtype, float *out, float *lse);

/* The gradients of a row with respect to a and a_lse. */
void ref_merge_backward_row(const ref_merge *m, const float *d_out, double d_lse, double *d_a, double *d_a_lse);
void ref_merge_naive_backward_row(const ref_merge *m, vka_dtype dtype, const float *d_out, float d_lse, float *d_a,
                                  float *d_a_lse);

/* T5's bucket of key position - query position. max_distance is above the number of buckets of one distance. */
uint32_t ref_t5_bucket(int64_t relative_position, bool bidirectional, uint32_t num_buckets, uint32_t max_distance);
/* A table [buckets, heads], and the biases [heads, length] that come of it, which have distance 0 at `zero`. */
typedef struct ref_t5 {
    uint32_t buckets, length, zero, max_distance;
    bool bidirectional;
} ref_t5;
/* A row [heads] of the table's gradient, of that of the biases; `naive`: with sums in f32. */
void ref_t5_gradient(const ref_t5 *t, uint32_t heads, const float *d_out, uint32_t bucket, bool naive, double *row);

/* The soft mask of a span on the token at distance x; 0 is the previous one. */
double ref_span_mask(double z, double ramp, int64_t x);
/* The derivative of its logarithm by z; 0 where that is constant, or -inf. */
double ref_span_slope(double z, double ramp, int64_t x);
/* The gradient of a head's span, of that of its biases [length], whose distance 0 is at `zero`; `naive`: in f32. */
double ref_span_gradient(const float *d_out, uint32_t length, uint32_t zero, float z, float ramp, bool naive);
/* A row of attention with it in float64: out [value_dim]. The softmax is over all keys that `a` shows; sequences have
 * one diagonal. scratch holds kv_len doubles. */
void ref_span_row(const ref_attention *a, double z, double ramp, uint32_t b, uint32_t h, uint32_t i, double *out,
                  double *scratch);

/* One token's hash by one round. */
typedef struct ref_lsh {
    uint32_t dim, bucket_count[2];
    const float *x;        /* [dim]                                                */
    const float *rotation; /* [dim, (bucket_count[0] + bucket_count[1]) / 2] */
} ref_lsh;

/* Its bucket in float64; and may arithmetic in f32 find this one? */
uint32_t ref_lsh_bucket(const ref_lsh *l);
bool ref_lsh_possible(const ref_lsh *l, uint32_t bucket);
/* Tokens sorted by bucket, and by position in it. Those with a bucket of -1 are left out, and -1 fills the end. */
void ref_lsh_permutation(const int32_t *buckets, uint32_t tokens, uint32_t bucket_count, int32_t *permutation);
/* A token as a key: [dim]. */
void ref_lsh_key(const float *x, uint32_t dim, double epsilon, double *key);
void ref_lsh_naive_key(const float *x, uint32_t dim, float epsilon, vka_dtype dtype, float *key);
/* A number of vka_lsh_rotations. */
float ref_lsh_rotation(uint64_t seed, uint64_t number);

typedef struct ref_rope {
    uint32_t cols, dims; /* D, R; as applied */
    bool interleaved, inverse;
    double theta, frequency_scale; /* as applied */
} ref_rope;

typedef struct ref_rope_row {
    const float *x;         /* [cols]                                                           */
    int64_t position;       /* as applied                                                       */
    const float *cos, *sin; /* [dims / 2]: the row of tables; NULL: theta and the position say  */
} ref_rope_row;

/* One row in float64: out [cols]. */
void ref_rope_rotate(const ref_rope *r, const ref_rope_row *row, double *out);
/* The same with cosines and sines rounded to f32, f32 arithmetic and outputs rounded to storage. */
void ref_rope_naive_rotate(const ref_rope *r, const ref_rope_row *row, vka_dtype dtype, float *out);

/* x / (1 + exp(-alpha x)). */
double ref_swish(double x, double alpha);
/* In float64, and by the formulas in f32. */
double ref_activation(vka_activation activation, double x);
float ref_naive_activation(vka_activation activation, float x);

/* Their derivatives. */
double ref_swish_slope(double x, double alpha);
double ref_activation_slope(vka_activation activation, double x);
float ref_naive_activation_slope(vka_activation activation, float x);

/* A linear layer. */
typedef struct ref_linear {
    uint32_t outputs, columns;
    const float *weight; /* [outputs, columns] */
    const float *bias;   /* [outputs] or NULL  */
    vka_activation activation;
    vka_dtype x_type, weight_type, out_type; /* for the naive twin alone */
} ref_linear;

/* One row in float64: x [columns], residual [outputs] or NULL, out [outputs]. */
void ref_linear_row(const ref_linear *l, const float *x, const float *residual, double *out);
/* The same with sums in f32, weights with blocks as a tensor of x's type, and the result rounded to storage. */
void ref_linear_naive_row(const ref_linear *l, const float *x, const float *residual, float *out);

/* A causal convolution of one sequence. */
typedef struct ref_causal_conv {
    uint32_t channels, taps;
    const float *x;      /* [tokens, channels]            */
    const float *weight; /* [channels, taps]              */
    const float *bias;   /* [channels] or NULL            */
    const float *state;  /* [taps - 1, channels] or NULL  */
    vka_activation activation;
} ref_causal_conv;

/* An input; of tokens before the first one, which have negative numbers, the state's. */
float ref_causal_conv_input(const ref_causal_conv *c, int64_t token, uint32_t channel);
/* An output in float64, and with f32 arithmetic, rounded to storage. */
double ref_causal_conv_at(const ref_causal_conv *c, uint32_t token, uint32_t channel);
float ref_causal_conv_naive_at(const ref_causal_conv *c, vka_dtype dtype, uint32_t token, uint32_t channel);

/* Its gradients, added to what is there. */
typedef struct ref_causal_conv_backward {
    ref_causal_conv forward;
    uint32_t tokens;
    const float *d_out;       /* [tokens, channels]              */
    const float *d_state_out; /* [taps - 1, channels] or NULL    */
    bool naive;               /* with f32 arithmetic             */
    vka_dtype g_type;         /* the naive twin's, of the gradient before the activation */
    double *d_x;              /* [tokens, channels]              */
    double *d_state_in;       /* [taps - 1, channels]            */
    double *d_weight;         /* [channels, taps]                */
    double *d_bias;           /* [channels]                      */
} ref_causal_conv_backward;
void ref_causal_conv_gradients(const ref_causal_conv_backward *b);

/* A convolution of one sequence whose weights are a softmax. */
typedef struct ref_dynamic_conv {
    uint32_t tokens, channels, heads, taps, ahead;
    uint32_t length;     /* tokens that count                                   */
    bool renormalise;    /* the softmax is over the taps within the sequence    */
    bool same;           /* all tokens have the weights of the first            */
    const float *x;      /* [tokens, channels]                                  */
    const float *weight; /* [tokens, heads, taps], or [heads, taps]             */
} ref_dynamic_conv;

/* An output in float64, and with f32 arithmetic, rounded to storage. */
double ref_dynamic_conv_at(const ref_dynamic_conv *c, uint32_t token, uint32_t channel);
float ref_dynamic_conv_naive_at(const ref_dynamic_conv *c, vka_dtype dtype, uint32_t token, uint32_t channel);

/* Its gradients, added to what is there. At most 256 taps. */
typedef struct ref_dynamic_conv_backward {
    ref_dynamic_conv forward;
    const float *d_out; /* [tokens, channels]                      */
    bool naive;         /* with f32 arithmetic                     */
    double *d_x;        /* [tokens, channels]                      */
    double *d_weight;   /* as forward.weight                       */
} ref_dynamic_conv_backward;
void ref_dynamic_conv_gradients(const ref_dynamic_conv_backward *b);

/* Routing between capsules, of one entry. */
typedef struct ref_capsule_routing {
    uint32_t inputs, outputs, dim, iterations;
    const float *votes; /* [inputs, outputs, dim]  */
    const float *bias;  /* [outputs, dim] or NULL  */
} ref_capsule_routing;

/* In float64: out [outputs, dim]; coupling and logits, which is scratch, [inputs, outputs]. */
void ref_capsule_routing_entry(const ref_capsule_routing *r, double *out, double *coupling, double *logits);
/* With f32 arithmetic; results are not rounded to storage. */
void ref_capsule_routing_naive_entry(const ref_capsule_routing *r, float *out, float *coupling, float *logits);

/* A row times the normalised Hadamard matrix, in blocks. */
void ref_hadamard_row(uint32_t cols, uint32_t block, const float *x, double *out);
/* Of matrices in the storage type, with f32 sums. */
void ref_hadamard_naive_row(uint32_t cols, uint32_t block, vka_dtype dtype, const float *x, float *out);

/* Linear attention of one state and the queries that read it. */
typedef struct ref_linear_attention {
    vka_linear_attention_rule rule;
    uint32_t tokens, key_dim, value_dim, queries;
    const float *q;     /* [queries, tokens, key_dim]                      */
    const float *k;     /* [tokens, key_dim]                               */
    const float *v;     /* [tokens, value_dim]                             */
    const float *decay; /* [tokens, key_dim], or [tokens]; NULL: none      */
    bool decay_per_channel;
    const float *beta; /* [tokens]; NULL: 1                               */
    double scale;      /* as applied                                      */
} ref_linear_attention;

/* Token t changes the state [key_dim, value_dim], and out [queries, value_dim] is read, if it is not NULL: in float64,
 * and with f32 arithmetic, out rounded to storage. */
void ref_linear_attention_step(const ref_linear_attention *a, uint32_t t, double *state, double *out);
void ref_linear_attention_naive_step(const ref_linear_attention *a, vka_dtype dtype, uint32_t t, float *state,
                                     float *out);

/* Its gradients, added to what is there, but for d_state_in. */
typedef struct ref_linear_attention_backward {
    ref_linear_attention forward;
    const float *state_in;             /* [key_dim, value_dim] or NULL      */
    const float *d_out;                /* [queries, tokens, value_dim]      */
    const float *d_state_out;          /* [key_dim, value_dim] or NULL      */
    bool naive;                        /* with f32 arithmetic               */
    double *d_q, *d_k, *d_v, *d_decay; /* as forward's */
    double *d_beta;                    /* [tokens], whether there is a beta or not */
    double *d_state_in;                /* [key_dim, value_dim] */
} ref_linear_attention_backward;
void ref_linear_attention_gradients(const ref_linear_attention_backward *b);

/* Symmetric quantisation of values that the device has with an absolute error of at most `error`. May `scale` be what
 * it stores for a largest magnitude of `most`, as f32 or as bits of an f16, and q for x, given the scale that it
 * stored? With an error of 0 there is one scale, and one q but for quotients next to a half. */
bool ref_quantised_scale_ok(double most, double error, float scale);
bool ref_quantised_scale_f16_ok(double most, double error, uint16_t scale);
bool ref_quantised_ok(double x, double error, float scale, int8_t q);
/* Has the type scales, of its own or within? */
bool ref_quantised(vka_dtype dtype);

/* Likewise of Q4_0, `most` being the value of largest magnitude; q is -8 .. 7. */
bool ref_q4_0_scale_ok(double most, double error, uint16_t scale);
bool ref_q4_0_ok(double x, double error, float scale, int q);

/* The accuracy rule: max|out - ref| <= 2 * max|naive - ref| + 1e-5. NaN never passes unless ref is NaN too; infinities
 * must be equal. Feed every element, then ask. */
typedef struct ref_error {
    double out, naive; /* largest errors so far        */
    bool broken;       /* NaN or infinity out of place */
} ref_error;
void ref_error_add(ref_error *e, double out, double naive, double ref);
void ref_error_join(ref_error *e, const ref_error *other);
bool ref_error_ok(const ref_error *e);

/* Storage conversions: round to nearest even, subnormals kept. Integer types hold small whole numbers. */
uint16_t ref_f16_from_f32(float x);
float ref_f32_from_f16(uint16_t x);
uint16_t ref_bf16_from_f32(float x);
float ref_f32_from_bf16(uint16_t x);
/* To the nearest value of a float type; integer types and those with blocks leave x as it is. */
float ref_round(vka_dtype dtype, float x);
/* dense float array <-> storage; n is a multiple of the type's block */
void ref_store(vka_dtype dtype, void *dst, const float *src, size_t n);
void ref_load(vka_dtype dtype, float *dst, const void *src, size_t n);

/* Seeded generator (splitmix64 / xoshiro); the seed is printed by whoever uses it. */
typedef struct ref_rng {
    uint64_t state[4];
} ref_rng;
ref_rng ref_rng_seed(uint64_t seed);
uint64_t ref_rng_u64(ref_rng *r);
uint32_t ref_rng_below(ref_rng *r, uint32_t n);
float ref_rng_uniform(ref_rng *r, float lo, float hi);
float ref_rng_normal(ref_rng *r);

#endif
