/* The command line, read with popt: a command, then its options.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <popt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* What popt fills in. Integers start at UNSET, so that what was not given can get its default afterwards. */
#define UNSET INT32_MIN
typedef struct raw {
    int device, batch, heads, kv_heads, q_len, kv_len, head_dim, value_dim, rows, cols, splits, repeats;
    int window_left, window_right;
    int causal, residual, all, explain;
    long long seed;
    double seconds, limit;
    int tokens; /* only of `patterns`, as `pattern` is */
    char *suite, *op, *dtype, *path, *json, *tuning, *pattern;
    bool shaped; /* an option that describes one shape was seen */
} raw;

/* Options with this value describe one shape. */
enum { SHAPE = 1 };

void bench_usage(FILE *file) {
    fputs(
        "usage: vkattn-bench devices\n"
        "       vkattn-bench run [--device N] [--suite quick|prefill|decode|norms|window|all|gpu] [OPTION ...]\n"
        "       vkattn-bench run [--device N] --op attention|layer_norm [SHAPE ...] [OPTION ...]\n"
        "       vkattn-bench tune [--device N] [--dtype TYPE] [--seconds S] [--json FILE]\n"
        "       vkattn-bench options [--device N] [--dtype TYPE]\n"
        "       vkattn-bench patterns [--pattern WORDS] [--n TOKENS] [--repeats N] [--dtype TYPE] [--json FILE]\n"
        "       vkattn-bench pattern PATTERN ... [--out FILE.svg|FILE.png] [OPTION ...]\n"
        "       vkattn-bench compare A.json B.json\n"
        "\n"
        "Every case is verified against a float64 reference before it is timed.\n"
        "\n"
        "  --device N          number as listed by `devices`; default: the best\n"
        "  --suite NAME        default: quick\n"
        "shape of one attention, default in brackets:\n"
        "  --op attention  --batch [1]  --heads [8]  --kv-heads [= heads]  --q-len [1024]  --kv-len [= q-len]\n"
        "  --head-dim [64]  --value-dim [= head-dim]  --causal  --window-left [none]  --window-right [none]\n"
        "shape of one layer norm:\n"
        "  --op layer_norm  --rows [4096]  --cols [1024]  --residual\n"
        "options:\n"
        "  --dtype TYPE        f32, f16, bf16; one shape: its type [f32]; a suite: only this type\n"
        "  --path NAME         kernel: auto, row, tile, decode, coopmat, coopmat2, dot (attention), lane, group "
        "(layer_norm)\n"
        "  --splits N          workgroups that share the keys of a query tile\n"
        "  --repeats N         exactly N samples, at most 500, instead of what the time allows\n"
        "  --seconds S         time for the samples of a case [1]\n"
        "  --limit S           start no case of a suite later than this [no limit]\n"
        "  --seed N            of inputs and of the rows that are compared [1]\n"
        "  --all               also cases of a suite that take long on a software driver\n"
        "  --explain           print the plan of every case\n"
        "  --json FILE         write the results to FILE\n"
        "  --tuning FILE       use what `tune` measured\n"
        "tune: measures which path and tile is fastest, in --seconds [120] altogether, and writes the record to FILE\n"
        "      [vkattn-tuning.json], which may hold records of other devices\n"
        "\n"
        "pattern: builds a pattern, says what it costs and draws it. A PATTERN is name[:key=value ..][@heads]; several "
        "are\n"
        "         joined by `or`, which may be left out, and `and`, which binds tighter\n"
        "  --list              names and their parameters\n"
        "  --queries N  --keys N  positions [of its grid, or 256; = queries]\n"
        "  --tile QxK          queries x keys of a tile [chosen]\n"
        "  --heads N           a map for each of N heads [one for all]\n"
        "  --keep-order        grids in the order of their tokens, not in boxes\n"
        "  --build WHERE       auto, device or host\n"
        "  --out FILE          draws it: SVG or PNG, as the name ends\n"
        "  --level LEVEL       element: each query and key; tile: each tile\n"
        "  --query Y,X         what this query sees of the grid; up to four times\n"
        "  --head N            which head is drawn [0]\n"
        "\n"
        "options: the time of attention with each of its options over the plain one's, verified, in one run\n"
        "patterns: the time of attention by well-known patterns, over the dense one's, at --n [16384] tokens or "
        "those of --grid; verified\n"
        "Exit status: 0 done; 1 a case failed; 2 bad usage; 3 no such Vulkan device.\n",
        file);
}

bool bench_complain(const char *format, ...) {
    va_list args;
    fputs("vkattn-bench: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\n\n", stderr);
    bench_usage(stderr);
    return false;
}

/* ---- popt ----------------------------------------------------------------------------------------------------------
 */

static bool read_options(int argc, const char **argv, raw *r) {
    const struct poptOption table[] = {
        {"device", 0, POPT_ARG_INT, &r->device, 0, NULL, NULL},
        {"suite", 0, POPT_ARG_STRING, &r->suite, 0, NULL, NULL},
        {"op", 0, POPT_ARG_STRING, &r->op, 0, NULL, NULL},
        {"batch", 0, POPT_ARG_INT, &r->batch, SHAPE, NULL, NULL},
        {"heads", 0, POPT_ARG_INT, &r->heads, SHAPE, NULL, NULL},
        {"kv-heads", 0, POPT_ARG_INT, &r->kv_heads, SHAPE, NULL, NULL},
        {"q-len", 0, POPT_ARG_INT, &r->q_len, SHAPE, NULL, NULL},
        {"kv-len", 0, POPT_ARG_INT, &r->kv_len, SHAPE, NULL, NULL},
        {"head-dim", 0, POPT_ARG_INT, &r->head_dim, SHAPE, NULL, NULL},
        {"value-dim", 0, POPT_ARG_INT, &r->value_dim, SHAPE, NULL, NULL},
        {"causal", 0, POPT_ARG_NONE, &r->causal, SHAPE, NULL, NULL},
        {"window-left", 0, POPT_ARG_INT, &r->window_left, SHAPE, NULL, NULL},
        {"window-right", 0, POPT_ARG_INT, &r->window_right, SHAPE, NULL, NULL},
        {"rows", 0, POPT_ARG_INT, &r->rows, SHAPE, NULL, NULL},
        {"cols", 0, POPT_ARG_INT, &r->cols, SHAPE, NULL, NULL},
        {"residual", 0, POPT_ARG_NONE, &r->residual, SHAPE, NULL, NULL},
        {"n", 0, POPT_ARG_INT, &r->tokens, 0, NULL, NULL},
        {"pattern", 0, POPT_ARG_STRING, &r->pattern, 0, NULL, NULL},
        {"dtype", 0, POPT_ARG_STRING, &r->dtype, 0, NULL, NULL},
        {"path", 0, POPT_ARG_STRING, &r->path, 0, NULL, NULL},
        {"splits", 0, POPT_ARG_INT, &r->splits, 0, NULL, NULL},
        {"repeats", 0, POPT_ARG_INT, &r->repeats, 0, NULL, NULL},
        {"seconds", 0, POPT_ARG_DOUBLE, &r->seconds, 0, NULL, NULL},
        {"limit", 0, POPT_ARG_DOUBLE, &r->limit, 0, NULL, NULL},
        {"seed", 0, POPT_ARG_LONGLONG, &r->seed, 0, NULL, NULL},
        {"all", 0, POPT_ARG_NONE, &r->all, 0, NULL, NULL},
        {"explain", 0, POPT_ARG_NONE, &r->explain, 0, NULL, NULL},
        {"json", 0, POPT_ARG_STRING, &r->json, 0, NULL, NULL},
        {"tuning", 0, POPT_ARG_STRING, &r->tuning, 0, NULL, NULL},
        POPT_TABLEEND,
    };
    poptContext context = poptGetContext("vkattn-bench", argc, argv, table, 0);
    int rc;
    while ((rc = poptGetNextOpt(context)) == SHAPE) {
        r->shaped = true;
    }
    bool ok = rc == -1;
    if (!ok) {
        bench_complain("%s: %s", poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(rc));
    } else if (poptPeekArg(context)) {
        ok = bench_complain("%s: unexpected argument", poptPeekArg(context));
    }
    poptFreeContext(context);
    return ok;
}

/* ---- meaning -------------------------------------------------------------------------------------------------------
 */

/* A size or count: `otherwise` when it was not given. */
static bool take(const char *name, int value, uint32_t lowest, uint32_t otherwise, uint32_t *result) {
    *result = value == UNSET ? otherwise : (uint32_t)value;
    if (value != UNSET && (value < 0 || (uint32_t)value < lowest)) {
        return bench_complain("--%s: must be at least %u", name, lowest);
    }
    return true;
}

static int32_t bound(int value) {
    return value == UNSET ? VKA_UNBOUNDED : (int32_t)value;
}

static bool take_shape(const raw *r, bench_case *c) {
    c->causal = r->causal != 0;
    c->residual = r->residual != 0;
    c->window_left = bound(r->window_left);
    c->window_right = bound(r->window_right);
    return take("batch", r->batch, 1, 1, &c->batch) && take("heads", r->heads, 1, 8, &c->heads) &&
           take("kv-heads", r->kv_heads, 1, c->heads, &c->kv_heads) && take("q-len", r->q_len, 1, 1024, &c->q_len) &&
           take("kv-len", r->kv_len, 1, c->q_len, &c->kv_len) && take("head-dim", r->head_dim, 1, 64, &c->head_dim) &&
           take("value-dim", r->value_dim, 1, c->head_dim, &c->value_dim) && take("rows", r->rows, 1, 4096, &c->rows) &&
           take("cols", r->cols, 1, 1024, &c->cols);
}

/* --dtype, --path and --splits: of the one shape, or of every case of a suite that they fit. */
static bool take_common(const raw *r, bench_options *o) {
    if (r->dtype && (o->only = bench_dtype_parse(r->dtype)) == VKA_DTYPE_INVALID) {
        return bench_complain("--dtype: unknown type '%s'", r->dtype);
    }
    if (r->path && (o->single.path = bench_path_parse(r->path)) == BENCH_PATH_INVALID) {
        return bench_complain("--path: unknown path '%s'", r->path);
    }
    if (!(r->seconds > 0)) {
        return bench_complain("--seconds: must be positive");
    }
    if (!(r->limit > 0)) {
        return bench_complain("--limit: must be positive");
    }
    if (r->repeats > BENCH_MAX_SAMPLES) {
        return bench_complain("--repeats: at most %d", BENCH_MAX_SAMPLES);
    }
    if ((r->tokens != UNSET || r->pattern) && o->command != BENCH_COMMAND_PATTERNS) {
        return bench_complain("--n and --pattern are for patterns");
    }
    o->seconds = r->seconds;
    o->limit = r->limit;
    o->seed = (uint64_t)r->seed;
    o->all = r->all != 0;
    o->explain = r->explain != 0;
    return take("splits", r->splits, 0, 0, &o->single.splits) && take("repeats", r->repeats, 1, 0, &o->repeats) &&
           take("device", r->device, 1, 0, &o->device) && take("n", r->tokens, 1, 0, &o->tokens);
}

static bool take_suite(const raw *r, bench_options *o) {
    const char *suite = r->suite ? r->suite : "quick";
    if (r->shaped) {
        return bench_complain("a shape needs --op, and is not for suites");
    }
    if (strlen(suite) >= sizeof o->suite || !bench_suite_append(NULL, suite)) {
        return bench_complain("--suite: unknown suite '%s'", suite);
    }
    memcpy(o->suite, suite, strlen(suite) + 1);
    return true;
}

static bool take_single(const raw *r, bench_options *o) {
    bench_case *c = &o->single;
    if (r->suite) {
        return bench_complain("--suite and --op exclude each other");
    }
    if ((c->op = bench_op_parse(r->op)) == BENCH_OP_INVALID) {
        return bench_complain("--op: unknown operation '%s'", r->op);
    }
    memcpy(c->suite, "custom", sizeof "custom");
    c->dtype = o->only ? o->only : VKA_F32;
    if (!take_shape(r, c)) {
        return false;
    }
    const char *broken = bench_case_check(c);
    return broken ? bench_complain("%s", broken) : true;
}

/* With nothing but common options. */
static bool take_few(const raw *r, bench_options *o) {
    static const struct {
        bench_command command;
        bool json;
        const char *takes;
    } list[] = {
        {BENCH_COMMAND_TUNE, true, "tune takes --device, --dtype, --seconds, --seed and --json"},
        {BENCH_COMMAND_OPTIONS, false, "options takes --device, --dtype and --seed"},
        {BENCH_COMMAND_PATTERNS, true,
         "patterns takes --device, --dtype, --n, --pattern, --repeats, --seed and --json"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        bool foreign = r->suite || r->op || r->shaped || r->tuning || r->path || (r->json && !list[i].json);
        if (list[i].command == o->command && foreign) {
            return bench_complain("%s", list[i].takes);
        }
    }
    memcpy(o->suite, "tune", sizeof "tune");
    return true;
}

static bool parse_run(int argc, const char **argv, bench_options *o) {
    raw r = {.device = UNSET, .batch = UNSET, .heads = UNSET, .kv_heads = UNSET, .q_len = UNSET, .kv_len = UNSET};
    r.head_dim = r.value_dim = r.rows = r.cols = r.splits = r.repeats = r.tokens = r.window_left = r.window_right =
        UNSET;
    r.seed = 1;
    bool few = o->command != BENCH_COMMAND_RUN;
    r.seconds = o->command == BENCH_COMMAND_TUNE ? 120 : 1;
    r.limit = INFINITY;
    bool ok = read_options(argc, argv, &r) && take_common(&r, o) &&
              (few    ? take_few(&r, o)
               : r.op ? take_single(&r, o)
                      : take_suite(&r, o));
    o->json = r.json;
    o->tuning = r.tuning;
    o->pattern.words = r.pattern;
    free(r.suite);
    free(r.op);
    free(r.dtype);
    free(r.path);
    return ok;
}

/* `devices` and `compare` have arguments but no options. */
static bool parse_plain(int argc, const char **argv, int wanted) {
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') {
            return bench_complain("%s: unknown option", argv[i]);
        }
    }
    if (argc - 1 != wanted) {
        return bench_complain("%s: needs %d arguments, got %d", argv[0], wanted, argc - 1);
    }
    return true;
}

bool bench_options_parse(int argc, const char **argv, bench_options *o) {
    memset(o, 0, sizeof *o);
    const char *command = argc > 1 ? argv[1] : "";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            o->command = BENCH_COMMAND_HELP;
            return true;
        }
    }
    if (strcmp(command, "devices") == 0) {
        o->command = BENCH_COMMAND_DEVICES;
        return parse_plain(argc - 1, argv + 1, 0);
    }
    if (strcmp(command, "compare") == 0) {
        o->command = BENCH_COMMAND_COMPARE;
        if (!parse_plain(argc - 1, argv + 1, 2)) {
            return false;
        }
        o->compare_a = argv[2];
        o->compare_b = argv[3];
        return true;
    }
    if (strcmp(command, "options") == 0 || strcmp(command, "patterns") == 0) {
        o->command = *command == 'o' ? BENCH_COMMAND_OPTIONS : BENCH_COMMAND_PATTERNS;
        return parse_run(argc - 1, argv + 1, o);
    }
    if (strcmp(command, "pattern") == 0) {
        o->command = BENCH_COMMAND_PATTERN;
        return bench_pattern_options_parse(argc - 1, argv + 1, o);
    }
    if (strcmp(command, "run") == 0 || strcmp(command, "tune") == 0) {
        o->command = *command == 'r' ? BENCH_COMMAND_RUN : BENCH_COMMAND_TUNE;
        return parse_run(argc - 1, argv + 1, o);
    }
    return *command ? bench_complain("unknown command '%s'", command) : bench_complain("a command is missing");
}

void bench_options_free(bench_options *o) {
    free(o->json);
    free(o->tuning);
    o->json = o->tuning = NULL;
    bench_pattern_options_free(&o->pattern);
}
