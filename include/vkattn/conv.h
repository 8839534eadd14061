/* vkattn: convolutions along a sequence.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_CONV_H
#define VKATTN_CONV_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One convolution of B sequences of T tokens with C channels each, by K taps. Tensors are f32, f16 or bf16, each as it
 * likes. */
typedef struct vka_causal_conv_desc {
    vka_tensor x;      /* required: [B, T, C]; T is at most 2^30, C at least 1                                     */
    vka_tensor out;    /* required: [B, T, C]; shares no memory with others                                        */
    vka_tensor weight; /* required: [C, K]: the last tap is that of the token itself; K is 1 .. 256                */
    vka_tensor bias;   /* optional: [C]                                                                            */
    /* Optional: [B, K - 1, C]: the inputs before the first token, the oldest first. Absent: zeros. */
    vka_tensor state_in;
    /* Optional: [B, K - 1, C]: receives the last K - 1 inputs, of which the first are state_in's where T < K - 1. May
     * be the very same view as state_in. With K = 1 states have no elements, and are best left out. */
    vka_tensor state_out;
    vka_activation activation;
} vka_causal_conv_desc;

/* One convolution of B sequences of T tokens with C channels each, by K taps whose weights are a softmax: of H heads,
 * each of C / H channels that lie side by side and have their weights in common. Tensors are f32, f16 or bf16, each as
 * it likes. */
typedef struct vka_dynamic_conv_desc {
    vka_tensor x;   /* required: [B, T, C]; T is at most 2^30, C at least 1                                          */
    vka_tensor out; /* required: [B, T, C]; shares no memory with others                                             */
    /* Required: [B, T, H, K], before the softmax: LightConv's have a size of 1 for B and T, as all tokens have the
     * same; DynamicConv's are a linear layer of x. H divides C; K is 1 .. 256. */
    vka_tensor weight;
    vka_integers
        lengths;      /* optional: [B]: of sequence b the tokens before lengths[b] count, 0 .. T; tensors of other */
                      /*   values are clamped to that. Absent: all                                               */
    uint32_t ahead;   /* taps on tokens after the own one, 0 .. K - 1: 0 is causal, K / 2 is centred             */
    bool renormalise; /* the softmax is over the taps that lie within the sequence, and not over all K           */
} vka_dynamic_conv_desc;

#ifdef __cplusplus
}
#endif

/* Depthwise causal convolution (as in Mamba, Gu and Dao 2023): with x[-1], x[-2], .. from the state,
 *
 *   out[t, c] = activation(bias[c] + weight[c, 0] x[t - K + 1, c] + .. + weight[c, K - 1] x[t, c])
 *
 * with sums in f32. A sequence may be computed in pieces of any lengths, each from the state that the one before it
 * left: a step of decoding is a piece with T = 1. Results are the same, bit by bit, where the state's type holds x's.
 * NaN and infinities of an input reach the K outputs that it is part of; zeros of an absent state are numbers like any
 * others, and infinite weights make them NaN. T = 0 computes nothing, and state_out becomes state_in; B = 0 records
 * nothing and succeeds.
 *
 *     vka_causal_conv(recorder, &(vka_causal_conv_desc){.x = x, .out = y, .weight = w, .state_in = s, .state_out = s,
 *                                                       .activation = VKA_ACTIVATION_SILU});
 *
 * Any strides: tensors [B, C, T] are the same call with transposed ones, and ONNX's CausalConvWithState (opset 27) is
 * this with all of them so.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (2 K tokens of four
 *         channels, or the weights, span more than a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(causal_conv, CAUSAL_CONV)

/* LightConv and DynamicConv (Wu 2019, "Pay less attention with lightweight and dynamic convolutions"):
 *
 *   out[t, c] = sum over k of softmax(weight[t, h])[k] * x[t + ahead - (K - 1) + k, c],   h = c / (C / H)
 *
 * in f32, with zeros for tokens that are not in the sequence: they take no part in the sum, but their weights do in the
 * softmax, unless it is renormalised. The left padding of the paper's code is K - 1 - ahead, with K / 2 what its
 * encoders have.
 *
 *     vka_dynamic_conv(recorder, &(vka_dynamic_conv_desc){.x = x, .weight = w, .out = y});
 *
 * Edges: rows of out beyond a length are 0, and x and weight are not read there. A weight of -inf is a share of 0, also
 * where all of a head are so; NaN or +inf makes all shares of its softmax NaN. Renormalised, weights of taps outside of
 * the sequence are not read. NaN and infinities of x reach the outputs that they are part of, with a share of 0 as NaN.
 * B = 0 or T = 0 records nothing and succeeds.
 *
 * Any strides: [T, B, C] is the same call with transposed tensors; a tensor [H, K] of weights is [1, 1, H, K].
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (K tokens of four channels,
 * or the weights of a token, span more than a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST. Threads: one thread
 * per recorder at a time. */
VKA_OPERATION_FUNCTIONS(dynamic_conv, DYNAMIC_CONV)

#endif
