/* The pipeline cache blob: it works, and nothing that happens to it on a disk does harm.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"

typedef struct blob {
    uint8_t *data;
    size_t size;
} blob;

/* A cache with a few pipelines in it. */
static blob save(void) {
    context c;
    blob b;
    context_open(&c, &config_real);
    attention_problem p = attention_make(&c, (attention_case){.kv_len = 7, .head_dim = 8}, test_seed());
    attention_run(&p, VKA_ATTENTION_PATH_ROW, 0);
    attention_run(&p, VKA_ATTENTION_PATH_TILE, 2);
    EXPECT_OK(vka_device_save_cache(c.device, NULL, &b.size));
    cr_assert_gt(b.size, 0);
    b.data = malloc(b.size);
    cr_assert_not_null(b.data);
    size_t size = b.size - 1;
    EXPECT_FAILURE(vka_device_save_cache(c.device, b.data, &size), VKA_INVALID, "vka_device_save_cache");
    EXPECT_FAILURE(vka_device_save_cache(c.device, b.data, NULL), VKA_INVALID, "vka_device_save_cache");
    EXPECT_OK(vka_device_save_cache(c.device, b.data, &b.size));
    attention_destroy(&p);
    context_close(&c);
    return b;
}

/* Creates a device with the blob: it works in any case, with a warning when the blob is bad. */
static void load(const void *data, size_t size, bool good, const char *what, size_t at) {
    vka_device_desc desc = context_desc();
    vka_device *device = NULL;
    desc.cache = data;
    desc.cache_size = size;
    log_clear();
    EXPECT_OK(vka_device_create(&desc, &device));
    cr_expect_eq(log_count(VKA_LOG_WARNING), good ? 0 : 1, "%s at %zu: %u warnings; %s", what, at,
                 log_count(VKA_LOG_WARNING), log_last(VKA_LOG_WARNING).message);
    vka_device_destroy(&device);
}

Test(cache, reused) {
    blob b = save();
    context c = {.config = &config_real};
    vka_device_desc desc = context_desc();
    desc.cache = b.data;
    desc.cache_size = b.size;
    log_clear();
    EXPECT_OK(vka_device_create(&desc, &c.device));
    memset(b.data, 0, b.size); /* it was copied */
    free(b.data);
    cr_expect_eq(log_count(VKA_LOG_WARNING), 0);
    EXPECT_OK(vka_recorder_create(c.device, NULL, &c.recorder));
    attention_problem p = attention_make(&c, (attention_case){.kv_len = 7, .head_dim = 8}, test_seed());
    attention_run(&p, VKA_ATTENTION_PATH_ROW, 0);
    attention_destroy(&p);
    context_close(&c);
}

Test(cache, empty) {
    context_require_device();
    context c;
    uint8_t data[65536];
    size_t size = sizeof data;
    context_open(&c, &config_real);
    EXPECT_OK(vka_device_save_cache(c.device, data, &size));
    context_close(&c);
    load(data, size, true, "empty", 0);
    load(NULL, 0, true, "none", 0);
    context_check("empty");
}

/* One wrong bit in the header, in the payload, at the ends. */
Test(cache, damaged) {
    blob b = save();
    size_t step = b.size / 12 + 1;
    for (size_t at = 0; at < b.size; at += at < 72 ? 4 : step) {
        b.data[at] ^= 0x40;
        load(b.data, b.size, false, "damaged", at);
        b.data[at] ^= 0x40;
    }
    b.data[b.size - 1] ^= 1;
    load(b.data, b.size, false, "damaged", b.size - 1);
    b.data[b.size - 1] ^= 1;
    load(b.data, b.size, true, "undamaged", 0);
    free(b.data);
    context_check("damaged");
}

Test(cache, truncated) {
    blob b = save();
    const size_t sizes[] = {1, 3, 4, 8, 15, 16, 31, 32, 47, 48, 64, b.size / 2, b.size - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        /* In a block of its own, so that a sanitizer sees reads beyond the end. */
        uint8_t *part = malloc(sizes[i]);
        cr_assert_not_null(part);
        memcpy(part, b.data, sizes[i]);
        load(part, sizes[i], false, "truncated", sizes[i]);
        free(part);
    }
    uint8_t *more = calloc(1, b.size + 8);
    cr_assert_not_null(more);
    memcpy(more, b.data, b.size);
    load(more, b.size + 8, false, "too long", b.size + 8);
    free(more);
    free(b.data);
    context_check("truncated");
}

Test(cache, foreign) {
    context_require_device();
    uint8_t noise[4096];
    ref_rng rng = ref_rng_seed(test_seed());
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (uint8_t)ref_rng_u64(&rng);
    }
    load(noise, sizeof noise, false, "noise", 0);
    memset(noise, 0, sizeof noise);
    load(noise, sizeof noise, false, "zeros", 0);
    memset(noise, 0xff, sizeof noise);
    load(noise, sizeof noise, false, "ones", 0);
    context_check("foreign");
}
