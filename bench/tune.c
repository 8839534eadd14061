/* Tuning: for each class of problems the fastest path and tile, by measurement, within a budget of time.
 *
 * Three stages a class. Heats: each candidate against the library's own choice in a few turns. Then the best of them
 * together, in as many turns as the time allows. Then the winner alone against the library's choice, by samples that
 * had no part in choosing it: the best of many noisy medians looks faster than it is. Only what is faster there by more
 * than the spread becomes a rule. SPDX-License-Identifier: MIT */
#include "tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_FILE "vkattn-tuning.json"

static const tune_operation *const operations[] = {&tune_attention, &tune_linear};
#define OPERATIONS (sizeof operations / sizeof *operations)

enum { MAX_CLASSES = 64 };

/* The library's choice, and the best candidates so far, the best one first. */
enum { BEST = 4, CONTENDERS = BEST + 1, SPLITS = 7 };
typedef struct candidate {
    bench_contender contender;
    tune_choice choice;
    uint32_t workgroups; /* 0: as the library has it */
    bench_score score;
} candidate;

typedef struct tuner {
    const bench_options *o;
    bench_device *d;
    bool software;
    /* Of the class being measured: */
    const tune_operation *operation;
    const tune_class *k;
    vka_dtype dtype;
    bench_case c;
    bench_problem problem;
    candidate field[CONTENDERS + SPLITS]; /* the first one is the library's choice */
    uint32_t count;
    uint32_t measured; /* candidates of that class */
    double longest_ms; /* until one had run once   */
    bench_tuned rules[MAX_CLASSES];
    size_t rule_count;
} tuner;

/* What came of a class. */
typedef struct outcome {
    const char *why; /* there is no rule; NULL: there is one */
    candidate best;  /* score: of the last stage             */
    double default_ms;
} outcome;

/* ---- the field --------------------------------------------------------------------------------------------------- */

static const char *path_of(const tuner *t, const candidate *x) {
    return bench_path_name(t->operation->path(x->choice.path));
}

/* Adds a contender; false, with nothing added, if it doesn't run. */
static bool enter(tuner *t, tune_choice choice, uint32_t splits) {
    candidate *x = &t->field[t->count];
    *x = (candidate){.choice = choice, .score = {NAN, NAN, NAN, 0}};
    t->operation->describe(&t->problem, &choice, splits, &x->contender);
    bench_device_clear_error(t->d);
    vka_status status = bench_contender_prepare(bench_device_vka(t->d), &x->contender);
    if (status != VKA_OK) {
        bench_note("vkattn-bench: %s %ux%u is left out: %s", path_of(t, x), choice.tile[0], choice.tile[1],
                   *bench_device_error(t->d) ? bench_device_error(t->d) : vka_status_string(status));
        vka_recorder_destroy(&x->contender.recorder);
        return false;
    }
    t->longest_ms = fmax(t->longest_ms, x->contender.first_ms);
    t->measured += t->count > 0;
    t->count++;
    return true;
}

static void leave(tuner *t, uint32_t at) {
    vka_recorder_destroy(&t->field[at].contender.recorder);
    t->count--;
    memmove(&t->field[at], &t->field[at + 1], (t->count - at) * sizeof *t->field);
}

/* Turns of contenders `first` and following with the library's choice. */
static bool turns(tuner *t, uint32_t first, bench_rounds rounds) {
    bench_contender *list[CONTENDERS + SPLITS] = {&t->field[0].contender};
    bench_score scores[CONTENDERS + SPLITS];
    uint32_t count = 1;
    for (uint32_t i = first; i < t->count; i++) {
        list[count++] = &t->field[i].contender;
    }
    bool ok = bench_take_turns(list, count, rounds, scores) == VKA_OK;
    t->field[0].score = scores[0];
    for (uint32_t i = 1; i < count; i++) {
        t->field[first + i - 1].score = scores[i];
    }
    return ok;
}

static bool better(const candidate *a, const candidate *b) {
    return a->score.ratio < b->score.ratio || isnan(b->score.ratio);
}

/* From `first` on, the best one first. */
static void sort(tuner *t, uint32_t first) {
    for (uint32_t i = first + 1; i < t->count; i++) {
        for (uint32_t at = i; at > first && better(&t->field[at], &t->field[at - 1]); at--) {
            candidate x = t->field[at];
            t->field[at] = t->field[at - 1];
            t->field[at - 1] = x;
        }
    }
}

/* A kernel that computes something else is no candidate. */
static bool verified(tuner *t, candidate *x) {
    bench_check check = {.why = "it can't be run again"};
    void *outputs[BENCH_OUTPUTS] = {NULL};
    double ms;
    if (bench_problem_poison(&t->problem) == VKA_OK && bench_sampler_take(&x->contender.sampler, &ms) == VKA_OK) {
        outputs[0] = bench_problem_read(&t->problem, BENCH_OUT);
        check = bench_verify(&t->problem, outputs, t->o->seed);
        free(outputs[0]);
    }
    if (!check.ok) {
        char label[BENCH_LABEL_SIZE];
        bench_case_label(&t->c, label);
        bench_note("vkattn-bench: WRONG, and left out: %s %ux%u of %s: %s", path_of(t, x), x->choice.tile[0],
                   x->choice.tile[1], label, check.why);
    }
    return check.ok;
}

/* ---- stages ------------------------------------------------------------------------------------------------------ */

/* A path whose first tile takes that many times the default is left. */
#define HOPELESS 3

enum { MAX_CANDIDATES = 256, HEAT_ROUNDS = 3 };

/* Is there time for another one? */
static bool in_time(const tuner *t, double end_ms) {
    return !bench_stopped() && bench_now_ms() + t->longest_ms <= end_ms;
}

static void run_heats(tuner *t, double end_ms) {
    static tune_choice list[MAX_CANDIDATES];
    uint32_t count = 0, hopeless = 0, before = 0;
    const bench_contender *x = &t->field[0].contender;
    if (vka_operation_candidates(t->problem.device, x->operation, &x->desc, bench_contender_desc_size(x), list,
                                 sizeof *list, MAX_CANDIDATES, &count) != VKA_OK) {
        return;
    }
    for (uint32_t i = 0; i < count && i < MAX_CANDIDATES && in_time(t, end_ms); i++) {
        if (list[i].path == hopeless || !enter(t, list[i], 0)) {
            continue;
        }
        uint32_t at = t->count - 1;
        turns(t, at, (bench_rounds){1, HEAT_ROUNDS, end_ms});
        if (list[i].path != before && t->field[at].score.ratio > HOPELESS) {
            hopeless = list[i].path;
        }
        before = list[i].path;
        sort(t, 1);
        if (t->count > CONTENDERS) {
            leave(t, t->count - 1);
        }
    }
}

/* How many workgroups fill the device, which no driver tells: splits of the winner, all in turns. */
static void try_splits(tuner *t, double end_ms) {
    tune_choice choice = t->field[1].choice;
    uint32_t groups = t->operation->groups(&t->c, &choice);
    while (t->count > 2) {
        leave(t, t->count - 1);
    }
    for (uint32_t splits = 1; splits <= 64 && in_time(t, end_ms); splits *= 2) {
        if (enter(t, choice, splits)) {
            t->field[t->count - 1].workgroups = groups * splits;
        }
    }
    turns(t, 1, (bench_rounds){HEAT_ROUNDS, 25, end_ms});
    sort(t, 1);
}

/* The winner alone, by new samples. */
static void run_final(tuner *t, double end_ms, outcome *result) {
    while (t->count > 2) {
        leave(t, t->count - 1);
    }
    turns(t, 1, (bench_rounds){1, BENCH_MAX_ROUNDS, end_ms});
    result->best = t->field[1];
    result->default_ms = t->field[0].score.ms;
    bool decided = result->best.score.rounds >= BENCH_ROUNDS_TO_TRUST;
    result->why = bench_is_faster(&result->best.score) ? NULL
                  : !decided                           ? "no: too few turns in the time"
                  : result->best.score.ratio < 1       ? "no: within the spread"
                                                       : "no: not faster";
}

/* Where a kernel takes long to compile, few classes with some candidates say more than many with none. */
enum { LEAST_CANDIDATES = 8 };

/* Half of the time goes to the heats, the rest to the best together and the final. */
static outcome tune_class_of(tuner *t, double share_ms, double last_ms) {
    outcome result = {.why = "can't be run", .best = {.score = {NAN, NAN, NAN, 0}}, .default_ms = NAN};
    if (!enter(t, (tune_choice){0}, 0)) {
        return result;
    }
    result.default_ms = t->field[0].contender.ms;
    double now = bench_now_ms();
    double end_ms = fmin(last_ms, fmax(share_ms, now + LEAST_CANDIDATES * t->longest_ms));
    run_heats(t, now + (end_ms - now) / 2);
    result.why = bench_stopped() ? "stopped by Ctrl-C" : "out of time";
    if (t->count > 1 && !bench_stopped()) {
        turns(t, 1, (bench_rounds){HEAT_ROUNDS, 25, bench_now_ms() + (end_ms - bench_now_ms()) / 2});
        sort(t, 1);
        if (t->k->few_rows) {
            try_splits(t, bench_now_ms() + (end_ms - bench_now_ms()) / 2);
        }
        while (t->count > 1 && !verified(t, &t->field[1])) {
            leave(t, 1);
        }
        if (t->count > 1 && !bench_stopped()) {
            double turn_ms = t->field[0].contender.ms + t->field[1].contender.ms,
                   enough_ms = bench_now_ms() + 20 * turn_ms;
            run_final(t, fmax(end_ms, fmin(last_ms, enough_ms)), &result);
        }
    }
    return result;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

enum { TYPE = 4, DIM = 3, USE = 7, KERNEL = 22, TIME = 8, RATIO = 5, SPREAD = 6 };

static void print_head(const char *commit, const tuner *t) {
    bench_device_introduce(bench_device_caps(t->d));
    printf("commit   %s, seed %llu\n", commit, (unsigned long long)t->o->seed);
    printf("plan     at most about %.0f s (--seconds); a kernel that is being compiled is\n"
           "         waited for\n\n",
           t->o->seconds);
    printf("%s%-*s %*s %-*s %-*s %*s %*s %*s %*s %s%s\n", bench_style(BENCH_BOLD), TYPE, "type", DIM, "D", USE, "use",
           KERNEL, "best kernel and tile", TIME, "default", TIME, "best", RATIO, "ratio", SPREAD, "spread", "rule",
           bench_style(BENCH_PLAIN));
    fflush(stdout);
}

static void print_outcome(const tuner *t, const outcome *r) {
    char kernel[64] = "-", before[BENCH_NUMBER_SIZE], time[BENCH_NUMBER_SIZE], spread[BENCH_NUMBER_SIZE];
    char ratio[BENCH_NUMBER_SIZE] = "-";
    const candidate *x = &r->best;
    if (x->score.rounds) {
        const uint32_t *tile = x->choice.tile;
        snprintf(kernel, sizeof kernel, "%s %ux%u %u,%u", path_of(t, x), tile[0], tile[1], tile[2], tile[3]);
        snprintf(ratio, sizeof ratio, "%.2f", x->score.ratio);
    }
    char dim[BENCH_NUMBER_SIZE] = "";
    if (t->c.head_dim) {
        snprintf(dim, sizeof dim, "%u", t->c.head_dim);
    }
    printf("%-*s %*s %-*s %-*s %*s %*s %*s %*s %s%s%s\n", TYPE, bench_dtype_name(t->dtype), DIM, dim, USE, t->k->use,
           KERNEL, kernel, TIME, bench_time_text(r->default_ms, before), TIME, bench_time_text(x->score.ms, time),
           RATIO, ratio, SPREAD, bench_percent_text(x->score.spread, spread), r->why ? "" : bench_style(BENCH_GOOD),
           r->why ? "no" : "yes", bench_style(BENCH_PLAIN));
    if (t->o->verbose || (r->why && !x->score.rounds)) {
        printf("    %scandidates: %u, turns: %u%s%s%s\n", bench_style(BENCH_FAINT), t->measured, x->score.rounds,
               r->why ? "; " : "", r->why ? r->why : "", bench_style(BENCH_PLAIN));
    }
    fflush(stdout);
}

static void print_help(void) {
    printf("\n");
    bench_column_help("use", "prefill: as many queries as keys; decode: one query; M: rows of a linear layer");
    bench_column_help("best", "of all candidates in turns: path, queries x keys or rows x outputs, the tile's rest");
    bench_column_help("default", "what the library chooses without a record");
    bench_column_help("ratio", "best / default, by new turns of only these two; below 1: faster");
    bench_column_help("spread", "of the middle half of the turns' ratios");
    bench_column_help("rule", "yes: written, since it is faster by more than the spread");
}

/* ---- everything -------------------------------------------------------------------------------------------------- */

static void keep_rule(tuner *t, const outcome *r) {
    bench_tuned *rule = &t->rules[t->rule_count++];
    *rule = (bench_tuned){
        .names = t->operation->names,
        .dtype = t->dtype,
        .path = t->operation->path(r->best.choice.path),
        .workgroups = r->best.workgroups,
        .ms = r->best.score.ms,
        .default_ms = r->default_ms,
        .ratio = r->best.score.ratio,
        .spread = r->best.score.spread,
    };
    memcpy(rule->most, t->k->most, sizeof rule->most);
    memcpy(rule->above, t->k->above, sizeof rule->above);
    memcpy(rule->tile, r->best.choice.tile, sizeof rule->tile);
}

/* Class number `at` of all operations and types that are wanted; false: there are no more. Types take turns within a
 * class. */
static bool find_class(tuner *t, size_t at) {
    for (size_t o = 0; o < OPERATIONS; o++) {
        if (t->o->only_op && t->o->only_op != operations[o]->op) {
            continue;
        }
        t->operation = operations[o];
        for (size_t i = 0; i < t->operation->class_count * t->operation->type_count; i++) {
            t->k = &t->operation->classes[i / t->operation->type_count];
            t->dtype = t->operation->types[i % t->operation->type_count];
            bool wanted = !(t->software && t->k->only_on_gpu) && (!t->o->only || t->dtype == t->o->only);
            if (wanted && at-- == 0) {
                t->c = t->operation->problem(t->k, t->dtype, t->software);
                return true;
            }
        }
    }
    return false;
}

static size_t count_classes(tuner *t) {
    size_t count = 0;
    while (count < MAX_CLASSES && find_class(t, count)) {
        count++;
    }
    return count;
}

static void tune_class_found(tuner *t, double share_ms, double last_ms) {
    outcome result = {.why = "its tensors don't fit", .best = {.score = {NAN, NAN, NAN, 0}}, .default_ms = NAN};
    t->count = t->measured = 0;
    if (bench_problem_create(&t->problem, bench_device_vka(t->d), &t->c, t->o->seed) == VKA_OK) {
        result = tune_class_of(t, share_ms, last_ms);
    }
    if (!result.why) {
        keep_rule(t, &result);
    }
    bench_progress_pause();
    print_outcome(t, &result);
    while (t->count) {
        leave(t, t->count - 1);
    }
    bench_problem_destroy(&t->problem);
}

/* Returns how many classes were measured. */
static size_t tune_all(tuner *t) {
    bench_clock time = bench_clock_start(t->o->seconds);
    size_t all = count_classes(t), done = 0;
    bench_progress_start(all, t->o->seconds);
    for (; done < all; done++) {
        /* The first one is always tried. What its default needs to compile, the next ones need too. */
        size_t left = all - done;
        if (bench_stopped() || (done && !in_time(t, time.end_ms))) {
            bench_progress_pause();
            printf("the last %zu classes: %s\n", left,
                   bench_stopped() ? "stopped by Ctrl-C" : "out of time, a larger --seconds reaches them");
            break;
        }
        char text[BENCH_LABEL_SIZE];
        find_class(t, done);
        bench_case_label(&t->c, text);
        bench_progress_step(done, text);
        tune_class_found(t, bench_clock_share(&time, left), time.end_ms);
    }
    bench_progress_end();
    return done;
}

/* An existing file must be a record, or empty: otherwise it isn't overwritten. */
static bool check_file(const char *file) {
    if (!bench_json_writable(file)) {
        return false;
    }
    const char *why = bench_json_check_tuning(file);
    bool other = why && strcmp(why, BENCH_NO_RECORD) == 0;
    if (other) {
        bench_note("vkattn-bench: %s %s: not overwritten", file, why);
    }
    return !other;
}

static bench_exit finish(tuner *t, size_t done, const char *file) {
    size_t all = count_classes(t);
    printf("\n%zu of %zu classes measured; rules: %zu; else the library's own choices stay\n", done, all,
           t->rule_count);
    const char *list = t->o->only_op ? t->operation->names->list : NULL;
    bool ok = done && bench_json_write_tuning(bench_device_caps(t->d), t->rules, t->rule_count, list, file);
    bench_report_end("classes", done, all, ok ? file : NULL);
    return !ok ? BENCH_EXIT_FAILED : bench_stopped() ? BENCH_EXIT_STOPPED : BENCH_EXIT_OK;
}

bench_exit bench_tune(const bench_options *o) {
    const char *file = o->json ? o->json : DEFAULT_FILE;
    if (!check_file(file)) {
        return BENCH_EXIT_FAILED;
    }
    bench_device *d = bench_device_open(o->device, NULL);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    tuner *t = calloc(1, sizeof *t);
    bench_exit status = BENCH_EXIT_FAILED;
    if (t) {
        bench_report about;
        t->o = o;
        t->d = d;
        t->software = bench_device_caps(d)->type == VKA_DEVICE_CPU;
        bench_report_begin(&about, d, o->seed);
        print_head(about.commit, t);
        size_t done = tune_all(t);
        print_help();
        status = finish(t, done, file);
    }
    free(t);
    bench_device_close(d);
    return status;
}
