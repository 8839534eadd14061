/* What figures share, and the list of them. SPDX-License-Identifier: MIT */
#include "page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

page_panel *page_panel_of(page_data *d, page_figure *f, const char *title) {
    for (size_t i = 0; i < f->panels.count; i++) {
        if (strcmp(f->panels.at[i].title, title) == 0) {
            return &f->panels.at[i];
        }
    }
    page_panel *panel = page_add(&d->memory, &f->panels);
    panel->title = title;
    return panel;
}

page_series *page_series_of(page_data *d, page_panel *panel, size_t subject, bool dashed) {
    for (size_t i = 0; i < panel->series.count; i++) {
        page_series *s = &panel->series.at[i];
        if (s->subject == subject && s->dashed == dashed) {
            return s;
        }
    }
    page_series *s = page_add(&d->memory, &panel->series);
    s->subject = subject;
    s->dashed = dashed;
    s->line = true;
    s->end = page_print(&d->memory, "%c", d->subjects.at[subject].letter);
    return s;
}

const char *page_note(page_data *d, const page_case *c) {
    char low[PAGE_VALUE_SIZE], high[PAGE_VALUE_SIZE], share[PAGE_VALUE_SIZE];
    const char *peak = bench_case_memory_bound(&c->c) ? "copy bandwidth" : "the f32 peak";
    return page_print(&d->memory, "%s to %s%s; %s of %s; path %s", page_value(PAGE_TIME, c->ms_min, low),
                      page_value(PAGE_TIME, c->ms_max, high), c->host_clock ? " by the host's clock" : "",
                      page_value(PAGE_SHARE, c->share, share), peak, c->path);
}

const page_case *page_case_find(const page_subject *s, const char *label) {
    for (size_t i = 0; i < s->cases.count; i++) {
        if (s->cases.at[i].state == BENCH_DONE && strcmp(s->cases.at[i].label, label) == 0) {
            return &s->cases.at[i];
        }
    }
    return NULL;
}

double page_geometric_mean(const page_subject *base, const page_subject *other, const char *group, size_t *count) {
    double logs = 0;
    *count = 0;
    for (size_t i = 0; i < base->cases.count; i++) {
        const page_case *a = &base->cases.at[i], *b = page_case_find(other, a->label);
        if (a->state == BENCH_DONE && b && (!group || strcmp(group, page_group_of(&a->c)) == 0)) {
            logs += log(a->ms / b->ms);
            ++*count;
        }
    }
    return *count ? exp(logs / (double)*count) : NAN;
}

/* ---- the end of a figure ---------------------------------------------------------------------------------------- */

static int by_x(const void *a, const void *b) {
    double x = ((const page_mark *)a)->x, y = ((const page_mark *)b)->x;
    return (x > y) - (x < y);
}

static bool has_two_x(const page_panel *panel) {
    double x = NAN;
    for (size_t i = 0; i < panel->series.count; i++) {
        for (size_t k = 0; k < panel->series.at[i].marks.count; k++) {
            double other = panel->series.at[i].marks.at[k].x;
            if (!isnan(x) && other != x) {
                return true;
            }
            x = other;
        }
    }
    return false;
}

/* Along a line: panels with a single place on x say nothing. */
static void drop_panels(page_figure *f) {
    size_t kept = 0;
    for (size_t i = 0; i < f->panels.count; i++) {
        page_panel *panel = &f->panels.at[i];
        bool line = panel->series.count && panel->series.at[0].line;
        if (panel->series.count && (!line || has_two_x(panel))) {
            f->panels.at[kept++] = *panel;
        }
    }
    f->panels.count = kept;
}

static void see_panel(page_figure *f, const page_panel *panel) {
    for (size_t i = 0; i < panel->series.count; i++) {
        const page_series *s = &panel->series.at[i];
        for (size_t k = 0; k < s->marks.count; k++) {
            page_axis_see(&f->x, s->marks.at[k].x);
            page_axis_see(&f->y, s->marks.at[k].y);
        }
    }
    for (size_t i = 0; i < panel->rules.count; i++) {
        for (int k = 0; k < panel->rules.at[i].points; k++) {
            page_axis_see(&f->y, panel->rules.at[i].y[k]);
        }
    }
}

void page_figure_end(page_figure *f) {
    drop_panels(f);
    for (size_t i = 0; i < f->panels.count; i++) {
        page_panel *panel = &f->panels.at[i];
        for (size_t k = 0; k < panel->series.count; k++) {
            page_series *s = &panel->series.at[k];
            if (s->marks.count && !f->dots) {
                qsort(s->marks.at, s->marks.count, sizeof *s->marks.at, by_x);
            }
        }
        see_panel(f, panel);
    }
    page_axis_fit(&f->x);
    page_axis_fit(&f->y);
}

void page_figures(page_data *d, page_figure figures[PAGE_FIGURES]) {
    memset(figures, 0, PAGE_FIGURES * sizeof *figures);
    page_figure_roofline(d, &figures[0]);
    page_figure_ratios(d, &figures[1]);
    page_figure_prefill(d, &figures[2], &figures[3]);
    page_figure_decode(d, &figures[4]);
    page_figure_window(d, &figures[5]);
    page_figure_patterns(d, &figures[6]);
    page_figure_options(d, &figures[7]);
    page_figure_norms(d, &figures[8]);
}
