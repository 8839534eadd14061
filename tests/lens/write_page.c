/* write_page KIND FILE: a page of 2 layers with 3 heads.
 *   texts     5 tokens, whose texts want to be something else
 *   patches   a picture's 3 x 4 patches behind the token of a class, which look at each other
 *   caption   3 words that look at those patches, of which there is one token more behind them
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lens/lens.h"

enum { LAYERS = 2, HEADS = 3, ROWS = 3, COLUMNS = 4, PATCHES = ROWS * COLUMNS, SIDE = 20, MOST = PATCHES + 1 };

const char program_name[] = "write_page";

static const char *const texts[] = {"a", "</script><script>document.title='owned'</script>", "\"\\\n", "caf\xc3\xa9",
                                    "&amp;"};
static const char *const with_class[MOST] = {"class"};
static const char *const with_end[MOST] = {[PATCHES] = "end"};
static float p[LAYERS * HEADS * MOST * MOST];
static uint8_t pixels[ROWS * SIDE][COLUMNS * SIDE][3];

/* Token i looks at token (i + head + layer) % m, with 0.8, and at all others with equal shares of the rest. */
static void fill(const lens *l) {
    for (uint32_t row = 0; row < LAYERS * HEADS * l->n; row++) {
        uint32_t layer = row / (HEADS * l->n), head = row / l->n % HEADS;
        for (uint32_t j = 0; j < l->m; j++) {
            p[row * l->m + j] = j == (row % l->n + head + layer) % l->m ? 0.8f : 0.2f / (float)(l->m - 1);
        }
    }
}

/* Something to recognise: a disc in front of a gradient. */
static lens_picture paint(uint32_t first) {
    for (int y = 0; y < ROWS * SIDE; y++) {
        for (int x = 0; x < COLUMNS * SIDE; x++) {
            int dx = x - 45, dy = y - 25, in = dx * dx + dy * dy < 300;
            memcpy(pixels[y][x],
                   (uint8_t[]){in ? 240 : 40, in ? 200 : (uint8_t)(60 + 2 * x), in ? 60 : (uint8_t)(90 + 2 * y)}, 3);
        }
    }
    return (lens_picture){.pixels = pixels[0][0],
                          .width = COLUMNS * SIDE,
                          .height = ROWS * SIDE,
                          .channels = 3,
                          .rows = ROWS,
                          .columns = COLUMNS,
                          .first = first};
}

static lens page_of(const char *kind) {
    lens l = {.title = kind,
              .layers = LAYERS,
              .heads = HEADS,
              .probabilities = p,
              .n = 5,
              .m = 5,
              .queries = texts,
              .keys = texts};
    if (strcmp(kind, "patches") == 0) {
        l.n = l.m = MOST;
        l.queries = l.keys = with_class;
        l.query_picture = l.key_picture = paint(1);
    } else if (strcmp(kind, "caption") == 0) {
        l.n = 3, l.m = MOST;
        l.keys = with_end;
        l.key_picture = paint(0);
    } else {
        l.title = "<b>owned";
    }
    fill(&l);
    return l;
}

/* What a page can't be made of, or written to, is refused. */
static bool refuses(const lens *l) {
    lens wrong = *l;
    wrong.key_picture = paint(l->m - PATCHES + 1);
    bool none = l->m < PATCHES || (!lens_write(&wrong, "page.html") && errno == EINVAL);
    return none && !lens_write(l, "/nowhere/page.html") && errno == ENOENT;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: write_page KIND FILE\n");
        return 2;
    }
    lens l = page_of(argv[1]);
    if (!refuses(&l) || !lens_write(&l, argv[2])) {
        fprintf(stderr, "write_page: %s can't be written, or what should be refused is not\n", argv[2]);
        return 1;
    }
    return 0;
}
