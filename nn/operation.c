/* Any operation in a sequence.
 * SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <stddef.h>
#include <string.h>
#include <vkattn/additive_attention.h>
#include <vkattn/capsule.h>
#include <vkattn/conv.h>
#include <vkattn/elementwise.h>
#include <vkattn/embedding.h>
#include <vkattn/hadamard.h>
#include <vkattn/linear_attention.h>
#include <vkattn/loss.h>
#include <vkattn/lsh.h>
#include <vkattn/merge.h>
#include <vkattn/optim.h>
#include <vkattn/relative.h>
#include <vkattn/sampling.h>
#include <vkattn/softmax.h>

/* Where descriptions have their workspace; of those that have none 0, where their first tensor is. */
#define WORKSPACE(NAME, name) [VKA_OPERATION_##NAME] = offsetof(vka_##name##_desc, workspace)
static const size_t workspaces[] = {
    WORKSPACE(ATTENTION, attention),
    WORKSPACE(LSH_SORT, lsh_sort),
    WORKSPACE(CROSS_ENTROPY, cross_entropy),
    WORKSPACE(LINEAR, linear),
    WORKSPACE(SAMPLE, sample),
    WORKSPACE(CAPSULE_ROUTING, capsule_routing),
    WORKSPACE(LAYER_NORM_BACKWARD, layer_norm_backward),
    WORKSPACE(RMS_NORM_BACKWARD, rms_norm_backward),
    WORKSPACE(GROUP_NORM_BACKWARD, group_norm_backward),
    WORKSPACE(CROSS_ENTROPY_BACKWARD, cross_entropy_backward),
    WORKSPACE(LINEAR_BACKWARD, linear_backward),
    WORKSPACE(EMBEDDING_BACKWARD, embedding_backward),
    WORKSPACE(GRADIENT_NORM, gradient_norm),
    WORKSPACE(ATTENTION_BACKWARD, attention_backward),
    WORKSPACE(CAUSAL_CONV_BACKWARD, causal_conv_backward),
    WORKSPACE(DYNAMIC_CONV_BACKWARD, dynamic_conv_backward),
    WORKSPACE(ADDITIVE_ATTENTION_BACKWARD, additive_attention_backward),
    WORKSPACE(LINEAR_ATTENTION_BACKWARD, linear_attention_backward),
};

typedef union any_desc {
#define X(NAME, value, name) vka_##name##_desc name;
    VKA_OPERATIONS(X)
#undef X
} any_desc;

typedef struct any_operation {
    vka_operation operation;
    const void *desc;
    size_t size;
} any_operation;

static size_t workspace_of(vka_operation operation) {
    return (size_t)operation < sizeof workspaces / sizeof *workspaces ? workspaces[operation] : 0;
}

/* One that is not given lies in the arena. Descriptions of a size that is not ours are taken as they are. */
static void build_operation(vka_nn_sequence *s, const void *desc) {
    const any_operation *o = desc;
    const size_t at = workspace_of(o->operation);
    any_desc copy;
    vka_workspace w;
    if (!at || !o->desc || o->size < at + sizeof w || o->size > sizeof copy) {
        nn_operation(s, o->operation, o->desc, o->size);
        return;
    }
    memcpy(&copy, o->desc, o->size);
    memcpy(&w, (char *)&copy + at, sizeof w);
    if (w.buffer || w.offset)
        nn_operation(s, o->operation, o->desc, o->size);
    else
        nn_run(s, o->operation, &copy, o->size, (vka_workspace *)(void *)((char *)&copy + at));
}

vka_status vka_nn_operation(vka_nn_sequence *s, vka_operation operation, const void *desc, size_t desc_size) {
    const any_operation o = {operation, desc, desc_size};
    return s ? nn_add(s, "vka_nn_operation", build_operation, &o) : nn_missing(NULL, "vka_nn_operation.sequence");
}
