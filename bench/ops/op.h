/* Operations as the bench sees them: a descriptor each, and what descriptors share.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_OP_H
#define VKATTN_BENCH_OP_H

#include "../bench.h"

#define BENCH_BIT(number) (1u << (number))

/* Where a table from the bench's paths to an operation's own has `path`; BENCH_PATH_AUTO: nowhere, or it is 0. */
bench_path bench_path_of(const uint32_t *paths, size_t count, uint32_t path);

/* A label that is being written. */
typedef struct bench_line {
    char *at;
    size_t left;
} bench_line;
void bench_put(bench_line *line, const char *format, ...) VKA_PRINTF(2, 3);

/* What comparing a row with the reference takes. */
typedef struct bench_effort {
    double ns;      /* about so long       */
    size_t scratch; /* so many elements    */
} bench_effort;

typedef struct bench_bounds {
    float least, most;
} bench_bounds;

/* A row of each output, as it should be; NULL where the case has no such output. */
typedef struct bench_row {
    double *ref[BENCH_OUTPUTS];
    float *naive[BENCH_OUTPUTS]; /* by the unfused computation, rounded to storage */
    double *ref_scratch;
    float *naive_scratch;
} bench_row;

struct bench_operation {
    const char *name;  /* of --op and in files; the library's function without vka_     */
    const char *title; /* in a sentence: "layer norm"                                   */
    const char *word;  /* before the type in tables, with a blank; "": nothing          */
    const char *group; /* in the page of `report`; NULL: attention, which has several   */
    const char *suite; /* of suites of widths of rows, the one it is in; NULL: none     */
    bench_shape shape; /* which fields its cases have                                   */
    uint32_t paths;    /* that it may be asked for besides auto: bits of bench_path     */
    uint32_t slots;    /* tensors that it may have: bits of bench_slot                  */
    bool splits;       /* --splits is for it too                                        */
    /* NULL, or the rule that the fields break, each being in its range. May be NULL. */
    const char *(*check)(const bench_case *c);
    /* The fields, with a blank before each; brief: without what goes without saying. */
    void (*label)(const bench_case *c, bool brief, bench_line *line);
    /* NULL: nothing is counted but the bytes of all tensors. */
    bench_cost (*cost)(const bench_case *c);
    /* NULL: always. */
    bool (*memory_bound)(const bench_case *c);
    /* bench_case_tensor of one of `slots`. */
    vka_tensor (*tensor)(const bench_case *c, bench_slot slot);
    /* Between what bounds the elements of an input are; NULL: -2 and 2. */
    bench_bounds (*bounds)(const bench_case *c, bench_slot slot);
    /* What integers of inputs are below; NULL: the case's columns. */
    uint32_t (*integers)(const bench_case *c);
    bench_effort (*effort)(const bench_case *c);
    /* Row number `row` of the last dimension of the outputs. */
    void (*reference)(const bench_problem *p, uint64_t row, bench_row *out);
    bench_record_fn record; /* user: the problem */
    vka_status (*prepare)(const bench_problem *p);
    vka_status (*requirements)(const bench_problem *p, vka_requirements *need);
    vka_status (*explain)(const bench_problem *p, char *text, size_t capacity);
};

/* NULL for BENCH_OP_INVALID. */
const bench_operation *bench_operation_of(bench_op op);
/* The tensor of a slot without its buffer; rank 0 where the case has none. */
vka_tensor bench_case_tensor(const bench_case *c, bench_slot slot);

#define BENCH_OP(ID, name) extern const bench_operation bench_operation_##name;
#include "../ops.def"

/* Defines the descriptor of operation vka_<op>; the rest is its fields. Above it stands
 *     static vka_<op>_desc describe(const bench_problem *p) */
#define BENCH_OPERATION(op, ...)                                                                                       \
    static vka_status record(vka_recorder *recorder, void *problem) {                                                  \
        vka_##op##_desc desc = describe(problem);                                                                      \
        return vka_##op(recorder, &desc);                                                                              \
    }                                                                                                                  \
    static vka_status prepare(const bench_problem *p) {                                                                \
        vka_##op##_desc desc = describe(p);                                                                            \
        return vka_##op##_prepare(p->device, &desc);                                                                   \
    }                                                                                                                  \
    static vka_status requirements(const bench_problem *p, vka_requirements *need) {                                   \
        vka_##op##_desc desc = describe(p);                                                                            \
        return vka_##op##_requirements(p->device, &desc, need);                                                        \
    }                                                                                                                  \
    static vka_status explain(const bench_problem *p, char *text, size_t capacity) {                                   \
        vka_##op##_desc desc = describe(p);                                                                            \
        return vka_##op##_explain(p->device, &desc, text, capacity, NULL);                                             \
    }                                                                                                                  \
    const bench_operation bench_operation_##op = {.name = #op,                                                         \
                                                  .record = record,                                                    \
                                                  .prepare = prepare,                                                  \
                                                  .requirements = requirements,                                        \
                                                  .explain = explain,                                                  \
                                                  __VA_ARGS__}

/* ---- rows.c: operations on rows, x and out [rows, cols] ---------------------------------------------------------- */

void bench_rows_label(const bench_case *c, bool brief, bench_line *line);
/* weight and bias are [cols]; residual and sum as x, if the case has a residual. */
vka_tensor bench_rows_tensor(const bench_case *c, bench_slot slot);
bench_effort bench_rows_effort(const bench_case *c);
#define BENCH_ROWS_OF(shapes)                                                                                          \
    .shape = (shapes), .label = bench_rows_label, .tensor = bench_rows_tensor, .effort = bench_rows_effort
#define BENCH_ROWS BENCH_ROWS_OF(BENCH_SHAPE_ROWS)

/* Of norms. */
vka_norm_path bench_norm_path(const bench_case *c);
void bench_layer_norm_reference(const bench_problem *p, uint64_t row, bench_row *out);
void bench_rms_norm_reference(const bench_problem *p, uint64_t row, bench_row *out);
#define BENCH_NORM                                                                                                     \
    BENCH_ROWS_OF(BENCH_SHAPE_ROWS | BENCH_SHAPE_RESIDUAL),                                                            \
        .suite = "norms", .paths = BENCH_BIT(BENCH_PATH_LANE) | BENCH_BIT(BENCH_PATH_GROUP)

/* Of gradients of norms: d_out is BENCH_RESIDUAL; gradients of weights and biases lie in BENCH_BIAS, [2, cols], and are
 * not compared, as they are no rows. */
vka_tensor bench_norm_backward_tensor(const bench_case *c, bench_slot slot);
vka_tensor bench_d_parameter(const bench_problem *p, uint32_t which, uint32_t count);
/* The tensor in a slot's memory from an element on, of `shape`: several that are not compared lie in one slot. */
vka_tensor bench_part(const bench_problem *p, bench_slot slot, uint64_t first, vka_tensor shape);
void bench_layer_norm_backward_reference(const bench_problem *p, uint64_t row, bench_row *out);
void bench_rms_norm_backward_reference(const bench_problem *p, uint64_t row, bench_row *out);
#define BENCH_NORM_BACKWARD                                                                                            \
    .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = bench_norm_backward_tensor,                        \
    .effort = bench_norm_backward_effort, .paths = BENCH_BIT(BENCH_PATH_LANE) | BENCH_BIT(BENCH_PATH_GROUP),           \
    .slots = BENCH_BIT(BENCH_X) | BENCH_BIT(BENCH_RESIDUAL) | BENCH_BIT(BENCH_WEIGHT) | BENCH_BIT(BENCH_BIAS) |        \
             BENCH_BIT(BENCH_OUT)
bench_effort bench_norm_backward_effort(const bench_case *c);

/* Of operations on elements, whose second input, if they have one, is BENCH_RESIDUAL. */
vka_tensor bench_elements_tensor(const bench_case *c, bench_slot slot);
#define BENCH_ELEMENTS                                                                                                 \
    .shape = BENCH_SHAPE_ROWS, .label = bench_rows_label, .tensor = bench_elements_tensor,                             \
    .effort = bench_rows_effort, .suite = "elements", .group = "Elements"

/* ---- attention.c: attention and its gradients -------------------------------------------------------------------- */

const char *bench_attention_check(const bench_case *c);
void bench_attention_label(const bench_case *c, bool brief, bench_line *line);
/* The keys lo .. hi that the query at position p sees; none if lo > hi. */
void bench_attention_visible(const bench_case *c, int64_t p, int64_t *lo, int64_t *hi);
bench_cost bench_attention_cost(const bench_case *c);
bool bench_attention_memory_bound(const bench_case *c);
/* Of operations whose arithmetic outweighs their bytes in any shape. */
bool bench_never_memory_bound(const bench_case *c);
/* Of BENCH_Q, K, V and OUT. */
vka_tensor bench_attention_tensor(const bench_case *c, bench_slot slot);

/* ---- attention_backward.c: sums of products ---------------------------------------------------------------------- */

double bench_dot(const float *a, const float *b, uint32_t n);
float bench_naive_dot(const float *a, const float *b, uint32_t n);

/* ---- causal convolutions of one sequence, and their gradients ---------------------------------------------------- */

#define BENCH_CAUSAL_TAPS 4

/* ---- dynamic_conv.c: dynamic convolutions of one sequence, and their gradients ----------------------------------- */

#define BENCH_DYNAMIC_TAPS 7

uint32_t bench_dynamic_heads(const bench_case *c);
/* BENCH_WEIGHT, or x. */
vka_tensor bench_dynamic_tensor(const bench_case *c, bench_slot slot);

/* ---- additive_attention.c: additive attention and its gradients -------------------------------------------------- */

#define BENCH_SCORE_VECTOR BENCH_WEIGHT /* [heads, channels] */

const char *bench_additive_check(const bench_case *c);
void bench_additive_label(const bench_case *c, bool brief, bench_line *line);
/* Of BENCH_Q, K, V, SCORE_VECTOR and OUT. */
vka_tensor bench_additive_tensor(const bench_case *c, bench_slot slot);
bench_bounds bench_additive_bounds(const bench_case *c, bench_slot slot);
/* How many keys, from the first one on, query i sees. */
uint32_t bench_additive_seen(const bench_case *c, uint32_t i);
bench_cost bench_additive_cost(const bench_case *c);
vka_additive_attention_path bench_additive_path(const bench_case *c);

/* ---- linear_attention.c: linear attention and its gradients ------------------------------------------------------ */

/* Of each head and token of keys. */
#define BENCH_DECAY BENCH_BIAS
#define BENCH_BETA  BENCH_WEIGHT

const char *bench_recurrence_check(const bench_case *c);
void bench_recurrence_label(const bench_case *c, bool brief, bench_line *line);
/* Of BENCH_Q, K, V, DECAY, BETA and OUT. */
vka_tensor bench_recurrence_tensor(const bench_case *c, bench_slot slot);
bench_bounds bench_recurrence_bounds(const bench_case *c, bench_slot slot);
bench_cost bench_recurrence_cost(const bench_case *c);
bench_effort bench_recurrence_effort(const bench_case *c);
/* Both states [head_dim, value_dim] after a token of a query head, in the scratch; out and naive, if they are not NULL:
 * what it reads from them. */
void bench_recurrence_run(const bench_problem *p, uint64_t q_head, uint32_t token, bench_row *row, double *out,
                          float *naive);

/* ---- linear.c: operations with a matrix of weights [outputs, cols] of --weight-bits ------------------------------ */

vka_dtype bench_weight_type(const bench_case *c);
/* " q8_0" behind what names a case whose weights have another type. */
void bench_weight_label(const bench_case *c, bench_line *line);
const char *bench_weight_check(const bench_case *c);

#endif
