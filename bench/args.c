/* The command line: getopt_long takes it apart, the table of args_table.c says what may stand in it and in which range.
 *
 * Every mistake is one line: the option and its value, the rule or the word that was probably meant, and where help is.
 * SPDX-License-Identifier: MIT */
#include "args.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool bench_complain(const char *see, const char *format, ...) {
    va_list args;
    fputs("vkattn-bench: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " (see vkattn-bench %s)\n", see);
    return false;
}

/* "help run", in static memory. */
static const char *help_topic(const args_given *g) {
    static char topic[32];
    snprintf(topic, sizeof topic, "help %s", g->command->name);
    return topic;
}

bool bench_args_refuse(const args_given *g, args_id id, const char *rule) {
    const char *value = g->text[id];
    bool flag = bench_args_options[id].kind == ARGS_FLAG;
    return bench_complain(help_topic(g), "--%s%s%s: %s", bench_args_options[id].name, flag ? "" : " ",
                          flag     ? ""
                          : *value ? value
                                   : "''",
                          rule);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static bool whole(const args_given *g, args_id id, double *value) {
    const args_option *o = &bench_args_options[id];
    char *end, rule[80];
    errno = 0;
    long long x = strtoll(g->text[id], &end, 10);
    *value = (double)x;
    bool number = end != g->text[id] && !*end && errno == 0 && !isspace((unsigned char)g->text[id][0]);
    if (number && *value >= o->least && *value <= o->most) {
        return true;
    }
    snprintf(rule, sizeof rule, "must be a whole number, %.0f to %.0f", o->least, o->most);
    return bench_args_refuse(g, id, rule);
}

bool bench_args_number(const args_given *g, args_id id, uint32_t otherwise, uint32_t *value) {
    double x = otherwise;
    bool ok = !g->text[id] || whole(g, id, &x);
    *value = (uint32_t)(ok ? x : otherwise);
    return ok;
}

bool bench_args_bound(const args_given *g, args_id id, int32_t otherwise, int32_t *value) {
    double x = otherwise;
    bool ok = !g->text[id] || whole(g, id, &x);
    *value = (int32_t)(ok ? x : otherwise);
    return ok;
}

bool bench_args_flag(const args_given *g, args_id id, bool otherwise, bool *value) {
    *value = otherwise || g->text[id];
    return true;
}

bool bench_args_real(const args_given *g, args_id id, double otherwise, double *value) {
    const args_option *o = &bench_args_options[id];
    char *end, rule[80];
    *value = otherwise;
    if (!g->text[id]) {
        return true;
    }
    *value = strtod(g->text[id], &end);
    if (end != g->text[id] && !*end && *value >= o->least && *value <= o->most) {
        return true;
    }
    snprintf(rule, sizeof rule, "must be a number, %g to %.0f", o->least, o->most);
    return bench_args_refuse(g, id, rule);
}

bool bench_args_name(const args_given *g, args_id id, int otherwise, int *value) {
    const char *const *names = bench_args_options[id].names;
    char hint[BENCH_SUGGEST_SIZE];
    size_t count = 0;
    *value = otherwise;
    if (!g->text[id]) {
        return true;
    }
    for (; names[count]; count++) {
        if (strcmp(names[count], g->text[id]) == 0) {
            *value = (int)count;
            return true;
        }
    }
    bench_suggest(g->text[id], names, count, hint);
    return bench_args_refuse(g, id, hint);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static bool unknown_option(const args_given *g, const char *text) {
    const char *names[ARG_COUNT];
    char hint[BENCH_SUGGEST_SIZE], word[64], dashed[ARG_COUNT][24];
    size_t count = 0;
    for (int i = 0; i < ARG_COUNT; i++) {
        if (bench_args_options[i].where & g->command->where) {
            snprintf(dashed[count], sizeof dashed[count], "--%s", bench_args_options[i].name);
            names[count] = dashed[count];
            count++;
        }
    }
    const char *name = text + strspn(text, "-");
    snprintf(word, sizeof word, "--%.*s", (int)strcspn(name, "="), name);
    bool near = bench_suggest(word, names, count, hint);
    return bench_complain(help_topic(g), "%s: unknown option%s%s", text, near ? "; " : "", near ? hint : "");
}

/* The name of a suite without its --suite is an easy slip. */
static bool is_suite(const char *word) {
    return strcmp(word, "all") == 0 || bench_suite_append(NULL, word);
}

/* The words that are left, with spaces between. NULL: no memory. */
static char *join(const char **words) {
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

static bool take_words(args_given *g, const char **words) {
    int count = 0;
    while (words && words[count]) {
        count++;
    }
    g->words = join(words);
    int wanted = g->command->words;
    if (wanted < 0 || count == wanted) {
        return g->words || bench_complain("help", "out of memory");
    }
    if (wanted == 0) {
        bool suite = g->command->command == BENCH_COMMAND_RUN && is_suite(words[0]);
        return bench_complain(help_topic(g), "%s: unexpected argument%s%s%s", words[0],
                              suite ? "; did you mean --suite " : "", suite ? words[0] : "", suite ? "?" : "");
    }
    return bench_complain(help_topic(g), "%s: needs %d arguments, got %d", g->command->name, wanted, count);
}

/* Keeps the last value of each option, and all of --query. Takes `value`. */
static bool take_option(args_given *g, args_id id, char *value) {
    bool full = id == ARG_QUERY && g->query_count == BENCH_MAX_POINTS;
    if (id == ARG_QUERY && !full) {
        g->queries[g->query_count++] = value;
    } else if (id != ARG_QUERY) {
        free(g->text[id]);
    }
    g->text[id] = value;
    const char *wrong = NULL;
    if (full) {
        wrong = "at most four times";
    } else if (value && bench_args_options[id].kind != ARGS_FLAG && strncmp(value, "--", 2) == 0) {
        wrong = "is an option, not a value";
    } else if (value && bench_args_options[id].kind == ARGS_TEXT && !*value) {
        wrong = "is empty";
    }
    bool ok = value ? !wrong || bench_args_refuse(g, id, wrong) : bench_complain("help", "out of memory");
    if (full) {
        free(value);
        g->text[id] = NULL;
    }
    return ok;
}

/* What getopt_long returns for an option of the table: no character of a short one. */
#define FIRST_OPTION 256

/* Options of other commands are read too, so that they can be refused by name. The heads of `pattern` are not those of
 * `run`: each command has only its own of the two. */
static void fill_table(const args_given *g, struct option *table) {
    size_t n = 0;
    for (int i = 0; i < ARG_COUNT; i++) {
        const args_option *o = &bench_args_options[i];
        bool mine = o->where & g->command->where;
        bool twin = (i == ARG_MAPS || i == ARG_HEADS) && !mine && (g->command->where & (ARGS_RUN | ARGS_PATTERN));
        if (!twin && !(i == ARG_MAPS && !mine)) {
            table[n++] = (struct option){o->name, o->kind == ARGS_FLAG ? no_argument : required_argument, NULL,
                                         FIRST_OPTION + i};
        }
    }
    table[n] = (struct option){0};
}

/* getopt_long takes "--suit" for --suite. */
static bool in_full(const char *text, const char *name) {
    size_t length = strlen(name);
    return strncmp(text, "--", 2) == 0 && strncmp(text + 2, name, length) == 0 && strchr("=", text[2 + length]);
}

/* The option that is next, and its value, if it has one. */
static bool read_option(int argc, const char **argv, const struct option *table, args_given *g) {
    const char *text = argv[optind];
    int found = getopt_long(argc, (char *const *)argv, "+:v", table, NULL);
    bool wrong = found == '?' || found == ':';
    int id = (wrong ? optopt : found) - FIRST_OPTION;
    if (found == 'v') {
        return take_option(g, ARG_VERBOSE, calloc(1, 1));
    }
    if (id < 0 || id >= ARG_COUNT || !in_full(text, bench_args_options[id].name)) {
        return unknown_option(g, text);
    }
    bool flag = bench_args_options[id].kind == ARGS_FLAG;
    if (wrong) {
        return bench_complain(help_topic(g), "%s: %s", text, flag ? "takes no value" : "needs a value");
    }
    return take_option(g, (args_id)id, flag ? calloc(1, 1) : strdup(optarg));
}

/* argv[0] is the command, or whatever. Words may stand among options; behind "--" all are words. */
static bool read_options(int argc, const char **argv, args_given *g) {
    struct option table[ARG_COUNT + 1];
    const char **words = calloc((size_t)argc + 1, sizeof *words);
    size_t count = 0;
    bool ok = words || bench_complain("help", "out of memory"), only_words = false;
    fill_table(g, table);
    while (ok && optind < argc) {
        const char *text = argv[optind];
        if (only_words || text[0] != '-' || !text[1]) {
            words[count++] = text;
            optind++;
        } else if (strcmp(text, "--") == 0) {
            only_words = true;
            optind++;
        } else {
            ok = read_option(argc, argv, table, g);
        }
    }
    ok = ok && take_words(g, words);
    free(words);
    return ok;
}

static void free_given(args_given *g) {
    g->text[ARG_QUERY] = NULL; /* the last of `queries` */
    for (int i = 0; i < ARG_COUNT; i++) {
        free(g->text[i]);
    }
    for (uint32_t i = 0; i < g->query_count; i++) {
        free(g->queries[i]);
    }
    free(g->words);
}

/* ---- do the options fit each other? ------------------------------------------------------------------------------ */

static void add_owner(char *rule, size_t size, const char *name) {
    size_t used = strlen(rule);
    snprintf(rule + used, size - used, "%s%s", used ? ", " : "is only for ", name);
}

static bool foreign(const args_given *g, args_id id) {
    if (id == ARG_SUITE && g->text[ARG_OP]) {
        return bench_args_refuse(g, id, "excludes --op, which measures one shape");
    }
    static const struct {
        uint32_t where;
        const char *name;
    } owners[] = {
        {ARGS_TUNE, "tune"}, {ARGS_OPTIONS, "options"}, {ARGS_PATTERNS, "patterns"}, {ARGS_PATTERN, "pattern"}};
    char rule[BENCH_SUGGEST_SIZE] = "";
    uint32_t where = bench_args_options[id].where;
    /* Kinds of run say more to who runs something, the command to others. */
    bool run = (where & ARGS_RUN) == ARGS_RUN;
    if (!run && (where & ARGS_SUITE)) {
        add_owner(rule, sizeof rule, "suites");
    }
    for (bench_op op = 1; !run && op < BENCH_OPS; op++) {
        if (where & bench_operation_of(op)->shape) {
            char name[40];
            snprintf(name, sizeof name, "--op %s", bench_operation_of(op)->name);
            add_owner(rule, sizeof rule, name);
        }
    }
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        if (where & owners[i].where) {
            add_owner(rule, sizeof rule, owners[i].name);
        }
    }
    if (run) {
        add_owner(rule, sizeof rule, "run");
    }
    return bench_args_refuse(g, id, rule);
}

static bool check_places(const args_given *g) {
    for (int i = 0; i < ARG_COUNT; i++) {
        const args_option *o = &bench_args_options[i];
        if (g->text[i] && !(o->where & g->where)) {
            return foreign(g, (args_id)i);
        }
    }
    return true;
}

/* --path and --splits must mean something to some case. */
static bool check_path(const args_given *g, const bench_options *o) {
    bench_list *list = calloc(1, sizeof *list);
    if (!list) {
        return bench_complain("help", "out of memory");
    }
    if (!o->suite[0] || !bench_suite_append(list, o->suite)) {
        list->cases[list->count++] = o->single;
    }
    bool fits = false, splits = false;
    for (size_t i = 0; i < list->count; i++) {
        fits = fits || bench_path_fits(o->single.path, list->cases[i].op);
        splits = splits || bench_operation_of(list->cases[i].op)->splits;
    }
    const bench_operation *op = bench_operation_of(list->cases[0].op);
    char paths[128], rule[200], no_splits[64];
    bench_args_join_paths(op, " and ", paths, sizeof paths);
    snprintf(rule, sizeof rule, "%s has auto%s%s", op->name, *paths ? ", " : "", paths);
    snprintf(no_splits, sizeof no_splits, "%ss have no splits", op->title);
    free(list);
    return (fits || bench_args_refuse(g, ARG_PATH, rule)) &&
           (splits || !g->text[ARG_SPLITS] || bench_args_refuse(g, ARG_SPLITS, no_splits));
}

/* ---- meaning ----------------------------------------------------------------------------------------------------- */

static bool take_shape(const args_given *g, bench_case *c) {
    bool ok = true;
#define BENCH_FIELD(kind, member, ID, option, shapes, otherwise, ...)                                                  \
    ok = ok && bench_args_##kind(g, ARG_##ID, otherwise, &c->member);
#include "fields.def"
    return ok;
}

static bool take_run(const args_given *g, bench_options *o) {
    int suite, op;
    bench_case *c = &o->single;
    if (!bench_args_name(g, ARG_SUITE, 0, &suite) || !bench_args_name(g, ARG_OP, -1, &op)) {
        return false;
    }
    if (op < 0) {
        const char *name = bench_args_options[ARG_SUITE].names[suite];
        memcpy(o->suite, name, strlen(name) + 1);
        return check_path(g, o);
    }
    memcpy(c->suite, "custom", sizeof "custom");
    c->op = (bench_op)(op + 1);
    c->dtype = o->only ? o->only : VKA_F32;
    if (!take_shape(g, c) || !check_path(g, o)) {
        return false;
    }
    if (c->heads % c->kv_heads) {
        return bench_complain(help_topic(g), "--kv-heads %u: --heads, which is %u, must be a multiple of it",
                              c->kv_heads, c->heads);
    }
    const char *broken = bench_case_check(c);
    return !broken || bench_complain(help_topic(g), "--op %s: %s", bench_op_names[c->op], broken);
}

/* A file that is named must be there before anything is measured. */
static bool check_tuning(const args_given *g) {
    const char *why = g->text[ARG_TUNING] ? bench_json_check_tuning(g->text[ARG_TUNING]) : NULL;
    return !why || bench_args_refuse(g, ARG_TUNING, why);
}

static void move(args_given *g, args_id id, char **to) {
    *to = g->text[id];
    g->text[id] = NULL;
}

static double default_seconds(bench_command command) {
    switch (command) {
    case BENCH_COMMAND_RUN:
        return 1;
    case BENCH_COMMAND_LAYERS:
        return 5;
    case BENCH_COMMAND_TUNE:
        return 120;
    default:
        return 150;
    }
}

static bool take_common(args_given *g, bench_options *o) {
    int dtype, path;
    double seed = 1;
    double seconds = default_seconds(o->command);
    bool ok =
        bench_args_name(g, ARG_DTYPE, -1, &dtype) && bench_args_name(g, ARG_PATH, 0, &path) &&
        bench_args_number(g, ARG_DEVICE, 0, &o->device) && bench_args_number(g, ARG_N, 0, &o->tokens) &&
        bench_args_number(g, ARG_SPLITS, 0, &o->single.splits) && bench_args_number(g, ARG_REPEATS, 0, &o->repeats) &&
        bench_args_real(g, ARG_SECONDS, seconds, &o->seconds) && bench_args_real(g, ARG_LIMIT, INFINITY, &o->limit) &&
        (!g->text[ARG_SEED] || whole(g, ARG_SEED, &seed)) && check_tuning(g);
    if (ok) {
        o->only = dtype < 0 ? VKA_DTYPE_INVALID : bench_dtype_parse(bench_args_options[ARG_DTYPE].names[dtype]);
        o->single.path = bench_path_parse(bench_args_options[ARG_PATH].names[path]);
        o->seed = (uint64_t)seed;
    }
    o->all = g->text[ARG_ALL] != NULL;
    o->explain = g->text[ARG_EXPLAIN] != NULL;
    o->verbose = g->text[ARG_VERBOSE] != NULL;
    return ok;
}

static bool take_tuned(const args_given *g, bench_options *o) {
    int op;
    if (!bench_args_name(g, ARG_OP, -1, &op)) {
        return false;
    }
    o->only_op = (bench_op)(op + 1);
    return op < 0 || o->only_op == BENCH_ATTENTION || o->only_op == BENCH_LINEAR ||
           bench_complain(help_topic(g), "--op %s: tune is for attention and linear", bench_op_names[o->only_op]);
}

/* `last` points to the last two arguments. */
static bool take(args_given *g, const char **last, bench_options *o) {
    bool ok = true;
    switch (o->command) {
    case BENCH_COMMAND_COMPARE:
        o->compare_a = last[0];
        o->compare_b = last[1];
        return true;
    case BENCH_COMMAND_RUN:
        ok = take_common(g, o) && take_run(g, o);
        break;
    case BENCH_COMMAND_TUNE:
        ok = take_common(g, o) && take_tuned(g, o);
        break;
    case BENCH_COMMAND_ACCURACY:
    case BENCH_COMMAND_LAYERS:
    case BENCH_COMMAND_SELF_TEST:
    case BENCH_COMMAND_OPTIONS:
    case BENCH_COMMAND_PATTERNS:
        ok = take_common(g, o);
        break;
    case BENCH_COMMAND_RECORD:
        o->seed = 1;
        ok = bench_args_number(g, ARG_DEVICE, 0, &o->device) &&
             bench_args_number(g, ARG_RECORDINGS, 10000, &o->recordings);
        break;
    case BENCH_COMMAND_PATTERN:
        return bench_args_number(g, ARG_DEVICE, 0, &o->device) && bench_args_pattern(g, &o->pattern);
    case BENCH_COMMAND_DEVICES:
    case BENCH_COMMAND_HELP:
    case BENCH_COMMAND_REPORT: /* reads its own */
    case BENCH_COMMAND_VERSION:
        return true;
    }
    move(g, ARG_JSON, &o->json);
    move(g, ARG_TUNING, &o->tuning);
    move(g, ARG_PATTERN, &o->pattern.words);
    return ok;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static bool unknown_command(const char *word) {
    const char *names[16];
    char hint[BENCH_SUGGEST_SIZE];
    for (size_t i = 0; i < bench_args_command_count; i++) {
        names[i] = bench_args_commands[i].name;
    }
    if (is_suite(word)) {
        return bench_complain("help", "%s: unknown command; did you mean run --suite %s?", word, word);
    }
    bench_suggest(word, names, bench_args_command_count, hint);
    return bench_complain("help", "%s: unknown command; %s", word, hint);
}

/* --help and --version, wherever they stand before a `--`. */
static bool wants(int argc, const char **argv, const char *name, char letter) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool brief = argv[i][0] == '-' && argv[i][1] == letter && !argv[i][2];
        if (strcmp(argv[i], name) == 0 || brief) {
            return true;
        }
    }
    return false;
}

bool bench_options_parse(int argc, const char **argv, bench_options *o) {
    memset(o, 0, sizeof *o);
    bool named = argc > 1 && argv[1][0] != '-';
    const args_command *c = bench_args_command(named ? argv[1] : "run");
    if (!c) {
        return unknown_command(argv[1]);
    }
    o->command = wants(argc, argv, "--version", 'V') ? BENCH_COMMAND_VERSION : c->command;
    if (wants(argc, argv, "--help", 'h') || c->command == BENCH_COMMAND_HELP) {
        o->command = BENCH_COMMAND_HELP;
        o->topic = c->command != BENCH_COMMAND_HELP ? named ? argv[1] : NULL : argc > 2 ? argv[2] : NULL;
        return !o->topic || *o->topic == '-' || bench_args_command(o->topic) || unknown_command(o->topic);
    }
    if (o->command == BENCH_COMMAND_VERSION) {
        return true;
    }
    if (c->command == BENCH_COMMAND_REPORT) {
        return bench_page_options_parse(argc - 2, argv + 2, &o->page);
    }
    args_given g = {.command = c, .where = c->where};
    int skip = named ? 1 : 0;
    bool ok = read_options(argc - skip, argv + skip, &g);
    if (c->command == BENCH_COMMAND_RUN) {
        bench_op op = g.text[ARG_OP] ? bench_op_parse(g.text[ARG_OP]) : BENCH_OP_INVALID;
        g.where = op ? bench_operation_of(op)->shape : g.text[ARG_OP] ? ARGS_SHAPES : ARGS_SUITE;
    }
    ok = ok && check_places(&g) && take(&g, argv + argc - 2, o);
    free_given(&g);
    return ok;
}

void bench_options_free(bench_options *o) {
    free(o->json);
    free(o->tuning);
    o->json = o->tuning = NULL;
    bench_pattern_options_free(&o->pattern);
}
