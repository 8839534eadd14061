/* Tables: the values of each figure, the devices, the plans, all cases. SPDX-License-Identifier: MIT */
#include "page.h"

#include <cjson/cJSON.h>

#include <math.h>
#include <string.h>

/* ---- cells ------------------------------------------------------------------------------------------------------ */

static void begin_table(FILE *file, const char *caption) {
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", file);
    page_escape(file, caption);
    fputs("\">\n<table>\n<caption>", file);
    page_escape(file, caption);
    fputs("</caption>\n<thead><tr>", file);
}

static void head(FILE *file, const char *text, bool number) {
    fprintf(file, "<th scope=\"col\"%s>", number ? " class=\"n\"" : "");
    page_escape(file, text);
    fputs("</th>", file);
}

static void begin_body(FILE *file) {
    fputs("</tr></thead>\n<tbody>\n", file);
}

static void end_table(FILE *file) {
    fputs("</tbody>\n</table>\n</div>\n", file);
}

static void cell(FILE *file, const char *text) {
    fputs("<td>", file);
    page_escape(file, text);
    fputs("</td>", file);
}

static void value(FILE *file, page_unit unit, double x) {
    char text[PAGE_VALUE_SIZE];
    fprintf(file, "<td class=\"n\">%s</td>", page_value(unit, x, text));
}

static void row_head(FILE *file, const char *text) {
    fputs("<tr><th scope=\"row\">", file);
    page_escape(file, text);
    fputs("</th>", file);
}

static void key(FILE *file, const page_data *d, size_t subject) {
    fprintf(file, "<span class=\"key\"><svg class=\"c%zu\" viewBox=\"0 0 14 14\" aria-hidden=\"true\">",
            subject % PAGE_COLOURS);
    page_shape_write(file, page_subject_shape(subject), false, 7, 7);
    fprintf(file, "</svg>%c</span>", d->subjects.at[subject].letter);
}

/* ---- of a figure ------------------------------------------------------------------------------------------------ */

static void figure_row(FILE *file, const page_data *d, const page_figure *f, const page_panel *panel,
                       const page_series *s, const page_mark *m) {
    row_head(file, m->name);
    if (f->panels.count > 1) {
        cell(file, panel->title);
    }
    if (d->subjects.count > 1) {
        fputs("<td>", file);
        key(file, d, s->subject);
        fputs("</td>", file);
    }
    value(file, f->x.unit, m->x);
    if (!f->dots) {
        value(file, f->y.unit, m->y);
    }
    cell(file, m->note ? m->note : "");
    fputs("</tr>\n", file);
}

void page_table(FILE *file, const page_data *d, const page_figure *f) {
    begin_table(file, f->title);
    head(file, f->dots ? f->y.title : "case", false);
    if (f->panels.count > 1) {
        head(file, "chart", false);
    }
    if (d->subjects.count > 1) {
        head(file, "of", false);
    }
    head(file, f->x.title, true);
    if (!f->dots) {
        head(file, f->y.title, true);
    }
    head(file, "more", false);
    begin_body(file);
    for (size_t p = 0; p < f->panels.count; p++) {
        const page_panel *panel = &f->panels.at[p];
        for (size_t i = 0; i < panel->series.count; i++) {
            for (size_t k = 0; k < panel->series.at[i].marks.count; k++) {
                figure_row(file, d, f, panel, &panel->series.at[i], &panel->series.at[i].marks.at[k]);
            }
        }
    }
    end_table(file);
}

/* ---- at a glance ------------------------------------------------------------------------------------------------ */

typedef struct glance {
    double tflops, tflops_share, gbps, gbps_share;
    size_t done, failed, skipped;
} glance;

static glance glance_of(const page_subject *s) {
    glance g = {0};
    for (size_t i = 0; i < s->cases.count; i++) {
        const page_case *x = &s->cases.at[i];
        g.done += x->state == BENCH_DONE;
        g.failed += x->state == BENCH_FAILED;
        g.skipped += x->state == BENCH_SKIPPED;
        if (x->state != BENCH_DONE || x->c.op != BENCH_ATTENTION) {
            continue;
        }
        if (bench_case_memory_bound(&x->c) && x->gbps > g.gbps) {
            g.gbps = x->gbps;
            g.gbps_share = x->share;
        } else if (!bench_case_memory_bound(&x->c) && x->tflops > g.tflops) {
            g.tflops = x->tflops;
            g.tflops_share = x->share;
        }
    }
    return g;
}

/* A rate, and the share that it is of the peak. */
static void rate(FILE *file, page_unit unit, double x, double share) {
    char text[PAGE_VALUE_SIZE], percent[PAGE_VALUE_SIZE];
    if (!(x > 0)) {
        fputs("<td class=\"n\">-</td>", file);
        return;
    }
    fprintf(file, "<td class=\"n\">%s<small>%s of the peak</small></td>", page_value(unit, x, text),
            page_value(PAGE_SHARE, share, percent));
}

static void glance_row(FILE *file, const page_data *d, size_t i) {
    const page_subject *s = &d->subjects.at[i];
    glance g = glance_of(s);
    fputs("<tr><td>", file);
    key(file, d, i);
    fputs("</td><th scope=\"row\">", file);
    page_escape(file, s->device);
    if (strcmp(s->type, "software") == 0) {
        fputs(" <span class=\"tag\">software driver</span>", file);
    }
    fputs("<small>", file);
    page_escape(file, s->driver);
    fputs("</small><small>commit ", file);
    page_escape(file, s->commit);
    fputs(", ", file);
    char day[11];
    snprintf(day, sizeof day, "%s", s->date);
    page_escape(file, day);
    fputs("</small></th>", file);
    rate(file, PAGE_FLOPS, g.tflops, g.tflops_share);
    rate(file, PAGE_BYTES, g.gbps, g.gbps_share);
    value(file, PAGE_FLOPS, s->peaks.tflops_f32);
    value(file, PAGE_BYTES, s->peaks.copy_gbps);
    fprintf(file, "<td class=\"n\">%zu%s%zu%s%zu</td></tr>\n", g.done, g.failed ? ", <b class=\"bad\">" : ", ",
            g.failed, g.failed ? "</b>, " : ", ", g.skipped);
}

void page_table_glance(FILE *file, const page_data *d) {
    fputs("<section id=\"glance\">\n<h2>At a glance</h2>\n<p class=\"lead\">The best that was measured, and the "
          "peaks that the same device reached.</p>\n",
          file);
    begin_table(file, "At a glance");
    head(file, "", false);
    head(file, "device, driver, commit", false);
    head(file, "best attention", true);
    head(file, "best decoding", true);
    head(file, "f32 multiply-add", true);
    head(file, "copy", true);
    head(file, "measured, failed, skipped", true);
    begin_body(file);
    for (size_t i = 0; i < d->subjects.count; i++) {
        glance_row(file, d, i);
    }
    end_table(file);
    fputs("</section>\n", file);
}

/* ---- plans ------------------------------------------------------------------------------------------------------ */

static double fact(const cJSON *plan, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(plan, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* "row 32 x 4, workgroup 8, 2 KiB, 16 splits" */
static void plan_cell(FILE *file, const page_case *x) {
    fputs("<td>", file);
    page_escape(file, x->path);
    if (fact(x->plan, "query_tile") > 0) {
        fprintf(file, " %.0f \303\227 %.0f", fact(x->plan, "query_tile"), fact(x->plan, "key_tile"));
    }
    if (fact(x->plan, "workgroup") > 0) {
        fprintf(file, ", workgroup %.0f", fact(x->plan, "workgroup"));
    }
    if (fact(x->plan, "shared_bytes") > 0) {
        fprintf(file, ", %.0f KiB", fact(x->plan, "shared_bytes") / 1024);
    }
    if (fact(x->plan, "splits") > 1) {
        fprintf(file, ", %.0f splits", fact(x->plan, "splits"));
    }
    if (*x->plan_why) {
        fputs("<small>", file);
        page_escape(file, x->plan_why);
        fputs("</small>", file);
    }
    fputs("</td>", file);
}

/* Has an earlier subject a case of that label that ran? */
static bool seen_before(const page_data *d, size_t subject, const char *label) {
    for (size_t i = 0; i < subject; i++) {
        if (page_case_find(&d->subjects.at[i], label)) {
            return true;
        }
    }
    return false;
}

static void plan_row(FILE *file, const page_data *d, const char *label) {
    row_head(file, label);
    for (size_t i = 0; i < d->subjects.count; i++) {
        const page_case *x = page_case_find(&d->subjects.at[i], label);
        x ? plan_cell(file, x) : cell(file, "-");
    }
    fputs("</tr>\n", file);
}

void page_table_plans(FILE *file, const page_data *d) {
    fputs(
        "<section id=\"plans\">\n<h2>The plans that ran</h2>\n<p class=\"lead\">Which kernel, how many queries "
        "\303\227 "
        "keys of a step, invocations of a workgroup, shared memory, workgroups that share a tile's keys; and why.</p>\n"
        "<details class=\"print\"><summary>Plans of all cases</summary>\n",
        file);
    begin_table(file, "Plans");
    head(file, "case", false);
    for (size_t i = 0; i < d->subjects.count; i++) {
        head(file, d->subjects.at[i].title, false);
    }
    begin_body(file);
    for (size_t i = 0; i < d->subjects.count; i++) {
        for (size_t k = 0; k < d->subjects.at[i].cases.count; k++) {
            const page_case *x = &d->subjects.at[i].cases.at[k];
            if (x->state == BENCH_DONE && !seen_before(d, i, x->label)) {
                plan_row(file, d, x->label);
            }
        }
    }
    end_table(file);
    fputs("</details>\n</section>\n", file);
}

/* ---- all cases -------------------------------------------------------------------------------------------------- */

static void case_row(FILE *file, const page_case *x) {
    char text[PAGE_VALUE_SIZE];
    row_head(file, x->label);
    if (x->state != BENCH_DONE) {
        fprintf(file, "<td colspan=\"7\">%s",
                x->state == BENCH_FAILED ? "<span class=\"bad\">failed</span>: " : "skipped: ");
        page_escape(file, x->reason);
        fputs("</td></tr>\n", file);
        return;
    }
    cell(file, x->path);
    value(file, PAGE_TIME, x->ms);
    fprintf(file, "<td class=\"n\">%s to ", page_value(PAGE_TIME, x->ms_min, text));
    fprintf(file, "%s</td>", page_value(PAGE_TIME, x->ms_max, text));
    value(file, PAGE_FLOPS, x->tflops);
    value(file, PAGE_BYTES, x->gbps);
    fprintf(file, "<td class=\"n\">%s %s</td>", page_value(PAGE_SHARE, x->share, text),
            bench_case_memory_bound(&x->c) ? "of copy" : "of f32");
    fprintf(file, isfinite(x->max_error) ? "<td class=\"n\">%.1e</td></tr>\n" : "<td class=\"n\">-</td></tr>\n",
            x->max_error);
}

static void cases_of(FILE *file, const page_subject *s) {
    begin_table(file, s->title);
    head(file, "case", false);
    head(file, "path", false);
    head(file, "median", true);
    head(file, "least to most", true);
    head(file, "operations", true);
    head(file, "traffic", true);
    head(file, "of the peak", true);
    head(file, "largest error", true);
    begin_body(file);
    for (size_t k = 0; k < s->cases.count; k++) {
        case_row(file, &s->cases.at[k]);
    }
    end_table(file);
}

void page_table_cases(FILE *file, const page_data *d) {
    fputs("<section id=\"cases\">\n<h2>All cases</h2>\n<p class=\"lead\">Names: type, B batch, H query heads / key "
          "heads, N "
          "tokens (Nq queries, Nk keys), D channels; a window l:r sees l keys before and r after. Errors are absolute, "
          "against float64.</p>\n",
          file);
    for (size_t i = 0; i < d->subjects.count; i++) {
        const page_subject *s = &d->subjects.at[i];
        bool open = glance_of(s).failed > 0;
        if (s->cases.count) {
            fprintf(file, "<details class=\"print\"%s><summary>%zu cases of %c</summary>\n",
                    open ? " open=\"open\"" : "", s->cases.count, s->letter);
            cases_of(file, s);
            fputs("</details>\n", file);
        }
    }
    fputs("</section>\n", file);
}
