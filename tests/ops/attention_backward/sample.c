/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/attention.h>

static vka_attention_backward_desc describe(void) {
    return (vka_attention_backward_desc){
        .forward = {.q = T4(VKA_F16, 2, 4, 5, 24),
                    .k = T4(VKA_F32, 2, 2, 11, 24),
                    .v = T4(VKA_BF16, 2, 2, 11, 9),
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
                    .dropout = 0.1f,
                    .random_step = T1(VKA_I32, 1)},
        .d_out = T4(VKA_F16, 2, 4, 5, 9),
        .d_lse = T3(VKA_F32, 2, 4, 5),
        .d_q = T4(VKA_F32, 2, 4, 5, 24),
        .d_k = T4(VKA_F32, 2, 2, 11, 24),
        .d_v = T4(VKA_BF16, 2, 2, 11, 9),
        .d_mask = T4(VKA_F16, 2, 1, 5, 11),
        .d_alibi_slopes = T1(VKA_F32, 4),
        .d_relative_bias = T2(VKA_F32, 4, 7),
        .d_sinks = T1(VKA_F32, 4),
    };
}

OP_SAMPLE(attention_backward, sample_few)

/* What takes the place of q . k. */
static void describe_cosine(void *desc) {
    vka_attention_backward_desc *d = desc;
    *d = describe();
    d->forward.alibi_slopes = d->d_alibi_slopes = (vka_tensor){0};
    d->forward.cosine_scale = d->d_cosine_scale = T1(VKA_F32, 4);
}
const op_sample sample_attention_backward_cosine = {&vka__op_attention_backward, describe_cosine, sample_few};

static void describe_relative_keys(void *desc) {
    vka_attention_backward_desc *d = desc;
    *d = describe();
    d->forward.alibi_slopes = d->d_alibi_slopes = (vka_tensor){0};
    d->forward.relative_bias = d->d_relative_bias = (vka_tensor){0};
    d->forward.sinks = d->d_sinks = (vka_tensor){0};
    d->forward.relative_zero = 0;
    d->forward.relative_keys = T3(VKA_F16, 4, 13, 24);
    d->forward.relative_keys_zero = 3;
    d->forward.content_bias = d->forward.position_bias = T2(VKA_BF16, 4, 24);
    d->d_relative_keys = T3(VKA_F32, 4, 13, 24);
    d->d_content_bias = T2(VKA_F32, 4, 24);
    d->d_position_bias = T2(VKA_F16, 4, 24);
}
const op_sample sample_attention_backward_relative_keys = {&vka__op_attention_backward, describe_relative_keys,
                                                           sample_few};

static void describe_key_lists(void *desc) {
    vka_attention_backward_desc *d = desc;
    *d = describe();
    d->forward.key_lists = T4(VKA_I32, 2, 2, 5, 6);
}
const op_sample sample_attention_backward_key_lists = {&vka__op_attention_backward, describe_key_lists, sample_few};
