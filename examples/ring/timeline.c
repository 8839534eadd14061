/* SPDX-License-Identifier: MIT */
#include "ring/timeline.h"

#include "common/program.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sums ---------------------------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void add_span(const timeline *t, event_pass pass, double begin, double end, timeline_sums *s) {
    bool computes = false, passes = false;
    for (uint32_t i = 0; i < t->count; i++) {
        const event *e = &t->events[i];
        if (e->pass == (uint32_t)pass && e->begin <= begin && e->end >= end) {
            *(e->kind == EVENT_COMPUTE ? &computes : &passes) = true;
        }
    }
    s->computing += computes ? end - begin : 0;
    s->passing += passes ? end - begin : 0;
    s->hidden += computes && passes ? end - begin : 0;
}

/* Between two of these times nothing begins or ends. */
timeline_sums timeline_sum(const timeline *t, event_pass pass) {
    timeline_sums s = {0};
    double *times = allocate(2 * (size_t)t->count, sizeof *times);
    size_t count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->events[i].pass == (uint32_t)pass) {
            times[count++] = t->events[i].begin, times[count++] = t->events[i].end;
            s.whole = fmax(s.whole, t->events[i].end);
        }
    }
    qsort(times, count, sizeof *times, by_time);
    for (size_t i = 0; i + 1 < count; i++) {
        add_span(t, pass, times[i], times[i + 1], &s);
    }
    free(times);
    return s;
}

/* ---- a picture ----------------------------------------------------------------------------------------------- */

enum { WIDTH = 1060, LEFT = 150, RIGHT = 20, TOP = 92, LANE = 15, DEVICE_LANE = 24, BETWEEN = 12, PANEL = 62 };

static const char *const pass_names[PASSES] = {"Forward", "Backward"};

/* A block's colour, whoever has it. */
static void print_colour(FILE *f, uint32_t block, uint32_t blocks, const char *light) {
    fprintf(f, "hsl(%u,52%%,%s)", 215 + 360 * block / blocks, light);
}

static int lanes(event_pass pass) {
    return pass == PASS_FORWARD ? 2 : 4;
}

static int rank_height(event_pass pass) {
    return DEVICE_LANE + lanes(pass) * LANE + BETWEEN;
}

static double whole(const timeline *ranks, uint32_t count, event_pass pass) {
    double most = 1e-6;
    for (uint32_t i = 0; i < count; i++) {
        most = fmax(most, timeline_sum(&ranks[i], pass).whole);
    }
    return most;
}

static void draw_event(FILE *f, const event *e, uint32_t blocks, int y, double scale) {
    const bool computes = e->kind == EVENT_COMPUTE;
    const int lane = (e->kind == EVENT_SEND ? 0 : 1) + 2 * (int)e->gradients;
    const int top = computes ? y : y + DEVICE_LANE + lane * LANE, height = computes ? DEVICE_LANE - 2 : LANE - 3;
    const double x = LEFT + e->begin * scale, width = fmax(1, (e->end - e->begin) * scale);
    fprintf(f, "<g><rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"", x, top, width, height);
    print_colour(f, e->block, blocks, computes ? "62%" : "78%");
    fprintf(f, "\" stroke=\"");
    print_colour(f, e->block, blocks, "38%");
    fprintf(f, "\" stroke-width=\"0.7\"/><title>step %u: %s %s%s %u, ", e->step,
            computes                ? "computes with"
            : e->kind == EVENT_SEND ? "sends"
                                    : "receives",
            e->gradients ? "gradients of " : "", "block", e->block);
    if (!computes) {
        fprintf(f, "%u KiB, ", e->bytes);
    }
    fprintf(f, "%.3f to %.3f ms</title>", e->begin * 1e3, e->end * 1e3);
    if (width > 16 && (computes || width > 40)) {
        fprintf(f, "<text x=\"%.2f\" y=\"%d\" class=\"%s\" font-size=\"%d\">%u</text>", x + width / 2,
                top + height / 2 + (computes ? 4 : 3), computes ? "in device" : "in link", computes ? 12 : 9, e->block);
    }
    fprintf(f, "</g>\n");
}

static void draw_rank(FILE *f, const timeline *t, uint32_t rank, uint32_t ranks, event_pass pass, int y, double scale) {
    static const char *const names[] = {"sends", "receives", "sends gradients", "receives gradients"};
    fprintf(f, "<text x=\"8\" y=\"%d\" font-size=\"13\">rank %u</text>", y + 16, rank);
    fprintf(f, "<text x=\"%d\" y=\"%d\" class=\"lane\">device</text>\n", LEFT - 8, y + 15);
    for (int i = 0; i < lanes(pass); i++) {
        fprintf(f, "<text x=\"%d\" y=\"%d\" class=\"lane\">%s</text>\n", LEFT - 8, y + DEVICE_LANE + i * LANE + 10,
                names[i]);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->events[i].pass == (uint32_t)pass && t->events[i].end > 0) {
            draw_event(f, &t->events[i], ranks, y, scale);
        }
    }
}

/* Ticks at 1, 2 or 5 times a power of ten, about eight of them. */
static void draw_axis(FILE *f, double seconds, int y, int height, double scale) {
    const double wish = seconds / 8, power = pow(10, floor(log10(wish)));
    const double tick = wish / power > 5   ? 10 * power
                        : wish / power > 2 ? 5 * power
                        : wish / power > 1 ? 2 * power
                                           : power;
    for (double at = 0; at <= seconds; at += tick) {
        double x = LEFT + at * scale;
        fprintf(f, "<line x1=\"%.2f\" x2=\"%.2f\" y1=\"%d\" y2=\"%d\" stroke=\"#ddd\"/>", x, x, y - 4, y + height);
        fprintf(f, "<text x=\"%.2f\" y=\"%d\" class=\"tick\">%g ms</text>\n", x, y - 9, at * 1e3);
    }
}

static int draw_pass(FILE *f, const timeline *ranks, uint32_t count, event_pass pass, int y) {
    const double seconds = whole(ranks, count, pass), scale = (WIDTH - LEFT - RIGHT) / seconds;
    fprintf(f, "<text x=\"8\" y=\"%d\" font-size=\"14\" font-weight=\"bold\">%s</text>\n", y - 9, pass_names[pass]);
    draw_axis(f, seconds, y, (int)count * rank_height(pass) - BETWEEN, scale);
    for (uint32_t i = 0; i < count; i++) {
        draw_rank(f, &ranks[i], i, count, pass, y + (int)i * rank_height(pass), scale);
    }
    return y + (int)count * rank_height(pass) + PANEL - BETWEEN;
}

bool timeline_save(const char *path, const timeline *ranks, uint32_t count, bool backward, const char *caption) {
    const int forward_height = (int)count * rank_height(PASS_FORWARD) + PANEL - BETWEEN;
    const int height =
        TOP + forward_height + (backward ? (int)count * rank_height(PASS_BACKWARD) + PANEL - BETWEEN : 0) - PANEL / 2;
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        fprintf(stderr, "%s: %s: %s\n", program_name, path, strerror(errno));
        return false;
    }
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\">\n"
            "<style>.in{text-anchor:middle;font-weight:bold}.device{fill:#fff}.link{fill:#444}.lane{text-anchor:end;"
            "font-size:10px;fill:#555}"
            ".tick{text-anchor:middle;font-size:10px;fill:#777}</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
            "<text x=\"8\" y=\"22\" font-size=\"16\" font-weight=\"bold\">A ring of %u: blocks of keys and values, by "
            "the rank that they "
            "belong to</text>\n<text x=\"8\" y=\"42\" font-size=\"12\" fill=\"#555\">%s</text>\n",
            WIDTH, height, WIDTH, height, count, caption);
    int y = draw_pass(f, ranks, count, PASS_FORWARD, TOP);
    if (backward) {
        draw_pass(f, ranks, count, PASS_BACKWARD, y);
    }
    fprintf(f, "</svg>\n");
    bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed) {
        fprintf(stderr, "%s: %s: %s\n", program_name, path, strerror(errno));
        return false;
    }
    return true;
}
