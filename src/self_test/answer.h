/* Problems with known answers, for the self-test. Inputs are small integers, which all types hold exactly, so that what
 * the host computes in double is the answer but for roundings that each problem bounds. SPDX-License-Identifier: MIT */
#ifndef VKA_ANSWER_H
#define VKA_ANSWER_H

#include "op/op.h"

/* Outputs are compared element by element, and what lies between them must stay as it was. */
#define VKA__ANSWER_OUTPUTS 4
typedef struct vka__answer_output {
    vka_tensor tensor; /* dense */
    const double *want;
    uint32_t count;
    double bound; /* times the magnitude of what is wanted, or 1 if that is less */
} vka__answer_output;

#define VKA__ANSWER_BYTES   (512u << 10) /* of all inputs, and of all outputs */
#define VKA__ANSWER_NUMBERS (64u << 10)  /* of inputs and outputs together    */

typedef struct vka__answer {
    const vka_device_caps *caps;
    vka_buffer *in, *out; /* mapped */
    uint32_t in_used, out_used, used;
    double *numbers;
    char name[96]; /* for the log: "of f16, 37 queries" */
    uint32_t output_count;
    vka__answer_output output[VKA__ANSWER_OUTPUTS];
    size_t desc_size;
    _Alignas(16) unsigned char desc[VKA__MAX_DESC];
} vka__answer;

/* Makes number `index` of an operation's problems of an emptied answer; false: there are no more. */
typedef bool (*vka__answers)(vka__answer *answer, uint32_t index);
bool vka__answers_attention(vka__answer *answer, uint32_t index);
bool vka__answers_merge(vka__answer *answer, uint32_t index);
bool vka__answers_linear(vka__answer *answer, uint32_t index);
bool vka__answers_linear_attention(vka__answer *answer, uint32_t index);
bool vka__answers_layer_norm(vka__answer *answer, uint32_t index);
bool vka__answers_rms_norm(vka__answer *answer, uint32_t index);
bool vka__answers_group_norm(vka__answer *answer, uint32_t index);
bool vka__answers_softmax(vka__answer *answer, uint32_t index);
bool vka__answers_cross_entropy(vka__answer *answer, uint32_t index);
bool vka__answers_top_k(vka__answer *answer, uint32_t index);
bool vka__answers_cache_append(vka__answer *answer, uint32_t index);
bool vka__answers_map(vka__answer *answer, uint32_t index);

/* ---- what problems are made of ---------------------------------------------------------------------------------- */

/* Names a problem and keeps its description. */
void vka__answer_is(vka__answer *answer, const void *desc, size_t size, const char *format, ...) VKA_PRINTF(4, 5);

/* A number from -most to most that depends on `index` and `salt` as if it were random. */
int32_t vka__answer_integer(uint32_t index, uint32_t salt, int32_t most);

/* Room for `count` numbers. */
double *vka__answer_numbers(vka__answer *answer, uint32_t count);
/* `count` of these integers; the last dimension of a tensor has them side by side. */
double *vka__answer_integers(vka__answer *answer, uint32_t count, uint32_t salt, int32_t most);
/* A dense tensor of these values, one per element of the shape, which types round to nearest: q8_0 and q4_0 have a
 * scale of 1. The shape has `rank` numbers. */
vka_tensor vka__answer_input(vka__answer *answer, vka_dtype dtype, uint32_t rank, const uint32_t *shape,
                             const double *values);
/* A dense tensor with what must be in it, and how far off that may be: NaN is for elements that are NaN or stay as they
 * were, which reads as NaN, in i32 as -1. */
vka_tensor vka__answer_result(vka__answer *answer, vka_dtype dtype, uint32_t rank, const uint32_t *shape,
                              const double *want, double bound);

/* A few roundings to the type, of what is about 1. */
double vka__answer_bound(vka_dtype dtype);
/* "f16" */
const char *vka__answer_type(vka_dtype dtype);

/* ---- looking at results ----------------------------------------------------------------------------------------- */

/* Before a run: every bit of all outputs is set. */
void vka__answer_poison(const vka__answer *answer);
/* After it. False with a line about the first element that is wrong. */
bool vka__answer_is_right(const vka__answer *answer, char *text, size_t size);

#endif
