/* What pages and sheets are tested with: 2 layers of 3 heads.
 * SPDX-License-Identifier: MIT */
#ifndef LENS_CASES_H
#define LENS_CASES_H

#include "lens/lens.h"

enum { LAYERS = 2, HEADS = 3, ROWS = 3, COLUMNS = 4, PATCHES = ROWS * COLUMNS, SIDE = 20 /* pixels of a patch */ };

/* Token i looks at token (i + head + layer) % m, with 0.8, and at all others with equal shares of the rest.
 *   texts     5 tokens, whose texts want to be something else
 *   patches   a picture's 3 x 4 patches behind the token of a class, which look at each other
 *   caption   3 words that look at those patches, of which there is one token more behind them
 * The first two have an attribution. Valid until the next call. */
lens case_of(const char *kind);

#endif
