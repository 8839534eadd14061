/* Block maps as pictures: every pair, every tile, or what some queries of a grid see.
 * SPDX-License-Identifier: MIT
 *
 * Everything is counted first: how many pairs of a cell are seen in full tiles, seen in partial ones, or computed and
 * not seen. A cell of several pairs has the mean of their colours. The colours are told apart without red and green,
 * and by their lightness alone (Okabe and Ito 2008). */
#include "pattern.h"
#include "picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FULL,    /* seen, in a full tile         */
    PARTIAL, /* seen, in a partial tile      */
    MASKED,  /* not seen, in a partial tile  */
    QUERY,   /* the query itself, on a grid  */
    KINDS,
};
static const uint32_t colours[KINDS] = {0x0072b2, 0xe69f00, 0xfbeccb, 0x000000};
#define WHITE     0xffffffu
#define LINES     0xc8c8c8u

#define SIDE      400  /* pixels, about, of a matrix */
#define MOST      640  /* cells of a side            */
#define MOST_WORK 1e10 /* pairs that are looked at   */
#define LEFT      48.0
#define TOP       56.0
#define RIGHT     16.0
#define LINE      17.0 /* from one line of text to the next */

/* ---- counting ---------------------------------------------------------------------------------------------------- */

/* columns x rows cells, each of `scale` x `scale` things. */
typedef struct raster {
    uint32_t columns, rows, scale;
    uint32_t width, height; /* in things */
    uint32_t (*counts)[KINDS];
} raster;

static bool raster_create(raster *r, uint32_t width, uint32_t height) {
    uint32_t longer = width > height ? width : height;
    *r = (raster){.scale = (longer + MOST - 1) / MOST, .width = width, .height = height};
    r->columns = (width + r->scale - 1) / r->scale;
    r->rows = (height + r->scale - 1) / r->scale;
    r->counts = calloc((size_t)r->columns * r->rows, sizeof *r->counts);
    return r->counts != NULL;
}

static void count(raster *r, uint32_t x, uint32_t y, int kind) {
    r->counts[(size_t)(y / r->scale) * r->columns + x / r->scale][kind]++;
}

/* The mean colour of a cell that has `area` things; of larger cells in steps, so that there are not too many. */
static uint32_t mean_colour(const uint32_t *counts, uint32_t area) {
    uint32_t rgb = 0;
    for (int shift = 0; shift < 24; shift += 8) {
        uint64_t sum = 0, rest = area;
        for (int kind = 0; kind < KINDS; kind++) {
            sum += (uint64_t)counts[kind] * (colours[kind] >> shift & 255);
            rest -= counts[kind];
        }
        uint32_t mean = (uint32_t)((sum + rest * 255 + area / 2) / area);
        rgb |= (area > 1 ? (mean + 8) / 17 * 17 : mean) << shift;
    }
    return rgb;
}

static uint32_t *raster_colours(const raster *r) {
    uint32_t *rgb = malloc((size_t)r->columns * r->rows * sizeof *rgb);
    for (uint32_t y = 0; y < r->rows && rgb; y++) {
        for (uint32_t x = 0; x < r->columns; x++) {
            uint32_t w = r->width - x * r->scale, h = r->height - y * r->scale;
            size_t at = (size_t)y * r->columns + x;
            rgb[at] = mean_colour(r->counts[at], (w < r->scale ? w : r->scale) * (h < r->scale ? h : r->scale));
        }
    }
    return rgb;
}

/* ---- walking a map ----------------------------------------------------------------------------------------------- */

static uint32_t token_of(const vka_pattern_map *map, uint32_t slot, uint32_t tokens) {
    uint32_t slots = map->info.tile_rows * map->info.query_tile;
    uint32_t token = !map->permutation ? slot : slot < slots ? map->permutation[slot] : UINT32_MAX;
    return token < tokens ? token : UINT32_MAX;
}

static int kind_of(const vka_pattern_map *map, const vka_pattern_tile *tile, uint32_t row, uint32_t column) {
    if (tile->partial == VKA_PATTERN_FULL) {
        return FULL;
    }
    uint32_t words = map->info.key_tile / 32;
    const uint32_t *bits = map->bits + ((size_t)tile->partial * map->info.query_tile + row) * words;
    return bits[column / 32] >> column % 32 & 1 ? PARTIAL : MASKED;
}

/* The pairs of one query, in row `row` of a tile row, that are computed. */
typedef void (*visit_fn)(void *user, uint32_t query, uint32_t key, int kind);
static void visit_query(const vka_pattern_map *map, uint32_t tile_row, uint32_t row, visit_fn visit, void *user) {
    uint32_t at = tile_row % map->info.tile_rows * map->info.query_tile + row;
    uint32_t query = token_of(map, at, map->info.queries);
    for (uint32_t i = map->rows[tile_row]; i < map->rows[tile_row + 1] && query != UINT32_MAX; i++) {
        for (uint32_t c = 0; c < map->info.key_tile; c++) {
            uint32_t key = token_of(map, map->tiles[i].column * map->info.key_tile + c, map->info.keys);
            if (key != UINT32_MAX) {
                visit(user, query, key, kind_of(map, &map->tiles[i], row, c));
            }
        }
    }
}

/* Of the tiles of a head, what a map counts for all heads. */
typedef struct totals {
    uint64_t live, full, longest;
} totals;

/* The first tile row of a head; all heads may share one. */
static uint32_t head_row(const vka_pattern_map *map, uint32_t head) {
    return (map->info.heads > 1 ? head : 0) * map->info.tile_rows;
}

static totals count_tiles(const vka_pattern_map *map, uint32_t head) {
    totals t = {0};
    uint32_t first = head_row(map, head);
    for (uint32_t r = first; r < first + map->info.tile_rows; r++) {
        uint32_t length = map->rows[r + 1] - map->rows[r];
        t.live += length;
        t.longest = length > t.longest ? length : t.longest;
        for (uint32_t i = map->rows[r]; i < map->rows[r + 1]; i++) {
            t.full += map->tiles[i].partial == VKA_PATTERN_FULL;
        }
    }
    return t;
}

static void count_pair(void *user, uint32_t query, uint32_t key, int kind) {
    count(user, key, query, kind);
}

static void count_elements(raster *r, const vka_pattern_map *map, uint32_t head) {
    uint32_t first = head_row(map, head);
    for (uint32_t tile_row = first; tile_row < first + map->info.tile_rows; tile_row++) {
        for (uint32_t row = 0; row < map->info.query_tile; row++) {
            visit_query(map, tile_row, row, count_pair, r);
        }
    }
}

static void count_tile_kinds(raster *r, const vka_pattern_map *map, uint32_t head) {
    uint32_t first = head_row(map, head);
    for (uint32_t row = 0; row < map->info.tile_rows; row++) {
        for (uint32_t i = map->rows[first + row]; i < map->rows[first + row + 1]; i++) {
            count(r, map->tiles[i].column, row, map->tiles[i].partial == VKA_PATTERN_FULL ? FULL : PARTIAL);
        }
    }
}

/* ---- parts of a picture ------------------------------------------------------------------------------------------ */

typedef struct legend {
    uint32_t rgb;
    const char *text;
} legend;

static double text_width(const char *text) {
    return BENCH_TEXT_WIDTH * (double)strlen(text);
}

static double legend_width(const legend *l, uint32_t entries) {
    double width = 0;
    for (uint32_t i = 0; i < entries; i++) {
        width = fmax(width, 16 + text_width(l[i].text));
    }
    return width;
}

static void draw_legend(bench_picture *p, double x, double y, const legend *l, uint32_t entries) {
    for (uint32_t i = 0; i < entries; i++, y += LINE) {
        bench_picture_rect(p, x, y - 9, 11, 11, LINES);
        bench_picture_rect(p, x + 1, y - 8, 9, 9, l[i].rgb);
        bench_picture_text(p, x + 16, y, l[i].text);
    }
}

/* Numbers of tokens at the beginning, the quarters and the end of both sides. */
static void draw_ticks(bench_picture *p, double w, double h, uint32_t keys, uint32_t queries) {
    for (uint32_t quarter = 0; quarter <= 4; quarter++) {
        char text[16];
        double share = quarter / 4.0;
        snprintf(text, sizeof text, "%u", (uint32_t)(keys * share));
        bench_picture_text(p, LEFT + w * share - text_width(text) / 2, TOP - 5, text);
        snprintf(text, sizeof text, "%u", (uint32_t)(queries * share));
        bench_picture_text(p, LEFT - 5 - text_width(text), TOP + h * share + 4, text);
    }
}

static bool draw_raster(bench_picture *p, double x, double y, double cell_w, double cell_h, const raster *r) {
    uint32_t *rgb = raster_colours(r);
    if (rgb) {
        bench_picture_cells(p, x, y, cell_w, cell_h, rgb, r->columns, r->rows);
    }
    free(rgb);
    return rgb != NULL;
}

static bool complain(const char *what) {
    fprintf(stderr, "vkattn-bench: %s\n", what);
    return false;
}

/* ---- a matrix of pairs or tiles ---------------------------------------------------------------------------------- */

/* Sides of a cell: whole pixels, in the shape of what it stands for. */
static void cell_sides(const vka_pattern_info *info, bool tiles, const raster *r, double *w, double *h) {
    uint32_t wide = tiles ? info->key_tile : 1, high = tiles ? info->query_tile : 1;
    uint32_t smaller = wide < high ? wide : high;
    double w_unit = (double)wide / smaller, h_unit = (double)high / smaller;
    double unit = round(SIDE / fmax(r->columns * w_unit, r->rows * h_unit));
    unit = fmin(fmax(unit, 1), 24);
    *w = unit * w_unit;
    *h = unit * h_unit;
}

static void draw_tile_lines(bench_picture *p, const vka_pattern_info *info, bool tiles, double cell_w, double cell_h,
                            const raster *r) {
    double w = cell_w * r->columns, h = cell_h * r->rows;
    double step_x = tiles ? cell_w : cell_w * info->key_tile, step_y = tiles ? cell_h : cell_h * info->query_tile;
    bool room = r->scale == 1 && step_x >= 8 && step_y >= 8 && (tiles || !info->ordered);
    bench_picture_lines(p, LEFT, TOP, w, h, room ? step_x : w, room ? step_y : h, LINES);
}

static void describe_cell(const vka_pattern_info *info, bool tiles, uint32_t scale, char *text, size_t capacity) {
    const char *of = !tiles ? "" : info->ordered ? ", in boxes of the grid" : "";
    if (tiles) {
        int at = snprintf(text, capacity, "a cell: %ux%u tiles of ", scale, scale);
        at = scale == 1 ? snprintf(text, capacity, "a cell: a tile of ") : at;
        snprintf(text + at, capacity - (size_t)at, "%ux%u%s", info->query_tile, info->key_tile, of);
    } else if (scale == 1) {
        snprintf(text, capacity, "a row: a query; a column: a key; tiles of %ux%u", info->query_tile, info->key_tile);
    } else {
        snprintf(text, capacity, "a cell: %ux%u pairs, the mean of their colours", scale, scale);
    }
}

static const legend element_legend[] = {
    {0x0072b2, "seen, in a full tile"},
    {0xe69f00, "seen, in a partial tile"},
    {0xfbeccb, "not seen, in a partial tile"},
    {WHITE, "never visited"},
};
static const legend tile_legend[] = {
    {0x0072b2, "full"},
    {0xe69f00, "partial: some pairs are masked"},
    {WHITE, "never visited"},
};

static bool draw_matrix(const bench_drawing *d, const vka_pattern_map *map, const char *path) {
    const vka_pattern_info *info = &map->info;
    bool tiles = d->level == BENCH_LEVEL_TILE;
    totals t = count_tiles(map, d->head);
    raster r;
    double cell_w, cell_h;
    char lines[2][128];
    if (!tiles && (double)t.live * info->query_tile * info->key_tile > MOST_WORK) {
        return complain("too many pairs to look at one by one: --level tile");
    }
    bool ok =
        tiles ? raster_create(&r, info->tile_columns, info->tile_rows) : raster_create(&r, info->keys, info->queries);
    if (!ok) {
        return complain("out of memory");
    }
    tiles ? count_tile_kinds(&r, map, d->head) : count_elements(&r, map, d->head);
    cell_sides(info, tiles, &r, &cell_w, &cell_h);
    describe_cell(info, tiles, r.scale, lines[0], sizeof lines[0]);
    uint64_t in_all = (uint64_t)info->tile_rows * info->tile_columns;
    snprintf(lines[1], sizeof lines[1], "%llu of %llu tiles live, %llu full", (unsigned long long)t.live,
             (unsigned long long)in_all, (unsigned long long)t.full);
    const legend *l = tiles ? tile_legend : element_legend;
    uint32_t entries = tiles ? 3 : 4;
    double w = cell_w * r.columns, h = cell_h * r.rows;
    double text = fmax(text_width(d->title), fmax(text_width(lines[0]), text_width(lines[1])));
    double width = LEFT + RIGHT + fmax(fmax(w, legend_width(l, entries)), text - LEFT + 8);
    bench_picture *p = bench_picture_begin(path, ceil(width), TOP + h + LINE * (entries + 2));
    if (p) {
        bench_picture_text(p, 8, LINE, d->title);
        bench_picture_text(p, 8, 2 * LINE - 2, lines[0]);
        draw_ticks(p, w, h, info->keys, info->queries);
        ok = draw_raster(p, LEFT, TOP, cell_w, cell_h, &r);
        draw_tile_lines(p, info, tiles, cell_w, cell_h, &r);
        draw_legend(p, LEFT, TOP + h + 1.5 * LINE, l, entries);
        bench_picture_text(p, LEFT, TOP + h + (entries + 1.5) * LINE, lines[1]);
        ok = bench_picture_end(p) && ok;
    }
    free(r.counts);
    return p && (ok || complain("the picture can't be written"));
}

/* ---- a grid ------------------------------------------------------------------------------------------------------ */

static const legend grid_legend[] = {
    {0x000000, "the query"},
    {0x0072b2, "seen, in a full tile"},
    {0xe69f00, "seen, in a partial tile"},
    {0xfbeccb, "not seen, in a partial tile"},
    {WHITE, "never visited"},
};
enum { GRID_LEGEND = sizeof grid_legend / sizeof *grid_legend };

/* What a query sees, as a raster of width x (depth height): the slices of a volume one below the other. */
static void count_token(void *user, uint32_t query, uint32_t key, int kind) {
    raster *r = user;
    count(r, key % r->width, key / r->width, query == key ? QUERY : kind);
}

static void count_query(raster *r, const vka_pattern_map *map, uint32_t head, uint32_t query) {
    uint32_t first = head_row(map, head);
    for (uint32_t slot = 0; slot < map->info.tile_rows * map->info.query_tile; slot++) {
        if (token_of(map, slot, map->info.queries) == query) {
            uint32_t row = slot % map->info.query_tile;
            visit_query(map, first + slot / map->info.query_tile, row, count_token, r);
        }
    }
}

/* One query; `x` is where its slices stand. */
static bool draw_point(bench_picture *p, const bench_drawing *d, const vka_pattern_map *map, uint32_t point, double x,
                       double cell) {
    const uint32_t *at = d->points[point];
    uint32_t w = d->size[d->rank - 1], h = d->rank > 1 ? d->size[d->rank - 2] : 1, depth = d->rank > 2 ? d->size[0] : 1;
    uint32_t query = 0;
    char text[48] = "";
    for (uint32_t axis = 0; axis < d->rank; axis++) {
        query = query * d->size[axis] + at[axis];
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, axis ? ",%u" : "query %u", at[axis]);
    }
    raster r;
    if (!raster_create(&r, w, h * depth)) {
        return complain("out of memory");
    }
    count_query(&r, map, d->head, query);
    bench_picture_text(p, x, TOP - 5, text);
    bool ok = true;
    for (uint32_t z = 0; z < depth && ok; z++) {
        raster slice = {w, h, 1, w, h, r.counts + (size_t)z * w * h};
        double y = TOP + z * (h + 1) * cell;
        ok = draw_raster(p, x, y, cell, cell, &slice);
        bench_picture_lines(p, x, y, w * cell, h * cell, cell, cell, LINES);
    }
    free(r.counts);
    return ok;
}

static bool draw_grid(const bench_drawing *d, const vka_pattern_map *map, const char *path) {
    uint32_t w = d->size[d->rank - 1], h = d->rank > 1 ? d->size[d->rank - 2] : 1, depth = d->rank > 2 ? d->size[0] : 1;
    if (w > MOST || h * depth > MOST) {
        return complain("the grid is too large to draw");
    }
    double cell = fmin(fmax(floor(SIDE / (double)(w > h * depth ? w : h * depth)), 3), 12);
    double step = fmax(w * cell, 80) + 24, height = depth * (h + 1) * cell;
    double width = fmax(8 + d->point_count * step, fmax(16 + text_width(d->title), 200));
    bench_picture *p = bench_picture_begin(path, width, TOP + height + LINE * (GRID_LEGEND + 1));
    bool ok = p != NULL;
    if (p) {
        bench_picture_text(p, 8, LINE, d->title);
        for (uint32_t i = 0; i < d->point_count && ok; i++) {
            ok = draw_point(p, d, map, i, 8 + i * step, cell);
        }
        draw_legend(p, 8, TOP + height + LINE, grid_legend, GRID_LEGEND);
        ok = bench_picture_end(p) && ok;
    }
    return ok;
}

bool bench_pattern_draw(const bench_drawing *d, const vka_pattern_map *map, const char *path) {
    return d->level == BENCH_LEVEL_GRID ? draw_grid(d, map, path) : draw_matrix(d, map, path);
}
