/* Text for people: numbers in units that suit them, lines that fit a terminal, and the word that was probably meant.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

const char *bench_number(double value, char text[BENCH_NUMBER_SIZE]) {
    if (isnan(value)) {
        snprintf(text, BENCH_NUMBER_SIZE, "-");
        return text;
    }
    double size = fabs(value);
    if (size > 0 && size < 1e-3) {
        snprintf(text, BENCH_NUMBER_SIZE, "%.1e", value);
        return text;
    }
    int decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
    snprintf(text, BENCH_NUMBER_SIZE, "%.*f", decimals, value);
    return text;
}

typedef struct unit {
    double size;
    const char *name;
} unit;

/* Three digits, in the first unit of which there is at least one; in the last one whatever there is. */
static const char *in_units(double value, const unit *units, size_t count, char text[BENCH_NUMBER_SIZE]) {
    if (!isfinite(value)) {
        snprintf(text, BENCH_NUMBER_SIZE, "-");
        return text;
    }
    size_t i = 0;
    while (i + 1 < count && fabs(value) < 0.9995 * units[i].size) {
        i++;
    }
    double x = value / units[i].size, size = fabs(x);
    int decimals = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    snprintf(text, BENCH_NUMBER_SIZE, "%.*f %s", decimals, x, units[i].name);
    return text;
}

const char *bench_time_text(double ms, char text[BENCH_NUMBER_SIZE]) {
    static const unit units[] = {{1e3, "s"}, {1, "ms"}, {1e-3, "us"}, {1e-6, "ns"}};
    return in_units(ms, units, sizeof units / sizeof *units, text);
}

const char *bench_flops_text(double tflops, char text[BENCH_NUMBER_SIZE]) {
    static const unit units[] = {{1, "TFLOP/s"}, {1e-3, "GFLOP/s"}, {1e-6, "MFLOP/s"}};
    return in_units(tflops, units, sizeof units / sizeof *units, text);
}

const char *bench_traffic_text(double gbps, char text[BENCH_NUMBER_SIZE]) {
    static const unit units[] = {{1e3, "TB/s"}, {1, "GB/s"}, {1e-3, "MB/s"}};
    return in_units(gbps, units, sizeof units / sizeof *units, text);
}

const char *bench_size_text(double bytes, char text[BENCH_NUMBER_SIZE]) {
    static const unit units[] = {{0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}, {1, "bytes"}};
    return in_units(bytes, units, sizeof units / sizeof *units, text);
}

const char *bench_percent_text(double share, char text[BENCH_NUMBER_SIZE]) {
    double percent = 100 * share;
    if (isfinite(share)) {
        snprintf(text, BENCH_NUMBER_SIZE, "%.*f %%", percent > 0 && percent < 9.95 ? 1 : 0, percent);
    } else {
        snprintf(text, BENCH_NUMBER_SIZE, "-");
    }
    return text;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

int bench_columns(bool verbose) {
    return verbose ? 100 : 80;
}

void bench_wrap(FILE *file, const char *text, int column, int indent, int columns) {
    while (*text) {
        size_t space = strspn(text, " "), length = space + strcspn(text + space, " ");
        if (length > space && column > indent && column + (int)length > columns) {
            fprintf(file, "\n%*s", indent, "");
            column = indent;
            text += space;
            length -= space;
        }
        fwrite(text, 1, length, file);
        column += (int)length;
        text += length;
    }
    fputc('\n', file);
}

void bench_column_help(const char *name, const char *meaning) {
    printf("%-8s", name);
    bench_wrap(stdout, meaning, 8, 8, 80);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

#define MAX_WORD 40

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Letters to insert, drop or change, or neighbours to swap, until the words are equal but for case. */
uint32_t bench_distance(const char *a, const char *b) {
    uint32_t d[MAX_WORD + 1][MAX_WORD + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > MAX_WORD || m > MAX_WORD) {
        return UINT32_MAX;
    }
    for (size_t i = 0; i <= n; i++) {
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (uint32_t)(i + j);
                continue;
            }
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (x != y));
            bool swapped = i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                           y == tolower((unsigned char)a[i - 2]) && d[i - 2][j - 2] + 1 < d[i][j];
            d[i][j] = swapped ? d[i - 2][j - 2] + 1 : d[i][j];
        }
    }
    return d[n][m];
}

/* 0: what begins with the word; otherwise the distance, or UINT32_MAX where it is too large to be a slip. */
static uint32_t likeness(const char *word, const char *name) {
    size_t length = strlen(word);
    if (length >= 2 && strncmp(word, name, length) == 0) {
        return 0;
    }
    uint32_t distance = bench_distance(word, name);
    return distance <= 1 + length / 4 && distance < strlen(name) ? distance : UINT32_MAX;
}

/* bench_join of the names at which likeness is `wanted`, or of all with UINT32_MAX. */
static bool join_names(const char *word, uint32_t wanted, const char *const *names, size_t count, const char *last,
                       char *text, size_t capacity) {
    size_t left = 0, used = 0;
    for (size_t i = 0; i < count; i++) {
        left += wanted == UINT32_MAX || likeness(word, names[i]) == wanted;
    }
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (wanted == UINT32_MAX || likeness(word, names[i]) == wanted) {
            left--;
            int n = snprintf(text + used, capacity - used, "%s%s", names[i], left > 1 ? ", " : left ? last : "");
            if (n < 0 || (size_t)n >= capacity - used) {
                return false;
            }
            used += (size_t)n;
        }
    }
    return true;
}

bool bench_join(const char *const *names, size_t count, const char *last, char *text, size_t capacity) {
    return join_names("", UINT32_MAX, names, count, last, text, capacity);
}

bool bench_suggest(const char *word, const char *const *names, size_t count, char text[BENCH_SUGGEST_SIZE]) {
    char list[BENCH_SUGGEST_SIZE - 24];
    uint32_t best = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        uint32_t x = likeness(word, names[i]);
        best = x < best ? x : best;
    }
    bool fits = join_names(word, best, names, count, " or ", list, sizeof list);
    bool near = best != UINT32_MAX && fits;
    if (near) {
        snprintf(text, BENCH_SUGGEST_SIZE, "did you mean %s?", list);
    } else if (fits) {
        snprintf(text, BENCH_SUGGEST_SIZE, "must be %s", list);
    } else {
        snprintf(text, BENCH_SUGGEST_SIZE, "there is none like it");
    }
    return near;
}
