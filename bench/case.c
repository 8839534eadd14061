/* Cases: their names, their rules, and what they must at least compute and move.
 * SPDX-License-Identifier: MIT */
#include "ops/op.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

const char *const bench_op_names[] = {"invalid",
#define BENCH_OP(ID, name) #name,
#include "ops.def"
                                      NULL};
static const bench_operation *const operations[BENCH_OPS] = {
#define BENCH_OP(ID, name) [BENCH_##ID] = &bench_operation_##name,
#include "ops.def"
};
static const char *const dtype_names[] = {[VKA_DTYPE_INVALID] = "invalid",
                                          [VKA_F32] = "f32",
                                          [VKA_F16] = "f16",
                                          [VKA_BF16] = "bf16",
                                          [VKA_Q8_0] = "q8_0",
                                          [VKA_Q4_0] = "q4_0"};
const char *const bench_path_names[] = {"auto", "row",   "tile",   "decode",    "coopmat", "coopmat2",          "dot",
                                        "lane", "group", "vector", "recurrent", "chunked", "coopmat_registers", NULL};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static int find(const char *const *names, int first, int count, const char *name, int otherwise) {
    for (int i = first; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return otherwise;
}

const bench_operation *bench_operation_of(bench_op op) {
    return operations[op];
}

const char *bench_dtype_name(vka_dtype dtype) {
    return dtype_names[dtype];
}

const char *bench_path_name(bench_path path) {
    return path < 0 ? "invalid" : bench_path_names[path];
}

bench_op bench_op_parse(const char *name) {
    return (bench_op)find(bench_op_names, 1, BENCH_OPS, name, BENCH_OP_INVALID);
}

vka_dtype bench_dtype_parse(const char *name) {
    return (vka_dtype)find(dtype_names, 1, VKA_BF16 + 1, name, VKA_DTYPE_INVALID);
}

bench_path bench_path_of(const uint32_t *paths, size_t count, uint32_t path) {
    for (size_t i = 1; i < count; i++) {
        if (path && paths[i] == path) {
            return (bench_path)i;
        }
    }
    return BENCH_PATH_AUTO;
}

bench_path bench_path_parse(const char *name) {
    return (bench_path)find(bench_path_names, 0, COUNT(bench_path_names) - 1, name, BENCH_PATH_INVALID);
}

bool bench_path_fits(bench_path path, bench_op op) {
    return path == BENCH_PATH_AUTO || (path > 0 && (operations[op]->paths & BENCH_BIT(path)));
}

bool bench_case_windowed(const bench_case *c) {
    return c->window_left != VKA_UNBOUNDED || c->window_right != VKA_UNBOUNDED;
}

/* ---- rules ----------------------------------------------------------------------------------------------------- */

vka_tensor bench_case_tensor(const bench_case *c, bench_slot slot) {
    const bench_operation *op = operations[c->op];
    return op->slots & BENCH_BIT(slot) ? op->tensor(c, slot) : (vka_tensor){0};
}

/* As a number that doesn't overflow. */
static double elements(const vka_tensor *t) {
    double n = t->rank ? 1 : 0;
    for (uint32_t i = 0; i < t->rank; i++) {
        n *= t->shape[i];
    }
    return n;
}

static bool has_sizes(const bench_case *c) {
#define ABSENT_number(value) ((value) == 0)
#define ABSENT_bound(value)  false
#define ABSENT_flag(value)   false
#define BENCH_FIELD(kind, member, ID, option, shapes, ...)                                                             \
    if ((operations[c->op]->shape & (shapes)) && ABSENT_##kind(c->member)) {                                           \
        return false;                                                                                                  \
    }
#include "fields.def"
    return true;
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
    if (!has_sizes(c)) {
        return "every size must be at least 1";
    }
    const char *broken = operations[c->op]->check ? operations[c->op]->check(c) : NULL;
    for (bench_slot slot = 0; !broken && slot < BENCH_SLOTS; slot++) {
        vka_tensor t = bench_case_tensor(c, slot);
        /* Element counts stay far from overflow; a device with 2^40 elements of memory is not in sight. */
        broken = elements(&t) > 0x1p40 ? "the tensors are too large" : NULL;
    }
    return broken;
}

/* ---- label ------------------------------------------------------------------------------------------------------ */

void bench_put(bench_line *line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->at, line->left, format, args);
    va_end(args);
    size_t step = n < 0 ? 0 : (size_t)n;
    step = step < line->left ? step : line->left - 1;
    line->at += step;
    line->left -= step;
}

static void put_case(const bench_case *c, bool brief, bench_line *line) {
    const bench_operation *op = operations[c->op];
    bench_put(line, "%s%s%s", brief ? op->word : op->name, brief ? "" : " ", bench_dtype_name(c->dtype));
    op->label(c, brief, line);
    if (c->splits) {
        bench_put(line, " splits=%u", c->splits);
    }
    if (c->path != BENCH_PATH_AUTO) {
        bench_put(line, " path=%s", bench_path_name(c->path));
    }
}

void bench_case_label(const bench_case *c, char label[BENCH_LABEL_SIZE]) {
    put_case(c, false, &(bench_line){label, BENCH_LABEL_SIZE});
}

void bench_case_brief(const bench_case *c, char label[BENCH_LABEL_SIZE]) {
    put_case(c, true, &(bench_line){label, BENCH_LABEL_SIZE});
}

/* ---- cost -------------------------------------------------------------------------------------------------------- */

bench_cost bench_case_cost(const bench_case *c) {
    if (operations[c->op]->cost) {
        return operations[c->op]->cost(c);
    }
    double bytes = 0;
    for (bench_slot slot = 0; slot < BENCH_SLOTS; slot++) {
        vka_tensor t = bench_case_tensor(c, slot);
        bytes += t.rank ? elements(&t) / vka_dtype_block(t.dtype) * vka_dtype_size(t.dtype) : 0;
    }
    return (bench_cost){.flops = NAN, .bytes = bytes, .footprint = bytes};
}

bool bench_case_memory_bound(const bench_case *c) {
    return !operations[c->op]->memory_bound || operations[c->op]->memory_bound(c);
}
