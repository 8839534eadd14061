/* Submissions with the app's semaphores and fence.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/app.h"
#include "support/intercept.h"
#include "transformer.h"

static const device_config config_import = {"imported", NULL};

/* ---- the app's objects --------------------------------------------------------------------------------------- */

#define SYNC_FUNCTIONS(X)                                                                                              \
    X(vkCreateSemaphore)                                                                                               \
    X(vkDestroySemaphore)                                                                                              \
    X(vkCreateFence)                                                                                                   \
    X(vkDestroyFence)                                                                                                  \
    X(vkResetFences)                                                                                                   \
    X(vkGetFenceStatus)                                                                                                \
    X(vkWaitForFences)
/* With names of their own where Vulkan 1.1 has them as an extension. */
#define TIMELINE_FUNCTIONS(X)                                                                                          \
    X(vkWaitSemaphores)                                                                                                \
    X(vkSignalSemaphore)                                                                                               \
    X(vkGetSemaphoreCounterValue)

enum { BINARY, TIMELINE, KINDS };

static const uint64_t soon = UINT64_C(60000000000); /* what is lost fails, and does not hang */

typedef struct app_sync {
    VkDevice device;
    VkSemaphore semaphores[KINDS]; /* no TIMELINE on devices without */
    VkFence fence;
#define X(name) PFN_##name name;
    SYNC_FUNCTIONS(X)
    TIMELINE_FUNCTIONS(X)
#undef X
} app_sync;

static app_sync sync_open(const vka_device *device, uint32_t api_version, bool timeline) {
    PFN_vkGetDeviceProcAddr get = (PFN_vkGetDeviceProcAddr)intercept_get_instance_proc_addr(
        vka_device_vk_instance(device), "vkGetDeviceProcAddr");
    app_sync s = {.device = vka_device_vk(device)};
    bool core = api_version >= VK_API_VERSION_1_2;
#define X(name) s.name = (PFN_##name)get(s.device, #name);
    SYNC_FUNCTIONS(X)
#undef X
#define X(name) s.name = (PFN_##name)get(s.device, core ? #name : #name "KHR");
    TIMELINE_FUNCTIONS(X)
#undef X
    VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                      .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    cr_assert_eq(s.vkCreateFence(s.device, &fence, NULL, &s.fence), VK_SUCCESS);
    cr_assert_eq(s.vkCreateSemaphore(s.device, &info, NULL, &s.semaphores[BINARY]), VK_SUCCESS);
    if (timeline) {
        info.pNext = &type;
        cr_assert_eq(s.vkCreateSemaphore(s.device, &info, NULL, &s.semaphores[TIMELINE]), VK_SUCCESS);
    }
    return s;
}

static void sync_close(app_sync *s) {
    s->vkDestroyFence(s->device, s->fence, NULL);
    for (int i = 0; i < KINDS; i++) {
        s->vkDestroySemaphore(s->device, s->semaphores[i], NULL);
    }
}

static uint64_t counter(const app_sync *s) {
    uint64_t value = 0;
    cr_assert_eq(s->vkGetSemaphoreCounterValue(s->device, s->semaphores[TIMELINE], &value), VK_SUCCESS);
    return value;
}

static void signal_counter(const app_sync *s, uint64_t value) {
    VkSemaphoreSignalInfo info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO, .semaphore = s->semaphores[TIMELINE], .value = value};
    cr_assert_eq(s->vkSignalSemaphore(s->device, &info), VK_SUCCESS);
}

static void wait_counter(const app_sync *s, uint64_t value) {
    VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                .semaphoreCount = 1,
                                .pSemaphores = &s->semaphores[TIMELINE],
                                .pValues = &value};
    cr_assert_eq(s->vkWaitSemaphores(s->device, &info, soon), VK_SUCCESS);
}

static void wait_fence(const app_sync *s) {
    cr_assert_eq(s->vkWaitForFences(s->device, 1, &s->fence, VK_TRUE, soon), VK_SUCCESS);
    cr_assert_eq(s->vkResetFences(s->device, 1, &s->fence), VK_SUCCESS);
}

/* ---- two recorders, of which the second needs the first one's results ---------------------------------------- */

typedef struct fixture {
    app a;
    context c; /* with the first recorder */
    vka_recorder *second;
    transformer t;
    app_sync s;
} fixture;

static void record_both(fixture *f) {
    vka_layer_norm_desc first = transformer_first(&f->t), last = transformer_last(&f->t);
    vka_attention_desc attention = transformer_attention(&f->t, 0);
    EXPECT_OK(vka_recorder_create(f->c.device, NULL, &f->second));
    EXPECT_OK(vka_recorder_begin(f->c.recorder));
    EXPECT_OK(vka_recorder_begin(f->second));
    EXPECT_OK(vka_layer_norm(f->c.recorder, &first));
    EXPECT_OK(vka_attention(f->second, &attention));
    EXPECT_OK(vka_layer_norm(f->second, &last));
}

static void open_imported(fixture *f, uint32_t api_version, bool optional) {
    app_open(&f->a, api_version, optional);
    if (optional && !f->a.enabled.timeline_semaphore) {
        app_close(&f->a);
        cr_skip_test("SKIP: no timeline semaphores");
    }
    vka_import_desc desc = app_import(&f->a);
    f->c = (context){.config = &config_import};
    EXPECT_OK(vka_device_import(&desc, &f->c.device));
    EXPECT_OK(vka_recorder_create(f->c.device, NULL, &f->c.recorder));
    f->s = sync_open(f->c.device, api_version, optional);
    f->t = transformer_make(&f->c, VKA_F32, 40, 2, 8, test_seed());
    record_both(f);
}

static void close_objects(fixture *f) {
    vka_recorder_destroy(&f->second);
    vka_recorder_destroy(&f->c.recorder);
    transformer_destroy(&f->t);
    sync_close(&f->s);
    vka_device_destroy(&f->c.device);
}

static void close_imported(fixture *f) {
    close_objects(f);
    app_close(&f->a);
}

/* The host opens a gate, at which the first recorder waits; the second one waits for the first. Twice. */
static void gate_and_chain(fixture *f) {
    const app_sync *s = &f->s;
    for (uint64_t at = 0; at < 8; at += 4) {
        const uint64_t gate = at + 1, handed = at + 2, done = at + 3;
        vka_submit_desc first = {.wait_count = 1,
                                 .wait_semaphores = &s->semaphores[TIMELINE],
                                 .wait_values = &gate,
                                 .signal_count = 1,
                                 .signal_semaphores = &s->semaphores[TIMELINE],
                                 .signal_values = &handed};
        vka_submit_desc second = first;
        second.wait_values = &handed;
        second.signal_values = &done;
        second.fence = s->fence;
        transformer_poison(&f->t);
        EXPECT_OK(vka_recorder_submit_vk(f->c.recorder, &first));
        EXPECT_OK(vka_recorder_submit_vk(f->second, &second));
        cr_expect_eq(vka_recorder_wait(f->c.recorder, 5000000), VKA_TIMEOUT, "it did not wait for the semaphore");
        cr_expect_eq(s->vkGetFenceStatus(s->device, s->fence), VK_NOT_READY);
        signal_counter(s, gate);
        wait_counter(s, done);
        cr_expect(transformer_ok(&f->t), "seen from the semaphore");
        cr_expect_eq(counter(s), done);
        wait_fence(s);
        EXPECT_OK(vka_recorder_wait(f->second, 0)); /* our own fence signals before the app's */
        EXPECT_OK(vka_recorder_wait(f->c.recorder, VKA_FOREVER));
    }
}

Test(submit, timeline_semaphores) {
    fixture f;
    open_imported(&f, VK_API_VERSION_1_2, true);
    gate_and_chain(&f);
    close_imported(&f);
}

Test(submit, timeline_semaphores_of_vulkan_1_1) {
    fixture f;
    open_imported(&f, VK_API_VERSION_1_1, true);
    gate_and_chain(&f);
    close_imported(&f);
}

/* The library's own device has the feature where there is one. */
Test(submit, own_device) {
    fixture f = {0};
    context_open(&f.c, &config_real);
    vka_device *device = f.c.device;
    uint32_t api = vka_device_get_caps(device)->api_version;
    if (api < VK_API_VERSION_1_2) {
        cr_skip_test("SKIP: timeline semaphores may be missing before Vulkan 1.2");
    }
    f.s = sync_open(device, api, true);
    f.t = transformer_make(&f.c, VKA_F32, 40, 2, 8, test_seed());
    record_both(&f);
    gate_and_chain(&f);
    close_objects(&f);
    context_check("own device");
}

/* ---- binary semaphores and the fence ------------------------------------------------------------------------- */

/* A binary semaphore from the first to the second; recordings are submitted again and again. */
static void binary_chain(fixture *f, bool stages, bool wait_by_fence) {
    static const VkPipelineStageFlags compute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    vka_submit_desc first = {.signal_count = 1, .signal_semaphores = &f->s.semaphores[BINARY]};
    vka_submit_desc second = {.wait_count = 1,
                              .wait_semaphores = &f->s.semaphores[BINARY],
                              .wait_stages = stages ? &compute : NULL,
                              .fence = f->s.fence};
    for (int i = 0; i < 3; i++) {
        transformer_poison(&f->t);
        EXPECT_OK(vka_recorder_submit_vk(f->c.recorder, &first));
        EXPECT_OK(vka_recorder_submit_vk(f->second, &second));
        if (wait_by_fence) {
            wait_fence(&f->s);
            cr_expect(transformer_ok(&f->t), "seen from the fence, submission %d", i + 1);
        } else {
            EXPECT_OK(vka_recorder_wait(f->second, VKA_FOREVER));
            cr_expect(transformer_ok(&f->t), "seen after vka_recorder_wait, submission %d", i + 1);
            wait_fence(&f->s);
        }
    }
}

Test(submit, binary_semaphores) {
    fixture f;
    open_imported(&f, VK_API_VERSION_1_1, false);
    binary_chain(&f, false, true);
    binary_chain(&f, true, false);
    close_imported(&f);
}

/* Both kinds on both sides of one submission; the binary one's values are whatever. */
Test(submit, mixed_semaphores) {
    fixture f;
    open_imported(&f, VK_API_VERSION_1_2, true);
    const uint64_t handed[KINDS] = {[BINARY] = 77, [TIMELINE] = 5}, done = 9;
    vka_submit_desc first = {.signal_count = KINDS, .signal_semaphores = f.s.semaphores, .signal_values = handed};
    vka_submit_desc second = {.wait_count = KINDS,
                              .wait_semaphores = f.s.semaphores,
                              .wait_values = handed,
                              .signal_count = 1,
                              .signal_semaphores = &f.s.semaphores[TIMELINE],
                              .signal_values = &done};
    EXPECT_OK(vka_recorder_submit_vk(f.c.recorder, &first));
    EXPECT_OK(vka_recorder_submit_vk(f.second, &second));
    wait_counter(&f.s, done);
    cr_expect(transformer_ok(&f.t));
    close_imported(&f);
}

Test(submit, without_anything) {
    fixture f;
    open_imported(&f, VK_API_VERSION_1_1, false);
    EXPECT_OK(vka_recorder_submit_vk(f.c.recorder, NULL));
    EXPECT_OK(vka_recorder_wait(f.c.recorder, VKA_FOREVER));
    EXPECT_OK(vka_recorder_submit_vk(f.second, &(vka_submit_desc){0}));
    EXPECT_OK(vka_recorder_wait(f.second, VKA_FOREVER));
    cr_expect(transformer_ok(&f.t));
    close_imported(&f);
}

/* ---- the queue ----------------------------------------------------------------------------------------------- */

static uint32_t locks;
static uint64_t submits_before, submits_within;

static void lock(void *user) {
    (void)user;
    locks++;
    submits_before = intercept_count("vkQueueSubmit");
}

static void unlock(void *user) {
    (void)user;
    submits_within = intercept_count("vkQueueSubmit") - submits_before;
}

/* No other work gets between the commands and what signals the fence. */
Test(submit, one_lock) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, false);
    vka_import_desc desc = app_import(&a);
    desc.lock_queue = lock;
    desc.unlock_queue = unlock;
    context c = {.config = &config_import};
    EXPECT_OK(vka_device_import(&desc, &c.device));
    EXPECT_OK(vka_recorder_create(c.device, NULL, &c.recorder));
    app_sync s = sync_open(c.device, VK_API_VERSION_1_1, false);
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(vka_recorder_submit_vk(c.recorder, &(vka_submit_desc){.fence = s.fence}));
    cr_expect_eq(locks, 1);
    cr_expect_eq(submits_within, 2);
    wait_fence(&s);
    vka_recorder_destroy(&c.recorder);
    sync_close(&s);
    vka_device_destroy(&c.device);
    app_close(&a);
}

Test(submit, without_queue) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, false);
    vka_import_desc desc = app_import(&a);
    desc.queue = VK_NULL_HANDLE;
    context c = {.config = &config_import};
    EXPECT_OK(vka_device_import(&desc, &c.device));
    EXPECT_OK(vka_recorder_create(c.device, NULL, &c.recorder));
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_FAILURE(vka_recorder_submit_vk(c.recorder, NULL), VKA_INVALID, "vka_recorder_submit_vk");
    vka_recorder_destroy(&c.recorder);
    vka_device_destroy(&c.device);
    app_close(&a);
}

/* The commands run, and are waited for, when only their fence can't be signalled. */
Test(submit, fence_alone_fails) {
    fixture f;
    open_imported(&f, VK_API_VERSION_1_1, false);
    EXPECT_OK(vka_recorder_submit(f.c.recorder));
    intercept_fail("vkQueueSubmit", 2, VK_ERROR_OUT_OF_HOST_MEMORY);
    vka_submit_desc desc = {.fence = f.s.fence};
    EXPECT_FAILURE(vka_recorder_submit_vk(f.second, &desc), VKA_OUT_OF_MEMORY, "vka_recorder_submit_vk");
    intercept_fail(NULL, 0, VK_SUCCESS);
    EXPECT_OK(vka_recorder_wait(f.second, VKA_FOREVER));
    cr_expect(transformer_ok(&f.t));
    cr_expect_eq(f.s.vkGetFenceStatus(f.s.device, f.s.fence), VK_NOT_READY);
    EXPECT_OK(vka_recorder_submit_vk(f.second, &desc)); /* once more, with its fence */
    wait_fence(&f.s);
    close_imported(&f);
}

/* When the commands can't be submitted, nothing is. */
Test(submit, commands_fail) {
    fixture f;
    open_imported(&f, VK_API_VERSION_1_1, false);
    EXPECT_OK(vka_recorder_submit(f.c.recorder));
    intercept_fail("vkQueueSubmit", 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
    vka_submit_desc desc = {.fence = f.s.fence};
    EXPECT_FAILURE(vka_recorder_submit_vk(f.second, &desc), VKA_OUT_OF_MEMORY, "vka_recorder_submit_vk");
    intercept_fail(NULL, 0, VK_SUCCESS);
    EXPECT_OK(vka_recorder_wait(f.second, 0));
    cr_expect_eq(f.s.vkGetFenceStatus(f.s.device, f.s.fence), VK_NOT_READY);
    EXPECT_OK(vka_recorder_submit_vk(f.second, &desc));
    wait_fence(&f.s);
    cr_expect(transformer_ok(&f.t));
    close_imported(&f);
}

/* ---- refusals ------------------------------------------------------------------------------------------------ */

#define REFUSED(status, field, ...)                                                                                    \
    EXPECT_FAILURE(vka_recorder_submit_vk(f.c.recorder, &(vka_submit_desc){__VA_ARGS__}), status,                      \
                   "vka_recorder_submit_vk" field)

Test(submit, refusals) {
    fixture f;
    open_imported(&f, VK_API_VERSION_1_1, false);
    const VkSemaphore *good = &f.s.semaphores[BINARY];
    const VkSemaphore holes[2] = {*good, VK_NULL_HANDLE};
    const VkPipelineStageFlags nothing = 0;
    const uint64_t value = 1;
    REFUSED(VKA_INVALID, ".wait_semaphores", .wait_count = 1);
    REFUSED(VKA_INVALID, ".wait_semaphores", .wait_count = 2, .wait_semaphores = holes);
    REFUSED(VKA_INVALID, ".wait_count", .wait_count = VKA_MAX_SEMAPHORES + 1, .wait_semaphores = good);
    REFUSED(VKA_INVALID, ".wait_count", .wait_count = UINT32_MAX, .wait_semaphores = good);
    REFUSED(VKA_INVALID, ".wait_stages", .wait_count = 1, .wait_semaphores = good, .wait_stages = &nothing);
    REFUSED(VKA_INVALID, ".signal_semaphores", .signal_count = 1);
    REFUSED(VKA_INVALID, ".signal_semaphores", .signal_count = 2, .signal_semaphores = holes);
    REFUSED(VKA_INVALID, ".signal_count", .signal_count = VKA_MAX_SEMAPHORES + 1, .signal_semaphores = good);
    /* The feature is not enabled here. */
    REFUSED(VKA_UNSUPPORTED, ".wait_values", .wait_count = 1, .wait_semaphores = good, .wait_values = &value);
    REFUSED(VKA_UNSUPPORTED, ".signal_values", .signal_count = 1, .signal_semaphores = good, .signal_values = &value);
    /* Arrays of no entries are not looked at. */
    EXPECT_OK(vka_recorder_submit_vk(
        f.c.recorder, &(vka_submit_desc){.wait_values = &value, .wait_stages = &nothing, .signal_values = &value}));
    EXPECT_OK(vka_recorder_submit(f.second));
    EXPECT_OK(vka_recorder_wait(f.second, VKA_FOREVER));
    cr_expect(transformer_ok(&f.t), "what was refused spoils nothing");
    cr_expect_eq(vka_recorder_submit_vk(NULL, NULL), VKA_INVALID);
    vka_recorder *idle = NULL;
    EXPECT_OK(vka_recorder_create(f.c.device, NULL, &idle));
    EXPECT_FAILURE(vka_recorder_submit_vk(idle, NULL), VKA_INVALID, "vka_recorder_submit_vk");
    vka_recorder_destroy(&idle);
    close_imported(&f);
}
