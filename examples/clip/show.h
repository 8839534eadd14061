/* Sheets: which pictures captions find, and where in a picture the words of its caption are.
 * SPDX-License-Identifier: MIT */
#ifndef CLIP_SHOW_H
#define CLIP_SHOW_H

#include "judge.h"

enum { SHOW_MOST = 12 }; /* captions, or pictures, of a sheet */

typedef struct show {
    model *model;
    judged *judged; /* embedded */
    vka_recorder *evaluation;
} show;

/* Each caption with the pictures that are most like it, those that it is true of in a green frame; what is found is
 * printed, too. Ends the program if it can't write. */
void show_pictures(const show *s, const caption *captions, uint32_t count, const char *path);

/* The picture that each caption finds, with the captions that it finds, and for each word that could be another one
 * what in the picture makes this word fit better than others: the gradient of the difference of cosines, by way of
 * attention (Chefer 2021). */
void show_words(const show *s, const caption *captions, uint32_t count, const char *path);

/* The same of one caption, as a page: choose a word, and its map is drawn over the picture. */
void show_page(const show *s, const caption *words_of, const char *path);

#endif
