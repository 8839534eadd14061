/* Memory that is freed all at once. SPDX-License-Identifier: MIT */
#include "page.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct page_block {
    struct page_block *next;
    max_align_t content[];
};

void *page_alloc(page_memory *m, size_t size) {
    struct page_block *b = calloc(1, sizeof *b + size);
    if (!b) {
        fputs("vkattn-bench: out of host memory\n", stderr);
        exit(BENCH_EXIT_FAILED);
    }
    b->next = m->blocks;
    m->blocks = b;
    return b->content;
}

char *page_print(page_memory *m, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t size = (size_t)(length < 0 ? 0 : length) + 1;
    char *text = page_alloc(m, size);
    va_start(args, format);
    vsnprintf(text, size, format, args);
    va_end(args);
    return text;
}

void *page_grown(page_memory *m, void *at, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) {
        return at;
    }
    *capacity = *capacity ? 2 * *capacity : 8;
    void *larger = page_alloc(m, *capacity * size);
    if (count) {
        memcpy(larger, at, count * size);
    }
    return larger;
}

void page_free(page_memory *m) {
    while (m->blocks) {
        struct page_block *next = m->blocks->next;
        free(m->blocks);
        m->blocks = next;
    }
}
