/* Reports for programs: written by `run --json`, read by `compare`; written by `patterns` and `options`. README.md
 * describes the schema. SPDX-License-Identifier: MIT */
#include "layers.h"
#include "ops/op.h"

#include <cjson/cJSON.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[] = {"ok", "failed", "skipped"};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* NaN has no place in JSON and means "not measured". */
static void add_measured(cJSON *object, const char *name, double value) {
    if (isfinite(value)) {
        cJSON_AddNumberToObject(object, name, value);
    } else {
        cJSON_AddNullToObject(object, name);
    }
}

/* What an operation does not have is null, or false, so that every case has the same fields. */
static void add_number(cJSON *object, const char *name, bool has, uint32_t value) {
    add_measured(object, name, has ? (double)value : NAN);
}

static void add_bound(cJSON *object, const char *name, bool has, int32_t bound) {
    add_measured(object, name, has && bound != VKA_UNBOUNDED ? (double)bound : NAN);
}

static void add_flag(cJSON *object, const char *name, bool has, bool value) {
    cJSON_AddBoolToObject(object, name, has && value);
}

static void add_case(cJSON *o, const bench_case *c) {
    const bench_operation *op = bench_operation_of(c->op);
    cJSON_AddStringToObject(o, "op", op->name);
    cJSON_AddStringToObject(o, "suite", c->suite);
    cJSON_AddStringToObject(o, "dtype", bench_dtype_name(c->dtype));
    cJSON_AddStringToObject(o, "path_asked", bench_path_name(c->path));
    add_number(o, "splits_asked", op->splits, c->splits);
#define BENCH_FIELD(kind, member, ID, option, shapes, ...)                                                             \
    add_##kind(o, #member, (op->shape & (shapes)) != 0, c->member);
#include "fields.def"
}

/* The lines "key: value" of an explanation as an object; what is all digits becomes a number. */
static void add_plan(cJSON *o, const char *lines) {
    cJSON *plan = cJSON_AddObjectToObject(o, "plan");
    for (const char *line = lines; *line;) {
        size_t length = strcspn(line, "\n"), key_length = strcspn(line, ":\n");
        char key[64], value[512];
        if (key_length + 2 <= length) {
            snprintf(key, sizeof key, "%.*s", (int)key_length, line);
            snprintf(value, sizeof value, "%.*s", (int)(length - key_length - 2), line + key_length + 2);
            bool digits = *value && strspn(value, "0123456789") == strlen(value);
            digits ? (void)cJSON_AddNumberToObject(plan, key, strtod(value, NULL))
                   : (void)cJSON_AddStringToObject(plan, key, value);
        }
        line += length + (line[length] == '\n');
    }
}

static cJSON *result_object(const bench_result *r) {
    cJSON *o = cJSON_CreateObject();
    char label[BENCH_LABEL_SIZE];
    bench_cost cost = bench_case_cost(&r->c);
    bench_case_label(&r->c, label);
    cJSON_AddStringToObject(o, "label", label);
    add_case(o, &r->c);
    add_measured(o, "flops", cost.flops);
    add_measured(o, "bytes", cost.bytes);
    cJSON_AddStringToObject(o, "path", r->path);
    add_plan(o, r->plan);
    cJSON_AddStringToObject(o, "state", states[r->state]);
    cJSON_AddStringToObject(o, "reason", r->reason);
    cJSON_AddBoolToObject(o, "verified", r->verified);
    add_measured(o, "max_error", r->check.max_error);
    add_measured(o, "naive_error", r->check.naive_error);
    cJSON_AddNumberToObject(o, "rows_checked", (double)r->check.rows_checked);
    cJSON_AddNumberToObject(o, "rows_in_all", (double)r->check.rows);
    add_measured(o, "ms_median", r->timing.median_ms);
    add_measured(o, "ms_min", r->timing.min_ms);
    add_measured(o, "ms_max", r->timing.max_ms);
    add_measured(o, "spread", r->timing.spread);
    add_measured(o, "first_call_ms", r->first_call_ms);
    cJSON_AddNumberToObject(o, "repeats", r->timing.repeats);
    cJSON_AddNumberToObject(o, "calls_per_repeat", r->timing.calls);
    cJSON_AddStringToObject(o, "clock", r->timing.host_clock ? "host" : "gpu");
    add_measured(o, "tflops", r->tflops);
    add_measured(o, "gbps", r->gbps);
    add_measured(o, "share_of_peak", r->share_of_peak);
    cJSON_AddStringToObject(o, "share_of", bench_case_memory_bound(&r->c) ? "copy_gbps" : "tflops_f32");
    add_measured(o, "bytes_peak", r->bytes_peak ? (double)r->bytes_peak : NAN);
    return o;
}

static cJSON *head_object(const bench_report *report, const char *schema) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "schema", schema);
    cJSON_AddStringToObject(o, "device", report->device);
    cJSON_AddStringToObject(o, "driver", report->driver);
    cJSON_AddStringToObject(o, "device_type", bench_device_type(report->type));
    cJSON_AddStringToObject(o, "commit", report->commit);
    cJSON_AddStringToObject(o, "date", report->date);
    cJSON_AddNumberToObject(o, "seed", (double)report->seed);
    return o;
}

static cJSON *report_object(const bench_report *report) {
    cJSON *o = head_object(report, BENCH_SCHEMA);
    cJSON *peaks = cJSON_AddObjectToObject(o, "peaks");
    add_measured(peaks, "tflops_f32", report->peaks.tflops_f32);
    add_measured(peaks, "copy_gbps", report->peaks.copy_gbps);
    cJSON_AddNumberToObject(peaks, "copy_bytes", (double)report->peaks.copy_bytes);
    cJSON *cases = cJSON_AddArrayToObject(o, "cases");
    for (size_t i = 0; i < report->count; i++) {
        cJSON_AddItemToArray(cases, result_object(&report->results[i]));
    }
    return o;
}

/* Deletes the object. */
static bool write_object(cJSON *o, const char *path) {
    char *text = cJSON_Print(o);
    FILE *file = text ? fopen(path, "w") : NULL;
    bool ok = file && fputs(text, file) >= 0 && fputc('\n', file) >= 0;
    if (file && fclose(file) != 0) {
        ok = false;
    }
    if (!ok) {
        bench_note("vkattn-bench: %s can't be written: %s", path, text ? strerror(errno) : "out of memory");
    }
    cJSON_free(text);
    cJSON_Delete(o);
    return ok;
}

bool bench_json_write(const bench_report *report, const char *path) {
    return write_object(report_object(report), path);
}

static cJSON *pattern_object(const bench_pattern_cost *c) {
    cJSON *o = cJSON_CreateObject();
    const vka_pattern_info *i = &c->info;
    cJSON_AddStringToObject(o, "pattern", c->words);
    cJSON_AddStringToObject(o, "state", states[c->state]);
    cJSON_AddStringToObject(o, "reason", c->reason);
    cJSON_AddNumberToObject(o, "tokens", c->tokens);
    cJSON_AddNumberToObject(o, "query_tile", i->query_tile);
    cJSON_AddNumberToObject(o, "key_tile", i->key_tile);
    cJSON_AddBoolToObject(o, "ordered", i->ordered);
    cJSON_AddNumberToObject(o, "live_tiles", (double)i->live_tiles);
    cJSON_AddNumberToObject(o, "full_tiles", (double)i->full_tiles);
    cJSON_AddNumberToObject(o, "pairs", (double)i->pairs);
    cJSON_AddNumberToObject(o, "density", i->density);
    cJSON_AddNumberToObject(o, "map_bytes", (double)i->bytes);
    add_measured(o, "live_share", c->live_share);
    add_measured(o, "build_ms", c->build_ms);
    add_measured(o, "build_share", c->build_ms / c->ms);
    add_measured(o, "ms_median", c->ms);
    add_measured(o, "dense_ms_median", c->dense_ms);
    add_measured(o, "ratio", c->ratio);
    add_measured(o, "spread", c->spread);
    add_measured(o, "max_error", c->error.out);
    add_measured(o, "naive_error", c->error.naive);
    return o;
}

bool bench_json_write_patterns(const bench_report *report, const bench_pattern_cost *costs, size_t count,
                               const char *path) {
    cJSON *o = head_object(report, BENCH_PATTERNS_SCHEMA);
    cJSON *list = cJSON_AddArrayToObject(o, "patterns");
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, pattern_object(&costs[i]));
    }
    return write_object(o, path);
}

static cJSON *option_object(const bench_option_cost *c) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "shape", c->shape);
    cJSON_AddStringToObject(o, "option", c->option);
    cJSON_AddStringToObject(o, "dtype", bench_dtype_name(c->dtype));
    cJSON_AddNumberToObject(o, "heads", c->heads);
    cJSON_AddNumberToObject(o, "kv_heads", c->kv_heads);
    cJSON_AddNumberToObject(o, "q_len", c->q_len);
    cJSON_AddNumberToObject(o, "kv_len", c->kv_len);
    cJSON_AddNumberToObject(o, "head_dim", c->head_dim);
    cJSON_AddStringToObject(o, "state", states[c->state]);
    cJSON_AddStringToObject(o, "reason", c->reason);
    add_measured(o, "ms_median", c->score.ms);
    add_measured(o, "plain_ms_median", c->plain_ms);
    add_measured(o, "ratio", c->score.ratio);
    add_measured(o, "spread", c->score.spread);
    cJSON_AddNumberToObject(o, "rounds", c->score.rounds);
    add_measured(o, "goal", c->goal);
    add_measured(o, "max_difference", c->difference);
    return o;
}

static cJSON *record_object(const bench_record_cost *c) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "operation", c->operation);
    cJSON_AddStringToObject(o, "state", states[c->state]);
    cJSON_AddStringToObject(o, "reason", c->state == BENCH_DONE ? "" : c->reason);
    cJSON_AddNumberToObject(o, "dispatches", (double)c->dispatches);
    cJSON_AddNumberToObject(o, "commands", (double)c->commands);
    add_measured(o, "bare_us", c->bare_us);
    add_measured(o, "plan_us", c->plan_us);
    add_measured(o, "checked_us", c->us);
    return o;
}

static cJSON *layer_object(const bench_layer_cost *c) {
    cJSON *o = cJSON_CreateObject(), *list;
    bool done = c->state == BENCH_DONE;
    cJSON_AddStringToObject(o, "dtype", bench_dtype_name(c->dtype));
    cJSON_AddStringToObject(o, "state", states[c->state]);
    cJSON_AddStringToObject(o, "reason", done ? "" : c->reason);
    list = cJSON_AddArrayToObject(o, "operations");
    for (uint32_t i = 0; i < c->count; i++) {
        cJSON *operation = cJSON_CreateObject();
        cJSON_AddStringToObject(operation, "operation", c->operations[i].name);
        add_measured(operation, "ms", c->operations[i].ms);
        cJSON_AddItemToArray(list, operation);
    }
    add_measured(o, "ms", done ? c->ms : NAN);
    add_measured(o, "ratio", done ? c->ratio.median : NAN);
    cJSON_AddNumberToObject(o, "rounds", c->rounds);
    cJSON_AddNumberToObject(o, "arena_bytes", (double)c->info.arena_bytes);
    cJSON_AddNumberToObject(o, "live_bytes", (double)c->info.live_bytes);
    return o;
}

static cJSON *model_object(const bench_model_cost *c) {
    cJSON *o = cJSON_CreateObject();
    bool done = c->state == BENCH_DONE;
    cJSON_AddStringToObject(o, "weights", c->weights);
    cJSON_AddStringToObject(o, "state", states[c->state]);
    cJSON_AddStringToObject(o, "reason", done ? "" : c->reason);
    cJSON_AddNumberToObject(o, "tokens", c->tokens);
    add_measured(o, "ms", done ? c->ms : NAN);
    add_measured(o, "floor_ms", done ? c->floor_ms : NAN);
    cJSON_AddNumberToObject(o, "weight_bytes", (double)c->weight_bytes);
    return o;
}

bool bench_json_write_layers(const bench_report *report, const bench_layer_cost *layer, const bench_model_cost *models,
                             size_t count, const char *path) {
    cJSON *o = head_object(report, BENCH_LAYERS_SCHEMA);
    cJSON_AddItemToObject(o, "layer", layer_object(layer));
    cJSON *list = cJSON_AddArrayToObject(o, "models");
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, model_object(&models[i]));
    }
    return write_object(o, path);
}

bool bench_json_write_record(const bench_report *report, uint32_t recordings, const bench_record_cost *costs,
                             size_t count, const char *path) {
    cJSON *o = head_object(report, BENCH_RECORD_SCHEMA);
    cJSON_AddNumberToObject(o, "recordings", recordings);
    cJSON *list = cJSON_AddArrayToObject(o, "operations");
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, record_object(&costs[i]));
    }
    return write_object(o, path);
}

bool bench_json_write_options(const bench_report *report, double seconds, const bench_option_cost *costs, size_t count,
                              const char *path) {
    cJSON *o = head_object(report, BENCH_OPTIONS_SCHEMA);
    cJSON_AddNumberToObject(o, "seconds", seconds);
    cJSON *list = cJSON_AddArrayToObject(o, "options");
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, option_object(&costs[i]));
    }
    return write_object(o, path);
}

bool bench_json_writable(const char *path) {
    FILE *file = fopen(path, "a"); /* leaves what is there */
    if (file) {
        fclose(file);
    } else {
        bench_note("vkattn-bench: %s can't be written: %s", path, strerror(errno));
    }
    return file != NULL;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0, capacity = 0;
    while (file) {
        char *larger = realloc(text, capacity += 1 << 16);
        if (!larger) {
            free(text);
            text = NULL;
            break;
        }
        text = larger;
        size += fread(text + size, 1, capacity - size - 1, file);
        text[size] = '\0';
        if (size < capacity - 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return text;
}

static void get_text(const cJSON *o, const char *name, char *text, size_t capacity) {
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
    snprintf(text, capacity, "%s", value ? value : "");
}

static double get_measured(const cJSON *o, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static uint32_t get_number(const cJSON *o, const char *name) {
    double value = get_measured(o, name);
    return value >= 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

static int32_t get_bound(const cJSON *o, const char *name) {
    double value = get_measured(o, name);
    return value > INT32_MIN && value < INT32_MAX ? (int32_t)value : VKA_UNBOUNDED;
}

static bool get_flag(const cJSON *o, const char *name) {
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, name));
}

bool bench_json_get_case(const cJSON *o, bench_case *c) {
    char op[32], dtype[32], path[32];
    get_text(o, "op", op, sizeof op);
    get_text(o, "dtype", dtype, sizeof dtype);
    get_text(o, "path_asked", path, sizeof path);
    get_text(o, "suite", c->suite, sizeof c->suite);
    c->op = bench_op_parse(op);
    c->dtype = bench_dtype_parse(dtype);
    c->path = bench_path_parse(path);
    c->splits = get_number(o, "splits_asked");
#define BENCH_FIELD(kind, member, ...) c->member = get_##kind(o, #member);
#include "fields.def"
    /* Files of before there was a choice lack it. */
    c->cache_bits = c->cache_bits ? c->cache_bits : 8 * (uint32_t)vka_dtype_size(c->dtype);
    return bench_case_check(c) == NULL;
}

/* What `compare` needs of a result. */
static bool get_result(const cJSON *o, bench_result *r) {
    char state[16];
    get_text(o, "state", state, sizeof state);
    get_text(o, "path", r->path, sizeof r->path);
    r->state = strcmp(state, states[BENCH_DONE]) == 0     ? BENCH_DONE
               : strcmp(state, states[BENCH_FAILED]) == 0 ? BENCH_FAILED
                                                          : BENCH_SKIPPED;
    r->verified = get_flag(o, "verified");
    r->timing.median_ms = get_measured(o, "ms_median");
    return bench_json_get_case(o, &r->c);
}

/* NULL, or what is wrong with the document. */
static const char *get_report(const cJSON *o, bench_report *report) {
    char schema[32];
    get_text(o, "schema", schema, sizeof schema);
    if (strcmp(schema, BENCH_SCHEMA) != 0) {
        return "its schema is not " BENCH_SCHEMA;
    }
    get_text(o, "device", report->device, sizeof report->device);
    get_text(o, "driver", report->driver, sizeof report->driver);
    get_text(o, "commit", report->commit, sizeof report->commit);
    get_text(o, "date", report->date, sizeof report->date);
    const cJSON *cases = cJSON_GetObjectItemCaseSensitive(o, "cases"), *item;
    if (!cJSON_IsArray(cases)) {
        return "it has no array of cases";
    }
    report->results = calloc((size_t)cJSON_GetArraySize(cases) + 1, sizeof *report->results);
    if (!report->results) {
        return "out of memory";
    }
    cJSON_ArrayForEach(item, cases) {
        if (!get_result(item, &report->results[report->count++])) {
            return "a case can't be understood";
        }
    }
    return NULL;
}

bool bench_json_read(const char *path, bench_report *report) {
    memset(report, 0, sizeof *report);
    char *text = read_text(path);
    cJSON *o = text ? cJSON_Parse(text) : NULL;
    const char *wrong = !text ? "can't be read" : !o ? "it is not JSON" : get_report(o, report);
    if (wrong) {
        fprintf(stderr, "vkattn-bench: %s: %s\n", path, wrong);
        free(report->results);
        report->results = NULL;
    }
    cJSON_Delete(o);
    free(text);
    return !wrong;
}
