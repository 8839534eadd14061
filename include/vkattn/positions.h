/* vkattn: tables of positions, computed on the host for the app to upload (vka_f32_to_f16 and its like first, if they
 * are to be 16-bit). SPDX-License-Identifier: MIT */
#ifndef VKATTN_POSITIONS_H
#define VKATTN_POSITIONS_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The slopes of ALiBi (Press 2021) for vka_attention_desc.alibi_slopes: 2^(-8 (h + 1) / heads) for a power of two of
 * heads; otherwise those of the next smaller power of two n, and then every other one of 2 n, as the authors' code has
 * it. slopes [heads]. Threads: any. */
VKA_API void vka_alibi_slopes(uint32_t heads, float *slopes);

/* Which channels of a sinusoidal table are sines. */
typedef enum vka_sinusoid_layout {
    VKA_SINUSOID_INTERLEAVED = 0, /* the even ones, each followed by its cosine (Vaswani 2017)                       */
    VKA_SINUSOID_HALVES = 1,      /* the first half, and then come the cosines (Tensor2Tensor, fairseq)              */
} vka_sinusoid_layout;

/* Sinusoidal positions (Vaswani 2017): sines and cosines of p * f_i, p = first .. first + positions - 1. INTERLEAVED
 * has f_i = theta^(-2 i / channels), i = 0 .. ceil(channels / 2) - 1, and of an odd number of channels lacks the last
 * cosine. HALVES has floor(channels / 2) pairs, f_i = theta^(-i / (pairs - 1)), so that the last one is 1 / theta
 * whatever their number; of an odd number of channels the last one is 0. theta 0 = 10000. In float64, rounded to f32.
 * values [positions, channels]. Threads: any. */
VKA_API void vka_sinusoidal_positions(int64_t first, uint32_t positions, uint32_t channels, vka_sinusoid_layout layout,
                                      double theta, float *values);

/* How RoPE reaches positions beyond those of training. */
typedef enum vka_rope_scaling_kind {
    VKA_ROPE_SCALING_NONE = 0,
    VKA_ROPE_SCALING_LINEAR = 1,      /* positions are divided by factor (Chen 2023)                                  */
    VKA_ROPE_SCALING_NTK = 2,         /* theta is multiplied by factor^(R / (R - 2)) (NTK-aware, bloc97 2023)         */
    VKA_ROPE_SCALING_NTK_DYNAMIC = 3, /* by (factor * length / trained - (factor - 1))^(R / (R - 2)) where length is  */
                                      /*   above trained (emozilla 2023)                                              */
    VKA_ROPE_SCALING_YARN = 4,        /* low frequencies are divided by factor, high ones are not (Peng 2023)         */
    VKA_ROPE_SCALING_LONGROPE = 5,    /* each is divided by a factor of its own (Ding 2024)                           */
} vka_rope_scaling_kind;

/* Frequencies of RoPE's pairs. Fields that a kind does not name are not looked at. */
typedef struct vka_rope_scaling {
    vka_rope_scaling_kind kind;
    uint32_t dims;    /* R: required, even, at least 2; NTK: at least 4                                               */
    double theta;     /* at least 1; 0 = 10000; YARN: above 1                                                         */
    double factor;    /* at least 1; required but for NONE; LONGROPE: longest positions / trained                     */
    uint32_t trained; /* positions that the model was trained on; required for NTK_DYNAMIC, YARN, LONGROPE (2, ..) */
    uint32_t length;  /* of the sequence: for NTK_DYNAMIC, and LONGROPE, which takes long_factors above `trained`     */
    double beta_fast; /* YARN: pairs that turn more often than this within `trained` keep their frequency; 0 = 32     */
    double beta_slow; /* YARN: those that turn less often are divided by factor; below beta_fast; 0 = 1               */
    double attention_factor; /* of cosines and sines; 0: YARN 0.1 ln(factor) + 1, LONGROPE                            */
                             /*   sqrt(1 + ln(factor) / ln(trained)), others 1                                        */
    const float *short_factors, *long_factors; /* LONGROPE: [R / 2], required                                         */
} vka_rope_scaling;

/* Pair k turns by p * frequencies[k] at position p; frequencies [R / 2]. *attention_factor, if not NULL, receives what
 * cosines and sines are multiplied by. Definitions as in Hugging Face's transformers (modeling_rope_utils).
 * VKA_OK; VKA_INVALID (vka_last_error names field and rule). Threads: any. */
VKA_API vka_status vka_rope_frequencies_sized(const vka_rope_scaling *scaling, size_t scaling_size, double *frequencies,
                                              double *attention_factor);

/* Positions are not differentiable, and tables made of them are constants; backward through a rotation: vka_rope.
 *
 * Tables for vka_rope_options.cos and .sin: of pair k at p = first + i, attention_factor times cosine and sine of its
 * angle; each [positions, R / 2]. In float64, rounded to f32. Values as vka_rope_frequencies. Threads: any. */
VKA_API vka_status vka_rope_tables_sized(const vka_rope_scaling *scaling, size_t scaling_size, int64_t first,
                                         uint32_t positions, float *cosines, float *sines);

static inline vka_status vka_rope_frequencies(const vka_rope_scaling *scaling_, double *frequencies_,
                                              double *attention_factor_) {
    return vka_rope_frequencies_sized(scaling_, sizeof *scaling_, frequencies_, attention_factor_);
}
static inline vka_status vka_rope_tables(const vka_rope_scaling *scaling_, int64_t first_, uint32_t positions_,
                                         float *cosines_, float *sines_) {
    return vka_rope_tables_sized(scaling_, sizeof *scaling_, first_, positions_, cosines_, sines_);
}

#ifdef __cplusplus
}
#endif

#endif
