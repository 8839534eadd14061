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

enum { TOKENS = 16384, SOFTWARE_TOKENS = 4096, LONGER_DOUBLINGS = 2, BUILDS = 3, ROWS = 16 };
enum { LEAST_ROUNDS = 3, MOST_ROUNDS = 15 };

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
    double longest_ms;       /* that a pattern needed at least */
    double begin_ms, end_ms; /* of the one being measured      */
} costs_set;

/* ---- is it right? ------------------------------------------------------------------------------------------------ */

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

/* ---- measurement ------------------------------------------------------------------------------------------------- */

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
        cost->build_ms = bench_summarise(times, BUILDS).median;
        cost->info = vka_pattern_get_info(*pattern);
        cost->live_share = (double)cost->info.live_tiles / ((double)cost->info.tile_rows * cost->info.tile_columns);
    }
    return status;
}

static bool measure(costs_set *s, const vka_pattern *pattern, bench_pattern_cost *cost) {
    bench_contender x = {.operation = VKA_OPERATION_ATTENTION, .desc = s->dense.desc};
    bench_contender *const both[] = {&s->dense, &x};
    x.desc.pattern = pattern;
    uint32_t repeats = s->options->repeats;
    bench_rounds rounds = {repeats ? repeats : LEAST_ROUNDS, repeats ? repeats : MOST_ROUNDS, s->end_ms};
    bench_score scores[2], *own = s->longer ? &scores[0] : &scores[1];
    vka_status status = bench_problem_poison(&s->problem);
    status = status == VKA_OK ? bench_contender_prepare(s->device, &x) : status;
    const char *wrong = status == VKA_OK ? verify(s, pattern, cost) : "";
    if (status == VKA_OK && !*wrong) {
        double turns_ms = rounds.least * (x.ms + (s->longer ? 0 : s->dense.ms));
        s->longest_ms = fmax(s->longest_ms, bench_now_ms() - s->begin_ms + turns_ms);
        status = bench_take_turns(s->longer ? both + 1 : both, s->longer ? 1 : 2, rounds, scores);
        cost->ms = own->ms;
        cost->spread = s->longer ? own->spread : own->spread / own->ratio;
        cost->dense_ms = s->longer ? NAN : scores[0].ms;
        cost->ratio = s->longer ? NAN : own->ratio / cost->live_share;
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

/* ---- the table --------------------------------------------------------------------------------------------------- */

enum { NAME = 36, TILES = 7, LIVE = 6, TIME = 8, RATIO = 6, SPREAD = 6 };

static void print_head(const bench_report *report, const vka_device_caps *caps, const bench_options *o, int count) {
    bench_device_introduce(caps);
    printf("commit   %s, seed %llu\n", report->commit, (unsigned long long)report->seed);
    printf("plan     %d patterns, in at most about %.0f s (--seconds)\n\n", count, o->seconds);
    printf("%s%-*s %*s %*s %*s %*s %*s%s\n", bench_style(BENCH_BOLD), NAME, "pattern", TILES, "tiles", LIVE, "live",
           TIME, "time", RATIO, "ratio", SPREAD, "spread", bench_style(BENCH_PLAIN));
    fflush(stdout);
}

static void print_help(const costs_set *s) {
    printf("\n");
    char text[160];
    snprintf(text, sizeof text, "on %u heads of %u channels, %s; \"x N\": that many tokens, where they are more",
             s->c.heads, s->c.head_dim, bench_dtype_name(s->c.dtype));
    bench_column_help("pattern", text);
    bench_column_help("tiles", "queries x keys of a tile, the unit that is computed or left out");
    bench_column_help("live", "the share of tiles that is computed");
    bench_column_help("time", "of one call, the median of turns with the dense attention");
    bench_column_help("ratio", "time / (the dense one's x live), the median: 1: as fast for each tile as dense");
    bench_column_help("spread", "of the middle half of the turns, as a share of the ratio");
}

static void print_details(const bench_pattern_cost *c) {
    char text[400], build[BENCH_NUMBER_SIZE], dense[BENCH_NUMBER_SIZE], token[BENCH_NUMBER_SIZE],
        size[BENCH_NUMBER_SIZE];
    snprintf(
        text, sizeof text,
        "%u tokens, %llu live tiles, %.2f %% of the pairs; map: %s, built in %s, %.0f %% of the time; dense %s; %s "
        "for a token; error %.1e, unfused %.1e",
        c->tokens, (unsigned long long)c->info.live_tiles, 100 * c->info.density,
        bench_size_text((double)c->info.bytes, size), bench_time_text(c->build_ms, build), 100 * c->build_ms / c->ms,
        bench_time_text(c->dense_ms, dense), bench_time_text(c->ms / c->tokens, token), c->error.out, c->error.naive);
    printf("    %s", bench_style(BENCH_FAINT));
    bench_wrap(stdout, text, 4, 4, bench_columns(true));
    printf("%s", bench_style(BENCH_PLAIN));
}

static void print_cost(const bench_pattern_cost *c, bool longer, bool verbose) {
    char name[300], tiles[32], live[BENCH_NUMBER_SIZE], time[BENCH_NUMBER_SIZE], ratio[BENCH_NUMBER_SIZE] = "-";
    char spread[BENCH_NUMBER_SIZE];
    snprintf(name, sizeof name, longer ? "%s x %u" : "%s", c->words, c->tokens);
    if (c->state != BENCH_DONE) {
        bench_report_reason(name, c->state, c->reason, bench_columns(verbose));
        return;
    }
    if (strlen(name) > NAME) {
        printf("%s\n", name);
        name[0] = '\0';
    }
    if (isfinite(c->ratio)) {
        snprintf(ratio, sizeof ratio, "%.2f", c->ratio);
    }
    snprintf(tiles, sizeof tiles, "%ux%u", c->info.query_tile, c->info.key_tile);
    printf("%-*s %*s %*s %*s %*s %*s\n", NAME, name, TILES, tiles, LIVE, bench_percent_text(c->live_share, live), TIME,
           bench_time_text(c->ms, time), RATIO, ratio, SPREAD, bench_percent_text(c->spread, spread));
    if (verbose) {
        print_details(c);
    }
    fflush(stdout);
}

/* Tensors of `tokens`, and the dense attention of them. */
static bool begin(costs_set *s, uint32_t tokens) {
    bool software = vka_device_get_caps(s->device)->type == VKA_DEVICE_CPU;
    uint32_t heads = software ? 1 : 16, dim = software ? 64 : 128;
    s->c = (bench_case){
        .op = BENCH_ATTENTION,
        .dtype = s->options->only ? s->options->only
                 : software       ? VKA_F32
                                  : VKA_F16,
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
            .operation = VKA_OPERATION_ATTENTION,
            .desc = {.q = t[BENCH_Q].view, .k = t[BENCH_K].view, .v = t[BENCH_V].view, .out = t[BENCH_OUT].view}};
        status = s->longer ? VKA_OK : bench_contender_prepare(s->device, &s->dense);
    }
    if (status != VKA_OK) {
        bench_note("vkattn-bench: %u tokens: %s", tokens, vka_status_string(status));
    }
    return status == VKA_OK;
}

static void end(costs_set *s) {
    vka_recorder_destroy(&s->dense.recorder);
    bench_problem_destroy(&s->problem);
}

/* What is to be measured, as not reached: so the file says what was not. */
static void expect(const item *list, int count, uint32_t tokens, bench_pattern_cost *costs) {
    for (int i = 0; i < count; i++) {
        costs[i] = (bench_pattern_cost){.words = list[i].words,
                                        .tokens = tokens << (list[i].longer ? LONGER_DOUBLINGS : 0),
                                        .state = BENCH_SKIPPED,
                                        .reason = "not reached"};
        costs[i].build_ms = costs[i].ms = costs[i].dense_ms = costs[i].ratio = costs[i].spread = NAN;
    }
}

static bool measure_one(costs_set *s, bench_pattern_cost *cost, double end_ms, int left) {
    s->begin_ms = bench_now_ms();
    s->end_ms = s->begin_ms + (end_ms - s->begin_ms) / left;
    cost->state = BENCH_DONE;
    cost->reason[0] = '\0';
    bool ok = measure_words(s, cost) || cost->state == BENCH_SKIPPED;
    bench_progress_pause();
    print_cost(cost, s->longer, s->options->verbose);
    return ok;
}

/* Why no pattern is begun any more; NULL: there is time for one, judged by the longest so far. */
static const char *no_more(const costs_set *s, bench_clock time) {
    bool late = s->longest_ms > 0 && bench_now_ms() + s->longest_ms > time.end_ms;
    return bench_stopped() ? "stopped by Ctrl-C" : late ? "out of time: see --seconds" : NULL;
}

/* The patterns from `first` to before `end`, in one line. */
static void skip(const costs_set *s, bench_pattern_cost *costs, int first, int end, const char *why) {
    char name[300];
    for (int i = first; i < end; i++) {
        snprintf(costs[i].reason, sizeof costs[i].reason, "%s", why);
    }
    snprintf(name, sizeof name, end - first > 1 ? "%s and %d more" : "%s", costs[first].words, end - first - 1);
    bench_progress_pause();
    bench_report_reason(name, BENCH_SKIPPED, why, bench_columns(s->options->verbose));
}

/* All patterns that are `longer`, which are the last ones of the list, or those that aren't. */
static bool measure_all(costs_set *s, int count, bench_pattern_cost *costs, bool longer, bench_clock time) {
    int first = 0, end_of_kind = longer ? count : 0;
    uint32_t tokens = s->tokens << (longer ? LONGER_DOUBLINGS : 0);
    while (first < count && costs[first].tokens != tokens) {
        first++;
    }
    while (!longer && end_of_kind < count && costs[end_of_kind].tokens == tokens) {
        end_of_kind++;
    }
    s->longer = longer;
    const char *why = no_more(s, time);
    bool ok = true, begun = false;
    if (!why) {
        bench_progress_step((size_t)first, longer ? "inputs of four times the tokens" : "dense attention");
        begun = ok = begin(s, tokens);
    }
    for (int i = first; i < end_of_kind && (begun || why); i++) {
        why = why ? why : no_more(s, time);
        if (why) {
            skip(s, costs, i, end_of_kind, why);
            break;
        }
        bench_progress_step((size_t)i, costs[i].words);
        ok = measure_one(s, &costs[i], time.end_ms, count - i) && ok;
    }
    end(s);
    return ok;
}

/* Those that are asked for, or of the pattern's grid. 0: the pattern isn't one, or its grid has others. */
static bool choose_tokens(const bench_options *o, uint32_t *tokens) {
    bench_pattern p = {.rank = 0};
    bool ok = !o->pattern.words || bench_pattern_parse(o->pattern.words, 0, 0, 0, &p);
    uint32_t given = p.given_tokens;
    bench_pattern_free(&p);
    if (ok && given && o->tokens && o->tokens != given) {
        ok = bench_complain("help patterns", "--n %u: the pattern's grid has %u tokens", o->tokens, given);
    }
    *tokens = o->tokens ? o->tokens : given;
    return ok;
}

static bench_exit finish(const bench_options *o, const bench_report *report, const bench_pattern_cost *costs, int count,
                         bool ok) {
    size_t done = 0, failed = 0;
    for (int i = 0; i < count; i++) {
        done += costs[i].state == BENCH_DONE;
        failed += costs[i].state == BENCH_FAILED;
    }
    printf("\n%zu measured, %zu failed, %zu skipped\n", done, failed, (size_t)count - done - failed);
    char *spare = !o->json && bench_stopped() && done ? bench_spare_file("patterns") : NULL;
    const char *file = o->json ? o->json : spare;
    bool written = !file || bench_json_write_patterns(report, costs, (size_t)count, file);
    bench_report_end("patterns", done, (size_t)count, written ? file : NULL);
    free(spare);
    if (!ok || failed || !written) {
        return BENCH_EXIT_FAILED;
    }
    return bench_stopped() ? BENCH_EXIT_STOPPED : BENCH_EXIT_OK;
}

bench_exit bench_pattern_costs(const bench_options *o) {
    const item asked[] = {{o->pattern.words, false}, {o->pattern.words, true}};
    const item *list = o->pattern.words ? asked : known;
    int count = o->pattern.words ? 2 : COUNT;
    uint32_t tokens;
    if (!choose_tokens(o, &tokens)) {
        return BENCH_EXIT_USAGE;
    }
    if (o->json && !bench_json_writable(o->json)) {
        return BENCH_EXIT_FAILED;
    }
    bench_device *d = bench_device_open(o->device, NULL);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    bool software = bench_device_caps(d)->type == VKA_DEVICE_CPU;
    bench_report report;
    bench_pattern_cost costs[COUNT];
    costs_set s = {.options = o, .bench_device = d, .device = bench_device_vka(d)};
    s.tokens = tokens ? tokens : software ? SOFTWARE_TOKENS : TOKENS;
    expect(list, count, s.tokens, costs);
    bench_report_begin(&report, d, o->seed);
    print_head(&report, bench_device_caps(d), o, count);
    bench_progress_start((size_t)count, o->seconds);
    bench_clock time = bench_clock_start(o->seconds);
    bool ok = measure_all(&s, count, costs, false, time);
    ok = measure_all(&s, count, costs, true, time) && ok;
    bench_progress_end();
    print_help(&s);
    bench_exit status = finish(o, &report, costs, count, ok);
    bench_device_close(d);
    return status;
}
