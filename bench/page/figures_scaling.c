/* How time follows the length, the window and the number of columns.
 * SPDX-License-Identifier: MIT */
#include "page.h"

#include <math.h>
#include <stdlib.h>

static bool measured(const page_case *x, bench_op op) {
    return x->state == BENCH_DONE && x->c.op == op;
}

static bool plain(const bench_case *c) {
    return c->path == BENCH_PATH_AUTO && !c->splits;
}

static bool square(const bench_case *c) {
    return c->q_len == c->kv_len && c->q_len > 8;
}

/* "f16, D 64, 8 heads" */
static const char *shape_name(page_data *d, const bench_case *c) {
    char dims[32] = "", heads[32] = "", batch[32] = "";
    if (c->value_dim != c->head_dim) {
        snprintf(dims, sizeof dims, "/%u", c->value_dim);
    }
    if (c->kv_heads != c->heads) {
        snprintf(heads, sizeof heads, " on %u", c->kv_heads);
    }
    if (c->batch != 1) {
        snprintf(batch, sizeof batch, ", batch %u", c->batch);
    }
    return page_print(&d->memory, "%s, D %u%s, %u%s head%s%s", bench_dtype_name(c->dtype), c->head_dim, dims, c->heads,
                      heads, c->heads == 1 ? "" : "s", batch);
}

static page_mark mark_of(page_data *d, const page_case *x, size_t subject, double at, double value, bool hollow) {
    return (page_mark){
        .x = at,
        .y = value,
        .name = x->label,
        .note = page_note(d, x),
        .shape = page_subject_shape(subject),
        .hollow = hollow,
    };
}

static void add_square(page_data *d, page_figure *f, size_t subject, const page_case *x, double y) {
    page_panel *panel = page_panel_of(d, f, shape_name(d, &x->c));
    page_series *s = page_series_of(d, panel, subject, x->c.causal);
    *page_add(&d->memory, &s->marks) = mark_of(d, x, subject, x->c.q_len, y, x->c.causal);
}

void page_figure_prefill(page_data *d, page_figure *throughput, page_figure *time) {
    *throughput = (page_figure){
        .id = "throughput",
        .title = "Throughput against length",
        .lead = "Operations of the pairs that a query sees, per second. Higher is better.",
        .missing = "run --suite prefill",
        .x = {.title = "tokens N", .unit = PAGE_COUNT, .scale = PAGE_LOG2},
        .y = {.title = "throughput", .unit = PAGE_FLOPS},
        .keys_causal = true,
    };
    *time = *throughput;
    time->id = "time";
    time->title = "Time against length";
    time->lead = "Median time of one call. Lower is better; twice the tokens are four times the work.";
    time->y = (page_axis){.title = "time of a call", .unit = PAGE_TIME, .scale = PAGE_LOG10};
    for (size_t i = 0; i < d->subjects.count; i++) {
        const page_subject *s = &d->subjects.at[i];
        for (size_t k = 0; k < s->cases.count; k++) {
            const page_case *x = &s->cases.at[k];
            if (measured(x, BENCH_ATTENTION) && plain(&x->c) && square(&x->c) && !bench_case_windowed(&x->c)) {
                add_square(d, throughput, i, x, x->tflops);
                add_square(d, time, i, x, x->ms);
            }
        }
    }
    page_figure_end(throughput);
    page_figure_end(time);
}

/* The copy bandwidth of those subjects that a panel shows. */
static void add_copy_rules(page_data *d, page_figure *f) {
    for (size_t p = 0; p < f->panels.count; p++) {
        page_panel *panel = &f->panels.at[p];
        for (size_t i = 0; i < panel->series.count; i++) {
            size_t subject = panel->series.at[i].subject;
            double gbps = d->subjects.at[subject].peaks.copy_gbps;
            bool known = isnan(gbps);
            for (size_t k = 0; k < panel->rules.count; k++) {
                known = known || panel->rules.at[k].subject == subject;
            }
            if (!known) {
                const char *label = d->subjects.count == 1
                                        ? "copy bandwidth"
                                        : page_print(&d->memory, "%c: copy", d->subjects.at[subject].letter);
                *page_add(&d->memory, &panel->rules) = (page_rule){
                    .x = {0, INFINITY},
                    .y = {gbps, gbps},
                    .points = 2,
                    .label = label,
                    .has_subject = true,
                    .subject = subject,
                };
            }
        }
    }
}

void page_figure_decode(page_data *d, page_figure *f) {
    *f = (page_figure){
        .id = "decode",
        .title = "Decoding against bandwidth",
        .lead =
            "One query, or a few, read all keys and values once: bytes read and written per second, and what a copy "
            "of a large buffer reaches on the same device. Higher is better; short contexts may come from a cache.",
        .missing = "run --suite decode",
        .x = {.title = "keys", .unit = PAGE_COUNT, .scale = PAGE_LOG2},
        .y = {.title = "traffic", .unit = PAGE_BYTES},
    };
    for (size_t i = 0; i < d->subjects.count; i++) {
        const page_subject *s = &d->subjects.at[i];
        for (size_t k = 0; k < s->cases.count; k++) {
            const page_case *x = &s->cases.at[k];
            if (!measured(x, BENCH_ATTENTION) || !plain(&x->c) || x->c.q_len > 8 || bench_case_windowed(&x->c)) {
                continue;
            }
            const char *queries = x->c.q_len == 1 ? "" : page_print(&d->memory, ", %u queries", x->c.q_len);
            const char *title = page_print(&d->memory, "%s%s", shape_name(d, &x->c), queries);
            page_series *series = page_series_of(d, page_panel_of(d, f, title), i, false);
            *page_add(&d->memory, &series->marks) = mark_of(d, x, i, x->c.kv_len, x->gbps, false);
        }
    }
    add_copy_rules(d, f);
    page_figure_end(f);
}

void page_figure_norms(page_data *d, page_figure *f) {
    *f = (page_figure){
        .id = "norms",
        .title = "Layer norm against bandwidth",
        .lead = "Bytes read and written per second. Higher is better.",
        .missing = "run --suite norms",
        .x = {.title = "columns", .unit = PAGE_COUNT, .scale = PAGE_LOG2},
        .y = {.title = "traffic", .unit = PAGE_BYTES},
    };
    for (size_t i = 0; i < d->subjects.count; i++) {
        const page_subject *s = &d->subjects.at[i];
        for (size_t k = 0; k < s->cases.count; k++) {
            const page_case *x = &s->cases.at[k];
            if (!measured(x, BENCH_LAYER_NORM) || !plain(&x->c) || x->c.residual) {
                continue;
            }
            const char *title = page_print(&d->memory, "%s, %u rows", bench_dtype_name(x->c.dtype), x->c.rows);
            page_series *series = page_series_of(d, page_panel_of(d, f, title), i, false);
            *page_add(&d->memory, &series->marks) = mark_of(d, x, i, x->c.cols, x->gbps, false);
        }
    }
    add_copy_rules(d, f);
    page_figure_end(f);
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

/* The time of the same attention with the whole past in view. */
static void add_no_window(page_data *d, page_panel *panel, size_t subject, const page_case *x) {
    bench_case whole = x->c;
    char label[BENCH_LABEL_SIZE];
    whole.window_left = whole.window_right = VKA_UNBOUNDED;
    bench_case_label(&whole, label);
    const page_subject *s = &d->subjects.at[subject];
    const page_case *dense = page_case_find(s, label);
    for (size_t i = 0; i < panel->rules.count; i++) {
        if (panel->rules.at[i].subject == subject) {
            return;
        }
    }
    if (dense) {
        *page_add(&d->memory, &panel->rules) = (page_rule){
            .x = {0, INFINITY},
            .y = {dense->ms, dense->ms},
            .points = 2,
            .label = d->subjects.count == 1 ? "no window" : page_print(&d->memory, "%c: no window", s->letter),
            .has_subject = true,
            .subject = subject,
        };
    }
}

void page_figure_window(page_data *d, page_figure *f) {
    *f = (page_figure){
        .id = "window",
        .title = "Sliding windows",
        .lead = "Causal windows: time against the keys that a query sees, and the time without a window. Lower is "
                "better; both axes are logarithmic, so work that follows the window is a straight line.",
        .missing = "run --suite window",
        .x = {.title = "keys of the window", .unit = PAGE_COUNT, .scale = PAGE_LOG2},
        .y = {.title = "time of a call", .unit = PAGE_TIME, .scale = PAGE_LOG10},
    };
    for (size_t i = 0; i < d->subjects.count; i++) {
        const page_subject *s = &d->subjects.at[i];
        for (size_t k = 0; k < s->cases.count; k++) {
            const page_case *x = &s->cases.at[k];
            const bench_case *c = &x->c;
            if (!measured(x, BENCH_ATTENTION) || !plain(c) || !square(c) || !c->causal || c->window_right != 0 ||
                c->window_left == VKA_UNBOUNDED) {
                continue;
            }
            page_panel *panel = page_panel_of(d, f, page_print(&d->memory, "N %u, %s", c->q_len, shape_name(d, c)));
            page_series *series = page_series_of(d, panel, i, false);
            *page_add(&d->memory, &series->marks) = mark_of(d, x, i, c->window_left + 1.0, x->ms, false);
            add_no_window(d, panel, i, x);
        }
    }
    page_figure_end(f);
}
