/* The tensors and numbers of a vka_attention_desc, which other descriptions have as their first member.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ATTENTION_TENSORS_H
#define VKA_ATTENTION_TENSORS_H

#include <vkattn/attention.h>

#include "ops/attention/check.h"

/* Number `i` of those that a caller's function reads, of any shape. */
#define VKA__ATTENTION_SCORE_TENSOR_ARG(within, at, i)                                                                 \
    {                                                                                                                  \
        within "score_tensors[" #i "]", NULL,                                                                          \
            (at) + offsetof(vka_attention_desc, score_tensors) + (i) * sizeof(vka_tensor), VKA__NONE,                  \
            VKA__MASKS | VKA__TYPE(VKA_I32), .access = VKA__READ, .extent = VKA__CUSTOM                                \
    }

#define VKA__ATTENTION_ARG(within, at, name, shape, types, flags_, access_)                                            \
    {                                                                                                                  \
        within #name, shape, (at) + offsetof(vka_attention_desc, name), VKA__NONE, types,                              \
            .flags = flags_, .access = access_, .extent = VKA__CUSTOM                                                  \
    }

/* `within`: what fields' names begin with, `at`: where the structure lies. `keys`: types of keys and values. `saved`:
 * flags of the log-sum-exp. `result`: how results are accessed. G: query heads. K: heads of keys. Y and Z: batches of
 * keys and of values, or pages. S: sequences. F: S + 1. A and E: the longest sequence's queries and keys. O: slots of a
 * permutation. L: rows of relative keys. U: heads of lists of keys, T: their slots. */
#define VKA__ATTENTION_TENSORS(within, at, keys, saved, result)                                                        \
    [VKA__ATTENTION_Q] = VKA__ATTENTION_ARG(within, at, q, "B G N D", VKA__FLOATS, VKA__REQUIRED, VKA__READ),          \
    [VKA__ATTENTION_K] = VKA__ATTENTION_ARG(within, at, k, "Y K M D", keys, VKA__REQUIRED, VKA__READ),                 \
    [VKA__ATTENTION_V] = VKA__ATTENTION_ARG(within, at, v, "Z K M V", keys, VKA__REQUIRED, VKA__READ),                 \
    [VKA__ATTENTION_OUT] = VKA__ATTENTION_ARG(within, at, out, "B G N V", VKA__FLOATS, VKA__REQUIRED, result),         \
    [VKA__ATTENTION_LSE] =                                                                                             \
        VKA__ATTENTION_ARG(within, at, lse, "B G N", VKA__TYPE(VKA_F32), VKA__PER_ROW | (saved), result),              \
    [VKA__ATTENTION_MASK] = VKA__ATTENTION_ARG(within, at, mask, NULL, VKA__MASKS, 0, VKA__READ),                      \
    [VKA__ATTENTION_ALIBI] = VKA__ATTENTION_ARG(within, at, alibi_slopes, "G", VKA__TYPE(VKA_F32), 0, VKA__READ),      \
    [VKA__ATTENTION_RELATIVE] = VKA__ATTENTION_ARG(within, at, relative_bias, NULL, VKA__TYPE(VKA_F32), 0, VKA__READ), \
    [VKA__ATTENTION_SINKS] = VKA__ATTENTION_ARG(within, at, sinks, "G", VKA__TYPE(VKA_F32), 0, VKA__READ),             \
    [VKA__ATTENTION_PAGES] = VKA__ATTENTION_ARG(within, at, page_table, "S C", VKA__TYPE(VKA_I32), 0, VKA__READ),      \
    [VKA__ATTENTION_K_SCALE] =                                                                                         \
        VKA__ATTENTION_ARG(within, at, k_scale, "Y K M", VKA__TYPE(VKA_F32), VKA__PER_ROW, VKA__READ),                 \
    [VKA__ATTENTION_V_SCALE] =                                                                                         \
        VKA__ATTENTION_ARG(within, at, v_scale, "Z K M", VKA__TYPE(VKA_F32), VKA__PER_ROW, VKA__READ),                 \
    [VKA__ATTENTION_STATS] = VKA__ATTENTION_ARG(within, at, stats, "B G N 2", VKA__TYPE(VKA_F32), 0, result),          \
    [VKA__ATTENTION_SCORES] = VKA__ATTENTION_ARG(within, at, scores, "S G A E", VKA__FLOATS, 0, result),               \
    [VKA__ATTENTION_PERMUTATION] =                                                                                     \
        VKA__ATTENTION_ARG(within, at, permutation, "1|S 1|G O", VKA__TYPE(VKA_I32), VKA__PER_ROW, VKA__READ),         \
    [VKA__ATTENTION_COSINE_SCALE] =                                                                                    \
        VKA__ATTENTION_ARG(within, at, cosine_scale, "G", VKA__TYPE(VKA_F32), 0, VKA__READ),                           \
    [VKA__ATTENTION_RELATIVE_KEYS] =                                                                                   \
        VKA__ATTENTION_ARG(within, at, relative_keys, "1|G L D", VKA__FLOATS, 0, VKA__READ),                           \
    [VKA__ATTENTION_CONTENT_BIAS] = VKA__ATTENTION_ARG(within, at, content_bias, "G D", VKA__FLOATS, 0, VKA__READ),    \
    [VKA__ATTENTION_POSITION_BIAS] = {within "position_bias",                                                          \
                                      "G D",                                                                           \
                                      (at) + offsetof(vka_attention_desc, position_bias),                              \
                                      VKA__NONE,                                                                       \
                                      VKA__FLOATS,                                                                     \
                                      .like = 1 + VKA__ATTENTION_CONTENT_BIAS,                                         \
                                      .access = VKA__READ,                                                             \
                                      .extent = VKA__CUSTOM},                                                          \
    [VKA__ATTENTION_KEY_LISTS] =                                                                                       \
        VKA__ATTENTION_ARG(within, at, key_lists, "B U N T", VKA__TYPE(VKA_I32), 0, VKA__READ),                        \
    [VKA__ATTENTION_RANDOM_STEP] = VKA__ATTENTION_ARG(within, at, random_step, "1", VKA__TYPE(VKA_I32), 0, VKA__READ), \
    [VKA__ATTENTION_SCORE_TENSOR] = VKA__ATTENTION_SCORE_TENSOR_ARG(within, at, 0),                                    \
    [VKA__ATTENTION_SCORE_TENSOR + 1] = VKA__ATTENTION_SCORE_TENSOR_ARG(within, at, 1),                                \
    [VKA__ATTENTION_SCORE_TENSOR + 2] = VKA__ATTENTION_SCORE_TENSOR_ARG(within, at, 2),                                \
    [VKA__ATTENTION_SCORE_TENSOR + 3] = VKA__ATTENTION_SCORE_TENSOR_ARG(within, at, 3),                                \
    [VKA__ATTENTION_Q_LENGTHS] =                                                                                       \
        VKA__ATTENTION_ARG(within, at, q_lengths, "S", VKA__TYPE(VKA_I32), VKA__LIST, VKA__READ),                      \
    [VKA__ATTENTION_Q_OFFSETS] =                                                                                       \
        VKA__ATTENTION_ARG(within, at, q_offsets, "F", VKA__TYPE(VKA_I32), VKA__LIST, VKA__READ),                      \
    [VKA__ATTENTION_KV_LENGTHS] =                                                                                      \
        VKA__ATTENTION_ARG(within, at, kv_lengths, "S", VKA__TYPE(VKA_I32), VKA__LIST, VKA__READ),                     \
    [VKA__ATTENTION_KV_OFFSETS] =                                                                                      \
        VKA__ATTENTION_ARG(within, at, kv_offsets, "F", VKA__TYPE(VKA_I32), VKA__LIST, VKA__READ),                     \
    [VKA__ATTENTION_MAP] = {                                                                                           \
        within "pattern",     NULL, 0, VKA__NONE, VKA__TYPE(VKA_I32), .flags = VKA__INTERNAL, .access = VKA__READ,     \
        .extent = VKA__CUSTOM}

#define VKA__ATTENTION_LIMITS                                                                                          \
    {'D', 1, VKA_MAX_HEAD_DIM}, {                                                                                      \
        'V', 1, VKA_MAX_VALUE_DIM                                                                                      \
    }

#define VKA__ATTENTION_NUMBER_COUNT 14
#define VKA__ATTENTION_NUMBER(within, at, name, ...)                                                                   \
    { within #name, (at) + offsetof(vka_attention_desc, name), __VA_ARGS__ }
#define VKA__ATTENTION_SCORE_CONSTANT(within, at, i)                                                                   \
    {                                                                                                                  \
        within "score_constants[" #i "]", (at) + offsetof(vka_attention_desc, score_constants) + (i) * sizeof(float),  \
            VKA__NUMBER_F32, false, -VKA__FINITE, VKA__FINITE, 0, NULL                                                 \
    }
/* Scales are such that no number that kernels make of them is infinite, or so small that a device may take it for 0. */
#define VKA__ATTENTION_NUMBERS(within, at)                                                                             \
    VKA__ATTENTION_NUMBER(within, at, scale, VKA__NUMBER_F32, true, 1e-37, 1e37, 0, NULL),                             \
        VKA__ATTENTION_NUMBER(within, at, softcap, VKA__NUMBER_F32, false, 0, VKA__FINITE, 0, NULL),                   \
        VKA__ATTENTION_NUMBER(within, at, dropout, VKA__NUMBER_F32, false, 0, VKA__BELOW_ONE, 0, NULL),                \
        VKA__ATTENTION_NUMBER(within, at, selection, VKA__NUMBER_ENUM, false, 0, VKA_SELECTION_SAMPLE, 0,              \
                              "vka_selection"),                                                                        \
        VKA__ATTENTION_NUMBER(within, at, score_stage, VKA__NUMBER_ENUM, false, 0, VKA_SCORES_PROBABILITIES, 0,        \
                              "vka_score_stage"),                                                                      \
        VKA__ATTENTION_NUMBER(within, at, diagonal, VKA__NUMBER_ENUM, false, 0, VKA_DIAGONAL_EXPLICIT, 0,              \
                              "vka_diagonal"),                                                                         \
        VKA__ATTENTION_NUMBER(within, at, path, VKA__NUMBER_ENUM, false, 0, VKA_ATTENTION_PATH_COOPMAT_REGISTERS, 0,   \
                              "vka_attention_path"),                                                                   \
        VKA__ATTENTION_NUMBER(within, at, splits, VKA__NUMBER_U32, false, 0, VKA_MAX_SPLITS, 0, NULL),                 \
        VKA__ATTENTION_NUMBER(within, at, determinism, VKA__NUMBER_ENUM, false, 0, VKA_DETERMINISM_BATCH, 0,           \
                              "vka_determinism"),                                                                      \
        VKA__ATTENTION_NUMBER(within, at, dequantise, VKA__NUMBER_ENUM, false, 0, VKA_DEQUANTISE_FIRST, 0,             \
                              "vka_dequantise"),                                                                       \
        VKA__ATTENTION_SCORE_CONSTANT(within, at, 0), VKA__ATTENTION_SCORE_CONSTANT(within, at, 1),                    \
        VKA__ATTENTION_SCORE_CONSTANT(within, at, 2), VKA__ATTENTION_SCORE_CONSTANT(within, at, 3)

#endif
