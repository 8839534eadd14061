/* A GPT that writes: tokens go through its layers against caches of keys and values, and others are drawn, all on the
 * device.
 *
 * There are two kinds of steps, each a recording that is submitted again and again:
 *
 *   decoder_step    one token: it is appended, the next one is drawn, and takes its place. What changes from step to
 *                   step lies on the device, so the host submits, and reads the text when it wants it.
 *   decoder_verify  the tokens of a tree, and the next token after each of them (SpecInfer, Miao 2023; Medusa, Cai
 *                   2024). Each sees the text and its own ancestors alone: the rows of the cache where these lie are
 *                   listed for it (vka_attention_desc.key_lists), in the order of positions. So a token is computed
 *                   from the same numbers in the same order as by decoder_step, and comes to the same bits.
 *
 * A row of the cache belongs to whatever token was put there: what the text keeps of a tree stays where it is, and the
 * other rows are free at once. Nothing is moved.
 * SPDX-License-Identifier: MIT */
#ifndef GPT_DECODER_H
#define GPT_DECODER_H

#include "training/trunk.h"

enum { DECODER_MAX_NODES = 64 };

typedef struct decoder_desc {
    trunk_desc sizes;    /* without batch                                                          */
    vka_nn_find_fn find; /* weights by name, of any float type                                     */
    void *user;
    vka_dtype cache;   /* f32, f16 or q8_0, which takes heads of a multiple of 32 channels       */
    uint32_t nodes;    /* of the largest tree: 1 .. DECODER_MAX_NODES                            */
    uint32_t count;    /* tokens to draw, at most                                                */
    float temperature; /* 0: the likeliest token                                                 */
    uint32_t top_k;    /* 0: all may be drawn                                                    */
    float top_p;       /* likewise                                                               */
    uint64_t seed;     /* what is drawn as token number n depends on this, on n and its logits   */
} decoder_desc;

typedef struct decoder decoder;

decoder *decoder_create(vka_device *device, const decoder_desc *desc);
void decoder_destroy(decoder **which);

/* Puts tokens into empty caches, all but the last, which is the next step's. 1 .. context of them. */
void decoder_fill(decoder *d, const int32_t *tokens, uint32_t count);

/* Tokens in the caches; a step needs room for those that it has. */
uint32_t decoder_length(const decoder *d);

/* Submits a step and does not wait. Between two calls of decoder_fill a text goes on by such steps, or by trees. */
void decoder_step(decoder *d);
/* Waits, and reads `count` of the tokens that decoder_step has drawn, from number `first` on. */
void decoder_read(decoder *d, uint32_t first, uint32_t count, int32_t *tokens);

/* A token after the text, and possible ones after it. */
typedef struct token_tree {
    uint32_t count; /* nodes; node 0 is the text's last token */
    int32_t token[DECODER_MAX_NODES];
    uint32_t parent[DECODER_MAX_NODES]; /* below the node itself; of node 0: 0    */
    uint32_t depth[DECODER_MAX_NODES];  /* of node 0: 0                           */
} token_tree;

/* A child with this token; 0: there is none. */
uint32_t token_tree_child(const token_tree *tree, uint32_t node, int32_t token);

/* Finds the path from node 0 on whose tokens are those that are drawn, which becomes text, and the token after it:
 * writes these drawn tokens, at least one, and returns how many there are. `drawn` is the number of the first. The
 * text's next last token is the last of these; depths stay within the context. */
uint32_t decoder_verify(decoder *d, const token_tree *tree, uint32_t drawn, int32_t *tokens);

/* The logits of the last step, [classes], or of decoder_verify's nodes, [nodes, classes]. */
void decoder_logits(decoder *d, uint32_t nodes, float *logits);

/* A layer's key and value of a token of the text as the caches have them, [width] each, head by head. */
void decoder_cached(decoder *d, uint32_t layer, uint32_t position, float *k, float *v);

/* What each of `count` tokens, at most a context, looks at: [layers, heads, count, count]. Caches are filled by it. */
void decoder_attention(decoder *d, const int32_t *tokens, uint32_t count, float *probabilities);

#endif
