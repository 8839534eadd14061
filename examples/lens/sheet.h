/* Where things lie on a sheet.
 * SPDX-License-Identifier: MIT */
#ifndef LENS_SHEET_H
#define LENS_SHEET_H

#include "lens.h"

enum { LENS_ROLLOUT = -1 };

/* A matrix of weights, or a picture that weights of one query are drawn over. */
typedef struct lens_panel {
    int layer; /* or LENS_ROLLOUT */
    uint32_t head, query;
    uint32_t x, y; /* of the upper left pixel, without labels */
    bool first;    /* labels of queries are in front of it */
} lens_panel;

typedef struct lens_sheet {
    bool pictures;          /* panels are pictures, one for each head and query that is a text */
    uint32_t cell;          /* pixels of a weight in a matrix                                  */
    uint32_t letter;        /* size of texts; 0: labels would not fit                          */
    uint32_t across, down;  /* pixels of a panel                                               */
    uint32_t left, below;   /* pixels of labels in front of panels and below them              */
    uint32_t width, height; /* pixels of all                                                   */
    uint32_t count;
    lens_panel *panels; /* [count] */
} lens_sheet;

/* false: errno says why. */
bool lens_sheet_plan(const lens *l, int layer, lens_sheet *s);
void lens_sheet_free(lens_sheet *s);

/* A token's text as labels have it, at most LENS_LABEL letters and an end; "" for patches without a text. */
enum { LENS_LABEL = 14 };
void lens_label(const char *text, char label[4 * LENS_LABEL + 3]);

#endif
