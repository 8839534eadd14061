/* What the program prints.
 * SPDX-License-Identifier: MIT */
#include "table.h"

#include <stdio.h>
#include <utf8proc.h>

/* Columns that a character takes; control characters are shown as a space. */
static int width_of(utf8proc_int32_t symbol) {
    return symbol < 0x20 || symbol == 0x7f ? 1 : utf8proc_charwidth(symbol);
}

static int text_width(const char *text) {
    int width = 0;
    for (const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text; *at;) {
        utf8proc_int32_t symbol;
        at += utf8proc_iterate(at, -1, &symbol);
        width += width_of(symbol);
    }
    return width;
}

/* As many columns, of valid UTF-8: what is longer ends with "..", what is shorter with spaces. */
static void print_cut(const char *text, int columns) {
    int width = text_width(text), left = width > columns ? columns - 2 : columns;
    for (const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text; *at;) {
        utf8proc_int32_t symbol;
        utf8proc_ssize_t bytes = utf8proc_iterate(at, -1, &symbol);
        int columns_of_it = width_of(symbol);
        if (columns_of_it > left) {
            break;
        }
        if (symbol < 0x20 || symbol == 0x7f) {
            putchar(' ');
        } else {
            fwrite(at, 1, (size_t)bytes, stdout);
        }
        left -= columns_of_it;
        at += bytes;
    }
    printf("%s%*s", width > columns ? ".." : "", left, "");
}

void print_table(char *const *sentences, uint32_t count, const float *cosines) {
    enum { NUMBER = 4, VALUE = 6 };
    int label = 0, most = TABLE_COLUMNS - NUMBER - (int)count * VALUE;
    for (uint32_t i = 0; i < count; i++) {
        int width = text_width(sentences[i]);
        label = width > label ? width : label;
    }
    label = label > most ? most : label;
    printf("%*s", NUMBER + label, "");
    for (uint32_t j = 0; j < count; j++) {
        printf("%*u", VALUE, j + 1);
    }
    printf("\n");
    for (uint32_t i = 0; i < count; i++) {
        printf("%2u  ", i + 1);
        print_cut(sentences[i], label);
        for (uint32_t j = 0; j <= i; j++) {
            printf("%*.2f", VALUE, (double)cosines[i * count + j]);
        }
        printf("\n");
    }
}

void print_nearest(char *const *sentences, uint32_t sentence, uint32_t nearest, float cosine) {
    enum { HALF = (TABLE_COLUMNS - 8) / 2 };
    print_cut(sentences[sentence], HALF);
    printf(" %5.2f  ", (double)cosine);
    print_cut(sentences[nearest], text_width(sentences[nearest]) < HALF ? text_width(sentences[nearest]) : HALF);
    printf("\n");
}
