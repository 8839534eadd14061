/* The example `sentences`: how text is cut into pieces, and which vocabularies are refused.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "examples/sentences/vocabulary.h"
#include "reference/reference.h"
#include "sentences/tiny.h"
#include "support/context.h"

void expect_ids(const vocabulary *v, const char *text, const int32_t *want, size_t count) {
    int32_t *ids;
    size_t n;
    complaint why;
    cr_assert(vocabulary_cut(v, text, &ids, &n, &why), "%s: %s", text, why.text);
    cr_expect(n == count && memcmp(ids, want, n * sizeof *ids) == 0, "%s: %zu pieces, the first is %d", text, n,
              n ? ids[0] : -1);
    free(ids);
}
static void open_tiny_vocabulary(vocabulary *v) {
    complaint why;
    cr_assert(vocabulary_read(v, tiny_vocabulary, strlen(tiny_vocabulary), "tiny", &why), "%s", why.text);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

Test(sentences_text, pieces) {
    vocabulary v;
    open_tiny_vocabulary(&v);
    expect_ids(&v, "", NULL, 0);
    EXPECT_IDS(&v, "a", 9);
    EXPECT_IDS(&v, "ab", 11);                         /* better than "_a" and "b"           */
    EXPECT_IDS(&v, "a b", 9, 6, 8);                   /* spaces are U+2581                  */
    EXPECT_IDS(&v, "bab", 6, 8, 25);                  /* of two equal pieces the last one   */
    EXPECT_IDS(&v, "aQ\xf0\x9f\x98\xb9", 9, 0);       /* what is unknown is one             */
    EXPECT_IDS(&v, "Qa\xf0\x9f\x98\xb9", 6, 0, 7, 0); /* .. where it lies side by side      */
    EXPECT_IDS(&v,
               "a\xc2\xa0"
               "b",
               9, 6, 8);                   /* NFKC: a space that does not break  */
    EXPECT_IDS(&v, "\xef\xac\x81", 6, 24); /* NFKC: a ligature of f and i        */
    EXPECT_IDS(&v, "c\xcc\xa7", 21);       /* NFKC: composed                     */
    EXPECT_IDS(&v, "\xc3\xa7", 21);
    vocabulary_close(&v);
}

/* The publisher's loops: for each end all beginnings, of all pieces. A text of characters. */
static size_t cut_slowly(const vocabulary *v, const char *const *symbols, size_t n, int32_t *ids) {
    double best[64] = {0};
    int32_t by[64] = {0};
    char text[256], *at[64];
    size_t length[64], count = 0;
    text[0] = 0;
    for (size_t i = 0; i < n; i++) {
        at[i] = text + strlen(text);
        strcpy(at[i], symbols[i]);
    }
    at[n] = text + strlen(text);
    for (size_t end = 1; end <= n; end++) {
        for (size_t begin = 0; begin < end; begin++) {
            bool any = false;
            int32_t found = -1;
            for (int32_t id = RESERVED; id < (int32_t)v->count; id++) {
                any |= strncmp(at[begin], v->pieces[id].bytes, v->pieces[id].length) == 0;
                bool is = v->pieces[id].length == (size_t)(at[end] - at[begin]) &&
                          memcmp(at[begin], v->pieces[id].bytes, v->pieces[id].length) == 0;
                found = is ? id : found;
            }
            if (!any && end == begin + 1) {
                found = UNKNOWN;
            }
            double score = best[begin] + (found > 0 ? v->pieces[found].score : 0);
            if (found >= 0 && (best[end] == 0 || score >= best[end])) {
                best[end] = score, by[end] = found, length[end] = end - begin;
            }
        }
    }
    int32_t back[64];
    for (size_t end = n; end > 0; end -= by[end] ? length[end] : 1) {
        if (by[end] || !count || back[count - 1]) {
            back[count++] = by[end];
        }
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = back[count - 1 - i];
    }
    return count;
}

Test(sentences_text, at_random) {
    static const char *const symbols[] = {"a", "b", " ", "l", "z", "y", "f", "o", "g", ":", "3", "i", "\xc3\xa7", "q"};
    enum { SYMBOLS = sizeof symbols / sizeof *symbols, MOST = 24 };
    ref_rng rng = ref_rng_seed(test_seed());
    vocabulary v;
    open_tiny_vocabulary(&v);
    for (int i = 0; i < 3000; i++) {
        const char *drawn[MOST + 1] = {"\xe2\x96\x81"};
        char text[4 * MOST] = "";
        size_t n = 1 + ref_rng_below(&rng, MOST);
        for (size_t s = 1; s <= n; s++) {
            const char *symbol = symbols[ref_rng_below(&rng, SYMBOLS)];
            strcat(text, symbol);
            drawn[s] = symbol[0] == ' ' ? "\xe2\x96\x81" : symbol;
        }
        int32_t want[64];
        size_t count = cut_slowly(&v, drawn, n + 1, want);
        expect_ids(&v, text, want, count);
    }
    vocabulary_close(&v);
}

/* Bytes of any kind: refused, or cut into pieces that there are. */
Test(sentences_text, random_bytes) {
    ref_rng rng = ref_rng_seed(test_seed());
    static const char parts[] = "\xe2\x96\x81\xc3\xa7\xcc\xa7\xf0\x9f\x98\xb9 a";
    vocabulary v;
    uint32_t refused = 0;
    open_tiny_vocabulary(&v);
    for (int i = 0; i < 20000; i++) {
        char text[48];
        size_t n = ref_rng_below(&rng, sizeof text), count;
        uint32_t kind = ref_rng_below(&rng, 3);
        for (size_t s = 0; s < n; s++) {
            text[s] = (char)(kind == 0   ? 1 + ref_rng_below(&rng, 255)
                             : kind == 1 ? 1 + ref_rng_below(&rng, 127)
                                         : (unsigned char)parts[ref_rng_below(&rng, sizeof parts - 1)]);
        }
        text[n < sizeof text ? n : sizeof text - 1] = 0;
        int32_t *ids;
        complaint why;
        if (!vocabulary_cut(&v, text, &ids, &count, &why)) {
            cr_assert_str_eq(why.text, "a sentence is not UTF-8");
            cr_assert_null(ids);
            refused++;
            continue;
        }
        cr_assert_leq(count, n + 1);
        for (size_t s = 0; s < count; s++) {
            cr_assert(ids[s] == UNKNOWN || (ids[s] >= RESERVED && ids[s] < (int32_t)v.count));
        }
        free(ids);
    }
    cr_expect(refused > 4000 && refused < 16000, "%u were refused", refused);
    vocabulary_close(&v);
}

/* ---- vocabularies ------------------------------------------------------------------------------------------------ */

#define SIX "?\t0\nb\t0\nc\t0\nd\t0\ne\t0\nf\t0\n"

Test(sentences_text, malformed_vocabulary) {
    static const struct {
        const char *text;
        size_t length; /* 0: up to the NUL */
        const char *why;
    } cases[] = {
        {"", 0, "v: has 0 lines, but there must be more than 6"},
        {SIX, 0, "v: has 6 lines, but there must be more than 6"},
        {SIX "\na\t1\n", 0, "v, line 7: must be a piece, a tab and a score"},
        {SIX "\t1\n", 0, "v, line 7: must be a piece, a tab and a score"},
        {SIX "a 1\n", 0, "v, line 7: must be a piece, a tab and a score"},
        {SIX "a\t\n", 0, "v, line 7: the score must be a finite number, not \"\""},
        {SIX "a\tnan\n", 0, "v, line 7: the score must be a finite number, not \"nan\""},
        {SIX "a\t-inf", 0, "v, line 7: the score must be a finite number, not \"-inf\""},
        {SIX "a\t1e999\n", 0, "v, line 7: the score must be a finite number, not \"1e999\""},
        {SIX "a\t1\nb\t1x\n", 0, "v, line 8: the score must be a finite number, not \"1x\""},
        {SIX "\xc3\t1\n", 0, "v, line 7: the piece is not UTF-8"},
        {SIX "a\0\t1\n", sizeof SIX + 4, "v, line 7: has a NUL"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vocabulary v;
        complaint why = {""};
        size_t length = cases[i].length ? cases[i].length : strlen(cases[i].text);
        cr_expect(!vocabulary_read(&v, cases[i].text, length, "v", &why));
        cr_expect_str_eq(why.text, cases[i].why);
        cr_expect_null(v.text);
    }
    vocabulary v;
    complaint why;
    cr_expect(!vocabulary_open(&v, "/nowhere/v", &why));
    cr_expect_str_eq(why.text, "/nowhere/v: No such file or directory");
    cr_expect(!vocabulary_open(&v, "/tmp", &why));
    cr_expect_str_eq(why.text, "/tmp: Is a directory");
}

/* Vocabularies with a few bytes changed: refused with the name of the line, or used. */
Test(sentences_text, changed_bytes) {
    ref_rng rng = ref_rng_seed(test_seed());
    size_t length = strlen(tiny_vocabulary);
    char *text = malloc(length);
    int refused = 0;
    for (int i = 0; i < 5000; i++) {
        memcpy(text, tiny_vocabulary, length);
        for (uint32_t n = ref_rng_below(&rng, 4); n-- > 0;) {
            text[ref_rng_below(&rng, (uint32_t)length)] = (char)ref_rng_below(&rng, 256);
        }
        vocabulary v;
        complaint why;
        size_t used = ref_rng_below(&rng, 8) ? length : (size_t)ref_rng_below(&rng, (uint32_t)length);
        if (!vocabulary_read(&v, text, used, "v", &why)) {
            cr_assert_eq(strncmp(why.text, "v", 1), 0);
            refused++;
            continue;
        }
        int32_t *ids;
        size_t count;
        cr_assert(vocabulary_cut(&v, "a lazy fog :3 \xc3\xa7 zzz", &ids, &count, &why));
        free(ids);
        vocabulary_close(&v);
    }
    cr_expect(refused > 500 && refused < 4500, "%d were refused", refused);
    free(text);
}
