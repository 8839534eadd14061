/* Functions of scores, in GLSL and in C. SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_SCORE_CASE_H
#define VKATTN_TEST_SCORE_CASE_H

#include <vkattn/attention.h>

#include "reference/reference.h"
#include "support/tensor.h"

struct attention_case;

typedef struct score_case {
    const vka_score_function *function;
    const char *name;
    float constants[VKA_SCORE_CONSTANTS];
    /* Draws what the function reads. */
    void (*make)(context *c, const struct attention_case *a, ref_rng *rng, tensor inputs[VKA_SCORE_TENSORS]);
    /* What tests/score/<name>.glsl says, of these inputs. */
    double (*twin)(const void *inputs, double score, const ref_pair *at);
} score_case;

/* tests/score/: hides nothing; hides keys; the first one, compiled for the path `tile` alone. */
extern const score_case score_borders, score_lattice, score_borders_tile;

#endif
