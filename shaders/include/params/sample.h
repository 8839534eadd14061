/* What C and GLSL share of sampling. SPDX-License-Identifier: MIT */
#ifndef VKA_PARAMS_SAMPLE_H
#define VKA_PARAMS_SAMPLE_H

#include "params.h"

/* One draw of each row. Rows are n of the strides. */
VKA_STRUCT(vka_sample_params) {
    vka_strides x;
    vka_strides ids;
    vka_strides log_probs;
    vka_strides history;
    VKA_UINT_ cols;
    VKA_UINT_ history_size; /* of a row                                                               */
    VKA_UINT_ length_step;  /* from row to row                                                        */
    VKA_UINT_ new_length_step;
    VKA_UINT_ window; /* of the history, the last so many count                                 */
    VKA_UINT_ top_k;
    VKA_UINT_ top_p;  /* in units of 2^-32, at least 1                                          */
    VKA_FLOAT_ least; /* min-p: the lowest difference of halves from the largest logit          */
    VKA_FLOAT_ penalty;
    VKA_FLOAT_ score_scale;     /* of differences of halves: 2 / temperature                              */
    VKA_FLOAT_ exp_scale;       /* the same for exp2: 2 log2(e) / temperature                             */
    VKA_FLOAT_ model_exp_scale; /* and without a temperature                                              */
    VKA_UINT_ seed_lo;
    VKA_UINT_ seed_hi;
    VKA_UINT_ random_offset;
    VKA_UINT_ unused;
}
VKA_END(vka_sample_params);

/* And VKA_FLAG_LENGTHS, VKA_FLAG_VEC4. */
#define VKA_FLAG_SAMPLE_RANDOM      256 /* otherwise the largest logit wins, and the next three are not there */
#define VKA_FLAG_SAMPLE_TOP_K       512
#define VKA_FLAG_SAMPLE_TOP_P       1024
#define VKA_FLAG_SAMPLE_MIN_P       2048
#define VKA_FLAG_SAMPLE_PENALTY     4096
#define VKA_FLAG_SAMPLE_LOG_PROBS   16384 /* optional outputs that are there */
#define VKA_FLAG_SAMPLE_APPEND      32768
#define VKA_FLAG_SAMPLE_NEW_LENGTHS 65536

/* Bindings, after VKA_BIND_X. */
#define VKA_BIND_SAMPLE_IDS         2
#define VKA_BIND_SAMPLE_LOG_PROBS   3
#define VKA_BIND_SAMPLE_HISTORY     4
#define VKA_BIND_SAMPLE_LENGTHS     5
#define VKA_BIND_SAMPLE_NEW_LENGTHS 6
#define VKA_BIND_SAMPLE_SEEN        7 /* the workspace: a bit of each id of each row */

#endif
