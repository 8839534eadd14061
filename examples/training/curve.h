/* A curve of losses, drawn as PNG.
 * SPDX-License-Identifier: MIT */
#ifndef TRAINING_CURVE_H
#define TRAINING_CURVE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct curve_point {
    float step, loss;
} curve_point;

typedef struct curve {
    curve_point *points;
    uint32_t count, capacity;
} curve;

void curve_add(curve *c, uint32_t step, float loss);
void curve_free(curve *c);

/* Training thin, validation thick. A line across, unless `level` is 0, with a label. false: said why on stderr. */
bool curve_draw(const char *path, const curve *training, const curve *validation, float level, const char *label);

#endif
