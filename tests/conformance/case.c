/* Reads a case. case.txt has one fact a line, words separated by single spaces:
 *
 *     op NAME                                  of PyTorch: torch.NAME
 *     opset NUMBER                             of ONNX only
 *     attr NAME TYPE VALUE                     TYPE: int, float or string
 *     input INDEX NAME DTYPE DIM ... FILE      INDEX: in the operator's definition; absent ones have no line
 *     output INDEX NAME DTYPE DIM ... FILE     likewise: what the operator has to compute
 *
 * A tensor's file lies next to case.txt and holds its elements, dense, little-endian, and nothing else. A scalar
 * has no DIM and two spaces. Whatever is not exactly so is refused: a test that is read wrongly tests nothing.
 *
 * Of PyTorch, outputs are f64; an attribute naive_NAME is the largest error that output NAME has when PyTorch computes
 * it in the inputs' type; and inputs and outputs called d_NAME belong to the backward pass. SPDX-License-Identifier:
 * MIT */
#include "conformance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 16

static const case_type types[] = {
    {"f32", 4, VKA_F32},           {"f16", 2, VKA_F16},
    {"bf16", 2, VKA_BF16},         {"f64", 8, VKA_DTYPE_INVALID},
    {"bool", 1, VKA_U8},           {"i8", 1, VKA_DTYPE_INVALID},
    {"i16", 2, VKA_DTYPE_INVALID}, {"i32", 4, VKA_I32},
    {"i64", 8, VKA_DTYPE_INVALID}, {"u8", 1, VKA_U8},
    {"u16", 2, VKA_DTYPE_INVALID}, {"u32", 4, VKA_DTYPE_INVALID},
    {"u64", 8, VKA_DTYPE_INVALID},
};

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* Where the shape of a scalar stands: "input 0 x f32  x.bin". */
static bool may_be_empty(char *const *words, uint32_t index, const char *space) {
    return index == 4 && space && !strchr(space + 1, ' ') &&
           (strcmp(words[0], "input") == 0 || strcmp(words[0], "output") == 0);
}

/* Cuts a line in place; returns how many words there are, 0 for a line that is malformed. */
static uint32_t split(char *line, char *words[MAX_WORDS]) {
    uint32_t count = 0;
    for (char *word = line; word;) {
        char *space = strchr(word, ' ');
        bool empty = *word == '\0' || word == space;
        if (count == MAX_WORDS || (empty && !may_be_empty(words, count, space)) || strpbrk(word, "\t\r")) {
            return 0;
        }
        words[count] = word;
        count += !empty;
        word = space ? space + 1 : NULL;
        if (space) {
            *space = '\0';
        }
    }
    return count;
}

static bool parse_int(const char *word, int64_t low, int64_t high, int64_t *value) {
    char *end;
    errno = 0;
    long long v = strtoll(word, &end, 10);
    *value = v;
    return *word && *end == '\0' && errno == 0 && strchr("+ ", *word) == NULL && v >= low && v <= high;
}

static bool parse_uint32(const char *word, uint32_t high, uint32_t *value) {
    int64_t v = 0;
    bool ok = parse_int(word, 0, high, &v);
    *value = (uint32_t)v;
    return ok;
}

static bool copy_name(char name[CASE_MAX_NAME], const char *word) {
    return snprintf(name, CASE_MAX_NAME, "%s", word) < CASE_MAX_NAME;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static bool parse_op(op_case *c, char **words, uint32_t count, result *r) {
    return (count == 2 && !c->op[0] && copy_name(c->op, words[1])) || fail(r, "malformed or second op");
}

static bool parse_opset(op_case *c, char **words, uint32_t count, result *r) {
    return (count == 2 && !c->opset && parse_uint32(words[1], 1000, &c->opset) && c->opset) ||
           fail(r, "malformed or second opset");
}

static bool parse_attribute(op_case *c, char **words, uint32_t count, result *r) {
    if (count != 4 || c->attribute_count == CASE_MAX_COUNT || case_has_attribute(c, words[1])) {
        return fail(r, "malformed, repeated or too many attributes");
    }
    case_attribute *a = &c->attributes[c->attribute_count++];
    char *end = words[3];
    bool ok = copy_name(a->name, words[1]);
    if (strcmp(words[2], "int") == 0) {
        a->type = CASE_INT;
        ok = ok && parse_int(words[3], INT64_MIN, INT64_MAX, &a->integer);
    } else if (strcmp(words[2], "float") == 0) {
        a->type = CASE_FLOAT;
        a->real = strtof(words[3], &end);
        ok = ok && end != words[3] && *end == '\0';
    } else if (strcmp(words[2], "string") == 0) {
        a->type = CASE_STRING;
        ok = ok && copy_name(a->string, words[3]);
    } else {
        ok = false;
    }
    return ok || fail(r, "attribute %s: '%s %s' is no value", words[1], words[2], words[3]);
}

/* Reads an open file of `size` bytes. */
static bool read_data(case_tensor *t, size_t size, FILE *f, result *r) {
    long length = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (length < 0 || (size_t)length != size) {
        return fail(r, "%s: the file has %ld bytes, its shape asks for %zu", t->name, length, size);
    }
    rewind(f);
    t->data = malloc(size ? size : 1);
    return (t->data && fread(t->data, 1, size, f) == size) || fail(r, "%s: %zu bytes can't be read", t->name, size);
}

static bool read_tensor(case_tensor *t, const char *folder, const char *file, result *r) {
    char path[4096];
    if (strchr(file, '/') || (size_t)snprintf(path, sizeof path, "%s/%s", folder, file) >= sizeof path) {
        return fail(r, "%s: '%s' is no file name", t->name, file);
    }
    FILE *f = fopen(path, "rb");
    bool ok = f ? read_data(t, t->count * t->type->size, f, r) : fail(r, "%s: %s can't be opened", t->name, file);
    if (f) {
        fclose(f);
    }
    return ok;
}

static bool parse_tensor(case_tensor tensors[CASE_MAX_COUNT], const char *folder, char **words, uint32_t count,
                         result *r) {
    uint32_t index;
    if (count < 5 || count - 5 > CASE_MAX_RANK || !parse_uint32(words[1], CASE_MAX_COUNT - 1, &index) ||
        tensors[index].type) {
        return fail(r, "malformed or repeated %s", words[0]);
    }
    case_tensor *t = &tensors[index];
    t->index = index;
    const case_type *type = NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        type = strcmp(types[i].name, words[3]) == 0 ? &types[i] : type;
    }
    if (!type || !copy_name(t->name, words[2])) {
        return fail(r, "%s: unknown type %s, or too long a name", words[2], words[3]);
    }
    t->type = type;
    t->rank = count - 5;
    t->count = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (!parse_uint32(words[4 + i], INT32_MAX, &t->dims[i])) {
            return fail(r, "%s: %s is no dimension", t->name, words[4 + i]);
        }
        if (t->dims[i] && t->count > SIZE_MAX / 64 / t->dims[i]) {
            return fail(r, "%s: its size does not fit memory", t->name);
        }
        t->count *= t->dims[i];
    }
    return read_tensor(t, folder, words[count - 1], r);
}

static bool parse_line(op_case *c, const char *folder, char *line, result *r) {
    char *words[MAX_WORDS];
    uint32_t count = split(line, words);
    if (count == 0) {
        return fail(r, "empty words or too many");
    }
    if (strcmp(words[0], "op") == 0) {
        return parse_op(c, words, count, r);
    }
    if (strcmp(words[0], "opset") == 0) {
        return parse_opset(c, words, count, r);
    }
    if (strcmp(words[0], "attr") == 0) {
        return parse_attribute(c, words, count, r);
    }
    if (strcmp(words[0], "input") == 0) {
        return parse_tensor(c->inputs, folder, words, count, r);
    }
    if (strcmp(words[0], "output") == 0) {
        return parse_tensor(c->outputs, folder, words, count, r);
    }
    return fail(r, "unknown word '%s'", words[0]);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bool is_torch(const op_case *c) {
    return strncmp(c->op, "torch.", 6) == 0;
}

static bool is_complete(const op_case *c, result *r) {
    bool outputs = false;
    for (uint32_t i = 0; i < CASE_MAX_COUNT; i++) {
        outputs = outputs || c->outputs[i].type;
    }
    if (is_torch(c) && c->opset) {
        return fail(r, "case.txt has an opset, but is of PyTorch");
    }
    return (c->op[0] && (c->opset || is_torch(c)) && outputs) || fail(r, "case.txt lacks an op, an opset or an output");
}

static void move_gradients(case_tensor *tensors, case_tensor *gradients) {
    for (uint32_t i = 0; i < CASE_MAX_COUNT; i++) {
        if (tensors[i].type && strncmp(tensors[i].name, "d_", 2) == 0) {
            gradients[i] = tensors[i];
            tensors[i] = (case_tensor){0};
        }
    }
}

static const case_tensor *find_tensor(const case_tensor *tensors, const char *name) {
    for (uint32_t i = 0; i < CASE_MAX_COUNT; i++) {
        if (tensors[i].type && strcmp(tensors[i].name, name) == 0) {
            return &tensors[i];
        }
    }
    return NULL;
}

/* Gives errors to the outputs that they are about. */
static bool move_errors(op_case *c, result *r) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->attribute_count; i++) {
        const case_attribute *a = &c->attributes[i];
        if (strncmp(a->name, "naive_", 6) != 0) {
            c->attributes[kept++] = *a;
            continue;
        }
        const case_tensor *found = find_tensor(c->outputs, a->name + 6);
        case_tensor *t = found ? &c->outputs[found->index] : NULL;
        if (!t || a->type != CASE_FLOAT || !(a->real >= 0)) {
            return fail(r, "attribute %s is no error of an output", a->name);
        }
        t->has_naive = true;
        t->naive = (double)a->real;
    }
    c->attribute_count = kept;
    return true;
}

/* Takes apart what PyTorch's cases have as attributes and tensors. */
static bool read_torch(op_case *c, result *r) {
    if (!is_torch(c)) {
        return true;
    }
    if (!move_errors(c, r)) {
        return false;
    }
    move_gradients(c->inputs, c->input_gradients);
    move_gradients(c->outputs, c->output_gradients);
    return true;
}

bool case_load(op_case *c, const char *folder, result *r) {
    *c = (op_case){0};
    char path[4096];
    FILE *f = NULL;
    if ((size_t)snprintf(path, sizeof path, "%s/case.txt", folder) < sizeof path) {
        f = fopen(path, "rb");
    }
    if (!f) {
        return fail(r, "case.txt can't be opened");
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool ok = true;
    for (uint32_t number = 1; ok && (length = getline(&line, &room, f)) >= 0; number++) {
        if (length && line[length - 1] == '\n') {
            line[--length] = '\0';
        }
        result why = {0};
        ok = strlen(line) == (size_t)length ? parse_line(c, folder, line, &why) : fail(&why, "a NUL in the text");
        if (!ok) {
            fail(r, "case.txt, line %u: %.900s", number, why.text);
        }
    }
    free(line);
    fclose(f);
    return ok && is_complete(c, r) && read_torch(c, r);
}

void case_free(op_case *c) {
    for (uint32_t i = 0; i < CASE_MAX_COUNT; i++) {
        free(c->inputs[i].data);
        free(c->outputs[i].data);
        free(c->input_gradients[i].data);
        free(c->output_gradients[i].data);
    }
    *c = (op_case){0};
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

static const case_tensor *tensor_of(const case_tensor *tensors, const char *name) {
    static const case_tensor absent;
    const case_tensor *found = find_tensor(tensors, name);
    return found ? found : &absent;
}

const case_tensor *case_input(const op_case *c, const char *name) {
    return tensor_of(c->inputs, name);
}

const case_tensor *case_input_gradient(const op_case *c, const char *name) {
    return tensor_of(c->input_gradients, name);
}

const case_tensor *case_output_gradient(const op_case *c, const char *name) {
    return tensor_of(c->output_gradients, name);
}

static const case_attribute *find_attribute(const op_case *c, const char *name) {
    for (uint32_t i = 0; i < c->attribute_count; i++) {
        if (strcmp(c->attributes[i].name, name) == 0) {
            return &c->attributes[i];
        }
    }
    return NULL;
}

bool case_has_attribute(const op_case *c, const char *name) {
    return find_attribute(c, name) != NULL;
}

bool case_get_int(const op_case *c, const char *name, int64_t absent, int64_t *value, result *r) {
    const case_attribute *a = find_attribute(c, name);
    *value = a ? a->integer : absent;
    return !a || a->type == CASE_INT || fail(r, "attribute %s is no int", name);
}

bool case_get_float(const op_case *c, const char *name, float absent, float *value, result *r) {
    const case_attribute *a = find_attribute(c, name);
    *value = a ? a->real : absent;
    return !a || a->type == CASE_FLOAT || fail(r, "attribute %s is no float", name);
}

bool case_is_real(const case_tensor *t, result *r) {
    vka_dtype dtype = t->type ? t->type->dtype : VKA_F32;
    return dtype == VKA_F32 || dtype == VKA_F16 || dtype == VKA_BF16 || skip(r, "%s is %s", t->name, t->type->name);
}

bool case_is_result(const case_tensor *t, result *r) {
    return (t->type && strcmp(t->type->name, "f64") == 0) || case_is_real(t, r);
}

const char *case_shape_text(uint32_t rank, const uint32_t *dims, char text[128]) {
    size_t length = (size_t)snprintf(text, 128, "[");
    for (uint32_t i = 0; i < rank; i++) {
        length += (size_t)snprintf(text + length, 128 - length, "%s%u", i ? ", " : "", dims[i]);
    }
    snprintf(text + length, 128 - length, "]");
    return text;
}

bool case_has_shape(const case_tensor *t, uint32_t rank, const uint32_t *dims, result *r) {
    char got[128], want[128];
    return !t->type || (t->rank == rank && memcmp(t->dims, dims, rank * sizeof *dims) == 0) ||
           fail(r, "%s is %s where the other tensors ask for %s", t->name, case_shape_text(t->rank, t->dims, got),
                case_shape_text(rank, dims, want));
}
