/* vkattn: biases of relative positions.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_RELATIVE_H
#define VKATTN_RELATIVE_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One table of T5 made into biases. */
typedef struct vka_relative_bias_t5_desc {
    vka_tensor table; /* required: [buckets, Hq]: relative_attention_bias.weight; f32, f16 or bf16. Buckets are    */
                      /*   2 .. 1024, and at least 4 if bidirectional                                              */
    vka_tensor out;   /* required: f32 [Hq, L]: what vka_attention_desc.relative_bias takes                        */
    uint32_t relative_zero; /* where in a row the distance is 0; below L; the same in vka_attention_desc           */
    bool bidirectional;     /* encoders: half of the buckets are for keys after the query. Otherwise (decoders)    */
                            /*   those have the bucket of distance 0                                               */
    uint32_t max_distance;  /* from here on all keys share a bucket; above the number of buckets that hold one     */
                            /*   distance each (a half, or a quarter if bidirectional), at most 2^24; 0 = 128      */
} vka_relative_bias_t5_desc;

/* Adaptive spans made into biases. */
typedef struct vka_relative_bias_span_desc {
    vka_tensor spans; /* required: f32 [Hq]: z of each head, in tokens (of the authors' code: current_val times */
    /*   max_size). Read when the commands run                                                    */
    vka_tensor out; /* required: f32 [Hq, L]: what vka_attention_desc.relative_bias takes                        */
    uint32_t relative_zero; /* where in a row the query's own token is; below L; the same in vka_attention_desc    */
    float ramp;             /* required: R, tokens over which the mask falls from 1 to 0; above 0, at most 2^24    */
} vka_relative_bias_span_desc;

/* The gradient of T5's table. */
typedef struct vka_relative_bias_t5_backward_desc {
    vka_tensor d_out;   /* required: f32 [Hq, L]: vka_attention_backward_desc.d_relative_bias                      */
    vka_tensor d_table; /* required: [buckets, Hq]; f32, f16 or bf16                                               */
    /* As of vka_relative_bias_t5. */
    uint32_t relative_zero;
    bool bidirectional;
    uint32_t max_distance;
    bool accumulate; /* d_table is added to what is there: of layers that share it                                 */
} vka_relative_bias_t5_backward_desc;

/* The gradient of adaptive spans. */
typedef struct vka_relative_bias_span_backward_desc {
    vka_tensor spans;   /* required: f32 [Hq]: as vka_relative_bias_span had them                                  */
    vka_tensor d_out;   /* required: f32 [Hq, L]: vka_attention_backward_desc.d_relative_bias                      */
    vka_tensor d_spans; /* required: f32 [Hq]                                                                      */
    /* As of vka_relative_bias_span. */
    uint32_t relative_zero;
    float ramp;
    bool accumulate; /* d_spans is added to what is there                                                          */
} vka_relative_bias_span_backward_desc;

/* How far back heads with these spans see: the largest n for which some head sees the key p - n, ceil(max z + ramp). At
 * least 1, so that it makes a window with right = -1 even where no head sees anything; VKA_UNBOUNDED if that is the
 * answer, and where z or ramp is NaN. spans [heads]. Threads: any. */
VKA_API int32_t vka_relative_bias_span_left(const float *spans, uint32_t heads, float ramp);

#ifdef __cplusplus
}
#endif

/* out[h, l] = table[bucket(l - relative_zero), h], with the buckets of T5 (Raffel 2020) for distances key position -
 * query position, j - p in the words of vka_attention_desc. Buckets are those of _relative_position_bucket in Hugging
 * Face's transformers at every distance, float32 roundings included, with logarithms rounded to the nearest.
 *
 * Nothing changes from max_distance on, and attention clamps distances to the row: L = 2 max_distance + 1 with
 * relative_zero = max_distance serves sequences of any length (of decoders, L = max_distance + 1 does). So this runs
 * once, when a model is loaded, and no bias of Nq x Nk elements ever exists. T5's layers share the first one's table.
 *
 *     vka_relative_bias_t5(recorder, &(vka_relative_bias_t5_desc){.table = table, .out = bias, .bidirectional = true,
 *                                                                 .max_distance = 128, .relative_zero = 128});
 *
 * Any strides. Hq = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a tensor is larger than a
 *         binding can see; vka_attention could not read it either); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(relative_bias_t5, RELATIVE_BIAS_T5)

/* out[h, l] = log(m), m = clamp((z_h - x) / R + 1, 0, 1), with x = relative_zero - 1 - l: the soft mask of adaptive
 * attention spans (Sukhbaatar 2019) on the distance x to earlier tokens, where x = 0 is the previous one. Added to the
 * scores s it gives the weights m exp(s) / sum(m exp(s)), which is the paper's equation. (Its x counts from 1, but its
 * authors' code, adaptive-span, from 0, and that is what z was trained with.)
 *
 *     vka_relative_bias_span(recorder, &(vka_relative_bias_span_desc){.spans = z, .out = bias, .ramp = 32,
 *                                                                     .relative_zero = left + 1});
 *
 * m = 1 gives 0 and m = 0 gives -inf, exactly. Tokens that are not earlier follow the same formula (m = 1 if z >= 0):
 * whether they are seen is for causality or the window to say. The paper's attention sees earlier tokens only:
 * window.right = -1. A head with z = inf sees everything, one with z <= -R no earlier token: rows that see nothing give
 * 0, as ever. NaN in z makes the head's row NaN, and so its results. Distances beyond 2^24 are rounded to float32.
 *
 * Work follows the window or the pattern, not the biases. Give one, or masked keys are loaded and scored, too:
 *
 *   window   left = vka_relative_bias_span_left of all heads, right = -1. Every head works as the largest span asks.
 *
 *   pattern  a WINDOW term for each head (first_head = h, heads = 1), left = vka_relative_bias_span_left of its own
 *            span, right = -1. Each head works as its own span asks.
 *
 * Both come from spans that the host knows; those that the device reads must not be larger. Attention clamps distances
 * to the row: with L = left + 2 and relative_zero = left + 1, left being that of all heads, element 0 is -inf, and
 * right for all farther keys, window or not.
 *
 * The code divides by sum(m p) + 1e-8, with p = softmax(s), to be safe from 0 / 0, which here is 0 anyway. Here there
 * is no such term, nor in the paper. It would lower a row's weights by 1e-8 / sum(m p) of themselves, which float32
 * does not show unless spans hold less than a sixth of p; and p needs the scores of keys that no span reaches, so that
 * the term depends on how many of those there are (in the code: on how far it trims) and the work no longer on the
 * spans.
 *
 * Any strides. Hq = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded. A recording stays valid while z changes.
 *
 * @return as vka_relative_bias_t5. Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(relative_bias_span, RELATIVE_BIAS_SPAN)

/* The gradient of T5's table: d_table[u, h] = sum of d_out[h, l] over the distances l - relative_zero of bucket u, the
 * same bits every time. Buckets of no distance get 0.
 *
 *     vka_relative_bias_t5_backward(recorder, &(vka_relative_bias_t5_backward_desc){
 *         .d_out = d_bias, .d_table = d_table, .bidirectional = true, .max_distance = 128, .relative_zero = 128});
 *
 * Any strides. Hq = 0 records nothing and succeeds.
 *
 * @return, threads and lifetime: as vka_relative_bias_t5. */
VKA_OPERATION_FUNCTIONS(relative_bias_t5_backward, RELATIVE_BIAS_T5_BACKWARD)

/* The gradient of adaptive spans, by that of log(m): d_spans[h] = sum of d_out[h, l] / (m ramp) over the distances on
 * the mask's slope, 0 < m < 1; elsewhere m is constant. The same bits every time. What keeps spans short (the paper's
 * penalty, a constant times the mean of z) is the caller's to add.
 *
 *     vka_relative_bias_span_backward(recorder, &(vka_relative_bias_span_backward_desc){
 *         .spans = z, .d_out = d_bias, .d_spans = d_z, .ramp = 32, .relative_zero = left + 1});
 *
 * Any strides. Hq = 0 records nothing and succeeds. NaN in z makes the head's gradient NaN.
 *
 * @return, threads and lifetime: as vka_relative_bias_t5. */
VKA_OPERATION_FUNCTIONS(relative_bias_span_backward, RELATIVE_BIAS_SPAN_BACKWARD)

#endif
