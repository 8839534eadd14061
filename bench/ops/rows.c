/* What operations on rows share.
 * SPDX-License-Identifier: MIT */
#include "op.h"

void bench_rows_label(const bench_case *c, bool brief, bench_line *line) {
    (void)brief;
    bench_put(line, " %ux%u%s", c->rows, c->cols, c->residual ? " residual" : "");
}

vka_tensor bench_rows_tensor(const bench_case *c, bench_slot slot) {
    if (slot == BENCH_WEIGHT || slot == BENCH_BIAS) {
        return vka_tensor_1d(NULL, c->dtype, c->cols);
    }
    bool absent = (slot == BENCH_RESIDUAL || slot == BENCH_SUM) && !c->residual;
    return absent ? (vka_tensor){0} : vka_tensor_2d(NULL, c->dtype, c->rows, c->cols);
}

bench_effort bench_rows_effort(const bench_case *c) {
    return (bench_effort){.ns = 60.0 * c->cols};
}

vka_norm_path bench_norm_path(const bench_case *c) {
    return c->path == BENCH_PATH_LANE    ? VKA_NORM_PATH_LANE
           : c->path == BENCH_PATH_GROUP ? VKA_NORM_PATH_GROUP
                                         : VKA_NORM_PATH_AUTO;
}
