/* Convolutions along a sequence are cut into boxes of entries, tokens and channels, which are dimensions 0 to 2 of
 * their tensors. SPDX-License-Identifier: MIT */
#ifndef VKA_CONV_BOXES_H
#define VKA_CONV_BOXES_H

#include "op/geometry.h"

enum { ENTRIES, TOKENS, CHANNELS };

/* Shortens a box of the output until a binding sees what goes with it of another tensor: as many tokens, and if they
 * are not all, `halo` more. Four channels stay together. False: not even those of one token fit. */
bool vka__conv_cut(const vka_device_caps *caps, const vka__view *view, uint32_t halo, uint32_t part[3]);
/* The same for a tensor that has `tokens` rows of each entry whatever the box. */
bool vka__conv_cut_rows(const vka_device_caps *caps, const vka__view *view, uint32_t tokens, uint32_t part[3]);
/* As many boxes, of equal size but for the last ones; channels are cut between vectors of four. */
void vka__conv_even_out(const uint32_t shape[3], uint32_t part[3], uint32_t parts[3]);

#endif
