/* Runs a problem and judges the results.
 * SPDX-License-Identifier: MIT */
#include "attention_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "support/intercept.h"

#define WORKSPACE_OFFSET 256

/* Where a judgement goes. */
typedef struct verdict {
    attention_problem *p;
    const char *how;
    char *why;
    size_t size;
} verdict;

static bool fail(const verdict *v, const char *format, ...) VKA_PRINTF(2, 3);
static bool fail(const verdict *v, const char *format, ...) {
    char reason[256], text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    snprintf(v->why, v->size, "%s %s; %s", v->how, reason, attention_describe(v->p, text, sizeof text));
    return false;
}

/* ---- results --------------------------------------------------------------------------------------------------- */

/* What float64 gives, as far as results that are f32 can say it. */
static double as_f32(double x) {
    return fabs(x) < 0x1.ffffffp127 ? x : isnan(x) ? x : copysign(INFINITY, x);
}

static bool check_element(const verdict *v, ref_error *error, const char *name, size_t index, double out, double naive,
                          double ref) {
    bool broken = error->broken;
    ref_error_add(error, out, naive, as_f32(ref));
    return !error->broken || broken || fail(v, "%s[%zu] is %g, not %g", name, index, out, ref);
}

static bool check_error(const verdict *v, const ref_error *error, attention_result result, const char *name) {
    if (v->p->errors) {
        ref_error_join(&v->p->errors[result], error);
        return true;
    }
    v->p->inaccurate = !ref_error_ok(error);
    return !v->p->inaccurate ||
           fail(v, "%s is off by %.3g where the naive computation is off by %.3g", name, error->out, error->naive);
}

/* Rows that no sequence has keep what they held. */
static bool check_unwritten(const verdict *v, const tensor *t, size_t width, const char *name) {
    for (size_t i = 0; i < t->count; i++) {
        if (!v->p->written[i / width] && !tensor_untouched(t, i)) {
            return fail(v, "%s[%zu] was written, in a row that no sequence has", name, i);
        }
    }
    return true;
}

static bool check_rows(const verdict *v, tensor *t, const double *ref, const float *naive, size_t width,
                       attention_result result, const char *name) {
    ref_error error = {0};
    for (size_t i = 0; i < t->count; i++) {
        if (v->p->written[i / width] &&
            !check_element(v, &error, name, i, (double)t->values[i], (double)naive[i], ref[i])) {
            return false;
        }
    }
    return check_unwritten(v, t, width, name) && check_error(v, &error, result, name);
}

/* A sum matters relative to itself: it is compared as the log-sum-exp that it makes with the maximum. */
static bool check_stats(const verdict *v, tensor *t) {
    const attention_problem *p = v->p;
    ref_error max_error = {0}, sum_error = {0};
    for (size_t row = 0; row < t->count / 2; row++) {
        double max = (double)t->values[2 * row], sum = (double)t->values[2 * row + 1];
        if (!p->written[row]) {
            continue;
        }
        if (p->ref_max[row] == -INFINITY && !isnan(p->ref_lse[row]) && sum != 0) {
            return fail(v, "stats[%zu] is a sum of %g in a row that sees nothing", 2 * row + 1, sum);
        }
        /* A NaN is neither higher nor lower than others: the maximum may be any of them. */
        if (!isnan(p->ref_lse[row]) &&
            !check_element(v, &max_error, "stats (max)", 2 * row, max, (double)p->naive_max[row], p->ref_max[row])) {
            return false;
        }
        if (!check_element(v, &sum_error, "stats (max + log sum)", 2 * row, max + log(sum), (double)p->naive_lse[row],
                           p->ref_lse[row])) {
            return false;
        }
    }
    return check_unwritten(v, t, 2, "stats") && check_error(v, &max_error, ATTENTION_MAX, "stats (max)") &&
           check_error(v, &sum_error, ATTENTION_SUM, "stats (max + log sum)");
}

static bool check_score_row(const verdict *v, const tensor *t, uint32_t b, uint32_t h, uint32_t i, double *ref,
                            float *naive, ref_error *error) {
    const attention_problem *p = v->p;
    const uint32_t *shape = t->view.shape;
    size_t first = (((size_t)b * shape[1] + h) * shape[2] + i) * shape[3];
    bool exists = i < p->sequences.q_len[b];
    if (exists) {
        ref_attention_scores(&p->ref, p->a.score_stage, b, h, i, ref);
        ref_attention_naive_scores(&p->ref, p->a.score_stage, b, h, i, naive);
    }
    for (uint32_t j = 0; j < shape[3]; j++) {
        if (!exists && !tensor_untouched(t, first + j)) {
            return fail(v, "scores[%zu] was written, in a row that no sequence has", first + j);
        }
        if (exists && !check_element(v, error, "scores", first + j, (double)t->values[first + j],
                                     (double)ref_round(t->view.dtype, naive[j]), ref[j])) {
            return false;
        }
    }
    return true;
}

static bool check_scores(const verdict *v, tensor *t) {
    const attention_case *a = &v->p->a;
    double *ref = attention_must(calloc(a->kv_len + 1, sizeof *ref));
    float *naive = attention_must(calloc(a->kv_len + 1, sizeof *naive));
    ref_error error = {0};
    bool ok = true;
    for (uint32_t row = 0, rows = t->view.shape[2]; ok && row < a->batch * a->q_heads * rows; row++) {
        ok = check_score_row(v, t, row / rows / a->q_heads, row / rows % a->q_heads, row % rows, ref, naive, &error);
    }
    free(ref);
    free(naive);
    return ok && check_error(v, &error, ATTENTION_SCORES, "scores");
}

/* ---- selections ------------------------------------------------------------------------------------------------ */

static double distance(const float *out, const double *ref, uint32_t count) {
    double most = 0;
    for (uint32_t c = 0; c < count; c++) {
        double d = fabs((double)out[c] - ref[c]);
        most = isnan(d) || d > most ? d : most;
        if (isnan(most)) {
            return INFINITY;
        }
    }
    return most;
}

/* Room for what is needed to follow a row's selection. */
typedef struct choices {
    double *score, *pick;
    float *naive;
    bool *possible;
} choices;

/* The possible key whose value came out; of several with the same value, the one whose score did. */
static uint32_t selected(const attention_problem *p, uint32_t b, uint32_t h, uint32_t i, const choices *c) {
    size_t row = attention_q_row(p, b, h, i);
    uint32_t best = ref_attention_choice(&p->ref, b, h, i, c->score);
    double nearest = INFINITY, nearest_lse = INFINITY;
    for (uint32_t j = 0; j < p->a.kv_len; j++) {
        ref_softmax softmax;
        if (!c->possible[j]) {
            continue;
        }
        ref_attention_pick(&p->ref, b, h, i, j, c->score, c->pick, &softmax);
        double d = distance(p->out.values + row * p->a.value_dim, c->pick, p->a.value_dim);
        double d_lse = p->lse.count ? fabs((double)p->lse.values[row] - softmax.lse) : 0;
        if (d < nearest || (d == nearest && d_lse < nearest_lse)) {
            best = j;
            nearest = d;
            nearest_lse = d_lse;
        }
    }
    return best;
}

/* Where arithmetic in f32 can't tell which key has the highest score, the one that was selected is the right one. */
static void follow_selection(attention_problem *p, uint32_t b, uint32_t h, uint32_t i, const choices *c) {
    size_t row = attention_q_row(p, b, h, i);
    ref_softmax softmax, naive;
    if (isnan(p->ref_lse[row])) {
        return; /* nothing is selected */
    }
    ref_attention_scores(&p->ref, VKA_SCORES_MASKED, b, h, i, c->score);
    ref_attention_naive_scores(&p->ref, VKA_SCORES_MASKED, b, h, i, c->naive);
    ref_attention_choices(&p->ref, b, h, i, p->score_error, c->score, c->possible);
    uint32_t best = selected(p, b, h, i, c);
    ref_attention_pick(&p->ref, b, h, i, best, c->score, p->ref_out + row * p->a.value_dim, &softmax);
    ref_attention_naive_pick(&p->ref, b, h, i, best, c->naive, p->naive_out + row * p->a.value_dim, &naive);
    p->ref_lse[row] = softmax.lse;
    p->ref_max[row] = softmax.max;
    p->naive_lse[row] = (float)naive.lse;
    p->naive_max[row] = (float)naive.max;
}

static void follow_selections(attention_problem *p) {
    const choices c = {
        .score = attention_must(calloc(p->a.kv_len + 1, sizeof(double))),
        .pick = attention_must(calloc(p->a.value_dim, sizeof(double))),
        .naive = attention_must(calloc(p->a.kv_len + 1, sizeof(float))),
        .possible = attention_must(calloc(p->a.kv_len + 1, sizeof(bool))),
    };
    for (uint32_t b = 0; b < p->a.batch; b++) {
        for (uint32_t h = 0; h < p->a.q_heads; h++) {
            for (uint32_t i = 0; i < p->sequences.q_len[b]; i++) {
                follow_selection(p, b, h, i, &c);
            }
        }
    }
    free(c.score);
    free(c.pick);
    free(c.naive);
    free(c.possible);
}

/* ---- runs ------------------------------------------------------------------------------------------------------ */

static bool judge(const verdict *v) {
    attention_problem *p = v->p;
#define X(name)                                                                                                        \
    if (p->name.view.buffer && !tensor_download(&p->name)) {                                                           \
        return fail(v, "writes outside of " #name);                                                                    \
    }
    ATTENTION_OUTPUTS(X)
#undef X
    if (p->a.selection) {
        follow_selections(p);
    }
    return check_rows(v, &p->out, p->ref_out, p->naive_out, p->a.value_dim, ATTENTION_OUT, "out") &&
           check_rows(v, &p->lse, p->ref_lse, p->naive_lse, 1, ATTENTION_LSE, "lse") && check_stats(v, &p->stats) &&
           (!p->a.scores || check_scores(v, &p->scores));
}

bool attention_judge(attention_problem *p, const char *how, char *why, size_t size) {
    return judge(&(verdict){p, how, why, size});
}

void attention_compare(attention_problem *p, const char *how) {
    char why[1536] = "";
    cr_assert(attention_judge(p, how, why, sizeof why), "%s", why);
}

static bool failed_call(const verdict *v, vka_status status) {
    log_line error = log_last(VKA_LOG_ERROR);
    return fail(v, "gives %d: %s: %s", status, error.item, error.message);
}

static bool record(const verdict *v, const vka_attention_desc *desc, bool judged) {
    attention_problem *p = v->p;
    uint32_t violations = intercept_violations();
#define X(name)                                                                                                        \
    if (p->name.view.buffer) {                                                                                         \
        tensor_poison(&p->name);                                                                                       \
    }
    ATTENTION_OUTPUTS(X)
#undef X
    EXPECT_OK(vka_recorder_begin(p->c->recorder));
    vka_status status = vka_attention(p->c->recorder, desc);
    context_finish(p->c);
    if (status != VKA_OK) {
        return failed_call(v, status);
    }
    return (!judged || judge(v)) &&
           (intercept_violations() == violations || fail(v, "was complained about by validation"));
}

static bool try(attention_problem *p, vka_attention_path path, uint32_t splits, bool judged, char *why, size_t size) {
    vka_attention_desc desc = attention_desc(p);
    tensor workspace = {0};
    vka_requirements need;
    char how[64];
    snprintf(how, sizeof how, "path %d splits %u:", path, splits);
    verdict v = {p, how, why, size};
    p->inaccurate = false;
    desc.path = path;
    desc.splits = splits;
    log_clear();
    vka_status status = vka_attention_requirements(p->c->device, &desc, &need);
    if (status != VKA_OK) {
        return failed_call(&v, status);
    }
    if (need.workspace_bytes > 0) { /* in the middle of guards that must survive */
        uint32_t words = (uint32_t)(need.workspace_bytes + 3) / 4;
        workspace = tensor_create(p->c, VKA_F32, 1, &words, (layout){.shift = (WORKSPACE_OFFSET - 64) / 4});
        desc.workspace.buffer = workspace.view.buffer;
        desc.workspace.offset = workspace.view.offset;
    }
    bool ok = record(&v, &desc, judged);
    if (need.workspace_bytes > 0) {
        ok = ok && (tensor_download(&workspace) || fail(&v, "writes outside of its workspace"));
        tensor_destroy(&workspace);
    }
    return ok;
}

bool attention_try(attention_problem *p, vka_attention_path path, uint32_t splits, char *why, size_t size) {
    return try(p, path, splits, true, why, size);
}

bool attention_record(attention_problem *p, vka_attention_path path, uint32_t splits, char *why, size_t size) {
    return try(p, path, splits, false, why, size);
}

void attention_run(attention_problem *p, vka_attention_path path, uint32_t splits) {
    char why[1536] = "";
    cr_assert(attention_try(p, path, splits, why, sizeof why), "%s", why);
}

void attention_run_splits(attention_problem *p, bool in_turns, size_t number) {
    if (!in_turns || number % 2 == 0) {
        attention_run(p, VKA_ATTENTION_PATH_AUTO, 0);
    }
    if (!in_turns || number % 2) {
        attention_run(p, VKA_ATTENTION_PATH_AUTO, 3);
    }
}

bool attention_can(attention_problem *p, vka_attention_path path) {
    vka_attention_desc desc = attention_desc(p);
    vka_requirements need;
    desc.path = path;
    log_clear();
    vka_status status = vka_attention_requirements(p->c->device, &desc, &need);
    log_line error = log_last(VKA_LOG_ERROR);
    cr_assert(status == VKA_OK || (status == VKA_UNSUPPORTED && !strcmp(error.item, "vka_attention.path")),
              "path %d gives %d: %s %s", path, status, error.item, error.message);
    if (status != VKA_OK) {
        fprintf(stderr, "SKIP: path %d: %s\n", path, error.message);
    }
    log_clear();
    return status == VKA_OK;
}

/* Where drivers compile for seconds: one path a test, so that its cases share pipelines as far as they can. Which one
 * depends on the first case, so that tests don't all take the same; those more often that compile in a third of the
 * time. */
static void run_path_in_turn(attention_problem *p, uint32_t splits) {
    static const vka_attention_path turns[] = {
        VKA_ATTENTION_PATH_ROW,    VKA_ATTENTION_PATH_DECODE, VKA_ATTENTION_PATH_TILE, VKA_ATTENTION_PATH_ROW,
        VKA_ATTENTION_PATH_DECODE, VKA_ATTENTION_PATH_ROW,    VKA_ATTENTION_PATH_DOT,  VKA_ATTENTION_PATH_DECODE};
    enum { TURNS = sizeof turns / sizeof *turns };
    static uint32_t turn;
    if (!turn) {
        char text[512];
        turn = 2166136261; /* FNV-1a */
        for (const char *at = attention_describe(p, text, sizeof text); *at; at++) {
            turn = (turn ^ (unsigned char)*at) * 16777619;
        }
    }
    for (int i = 0; i < TURNS; i++) {
        vka_attention_path path = turns[(turn + (uint32_t)i) % TURNS];
        if (attention_can(p, path)) {
            attention_run(p, path, splits);
            return;
        }
    }
}

void attention_run_paths(attention_problem *p, uint32_t splits) {
    if (context_compiles_slowly(p->c)) {
        run_path_in_turn(p, splits);
        return;
    }
    static uint32_t turn;
    uint32_t step = context_takes_turns(p->c) ? 3 : 1, skip = turn++ % step;
    for (int path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
        if (attention_can(p, (vka_attention_path)path) && skip++ % step == 0) {
            attention_run(p, (vka_attention_path)path, splits);
        }
    }
}

void attention_on_paths(context *c, attention_case a) {
    attention_problem p = attention_make(c, a, test_seed());
    attention_run_paths(&p, 0);
    attention_destroy(&p);
}
