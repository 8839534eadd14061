/* A vocabulary of pieces, and sentences cut into them.
 * SPDX-License-Identifier: MIT */
#include "vocabulary.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static const char space[] = "\xe2\x96\x81"; /* U+2581 */
enum { SPACE_LENGTH = 3 };

bool complain(complaint *why, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why->text, sizeof why->text, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static bool is_utf8(const char *text, size_t length) {
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t symbol;
        utf8proc_ssize_t step =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(length - at), &symbol);
        if (step <= 0) {
            return false;
        }
        at += (size_t)step;
    }
    return true;
}

/* A line, which ends with a NUL. */
static bool read_line(piece *p, char *line, size_t length, const char *name, int32_t id, complaint *why) {
    char *tab = memchr(line, '\t', length), *end;
    if (memchr(line, 0, length)) {
        return complain(why, "%s, line %d: has a NUL", name, id + 1);
    }
    if (!tab || tab == line) {
        return complain(why, "%s, line %d: must be a piece, a tab and a score", name, id + 1);
    }
    *tab = 0;
    p->bytes = line;
    p->length = (size_t)(tab - line);
    p->id = id;
    if (!is_utf8(p->bytes, p->length)) {
        return complain(why, "%s, line %d: the piece is not UTF-8", name, id + 1);
    }
    p->score = strtod(tab + 1, &end);
    if (end == tab + 1 || *end || !isfinite(p->score)) {
        return complain(why, "%s, line %d: the score must be a finite number, not \"%.40s\"", name, id + 1, tab + 1);
    }
    return true;
}

static int compare_pieces(const void *a, const void *b) {
    const piece *p = *(const piece *const *)a, *q = *(const piece *const *)b;
    size_t shorter = p->length < q->length ? p->length : q->length;
    int order = memcmp(p->bytes, q->bytes, shorter);
    if (order) {
        return order;
    }
    if (p->length != q->length) {
        return p->length < q->length ? -1 : 1;
    }
    return p->id > q->id ? -1 : 1;
}

static bool read_lines(vocabulary *v, size_t length, const char *name, complaint *why) {
    char *line = v->text, *end = v->text + length;
    for (uint32_t id = 0; id < v->count; ++id) {
        char *next = memchr(line, '\n', (size_t)(end - line));
        next = next ? next : end;
        *next = 0;
        if (!read_line(&v->pieces[id], line, (size_t)(next - line), name, (int32_t)id, why)) {
            return false;
        }
        if (id >= RESERVED) {
            v->sorted[v->sorted_count++] = &v->pieces[id];
        }
        line = next + 1;
    }
    qsort(v->sorted, v->sorted_count, sizeof *v->sorted, compare_pieces);
    return true;
}

bool vocabulary_read(vocabulary *v, const char *text, size_t length, const char *name, complaint *why) {
    size_t lines = length && text[length - 1] != '\n';
    for (size_t i = 0; i < length; ++i) {
        lines += text[i] == '\n';
    }
    *v = (vocabulary){.count = (uint32_t)lines};
    if (lines <= RESERVED || lines > INT32_MAX) {
        return complain(why, "%s: has %zu lines, but there must be more than %d", name, lines, RESERVED);
    }
    v->text = malloc(length + 1);
    v->pieces = calloc(lines, sizeof *v->pieces);
    v->sorted = calloc(lines, sizeof *v->sorted);
    bool ok = v->text && v->pieces && v->sorted;
    if (ok) {
        memcpy(v->text, text, length);
        ok = read_lines(v, length, name, why);
    } else {
        complain(why, "%s: out of memory", name);
    }
    if (!ok) {
        vocabulary_close(v);
    }
    return ok;
}

/* NULL: errno says why. */
static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t capacity = 0;
    *length = 0;
    while (file) {
        if (*length == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 16;
            char *more = realloc(text, capacity);
            if (!more) {
                break;
            }
            text = more;
        }
        size_t step = fread(text + *length, 1, capacity - *length, file);
        *length += step;
        if (step == 0) {
            if (ferror(file)) {
                break;
            }
            fclose(file);
            return text;
        }
    }
    int reason = errno;
    free(text);
    if (file) {
        fclose(file);
    }
    errno = reason;
    return NULL;
}

bool vocabulary_open(vocabulary *v, const char *path, complaint *why) {
    size_t length;
    *v = (vocabulary){0};
    char *text = read_file(path, &length);
    if (!text) {
        return complain(why, "%s: %s", path, strerror(errno));
    }
    bool ok = vocabulary_read(v, text, length, path, why);
    free(text);
    return ok;
}

void vocabulary_close(vocabulary *v) {
    free(v->text);
    free(v->pieces);
    free((void *)v->sorted);
    *v = (vocabulary){0};
}

/* ---- sentences --------------------------------------------------------------------------------------------------- */

/* Normalised, with U+2581 for spaces and in front; NULL: see `why`. */
static char *prepare(const char *sentence, complaint *why) {
    utf8proc_uint8_t *normal = NULL;
    utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)sentence, 0, &normal,
                                           UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    if (length < 0) {
        complain(why, "%s", length == UTF8PROC_ERROR_NOMEM ? "out of memory" : "a sentence is not UTF-8");
        return NULL;
    }
    char *text = malloc(SPACE_LENGTH * ((size_t)length + 1) + 1);
    char *out = text;
    if (!text) {
        complain(why, "out of memory");
    }
    for (utf8proc_ssize_t i = -1; text && length > 0 && i < length; ++i) {
        if (i < 0 || normal[i] == ' ') {
            memcpy(out, space, SPACE_LENGTH);
            out += SPACE_LENGTH;
        } else {
            *out++ = (char)normal[i];
        }
    }
    if (out) {
        *out = 0;
    }
    free(normal);
    return text;
}

/* Those of sorted[first .. last - 1], which are equal up to `depth`, whose next byte is `byte`. */
static void narrow(const vocabulary *v, uint32_t *first, uint32_t *last, size_t depth, unsigned char byte) {
    uint32_t bounds[2];
    for (int side = 0; side < 2; ++side) {
        uint32_t low = *first, high = *last;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            const piece *p = v->sorted[middle];
            int at = p->length > depth ? (unsigned char)p->bytes[depth] : -1;
            if (at < byte + side) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        bounds[side] = low;
    }
    *first = bounds[0], *last = bounds[1];
}

/* The best way to reach a place in the text, by a piece that ends there. */
typedef struct step {
    double score;
    const piece *by;
} step;

/* As the publisher's tokenizer has it: a score of exactly 0 counts as none, so that the next piece replaces it whatever
 * its own, and of equals the one that begins last wins. A few pieces of its vocabulary have a score of 0 or above. */
static void reach(step *to, double score, const piece *by) {
    if (to->score == 0 || score >= to->score) {
        *to = (step){score, by};
    }
}

static void reach_all(const vocabulary *v, const char *text, size_t length, step *steps) {
    const piece *unknown = &v->pieces[UNKNOWN];
    for (size_t i = 0; i < length;) {
        uint32_t first = 0, last = v->sorted_count;
        size_t symbol = 1;
        bool any = false;
        while (i + symbol < length && ((unsigned char)text[i + symbol] & 0xc0) == 0x80) {
            ++symbol;
        }
        for (size_t depth = 0; i + depth < length; ++depth) {
            narrow(v, &first, &last, depth, (unsigned char)text[i + depth]);
            if (first == last) {
                break;
            }
            const piece *p = v->sorted[first];
            if (p->length == depth + 1) {
                reach(&steps[i + depth + 1], steps[i].score + p->score, p);
                any = true;
            }
        }
        if (!any) {
            reach(&steps[i + symbol], steps[i].score, unknown);
        }
        i += symbol;
    }
}

/* Back from the end. A place that no piece ends at is behind an unknown character. */
static size_t walk_back(const vocabulary *v, const char *text, size_t length, const step *steps, int32_t *ids) {
    size_t count = 0;
    for (size_t at = length; at > 0;) {
        const piece *by = steps[at].by;
        size_t before = at;
        if (by && by->id != UNKNOWN) {
            at -= by->length;
        } else {
            by = &v->pieces[UNKNOWN];
            do {
                --at;
            } while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80);
        }
        if (by->id != UNKNOWN || before == length || ids[count - 1] != UNKNOWN) {
            ids[count++] = by->id;
        }
    }
    for (size_t i = 0; i < count / 2; ++i) {
        int32_t id = ids[i];
        ids[i] = ids[count - 1 - i];
        ids[count - 1 - i] = id;
    }
    return count;
}

bool vocabulary_cut(const vocabulary *v, const char *sentence, int32_t **ids, size_t *count, complaint *why) {
    char *text = prepare(sentence, why);
    *ids = NULL;
    *count = 0;
    if (!text) {
        return false;
    }
    size_t length = strlen(text);
    step *steps = calloc(length + 1, sizeof *steps);
    *ids = malloc((length + 1) * sizeof **ids);
    bool ok = steps && *ids;
    if (ok) {
        reach_all(v, text, length, steps);
        *count = walk_back(v, text, length, steps, *ids);
    } else {
        complain(why, "out of memory");
        free(*ids);
        *ids = NULL;
    }
    free(steps);
    free(text);
    return ok;
}
