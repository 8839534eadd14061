/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <string.h>

#include <vkattn/attention.h>
#include <vkattn/cache.h>
#include <vkattn/lsh.h>
#include <vkattn/merge.h>
#include <vkattn/norm.h>
#include <vkattn/relative.h>
#include <vkattn/rope.h>

#define T1(dtype, ...) vka_tensor_1d(NULL, dtype, __VA_ARGS__)
#define T2(dtype, ...) vka_tensor_2d(NULL, dtype, __VA_ARGS__)
#define T3(dtype, ...) vka_tensor_3d(NULL, dtype, __VA_ARGS__)
#define T4(dtype, ...) vka_tensor_4d(NULL, dtype, __VA_ARGS__)

static int32_t few(const char *name, uint32_t index) {
    return (int32_t)(strstr(name, "lengths") ? 3 + index % 2 : index);
}

static void attention(void *desc) {
    *(vka_attention_desc *)desc = (vka_attention_desc){
        .q = T4(VKA_F16, 2, 4, 5, 24),
        .k = T4(VKA_I8, 2, 2, 11, 24),
        .v = T4(VKA_F32, 2, 2, 11, 9),
        .out = T4(VKA_F32, 2, 4, 5, 9),
        .lse = T3(VKA_F32, 2, 4, 5),
        .softcap = 3,
        .mask = T4(VKA_F32, 2, 1, 5, 11),
        .alibi_slopes = T1(VKA_F32, 4),
        .relative_bias = T2(VKA_F32, 4, 7),
        .relative_zero = 3,
        .sinks = T1(VKA_F32, 4),
        .causal = true,
        .kv_lengths.tensor = T1(VKA_I32, 2),
        .k_scale = T3(VKA_F32, 2, 2, 11),
        .dropout = 0.1f,
        .stats = T4(VKA_F32, 2, 4, 5, 2),
        .scores = T4(VKA_F32, 2, 4, 5, 11),
    };
}

static void merge(void *desc) {
    *(vka_attention_merge_desc *)desc = (vka_attention_merge_desc){
        .a = T4(VKA_F16, 2, 3, 5, 13),
        .b = T4(VKA_F32, 2, 3, 5, 13),
        .a_lse = T3(VKA_F32, 2, 3, 5),
        .b_lse = T3(VKA_F32, 2, 3, 5),
        .out = T4(VKA_BF16, 2, 3, 5, 13),
        .lse = T3(VKA_F32, 2, 3, 5),
    };
}

static void layer_norm(void *desc) {
    vka_tensor x = T3(VKA_F16, 3, 5, 23);
    *(vka_layer_norm_desc *)desc = (vka_layer_norm_desc){
        .x = x,
        .out = x,
        .weight = T1(VKA_F32, 23),
        .bias = T1(VKA_F32, 23),
        .residual = x,
        .sum = x,
        .mean = T2(VKA_F32, 3, 5),
        .inv_std = T2(VKA_F32, 3, 5),
    };
}

static void rope(void *desc) {
    *(vka_rope_desc *)desc = (vka_rope_desc){
        .x = T4(VKA_F16, 2, 3, 5, 18),
        .out = T4(VKA_F32, 2, 3, 5, 18),
        .row_positions = T2(VKA_I32, 2, 5),
        .options = {.dims = 14, .cos = T2(VKA_F32, 20, 7), .sin = T2(VKA_F32, 20, 7)},
    };
}

static void cache_append(void *desc) {
    *(vka_cache_append_desc *)desc = (vka_cache_append_desc){
        .k = T4(VKA_F16, 2, 3, 2, 20),
        .v = T4(VKA_F32, 2, 3, 2, 32),
        .k_cache = T4(VKA_I8, 2, 3, 9, 20),
        .v_cache = T4(VKA_BF16, 2, 3, 9, 32),
        .k_scale = T3(VKA_F32, 2, 3, 9),
        .lengths.tensor = T1(VKA_I32, 2),
        .new_lengths = T1(VKA_I32, 2),
        .rotate = true,
        .rope = {.cos = T2(VKA_F32, 20, 10), .sin = T2(VKA_F32, 20, 10)},
    };
}

static void relative_bias_t5(void *desc) {
    *(vka_relative_bias_t5_desc *)desc = (vka_relative_bias_t5_desc){
        .table = T2(VKA_F16, 32, 3), .out = T2(VKA_F32, 3, 41), .relative_zero = 20, .bidirectional = true};
}

static void relative_bias_span(void *desc) {
    *(vka_relative_bias_span_desc *)desc = (vka_relative_bias_span_desc){
        .spans = T1(VKA_F32, 3), .out = T2(VKA_F32, 3, 41), .relative_zero = 40, .ramp = 5};
}

static void lsh_sort(void *desc) {
    *(vka_lsh_sort_desc *)desc = (vka_lsh_sort_desc){
        .x = T4(VKA_F16, 2, 3, 37, 12),
        .rotations = T4(VKA_F32, 2, 3, 12, 4),
        .bucket_count = {8},
        .lengths.tensor = T1(VKA_I32, 2),
        .permutation = T4(VKA_I32, 2, 2, 3, 37),
        .buckets = T4(VKA_I32, 2, 2, 3, 37),
        .keys = T4(VKA_F32, 2, 3, 37, 12),
    };
}

#define SAMPLE(name, describe, integer) const op_sample sample_##name = {&vka__op_##name, describe, integer}
SAMPLE(attention, attention, few);
SAMPLE(attention_merge, merge, NULL);
SAMPLE(layer_norm, layer_norm, NULL);
SAMPLE(rope, rope, few);
SAMPLE(cache_append, cache_append, few);
SAMPLE(relative_bias_t5, relative_bias_t5, NULL);
SAMPLE(relative_bias_span, relative_bias_span, NULL);
SAMPLE(lsh_sort, lsh_sort, few);
