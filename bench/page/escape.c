/* Foreign text in HTML and SVG. SPDX-License-Identifier: MIT */
#include "page.h"

#include <string.h>

/* The length of the valid UTF-8 sequence that begins here, or 0: what XML doesn't allow is not valid either. */
static size_t sequence(const unsigned char *t) {
    size_t length = *t < 0x80                 ? 1
                    : *t >= 0xc2 && *t < 0xe0 ? 2
                    : *t >= 0xe0 && *t < 0xf0 ? 3
                    : *t >= 0xf0 && *t < 0xf5 ? 4
                                              : 0;
    for (size_t i = 1; i < length; i++) {
        if ((t[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool control = *t < 0x20 && *t != '\t' && *t != '\n';
    bool overlong = (*t == 0xe0 && t[1] < 0xa0) || (*t == 0xf0 && t[1] < 0x90) || (*t == 0xf4 && t[1] > 0x8f);
    bool surrogate = *t == 0xed && t[1] > 0x9f, none = *t == 0xef && t[1] == 0xbf && t[2] > 0xbd;
    return control || *t == 0x7f || overlong || surrogate || none ? 0 : length;
}

void page_escape(FILE *file, const char *text) {
    static const struct {
        char from;
        const char *to;
    } named[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (const unsigned char *t = (const unsigned char *)text; *t;) {
        size_t length = sequence(t);
        const char *to = length ? NULL : "\357\277\275"; /* the replacement character */
        for (size_t i = 0; length == 1 && i < sizeof named / sizeof *named; i++) {
            to = *t == (unsigned char)named[i].from ? named[i].to : to;
        }
        to ? (void)fputs(to, file) : (void)fwrite(t, 1, length, file);
        t += length ? length : 1;
    }
}
