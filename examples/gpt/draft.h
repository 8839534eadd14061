/* Guesses at how a text goes on, from what followed the same characters before: counts of what came after each context
 * of up to DRAFT_ORDER tokens, those of the longest context that is known first (prediction by partial matching, Cleary
 * 1984). A guess costs nothing but a place in a tree that the model checks, so any source will do: the text so far, and
 * texts of its kind.
 * SPDX-License-Identifier: MIT */
#ifndef GPT_DRAFT_H
#define GPT_DRAFT_H

#include "decoder.h"

enum { DRAFT_ORDER = 6 };

typedef struct draft draft;

draft *draft_create(void);
void draft_destroy(draft **d);

/* The next token of the text that is learned from; draft_separate: and what comes has nothing to do with that. */
void draft_add(draft *d, int32_t token);
void draft_separate(draft *d);

/* The likeliest ways on from the last token that was added, which is node 0: at most `nodes` nodes, none deeper than
 * `depth`. Likelier nodes come first, so that which are there does not depend on `nodes`. */
void draft_tree(const draft *d, uint32_t nodes, uint32_t depth, token_tree *tree);

#endif
