/* vkattn_nn: layers of transformers, made of vkattn's operations through their public headers alone.
 *
 * A library of its own: an app that has its own graph of operations does not need it. Layers are added to a sequence,
 * which plans them once and is recorded any number of times:
 *
 *   vka_nn_sequence *seq;
 *   vka_nn_sequence_create(device, NULL, &seq);
 *   vka_nn_layer(seq, &(vka_nn_layer_desc){ .x = x, .out = y, .self = { .heads = 12, .qkv = .. }, .. });
 *   vka_recorder_begin(recorder);
 *   vka_nn_sequence_record(recorder, seq);
 *
 * Intermediate results lie in one arena, in which their memory is given out by their lifetimes: a model of many layers
 * needs as much as its largest layer. Operations that do not depend on each other overlap, as everywhere in vkattn.
 *
 * Training: see below, and a step of a model of layers is a sequence, too, in which gradients have the names of what
 * they are of:
 *
 *   vka_nn_layer_desc layer = { .x = x, .out = y, .keep = VKA_NN_KEEP_INPUTS, .. };
 *   vka_nn_layer(seq, &layer);
 *   .. the loss, and d_y, the gradient of y, by vka_nn_operation
 *   vka_nn_layer_backward_desc back = { .forward = layer, .gradients = { .out = d_y, .x = d_x } };
 *   vka_nn_layer_backward_find(seq, VKA_NN_NAMES_TORCH, "layers.0.", find_gradient, grads, &back);
 *   vka_nn_layer_backward(seq, &back);
 *   .. vka_gradient_norm and vka_adamw by vka_nn_operation; and then each step is one recording, submitted again
 *
 * All rules of vkattn.h hold. Errors: VKA_OK; VKA_INVALID; VKA_UNSUPPORTED; VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST. What a
 * layer refuses is told to the log of the sequence, what an operation refuses to that of the device; a layer that is
 * refused adds nothing.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_NN_H
#define VKATTN_NN_H

#include <vkattn/attention.h>
#include <vkattn/cache.h>
#include <vkattn/linear.h>
#include <vkattn/nn_api.h>
#include <vkattn/norm.h>
#include <vkattn/rope.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sequences --------------------------------------------------------------------------------------------------- */

/* Layers in the order in which they run. */
typedef struct vka_nn_sequence vka_nn_sequence;

/* A sequence to be created. */
typedef struct vka_nn_sequence_desc {
    vka_workspace arena; /* optional: memory for intermediate results, with a size of arena_bytes; absent: memory  */
                         /*   of the sequence, which grows to what is needed                                      */
    uint64_t arena_bytes;
    vka_log log; /* optional: errors of layers                                                            */
} vka_nn_sequence_desc;

/* What a sequence has come to. */
typedef struct vka_nn_sequence_info {
    uint64_t arena_bytes; /* that the layers so far need                                                           */
    uint32_t operations;
    uint64_t live_bytes; /* of the arena, the most that is in use at a time: the rest is lost between lifetimes   */
} vka_nn_sequence_info;

/* `desc` may be NULL. Buffers, patterns and the device must outlive the sequence. Threads: a sequence belongs to one
 * thread at a time while layers are added; recorded it may be by any number. */
VKA_NN_API vka_status vka_nn_sequence_create_sized(vka_device *device, const vka_nn_sequence_desc *desc,
                                                   size_t desc_size, vka_nn_sequence **sequence);
/* Sets *sequence to NULL; NULL is allowed. Recorded work must have completed. */
VKA_NN_API void vka_nn_sequence_destroy(vka_nn_sequence **sequence);
VKA_NN_API vka_nn_sequence_info vka_nn_sequence_get_info(const vka_nn_sequence *sequence);

/* Which operation is the one of a number, from 0, in the order in which they were added; 0: there are not so many. */
VKA_NN_API vka_operation vka_nn_sequence_get_operation(const vka_nn_sequence *sequence, uint32_t index);

/* Records all that was added. Recordings of one sequence share its arena, so they must not run at the same time. Unless
 * numbers of workgroups are computed on the device, nothing is allocated, and nothing but a recorder that is not
 * recording can make it fail. */
VKA_NN_API vka_status vka_nn_sequence_record(vka_recorder *recorder, const vka_nn_sequence *sequence);
/* The same of the operations `first` .. first + count - 1 alone, in the order in which they were added: to time them,
 * or to put commands of the app's between layers. VKA_INVALID: there are not so many. */
VKA_NN_API vka_status vka_nn_sequence_record_part(vka_recorder *recorder, const vka_nn_sequence *sequence,
                                                  uint32_t first, uint32_t count);
/* The same in slices, with the bits of the whole: all that vkattn.h says of slices and of vka_plan_record_slice, for
 * the plans of all operations, and the arena is what they keep between slices. Prepare once all layers were added, and
 * again after further ones; what is prepared is left as it is. */
VKA_NN_API vka_status vka_nn_sequence_prepare_slices(vka_nn_sequence *sequence);
VKA_NN_API uint64_t vka_nn_sequence_work(const vka_nn_sequence *sequence); /* of what is prepared: vka_plan_work */
VKA_NN_API vka_status vka_nn_sequence_record_slice(vka_recorder *recorder, const vka_nn_sequence *sequence,
                                                   uint64_t budget, vka_slice *slice);

/* Adds any operation of vkattn, for what is no layer: embeddings, the last norm, logits. A workspace that its
 * description does not give lies in the arena. */
VKA_NN_API vka_status vka_nn_operation(vka_nn_sequence *sequence, vka_operation operation, const void *desc,
                                       size_t desc_size);

/* ---- what layers are made of ------------------------------------------------------------------------------------- */

/* A projection, as PyTorch's nn.Linear has it. */
typedef struct vka_nn_linear {
    vka_tensor weight; /* [outputs, inputs]; f32, f16, bf16, q8_0 or q4_0                                          */
    vka_tensor bias;   /* optional: [outputs]                                                                      */
} vka_nn_linear;

/* Which norm, or none. */
typedef enum vka_nn_norm_kind {
    VKA_NN_NORM_NONE = 0,
    VKA_NN_NORM_LAYER = 1, /* vka_layer_norm                                                                       */
    VKA_NN_NORM_RMS = 2,   /* vka_rms_norm                                                                         */
} vka_nn_norm_kind;

/* A norm with its parameters. */
typedef struct vka_nn_norm {
    vka_nn_norm_kind kind;
    vka_tensor weight, bias; /* optional; no bias with RMS                                                         */
    float epsilon;           /* 0 = 1e-5                                                                           */
    bool zero_centred;       /* RMS: multiplies by 1 + weight                                                      */
} vka_nn_norm;

/* What a layer leaves for its backward pass. Inputs (x, memory, values) must hold what they held until that has run, so
 * out is none of them; and gradients have the same bits either way. */
typedef enum vka_nn_keep {
    VKA_NN_KEEP_NOTHING = 0, /* there is no backward pass                                                          */
    VKA_NN_KEEP_RESULTS = 1, /* intermediate results, in `kept`, which is required: a multiple of 256 as offset, and  */
                             /*   as many bytes as vka_nn_<layer>_kept_bytes says                                  */
    VKA_NN_KEEP_INPUTS = 2,  /* inputs alone: backward computes intermediate results once more (checkpointing, Chen */
                             /*   2016), in the sequence's arena, one layer's at a time                            */
} vka_nn_keep;

/* Multi-head attention (Vaswani 2017): of queries from x, and of keys and values from x, too, or from `memory`. */
typedef struct vka_nn_attention_desc {
    vka_tensor x;        /* required: [B, N, E]; f32, f16 or bf16, and of this type is every intermediate result    */
    vka_tensor memory;   /* cross-attention: [B, M, Ek] of which keys are made; absent: x                          */
    vka_tensor values;   /* cross-modal: [B, M, Ev] of which values are made; absent: what keys are made of        */
    vka_tensor residual; /* optional: [B, N, E], added to the result                                               */
    vka_tensor out;      /* required: [B, N, E]; may be the very same view as residual                             */
    uint32_t heads;      /* required: 1 .. 32768                                                                   */
    uint32_t kv_heads;   /* of keys and values; 0 = heads                                                          */

    /* Projections of queries [heads D, E], keys [kv_heads D, Ek], values [kv_heads Dv, Ev]; or `qkv`, all three one
     * below the other, which takes inputs of one size and has Dv = D: PyTorch's in_proj_weight. D and Dv are those of
     * vka_attention. */
    vka_nn_linear qkv, q, k, v;
    vka_nn_linear projection; /* required: of the result, [E, heads Dv]                                            */

    bool rotate; /* queries and keys by their positions, or with a cache by positions from lengths on              */
    vka_rope_options rope;

    /* A cache of keys and values, to which those of x are appended: tensors of vka_cache_append_desc by these names.
     * With it `lengths` (a tensor) and `new_lengths` are required, and there is no memory. */
    vka_tensor k_cache, v_cache, k_scale, v_scale, page_table, lengths, new_lengths;

    /* Options: scale, masks, biases, causal, window, lengths, ..; q, k, v, out and what the cache has are the layer's,
     * and must be absent. */
    vka_attention_desc attention;

    vka_nn_keep keep; /* for training: see vka_nn_keep. No caches then                                              */
    vka_workspace kept;
} vka_nn_attention_desc;

/* down(activation(up(x))), or with a gate down(activation(gate(x)) * up(x)) (Shazeer 2020), and the residual. */
typedef struct vka_nn_feed_forward_desc {
    vka_tensor x;           /* required: [.., E]; f32, f16 or bf16, and of this type is every intermediate result   */
    vka_tensor residual;    /* optional: [.., E]                                                                   */
    vka_tensor out;         /* required: [.., E]; may be the very same view as residual                            */
    vka_nn_linear up, down; /* required: [F, E] and [E, F]                                                         */
    vka_nn_linear gate;     /* optional: [F, E]                                                                    */
    vka_activation activation;
    vka_nn_keep keep; /* for training: see vka_nn_keep                                                              */
    vka_workspace kept;
} vka_nn_feed_forward_desc;

/* A layer of an encoder or of a decoder. With norm_first (GPT-2 and most since)
 *     h = x + self(norm_self(x));  h = h + cross(norm_cross(h), memory);  out = h + feed_forward(norm_feed_forward(h))
 * and without (Vaswani 2017; PyTorch's default)
 *     h = norm_self(x + self(x));  h = norm_cross(h + cross(h, memory));  out = norm_feed_forward(h + feed_forward(h))
 * An encoder, and a decoder without an encoder (GPT, Llama), have no `memory`, and then nothing of `cross` is used. */
typedef struct vka_nn_layer_desc {
    vka_tensor x;      /* required: [B, N, E]                                                                      */
    vka_tensor memory; /* of a decoder: [B, M, Ek], what the encoder gave                                          */
    vka_tensor out;    /* required: [B, N, E]; may be the very same view as x                                      */
    bool norm_first;
    vka_nn_norm norm_self, norm_cross, norm_feed_forward;
    /* Without their x, memory, values, residual, out, keep and kept. */
    vka_nn_attention_desc self, cross;
    vka_nn_feed_forward_desc feed_forward;
    vka_nn_keep keep; /* for training: see vka_nn_keep                                                              */
    vka_workspace kept;
} vka_nn_layer_desc;

/* Add a layer: vka_nn_attention, vka_nn_feed_forward. */
VKA_NN_API vka_status vka_nn_attention_sized(vka_nn_sequence *sequence, const vka_nn_attention_desc *desc,
                                             size_t desc_size);
VKA_NN_API vka_status vka_nn_feed_forward_sized(vka_nn_sequence *sequence, const vka_nn_feed_forward_desc *desc,
                                                size_t desc_size);
/* Of x [.., C] into out, which may be the very same view. */
VKA_NN_API vka_status vka_nn_normalise_sized(vka_nn_sequence *sequence, const vka_nn_norm *norm, size_t norm_size,
                                             const vka_tensor *x, const vka_tensor *out);
VKA_NN_API vka_status vka_nn_layer_sized(vka_nn_sequence *sequence, const vka_nn_layer_desc *desc, size_t desc_size);

/* ---- training ---------------------------------------------------------------------------------------------------- */

/* Bytes of `kept` that a layer needs: with VKA_NN_KEEP_RESULTS, from shapes alone; otherwise 0. Nothing is added. */
VKA_NN_API vka_status vka_nn_attention_kept_bytes_sized(vka_nn_sequence *sequence, const vka_nn_attention_desc *desc,
                                                        size_t desc_size, uint64_t *bytes);
VKA_NN_API vka_status vka_nn_feed_forward_kept_bytes_sized(vka_nn_sequence *sequence,
                                                           const vka_nn_feed_forward_desc *desc, size_t desc_size,
                                                           uint64_t *bytes);
VKA_NN_API vka_status vka_nn_layer_kept_bytes_sized(vka_nn_sequence *sequence, const vka_nn_layer_desc *desc,
                                                    size_t desc_size, uint64_t *bytes);

/* The gradients of layers. `forward` is what the layer was given, whose out is not read; in `gradients` each tensor is
 * the gradient of the one that stands there in `forward`:
 *
 *   out                          required, of x's shape and type: the gradient that comes in, also that of residual
 *   x, memory, values            written; x has x's type, and may be the very same view as out
 *   weights and biases           written, or with `accumulate` added to; any float type; of quantised weights there are
 *                                none
 *   attention.mask, .alibi_slopes, .relative_bias, .sinks    likewise, of vka_attention_backward's types
 *
 * Whatever is absent there is not computed, and its other fields are not looked at. What vka_attention_backward refuses
 * is refused. Sums have one order, so the same inputs give the same bits. Each replay drops the same weights, those of
 * `seed`, unless the number in attention.random_step changes in between. Intermediate gradients have x's type: f16
 * wants a loss scale. */
typedef struct vka_nn_attention_backward_desc {
    vka_nn_attention_desc forward;
    vka_nn_attention_desc gradients;
    bool accumulate;        /* adds to gradients of parameters                                                     */
    bool accumulate_memory; /* adds to those of memory and values: of an encoder's result, which layers share      */
} vka_nn_attention_backward_desc;

/* The gradients of a feed-forward network; accumulate: added to what they hold. */
typedef struct vka_nn_feed_forward_backward_desc {
    vka_nn_feed_forward_desc forward;
    vka_nn_feed_forward_desc gradients;
    bool accumulate;
} vka_nn_feed_forward_backward_desc;

/* The gradients of a layer; the flags as in vka_nn_attention_backward_desc. */
typedef struct vka_nn_layer_backward_desc {
    vka_nn_layer_desc forward;
    vka_nn_layer_desc gradients;
    bool accumulate, accumulate_memory;
} vka_nn_layer_backward_desc;

/* Of vka_nn_normalise; one of d_x and the gradients must be there. */
typedef struct vka_nn_normalise_backward_desc {
    vka_nn_norm norm;
    vka_nn_norm gradient; /* of weight and bias: optional, written; f32, f16 or bf16                               */
    vka_tensor x;         /* required: what it read                                                                */
    vka_tensor d_out;     /* required: x's shape and type                                                          */
    vka_tensor d_sum;     /* optional: likewise, added to d_x: what comes around the norm                          */
    vka_tensor d_x;       /* optional, written: likewise; may be the very same view as x, d_out or d_sum           */
    bool accumulate;      /* adds to what `gradient` holds                                                         */
} vka_nn_normalise_backward_desc;

/* Add a backward pass: vka_nn_attention_backward and its like. */
VKA_NN_API vka_status vka_nn_attention_backward_sized(vka_nn_sequence *sequence,
                                                      const vka_nn_attention_backward_desc *desc, size_t desc_size);
VKA_NN_API vka_status vka_nn_feed_forward_backward_sized(vka_nn_sequence *sequence,
                                                         const vka_nn_feed_forward_backward_desc *desc,
                                                         size_t desc_size);
VKA_NN_API vka_status vka_nn_normalise_backward_sized(vka_nn_sequence *sequence,
                                                      const vka_nn_normalise_backward_desc *desc, size_t desc_size);
VKA_NN_API vka_status vka_nn_layer_backward_sized(vka_nn_sequence *sequence, const vka_nn_layer_backward_desc *desc,
                                                  size_t desc_size);

/* ---- parameters by name ------------------------------------------------------------------------------------------ */

/* The tensor of a name, in *tensor; false: there is none. */
typedef bool (*vka_nn_find_fn)(void *user, const char *name, vka_tensor *tensor);

/* Whose names parameters have. */
typedef enum vka_nn_names {
    VKA_NN_NAMES_TORCH = 1, /* nn.TransformerEncoderLayer and nn.TransformerDecoderLayer: "self_attn.in_proj_weight", */
                            /*   "linear1.weight", "norm1.weight", ..                                             */
    VKA_NN_NAMES_LLAMA = 2, /* Hugging Face's Llama, Mistral, Qwen2, ..: "self_attn.q_proj.weight",                */
                            /*   "mlp.gate_proj.weight", "input_layernorm.weight", ..                             */
    VKA_NN_NAMES_GPT2 = 3,  /* Hugging Face's GPT-2: "attn.c_attn.weight", "mlp.c_fc.weight", "ln_1.weight", ..      */
                            /*   Weights are [inputs, outputs] there; the description gets views with the two        */
                            /*   exchanged, and quantised ones are refused. Copies with rows of outputs are faster   */
} vka_nn_names;

/* Fills in all weights of a layer, from the names behind `prefix` ("model.layers.0.", or ""). Biases may be missing; of
 * the first weight that is, the log has the name, and nothing is filled in. With a `memory`, names are those of
 * PyTorch's decoder layer. */
VKA_NN_API vka_status vka_nn_layer_find_sized(vka_nn_sequence *sequence, vka_nn_names names, const char *prefix,
                                              vka_nn_find_fn find, void *user, vka_nn_layer_desc *desc,
                                              size_t desc_size);

/* The same of gradients: `gradients` has those that `find` has. */
VKA_NN_API vka_status vka_nn_layer_backward_find_sized(vka_nn_sequence *sequence, vka_nn_names names,
                                                       const char *prefix, vka_nn_find_fn find, void *user,
                                                       vka_nn_layer_backward_desc *desc, size_t desc_size);

/* ---- functions that know the size of a description --------------------------------------------------------------- */

static inline vka_status vka_nn_sequence_create(vka_device *device_, const vka_nn_sequence_desc *desc_,
                                                vka_nn_sequence **sequence_) {
    return vka_nn_sequence_create_sized(device_, desc_, sizeof *desc_, sequence_);
}
static inline vka_status vka_nn_attention(vka_nn_sequence *sequence_, const vka_nn_attention_desc *desc_) {
    return vka_nn_attention_sized(sequence_, desc_, sizeof *desc_);
}
static inline vka_status vka_nn_feed_forward(vka_nn_sequence *sequence_, const vka_nn_feed_forward_desc *desc_) {
    return vka_nn_feed_forward_sized(sequence_, desc_, sizeof *desc_);
}
static inline vka_status vka_nn_normalise(vka_nn_sequence *sequence_, const vka_nn_norm *norm_, const vka_tensor *x_,
                                          const vka_tensor *out_) {
    return vka_nn_normalise_sized(sequence_, norm_, sizeof *norm_, x_, out_);
}
static inline vka_status vka_nn_layer(vka_nn_sequence *sequence_, const vka_nn_layer_desc *desc_) {
    return vka_nn_layer_sized(sequence_, desc_, sizeof *desc_);
}
static inline vka_status vka_nn_layer_find(vka_nn_sequence *sequence_, vka_nn_names names_, const char *prefix_,
                                           vka_nn_find_fn find_, void *user_, vka_nn_layer_desc *desc_) {
    return vka_nn_layer_find_sized(sequence_, names_, prefix_, find_, user_, desc_, sizeof *desc_);
}
static inline vka_status vka_nn_attention_kept_bytes(vka_nn_sequence *sequence_, const vka_nn_attention_desc *desc_,
                                                     uint64_t *bytes_) {
    return vka_nn_attention_kept_bytes_sized(sequence_, desc_, sizeof *desc_, bytes_);
}
static inline vka_status vka_nn_feed_forward_kept_bytes(vka_nn_sequence *sequence_,
                                                        const vka_nn_feed_forward_desc *desc_, uint64_t *bytes_) {
    return vka_nn_feed_forward_kept_bytes_sized(sequence_, desc_, sizeof *desc_, bytes_);
}
static inline vka_status vka_nn_layer_kept_bytes(vka_nn_sequence *sequence_, const vka_nn_layer_desc *desc_,
                                                 uint64_t *bytes_) {
    return vka_nn_layer_kept_bytes_sized(sequence_, desc_, sizeof *desc_, bytes_);
}
static inline vka_status vka_nn_attention_backward(vka_nn_sequence *sequence_,
                                                   const vka_nn_attention_backward_desc *desc_) {
    return vka_nn_attention_backward_sized(sequence_, desc_, sizeof *desc_);
}
static inline vka_status vka_nn_feed_forward_backward(vka_nn_sequence *sequence_,
                                                      const vka_nn_feed_forward_backward_desc *desc_) {
    return vka_nn_feed_forward_backward_sized(sequence_, desc_, sizeof *desc_);
}
static inline vka_status vka_nn_normalise_backward(vka_nn_sequence *sequence_,
                                                   const vka_nn_normalise_backward_desc *desc_) {
    return vka_nn_normalise_backward_sized(sequence_, desc_, sizeof *desc_);
}
static inline vka_status vka_nn_layer_backward(vka_nn_sequence *sequence_, const vka_nn_layer_backward_desc *desc_) {
    return vka_nn_layer_backward_sized(sequence_, desc_, sizeof *desc_);
}
static inline vka_status vka_nn_layer_backward_find(vka_nn_sequence *sequence_, vka_nn_names names_,
                                                    const char *prefix_, vka_nn_find_fn find_, void *user_,
                                                    vka_nn_layer_backward_desc *desc_) {
    return vka_nn_layer_backward_find_sized(sequence_, names_, prefix_, find_, user_, desc_, sizeof *desc_);
}

#ifdef __cplusplus
}
#endif

#endif
