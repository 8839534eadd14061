/* The descriptions of record_ops.h.
 * SPDX-License-Identifier: MIT */
#include "record_ops.h"

#include <vkattn/additive_attention.h>
#include <vkattn/attention.h>
#include <vkattn/cache.h>
#include <vkattn/capsule.h>
#include <vkattn/conv.h>
#include <vkattn/elementwise.h>
#include <vkattn/embedding.h>
#include <vkattn/hadamard.h>
#include <vkattn/linear.h>
#include <vkattn/linear_attention.h>
#include <vkattn/loss.h>
#include <vkattn/lsh.h>
#include <vkattn/merge.h>
#include <vkattn/norm.h>
#include <vkattn/optim.h>
#include <vkattn/relative.h>
#include <vkattn/rope.h>
#include <vkattn/sampling.h>
#include <vkattn/softmax.h>

#include <stddef.h>

vka_buffer *bench_record_buffer(record_memory *m, uint64_t bytes) {
    const size_t most = sizeof m->buffers / sizeof *m->buffers;
    vka_buffer_desc desc = {.size = bytes};
    m->failed = m->failed || m->count == most || vka_buffer_create(m->device, &desc, &m->buffers[m->count]) != VKA_OK;
    return m->failed ? NULL : m->buffers[m->count++];
}

void bench_record_free(record_memory *m) {
    while (m->count) {
        vka_buffer_destroy(&m->buffers[--m->count]);
    }
}

/* A contiguous tensor of a rank up to 4, with a buffer of its own. */
static vka_tensor tensor(record_memory *m, vka_dtype dtype, uint32_t rank, const uint32_t *shape) {
    vka_tensor t = {.dtype = dtype, .rank = rank};
    uint64_t bytes = vka_dtype_size(dtype);
    for (uint32_t i = 0; i < rank; i++) {
        t.shape[i] = shape[i];
        bytes *= shape[i];
    }
    t.buffer = bench_record_buffer(m, bytes);
    return t;
}
#define T(dtype, ...)                                                                                                  \
    tensor(m, dtype, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), (const uint32_t[]){__VA_ARGS__})

enum { BATCH = 1, HEADS = 8, KV_HEADS = 2, QUERIES = 64, KEYS = 64, DIM = 64, CAPACITY = 256, WIDTH = 512 };

static vka_attention_desc attention(record_memory *m) {
    vka_tensor q = T(VKA_F16, BATCH, HEADS, QUERIES, DIM), k = T(VKA_F16, BATCH, KV_HEADS, KEYS, DIM);
    return (vka_attention_desc){.q = q,
                                .k = k,
                                .v = T(VKA_F16, BATCH, KV_HEADS, KEYS, DIM),
                                .out = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                .causal = true};
}

static vka_attention_merge_desc attention_merge(record_memory *m) {
    vka_tensor a = T(VKA_F16, BATCH, HEADS, QUERIES, DIM), a_lse = T(VKA_F32, BATCH, HEADS, QUERIES);
    return (vka_attention_merge_desc){.a = a,
                                      .b = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                      .a_lse = a_lse,
                                      .b_lse = T(VKA_F32, BATCH, HEADS, QUERIES),
                                      .out = a,
                                      .lse = a_lse};
}

static vka_attention_merge_backward_desc attention_merge_backward(record_memory *m) {
    return (vka_attention_merge_backward_desc){.a = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                               .b = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                               .a_lse = T(VKA_F32, BATCH, HEADS, QUERIES),
                                               .b_lse = T(VKA_F32, BATCH, HEADS, QUERIES),
                                               .d_out = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                               .d_a = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                               .d_a_lse = T(VKA_F32, BATCH, HEADS, QUERIES)};
}

static vka_layer_norm_desc layer_norm(record_memory *m) {
    vka_tensor x = T(VKA_F16, QUERIES, WIDTH);
    return (vka_layer_norm_desc){.x = x,
                                 .out = x,
                                 .weight = T(VKA_F32, WIDTH),
                                 .bias = T(VKA_F32, WIDTH),
                                 .residual = T(VKA_F16, QUERIES, WIDTH)};
}

static vka_rms_norm_desc rms_norm(record_memory *m) {
    vka_tensor x = T(VKA_F16, QUERIES, WIDTH);
    return (vka_rms_norm_desc){.x = x, .out = x, .weight = T(VKA_F32, WIDTH), .residual = T(VKA_F16, QUERIES, WIDTH)};
}

static vka_rope_desc rope(record_memory *m) {
    vka_tensor x = T(VKA_F16, BATCH, HEADS, QUERIES, DIM);
    return (vka_rope_desc){.x = x, .out = x};
}

static vka_cache_append_desc cache_append(record_memory *m) {
    return (vka_cache_append_desc){.k = T(VKA_F16, BATCH, KV_HEADS, 1, DIM),
                                   .v = T(VKA_F16, BATCH, KV_HEADS, 1, DIM),
                                   .k_cache = T(VKA_F16, BATCH, KV_HEADS, CAPACITY, DIM),
                                   .v_cache = T(VKA_F16, BATCH, KV_HEADS, CAPACITY, DIM),
                                   .lengths.tensor = T(VKA_I32, BATCH),
                                   .rotate = true};
}

static vka_relative_bias_t5_desc relative_bias_t5(record_memory *m) {
    return (vka_relative_bias_t5_desc){
        .table = T(VKA_F32, 32, HEADS), .out = T(VKA_F32, HEADS, 2 * KEYS - 1), .relative_zero = KEYS - 1};
}

static vka_relative_bias_span_desc relative_bias_span(record_memory *m) {
    return (vka_relative_bias_span_desc){
        .spans = T(VKA_F32, HEADS), .out = T(VKA_F32, HEADS, KEYS), .relative_zero = KEYS - 1, .ramp = 16};
}

static vka_relative_bias_t5_backward_desc relative_bias_t5_backward(record_memory *m) {
    return (vka_relative_bias_t5_backward_desc){
        .d_out = T(VKA_F32, HEADS, 2 * KEYS - 1), .d_table = T(VKA_F32, 32, HEADS), .relative_zero = KEYS - 1};
}

static vka_relative_bias_span_backward_desc relative_bias_span_backward(record_memory *m) {
    return (vka_relative_bias_span_backward_desc){.spans = T(VKA_F32, HEADS),
                                                  .d_out = T(VKA_F32, HEADS, KEYS),
                                                  .d_spans = T(VKA_F32, HEADS),
                                                  .relative_zero = KEYS - 1,
                                                  .ramp = 16};
}

static vka_lsh_sort_desc lsh_sort(record_memory *m) {
    return (vka_lsh_sort_desc){.x = T(VKA_F16, BATCH, HEADS, CAPACITY, DIM),
                               .rotations = T(VKA_F32, 2, HEADS, DIM, 4),
                               .bucket_count = {8},
                               .permutation = T(VKA_I32, 2, BATCH, HEADS, CAPACITY)};
}

static vka_softmax_desc softmax(record_memory *m) {
    vka_tensor x = T(VKA_F16, QUERIES, WIDTH);
    return (vka_softmax_desc){.x = x, .out = x};
}

static vka_map_desc map(record_memory *m) {
    return (vka_map_desc){
        .x = T(VKA_F16, QUERIES, WIDTH), .out = T(VKA_F32, QUERIES, WIDTH), .activation = VKA_ACTIVATION_GELU};
}

static vka_combine_desc combine(record_memory *m) {
    vka_tensor a = T(VKA_F16, QUERIES, WIDTH);
    return (vka_combine_desc){.a = a, .b = T(VKA_F16, 1, WIDTH), .out = a, .kind = VKA_COMBINE_ADD};
}

static vka_glu_desc glu(record_memory *m) {
    vka_tensor gate = T(VKA_F16, QUERIES, WIDTH);
    return (vka_glu_desc){
        .gate = gate, .up = T(VKA_F16, QUERIES, WIDTH), .out = gate, .activation = VKA_ACTIVATION_SILU};
}

static vka_group_norm_desc group_norm(record_memory *m) {
    vka_tensor x = T(VKA_F16, BATCH, DIM, QUERIES);
    return (vka_group_norm_desc){.x = x, .out = x, .groups = 8};
}

static vka_cross_entropy_desc cross_entropy(record_memory *m) {
    return (vka_cross_entropy_desc){
        .logits = T(VKA_F16, QUERIES, WIDTH), .targets = T(VKA_I32, QUERIES), .total = T(VKA_F32, 1)};
}

static vka_embedding_desc embedding(record_memory *m) {
    return (vka_embedding_desc){
        .table = T(VKA_F16, 1024, WIDTH), .ids = T(VKA_I32, QUERIES), .out = T(VKA_F16, QUERIES, WIDTH)};
}

static vka_top_k_desc top_k(record_memory *m) {
    return (vka_top_k_desc){
        .x = T(VKA_F16, QUERIES, WIDTH), .values = T(VKA_F16, QUERIES, 8), .indices = T(VKA_I32, QUERIES, 8)};
}

static vka_sample_desc sample(record_memory *m) {
    vka_tensor lengths = T(VKA_I32, BATCH);
    return (vka_sample_desc){.logits = T(VKA_F16, BATCH, WIDTH),
                             .ids = T(VKA_I32, BATCH),
                             .history = T(VKA_I32, BATCH, CAPACITY),
                             .lengths.tensor = lengths,
                             .new_lengths = lengths,
                             .append = true,
                             .temperature = 0.8f,
                             .top_p = 0.95f,
                             .repetition_penalty = 1.1f};
}

static vka_linear_attention_desc linear_attention(record_memory *m) {
    vka_tensor state = T(VKA_F32, BATCH, HEADS, DIM, DIM);
    return (vka_linear_attention_desc){.rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
                                       .q = T(VKA_F16, BATCH, HEADS, 1, DIM),
                                       .k = T(VKA_F16, BATCH, KV_HEADS, 1, DIM),
                                       .v = T(VKA_F16, BATCH, HEADS, 1, DIM),
                                       .out = T(VKA_F16, BATCH, HEADS, 1, DIM),
                                       .decay = T(VKA_F32, BATCH, HEADS, 1, 1),
                                       .beta = T(VKA_F16, BATCH, HEADS, 1),
                                       .state_in = state,
                                       .state_out = state};
}

static vka_causal_conv_desc causal_conv(record_memory *m) {
    vka_tensor state = T(VKA_F16, BATCH, 3, WIDTH);
    return (vka_causal_conv_desc){.x = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                  .out = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                  .weight = T(VKA_F16, WIDTH, 4),
                                  .state_in = state,
                                  .state_out = state,
                                  .activation = VKA_ACTIVATION_SILU};
}

static vka_additive_attention_desc additive_attention(record_memory *m) {
    return (vka_additive_attention_desc){.q = T(VKA_F16, BATCH, HEADS, 1, DIM),
                                         .k = T(VKA_F16, BATCH, HEADS, KEYS, DIM),
                                         .v = T(VKA_F16, BATCH, HEADS, KEYS, DIM),
                                         .score_vector = T(VKA_F16, HEADS, DIM),
                                         .out = T(VKA_F16, BATCH, HEADS, 1, DIM)};
}

static vka_dynamic_conv_desc dynamic_conv(record_memory *m) {
    return (vka_dynamic_conv_desc){.x = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                   .out = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                   .weight = T(VKA_F16, BATCH, QUERIES, HEADS, 7)};
}

static vka_capsule_routing_desc capsule_routing(record_memory *m) {
    return (vka_capsule_routing_desc){.votes = T(VKA_F16, BATCH, WIDTH, 10, 16), .out = T(VKA_F16, BATCH, 10, 16)};
}

static vka_hadamard_desc hadamard(record_memory *m) {
    vka_tensor x = T(VKA_F16, BATCH, HEADS, QUERIES, DIM);
    return (vka_hadamard_desc){.x = x, .out = x};
}

static vka_linear_desc linear(record_memory *m) {
    return (vka_linear_desc){.x = T(VKA_F16, QUERIES, WIDTH),
                             .weight = T(VKA_F16, WIDTH, WIDTH),
                             .bias = T(VKA_F16, WIDTH),
                             .out = T(VKA_F16, QUERIES, WIDTH)};
}

static vka_attention_backward_desc attention_backward(record_memory *m) {
    return (vka_attention_backward_desc){.forward = {.q = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                     .k = T(VKA_F16, BATCH, HEADS, KEYS, DIM),
                                                     .v = T(VKA_F16, BATCH, HEADS, KEYS, DIM),
                                                     .out = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                     .lse = T(VKA_F32, BATCH, HEADS, QUERIES)},
                                         .d_out = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                         .d_q = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                         .d_k = T(VKA_F16, BATCH, HEADS, KEYS, DIM),
                                         .d_v = T(VKA_F16, BATCH, HEADS, KEYS, DIM)};
}

static vka_layer_norm_backward_desc layer_norm_backward(record_memory *m) {
    vka_tensor x = T(VKA_F16, QUERIES, WIDTH);
    return (vka_layer_norm_backward_desc){.x = T(VKA_F16, QUERIES, WIDTH),
                                          .d_out = x,
                                          .weight = T(VKA_F16, WIDTH),
                                          .mean = T(VKA_F32, QUERIES),
                                          .inv_std = T(VKA_F32, QUERIES),
                                          .d_x = x,
                                          .d_weight = T(VKA_F32, WIDTH),
                                          .d_bias = T(VKA_F32, WIDTH)};
}

static vka_rms_norm_backward_desc rms_norm_backward(record_memory *m) {
    vka_tensor x = T(VKA_F16, QUERIES, WIDTH);
    return (vka_rms_norm_backward_desc){.x = T(VKA_F16, QUERIES, WIDTH),
                                        .d_out = x,
                                        .weight = T(VKA_F16, WIDTH),
                                        .inv_rms = T(VKA_F32, QUERIES),
                                        .d_x = x,
                                        .d_weight = T(VKA_F32, WIDTH)};
}

static vka_group_norm_backward_desc group_norm_backward(record_memory *m) {
    vka_tensor x = T(VKA_F16, BATCH, QUERIES, WIDTH);
    return (vka_group_norm_backward_desc){.x = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                          .d_out = x,
                                          .weight = T(VKA_F16, QUERIES),
                                          .groups = HEADS,
                                          .d_x = x,
                                          .d_weight = T(VKA_F32, QUERIES),
                                          .d_bias = T(VKA_F32, QUERIES)};
}

static vka_softmax_backward_desc softmax_backward(record_memory *m) {
    vka_tensor x = T(VKA_F16, QUERIES, WIDTH);
    return (vka_softmax_backward_desc){.out = T(VKA_F16, QUERIES, WIDTH), .d_out = x, .d_x = x};
}

static vka_cross_entropy_backward_desc cross_entropy_backward(record_memory *m) {
    vka_tensor logits = T(VKA_F16, QUERIES, WIDTH);
    return (vka_cross_entropy_backward_desc){.logits = logits,
                                             .targets = T(VKA_I32, QUERIES),
                                             .lse = T(VKA_F32, QUERIES),
                                             .d_total = T(VKA_F32, 1),
                                             .d_logits = logits};
}

static vka_linear_backward_desc linear_backward(record_memory *m) {
    return (vka_linear_backward_desc){.x = T(VKA_F16, QUERIES, WIDTH),
                                      .weight = T(VKA_F16, WIDTH, WIDTH),
                                      .d_out = T(VKA_F16, QUERIES, WIDTH),
                                      .d_x = T(VKA_F16, QUERIES, WIDTH),
                                      .d_weight = T(VKA_F32, WIDTH, WIDTH),
                                      .d_bias = T(VKA_F32, WIDTH)};
}

static vka_causal_conv_backward_desc causal_conv_backward(record_memory *m) {
    return (vka_causal_conv_backward_desc){.x = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                           .weight = T(VKA_F16, WIDTH, 4),
                                           .d_out = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                           .d_x = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                           .d_weight = T(VKA_F32, WIDTH, 4),
                                           .d_bias = T(VKA_F32, WIDTH),
                                           .activation = VKA_ACTIVATION_SILU};
}

static vka_dynamic_conv_backward_desc dynamic_conv_backward(record_memory *m) {
    return (vka_dynamic_conv_backward_desc){.x = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                            .weight = T(VKA_F16, BATCH, QUERIES, HEADS, 7),
                                            .d_out = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                            .d_x = T(VKA_F16, BATCH, QUERIES, WIDTH),
                                            .d_weight = T(VKA_F16, BATCH, QUERIES, HEADS, 7)};
}

static vka_additive_attention_backward_desc additive_attention_backward(record_memory *m) {
    return (vka_additive_attention_backward_desc){.q = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                  .k = T(VKA_F16, BATCH, HEADS, KEYS, DIM),
                                                  .v = T(VKA_F16, BATCH, HEADS, KEYS, DIM),
                                                  .score_vector = T(VKA_F16, HEADS, DIM),
                                                  .out = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                  .lse = T(VKA_F32, BATCH, HEADS, QUERIES),
                                                  .d_out = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                  .d_q = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                  .d_k = T(VKA_F16, BATCH, HEADS, KEYS, DIM),
                                                  .d_v = T(VKA_F16, BATCH, HEADS, KEYS, DIM)};
}

static vka_linear_attention_backward_desc linear_attention_backward(record_memory *m) {
    return (vka_linear_attention_backward_desc){.rule = VKA_LINEAR_ATTENTION_GATED_DELTA,
                                                .q = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                .k = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                .v = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                .decay = T(VKA_F32, BATCH, HEADS, QUERIES, 1),
                                                .beta = T(VKA_F16, BATCH, HEADS, QUERIES),
                                                .d_out = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                .d_q = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                .d_k = T(VKA_F16, BATCH, HEADS, QUERIES, DIM),
                                                .d_v = T(VKA_F16, BATCH, HEADS, QUERIES, DIM)};
}

static vka_map_backward_desc map_backward(record_memory *m) {
    vka_tensor d_out = T(VKA_F16, QUERIES, WIDTH);
    return (vka_map_backward_desc){
        .x = T(VKA_F16, QUERIES, WIDTH), .d_out = d_out, .d_x = d_out, .activation = VKA_ACTIVATION_GELU};
}

static vka_glu_backward_desc glu_backward(record_memory *m) {
    vka_tensor gate = T(VKA_F16, QUERIES, WIDTH), up = T(VKA_F16, QUERIES, WIDTH);
    return (vka_glu_backward_desc){.gate = gate,
                                   .up = up,
                                   .d_out = T(VKA_F16, QUERIES, WIDTH),
                                   .d_gate = gate,
                                   .d_up = up,
                                   .activation = VKA_ACTIVATION_SILU};
}

static vka_embedding_backward_desc embedding_backward(record_memory *m) {
    return (vka_embedding_backward_desc){
        .ids = T(VKA_I32, QUERIES), .d_out = T(VKA_F16, QUERIES, WIDTH), .d_table = T(VKA_F32, 1024, WIDTH)};
}

static vka_adamw_desc adamw(record_memory *m) {
    return (vka_adamw_desc){.parameter = T(VKA_F32, WIDTH, WIDTH),
                            .gradient = T(VKA_F32, WIDTH, WIDTH),
                            .first_moment = T(VKA_F32, WIDTH, WIDTH),
                            .second_moment = T(VKA_F32, WIDTH, WIDTH),
                            .step.tensor = T(VKA_I32, 1),
                            .learning_rate = 0.001f};
}

static vka_gradient_norm_desc gradient_norm(record_memory *m) {
    return (vka_gradient_norm_desc){
        .gradients = {T(VKA_F32, WIDTH, WIDTH)}, .grad_scale = T(VKA_F32, 1), .max_norm = 1};
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

size_t bench_record_workspace(vka_operation operation) {
    switch (operation) {
    case VKA_OPERATION_ADDITIVE_ATTENTION_BACKWARD:
        return offsetof(vka_additive_attention_backward_desc, workspace);
    case VKA_OPERATION_ATTENTION:
        return offsetof(vka_attention_desc, workspace);
    case VKA_OPERATION_ATTENTION_BACKWARD:
        return offsetof(vka_attention_backward_desc, workspace);
    case VKA_OPERATION_CAPSULE_ROUTING:
        return offsetof(vka_capsule_routing_desc, workspace);
    case VKA_OPERATION_CAUSAL_CONV_BACKWARD:
        return offsetof(vka_causal_conv_backward_desc, workspace);
    case VKA_OPERATION_CROSS_ENTROPY:
        return offsetof(vka_cross_entropy_desc, workspace);
    case VKA_OPERATION_CROSS_ENTROPY_BACKWARD:
        return offsetof(vka_cross_entropy_backward_desc, workspace);
    case VKA_OPERATION_DYNAMIC_CONV_BACKWARD:
        return offsetof(vka_dynamic_conv_backward_desc, workspace);
    case VKA_OPERATION_GROUP_NORM_BACKWARD:
        return offsetof(vka_group_norm_backward_desc, workspace);
    case VKA_OPERATION_LAYER_NORM_BACKWARD:
        return offsetof(vka_layer_norm_backward_desc, workspace);
    case VKA_OPERATION_EMBEDDING_BACKWARD:
        return offsetof(vka_embedding_backward_desc, workspace);
    case VKA_OPERATION_GRADIENT_NORM:
        return offsetof(vka_gradient_norm_desc, workspace);
    case VKA_OPERATION_LINEAR_BACKWARD:
        return offsetof(vka_linear_backward_desc, workspace);
    case VKA_OPERATION_LINEAR:
        return offsetof(vka_linear_desc, workspace);
    case VKA_OPERATION_LINEAR_ATTENTION_BACKWARD:
        return offsetof(vka_linear_attention_backward_desc, workspace);
    case VKA_OPERATION_LSH_SORT:
        return offsetof(vka_lsh_sort_desc, workspace);
    case VKA_OPERATION_RMS_NORM_BACKWARD:
        return offsetof(vka_rms_norm_backward_desc, workspace);
    case VKA_OPERATION_SAMPLE:
        return offsetof(vka_sample_desc, workspace);
    default:
        return 0;
    }
}

#define X(NAME, value, name)                                                                                           \
    static void describe_##name(record_memory *memory, void *desc) {                                                   \
        _Static_assert(sizeof(vka_##name##_desc) <= RECORD_DESC_SIZE, "there is room for it");                         \
        *(vka_##name##_desc *)desc = name(memory);                                                                     \
    }
VKA_OPERATIONS(X)
#undef X

const record_op bench_record_ops[] = {
#define X(NAME, value, name) {VKA_OPERATION_##NAME, #name, sizeof(vka_##name##_desc), describe_##name},
    VKA_OPERATIONS(X)
#undef X
};
const size_t bench_record_op_count = sizeof bench_record_ops / sizeof *bench_record_ops;
