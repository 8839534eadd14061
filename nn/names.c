/* Weights of a layer by the names that PyTorch and Hugging Face give them.
 * SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct parameter {
    const char *name;
    size_t field; /* a vka_tensor of vka_nn_layer_desc */
    bool required;
    bool transposed; /* the file has [inputs, outputs] */
} parameter;

#define FIELD(member) offsetof(vka_nn_layer_desc, member)
/* A weight, which is required, and a bias, which is not. */
#define LINEAR(name, member)                                                                                           \
    {name ".weight", FIELD(member.weight), true, false}, {                                                             \
        name ".bias", FIELD(member.bias), false, false                                                                 \
    }
/* What Hugging Face's GPT-2 calls Conv1D. */
#define CONV_1D(name, member)                                                                                          \
    {name ".weight", FIELD(member.weight), true, true}, {                                                              \
        name ".bias", FIELD(member.bias), false, false                                                                 \
    }

/* Both of PyTorch's layers call the norms by their order: the second one of a decoder is that of cross-attention. */
#define TORCH_COMMON                                                                                                   \
    {"self_attn.in_proj_weight", FIELD(self.qkv.weight), true, false},                                                 \
        {"self_attn.in_proj_bias", FIELD(self.qkv.bias), false, false}, LINEAR("self_attn.out_proj", self.projection), \
        LINEAR("linear1", feed_forward.up), LINEAR("linear2", feed_forward.down), LINEAR("norm1", norm_self)
static const parameter torch_encoder[] = {
    TORCH_COMMON,
    LINEAR("norm2", norm_feed_forward),
    {0},
};
static const parameter torch_decoder[] = {
    TORCH_COMMON,
    {"multihead_attn.in_proj_weight", FIELD(cross.qkv.weight), true, false},
    {"multihead_attn.in_proj_bias", FIELD(cross.qkv.bias), false, false},
    LINEAR("multihead_attn.out_proj", cross.projection),
    LINEAR("norm2", norm_cross),
    LINEAR("norm3", norm_feed_forward),
    {0},
};
static const parameter llama[] = {
    LINEAR("self_attn.q_proj", self.q),
    LINEAR("self_attn.k_proj", self.k),
    LINEAR("self_attn.v_proj", self.v),
    LINEAR("self_attn.o_proj", self.projection),
    LINEAR("mlp.gate_proj", feed_forward.gate),
    LINEAR("mlp.up_proj", feed_forward.up),
    LINEAR("mlp.down_proj", feed_forward.down),
    LINEAR("input_layernorm", norm_self),
    LINEAR("post_attention_layernorm", norm_feed_forward),
    {0},
};

static const parameter gpt2[] = {
    LINEAR("ln_1", norm_self),
    CONV_1D("attn.c_attn", self.qkv),
    CONV_1D("attn.c_proj", self.projection),
    LINEAR("ln_2", norm_feed_forward),
    CONV_1D("mlp.c_fc", feed_forward.up),
    CONV_1D("mlp.c_proj", feed_forward.down),
    {0},
};

static const parameter *table_of(vka_nn_names names, bool decoder) {
    switch (names) {
    case VKA_NN_NAMES_TORCH:
        return decoder ? torch_decoder : torch_encoder;
    case VKA_NN_NAMES_LLAMA:
        return llama;
    case VKA_NN_NAMES_GPT2:
        return gpt2;
    }
    return NULL;
}

/* Of gradients none is required. */
static void find_all(vka_nn_sequence *s, const parameter *table, const char *prefix, vka_nn_find_fn find, void *user,
                     bool gradients, vka_nn_layer_desc *d) {
    char name[256];
    for (const parameter *p = table; p->name; ++p) {
        vka_tensor t = {0};
        int length = snprintf(name, sizeof name, "%s%s", prefix, p->name);
        if (length < 0 || (size_t)length >= sizeof name) {
            nn_refuse(s, "prefix", "is longer than %zu characters", sizeof name - 1 - strlen(p->name));
            return;
        }
        if (find(user, name, &t)) {
            t = p->transposed ? vka_tensor_transpose(t, 0, 1) : t;
            memcpy((char *)d + p->field, &t, sizeof t);
        } else if (p->required && !gradients) {
            nn_refuse(s, "names", "there is no parameter %s", name);
            return;
        }
    }
}

/* `decoder`: of which of PyTorch's layers the names are. */
static vka_status find_into(vka_nn_sequence *s, vka_nn_names names, const char *prefix, vka_nn_find_fn find, void *user,
                            bool decoder, bool gradients, vka_nn_layer_desc *d) {
    const parameter *table = table_of(names, decoder);
    if (!table)
        nn_refuse(s, "names", "%d is not a vka_nn_names", (int)names);
    else if (!find)
        nn_refuse(s, "find", "must not be NULL");
    else
        find_all(s, table, prefix ? prefix : "", find, user, gradients, d);
    return s->status;
}

vka_status vka_nn_layer_find_sized(vka_nn_sequence *s, vka_nn_names names, const char *prefix, vka_nn_find_fn find,
                                   void *user, vka_nn_layer_desc *desc, size_t desc_size) {
    vka_nn_layer_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_layer_find.sequence");
    if (nn_read(s, "vka_nn_layer_find", &d, sizeof d, desc, desc_size) &&
        find_into(s, names, prefix, find, user, d.memory.dtype, false, &d) == VKA_OK)
        memcpy(desc, &d, desc_size < sizeof d ? desc_size : sizeof d);
    return s->status;
}

vka_status vka_nn_layer_backward_find_sized(vka_nn_sequence *s, vka_nn_names names, const char *prefix,
                                            vka_nn_find_fn find, void *user, vka_nn_layer_backward_desc *desc,
                                            size_t desc_size) {
    vka_nn_layer_backward_desc d;
    if (!s)
        return nn_missing(NULL, "vka_nn_layer_backward_find.sequence");
    if (nn_read(s, "vka_nn_layer_backward_find", &d, sizeof d, desc, desc_size) &&
        find_into(s, names, prefix, find, user, d.forward.memory.dtype, true, &d.gradients) == VKA_OK)
        memcpy(desc, &d, desc_size < sizeof d ? desc_size : sizeof d);
    return s->status;
}
