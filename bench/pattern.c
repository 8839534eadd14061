/* `pattern`: builds a pattern, says what it costs, and draws it.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void print_info(const vka_pattern_info *i, double build_ms) {
    double tiles = (double)i->heads * i->tile_rows * i->tile_columns;
    char text[3][BENCH_NUMBER_SIZE];
    printf("positions    %u queries x %u keys", i->queries, i->keys);
    printf(i->heads > 1 ? ", %u heads\n" : ", all heads alike\n", i->heads);
    printf("tiles        %u x %u, %u rows x %u columns%s\n", i->query_tile, i->key_tile, i->tile_rows, i->tile_columns,
           i->ordered ? ", in boxes of the grid" : "");
    printf("live         %llu of %.0f (%s %%): %llu full, %llu partial\n", (unsigned long long)i->live_tiles, tiles,
           bench_number(100 * (double)i->live_tiles / tiles, text[0]), (unsigned long long)i->full_tiles,
           (unsigned long long)(i->live_tiles - i->full_tiles));
    printf("longest row  %u tiles\n", i->longest_row);
    printf("pairs        %llu, density %s %%, %s %% of what live tiles compute\n", (unsigned long long)i->pairs,
           bench_number(100 * i->density, text[0]),
           bench_number(100 * (double)i->pairs / ((double)i->live_tiles * i->query_tile * i->key_tile), text[1]));
    printf("memory       %llu bytes\n", (unsigned long long)i->bytes);
    printf("build        %s ms\n", bench_number(build_ms, text[2]));
}

/* The map on the host; NULL: the reason went to stderr. To be freed. */
static void *download(const vka_pattern *pattern, vka_pattern_map *map) {
    size_t size = 0;
    vka_status status = vka_pattern_save(pattern, NULL, &size);
    void *blob = status == VKA_OK ? malloc(size) : NULL;
    if (blob) {
        status = vka_pattern_save(pattern, blob, &size);
        status = status == VKA_OK ? vka_pattern_parse(NULL, blob, size, map) : status;
    }
    if (!blob || status != VKA_OK) {
        fprintf(stderr, "vkattn-bench: the map can't be read: %s\n",
                blob ? vka_status_string(status) : "out of memory");
        free(blob);
        return NULL;
    }
    return blob;
}

/* Are the points on the grid? */
static bool fit(const bench_drawing *d) {
    for (uint32_t i = 0; i < d->point_count; i++) {
        for (uint32_t axis = 0; axis < 3; axis++) {
            bool inside = axis < d->rank ? d->points[i][axis] < d->size[axis] : d->points[i][axis] == UINT32_MAX;
            if (!inside && d->rank) {
                fprintf(stderr, "vkattn-bench: --query: the grid is %u", d->size[0]);
                for (uint32_t a = 1; a < d->rank; a++) {
                    fprintf(stderr, " x %u", d->size[a]);
                }
                fputc('\n', stderr);
            } else if (!inside) {
                fputs("vkattn-bench: --query is for patterns of a grid\n", stderr);
            }
            if (!inside) {
                return false;
            }
        }
    }
    return true;
}

static bool draw(const bench_drawing *d, const vka_pattern *pattern, const char *path) {
    vka_pattern_map map;
    void *blob = download(pattern, &map);
    bool ok = blob && bench_pattern_draw(d, &map, path);
    free(blob);
    if (ok) {
        printf("wrote        %s\n", path);
    }
    return ok;
}

static bench_exit build(const bench_options *o, bench_device *d, const bench_pattern *p, const bench_drawing *drawing) {
    vka_pattern *pattern = NULL;
    double start = bench_now_ms();
    vka_status status = vka_pattern_create(bench_device_vka(d), &p->desc, &pattern);
    double ms = bench_now_ms() - start;
    if (status != VKA_OK) {
        const char *said = bench_device_error(d);
        fprintf(stderr, "vkattn-bench: %s\n", *said ? said : vka_status_string(status));
        return status == VKA_INVALID ? BENCH_EXIT_USAGE : BENCH_EXIT_FAILED;
    }
    vka_pattern_info info = vka_pattern_get_info(pattern);
    print_info(&info, ms);
    bool ok = !o->pattern.out || draw(drawing, pattern, o->pattern.out);
    vka_pattern_destroy(&pattern);
    return ok ? BENCH_EXIT_OK : BENCH_EXIT_FAILED;
}

bench_exit bench_pattern_show(const bench_options *o) {
    const bench_pattern_options *asked = &o->pattern;
    if (asked->list) {
        bench_named_print(stdout);
        return BENCH_EXIT_OK;
    }
    bench_pattern p;
    bench_drawing drawing = asked->drawing;
    bench_exit result = BENCH_EXIT_USAGE;
    if (bench_pattern_parse(asked->words, asked->queries, asked->keys, 0, &p)) {
        p.desc.heads = asked->heads;
        p.desc.query_tile = asked->query_tile;
        p.desc.key_tile = asked->key_tile;
        p.desc.keep_order = asked->keep_order;
        p.desc.build = asked->build;
        drawing.rank = p.rank;
        memcpy(drawing.size, p.size, sizeof drawing.size);
        if (fit(&drawing)) {
            bench_device *d = bench_device_open(o->device, NULL);
            result = d ? build(o, d, &p, &drawing) : BENCH_EXIT_NO_DEVICE;
            bench_device_close(d);
        }
    }
    bench_pattern_free(&p);
    return result;
}
