/* Drawn tokens against float64: each draw is the reference's, unless rounding may decide, and all of them together have
 * the right distribution. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/embedding.h>
#include <vkattn/sampling.h>

#include "op/op.h"
#include "plan_check.h"
#include "plan_devices.h"
#include "plan_view.h"
#include "support/context.h"
#include "support/tensor.h"

typedef enum lengths_of { LENGTHS_NONE, LENGTHS_HOST, LENGTHS_DEVICE } lengths_of;

enum { LOGITS, IDS, LOG_PROBS, HISTORY, LENGTHS, NEW, TENSORS };

/* Zero: f32, no filters, no history, log-probabilities wanted. */
typedef struct problem {
    vka_dtype type;
    uint32_t rows, cols;
    layout layout;
    vka_sample_desc d; /* its numbers */
    uint32_t history;  /* L; 0: there is none */
    lengths_of lengths;
    bool in_place, no_log_probs;
    float deviation;                            /* of logits; 0: 2 */
    float (*value)(uint32_t row, uint32_t col); /* NULL: random */

    context *c;
    tensor t[TENSORS];
    int32_t *had;  /* the history before the call */
    int32_t *host; /* lengths */
    uint32_t doubtful;
} problem;

/* ---- problems ---------------------------------------------------------------------------------------------------- */

static void fill_history(problem *p, ref_rng *rng) {
    for (size_t i = 0; i < p->t[HISTORY].count; i++) { /* twice the same, and what is no id, are among them */
        int32_t id = (int32_t)ref_rng_below(rng, p->cols < 40 ? p->cols : 40) - (i % 11 == 3 ? 50 : 0);
        id = i % 13 == 5 ? (int32_t)p->cols : id;
        p->had[i] = id;
        p->t[HISTORY].values[i] = (float)id;
    }
    for (uint32_t i = 0; i < p->rows; i++) {
        p->host[i] = p->history ? (int32_t)ref_rng_below(rng, p->history + 1) : (int32_t)(3 * i);
        p->host[i] = p->history && i == 1 ? (int32_t)p->history : p->host[i];
        p->t[LENGTHS].values[i] = (float)p->host[i];
        if (p->lengths == LENGTHS_DEVICE && i % 4 == 2) { /* what is no length in device memory */
            p->t[LENGTHS].values[i] = i % 8 == 2 ? -5 : (float)p->history + 7;
            p->host[i] = i % 8 == 2 ? 0 : (int32_t)p->history + 7;
        }
    }
}

static void make(context *c, problem *p) {
    p->c = c;
    p->type = p->type ? p->type : VKA_F32;
    const uint32_t logits[] = {p->rows, p->cols}, history[] = {p->rows, p->history};
    layout flat = {.pad = p->layout.pad, .shift = p->layout.shift};
    ref_rng rng = ref_rng_seed(test_seed());
    p->t[LOGITS] = tensor_create(c, p->type, 2, logits, p->layout);
    p->t[HISTORY] = tensor_create(c, VKA_I32, 2, history, p->layout);
    for (int i = 0; i < TENSORS; i++) {
        if (i != LOGITS && i != HISTORY) {
            p->t[i] = tensor_create(c, i == LOG_PROBS ? VKA_F32 : VKA_I32, 1, &p->rows, flat);
        }
    }
    p->had = malloc((p->t[HISTORY].count + 1) * sizeof *p->had);
    p->host = malloc((p->rows + 1) * sizeof *p->host);
    cr_assert(p->had && p->host);
    tensor_fill_normal(&p->t[LOGITS], &rng, 0, p->deviation > 0 ? p->deviation : 2);
    for (size_t i = 0; i < p->t[LOGITS].count && p->value; i++) {
        p->t[LOGITS].values[i] = p->value((uint32_t)(i / p->cols), (uint32_t)(i % p->cols));
    }
    tensor_round(&p->t[LOGITS]);
    fill_history(p, &rng);
    tensor_upload(&p->t[LOGITS]);
    tensor_upload(&p->t[HISTORY]);
    tensor_upload(&p->t[LENGTHS]);
    tensor_poison(&p->t[IDS]);
    tensor_poison(&p->t[LOG_PROBS]);
    tensor_poison(&p->t[NEW]);
}

static void destroy(problem *p) {
    for (int i = 0; i < TENSORS; i++) {
        tensor_destroy(&p->t[i]);
    }
    free(p->had);
    free(p->host);
}

static vka_sample_desc describe(const problem *p) {
    vka_sample_desc d = p->d;
    d.logits = p->t[LOGITS].view;
    d.ids = p->t[IDS].view;
    d.log_probs = p->no_log_probs ? d.log_probs : p->t[LOG_PROBS].view;
    d.history = p->history ? p->t[HISTORY].view : d.history;
    d.lengths.values = p->lengths == LENGTHS_HOST ? p->host : NULL;
    d.lengths.tensor = p->lengths == LENGTHS_DEVICE ? p->t[LENGTHS].view : d.lengths.tensor;
    d.new_lengths = p->lengths ? p->t[p->in_place ? LENGTHS : NEW].view : d.new_lengths;
    return d;
}

static ref_sampling reference_of(const problem *p, uint32_t row) {
    const vka_sample_desc *d = &p->d;
    uint32_t length = p->lengths ? (uint32_t)p->host[row] : p->history;
    uint32_t end = length < p->history ? length : p->history;
    uint32_t count = d->penalty_window && d->penalty_window < end ? d->penalty_window : end;
    return (ref_sampling){
        .cols = p->cols,
        .history_count = count,
        .logits = p->t[LOGITS].values + (size_t)row * p->cols,
        .history = p->had + (size_t)row * p->history + (end - count),
        .temperature = (double)d->temperature,
        .top_k = d->top_k ? d->top_k : p->cols,
        .top_p = d->top_p > 0 ? (double)d->top_p : 1,
        .min_p = (double)d->min_p,
        .penalty = d->repetition_penalty > 0 ? d->repetition_penalty : 1,
        .seed = d->seed,
        .row = row,
        .draw = d->random_offset + (p->lengths ? length : 0),
    };
}

/* ---- comparisons ------------------------------------------------------------------------------------------------- */

static const char *text_of(const problem *p, char text[256]) {
    const vka_sample_desc *d = &p->d;
    snprintf(text, 256, "%s, %s, %u rows of %u, temperature %g, k %u, p %g, min-p %g, penalty %g; VKATTN_SEED=%llu",
             p->c->config->name, dtype_name(p->type), p->rows, p->cols, (double)d->temperature, d->top_k,
             (double)d->top_p, (double)d->min_p, (double)d->repetition_penalty, (unsigned long long)test_seed());
    return text;
}

static double log_prob_of(const ref_sampling *s, int32_t id, float *naive) {
    ref_logits l = {.cols = s->cols, .live = s->cols, .x = s->logits, .scale = 1, .log = true};
    double *ref = malloc(s->cols * sizeof *ref);
    float *rounded = malloc(s->cols * sizeof *rounded);
    cr_assert(ref && rounded);
    ref_logits_softmax(&l, ref);
    ref_logits_naive_softmax(&l, VKA_F32, rounded);
    uint32_t column = id >= 0 ? (uint32_t)id : 0; /* without an id all columns are NaN, or -inf */
    double of_id = ref[column];
    *naive = rounded[column];
    free(ref);
    free(rounded);
    return of_id;
}

static void compare_row(problem *p, uint32_t row, bool *possible, ref_error *e) {
    ref_sampling s = reference_of(p, row);
    int32_t wanted, id = (int32_t)p->t[IDS].values[row];
    char text[256];
    cr_assert(ref_sample(&s, &wanted, possible));
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->cols; i++) {
        count += possible[i];
    }
    p->doubtful += count > 1;
    cr_assert(wanted < 0 ? id == -1 : id >= 0 && (uint32_t)id < p->cols && possible[id], "row %u: drew %d, not %d; %s",
              row, id, wanted, text_of(p, text));
    if (!p->no_log_probs) {
        float naive;
        double ref = log_prob_of(&s, id, &naive), unit = isfinite(ref) ? fmax(fabs(ref), 1) : 1;
        double got = (double)p->t[LOG_PROBS].values[row];
        ref_error_add(e, got / unit, (double)naive / unit, ref / unit);
        cr_assert(!e->broken, "row %u: log-probability %g, not %g; %s", row, got, ref, text_of(p, text));
    }
}

static void compare_history(const problem *p, uint32_t row) {
    uint32_t length = (uint32_t)p->host[row];
    for (uint32_t i = 0; i < p->history; i++) {
        bool is_new = p->d.append && i == length;
        int32_t wanted = is_new ? (int32_t)p->t[IDS].values[row] : p->had[(size_t)row * p->history + i];
        cr_assert_eq((int32_t)p->t[HISTORY].values[(size_t)row * p->history + i], wanted, "row %u: entry %u", row, i);
    }
    if (p->lengths) {
        cr_assert_eq((uint32_t)p->t[p->in_place ? LENGTHS : NEW].values[row], length + 1, "row %u: new length", row);
    }
}

static void compare(problem *p) {
    bool *possible = malloc(p->cols * sizeof *possible);
    ref_error e = {0};
    char text[256];
    cr_assert(possible);
    for (uint32_t row = 0; row < p->rows; row++) {
        compare_row(p, row, possible, &e);
        compare_history(p, row);
    }
    cr_assert(ref_error_ok(&e), "log-probabilities are off by %g, naive by %g; %s", e.out, e.naive, text_of(p, text));
    free(possible);
}

static void record(problem *p) {
    vka_sample_desc d = describe(p);
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    EXPECT_OK(vka_sample(p->c->recorder, &d));
    context_finish(p->c);
    for (int i = 0; i < TENSORS; i++) {
        cr_assert(tensor_download(&p->t[i]), "writes outside of output %d", i);
    }
}

/* Returns of how many rows the reference is not sure. */
static uint32_t run(context *c, problem p) {
    if (context_leaves_out(c, 7)) {
        return 0;
    }
    make(c, &p);
    record(&p);
    compare(&p);
    destroy(&p);
    return p.doubtful;
}

static const device_config *const configs[] = {&config_real, &config_gpu};

/* ---- draws ------------------------------------------------------------------------------------------------------- */

static const vka_sample_desc filters[] = {
    {.temperature = 1},
    {.temperature = 0},
    {.temperature = 0.7f, .top_k = 40},
    {.temperature = 1.3f, .top_p = 0.9f},
    {.temperature = 1, .min_p = 0.05f},
    {.temperature = 0.9f, .top_k = 100, .top_p = 0.8f, .min_p = 0.02f},
    {.temperature = 2, .top_k = 3000, .top_p = 0.999f},
};
#define FILTERS (sizeof filters / sizeof *filters)

Test(sample, filters) {
    static const uint32_t widths[] = {1, 2, 3, 7, 64, 127, 1023, 4099, 32000, 70001};
    for (size_t n = 0; n < 2; n++) {
        uint32_t rows = 0, doubtful = 0;
        context c;
        context_open(&c, configs[n]);
        for (uint32_t i = 0; i < sizeof widths / sizeof *widths * FILTERS; i++) {
            uint32_t width = widths[i / FILTERS];
            problem p = {.type = dtypes[i % DTYPES],
                         .rows = width > 5000 ? 3 : 19,
                         .cols = width,
                         .d = filters[i % FILTERS],
                         .layout = {.pad = i % 2}};
            p.d.seed = 0x123456789abcdef0 + i;
            p.d.random_offset = i;
            doubtful += run(&c, p);
            rows += p.rows;
        }
        context_close(&c);
        cr_assert_lt(doubtful, rows / 20 + 1, "the reference is not sure of %u of %u rows", doubtful, rows);
    }
}

/* More columns than sixteen bits count, and a vocabulary of which little stands out. */
Test(sample, long_rows) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < FILTERS; i++) {
        run(&c, (problem){.type = dtypes[i % DTYPES],
                          .rows = 1,
                          .cols = i % 2 ? 150001 : (1 << 18) + 3,
                          .d = filters[i],
                          .deviation = 1});
    }
    context_close(&c);
}

Test(sample, layouts) {
    static const char *const orders[] = {NULL, "10", "01"};
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 3 * 3 * 3; i++) {
        problem p = {.type = dtypes[i % 3],
                     .rows = 5,
                     .cols = i % 2 ? 64 : 131,
                     .d = filters[5],
                     .layout = {orders[i / 3 % 3], i / 9, i / 9},
                     .history = 9,
                     .lengths = LENGTHS_DEVICE};
        p.d.append = true;
        p.d.repetition_penalty = 1.3f;
        run(&c, p);
    }
    context_close(&c);
}

Test(sample, histories) {
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < 3 * 2 * 6; i++) {
        static const float penalties[] = {0, 1.2f, 5, 0.5f, 100, 1};
        problem p = {.type = dtypes[i % 3],
                     .rows = 11,
                     .cols = i % 5 ? 50 : 5001,
                     .d = filters[i % FILTERS],
                     .history = i % 4 ? 33 : 1,
                     .lengths = (lengths_of)(i % 3),
                     .in_place = i % 3 == LENGTHS_DEVICE && i % 2,
                     .no_log_probs = i % 7 == 3};
        p.d.repetition_penalty = penalties[i % 6];
        p.d.penalty_window = i % 2 ? 4 : 0;
        p.d.append = p.lengths && i % 4 < 3;
        run(&c, p);
    }
    /* lengths alone count draws */
    run(&c, (problem){.rows = 7, .cols = 50, .d = {.temperature = 1}, .lengths = LENGTHS_HOST});
    run(&c, (problem){.rows = 7, .cols = 50, .d = {.temperature = 1}, .lengths = LENGTHS_DEVICE, .in_place = true});
    context_close(&c);
}

/* ---- edges ------------------------------------------------------------------------------------------------------- */

static float tied(uint32_t row, uint32_t col) {
    switch (row) {
    case 0:
        return 1;
    case 1:
        return col % 3 == 0 ? 2 : 1;
    case 2:
        return col % 2 ? -0.0f : 0.0f;
    default:
        return -(float)(col / 50);
    }
}

static float unusual(uint32_t row, uint32_t col) {
    static const float most = 3.4028235e38f;
    bool odd = col % 7 == 3;
    switch (row) {
    case 0:
        return odd ? -INFINITY : (float)(col % 5);
    case 1:
        return -INFINITY;
    case 2:
        return odd ? most : -most;
    case 3:
        return -most;
    case 4:
        return col == 50 ? NAN : 1;
    case 5:
        return col == 2 ? NAN : -INFINITY;
    case 6:
        return col == 33 ? -most : -INFINITY;
    case 7:
        return 1e6f + (float)(col % 3);
    case 8:
        return most;
    default:
        return odd ? 60000 : -60000;
    }
}

Test(sample, edges) {
    static const vka_sample_desc list[] = {
        {.temperature = 1, .top_k = 1},
        {.temperature = 1, .top_k = 17},
        {.temperature = 1, .top_k = UINT32_MAX},
        {.temperature = 1, .top_p = 1e-30f},
        {.temperature = 1, .top_p = 0.5f},
        {.temperature = 1, .top_p = 1},
        {.temperature = 1, .top_p = VKA__BELOW_ONE},
        {.temperature = 1, .min_p = 1},
        {.temperature = 1, .top_k = 50, .top_p = 0.6f, .min_p = 0.3f},
        {.temperature = 1e-30f},
        {.temperature = 1e30f, .top_p = 0.3f},
        {.temperature = 0},
    };
    for (size_t n = 0; n < 2; n++) {
        context c;
        context_open(&c, configs[n]);
        for (uint32_t i = 0; i < 4 * sizeof list / sizeof *list; i++) {
            vka_dtype type = dtypes[i % DTYPES];
            run(&c, (problem){.type = i % 2 ? VKA_F32 : type,
                              .rows = i % 2 ? 10 : 4,
                              .cols = i / 2 % 2 ? 3000 : 51,
                              .d = list[i / 4],
                              .value = i % 2 ? unusual : tied});
        }
        context_close(&c);
    }
}

/* Of infinite logits one is drawn, all alike. */
Test(sample, infinite_logits) {
    enum { ROWS = 64, COLS = 40 };
    context c;
    context_open(&c, &config_real);
    problem p = {.rows = ROWS, .cols = COLS, .d = {.temperature = 1, .top_p = 0.9f}};
    make(&c, &p);
    for (size_t i = 0; i < p.t[LOGITS].count; i++) {
        p.t[LOGITS].values[i] = i % COLS % 20 == 7 ? INFINITY : (float)(i % 3);
    }
    tensor_upload(&p.t[LOGITS]);
    record(&p);
    uint32_t drawn[2] = {0};
    for (uint32_t row = 0; row < ROWS; row++) {
        uint32_t id = (uint32_t)p.t[IDS].values[row];
        cr_assert_eq(id % 20, 7, "row %u: drew %u", row, id);
        drawn[id / 20]++;
        cr_assert(fabs((double)p.t[LOG_PROBS].values[row] + log(2)) < 1e-5);
    }
    cr_assert(drawn[0] > 0 && drawn[1] > 0);
    destroy(&p);
    context_close(&c);
}

/* ---- distribution ------------------------------------------------------------------------------------------------ */

static float same_in_all_rows(uint32_t row, uint32_t col) {
    (void)row;
    return sinf((float)col * 1.7f) * 2;
}

/* The deviation of chi squared, which has so many degrees of freedom, from its mean, in standard deviations. */
static double deviation_of(const uint32_t *count, const double *probability, uint32_t cols, uint32_t draws) {
    double chi = 0, freedom = -1;
    for (uint32_t i = 0; i < cols; i++) {
        double expected = probability[i] * draws, off = count[i] - expected;
        cr_assert(expected > 0 || count[i] == 0, "id %u was drawn %u times, but is left out", i, count[i]);
        chi += expected > 0 ? off * off / expected : 0;
        freedom += expected > 0;
    }
    return freedom > 0 ? (chi - freedom) / sqrt(2 * freedom) : 0;
}

Test(sample, distribution) {
    enum { ROWS = 1024, COLS = 29, DRAWS = 16 };
    context c;
    context_open(&c, &config_real);
    for (uint32_t i = 0; i < FILTERS; i++) {
        uint32_t count[COLS] = {0};
        double probability[COLS];
        for (uint32_t draw = 0; draw < DRAWS; draw++) {
            problem p = {.rows = ROWS, .cols = COLS, .d = filters[i], .no_log_probs = true, .value = same_in_all_rows};
            p.d.top_k = p.d.top_k > COLS ? 5 : p.d.top_k;
            p.d.random_offset = draw;
            make(&c, &p);
            record(&p);
            for (uint32_t row = 0; row < ROWS; row++) {
                count[(uint32_t)p.t[IDS].values[row]]++;
            }
            ref_sampling s = reference_of(&p, 0);
            cr_assert(ref_sample_probabilities(&s, probability));
            destroy(&p);
        }
        double off = deviation_of(count, probability, COLS, ROWS * DRAWS);
        cr_assert_lt(off, 5, "filters %u: chi squared is %g standard deviations above its mean", i, off);
    }
    context_close(&c);
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

/* One recording, submitted again and again, draws what calls with other lengths do, each time something else, and the
 * next operation takes the ids. */
Test(sample, replays) {
    enum { ROWS = 13, COLS = 200, STEPS = 3, WIDTH = 3, TOKENS = 16 };
    context c;
    context_open(&c, &config_real);
    problem p = {.rows = ROWS,
                 .cols = COLS,
                 .d = {.temperature = 1, .top_p = 0.97f, .repetition_penalty = 1.5f, .append = true, .seed = 99},
                 .history = TOKENS,
                 .lengths = LENGTHS_DEVICE,
                 .in_place = true};
    make(&c, &p);
    for (uint32_t i = 0; i < ROWS; i++) {
        p.t[LENGTHS].values[i] = (float)(p.host[i] = (int32_t)(i % 5));
    }
    tensor_upload(&p.t[LENGTHS]);
    const uint32_t table_shape[] = {COLS, WIDTH}, out_shape[] = {ROWS, WIDTH};
    tensor table = tensor_create(&c, VKA_F32, 2, table_shape, (layout){0}),
           out = tensor_create(&c, VKA_F32, 2, out_shape, (layout){0});
    for (size_t i = 0; i < table.count; i++) {
        table.values[i] = (float)i;
    }
    tensor_upload(&table);
    vka_sample_desc d = describe(&p);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_sample(c.recorder, &d));
    EXPECT_OK(
        vka_embedding(c.recorder, &(vka_embedding_desc){.table = table.view, .ids = p.t[IDS].view, .out = out.view}));
    uint32_t same = 0;
    float before[ROWS] = {0};
    for (uint32_t step = 0; step < STEPS; step++) {
        context_finish(&c);
        for (int i = 0; i < TENSORS; i++) {
            cr_assert(tensor_download(&p.t[i]));
        }
        cr_assert(tensor_download(&out));
        compare(&p); /* with the lengths of this step */
        for (uint32_t row = 0; row < ROWS; row++) {
            float id = p.t[IDS].values[row];
            cr_assert_eq((uint32_t)out.values[row * WIDTH], (uint32_t)id * WIDTH);
            same += step && id == before[row];
            before[row] = id;
            p.had[row * TOKENS + (uint32_t)p.host[row]++] = (int32_t)id;
        }
    }
    cr_assert_lt(same, ROWS * (STEPS - 1) / 2, "of %u draws %u are the same as before", ROWS * (STEPS - 1), same);
    tensor_destroy(&table);
    tensor_destroy(&out);
    destroy(&p);
    context_close(&c);
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

Test(sample, narrow) {
    static const device_config *const small[] = {&config_short, &config_few_groups, &config_tiny, &config_few_buffers};
    for (size_t n = 0; n < 4; n++) {
        context c;
        context_open(&c, small[n]);
        problem p = {.rows = 37, .cols = 3001, .d = filters[5], .history = 20, .lengths = LENGTHS_DEVICE};
        p.d.repetition_penalty = 1.2f;
        p.d.append = true;
        run(&c, p);
        context_close(&c);
    }
}

/* Plans for devices that are not here keep to their limits, and do every row once. */
Test(sample, plans) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (uint32_t n = 0; n < 20 * DEVICES; n++) {
        const device *d = &devices[n % DEVICES];
        uint32_t rows = ONE_OF(&rng, 1, 77, 3000), cols = ONE_OF(&rng, 1, 64, 1023, 150000);
        vka__view x = random_view(&rng, VKA_F16, 1, 1, rows, cols),
                  history = random_view(&rng, VKA_I32, 1, 1, rows, 100);
        vka_sample_desc desc = {.logits = tensor_of(&x, 2),
                                .ids = vka_tensor_1d(NULL, VKA_I32, rows),
                                .history = tensor_of(&history, 2),
                                .temperature = 1,
                                .top_p = 0.9f,
                                .repetition_penalty = n % 2 ? 1.1f : 0};
        vka__call c;
        if (PLAN(&c, sample, &d->caps, &desc)) {
            check_key(d, &c.key[0], 8192 + 2048 + 128 + 16);
            check_rows(d, &c, false);
        } else {
            cr_assert_gt(vka__view_extent(&x, 3) * 2 + vka__view_extent(&history, 3) * 4 + (uint64_t)rows * cols / 8 +
                             1024,
                         d->caps.storage_range);
        }
    }
}

/* What no table says. */
Test(sample, refusals) {
    context c;
    context_open(&c, &config_real);
    vka_sample_desc d = {.logits = vka_tensor_2d(NULL, VKA_F32, 2, 8), .ids = vka_tensor_1d(NULL, VKA_I32, 2)};
    EXPECT_OK(vka_sample_prepare(c.device, &d));
    d.append = true;
    EXPECT_FAILURE(vka_sample_prepare(c.device, &d), VKA_INVALID, "vka_sample.append");
    d.history = vka_tensor_2d(NULL, VKA_I32, 2, 5);
    EXPECT_FAILURE(vka_sample_prepare(c.device, &d), VKA_INVALID, "vka_sample.append");
    d.lengths.values = (const int32_t[]){5, 6};
    EXPECT_FAILURE(vka_sample_prepare(c.device, &d), VKA_INVALID, "vka_sample.lengths");
    d.lengths.values = (const int32_t[]){-1, 5};
    EXPECT_FAILURE(vka_sample_prepare(c.device, &d), VKA_INVALID, "vka_sample.lengths");
    d.lengths.values = (const int32_t[]){0, 5};
    EXPECT_OK(vka_sample_prepare(c.device, &d));
    d.lengths.values = NULL;
    d.append = false;
    d.new_lengths = vka_tensor_1d(NULL, VKA_I32, 2);
    EXPECT_FAILURE(vka_sample_prepare(c.device, &d), VKA_INVALID, "vka_sample.new_lengths");
    d.new_lengths = d.history = (vka_tensor){0};
    d.repetition_penalty = 1.1f;
    EXPECT_FAILURE(vka_sample_prepare(c.device, &d), VKA_INVALID, "vka_sample.history");
    d = (vka_sample_desc){.logits = vka_tensor_2d(NULL, VKA_F32, 0, 8), .ids = vka_tensor_1d(NULL, VKA_I32, 0)};
    vka_requirements need;
    EXPECT_OK(vka_sample_requirements(c.device, &d, &need));
    cr_expect_eq(need.dispatches, 0);
    context_close(&c);
}
