/* Which parameters a GPT has: those of a trunk, "tokens.weight" and "positions.weight".
 * SPDX-License-Identifier: MIT */
#ifndef GPT_PARAMETERS_H
#define GPT_PARAMETERS_H

#include "training/trunk.h"

/* Refuses sizes that can't be, by ending the program. */
void gpt_add_parameters(parameters *p, const trunk_desc *desc);

#endif
