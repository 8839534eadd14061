/* vkattn-bench: what the files of the commands `pattern` and `patterns` share.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_PATTERN_H
#define VKATTN_BENCH_PATTERN_H

#include <vkattn/pattern.h>

#include <stdio.h>

/* ---- pattern_list.c: well-known patterns by name ----------------------------------------------------------------- */

/* The numbers of a parameter: "3", "7x7", "0,17,40". */
#define BENCH_MAX_NUMBERS 64
typedef struct bench_numbers {
    uint32_t count;
    int32_t at[BENCH_MAX_NUMBERS];
} bench_numbers;

/* Terms in the form that vka_pattern_desc has: alternatives one after the other. */
typedef struct bench_terms {
    vka_pattern_term at[VKA_MAX_PATTERN_TERMS];
    uint32_t count;
} bench_terms;

/* Memory of lists that terms point to. */
typedef struct bench_lists {
    void *at[4 * VKA_MAX_PATTERN_TERMS];
    uint32_t count;
} bench_lists;

/* What a pattern is made from. */
typedef struct bench_making {
    uint32_t queries, keys;
    const struct bench_named *named;
    const bench_numbers *numbers; /* of named->params, in their order */
    bench_lists *lists;
} bench_making;

#define BENCH_MAX_PARAMS 5
typedef struct bench_named {
    const char *name;
    struct {
        const char *key, *otherwise; /* its value when it isn't given */
    } params[BENCH_MAX_PARAMS];
    uint32_t rank; /* of its grid; 0: it has none */
    void (*make)(const bench_making *m, bench_terms *terms);
    const char *what;
} bench_named;

/* NULL if there is none of that name. */
const bench_named *bench_named_find(const char *name);
void bench_named_print(FILE *file);
/* Fills in all names, returns how many. */
#define BENCH_MAX_NAMED 32
size_t bench_named_names(const char *names[BENCH_MAX_NAMED]);

/* ---- pattern_spec.c: patterns as words --------------------------------------------------------------------------- */

typedef struct bench_pattern {
    vka_pattern_desc desc; /* points to the following */
    bench_terms terms;
    bench_lists lists;
    uint32_t rank, size[3]; /* of its grid; rank 0: it has none */
    uint32_t given_tokens;  /* of a grid whose size the words give; 0: there is none */
} bench_pattern;

/* Words like `window:left=512:right=0 and documents:lengths=900,300 or global:tokens=0,1`: name[:key=value ..][@heads],
 * joined by `or`, which may be left out, and by `and`, which binds tighter. Heads are 3 or 2-5. With queries == 0 there
 * are as many tokens as a grid has, or 256. Grids of a given size are doubled so many times, along what is then their
 * shortest axis. false: the reason went to stderr. Either way to be freed. */
bool bench_pattern_parse(const char *words, uint32_t queries, uint32_t keys, uint32_t doublings,
                         bench_pattern *pattern);
void bench_pattern_free(bench_pattern *pattern);

/* ---- pattern_draw.c: maps as pictures ---------------------------------------------------------------------------- */

typedef enum bench_level {
    BENCH_LEVEL_ELEMENT = 0, /* a cell a query and key, in the order of tokens          */
    BENCH_LEVEL_TILE = 1,    /* a cell a tile, in the order in which they are walked    */
    BENCH_LEVEL_GRID = 2,    /* a cell a token of the grid: what some queries see       */
} bench_level;

#define BENCH_MAX_POINTS 4
typedef struct bench_drawing {
    const char *title;
    bench_level level;
    uint32_t head;
    uint32_t rank, size[3];                            /* of the grid                  */
    uint32_t points[BENCH_MAX_POINTS][3], point_count; /* of the queries on the grid   */
} bench_drawing;

/* Writes a picture: PNG or SVG, as the name of the file ends. false: the reason went to stderr. */
bool bench_pattern_draw(const bench_drawing *drawing, const vka_pattern_map *map, const char *path);

#endif
