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
    for (int i = 0; i < BENCH_TUNED_SIZES && r->names->size[i]; i++) {
        char above[32];
        snprintf(above, sizeof above, "%s_above", r->names->size[i]);
        if (r->most[i]) {
            cJSON_AddNumberToObject(o, r->names->size[i], r->most[i]);
        }
        cJSON_AddNumberToObject(o, above, r->above[i]);
    }
    cJSON_AddStringToObject(o, "path", bench_path_name(r->path));
    for (int i = 0; i < BENCH_TUNED_TILE; i++) {
        cJSON_AddNumberToObject(o, r->names->tile[i], r->tile[i]);
    }
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
    /* A record without any rule has a list, too: that is how the library tells that it is one. */
    cJSON_AddArrayToObject(o, "attention");
    for (size_t i = 0; i < count; i++) {
        cJSON *list = cJSON_GetObjectItemCaseSensitive(o, rules[i].names->list);
        list = list ? list : cJSON_AddArrayToObject(o, rules[i].names->list);
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

/* What an older record of the device has of other operations than the one that was measured stays. */
static void keep_others(cJSON *record, const cJSON *old, const char *list) {
    const cJSON *item;
    cJSON_ArrayForEach(item, old) {
        if (cJSON_IsArray(item) && strcmp(item->string, list) != 0) {
            cJSON_DeleteItemFromObjectCaseSensitive(record, item->string);
            cJSON_AddItemToObject(record, item->string, cJSON_Duplicate(item, true));
        }
    }
}

bool bench_json_write_tuning(const vka_device_caps *caps, const bench_tuned *rules, size_t count, const char *list,
                             const char *path) {
    cJSON *o = open_records(path);
    if (!o) {
        bench_note("vkattn-bench: %s is no tuning record: not overwritten", path);
        return false;
    }
    cJSON *records = cJSON_GetObjectItemCaseSensitive(o, "records");
    cJSON *record = record_object(caps, rules, count);
    for (int i = cJSON_GetArraySize(records); i-- > 0;) {
        if (same_device(cJSON_GetArrayItem(records, i), caps)) {
            if (list) {
                keep_others(record, cJSON_GetArrayItem(records, i), list);
            }
            cJSON_DeleteItemFromArray(records, i);
        }
    }
    cJSON_AddItemToArray(records, record);
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
