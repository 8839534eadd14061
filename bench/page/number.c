/* Values with units, and axes. SPDX-License-Identifier: MIT */
#include "page.h"

#include <math.h>
#include <string.h>

/* ---- values ----------------------------------------------------------------------------------------------------- */

typedef struct unit_step {
    double size;
    const char *suffix;
} unit_step;

/* Three significant digits, but all of an integer's. */
static void digits(double value, char text[PAGE_VALUE_SIZE]) {
    double size = fabs(value);
    int decimals = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : size >= 0.09995 ? 3 : 4;
    snprintf(text, PAGE_VALUE_SIZE, "%.*f", decimals, value);
}

static const char *stepped(double value, const unit_step *steps, char text[PAGE_VALUE_SIZE]) {
    while (steps[1].size > 0 && fabs(value) < 0.9995 * steps->size) {
        steps++;
    }
    digits(value / steps->size, text);
    strncat(text, steps->suffix, PAGE_VALUE_SIZE - strlen(text) - 1);
    return text;
}

const char *page_value(page_unit unit, double value, char text[PAGE_VALUE_SIZE]) {
    static const unit_step times[] = {{1e3, " s"}, {1, " ms"}, {1e-3, " \302\265s"}, {1e-6, " ns"}, {0, ""}};
    static const unit_step flops[] = {{1, " TFLOP/s"}, {1e-3, " GFLOP/s"}, {1e-6, " MFLOP/s"}, {0, ""}};
    static const unit_step bytes[] = {{1e3, " TB/s"}, {1, " GB/s"}, {1e-3, " MB/s"}, {0, ""}};
    if (!isfinite(value)) {
        strcpy(text, "-");
        return text;
    }
    switch (unit) {
    case PAGE_TIME:
        return stepped(value, times, text);
    case PAGE_FLOPS:
        return stepped(value, flops, text);
    case PAGE_BYTES:
        return stepped(value, bytes, text);
    case PAGE_SHARE:
        digits(100 * value, text);
        strcat(text, " %");
        return text;
    case PAGE_FACTOR:
        digits(value, text);
        strcat(text, "\303\227");
        return text;
    case PAGE_COUNT:
        snprintf(text, PAGE_VALUE_SIZE, "%.0f", value);
        return text;
    case PAGE_NUMBER:
        break;
    }
    digits(value, text);
    return text;
}

/* ---- axes ------------------------------------------------------------------------------------------------------- */

void page_axis_see(page_axis *a, double value) {
    if (!isfinite(value) || value <= 0) {
        return;
    }
    bool first = a->hi == 0;
    a->lo = first || value < a->lo ? value : a->lo;
    a->hi = first || value > a->hi ? value : a->hi;
}

/* The least 1, 2 or 5 times a power of ten that is not below a value. */
static double round_up(double value) {
    double power = pow(10, floor(log10(value))), x = value / power;
    return power * (x <= 1.0001 ? 1 : x <= 2.0001 ? 2 : x <= 5.0001 ? 5 : 10);
}

static double linear_step(const page_axis *a) {
    return round_up((a->hi - a->lo) / 5.001);
}

/* Where a linear axis would press the small values onto its foot. */
#define WIDE 25

void page_axis_fit(page_axis *a) {
    if (a->hi == 0) {
        a->lo = a->hi = 1;
    }
    if (a->scale == PAGE_LINEAR && a->hi > WIDE * a->lo) {
        a->scale = PAGE_LOG10;
    }
    if (a->unit == PAGE_FACTOR && a->scale == PAGE_LOG2 && a->hi > 64 * a->lo) {
        a->scale = PAGE_LOG10;
    }
    if (a->scale == PAGE_LINEAR) {
        double step = round_up(a->hi / 5.001);
        a->lo = 0;
        a->hi = step * ceil(a->hi * 1.04 / step);
    } else if (a->scale == PAGE_LOG2) {
        a->lo = pow(2, floor(log2(a->lo) + 0.001) - 0.4);
        a->hi = pow(2, ceil(log2(a->hi) - 0.001) + 0.4);
    } else {
        a->lo /= 1.5;
        a->hi *= 1.5;
    }
}

double page_axis_place(const page_axis *a, double value) {
    return a->scale == PAGE_LINEAR ? (value - a->lo) / (a->hi - a->lo) : log(value / a->lo) / log(a->hi / a->lo);
}

static size_t powers(const page_axis *a, double base, const double *within, size_t within_count, int skip,
                     double ticks[PAGE_MAX_TICKS]) {
    size_t count = 0;
    int first = (int)floor(log(a->lo) / log(base)), last = (int)ceil(log(a->hi) / log(base));
    for (int e = first; e <= last; e++) {
        for (size_t i = 0; i < within_count && count < PAGE_MAX_TICKS; i++) {
            double tick = pow(base, e) * within[i];
            if (tick >= a->lo * 0.999 && tick <= a->hi * 1.001 && (e % skip + skip) % skip == 0) {
                ticks[count++] = tick;
            }
        }
    }
    return count;
}

size_t page_axis_ticks(const page_axis *a, double ticks[PAGE_MAX_TICKS]) {
    static const double one[] = {1}, three[] = {1, 2, 5};
    size_t count = 0;
    if (a->scale == PAGE_LINEAR) {
        double step = linear_step(a);
        for (double n = 0; a->lo + n * step <= a->hi * 1.001 && count < PAGE_MAX_TICKS; n++) {
            ticks[count++] = a->lo + n * step;
        }
        return count;
    }
    if (a->scale == PAGE_LOG2) {
        int skip = 1 + (int)(log2(a->hi / a->lo) / 7);
        return powers(a, 2, one, 1, skip, ticks);
    }
    double decades = log10(a->hi / a->lo);
    return decades <= 2.2 ? powers(a, 10, three, 3, 1, ticks) : powers(a, 10, one, 1, 1 + (int)(decades / 7), ticks);
}

/* Rates below one tera are counted in giga. */
static double unit_size(const page_axis *a, const char **name) {
    *name = a->unit == PAGE_FLOPS ? "TFLOP/s" : a->unit == PAGE_BYTES ? "GB/s" : NULL;
    if (a->unit == PAGE_FLOPS && a->hi < 2) {
        *name = "GFLOP/s";
        return 1e-3;
    }
    return 1;
}

const char *page_tick(const page_axis *a, double value, char text[PAGE_VALUE_SIZE]) {
    static const unit_step times[] = {{1e3, " s"}, {1, " ms"}, {1e-3, " \302\265s"}, {1e-6, " ns"}, {0, ""}};
    const char *name;
    if (a->unit == PAGE_TIME) {
        const unit_step *s = times;
        while (s[1].size > 0 && value < 0.9995 * s->size) {
            s++;
        }
        snprintf(text, PAGE_VALUE_SIZE, "%g%s", value / s->size, s->suffix);
    } else if (a->unit == PAGE_SHARE) {
        snprintf(text, PAGE_VALUE_SIZE, "%g %%", 100 * value);
    } else if (a->unit == PAGE_COUNT && value >= 1024 && fmod(value, 1024) == 0) {
        snprintf(text, PAGE_VALUE_SIZE, "%gk", value / 1024);
    } else if (a->unit == PAGE_FACTOR) {
        snprintf(text, PAGE_VALUE_SIZE, "%g\303\227", value);
    } else {
        double size = unit_size(a, &name), shown = value / size;
        snprintf(text, PAGE_VALUE_SIZE, fabs(shown) >= 1e5 ? "%.0e" : "%g", shown);
    }
    return text;
}

const char *page_axis_title(const page_axis *a, char text[96]) {
    const char *name;
    unit_size(a, &name);
    snprintf(text, 96, "%s%s%s%s", a->title, name ? ", " : "", name ? name : "",
             a->unit == PAGE_COUNT ? " (k = 1024)" : "");
    return text;
}
