/* What cases reach of what the device can do, and against what: rooflines, ratios, options, patterns.
 * SPDX-License-Identifier: MIT */
#include "page.h"

#include "../ops/op.h"

#include <math.h>
#include <string.h>

static const char *device_title(page_data *d, const page_subject *s) {
    return d->subjects.count == 1 ? s->device : page_print(&d->memory, "%c \302\267 %s", s->letter, s->device);
}

/* ---- roofline --------------------------------------------------------------------------------------------------- */

typedef enum kind { FULL, CAUSAL, WINDOW, FEW, KINDS } kind;

static kind kind_of(const bench_case *c) {
    return c->q_len <= 8 ? FEW : bench_case_windowed(c) ? WINDOW : c->causal ? CAUSAL : FULL;
}

static const char *const kind_names[KINDS] = {"full", "causal", "window", "decode"};

static double roof_at(const page_subject *s, double intensity) {
    return fmin(s->peaks.tflops_f32, s->peaks.copy_gbps * intensity / 1000);
}

static bool on_roofline(const page_case *x) {
    return x->state == BENCH_DONE && x->c.op == BENCH_ATTENTION && isfinite(x->intensity) && isfinite(x->tflops);
}

/* The best of a kind says how much of its roof that is. */
static void label_best(page_data *d, const page_subject *s, page_series *series, kind k) {
    page_mark *best = NULL;
    for (size_t i = 0; i < series->marks.count; i++) {
        page_mark *m = &series->marks.at[i];
        bool better = !best || m->y / roof_at(s, m->x) > best->y / roof_at(s, best->x);
        best = m->shape == (page_shape)k && better ? m : best;
    }
    if (best && isfinite(roof_at(s, best->x))) {
        best->label = page_print(&d->memory, "%s %.0f %%", kind_names[k], 100 * best->y / roof_at(s, best->x));
    }
}

static void add_roof(page_data *d, const page_figure *f, size_t subject, page_panel *panel) {
    const page_subject *s = &d->subjects.at[subject];
    double lo = f->x.lo / 1.5, hi = f->x.hi * 1.5, ridge = 1000 * s->peaks.tflops_f32 / s->peaks.copy_gbps;
    char flops[PAGE_VALUE_SIZE], bytes[PAGE_VALUE_SIZE];
    if (!isfinite(ridge)) {
        return;
    }
    *page_add(&d->memory, &panel->rules) = (page_rule){
        .x = {lo, fmin(fmax(ridge, lo), hi), hi},
        .y = {roof_at(s, lo), roof_at(s, fmin(fmax(ridge, lo), hi)), roof_at(s, hi)},
        .points = 3,
        .label = page_print(&d->memory, "%s, f32 multiply-add", page_value(PAGE_FLOPS, s->peaks.tflops_f32, flops)),
        .slope = page_print(&d->memory, "%s, copy", page_value(PAGE_BYTES, s->peaks.copy_gbps, bytes)),
        .has_subject = true,
        .subject = subject,
    };
}

static void add_roofline_marks(page_data *d, page_figure *f, size_t subject) {
    const page_subject *s = &d->subjects.at[subject];
    for (size_t k = 0; k < s->cases.count; k++) {
        const page_case *x = &s->cases.at[k];
        if (!on_roofline(x)) {
            continue;
        }
        const char *title = device_title(d, s);
        page_series *series = page_series_of(d, page_panel_of(d, f, title), subject, false);
        series->line = false;
        series->end = NULL;
        page_axis_see(&f->x, x->intensity);
        *page_add(&d->memory, &series->marks) = (page_mark){
            .x = x->intensity,
            .y = x->tflops,
            .name = x->label,
            .note = page_note(d, x),
            .shape = (page_shape)kind_of(&x->c),
            .hollow = x->c.dtype == VKA_F32,
        };
    }
}

void page_figure_roofline(page_data *d, page_figure *f) {
    *f = (page_figure){
        .id = "roofline",
        .title = "Roofline",
        .lead = "Every attention against what the same device was measured to do at best: the slope is its copy "
                "bandwidth, the flat part its f32 multiply-adds. The closer to the roof, the better; the best of each "
                "kind says its share. Kernels that use f16 arithmetic or matrix units may be above it.",
        .missing = "run",
        .x = {.title = "operations per byte that must move", .unit = PAGE_NUMBER, .scale = PAGE_LOG10},
        .y = {.title = "throughput", .unit = PAGE_FLOPS, .scale = PAGE_LOG10},
        .keys_kind = true,
    };
    for (size_t i = 0; i < d->subjects.count; i++) {
        add_roofline_marks(d, f, i);
    }
    for (size_t i = 0; i < f->panels.count; i++) {
        page_series *series = &f->panels.at[i].series.at[0];
        add_roof(d, f, series->subject, &f->panels.at[i]);
        for (kind k = FULL; k < KINDS; k++) {
            label_best(d, &d->subjects.at[series->subject], series, k);
        }
    }
    page_figure_end(f);
}

/* ---- ratios ----------------------------------------------------------------------------------------------------- */

enum { GROUPS = KINDS + BENCH_OPS };

/* The kinds of attention, then the other operations; NULL: there is none of that number. */
static const char *group_name(int g) {
    static const char *const kinds[KINDS] = {"Full attention", "Causal attention", "Windows", "Decoding"};
    const bench_operation *op = g < KINDS ? NULL : bench_operation_of((bench_op)(g - KINDS));
    return g < KINDS ? kinds[g] : op ? op->group : NULL;
}

const char *page_group_of(const bench_case *c) {
    return group_name(c->op == BENCH_ATTENTION ? (int)kind_of(c) : (int)KINDS + (int)c->op);
}

static const char *row_name(const char *label) {
    static const char prefix[] = "attention ";
    return strncmp(label, prefix, sizeof prefix - 1) == 0 ? label + sizeof prefix - 1 : label;
}

/* The row of that name in a panel, made if there is none. */
static size_t row_of(page_data *d, page_panel *panel, const char *name, double goal) {
    for (size_t i = 0; i < panel->rows.count; i++) {
        if (strcmp(panel->rows.at[i], name) == 0) {
            return i;
        }
    }
    *page_add(&d->memory, &panel->rows) = name;
    *page_add(&d->memory, &panel->goals) = goal;
    return panel->rows.count - 1;
}

static void add_dot(page_data *d, page_panel *panel, size_t subject, const char *row, double goal, page_mark mark) {
    mark.y = (double)row_of(d, panel, row, goal);
    mark.shape = page_subject_shape(subject);
    page_series *series = page_series_of(d, panel, subject, false);
    series->line = false;
    series->end = NULL;
    *page_add(&d->memory, &series->marks) = mark;
}

static void add_ratio(page_data *d, page_figure *f, const page_case *base, size_t subject) {
    const page_case *x = page_case_find(&d->subjects.at[subject], base->label);
    if (!x) {
        return;
    }
    char times[2][PAGE_VALUE_SIZE];
    page_mark mark = {
        .x = base->ms / x->ms,
        .name = base->label,
        .note = page_print(&d->memory, "%s instead of %s; paths %s and %s", page_value(PAGE_TIME, x->ms, times[0]),
                           page_value(PAGE_TIME, base->ms, times[1]), x->path, base->path),
    };
    add_dot(d, page_panel_of(d, f, page_group_of(&base->c)), subject, row_name(base->label), NAN, mark);
}

/* A panel of the means of each of the groups that follow it, and of all. */
static void add_means(page_data *d, page_figure *f) {
    static const char title[] = "Geometric means";
    page_panel *means = page_panel_of(d, f, title);
    for (size_t i = 1; i < d->subjects.count; i++) {
        size_t all;
        double mean = page_geometric_mean(&d->subjects.at[0], &d->subjects.at[i], NULL, &all);
        page_mark mark = {.x = mean, .name = "all", .note = page_print(&d->memory, "over %zu cases", all)};
        if (all) {
            add_dot(d, means, i, "all", NAN, mark);
        }
        for (int g = 0; all && g < GROUPS; g++) {
            size_t count = 0;
            const char *name = group_name(g);
            mark.x = name ? page_geometric_mean(&d->subjects.at[0], &d->subjects.at[i], name, &count) : NAN;
            mark.name = name;
            mark.note = page_print(&d->memory, "over %zu cases", count);
            if (count) {
                add_dot(d, means, i, name, NAN, mark);
            }
        }
    }
}

void page_figure_ratios(page_data *d, page_figure *f) {
    *f = (page_figure){
        .id = "ratios",
        .title = "Against A",
        .lead = "How many times as fast as A is each of the others, case by case? To the right of 1 it is faster.",
        .missing = "report, with the files of two or more devices, drivers or commits",
        .x = {.title = "times as fast as A", .unit = PAGE_FACTOR, .scale = PAGE_LOG2},
        .y = {.title = "case"},
        .dots = true,
    };
    add_means(d, f);
    for (int g = 0; g < GROUPS; g++) {
        if (group_name(g)) {
            page_panel_of(d, f, group_name(g)); /* in this order; those without a value are dropped */
        }
    }
    for (size_t i = 0; i < d->subjects.at[0].cases.count; i++) {
        const page_case *base = &d->subjects.at[0].cases.at[i];
        for (size_t k = 1; base->state == BENCH_DONE && k < d->subjects.count; k++) {
            add_ratio(d, f, base, k);
        }
    }
    page_axis_see(&f->x, 1);
    page_figure_end(f);
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

void page_figure_options(page_data *d, page_figure *f) {
    *f = (page_figure){
        .id = "options",
        .title = "What options cost",
        .lead = "The time of an attention with one option over that of the plain one. 1 costs nothing; a small bar is "
                "the goal that the library has set itself.",
        .missing = "options",
        .x = {.title = "time over the plain attention's", .unit = PAGE_FACTOR},
        .y = {.title = "option"},
        .dots = true,
        .keys_goal = true,
    };
    for (size_t i = 0; i < d->subjects.count; i++) {
        const page_subject *s = &d->subjects.at[i];
        for (size_t k = 0; k < s->options.count; k++) {
            const page_option *x = &s->options.at[k];
            char ms[PAGE_VALUE_SIZE];
            page_mark mark = {.x = x->ratio, .name = x->name, .note = page_value(PAGE_TIME, x->ms, ms)};
            mark.note = page_print(&d->memory, "%s", mark.note);
            const char *title = page_print(&d->memory, "%s, %s", x->shape, x->dtype);
            add_dot(d, page_panel_of(d, f, title), i, x->name, x->goal, mark);
        }
    }
    page_axis_see(&f->x, 1);
    page_figure_end(f);
}

/* ---- patterns --------------------------------------------------------------------------------------------------- */

/* "longformer" of "longformer:window=256:tokens=0,1" */
static const char *short_name(page_data *d, const char *words) {
    return page_print(&d->memory, "%.*s", (int)strcspn(words, ": "), words);
}

static void add_pattern(page_data *d, page_figure *f, size_t subject, const page_pattern *x) {
    const page_subject *s = &d->subjects.at[subject];
    const char *title = page_print(&d->memory, "%s, N %.0f", device_title(d, s), x->tokens);
    page_series *series = page_series_of(d, page_panel_of(d, f, title), subject, false);
    char ratio[PAGE_VALUE_SIZE], ms[PAGE_VALUE_SIZE], build[PAGE_VALUE_SIZE];
    series->line = false;
    series->end = NULL;
    *page_add(&d->memory, &series->marks) = (page_mark){
        .x = x->live_share,
        .y = x->ratio * x->live_share,
        .name = x->words,
        .note = page_print(&d->memory, "%s of dense attention's time, tile for tile; %s a call, map built in %s",
                           page_value(PAGE_FACTOR, x->ratio, ratio), page_value(PAGE_TIME, x->ms, ms),
                           page_value(PAGE_TIME, x->build_ms, build)),
        .label = short_name(d, x->words),
        .shape = page_subject_shape(subject),
    };
}

void page_figure_patterns(page_data *d, page_figure *f) {
    *f = (page_figure){
        .id = "patterns",
        .title = "Sparse patterns",
        .lead = "Time over dense attention's, against the share of tiles that a pattern keeps. On the diagonal a tile "
                "costs what it costs in dense attention; below it, less.",
        .missing = "patterns",
        .x = {.title = "share of tiles that are live", .unit = PAGE_SHARE, .scale = PAGE_LOG10},
        .y = {.title = "time, as a share of dense attention", .unit = PAGE_SHARE, .scale = PAGE_LOG10},
    };
    for (size_t i = 0; i < d->subjects.count; i++) {
        for (size_t k = 0; k < d->subjects.at[i].patterns.count; k++) {
            const page_pattern *x = &d->subjects.at[i].patterns.at[k];
            if (x->state == BENCH_DONE && isfinite(x->ratio) && isfinite(x->live_share)) {
                add_pattern(d, f, i, x);
                page_axis_see(&f->x, x->live_share);
            }
        }
    }
    for (size_t i = 0; i < f->panels.count; i++) {
        *page_add(&d->memory, &f->panels.at[i].rules) = (page_rule){
            .x = {f->x.lo / 1.5, f->x.hi * 1.5},
            .y = {f->x.lo / 1.5, f->x.hi * 1.5},
            .points = 2,
            .label = "as dense",
        };
    }
    page_figure_end(f);
}
