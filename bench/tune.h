/* What tuning knows of the operations that it measures. SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_TUNE_H
#define VKATTN_BENCH_TUNE_H

#include "bench.h"

/* A class of problems: numbers above `above` and at most `most` (0: any), in the order of the operation's names, */
typedef struct tune_class {
    uint32_t most[BENCH_TUNED_SIZES], above[BENCH_TUNED_SIZES];
    bool few_rows;    /* splits are tried too                        */
    bool only_on_gpu; /* a software driver would compile for minutes */
    const char *use;  /* for the table                               */
} tune_class;

/* A path and a tile: as vka_operation_candidates has them of every operation. */
typedef struct tune_choice {
    uint32_t path; /* of the operation's enumeration; 0: the library's choice */
    uint32_t tile[BENCH_TUNED_TILE];
} tune_choice;

typedef struct tune_operation {
    bench_op op;
    const bench_tuned_names *names;
    const tune_class *classes;
    size_t class_count;
    const vka_dtype *types; /* of a class */
    size_t type_count;
    bench_case (*problem)(const tune_class *k, vka_dtype dtype, bool software);
    void (*describe)(const bench_problem *p, const tune_choice *x, uint32_t splits, bench_contender *contender);
    uint32_t (*groups)(const bench_case *c, const tune_choice *x); /* of an unsplit call */
    bench_path (*path)(uint32_t path);
} tune_operation;

extern const tune_operation tune_attention, tune_linear;

#endif
