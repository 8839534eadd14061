/* Pictures of one or two handwritten digits, and captions that say how they lie: "a three above a seven", "a nine at
 * the left". SPDX-License-Identifier: MIT */
#ifndef CLIP_SCENES_H
#define CLIP_SCENES_H

#include "train-vision/digits.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    SCENE_SIDE = 16,
    SCENE_PIXELS = SCENE_SIDE * SCENE_SIDE,
    SCENE_PATCH = 4,
    SCENE_GRID = SCENE_SIDE / SCENE_PATCH,
    SCENE_PATCHES = SCENE_GRID * SCENE_GRID,
    SCENE_PATCH_PIXELS = SCENE_PATCH * SCENE_PATCH,
    CAPTION_WORDS = 6,
    CAPTION_KINDS = 2 /* ways to say it: "a seven below a three" is "a three above a seven" */
};

/* What a picture shows: MEANING_PAIRS times one digit above another one, or left of it; and then one digit in one of
 * four corners. */
enum {
    MEANING_PAIRS = 2 * DIGIT_CLASSES * DIGIT_CLASSES,
    MEANING_SINGLES = 4 * DIGIT_CLASSES,
    MEANINGS = MEANING_PAIRS + MEANING_SINGLES
};

typedef struct scenes {
    digits digits;
    uint32_t *lists[2][DIGIT_CLASSES], counts[2][DIGIT_CLASSES]; /* pictures by digit: to learn from, to judge by */
} scenes;

typedef struct scene {
    uint32_t meaning;
    float pixels[SCENE_PIXELS]; /* 0: paper, 1: ink */
} scene;

/* Ids of words, 0 where there are no more. */
typedef struct caption {
    int32_t words[CAPTION_WORDS];
} caption;

/* A file without some digit ends the program, as one that can't be read. */
scenes scenes_load(const char *path);
void scenes_free(scenes *s);

/* Of digits to learn from, varied; or of those to judge by, as they are. */
void scenes_draw(const scenes *s, random_state *r, bool judged, uint32_t meaning, scene *to);
void scene_cut(const scene *s, float *patches);

uint32_t scenes_vocabulary(void);
caption caption_of(uint32_t meaning, uint32_t kind);
/* The word at its place; "" behind the last one. */
const char *caption_word(const caption *c, uint32_t at);
/* Puts words together again. */
void caption_text(const caption *c, char *text, size_t size);
/* false: a word that there is not, or too many. "an" is "a". */
bool caption_parse(const char *text, caption *c);
/* Captions that say another thing at this place: another digit, or the opposite of "above", "left" and so on. Returns
 * how many, 0 of other words. */
uint32_t caption_others(const caption *c, uint32_t at, caption others[DIGIT_CLASSES - 1]);

#endif
