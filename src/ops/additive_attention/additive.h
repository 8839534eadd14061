/* What additive attention and its gradients share.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_ADDITIVE_H
#define VKA_ADDITIVE_H

#include <vkattn/additive_attention.h>

#include "op/op.h"

/* Positions are sums of two numbers of tokens, and signed. */
#define VKA__ADDITIVE_MAX_TOKENS (1u << 28)
/* Letters: B entries, H heads of queries, G of keys, N queries, M keys, A channels, V values. */
#define VKA__ADDITIVE_LIMITS                                                                                           \
    {                                                                                                                  \
        {'A', 1, 65536}, {'G', 1, UINT32_MAX}, {'N', 0, VKA__ADDITIVE_MAX_TOKENS}, {'M', 0, VKA__ADDITIVE_MAX_TOKENS}, \
            {'V', 1, 512}, {                                                                                           \
            0                                                                                                          \
        }                                                                                                              \
    }
/* Operations of a channel of a pair; most of it is tanh. */
#define VKA__ADDITIVE_OPS 30

/* Where an operation has these tensors. */
typedef struct vka__additive_args {
    uint32_t vector, mask, lengths;
} vka__additive_args;

/* Heads, the diagonal, and the shapes of these. */
vka_status vka__additive_check(const vka__call *call, const vka__additive_args *args, vka_diagonal diagonal,
                               int32_t offset);
/* How far from the first query, of the longest entry, the last key lies that it sees. */
int32_t vka__additive_diagonal(const vka__call *call, vka_diagonal diagonal, int32_t offset);

#endif
