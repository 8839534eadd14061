/* Adaptive spans: biases against the logarithm of the mask, what bounds the work against the mask, and attention with
 * both against the authors' code.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/relative.h>

#include "attention_case.h"

/* ---- biases ---------------------------------------------------------------------------------------------------- */

typedef struct span_case {
    uint32_t heads, length, zero;
    float ramp;
    layout layout;
} span_case;

typedef struct span_problem {
    context *c;
    span_case s;
    tensor spans, out;
} span_problem;

/* Spans that end before, in and beyond the row, on tokens and between them. */
static span_problem span_make(context *c, span_case s) {
    ref_rng rng = ref_rng_seed(test_seed());
    span_problem p = {
        .c = c,
        .s = s,
        .spans = tensor_create(c, VKA_F32, 1, &s.heads, (layout){.pad = s.layout.pad, .shift = s.layout.shift}),
        .out = tensor_create(c, VKA_F32, 2, (uint32_t[]){s.heads, s.length}, s.layout),
    };
    for (uint32_t h = 0; h < s.heads; h++) {
        float z = ref_rng_uniform(&rng, -1.5f * s.ramp, (float)s.zero + 1.5f * s.ramp);
        p.spans.values[h] = h % 2 ? z : floorf(z);
    }
    tensor_upload(&p.spans);
    return p;
}

static void span_destroy(span_problem *p) {
    tensor_destroy(&p->spans);
    tensor_destroy(&p->out);
}

static vka_relative_bias_span_desc span_desc(const span_problem *p) {
    return (vka_relative_bias_span_desc){
        .spans = p->spans.view, .out = p->out.view, .relative_zero = p->s.zero, .ramp = p->s.ramp};
}

static float naive_mask(float z, float ramp, int64_t x) {
    return fminf(fmaxf((z - (float)x) / ramp + 1, 0), 1);
}

/* What a bias is there for is its exponential, a weight's factor; both ends are exact. */
static void span_check(const span_problem *p) {
    const span_case *s = &p->s;
    ref_error error = {0};
    for (size_t n = 0; n < p->out.count; n++) {
        float z = p->spans.values[n / s->length], is = p->out.values[n];
        int64_t x = (int64_t)s->zero - 1 - (int64_t)(n % s->length);
        double mask = ref_span_mask((double)z, (double)s->ramp, x);
        bool exact = isnan(z) ? isnan(is) : mask == 0 ? is == -INFINITY : mask == 1 ? is == 0 : true;
        cr_assert(exact, "%s: [%u, %u] zero %u ramp %g: span %g, x = %lld has %g, VKATTN_SEED=%llu", p->c->config->name,
                  s->heads, s->length, s->zero, (double)s->ramp, (double)z, (long long)x, (double)is,
                  (unsigned long long)test_seed());
        ref_error_add(&error, exp((double)is), exp((double)logf(naive_mask(z, s->ramp, x))), mask);
    }
    cr_assert(ref_error_ok(&error), "%s: [%u, %u] zero %u ramp %g: error %g, naive %g, VKATTN_SEED=%llu",
              p->c->config->name, s->heads, s->length, s->zero, (double)s->ramp, error.out, error.naive,
              (unsigned long long)test_seed());
}

static void span_run(span_problem *p) {
    vka_relative_bias_span_desc desc = span_desc(p);
    tensor_poison(&p->out);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_relative_bias_span(p->c->recorder, &desc));
    context_finish(p->c);
    cr_assert(tensor_download(&p->out), "writes outside of out");
    span_check(p);
}

static void spans_on(const device_config *config) {
    static const span_case cases[] = {
        {.heads = 8, .length = 257, .zero = 256, .ramp = 32},
        {.heads = 1, .length = 1, .zero = 0, .ramp = 1},
        {.heads = 5, .length = 100, .zero = 99, .ramp = 0.25f, .layout = {"10", 2, 1}},
        {.heads = 6, .length = 111, .zero = 40, .ramp = 7.3f, .layout = {NULL, 3, 3}},
        {.heads = 3, .length = 7, .zero = 3, .ramp = 1 << 24},
        {.heads = 67, .length = 1027, .zero = 1000, .ramp = 300},
    };
    context c;
    context_open(&c, config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        span_problem p = span_make(&c, cases[i]);
        span_run(&p);
        span_destroy(&p);
    }
    context_close(&c);
}

Test(relative_span, biases) {
    spans_on(&config_real);
}

Test(relative_span, biases_few_groups) {
    spans_on(&config_few_groups);
}

Test(relative_span, nonfinite_spans) {
    static const float nonfinite[] = {NAN, INFINITY, -INFINITY, 0, -0.0f, -4, -3.5f, 1e30f, -1e30f, 1e-40f, 16777216};
    enum { HEADS = sizeof nonfinite / sizeof *nonfinite };
    context c;
    context_open(&c, &config_real);
    span_problem p = span_make(&c, (span_case){.heads = HEADS, .length = 41, .zero = 30, .ramp = 4});
    memcpy(p.spans.values, nonfinite, sizeof nonfinite);
    tensor_upload(&p.spans);
    span_run(&p);
    span_destroy(&p);
    context_close(&c);
}

/* They are read when the commands run. */
Test(relative_span, late_spans) {
    context c;
    context_open(&c, &config_real);
    span_problem p = span_make(&c, (span_case){.heads = 3, .length = 50, .zero = 49, .ramp = 8});
    vka_relative_bias_span_desc desc = span_desc(&p);
    tensor_poison(&p.out);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_relative_bias_span(c.recorder, &desc));
    for (int h = 0; h < 3; h++) {
        p.spans.values[h] = 11.3f * (float)h;
    }
    tensor_upload(&p.spans);
    context_finish(&c);
    cr_assert(tensor_download(&p.out));
    span_check(&p);
    span_destroy(&p);
    context_close(&c);
}

static void expect_untouched(span_problem *p) {
    cr_assert(tensor_download(&p->out));
    for (size_t i = 0; i < p->out.count; i++) {
        cr_assert(tensor_untouched(&p->out, i), "out was written");
    }
}

Test(relative_span, no_heads) {
    context c;
    context_open(&c, &config_real);
    span_problem p = span_make(&c, (span_case){.heads = 2, .length = 9, .ramp = 1});
    vka_relative_bias_span_desc desc = span_desc(&p);
    memset(desc.out.stride, 0, sizeof desc.out.stride);
    desc.spans.shape[0] = desc.out.shape[0] = 0;
    EXPECT_OK(vka_relative_bias_span_prepare(c.device, &desc));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_relative_bias_span(c.recorder, &desc));
    context_finish(&c);
    expect_untouched(&p);
    span_destroy(&p);
    context_close(&c);
}

/* ---- what bounds the work -------------------------------------------------------------------------------------- */

/* The farthest key that any head sees, by the mask; at least 1. */
static int32_t farthest(const float *spans, uint32_t heads, float ramp, int32_t limit) {
    for (int32_t n = limit; n > 1; n--) {
        for (uint32_t h = 0; h < heads; h++) {
            if (ref_span_mask((double)spans[h], (double)ramp, n - 1) > 0) {
                return n;
            }
        }
    }
    return 1;
}

Test(relative_span, left_is_the_farthest) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 2000; i++) {
        float spans[3], ramp = ref_rng_uniform(&rng, 0.01f, 20);
        uint32_t heads = 1 + ref_rng_below(&rng, 3);
        for (uint32_t h = 0; h < heads; h++) {
            float z = ref_rng_uniform(&rng, -30, 60);
            spans[h] = i % 2 ? z : roundf(z);
        }
        ramp = i % 4 ? ramp : ceilf(ramp);
        int32_t is = vka_relative_bias_span_left(spans, heads, ramp), wanted = farthest(spans, heads, ramp, 100);
        cr_assert_eq(is, wanted, "%u heads, first %g, ramp %g: %d, not %d, VKATTN_SEED=%llu", heads, (double)spans[0],
                     (double)ramp, is, wanted, (unsigned long long)test_seed());
    }
}

static void expect_left(float z, float ramp, int32_t wanted) {
    int32_t is = vka_relative_bias_span_left(&z, 1, ramp);
    cr_expect_eq(is, wanted, "span %g, ramp %g: %d, not %d", (double)z, (double)ramp, is, wanted);
}

Test(relative_span, left_at_its_ends) {
    cr_expect_eq(vka_relative_bias_span_left(NULL, 0, 1), 1);
    expect_left(0, 1, 1);
    expect_left(3, 2, 5);
    expect_left(2.5f, 2, 5);
    expect_left(-2, 2, 1);
    expect_left(-5, 2, 1);
    expect_left(16777216, 1e-12f, 16777217);
    expect_left(2147483520, 1, 2147483521);
    expect_left(2147483520, 127, VKA_UNBOUNDED);
    expect_left(2147483648.0f, 1, VKA_UNBOUNDED);
    expect_left(1e30f, 1, VKA_UNBOUNDED);
    expect_left(1e30f, -1e30f, VKA_UNBOUNDED);
    expect_left(INFINITY, 1, VKA_UNBOUNDED);
    expect_left(-INFINITY, 1, 1);
    expect_left(NAN, 1, VKA_UNBOUNDED);
    expect_left(1, NAN, VKA_UNBOUNDED);
    cr_expect_eq(vka_relative_bias_span_left((float[]){9, NAN, 1}, 3, 1), VKA_UNBOUNDED);
}

/* ---- attention ------------------------------------------------------------------------------------------------- */

enum { HEADS = 4, RAMP = 8, KEYS = 83 };
static const float learnt[HEADS] = {0, 2.4f, 17, 40.7f};

/* Of all earlier tokens, whatever window or pattern bounds the work, and with biases of all of their distances for what
 * the code does not say: the log-sum-exp and the naive twin. */
static void refer_to_the_code(attention_problem *p) {
    float biases[HEADS * (KEYS + 1)], naive_scratch[KEYS];
    double scratch[KEYS];
    for (int32_t n = 0; n < HEADS * (KEYS + 1); n++) {
        int32_t h = n / (KEYS + 1), x = KEYS - 1 - n % (KEYS + 1);
        biases[n] = (float)log(ref_span_mask((double)learnt[h], RAMP, x));
    }
    ref_attention code = p->ref;
    code.pattern = NULL;
    code.window = true;
    code.left = VKA_UNBOUNDED;
    code.right = -1;
    ref_attention biased = code;
    biased.relative = biases;
    biased.relative_heads = HEADS;
    biased.relative_len = KEYS + 1;
    biased.relative_zero = KEYS;
    for (uint32_t n = 0; n < HEADS * p->a.q_len; n++) {
        uint32_t h = n / p->a.q_len, i = n % p->a.q_len;
        size_t row = attention_q_row(p, 0, h, i), at = row * p->a.value_dim;
        ref_softmax exact, naive;
        ref_attention_row(&biased, 0, h, i, p->ref_out + at, &exact, scratch);
        ref_attention_naive_row(&biased, 0, h, i, p->naive_out + at, &naive, naive_scratch);
        p->ref_lse[row] = exact.lse;
        p->naive_lse[row] = (float)naive.lse;
        ref_span_row(&code, (double)learnt[h], RAMP, 0, h, i, p->ref_out + at, scratch);
    }
}

static void attention_with_spans(context *c, attention_case a) {
    uint32_t left = (uint32_t)vka_relative_bias_span_left(learnt, HEADS, RAMP);
    span_problem s = span_make(c, (span_case){.heads = HEADS, .length = left + 2, .zero = left + 1, .ramp = RAMP});
    memcpy(s.spans.values, learnt, sizeof learnt);
    tensor_upload(&s.spans);
    a.q_heads = HEADS;
    a.kv_heads = 2;
    a.kv_len = KEYS;
    a.head_dim = 8;
    attention_problem p = attention_make(c, a, test_seed());
    refer_to_the_code(&p);
    vka_relative_bias_span_desc bias = span_desc(&s);
    vka_attention_desc desc = attention_desc(&p);
    desc.relative_bias = bias.out;
    desc.relative_zero = bias.relative_zero;
    tensor_poison(&p.out);
    tensor_poison(&p.lse);
    EXPECT_OK(vka_recorder_begin(c->recorder));
    EXPECT_OK(vka_relative_bias_span(c->recorder, &bias));
    EXPECT_OK(vka_attention(c->recorder, &desc));
    context_finish(c);
    attention_compare(&p, "with adaptive spans:");
    attention_destroy(&p);
    span_destroy(&s);
}

/* Also the first queries of a sequence: they see less than their spans, and the very first one nothing. */
Test(relative_span, attention_in_a_window) {
    context c;
    context_open(&c, &config_real);
    vka_window window = {true, vka_relative_bias_span_left(learnt, HEADS, RAMP), -1};
    attention_with_spans(&c, (attention_case){.q_len = 70, .window = window});
    attention_with_spans(&c, (attention_case){.q_len = KEYS, .window = window, .dtype = VKA_F16});
    context_close(&c);
}

/* The table alone is right, too. */
Test(relative_span, attention_without_bounds) {
    context c;
    context_open(&c, &config_real);
    attention_with_spans(&c, (attention_case){.q_len = 70, .window = {true, VKA_UNBOUNDED, -1}});
    context_close(&c);
}

Test(relative_span, attention_with_a_window_for_each_head) {
    context c;
    context_open(&c, &config_real);
    vka_pattern_term terms[HEADS] = {{0}};
    for (uint32_t h = 0; h < HEADS; h++) {
        terms[h].kind = VKA_PATTERN_WINDOW;
        terms[h].first_head = h;
        terms[h].heads = 1;
        terms[h].window.left = vka_relative_bias_span_left(&learnt[h], 1, RAMP);
        terms[h].window.right = -1;
    }
    const vka_pattern_desc pattern = {
        .queries = KEYS, .keys = KEYS, .heads = HEADS, .terms = terms, .term_count = HEADS};
    attention_with_spans(&c, (attention_case){.q_len = 70, .pattern = &pattern});
    context_close(&c);
}

/* ---- refusals -------------------------------------------------------------------------------------------------- */

Test(relative_span, beyond_a_binding) {
    context c;
    context_open(&c, &config_short);
    span_problem p = span_make(&c, (span_case){.heads = 2, .length = 9000, .zero = 4, .ramp = 1});
    vka_relative_bias_span_desc desc = span_desc(&p);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_FAILURE(vka_relative_bias_span(c.recorder, &desc), VKA_UNSUPPORTED, "vka_relative_bias_span.out");
    span_destroy(&p);
    p = span_make(&c, (span_case){.heads = 17000, .length = 1, .ramp = 1});
    desc = span_desc(&p);
    EXPECT_FAILURE(vka_relative_bias_span(c.recorder, &desc), VKA_UNSUPPORTED, "vka_relative_bias_span.spans");
    span_destroy(&p);
    context_close(&c);
}

typedef struct fixture {
    context c;
    span_problem p;
    vka_relative_bias_span_desc good;
} fixture;

static void begin(fixture *f) {
    context_open(&f->c, &config_real);
    f->p = span_make(&f->c, (span_case){.heads = 3, .length = 41, .zero = 40, .ramp = 16});
    f->good = span_desc(&f->p);
    EXPECT_OK(vka_relative_bias_span_prepare(f->c.device, &f->good));
    EXPECT_OK(vka_recorder_begin(f->c.recorder));
}

static void end(fixture *f) {
    context_finish(&f->c);
    expect_untouched(&f->p);
    span_run(&f->p);
    span_destroy(&f->p);
    context_close(&f->c);
}

static void refused(fixture *f, const vka_relative_bias_span_desc *d, const char *field) {
    char item[64], text[256];
    vka_requirements need;
    snprintf(item, sizeof item, "vka_relative_bias_span.%s", field);
    EXPECT_FAILURE(vka_relative_bias_span(f->c.recorder, d), VKA_INVALID, item);
    EXPECT_FAILURE(vka_relative_bias_span_prepare(f->c.device, d), VKA_INVALID, item);
    EXPECT_FAILURE(vka_relative_bias_span_requirements(f->c.device, d, &need), VKA_INVALID, item);
    EXPECT_FAILURE(vka_relative_bias_span_explain(f->c.device, d, text, sizeof text, NULL), VKA_INVALID, item);
}

#define INVALID(field, change)                                                                                         \
    do {                                                                                                               \
        vka_relative_bias_span_desc d = f.good;                                                                        \
        change;                                                                                                        \
        refused(&f, &d, field);                                                                                        \
    } while (0)

Test(relative_span, errors_of_tensors) {
    fixture f;
    begin(&f);
    INVALID("spans", d.spans.rank = 2);
    INVALID("out", d.out.rank = 1);
    INVALID("out", d.spans.shape[0] = 2);
    INVALID("out", d.out.shape[0] = 2);
    INVALID("out", d.out.stride[0] = 1);
    INVALID("out", (d.out.buffer = d.spans.buffer, d.out.shape[1] = 1, d.out.stride[0] = 1, d.relative_zero = 0));
    end(&f);
}

Test(relative_span, errors_of_numbers) {
    fixture f;
    begin(&f);
    INVALID("relative_zero", d.relative_zero = 41);
    INVALID("relative_zero", (d.out.shape[1] = 0, d.relative_zero = 0));
    INVALID("ramp", d.ramp = 0);
    INVALID("ramp", d.ramp = -1);
    INVALID("ramp", d.ramp = NAN);
    INVALID("ramp", d.ramp = INFINITY);
    INVALID("ramp", d.ramp = 16777218);
    end(&f);
}
