/* Tuning records, read from JSON (docs/tuning.md has the format).
 * SPDX-License-Identifier: MIT */
#include "op/tuning.h"

#include <string.h>

#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "op/path.h"

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

static bool read_path(const json *j, int object, const vka__paths *paths, uint32_t *path) {
    char name[16] = {0};
    int at = member(j, object, "path");
    if (at < 0 || j->tokens[at].type != JSMN_STRING || j->tokens[at].end - j->tokens[at].start >= (int)sizeof name)
        return false;
    memcpy(name, j->text + j->tokens[at].start, (size_t)(j->tokens[at].end - j->tokens[at].start));
    *path = vka__path_named(paths, name);
    return *path != 0;
}

static bool read_dtype(const json *j, int object, vka_dtype *dtype) {
    static const char *const names[] = {
        [VKA_F32] = "f32", [VKA_F16] = "f16", [VKA_BF16] = "bf16", [VKA_Q8_0] = "q8_0", [VKA_Q4_0] = "q4_0"};
    int at = member(j, object, "dtype");
    for (uint32_t i = VKA_F32; at >= 0 && i < sizeof names / sizeof *names; ++i)
        if (names[i] && is_text(j, at, names[i])) {
            *dtype = (vka_dtype)i;
            return true;
        }
    return false;
}

/* Bounds of a class; a number that the operation does not have is 0. */
static bool read_class(const json *j, int object, const vka__tuning_format *f, vka__tuning_rule *r) {
    bool good = read_dtype(j, object, &r->dtype);
    for (int i = 0; i < VKA__CLASS_SIZES && f->size[i].most; ++i) {
        r->most[i] = UINT32_MAX;
        good = good && (f->size[i].optional || member(j, object, f->size[i].most) >= 0) &&
               optional(j, object, f->size[i].most, &r->most[i]) && optional(j, object, f->size[i].above, &r->above[i]);
    }
    return good;
}

static bool read_rule(const json *j, int object, const vka__paths *paths, vka__tuning_rule *r) {
    const vka__tuning_format *f = &paths->tuning;
    *r = (vka__tuning_rule){.paths = paths};
    return read_class(j, object, f, r) && read_path(j, object, paths, &r->path) &&
           optional(j, object, "workgroups", &r->workgroups) && number(j, object, f->br, &r->tile.br) &&
           number(j, object, f->bc, &r->tile.bc) && number(j, object, f->rm, &r->tile.rm) &&
           number(j, object, f->tc, &r->tile.tc) && r->tile.bc;
}

static const char *read_rules(const json *j, int list, const vka__paths *paths, vka__tuning *tuning) {
    if (j->tokens[list].type != JSMN_ARRAY)
        return "an operation's rules are no list";
    int at = list + 1;
    for (int i = 0; i < j->tokens[list].size; ++i, at = after(j, at)) {
        if (tuning->count == VKA_MAX_TUNING_RULES)
            return "a record has too many rules";
        if (!read_rule(j, at, paths, &tuning->rules[tuning->count++]))
            return "a rule lacks a field, or has one of the wrong kind";
    }
    return NULL;
}

/* The operations that this library chooses paths for. */
typedef struct operations {
    const vka__paths *const *paths;
    uint32_t count;
} operations;

static const char *read_record(const json *j, int record, const operations *all, vka__tuning *tuning) {
    const char *why = "a record has no list of an operation's rules";
    bool any = false;
    for (uint32_t i = 0; i < all->count && (!why || !any); ++i) {
        int list = member(j, record, all->paths[i]->tuning.list);
        if (list < 0)
            continue;
        any = true;
        why = read_rules(j, list, all->paths[i], tuning);
    }
    return why;
}

static const char *read_records(const json *j, const vka_device_caps *caps, const operations *all,
                                vka__tuning *tuning) {
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
            return read_record(j, at, all, tuning);
    return NULL;
}

vka_status vka__tuning_parse_lists(const vka__context *ctx, const vka_device_caps *caps,
                                   const vka__paths *const *operation_list, uint32_t operation_count, const char *text,
                                   size_t size, vka__tuning *tuning, const char **why) {
    const operations all = {operation_list, operation_count};
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
    *why = count <= 0 ? "it is not JSON" : read_records(&(json){text, tokens, count}, caps, &all, tuning);
    vka__free(ctx, tokens);
    if (*why)
        memset(tuning, 0, sizeof *tuning);
    return *why ? VKA_INVALID : VKA_OK;
}

static bool in_class(const vka__tuning_rule *r, const vka__paths *operation, const vka__tuning_class *problem) {
    bool in = r->paths == operation && r->dtype == problem->dtype;
    for (int i = 0; i < VKA__CLASS_SIZES && operation->tuning.size[i].most; ++i)
        in = in && problem->size[i] > r->above[i] && problem->size[i] <= r->most[i];
    return in;
}

static bool is_narrower(const vka__tuning_rule *r, const vka__tuning_rule *than) {
    int i = 0;
    while (i < VKA__CLASS_SIZES - 1 && r->most[i] == than->most[i])
        ++i;
    return r->most[i] < than->most[i];
}

const vka__tuning_rule *vka__tuning_find(const vka__tuning *tuning, const vka__paths *operation,
                                         const vka__tuning_class *problem) {
    const vka__tuning_rule *best = NULL;
    for (uint32_t i = 0; tuning && i < tuning->count; ++i) {
        const vka__tuning_rule *r = &tuning->rules[i];
        if (in_class(r, operation, problem) && (!best || is_narrower(r, best)))
            best = r;
    }
    return best;
}
