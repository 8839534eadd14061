/* Is a text JSON (RFC 8259) in UTF-8? cJSON reads more than that, and cuts texts at their first NUL.
 * SPDX-License-Identifier: MIT */
#include "safetensors.h"

#include <string.h>

/* Far more than a header of safetensors has. */
#define MAX_DEPTH 16

typedef struct cursor {
    const unsigned char *at, *end;
} cursor;

static bool value(cursor *c, int depth);

static bool take(cursor *c, unsigned char wanted) {
    bool is = c->at < c->end && *c->at == wanted;
    c->at += is;
    return is;
}

static bool take_word(cursor *c, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

static void blanks(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        ++c->at;
}

static bool is_digit(const cursor *c) {
    return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

static bool digits(cursor *c) {
    bool any = is_digit(c);
    while (is_digit(c))
        ++c->at;
    return any;
}

static bool number(cursor *c) {
    take(c, '-');
    if (!take(c, '0') && !digits(c))
        return false;
    if (take(c, '.') && !digits(c))
        return false;
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+'))
            take(c, '-');
        return digits(c);
    }
    return true;
}

/* Bytes of the character at `at`, in the shortest form and none of UTF-16's halves; 0: it is none. */
static size_t character(const unsigned char *at, size_t left) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : at[0] >> 3 == 30 ? 4 : 0;
    uint32_t code = at[0] & (0x7fu >> bytes);
    if (bytes < 2 || bytes > left)
        return bytes == 1 ? 1 : 0;
    for (size_t i = 1; i < bytes; ++i) {
        if (at[i] >> 6 != 2)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    return code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : bytes;
}

/* Four hexadecimal digits; false: not so, or the character is NUL. */
static bool escaped_code(cursor *c) {
    bool any = false;
    for (int i = 0; i < 4; ++i, ++c->at) {
        if (c->at == c->end || !memchr("0123456789abcdefABCDEF", *c->at, 22))
            return false;
        any = any || *c->at != '0';
    }
    return any;
}

static bool text(cursor *c) {
    if (!take(c, '"'))
        return false;
    while (c->at < c->end && *c->at != '"') {
        size_t bytes = character(c->at, (size_t)(c->end - c->at));
        if (!bytes || *c->at < ' ')
            return false;
        c->at += bytes;
        if (c->at[-1] != '\\' || bytes > 1)
            continue;
        if (take(c, 'u')) {
            if (!escaped_code(c))
                return false;
        } else {
            if (c->at == c->end || !memchr("\"\\/bfnrt", *c->at, 8))
                return false;
            ++c->at;
        }
    }
    return take(c, '"');
}

static bool member(cursor *c, int depth) {
    blanks(c);
    if (!text(c))
        return false;
    blanks(c);
    return take(c, ':') && value(c, depth);
}

/* What is between brackets: nothing, or elements with commas between. */
static bool elements(cursor *c, unsigned char close, bool (*element)(cursor *, int), int depth) {
    blanks(c);
    if (take(c, close))
        return true;
    if (depth == MAX_DEPTH)
        return false;
    do {
        if (!element(c, depth + 1))
            return false;
        blanks(c);
    } while (take(c, ','));
    return take(c, close);
}

static bool value(cursor *c, int depth) {
    bool is;
    blanks(c);
    if (take(c, '{'))
        is = elements(c, '}', member, depth);
    else if (take(c, '['))
        is = elements(c, ']', value, depth);
    else if (c->at < c->end && *c->at == '"')
        is = text(c);
    else
        is = take_word(c, "true") || take_word(c, "false") || take_word(c, "null") || number(c);
    blanks(c);
    return is;
}

bool json_is_strict(const char *json, size_t length) {
    cursor c = {(const unsigned char *)json, (const unsigned char *)json + length};
    return value(&c, 0) && c.at == c.end;
}

bool json_is_utf8(const char *name) {
    const unsigned char *at = (const unsigned char *)name;
    for (size_t left = strlen(name), bytes; left; at += bytes, left -= bytes) {
        bytes = character(at, left);
        if (!bytes)
            return false;
    }
    return true;
}
