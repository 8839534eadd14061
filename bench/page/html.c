/* The page, and a figure as a picture of its own. SPDX-License-Identifier: MIT */
#include "page.h"

#include "chart_css.inc"
#include "page_css.inc"
#include "page_js.inc"

#include <math.h>
#include <string.h>

/* ---- legends ---------------------------------------------------------------------------------------------------- */

static void legend_item(FILE *file, const char *drawing, const char *text) {
    fprintf(file, "<li><svg viewBox=\"0 0 26 14\" aria-hidden=\"true\">%s</svg>%s</li>\n", drawing, text);
}

static void legend_shape(FILE *file, page_shape shape, bool hollow, const char *text) {
    fputs("<li><svg class=\"c6\" viewBox=\"0 0 26 14\" aria-hidden=\"true\">", file);
    page_shape_write(file, shape, hollow, 13, 7);
    fprintf(file, "</svg>%s</li>\n", text);
}

static bool shows(const page_figure *f, size_t subject) {
    for (size_t i = 0; i < f->panels.count; i++) {
        for (size_t k = 0; k < f->panels.at[i].series.count; k++) {
            if (f->panels.at[i].series.at[k].subject == subject) {
                return true;
            }
        }
    }
    return false;
}

static bool has_lines(const page_figure *f) {
    return f->panels.count && f->panels.at[0].series.count && f->panels.at[0].series.at[0].line;
}

static void legend_subjects(FILE *file, const page_data *d, const page_figure *f) {
    for (size_t i = 0; i < d->subjects.count; i++) {
        if (shows(f, i)) {
            fprintf(file, "<li><svg class=\"c%zu\" viewBox=\"0 0 26 14\" aria-hidden=\"true\">", i % PAGE_COLOURS);
            if (has_lines(f)) {
                fputs("<path class=\"l\" d=\"M1 7H25\"/>", file);
            }
            page_shape_write(file, f->keys_kind ? PAGE_CIRCLE : page_subject_shape(i), false, 13, 7);
            fputs("</svg>", file);
            page_escape(file, d->subjects.at[i].title);
            fputs("</li>\n", file);
        }
    }
}

void page_legend(FILE *file, const page_data *d, const page_figure *f) {
    fputs("<ul class=\"legend\">\n", file);
    if (d->subjects.count > 1 && !f->keys_kind) {
        legend_subjects(file, d, f);
    }
    if (f->keys_kind) {
        legend_shape(file, PAGE_CIRCLE, false, "full");
        legend_shape(file, PAGE_SQUARE, false, "causal");
        legend_shape(file, PAGE_TRIANGLE, false, "window");
        legend_shape(file, PAGE_DIAMOND, false, "decode");
        legend_shape(file, PAGE_CIRCLE, true, "hollow: f32");
    }
    if (f->keys_causal) {
        legend_item(file, "<path class=\"l c6\" d=\"M1 7H25\"/>", "full");
        legend_item(file, "<path class=\"l d c6\" d=\"M1 7H25\"/>", "causal");
    }
    if (f->keys_goal) {
        legend_item(file, "<path class=\"goal\" d=\"M13 1V13\"/>", "goal");
    }
    fputs("</ul>\n", file);
}

/* ---- sections --------------------------------------------------------------------------------------------------- */

static void write_figure(FILE *file, const page_data *d, const page_figure *f) {
    fprintf(file, "<section class=\"figure\" id=\"%s\">\n<h2>%s</h2>\n<p class=\"lead\">", f->id, f->title);
    page_escape(file, f->lead);
    fputs("</p>\n", file);
    page_legend(file, d, f);
    fprintf(file, "<div class=\"panels%s\">\n", f->panels.count == 1 ? " one" : "");
    for (size_t i = 0; i < f->panels.count; i++) {
        page_chart(file, d, f, i, "");
    }
    fputs("</div>\n<details><summary>These values as a table</summary>\n", file);
    page_table(file, d, f);
    fputs("</details>\n</section>\n", file);
}

static size_t count_state(const page_data *d, bench_state state) {
    size_t count = 0;
    for (size_t i = 0; i < d->subjects.count; i++) {
        for (size_t k = 0; k < d->subjects.at[i].cases.count; k++) {
            count += d->subjects.at[i].cases.at[k].state == state;
        }
    }
    return count;
}

/* The letters of software drivers. */
static void write_software(FILE *file, const page_data *d) {
    size_t count = 0;
    for (size_t i = 0; i < d->subjects.count; i++) {
        if (strcmp(d->subjects.at[i].type, "software") == 0) {
            fprintf(file, "%s%c", count++ ? ", " : "<p class=\"note\">", d->subjects.at[i].letter);
        }
    }
    if (count) {
        fprintf(file,
                " %s: the processor stands in for a GPU. Such numbers compare versions and kernels, and say nothing "
                "about any GPU.</p>\n",
                count == 1 ? "is a software driver" : "are software drivers");
    }
}

static void write_head(FILE *file, const page_data *d, const page_figure *figures) {
    size_t failed = count_state(d, BENCH_FAILED);
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
          "script-src 'unsafe-inline'\"/>\n<title>Attention throughput: ",
          file);
    page_escape(file, d->subjects.count == 1 ? d->subjects.at[0].name : "a comparison");
    fprintf(file, "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<header>\n<h1>Attention throughput</h1>\n",
            chart_css, page_css);
    fprintf(file, "<p class=\"sub\">%zu %s, %zu verified measurement%s", d->subjects.count,
            d->subjects.count == 1 ? "device" : "devices, drivers or commits", count_state(d, BENCH_DONE),
            count_state(d, BENCH_DONE) == 1 ? "" : "s");
    if (failed) {
        fprintf(file, ", <a class=\"bad\" href=\"#cases\">%zu failed</a>", failed);
    }
    fputs("</p>\n<nav aria-label=\"Contents\">\n<a href=\"#glance\">At a glance</a>\n", file);
    for (size_t i = 0; i < PAGE_FIGURES; i++) {
        if (figures[i].panels.count) {
            fprintf(file, "<a href=\"#%s\">%s</a>\n", figures[i].id, figures[i].title);
        }
    }
    fputs("<a href=\"#plans\">Plans</a>\n<a href=\"#cases\">All cases</a>\n</nav>\n", file);
    write_software(file, d);
    fputs("</header>\n<main>\n", file);
}

/* What these files say nothing about, and what would. */
static void write_missing(FILE *file, const page_figure *figures) {
    bool any = false;
    for (size_t i = 0; i < PAGE_FIGURES; i++) {
        if (!figures[i].panels.count) {
            fputs(any ? "" : "<section id=\"missing\">\n<h2>Not in these files</h2>\n<ul class=\"none\">\n", file);
            any = true;
            fprintf(file, "<li>%s: <code>vkattn-bench %s</code></li>\n", figures[i].title, figures[i].missing);
        }
    }
    fputs(any ? "</ul>\n</section>\n" : "", file);
}

static bool finish(FILE *file, const char *path) {
    bool ok = !ferror(file);
    ok = fclose(file) == 0 && ok;
    if (!ok) {
        fprintf(stderr, "vkattn-bench: %s can't be written\n", path);
    }
    return ok;
}

static FILE *begin(const char *path) {
    FILE *file = fopen(path, "w");
    if (!file) {
        fprintf(stderr, "vkattn-bench: %s can't be written\n", path);
    }
    return file;
}

bool page_write_html(const page_data *d, const page_figure *figures, const char *path) {
    FILE *file = begin(path);
    if (!file) {
        return false;
    }
    write_head(file, d, figures);
    page_table_glance(file, d);
    for (size_t i = 0; i < PAGE_FIGURES; i++) {
        if (figures[i].panels.count) {
            write_figure(file, d, &figures[i]);
        }
    }
    page_table_plans(file, d);
    page_table_cases(file, d);
    write_missing(file, figures);
    fprintf(file,
            "</main>\n<footer><p>Made by <code>vkattn-bench report</code>. Every case was verified against a float64 "
            "reference before it was timed; times are medians. Peaks are measured, never looked up.</p></footer>\n"
            "<div id=\"tip\" hidden=\"hidden\"></div>\n<script>\n%s</script>\n</body>\n</html>\n",
            page_js);
    return finish(file, path);
}

/* ---- a picture -------------------------------------------------------------------------------------------------- */

enum { GAP = 36, MARGIN = 24, HEAD = 58, LINE = 18 };

static void picture_legend(FILE *file, const page_data *d, const page_figure *f, double y) {
    static const char *const kinds[] = {"full", "causal", "window", "decode", "hollow: f32"};
    double x = MARGIN + 6;
    for (size_t i = 0; f->keys_kind && i < sizeof kinds / sizeof *kinds; i++) {
        fputs("<g class=\"c6\">", file);
        page_shape_write(file, (page_shape)(i % 4), i == 4, x, y - 4);
        fputs("</g>\n", file);
        page_chart_text(file, x + 10, y, "", "b", kinds[i]);
        x += 78;
    }
    for (size_t i = 0; !f->keys_kind && d->subjects.count > 1 && i < d->subjects.count; i++) {
        if (shows(f, i)) {
            fprintf(file, "<g class=\"c%zu\">", i % PAGE_COLOURS);
            page_shape_write(file, page_subject_shape(i), false, x, y - 4);
            fputs("</g>\n", file);
            page_chart_text(file, x + 10, y, "", "b", d->subjects.at[i].title);
            y += LINE;
        }
    }
    if (f->keys_causal) {
        page_chart_text(file, MARGIN, y, "", "k", "dashed and hollow: causal");
    }
}

static double legend_height(const page_data *d, const page_figure *f) {
    size_t lines = f->keys_kind ? 1 : f->keys_causal;
    for (size_t i = 0; !f->keys_kind && d->subjects.count > 1 && i < d->subjects.count; i++) {
        lines += shows(f, i);
    }
    return LINE * (double)lines;
}

static const char *warning(const page_data *d) {
    for (size_t i = 0; i < d->subjects.count; i++) {
        if (strcmp(d->subjects.at[i].type, "software") != 0) {
            return "";
        }
    }
    return d->subjects.count == 1 ? "software driver: the processor stands in for a GPU"
                                  : "software drivers: the processor stands in for a GPU";
}

static size_t columns_of(const page_figure *f) {
    return f->panels.count < 2 ? 1 : f->panels.count == 3 || f->panels.count > 4 ? 3 : 2;
}

static double row_height(const page_figure *f, size_t row) {
    size_t columns = columns_of(f);
    double height = 0;
    for (size_t i = row * columns; i < (row + 1) * columns && i < f->panels.count; i++) {
        height = fmax(height, page_panel_height(f, &f->panels.at[i]));
    }
    return height;
}

static void picture_panels(FILE *file, const page_data *d, const page_figure *f, double y) {
    size_t columns = columns_of(f);
    for (size_t i = 0; i < f->panels.count; i++) {
        char place[96];
        y += i && i % columns == 0 ? row_height(f, i / columns - 1) + GAP : 0;
        snprintf(place, sizeof place, " x=\"%zu\" y=\"%.0f\" width=\"%d\" height=\"%.0f\"",
                 MARGIN + i % columns * (PAGE_PANEL_WIDTH + GAP), y, PAGE_PANEL_WIDTH,
                 page_panel_height(f, &f->panels.at[i]));
        page_chart(file, d, f, i, place);
    }
}

bool page_write_svg(const page_data *d, const page_figure *f, const char *path) {
    size_t columns = columns_of(f), rows = (f->panels.count + columns - 1) / columns;
    double top = HEAD + legend_height(d, f) + 12, height = top + MARGIN - GAP;
    double width = 2 * MARGIN + (double)columns * (PAGE_PANEL_WIDTH + GAP) - GAP;
    for (size_t row = 0; row < rows; row++) {
        height += row_height(f, row) + GAP;
    }
    FILE *file = begin(path);
    if (!file) {
        return false;
    }
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
            "height=\"%.0f\">\n<style>\n%s</style>\n<rect class=\"bg\" width=\"100%%\" height=\"100%%\"/>\n",
            width, height, width, height, chart_css);
    page_chart_text(file, MARGIN, 34, "", "big", f->title);
    page_chart_text(file, MARGIN, 52, "", "k", warning(d));
    picture_legend(file, d, f, HEAD + 16);
    picture_panels(file, d, f, top);
    fputs("</svg>\n", file);
    return finish(file, path);
}
