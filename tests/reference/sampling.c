/* The largest of a row, by sorting all of it.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

typedef struct element {
    float value;
    uint32_t column;
} element;

static int compare(const void *first, const void *second) {
    const element *a = first, *b = second;
    bool equal = a->value == b->value || (isnan(a->value) && isnan(b->value));
    bool in_front = equal ? a->column < b->column : isnan(a->value) || a->value > b->value;
    return in_front ? -1 : a->column != b->column;
}

bool ref_order(const float *x, uint32_t cols, uint32_t *order) {
    element *all = malloc((cols + 1) * sizeof *all);
    for (uint32_t i = 0; all && i < cols; i++) {
        all[i] = (element){x[i], i};
    }
    if (all) {
        qsort(all, cols, sizeof *all, compare);
    }
    for (uint32_t i = 0; all && i < cols; i++) {
        order[i] = all[i].column;
    }
    free(all);
    return all;
}
