/* vkattn: from logits to tokens.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_SAMPLING_H
#define VKATTN_SAMPLING_H

#include <vkattn/vkattn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The k largest of each row. `..` are any dimensions, up to three; k is the last size of the outputs. */
typedef struct vka_top_k_desc {
    vka_tensor x;       /* required: [.., C]; f32, f16 or bf16; C is 1 .. 2^24                                       */
    vka_tensor values;  /* optional: [.., k]; f32, f16 or bf16; k is 1 .. 1024, and at most C                        */
    vka_tensor indices; /* optional: i32 [.., k]: their columns. One of values and indices must be there            */
} vka_top_k_desc;

/* A token of each row of logits. All filters at 0 are off, and so is the temperature: then the largest logit wins. */
typedef struct vka_sample_desc {
    vka_tensor logits;    /* required: [B, V]; f32, f16 or bf16; V is 1 .. 2^24                                      */
    vka_tensor ids;       /* required: i32 [B]: the tokens, as vka_embedding takes them; -1 where there is none      */
    vka_tensor log_probs; /* optional: f32 [B]: log softmax(logits)[id], of the logits as they are given: without    */
                          /*   penalty, temperature and filters                                                      */

    /* What each row has had so far, for the penalty: ids in any order; those that are not 0 .. V - 1 don't count. */
    vka_tensor history;   /* optional: i32 [B, L]                                                                    */
    vka_integers lengths; /* optional: [B]: how many ids of a row's history count, from the first one on, and which  */
                          /*   draw this is. Tensors are read when the commands run; negative values count as 0, and */
                          /*   of the history at most L count. Absent: all of them count, and the draw is number 0   */
    vka_tensor new_lengths; /* optional: i32 [B]: lengths + 1, at most 2^31 - 1; may be the very same view as lengths */
    bool append;            /* the token goes to history[row][lengths[row]], if there is room; needs both            */

    float temperature;        /* 1e-30 .. 1e30; 0: the largest logit, of equal ones that of the lowest id            */
    uint32_t top_k;           /* the k largest may be drawn; 0, or V and more: all                                   */
    float top_p;              /* the fewest may be drawn that have this probability together; 0 or 1: all            */
    float min_p;              /* 0 .. 1: those that have this share of the largest probability may be drawn; 0: all  */
    float repetition_penalty; /* 0.01 .. 100; 0 = 1: none                                                            */
    uint32_t penalty_window;  /* the penalty is for the last so many ids of the history; 0: for all                  */

    uint64_t seed;
    uint32_t random_offset;
    vka_workspace workspace; /* scratch memory, needed for the penalty; all zero: the recorder's own */
} vka_sample_desc;

#ifdef __cplusplus
}
#endif

/* The K largest of each row, in descending order; of equal ones the lower column comes first, so that there is one
 * result. As in PyTorch NaN is larger than everything else (all NaN are equal), and -0 equals 0; values come out as
 * they are, rounded where their type is narrower than x's.
 *
 *     vka_top_k(recorder, &(vka_top_k_desc){.x = scores, .values = best, .indices = experts});
 *
 * Any strides: another axis is a view, vka_tensor_transpose(t, axis, last) of all tensors. Rows of more than 1024
 * columns are read two to eight times: selected by radix. Rows = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a single row is larger than
 *         a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(top_k, TOP_K)

/* Draws a token of each row of logits, in this order, which is that of Hugging Face's generate:
 *
 *   penalty      a logit x whose id is in the history, once or often, becomes x / penalty if x > 0, and x * penalty
 *                otherwise (Keskar 2019)
 *   temperature  probabilities are softmax(x / temperature)
 *   top-k        the k largest logits stay; of equal ones those of the lower ids (Fan 2018)
 *   top-p        of what stays, with probabilities that sum up to 1 again, the fewest stay that have at least top_p
 *                together, from the largest one on, of equal ones the lower id first (Holtzman 2020)
 *   min-p        logits stay whose probability is at least min_p times the largest one (Nguyen 2024)
 *   draw         of what stays, each id as often as its probability says
 *
 * The largest logit always stays. Nothing is drawn from a list of a few candidates: each filter looks at the whole row,
 * exactly but for what f32 rounds: a set may differ by a token where its probability is within rounding of a bound.
 *
 * The draw is argmax(x / temperature - log(-log(u))), of equal ones the lowest id (Gumbel 1954), where u of id j is
 * (word + 0.5) 2^-32 for word j % 4 of Philox4x32-10 (Salmon 2011) with the counter {j / 4, row, 0, random_offset +
 * lengths[row]} and the key seed (low word first). Same inputs, same ids.
 *
 * A loop without the host: lengths in a buffer make each replay of one recording another draw; vka_cache_append's
 * new_lengths are such, or this operation's own.
 *
 *     vka_embedding(recorder, &(vka_embedding_desc){.table = w, .ids = ids, .out = x});
 *     ..
 *     vka_linear(recorder, &(vka_linear_desc){.x = x, .weight = w, .out = logits});
 *     vka_sample(recorder, &(vka_sample_desc){.logits = logits, .ids = ids, .history = tokens, .append = true,
 *                                             .lengths.tensor = n, .new_lengths = n, .temperature = 0.8f,
 *                                             .top_p = 0.95f, .repetition_penalty = 1.1f, .seed = seed});
 *
 * Edges: -inf is never drawn. A row of nothing else has the id -1 and a log-probability of -inf. A row with a NaN has
 * -1 and NaN: so a mistake is seen; vka_embedding makes zeros of -1. Where logits are +inf, one of these is drawn, all
 * being alike. A penalty that takes a logit out of f32's range makes it infinite. B = 0 records nothing and succeeds.
 *
 * Records and returns; never submits or waits. `desc` may die on return, buffers must live until the recorder's work
 * has completed. On any error nothing is recorded.
 *
 * @return VKA_OK; VKA_INVALID (a rule above is broken, named in the log); VKA_UNSUPPORTED (a single row, lengths or the
 *         workspace are larger than a binding can see); VKA_OUT_OF_MEMORY; VKA_DEVICE_LOST.
 * Threads: one thread per recorder at a time. */
VKA_OPERATION_FUNCTIONS(sample, SAMPLE)

#endif
