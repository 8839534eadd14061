/* Result files: what `run`, `patterns` and `options` write with --json. Anything else is refused.
 * SPDX-License-Identifier: MIT */
#include "page.h"

#include <cjson/cJSON.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- a file as text --------------------------------------------------------------------------------------------- */

enum { MOST_BYTES = 64 << 20 };

/* NULL and the reason, or the text, to be freed. */
static char *read_text(const char *path, size_t *size, const char **wrong) {
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(MOST_BYTES + 1) : NULL;
    errno = 0;
    *size = text ? fread(text, 1, MOST_BYTES + 1, file) : 0;
    bool bad = !text || ferror(file);
    *wrong = bad ? (errno == EISDIR ? "is a folder" : "can't be read") : !*size ? "is empty" : NULL;
    if (!*wrong && *size > MOST_BYTES) {
        *wrong = "is larger than 64 MiB";
    }
    if (file) {
        fclose(file);
    }
    if (*wrong) {
        free(text);
        return NULL;
    }
    text[*size] = '\0';
    return text;
}

/* ---- fields ----------------------------------------------------------------------------------------------------- */

static double number_of(const cJSON *o, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(item) && isfinite(item->valuedouble) ? item->valuedouble : NAN;
}

/* NaN also for what can't be a time, a rate, a size or a share; so axes and their ticks stay within what a double
 * holds. */
static double positive_of(const cJSON *o, const char *name) {
    double value = number_of(o, name);
    return value > 1e-15 && value < 1e18 ? value : NAN;
}

static const char *text_of(const cJSON *o, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
    return text ? text : "";
}

static bench_state state_of(const cJSON *o) {
    const char *state = text_of(o, "state");
    return strcmp(state, "ok") == 0 ? BENCH_DONE : strcmp(state, "failed") == 0 ? BENCH_FAILED : BENCH_SKIPPED;
}

/* ---- entries ---------------------------------------------------------------------------------------------------- */

static bool take_case(page_data *d, page_subject *s, const cJSON *o) {
    page_case x = {.state = state_of(o), .path = text_of(o, "path"), .reason = text_of(o, "reason")};
    if (!bench_json_get_case(o, &x.c)) {
        return false;
    }
    char label[BENCH_LABEL_SIZE];
    bench_case_label(&x.c, label);
    x.label = page_print(&d->memory, "%s", label);
    x.plan = cJSON_GetObjectItemCaseSensitive(o, "plan");
    x.plan_why = text_of(x.plan, "why");
    x.ms = positive_of(o, "ms_median");
    x.ms_min = positive_of(o, "ms_min");
    x.ms_max = positive_of(o, "ms_max");
    x.tflops = positive_of(o, "tflops");
    x.gbps = positive_of(o, "gbps");
    x.intensity = positive_of(o, "flops") / positive_of(o, "bytes");
    x.max_error = number_of(o, "max_error");
    x.host_clock = strcmp(text_of(o, "clock"), "host") == 0;
    if (x.state == BENCH_DONE && (isnan(x.ms) || !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "verified")))) {
        x.state = BENCH_SKIPPED;
        x.reason = "not verified, or not timed";
    }
    /* Measured again: the later file counts, unless it did not get that far. */
    for (size_t i = 0; i < s->cases.count; i++) {
        if (strcmp(s->cases.at[i].label, x.label) == 0) {
            bool worse = s->cases.at[i].state == BENCH_DONE && x.state == BENCH_SKIPPED;
            s->cases.at[i] = worse ? s->cases.at[i] : x;
            return true;
        }
    }
    *page_add(&d->memory, &s->cases) = x;
    return true;
}

static bool take_pattern(page_data *d, page_subject *s, const cJSON *o) {
    page_pattern x = {.words = text_of(o, "pattern"), .reason = text_of(o, "reason"), .state = state_of(o)};
    x.tokens = positive_of(o, "tokens");
    x.live_share = positive_of(o, "live_share");
    x.density = positive_of(o, "density");
    x.ms = positive_of(o, "ms_median");
    x.dense_ms = positive_of(o, "dense_ms_median");
    x.ratio = positive_of(o, "ratio");
    x.build_ms = positive_of(o, "build_ms");
    if (!*x.words || isnan(x.tokens)) {
        return false;
    }
    *page_add(&d->memory, &s->patterns) = x;
    return true;
}

static bool take_option(page_data *d, page_subject *s, const cJSON *o) {
    page_option x = {.shape = text_of(o, "shape"), .dtype = text_of(o, "dtype"), .name = text_of(o, "option")};
    x.ms = positive_of(o, "ms_median");
    x.ratio = positive_of(o, "ratio");
    x.goal = positive_of(o, "goal");
    if (!*x.name || !*x.shape) {
        return false;
    }
    /* The plain attention is what the others are measured against. */
    if (state_of(o) == BENCH_DONE && !isnan(x.ratio) && strcmp(x.name, "plain") != 0) {
        *page_add(&d->memory, &s->options) = x;
    }
    return true;
}

/* ---- documents -------------------------------------------------------------------------------------------------- */

typedef struct kind {
    const char *schema, *list, *entry;
    bool (*take)(page_data *d, page_subject *s, const cJSON *o);
} kind;
static const kind kinds[] = {
    {BENCH_SCHEMA, "cases", "a case", take_case},
    {BENCH_PATTERNS_SCHEMA, "patterns", "a pattern", take_pattern},
    {BENCH_OPTIONS_SCHEMA, "options", "an option", take_option},
};

static const kind *kind_of(const cJSON *o) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(text_of(o, "schema"), kinds[i].schema) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* Two files of the same device, driver and commit are one subject. NULL: there are too many. */
static page_subject *subject_of(page_data *d, const cJSON *o) {
    const char *device = text_of(o, "device"), *driver = text_of(o, "driver"), *commit = text_of(o, "commit");
    for (size_t i = 0; i < d->subjects.count; i++) {
        page_subject *s = &d->subjects.at[i];
        if (!strcmp(s->device, device) && !strcmp(s->driver, driver) && !strcmp(s->commit, commit)) {
            return s;
        }
    }
    if (d->subjects.count == PAGE_MAX_SUBJECTS) {
        return NULL;
    }
    page_subject *s = page_add(&d->memory, &d->subjects);
    s->device = device;
    s->driver = driver;
    s->commit = commit;
    s->type = s->date = "";
    s->peaks.tflops_f32 = s->peaks.copy_gbps = NAN;
    return s;
}

static void take_head(page_subject *s, const cJSON *o) {
    const cJSON *peaks = cJSON_GetObjectItemCaseSensitive(o, "peaks");
    double tflops = positive_of(peaks, "tflops_f32"), gbps = positive_of(peaks, "copy_gbps");
    s->date = strcmp(text_of(o, "date"), s->date) > 0 ? text_of(o, "date") : s->date;
    s->type = *s->type ? s->type : text_of(o, "device_type");
    /* What the device can do at best is the best that any run saw. */
    s->peaks.tflops_f32 = fmax(tflops, s->peaks.tflops_f32);
    s->peaks.copy_gbps = fmax(gbps, s->peaks.copy_gbps);
}

/* NULL, or what is wrong. */
static const char *take_document(page_data *d, const cJSON *o) {
    const kind *k = kind_of(o);
    if (!cJSON_IsObject(o) || !k) {
        return *text_of(o, "schema") ? "its schema is not one of vkattn-bench's: run, patterns or options --json"
                                     : "is no result of vkattn-bench: it has no schema";
    }
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, k->list), *item;
    if (!*text_of(o, "device")) {
        return "it names no device";
    }
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0) {
        return page_print(&d->memory, "it has no %s", k->list);
    }
    page_subject *s = subject_of(d, o);
    if (!s) {
        return "is one device, driver or commit too many: there can be 26";
    }
    take_head(s, o);
    size_t number = 1;
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsObject(item) || !k->take(d, s, item)) {
            return page_print(&d->memory, "%s can't be understood: number %zu of its %s", k->entry, number, k->list);
        }
        number++;
    }
    return NULL;
}

bool page_read(page_data *d, const char *path) {
    const char *wrong = NULL;
    size_t size = 0;
    char *text = read_text(path, &size, &wrong);
    if (text) {
        cJSON *o = cJSON_ParseWithLengthOpts(text, size + 1, NULL, true);
        if (o && memchr(text, 0, size) == NULL) {
            *page_add(&d->memory, &d->documents) = o;
            wrong = take_document(d, o);
        } else {
            cJSON_Delete(o);
            wrong = "is not JSON";
        }
        free(text);
    }
    if (wrong) {
        fprintf(stderr, "vkattn-bench: %s: %s\n", path, wrong);
    }
    return !wrong;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static bool same(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* The device, and of driver and commit what tells it from others. */
static const char *name_of(page_data *d, const page_subject *s) {
    bool driver = false, commit = false;
    for (size_t i = 0; i < d->subjects.count; i++) {
        const page_subject *o = &d->subjects.at[i];
        if (o != s && same(o->device, s->device)) {
            driver = driver || !same(o->driver, s->driver);
            commit = commit || same(o->driver, s->driver);
        }
    }
    return page_print(&d->memory, "%s%s%s%s%s", s->device, driver ? ", " : "", driver ? s->driver : "",
                      commit ? ", commit " : "", commit ? s->commit : "");
}

static void take_shares(page_subject *s) {
    for (size_t i = 0; i < s->cases.count; i++) {
        page_case *x = &s->cases.at[i];
        x->share = bench_case_memory_bound(&x->c) ? x->gbps / s->peaks.copy_gbps : x->tflops / s->peaks.tflops_f32;
    }
}

void page_read_end(page_data *d) {
    for (size_t i = 0; i < d->subjects.count; i++) {
        take_shares(&d->subjects.at[i]);
        d->subjects.at[i].letter = (char)('A' + i);
        d->subjects.at[i].name = name_of(d, &d->subjects.at[i]);
        d->subjects.at[i].title = page_print(&d->memory, "%c \302\267 %s", (int)('A' + i), d->subjects.at[i].name);
    }
}

void page_data_free(page_data *d) {
    for (size_t i = 0; i < d->documents.count; i++) {
        cJSON_Delete(d->documents.at[i]);
    }
    page_free(&d->memory);
}
