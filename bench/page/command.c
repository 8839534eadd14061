/* `report`: result files in, a page or one chart out. SPDX-License-Identifier: MIT */
#include "page.h"

#include <string.h>

static bool ends_in(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);
    return n > m && strcmp(path + n - m, end) == 0;
}

static const page_figure *figure_of(const page_figure *figures, const char *id) {
    for (size_t i = 0; i < PAGE_FIGURES; i++) {
        if (strcmp(figures[i].id, id) == 0) {
            return &figures[i];
        }
    }
    return NULL;
}

/* Also of what there is nothing to show of. */
static void say_charts(const page_figure *figures) {
    for (size_t i = 0; i < PAGE_FIGURES; i++) {
        fprintf(stderr, "%s%s", i ? ", " : "", figures[i].id);
    }
    fputs("\n", stderr);
}

static bench_exit write_chart(const page_data *d, const page_figure *figures, const char *id, const char *out) {
    const page_figure *f = figure_of(figures, id);
    if (!f) {
        fprintf(stderr, "vkattn-bench: --chart %s: there is none of that name; there are ", id);
        say_charts(figures);
        return BENCH_EXIT_USAGE;
    }
    if (!f->panels.count) {
        fprintf(stderr, "vkattn-bench: --chart %s: these files have nothing for it; it takes vkattn-bench %s\n", id,
                f->missing);
        return BENCH_EXIT_USAGE;
    }
    return page_write_svg(d, f, out) ? BENCH_EXIT_OK : BENCH_EXIT_FAILED;
}

static bool has_anything(const page_data *d) {
    for (size_t i = 0; i < d->subjects.count; i++) {
        const page_subject *s = &d->subjects.at[i];
        for (size_t k = 0; k < s->cases.count; k++) {
            if (s->cases.at[k].state != BENCH_SKIPPED) {
                return true;
            }
        }
        if (s->patterns.count || s->options.count) {
            return true;
        }
    }
    return false;
}

bench_exit bench_page(const bench_page_options *o) {
    const char *out = o->out ? o->out : o->chart ? "report.svg" : "report.html";
    page_data d = {0};
    page_figure figures[PAGE_FIGURES];
    bool ok = true;
    if (!ends_in(out, o->chart ? ".svg" : ".html")) {
        fprintf(stderr, "vkattn-bench: --out %s: %s\n", out,
                o->chart ? "a chart is an .svg" : "the page is an .html; with --chart NAME it is one chart, an .svg");
        return BENCH_EXIT_USAGE;
    }
    for (size_t i = 0; i < o->count && ok; i++) {
        ok = page_read(&d, o->files[i]);
    }
    if (ok && !has_anything(&d)) {
        fprintf(stderr, "vkattn-bench: %s: nothing was measured\n", o->files[0]);
        ok = false;
    }
    bench_exit status = BENCH_EXIT_USAGE;
    if (ok) {
        page_read_end(&d);
        page_figures(&d, figures);
        status = o->chart                            ? write_chart(&d, figures, o->chart, out)
                 : page_write_html(&d, figures, out) ? BENCH_EXIT_OK
                                                     : BENCH_EXIT_FAILED;
    }
    if (status == BENCH_EXIT_OK) {
        printf("wrote %s\n", out);
    }
    page_data_free(&d);
    return status;
}

bool bench_page_options_parse(int argc, const char **argv, bench_page_options *o) {
    for (int i = 0; i < argc; i++) {
        const char **option = strcmp(argv[i], "--out") == 0     ? &o->out
                              : strcmp(argv[i], "--chart") == 0 ? &o->chart
                                                                : NULL;
        if (option && i + 1 == argc) {
            return bench_complain("help report", "%s: needs a value", argv[i]);
        }
        if (!option && argv[i][0] == '-' && argv[i][1]) {
            return bench_complain("help report", "%s: unknown option; report takes files, --out and --chart", argv[i]);
        }
        if (option) {
            *option = argv[++i];
        } else {
            argv[o->count++] = argv[i]; /* files move to the front */
        }
    }
    o->files = argv;
    return o->count ? true
                    : bench_complain("help report", "report: needs a file that run, patterns or options --json wrote");
}
