/* Tuning records as JSON: docs/tuning.md describes them, the library reads them.
 * SPDX-License-Identifier: MIT */
#include "bench.h"

#include <cjson/cJSON.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static cJSON *rule_object(const bench_tuned *r) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "dtype", bench_dtype_name(r->dtype));
    cJSON_AddNumberToObject(o, "head_dim", r->head_dim);
    if (r->rows) {
        cJSON_AddNumberToObject(o, "rows", r->rows);
    }
    cJSON_AddNumberToObject(o, "head_dim_above", r->head_dim_above);
    cJSON_AddNumberToObject(o, "rows_above", r->rows_above);
    cJSON_AddStringToObject(o, "path", bench_path_name(r->path));
    cJSON_AddNumberToObject(o, "query_tile", r->tile.query_tile);
    cJSON_AddNumberToObject(o, "key_tile", r->tile.key_tile);
    cJSON_AddNumberToObject(o, "rows_per_invocation", r->tile.rows_per_invocation);
    cJSON_AddNumberToObject(o, "team", r->tile.team);
    cJSON_AddNumberToObject(o, "workgroups", r->workgroups);
    cJSON_AddNumberToObject(o, "ms", r->ms);
    cJSON_AddNumberToObject(o, "default_ms", r->default_ms);
    cJSON_AddNumberToObject(o, "ratio", r->ratio);
    cJSON_AddNumberToObject(o, "spread", r->spread);
    return o;
}

static cJSON *record_object(const vka_device_caps *caps, const bench_tuned *rules, size_t count) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", caps->name);
    cJSON_AddStringToObject(o, "driver", caps->driver);
    cJSON_AddNumberToObject(o, "vendor_id", caps->vendor_id);
    cJSON_AddNumberToObject(o, "device_id", caps->device_id);
    cJSON_AddNumberToObject(o, "driver_id", caps->driver_id);
    cJSON_AddNumberToObject(o, "driver_version", caps->driver_version);
    cJSON *list = cJSON_AddArrayToObject(o, "attention");
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, rule_object(&rules[i]));
    }
    return o;
}

static bool same(const cJSON *record, const char *key, uint32_t value) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(record, key);
    return cJSON_IsNumber(item) && item->valuedouble == (double)value;
}

static bool same_device(const cJSON *record, const vka_device_caps *caps) {
    return same(record, "vendor_id", caps->vendor_id) && same(record, "device_id", caps->device_id) &&
           same(record, "driver_id", caps->driver_id) && same(record, "driver_version", caps->driver_version);
}

/* The file's records, or an empty list of them when there is no such file. NULL: it is something else. */
static cJSON *open_records(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = file ? calloc(1, (1u << 20) + 1) : NULL;
    bool read = text && fread(text, 1, 1u << 20, file) > 0;
    if (file) {
        fclose(file);
    }
    cJSON *o = read ? cJSON_Parse(text) : cJSON_CreateObject();
    free(text);
    if (!read && o) {
        cJSON_AddNumberToObject(o, "vkattn_tuning", 1);
        cJSON_AddArrayToObject(o, "records");
    }
    if (!same(o, "vkattn_tuning", 1) || !cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(o, "records"))) {
        cJSON_Delete(o);
        return NULL;
    }
    return o;
}

const char *bench_json_check_tuning(const char *path) {
    errno = 0;
    FILE *file = fopen(path, "rb");
    char byte;
    bool read = file && fread(&byte, 1, 1, file) == 1;
    const char *why = read ? NULL : errno ? strerror(errno) : "the file is empty";
    if (file) {
        fclose(file);
    }
    cJSON *o = read ? open_records(path) : NULL;
    if (read && !o) {
        why = BENCH_NO_RECORD;
    }
    cJSON_Delete(o);
    return why;
}

bool bench_json_write_tuning(const vka_device_caps *caps, const bench_tuned *rules, size_t count, const char *path) {
    cJSON *o = open_records(path);
    if (!o) {
        bench_note("vkattn-bench: %s is no tuning record: not overwritten", path);
        return false;
    }
    cJSON *records = cJSON_GetObjectItemCaseSensitive(o, "records");
    for (int i = cJSON_GetArraySize(records); i-- > 0;) {
        if (same_device(cJSON_GetArrayItem(records, i), caps)) {
            cJSON_DeleteItemFromArray(records, i);
        }
    }
    cJSON_AddItemToArray(records, record_object(caps, rules, count));
    char *text = cJSON_Print(o);
    FILE *file = text ? fopen(path, "w") : NULL;
    bool ok = file && fputs(text, file) >= 0 && fputc('\n', file) >= 0;
    ok = (!file || fclose(file) == 0) && ok;
    if (!ok) {
        bench_note("vkattn-bench: %s can't be written: %s", path, strerror(errno));
    }
    cJSON_free(text);
    cJSON_Delete(o);
    return ok;
}
