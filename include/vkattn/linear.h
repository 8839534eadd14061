/* vkattn: linear layers.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_LINEAR_H
#define VKATTN_LINEAR_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which kernel runs. AUTO is right for everything but tests and measurements. */
typedef enum vka_linear_path {
    VKA_LINEAR_PATH_AUTO = 0, /* chosen from the device's capabilities and the problem                              */
    /* A workgroup owns a few outputs of up to eight rows, and reads weights once. */
    VKA_LINEAR_PATH_VECTOR = 1,
    VKA_LINEAR_PATH_TILE = 2, /* a workgroup owns a tile of outputs, operands are staged in shared memory: GPUs     */
    /* Subgroups multiply cooperative matrices. x is f16 or bf16, weights have x's type or are quantised; those are
     * rounded to x's type, as if they were a tensor of it. */
    VKA_LINEAR_PATH_COOPMAT = 3,
    VKA_LINEAR_PATH_ROW = 4, /* an invocation owns rows, weights are broadcast: software drivers alone                */
    /* TILE with pairs of f16, whose products an instruction sums in f32 (VK_VALVE_shader_mixed_float_dot_product; for
     * tests also without). x is f16, weights are f16, or quantised and rounded to it. */
    VKA_LINEAR_PATH_DOT = 5,
    /* Matrices that span a whole tile (VK_NV_cooperative_matrix2). x and weights as for DOT. */
    VKA_LINEAR_PATH_COOPMAT2 = 6,
} vka_linear_path;

/* How a path cuts its work: the numbers that vka_linear_explain prints. All zero: chosen. */
typedef struct vka_linear_tile {
    uint32_t row_tile;            /* rows of x of a workgroup                                                      */
    uint32_t output_tile;         /* outputs of a workgroup                                                        */
    uint32_t rows_per_invocation; /* COOPMAT: products stacked in a subgroup's block; VECTOR: eights of columns of a */
                                  /*   step; COOPMAT2: a step's columns, in the granularity of matrices            */
    uint32_t team;                /* invocations side by side that share rows; VECTOR: that share columns, 1 on   */
                                  /*   software drivers, where each has outputs of its own; COOPMAT:               */
    /*   subgroups side by side; ROW, COOPMAT2: 1                                            */
} vka_linear_tile;

/* One linear layer. K columns, N outputs. */
typedef struct vka_linear_desc {
    vka_tensor x;        /* required: [.., K]; f32, f16 or bf16; rank 1 to 4                                       */
    vka_tensor weight;   /* required: [N, K]; f32, f16, bf16, q8_0 or q4_0. Of rank 3 or 4 there is a matrix for each */
                         /*   entry of x's leading dimensions: [B, N, K] for x [B, M, K]; sizes of 1 broadcast    */
    vka_tensor bias;     /* optional: [N]; f32, f16 or bf16                                                        */
    vka_tensor residual; /* optional: [.., N]; f32, f16 or bf16: added after the activation                       */
    vka_tensor out;      /* required: [.., N]; f32, f16 or bf16; may be the very same view as residual             */
    vka_activation activation;

    /* Measurements and tests; leave at zero. */
    vka_linear_path path;
    vka_linear_tile tile; /* one of vka_linear_candidates; needs a path                                           */
    uint32_t splits; /* workgroups that share the columns of one tile; 0 = chosen; 1 = not split. At most 64      */

    vka_workspace workspace; /* scratch memory; all zero: the recorder's own */

    /* VKA_DETERMINISM_BATCH: a row's results have the same bits whatever other rows there are, and how many. Given are
     * N, K, types, path, tile, splits, and whether strides and offsets are multiples of 16 bytes. So nothing is chosen
     * by the number of rows: the path is the one for many, and columns are split only as `splits` says. That is slower
     * for few rows, unless VKA_LINEAR_PATH_VECTOR is named, and slower for many then. */
    vka_determinism determinism;
} vka_linear_desc;

/* A path and a tile that can run a linear layer: see vka_operation_candidates. */
typedef struct vka_linear_candidate {
    vka_linear_path path;
    vka_linear_tile tile;
} vka_linear_candidate;

/* The gradients of a linear layer. K columns, N outputs. What forward read is needed where it says so. */
typedef struct vka_linear_backward_desc {
    vka_tensor x; /* [.., K]: for d_weight, and for z where that is computed anew; f32, f16 or bf16               */
    vka_tensor
        weight;      /* [N, K], or with leading dimensions as forward's: for d_x, and for z likewise; f32, f16, bf16, */
                     /*   q8_0 or q4_0                                                                              */
    vka_tensor bias; /* [N]: forward's, if it had one, for z likewise; f32, f16 or bf16                             */
    vka_tensor z;    /* optional, with an activation: [.., N], x W^T + bias; f32, f16 or bf16. Without it z is      */
                     /*   computed anew, in d_out's type                                                              */
    vka_tensor d_out; /* required: [.., N], the gradient of forward's out; f32, f16 or bf16; rank 1 to 4. It is also */
                      /*   that of the residual                                                                      */
    vka_tensor d_x;   /* optional, written: x's shape; f32, f16 or bf16                                              */
    vka_tensor d_weight; /* optional, written: weight's shape; f32, f16 or bf16; not of quantised weights. Where a */
    /*   leading dimension is 1, it is summed over                                               */
    vka_tensor d_bias; /* optional, written: [N]; f32, f16 or bf16                                                  */
    vka_activation activation; /* forward's                                                                           */
    bool accumulate; /* d_weight and d_bias are added to what is there                                               */

    /* Measurements and tests; leave at zero. */
    vka_linear_path path; /* of all products                                                                          */

    vka_workspace workspace; /* scratch memory; all zero: the recorder's own */

    vka_determinism determinism; /* as forward's, of d_x */
} vka_linear_backward_desc;

#ifdef __cplusplus
}
#endif

/* out = activation(x W^T + bias) + residual, as PyTorch's nn.Linear has W: a row of weights for each output. Products
 * are summed in f32, whatever the types, and the result is rounded once. Types of all tensors mix freely, and so do
 * strides; rows that are contiguous, of a multiple of eight elements and aligned to 16 bytes are fastest.
 *
 *     vka_linear(recorder, &(vka_linear_desc){.x = x, .weight = w, .bias = b, .out = y,
 *                                             .activation = VKA_ACTIVATION_GELU});
 *
 * Edges: no rows, or N = 0, records nothing and succeeds. K = 0 gives activation(bias) + residual. NaN and infinities
 * in what is read propagate as sums of products do. The same inputs on the same device give the same bits.
 *
 * Tensors may be larger than what a binding sees: they are cut by batches, by rows and by outputs. A single row of x,
 * or of the weights, must fit.
 *
 * Records and returns; the rest as vka_attention. vka_linear_candidates lists paths and tiles for whoever measures
 * them.
 *
 * @return VKA_OK; VKA_INVALID; VKA_UNSUPPORTED; VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(linear, LINEAR)
VKA_OPERATION_CANDIDATES(linear, LINEAR)

/* The gradients of out = activation(x W^T + bias) + residual:
 *
 *   g = d_out * activation'(z)    d_x = g W    d_weight = g^T x    d_bias = sum of g over rows
 *
 * each of which is computed if its tensor is there. The products are linear layers of tensors with other strides, by
 * vka_linear's kernels and tuning. g is rounded to d_out's type, and quantised weights are for d_x.
 *
 *     vka_linear_backward(recorder, &(vka_linear_backward_desc){.x = x, .weight = w, .d_out = g, .d_x = d_x,
 *                                                               .d_weight = d_w, .d_bias = d_b});
 *
 * Edges: without rows d_weight and d_bias are 0, or with `accumulate` what they were. Sums have the same order every
 * time. The workspace has g and z, with an activation; quantised weights as floats; and copies of x and d_out where
 * leading dimensions that d_weight sums over do not lie as evenly as one. For d_weight all of x and d_out must fit a
 * binding, for d_x a matrix of weights.
 *
 * Records and returns; the rest as vka_linear.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(linear_backward, LINEAR_BACKWARD)

#endif
