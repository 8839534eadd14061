/* SPDX-License-Identifier: MIT */
#include "parameters.h"

void gpt_add_parameters(parameters *p, const trunk_desc *d) {
    const float deviation = trunk_deviation(d);
    parameters_add(p, "tokens.weight", 2, (uint32_t[]){d->classes, d->width}, 0, deviation);
    parameters_add(p, "positions.weight", 2, (uint32_t[]){d->context, d->width}, 0, deviation);
    trunk_add_parameters(p, d);
}
