/* vkattn-bench: the table of its commands and options, which reading and help share.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_ARGS_H
#define VKATTN_BENCH_ARGS_H

#include "ops/op.h"

/* What an option may stand with: a bit for each command, and for each kind of run. */
enum {
    ARGS_SHAPES = BENCH_SHAPE_ATTENTION | BENCH_SHAPE_ROWS | BENCH_SHAPE_LINEAR | BENCH_SHAPE_RESIDUAL |
                  BENCH_SHAPE_CACHE, /* run --op */
    ARGS_SUITE = 1 << 8,             /* run --suite, or nothing */
    ARGS_TUNE = 1 << 9,
    ARGS_OPTIONS = 1 << 10,
    ARGS_PATTERNS = 1 << 11,
    ARGS_PATTERN = 1 << 12,
    ARGS_NONE = 1 << 13, /* a command without options */
    ARGS_RECORD = 1 << 14,
    ARGS_LAYERS = 1 << 15,
    ARGS_SELF_TEST = 1 << 16,
    ARGS_ACCURACY = 1 << 17,
    ARGS_RUN = ARGS_SUITE | ARGS_SHAPES,
    ARGS_MEASURE = ARGS_RUN | ARGS_TUNE | ARGS_OPTIONS | ARGS_PATTERNS,
};

typedef enum args_kind {
    ARGS_FLAG,
    ARGS_NUMBER, /* a whole number        */
    ARGS_REAL,
    ARGS_NAME, /* one of `names`        */
    ARGS_TEXT,
} args_kind;

typedef enum args_id {
    ARG_DEVICE,
    ARG_SUITE,
    ARG_OP,
#define BENCH_FIELD(kind, member, ID, ...) ARG_##ID,
#include "fields.def"
    ARG_DTYPE,
    ARG_PATH,
    ARG_SPLITS,
    ARG_N,
    ARG_PATTERN,
    ARG_REPEATS,
    ARG_RECORDINGS,
    ARG_SECONDS,
    ARG_LIMIT,
    ARG_SEED,
    ARG_ALL,
    ARG_EXPLAIN,
    ARG_TUNING,
    ARG_JSON,
    ARG_LIST,
    ARG_QUERIES,
    ARG_KEYS,
    ARG_TILE,
    ARG_MAPS,
    ARG_KEEP_ORDER,
    ARG_BUILD,
    ARG_OUT,
    ARG_LEVEL,
    ARG_QUERY,
    ARG_HEAD,
    ARG_VERBOSE,
    ARG_COUNT,
} args_id;

typedef struct args_option {
    const char *name, *value; /* value: what help calls it; NULL for a flag */
    uint32_t where;
    args_kind kind;
    double least, most; /* of a number */
    const char *const *names;
    const char *help;
} args_option;
extern const args_option bench_args_options[ARG_COUNT];

typedef struct args_command {
    const char *name;
    bench_command command;
    uint32_t where; /* options that it may have */
    int words;      /* arguments that it needs; -1: any number */
    const char *usage, *what, *more;
} args_command;
extern const args_command bench_args_commands[];
extern const size_t bench_args_command_count;

/* NULL if there is none. */
const args_command *bench_args_command(const char *name);

/* What was given: the values as text, NULL where an option is absent. */
typedef struct args_given {
    const args_command *command;
    uint32_t where; /* one bit: the command, or the kind of run */
    char *text[ARG_COUNT];
    char *queries[BENCH_MAX_POINTS + 1]; /* of --query, which may be repeated */
    uint32_t query_count;
    char *words; /* arguments, with spaces between */
} args_given;

/* Those of an option that is not given: `otherwise`. false: the reason went to stderr. */
bool bench_args_number(const args_given *given, args_id id, uint32_t otherwise, uint32_t *value);
bool bench_args_bound(const args_given *given, args_id id, int32_t otherwise, int32_t *value);
bool bench_args_flag(const args_given *given, args_id id, bool otherwise, bool *value);
bool bench_args_real(const args_given *given, args_id id, double otherwise, double *value);
/* The index in the option's names. */
bool bench_args_name(const args_given *given, args_id id, int otherwise, int *value);
/* "row, tile and dot", where `last` is " and ". */
void bench_args_join_paths(const bench_operation *op, const char *last, char *text, size_t capacity);
/* Says what is wrong with the value of an option. Returns false. */
bool bench_args_refuse(const args_given *given, args_id id, const char *rule);

/* pattern_args.c: the options of `pattern`. Takes what it keeps out of `given`. */
bool bench_args_pattern(args_given *given, bench_pattern_options *o);

#endif
