/* Cases: their names, their rules, and what they must at least compute and move.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

static const char *const op_names[] = {"invalid", "attention", "layer_norm"};
static const char *const dtype_names[] = {"invalid", "f32", "f16", "bf16"};
static const char *const path_names[] = {"auto",     "row", "tile", "decode", "coopmat",
                                         "coopmat2", "dot", "lane", "group"};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static int find(const char *const *names, int first, int count, const char *name, int otherwise) {
    for (int i = first; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return otherwise;
}

const char *bench_op_name(bench_op op) {
    return op_names[op];
}

const char *bench_dtype_name(vka_dtype dtype) {
    return dtype_names[dtype];
}

const char *bench_path_name(bench_path path) {
    return path < 0 ? "invalid" : path_names[path];
}

bench_op bench_op_parse(const char *name) {
    return (bench_op)find(op_names, 1, COUNT(op_names), name, BENCH_OP_INVALID);
}

vka_dtype bench_dtype_parse(const char *name) {
    return (vka_dtype)find(dtype_names, 1, COUNT(dtype_names), name, VKA_DTYPE_INVALID);
}

bench_path bench_path_parse(const char *name) {
    return (bench_path)find(path_names, 0, COUNT(path_names), name, BENCH_PATH_INVALID);
}

bool bench_path_fits(bench_path path, bench_op op) {
    switch (path) {
    case BENCH_PATH_AUTO:
        return true;
    case BENCH_PATH_ROW:
    case BENCH_PATH_TILE:
    case BENCH_PATH_DECODE:
    case BENCH_PATH_COOPMAT:
    case BENCH_PATH_COOPMAT2:
    case BENCH_PATH_DOT:
        return op == BENCH_ATTENTION;
    case BENCH_PATH_LANE:
    case BENCH_PATH_GROUP:
        return op == BENCH_LAYER_NORM;
    case BENCH_PATH_INVALID:
        break;
    }
    return false;
}

bool bench_case_windowed(const bench_case *c) {
    return c->window_left != VKA_UNBOUNDED || c->window_right != VKA_UNBOUNDED;
}

/* ---- rules ----------------------------------------------------------------------------------------------------- */

/* Element counts stay far from overflow; a device with 2^40 elements of memory is not in sight. */
static bool fits(double elements) {
    return elements <= 0x1p40;
}

static const char *check_attention(const bench_case *c) {
    if (!c->batch || !c->heads || !c->kv_heads || !c->q_len || !c->kv_len || !c->head_dim || !c->value_dim) {
        return "every size must be at least 1";
    }
    if (c->heads % c->kv_heads != 0) {
        return "--heads must be a multiple of --kv-heads";
    }
    double dim = c->head_dim > c->value_dim ? c->head_dim : c->value_dim;
    double len = c->q_len > c->kv_len ? c->q_len : c->kv_len;
    if (!fits((double)c->batch * c->heads * len * dim)) {
        return "the tensors are too large";
    }
    return NULL;
}

const char *bench_case_check(const bench_case *c) {
    if (c->op == BENCH_OP_INVALID) {
        return "the operation is unknown";
    }
    if (c->dtype == VKA_DTYPE_INVALID) {
        return "the type is unknown";
    }
    if (!bench_path_fits(c->path, c->op)) {
        return "the operation has no such path";
    }
    if (c->op == BENCH_ATTENTION) {
        return check_attention(c);
    }
    if (!c->rows || !c->cols) {
        return "every size must be at least 1";
    }
    return fits((double)c->rows * c->cols) ? NULL : "the tensors are too large";
}

/* ---- label ------------------------------------------------------------------------------------------------------ */

typedef struct text {
    char *at;
    size_t left;
} text;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
put(text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    size_t step = n < 0 ? 0 : (size_t)n;
    step = step < t->left ? step : t->left - 1;
    t->at += step;
    t->left -= step;
}

static void put_bound(text *t, int32_t bound) {
    if (bound == VKA_UNBOUNDED) {
        put(t, "*");
    } else {
        put(t, "%d", (int)bound);
    }
}

static void put_shape(text *t, const bench_case *c) {
    put(t, " H%u", c->heads);
    if (c->kv_heads != c->heads) {
        put(t, "/%u", c->kv_heads);
    }
    if (c->q_len == c->kv_len) {
        put(t, " N%u", c->q_len);
    } else {
        put(t, " Nq%u Nk%u", c->q_len, c->kv_len);
    }
    put(t, " D%u", c->head_dim);
    if (c->value_dim != c->head_dim) {
        put(t, "/%u", c->value_dim);
    }
}

static void put_window(text *t, const bench_case *c) {
    if (bench_case_windowed(c)) {
        put(t, " window ");
        put_bound(t, c->window_left);
        put(t, ":");
        put_bound(t, c->window_right);
    }
}

static void put_demands(text *t, const bench_case *c) {
    if (c->op == BENCH_ATTENTION && c->splits) {
        put(t, " splits=%u", c->splits);
    }
    if (c->path != BENCH_PATH_AUTO) {
        put(t, " path=%s", bench_path_name(c->path));
    }
}

void bench_case_label(const bench_case *c, char label[BENCH_LABEL_SIZE]) {
    text t = {label, BENCH_LABEL_SIZE};
    put(&t, "%s %s", bench_op_name(c->op), bench_dtype_name(c->dtype));
    if (c->op == BENCH_ATTENTION) {
        put(&t, " B%u", c->batch);
        put_shape(&t, c);
        put(&t, "%s", c->causal ? " causal" : "");
        put_window(&t, c);
    } else {
        put(&t, " %ux%u%s", c->rows, c->cols, c->residual ? " residual" : "");
    }
    put_demands(&t, c);
}

void bench_case_brief(const bench_case *c, char label[BENCH_LABEL_SIZE]) {
    text t = {label, BENCH_LABEL_SIZE};
    if (c->op == BENCH_ATTENTION) {
        put(&t, "%s", bench_dtype_name(c->dtype));
        if (c->batch > 1) {
            put(&t, " B%u", c->batch);
        }
        put_shape(&t, c);
        /* A window that ends at the query is causal anyway. */
        put(&t, "%s", c->causal && c->window_right != 0 ? " causal" : "");
        put_window(&t, c);
    } else {
        put(&t, "norm %s %ux%u%s", bench_dtype_name(c->dtype), c->rows, c->cols, c->residual ? " residual" : "");
    }
    put_demands(&t, c);
}

/* ---- cost ---------------------------------------------------------------------------------------------------------
 */

/* The keys lo .. hi that the query at position p sees; none if lo > hi. */
static void visible(const bench_case *c, int64_t p, int64_t *lo, int64_t *hi) {
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

static bench_cost attention_cost(const bench_case *c) {
    double pairs = 0;
    int64_t first = INT64_MAX, last = -1, diagonal = (int64_t)c->kv_len - c->q_len;
    for (int64_t i = 0; i < c->q_len; i++) {
        int64_t lo, hi;
        visible(c, i + diagonal, &lo, &hi);
        if (lo <= hi) {
            pairs += (double)(hi - lo + 1);
            first = lo < first ? lo : first;
            last = hi > last ? hi : last;
        }
    }
    double size = vka_dtype_size(c->dtype), dims = (double)c->head_dim + c->value_dim;
    double reach = last < 0 ? 0 : (double)(last - first + 1); /* neighbouring queries' ranges touch: no gaps */
    double q_out = (double)c->batch * c->heads * c->q_len * dims * size;
    double kv_row = (double)c->batch * c->kv_heads * dims * size;
    return (bench_cost){
        .flops = 2 * (double)c->batch * c->heads * pairs * dims,
        .bytes = q_out + kv_row * reach,
        .footprint = q_out + kv_row * c->kv_len,
        .pairs = pairs,
    };
}

static bench_cost layer_norm_cost(const bench_case *c) {
    double tensors = c->residual ? 4 : 2; /* x, out; residual, sum */
    double bytes = (tensors * c->rows + 2) * c->cols * vka_dtype_size(c->dtype);
    return (bench_cost){.flops = NAN, .bytes = bytes, .footprint = bytes};
}

bench_cost bench_case_cost(const bench_case *c) {
    return c->op == BENCH_ATTENTION ? attention_cost(c) : layer_norm_cost(c);
}

bool bench_case_memory_bound(const bench_case *c) {
    return c->op != BENCH_ATTENTION || c->q_len <= 8;
}
