/* The backward pass of an attention problem: gradients of its outputs and inputs, and their references.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_TEST_BACKWARD_CASE_H
#define VKATTN_TEST_BACKWARD_CASE_H

#include "attention_case.h"

/* The gradients that are computed. */
#define BACKWARD_OUTPUTS(X)                                                                                            \
    X(d_q)                                                                                                             \
    X(d_k)                                                                                                             \
    X(d_v)                                                                                                             \
    X(d_mask)                                                                                                          \
    X(d_relative_keys)                                                                                                 \
    X(d_content_bias) X(d_position_bias) X(d_alibi_slopes) X(d_relative_bias) X(d_sinks) X(d_cosine_scale)

typedef enum backward_gradient {
#define X(name) BACKWARD_##name,
    BACKWARD_OUTPUTS(X)
#undef X
        BACKWARD_GRADIENTS
} backward_gradient;

typedef struct backward_case {
    attention_case forward;
    vka_dtype d_out_dtype, d_dtype; /* of d_out; of what has the choice. 0: forward's           */
    bool d_lse;
    uint32_t left_out; /* gradients that are not computed, as bits                */
    vka_attention_backward_path path;
} backward_case;

typedef struct backward_problem {
    backward_case b;
    attention_problem p;
    tensor d_out, d_lse;
    tensor gradient[BACKWARD_GRADIENTS]; /* no buffer: not computed */
    double *ref[BACKWARD_GRADIENTS], *naive[BACKWARD_GRADIENTS];
    bool *written[BACKWARD_GRADIENTS]; /* of each element; NULL: all */
} backward_problem;

backward_problem backward_make(context *c, backward_case b, uint64_t seed);
void backward_destroy(backward_problem *p);
/* Without workspace. */
vka_attention_backward_desc backward_desc(const backward_problem *p);
/* Can the device run it by the problem's path? Says why not on stderr. */
bool backward_can(const backward_problem *p);
/* Runs forward and backward with poisoned outputs and workspace, and asserts the accuracy rule for every element of
 * every gradient, and that nothing else was written. */
void backward_run(backward_problem *p);
/* Runs backward again, so many times, and asserts that all gradients have the same bits as the first time. */
void backward_repeats(backward_problem *p, uint32_t times);
/* make, run by each path that the device can run it by, destroy. */
void backward_on_paths(context *c, backward_case b);
/* Of a case with random_step: records forward and backward once by each path, and submits them with one step, with
 * another one and with the first again: each as that step's reference says, and the first step twice the same bits. */
void backward_replays_steps(context *c, backward_case b);

#endif
