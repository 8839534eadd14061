/* Marks and lines between two axes. Labels that would touch others are left out: hovering and the table have them.
 * SPDX-License-Identifier: MIT */
#include "page.h"

#include <math.h>
#include <string.h>

enum { LEFT = 44, RIGHT = PAGE_PANEL_WIDTH - 22, TOP = 46, BOTTOM = 240 };
#define CHARACTER 6.1 /* width of one, about */

typedef struct box {
    double x0, y0, x1, y1;
} box;

enum { MOST_BOXES = 2048 };
typedef struct view {
    FILE *file;
    const page_figure *f;
    box taken[MOST_BOXES];
    size_t count;
} view;

static double clamp(double x) {
    return isnan(x) ? 0 : x < 0 ? 0 : x > 1 ? 1 : x;
}

static double place_x(const view *v, double value) {
    return LEFT + (RIGHT - LEFT) * clamp(page_axis_place(&v->f->x, value));
}

static double place_y(const view *v, double value) {
    return BOTTOM - (BOTTOM - TOP) * clamp(page_axis_place(&v->f->y, value));
}

/* ---- labels ----------------------------------------------------------------------------------------------------- */

static bool is_free(const view *v, box b) {
    for (size_t i = 0; i < v->count; i++) {
        const box *t = &v->taken[i];
        if (b.x0 < t->x1 && t->x0 < b.x1 && b.y0 < t->y1 && t->y0 < b.y1) {
            return false;
        }
    }
    return b.x0 >= 0 && b.x1 <= PAGE_PANEL_WIDTH && b.y0 >= TOP - 12 && b.y1 <= BOTTOM + 2;
}

static void take(view *v, box b) {
    if (v->count < MOST_BOXES) {
        v->taken[v->count++] = b;
    }
}

/* Characters, not bytes. */
static double width_of(const char *text) {
    size_t count = 0;
    for (; *text; text++) {
        count += (*text & 0xc0) != 0x80;
    }
    return CHARACTER * (double)count;
}

typedef struct spot {
    double x, y;
    const char *anchor;
} spot;

/* At the first of the spots that is free; nowhere if none is. */
static void put_label(view *v, const spot *spots, size_t count, const char *classes, const char *text) {
    double width = width_of(text);
    for (size_t i = 0; i < count; i++) {
        double x = spots[i].x - (*spots[i].anchor == 'e' ? width : *spots[i].anchor == 'm' ? width / 2 : 0);
        box b = {x, spots[i].y - 9, x + width, spots[i].y + 2};
        if (is_free(v, b)) {
            page_chart_text(v->file, spots[i].x, spots[i].y, *spots[i].anchor == 's' ? "" : spots[i].anchor, classes,
                            text);
            take(v, b);
            return;
        }
    }
}

/* ---- frame ------------------------------------------------------------------------------------------------------ */

static void draw_frame(view *v) {
    double ticks[PAGE_MAX_TICKS];
    char text[PAGE_VALUE_SIZE], title[96];
    size_t count = page_axis_ticks(&v->f->y, ticks);
    for (size_t i = 0; i < count; i++) {
        double y = place_y(v, ticks[i]);
        fprintf(v->file, "<path class=\"g\" d=\"M%d %.1fH%d\"/>\n", LEFT, y, RIGHT);
        page_chart_text(v->file, LEFT - 6, y + 3.5, "end", "k", page_tick(&v->f->y, ticks[i], text));
    }
    fprintf(v->file, "<path class=\"a\" d=\"M%d %dH%d\"/>\n", LEFT, BOTTOM, RIGHT);
    count = page_axis_ticks(&v->f->x, ticks);
    for (size_t i = 0; i < count; i++) {
        double x = place_x(v, ticks[i]);
        fprintf(v->file, "<path class=\"a\" d=\"M%.1f %dv4\"/>\n", x, BOTTOM);
        page_chart_text(v->file, x, BOTTOM + 16, "middle", "k", page_tick(&v->f->x, ticks[i], text));
    }
    page_chart_text(v->file, 0, 31, "", "k", page_axis_title(&v->f->y, title));
    page_chart_text(v->file, RIGHT, BOTTOM + 33, "end", "k", page_axis_title(&v->f->x, title));
}

/* ---- rules and lines -------------------------------------------------------------------------------------------- */

/* Labels keep off a stroke: it counts as a row of small boxes. */
static void take_stroke(view *v, double x0, double y0, double x1, double y1) {
    int steps = 1 + (int)(hypot(x1 - x0, y1 - y0) / 6);
    for (int i = 0; i <= steps; i++) {
        double x = x0 + (x1 - x0) * i / steps, y = y0 + (y1 - y0) * i / steps;
        take(v, (box){x - 1.5, y - 1.5, x + 1.5, y + 1.5});
    }
}

static void draw_rule(view *v, const page_rule *r) {
    double x[3], y[3];
    fprintf(v->file, "<path class=\"r%s", r->has_subject ? "" : " n");
    if (r->has_subject) {
        fprintf(v->file, " c%zu", r->subject % PAGE_COLOURS);
    }
    fputs("\" d=\"", v->file);
    for (int i = 0; i < r->points; i++) {
        x[i] = place_x(v, r->x[i]);
        y[i] = place_y(v, r->y[i]);
        fprintf(v->file, "%c%.1f %.1f", i ? 'L' : 'M', x[i], y[i]);
        if (i) {
            take_stroke(v, x[i - 1], y[i - 1], x[i], y[i]);
        }
    }
    fputs("\"/>\n", v->file);
}

static void label_rule(view *v, const page_rule *r) {
    int last = r->points - 1;
    double x0 = place_x(v, r->x[0]), y0 = place_y(v, r->y[0]), x1 = place_x(v, r->x[last]), y1 = place_y(v, r->y[last]);
    bool flat = r->y[last] == r->y[last - 1];
    char classes[32] = "k";
    if (r->has_subject) {
        snprintf(classes, sizeof classes, "t c%zu", r->subject % PAGE_COLOURS);
    }
    if (r->slope) {
        /* Along the slope's direction, above its middle. */
        double mx = place_x(v, r->x[1]), my = place_y(v, r->y[1]), angle = atan2(my - y0, mx - x0);
        double cx = (x0 + mx) / 2 + 7 * sin(angle), cy = (y0 + my) / 2 - 7 * cos(angle);
        if (hypot(mx - x0, my - y0) > width_of(r->slope)) {
            fprintf(v->file, "<g transform=\"translate(%.1f %.1f) rotate(%.1f)\">", cx, cy, angle * 57.29578);
            page_chart_text(v->file, 0, 0, "middle", classes, r->slope);
            fputs("</g>\n", v->file);
            double half = width_of(r->slope) / 2;
            take_stroke(v, cx - half * cos(angle), cy - half * sin(angle), cx + half * cos(angle),
                        cy + half * sin(angle));
        }
    }
    if (flat) {
        spot spots[] = {
            {x1, y1 - 5, "end"}, {x1, y1 + 13, "end"}, {LEFT + 4, y1 - 5, "start"}, {LEFT + 4, y1 + 13, "start"}};
        put_label(v, spots, 4, classes, r->label);
    } else {
        spot spots[] = {{x1 - 8, y1 + 2, "end"}, {x1 - 40, y1 + 2, "end"}};
        put_label(v, spots, 2, classes, r->label);
    }
}

static void draw_line(view *v, const page_series *s) {
    if (!s->line || s->marks.count < 2) {
        return;
    }
    fprintf(v->file, "<path class=\"l%s c%zu\" d=\"", s->dashed ? " d" : "", s->subject % PAGE_COLOURS);
    for (size_t i = 0; i < s->marks.count; i++) {
        const page_mark *m = &s->marks.at[i];
        fprintf(v->file, "%c%.1f %.1f", i ? 'L' : 'M', place_x(v, m->x), place_y(v, m->y));
        if (i) {
            take_stroke(v, place_x(v, m[-1].x), place_y(v, m[-1].y), place_x(v, m->x), place_y(v, m->y));
        }
    }
    fputs("\"/>\n", v->file);
}

/* Does the panel have a solid line of the same subject, which says the letter? */
static bool is_second(const page_panel *panel, const page_series *s) {
    for (size_t i = 0; s->dashed && i < panel->series.count; i++) {
        const page_series *o = &panel->series.at[i];
        if (o->subject == s->subject && !o->dashed) {
            return true;
        }
    }
    return false;
}

static void label_end(view *v, const page_series *s) {
    char classes[32];
    const page_mark *m = page_last(&s->marks);
    double x = place_x(v, m->x) + 8, y = place_y(v, m->y) + 3.5;
    spot spots[] = {
        {x, y, "start"}, {x, y - 8, "start"}, {x, y + 8, "start"}, {x, y - 15, "start"}, {x, y + 15, "start"}};
    snprintf(classes, sizeof classes, "t c%zu", s->subject % PAGE_COLOURS);
    put_label(v, spots, 5, classes, s->end);
}

static void label_marks(view *v, const page_series *s) {
    for (size_t i = 0; i < s->marks.count; i++) {
        const page_mark *m = &s->marks.at[i];
        double x = place_x(v, m->x), y = place_y(v, m->y);
        spot spots[] = {{x, y + 16, "middle"}, {x + 8, y + 3.5, "start"}, {x - 8, y + 3.5, "end"},
                        {x, y - 9, "middle"},  {x + 8, y + 12, "start"},  {x - 8, y + 12, "end"},
                        {x, y + 27, "middle"}};
        if (m->label) {
            put_label(v, spots, sizeof spots / sizeof *spots, "k", m->label);
        }
    }
}

void page_chart_xy(FILE *file, const page_data *d, const page_figure *f, const page_panel *panel) {
    view v = {.file = file, .f = f};
    draw_frame(&v);
    for (size_t i = 0; i < panel->rules.count; i++) {
        draw_rule(&v, &panel->rules.at[i]);
    }
    for (size_t i = 0; i < panel->series.count; i++) {
        draw_line(&v, &panel->series.at[i]);
    }
    for (size_t i = 0; i < panel->series.count; i++) {
        const page_series *s = &panel->series.at[i];
        for (size_t k = 0; k < s->marks.count; k++) {
            double x = place_x(&v, s->marks.at[k].x), y = place_y(&v, s->marks.at[k].y);
            page_chart_mark(file, d, f, s, &s->marks.at[k], x, y);
            take(&v, (box){x - 5, y - 5, x + 5, y + 5});
        }
    }
    for (size_t i = 0; i < panel->rules.count; i++) {
        label_rule(&v, &panel->rules.at[i]);
    }
    for (size_t i = 0; i < panel->series.count; i++) {
        const page_series *s = &panel->series.at[i];
        if (s->end && s->marks.count && d->subjects.count > 1 && !is_second(panel, s)) {
            label_end(&v, s);
        }
        label_marks(&v, s);
    }
}
