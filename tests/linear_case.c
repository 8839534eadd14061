/* SPDX-License-Identifier: MIT */
#include "linear_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/linear/plan.h"

static const char *describe(const linear_problem *p, const vka_linear_desc *d, char *text, size_t size) {
    const linear_case *l = &p->l;
    snprintf(text, size,
             "%s: %u batches, %zu rows, %u outputs, %u columns, %s x %s + %s, + %s = %s%s, activation %d, path %d, "
             "tile %ux%u, %u, %u, splits %u, VKATTN_SEED=%llu",
             p->c->config->name, p->batches, p->rows, l->outputs, l->columns, dtype_name(l->x), dtype_name(l->weight),
             dtype_name(l->bias), dtype_name(l->residual), dtype_name(l->out), l->in_place ? " in place" : "",
             l->activation, d->path, d->tile.row_tile, d->tile.output_tile, d->tile.rows_per_invocation, d->tile.team,
             d->splits, (unsigned long long)p->seed);
    return text;
}

/* The dimensions of `lead` that there are, and two behind them. */
static tensor make(context *c, const linear_case *l, vka_dtype dtype, bool lead, uint32_t rows, uint32_t columns,
                   layout where) {
    uint32_t shape[4], rank = 0;
    for (uint32_t i = 0; lead && i + 2 < l->rank; i++) {
        shape[rank++] = l->lead[i];
    }
    if (l->rank > 1 || !lead) {
        shape[rank++] = rows;
    }
    shape[rank++] = columns;
    if (where.order && strlen(where.order) != rank) {
        where.order = NULL;
    }
    return tensor_create(c, dtype, rank, shape, where);
}

static void make_tensors(linear_problem *p) {
    const linear_case *l = &p->l;
    uint32_t rows = l->rows;
    p->x = make(p->c, l, l->x, true, rows, l->columns, l->x_layout);
    p->weight = make(p->c, l, l->weight, l->batched, l->outputs, l->columns, l->weight_layout);
    p->out = make(p->c, l, l->out, true, rows, l->outputs, l->out_layout);
    p->residual = make(p->c, l, l->residual ? l->residual : VKA_F32, true, rows, l->outputs, l->out_layout);
    p->bias = tensor_create(p->c, l->bias ? l->bias : VKA_F32, 1, &l->outputs, (layout){.pad = l->out_layout.pad});
}

linear_problem linear_make(context *c, linear_case l, uint64_t seed) {
    l.rank = l.rank ? l.rank : 2;
    l.x = l.x ? l.x : VKA_F32;
    l.weight = l.weight ? l.weight : VKA_F32;
    l.out = l.in_place ? l.residual : l.out ? l.out : VKA_F32;
    linear_problem p = {.c = c, .l = l, .seed = seed, .batches = 1, .rows = l.rank > 1 ? l.rows : 1};
    for (uint32_t i = 0; i + 2 < l.rank; i++) {
        p.rows *= l.lead[i];
        p.batches *= l.batched ? l.lead[i] : 1;
    }
    p.rows_each = p.batches ? p.rows / p.batches : 0;
    ref_rng rng = ref_rng_seed(seed);
    make_tensors(&p);
    tensor_fill_normal(&p.x, &rng, 0, 1);
    tensor_fill_normal(&p.weight, &rng, 0, 1 / sqrtf((float)(l.columns ? l.columns : 1)));
    tensor_fill_normal(&p.bias, &rng, 0, 1);
    tensor_fill_normal(&p.residual, &rng, 0, 1);
    tensor_upload(&p.x);
    tensor_upload(&p.weight);
    tensor_upload(&p.bias);
    p.residual_values = malloc((p.residual.count + 1) * sizeof(float));
    cr_assert_not_null(p.residual_values);
    memcpy(p.residual_values, p.residual.values, p.residual.count * sizeof(float));
    return p;
}

void linear_destroy(linear_problem *p) {
    tensor *tensors[] = {&p->x, &p->weight, &p->bias, &p->residual, &p->out};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        tensor_destroy(tensors[i]);
    }
    free(p->residual_values);
}

vka_linear_desc linear_desc(const linear_problem *p) {
    const linear_case *l = &p->l;
    vka_linear_desc d = {.x = p->x.view,
                         .weight = p->weight.view,
                         .out = l->in_place ? p->residual.view : p->out.view,
                         .activation = l->activation,
                         .splits = l->splits};
    if (l->bias) {
        d.bias = p->bias.view;
    }
    if (l->residual) {
        d.residual = p->residual.view;
    }
    return d;
}

static void compare(linear_problem *p, const vka_linear_desc *d) {
    const linear_case *l = &p->l;
    const tensor *out = l->in_place ? &p->residual : &p->out;
    ref_error e = {0};
    char text[512];
    double *ref = malloc((l->outputs + 1) * sizeof *ref);
    float *naive = malloc((l->outputs + 1) * sizeof *naive);
    cr_assert(ref && naive);
    for (size_t row = 0; row < p->rows; row++) {
        const ref_linear r = {
            .outputs = l->outputs,
            .columns = l->columns,
            .weight = p->weight.values + row / p->rows_each * l->outputs * l->columns,
            .bias = l->bias ? p->bias.values : NULL,
            .activation = l->activation,
            .x_type = l->x,
            .weight_type = l->weight,
            .out_type = l->out,
        };
        const float *x = p->x.values + row * l->columns;
        const float *residual = l->residual ? p->residual_values + row * l->outputs : NULL;
        ref_linear_row(&r, x, residual, ref);
        ref_linear_naive_row(&r, x, residual, naive);
        for (uint32_t n = 0; n < l->outputs; n++) {
            ref_error_add(&e, out->values[row * l->outputs + n], naive[n], ref[n]);
        }
    }
    cr_assert(ref_error_ok(&e), "out is off by %.3g%s where the naive computation is off by %.3g; %s", e.out,
              e.broken ? " or not a number" : "", e.naive, describe(p, d, text, sizeof text));
    free(ref);
    free(naive);
}

static void download(linear_problem *p, const vka_linear_desc *d) {
    tensor *tensors[] = {&p->x, &p->weight, &p->bias, &p->residual, &p->out};
    static const char *const names[] = {"x", "weight", "bias", "residual", "out"};
    const tensor *out = p->l.in_place ? &p->residual : &p->out;
    char text[512];
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        tensor_collect(tensors[i], tensors[i] == out, names[i], describe(p, d, text, sizeof text));
    }
}

void linear_run(linear_problem *p, const vka_linear_desc *d) {
    memcpy(p->residual.values, p->residual_values, p->residual.count * sizeof(float));
    tensor_upload(&p->residual);
    tensor_poison(&p->out);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_linear(p->c->recorder, d));
    context_finish(p->c);
    download(p, d);
    compare(p, d);
}

uint32_t linear_paths(context *c, const vka_linear_desc *desc) {
    vka_linear_candidate list[256];
    uint32_t count = 0, paths = 0;
    EXPECT_OK(vka_linear_candidates(c->device, desc, list, 256, &count));
    cr_assert_leq(count, 256);
    for (uint32_t i = 0; i < count; i++) {
        paths |= 1u << list[i].path;
    }
    return paths;
}

uint32_t linear_all_paths(context *c, linear_case l) {
    static uint32_t turn;
    linear_problem p = linear_make(c, l, test_seed());
    vka_linear_desc d = linear_desc(&p);
    uint32_t paths = linear_paths(c, &d);
    uint32_t step = context_compiles_slowly(c) ? 4 : context_takes_turns(c) ? 2 : 1, skip = turn++ % step;
    for (uint32_t path = VKA_LINEAR_PATH_VECTOR; path < vka__linear_paths.path_count; path++) {
        d.path = (vka_linear_path)path;
        if ((paths >> path & 1) && skip++ % step == 0) {
            linear_run(&p, &d);
        }
    }
    linear_destroy(&p);
    return paths;
}
