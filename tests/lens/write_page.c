/* write_page FILE: a page of 2 layers with 3 heads of 5 tokens, whose texts want to be something else.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lens/lens.h"

enum { LAYERS = 2, HEADS = 3, N = 5 };

/* Token i looks at token (i + head + layer) % N, with 0.8, and at all others with 0.05. */
int main(int argc, char **argv) {
    static const char *const tokens[N] = {"a", "</script><script>document.title='owned'</script>", "\"\\\n",
                                          "caf\xc3\xa9", "&amp;"};
    static float p[LAYERS * HEADS * N * N];
    for (int row = 0; row < LAYERS * HEADS * N; row++) {
        int layer = row / (HEADS * N), head = row / N % HEADS;
        for (int j = 0; j < N; j++) {
            p[row * N + j] = j == (row % N + head + layer) % N ? 0.8f : 0.05f;
        }
    }
    lens l = {.title = "<b>owned", .queries = tokens, .keys = tokens, .layers = LAYERS, .heads = HEADS, .n = N, .m = N};
    l.probabilities = p;
    if (argc != 2 || lens_write(&l, "/nowhere/page.html") || !lens_write(&l, argv[1])) {
        fprintf(stderr, "write_page: FILE can't be written, or /nowhere can\n");
        return 1;
    }
    return 0;
}
