/* What a layer of a test is made of, and what its gradients should be: tape.inc in two types.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_LAYER_GRADIENTS_H
#define VKATTN_TEST_LAYER_GRADIENTS_H

#include <vkattn/nn.h>

#include <stddef.h>

enum { BATCH = 2, WIDTH = 13, HEADS = 4, DIM = 6, INNER = 19, MAX_TOKENS = 16, MAX_LEAVES = 32, MAX_NUMBERS = 1024 };

#define FIELD(member) offsetof(vka_nn_layer_desc, member)
#define VALUES        FIELD(self.values)

/* A tensor of which there is a gradient: where it lies in the description, those of blocks that are not layers where it
 * would lie in a layer's. */
typedef struct leaf {
    size_t field;
    uint32_t rank, shape[3];
    bool f32; /* whatever the layer's type */
} leaf;

typedef enum block { BLOCK_LAYER, BLOCK_ATTENTION, BLOCK_FEED_FORWARD } block;

typedef struct setup {
    const char *what;
    block block; /* attention: of x, memory and values */
    vka_dtype dtype;
    uint32_t tokens, memory;           /* of a decoder; 0: an encoder */
    uint32_t kv_heads, value_dim, pad; /* unused elements behind each row of weights and gradients */
    bool transposed;                   /* matrices lie with inputs as rows, as GPT-2 has them */
    bool packed, rotate, causal, biases, mask, norm_first, rms, gate;
    vka_activation activation;
    leaf leaves[MAX_LEAVES]; /* filled in by list_leaves */
    uint32_t count;
} setup;

void list_leaves(setup *s);
size_t leaf_size(const leaf *l);

/* What comes out, and the gradient of each leaf: in float64, and in the storage type. */
typedef struct expectation {
    double *out, *gradients[MAX_LEAVES];
    float *naive_out, *naive_gradients[MAX_LEAVES];
} expectation;

/* `values` are those of the leaves; d_out comes in. Asserts that a few gradients of each leaf are what central
 * differences are. */
expectation expect_gradients(const setup *s, const float *const *values, const float *d_out, uint64_t seed);
void expectation_free(const setup *s, expectation *e);

#endif
