/* Tuning records, read from JSON (docs/tuning.md has the format).
 * SPDX-License-Identifier: MIT */
#include "op/tuning.h"

#include <string.h>

#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "op/tile.h"

#define MAX_TEXT (1u << 20)

typedef struct json {
    const char *text;
    const jsmntok_t *tokens;
    int count;
} json;

static bool is_text(const json *j, int at, const char *text) {
    const jsmntok_t *t = &j->tokens[at];
    size_t length = strlen(text);
    return t->type == JSMN_STRING && (size_t)(t->end - t->start) == length && !memcmp(j->text + t->start, text, length);
}

/* The token after a value and all that is in it. */
static int after(const json *j, int at) {
    int end = j->tokens[at].end;
    while (++at < j->count && j->tokens[at].start < end)
        ;
    return at;
}

/* The value of a key of an object, or -1. */
static int member(const json *j, int object, const char *key) {
    if (object < 0 || j->tokens[object].type != JSMN_OBJECT)
        return -1;
    int at = object + 1;
    for (int i = 0; i < j->tokens[object].size && at + 1 < j->count; ++i) {
        if (is_text(j, at, key))
            return at + 1;
        at = after(j, at + 1);
    }
    return -1;
}

static bool number(const json *j, int object, const char *key, uint32_t *value) {
    int at = member(j, object, key);
    if (at < 0 || j->tokens[at].type != JSMN_PRIMITIVE)
        return false;
    uint64_t sum = 0;
    for (int i = j->tokens[at].start; i < j->tokens[at].end; ++i) {
        if (j->text[i] < '0' || j->text[i] > '9' || sum > UINT32_MAX)
            return false;
        sum = sum * 10 + (uint64_t)(j->text[i] - '0');
    }
    *value = (uint32_t)sum;
    return sum <= UINT32_MAX;
}

/* Keeps the value of a member that is absent. */
static bool optional(const json *j, int object, const char *key, uint32_t *value) {
    return member(j, object, key) < 0 || number(j, object, key, value);
}

static bool is_this_device(const json *j, int record, const vka_device_caps *caps) {
    const struct {
        const char *key;
        uint32_t wanted;
    } ids[] = {{"vendor_id", caps->vendor_id},
               {"device_id", caps->device_id},
               {"driver_id", caps->driver_id},
               {"driver_version", caps->driver_version}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; ++i) {
        uint32_t value;
        if (!number(j, record, ids[i].key, &value) || value != ids[i].wanted)
            return false;
    }
    return true;
}

static bool read_path(const json *j, int object, uint32_t *path) {
    char name[16] = {0};
    int at = member(j, object, "path");
    if (at < 0 || j->tokens[at].type != JSMN_STRING || j->tokens[at].end - j->tokens[at].start >= (int)sizeof name)
        return false;
    memcpy(name, j->text + j->tokens[at].start, (size_t)(j->tokens[at].end - j->tokens[at].start));
    *path = vka__path_named(name);
    return *path != 0;
}

static bool read_dtype(const json *j, int object, vka_dtype *dtype) {
    static const char *const names[] = {[VKA_F32] = "f32", [VKA_F16] = "f16", [VKA_BF16] = "bf16"};
    int at = member(j, object, "dtype");
    for (uint32_t i = VKA_F32; at >= 0 && i < sizeof names / sizeof *names; ++i)
        if (is_text(j, at, names[i])) {
            *dtype = (vka_dtype)i;
            return true;
        }
    return false;
}

static bool read_rule(const json *j, int object, vka__tuning_rule *r) {
    *r = (vka__tuning_rule){.rows = UINT32_MAX};
    return optional(j, object, "rows", &r->rows) && optional(j, object, "workgroups", &r->workgroups) &&
           optional(j, object, "head_dim_above", &r->head_dim_above) &&
           optional(j, object, "rows_above", &r->rows_above) && read_dtype(j, object, &r->dtype) &&
           read_path(j, object, &r->path) && number(j, object, "head_dim", &r->head_dim) &&
           number(j, object, "query_tile", &r->tile.br) && number(j, object, "key_tile", &r->tile.bc) &&
           number(j, object, "rows_per_invocation", &r->tile.rm) && number(j, object, "team", &r->tile.tc) &&
           r->tile.bc;
}

static const char *read_rules(const json *j, int record, vka__tuning *tuning) {
    int list = member(j, record, "attention");
    if (list < 0 || j->tokens[list].type != JSMN_ARRAY)
        return "a record has no list 'attention'";
    int at = list + 1;
    for (int i = 0; i < j->tokens[list].size; ++i, at = after(j, at)) {
        if (tuning->count == VKA_MAX_TUNING_RULES)
            return "a record has too many rules";
        if (!read_rule(j, at, &tuning->rules[tuning->count++]))
            return "a rule lacks a field, or has one of the wrong kind";
    }
    return NULL;
}

static const char *read_records(const json *j, const vka_device_caps *caps, vka__tuning *tuning) {
    uint32_t version;
    if (!number(j, 0, "vkattn_tuning", &version))
        return "it is no tuning record";
    if (version != 1)
        return "it has a version that this library does not know";
    int list = member(j, 0, "records");
    if (list < 0 || j->tokens[list].type != JSMN_ARRAY)
        return "it has no list 'records'";
    int at = list + 1;
    for (int i = 0; i < j->tokens[list].size; ++i, at = after(j, at))
        if (is_this_device(j, at, caps))
            return read_rules(j, at, tuning);
    return NULL;
}

vka_status vka__tuning_parse(const vka__context *ctx, const vka_device_caps *caps, const char *text, size_t size,
                             vka__tuning *tuning, const char **why) {
    jsmn_parser parser;
    memset(tuning, 0, sizeof *tuning);
    *why = "it is larger than 1 MiB";
    if (size > MAX_TEXT)
        return VKA_INVALID;
    jsmn_init(&parser);
    int count = jsmn_parse(&parser, text, size, NULL, 0);
    *why = "it is not JSON";
    if (count <= 0)
        return VKA_INVALID;
    jsmntok_t *tokens = vka__alloc(ctx, (size_t)count, sizeof *tokens);
    *why = "there is no host memory to read it";
    if (!tokens)
        return VKA_OUT_OF_MEMORY;
    jsmn_init(&parser);
    count = jsmn_parse(&parser, text, size, tokens, (unsigned)count);
    *why = count <= 0 ? "it is not JSON" : read_records(&(json){text, tokens, count}, caps, tuning);
    vka__free(ctx, tokens);
    if (*why)
        memset(tuning, 0, sizeof *tuning);
    return *why ? VKA_INVALID : VKA_OK;
}

const vka__tuning_rule *vka__tuning_find(const vka__tuning *tuning, vka_dtype dtype, uint32_t head_dim, uint32_t rows) {
    const vka__tuning_rule *best = NULL;
    for (uint32_t i = 0; tuning && i < tuning->count; ++i) {
        const vka__tuning_rule *r = &tuning->rules[i];
        bool narrower =
            !best || r->head_dim < best->head_dim || (r->head_dim == best->head_dim && r->rows < best->rows);
        bool holds = head_dim > r->head_dim_above && head_dim <= r->head_dim && rows > r->rows_above && rows <= r->rows;
        if (r->dtype == dtype && holds && narrower)
            best = r;
    }
    return best;
}
