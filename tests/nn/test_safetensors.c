/* Files of tensors: what is written is read, and what is malformed is refused by name.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vkattn/safetensors.h>

#include "reference.h"
#include "support/context.h"
#include "support/system.h"

static vka_log logged(void) {
    return log_capture();
}

/* A file in memory: its length, a header, bytes. */
typedef struct blob {
    unsigned char bytes[4096];
    uint64_t size;
} blob;

static blob make(const char *header, uint64_t data) {
    blob b = {.size = 8 + strlen(header) + data};
    cr_assert_leq(b.size, sizeof b.bytes);
    for (int i = 0; i < 8; i++) {
        b.bytes[i] = (unsigned char)(strlen(header) >> 8 * i);
    }
    memcpy(b.bytes + 8, header, strlen(header));
    for (uint64_t i = 0; i < data; i++) {
        b.bytes[8 + strlen(header) + i] = (unsigned char)i;
    }
    return b;
}

/* ---- good files -------------------------------------------------------------------------------------------------- */

Test(safetensors, reads) {
    blob b =
        make("{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
             "\"a \\u00e9\\\"\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
             "\"empty\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[16,16]}}   ",
             16);
    vka_safetensors *f;
    vka_log log = logged();
    EXPECT_OK(vka_safetensors_read(b.bytes, b.size, &log, &f));
    cr_assert_eq(vka_safetensors_count(f), 3);
    const vka_safetensor *first = vka_safetensors_at(f, 0), *t = vka_safetensors_find(f, "b");
    cr_expect_str_eq(first->name, "a \xc3\xa9\"");
    cr_expect(first->rank == 0 && first->dtype == VKA_F32 && first->bytes == 4);
    cr_expect(t == vka_safetensors_at(f, 1) && t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 3);
    cr_expect(t->dtype == VKA_F16 && t->bytes == 12 && t->data == b.bytes + b.size - 12);
    t = vka_safetensors_find(f, "empty");
    cr_expect(t && t->dtype == VKA_DTYPE_INVALID && !strcmp(t->type, "I64") && t->bytes == 0);
    cr_expect_null(vka_safetensors_find(f, "c"));
    cr_expect_null(vka_safetensors_find(f, "__metadata__"));
    cr_expect_null(vka_safetensors_at(f, 3));
    cr_expect_str_eq(vka_safetensors_metadata(f, "format"), "pt");
    cr_expect_null(vka_safetensors_metadata(f, "b"));
    vka_safetensors_close(&f);
    cr_expect_null(f);
    b = make("{}", 0);
    EXPECT_OK(vka_safetensors_read(b.bytes, b.size, &log, &f));
    cr_expect_eq(vka_safetensors_count(f), 0);
    cr_expect_null(vka_safetensors_find(f, ""));
    vka_safetensors_close(&f);
}

/* Through a file, with every type that there is. */
Test(safetensors, round_trip) {
    static const vka_dtype types[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_U8, VKA_I8, VKA_I32};
    enum { TYPES = sizeof types / sizeof *types, MOST = 60 * 4 };
    static unsigned char data[TYPES][MOST];
    char path[] = "/tmp/vkattn-safetensors-XXXXXX", names[TYPES][16];
    vka_safetensor t[TYPES];
    vka_log log = logged();
    ref_rng rng = ref_rng_seed(test_seed());
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    for (int i = 0; i < TYPES; i++) {
        snprintf(names[i], sizeof names[i], "layer.%d/\"w\"\n", i);
        t[i] = (vka_safetensor){.name = names[i], .dtype = types[i], .rank = 3, .shape = {3, 4, (uint64_t)i}};
        t[i].bytes = 12 * (uint64_t)i * vka_dtype_size(types[i]);
        t[i].data = data[i];
        for (uint64_t n = 0; n < t[i].bytes; n++) {
            data[i][n] = (unsigned char)ref_rng_below(&rng, 256);
        }
    }
    static const char *const metadata[][2] = {{"format", "pt"}, {"who", "test"}};
    EXPECT_OK(vka_safetensors_write(path, t, TYPES, metadata, 2, &log));
    vka_safetensors *f;
    EXPECT_OK(vka_safetensors_open(path, &log, &f));
    cr_assert_eq(vka_safetensors_count(f), TYPES);
    for (int i = 0; i < TYPES; i++) {
        const vka_safetensor *got = vka_safetensors_find(f, names[i]);
        cr_assert(got && got->dtype == types[i] && got->rank == 3 &&
                  !memcmp(got->shape, t[i].shape, sizeof t[i].shape));
        cr_expect(got->bytes == t[i].bytes && !memcmp(got->data, data[i], got->bytes));
    }
    cr_expect_str_eq(vka_safetensors_metadata(f, "who"), "test");
    vka_safetensors_close(&f);
    remove(path);
}

/* ---- malformed ones ---------------------------------------------------------------------------------------------- */

#define T "\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

static const struct {
    const char *header;
    uint64_t data;
    const char *text; /* in the log */
} malformed[] = {
    {"", 0, "no JSON"},
    {"[]", 0, "no JSON"},
    {" {}", 0, "no JSON"},
    {"{", 0, "no JSON"},
    {"{} x", 0, "no JSON"},
    {"{" T "," T "}", 8, "t: "},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "t: must have"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8, "t: must have"},
    {"{\"t\":{\"dtype\":1,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "t: must have"},
    {"{\"t\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "t: dtype F33"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}", 8, "t: shape[0]"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "t: shape[0]"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "t: has 9 dimensions"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "t: has 8 bytes"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "t: has 0 bytes"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "t: data_offsets"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "t: data_offsets"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,1e300]}}", 8, "t: data_offsets"},
    {"{" T "}", 9, "1 bytes at the end"},
    {"{" T ",\"u\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", 8, "u: its bytes belong"},
    {"{" T ",\"u\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[9,13]}}", 13, "u: its bytes do not follow"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__"},
    {"{\"__metadata__\":[]}", 0, "__metadata__"},
    {"{\"t\":[]}", 0, "t: must have"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__: is there twice"},
    {"{\"__metadata__\":{\"a\":\"\",\"b\":\"\",\"a\":\"\"}}", 0, "__metadata__: a is there twice"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[0,9007199254740993],\"data_offsets\":[0,0]}}", 0, "t: shape[1]"},
    /* What cJSON reads, and JSON does not have. */
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[02],\"data_offsets\":[0,8]}}", 8, "no JSON"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2.],\"data_offsets\":[0,8]}}", 8, "no JSON"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[+2],\"data_offsets\":[0,8]}}", 8, "no JSON"},
    {"{\"t\\u0000u\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "no JSON"},
    {"{\"t\nu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "no JSON"},
    {"{\"t\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "no JSON"},
    {"{\"t\xc1\xbf\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "no JSON"},
    {"{\"t\xed\xa0\x80\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "no JSON"},
    {"{\x01\"t\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "no JSON"},
    {"{\"t\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}", 0, "no JSON"},
    /* Names that would make lines of the log. */
    {"{\"t\\nu\":{\"dtype\":\"F3\\n\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "t?u: dtype F3? "},
    {"{\"f\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, "f: has 1 bytes"},
};

Test(safetensors, refuses) {
    vka_log log = logged();
    vka_safetensors *f;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        blob b = make(malformed[i].header, malformed[i].data);
        f = (vka_safetensors *)(void *)&b;
        EXPECT_FAILURE(vka_safetensors_read(b.bytes, b.size, &log, &f), VKA_INVALID, "vka_safetensors_read");
        cr_expect(strstr(log_last(VKA_LOG_ERROR).message, malformed[i].text), "%s: %s", malformed[i].header,
                  log_last(VKA_LOG_ERROR).message);
        cr_expect_null(f);
    }
    /* Lengths of the header that lead out of the file. */
    static const uint64_t lengths[] = {3, 100000001, UINT64_MAX, UINT64_MAX - 7, 1ull << 63};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        blob b = make("{}", 0);
        memcpy(b.bytes, &lengths[i], 8);
        EXPECT_FAILURE(vka_safetensors_read(b.bytes, b.size, &log, &f), VKA_INVALID, "vka_safetensors_read");
    }
    for (uint64_t size = 0; size < 8; size++) {
        EXPECT_FAILURE(vka_safetensors_read(make("{}", 0).bytes, size, &log, &f), VKA_INVALID, "vka_safetensors_read");
    }
    EXPECT_FAILURE(vka_safetensors_read(NULL, 8, &log, &f), VKA_INVALID, "vka_safetensors_read.data");
    EXPECT_FAILURE(vka_safetensors_open("/no/such/file", &log, &f), VKA_INVALID, "vka_safetensors_open.path");
    EXPECT_FAILURE(vka_safetensors_open("/tmp", &log, &f), VKA_INVALID, "vka_safetensors_open.path");
    EXPECT_FAILURE(vka_safetensors_open(SYSTEM_NULL, &log, &f), VKA_INVALID, "vka_safetensors_open.path");
}

/* Damaged at random, in memory of exactly its size: sanitizers see every byte beyond. */
Test(safetensors, damage) {
    blob good = make("{" T ",\"u\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[8,16]}}", 16);
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t refused = 0, rounds = 20000;
    for (uint32_t i = 0; i < rounds; i++) {
        uint64_t size = ref_rng_below(&rng, 4) ? good.size : ref_rng_below(&rng, (uint32_t)good.size + 1);
        unsigned char *bytes = malloc(size ? size : 1);
        cr_assert_not_null(bytes);
        memcpy(bytes, good.bytes, size);
        for (uint32_t n = ref_rng_below(&rng, 4); n && size; n--) {
            bytes[ref_rng_below(&rng, (uint32_t)size)] = (unsigned char)ref_rng_below(&rng, 256);
        }
        vka_safetensors *f;
        vka_status status = vka_safetensors_read(bytes, size, NULL, &f);
        refused += status != VKA_OK;
        for (uint32_t n = 0; n < vka_safetensors_count(f); n++) {
            const vka_safetensor *t = vka_safetensors_at(f, n);
            const unsigned char *data = t->data;
            bool inside = data >= bytes && data + t->bytes <= bytes + size;
            cr_assert(inside && vka_safetensors_find(f, t->name) == t);
        }
        vka_safetensors_close(&f);
        free(bytes);
    }
    cr_expect(refused > rounds / 4 && refused < rounds, "%u of %u refused", refused, rounds);
}

Test(safetensors, refuses_to_write) {
    vka_log log = logged();
    float x[4] = {0};
    const vka_safetensor good = {.name = "t", .dtype = VKA_F32, .rank = 1, .shape = {4}, .data = x, .bytes = 16};
    vka_safetensor t[2] = {good, good};
    EXPECT_FAILURE(vka_safetensors_write("/tmp/x", t, 2, NULL, 0, &log), VKA_INVALID, "vka_safetensors_write");
    t[1] = (vka_safetensor){.name = "u", .dtype = VKA_Q8_0, .rank = 1, .shape = {4}, .data = x, .bytes = 16};
    EXPECT_FAILURE(vka_safetensors_write("/tmp/x", t, 2, NULL, 0, &log), VKA_INVALID, "vka_safetensors_write");
    t[1] = good, t[1].name = "__metadata__";
    EXPECT_FAILURE(vka_safetensors_write("/tmp/x", t, 2, NULL, 0, &log), VKA_INVALID, "vka_safetensors_write");
    t[1] = good, t[1].name = "u", t[1].bytes = 15;
    EXPECT_FAILURE(vka_safetensors_write("/tmp/x", t, 2, NULL, 0, &log), VKA_INVALID, "vka_safetensors_write");
    t[1].rank = 9;
    EXPECT_FAILURE(vka_safetensors_write("/tmp/x", t, 2, NULL, 0, &log), VKA_INVALID, "vka_safetensors_write");
    t[1] = good, t[1].name = "u\xff";
    EXPECT_FAILURE(vka_safetensors_write("/tmp/x", t, 2, NULL, 0, &log), VKA_INVALID, "vka_safetensors_write");
    t[1] = (vka_safetensor){.name = "u", .dtype = VKA_F32, .rank = 2, .shape = {0, 1ull << 53}};
    EXPECT_FAILURE(vka_safetensors_write("/tmp/x", t, 2, NULL, 0, &log), VKA_INVALID, "vka_safetensors_write");
    static const char *const metadata[][2][2] = {
        {{"a", "b"}, {"a", "c"}}, {{"a", NULL}, {"b", ""}}, {{NULL, "b"}, {"b", ""}}, {{"a", "\xff"}, {"b", ""}}};
    for (size_t i = 0; i < sizeof metadata / sizeof *metadata; i++) {
        EXPECT_FAILURE(vka_safetensors_write("/tmp/x", t, 1, metadata[i], 2, &log), VKA_INVALID,
                       "vka_safetensors_write");
    }
    EXPECT_FAILURE(vka_safetensors_write("/no/such/folder/x", t, 1, NULL, 0, &log), VKA_INVALID,
                   "vka_safetensors_write.path");
    EXPECT_FAILURE(vka_safetensors_write("/tmp", t, 1, NULL, 0, &log), VKA_INVALID, "vka_safetensors_write.path");
    EXPECT_FAILURE(vka_safetensors_write(NULL, t, 1, NULL, 0, &log), VKA_INVALID, "vka_safetensors_write");
}
