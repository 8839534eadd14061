/* The built-in lists of cases. Shapes follow transformers in use: head dimensions 64 and 128, GQA 4:1, LLM widths.
 * SPDX-License-Identifier: MIT */
#include "ops/op.h"

#include <string.h>

static void append(bench_list *list, const char *suite, bench_case c) {
    if (list && list->count < BENCH_MAX_CASES) {
        strncpy(c.suite, suite, sizeof c.suite - 1);
        list->cases[list->count++] = c;
    }
}

static bench_case attention(vka_dtype dtype, uint32_t heads, uint32_t kv_heads, uint32_t q_len, uint32_t kv_len,
                            uint32_t dim) {
    return (bench_case){
        .op = BENCH_ATTENTION,
        .dtype = dtype,
        .batch = 1,
        .heads = heads,
        .kv_heads = kv_heads,
        .q_len = q_len,
        .kv_len = kv_len,
        .head_dim = dim,
        .value_dim = dim,
        .window_left = VKA_UNBOUNDED,
        .window_right = VKA_UNBOUNDED,
    };
}

static bench_case causal(bench_case c) {
    c.causal = true;
    return c;
}

static bench_case batched(bench_case c, uint32_t batch) {
    c.batch = batch;
    return c;
}

/* A causal window: each query sees itself and the window - 1 keys before it. */
static bench_case windowed(bench_case c, uint32_t window) {
    c.causal = true;
    c.window_left = (int32_t)window - 1;
    c.window_right = 0;
    return c;
}

static bench_case rows_of(bench_op op, vka_dtype dtype, uint32_t rows, uint32_t cols, bool residual) {
    return (bench_case){.op = op, .dtype = dtype, .rows = rows, .cols = cols, .residual = residual};
}

static bench_case layer_norm(vka_dtype dtype, uint32_t rows, uint32_t cols) {
    return rows_of(BENCH_LAYER_NORM, dtype, rows, cols, false);
}

static const vka_dtype dtypes[] = {VKA_F32, VKA_F16};
#define FOR_EACH(type, name, array)                                                                                    \
    for (const type *name = (array); name < (array) + sizeof(array) / sizeof((array)[0]); name++)

/* One of everything, small enough for a software driver on two cores. Old ones take 10 s and more to compile a kernel:
 * hence the window in only one type, which shares the kernel of the causal case, and decode in only one. */
static void quick(bench_list *list, const char *suite) {
    FOR_EACH(vka_dtype, t, dtypes) {
        append(list, suite, attention(*t, 8, 8, 2048, 2048, 64));
        append(list, suite, causal(attention(*t, 8, 8, 2048, 2048, 64)));
        append(list, suite, layer_norm(*t, 4096, 1024));
    }
    append(list, suite, windowed(attention(VKA_F32, 2, 2, 8192, 8192, 64), 256));
    append(list, suite, attention(VKA_F16, 32, 8, 1, 4096, 128));
}

static void prefill(bench_list *list, const char *suite) {
    static const uint32_t dims[] = {64, 128}, lengths[] = {1024, 4096, 16384};
    FOR_EACH(vka_dtype, t, dtypes) {
        FOR_EACH(uint32_t, d, dims) {
            FOR_EACH(uint32_t, n, lengths) {
                append(list, suite, attention(*t, 8, 8, *n, *n, *d));
                append(list, suite, causal(attention(*t, 8, 8, *n, *n, *d)));
            }
        }
    }
}

/* One token: 32 query heads on 32 (no sharing), 8 (GQA) and 1 (MQA) key heads; then a few tokens, as in speculation. */
static void decode(bench_list *list, const char *suite) {
    static const uint32_t lengths[] = {1024, 4096, 16384, 65536}, kv_heads[] = {32, 8, 1};
    FOR_EACH(uint32_t, n, lengths) {
        FOR_EACH(uint32_t, h, kv_heads) {
            append(list, suite, attention(VKA_F16, 32, *h, 1, *n, 128));
        }
    }
    append(list, suite, attention(VKA_F32, 32, 8, 1, 4096, 128));
    append(list, suite, causal(attention(VKA_F16, 32, 8, 4, 4096, 128)));
}

/* Operations on rows at the widths of models: those whose descriptor names the suite. */
static void widths(bench_list *list, const char *suite) {
    static const uint32_t cols[] = {768, 1024, 2048, 4096, 8192, 16384};
    for (bench_op op = 1; op < BENCH_OPS; op++) {
        const bench_operation *x = bench_operation_of(op);
        if (!x->suite || strcmp(x->suite, suite) != 0) {
            continue;
        }
        FOR_EACH(vka_dtype, t, dtypes) {
            FOR_EACH(uint32_t, c, cols) {
                append(list, suite, rows_of(op, *t, 4096, *c, false));
            }
            if (x->slots & BENCH_BIT(BENCH_SUM)) {
                append(list, suite, rows_of(op, *t, 4096, 2048, true));
            }
        }
    }
}

/* Does work follow the window? Each length without a window first. */
static void window(bench_list *list, const char *suite) {
    static const uint32_t lengths[] = {8192, 16384, 32768}, windows[] = {128, 256, 1024, 4096};
    FOR_EACH(uint32_t, n, lengths) {
        append(list, suite, causal(attention(VKA_F16, 4, 4, *n, *n, 64)));
        FOR_EACH(uint32_t, w, windows) {
            append(list, suite, windowed(attention(VKA_F16, 4, 4, *n, *n, 64), *w));
        }
    }
}

/* What tools/gpu-check measures all contestants on, most wanted first: time may run out. `n` is the shorter of two
 * sequence lengths, the longer one 4 n for prefill and 8 n where memory or a window bounds. */
static void gpu_shapes(bench_list *list, const char *suite, uint32_t heads, uint32_t kv_heads, uint32_t n) {
    static const uint32_t dims[] = {128, 64};
    FOR_EACH(uint32_t, d, dims) {
        append(list, suite, attention(VKA_F16, heads, heads, n, n, *d));
        append(list, suite, causal(attention(VKA_F16, heads, heads, n, n, *d)));
    }
    append(list, suite, batched(attention(VKA_F16, 4 * kv_heads, kv_heads, 1, 8 * n, 128), 16));
    append(list, suite, layer_norm(VKA_F16, 4 * n, n));
    append(list, suite, layer_norm(VKA_F32, 4 * n, n));
    append(list, suite, causal(attention(VKA_F16, heads, heads, 8 * n, 8 * n, 128)));
    append(list, suite, windowed(attention(VKA_F16, heads, heads, 8 * n, 8 * n, 128), n / 4));
    FOR_EACH(uint32_t, d, dims) {
        append(list, suite, causal(attention(VKA_F16, heads, heads, 4 * n, 4 * n, *d)));
        append(list, suite, attention(VKA_F16, heads, heads, 4 * n, 4 * n, *d));
    }
    append(list, suite, batched(attention(VKA_F16, 4 * kv_heads, kv_heads, 1, n, 128), 16));
    append(list, suite, attention(VKA_F16, 4 * kv_heads, kv_heads, 1, 8 * n, 128));
    append(list, suite, attention(VKA_F16, 4 * kv_heads, kv_heads, 1, n, 128));
    append(list, suite, layer_norm(VKA_F16, n, n / 4));
    append(list, suite, layer_norm(VKA_F32, n, n / 4));
    FOR_EACH(uint32_t, d, dims) {
        append(list, suite, batched(attention(VKA_F16, heads, heads, n, n, *d), 4));
        append(list, suite, batched(causal(attention(VKA_F16, heads, heads, n, n, *d)), 4));
    }
    append(list, suite, causal(attention(VKA_F16, heads, heads, 8 * n, 8 * n, 64)));
    append(list, suite, windowed(attention(VKA_F16, heads, heads, 8 * n, 8 * n, 64), n / 4));
}

static void gpu(bench_list *list, const char *suite) {
    gpu_shapes(list, suite, 16, 8, 4096);
}

/* The same list on a scale that tests of the tool can afford. */
static void gpu_tiny(bench_list *list, const char *suite) {
    gpu_shapes(list, suite, 1, 1, 64);
}

/* Projections of a model of 4096 channels, Llama 3 8B's: q and o, k and v, gate and up, down. One token, a few, a
 * prompt. */
static void linear(bench_list *list, const char *suite) {
    static const uint32_t shapes[][2] = {{4096, 4096}, {1024, 4096}, {14336, 4096}, {4096, 14336}};
    static const uint32_t rows[] = {1, 4, 512}, bits[] = {16, 8, 4};
    FOR_EACH(uint32_t, m, rows) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            FOR_EACH(uint32_t, b, bits) {
                bench_case c = {.op = BENCH_LINEAR, .dtype = VKA_F16, .rows = *m, .cols = shapes[i][1]};
                c.outputs = shapes[i][0];
                c.weight_bits = *b;
                append(list, suite, c);
            }
        }
    }
}

/* A table of a model of 4096 channels: one token, and a prompt. */
static void embeddings(bench_list *list, const char *suite) {
    static const uint32_t rows[] = {1, 4096}, bits[] = {16, 8, 4};
    FOR_EACH(uint32_t, n, rows) {
        FOR_EACH(uint32_t, b, bits) {
            bench_case c = rows_of(BENCH_EMBEDDING, VKA_F16, *n, 4096, false);
            c.outputs = 32000;
            c.weight_bits = *b;
            append(list, suite, c);
        }
    }
}

/* A prompt of Qwen3-Next's layers, by both paths. */
static void recurrent(bench_list *list, const char *suite) {
    static const uint32_t lengths[] = {1024, 4096};
    static const bench_path paths[] = {BENCH_PATH_RECURRENT, BENCH_PATH_CHUNKED};
    FOR_EACH(uint32_t, n, lengths) {
        FOR_EACH(bench_path, path, paths) {
            bench_case c = attention(VKA_F16, 32, 32, *n, *n, 128);
            c.op = BENCH_LINEAR_ATTENTION;
            c.path = *path;
            append(list, suite, c);
        }
    }
}

static const struct suite {
    const char *name;
    void (*append)(bench_list *list, const char *suite);
    bool apart; /* not part of `all` */
} suites[] = {
    {"quick", quick, false},         {"prefill", prefill, false}, {"decode", decode, false},
    {"norms", widths, false},        {"elements", widths, false}, {"convs", widths, false},
    {"window", window, false},       {"linear", linear, false},   {"embeddings", embeddings, false},
    {"recurrent", recurrent, false}, {"gpu", gpu, true},          {"gpu-tiny", gpu_tiny, true},
};

bool bench_suite_append(bench_list *list, const char *name) {
    bool all = strcmp(name, "all") == 0, found = false;
    FOR_EACH(struct suite, s, suites) {
        if ((all && !s->apart) || strcmp(s->name, name) == 0) {
            s->append(list, s->name);
            found = true;
        }
    }
    return found;
}

bool bench_case_big(const bench_case *c) {
    bench_cost cost = bench_case_cost(c);
    return cost.flops > 40e9 || cost.footprint > 0x1p28; /* NaN compares false */
}
