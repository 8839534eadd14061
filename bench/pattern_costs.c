/* `patterns`: how close to the speed of a dense attention do the live tiles of well-known patterns run?
 *
 * Every pattern is verified in some rows against float64 over the keys that its map shows; then it takes turns with the
 * dense attention of the same tensors.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 16384, LONGER_DOUBLINGS = 2, ROUNDS = 3, BUILDS = 3, ROWS = 16 };

/* What is measured; `longer` at four times the tokens, and not against the dense attention. Grids grow with them. */
typedef struct item {
    const char *words;
    bool longer;
} item;
static const item known[] = {
    {"causal", false},
    {"window:left=511:right=0", false},
    {"dilated:left=255:right=0:dilation=8", false},
    {"longformer:window=256:tokens=0,1", false},
    {"strided:local=128:stride=128", false},
    {"fixed:span=128:last=8", false},
    {"bigbird-itc:block=64:random=3", false},
    {"bigbird-etc:block=64:random=3:global=128", false},
    {"prefix:length=1024", false},
    {"documents:lengths=2048,512,1000,3000", false},
    {"documents:lengths=2048,512,1000,3000 and causal", false},
    {"blocks:block=64:percent=10", false},
    {"lsh:tokens=64:before=1:after=0", false},
    {"neighborhood1d:window=513", false},
    {"neighborhood2d:window=13", false},
    {"neighborhood3d:window=7", false},
    {"neighborhood-strided:window=24:stride=8", false},
    {"neighborhood-dilated:window=7:dilation=4", false},
    {"neighborhood-causal:window=13", false},
    {"swin:window=8:shift=0", false},
    {"swin-shifted:window=8:shift=4", false},
    {"window:left=511:right=0", true},
};
enum { COUNT = sizeof known / sizeof *known };

typedef struct costs_set {
    const bench_options *options;
    bench_device *bench_device;
    vka_device *device;
    bench_case c;
    bench_problem problem;
    bench_contender dense;
    uint32_t tokens; /* of what isn't longer */
    bool longer;
} costs_set;

/* ---- is it right? -------------------------------------------------------------------------------------------------
 */

/* A row as an attention of its own, whose mask is what the map shows. */
static void check_row(const costs_set *s, const vka_pattern_map *map, uint32_t h, uint32_t i, const float *out,
                      ref_error *e) {
    const bench_case *c = &s->c;
    uint32_t n = c->q_len, d = c->head_dim;
    const bench_tensor *t = s->problem.tensors;
    float *mask = malloc(n * sizeof *mask), *naive = malloc(d * sizeof *naive), *scores = malloc(n * sizeof *scores);
    double *ref = malloc(d * sizeof *ref), *ref_scores = malloc(n * sizeof *ref_scores);
    ref_softmax softmax;
    ref_attention a = {
        .batch = 1,
        .q_heads = 1,
        .kv_heads = 1,
        .q_len = 1,
        .kv_len = n,
        .head_dim = d,
        .value_dim = d,
        .q = t[BENCH_Q].host + ((size_t)h * n + i) * d,
        .k = t[BENCH_K].host + (size_t)h * n * d,
        .v = t[BENCH_V].host + (size_t)h * n * d,
        .scale = 1 / sqrt((double)d),
        .mask = mask,
        .mask_shape = {1, 1, 1, n},
        .mask_boolean = true,
        .q_type = c->dtype,
        .k_type = c->dtype,
        .v_type = c->dtype,
        .out_type = c->dtype,
    };
    for (uint32_t j = 0; j < n; j++) {
        mask[j] = vka_pattern_map_sees(map, 0, i, j);
    }
    ref_attention_row(&a, 0, 0, 0, ref, &softmax, ref_scores);
    ref_attention_naive_row(&a, 0, 0, 0, naive, &softmax, scores);
    for (uint32_t x = 0; x < d; x++) {
        ref_error_add(e, (double)out[((size_t)h * n + i) * d + x], (double)naive[x], ref[x]);
    }
    free(mask);
    free(naive);
    free(scores);
    free(ref);
    free(ref_scores);
}

/* The map on the host; to be freed. */
static void *download(const vka_pattern *pattern, vka_pattern_map *map) {
    size_t size = 0;
    void *blob = vka_pattern_save(pattern, NULL, &size) == VKA_OK ? malloc(size) : NULL;
    bool ok =
        blob && vka_pattern_save(pattern, blob, &size) == VKA_OK && vka_pattern_parse(NULL, blob, size, map) == VKA_OK;
    if (!ok) {
        free(blob);
    }
    return ok ? blob : NULL;
}

/* "" or what is wrong: every element is finite, and some rows are right. */
static const char *verify(const costs_set *s, const vka_pattern *pattern, bench_pattern_cost *cost) {
    vka_pattern_map map;
    void *blob = download(pattern, &map), *storage = bench_problem_read(&s->problem, BENCH_OUT);
    size_t count = s->problem.tensors[BENCH_OUT].count;
    float *out = malloc(count * sizeof *out);
    const char *wrong = blob && storage && out ? "" : "map or output can't be read";
    ref_error e = {0};
    if (!*wrong) {
        ref_load(s->c.dtype, out, storage, count);
        for (size_t i = 0; i < count && !*wrong; i++) {
            wrong = isfinite(out[i]) ? "" : "an output element is NaN or infinite, or was never written";
        }
        ref_rng rng = ref_rng_seed(s->options->seed);
        for (uint32_t row = 0; row < ROWS; row++) {
            uint32_t last = s->c.q_len - 1, i = row == 0 ? 0 : row == 1 ? last : ref_rng_below(&rng, last + 1);
            check_row(s, &map, ref_rng_below(&rng, s->c.heads), i, out, &e);
        }
        wrong = *wrong ? wrong : ref_error_ok(&e) ? "" : "the accuracy rule is broken";
    }
    cost->error.out = e.out;
    cost->error.naive = e.naive;
    free(blob);
    free(storage);
    free(out);
    return wrong;
}

/* ---- measurement --------------------------------------------------------------------------------------------------
 */

static bool fail(const costs_set *s, bench_pattern_cost *cost, vka_status status, const char *why) {
    const char *said = bench_device_error(s->bench_device);
    snprintf(cost->reason, sizeof cost->reason, "%s", *why ? why : *said ? said : vka_status_string(status));
    cost->state = status == VKA_UNSUPPORTED || status == VKA_OUT_OF_MEMORY ? BENCH_SKIPPED : BENCH_FAILED;
    return false;
}

/* The last of a few builds; the first one may compile. */
static vka_status build(const costs_set *s, const vka_pattern_desc *desc, bench_pattern_cost *cost,
                        vka_pattern **pattern) {
    double times[BUILDS];
    vka_status status = VKA_OK;
    for (int i = 0; i < BUILDS && status == VKA_OK; i++) {
        vka_pattern_destroy(pattern);
        double start = bench_now_ms();
        status = vka_pattern_create(s->device, desc, pattern);
        times[i] = bench_now_ms() - start;
    }
    if (status == VKA_OK) {
        cost->build_ms = bench_median(times, BUILDS);
        cost->info = vka_pattern_get_info(*pattern);
        cost->live_share = (double)cost->info.live_tiles / ((double)cost->info.tile_rows * cost->info.tile_columns);
    }
    return status;
}

static bool measure(costs_set *s, const vka_pattern *pattern, bench_pattern_cost *cost) {
    bench_contender x = {.desc = s->dense.desc};
    x.desc.pattern = pattern;
    uint32_t rounds = s->options->repeats ? s->options->repeats : ROUNDS;
    bench_score score;
    vka_status status = bench_problem_poison(&s->problem);
    status = status == VKA_OK ? bench_contender_prepare(s->device, &x) : status;
    const char *wrong = status == VKA_OK ? verify(s, pattern, cost) : "";
    if (status == VKA_OK && !*wrong) {
        status = bench_duel(s->device, s->longer ? &x : &s->dense, &x, rounds, &score);
        cost->ms = score.ms;
        cost->dense_ms = s->longer ? NAN : score.base_ms;
        cost->ratio = s->longer ? NAN : score.ratio / cost->live_share;
    }
    vka_recorder_destroy(&x.recorder);
    return (status == VKA_OK && !*wrong) || fail(s, cost, status, wrong);
}

static bool measure_words(costs_set *s, bench_pattern_cost *cost) {
    bench_pattern p;
    vka_pattern *pattern = NULL;
    bench_device_clear_error(s->bench_device);
    bool ok = bench_pattern_parse(cost->words, cost->tokens, 0, s->longer ? LONGER_DOUBLINGS : 0, &p);
    if (ok) {
        vka_status status = build(s, &p.desc, cost, &pattern);
        ok = status == VKA_OK ? measure(s, pattern, cost) : fail(s, cost, status, "");
    }
    vka_pattern_destroy(&pattern);
    bench_pattern_free(&p);
    return ok;
}

/* ---- the table ----------------------------------------------------------------------------------------------------
 */

static void print_head(const bench_report *report) {
    printf("device  %s\ndriver  %s\ncommit  %s\n\n", report->device, report->driver, report->commit);
    printf("%-50s %6s %7s %8s %7s %7s %10s %9s %8s %9s %9s %9s %6s\n", "pattern", "tokens", "tiles", "live", "live %",
           "pairs %", "bytes", "build ms", "build %", "ms", "dense ms", "us/token", "ratio");
}

static void print_cost(const bench_pattern_cost *c) {
    char text[5][BENCH_NUMBER_SIZE];
    if (c->state != BENCH_DONE) {
        printf("%-50s %s %s\n", c->words, c->state == BENCH_FAILED ? "FAIL" : "SKIP", c->reason);
        return;
    }
    printf("%-50s %6u %3ux%-3u %8llu %7.2f %7.2f %10llu %9s %8.2f %9s %9s %9s %6s\n", c->words, c->tokens,
           c->info.query_tile, c->info.key_tile, (unsigned long long)c->info.live_tiles, 100 * c->live_share,
           100 * c->info.density, (unsigned long long)c->info.bytes, bench_number(c->build_ms, text[0]),
           100 * c->build_ms / c->ms, bench_number(c->ms, text[1]), bench_number(c->dense_ms, text[2]),
           bench_number(c->ms / c->tokens * 1e3, text[3]), bench_number(c->ratio, text[4]));
    fflush(stdout);
}

/* Tensors of `tokens`, and the dense attention of them. */
static bool begin(costs_set *s, uint32_t tokens) {
    bool software = vka_device_get_caps(s->device)->type == VKA_DEVICE_CPU;
    uint32_t heads = software ? 1 : 16, dim = software ? 64 : 128;
    s->c = (bench_case){
        .op = BENCH_ATTENTION,
        .dtype = s->options->only ? s->options->only : VKA_F16,
        .batch = 1,
        .heads = heads,
        .kv_heads = heads,
        .q_len = tokens,
        .kv_len = tokens,
        .head_dim = dim,
        .value_dim = dim,
        .window_left = VKA_UNBOUNDED,
        .window_right = VKA_UNBOUNDED,
    };
    vka_status status = bench_problem_create(&s->problem, s->device, &s->c, s->options->seed);
    if (status == VKA_OK) {
        const bench_tensor *t = s->problem.tensors;
        s->dense = (bench_contender){
            .desc = {.q = t[BENCH_Q].view, .k = t[BENCH_K].view, .v = t[BENCH_V].view, .out = t[BENCH_OUT].view}};
        status = s->longer ? VKA_OK : bench_contender_prepare(s->device, &s->dense);
    }
    if (status != VKA_OK) {
        fprintf(stderr, "vkattn-bench: %u tokens: %s\n", tokens, vka_status_string(status));
    }
    return status == VKA_OK;
}

static void end(costs_set *s) {
    vka_recorder_destroy(&s->dense.recorder);
    bench_problem_destroy(&s->problem);
}

/* All patterns that are `longer`, or those that aren't. */
static bool measure_all(costs_set *s, const item *list, int count, bench_pattern_cost *costs, bool longer) {
    uint32_t tokens = s->tokens << (longer ? LONGER_DOUBLINGS : 0);
    s->longer = longer;
    bool begun = begin(s, tokens), ok = begun;
    for (int i = 0; i < count && begun; i++) {
        if (list[i].longer == longer) {
            costs[i] = (bench_pattern_cost){.words = list[i].words, .tokens = tokens};
            costs[i].build_ms = costs[i].ms = costs[i].dense_ms = costs[i].ratio = NAN;
            ok = (measure_words(s, &costs[i]) || costs[i].state == BENCH_SKIPPED) && ok;
            print_cost(&costs[i]);
        }
    }
    end(s);
    return ok;
}

/* Those that are asked for, or of the pattern's grid. 0: the pattern isn't one, or its grid has others. */
static uint32_t choose_tokens(const bench_options *o) {
    bench_pattern p = {.rank = 0};
    bool ok = !o->pattern.words || bench_pattern_parse(o->pattern.words, 0, 0, 0, &p);
    uint32_t given = p.given_tokens, otherwise = given ? given : TOKENS;
    bench_pattern_free(&p);
    if (ok && given && o->tokens && o->tokens != given) {
        fprintf(stderr, "vkattn-bench: --n %u: the pattern's grid has %u tokens\n", o->tokens, given);
        ok = false;
    }
    return ok ? o->tokens ? o->tokens : otherwise : 0;
}

bench_exit bench_pattern_costs(const bench_options *o) {
    const item asked[] = {{o->pattern.words, false}, {o->pattern.words, true}};
    const item *list = o->pattern.words ? asked : known;
    int count = o->pattern.words ? 2 : COUNT;
    uint32_t tokens = choose_tokens(o);
    if (tokens == 0) {
        return BENCH_EXIT_USAGE;
    }
    bench_device *d = bench_device_open(o->device, NULL);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    bench_report report;
    bench_pattern_cost costs[COUNT] = {0};
    costs_set s = {.options = o, .bench_device = d, .device = bench_device_vka(d), .tokens = tokens};
    bench_report_begin(&report, d, o->seed);
    print_head(&report);
    bool ok = measure_all(&s, list, count, costs, false);
    ok = measure_all(&s, list, count, costs, true) && ok;
    printf("\nH %u, D %u, %s. ratio: time / (dense time x share of live tiles), the median of turns\n", s.c.heads,
           s.c.head_dim, bench_dtype_name(s.c.dtype));
    ok = (!o->json || bench_json_write_patterns(&report, costs, (size_t)count, o->json)) && ok;
    bench_device_close(d);
    return ok ? BENCH_EXIT_OK : BENCH_EXIT_FAILED;
}
