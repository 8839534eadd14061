/* vkattn-bench report: what its files share. Result files are read into subjects (read.c), figures are made of them
 * (figures*.c), and figures are written as charts (chart*.c) and tables (table.c) into a page (html.c) or a picture of
 * its own (html.c).
 *
 * Texts live in one memory until the end. Numbers that were not measured are NaN.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_BENCH_PAGE_H
#define VKATTN_BENCH_PAGE_H

#include "../bench.h"

struct cJSON;

/* ---- memory.c --------------------------------------------------------------------------------------------------- */

typedef struct page_memory {
    struct page_block *blocks;
} page_memory;

/* Zeroed, and never NULL: without memory the program ends with a line that says so. */
void *page_alloc(page_memory *m, size_t size);
char *page_print(page_memory *m, const char *format, ...) VKA_PRINTF(2, 3);
void page_free(page_memory *m);

#define PAGE_LIST(type)                                                                                                \
    struct {                                                                                                           \
        type *at;                                                                                                      \
        size_t count, capacity;                                                                                        \
    }
void *page_grown(page_memory *m, void *at, size_t count, size_t *capacity, size_t size);
/* A new element at the end, all zero. */
#define page_add(m, list)                                                                                              \
    ((list)->at = page_grown((m), (list)->at, (list)->count, &(list)->capacity, sizeof *(list)->at),                   \
     &(list)->at[(list)->count++])
#define page_last(list) (&(list)->at[(list)->count - 1])

/* ---- read.c: the files ------------------------------------------------------------------------------------------ */

typedef struct page_case {
    bench_case c;
    bench_state state; /* DONE: verified and timed */
    const char *label, *path, *reason, *plan_why;
    const struct cJSON *plan; /* fields of the explanation, or NULL */
    double ms, ms_min, ms_max, tflops, gbps, share, intensity, max_error;
    bool host_clock;
} page_case;

typedef struct page_pattern {
    const char *words, *reason;
    bench_state state;
    double tokens, live_share, density, ms, dense_ms, ratio, build_ms;
} page_pattern;

typedef struct page_option {
    const char *shape, *dtype, *name; /* "prefill", "f16", "softcap" */
    double ms, ratio, goal;           /* ratio to the plain attention; goal NaN: none */
} page_option;

/* A device with a driver and a commit: whatever files speak of it. */
typedef struct page_subject {
    char letter;
    const char *device, *driver, *type, *commit, *date;
    const char *name;  /* as short as tells it from the others */
    const char *title; /* letter and name */
    bench_peaks peaks;
    PAGE_LIST(page_case) cases;
    PAGE_LIST(page_pattern) patterns;
    PAGE_LIST(page_option) options;
} page_subject;

#define PAGE_MAX_SUBJECTS 26
typedef struct page_data {
    page_memory memory;
    PAGE_LIST(page_subject) subjects;
    PAGE_LIST(struct cJSON *) documents;
} page_data;

/* false: a line on stderr names the file and what is wrong with it. */
bool page_read(page_data *d, const char *path);
/* Orders and names what was read. */
void page_read_end(page_data *d);
void page_data_free(page_data *d);

/* ---- number.c: values with units -------------------------------------------------------------------------------- */

typedef enum page_unit {
    PAGE_COUNT,  /* 16k: of 1024 */
    PAGE_TIME,   /* in ms        */
    PAGE_FLOPS,  /* in TFLOP/s   */
    PAGE_BYTES,  /* in GB/s      */
    PAGE_FACTOR, /* times        */
    PAGE_SHARE,  /* 0 .. 1, as % */
    PAGE_NUMBER,
} page_unit;

#define PAGE_VALUE_SIZE 48
/* "12.3 ms", "640 GFLOP/s", "-" for NaN. */
const char *page_value(page_unit unit, double value, char text[PAGE_VALUE_SIZE]);

typedef enum page_scale { PAGE_LINEAR, PAGE_LOG2, PAGE_LOG10 } page_scale;

typedef struct page_axis {
    const char *title;
    page_unit unit;
    page_scale scale;
    double lo, hi; /* set by page_axis_fit */
} page_axis;

/* Extends lo .. hi by a value. */
void page_axis_see(page_axis *a, double value);
/* Chooses the scale, where it is PAGE_LINEAR: linear from 0, or logarithmic where values differ much. Rounds lo and hi
 * outwards. */
void page_axis_fit(page_axis *a);
/* 0 .. 1 */
double page_axis_place(const page_axis *a, double value);

#define PAGE_MAX_TICKS 16
size_t page_axis_ticks(const page_axis *a, double ticks[PAGE_MAX_TICKS]);
/* The unit of a tick is in the axis's title, but for times and shares. */
const char *page_tick(const page_axis *a, double value, char text[PAGE_VALUE_SIZE]);
/* "throughput, GFLOP/s" */
const char *page_axis_title(const page_axis *a, char text[96]);

/* ---- figures: what is shown ------------------------------------------------------------------------------------- */

typedef enum page_shape { PAGE_CIRCLE, PAGE_SQUARE, PAGE_TRIANGLE, PAGE_DIAMOND, PAGE_WEDGE, PAGE_SHAPES } page_shape;

typedef struct page_mark {
    double x, y;       /* of dots: y is the row */
    const char *name;  /* what was measured */
    const char *note;  /* more about it, or NULL */
    const char *label; /* beside it in the chart, or NULL */
    page_shape shape;
    bool hollow;
} page_mark;

typedef struct page_series {
    size_t subject;
    const char *end; /* at the end of its line, or NULL */
    bool line, dashed;
    PAGE_LIST(page_mark) marks;
} page_series;

/* A line to compare with. */
typedef struct page_rule {
    double x[3], y[3];
    int points;
    const char *label; /* stands on its last stretch */
    const char *slope; /* stands on its first one, or NULL */
    bool has_subject;
    size_t subject;
} page_rule;

typedef struct page_panel {
    const char *title;
    PAGE_LIST(page_series) series;
    PAGE_LIST(page_rule) rules;
    PAGE_LIST(const char *) rows; /* of dots */
    PAGE_LIST(double) goals;      /* of dots: of each row, or NaN */
} page_panel;

typedef struct page_figure {
    const char *id, *title, *lead;
    const char *missing; /* how to get it, where there is nothing to show */
    page_axis x, y;
    bool dots;      /* rows with dots along x, instead of x and y */
    bool keys_kind; /* shapes tell kinds of attention, not devices */
    bool keys_causal, keys_goal;
    PAGE_LIST(page_panel) panels;
} page_figure;

#define PAGE_FIGURES 9
/* All figures, in the order of the page; those without panels have nothing to show. */
void page_figures(page_data *d, page_figure figures[PAGE_FIGURES]);

void page_figure_roofline(page_data *d, page_figure *f);
void page_figure_prefill(page_data *d, page_figure *throughput, page_figure *time);
void page_figure_decode(page_data *d, page_figure *f);
void page_figure_norms(page_data *d, page_figure *f);
void page_figure_window(page_data *d, page_figure *f);
void page_figure_patterns(page_data *d, page_figure *f);
void page_figure_options(page_data *d, page_figure *f);
void page_figure_ratios(page_data *d, page_figure *f);

/* The panel of that title, made if there is none; and the series of a subject in it. */
page_panel *page_panel_of(page_data *d, page_figure *f, const char *title);
page_series *page_series_of(page_data *d, page_panel *panel, size_t subject, bool dashed);
/* Sorts marks by x, fits the axes. */
void page_figure_end(page_figure *f);
/* "3.1 to 3.4 ms, path row" */
const char *page_note(page_data *d, const page_case *c);
/* The case of another subject that has the same label, or NULL. */
const page_case *page_case_find(const page_subject *s, const char *label);
/* "Decoding": the kinds of cases, of ratios. */
const char *page_group_of(const bench_case *c);
/* How many times as fast as `base` the other one is, over the cases of a group, or all with NULL. */
double page_geometric_mean(const page_subject *base, const page_subject *other, const char *group, size_t *count);

/* ---- chart.c, chart_dots.c: a panel as SVG ----------------------------------------------------------------------- */

enum { PAGE_PANEL_WIDTH = 400, PAGE_DOTS_HEAD = 22, PAGE_DOTS_ROW = 32, PAGE_DOTS_FOOT = 36 };
double page_panel_height(const page_figure *f, const page_panel *panel);
/* Alone in a page, or at a place in another SVG. */
void page_chart(FILE *file, const page_data *d, const page_figure *f, size_t panel, const char *place);

void page_chart_xy(FILE *file, const page_data *d, const page_figure *f, const page_panel *panel);
void page_chart_dots(FILE *file, const page_data *d, const page_figure *f, const page_panel *panel);
void page_chart_mark(FILE *file, const page_data *d, const page_figure *f, const page_series *s, const page_mark *m,
                     double x, double y);
void page_chart_text(FILE *file, double x, double y, const char *anchor, const char *classes, const char *text);
void page_shape_write(FILE *file, page_shape shape, bool hollow, double x, double y);
page_shape page_subject_shape(size_t subject);
#define PAGE_COLOURS 8

/* ---- html.c, table.c --------------------------------------------------------------------------------------------- */

/* Text that means itself in HTML, SVG and attributes, whatever it holds. */
void page_escape(FILE *file, const char *text);

void page_table(FILE *file, const page_data *d, const page_figure *f);
void page_table_glance(FILE *file, const page_data *d);
void page_table_plans(FILE *file, const page_data *d);
void page_table_cases(FILE *file, const page_data *d);
void page_legend(FILE *file, const page_data *d, const page_figure *f);

bool page_write_html(const page_data *d, const page_figure *figures, const char *path);
bool page_write_svg(const page_data *d, const page_figure *f, const char *path);

#endif
