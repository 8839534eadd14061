/* What each option of attention costs: the time of an attention with it over that of the plain one, both in one run.
 *
 * Options are given values that change nothing (masks of all, biases of 0, pages in another order, ..), so that the
 * plain output verifies them; quantised and rounded types are compared within what their rounding may do.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include "reference.h"

#ifdef BENCH_SCORE_FUNCTION
#    include "alibi_function.h"
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A tensor on the device, with its values here. */
typedef struct array {
    vka_tensor view;
    float *values; /* as stored */
    size_t count;
} array;

typedef struct problem_shape {
    const char *name;
    uint32_t heads, kv_heads, q_len, kv_len, dim;
    bool software; /* where it is measured */
} problem_shape;

/* Those of software drivers take a tenth of a second on two cores, even by old drivers. */
static const problem_shape shapes[] = {
    {"prefill", 4, 4, 512, 512, 64, true},
    {"decode", 32, 8, 1, 4096, 128, true},
    {"prefill", 32, 32, 4096, 4096, 128, false},
    {"decode", 32, 8, 1, 16384, 128, false},
};

enum { PAGE = 64 };

typedef struct bench_set {
    const problem_shape *s;
    bench_device *bench_device;
    vka_device *device;
    bool verbose;
    double longest_ms; /* that an option needed at least */
    vka_dtype dtype;
    ref_rng rng;
    array q, k, v, out;
    array extra[4]; /* of the option measured */
    uint32_t extras;
    float *plain;     /* the plain output */
    double tolerance; /* of the option measured */
} bench_set;

static array make(bench_set *b, vka_dtype dtype, uint32_t rank, const uint32_t *shape, const float *values) {
    array a = {.view = {.dtype = dtype, .rank = rank}, .count = 1};
    for (uint32_t i = 0; i < rank; i++) {
        a.view.shape[i] = shape[i];
        a.count *= shape[i];
    }
    size_t bytes = a.count / vka_dtype_block(dtype) * vka_dtype_size(dtype);
    void *storage = calloc(1, bytes + 4);
    a.values = calloc(a.count, sizeof *a.values);
    if (values) {
        memcpy(a.values, values, a.count * sizeof *values);
    }
    ref_store(dtype, storage, a.values, a.count);
    vka_buffer_desc desc = {.size = bytes};
    if (vka_buffer_create(b->device, &desc, &a.view.buffer) == VKA_OK) {
        vka_buffer_write(a.view.buffer, 0, storage, bytes);
    }
    free(storage);
    return a;
}

static void drop(array *a) {
    vka_buffer_destroy(&a->view.buffer);
    free(a->values);
    *a = (array){0};
}

static vka_tensor add(bench_set *b, vka_dtype dtype, uint32_t rank, const uint32_t *shape, const float *values) {
    array *a = &b->extra[b->extras++];
    *a = make(b, dtype, rank, shape, values);
    return a->view;
}

static vka_tensor add_constant(bench_set *b, vka_dtype dtype, uint32_t rank, const uint32_t *shape, float value) {
    size_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        count *= shape[i];
    }
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = value;
    }
    vka_tensor t = add(b, dtype, rank, shape, values);
    free(values);
    return t;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void causal(bench_set *b, vka_attention_desc *d) {
    (void)b;
    d->causal = true;
}

static void softcap(bench_set *b, vka_attention_desc *d) {
    (void)b;
    d->softcap = 1e4f;
}

static void mask_of(bench_set *b, vka_attention_desc *d, vka_dtype dtype, float value) {
    uint32_t shape[] = {b->s->q_len, b->s->kv_len};
    d->mask = add_constant(b, dtype, 2, shape, value);
}

static void mask_u8(bench_set *b, vka_attention_desc *d) {
    mask_of(b, d, VKA_U8, 1);
}

static void mask_f16(bench_set *b, vka_attention_desc *d) {
    mask_of(b, d, VKA_F16, 0);
}

static void mask_f32(bench_set *b, vka_attention_desc *d) {
    mask_of(b, d, VKA_F32, 0);
}

static void alibi(bench_set *b, vka_attention_desc *d) {
    d->alibi_slopes = add_constant(b, VKA_F32, 1, &b->s->heads, 0);
}

#ifdef BENCH_SCORE_FUNCTION
/* ALiBi's, as a function of the caller's. */
static void score_function(bench_set *b, vka_attention_desc *d) {
    d->score_function = &alibi_function;
    d->score_tensors[0] = add_constant(b, VKA_F32, 1, &b->s->heads, 0);
}
#endif

static void relative(bench_set *b, vka_attention_desc *d) {
    uint32_t shape[] = {b->s->heads, 257};
    d->relative_bias = add_constant(b, VKA_F32, 2, shape, 0);
    d->relative_zero = 128;
}

/* All rows are of length sqrt(D), so that this is the default scale. */
static void cosine(bench_set *b, vka_attention_desc *d) {
    d->cosine_scale = add_constant(b, VKA_F32, 1, &b->s->heads, sqrtf((float)b->s->dim));
}

static void relative_keys(bench_set *b, vka_attention_desc *d) {
    uint32_t shape[] = {b->s->heads, b->s->kv_len, b->s->dim}, biases[] = {b->s->heads, b->s->dim};
    d->relative_keys = add_constant(b, b->dtype, 3, shape, 0);
    d->content_bias = add_constant(b, VKA_F32, 2, biases, 0);
    d->position_bias = add_constant(b, VKA_F32, 2, biases, 0);
}

static void sinks(bench_set *b, vka_attention_desc *d) {
    d->sinks = add_constant(b, VKA_F32, 1, &b->s->heads, -INFINITY);
}

static void lengths(bench_set *b, vka_attention_desc *d) {
    uint32_t one = 1;
    d->kv_lengths.tensor = add_constant(b, VKA_I32, 1, &one, (float)b->s->kv_len);
}

static void stats(bench_set *b, vka_attention_desc *d) {
    uint32_t shape[] = {1, b->s->heads, b->s->q_len, 2};
    d->stats = add_constant(b, VKA_F32, 4, shape, 0);
}

static void dropout(bench_set *b, vka_attention_desc *d) {
    (void)b;
    d->dropout = 1e-9f;
}

/* As its documentation recommends it for few queries. */
static void batch_invariant(bench_set *b, vka_attention_desc *d) {
    d->determinism = VKA_DETERMINISM_BATCH;
    d->path = b->s->q_len < 8 ? VKA_ATTENTION_PATH_DECODE : VKA_ATTENTION_PATH_AUTO;
    d->splits = b->s->q_len < 8 ? 8 : 0;
}

/* The pages of k or v, the last one first. */
static vka_tensor pages_of(bench_set *b, const array *a) {
    uint32_t pages = b->s->kv_len / PAGE, heads = b->s->kv_heads, dim = b->s->dim;
    float *values = malloc(a->count * sizeof *values);
    for (uint32_t page = 0; page < pages; page++) {
        for (uint32_t h = 0; h < heads; h++) {
            memcpy(values + ((size_t)page * heads + h) * PAGE * dim,
                   a->values + ((size_t)h * b->s->kv_len + (size_t)(pages - 1 - page) * PAGE) * dim,
                   (size_t)PAGE * dim * sizeof *values);
        }
    }
    uint32_t shape[] = {pages, heads, PAGE, dim};
    vka_tensor t = add(b, b->dtype, 4, shape, values);
    free(values);
    return t;
}

static void paged(bench_set *b, vka_attention_desc *d) {
    uint32_t shape[] = {1, b->s->kv_len / PAGE};
    float *table = malloc(shape[1] * sizeof *table);
    for (uint32_t i = 0; i < shape[1]; i++) {
        table[i] = (float)(shape[1] - 1 - i);
    }
    d->k = pages_of(b, &b->k);
    d->v = pages_of(b, &b->v);
    d->page_table = add(b, VKA_I32, 2, shape, table);
    free(table);
}

static void blocks(bench_set *b, vka_attention_desc *d, vka_dtype dtype, double tolerance) {
    d->k = add(b, dtype, 4, b->k.view.shape, b->k.values);
    d->v = add(b, dtype, 4, b->v.view.shape, b->v.values);
    b->tolerance = tolerance;
}

static void q8_0(bench_set *b, vka_attention_desc *d) {
    blocks(b, d, VKA_Q8_0, 0.05);
}

static void q4_0(bench_set *b, vka_attention_desc *d) {
    blocks(b, d, VKA_Q4_0, 0.5);
}

/* Values of +-2 as bytes. */
static vka_tensor bytes_of(bench_set *b, const array *a) {
    float *values = malloc(a->count * sizeof *values);
    for (size_t i = 0; i < a->count; i++) {
        values[i] = roundf(a->values[i] * 127 / 2);
    }
    vka_tensor t = add(b, VKA_I8, 4, a->view.shape, values);
    free(values);
    return t;
}

static void i8(bench_set *b, vka_attention_desc *d) {
    uint32_t shape[] = {1, b->s->kv_heads, b->s->kv_len};
    d->k = bytes_of(b, &b->k);
    d->v = bytes_of(b, &b->v);
    d->k_scale = add_constant(b, VKA_F32, 3, shape, 2.0f / 127);
    d->v_scale = add_constant(b, VKA_F32, 3, shape, 2.0f / 127);
    b->tolerance = 0.05;
}

/* For each query a list of all keys, the last one first, as place `step` * key. */
static void list_keys(bench_set *b, vka_attention_desc *d, uint32_t step) {
    uint32_t shape[] = {1, 1, b->s->q_len, b->s->kv_len}, keys = b->s->kv_len;
    size_t count = (size_t)b->s->q_len * keys;
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(step * (keys - 1 - i % keys));
    }
    d->key_lists = add(b, VKA_I32, 4, shape, values);
    free(values);
}

static void lists(bench_set *b, vka_attention_desc *d) {
    list_keys(b, d, 1);
}

/* Keys or values, each `step`-th row of a longer tensor, whose other rows nobody should read. */
static vka_tensor spread(bench_set *b, const array *a, uint32_t step) {
    uint32_t shape[] = {1, b->s->kv_heads, step * b->s->kv_len, b->s->dim};
    float *values = malloc(step * a->count * sizeof *values);
    for (size_t row = 0; row < step * a->count / b->s->dim; row++) {
        for (uint32_t i = 0; i < b->s->dim; i++) {
            values[row * b->s->dim + i] = row % step ? NAN : a->values[row / step * b->s->dim + i];
        }
    }
    vka_tensor t = add(b, b->dtype, 4, shape, values);
    free(values);
    return t;
}

static void lists_of_some(bench_set *b, vka_attention_desc *d) {
    d->k = spread(b, &b->k, 4);
    d->v = spread(b, &b->v, 4);
    list_keys(b, d, 4);
}

typedef struct option {
    const char *name;
    void (*apply)(bench_set *b, vka_attention_desc *d);
    double goal;   /* of the ratio; 0: none */
    bool last_row; /* only the last query's output is the plain one's */
} option;

static const option options[] = {
    {"causal", causal, 0.6, true},
    {"mask u8", mask_u8, 1.3, false},
    {"mask f16", mask_f16, 1.3, false},
    {"mask f32", mask_f32, 1.3, false},
    {"softcap", softcap, 1.2, false},
    {"ALiBi", alibi, 1.1, false},
#ifdef BENCH_SCORE_FUNCTION
    {"score function", score_function, 0, false},
#endif
    {"sinks", sinks, 1.1, false},
    {"relative bias", relative, 0, false},
    {"key lengths", lengths, 0, false},
    {"stats", stats, 0, false},
    {"dropout", dropout, 0, false},
    {"paged", paged, 1.15, false},
    {"q8_0 keys, values", q8_0, 0, false},
    {"q4_0 keys, values", q4_0, 0, false},
    {"i8 keys, values", i8, 0, false},
    {"cosine", cosine, 0, false},
    {"relative keys", relative_keys, 0, false},
    {"batch invariant", batch_invariant, 0, false},
    {"lists of all keys", lists, 0, false},
    {"lists, 1 key of 4", lists_of_some, 0, false},
};
#define OPTIONS (sizeof options / sizeof *options)

/* ---- measurement ------------------------------------------------------------------------------------------------- */

static float *read_output(const bench_set *b) {
    size_t bytes = b->out.count * vka_dtype_size(b->dtype);
    void *storage = malloc(bytes);
    float *values = malloc(b->out.count * sizeof *values);
    if (vka_buffer_read(b->out.view.buffer, 0, storage, bytes) == VKA_OK) {
        ref_load(b->dtype, values, storage, b->out.count);
    }
    free(storage);
    return values;
}

/* The largest difference from the plain output. */
static double difference(const bench_set *b, bool last_row, const float *out) {
    double worst = 0;
    for (size_t i = 0; i < b->out.count; i++) {
        bool counts = !last_row || i / b->s->dim % b->s->q_len == b->s->q_len - 1;
        double error = fabs((double)out[i] - (double)b->plain[i]);
        if (counts && !(error <= worst)) {
            worst = error;
        }
    }
    return worst;
}

static vka_attention_desc plain_desc(const bench_set *b) {
    return (vka_attention_desc){.q = b->q.view, .k = b->k.view, .v = b->v.view, .out = b->out.view};
}

/* Ratios are medians of at least so many turns, and of no more than tell anything. */
enum { LEAST_ROUNDS = 5, MOST_ROUNDS = 25 };

static void fail(bench_set *b, bench_option_cost *cost, vka_status status, const char *why) {
    const char *said = bench_device_error(b->bench_device);
    cost->state = status == VKA_UNSUPPORTED || status == VKA_OUT_OF_MEMORY ? BENCH_SKIPPED : BENCH_FAILED;
    snprintf(cost->reason, sizeof cost->reason, "%s", *why ? why : *said ? said : vka_status_string(status));
}

/* Verified, then timed in turns with the plain attention until `end_ms`. */
static void measure_option(bench_set *b, const option *x, bench_contender *plain, double end_ms,
                           bench_option_cost *cost) {
    bench_contender with = {.operation = VKA_OPERATION_ATTENTION, .desc = plain_desc(b)};
    bench_contender *const both[] = {plain, &with};
    bench_score scores[2];
    b->tolerance = b->dtype == VKA_F32 ? 1e-4 : 1e-2;
    bench_device_clear_error(b->bench_device);
    x->apply(b, &with.desc);
    vka_status status = bench_contender_prepare(b->device, &with);
    b->longest_ms = fmax(b->longest_ms, with.first_ms + LEAST_ROUNDS * (plain->ms + with.ms));
    float *out = read_output(b);
    cost->difference = status == VKA_OK ? difference(b, x->last_row, out) : NAN;
    bool right = status == VKA_OK && cost->difference <= b->tolerance;
    if (right) {
        bench_rounds rounds = {LEAST_ROUNDS, MOST_ROUNDS, end_ms};
        status = bench_take_turns(both, 2, rounds, scores);
    }
    if (!right || status != VKA_OK) {
        fail(b, cost, status, status == VKA_OK ? "WRONG: other values than the plain attention's" : "");
    } else {
        cost->state = BENCH_DONE;
        cost->score = scores[1];
        cost->plain_ms = scores[0].ms;
    }
    free(out);
    vka_recorder_destroy(&with.recorder);
    for (; b->extras; b->extras--) {
        drop(&b->extra[b->extras - 1]);
    }
}

/* Rows of q, k and v all have the length sqrt(D). */
static void scale_row(float *x, uint32_t count) {
    double squares = 0;
    for (uint32_t i = 0; i < count; i++) {
        squares += (double)x[i] * (double)x[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        x[i] = (float)((double)x[i] * sqrt(count / squares));
    }
}

static array random_array(bench_set *b, uint32_t heads, uint32_t rows) {
    uint32_t shape[] = {1, heads, rows, b->s->dim};
    size_t count = (size_t)heads * rows * b->s->dim;
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = ref_rng_uniform(&b->rng, -1, 1);
    }
    for (size_t row = 0; row < count / b->s->dim; row++) {
        scale_row(values + row * b->s->dim, b->s->dim);
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = ref_round(b->dtype, values[i]);
    }
    array a = make(b, b->dtype, 4, shape, values);
    free(values);
    return a;
}

/* ---- the tables -------------------------------------------------------------------------------------------------- */

enum { NAME = 20, TIME = 9, RATIO = 7, SPREAD = 7, GOAL = 6 };

static void print_heading(const bench_set *b, double plain_ms) {
    char time[BENCH_NUMBER_SIZE];
    printf("\n%s%s, %s%s: H %u/%u, Nq %u, Nk %u, D %u; plain attention: %s\n", bench_style(BENCH_BOLD), b->s->name,
           bench_dtype_name(b->dtype), bench_style(BENCH_PLAIN), b->s->heads, b->s->kv_heads, b->s->q_len, b->s->kv_len,
           b->s->dim, bench_time_text(plain_ms, time));
    printf("%s%-*s %*s %*s %*s %*s%s\n", bench_style(BENCH_BOLD), NAME, "option", TIME, "time", RATIO, "ratio", SPREAD,
           "spread", GOAL, "goal", bench_style(BENCH_PLAIN));
}

static void print_cost(const bench_option_cost *c, bool verbose) {
    char time[BENCH_NUMBER_SIZE], plain[BENCH_NUMBER_SIZE], spread[BENCH_NUMBER_SIZE], goal[BENCH_NUMBER_SIZE] = "-";
    if (c->state != BENCH_DONE) {
        bench_report_reason(c->option, c->state, c->reason, bench_columns(verbose));
        return;
    }
    if (isfinite(c->goal)) {
        snprintf(goal, sizeof goal, "%.2f", c->goal);
    }
    printf("%-*s %*s %*.2f %*s %*s", NAME, c->option, TIME, bench_time_text(c->score.ms, time), RATIO, c->score.ratio,
           SPREAD, bench_percent_text(c->score.spread, spread), GOAL, goal);
    if (c->score.ratio - c->score.spread > c->goal) {
        printf("  %sabove its goal%s", bench_style(BENCH_WARNING), bench_style(BENCH_PLAIN));
    }
    if (verbose) {
        printf("  %u turns, plain %s", c->score.rounds, bench_time_text(c->plain_ms, plain));
    }
    printf("\n");
    fflush(stdout);
}

static void print_help(void) {
    printf("\n");
    bench_column_help("option", "attention with it, given values that change nothing, so that it is verified");
    bench_column_help("time", "of one call, the median of turns with the plain attention");
    bench_column_help("ratio", "to the plain attention's time: the median of the turns' ratios");
    bench_column_help("spread", "of the middle half of these ratios");
    bench_column_help("goal", "the ratio that this project wants to stay below, where it has set one");
}

/* ---- everything -------------------------------------------------------------------------------------------------- */

/* The whole list of what will be measured is there from the beginning, so that the file says what was not reached. */
#define MAX_COSTS (4 * 2 * (int)OPTIONS)
typedef struct costs_list {
    bench_option_cost at[MAX_COSTS];
    size_t count, done;
} costs_list;

/* Causality does nothing for one query at the end. */
static bool applies(const problem_shape *s, const option *x) {
    return s->q_len > 1 || !x->last_row;
}

static size_t count_options(const problem_shape *s) {
    size_t count = 0;
    for (size_t i = 0; i < OPTIONS; i++) {
        count += applies(s, &options[i]);
    }
    return count;
}

static void expect(costs_list *list, const problem_shape *s, vka_dtype dtype) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (applies(s, &options[i])) {
            list->at[list->count++] = (bench_option_cost){.shape = s->name,
                                                          .option = options[i].name,
                                                          .dtype = dtype,
                                                          .heads = s->heads,
                                                          .kv_heads = s->kv_heads,
                                                          .q_len = s->q_len,
                                                          .kv_len = s->kv_len,
                                                          .head_dim = s->dim,
                                                          .state = BENCH_SKIPPED,
                                                          .reason = "not reached",
                                                          .plain_ms = NAN,
                                                          .difference = NAN,
                                                          .score = {NAN, NAN, NAN, 0},
                                                          .goal = options[i].goal > 0 ? options[i].goal : NAN};
        }
    }
}

/* Those from `first` on, in one line. */
static void skip_rest(costs_list *list, size_t first, size_t count, const char *reason, bool verbose) {
    char name[64];
    for (size_t i = first; i < first + count; i++) {
        snprintf(list->at[i].reason, sizeof list->at[i].reason, "%s", reason);
    }
    snprintf(name, sizeof name, count > 1 ? "%s and %zu more" : "%s", list->at[first].option, count - 1);
    bench_progress_pause();
    bench_report_reason(name, BENCH_SKIPPED, reason, bench_columns(verbose));
}

/* The options of a shape, in its share of the time: each gets an equal part of what is left. Once one is likely not to
 * end in time, judged by the longest so far, none is begun. */
static void measure_options(bench_set *b, costs_list *list, bench_contender *plain, bench_clock time) {
    size_t left = count_options(b->s);
    for (size_t i = 0; i < OPTIONS; i++) {
        if (!applies(b->s, &options[i])) {
            continue;
        }
        char text[64];
        double now = bench_now_ms();
        bool late = list->done && now + b->longest_ms > time.end_ms; /* the very first one is always measured */
        if (bench_stopped() || late) {
            skip_rest(list, list->done, left, bench_stopped() ? "stopped by Ctrl-C" : "out of time: see --seconds",
                      b->verbose);
            list->done += left;
            return;
        }
        snprintf(text, sizeof text, "%s, %s, %s", b->s->name, bench_dtype_name(b->dtype), options[i].name);
        bench_progress_step(list->done, text);
        bench_option_cost *cost = &list->at[list->done++];
        measure_option(b, &options[i], plain, now + (time.end_ms - now) / (double)left--, cost);
        bench_progress_pause();
        print_cost(cost, b->verbose);
    }
}

static bool measure_shape(bench_set *b, costs_list *list, bench_clock time) {
    char text[64];
    snprintf(text, sizeof text, "%s, %s, plain", b->s->name, bench_dtype_name(b->dtype));
    bench_progress_step(list->done, text);
    b->q = random_array(b, b->s->heads, b->s->q_len);
    b->k = random_array(b, b->s->kv_heads, b->s->kv_len);
    b->v = random_array(b, b->s->kv_heads, b->s->kv_len);
    b->out = random_array(b, b->s->heads, b->s->q_len);
    bench_contender plain = {.operation = VKA_OPERATION_ATTENTION, .desc = plain_desc(b)};
    vka_status status = bench_contender_prepare(b->device, &plain);
    b->plain = read_output(b);
    bench_progress_pause();
    if (status == VKA_OK) {
        print_heading(b, plain.ms);
        measure_options(b, list, &plain, time);
    } else {
        bench_note("vkattn-bench: %s: %s", text, vka_status_string(status));
        list->done += count_options(b->s);
    }
    vka_recorder_destroy(&plain.recorder);
    free(b->plain);
    array *all[] = {&b->q, &b->k, &b->v, &b->out};
    for (int i = 0; i < 4; i++) {
        drop(all[i]);
    }
    return status == VKA_OK;
}

typedef struct table {
    const problem_shape *s;
    vka_dtype dtype;
} table;

/* The tables that the device and --dtype ask for. Software drivers compute f16 by f32: that one is not measured there
 * unless it is asked for. */
static size_t choose_tables(const bench_options *o, const vka_device_caps *caps, table *tables) {
    static const vka_dtype dtypes[] = {VKA_F16, VKA_F32};
    bool software = caps->type == VKA_DEVICE_CPU;
    size_t count = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int t = 0; t < 2 && shapes[i].software == software; t++) {
            if (o->only ? t == 0 : !software || dtypes[t] == VKA_F32) {
                tables[count++] = (table){&shapes[i], o->only ? o->only : dtypes[t]};
            }
        }
    }
    return count;
}

static bench_exit finish(const bench_options *o, const bench_report *report, const costs_list *list, bool ok) {
    size_t done = 0, failed = 0;
    for (size_t i = 0; i < list->count; i++) {
        done += list->at[i].state == BENCH_DONE;
        failed += list->at[i].state == BENCH_FAILED;
    }
    printf("\n%zu measured, %zu failed, %zu skipped\n", done, failed, list->count - done - failed);
    char *spare = !o->json && bench_stopped() && done ? bench_spare_file("options") : NULL;
    const char *file = o->json ? o->json : spare;
    bool written = !file || bench_json_write_options(report, o->seconds, list->at, list->count, file);
    bench_report_end("options", done, list->count, written ? file : NULL);
    free(spare);
    if (!ok || failed || !written) {
        return BENCH_EXIT_FAILED;
    }
    return bench_stopped() ? BENCH_EXIT_STOPPED : BENCH_EXIT_OK;
}

static bench_exit measure_all(const bench_options *o, bench_device *d, costs_list *list) {
    table tables[sizeof shapes / sizeof *shapes * 2];
    size_t count = choose_tables(o, bench_device_caps(d), tables);
    bench_report report;
    bench_report_begin(&report, d, o->seed);
    for (size_t i = 0; i < count; i++) {
        expect(list, tables[i].s, tables[i].dtype);
    }
    bench_device_introduce(bench_device_caps(d));
    printf("commit   %s, seed %llu\n", report.commit, (unsigned long long)o->seed);
    printf("plan     %zu options in %zu tables, in at most about %.0f s (--seconds)\n", list->count, count, o->seconds);
    fflush(stdout);
    bench_progress_start(list->count, o->seconds);
    bench_clock all = bench_clock_start(o->seconds);
    bool ok = true;
    for (size_t i = 0; i < count && !bench_stopped(); i++) {
        bench_clock share = {all.start_ms, bench_clock_share(&all, count - i)};
        bench_set b = {.s = tables[i].s, .bench_device = d, .device = bench_device_vka(d), .dtype = tables[i].dtype};
        b.rng = ref_rng_seed(o->seed);
        b.verbose = o->verbose;
        ok = measure_shape(&b, list, share) && ok;
        ok = (!o->json || bench_json_write_options(&report, o->seconds, list->at, list->count, o->json)) && ok;
    }
    bench_progress_end();
    print_help();
    return finish(o, &report, list, ok);
}

bench_exit bench_costs(const bench_options *o) {
    if (o->json && !bench_json_writable(o->json)) {
        return BENCH_EXIT_FAILED;
    }
    bench_device *d = bench_device_open(o->device, o->tuning);
    if (!d) {
        return BENCH_EXIT_NO_DEVICE;
    }
    costs_list *list = calloc(1, sizeof *list);
    bench_exit status = list ? measure_all(o, d, list) : BENCH_EXIT_FAILED;
    free(list);
    bench_device_close(d);
    return status;
}
