/* Commands and options: one line each, from which they are read and explained.
 * SPDX-License-Identifier: MIT */
#include "args.h"

#include <string.h>

static const char *const suites[] = {"quick",  "prefill",    "decode",    "norms", "elements", "convs",    "window",
                                     "linear", "embeddings", "recurrent", "all",   "gpu",      "gpu-tiny", NULL};
static const char *const dtypes[] = {"f32", "f16", "bf16", NULL};
static const char *const builds[] = {"auto", "device", "host", NULL};
static const char *const levels[] = {"element", "tile", NULL};

/* Sizes: no tensor in sight has a longer side. Windows: what 32 bits hold with room to add positions. */
#define SIZE         1, 1 << 30
#define FIELD_number .value = "N", .kind = ARGS_NUMBER, .least = 1, .most = 1 << 30
#define FIELD_bound  .value = "N", .kind = ARGS_NUMBER, .least = -(1 << 30), .most = 1 << 30
#define FIELD_flag   .kind = ARGS_FLAG
#define SEEDS        0, 9007199254740991.0 /* 2^53 - 1: a JSON number holds it exactly */

const args_option bench_args_options[ARG_COUNT] = {
    [ARG_DEVICE] = {"device", "N",
                    ARGS_MEASURE | ARGS_PATTERN | ARGS_RECORD | ARGS_LAYERS | ARGS_SELF_TEST | ARGS_ACCURACY,
                    ARGS_NUMBER, 1, 32, NULL, "number as listed by `devices` [the best]"},
    [ARG_SUITE] = {"suite", "NAME", ARGS_SUITE, ARGS_NAME, 0, 0, suites,
                   "quick, prefill, decode, norms, elements, convs, window, linear, embeddings, recurrent, all (of "
                   "these), gpu [quick]"},
    [ARG_OP] = {"op", "NAME", ARGS_SHAPES | ARGS_TUNE, ARGS_NAME, 0, 0, &bench_op_names[1],
                "one shape instead of a suite: "},
#define BENCH_FIELD(kind, member, ID, option, shapes, otherwise, text)                                                 \
    [ARG_##ID] = {.name = option, .where = (shapes), .help = (text), FIELD_##kind},
#include "fields.def"
    [ARG_DTYPE] = {"dtype", "TYPE", ARGS_MEASURE | ARGS_LAYERS, ARGS_NAME, 0, 0, dtypes,
                   "f32, f16 or bf16; of many: only this type"},
    [ARG_PATH] = {"path", "NAME", ARGS_RUN, ARGS_NAME, 0, 0, bench_path_names, "kernel: auto"},
    [ARG_SPLITS] = {"splits", "N", ARGS_SUITE | BENCH_SHAPE_ATTENTION | BENCH_SHAPE_LINEAR, ARGS_NUMBER, 0, 65535, NULL,
                    "workgroups that share the keys, or columns, of a tile; 0: chosen"},
    [ARG_N] = {"n", "TOKENS", ARGS_PATTERNS | ARGS_LAYERS, ARGS_NUMBER, 1, 1 << 24, NULL,
               "tokens [of the pattern's grid; 16384; 4096 on a software driver]"},
    [ARG_PATTERN] = {"pattern", "WORDS", ARGS_PATTERNS, ARGS_TEXT, 0, 0, NULL,
                     "one pattern instead of the list, as `pattern` takes it"},
    [ARG_REPEATS] = {"repeats", "N", ARGS_RUN | ARGS_PATTERNS, ARGS_NUMBER, 1, BENCH_MAX_SAMPLES, NULL,
                     "exactly N samples instead of what the time allows"},
    [ARG_RECORDINGS] = {"recordings", "N", ARGS_RECORD, ARGS_NUMBER, 1, 20000, NULL,
                        "of a turn; the best of five turns counts [10000]"},
    [ARG_SECONDS] = {"seconds", "S", ARGS_MEASURE | ARGS_LAYERS, ARGS_REAL, 1e-3, 1e6, NULL,
                     "time for the samples of a case [1]"},
    [ARG_LIMIT] = {"limit", "S", ARGS_SUITE | ARGS_SELF_TEST, ARGS_REAL, 1e-3, 1e6, NULL,
                   "start no case of a suite later than this [no limit]"},
    [ARG_SEED] = {"seed", "N", ARGS_MEASURE | ARGS_LAYERS | ARGS_ACCURACY, ARGS_NUMBER, SEEDS, NULL,
                  "of inputs and of the rows compared [1]"},
    [ARG_ALL] = {"all", NULL, ARGS_SUITE, ARGS_FLAG, 0, 0, NULL, "also cases that take long on a software driver"},
    [ARG_EXPLAIN] = {"explain", NULL, ARGS_RUN, ARGS_FLAG, 0, 0, NULL, "print the library's plan of every case"},
    [ARG_TUNING] = {"tuning", "FILE", ARGS_RUN | ARGS_OPTIONS, ARGS_TEXT, 0, 0, NULL, "use what `tune` measured"},
    [ARG_JSON] = {"json", "FILE", ARGS_MEASURE | ARGS_RECORD | ARGS_LAYERS, ARGS_TEXT, 0, 0, NULL,
                  "write the results to FILE"},
    [ARG_LIST] = {"list", NULL, ARGS_PATTERN, ARGS_FLAG, 0, 0, NULL, "print the names and their parameters"},
    [ARG_QUERIES] = {"queries", "N", ARGS_PATTERN, ARGS_NUMBER, SIZE, NULL, "query positions [of its grid, or 256]"},
    [ARG_KEYS] = {"keys", "N", ARGS_PATTERN, ARGS_NUMBER, SIZE, NULL, "key positions [as --queries]"},
    [ARG_TILE] = {"tile", "QxK", ARGS_PATTERN, ARGS_TEXT, 0, 0, NULL, "queries x keys of a tile [chosen]"},
    [ARG_MAPS] = {"heads", "N", ARGS_PATTERN, ARGS_NUMBER, 1, 65535, NULL, "a map for each of N heads [one for all]"},
    [ARG_KEEP_ORDER] = {"keep-order", NULL, ARGS_PATTERN, ARGS_FLAG, 0, 0, NULL,
                        "grids in the order of their tokens, not in boxes"},
    [ARG_BUILD] = {"build", "WHERE", ARGS_PATTERN, ARGS_NAME, 0, 0, builds, "auto, device or host [auto]"},
    [ARG_OUT] = {"out", "FILE", ARGS_PATTERN, ARGS_TEXT, 0, 0, NULL, "draw it: .svg or .png"},
    [ARG_LEVEL] = {"level", "LEVEL", ARGS_PATTERN, ARGS_NAME, 0, 0, levels,
                   "element: each query and key; tile: each tile [element]"},
    [ARG_QUERY] = {"query", "Y,X", ARGS_PATTERN, ARGS_TEXT, 0, 0, NULL,
                   "what this query of a grid sees; up to four times"},
    [ARG_HEAD] = {"head", "N", ARGS_PATTERN, ARGS_NUMBER, 0, 65535, NULL, "which head is drawn [0]"},
    [ARG_VERBOSE] = {"verbose", NULL, ARGS_MEASURE, ARGS_FLAG, 0, 0, NULL,
                     "-v: more about each result, 100 columns wide"},
};

const args_command bench_args_commands[] = {
    {"run", BENCH_COMMAND_RUN, ARGS_RUN, 0, "run [OPTION ...]", "measure a suite, or one shape [the default]",
     "Every case is verified against a float64 reference before it is timed."},
    {"devices", BENCH_COMMAND_DEVICES, ARGS_NONE, 0, "devices", "list the Vulkan devices", ""},
    {"compare", BENCH_COMMAND_COMPARE, ARGS_NONE, 2, "compare A.json B.json", "what is faster in B than in A?",
     "Takes two files that `run --json` wrote."},
    {"report", BENCH_COMMAND_REPORT, ARGS_NONE, -1, "report FILE.json ... [--out FILE] [--chart NAME]",
     "a page of charts of any number of devices and commits",
     "Takes files that `run`, `patterns` and `options` wrote with --json. --out FILE: the page, .html [report.html]. "
     "--chart NAME: one chart instead, as .svg: roofline, ratios, throughput, time, decode, window, patterns, options "
     "or norms. bench/README.md says what each shows."},
    {"options", BENCH_COMMAND_OPTIONS, ARGS_OPTIONS, 0, "options [OPTION ...]",
     "what each option of attention costs (masks, pages, ..)",
     "The time of attention with each option over that of the plain one, in turns, verified."},
    {"tune", BENCH_COMMAND_TUNE, ARGS_TUNE, 0, "tune [OPTION ...]", "find the fastest kernels here, for --tuning",
     "Measures which path and tile is the fastest and writes a record, to a file that may hold those of other "
     "devices. Only what beats the library's own choice by more than the spread is written."},
    {"record", BENCH_COMMAND_RECORD, ARGS_RECORD, 0, "record [OPTION ...]",
     "what recording an operation costs the host",
     "The time of recording each operation, from its description and from a plan, over that of the same Vulkan "
     "commands without the library. Nothing is submitted."},
    {"layers", BENCH_COMMAND_LAYERS, ARGS_LAYERS, 0, "layers [OPTION ...]",
     "what a layer costs, and a token of a model",
     "The time of an encoder's layer over that of its operations alone, in turns; and tokens of a model of GPT-2's "
     "shape with random weights, each a submission of one recording."},
    {"self-test", BENCH_COMMAND_SELF_TEST, ARGS_SELF_TEST, 0, "self-test [OPTION ...]",
     "does this device compute what it should?",
     "Runs the library's kernels on problems with known answers, and says which of them apps would do without after "
     "vka_device_self_test. Software drivers take minutes to compile all of them."},
    {"accuracy", BENCH_COMMAND_ACCURACY, ARGS_ACCURACY, 0, "accuracy [OPTION ...]",
     "what each type of cache does to attention's output",
     "Errors against float64 of caches of keys and values in f16, q8_0, i8 and q4_0, as they come and through Hadamard "
     "transforms, of inputs without outliers and with them."},
    {"patterns", BENCH_COMMAND_PATTERNS, ARGS_PATTERNS, 0, "patterns [OPTION ...]", "what well-known patterns cost",
     "The time of attention by each pattern against the dense one's, in turns, verified."},
    {"pattern", BENCH_COMMAND_PATTERN, ARGS_PATTERN, -1, "pattern PATTERN ... [OPTION ...]",
     "what is in one pattern, as numbers and a picture",
     "A PATTERN is name[:key=value ..][@heads]; several are joined by `or`, which may be left out, and `and`, which "
     "binds tighter."},
    {"help", BENCH_COMMAND_HELP, ARGS_NONE, -1, "help [COMMAND]", "this, or the options of a command", ""},
    {"version", BENCH_COMMAND_VERSION, ARGS_NONE, 0, "version", "the version", ""},
};
const size_t bench_args_command_count = sizeof bench_args_commands / sizeof *bench_args_commands;

const args_command *bench_args_command(const char *name) {
    for (size_t i = 0; i < bench_args_command_count; i++) {
        if (strcmp(bench_args_commands[i].name, name) == 0) {
            return &bench_args_commands[i];
        }
    }
    return NULL;
}

/* ---- help -------------------------------------------------------------------------------------------------------- */

enum { INDENT = 24 };

/* Those whose bits within `mask` are `bits`; with bits == 0: more than one of them. */
static bool in_section(const args_option *o, uint32_t mask, uint32_t bits) {
    uint32_t own = o->where & mask;
    return bits ? own == bits : (own & (own - 1)) != 0;
}

void bench_args_join_paths(const bench_operation *op, const char *last, char *text, size_t capacity) {
    const char *names[32];
    size_t count = 0;
    for (int path = 0; bench_path_names[path]; path++) {
        if (op->paths & BENCH_BIT(path)) {
            names[count++] = bench_path_names[path];
        }
    }
    bench_join(names, count, last, text, capacity);
}

/* What follows a help text that ends with operations, in static memory. */
#define OPERATIONS_SIZE 2048

static const char *operations_text(args_id id) {
    static char text[OPERATIONS_SIZE];
    char paths[128];
    text[0] = '\0';
    if (id == ARG_OP) {
        bench_join(&bench_op_names[1], BENCH_OPS - 1, " or ", text, sizeof text);
    }
    for (bench_op op = 1; id == ARG_PATH && op < BENCH_OPS; op++) {
        size_t used = strlen(text);
        bench_args_join_paths(bench_operation_of(op), ", ", paths, sizeof paths);
        if (*paths) {
            snprintf(text + used, sizeof text - used, "; of %s %s", bench_op_names[op], paths);
        }
    }
    return text;
}

/* Where an option means something else to some commands, or names operations. */
static const char *help_text(const args_option *o, uint32_t command) {
    static char text[OPERATIONS_SIZE + 80];
    bool tune = command == ARGS_TUNE;
    if (o == &bench_args_options[ARG_SECONDS] && !(command & ARGS_RUN)) {
        return tune                    ? "time for everything [120]"
               : command & ARGS_LAYERS ? "time for the samples of the layer [5]"
                                       : "time for everything [150]";
    }
    if (o == &bench_args_options[ARG_N] && (command & ARGS_LAYERS)) {
        return "tokens of the model, at most 1000 [64]";
    }
    if (o == &bench_args_options[ARG_OP] && tune) {
        return "only attention, or only linear";
    }
    if (o == &bench_args_options[ARG_JSON] && tune) {
        return "the record [vkattn-tuning.json]";
    }
    snprintf(text, sizeof text, "%s%s", o->help, operations_text((args_id)(o - bench_args_options)));
    return text;
}

static void print_options(FILE *file, const char *heading, uint32_t mask, uint32_t bits) {
    bool any = false;
    for (int i = 0; i < ARG_COUNT; i++) {
        const args_option *o = &bench_args_options[i];
        if (!in_section(o, mask, bits)) {
            continue;
        }
        if (!any) {
            fputc('\n', file);
            bench_wrap(file, heading, 0, 0, 80);
        }
        any = true;
        int n = fprintf(file, "  --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        fprintf(file, "%*s", n < INDENT ? INDENT - n : 1, "");
        bench_wrap(file, help_text(o, mask), n < INDENT ? INDENT : n + 1, INDENT, 80);
    }
}

/* The options under "the shape of one layer norm, with --op layer_norm:". */
static void print_shape(FILE *file, bench_shape shape) {
    const char *titles[BENCH_OPS], *names[BENCH_OPS];
    char heading[2 * OPERATIONS_SIZE + 40], title[OPERATIONS_SIZE], name[OPERATIONS_SIZE];
    size_t count = 0;
    for (bench_op op = 1; op < BENCH_OPS; op++) {
        if (bench_operation_of(op)->shape & shape) {
            titles[count] = bench_operation_of(op)->title;
            names[count++] = bench_operation_of(op)->name;
        }
    }
    bench_join(titles, count, " or ", title, sizeof title);
    bench_join(names, count, " or ", name, sizeof name);
    snprintf(heading, sizeof heading, "the shape of one %s, with --op %s:", title, name);
    print_options(file, heading, ARGS_RUN, shape);
}

static void help_of(FILE *file, const args_command *c) {
    fprintf(file, "usage: vkattn-bench %s\n\n", c->usage);
    bench_wrap(file, *c->more ? c->more : c->what, 0, 0, 80);
    if (c->command == BENCH_COMMAND_RUN) {
        print_options(file, "only for suites:", ARGS_RUN, ARGS_SUITE);
        for (uint32_t shape = 1; shape & ARGS_SHAPES; shape <<= 1) {
            print_shape(file, (bench_shape)shape);
        }
        print_options(file, "for all:", ARGS_RUN, 0);
    } else if (c->where != ARGS_NONE) {
        print_options(file, "options:", c->where, c->where);
    }
}

void bench_usage(FILE *file, const char *topic) {
    const args_command *c = topic ? bench_args_command(topic) : NULL;
    if (c) {
        help_of(file, c);
        return;
    }
    fputs("vkattn-bench: how fast is attention on this Vulkan device? Each result is\n"
          "verified before it is timed. Without a command: the suite `quick`, on the best\n"
          "device.\n\nusage: vkattn-bench [COMMAND] [OPTION ...]\n\n",
          file);
    for (size_t i = 0; i < bench_args_command_count; i++) {
        fprintf(file, "  %-10s %s\n", bench_args_commands[i].name, bench_args_commands[i].what);
    }
    fputs("\nvkattn-bench help COMMAND has its options, bench/README.md what numbers mean.\n"
          "Exit status: 0 done; 1 a case failed; 2 bad usage; 3 no such Vulkan device;\n"
          "130 stopped by Ctrl-C, with what was measured until then saved.\n",
          file);
}
