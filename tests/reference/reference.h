/* Float64 references, and the naive storage-precision computations that the accuracy rule compares with.
 * Everything works on dense arrays in the order of the public shapes; values are already rounded to storage type.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_REFERENCE_H
#define VKATTN_REFERENCE_H

#include <vkattn/vkattn.h>

typedef struct ref_attention {
    uint32_t batch, q_heads, kv_heads, q_len, kv_len, head_dim, value_dim;
    const float *q; /* [batch, q_heads, q_len, head_dim]    */
    const float *k; /* [batch, kv_heads, kv_len, head_dim]  */
    const float *v; /* [batch, kv_heads, kv_len, value_dim] */
    double scale;   /* as applied: never 0                  */
    bool causal;
    int64_t diagonal; /* resolved: p = i + diagonal          */
    bool window;
    int32_t left, right; /* VKA_UNBOUNDED: no bound          */
} ref_attention;

/* May query i see key j? */
bool ref_attention_visible(const ref_attention *a, int64_t i, int64_t j);

/* One output row in float64: out [value_dim], *lse (-inf for a dead row). scratch holds kv_len doubles. */
void ref_attention_row(const ref_attention *a, uint32_t b, uint32_t h, uint32_t i, double *out, double *lse,
                       double *scratch);

/* The same, unfused: scores and probabilities rounded to the storage type, sums in f32, output rounded. scratch holds
 * kv_len floats. */
void ref_attention_naive_row(const ref_attention *a, vka_dtype dtype, uint32_t b, uint32_t h, uint32_t i, float *out,
                             float *lse, float *scratch);

typedef struct ref_layer_norm {
    uint32_t rows, cols;
    const float *x;        /* [rows, cols]           */
    const float *weight;   /* [cols] or NULL         */
    const float *bias;     /* [cols] or NULL         */
    const float *residual; /* [rows, cols] or NULL   */
    bool round_sum;        /* y = x + residual is rounded to storage before it is normalised */
    double epsilon;        /* as applied: never 0    */
} ref_layer_norm;

/* One row in float64: out [cols], sum [cols] (x + residual; may be NULL), *mean, *inv_std. */
void ref_layer_norm_row(const ref_layer_norm *n, vka_dtype dtype, uint32_t row, double *out, double *sum, double *mean,
                        double *inv_std);

/* The same with f32 arithmetic (two passes) and outputs rounded to storage. sum may be NULL. */
void ref_layer_norm_naive_row(const ref_layer_norm *n, vka_dtype dtype, uint32_t row, float *out, float *sum,
                              float *mean, float *inv_std);

/* The accuracy rule: max|out - ref| <= 2 * max|naive - ref| + 1e-5. NaN never passes unless ref is NaN too; infinities
 * must be equal. Feed every element, then ask. */
typedef struct ref_error {
    double out, naive; /* largest errors so far        */
    bool broken;       /* NaN or infinity out of place */
} ref_error;
void ref_error_add(ref_error *e, double out, double naive, double ref);
bool ref_error_ok(const ref_error *e);

/* Storage conversions: round to nearest even, subnormals kept. */
uint16_t ref_f16_from_f32(float x);
float ref_f32_from_f16(uint16_t x);
uint16_t ref_bf16_from_f32(float x);
float ref_f32_from_bf16(uint16_t x);
float ref_round(vka_dtype dtype, float x);
/* dense float array <-> storage */
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
