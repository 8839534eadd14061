/* Plans of linear attention. Pure.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_LINEAR_ATTENTION_PLAN_H
#define VKA_LINEAR_ATTENTION_PLAN_H

#include <vkattn/linear_attention.h>

#include "op/op.h"
#include "params/linear_attention.h"

/* What paths are asked about. */
typedef struct vka__linear_attention_problem {
    uint32_t tokens, key_dim, value_dim;
    uint32_t queries;             /* that read a state                                    */
    bool delta, decays, channels; /* the rule; has each key channel a decay of its own    */
    uint32_t path;                /* that the description asks for; 0: none               */
    vka__tile tile;               /* likewise; bc = 0: none                               */
} vka__linear_attention_problem;

/* A path, of problems that are vka__linear_attention_problem, with the pipeline of a tile. */
typedef struct vka__linear_attention_path {
    vka__path path;
    /* Kernel and specialization constants but for the tile, dimensions, flags and types. */
    void (*fill)(const vka_device_caps *caps, const vka__linear_attention_problem *problem, const vka__tile *tile,
                 vka__pipeline_key *key);
} vka__linear_attention_path;

extern const vka__linear_attention_path vka__linear_attention_recurrent, vka__linear_attention_chunked;
/* By vka_linear_attention_path. */
extern const vka__paths vka__linear_attention_paths;
const vka__linear_attention_path *vka__linear_attention_path_of(uint32_t path);

/* What calls of linear attention and of its gradients are checked for: heads, and whether the rule has what is there.
 */
typedef struct vka__linear_attention_args {
    uint32_t decay, beta;
} vka__linear_attention_args;
vka_status vka__linear_attention_check(const vka__call *call, const vka__linear_attention_args *args, bool gated,
                                       bool delta);

/* Key channels that parts have together, and how many parts that takes; words of shared memory of what all kernels
 * stage of so many tokens. */
static inline uint32_t vka__linear_attention_parts(const vka__linear_attention_problem *p, uint32_t rows) {
    uint32_t parts = 1;
    while (parts * rows < p->key_dim)
        parts *= 2;
    return parts;
}
uint32_t vka__linear_attention_staged_words(const vka__linear_attention_problem *p, const vka__tile *tile,
                                            uint32_t queries);
/* Half of an invocation's rows would have all key channels. */
static inline bool vka__linear_attention_too_many_rows(const vka__linear_attention_problem *p, uint32_t rows) {
    return rows > 4 && rows / 2 >= p->key_dim;
}

#endif
