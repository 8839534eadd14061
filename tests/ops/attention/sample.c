/* SPDX-License-Identifier: MIT */
#include "ops/samples.h"

#include <vkattn/attention.h>

static vka_attention_desc describe(void) {
    return (vka_attention_desc){
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
        .random_step = T1(VKA_I32, 1),
        .stats = T4(VKA_F32, 2, 4, 5, 2),
        .scores = T4(VKA_F32, 2, 4, 5, 11),
    };
}

OP_SAMPLE(attention, sample_few)

/* What takes the place of q . k, and of other tensors. */
static void describe_cosine(void *desc) {
    vka_attention_desc *d = desc;
    *d = describe();
    d->alibi_slopes = (vka_tensor){0};
    d->cosine_scale = T1(VKA_F32, 4);
}
const op_sample sample_attention_cosine = {&vka__op_attention, describe_cosine, sample_few};

static void describe_relative_keys(void *desc) {
    vka_attention_desc *d = desc;
    *d = describe();
    d->alibi_slopes = d->relative_bias = d->sinks = (vka_tensor){0};
    d->relative_zero = 0;
    d->relative_keys = T3(VKA_F16, 4, 13, 24);
    d->relative_keys_zero = 3;
    d->content_bias = T2(VKA_BF16, 4, 24);
    d->position_bias = T2(VKA_BF16, 4, 24);
}
const op_sample sample_attention_relative_keys = {&vka__op_attention, describe_relative_keys, sample_few};

static void describe_key_lists(void *desc) {
    vka_attention_desc *d = desc;
    *d = describe();
    d->scores = (vka_tensor){0};
    d->key_lists = T4(VKA_I32, 2, 2, 5, 6);
}
const op_sample sample_attention_key_lists = {&vka__op_attention, describe_key_lists, sample_few};
