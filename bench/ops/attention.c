/* Attention.
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include "reference.h"

#include <math.h>

/* ---- the case ---------------------------------------------------------------------------------------------------- */

/* As attention.h says. */
#define MAX_HEAD_DIM 576

/* Gradients are of keys and values of the case's type. */
static vka_dtype cache_type(const bench_case *c) {
    return c->cache_bits == 8 ? VKA_Q8_0 : c->cache_bits == 4 ? VKA_Q4_0 : c->dtype;
}

static const char *check(const bench_case *c) {
    vka_dtype type = cache_type(c);
    if (type == c->dtype && c->cache_bits != 8 * vka_dtype_size(type)) {
        return "--cache-bits must be 4, 8, or those of the type";
    }
    if (c->head_dim % vka_dtype_block(type) || c->value_dim % vka_dtype_block(type)) {
        return "head dimensions must be multiples of 32 for keys and values of 4 or 8 bits";
    }
    return bench_attention_check(c);
}

const char *bench_attention_check(const bench_case *c) {
    bool wide = c->head_dim > MAX_HEAD_DIM || c->value_dim > MAX_HEAD_DIM;
    return c->heads % c->kv_heads ? "--heads must be a multiple of --kv-heads"
           : wide                 ? "head dimensions are at most 576"
                                  : NULL;
}

static void put_bound(bench_line *line, int32_t bound) {
    if (bound == VKA_UNBOUNDED) {
        bench_put(line, "*");
    } else {
        bench_put(line, "%d", (int)bound);
    }
}

static void put_shape(bench_line *line, const bench_case *c) {
    bench_put(line, " H%u", c->heads);
    if (c->kv_heads != c->heads) {
        bench_put(line, "/%u", c->kv_heads);
    }
    if (c->q_len == c->kv_len) {
        bench_put(line, " N%u", c->q_len);
    } else {
        bench_put(line, " Nq%u Nk%u", c->q_len, c->kv_len);
    }
    bench_put(line, " D%u", c->head_dim);
    if (c->value_dim != c->head_dim) {
        bench_put(line, "/%u", c->value_dim);
    }
}

void bench_attention_label(const bench_case *c, bool brief, bench_line *line) {
    if (!brief || c->batch > 1) {
        bench_put(line, " B%u", c->batch);
    }
    put_shape(line, c);
    /* A window that ends at the query is causal anyway. */
    bench_put(line, "%s", c->causal && !(brief && c->window_right == 0) ? " causal" : "");
    if (bench_case_windowed(c)) {
        bench_put(line, " window ");
        put_bound(line, c->window_left);
        bench_put(line, ":");
        put_bound(line, c->window_right);
    }
    if (cache_type(c) != c->dtype) {
        bench_put(line, " %s", cache_type(c) == VKA_Q8_0 ? "q8_0" : "q4_0");
    }
}

void bench_attention_visible(const bench_case *c, int64_t p, int64_t *lo, int64_t *hi) {
    *lo = 0;
    *hi = (int64_t)c->kv_len - 1;
    if (c->causal && p < *hi) {
        *hi = p;
    }
    if (c->window_left != VKA_UNBOUNDED && p - c->window_left > *lo) {
        *lo = p - c->window_left;
    }
    if (c->window_right != VKA_UNBOUNDED && p + c->window_right < *hi) {
        *hi = p + c->window_right;
    }
}

bench_cost bench_attention_cost(const bench_case *c) {
    double pairs = 0;
    int64_t first = INT64_MAX, last = -1, diagonal = (int64_t)c->kv_len - c->q_len;
    for (int64_t i = 0; i < c->q_len; i++) {
        int64_t lo, hi;
        bench_attention_visible(c, i + diagonal, &lo, &hi);
        if (lo <= hi) {
            pairs += (double)(hi - lo + 1);
            first = lo < first ? lo : first;
            last = hi > last ? hi : last;
        }
    }
    double size = vka_dtype_size(c->dtype), dims = (double)c->head_dim + c->value_dim;
    double reach = last < 0 ? 0 : (double)(last - first + 1); /* neighbouring queries' ranges touch: no gaps */
    double q_out = (double)c->batch * c->heads * c->q_len * dims * size;
    vka_dtype type = cache_type(c);
    double kv_row = (double)c->batch * c->kv_heads * dims / vka_dtype_block(type) * vka_dtype_size(type);
    return (bench_cost){
        .flops = 2 * (double)c->batch * c->heads * pairs * dims,
        .bytes = q_out + kv_row * reach,
        .footprint = q_out + kv_row * c->kv_len,
        .pairs = pairs,
    };
}

bool bench_attention_memory_bound(const bench_case *c) {
    return c->q_len <= 8;
}

bool bench_never_memory_bound(const bench_case *c) {
    (void)c;
    return false;
}

/* ---- tensors and calls ------------------------------------------------------------------------------------------- */

vka_tensor bench_attention_tensor(const bench_case *c, bench_slot slot) {
    bool of_queries = slot == BENCH_Q || slot == BENCH_OUT, of_values = slot == BENCH_V || slot == BENCH_OUT;
    return vka_tensor_4d(NULL, of_queries ? c->dtype : cache_type(c), c->batch, of_queries ? c->heads : c->kv_heads,
                         of_queries ? c->q_len : c->kv_len, of_values ? c->value_dim : c->head_dim);
}

static const uint32_t attention_paths[] = {
    [BENCH_PATH_ROW] = VKA_ATTENTION_PATH_ROW,
    [BENCH_PATH_TILE] = VKA_ATTENTION_PATH_TILE,
    [BENCH_PATH_DECODE] = VKA_ATTENTION_PATH_DECODE,
    [BENCH_PATH_COOPMAT] = VKA_ATTENTION_PATH_COOPMAT,
    [BENCH_PATH_COOPMAT2] = VKA_ATTENTION_PATH_COOPMAT2,
    [BENCH_PATH_DOT] = VKA_ATTENTION_PATH_DOT,
    [BENCH_PATH_COOPMAT_REGISTERS] = VKA_ATTENTION_PATH_COOPMAT_REGISTERS,
};

vka_attention_desc bench_attention_desc(const bench_problem *p) {
    const bench_case *c = p->c;
    bool windowed = bench_case_windowed(c);
    return (vka_attention_desc){
        .q = p->tensors[BENCH_Q].view,
        .k = p->tensors[BENCH_K].view,
        .v = p->tensors[BENCH_V].view,
        .out = p->tensors[BENCH_OUT].view,
        .causal = c->causal,
        .window = {windowed, windowed ? c->window_left : 0, windowed ? c->window_right : 0},
        .path = (vka_attention_path)attention_paths[c->path],
        .tile = c->tile,
        .splits = c->splits,
    };
}

bench_path bench_attention_path(uint32_t path) {
    return bench_path_of(attention_paths, sizeof attention_paths / sizeof *attention_paths, path);
}

static vka_attention_desc describe(const bench_problem *p) {
    return bench_attention_desc(p);
}

/* ---- the reference ----------------------------------------------------------------------------------------------- */

static bench_effort effort(const bench_case *c) {
    double visible = bench_attention_cost(c).pairs / c->q_len;
    return (bench_effort){
        .ns = visible * (3.0 * (c->head_dim + c->value_dim) + 100) + 20.0 * c->kv_len,
        .scratch = c->kv_len,
    };
}

static void reference(const bench_problem *p, uint64_t row, bench_row *out) {
    const bench_case *c = p->c;
    ref_attention a = {
        .batch = c->batch,
        .q_heads = c->heads,
        .kv_heads = c->kv_heads,
        .q_len = c->q_len,
        .kv_len = c->kv_len,
        .head_dim = c->head_dim,
        .value_dim = c->value_dim,
        .q = p->tensors[BENCH_Q].host,
        .k = p->tensors[BENCH_K].host,
        .v = p->tensors[BENCH_V].host,
        .scale = 1 / sqrt((double)c->head_dim),
        .causal = c->causal,
        .diagonal = (int64_t)c->kv_len - c->q_len,
        .window = bench_case_windowed(c),
        .left = c->window_left,
        .right = c->window_right,
        .q_type = c->dtype,
        .k_type = cache_type(c),
        .v_type = cache_type(c),
        .out_type = c->dtype,
    };
    uint32_t i = (uint32_t)(row % c->q_len), h = (uint32_t)(row / c->q_len % c->heads);
    uint32_t b = (uint32_t)(row / c->q_len / c->heads);
    ref_softmax softmax;
    ref_attention_row(&a, b, h, i, out->ref[0], &softmax, out->ref_scratch);
    ref_attention_naive_row(&a, b, h, i, out->naive[0], &softmax, out->naive_scratch);
}

BENCH_OPERATION(attention, .title = "attention", .word = "", .shape = BENCH_SHAPE_ATTENTION | BENCH_SHAPE_CACHE,
                .splits = true,
                .paths = BENCH_BIT(BENCH_PATH_ROW) | BENCH_BIT(BENCH_PATH_TILE) | BENCH_BIT(BENCH_PATH_DECODE) |
                         BENCH_BIT(BENCH_PATH_COOPMAT) | BENCH_BIT(BENCH_PATH_COOPMAT2) | BENCH_BIT(BENCH_PATH_DOT) |
                         BENCH_BIT(BENCH_PATH_COOPMAT_REGISTERS),
                .slots = BENCH_BIT(BENCH_Q) | BENCH_BIT(BENCH_K) | BENCH_BIT(BENCH_V) | BENCH_BIT(BENCH_OUT),
                .check = check, .label = bench_attention_label, .cost = bench_attention_cost,
                .memory_bound = bench_attention_memory_bound, .tensor = bench_attention_tensor, .effort = effort,
                .reference = reference);
