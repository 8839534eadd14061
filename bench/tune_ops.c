/* The classes of problems that tuning measures, by operation. SPDX-License-Identifier: MIT */
#include "tune.h"

#include <string.h>

static uint32_t div_up(uint32_t a, uint32_t b) {
    return (a + b - 1) / b;
}

/* Both operations have a tile of four numbers, in the order of the record. */
_Static_assert(sizeof(vka_attention_tile) == sizeof(uint32_t[BENCH_TUNED_TILE]), "tile");
_Static_assert(sizeof(vka_linear_tile) == sizeof(uint32_t[BENCH_TUNED_TILE]), "tile");

/* ---- attention: head dimensions, and rows of one key head
 * ------------------------------------------------------------ */

/* Rows up to which a problem counts as decoding. */
#define DECODE_ROWS            16
#define PREFILL(dim, narrower) .most = {dim}, .above = {narrower, DECODE_ROWS}, .use = "prefill"
#define DECODE(dim, narrower)  .most = {dim, DECODE_ROWS}, .above = {narrower}, .few_rows = true, .use = "decode"

/* What holds for a class says nothing about narrower heads. */
static const tune_class attention_classes[] = {
    {PREFILL(64, 0)},
    {PREFILL(128, 64)},
    {DECODE(64, 0)},
    {DECODE(128, 64)},
    {PREFILL(256, 128), .only_on_gpu = true},
    {DECODE(256, 128), .only_on_gpu = true},
};

static const vka_dtype attention_types[] = {VKA_F16, VKA_BF16, VKA_F32};

static bench_case attention_problem(const tune_class *k, vka_dtype dtype, bool software) {
    bench_case b = {.suite = "tune", .op = BENCH_ATTENTION, .dtype = dtype, .batch = 1};
    b.head_dim = b.value_dim = k->most[0];
    b.window_left = b.window_right = VKA_UNBOUNDED;
    b.heads = software ? 4 : 32;
    b.kv_heads = k->few_rows ? b.heads / 4 : b.heads;
    b.q_len = k->few_rows ? 1 : software ? 256 : 4096;
    b.kv_len = k->few_rows ? (software ? 4096 : 16384) : b.q_len;
    return b;
}

static void describe_attention(const bench_problem *p, const tune_choice *x, uint32_t splits, bench_contender *to) {
    to->operation = VKA_OPERATION_ATTENTION;
    to->desc = bench_attention_desc(p);
    to->desc.path = (vka_attention_path)x->path;
    to->desc.splits = splits;
    memcpy(&to->desc.tile, x->tile, sizeof x->tile);
}

static uint32_t attention_groups(const bench_case *c, const tune_choice *x) {
    return c->kv_heads * div_up(c->heads / c->kv_heads * c->q_len, x->tile[0]);
}

static const bench_tuned_names attention_names = {
    .list = "attention",
    .size = {"head_dim", "rows"},
    .tile = {"query_tile", "key_tile", "rows_per_invocation", "team"},
};

const tune_operation tune_attention = {
    .op = BENCH_ATTENTION,
    .names = &attention_names,
    .classes = attention_classes,
    .class_count = sizeof attention_classes / sizeof *attention_classes,
    .types = attention_types,
    .type_count = sizeof attention_types / sizeof *attention_types,
    .problem = attention_problem,
    .describe = describe_attention,
    .groups = attention_groups,
    .path = bench_attention_path,
};

/* ---- linear layers: rows, with weights of one type --------------------------------------------------------------- */

/* One row, then rows for which a workgroup's tile is more than enough, then prompts. */
static const tune_class linear_classes[] = {
    {.most = {8}, .few_rows = true, .use = "M 1"},
    {.most = {64}, .above = {8}, .use = "M 32"},
    {.above = {64}, .use = "M 512"},
};
static const uint32_t linear_rows[] = {1, 32, 512};

static const vka_dtype linear_types[] = {VKA_F16, VKA_Q8_0, VKA_Q4_0, VKA_BF16, VKA_F32};

/* Of quantised weights x is f16. */
static bench_case linear_problem(const tune_class *k, vka_dtype dtype, bool software) {
    bool quantised = vka_dtype_block(dtype) > 1;
    bench_case b = {.suite = "tune", .op = BENCH_LINEAR, .dtype = quantised ? VKA_F16 : dtype};
    b.rows = linear_rows[k - linear_classes];
    b.cols = b.outputs = software ? 1024 : 4096;
    b.weight_bits = dtype == VKA_Q8_0 ? 8 : dtype == VKA_Q4_0 ? 4 : 8 * (uint32_t)vka_dtype_size(dtype);
    return b;
}

static void describe_linear(const bench_problem *p, const tune_choice *x, uint32_t splits, bench_contender *to) {
    to->operation = VKA_OPERATION_LINEAR;
    to->linear = bench_linear_desc(p);
    to->linear.path = (vka_linear_path)x->path;
    to->linear.splits = splits;
    memcpy(&to->linear.tile, x->tile, sizeof x->tile);
}

static uint32_t linear_groups(const bench_case *c, const tune_choice *x) {
    return div_up(c->rows, x->tile[0]) * div_up(c->outputs, x->tile[1]);
}

static const bench_tuned_names linear_names = {
    .list = "linear",
    .size = {"rows", "outputs", "columns"},
    .tile = {"row_tile", "output_tile", "rows_per_invocation", "team"},
};

const tune_operation tune_linear = {
    .op = BENCH_LINEAR,
    .names = &linear_names,
    .classes = linear_classes,
    .class_count = sizeof linear_classes / sizeof *linear_classes,
    .types = linear_types,
    .type_count = sizeof linear_types / sizeof *linear_types,
    .problem = linear_problem,
    .describe = describe_linear,
    .groups = linear_groups,
    .path = bench_linear_path,
};
