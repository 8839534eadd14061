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

/* The gradients of a causal convolution. Tensors are f32, f16 or bf16, each as it likes. What forward read is needed
 * where it says so. */
typedef struct vka_causal_conv_backward_desc {
    vka_tensor x;      /* [B, T, C]: for d_weight, and with an activation; T is at most 2^30, C at least 1           */
    vka_tensor weight; /* [C, K]: for d_x and d_state_in, and with an activation; K is 1 .. 256                      */
    vka_tensor bias;   /* [C]: forward's, if it had one, with an activation                                          */
    vka_tensor state_in; /* [B, K - 1, C]: forward's, if it had one, where x is needed                               */
    vka_tensor d_out;    /* required: [B, T, C], the gradient of forward's out                                       */
    vka_tensor d_state_out; /* optional: [B, K - 1, C], the gradient of forward's state_out. Absent: zeros           */
    vka_tensor d_x;         /* optional, written: [B, T, C]                                                          */
    vka_tensor d_weight;    /* optional, written: [C, K]                                                             */
    vka_tensor d_bias;      /* optional, written: [C]                                                                */
    vka_tensor d_state_in;  /* optional, written: [B, K - 1, C]                                                      */
    vka_activation activation; /* forward's                                                                          */
    bool accumulate;           /* d_weight and d_bias are added to what is there                                     */
    vka_workspace workspace;   /* scratch memory; all zero: the recorder's own                                       */
} vka_causal_conv_backward_desc;

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

/* The gradients of a convolution whose weights are a softmax. Tensors are f32, f16 or bf16, each as it likes. */
typedef struct vka_dynamic_conv_backward_desc {
    vka_tensor x;         /* [B, T, C]: forward's, for d_weight; T is at most 2^30, C at least 1                     */
    vka_tensor weight;    /* required: [B, T, H, K], forward's, of which B and T may be 1; K is 1 .. 256             */
    vka_integers lengths; /* forward's                                                                               */
    vka_tensor d_out;     /* required: [B, T, C], the gradient of forward's out                                      */
    vka_tensor d_x;       /* optional, written: [B, T, C]                                                            */
    vka_tensor d_weight;  /* optional, written: weight's shape. Where that has 1 for B or T, it is summed over       */
    uint32_t ahead;       /* forward's                                                                               */
    bool renormalise;     /* forward's                                                                               */
    bool accumulate;      /* d_weight is added to what is there                                                      */
    vka_workspace workspace; /* scratch memory; all zero: the recorder's own                                         */
} vka_dynamic_conv_backward_desc;

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

/* The gradients of vka_causal_conv, with z the sum that its activation is taken of, and x[-1], x[-2], .. those of the
 * state:
 *
 *   g[t, c] = d_out[t, c] activation'(z[t, c])
 *   d_x[t, c] = sum over k of weight[c, k] g[t + K - 1 - k, c]    (+ d_state_out's, for the last K - 1 inputs)
 *   d_weight[c, k] = sum over b, t of g[t, c] x[t - K + 1 + k, c]    d_bias[c] = sum over b, t of g[t, c]
 *
 * each of which is computed if its tensor is there; d_state_in is d_x of the inputs before the first token. z is
 * computed anew. A sequence in pieces has its gradients from the last piece to the first: d_state_in of one is
 * d_state_out of the piece before it.
 *
 *     vka_causal_conv_backward(recorder, &(vka_causal_conv_backward_desc){.x = x, .weight = w, .d_out = d_y, .d_x =
 * d_x, .d_weight = d_w, .activation = act});
 *
 * Sums are in f32 and have the same order every time. Outputs share no memory with others. Without tokens d_weight and
 * d_bias are 0, or with `accumulate` what they were, and d_state_in is d_state_out. NaN and infinities propagate as
 * sums of products do; tokens beyond the end have no products. The workspace has g in f32, with an activation, and
 * partial sums of d_weight. Strides are free.
 *
 * Records and returns; the rest as vka_causal_conv.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a tensor, or g in f32, spans
 *         more than a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(causal_conv_backward, CAUSAL_CONV_BACKWARD)

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

/* The gradients of vka_dynamic_conv, with s the softmax of the weights and x[t, k] the input of tap k of token t:
 *
 *   d_x[i, c] = sum over t, k that see token i of s[t, h, k] d_out[t, c]
 *   d_s[t, h, k] = sum over the channels of head h of d_out[t, c] x[t, k, c]
 *   d_weight[t, h, k] = s[t, h, k] (d_s[t, h, k] - sum over j of s[t, h, j] d_s[t, h, j])
 *
 * each of which is computed if its tensor is there. d_s of taps outside of the sequence is 0; renormalised, they are no
 * part of the softmax, and their d_weight is 0.
 *
 *     vka_dynamic_conv_backward(recorder, &(vka_dynamic_conv_backward_desc){.x = x, .weight = w, .d_out = d_y,
 *                                                                           .d_x = d_x, .d_weight = d_w});
 *
 * Edges: beyond a length x, weight and d_out are not read, and d_x and d_weight are 0. Without tokens a d_weight that
 * all have in common is 0, or with `accumulate` what it was. Sums are in f32 and have the same order every time.
 * Outputs share no memory with others. The workspace has the shares in f32, and where weights are in common partial
 * sums of their gradients: K floats for 16 tokens of a head, or for each if they have weights of their own. Strides are
 * free.
 *
 * Records and returns; the rest as vka_dynamic_conv.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a tensor, or the shares or
 *         partial sums in f32, span more than a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(dynamic_conv_backward, DYNAMIC_CONV_BACKWARD)

#endif
