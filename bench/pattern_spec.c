/* Patterns as words: names with parameters, joined by `or` and `and`.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 32
enum { TOKENS = 256 /* unless said otherwise */ };

/* `name:key=value@heads` in parts. */
typedef struct word {
    const bench_named *named;
    bench_numbers numbers[BENCH_MAX_PARAMS]; /* of named->params */
    uint32_t first_head, heads;              /* heads == 0: all  */
    bool intersect;                          /* joined by `and`  */
} word;

#define complain(...) bench_complain("pattern --list", __VA_ARGS__)

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* "3", "7x7", "0,17,40", "-2", "unbounded"; empty: no number. */
static bool parse_numbers(const char *text, bool any_sign, bench_numbers *n) {
    n->count = 0;
    while (*text && n->count < BENCH_MAX_NUMBERS) {
        char *end;
        long value = strtol(text, &end, 10);
        if (any_sign && strcmp(text, "unbounded") == 0) {
            n->at[n->count++] = VKA_UNBOUNDED;
            return true;
        }
        if (end == text || value > INT32_MAX || value < (any_sign ? -INT32_MAX : 0)) {
            return false;
        }
        n->at[n->count++] = (int32_t)value;
        text = end;
        if (*text && *text++ != ',' && text[-1] != 'x') {
            return false;
        }
    }
    return *text == '\0';
}

static bool set_param(word *w, const char *key, const char *value) {
    for (int i = 0; i < BENCH_MAX_PARAMS && w->named->params[i].key; i++) {
        if (strcmp(w->named->params[i].key, key) == 0) {
            bool any_sign = strcmp(key, "left") == 0 || strcmp(key, "right") == 0;
            bool ok = parse_numbers(value, any_sign, &w->numbers[i]) &&
                      (w->numbers[i].count || !*w->named->params[i].otherwise);
            return ok || complain("%s: %s=%s: not a number, or a list of at most %d", w->named->name, key, value,
                                  BENCH_MAX_NUMBERS);
        }
    }
    const char *keys[BENCH_MAX_PARAMS] = {NULL};
    char hint[BENCH_SUGGEST_SIZE];
    size_t count = 0;
    for (; count < BENCH_MAX_PARAMS && w->named->params[count].key; count++) {
        keys[count] = w->named->params[count].key;
    }
    bench_suggest(key, keys, count, hint);
    return complain("%s: no parameter '%s'; %s", w->named->name, key, count ? hint : "it has none");
}

/* "@3" or "@2-5". */
static bool set_heads(word *w, const char *text) {
    char *end;
    unsigned long first = strtoul(text, &end, 10), last = first;
    bool ok = end > text;
    if (ok && *end == '-') {
        text = end + 1;
        last = strtoul(text, &end, 10);
        ok = end > text;
    }
    w->first_head = (uint32_t)first;
    w->heads = (uint32_t)(last - first + 1);
    return (ok && !*end && last >= first && last < UINT16_MAX) ||
           complain("%s@: heads are a number, or two with a '-'", w->named->name);
}

/* Takes `text` apart. */
static bool parse_word(char *text, word *w) {
    char *heads = strchr(text, '@'), *params = strchr(text, ':');
    if (heads) {
        *heads++ = '\0';
    }
    if (params && (!heads || params < heads)) {
        *params++ = '\0';
    } else {
        params = NULL;
    }
    w->named = bench_named_find(text);
    if (!w->named) {
        const char *names[BENCH_MAX_NAMED];
        char hint[BENCH_SUGGEST_SIZE];
        bool near = bench_suggest(text, names, bench_named_names(names), hint);
        return complain("unknown pattern '%s'%s%s", text, near ? "; " : "", near ? hint : "");
    }
    bool ok = true;
    for (int i = 0; i < BENCH_MAX_PARAMS && w->named->params[i].key && ok; i++) {
        ok = set_param(w, w->named->params[i].key, w->named->params[i].otherwise);
    }
    while (params && ok) {
        char *next = strchr(params, ':'), *value = strchr(params, '=');
        if (next) {
            *next++ = '\0';
        }
        if (!value || (next && value > next)) {
            return complain("%s:%s: a parameter is key=value", text, params);
        }
        *value++ = '\0';
        ok = set_param(w, params, value);
        params = next;
    }
    return ok && (!heads || set_heads(w, heads));
}

/* Returns how many words there are, 0 if something is wrong. */
static uint32_t parse_words(char *text, word *words) {
    uint32_t count = 0;
    bool joined = true, intersect = false; /* what stands before the next word */
    for (char *t = strtok(text, " "); t; t = strtok(NULL, " ")) {
        bool and_word = strcmp(t, "and") == 0;
        if (and_word || strcmp(t, "or") == 0) {
            if (joined) {
                complain("'%s' needs a pattern before it", t);
                return 0;
            }
            joined = true;
            intersect = and_word;
            continue;
        }
        if (count == MAX_WORDS || !parse_word(t, &words[count])) {
            return 0;
        }
        words[count++].intersect = intersect;
        joined = intersect = false;
    }
    if (joined) {
        complain(count ? "a pattern is missing at the end" : "a pattern is missing");
        return 0;
    }
    return count;
}

/* ---- terms ------------------------------------------------------------------------------------------------------- */

/* One past the last term of the alternative that begins at `first`. */
static uint32_t alternative_end(const bench_terms *t, uint32_t first) {
    uint32_t end = first + 1;
    while (end < t->count && t->at[end].intersect) {
        end++;
    }
    return end;
}

static bool append(bench_terms *to, const vka_pattern_term *terms, uint32_t count, bool intersect) {
    if (to->count + count > VKA_MAX_PATTERN_TERMS) {
        return complain("more than %d terms, once `and` is multiplied out", VKA_MAX_PATTERN_TERMS);
    }
    memcpy(to->at + to->count, terms, count * sizeof *terms);
    to->at[to->count].intersect = intersect;
    to->count += count;
    return true;
}

/* a and b, as alternatives: each of a's with each of b's. */
static bool multiply(bench_terms *a, const bench_terms *b) {
    bench_terms product = {.count = 0};
    for (uint32_t i = 0, i_end; i < a->count; i = i_end) {
        i_end = alternative_end(a, i);
        for (uint32_t j = 0, j_end; j < b->count; j = j_end) {
            j_end = alternative_end(b, j);
            if (!append(&product, a->at + i, i_end - i, false) || !append(&product, b->at + j, j_end - j, true)) {
                return false;
            }
        }
    }
    *a = product;
    return true;
}

static bool combine(const word *words, uint32_t count, bench_pattern *p) {
    bench_terms product = {.count = 0};
    bool ok = true;
    for (uint32_t i = 0; i < count && ok; i++) {
        bench_making making = {p->desc.queries, p->desc.keys, words[i].named, words[i].numbers, &p->lists};
        bench_terms terms = {.count = 0};
        words[i].named->make(&making, &terms);
        for (uint32_t t = 0; t < terms.count; t++) {
            terms.at[t].first_head = words[i].first_head;
            terms.at[t].heads = words[i].heads;
        }
        if (words[i].intersect) {
            ok = multiply(&product, &terms);
        } else {
            ok = product.count == 0 || append(&p->terms, product.at, product.count, false);
            product = terms;
        }
    }
    return ok && append(&p->terms, product.at, product.count, false);
}

/* The grid of the first pattern that has one. */
static void find_grid(bench_pattern *p) {
    for (uint32_t i = 0; i < p->terms.count && !p->rank; i++) {
        const vka_pattern_term *t = &p->terms.at[i];
        if (t->kind == VKA_PATTERN_NEIGHBORHOOD || t->kind == VKA_PATTERN_SWIN) {
            p->rank = t->grid.rank;
            memcpy(p->size, t->grid.size, sizeof p->size);
        }
    }
}

/* Twice as many tokens, of axes that stay as equal as they can. What overflows is refused as too large anyway. */
static void double_grid(const bench_named *named, bench_numbers *given) {
    uint32_t shortest = 0;
    for (; given->count < named->rank; given->count++) {
        given->at[given->count] = given->at[given->count - 1];
    }
    for (uint32_t axis = 1; axis < named->rank; axis++) {
        shortest = given->at[axis] < given->at[shortest] ? axis : shortest;
    }
    given->at[shortest] = given->at[shortest] <= INT32_MAX / 2 ? 2 * given->at[shortest] : INT32_MAX;
}

static void double_grids(word *words, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (words[i].named->rank && words[i].numbers[0].count) {
            double_grid(words[i].named, &words[i].numbers[0]);
        }
    }
}

/* Tokens of a grid whose size is given; 0: there is none. */
static uint32_t given_tokens(const word *words, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t rank = words[i].named->rank, tokens = 1;
        const bench_numbers *given = &words[i].numbers[0]; /* grids have their size first */
        for (uint32_t axis = 0; axis < rank && given->count; axis++) {
            tokens *= (uint32_t)given->at[axis < given->count ? axis : given->count - 1];
        }
        if (rank && given->count) {
            return tokens;
        }
    }
    return 0;
}

bool bench_pattern_parse(const char *text, uint32_t queries, uint32_t keys, uint32_t doublings,
                         bench_pattern *pattern) {
    *pattern = (bench_pattern){.rank = 0};
    char *copy = malloc(strlen(text) + 1);
    word *words = calloc(MAX_WORDS, sizeof *words);
    uint32_t count = 0;
    if (copy && words) {
        memcpy(copy, text, strlen(text) + 1);
        count = parse_words(copy, words);
    }
    for (uint32_t i = 0; i < doublings; i++) {
        double_grids(words, count);
    }
    uint32_t tokens = pattern->given_tokens = given_tokens(words, count);
    pattern->desc.queries = queries ? queries : tokens ? tokens : TOKENS;
    pattern->desc.keys = keys ? keys : pattern->desc.queries;
    bool ok = count > 0 && combine(words, count, pattern);
    pattern->desc.terms = pattern->terms.at;
    pattern->desc.term_count = pattern->terms.count;
    find_grid(pattern);
    free(words);
    free(copy);
    return ok;
}

void bench_pattern_free(bench_pattern *pattern) {
    for (uint32_t i = 0; i < pattern->lists.count; i++) {
        free(pattern->lists.at[i]);
    }
    *pattern = (bench_pattern){.rank = 0};
}
