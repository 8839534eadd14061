/* T5's biases of relative positions: buckets against a transcription of the reference and against known edges, biases
 * to the bit, and attention with them against attention with the whole matrix.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/relative.h>

#include "attention_case.h"
#include "ops/relative/relative.h"

/* ---- buckets --------------------------------------------------------------------------------------------------- */

static uint32_t bucket_by_edges(int64_t position, bool bidirectional, uint32_t buckets, const int32_t *edges,
                                uint32_t count) {
    int64_t distance = position < 0 ? -position : bidirectional ? position : 0;
    uint32_t bucket = 0;
    for (uint32_t i = 0; i < count; i++) {
        bucket += edges[i] <= distance;
    }
    return bucket + (bidirectional && position > 0 ? buckets / 2 : 0);
}

static void check_buckets(bool bidirectional, uint32_t buckets, uint32_t max_distance) {
    int32_t edges[VKA_MAX_T5_BUCKETS - 1];
    uint32_t count = vka__t5_edges(buckets, bidirectional, max_distance, edges);
    int64_t far = (int64_t)max_distance + 70;
    cr_assert_eq(count, (bidirectional ? buckets / 2 : buckets) - 1);
    for (int64_t position = -far; position <= far; position++) {
        uint32_t is = bucket_by_edges(position, bidirectional, buckets, edges, count);
        uint32_t wanted = ref_t5_bucket(position, bidirectional, buckets, max_distance);
        cr_assert_eq(is, wanted, "%u buckets%s up to %u: position %lld has %u, not %u", buckets,
                     bidirectional ? " both ways" : "", max_distance, (long long)position, is, wanted);
    }
}

Test(relative, buckets_of_models) {
    static const uint32_t list[][2] = {
        {32, 128},  /* T5, MPNet */
        {320, 800}, /* WavLM     */
        {32, 256},  {64, 128}, {1024, 4096},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        check_buckets(true, list[i][0], list[i][1]);
        check_buckets(false, list[i][0], list[i][1]);
    }
}

Test(relative, buckets_of_all_sizes) {
    for (uint32_t buckets = 2; buckets <= 70; buckets += 1 + buckets / 9) {
        for (int way = 0; way < 2; way++) {
            uint32_t exact = vka__t5_exact(buckets, way);
            for (uint32_t distance = exact + 1; exact && distance < 700; distance += 1 + distance / 11) {
                check_buckets(way, buckets, distance);
            }
        }
    }
}

/* Where max_distance / exact is a power of two, true edges are whole numbers, and roundings decide: every one. */
Test(relative, buckets_at_whole_edges) {
    for (uint32_t exact = 1; exact <= 64; exact *= 2) {
        for (uint32_t ratio = 2; ratio <= 256; ratio *= 2) {
            check_buckets(false, 2 * exact, exact * ratio);
            check_buckets(true, 4 * exact, exact * ratio);
        }
    }
}

/* The original's 32 buckets up to 128: the whole numbers from 8 * 2^(k / 2), and from 16 * 2^(3 k / 16) on. */
Test(relative, known_edges) {
    static const int32_t both[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91};
    static const int32_t back[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                                   19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113};
    int32_t edges[31];
    cr_assert_eq(vka__t5_edges(32, true, 128, edges), 15);
    cr_assert(!memcmp(edges, both, sizeof both));
    cr_assert_eq(vka__t5_edges(32, false, 128, edges), 31);
    cr_assert(!memcmp(edges, back, sizeof back));
}

/* ---- biases ---------------------------------------------------------------------------------------------------- */

/* Zero: f32, decoder, up to 128. */
typedef struct relative_case {
    vka_dtype dtype;
    uint32_t buckets, heads, length, zero, max_distance;
    bool bidirectional;
    layout layout;
} relative_case;

typedef struct relative_problem {
    context *c;
    relative_case r;
    tensor table, out;
} relative_problem;

static relative_problem relative_make(context *c, relative_case r) {
    ref_rng rng = ref_rng_seed(test_seed());
    r.dtype = r.dtype ? r.dtype : VKA_F32;
    relative_problem p = {
        .c = c,
        .r = r,
        .table = tensor_create(c, r.dtype, 2, (uint32_t[]){r.buckets, r.heads}, r.layout),
        .out = tensor_create(c, VKA_F32, 2, (uint32_t[]){r.heads, r.length}, r.layout),
    };
    tensor_fill_normal(&p.table, &rng, 0, 1);
    tensor_upload(&p.table);
    return p;
}

static void relative_destroy(relative_problem *p) {
    tensor_destroy(&p->table);
    tensor_destroy(&p->out);
}

static vka_relative_bias_t5_desc relative_desc(const relative_problem *p) {
    return (vka_relative_bias_t5_desc){.table = p->table.view,
                                       .out = p->out.view,
                                       .relative_zero = p->r.zero,
                                       .bidirectional = p->r.bidirectional,
                                       .max_distance = p->r.max_distance};
}

/* Embeddings are copied: results are exact. */
static void relative_run(relative_problem *p) {
    const relative_case *r = &p->r;
    vka_relative_bias_t5_desc desc = relative_desc(p);
    uint32_t max_distance = r->max_distance ? r->max_distance : 128;
    tensor_poison(&p->out);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_relative_bias_t5(p->c->recorder, &desc));
    context_finish(p->c);
    cr_assert(tensor_download(&p->out), "writes outside of out");
    for (uint32_t h = 0; h < r->heads; h++) {
        for (uint32_t l = 0; l < r->length; l++) {
            uint32_t bucket = ref_t5_bucket((int64_t)l - r->zero, r->bidirectional, r->buckets, max_distance);
            float is = p->out.values[h * r->length + l], wanted = p->table.values[bucket * r->heads + h];
            cr_assert(is == wanted,
                      "%s: %s [%u, %u] to [%u, %u] zero %u up to %u%s: head %u, %u has %g, not %g, VKATTN_SEED=%llu",
                      p->c->config->name, dtype_name(r->dtype), r->buckets, r->heads, r->heads, r->length, r->zero,
                      max_distance, r->bidirectional ? " both ways" : "", h, l, (double)is, (double)wanted,
                      (unsigned long long)test_seed());
        }
    }
}

static void relative_on(const device_config *config) {
    static const relative_case cases[] = {
        {.buckets = 32, .heads = 12, .length = 257, .zero = 128, .bidirectional = true},
        {.buckets = 32, .heads = 8, .length = 129, .zero = 128},
        {.buckets = 4, .heads = 1, .length = 1, .zero = 0, .max_distance = 2, .bidirectional = true},
        {.buckets = 2, .heads = 3, .length = 7, .zero = 3, .max_distance = 5},
        {.buckets = 7, .heads = 5, .length = 100, .zero = 0, .max_distance = 40, .layout = {"10", 2, 1}},
        {.buckets = 9, .heads = 2, .length = 100, .zero = 99, .bidirectional = true, .layout = {NULL, 3, 3}},
        {.buckets = 320, .heads = 3, .length = 1601, .zero = 800, .max_distance = 800, .bidirectional = true},
        {.buckets = 1024, .heads = 2, .length = 900, .zero = 700, .max_distance = 1 << 24},
    };
    context c;
    context_open(&c, config);
    for (uint32_t i = 0; i < DTYPES * sizeof cases / sizeof *cases; i++) {
        relative_case r = cases[i / DTYPES];
        r.dtype = dtypes[i % DTYPES];
        relative_problem p = relative_make(&c, r);
        relative_run(&p);
        relative_destroy(&p);
    }
    context_close(&c);
}

Test(relative, biases) {
    relative_on(&config_real);
}

Test(relative, biases_no_f16) {
    relative_on(&config_no_f16);
}

Test(relative, biases_few_groups) {
    relative_on(&config_few_groups);
}

Test(relative, no_heads) {
    context c;
    context_open(&c, &config_real);
    relative_problem p = relative_make(&c, (relative_case){.buckets = 32, .heads = 2, .length = 9});
    vka_relative_bias_t5_desc desc = relative_desc(&p);
    memset(desc.table.stride, 0, sizeof desc.table.stride);
    memset(desc.out.stride, 0, sizeof desc.out.stride);
    desc.table.shape[1] = desc.out.shape[0] = 0;
    EXPECT_OK(vka_relative_bias_t5_prepare(c.device, &desc));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_relative_bias_t5(c.recorder, &desc));
    context_finish(&c);
    cr_assert(tensor_download(&p.out));
    for (size_t i = 0; i < p.out.count; i++) {
        cr_assert(tensor_untouched(&p.out, i), "out was written");
    }
    relative_destroy(&p);
    context_close(&c);
}

/* ---- attention with them --------------------------------------------------------------------------------------- */

/* The reference adds the whole matrix of biases, of sequences far longer than the row that the kernel reads. */
static void attention_with_biases(bool bidirectional, uint32_t length, uint32_t zero) {
    enum { HEADS = 3, QUERIES = 70, KEYS = 83, BUCKETS = 12, FAR = 20 };
    context c;
    context_open(&c, &config_real);
    relative_problem r = relative_make(&c, (relative_case){.dtype = VKA_BF16,
                                                           .buckets = BUCKETS,
                                                           .heads = HEADS,
                                                           .length = length,
                                                           .zero = zero,
                                                           .max_distance = FAR,
                                                           .bidirectional = bidirectional});
    attention_problem p = attention_make(&c,
                                         (attention_case){.q_heads = HEADS,
                                                          .q_len = QUERIES,
                                                          .kv_len = KEYS,
                                                          .head_dim = 8,
                                                          .scale = 1, /* as T5 has it */
                                                          .mask = VKA_F32,
                                                          .causal = !bidirectional},
                                         test_seed());
    for (uint32_t n = 0; n < HEADS * QUERIES * KEYS; n++) {
        int64_t distance = (int64_t)(n % KEYS) - (n / KEYS % QUERIES + KEYS - QUERIES);
        uint32_t bucket = ref_t5_bucket(distance, bidirectional, BUCKETS, FAR), h = n / KEYS / QUERIES;
        p.mask.values[n] = r.table.values[bucket * HEADS + h];
    }
    attention_update(&p);
    vka_relative_bias_t5_desc bias = relative_desc(&r);
    vka_attention_desc desc = attention_desc(&p);
    desc.mask = (vka_tensor){0};
    desc.relative_bias = bias.out;
    desc.relative_zero = bias.relative_zero;
    tensor_poison(&p.out);
    tensor_poison(&p.lse);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_relative_bias_t5(c.recorder, &bias));
    EXPECT_OK(vka_attention(c.recorder, &desc));
    context_finish(&c);
    attention_compare(&p, "with T5's biases:");
    attention_destroy(&p);
    relative_destroy(&r);
    context_close(&c);
}

Test(relative, encoder_attention) {
    attention_with_biases(true, 2 * 20 + 1, 20);
}

Test(relative, decoder_attention) {
    attention_with_biases(false, 20 + 1, 20);
}

/* ---- refusals -------------------------------------------------------------------------------------------------- */

Test(relative, beyond_a_binding) {
    context c;
    context_open(&c, &config_short);
    relative_problem p = relative_make(&c, (relative_case){.buckets = 32, .heads = 2, .length = 9000, .zero = 4});
    vka_relative_bias_t5_desc desc = relative_desc(&p);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_FAILURE(vka_relative_bias_t5(c.recorder, &desc), VKA_UNSUPPORTED, "vka_relative_bias_t5.out");
    relative_destroy(&p);
    p = relative_make(&c, (relative_case){.buckets = 1024, .heads = 20, .length = 9, .zero = 4, .max_distance = 999});
    desc = relative_desc(&p);
    EXPECT_FAILURE(vka_relative_bias_t5(c.recorder, &desc), VKA_UNSUPPORTED, "vka_relative_bias_t5.table");
    relative_destroy(&p);
    context_close(&c);
}

typedef struct fixture {
    context c;
    relative_problem p;
    vka_relative_bias_t5_desc good;
} fixture;

static void begin(fixture *f) {
    context_open(&f->c, &config_real);
    f->p = relative_make(
        &f->c, (relative_case){
                   .buckets = 32, .heads = 3, .length = 41, .zero = 20, .max_distance = 20, .bidirectional = true});
    f->good = relative_desc(&f->p);
    EXPECT_OK(vka_relative_bias_t5_prepare(f->c.device, &f->good));
    EXPECT_OK(vka_recorder_begin(f->c.recorder));
}

static void end(fixture *f) {
    context_finish(&f->c);
    cr_expect(tensor_download(&f->p.out));
    for (size_t i = 0; i < f->p.out.count; i++) {
        cr_assert(tensor_untouched(&f->p.out, i), "a refused call wrote out");
    }
    relative_run(&f->p);
    relative_destroy(&f->p);
    context_close(&f->c);
}

static void refused(fixture *f, const vka_relative_bias_t5_desc *d, const char *field) {
    char item[64], text[256];
    vka_requirements need;
    snprintf(item, sizeof item, "vka_relative_bias_t5.%s", field);
    EXPECT_FAILURE(vka_relative_bias_t5(f->c.recorder, d), VKA_INVALID, item);
    EXPECT_FAILURE(vka_relative_bias_t5_prepare(f->c.device, d), VKA_INVALID, item);
    EXPECT_FAILURE(vka_relative_bias_t5_requirements(f->c.device, d, &need), VKA_INVALID, item);
    EXPECT_FAILURE(vka_relative_bias_t5_explain(f->c.device, d, text, sizeof text, NULL), VKA_INVALID, item);
}

#define INVALID(field, change)                                                                                         \
    do {                                                                                                               \
        vka_relative_bias_t5_desc d = f.good;                                                                          \
        change;                                                                                                        \
        refused(&f, &d, field);                                                                                        \
    } while (0)

Test(relative, errors_of_tensors) {
    fixture f;
    begin(&f);
    INVALID("table", d.table.shape[0] = 3);
    INVALID("table", (d.table.shape[0] = 1, d.bidirectional = false));
    INVALID("table", d.table.shape[0] = 0);
    INVALID("out", d.out.shape[0] -= 1);
    INVALID("out", d.out.stride[0] = 1);
    INVALID("out", (d.out.buffer = d.table.buffer, d.out.shape[1] = 21, d.out.offset = d.table.offset));
    end(&f);
}

Test(relative, errors_of_numbers) {
    fixture f;
    begin(&f);
    INVALID("relative_zero", d.relative_zero = 41);
    INVALID("relative_zero", (d.out.shape[1] = 0, d.relative_zero = 0));
    INVALID("max_distance", d.max_distance = 8);
    INVALID("max_distance", (d.max_distance = 16, d.bidirectional = false));
    INVALID("max_distance", d.max_distance = (1 << 24) + 1);
    end(&f);
}

Test(relative, explains_its_edges) {
    fixture f;
    begin(&f);
    char text[512];
    EXPECT_OK(vka_relative_bias_t5_explain(f.c.device, &f.good, text, sizeof text, NULL));
    cr_expect(strstr(text, "\nedges: 1 2 3 4 5 6 7 8 9 11 12 13 15 16 18\n"), "%s", text);
    end(&f);
}
