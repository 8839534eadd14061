/* Memory that runs out at every single allocation, and a device that is lost: the right status, one line in the log,
 * nothing leaks, and what went wrong once works the next time.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/pattern.h>

#include "attention_case.h"
#include "support/app.h"
#include "support/intercept.h"
#include "transformer.h"

/* ---- the loop over all allocations --------------------------------------------------------------------------- */

/* Of the driver, which runs out of the device's memory and of the host's in turns, and of the app's allocator. */
typedef enum fault { FAULT_DRIVER, FAULT_ALLOCATOR, FAULTS } fault;

static fault armed_fault;
static uint32_t armed_nth;

/* An attempt arms the fault when its preparations are done, and disarms it after the call under test. */
static void arm(void) {
    log_clear();
    if (armed_fault == FAULT_ALLOCATOR) {
        allocator_fail(armed_nth);
    } else {
        intercept_fail(NULL, armed_nth, armed_nth % 2 ? VK_ERROR_OUT_OF_DEVICE_MEMORY : VK_ERROR_OUT_OF_HOST_MEMORY);
    }
}

static const char *fired; /* the function that failed, or NULL */

/* Checks the call's status against what was injected. */
static vka_status disarm(vka_status status) {
    uint32_t errors = log_count(VKA_LOG_ERROR);
    fired = allocator_failed() ? "realloc" : intercept_failed();
    allocator_fail(0);
    intercept_fail(NULL, 0, VK_SUCCESS);
    if (fired) {
        cr_assert_eq(status, VKA_OUT_OF_MEMORY, "%s fails as number %u: status is %d", fired, armed_nth, status);
        cr_assert_eq(errors, 1, "%s fails as number %u: %u errors logged", fired, armed_nth, errors);
    } else {
        cr_assert_eq(status, VKA_OK, "without a fault: %s", log_last(VKA_LOG_ERROR).message);
    }
    return status;
}

/* Runs the attempt with the first, second, .. allocation failing, until there is none left to fail. */
static void exhaust(const char *what, void (*attempt)(void)) {
    context_require_device();
    for (int f = 0; f < FAULTS; f++) {
        armed_fault = (fault)f;
        for (armed_nth = 1; armed_nth < 1000; armed_nth++) {
            fired = NULL;
            attempt();
            context_check(what);
            if (!fired) {
                break;
            }
        }
        cr_assert_lt(armed_nth, 1000);
        cr_expect(f != FAULT_ALLOCATOR || armed_nth > 1 || !strcmp(what, "none"), "%s never allocates: what is tested?",
                  what);
    }
}

/* ---- attempts ------------------------------------------------------------------------------------------------ */

static void attempt_create_device(void) {
    vka_device_desc desc = context_desc();
    vka_device *device = (vka_device *)(void *)&desc;
    arm();
    vka_status status = disarm(vka_device_create(&desc, &device));
    cr_assert_eq(device == NULL, status != VKA_OK);
    vka_device_destroy(&device);
}

Test(faults, create_device) {
    exhaust("vka_device_create", attempt_create_device);
}

static void attempt_enumerate(void) {
    vka_device_desc desc = context_desc();
    uint32_t count = 0;
    arm();
    disarm(vka_device_enumerate(&desc, NULL, 0, &count));
}

Test(faults, enumerate) {
    exhaust("vka_device_enumerate", attempt_enumerate);
}

static void attempt_import(void) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    vka_device *device = NULL;
    arm();
    vka_status status = disarm(vka_device_import(&desc, &device));
    cr_assert_eq(device == NULL, status != VKA_OK);
    vka_device_destroy(&device);
    app_close(&a);
}

Test(faults, import) {
    exhaust("vka_device_import", attempt_import);
}

static void attempt_create_buffer(void) {
    static const vka_memory kinds[] = {VKA_MEMORY_DEVICE, VKA_MEMORY_UPLOAD, VKA_MEMORY_READBACK};
    context c;
    context_open(&c, &config_real);
    int64_t live = intercept_live();
    const char *first = NULL;
    for (int i = 0; i < 3 && !first; i++) {
        vka_buffer *b = (vka_buffer *)(void *)&c;
        uint64_t bytes = vka_device_memory(c.device).bytes;
        arm();
        vka_status status = disarm(vka_buffer_create(c.device, &(vka_buffer_desc){100000, kinds[i]}, &b));
        first = fired;
        cr_assert_eq(b == NULL, status != VKA_OK);
        cr_assert(status == VKA_OK || intercept_live() == live, "%s leaks when %s fails", "vka_buffer_create", fired);
        vka_buffer_destroy(&b);
        cr_assert_eq(vka_device_memory(c.device).bytes, bytes);
    }
    context_close(&c);
    fired = first;
}

static void attempt_create_plan(void) {
    context c;
    context_open(&c, &config_real);
    attention_case a = {.batch = 2, .q_len = 3, .kv_len = 90, .head_dim = 8, .kv_list = {.kind = LIST_LENGTHS}};
    attention_problem p = attention_make(&c, a, test_seed());
    vka_attention_desc desc = attention_desc(&p);
    vka_plan *plan = (vka_plan *)(void *)&c;
    EXPECT_OK(vka_attention_prepare(c.device, &desc));
    int64_t live = intercept_live();
    arm();
    vka_status status = disarm(vka_attention_plan(c.device, &desc, &plan));
    const char *first = fired;
    cr_assert_eq(plan == NULL, status != VKA_OK);
    cr_assert(status == VKA_OK || intercept_live() == live, "vka_attention_plan leaks when %s fails", fired);
    vka_plan_destroy(&plan);
    attention_destroy(&p);
    context_close(&c);
    fired = first;
}

Test(faults, create_plan) {
    exhaust("vka_attention_plan", attempt_create_plan);
}

Test(faults, create_buffer) {
    exhaust("vka_buffer_create", attempt_create_buffer);
}

static void attempt_create_recorder(void) {
    context c;
    context_open(&c, &config_real);
    int64_t live = intercept_live(), blocks = allocator_live();
    vka_recorder *r = (vka_recorder *)(void *)&c;
    vka_recorder_desc desc = {.max_dispatches = 3, .scratch_bytes = 100000, .timestamps = 2}; /* each allocates */
    arm();
    vka_status status = disarm(vka_recorder_create(c.device, &desc, &r));
    cr_assert_eq(r == NULL, status != VKA_OK);
    vka_recorder_destroy(&r);
    cr_assert_eq(allocator_live(), blocks);
    cr_assert(status == VKA_OK || intercept_live() == live);
    context_close(&c);
}

Test(faults, create_recorder) {
    exhaust("vka_recorder_create", attempt_create_recorder);
}

/* Writes and reads that need staging. */
static void staged(bool write) {
    context c;
    context_open(&c, &config_staged);
    uint32_t data[1000], got[1000];
    vka_buffer *b = NULL;
    for (uint32_t i = 0; i < 1000; i++) {
        data[i] = i * i;
    }
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = sizeof data}, &b));
    if (!write) {
        EXPECT_OK(vka_buffer_write(b, 0, data, sizeof data));
    }
    arm();
    disarm(write ? vka_buffer_write(b, 0, data, sizeof data) : vka_buffer_read(b, 0, got, sizeof data));
    EXPECT_OK(vka_buffer_write(b, 0, data, sizeof data));
    EXPECT_OK(vka_buffer_read(b, 0, got, sizeof data));
    cr_assert(!memcmp(data, got, sizeof data));
    vka_buffer_destroy(&b);
    context_close(&c);
}

static void attempt_write(void) {
    staged(true);
}

static void attempt_read(void) {
    staged(false);
}

Test(faults, buffer_write) {
    exhaust("vka_buffer_write", attempt_write);
}

Test(faults, buffer_read) {
    exhaust("vka_buffer_read", attempt_read);
}

/* A copy whose waiting failed may still run: its buffer can be destroyed all the same. */
Test(faults, destroyed_while_copied) {
    static uint32_t data[1 << 20];
    context c;
    context_open(&c, &config_staged);
    for (int i = 0; i < 20; i++) {
        vka_buffer *b = NULL;
        EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = sizeof data}, &b));
        intercept_fail("vkWaitForFences", 1, VK_ERROR_OUT_OF_HOST_MEMORY);
        EXPECT_FAILURE(vka_buffer_write(b, 0, data, sizeof data), VKA_OUT_OF_MEMORY, "vka_buffer_write");
        vka_buffer_destroy(&b);
        intercept_fail(NULL, 0, VK_SUCCESS);
    }
    context_close(&c);
}

/* A recorder without room, pipelines that do not exist yet: everything that recording can allocate. What fails is
 * recorded anew, into the same recording: twice would be as wrong as never. */
static void recording(bool norm) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, VKA_F32, 9, 2, 8, test_seed());
    vka_recorder *r = NULL;
    EXPECT_OK(vka_recorder_create(c.device, &(vka_recorder_desc){.max_dispatches = 1}, &r));
    EXPECT_OK(vka_recorder_begin(r));
    vka_layer_norm_desc first = transformer_first(&t), last = transformer_last(&t);
    vka_attention_desc attention = transformer_attention(&t, 2);
    if (norm) {
        arm();
    }
    vka_status status = vka_layer_norm(r, &first);
    if (norm && disarm(status)) {
        EXPECT_OK(vka_layer_norm(r, &first));
    }
    if (!norm) {
        arm();
    }
    status = vka_attention(r, &attention);
    if (!norm && disarm(status)) {
        EXPECT_OK(vka_attention(r, &attention));
    }
    EXPECT_OK(vka_layer_norm(r, &last));
    EXPECT_OK(vka_recorder_submit(r));
    EXPECT_OK(vka_recorder_wait(r, VKA_FOREVER));
    cr_assert(transformer_ok(&t), "wrong result after %s failed", fired);
    vka_recorder_destroy(&r);
    transformer_destroy(&t);
    context_close(&c);
}

static void attempt_attention(void) {
    recording(false);
}

static void attempt_norm(void) {
    recording(true);
}

Test(faults, attention) {
    exhaust("vka_attention", attempt_attention);
}

Test(faults, layer_norm) {
    exhaust("vka_layer_norm", attempt_norm);
}

static void attempt_prepare(void) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, VKA_F32, 9, 2, 8, test_seed());
    vka_attention_desc attention = transformer_attention(&t, 2);
    arm();
    disarm(vka_attention_prepare(c.device, &attention));
    EXPECT_OK(transformer_prepare(&t, 2));
    transformer_destroy(&t);
    context_close(&c);
}

Test(faults, prepare) {
    exhaust("vka_attention_prepare", attempt_prepare);
}

static void attempt_save_cache(void) {
    context c;
    context_open(&c, &config_real);
    transformer t = transformer_make(&c, VKA_F32, 9, 2, 8, test_seed());
    uint8_t *data = malloc(1 << 22);
    size_t size = 1 << 22;
    EXPECT_OK(transformer_prepare(&t, 2));
    arm();
    disarm(vka_device_save_cache(c.device, data, &size));
    free(data);
    transformer_destroy(&t);
    context_close(&c);
    if (armed_fault == FAULT_ALLOCATOR) { /* needs no host memory of its own */
        fired = armed_nth == 1 ? "" : NULL;
    }
}

Test(faults, save_cache) {
    exhaust("vka_device_save_cache", attempt_save_cache);
}

/* A map, of what needs lists in the making. */
static const uint32_t pattern_tokens[] = {3, 40, 41};
static const int32_t pattern_documents[100] = {1, 1, 2};
static const vka_pattern_term pattern_terms[] = {
    {VKA_PATTERN_WINDOW, .window = {5, 0}},
    {VKA_PATTERN_GLOBAL, .global = {pattern_tokens, 3, false}},
    {VKA_PATTERN_BIGBIRD, .first_head = 1, .bigbird = {.block = 8, .random_blocks = 1}},
    {VKA_PATTERN_DOCUMENTS, .intersect = true, .documents = {pattern_documents}},
};
static const vka_pattern_term pattern_grid = {VKA_PATTERN_NEIGHBORHOOD,
                                              .grid = {.rank = 2, .size = {10, 10}, .window = {3, 3}}};

static void create_pattern(vka_pattern_build how) {
    context c;
    context_open(&c, &config_staged);
    vka_pattern_desc desc = {
        .queries = 100, .keys = 100, .heads = 2, .terms = pattern_terms, .term_count = 4, .build = how};
    vka_pattern *pattern = (vka_pattern *)(void *)&c;
    arm();
    vka_status status = disarm(vka_pattern_create(c.device, &desc, &pattern));
    cr_assert_eq(pattern == NULL, status != VKA_OK);
    if (status) {
        EXPECT_OK(vka_pattern_create(c.device, &desc, &pattern));
    }
    vka_pattern_destroy(&pattern);
    context_close(&c);
}

static void attempt_pattern_by_host(void) {
    create_pattern(VKA_PATTERN_BUILD_HOST);
}

static void attempt_pattern_by_device(void) {
    create_pattern(VKA_PATTERN_BUILD_DEVICE);
}

Test(faults, pattern_by_host) {
    exhaust("vka_pattern_create", attempt_pattern_by_host);
}

Test(faults, pattern_by_device) {
    exhaust("vka_pattern_create", attempt_pattern_by_device);
}

/* Maps with a permutation, which takes more to check. */
static void save_or_load(bool load) {
    context c;
    context_open(&c, &config_staged);
    vka_pattern_desc desc = {
        .queries = 100, .keys = 100, .terms = &pattern_grid, .term_count = 1, .build = VKA_PATTERN_BUILD_HOST};
    vka_pattern *pattern = NULL, *again = (vka_pattern *)(void *)&c;
    size_t size = 1 << 16;
    uint8_t *blob = malloc(size);
    EXPECT_OK(vka_pattern_create(c.device, &desc, &pattern));
    if (load) {
        EXPECT_OK(vka_pattern_save(pattern, blob, &size));
        arm();
        vka_status status = disarm(vka_pattern_load(c.device, blob, size, &again));
        cr_assert_eq(again == NULL, status != VKA_OK);
    } else {
        arm();
        disarm(vka_pattern_save(pattern, blob, &size));
    }
    const char *first = fired;
    if (first) {
        size = 1 << 16;
        EXPECT_OK(vka_pattern_save(pattern, blob, &size));
        EXPECT_OK(vka_pattern_load(c.device, blob, size, &again));
    }
    vka_pattern_destroy(load || first ? &again : NULL);
    free(blob);
    vka_pattern_destroy(&pattern);
    context_close(&c);
    fired = first;
}

static void attempt_pattern_save(void) {
    save_or_load(false);
}

static void attempt_pattern_load(void) {
    save_or_load(true);
}

Test(faults, pattern_save) {
    exhaust("vka_pattern_save", attempt_pattern_save);
}

Test(faults, pattern_load) {
    exhaust("vka_pattern_load", attempt_pattern_load);
}

/* Nothing is left of a map that the device was lost with, and there is no other one. */
static void lose_pattern(vka_pattern_build how) {
    context c;
    context_open(&c, &config_staged);
    vka_pattern_desc desc = {
        .queries = 100, .keys = 100, .terms = pattern_terms, .term_count = 2, .build = VKA_PATTERN_BUILD_HOST};
    vka_pattern *pattern = NULL, *lost = (vka_pattern *)(void *)&c;
    size_t size = 1 << 16;
    uint8_t *blob = malloc(size);
    EXPECT_OK(vka_pattern_create(c.device, &desc, &pattern));
    intercept_fail("vkWaitForFences", 1, VK_ERROR_DEVICE_LOST);
    desc.build = how;
    EXPECT_FAILURE(vka_pattern_create(c.device, &desc, &lost), VKA_DEVICE_LOST, ".");
    cr_expect_null(lost);
    EXPECT_FAILURE(vka_pattern_save(pattern, blob, &size), VKA_DEVICE_LOST, ".");
    vka_pattern_destroy(&pattern);
    free(blob);
    context_close(&c);
    intercept_fail(NULL, 0, VK_SUCCESS);
}

Test(faults, lost_with_pattern_by_host) {
    lose_pattern(VKA_PATTERN_BUILD_HOST);
}

Test(faults, lost_with_pattern_by_device) {
    lose_pattern(VKA_PATTERN_BUILD_DEVICE);
}

Test(faults, lost_and_begun_again) {
    context c;
    context_open(&c, &config_real);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_recorder_submit(c.recorder));
    intercept_fail(NULL, 1, VK_ERROR_DEVICE_LOST);
    EXPECT_FAILURE(vka_recorder_begin(c.recorder), VKA_DEVICE_LOST, "vka_recorder_begin");
    context_close(&c);
}

/* ---- other failures of the driver ---------------------------------------------------------------------------- */

Test(faults, driver_errors) {
    static const char *const functions[] = {"vkCreateInstance", "vkCreateDevice", "vkEnumeratePhysicalDevices"};
    context_require_device();
    for (int i = 0; i < 3; i++) {
        vka_device_desc desc = context_desc();
        vka_device *device = NULL;
        intercept_fail(functions[i], 1, VK_ERROR_INITIALIZATION_FAILED);
        EXPECT_FAILURE(vka_device_create(&desc, &device), VKA_DRIVER_ERROR, "vka_device_create");
        cr_expect_null(device);
        intercept_fail(NULL, 0, VK_SUCCESS);
    }
    context_check("driver errors");
}
