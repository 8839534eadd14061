/* The options of `pattern`.
 * SPDX-License-Identifier: MIT */
#include "args.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* "3", "3,4" or "1,3,4": sscanf alone would take signs and wrap. */
static bool numbers(const char *text, char separator, uint32_t least, uint32_t most, uint32_t *values) {
    uint32_t count = 0;
    for (;; text++) {
        char *end;
        if (!isdigit((unsigned char)*text) || count == most) {
            return false;
        }
        unsigned long value = strtoul(text, &end, 10);
        if (value > INT32_MAX) {
            return false;
        }
        values[count++] = (uint32_t)value;
        text = end;
        if (*text != separator) {
            return !*text && count >= least;
        }
    }
}

static bool take_tile(const args_given *g, bench_pattern_options *o) {
    uint32_t tile[2] = {0, 0};
    bool ok = !g->text[ARG_TILE] || (numbers(g->text[ARG_TILE], 'x', 2, 2, tile) && tile[0] && tile[1]);
    o->query_tile = tile[0];
    o->key_tile = tile[1];
    return ok || bench_args_refuse(g, ARG_TILE, "must be queries x keys, such as 64x64");
}

static bool take_points(args_given *g, bench_drawing *d) {
    for (uint32_t i = 0; i < g->query_count; i++) {
        uint32_t *point = d->points[d->point_count++];
        point[1] = point[2] = UINT32_MAX;
        d->level = BENCH_LEVEL_GRID;
        if (!numbers(g->queries[i], ',', 1, 3, point)) {
            g->text[ARG_QUERY] = g->queries[i];
            return bench_args_refuse(g, ARG_QUERY, "must be a token of the grid, such as 3,4");
        }
    }
    return true;
}

bool bench_args_pattern(args_given *g, bench_pattern_options *o) {
    int build, level;
    bool ok = bench_args_number(g, ARG_QUERIES, 0, &o->queries) && bench_args_number(g, ARG_KEYS, 0, &o->keys) &&
              bench_args_number(g, ARG_MAPS, 0, &o->heads) && bench_args_number(g, ARG_HEAD, 0, &o->drawing.head) &&
              take_tile(g, o) && bench_args_name(g, ARG_BUILD, 0, &build) && bench_args_name(g, ARG_LEVEL, 0, &level);
    if (!ok) {
        return false;
    }
    o->build = (vka_pattern_build)build;
    o->drawing.level = level ? BENCH_LEVEL_TILE : BENCH_LEVEL_ELEMENT;
    if (!take_points(g, &o->drawing)) {
        return false;
    }
    if (o->drawing.head && o->drawing.head >= o->heads) {
        char rule[64];
        snprintf(rule, sizeof rule, "must be below --heads, which is %u", o->heads ? o->heads : 1);
        return bench_args_refuse(g, ARG_HEAD, rule);
    }
    o->keep_order = g->text[ARG_KEEP_ORDER] != NULL;
    o->list = g->text[ARG_LIST] != NULL;
    o->out = g->text[ARG_OUT];
    o->words = g->words;
    o->drawing.title = o->words;
    g->text[ARG_OUT] = g->words = NULL;
    return true;
}

void bench_pattern_options_free(bench_pattern_options *o) {
    free(o->words);
    free(o->out);
    o->words = o->out = NULL;
}
