/* Routing between capsules: every type, shape, number of iterations and layout against float64.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/capsule.h>

#include "support/context.h"
#include "support/tensor.h"

enum { VOTES, BIAS, OUT, COUPLING, TENSORS };
static const char *const names[TENSORS] = {"votes", "bias", "out", "coupling"};

/* Zero: f32, one entry, input, output, channel; three iterations. */
typedef struct routing_case {
    uint32_t batch, inputs, outputs, dim, iterations;
    vka_dtype types[TENSORS];
    bool bias, coupling;
    float size;      /* of votes; 0: sums are about 1 long */
    float nonfinite; /* of one of the votes; 0: none       */
    layout layout;
    bool nothing; /* there are no inputs */
} routing_case;

typedef struct routing_problem {
    context *c;
    routing_case k;
    tensor t[TENSORS];
} routing_problem;

static const char *describe(const routing_problem *p, char *text, size_t size) {
    const routing_case *k = &p->k;
    snprintf(text, size,
             "%s: %s -> %s [%u, %u, %u, %u] %u iterations%s%s, votes of %g, %g, order %s+%u>>%u, VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(k->types[VOTES]), dtype_name(k->types[OUT]), k->batch, k->inputs,
             k->outputs, k->dim, k->iterations, k->bias ? ", bias" : "", k->coupling ? ", coupling" : "",
             (double)k->size, (double)k->nonfinite, k->layout.order ? k->layout.order : "dense", k->layout.pad,
             k->layout.shift, (unsigned long long)test_seed());
    return text;
}

static routing_problem make(context *c, routing_case k) {
    routing_problem p = {.c = c};
    k.batch = k.batch ? k.batch : 1;
    k.inputs = k.inputs || k.nothing ? k.inputs : 1;
    k.outputs = k.outputs ? k.outputs : 1;
    k.dim = k.dim ? k.dim : 1;
    k.iterations = k.iterations ? k.iterations : 3;
    k.size = k.size != 0 ? k.size : 3 / sqrtf((float)k.inputs + 1);
    const uint32_t votes[] = {k.batch, k.inputs, k.outputs, k.dim}, out[] = {k.batch, k.outputs, k.dim};
    const uint32_t bias[] = {k.outputs, k.dim}, coupling[] = {k.batch, k.inputs, k.outputs};
    const uint32_t *shapes[TENSORS] = {votes, bias, out, coupling};
    static const uint32_t ranks[TENSORS] = {4, 2, 3, 3};
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < TENSORS; i++) {
        layout l = i == VOTES ? k.layout : (layout){.pad = k.layout.pad, .shift = k.layout.shift};
        k.types[i] = k.types[i] ? k.types[i] : VKA_F32;
        p.t[i] = tensor_create(c, k.types[i], ranks[i], shapes[i], l);
        tensor_fill_normal(&p.t[i], &rng, 0, i == VOTES ? k.size : 0.3f);
    }
    if (k.nonfinite != 0) {
        p.t[VOTES].values[p.t[VOTES].count / 3] = k.nonfinite;
    }
    p.k = k;
    return p;
}

static void destroy(routing_problem *p) {
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
    }
}

static vka_capsule_routing_desc desc_of(const routing_problem *p) {
    const routing_case *k = &p->k;
    return (vka_capsule_routing_desc){
        .votes = p->t[VOTES].view,
        .bias = k->bias ? p->t[BIAS].view : (vka_tensor){0},
        .out = p->t[OUT].view,
        .coupling = k->coupling ? p->t[COUPLING].view : (vka_tensor){0},
        .iterations = k->iterations == 3 ? 0 : k->iterations,
    };
}

static void add_errors(const routing_problem *p, int which, size_t first, size_t count, const double *ref,
                       const float *naive, ref_error *e) {
    char text[512];
    for (size_t i = 0; i < count; i++) {
        float got = p->t[which].values[first + i];
        ref_error_add(e, (double)got, (double)ref_round(p->k.types[which], naive[i]), ref[i]);
        cr_assert(!e->broken, "%s: element %zu is %g, not %g; %s", names[which], first + i, (double)got, ref[i],
                  describe(p, text, sizeof text));
    }
}

static void compare(const routing_problem *p) {
    const routing_case *k = &p->k;
    size_t of_out = (size_t)k->outputs * k->dim, pairs = (size_t)k->inputs * k->outputs;
    double *ref = malloc((of_out + 2 * pairs) * sizeof *ref);
    float *naive = malloc((of_out + 2 * pairs) * sizeof *naive);
    cr_assert(ref && naive);
    ref_error out = {0}, coupling = {0};
    for (uint32_t b = 0; b < k->batch; b++) {
        ref_capsule_routing r = {.inputs = k->inputs,
                                 .outputs = k->outputs,
                                 .dim = k->dim,
                                 .iterations = k->iterations,
                                 .votes = p->t[VOTES].values + b * pairs * k->dim,
                                 .bias = k->bias ? p->t[BIAS].values : NULL};
        ref_capsule_routing_entry(&r, ref, ref + of_out, ref + of_out + pairs);
        ref_capsule_routing_naive_entry(&r, naive, naive + of_out, naive + of_out + pairs);
        add_errors(p, OUT, b * of_out, of_out, ref, naive, &out);
        if (k->coupling) {
            add_errors(p, COUPLING, b * pairs, pairs, ref + of_out, naive + of_out, &coupling);
        }
    }
    char text[512];
    cr_assert(ref_error_ok(&out), "off by %.3g where the naive computation is off by %.3g; %s", out.out, out.naive,
              describe(p, text, sizeof text));
    cr_assert(ref_error_ok(&coupling), "coupling is off by %.3g where the naive computation is off by %.3g; %s",
              coupling.out, coupling.naive, describe(p, text, sizeof text));
    free(ref);
    free(naive);
}

static void run(routing_problem *p) {
    vka_capsule_routing_desc d = desc_of(p);
    char text[512];
    tensor_upload(&p->t[VOTES]);
    tensor_upload(&p->t[BIAS]);
    tensor_poison(&p->t[OUT]);
    tensor_poison(&p->t[COUPLING]);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_capsule_routing(p->c->recorder, &d));
    context_finish(p->c);
    for (int i = 0; i < TENSORS; i++) {
        tensor_collect(&p->t[i], i == OUT || (i == COUPLING && p->k.coupling), names[i],
                       describe(p, text, sizeof text));
    }
    compare(p);
}

static void check(context *c, routing_case k) {
    if (context_leaves_out(c, 7)) {
        return;
    }
    routing_problem p = make(c, k);
    run(&p);
    destroy(&p);
}

/* In one dispatch, where there are entries enough or few inputs, and in one an iteration. */
Test(capsule_routing, iterations) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t t = 1; t <= 7; t += t < 3 ? 1 : 2) {
        routing_case k = {.batch = 9, .inputs = 90, .outputs = 10, .dim = 16, .iterations = t, .coupling = true};
        check(&c, k);
        k.batch = 2;
        k.bias = true;
        check(&c, k);
        k.inputs = 11;
        k.dim = 5;
        check(&c, k);
    }
    context_close(&c);
}

/* Outputs that shared memory holds and others; more vectors than invocations; channels that are no vectors. */
Test(capsule_routing, shapes) {
    static const uint32_t shapes[][3] = {{1, 1, 1},     {5, 1, 9},    {1152, 10, 16}, {64, 32, 32},
                                         {33, 3, 1},    {7, 300, 2},  {40, 1000, 3},  {9, 2048, 1},
                                         {130, 70, 17}, {3, 2, 1024}, {65, 5, 600},   {300, 257, 4}};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        routing_case k = {.inputs = shapes[i][0], .outputs = shapes[i][1], .dim = shapes[i][2], .bias = true};
        check(&c, k);
        k.coupling = true;
        k.batch = 10;
        check(&c, k);
    }
    context_close(&c);
}

Test(capsule_routing, types) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 3 * DTYPES; i++) {
        routing_case k = {
            .batch = 1 + i % 2 * 8, .inputs = 77, .outputs = 6, .dim = i % 2 ? 8 : 7, .bias = true, .coupling = true};
        for (uint32_t t = 0; t < TENSORS; t++) {
            k.types[t] = i < DTYPES ? dtypes[i] : dtypes[(i / 3 * t + i) % DTYPES];
        }
        check(&c, k);
    }
    context_close(&c);
}

/* "0213" is [B, J, I, D]. */
Test(capsule_routing, layouts) {
    static const char *const orders[] = {"0123", "0213", "3210", "0132"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 4 * DTYPES; i++) {
        vka_dtype t = dtypes[i % DTYPES];
        check(&c, (routing_case){.batch = 3,
                                 .inputs = 50,
                                 .outputs = 7,
                                 .dim = 12,
                                 .types = {t, t, t, t},
                                 .bias = i & 1,
                                 .coupling = true,
                                 .layout = {orders[i % 4], i / 4, i % 3}});
    }
    context_close(&c);
}

/* Votes whose squares are beyond f32, and below it; sums of 0; strong agreement. */
Test(capsule_routing, extremes) {
    static const float sizes[] = {1e25f, 1e-25f, 1e-42f, 30};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check(&c, (routing_case){.batch = 2, .inputs = 3, .outputs = 4, .dim = 5, .iterations = 1, .size = sizes[i]});
        check(&c, (routing_case){.batch = 2, .inputs = 60, .outputs = 4, .dim = 5, .iterations = 1, .size = sizes[i]});
    }
    check(&c, (routing_case){.batch = 2, .inputs = 40, .outputs = 4, .dim = 5, .size = 2, .coupling = true});
    routing_problem p = make(&c, (routing_case){.batch = 2, .inputs = 40, .outputs = 3, .dim = 6, .coupling = true});
    for (size_t i = 0; i < p.t[VOTES].count; i++) {
        p.t[VOTES].values[i] = i / 6 % 3 == 1 ? 0 : p.t[VOTES].values[i];
    }
    run(&p);
    destroy(&p);
    context_close(&c);
}

Test(capsule_routing, nonfinite) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 12; i++) {
        check(&c, (routing_case){.batch = i & 1 ? 2 : 9,
                                 .inputs = i & 2 ? 20 : 70,
                                 .outputs = 4,
                                 .dim = 6 + i % 3,
                                 .iterations = 1 + i / 4,
                                 .coupling = true,
                                 .nonfinite = i % 3 == 0   ? NAN
                                              : i % 3 == 1 ? INFINITY
                                                           : -INFINITY});
    }
    context_close(&c);
}

/* Bindings, grids and workgroups that are too small for it. */
Test(capsule_routing, narrow) {
    static const device_config *const configs[] = {&config_short, &config_few_groups, &config_few_buffers,
                                                   &config_tiny};
    for (uint32_t i = 0; i < 4; i++) {
        context c;
        context_open(&c, configs[i]);
        check(&c, (routing_case){.batch = 25, .inputs = 90, .outputs = 10, .dim = 16, .bias = true, .coupling = true});
        check(&c, (routing_case){.batch = 3, .inputs = 150, .outputs = 5, .dim = 9, .coupling = true});
        check(&c, (routing_case){.batch = 3, .inputs = 14, .outputs = 110, .dim = 10, .coupling = true});
        context_close(&c);
    }
}

/* Without inputs there is the bias. */
Test(capsule_routing, nothing) {
    context c;
    context_open(&c, &config_real);
    check(&c, (routing_case){.batch = 2, .nothing = true, .outputs = 3, .dim = 5, .bias = true});
    check(&c, (routing_case){.batch = 2, .nothing = true, .outputs = 300, .dim = 5});
    routing_problem p = make(&c, (routing_case){.batch = 2, .inputs = 3, .outputs = 4, .dim = 5});
    vka_capsule_routing_desc d = desc_of(&p);
    tensor_poison(&p.t[OUT]);
    d.votes.shape[0] = d.out.shape[0] = 0;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_capsule_routing(c.recorder, &d));
    context_finish(&c);
    cr_assert(tensor_download(&p.t[OUT]) && tensor_untouched(&p.t[OUT], 0));
    destroy(&p);
    context_close(&c);
}

static vka_requirements requirements(context *c, uint32_t batch, uint32_t inputs, uint32_t iterations) {
    vka_requirements need;
    vka_capsule_routing_desc d = {.votes = vka_tensor_4d(NULL, VKA_F32, batch, inputs, 10, 16),
                                  .out = vka_tensor_3d(NULL, VKA_F32, batch, 10, 16),
                                  .iterations = iterations};
    EXPECT_OK(vka_capsule_routing_requirements(c->device, &d, &need));
    return need;
}

/* At most one dispatch an iteration; in a workspace of the caller's, and twice the same bits. */
Test(capsule_routing, dispatches) {
    context c;
    context_open(&c, &config_real);
    cr_assert_eq(requirements(&c, 1000, 40, 9).dispatches, 1);
    vka_requirements need = requirements(&c, 1, 1152, 9);
    cr_assert(need.dispatches == 9 && need.workspace_bytes > 0);
    routing_problem p = make(&c, (routing_case){.inputs = 1152, .outputs = 10, .dim = 16, .iterations = 9});
    run(&p);
    size_t bytes = p.t[OUT].count * sizeof(float);
    float *first = malloc(bytes);
    cr_assert_not_null(first);
    memcpy(first, p.t[OUT].values, bytes);
    vka_capsule_routing_desc d = desc_of(&p);
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = need.workspace_bytes}, &d.workspace.buffer));
    for (int i = 0; i < 5; i++) {
        tensor_poison(&p.t[OUT]);
        EXPECT_OK(vka_recorder_begin(c.recorder));
        EXPECT_OK(vka_capsule_routing(c.recorder, &d));
        context_finish(&c);
        cr_assert(tensor_download(&p.t[OUT]) && !memcmp(first, p.t[OUT].values, bytes));
    }
    vka_buffer_destroy(&d.workspace.buffer);
    free(first);
    destroy(&p);
    context_close(&c);
}

/* What no table says. */
Test(capsule_routing, refusals) {
    context c;
    context_open(&c, &config_short);
    vka_capsule_routing_desc d = {.votes = vka_tensor_4d(NULL, VKA_F32, 2, 101, 10, 16),
                                  .out = vka_tensor_3d(NULL, VKA_F32, 2, 10, 16)};
    EXPECT_OK(vka_capsule_routing_prepare(c.device, &d));
    d.votes.shape[1] = 103;
    EXPECT_FAILURE(vka_capsule_routing_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_capsule_routing.votes");
    d.votes = vka_tensor_4d(NULL, VKA_F32, 1, 1, 2, 1 << 20);
    d.out = vka_tensor_3d(NULL, VKA_F32, 1, 2, 1 << 20);
    EXPECT_FAILURE(vka_capsule_routing_prepare(c.device, &d), VKA_UNSUPPORTED, "vka_capsule_routing.out");
    context_close(&c);
}
