/* Pictures and captions to judge by: one picture of each meaning, of digits that nothing was learned from, and one of
 * the captions that say it. SPDX-License-Identifier: MIT */
#ifndef CLIP_JUDGE_H
#define CLIP_JUDGE_H

#include "model.h"

typedef struct judged {
    uint32_t size; /* of an embedding */
    scene scenes[MEANINGS];
    caption captions[MEANINGS];
    float *images, *texts; /* [MEANINGS, size]: embeddings */
} judged;

/* What was found among all of them. */
typedef struct judgement {
    double loss;
    double captions, pictures; /* shares of pictures whose caption is the most alike one, and the other way round */
    double caption_digits, picture_digits; /* of those whose most alike one is at least of the same digits          */
} judgement;

/* The same each time; to be freed by judged_free. */
judged *judged_create(const scenes *s, uint32_t size);
void judged_free(judged *j);

/* Embeds both; `evaluation` is the model's, recorded. */
void judged_embed(judged *j, model *m, vka_recorder *evaluation);
/* Of any captions, [count, size]. */
void judged_embed_captions(const caption *captions, uint32_t count, model *m, vka_recorder *evaluation, float *texts);

judgement judge(const judged *j, double factor);

/* Of embeddings. */
double judged_cosine(const float *x, const float *y, uint32_t size);
/* The `count` of `of`, [MEANINGS, size], which are most like x, the most alike first. */
void judged_best(const judged *j, const float *x, const float *of, uint32_t count, uint32_t *best);

#endif
