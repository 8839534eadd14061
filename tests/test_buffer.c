/* Buffers: sizes, kinds of memory, copies by the host and by recorders.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/context.h"
#include "support/intercept.h"
#include "support/tensor.h"

static uint8_t *random_bytes(size_t size) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint8_t *bytes = malloc(size + 1);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)ref_rng_u64(&rng);
    }
    return bytes;
}

/* Writes and reads odd ranges at odd places. */
static void round_trip(context *c, uint64_t size, vka_memory memory) {
    uint8_t *model = random_bytes(size), *got = malloc(size + 1), *patch = random_bytes(size);
    ref_rng rng = ref_rng_seed(test_seed() + size);
    vka_buffer *buffer = NULL;
    cr_assert_not_null(got);
    EXPECT_OK(vka_buffer_create(c->device, &(vka_buffer_desc){size, memory}, &buffer));
    cr_assert_eq(vka_buffer_size(buffer), size);
    cr_assert_eq(vka_buffer_map(buffer) == NULL, memory == VKA_MEMORY_DEVICE);
    EXPECT_OK(vka_buffer_write(buffer, 0, model, size));
    for (int i = 0; i < 8; i++) {
        uint32_t at = ref_rng_below(&rng, (uint32_t)size), n = ref_rng_below(&rng, (uint32_t)size - at + 1);
        EXPECT_OK(vka_buffer_write(buffer, at, patch, n));
        memcpy(model + at, patch, n);
        memset(got, 0, size);
        got[n] = 0x77;
        at = ref_rng_below(&rng, (uint32_t)size);
        n = ref_rng_below(&rng, (uint32_t)size - at + 1);
        got[n] = 0x77;
        EXPECT_OK(vka_buffer_read(buffer, at, got, n));
        cr_assert(!memcmp(got, model + at, n), "%s: %u bytes at %u of %llu", c->config->name, n, at,
                  (unsigned long long)size);
        cr_assert_eq(got[n], 0x77);
    }
    if (vka_buffer_map(buffer)) {
        cr_assert(!memcmp(vka_buffer_map(buffer), model, size));
    }
    vka_buffer_destroy(&buffer);
    cr_assert_null(buffer);
    free(model);
    free(got);
    free(patch);
}

static void round_trips(const device_config *config) {
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 15, 16, 17, 1000, 65537, 3000001};
    context c;
    context_open(&c, config);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        round_trip(&c, sizes[i], VKA_MEMORY_DEVICE);
        round_trip(&c, sizes[i], VKA_MEMORY_UPLOAD);
        round_trip(&c, sizes[i], VKA_MEMORY_READBACK);
    }
    context_close(&c);
}

Test(buffer, round_trips) {
    round_trips(&config_real);
}

Test(buffer, round_trips_staged) {
    round_trips(&config_staged);
}

Test(buffer, bad_descriptions) {
    context c;
    context_open(&c, &config_real);
    vka_buffer *b = (vka_buffer *)(void *)&c;
    EXPECT_FAILURE(vka_buffer_create(c.device, &(vka_buffer_desc){0}, &b), VKA_INVALID, "vka_buffer_create.size");
    cr_expect_null(b);
    EXPECT_FAILURE(vka_buffer_create(c.device, &(vka_buffer_desc){16, (vka_memory)3}, &b), VKA_INVALID,
                   "vka_buffer_create.memory");
    EXPECT_FAILURE(vka_buffer_create(c.device, &(vka_buffer_desc){16, (vka_memory)-1}, &b), VKA_INVALID,
                   "vka_buffer_create.memory");
    EXPECT_FAILURE(vka_buffer_create(c.device, NULL, &b), VKA_INVALID, "vka_buffer_create");
    EXPECT_FAILURE(vka_buffer_create(c.device, &(vka_buffer_desc){16, VKA_MEMORY_DEVICE}, NULL), VKA_INVALID,
                   "vka_buffer_create");
    cr_expect_eq(vka_buffer_create(NULL, &(vka_buffer_desc){16, VKA_MEMORY_DEVICE}, &b), VKA_INVALID);
    /* Far more than there is. */
    EXPECT_FAILURE(vka_buffer_create(c.device, &(vka_buffer_desc){.size = UINT64_C(1) << 50}, &b), VKA_OUT_OF_MEMORY,
                   "vka_buffer_create");
    EXPECT_FAILURE(vka_buffer_create(c.device, &(vka_buffer_desc){.size = UINT64_MAX}, &b), VKA_OUT_OF_MEMORY,
                   "vka_buffer_create");
    cr_expect_null(b);
    context_close(&c);
}

static void bad_ranges(vka_buffer *b) {
    uint8_t data[64] = {0};
    EXPECT_FAILURE(vka_buffer_write(b, 33, data, 0), VKA_INVALID, "vka_buffer_write");
    EXPECT_FAILURE(vka_buffer_write(b, 0, data, 33), VKA_INVALID, "vka_buffer_write");
    EXPECT_FAILURE(vka_buffer_write(b, 30, data, 3), VKA_INVALID, "vka_buffer_write");
    EXPECT_FAILURE(vka_buffer_write(b, UINT64_MAX, data, 2), VKA_INVALID, "vka_buffer_write");
    EXPECT_FAILURE(vka_buffer_write(b, 16, data, UINT64_MAX - 8), VKA_INVALID, "vka_buffer_write");
    EXPECT_FAILURE(vka_buffer_write(b, 0, NULL, 1), VKA_INVALID, "vka_buffer_write");
    EXPECT_FAILURE(vka_buffer_read(b, 0, data, 33), VKA_INVALID, "vka_buffer_read");
    EXPECT_FAILURE(vka_buffer_read(b, 32, data, 1), VKA_INVALID, "vka_buffer_read");
    EXPECT_FAILURE(vka_buffer_read(b, UINT64_MAX - 1, data, 4), VKA_INVALID, "vka_buffer_read");
    EXPECT_FAILURE(vka_buffer_read(b, 0, NULL, 1), VKA_INVALID, "vka_buffer_read");
    EXPECT_OK(vka_buffer_write(b, 32, NULL, 0));
    EXPECT_OK(vka_buffer_read(b, 0, data, 0));
    EXPECT_OK(vka_buffer_read(b, 0, data, 32));
}

Test(buffer, bad_ranges) {
    static const device_config *const configs[] = {&config_real, &config_staged};
    for (int i = 0; i < 2; i++) {
        context c;
        context_open(&c, configs[i]);
        vka_buffer *b = NULL;
        EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 32}, &b));
        bad_ranges(b);
        uint8_t byte = 0;
        cr_expect_eq(vka_buffer_write(NULL, 0, &byte, 1), VKA_INVALID);
        cr_expect_eq(vka_buffer_read(NULL, 0, &byte, 1), VKA_INVALID);
        vka_buffer_destroy(&b);
        context_close(&c);
    }
}

Test(buffer, memory_is_counted) {
    context c;
    context_open(&c, &config_real);
    uint64_t before = vka_device_memory(c.device).bytes;
    vka_buffer *a = NULL, *b = NULL;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 1 << 20}, &a));
    uint64_t one = vka_device_memory(c.device).bytes - before;
    cr_expect(one >= 1 << 20 && one <= (1 << 20) + 65536);
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 1 << 20}, &b));
    uint64_t two = vka_device_memory(c.device).bytes - before;
    cr_expect_eq(two, 2 * one);
    vka_buffer_destroy(&a);
    cr_expect_eq(vka_device_memory(c.device).bytes - before, one);
    cr_expect(vka_device_memory(c.device).bytes_peak - before >= two);
    vka_device_reset_peak(c.device);
    cr_expect_eq(vka_device_memory(c.device).bytes_peak, vka_device_memory(c.device).bytes);
    vka_buffer_destroy(&b);
    cr_expect_eq(vka_device_memory(c.device).bytes, before);
    context_close(&c);
}

/* ---- vka_copy ------------------------------------------------------------------------------------------------ */

Test(buffer, copies_in_order) {
    context c;
    context_open(&c, &config_real);
    uint8_t *data = random_bytes(1024), got[1024];
    vka_buffer *a = NULL, *b = NULL;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){1024, VKA_MEMORY_UPLOAD}, &a));
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){1024, VKA_MEMORY_READBACK}, &b));
    memcpy(vka_buffer_map(a), data, 1024);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    /* Each copy reads what the one before has written. */
    EXPECT_OK(vka_copy(c.recorder, b, 0, a, 0, 1024));
    EXPECT_OK(vka_copy(c.recorder, b, 512, b, 0, 256));
    EXPECT_OK(vka_copy(c.recorder, b, 0, b, 512, 128));
    EXPECT_OK(vka_copy(c.recorder, b, 4, b, 508, 4));
    EXPECT_OK(vka_copy(c.recorder, b, 8, a, 1020, 4));
    context_finish(&c);
    memcpy(got, data, 1024);
    memcpy(got + 512, got, 256);
    memcpy(got, got + 512, 128);
    memcpy(got + 4, got + 508, 4);
    memcpy(got + 8, data + 1020, 4);
    cr_expect(!memcmp(vka_buffer_map(b), got, 1024));
    vka_buffer_destroy(&a);
    vka_buffer_destroy(&b);
    free(data);
    context_close(&c);
}

static void bad_copies(vka_recorder *r, vka_buffer *a, vka_buffer *b) {
    EXPECT_FAILURE(vka_copy(r, NULL, 0, b, 0, 4), VKA_INVALID, "vka_copy.dst");
    EXPECT_FAILURE(vka_copy(r, a, 0, NULL, 0, 4), VKA_INVALID, "vka_copy.src");
    EXPECT_FAILURE(vka_copy(r, a, 2, b, 0, 4), VKA_INVALID, "vka_copy.dst_offset");
    EXPECT_FAILURE(vka_copy(r, a, 0, b, 1, 4), VKA_INVALID, "vka_copy.src_offset");
    EXPECT_FAILURE(vka_copy(r, a, 0, b, 0, 5), VKA_INVALID, "vka_copy.size");
    EXPECT_FAILURE(vka_copy(r, a, 0, b, 0, 68), VKA_INVALID, "vka_copy");
    EXPECT_FAILURE(vka_copy(r, a, 64, b, 0, 4), VKA_INVALID, "vka_copy");
    EXPECT_FAILURE(vka_copy(r, a, 0, b, 60, 8), VKA_INVALID, "vka_copy");
    EXPECT_FAILURE(vka_copy(r, a, UINT64_MAX - 3, b, 0, 8), VKA_INVALID, "vka_copy");
    EXPECT_FAILURE(vka_copy(r, a, 0, b, UINT64_MAX - 3, 8), VKA_INVALID, "vka_copy");
    EXPECT_FAILURE(vka_copy(r, a, 0, a, 0, 4), VKA_INVALID, "vka_copy");
    EXPECT_FAILURE(vka_copy(r, a, 0, a, 28, 32), VKA_INVALID, "vka_copy");
    EXPECT_FAILURE(vka_copy(r, a, 28, a, 0, 32), VKA_INVALID, "vka_copy");
    cr_expect_eq(vka_copy(NULL, a, 0, b, 0, 4), VKA_INVALID);
}

Test(buffer, bad_copies) {
    context c;
    context_open(&c, &config_real);
    uint8_t data[64] = {1, 2, 3}, got[64];
    vka_buffer *a = NULL, *b = NULL;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 64}, &a));
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 64}, &b));
    EXPECT_OK(vka_buffer_write(a, 0, data, 64));
    EXPECT_FAILURE(vka_copy(c.recorder, a, 0, b, 0, 4), VKA_INVALID, "vka_copy");
    EXPECT_OK(vka_recorder_begin(c.recorder));
    bad_copies(c.recorder, a, b);
    context_finish(&c);
    EXPECT_OK(vka_buffer_read(a, 0, got, 64));
    cr_expect(!memcmp(data, got, 64), "a refused copy was recorded");
    vka_buffer_destroy(&a);
    vka_buffer_destroy(&b);
    context_close(&c);
}

/* ---- vka_fill ------------------------------------------------------------------------------------------------ */

/* Between a copy that it overwrites and one that reads it. */
Test(buffer, fills_in_order) {
    context c;
    context_open(&c, &config_real);
    uint8_t *data = random_bytes(1024), got[1024];
    vka_buffer *a = NULL, *b = NULL;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){1024, VKA_MEMORY_UPLOAD}, &a));
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){1024, VKA_MEMORY_READBACK}, &b));
    memcpy(vka_buffer_map(a), data, 1024);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_copy(c.recorder, b, 0, a, 0, 1024));
    EXPECT_OK(vka_fill(c.recorder, b, 4, 8, 0x01020304));
    EXPECT_OK(vka_fill(c.recorder, b, 1020, 4, 0));
    EXPECT_OK(vka_fill(c.recorder, b, 16, 0, 7));
    EXPECT_OK(vka_copy(c.recorder, b, 512, b, 0, 256));
    context_finish(&c);
    const uint32_t word = 0x01020304;
    memcpy(data + 4, &word, 4);
    memcpy(data + 8, &word, 4);
    memset(data + 1020, 0, 4);
    memcpy(got, data, 1024);
    memcpy(got + 512, got, 256);
    cr_expect(!memcmp(vka_buffer_map(b), got, 1024));
    vka_buffer_destroy(&a);
    vka_buffer_destroy(&b);
    free(data);
    context_close(&c);
}

Test(buffer, bad_fills) {
    context c;
    context_open(&c, &config_real);
    uint8_t data[64] = {1, 2, 3}, got[64];
    vka_buffer *a = NULL;
    vka_recorder *r = c.recorder;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 64}, &a));
    EXPECT_OK(vka_buffer_write(a, 0, data, 64));
    EXPECT_FAILURE(vka_fill(r, a, 0, 4, 1), VKA_INVALID, "vka_fill");
    EXPECT_OK(vka_recorder_begin(r));
    EXPECT_FAILURE(vka_fill(r, NULL, 0, 4, 1), VKA_INVALID, "vka_fill.buffer");
    EXPECT_FAILURE(vka_fill(r, a, 2, 4, 1), VKA_INVALID, "vka_fill.offset");
    EXPECT_FAILURE(vka_fill(r, a, 0, 6, 1), VKA_INVALID, "vka_fill.size");
    EXPECT_FAILURE(vka_fill(r, a, 0, 68, 1), VKA_INVALID, "vka_fill.offset");
    EXPECT_FAILURE(vka_fill(r, a, 64, 4, 1), VKA_INVALID, "vka_fill.offset");
    EXPECT_FAILURE(vka_fill(r, a, UINT64_MAX - 3, 8, 1), VKA_INVALID, "vka_fill.offset");
    cr_expect_eq(vka_fill(NULL, a, 0, 4, 1), VKA_INVALID);
    context_finish(&c);
    EXPECT_OK(vka_buffer_read(a, 0, got, 64));
    cr_expect(!memcmp(data, got, 64), "a refused fill was recorded");
    vka_buffer_destroy(&a);
    context_close(&c);
}
