/* The command line of `pattern`.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <popt.h>
#include <stdlib.h>
#include <string.h>

typedef struct raw {
    int device, queries, keys, heads, head, keep_order, list;
    char *tile, *level, *build, *out, **points;
} raw;

/* The words that are left, with spaces between. NULL: no memory. */
static char *join(poptContext context) {
    const char **words = poptGetArgs(context);
    size_t length = 1;
    for (const char **w = words; w && *w; w++) {
        length += strlen(*w) + 1;
    }
    char *text = calloc(length, 1);
    for (const char **w = words; w && *w && text; w++) {
        size_t used = strlen(text);
        snprintf(text + used, length - used, used ? " %s" : "%s", *w);
    }
    return text;
}

static bool read_options(int argc, const char **argv, raw *r, char **words) {
    const struct poptOption table[] = {
        {"device", 0, POPT_ARG_INT, &r->device, 0, NULL, NULL},
        {"queries", 0, POPT_ARG_INT, &r->queries, 0, NULL, NULL},
        {"keys", 0, POPT_ARG_INT, &r->keys, 0, NULL, NULL},
        {"heads", 0, POPT_ARG_INT, &r->heads, 0, NULL, NULL},
        {"head", 0, POPT_ARG_INT, &r->head, 0, NULL, NULL},
        {"tile", 0, POPT_ARG_STRING, &r->tile, 0, NULL, NULL},
        {"keep-order", 0, POPT_ARG_NONE, &r->keep_order, 0, NULL, NULL},
        {"build", 0, POPT_ARG_STRING, &r->build, 0, NULL, NULL},
        {"level", 0, POPT_ARG_STRING, &r->level, 0, NULL, NULL},
        {"query", 0, POPT_ARG_ARGV, &r->points, 0, NULL, NULL},
        {"out", 0, POPT_ARG_STRING, &r->out, 0, NULL, NULL},
        {"list", 0, POPT_ARG_NONE, &r->list, 0, NULL, NULL},
        POPT_TABLEEND,
    };
    poptContext context = poptGetContext("vkattn-bench", argc, argv, table, 0);
    int rc = poptGetNextOpt(context);
    bool ok = rc == -1;
    if (!ok) {
        bench_complain("%s: %s", poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(rc));
    } else if (!(*words = join(context))) {
        ok = bench_complain("out of memory");
    }
    poptFreeContext(context);
    return ok;
}

static bool take_tile(const raw *r, bench_pattern_options *o) {
    char rest;
    bool ok = !r->tile || sscanf(r->tile, "%ux%u%c", &o->query_tile, &o->key_tile, &rest) == 2;
    return ok || bench_complain("--tile: queries x keys, such as 64x64");
}

static bool take_build(const raw *r, bench_pattern_options *o) {
    static const char *const names[] = {"auto", "device", "host"};
    for (int i = 0; i < 3; i++) {
        if (!r->build || strcmp(r->build, names[i]) == 0) {
            o->build = (vka_pattern_build)i;
            return true;
        }
    }
    return bench_complain("--build: auto, device or host");
}

/* "3", "3,4" or "1,3,4". */
static bool take_point(const char *text, uint32_t point[3]) {
    char rest;
    point[1] = point[2] = UINT32_MAX;
    int n = sscanf(text, "%u,%u,%u%c", &point[0], &point[1], &point[2], &rest);
    return n >= 1 && n <= 3;
}

static bool take_drawing(const raw *r, bench_pattern_options *o) {
    bench_drawing *d = &o->drawing;
    d->title = o->words;
    if (r->level && strcmp(r->level, "tile") == 0) {
        d->level = BENCH_LEVEL_TILE;
    } else if (r->level && strcmp(r->level, "element") != 0) {
        return bench_complain("--level: element or tile");
    }
    for (char **p = r->points; p && *p; p++) {
        d->level = BENCH_LEVEL_GRID;
        if (d->point_count == BENCH_MAX_POINTS || !take_point(*p, d->points[d->point_count++])) {
            return bench_complain("--query: a token of the grid, such as 3,4; at most %d", BENCH_MAX_POINTS);
        }
    }
    return true;
}

static bool take(const char *name, int value, uint32_t *result) {
    *result = (uint32_t)value;
    return value >= 0 || bench_complain("--%s: must be at least 0", name);
}

bool bench_pattern_options_parse(int argc, const char **argv, bench_options *options) {
    raw r = {0};
    bench_pattern_options *o = &options->pattern;
    bool ok = read_options(argc, argv, &r, &o->words) && take("device", r.device, &options->device) &&
              take("queries", r.queries, &o->queries) && take("keys", r.keys, &o->keys) &&
              take("heads", r.heads, &o->heads) && take("head", r.head, &o->drawing.head) && take_tile(&r, o) &&
              take_build(&r, o) && take_drawing(&r, o);
    if (ok && o->drawing.head && o->drawing.head >= o->heads) {
        ok = bench_complain("--head: there are --heads %u", o->heads);
    }
    o->keep_order = r.keep_order != 0;
    o->list = r.list != 0;
    o->out = r.out;
    for (char **p = r.points; p && *p; p++) {
        free(*p);
    }
    free(r.points);
    free(r.tile);
    free(r.level);
    free(r.build);
    return ok;
}

void bench_pattern_options_free(bench_pattern_options *o) {
    free(o->words);
    free(o->out);
    o->words = o->out = NULL;
}
