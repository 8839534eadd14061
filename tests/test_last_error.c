/* vka_last_error: the line of the last call that failed on a thread. That it is the log's line of every refusal that
 * any test looks at, EXPECT_FAILURE asserts. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include <vkattn/pattern.h>
#include <vkattn/vulkan.h>

#include "attention_case.h"
#include "core/core.h"
#include "support/context.h"
#include "support/intercept.h"

static const char no_size[] = "vka_buffer_create.size: is 0, but must be 1 or more";

static vka_status ask_for_nothing(vka_device *device) {
    vka_buffer *buffer;
    return vka_buffer_create(device, &(vka_buffer_desc){0}, &buffer);
}

/* With a log that nobody reads; what succeeds changes nothing. */
Test(last_error, silent_log) {
    context_require_device();
    vka_device_desc desc = context_desc();
    desc.log = (vka_log){0};
    vka_device *device = NULL;
    EXPECT_OK(vka_device_create(&desc, &device));
    cr_expect_str_eq(vka_last_error(), "", "nothing has failed");
    log_clear();
    cr_expect_eq(ask_for_nothing(device), VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), no_size);
    cr_expect_eq(log_count(VKA_LOG_ERROR), 0);
    vka_recorder *recorder = NULL;
    EXPECT_OK(vka_recorder_create(device, NULL, &recorder));
    cr_expect_str_eq(vka_last_error(), no_size, "a success does not clear it");
    cr_expect_eq(vka_recorder_submit(recorder), VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), "vka_recorder_submit: nothing was recorded with vka_recorder_begin");
    vka_recorder_destroy(&recorder);
    vka_device_destroy(&device);
    cr_expect_str_eq(vka_last_error(), "vka_recorder_submit: nothing was recorded with vka_recorder_begin",
                     "it outlives the device");
    context_check("last error");
}

static void *fail_on_a_thread(void *user) {
    cr_expect_str_eq(vka_last_error(), "", "another thread's");
    cr_expect_eq(vka_recorder_begin(NULL), VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), "vka_recorder_begin.recorder: must not be NULL");
    cr_expect_eq(ask_for_nothing(user), VKA_INVALID);
    cr_expect_str_eq(vka_last_error(), no_size);
    return NULL;
}

Test(last_error, threads) {
    context c;
    pthread_t thread;
    context_open(&c, &config_real);
    cr_expect_eq(vka_recorder_submit(c.recorder), VKA_INVALID);
    cr_assert_eq(pthread_create(&thread, NULL, fail_on_a_thread, c.device), 0);
    pthread_join(thread, NULL);
    cr_expect_str_eq(vka_last_error(), "vka_recorder_submit: nothing was recorded with vka_recorder_begin");
    context_close(&c);
}

/* ---- calls of which no log can be told ----------------------------------------------------------------------- */

#define EXPECT_NULL(call, item)                                                                                        \
    do {                                                                                                               \
        cr_expect_eq((call), VKA_INVALID, "%s", #call);                                                                \
        cr_expect_str_eq(vka_last_error(), item ": must not be NULL", "%s", #call);                                    \
    } while (0)

/* Those of operations: tests/ops/contract.c. */
Test(last_error, null_objects) {
    vka_buffer *buffer;
    vka_recorder *recorder;
    vka_pattern *pattern;
    vka_device *device;
    uint32_t count, word = 0;
    size_t size = 0;
    EXPECT_NULL(vka_device_import(NULL, &device), "vka_device_import.desc");
    EXPECT_NULL(vka_device_save_cache(NULL, NULL, &size), "vka_device_save_cache.device");
    EXPECT_NULL(vka_buffer_create(NULL, &(vka_buffer_desc){.size = 4}, &buffer), "vka_buffer_create.device");
    EXPECT_NULL(vka_buffer_wrap(NULL, VK_NULL_HANDLE, 0, 4, &buffer), "vka_buffer_wrap.device");
    EXPECT_NULL(vka_buffer_write(NULL, 0, &word, 4), "vka_buffer_write.buffer");
    EXPECT_NULL(vka_buffer_read(NULL, 0, &word, 4), "vka_buffer_read.buffer");
    EXPECT_NULL(vka_recorder_create(NULL, NULL, &recorder), "vka_recorder_create.device");
    EXPECT_NULL(vka_recorder_begin(NULL), "vka_recorder_begin.recorder");
    EXPECT_NULL(vka_recorder_submit(NULL), "vka_recorder_submit.recorder");
    EXPECT_NULL(vka_recorder_submit_vk(NULL, NULL), "vka_recorder_submit_vk.recorder");
    EXPECT_NULL(vka_recorder_wait(NULL, 0), "vka_recorder_wait.recorder");
    EXPECT_NULL(vka_recorder_wrap(NULL, VK_NULL_HANDLE), "vka_recorder_wrap.recorder");
    EXPECT_NULL(vka_recorder_unwrap(NULL), "vka_recorder_unwrap.recorder");
    EXPECT_NULL(vka_recorder_warm_up(NULL), "vka_recorder_warm_up.recorder");
    EXPECT_NULL(vka_recorder_timestamp(NULL, 0), "vka_recorder_timestamp.recorder");
    EXPECT_NULL(vka_recorder_read_timestamps(NULL, NULL, 0), "vka_recorder_read_timestamps.recorder");
    EXPECT_NULL(vka_copy(NULL, NULL, 0, NULL, 0, 0), "vka_copy.recorder");
    EXPECT_NULL(vka_fill(NULL, NULL, 0, 0, 0), "vka_fill.recorder");
    EXPECT_NULL(vka_attention_candidates(NULL, NULL, NULL, 0, &count), "vka_attention_candidates.device");
    EXPECT_NULL(vka_pattern_create(NULL, NULL, &pattern), "vka_pattern_create.device");
    EXPECT_NULL(vka_pattern_load(NULL, NULL, 0, &pattern), "vka_pattern_load.device");
    EXPECT_NULL(vka_pattern_save(NULL, NULL, &size), "vka_pattern_save.pattern");
    EXPECT_NULL(vka_vulkan_query(NULL, NULL, 0, NULL, NULL), "vka_vulkan_query.optional");
}

/* Asked before there is anything that has a log. */
Test(last_error, query) {
    vka_vulkan_optional_features optional;
    context c;
    context_open(&c, &config_real);
    VkInstance instance = vka_device_vk_instance(c.device);
    VkPhysicalDevice physical = (VkPhysicalDevice)(void *)&c; /* not looked at */
    PFN_vkGetInstanceProcAddr get = intercept_get_instance_proc_addr;
    EXPECT_NULL(vka_vulkan_query(NULL, instance, VK_API_VERSION_1_1, physical, &optional),
                "vka_vulkan_query.get_instance_proc_addr");
    EXPECT_NULL(vka_vulkan_query(get, NULL, VK_API_VERSION_1_1, physical, &optional), "vka_vulkan_query.instance");
    EXPECT_NULL(vka_vulkan_query(get, instance, VK_API_VERSION_1_1, NULL, &optional),
                "vka_vulkan_query.physical_device");
    context_close(&c);
}

/* ---- the text ------------------------------------------------------------------------------------------------ */

Test(last_error, long_lines_are_cut) {
    char item[400];
    memset(item, 'x', sizeof item);
    item[sizeof item - 1] = 0;
    vka__fail(NULL, VKA_INVALID, item, "%0*d", 600, 7);
    cr_expect_eq(strlen(vka_last_error()), 639);
    cr_expect(!strncmp(vka_last_error(), item, sizeof item - 1));
    vka__fail(NULL, VKA_INVALID, "item", "%s", vka_last_error()); /* its own text is an argument */
    cr_expect(!strncmp(vka_last_error(), "item: xxx", 9));
}
