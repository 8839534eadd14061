/* A panel as SVG: what it says to those who can't see it, marks, texts. Colours are classes, so that a page and a
 * picture have them in light and dark.
 * SPDX-License-Identifier: MIT */
#include "page.h"

#include <math.h>

page_shape page_subject_shape(size_t subject) {
    return (page_shape)(subject % PAGE_SHAPES);
}

void page_chart_text(FILE *file, double x, double y, const char *anchor, const char *classes, const char *text) {
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\"", x, y);
    if (*anchor) {
        fprintf(file, " text-anchor=\"%s\"", anchor);
    }
    if (*classes) {
        fprintf(file, " class=\"%s\"", classes);
    }
    fputs(">", file);
    page_escape(file, text);
    fputs("</text>\n", file);
}

void page_shape_write(FILE *file, page_shape shape, bool hollow, double x, double y) {
    const char *class = hollow ? "m o" : "m";
    switch (shape) {
    case PAGE_SQUARE:
        fprintf(file, "<path class=\"%s\" d=\"M%.1f %.1fh7.4v7.4h-7.4z\"/>", class, x - 3.7, y - 3.7);
        break;
    case PAGE_TRIANGLE:
        fprintf(file, "<path class=\"%s\" d=\"M%.1f %.1fl4.8 8.3h-9.6z\"/>", class, x, y - 5.2);
        break;
    case PAGE_DIAMOND:
        fprintf(file, "<path class=\"%s\" d=\"M%.1f %.1fl5.2 5.2l-5.2 5.2l-5.2 -5.2z\"/>", class, x, y - 5.2);
        break;
    case PAGE_WEDGE:
        fprintf(file, "<path class=\"%s\" d=\"M%.1f %.1fl4.8 -8.3h-9.6z\"/>", class, x, y + 5.2);
        break;
    case PAGE_CIRCLE:
    case PAGE_SHAPES:
        fprintf(file, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.2\"/>", class, x, y);
        break;
    }
}

/* The title is what a pointer shows without a script, too. */
void page_chart_mark(FILE *file, const page_data *d, const page_figure *f, const page_series *s, const page_mark *m,
                     double x, double y) {
    char values[2][PAGE_VALUE_SIZE];
    fprintf(file, "<g class=\"pt c%zu\" data-x=\"%.6g\" data-y=\"%.6g\"><title>", s->subject % PAGE_COLOURS, m->x,
            m->y);
    page_escape(file, m->name);
    if (d->subjects.count > 1) {
        fputs("\n", file);
        page_escape(file, d->subjects.at[s->subject].title);
    }
    if (!f->dots) {
        fprintf(file, "\n%s: %s", f->y.title, page_value(f->y.unit, m->y, values[1]));
    }
    fprintf(file, "\n%s: %s", f->x.title, page_value(f->x.unit, m->x, values[0]));
    if (m->note) {
        fputs("\n", file);
        page_escape(file, m->note);
    }
    fputs("</title>", file);
    page_shape_write(file, m->shape, m->hollow, x, y);
    fputs("</g>\n", file);
}

static size_t count_marks(const page_panel *panel) {
    size_t count = 0;
    for (size_t i = 0; i < panel->series.count; i++) {
        count += panel->series.at[i].marks.count;
    }
    return count;
}

static void describe(FILE *file, const page_figure *f, const page_panel *panel) {
    char low[PAGE_VALUE_SIZE], high[PAGE_VALUE_SIZE];
    const page_axis *a = f->dots ? &f->x : &f->y;
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < panel->series.count; i++) {
        for (size_t k = 0; k < panel->series.at[i].marks.count; k++) {
            const page_mark *m = &panel->series.at[i].marks.at[k];
            least = fmin(least, f->dots ? m->x : m->y);
            most = fmax(most, f->dots ? m->x : m->y);
        }
    }
    fprintf(file, "%s", f->dots ? "Dots: " : "Chart: ");
    page_escape(file, f->dots ? f->x.title : f->y.title);
    fprintf(file, f->dots ? " for each %s. " : " against %s. ", f->dots ? f->y.title : f->x.title);
    fprintf(file, "%zu values from %s to %s. The table below the charts has them all.", count_marks(panel),
            page_value(a->unit, least, low), page_value(a->unit, most, high));
}

double page_panel_height(const page_figure *f, const page_panel *panel) {
    return f->dots ? PAGE_DOTS_HEAD + PAGE_DOTS_ROW * (double)panel->rows.count + PAGE_DOTS_FOOT : 284;
}

/* As much as fits: the whole of it is the chart's title. */
static void write_title(FILE *file, const char *text) {
    enum { MOST = 56 };
    char part[4 * MOST + 8];
    size_t bytes = 0;
    for (size_t characters = 0; text[bytes] && bytes < 4 * MOST; bytes++) {
        characters += (text[bytes] & 0xc0) != 0x80;
        if (characters == MOST) {
            break;
        }
    }
    snprintf(part, sizeof part, "%.*s%s", (int)bytes, text, text[bytes] ? "\342\200\246" : "");
    page_chart_text(file, 0, 14, "", "h", part);
}

void page_chart(FILE *file, const page_data *d, const page_figure *f, size_t number, const char *place) {
    const page_panel *panel = &f->panels.at[number];
    double height = page_panel_height(f, panel);
    fprintf(file,
            "<svg class=\"chart\" viewBox=\"0 0 %d %.0f\"%s role=\"img\" aria-labelledby=\"%s-%zu-t %s-%zu-d\">\n",
            PAGE_PANEL_WIDTH, height, place, f->id, number, f->id, number);
    fprintf(file, "<title id=\"%s-%zu-t\">%s: ", f->id, number, f->title);
    page_escape(file, panel->title);
    fprintf(file, "</title>\n<desc id=\"%s-%zu-d\">", f->id, number);
    describe(file, f, panel);
    fputs("</desc>\n", file);
    write_title(file, panel->title);
    f->dots ? page_chart_dots(file, d, f, panel) : page_chart_xy(file, d, f, panel);
    fputs("</svg>\n", file);
}
