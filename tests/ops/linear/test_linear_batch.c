/* VKA_DETERMINISM_BATCH of linear layers: a row has the same bits alone, among few and among many.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "linear_case.h"

#define LAST_PATH VKA_LINEAR_PATH_COOPMAT2

/* Rows first .. first + rows - 1. */
static vka_tensor part_of(vka_tensor t, uint32_t first, uint32_t rows) {
    t = vka_tensor_transpose(t, 0, 0);
    t.offset += first * t.stride[0] * vka_dtype_size(t.dtype);
    t.shape[0] = rows;
    return t;
}

static void compare(linear_problem *p, vka_linear_desc desc) {
    static const uint32_t parts[] = {1, 2, 5, 33, 8, 68};
    linear_run(p, &desc);
    float *all = malloc(p->out.count * sizeof *all);
    cr_assert(all);
    memcpy(all, p->out.values, p->out.count * sizeof *all);
    tensor_poison(&p->out);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    for (uint32_t i = 0, first = 0; first < p->l.rows; first += parts[i++]) {
        vka_linear_desc part = desc;
        part.x = part_of(desc.x, first, parts[i]);
        part.out = part_of(desc.out, first, parts[i]);
        EXPECT_OK(vka_linear(p->c->recorder, &part));
    }
    context_finish(p->c);
    cr_assert(tensor_download(&p->out));
    for (size_t i = 0; i < p->out.count; i++) {
        cr_assert(!memcmp(&p->out.values[i], &all[i], sizeof *all),
                  "path %d, %u splits: element %zu is %.9g in a part and %.9g among all", desc.path, desc.splits, i,
                  (double)p->out.values[i], (double)all[i]);
    }
    free(all);
}

/* By each path, where drivers compile fast; with columns split, and not. */
static void run(context *c, linear_case l) {
    l.rows = 117;
    l.outputs = 70;
    l.columns = 1088;
    l.out = l.x;
    l.bias = VKA_F32;
    linear_problem p = linear_make(c, l, test_seed());
    vka_linear_desc desc = linear_desc(&p);
    desc.determinism = VKA_DETERMINISM_BATCH;
    uint32_t few = 1 << VKA_LINEAR_PATH_AUTO | 1 << VKA_LINEAR_PATH_VECTOR;
    uint32_t paths = context_compiles_slowly(c) ? few : few | linear_paths(c, &desc);
    for (int path = VKA_LINEAR_PATH_AUTO; path <= LAST_PATH; path++) {
        for (uint32_t splits = 0; (paths >> path & 1) && splits <= 3; splits += 3) {
            desc.path = (vka_linear_path)path;
            desc.splits = splits;
            compare(&p, desc);
        }
    }
    linear_destroy(&p);
}

Test(linear_batch, floats) {
    context c;
    context_open(&c, &config_real);
    run(&c, (linear_case){.x = VKA_F32, .weight = VKA_F32});
    context_close(&c);
}

Test(linear_batch, halves) {
    context c;
    context_open(&c, &config_real);
    run(&c, (linear_case){.x = VKA_F16, .weight = VKA_F16});
    context_close(&c);
}

Test(linear_batch, quantised_weights) {
    context c;
    context_open(&c, &config_real);
    run(&c, (linear_case){.x = VKA_F16, .weight = VKA_Q8_0});
    context_close(&c);
}
