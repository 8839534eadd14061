/* Plans of linear layers for devices that are not here: every dispatch keeps to the device's limits and finds its rows
 * in every tensor, and together they do every output once. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ops/linear/plan.h"
#include "plan_check.h"
#include "plan_view.h"
#include "support/context.h"
#include "support/tensor.h"

static vka_linear_desc random_linear(ref_rng *rng) {
    static const vka_dtype weights[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_Q8_0, VKA_Q4_0};
    vka_dtype x = dtypes[ref_rng_below(rng, DTYPES)], w = ONE_OF(rng, 0, 1) ? x : weights[ref_rng_below(rng, 5)];
    uint32_t b = ONE_OF(rng, 1, 1, 3), h = ONE_OF(rng, 1, 2, 70), m = ONE_OF(rng, 1, 2, 7, 64, 77, 3000, 70000);
    uint32_t n = ONE_OF(rng, 1, 3, 64, 1000, 4096, 150000), block = vka_dtype_block(w);
    uint32_t k = ONE_OF(rng, 1, 31, 64, 768, 4096, 65536);
    k = (k + block - 1) / block * block;
    bool batched = ref_rng_below(rng, 3) == 0, wide = ref_rng_below(rng, 2);
    vka__view vx = random_view(rng, x, b, h, m, k), out = random_view(rng, x, b, h, m, n);
    vka__view residual = random_view(rng, VKA_F32, b, h, m, n), bias = random_view(rng, VKA_F16, 1, 1, 1, n);
    vka__view weight = random_view(rng, w, batched && wide ? b : 1, batched ? h : 1, n, k);
    vka_linear_desc d = {.x = tensor_of(&vx, 4),
                         .weight = tensor_of(&weight, batched ? 4 : 2),
                         .out = tensor_of(&out, 4),
                         .path = (vka_linear_path)(ref_rng_below(rng, 3) ? 0 : 1 + ref_rng_below(rng, 2)),
                         .splits = ref_rng_below(rng, 3) ? 0 : 1 + ref_rng_below(rng, 64)};
    if (ref_rng_below(rng, 2)) {
        d.bias = tensor_of(&bias, 1);
    }
    if (ref_rng_below(rng, 2)) {
        d.residual = tensor_of(&residual, 4);
    }
    return d;
}

typedef struct box {
    uint32_t begin[4], size[4]; /* batch, batch, rows, outputs */
} box;

/* As the kernel finds the last row, or output, of the box: where the view has it, and in sight of the binding. */
static void check_part(const device *d, const vka__view *v, const vka_strides *s, const vka__dispatch *x,
                       uint32_t binding, const box *b, uint32_t rows, uint32_t first, uint32_t width,
                       const char *name) {
    if (!v->present || v->block > 1) {
        return;
    }
    uint32_t last[3] = {b->size[0] - 1, b->size[1] - 1, b->size[rows] - 1};
    uint64_t at =
        x->push.base[binding] + (uint64_t)last[0] * s->b + (uint64_t)last[1] * s->h + (uint64_t)last[2] * s->n;
    uint64_t wanted = (b->begin[0] + last[0]) * v->stride[0] + (b->begin[1] + last[1]) * v->stride[1] +
                      (b->begin[rows] + last[2]) * v->stride[2] + first * v->stride[3];
    const vka__binding *bound = &x->binding[binding];
    cr_assert_eq(bound->offset + at * v->size, v->offset + wanted * v->size,
                 "%s: %s, row %u of the box that begins at %u, %u, %u lies at %llu and not at %llu", d->name, name,
                 last[2], b->begin[0], b->begin[1], b->begin[rows], (unsigned long long)(bound->offset + at * v->size),
                 (unsigned long long)(v->offset + wanted * v->size));
    cr_assert_geq(bound->range, (at + (width - 1) * v->stride[3] + 1) * v->size, "%s: %s is cut off", d->name, name);
    cr_assert_lt(at + (width - 1) * v->stride[3], UINT64_C(1) << 32);
}

static box box_of(const vka__linear_plan *plan, uint64_t index) {
    box b;
    for (int dim = 4; dim-- > 0; index /= plan->parts[dim]) {
        b.begin[dim] = (uint32_t)(index % plan->parts[dim]) * plan->part[dim];
        cr_assert_lt(b.begin[dim], plan->size[dim], "an empty box");
        b.size[dim] = vka__min_u32(plan->part[dim], plan->size[dim] - b.begin[dim]);
    }
    return b;
}

/* Returns the outputs that the dispatch computes from columns. */
static uint64_t check_one(const device *d, const vka__call *c, const vka__linear_state *s, uint64_t index) {
    const vka__linear_plan *plan = &s->plan;
    const vka__view *v = s->problem.view;
    bool splits = plan->params.splits > 1;
    box b = box_of(plan, splits ? 0 : index);
    vka__dispatch x;
    vka__call_dispatch(c, index, &x);
    check_dispatch(d, &x);
    cr_assert(x.push.rows == b.size[2] && x.push.dim1 == b.size[3] && x.push.dim2 == b.size[1]);
    if (!splits || index == 0) {
        check_part(d, &v[0], &plan->params.x, &x, VKA_BIND_X, &b, 2, 0, s->problem.columns, "x");
        check_part(d, &v[1], &plan->params.weight, &x, VKA_BIND_LINEAR_WEIGHT, &b, 3, 0, s->problem.columns, "weight");
    }
    if (!splits || index == 1) {
        const vka__view *residual = &v[VKA__LINEAR_RESIDUAL], *out = &v[VKA__LINEAR_OUT];
        check_part(d, residual, &plan->params.residual, &x, VKA_BIND_LINEAR_RESIDUAL, &b, 2, b.begin[3], b.size[3],
                   "residual");
        check_part(d, out, &plan->params.out_, &x, VKA_BIND_LINEAR_OUT, &b, 2, b.begin[3], b.size[3], "out");
    }
    return splits && index == 1 ? 0 : (uint64_t)b.size[0] * b.size[1] * b.size[2] * b.size[3];
}

static void check_plan(const device *d, const vka_linear_desc *desc) {
    static vka__call c;
    if (!PLAN(&c, linear, &d->caps, desc)) {
        uint64_t widest = 0;
        for (uint32_t i = 0; i < c.op->arg_count; i++) {
            uint64_t row = c.view[i].present ? vka__view_extent(&c.view[i], 3) * 8 : 0;
            widest = row > widest ? row : widest;
        }
        cr_assert_gt(widest + 1024, d->caps.storage_range, "%s refuses %s: %s", d->name, c.refusal.field,
                     c.refusal.reason);
        return;
    }
    const vka__linear_state *s = (const vka__linear_state *)(const void *)c.state;
    check_key(d, &c.key[0], s->plan.shared_bytes);
    cr_assert_leq(c.workspace_bytes, d->caps.storage_range);
    uint64_t outputs = 0, step = c.dispatches > 400 ? c.dispatches / 200 : 1;
    for (uint64_t i = 0; i < c.dispatches; i += step) {
        outputs += check_one(d, &c, s, i);
    }
    const uint32_t *size = s->plan.size;
    cr_assert(step > 1 || outputs == (uint64_t)size[0] * size[1] * size[2] * size[3], "%s: not every output once",
              d->name);
}

Test(linear_plan, limits) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 2000; i++) {
        vka_linear_desc p = random_linear(&rng);
        for (size_t d = 0; d < DEVICES; d++) {
            check_plan(&devices[d], &p);
        }
    }
}

/* The same devices, with dispatches of a few groups. */
Test(linear_plan, small_dispatches) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 300; i++) {
        vka_linear_desc p = random_linear(&rng);
        for (size_t d = 0; d < DEVICES; d++) {
            device few = devices[d];
            for (int dim = 0; dim < 3; dim++) {
                few.caps.max_groups[dim] = 64 + ref_rng_below(&rng, 2000);
            }
            check_plan(&few, &p);
        }
    }
}

/* What is chosen: few rows in registers, if there are enough of those; matrices where there are some. */
Test(linear_plan, choices) {
    static vka__call c;
    for (size_t i = 0; i < DEVICES; i++) {
        const vka_device_caps *caps = &devices[i].caps;
        for (uint32_t rows = 1; rows < 600; rows = rows * 4 + 1) {
            vka_linear_desc p = {.x = vka_tensor_2d(NULL, VKA_F16, rows, 4096),
                                 .weight = vka_tensor_2d(NULL, VKA_Q4_0, 4096, 4096),
                                 .out = vka_tensor_2d(NULL, VKA_F16, rows, 4096)};
            cr_assert(PLAN(&c, linear, caps, &p), "%s", devices[i].name);
            const vka__linear_plan *plan = &((const vka__linear_state *)(const void *)c.state)->plan;
            bool few_rows = rows == 1 || (rows <= 8 && !vka__has_few_registers(caps));
            cr_expect_eq(plan->choice.path == VKA_LINEAR_PATH_VECTOR, few_rows, "%s, %u rows", devices[i].name, rows);
            cr_expect(plan->choice.path != VKA_LINEAR_PATH_COOPMAT || caps->matrix_shape_count, "%s", devices[i].name);
        }
    }
}

/* Of f16 and many rows: matrices of a workgroup, of a subgroup, an instruction for pairs, in this order. */
Test(linear_plan, instructions) {
    static vka__call c;
    uint32_t taken = 0;
    for (size_t i = 0; i < DEVICES; i++) {
        const vka_device_caps *caps = &devices[i].caps;
        const vka__linear_plan *plan = &((const vka__linear_state *)(const void *)c.state)->plan;
        for (uint32_t quantised = 0; quantised < 2 && caps->type != VKA_DEVICE_CPU; quantised++) {
            vka_linear_desc p = {.x = vka_tensor_2d(NULL, VKA_F16, 512, 4096),
                                 .weight = vka_tensor_2d(NULL, quantised ? VKA_Q8_0 : VKA_F16, 4096, 4096),
                                 .out = vka_tensor_2d(NULL, VKA_F16, 512, 4096)};
            cr_assert(PLAN(&c, linear, caps, &p), "%s", devices[i].name);
            uint32_t path = plan->choice.path;
            taken |= 1u << path;
            bool has_dot = caps->f16_mixed_dot, by_workgroup = caps->matrix_workgroup_grain.m;
            cr_expect(path != VKA_LINEAR_PATH_DOT || has_dot, "%s", devices[i].name);
            cr_expect(path != VKA_LINEAR_PATH_TILE || !has_dot, "%s", devices[i].name);
            cr_expect(path != VKA_LINEAR_PATH_COOPMAT2 || (by_workgroup && !quantised), "%s", devices[i].name);
            cr_expect(path != VKA_LINEAR_PATH_DOT || plan->main.kernel == VKA__linear_dot_mixed, "%s", devices[i].name);
        }
    }
    cr_expect(taken >> VKA_LINEAR_PATH_COOPMAT2 & 1 && taken >> VKA_LINEAR_PATH_COOPMAT & 1 &&
              taken >> VKA_LINEAR_PATH_DOT & 1 && taken >> VKA_LINEAR_PATH_TILE & 1);
}

/* The row path loads weights once for all lanes where the driver does, and where they are whole vectors of elements. */
Test(linear_plan, uniform_loads) {
    static const struct {
        const char *device;
        vka_dtype weight;
        uint32_t columns;
        bool uniform;
    } cases[] = {
        {"lavapipe 26.1", VKA_F32, 512, true},           {"lavapipe 26.1", VKA_F16, 512, true},
        {"lavapipe 26.1", VKA_BF16, 512, true},          {"lavapipe 26.1", VKA_Q8_0, 512, false},
        {"lavapipe 26.1", VKA_Q4_0, 512, false},         {"lavapipe 26.1", VKA_F32, 516, false},
        {"lavapipe 26.1", VKA_F32, 511, false},          {"lavapipe 25.0", VKA_F32, 512, false},
        {"software with matrices", VKA_F32, 512, false},
    };
    static vka__call c;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka_linear_desc p = {.x = vka_tensor_2d(NULL, VKA_F32, 77, cases[i].columns),
                             .weight = vka_tensor_2d(NULL, cases[i].weight, 64, cases[i].columns),
                             .out = vka_tensor_2d(NULL, VKA_F32, 77, 64),
                             .path = VKA_LINEAR_PATH_ROW};
        for (uint32_t splits = 1; splits < 4; splits += 2) {
            p.splits = splits;
            cr_assert(PLAN(&c, linear, &device_named(cases[i].device)->caps, &p), "case %zu", i);
            const vka__linear_plan *plan = &((const vka__linear_state *)(const void *)c.state)->plan;
            bool uniform = plan->main.spec[VKA_SPEC_FLAGS] & VKA_LINEAR_UNIFORM;
            cr_expect_eq(uniform, cases[i].uniform, "case %zu, %u splits", i, splits);
        }
    }
}

/* What is listed is what runs. */
Test(linear_plan, candidates) {
    static const vka_dtype types[][2] = {{VKA_F32, VKA_F32},   {VKA_F16, VKA_F16}, {VKA_F16, VKA_Q8_0},
                                         {VKA_BF16, VKA_BF16}, {VKA_F16, VKA_F32}, {VKA_F32, VKA_F16}};
    static vka__call c;
    uint32_t listed = 0;
    for (size_t i = 0; i < DEVICES; i++) {
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            vka_linear_desc p = {.x = vka_tensor_2d(NULL, types[t][0], 77, 4096),
                                 .weight = vka_tensor_2d(NULL, types[t][1], 4096, 4096),
                                 .out = vka_tensor_2d(NULL, VKA_F32, 77, 4096)};
            cr_assert(PLAN(&c, linear, &devices[i].caps, &p), "%s", devices[i].name);
            const vka__linear_problem problem = ((const vka__linear_state *)(const void *)c.state)->problem;
            uint32_t path;
            vka__tile tile;
            for (uint32_t n = 0; vka__path_candidate(&vka__linear_paths, &devices[i].caps, &problem, n, &path, &tile);
                 n++) {
                p.path = (vka_linear_path)path;
                p.tile = (vka_linear_tile){tile.br, tile.bc, tile.rm, tile.tc};
                cr_assert(PLAN(&c, linear, &devices[i].caps, &p), "%s", devices[i].name);
                const vka__linear_plan *plan = &((const vka__linear_state *)(const void *)c.state)->plan;
                cr_assert(plan->choice.path == path && !memcmp(&plan->choice.tile, &tile, sizeof tile));
                check_key(&devices[i], &c.key[0], plan->shared_bytes);
                bool same = types[t][0] == types[t][1] || types[t][1] == VKA_Q8_0;
                bool halves = path == VKA_LINEAR_PATH_DOT || path == VKA_LINEAR_PATH_COOPMAT2;
                cr_assert(!halves || (types[t][0] == VKA_F16 && same), "%s", devices[i].name);
                listed |= 1u << path;
            }
        }
    }
    cr_assert_eq(listed, (2u << VKA_LINEAR_PATH_COOPMAT2) - 2, "not every path is listed somewhere: %x", listed);
}

/* Rows of all batches share their weights' tiles where strides allow. */
Test(linear_plan, merged_rows) {
    static vka__call c;
    const vka_device_caps *caps = &devices[0].caps;
    const vka__linear_problem *p = &((const vka__linear_state *)(const void *)c.state)->problem;
    vka_linear_desc d = {.x = vka_tensor_4d(NULL, VKA_F32, 2, 3, 5, 64),
                         .weight = vka_tensor_2d(NULL, VKA_F32, 7, 64),
                         .out = vka_tensor_4d(NULL, VKA_F32, 2, 3, 5, 7)};
    cr_assert(PLAN(&c, linear, caps, &d));
    cr_expect(p->rows == 30 && p->batch[0] == 1 && p->batch[1] == 1);
    d.out = vka_tensor_transpose(vka_tensor_4d(NULL, VKA_F32, 2, 5, 3, 7), 1, 2);
    cr_assert(PLAN(&c, linear, caps, &d));
    cr_expect(p->rows == 5 && p->batch[0] == 2 && p->batch[1] == 3);
    d.out = vka_tensor_4d(NULL, VKA_F32, 2, 3, 5, 7);
    d.weight = vka_tensor_4d(NULL, VKA_F32, 1, 3, 7, 64);
    cr_assert(PLAN(&c, linear, caps, &d));
    cr_expect(p->rows == 5 && p->batch[0] == 2 && p->batch[1] == 3);
}

/* ---- tuning records ---------------------------------------------------------------------------------------------- */

static void read_record(const vka_device_caps *caps, const char *rules, vka__tuning *tuning) {
    vka__context ctx;
    const char *why = NULL;
    char text[1024];
    int length = snprintf(text, sizeof text,
                          "{\"vkattn_tuning\": 1, \"records\": [{\"vendor_id\": %u, \"device_id\": %u, "
                          "\"driver_id\": %u, \"driver_version\": %u, \"linear\": [%s]}]}",
                          caps->vendor_id, caps->device_id, caps->driver_id, caps->driver_version, rules);
    cr_assert(length > 0 && (size_t)length < sizeof text);
    cr_assert_eq(vka__context_init(&ctx, "test", &(vka_log){0}, &(vka_allocator){0}), VKA_OK);
    cr_assert_eq(vka__tuning_parse(&ctx, caps, text, (size_t)length, tuning, &why), VKA_OK, "%s", why);
}

/* As vka_linear plans it on a device that has this record. */
static vka__linear_plan planned(const vka_device_caps *caps, vka_dtype weight, uint32_t rows,
                                const vka__tuning *tuning) {
    static vka__call c;
    vka_linear_desc d = {.x = vka_tensor_2d(NULL, VKA_F16, rows, 4096),
                         .weight = vka_tensor_2d(NULL, weight, 1024, 4096),
                         .out = vka_tensor_2d(NULL, VKA_F16, rows, 1024)};
    cr_assert(PLAN(&c, linear, caps, &d));
    vka__linear_problem p = ((const vka__linear_state *)(const void *)c.state)->problem;
    vka__linear_plan plan;
    vka__refusal refusal;
    p.tuning = tuning;
    cr_assert(vka__plan_linear(caps, &p, &plan, &refusal));
    return plan;
}

#define RULE(bounds, rest)                                                                                             \
    "{\"dtype\": \"q8_0\", " bounds ", \"path\": \"vector\", \"row_tile\": 1, \"output_tile\": 4, " rest "}"

/* A stored choice is taken where its class has the problem, and where its tile is one that the device can run. */
Test(linear_plan, follows_the_record) {
    const vka_device_caps *caps = NULL;
    for (size_t i = 0; i < DEVICES && !caps; i++) {
        caps = devices[i].caps.type == VKA_DEVICE_DISCRETE && !vka__has_few_registers(&devices[i].caps)
                   ? &devices[i].caps
                   : NULL;
    }
    cr_assert_not_null(caps);
    vka__tuning t;
    read_record(caps, RULE("\"rows\": 8", "\"rows_per_invocation\": 4, \"team\": 32, \"workgroups\": 1024"), &t);
    vka__linear_plan plan = planned(caps, VKA_Q8_0, 1, &t), without = planned(caps, VKA_Q8_0, 1, NULL);
    cr_expect(strstr(plan.choice.why, "record"), "%s", plan.choice.why);
    cr_expect(plan.choice.path == VKA_LINEAR_PATH_VECTOR && plan.choice.tile.rm == 4 && plan.choice.tile.tc == 32);
    cr_expect_eq(plan.main.spec[VKA_SPEC_RM], 4);
    cr_expect_neq(without.main.spec[VKA_SPEC_RM], 4);
    cr_expect_eq(plan.params.splits, 4, "1024 workgroups for 256 tiles, not %u", plan.params.splits);
    cr_expect_not(strstr(planned(caps, VKA_Q8_0, 9, &t).choice.why, "record"), "more rows than the class has");
    cr_expect_not(strstr(planned(caps, VKA_F16, 1, &t).choice.why, "record"), "other weights");
    read_record(caps,
                RULE("\"outputs\": 1024, \"outputs_above\": 1023, \"columns_above\": 4096",
                     "\"rows_per_invocation\": 4, \"team\": 32"),
                &t);
    cr_expect_not(strstr(planned(caps, VKA_Q8_0, 1, &t).choice.why, "record"), "fewer columns than the class has");
    read_record(caps, RULE("\"rows\": 8", "\"rows_per_invocation\": 3, \"team\": 32"), &t);
    cr_expect_not(strstr(planned(caps, VKA_Q8_0, 1, &t).choice.why, "record"), "a tile that is none");
}
