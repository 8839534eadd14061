/* Labels of VK_EXT_debug_utils: which there are, in which order, and around what.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/pattern.h>

#include "support/app.h"
#include "support/intercept.h"
#include "transformer.h"

/* ---- a loader that writes down labels ------------------------------------------------------------------------ */

static PFN_vkCmdBeginDebugUtilsLabelEXT next_begin;
static PFN_vkCmdEndDebugUtilsLabelEXT next_end;
static bool hidden;  /* the extension is not offered */
static bool enabled; /* by the library; what the test's loader adds for the validation layer does not count */

static char seen[1024]; /* "vka_attention{2}": a label around two dispatches */
static int depth;
static uint64_t labelled; /* dispatches within labels */
static uint64_t before;

static VKAPI_ATTR void VKAPI_CALL on_begin(VkCommandBuffer commands, const VkDebugUtilsLabelEXT *label) {
    size_t at = strlen(seen);
    snprintf(seen + at, sizeof seen - at, "%s{", label->pLabelName);
    depth++;
    before = intercept_count("vkCmdDispatch");
    next_begin(commands, label);
}

static VKAPI_ATTR void VKAPI_CALL on_end(VkCommandBuffer commands) {
    size_t at = strlen(seen);
    uint64_t dispatches = intercept_count("vkCmdDispatch") - before;
    snprintf(seen + at, sizeof seen - at, "%llu}", (unsigned long long)dispatches);
    labelled += dispatches;
    depth--;
    next_end(commands);
}

static VKAPI_ATTR VkResult VKAPI_CALL list_without(const char *layer, uint32_t *count, VkExtensionProperties *list) {
    PFN_vkEnumerateInstanceExtensionProperties real =
        (PFN_vkEnumerateInstanceExtensionProperties)intercept_get_instance_proc_addr(
            NULL, "vkEnumerateInstanceExtensionProperties");
    VkResult result = real(layer, count, list);
    for (uint32_t i = 0; list && i < *count; i++) {
        if (!strcmp(list[i].extensionName, VK_EXT_DEBUG_UTILS_EXTENSION_NAME)) {
            list[i].extensionName[0] = 0;
        }
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL on_create(const VkInstanceCreateInfo *info,
                                                const VkAllocationCallbacks *allocator, VkInstance *instance) {
    for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
        enabled = enabled || !strcmp(info->ppEnabledExtensionNames[i], VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    }
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)intercept_get_instance_proc_addr(NULL, "vkCreateInstance");
    return create(info, allocator, instance);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL watching(VkInstance instance, const char *name) {
    PFN_vkVoidFunction f = intercept_get_instance_proc_addr(instance, name);
    if (!strcmp(name, "vkCreateInstance")) {
        return (PFN_vkVoidFunction)on_create;
    }
    if (hidden && !strcmp(name, "vkEnumerateInstanceExtensionProperties")) {
        return (PFN_vkVoidFunction)list_without;
    }
    if (f && !strcmp(name, "vkCmdBeginDebugUtilsLabelEXT")) {
        next_begin = (PFN_vkCmdBeginDebugUtilsLabelEXT)f;
        return hidden ? NULL : (PFN_vkVoidFunction)on_begin;
    }
    if (f && !strcmp(name, "vkCmdEndDebugUtilsLabelEXT")) {
        next_end = (PFN_vkCmdEndDebugUtilsLabelEXT)f;
        return (PFN_vkVoidFunction)on_end;
    }
    return f;
}

static void open_labelled(context *c, bool labels) {
    context_require_device();
    vka_device_desc desc = context_desc();
    desc.get_instance_proc_addr = (intercept_function)watching;
    desc.debug_labels = labels;
    *c = (context){.config = &config_real};
    EXPECT_OK(vka_device_create(&desc, &c->device));
    EXPECT_OK(vka_recorder_create(c->device, NULL, &c->recorder));
}

/* An extension of the loader itself, and of all but very old ones. */
static void require_labels(void) {
    uint32_t count = 64;
    VkExtensionProperties list[64];
    PFN_vkEnumerateInstanceExtensionProperties enumerate =
        (PFN_vkEnumerateInstanceExtensionProperties)intercept_get_instance_proc_addr(
            NULL, "vkEnumerateInstanceExtensionProperties");
    context_require_device();
    if (enumerate(NULL, &count, list) >= VK_SUCCESS) {
        for (uint32_t i = 0; i < count; i++) {
            if (!strcmp(list[i].extensionName, VK_EXT_DEBUG_UTILS_EXTENSION_NAME)) {
                return;
            }
        }
    }
    cr_skip_test("SKIP: no VK_EXT_debug_utils");
}

/* ---- what is labelled ---------------------------------------------------------------------------------------- */

static void record_everything(context *c, transformer *t) {
    EXPECT_OK(vka_fill(c->recorder, t->y.view.buffer, 0, 4, 0));
    EXPECT_OK(vka_copy(c->recorder, t->y.view.buffer, 0, t->x.view.buffer, 0, 4));
    EXPECT_OK(transformer_record(t, c->recorder, 2));
    EXPECT_OK(vka_recorder_warm_up(c->recorder));
}

/* A norm, an attention of two splits with their merge, a norm: and a warm-up of the pipelines of all these. */
static const char everything[] =
    "vka_fill{0}vka_copy{0}vka_layer_norm{1}vka_attention{2}vka_layer_norm{1}vka_recorder_warm_up{";

static void expect_everything(void) {
    cr_expect(!strncmp(seen, everything, sizeof everything - 1), "%s", seen);
    cr_expect_eq(depth, 0);
    cr_expect_eq(labelled, intercept_count("vkCmdDispatch"), "there are dispatches outside labels");
}

Test(labels, of_operations) {
    context c;
    require_labels();
    open_labelled(&c, true);
    transformer t = transformer_make(&c, VKA_F32, 40, 2, 8, test_seed());
    EXPECT_OK(vka_recorder_begin(c.recorder));
    record_everything(&c, &t);
    context_finish(&c);
    cr_expect(transformer_ok(&t));
    expect_everything();
    cr_expect(enabled);
    transformer_destroy(&t);
    context_close(&c);
}

Test(labels, in_the_apps_commands) {
    app a;
    require_labels();
    app_open(&a, VK_API_VERSION_1_1, true);
    if (!intercept_get_instance_proc_addr(a.instance, "vkCmdBeginDebugUtilsLabelEXT")) {
        cr_skip_test("SKIP: without the validation layer the test's instance has no VK_EXT_debug_utils");
    }
    vka_import_desc desc = app_import(&a);
    desc.get_instance_proc_addr = watching;
    desc.debug_labels = true;
    context c = {.config = &config_real};
    EXPECT_OK(vka_device_import(&desc, &c.device));
    EXPECT_OK(vka_recorder_create(c.device, NULL, &c.recorder));
    transformer t = transformer_make(&c, VKA_F32, 40, 2, 8, test_seed());
    app_begin(&a);
    EXPECT_OK(vka_recorder_wrap(c.recorder, a.cmd));
    record_everything(&c, &t);
    EXPECT_OK(vka_recorder_unwrap(c.recorder));
    app_barrier(&a);
    app_submit_and_wait(&a);
    expect_everything();
    transformer_destroy(&t);
    vka_recorder_destroy(&c.recorder);
    vka_device_destroy(&c.device);
    app_close(&a);
}

/* A pattern that the device builds is the library's own submission. */
Test(labels, of_patterns) {
    context c;
    require_labels();
    open_labelled(&c, true);
    vka_pattern_term window = {.kind = VKA_PATTERN_WINDOW, .window = {.left = 20, .right = 20}};
    vka_pattern_desc desc = {
        .queries = 96, .keys = 96, .terms = &window, .term_count = 1, .build = VKA_PATTERN_BUILD_DEVICE};
    vka_pattern *pattern = NULL;
    EXPECT_OK(vka_pattern_create(c.device, &desc, &pattern));
    cr_expect(!strncmp(seen, "vka_pattern_create{", 19), "%s", seen);
    cr_expect_eq(depth, 0);
    vka_pattern_destroy(&pattern);
    context_close(&c);
}

/* ---- what is not --------------------------------------------------------------------------------------------- */

Test(labels, off_by_default) {
    context c;
    open_labelled(&c, false);
    transformer t = transformer_make(&c, VKA_F32, 40, 2, 8, test_seed());
    EXPECT_OK(vka_recorder_begin(c.recorder));
    record_everything(&c, &t);
    context_finish(&c);
    cr_expect_str_eq(seen, "");
    cr_expect(!enabled && !next_begin && !next_end, "nobody has asked for it");
    transformer_destroy(&t);
    context_close(&c);
}

/* What fails leaves no label open, nor one around nothing. */
Test(labels, none_of_failures) {
    context c;
    require_labels();
    open_labelled(&c, true);
    transformer t = transformer_make(&c, VKA_F32, 40, 2, 8, test_seed());
    vka_attention_desc attention = transformer_attention(&t, 0), bad = attention;
    bad.q.rank = 1;
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_FAILURE(vka_attention(c.recorder, &bad), VKA_INVALID, "vka_attention");
    EXPECT_FAILURE(vka_copy(c.recorder, NULL, 0, NULL, 0, 4), VKA_INVALID, "vka_copy");
    EXPECT_FAILURE(vka_fill(c.recorder, t.x.view.buffer, 2, 4, 0), VKA_INVALID, "vka_fill");
    intercept_fail("vkCreateComputePipelines", 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    EXPECT_FAILURE(vka_attention(c.recorder, &attention), VKA_OUT_OF_MEMORY, "vka_attention");
    intercept_fail(NULL, 0, VK_SUCCESS);
    cr_expect_str_eq(seen, "");
    EXPECT_OK(vka_attention(c.recorder, &attention));
    context_finish(&c);
    cr_expect_str_eq(seen, "vka_attention{1}");
    transformer_destroy(&t);
    context_close(&c);
}

/* ---- without the extension ----------------------------------------------------------------------------------- */

Test(labels, loader_without) {
    context c;
    hidden = true;
    log_clear();
    open_labelled(&c, true);
    cr_expect_eq(log_count(VKA_LOG_WARNING), 1);
    cr_expect_str_eq(log_last(VKA_LOG_WARNING).item, "vka_device_create.debug_labels");
    cr_expect(!enabled);
    vka_buffer *buffer = NULL;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 4}, &buffer));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_fill(c.recorder, buffer, 0, 4, 0));
    context_finish(&c);
    cr_expect_str_eq(seen, "");
    vka_buffer_destroy(&buffer);
    context_close(&c);
}

/* Listing devices makes no labels, and has nothing to say about them. */
Test(labels, not_for_lists) {
    context_require_device();
    vka_device_desc desc = context_desc();
    uint32_t count = 0;
    hidden = true;
    desc.get_instance_proc_addr = (intercept_function)watching;
    desc.debug_labels = true;
    log_clear();
    EXPECT_OK(vka_device_enumerate(&desc, NULL, 0, &count));
    cr_expect_eq(log_count(VKA_LOG_WARNING), 0);
}

Test(labels, instance_without) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    vka_device *device = NULL;
    hidden = true;
    desc.get_instance_proc_addr = watching;
    desc.debug_labels = true;
    EXPECT_FAILURE(vka_device_import(&desc, &device), VKA_INVALID, "vka_device_import.debug_labels");
    cr_expect_null(device);
    app_close(&a);
}
