/* Pages and pictures that show what attention looks at: one HTML file, which needs no network and no program but a
 * browser; or a PNG file, to print. SPDX-License-Identifier: MIT */
#ifndef LENS_H
#define LENS_H

#include <stdbool.h>
#include <stdint.h>

/* A picture that a grid of patches covers, each of them a token: row by row from the upper left one, which is token
 * `first` of its side. Tokens in front of and behind the patches, as that of a class, are shown as texts. */
typedef struct lens_picture {
    const uint8_t *pixels;  /* [height, width, channels], row by row from the top; NULL: there is no picture */
    uint32_t width, height; /* pixels                                                                        */
    uint32_t channels;      /* 3: red, green, blue; 4: opacity behind them                                   */
    uint32_t rows, columns; /* patches                                                                       */
    uint32_t first;         /* rows * columns tokens from here on are patches                                */
} lens_picture;

/* Integrated gradients (Sundararajan, Taly and Yan 2017): what each token adds to a number f(x) that a model makes of
 * tokens x. Values should add up to f(x) - f(baseline); by how much they don't, which more steps would lessen, is shown
 * beside them. */
typedef struct lens_attribution {
    const char *of;            /* what f is                                                     */
    const char *const *tokens; /* [count]; NULL: keys, of which there are m, patches among them */
    uint32_t count;
    const float *values;    /* [count]                                                       */
    double value, baseline; /* f(x) and f(baseline)                                          */
    uint32_t steps;         /* of the integral                                               */
} lens_attribution;

/* What may be 0 or NULL is optional. */
typedef struct lens {
    const char *title;          /* UTF-8, as all texts                                                     */
    const char *const *queries; /* [n]: tokens that look; NULL is the text of patches, which need none      */
    const char *const *keys;    /* [m]: tokens that are looked at                                          */
    uint32_t layers, heads, n, m;
    const float *probabilities; /* [layers, heads, n, m]; each row adds up to 1, or to 0 where it sees nothing */
    /* Optional: whose patches the queries are, or the keys. A picture of both, as in a vision transformer, is given
     * twice: the same pixels are written once. Choosing a token draws its weights over the picture of the other side.
     */
    lens_picture query_picture, key_picture;
    const lens_attribution *attributions; /* optional: [attribution_count], shown by the page */
    uint32_t attribution_count;
} lens;

/* Writes the page. false: errno says why; EINVAL, where patches are more than there are tokens, or a picture has none.
 */
bool lens_write(const lens *l, const char *path);

enum { LENS_ALL_LAYERS = -1 };

/* Draws all heads of a layer, or of all, and attention rolled out over the layers, where there are several and n = m:
 * as matrices, whose rows are tokens that look. Where keys are patches of a picture and some queries are texts, each of
 * these has its weights drawn over the picture, in shades of the largest. false: errno says why; EFBIG, where the sheet
 * would be too large. */
bool lens_write_png(const lens *l, int layer, const char *path);

#endif
