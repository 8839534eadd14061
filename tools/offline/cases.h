/* What is compiled: attention, linear layers and layer norm at the sizes of transformers in use, and one description of
 * every other operation.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_OFFLINE_CASES_H
#define VKATTN_OFFLINE_CASES_H

#include <vkattn/attention.h>
#include <vkattn/linear.h>
#include <vkattn/norm.h>

#include "op/op.h"
#include "record_ops.h"

typedef struct offline_case {
    char name[64];
    vka_dtype dtype;
    uint32_t head_dim;  /* 0: another operation */
    uint32_t value_dim; /* of values that are views of the keys; 0: head_dim, a tensor of their own */
    uint32_t heads, kv_heads, queries, keys;
    bool causal;
    bool backward;   /* gradients of the attention           */
    bool masked;     /* backward: with a mask                 */
    vka_dtype cache; /* of keys and values; 0: dtype        */
    uint32_t listed; /* keys of each query's list; 0: none   */
    uint32_t rows, cols;
    uint32_t outputs; /* of a linear layer; 0: layer norm */
    vka_dtype weight;
    const record_op *described; /* an operation by its description there; NULL: by what is above */
    const vka__op *op;          /* of `described` */
} offline_case;

#define OFFLINE_MAX_CASES 96

/* Returns how many there are. */
uint32_t offline_cases(offline_case cases[OFFLINE_MAX_CASES]);

/* Compiles a case for a path (0 = the library's choice), and writes what it explains into `text`. VKA_INVALID: there is
 * no such path; VKA_UNSUPPORTED: it is not for this case or device. */
vka_status offline_compile(vka_device *device, const offline_case *c, uint32_t path, char *text, size_t capacity);

#endif
