/* vkattn: operations on single elements.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_ELEMENTWISE_H
#define VKATTN_ELEMENTWISE_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One tensor made into another. Tensors have rank 1 to 4; where x has a dimension of 1, or none in front, it broadcasts
 * to out's. */
typedef struct vka_map_desc {
    vka_tensor x;         /* required: any type; u8 and i32 are numbers like the others                              */
    vka_tensor out;       /* required: [.., C]; may be the very same view as x                                       */
                          /*   f32, f16, bf16, q8_0, q4_0   results, rounded or quantised                            */
                          /*   i8 with out_scale            results, quantised                                       */
                          /*   any type, that of x          without scales and with every field below 0: its bits   */
    vka_tensor x_scale;   /* optional, with an i8 x: f32, x's shape without the last dimension; factors of its rows  */
    vka_tensor out_scale; /* f32, out's shape without the last dimension (rank 1 with out: [1]), written; makes an   */
                          /*   i8 out hold results                                                                   */
    vka_activation activation;
    float scale; /* finite; 0 = 1 */
    float offset;
} vka_map_desc;

/* What becomes of two elements. */
typedef enum vka_combine_kind {
    VKA_COMBINE_INVALID = 0,
    VKA_COMBINE_ADD = 1, /* a + scale * b; a scale of -1 subtracts */
    VKA_COMBINE_MUL = 2, /* scale * a * b                          */
} vka_combine_kind;

/* The gradient of vka_map, from a float type to a float type. Tensors have rank 1 to 4 and f32, f16 or bf16, each its
 * own; all have the same shape. */
typedef struct vka_map_backward_desc {
    vka_tensor x; /* required: [.., C]; forward's                                                                   */
    vka_tensor d_out;          /* required: the gradient of forward's out          */
    vka_tensor d_x;            /* required, written; may be the very same view as x or d_out            */
    vka_activation activation; /* forward's, as the following                                                         */
    float scale;               /* finite; 0 = 1                                                                       */
    float offset;
} vka_map_backward_desc;

/* Two tensors made into one. They have rank 1 to 4 and f32, f16 or bf16, each its own; where a or b has a dimension of
 * 1, or none in front, it broadcasts to out's. */
typedef struct vka_combine_desc {
    vka_tensor a;          /* required                                                    */
    vka_tensor b;          /* required                                                    */
    vka_tensor out;        /* required: [.., C]; may be the very same view as a or b      */
    vka_combine_kind kind; /* required                                                    */
    float scale;           /* finite; 0 = 1                                               */
} vka_combine_desc;

/* A gated linear unit. Tensors as those of vka_combine_desc. */
typedef struct vka_glu_desc {
    vka_tensor gate; /* required                                                                                     */
    vka_tensor up;   /* required                                                                                     */
    vka_tensor out;  /* required: [.., C]; may be the very same view as gate or up                                   */
    vka_activation activation; /* of the gate: SILU SwiGLU, GELU and GELU_TANH GEGLU, RELU ReGLU, SIGMOID GLU, NONE   */
                               /*   the bilinear one                                                                 */
    float alpha; /* of SILU: gate / (1 + exp(-alpha gate)); finite; 0 = 1; others have none                          */
} vka_glu_desc;

/* The gradients of vka_glu. Tensors have rank 1 to 4 and f32, f16 or bf16, each its own; all have the same shape. */
typedef struct vka_glu_backward_desc {
    vka_tensor gate;   /* required: [.., C]; forward's, as the following                                              */
    vka_tensor up;     /* required                                                                                    */
    vka_tensor d_out;  /* required: the gradient of forward's out                                                     */
    vka_tensor d_gate; /* optional, written; may be the very same view as gate, up or d_out */
    vka_tensor d_up;   /* optional, written; likewise                                                                 */
    vka_activation activation; /* forward's, as the following                                                         */
    float alpha;               /* of SILU; finite; 0 = 1                                                              */
} vka_glu_backward_desc;

#ifdef __cplusplus
}
#endif

/* out = activation(x * scale + offset), in f32. With nothing but tensors it converts, quantises or dequantises; and
 * where out has x's type it copies bits, whatever the strides of either:
 *
 *     vka_map(recorder, &(vka_map_desc){.x = x, .out = y, .activation = VKA_ACTIVATION_GELU});
 *     vka_map(recorder, &(vka_map_desc){.x = vka_tensor_transpose(x, 1, 2), .out = y});     a copy of a transpose
 *     vka_map(recorder, &(vka_map_desc){.x = w_f32, .out = w_q4_0});                         quantises
 *
 * i8, q8_0 and q4_0 are quantised as vka_cache_append does it, i8 with a scale for each row.
 * Integers beyond 2^24 are rounded to f32. C = 0, or no rows, records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a row is larger than a
 *         binding can see, or there are 2^32 rows); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(map, MAP)

/* d_x = d_out * activation'(x * scale + offset) * scale, in f32:
 *
 *     vka_map_backward(recorder, &(vka_map_backward_desc){.x = x, .d_out = g, .d_x = g,
 *                                                         .activation = VKA_ACTIVATION_GELU});
 *
 * The slope of RELU at 0 is 0. Where forward's x broadcast, its gradient is the sum of this over what it broadcast to.
 * Of what forward quantised, or copied as bits, there is none. C = 0, or no rows, records nothing and succeeds. Records
 * and returns; the rest as vka_map.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(map_backward, MAP_BACKWARD)

/* out = a + scale * b, or scale * a * b, in f32:
 *
 *     vka_combine(recorder, &(vka_combine_desc){.a = x, .b = delta, .out = x, .kind = VKA_COMBINE_ADD});
 *     .b = vka_tensor_1d(bias, VKA_F32, columns)     adds a bias to each row
 *
 * Backward is made of others. Of a + scale * b: d_a = d_out, and d_b = scale * d_out by vka_map. Of scale * a * b: d_a
 * is vka_combine of d_out and b with the same scale, d_b that of d_out and a. Where b was a row that broadcast, its
 * gradient is the sum of that over the rows, which is the d_bias of vka_linear_backward.
 *
 * C = 0, or no rows, records nothing and succeeds. Records and returns; the rest as vka_map.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(combine, COMBINE)

/* out = activation(gate) * up, in f32 (Dauphin 2016; SwiGLU and others: Shazeer 2020; alpha: ONNX's SwiGLU):
 *
 *     vka_glu(recorder, &(vka_glu_desc){.gate = g, .up = u, .out = g, .activation = VKA_ACTIVATION_SILU});
 *
 * Gate and up may be parts of one tensor's rows. Of [tokens, 2 C] the halves are views of [tokens, C] with strides of 2
 * C and 1, of which up begins C elements later; where they alternate, element by element, the strides are 2 C and 2,
 * and up begins one element later (which costs loads of four elements at once). Out may then be either view.
 *
 * C = 0, or no rows, records nothing and succeeds. Records and returns; the rest as vka_map.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(glu, GLU)

/* The gradients of out = activation(gate) * up, in f32:
 *
 *   d_gate = d_out * up * activation'(gate)    d_up = d_out * activation(gate)
 *
 *     vka_glu_backward(recorder, &(vka_glu_backward_desc){.gate = g, .up = u, .d_out = d, .d_gate = g, .d_up = u,
 *                                                         .activation = VKA_ACTIVATION_SILU});
 *
 * Gate and up, and likewise their gradients, may be parts of one tensor's rows, as for vka_glu. At least one gradient
 * is wanted; the other one is not computed where it is absent. C = 0, or no rows, records nothing and succeeds. Records
 * and returns; the rest as vka_map. Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(glu_backward, GLU_BACKWARD)

#endif
