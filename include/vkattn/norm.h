/* vkattn: normalisation.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_NORM_H
#define VKATTN_NORM_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which kernel runs. AUTO is right for everything but tests and measurements. */
typedef enum vka_norm_path {
    VKA_NORM_PATH_AUTO = 0,
    VKA_NORM_PATH_LANE = 1,  /* an invocation owns a row: software drivers                     */
    VKA_NORM_PATH_GROUP = 2, /* a workgroup owns a row: GPUs, software drivers with gathers    */
} vka_norm_path;

/* Layer normalisation over the last dimension. All tensors have x's shape unless said otherwise. */
typedef struct vka_layer_norm_desc {
    vka_tensor x;        /* required: [.., C]; f32, f16 or bf16; rank 1 to 4; C is 1 .. 65536                     */
    vka_tensor out;      /* required: same type; may be the very same view as x, residual or sum                  */
    vka_tensor weight;   /* optional: [C], same type or f32; absent = 1                                           */
    vka_tensor bias;     /* optional: [C], same type as weight if both are present; absent = 0                    */
    vka_tensor residual; /* optional: same type; y = x + residual is normalised instead of x                      */
    vka_tensor sum;      /* optional: receives y, same type; needs residual; may be the same view as x or residual */
    vka_tensor mean;     /* optional: f32, x's shape without the last dimension (rank 1 with x: [1])              */
    vka_tensor inv_std;  /* optional: f32, as mean: 1 / sqrt(variance + epsilon)                                  */
    float epsilon;       /* added to the variance: 0 = 1e-5, or 1e-30 and more; others are refused               */
    vka_norm_path path;
} vka_layer_norm_desc;

/* Root mean square normalisation over the last dimension. All tensors have x's shape unless said otherwise. */
typedef struct vka_rms_norm_desc {
    vka_tensor x;        /* required: [.., C]; f32, f16 or bf16; rank 1 to 4; C is 1 .. 65536                     */
    vka_tensor out;      /* required: same type; may be the very same view as x, residual or sum                  */
    vka_tensor weight;   /* optional: [C], same type or f32; absent = 1                                           */
    vka_tensor residual; /* optional: same type; y = x + residual is normalised instead of x                      */
    vka_tensor sum;      /* optional: receives y, same type; needs residual; may be the same view as x or residual */
    vka_tensor inv_rms;  /* optional: f32, x's shape without the last dimension (rank 1 with x: [1])              */
    float epsilon;       /* added to the mean square: 0 = 1e-5, or 1e-30 and more; others are refused             */
    vka_norm_path path;
    bool zero_centred; /* multiplies by 1 + weight (Gemma); needs weight                                        */
} vka_rms_norm_desc;

/* Elements that a group may have. */
#define VKA_GROUP_NORM_MAX (1u << 26)

/* Normalisation of groups of channels over all positions. C channels, P positions. Images and volumes by views: [B, C,
 * H, W] is vka_tensor_3d(t, dtype, B, C, H * W); [B, H, W, C] is vka_tensor_transpose(vka_tensor_3d(t, dtype, B, H * W,
 * C), 1, 2). Kernels read along whichever dimension has the smaller stride. */
typedef struct vka_group_norm_desc {
    vka_tensor x;      /* required: [B, C, P]; f32, f16 or bf16; C and P are at least 1, C/G * P at most 2^26         */
    vka_tensor out;    /* required: x's shape and type; may be the very same view as x                               */
    vka_tensor weight; /* optional: [C], same type or f32; absent = 1                                                 */
    vka_tensor bias;   /* optional: [C], same type as weight if both are present; absent = 0                          */
    vka_tensor mean;   /* optional: f32 [B, G]                                                                        */
    vka_tensor inv_std; /* optional: f32 [B, G]: 1 / sqrt(variance + epsilon) */
    float epsilon;      /* added to the variance: 0 = 1e-5, or 1e-30 and more; others are refused                     */
    uint32_t groups; /* required: G, which divides C; 1 is layer norm over everything, C is instance norm           */
    vka_norm_path path;
} vka_group_norm_desc;

/* Gradients of a layer norm: of each that is there. All tensors have x's shape unless said otherwise. */
typedef struct vka_layer_norm_backward_desc {
    vka_tensor x;        /* required: [.., C]; f32, f16 or bf16; rank 1 to 4; C is 1 .. 65536: what vka_layer_norm    */
                         /*   read, or the sum that it stored                                                        */
    vka_tensor d_out;    /* required: same type: the gradient of out                                                 */
    vka_tensor weight;   /* optional: as vka_layer_norm had it                                                       */
    vka_tensor residual; /* optional: as vka_layer_norm had it, unless x is the sum                                  */
    vka_tensor mean;     /* optional, both or none: as vka_layer_norm stored them; absent: computed again            */
    vka_tensor inv_std;
    vka_tensor d_sum;    /* optional: same type: the gradient of sum, which is added to d_x                          */
    vka_tensor d_x;      /* optional: same type: the gradient of x, and of residual; may be the very same view as x, */
                         /*   d_out, residual or d_sum                                                               */
    vka_tensor d_weight; /* optional: [C]; f32, f16 or bf16                                                          */
    vka_tensor d_bias;   /* optional: [C]; f32, f16 or bf16. One of d_x, d_weight and d_bias must be there           */
    float epsilon;       /* as vka_layer_norm had it; not looked at where inv_std is given                           */
    vka_norm_path path;
    bool accumulate; /* adds to what d_weight and d_bias hold                                                  */
    vka_workspace workspace; /* scratch memory; all zero: the recorder's own */
} vka_layer_norm_backward_desc;

/* Gradients of a root mean square norm: of each that is there. All tensors have x's shape unless said otherwise. */
typedef struct vka_rms_norm_backward_desc {
    vka_tensor x;        /* required: [.., C]; f32, f16 or bf16; rank 1 to 4; C is 1 .. 65536: what vka_rms_norm      */
                         /*   read, or the sum that it stored                                                        */
    vka_tensor d_out;    /* required: same type: the gradient of out                                                 */
    vka_tensor weight;   /* optional: as vka_rms_norm had it                                                         */
    vka_tensor residual; /* optional: as vka_rms_norm had it, unless x is the sum                                    */
    vka_tensor inv_rms;  /* optional: as vka_rms_norm stored it; absent: computed again                              */
    vka_tensor d_sum;    /* optional: same type: the gradient of sum, which is added to d_x                          */
    vka_tensor d_x;      /* optional: same type: the gradient of x, and of residual; may be the very same view as x, */
                         /*   d_out, residual or d_sum                                                               */
    vka_tensor d_weight; /* optional: [C]; f32, f16 or bf16. One of d_x and d_weight must be there                   */
    float epsilon;       /* as vka_rms_norm had it; not looked at where inv_rms is given                             */
    vka_norm_path path;
    bool zero_centred; /* as vka_rms_norm had it                                                                 */
    bool accumulate;   /* adds to what d_weight holds                                                            */
    vka_workspace workspace; /* scratch memory; all zero: the recorder's own */
} vka_rms_norm_backward_desc;

/* Gradients of a group norm: of each that is there. */
typedef struct vka_group_norm_backward_desc {
    vka_tensor x;      /* required: [B, C, P]; f32, f16 or bf16; C and P are at least 1, C/G * P at most 2^26, B * P  */
                       /*   below 2^32                                                                               */
    vka_tensor d_out;  /* required: x's shape and type: the gradient of out                                          */
    vka_tensor weight; /* optional: as vka_group_norm had it                                                         */
    vka_tensor mean;   /* optional, both or none: as vka_group_norm stored them; absent: computed again              */
    vka_tensor inv_std;
    vka_tensor d_x;      /* optional: x's shape and type; may be the very same view as x or d_out                    */
    vka_tensor d_weight; /* optional: [C]; f32, f16 or bf16                                                          */
    vka_tensor d_bias;   /* optional: [C]; f32, f16 or bf16. One of d_x, d_weight and d_bias must be there           */
    float epsilon;       /* as vka_group_norm had it; not looked at where inv_std is given                           */
    uint32_t groups;     /* required: as vka_group_norm had it                                                       */
    vka_norm_path path;
    bool accumulate; /* adds to what d_weight and d_bias hold                                                  */
    vka_workspace workspace; /* scratch memory; all zero: the recorder's own */
} vka_group_norm_backward_desc;

#ifdef __cplusplus
}
#endif

/* out = (y - mean(y)) / sqrt(var(y) + epsilon) * weight + bias, y = x + residual (Ba 2016). Biased variance. Statistics
 * in f32: deviations from a first mean, then the mean and the squares of those. So neither offsets nor magnitudes cost
 * accuracy: values around 10000 that are 0.001 apart, and finite ones up to the largest, come out as in float64
 * (inv_std may be 0 where it is subnormal). y is rounded to the storage type before it is normalised when `sum` is
 * given, so that sum and out agree; without it x + residual may be beyond the type.
 *
 *     vka_layer_norm(recorder, &(vka_layer_norm_desc){.x = x, .residual = skip, .weight = w, .bias = b, .out = y});
 *
 * Records and returns; the rest as vka_attention. Rows = 0 records nothing and succeeds.
 *
 * @return VKA_OK; VKA_INVALID; VKA_UNSUPPORTED; VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(layer_norm, LAYER_NORM)

/* Of normalised values h = (y - mean) * inv_std, y = x + residual, and their gradients g = d_out * weight:
 *
 *     d_x      = inv_std * (g - mean of g - h * mean of g * h) + d_sum
 *     d_weight = sum over rows of d_out * h,    d_bias = sum over rows of d_out
 *
 *     vka_layer_norm_backward(recorder, &(vka_layer_norm_backward_desc){.x = x, .d_out = dy, .weight = w, .mean = m,
 *                                                                       .inv_std = s, .d_x = dx, .d_weight = dw});
 *
 * In f32. Parameters' gradients are sums of chunks' sums, in an order that never changes; d_x of a row depends on
 * nothing else. What is absent is not computed. The mean is one float here: values far from 0 and close together are as
 * exact as it is. Rows = 0 succeeds: d_weight and d_bias become 0, unless they accumulate. Records and returns; the
 * rest as vka_layer_norm. Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(layer_norm_backward, LAYER_NORM_BACKWARD)

/* out = y * inv_rms * weight, inv_rms = 1 / sqrt(mean(y * y) + epsilon), y = x + residual (Zhang and Sennrich 2019); no
 * mean is subtracted. Squares are summed in f32, and finite values up to the largest come out as in float64, as those
 * of vka_layer_norm; y is rounded as there. A row with an infinity has inv_rms = 0: its finite values become 0.
 *
 *     vka_rms_norm(recorder, &(vka_rms_norm_desc){.x = x, .out = y, .weight = w, .epsilon = 1e-6f});
 *
 * Records and returns; the rest as vka_layer_norm. Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(rms_norm, RMS_NORM)

/* Of normalised values h = y * inv_rms, y = x + residual, and their gradients g = d_out * weight:
 *
 *     d_x = inv_rms * (g - h * mean of g * h) + d_sum,    d_weight = sum over rows of d_out * h
 *
 *     vka_rms_norm_backward(recorder, &(vka_rms_norm_backward_desc){.x = x, .d_out = dy, .weight = w, .inv_rms = s,
 *                                                                   .d_x = dx, .d_weight = dw});
 *
 * Records and returns; the rest as vka_layer_norm_backward. Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(rms_norm_backward, RMS_NORM_BACKWARD)

/* out = (x - mean) * inv_std * weight + bias, mean and biased variance over the C/G channels of a group and all
 * positions, weight and bias of each channel (Wu and He 2018; ONNX GroupNormalization since opset 21). With groups = C
 * it is instance norm (Ulyanov 2016). Accurate as vka_layer_norm, by the same kernels: a group is a row.
 *
 *     vka_group_norm(recorder, &(vka_group_norm_desc){.x = x, .out = y, .weight = w, .bias = b, .groups = 32});
 *
 * A group is normalised by one workgroup (software drivers: invocation): few and large groups leave others idle. B = 0
 * records nothing and succeeds. Records and returns; the rest as vka_layer_norm. Threads: one thread per recorder at a
 * time. */
VKA_OPERATION_FUNCTIONS(group_norm, GROUP_NORM)

/* Of normalised values h = (x - mean) * inv_std and their gradients g = d_out * weight:
 *
 *     d_x      = inv_std * (g - mean of g - h * mean of g * h), means over a group
 *     d_weight = sum over batch and positions of d_out * h,    d_bias = sum over both of d_out
 *
 *     vka_group_norm_backward(recorder, &(vka_group_norm_backward_desc){.x = x, .d_out = dy, .weight = w, .groups = 32,
 *                                                                       .d_x = dx, .d_weight = dw, .d_bias = db});
 *
 * Records and returns; the rest as vka_layer_norm_backward. Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(group_norm_backward, GROUP_NORM_BACKWARD)

#endif
