/* Rows with dots along one axis. A row's name stands above its line, so that it may be long on a narrow screen.
 * SPDX-License-Identifier: MIT */
#include "page.h"

#include <math.h>

enum { LEFT = 6, RIGHT = PAGE_PANEL_WIDTH - 10 };

static double place(const page_figure *f, double value) {
    double share = page_axis_place(&f->x, value);
    return LEFT + (RIGHT - LEFT) * (share < 0 ? 0 : share > 1 ? 1 : share);
}

static double row_y(double row) {
    return PAGE_DOTS_HEAD + PAGE_DOTS_ROW * (row + 1) - 10;
}

static void draw_frame(FILE *file, const page_figure *f, const page_panel *panel) {
    double ticks[PAGE_MAX_TICKS], foot = row_y((double)panel->rows.count - 1) + 12, one = place(f, 1);
    char text[PAGE_VALUE_SIZE], title[96];
    size_t count = page_axis_ticks(&f->x, ticks);
    for (size_t i = 0; i < count; i++) {
        double x = place(f, ticks[i]);
        const char *anchor = x < LEFT + 12 ? "start" : x > RIGHT - 12 ? "end" : "middle";
        fprintf(file, "<path class=\"g\" d=\"M%.1f %dV%.1f\"/>\n", x, PAGE_DOTS_HEAD, foot);
        page_chart_text(file, x, foot + 14, anchor, "k", page_tick(&f->x, ticks[i], text));
    }
    fprintf(file, "<path class=\"a\" d=\"M%.1f %dV%.1f\"/>\n", one, PAGE_DOTS_HEAD, foot);
    page_chart_text(file, RIGHT, foot + 31, "end", "k", page_axis_title(&f->x, title));
}

void page_chart_dots(FILE *file, const page_data *d, const page_figure *f, const page_panel *panel) {
    draw_frame(file, f, panel);
    for (size_t i = 0; i < panel->rows.count; i++) {
        double y = row_y((double)i), goal = panel->goals.at[i];
        page_chart_text(file, LEFT, y - 9, "", "b", panel->rows.at[i]);
        fprintf(file, "<path class=\"q\" d=\"M%d %.1fH%d\"/>\n", LEFT, y, RIGHT);
        if (isfinite(goal)) {
            fprintf(file, "<path class=\"goal\" d=\"M%.1f %.1fv12\"/>\n", place(f, goal), y - 6);
        }
    }
    for (size_t i = 0; i < panel->series.count; i++) {
        const page_series *s = &panel->series.at[i];
        for (size_t k = 0; k < s->marks.count; k++) {
            page_chart_mark(file, d, f, s, &s->marks.at[k], place(f, s->marks.at[k].x), row_y(s->marks.at[k].y));
        }
    }
}
