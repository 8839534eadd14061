/* A page that shows what attention looks at: one HTML file, which needs no network and no program but a browser.
 * SPDX-License-Identifier: MIT */
#ifndef LENS_H
#define LENS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct lens {
    const char *title;          /* UTF-8, as all texts                                                     */
    const char *const *queries; /* [n]: tokens that look                                                   */
    const char *const *keys;    /* [m]: tokens that are looked at                                          */
    uint32_t layers, heads, n, m;
    const float *probabilities; /* [layers, heads, n, m]; each row adds up to 1, or to 0 where it sees nothing */
} lens;

/* Writes the page. false: errno says why. */
bool lens_write(const lens *l, const char *path);

#endif
