/* vkattn-bench: what its files share. One section per file, in the order in which a run goes through them.
 *
 * Numbers that were not measured are NaN: they print as "-" and become null in JSON.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_H
#define VKATTN_BENCH_H

#include <vkattn/additive_attention.h>
#include <vkattn/attention.h>
#include <vkattn/capsule.h>
#include <vkattn/conv.h>
#include <vkattn/elementwise.h>
#include <vkattn/embedding.h>
#include <vkattn/linear.h>
#include <vkattn/linear_attention.h>
#include <vkattn/norm.h>
#include <vkattn/vkattn.h>

#include "../src/core/format.h"
#include "pattern.h"

#include <stdio.h>

/* Exit statuses, part of the interface. */
typedef enum bench_exit {
    BENCH_EXIT_OK = 0,
    BENCH_EXIT_FAILED = 1,    /* a case was wrong or could not run, none was measured, or no file written */
    BENCH_EXIT_USAGE = 2,     /* the command line or an input file is unusable                       */
    BENCH_EXIT_NO_DEVICE = 3, /* no Vulkan device, or the one asked for can't be used                */
    BENCH_EXIT_STOPPED = 130, /* by Ctrl-C; what was measured is in a file                            */
} bench_exit;

/* ---- text.c: for people ------------------------------------------------------------------------------------------ */

/* "12.3" with four significant digits, "-" for NaN. The others have a unit. */
#define BENCH_NUMBER_SIZE 24
const char *bench_number(double value, char text[BENCH_NUMBER_SIZE]);
const char *bench_time_text(double ms, char text[BENCH_NUMBER_SIZE]);
const char *bench_flops_text(double tflops, char text[BENCH_NUMBER_SIZE]);
const char *bench_traffic_text(double gbps, char text[BENCH_NUMBER_SIZE]);
const char *bench_size_text(double bytes, char text[BENCH_NUMBER_SIZE]);
const char *bench_percent_text(double share, char text[BENCH_NUMBER_SIZE]); /* 1 is 100 % */

/* How wide a line may be: 80, with details 100. */
int bench_columns(bool verbose);
/* Writes text in lines of so many columns, the first of which has `column` of them, and a newline. */
void bench_wrap(FILE *file, const char *text, int column, int indent, int columns);
/* A line on stdout about a column of a table. */
void bench_column_help(const char *name, const char *meaning);

/* Letters that differ, neighbours that are swapped counting once; the case doesn't matter. */
uint32_t bench_distance(const char *a, const char *b);
/* "did you mean a or b?"; false, and "must be a, b or c", where nothing is near. */
#define BENCH_SUGGEST_SIZE 320
bool bench_suggest(const char *word, const char *const *names, size_t count, char text[BENCH_SUGGEST_SIZE]);
/* "a, b or c", where `last` is " or "; false: they don't fit. */
bool bench_join(const char *const *names, size_t count, const char *last, char *text, size_t capacity);

/* ---- term.c: the terminal ---------------------------------------------------------------------------------------- */

typedef enum bench_colour {
    BENCH_PLAIN,
    BENCH_BOLD,
    BENCH_FAINT,
    BENCH_GOOD,
    BENCH_BAD,
    BENCH_WARNING,
} bench_colour;

/* What makes the text that follows on stdout so; "" unless that is a terminal, or if NO_COLOR is set. */
const char *bench_style(bench_colour colour);

/* From now on Ctrl-C makes bench_stopped true, and the second one ends the program. */
void bench_catch_interrupt(void);
bool bench_stopped(void);

/* A bar with elapsed and remaining time, on stderr; where that is no terminal a line now and then. budget_s: it takes
 * no longer than that, or INFINITY. It is not there between pause and the next step: pause before writing to stdout. */
void bench_progress_start(size_t steps, double budget_s);
void bench_progress_step(size_t done, const char *text);
void bench_progress_pause(void);
void bench_progress_end(void);

/* A line on stderr. */
void bench_note(const char *format, ...) VKA_PRINTF(1, 2);

/* A new, empty file for the results of a command that was stopped before it had one; to be freed, NULL if none can be
 * made. */
char *bench_spare_file(const char *kind);

/* ---- case.c: one thing to measure, and what it costs --------------------------------------------------------- */

typedef enum bench_op {
    BENCH_OP_INVALID = 0,
#define BENCH_OP(ID, name) BENCH_##ID,
#include "ops.def"
    BENCH_OPS,
} bench_op;

/* What sizes an operation has: a bit each, as fields.def has sets of them. */
typedef enum bench_shape {
    BENCH_SHAPE_ATTENTION = 1,
    BENCH_SHAPE_ROWS = 2,
    BENCH_SHAPE_LINEAR = 4,
    BENCH_SHAPE_RESIDUAL = 8,
    BENCH_SHAPE_CACHE = 16,
} bench_shape;

/* The kernel asked for: the paths of all operations in one list. */
typedef enum bench_path {
    BENCH_PATH_AUTO = 0,
    BENCH_PATH_ROW, /* attention  */
    BENCH_PATH_TILE,
    BENCH_PATH_DECODE,
    BENCH_PATH_COOPMAT,
    BENCH_PATH_COOPMAT2,
    BENCH_PATH_DOT,
    BENCH_PATH_LANE, /* norms      */
    BENCH_PATH_GROUP,
    BENCH_PATH_VECTOR,    /* linear, beside tile and coopmat */
    BENCH_PATH_RECURRENT, /* linear attention */
    BENCH_PATH_CHUNKED,
    BENCH_PATH_COOPMAT_REGISTERS, /* attention */
    BENCH_PATH_INVALID = -1,
} bench_path;

/* Kinds of fields.def. */
typedef uint32_t bench_field_number;
typedef int32_t bench_field_bound;
typedef bool bench_field_flag;

typedef struct bench_case {
    char suite[16]; /* "custom" when the shape came from the command line */
    bench_op op;
    vka_dtype dtype;
    bench_path path;
    uint32_t splits;         /* 0: chosen by the library */
    vka_attention_tile tile; /* zero: likewise           */
#define BENCH_FIELD(kind, member, ...) bench_field_##kind member;
#include "fields.def"
} bench_case;

/* What a case must at least compute and move. */
typedef struct bench_cost {
    double flops;     /* attention: 2 (D + Dv) for each visible (query, key) pair; norms: NaN                  */
    double bytes;     /* each input read once (of k and v only the keys within reach), each output written once */
    double footprint; /* bytes of all tensors                                                                  */
    double pairs;     /* visible (query, key) pairs of one head; others: 0                                     */
} bench_cost;

/* By number, ended by NULL; those of operations from 1 on. */
extern const char *const bench_op_names[], *const bench_path_names[];
const char *bench_dtype_name(vka_dtype dtype);
const char *bench_path_name(bench_path path);
bench_op bench_op_parse(const char *name);     /* BENCH_OP_INVALID if unknown   */
vka_dtype bench_dtype_parse(const char *name); /* VKA_DTYPE_INVALID if unknown  */
bench_path bench_path_parse(const char *name); /* BENCH_PATH_INVALID if unknown */

/* Can this operation be asked for this path? */
bool bench_path_fits(bench_path path, bench_op op);
/* Of an attention: has it a bound of its window? */
bool bench_case_windowed(const bench_case *c);

/* NULL, or the rule that the case breaks. */
const char *bench_case_check(const bench_case *c);

/* A line that names the case and tells it from every other one; the suite is not part of it. */
#define BENCH_LABEL_SIZE 128
void bench_case_label(const bench_case *c, char label[BENCH_LABEL_SIZE]);
/* The same for tables: without what goes without saying. */
void bench_case_brief(const bench_case *c, char label[BENCH_LABEL_SIZE]);

bench_cost bench_case_cost(const bench_case *c);

/* Few queries read all keys: memory bounds them, not arithmetic. Norms always are. */
bool bench_case_memory_bound(const bench_case *c);

/* ---- suites.c: lists of cases ---------------------------------------------------------------------------------- */

#define BENCH_MAX_CASES 256
typedef struct bench_list {
    bench_case cases[BENCH_MAX_CASES];
    size_t count;
} bench_list;

/* Appends the cases of a suite, or of all but those of `gpu` and `gpu-tiny`; with list == NULL only looks. false: no
 * such suite. */
bool bench_suite_append(bench_list *list, const char *suite);

/* Too much for a software driver in a suite's time. */
bool bench_case_big(const bench_case *c);

/* ---- args.c: the command line ---------------------------------------------------------------------------------- */

typedef enum bench_command {
    BENCH_COMMAND_DEVICES = 1,
    BENCH_COMMAND_RUN = 2,
    BENCH_COMMAND_COMPARE = 3,
    BENCH_COMMAND_HELP = 4,
    BENCH_COMMAND_TUNE = 5,
    BENCH_COMMAND_OPTIONS = 6,
    BENCH_COMMAND_PATTERN = 7,
    BENCH_COMMAND_PATTERNS = 8,
    BENCH_COMMAND_VERSION = 9,
    BENCH_COMMAND_REPORT = 10,
    BENCH_COMMAND_RECORD = 11,
    BENCH_COMMAND_LAYERS = 12,
    BENCH_COMMAND_SELF_TEST = 13,
    BENCH_COMMAND_ACCURACY = 14,
} bench_command;

/* Of `pattern`. */
typedef struct bench_pattern_options {
    char *words;                   /* bench_pattern_parse; "" if there are none  */
    uint32_t queries, keys, heads; /* 0: not said                                */
    uint32_t query_tile, key_tile; /* 0: chosen by the library                   */
    bool keep_order, list;
    vka_pattern_build build;
    char *out;             /* file of the picture; NULL: none            */
    bench_drawing drawing; /* all but the grid, which the words say      */
} bench_pattern_options;

/* Of `report`; all of argv. */
typedef struct bench_page_options {
    const char **files;
    size_t count;
    const char *out, *chart; /* NULL: report.html; all charts */
} bench_page_options;

typedef struct bench_options {
    bench_command command;
    uint32_t device;   /* number as in `devices`; 0 = best                 */
    char suite[16];    /* empty: one shape, `single`                       */
    bench_case single; /* path and splits also apply to suites             */
    bench_op only_op;  /* of `tune`: only this one; INVALID = all           */
    vka_dtype only;    /* with a suite: run only this type; INVALID = all  */
    uint32_t repeats;  /* 0: as many as fit into `seconds`                 */
    double seconds;    /* time budget of a case's measurement              */
    double limit;      /* no case starts later than this; INFINITY: none   */
    uint64_t seed;
    bool all; /* also big cases on software drivers               */
    bool explain;
    bool verbose;          /* 100 columns, with details                      */
    char *json;            /* file to write; NULL: none. Freed by bench_options_free */
    char *tuning;          /* record that the library reads; NULL: none. Freed likewise */
    const char *compare_a; /* files to compare; of argv */
    const char *compare_b;
    const char *topic;   /* of `help`, of argv; NULL: all commands */
    uint32_t recordings; /* of `record`: of a turn */
    uint32_t tokens;     /* of `patterns`; 0 = those of its grid, or as the device has time for */
    bench_pattern_options pattern;
    bench_page_options page;
} bench_options;

/* false: the reason went to stderr. */
bool bench_options_parse(int argc, const char **argv, bench_options *options);
void bench_options_free(bench_options *options);
/* topic: a command, or NULL. */
void bench_usage(FILE *file, const char *topic);
void bench_pattern_options_free(bench_pattern_options *options);

/* One line on stderr: what is wrong, and the command that says more. Returns false. */
bool bench_complain(const char *see, const char *format, ...) VKA_PRINTF(2, 3);

/* ---- device.c: the device, made here and imported into the library --------------------------------------------- */

typedef struct bench_device bench_device;

/* Lists the devices on stdout. */
bench_exit bench_devices_print(void);

/* Opens device `number` as in vka_device_enumerate, 0 = the first, with the tuning record in a file, or none. NULL: the
 * reason went to stderr. */
bench_device *bench_device_open(uint32_t number, const char *tuning);
void bench_device_close(bench_device *d);
vka_device *bench_device_vka(const bench_device *d);
const vka_device_caps *bench_device_caps(const bench_device *d);
/* The first lines of every command that measures: what device this is, and what kind of one. */
void bench_device_introduce(const vka_device_caps *caps);
/* "discrete GPU", .. */
const char *bench_device_kind(vka_device_type type);
/* The same as a word of result files: "software". */
const char *bench_device_type(vka_device_type type);
/* What the library last logged as an error; "" if nothing since it was cleared. */
const char *bench_device_error(const bench_device *d);
void bench_device_clear_error(bench_device *d);

typedef enum bench_state {
    BENCH_DONE = 0,
    BENCH_FAILED = 1, /* wrong, or an error */
    BENCH_SKIPPED = 2,
} bench_state;

/* What a measurement that ended so came to: what the device can't do is skipped. The reason is the library's, or the
 * status's name. */
bench_state bench_device_state(const bench_device *d, vka_status status, char *reason, size_t size);

/* ---- timing.c: medians of GPU time ------------------------------------------------------------------------------ */

double bench_now_ms(void); /* wall clock */

typedef struct bench_timing {
    double median_ms, min_ms, max_ms; /* of one call                                            */
    double spread;                    /* of the middle half of the samples, over the median     */
    uint32_t repeats;                 /* samples                                                */
    uint32_t calls;                   /* calls in a sample, so that a sample is not too short   */
    bool host_clock;                  /* no GPU timestamps: wall clock around submit and wait   */
} bench_timing;

#define BENCH_MAX_SAMPLES 500
typedef struct bench_budget {
    uint32_t repeats; /* exactly, at most BENCH_MAX_SAMPLES; 0: as `seconds` allow */
    double seconds;
} bench_budget;

/* Records one call of what is measured. */
typedef vka_status (*bench_record_fn)(vka_recorder *recorder, void *user);

/* A recorder that can be measured. */
vka_status bench_recorder_create(vka_device *device, uint64_t scratch_bytes, vka_recorder **recorder);

/* A recording of one call, or of several where one is too short. */
typedef struct bench_sampler {
    vka_recorder *recorder;
    uint32_t calls;
    bool gpu_clock;
} bench_sampler;

/* Records one call, submits, waits: *ms is the time of that. */
vka_status bench_sampler_once(bench_sampler *s, vka_device *device, vka_recorder *recorder, bench_record_fn record,
                              void *user, double *ms);
/* The same, then records several calls where one is too short. They were not submitted yet. */
vka_status bench_sampler_begin(bench_sampler *s, vka_device *device, vka_recorder *recorder, bench_record_fn record,
                               void *user, double *ms);
/* Submits, waits; *ms is the time of one call. */
vka_status bench_sampler_take(const bench_sampler *s, double *ms);

/* Warms up, then measures until the budget is spent or Ctrl-C was pressed. */
vka_status bench_time(vka_device *device, vka_recorder *recorder, bench_record_fn record, void *user,
                      bench_budget budget, bench_timing *timing);

typedef struct bench_summary {
    double median, low, high; /* low, high: a quarter of the samples is below, and above */
} bench_summary;
/* Sorts them. */
bench_summary bench_summarise(double *samples, uint32_t count);

/* ---- turns.c: calls that take turns ------------------------------------------------------------------------------ */

/* A description with a recorder of its own. */
typedef struct bench_contender {
    vka_operation operation; /* whose description it is */
    union {
        vka_attention_desc desc;
        vka_linear_desc linear;
    };
    vka_recorder *recorder; /* to be destroyed */
    bench_sampler sampler;
    double first_ms; /* wall time until it had run once: what compiles, compiles there */
    double ms;       /* of a call, when it was prepared                                */
} bench_contender;

size_t bench_contender_desc_size(const bench_contender *x);

/* Makes the recorder; compiles, runs and records the call. */
vka_status bench_contender_prepare(vka_device *device, bench_contender *x);

typedef struct bench_score {
    double ms;     /* median                                                              */
    double ratio;  /* to the first contender's, the median of the turns: not of the times */
    double spread; /* of the middle half of these ratios                                  */
    uint32_t rounds;
} bench_score;

typedef struct bench_rounds {
    uint32_t least, most; /* at most BENCH_MAX_ROUNDS         */
    double end_ms;        /* no round after that but the least */
} bench_rounds;
#define BENCH_MAX_CONTENDERS 12
#define BENCH_MAX_ROUNDS     100

/* Every contender once a round, each round beginning with another one. With Ctrl-C it ends after a round; then, and
 * where something fails, numbers may be NaN. */
vka_status bench_take_turns(bench_contender *const *list, uint32_t count, bench_rounds rounds, bench_score *scores);

/* Is it faster than the first contender, by more than its spread? Fewer rounds say nothing: some agree by chance. */
#define BENCH_ROUNDS_TO_TRUST 9
bool bench_is_faster(const bench_score *score);

/* For a command that has some seconds altogether: is there time for what takes about so long? */
typedef struct bench_clock {
    double start_ms, end_ms;
} bench_clock;
bench_clock bench_clock_start(double seconds);
/* The end of the share of the next of `left` equal parts. */
double bench_clock_share(const bench_clock *c, size_t left);

/* ---- peak.c: what the device can do at best ---------------------------------------------------------------------- */

typedef struct bench_peaks {
    double tflops_f32;   /* multiply-adds on registers, counted as two                    */
    double copy_gbps;    /* vka_copy, bytes read + bytes written                          */
    uint64_t copy_bytes; /* size of the copied buffer                                     */
} bench_peaks;

/* What can't be measured stays NaN, with a line on stderr. */
bench_peaks bench_measure_peaks(const bench_device *d);

/* ---- problem.c: the tensors of a case, on host and device -------------------------------------------------------- */

typedef enum bench_slot {
    BENCH_Q,
    BENCH_K,
    BENCH_V,
    BENCH_X,
    BENCH_RESIDUAL,
    BENCH_WEIGHT,
    BENCH_BIAS,
    BENCH_TARGETS, /* i32, below the case's columns, or the rows of its table */
    BENCH_OUT,     /* outputs from here on */
    BENCH_SUM,
    BENCH_SLOTS,
} bench_slot;
#define BENCH_OUTPUTS (BENCH_SLOTS - BENCH_OUT)

typedef struct bench_tensor {
    size_t count; /* elements; 0: this case has no such tensor       */
    float *host;  /* inputs: the values, already rounded to storage  */
    vka_buffer *buffer;
    vka_tensor view;
} bench_tensor;

typedef struct bench_operation bench_operation; /* ops/op.h */

typedef struct bench_problem {
    const bench_case *c;
    const bench_operation *op;
    vka_device *device;
    bench_tensor tensors[BENCH_SLOTS];
} bench_problem;

/* Random inputs on host and device. On failure the problem is empty. */
vka_status bench_problem_create(bench_problem *p, vka_device *device, const bench_case *c, uint64_t seed);
void bench_problem_destroy(bench_problem *p);

/* Fills the outputs with NaN. */
vka_status bench_problem_poison(bench_problem *p);

/* The storage bytes of an output, to be freed; NULL if the case has no such output or there is no memory. */
void *bench_problem_read(const bench_problem *p, bench_slot slot);
size_t bench_problem_bytes(const bench_problem *p, bench_slot slot);

/* ---- ops/attention.c, ops/linear.c: for what measures these alone ------------------------------------------------ */

vka_attention_desc bench_attention_desc(const bench_problem *p);
vka_linear_desc bench_linear_desc(const bench_problem *p);
/* Of a path of the operation's own enumeration. */
bench_path bench_attention_path(uint32_t path);
bench_path bench_linear_path(uint32_t path);

/* ---- verify.c: is it right? -------------------------------------------------------------------------------------- */

typedef struct bench_check {
    bool ok;
    const char *why;    /* what is wrong; a static string, "" if nothing is */
    double max_error;   /* against float64, over the rows compared          */
    double naive_error; /* of the unfused computation, on the same rows     */
    uint64_t rows_checked, rows;
} bench_check;

/* Compares outputs (storage bytes, indexed by slot - BENCH_OUT) with the reference: all rows, or the first, the last
 * and a random sample that bounds the time. That no element is NaN or infinite is checked everywhere. */
bench_check bench_verify(const bench_problem *p, void *const outputs[BENCH_OUTPUTS], uint64_t seed);

/* ---- run.c: a case from beginning to end ------------------------------------------------------------------------- */

typedef struct bench_report bench_report;

#define BENCH_PLAN_SIZE 2048
typedef struct bench_result {
    bench_case c;
    bench_state state;
    char reason[320];           /* why it failed or was skipped */
    char path[32];              /* what really ran              */
    char plan[BENCH_PLAN_SIZE]; /* vka_*_explain: lines of "key: value" */
    bool verified;
    bench_check check;
    bench_timing timing;
    double first_call_ms; /* wall clock: prepare, record, submit, wait                  */
    double tflops, gbps;
    double share_of_peak; /* 0 .. 1; of copy_gbps when memory bound, else of tflops_f32 */
    uint64_t bytes_peak;  /* device memory: tensors and scratch                         */
} bench_result;

bench_exit bench_run(const bench_options *options);

/* Device, commit and date; no results. */
void bench_report_begin(bench_report *report, const bench_device *d, uint64_t seed);

/* One case: first call, verification, measurement. */
bench_result bench_run_case(const bench_options *options, bench_device *d, const bench_report *report,
                            const bench_case *c);

/* ---- tune.c: which path and tile is the fastest for each class of problems? -------------------------------------- */

/* Measures within options->seconds, prints what it found and writes the record to options->json. */
bench_exit bench_tune(const bench_options *options);

/* ---- options.c: what does each option of attention cost? --------------------------------------------------------- */

typedef struct bench_option_cost {
    const char *shape, *option; /* option: "plain" for the attention that the others are measured against */
    vka_dtype dtype;
    uint32_t heads, kv_heads, q_len, kv_len, head_dim;
    bench_state state;
    char reason[160];
    bench_score score;
    double plain_ms;   /* of the plain attention in the same turns */
    double goal;       /* of the ratio; NaN: none                  */
    double difference; /* largest, from the plain output           */
} bench_option_cost;

/* Prints a table of ratios to the plain attention, and writes it to options->json. */
bench_exit bench_costs(const bench_options *options);

/* ---- record.c: what does recording cost the host? ---------------------------------------------------------------- */

typedef struct bench_record_cost {
    const char *operation;
    bench_state state;
    char reason[160];
    uint64_t dispatches;
    size_t commands;             /* Vulkan commands of a recording                                 */
    double bare_us, plan_us, us; /* the shortest of the turns, of a recording: see bench/README.md */
} bench_record_cost;

/* Prints a table of all operations, and writes it to options->json. */
bench_exit bench_record(const bench_options *options);

/* ---- layers.c: what do whole layers cost? --------------------------------------------------------------------------
 */

/* Prints what an encoder's layer and tokens of a model cost, and writes it to options->json. */
bench_exit bench_layers(const bench_options *options);
bench_exit bench_accuracy(const bench_options *options);

/* ---- self_test.c: is the device right? -----------------------------------------------------------------------------
 */

/* Prints what vka_device_self_test finds. A wrong answer is a failure. */
bench_exit bench_self_test(const bench_options *options);

/* ---- pattern.c: what is in a pattern? ---------------------------------------------------------------------------- */

/* Prints what a pattern costs, and draws it. */
bench_exit bench_pattern_show(const bench_options *options);

/* ---- pattern_costs.c: how close to the speed of a dense attention do live tiles run? ----------------------------- */

typedef struct bench_pattern_cost {
    const char *words; /* of bench_pattern_parse */
    uint32_t tokens;
    bench_state state;
    char reason[320]; /* why it failed or was skipped */
    vka_pattern_info info;
    double live_share;   /* live tiles of all tiles                                                  */
    double build_ms;     /* median                                                                   */
    double ms, dense_ms; /* medians; dense_ms is NaN where it isn't measured                         */
    double ratio;        /* time / (dense time * live_share), the median of turns                    */
    double spread;       /* of that                                                                  */
    struct {
        double out, naive;
    } error; /* largest of the rows compared with float64, and that of the unfused computation */
} bench_pattern_cost;

/* Prints a table, and writes it to options->json. */
bench_exit bench_pattern_costs(const bench_options *options);

/* ---- report.c: for people ---------------------------------------------------------------------------------------- */

struct bench_report {
    char device[256], driver[256];
    vka_device_type type;
    char commit[64], date[32];
    uint64_t seed;
    bench_peaks peaks;
    bench_result *results;
    size_t count;
};

/* suite: "" for one shape. */
void bench_report_header(const bench_report *report, const vka_device_caps *caps, const char *suite);
void bench_report_result(const bench_result *result, bool verbose);
/* What the columns mean, and how many results there are. */
void bench_report_footer(const bench_report *report);
/* A line for what wasn't measured: its name, FAIL or SKIP, why. */
void bench_report_reason(const char *name, bench_state state, const char *reason, int columns);
/* The last lines of a command: whether it was stopped, and the file that holds its results; NULL: there is none. */
void bench_report_end(const char *what, size_t measured, size_t all, const char *file);

/* ---- json.c: for programs ---------------------------------------------------------------------------------------- */

#define BENCH_SCHEMA "vkattn-bench/1"

bool bench_json_write(const bench_report *report, const char *path);

/* The case that an object describes. false: it is none. */
struct cJSON;
bool bench_json_get_case(const struct cJSON *object, bench_case *c);

#define BENCH_PATTERNS_SCHEMA "vkattn-bench-patterns/1"
bool bench_json_write_patterns(const bench_report *report, const bench_pattern_cost *costs, size_t count,
                               const char *path);

#define BENCH_OPTIONS_SCHEMA "vkattn-bench-options/1"
bool bench_json_write_options(const bench_report *report, double seconds, const bench_option_cost *costs, size_t count,
                              const char *path);

#define BENCH_LAYERS_SCHEMA "vkattn-bench-layers/1"

#define BENCH_RECORD_SCHEMA "vkattn-bench-record/1"
bool bench_json_write_record(const bench_report *report, uint32_t recordings, const bench_record_cost *costs,
                             size_t count, const char *path);

/* Can the file be made, or replaced? Otherwise the reason went to stderr. */
bool bench_json_writable(const char *path);

/* What is wrong with a tuning record; NULL: nothing. */
#define BENCH_NO_RECORD "is no tuning record"
const char *bench_json_check_tuning(const char *path);

/* What a record calls an operation's list of rules and their members: as in docs/tuning.md. */
enum { BENCH_TUNED_SIZES = 3, BENCH_TUNED_TILE = 4 };
typedef struct bench_tuned_names {
    const char *list, *size[BENCH_TUNED_SIZES], *tile[BENCH_TUNED_TILE]; /* size: NULL behind the last one */
} bench_tuned_names;

/* What tuning found for a class. */
typedef struct bench_tuned {
    const bench_tuned_names *names;
    vka_dtype dtype;
    uint32_t most[BENCH_TUNED_SIZES], above[BENCH_TUNED_SIZES]; /* most = 0: any */
    bench_path path;
    uint32_t tile[BENCH_TUNED_TILE];
    uint32_t workgroups;                  /* 0: not measured */
    double ms, default_ms, ratio, spread; /* ratio to the default, and its spread, by turns */
} bench_tuned;

/* Writes the record of a device into a file, in place of one that the file may have of the same device and driver; or
 * only the list of rules of one operation in it. list = NULL: all. */
bool bench_json_write_tuning(const vka_device_caps *caps, const bench_tuned *rules, size_t count, const char *list,
                             const char *path);
/* Fills a report, whose results are to be freed. false: the reason went to stderr. */
bool bench_json_read(const char *path, bench_report *report);

/* ---- compare.c --------------------------------------------------------------------------------------------------- */

bench_exit bench_compare(const char *path_a, const char *path_b);

/* ---- page/: results of many devices as a page -------------------------------------------------------------------- */

/* Takes the arguments behind `report`, and changes their order. Otherwise as bench_options_parse. */
bool bench_page_options_parse(int argc, const char **argv, bench_page_options *options);
bench_exit bench_page(const bench_page_options *options);

#endif
