/* The app's own device, queue, buffers and command buffer.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"
#include "core/core.h"
#include "support/app.h"
#include "support/intercept.h"
#include "transformer.h"

static const device_config config_import = {"imported", NULL};

static context import_as(const vka_import_desc *desc, const device_config *config) {
    context c = {.config = config};
    EXPECT_OK(vka__device_import(desc, sizeof *desc, (vka__narrowing){config->narrow, NULL}, &c.device));
    EXPECT_OK(vka_recorder_create(c.device, NULL, &c.recorder));
    return c;
}

static context import(const vka_import_desc *desc) {
    return import_as(desc, &config_import);
}

static void leave(context *c, app *a) {
    vka_recorder_destroy(&c->recorder);
    vka_device_destroy(&c->device);
    cr_assert_eq(allocator_live(), 0);
    app_close(a);
}

/* Attention and a chain in the app's command buffer, between other commands of the app. */
static void record_in_app(uint32_t api_version, bool optional, vka_dtype dtype) {
    app a;
    app_open(&a, api_version, optional);
    vka_import_desc desc = app_import(&a);
    context c = import(&desc);
    cr_expect(vka_device_vk(c.device) == a.device && vka_device_vk_instance(c.device) == a.instance);
    transformer t = transformer_make(&c, dtype, 41, 2, 8, test_seed());
    for (int frame = 0; frame < 3; frame++) {
        transformer_poison(&t);
        app_begin(&a);
        app_barrier(&a);
        EXPECT_OK(vka_recorder_wrap(c.recorder, a.cmd));
        EXPECT_OK(transformer_record(&t, c.recorder, frame));
        EXPECT_OK(vka_recorder_unwrap(c.recorder));
        app_barrier(&a);
        app_submit_and_wait(&a);
        cr_assert(transformer_ok(&t), "frame %d, optional %d", frame, optional);
    }
    transformer_destroy(&t);
    leave(&c, &a);
}

Test(import, vulkan_1_1_without_optional_features) {
    record_in_app(VK_API_VERSION_1_1, false, VKA_F32);
    record_in_app(VK_API_VERSION_1_1, false, VKA_F16);
    record_in_app(VK_API_VERSION_1_1, false, VKA_BF16);
}

Test(import, vulkan_1_1) {
    record_in_app(VK_API_VERSION_1_1, true, VKA_F32);
    record_in_app(VK_API_VERSION_1_1, true, VKA_F16);
}

Test(import, vulkan_1_3) {
    record_in_app(VK_API_VERSION_1_3, true, VKA_F16);
    record_in_app(VK_API_VERSION_1_2, true, VKA_F16);
}

/* Each optional feature alone. */
Test(import, some_optional_features) {
    for (int only = 0; only < 3; only++) {
        app a;
        app_open(&a, VK_API_VERSION_1_3, true);
        vka_import_desc desc = app_import(&a);
        desc.enabled.storage_16bit = desc.enabled.storage_16bit && only == 0;
        desc.enabled.shader_float16 = desc.enabled.shader_float16 && only == 1;
        desc.enabled.shader_int64 = desc.enabled.shader_int64 && only == 2;
        context c = import(&desc);
        cr_expect_eq(vka_device_get_caps(c.device)->int64, desc.enabled.shader_int64);
        cr_expect_eq(vka_device_get_caps(c.device)->f16_storage, desc.enabled.storage_16bit);
        cr_expect_eq(vka_device_get_caps(c.device)->f16_arithmetic, desc.enabled.shader_float16);
        attention_problem p = attention_make(
            &c, (attention_case){.dtype = VKA_F16, .q_len = 9, .kv_len = 20, .head_dim = 13}, test_seed());
        attention_run(&p, VKA_ATTENTION_PATH_AUTO, 0);
        attention_destroy(&p);
        leave(&c, &a);
    }
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

/* All tensors in one buffer of the app, which has no usage but the documented one; offsets count from the range. */
Test(import, wrapped_buffers) {
    enum { N = 50, D = 12, BYTES = N * D * 4, FIRST = 44 };
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    context c = import(&desc);
    app_buffer raw = app_buffer_create(&a, FIRST + 4 * BYTES + N * 4 + 64, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    attention_problem p =
        attention_make(&c, (attention_case){.q_len = N, .kv_len = N, .head_dim = D, .causal = true}, test_seed());
    vka_buffer *wrapped = NULL;
    EXPECT_OK(vka_buffer_wrap(c.device, raw.handle, FIRST, 4 * BYTES + N * 4, &wrapped));
    cr_expect_eq(vka_buffer_size(wrapped), 4 * BYTES + N * 4);
    cr_expect(vka_buffer_vk(wrapped) == raw.handle);
    cr_expect_null(vka_buffer_map(wrapped));
    uint8_t *bytes = raw.mapped;
    memset(bytes, 0xff, FIRST + 4 * BYTES + N * 4 + 64);
    vka_attention_desc d = attention_desc(&p);
    vka_tensor *tensors[4] = {&d.q, &d.k, &d.v, &d.out};
    const tensor *from[3] = {&p.q, &p.k, &p.v};
    for (uint32_t i = 0; i < 4; i++) {
        *tensors[i] = vka_tensor_4d(wrapped, VKA_F32, 1, 1, N, D);
        tensors[i]->offset = i * BYTES;
        if (i < 3) {
            memcpy(bytes + FIRST + i * BYTES, from[i]->values, BYTES);
        }
    }
    d.lse = vka_tensor_3d(wrapped, VKA_F32, 1, 1, N);
    d.lse.offset = 4 * BYTES;
    app_begin(&a);
    EXPECT_OK(vka_recorder_wrap(c.recorder, a.cmd));
    EXPECT_OK(vka_attention(c.recorder, &d));
    EXPECT_OK(vka_recorder_unwrap(c.recorder));
    app_barrier(&a);
    app_submit_and_wait(&a);
    memcpy(p.out.image + p.out.view.offset, bytes + FIRST + 3 * BYTES, BYTES);
    memcpy(p.lse.image + p.lse.view.offset, bytes + FIRST + 4 * BYTES, N * 4);
    EXPECT_OK(vka_buffer_write(p.out.view.buffer, 0, p.out.image, p.out.size));
    EXPECT_OK(vka_buffer_write(p.lse.view.buffer, 0, p.lse.image, p.lse.size));
    attention_compare(&p, "wrapped");
    for (uint32_t i = 0; i < 64; i++) {
        cr_assert(bytes[FIRST + 4 * BYTES + N * 4 + i] == 0xff && (i >= FIRST || bytes[i] == 0xff), "guard %u", i);
    }
    vka_buffer_destroy(&wrapped);
    app_buffer_destroy(&a, &raw);
    attention_destroy(&p);
    leave(&c, &a);
}

Test(import, wrapped_copies) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, false);
    vka_import_desc desc = app_import(&a);
    context c = import(&desc);
    app_buffer raw = app_buffer_create(&a, 256,
                                       VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                           VK_BUFFER_USAGE_TRANSFER_DST_BIT);
    vka_buffer *low = NULL, *high = NULL;
    uint8_t *bytes = raw.mapped;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)i;
    }
    EXPECT_OK(vka_buffer_wrap(c.device, raw.handle, 0, 128, &low));
    EXPECT_OK(vka_buffer_wrap(c.device, raw.handle, 128, 128, &high));
    app_begin(&a);
    EXPECT_OK(vka_recorder_wrap(c.recorder, a.cmd));
    EXPECT_OK(vka_copy(c.recorder, low, 8, high, 4, 16));
    EXPECT_OK(vka_copy(c.recorder, high, 64, low, 8, 16)); /* reads what was just written */
    EXPECT_OK(vka_recorder_unwrap(c.recorder));
    app_barrier(&a);
    app_submit_and_wait(&a);
    cr_expect(bytes[7] == 7 && bytes[8] == 132 && bytes[23] == 147 && bytes[24] == 24);
    cr_expect(bytes[191] == 191 && bytes[192] == 132 && bytes[207] == 147 && bytes[208] == 208);
    EXPECT_FAILURE(vka_buffer_write(low, 0, bytes, 4), VKA_INVALID, "vka_buffer_write");
    EXPECT_FAILURE(vka_buffer_read(low, 0, bytes, 4), VKA_INVALID, "vka_buffer_read");
    vka_buffer_destroy(&low);
    vka_buffer_destroy(&high);
    app_buffer_destroy(&a, &raw);
    leave(&c, &a);
}

/* ---- queue --------------------------------------------------------------------------------------------------- */

static void lock(void *user) {
    int *depth = user;
    cr_assert_eq(depth[0]++, 0, "locked twice");
    depth[1]++;
}

static void unlock(void *user) {
    int *depth = user;
    cr_assert_eq(--depth[0], 0, "unlocked without a lock");
}

Test(import, queue_lock) {
    int depth[2] = {0, 0};
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    desc.lock_queue = lock;
    desc.unlock_queue = unlock;
    desc.queue_user = depth;
    context c = import(&desc);
    transformer t = transformer_make(&c, VKA_F32, 10, 1, 8, test_seed());
    EXPECT_OK(vka_recorder_begin(c.recorder));
    EXPECT_OK(transformer_record(&t, c.recorder, 0));
    int before = depth[1];
    uint64_t submits = intercept_count("vkQueueSubmit");
    context_finish(&c);
    cr_expect_eq(intercept_count("vkQueueSubmit") - submits, 1);
    cr_expect_geq(depth[1] - before, 1);
    cr_expect_eq(depth[0], 0);
    cr_expect(transformer_ok(&t));
    transformer_destroy(&t);
    leave(&c, &a);
}

Test(import, without_queue) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    desc.queue = VK_NULL_HANDLE;
    context c = import_as(&desc, &config_staged); /* so that writing a buffer needs a queue */
    vka_buffer *b = NULL;
    uint32_t word = 0;
    EXPECT_OK(vka_buffer_create(c.device, &(vka_buffer_desc){.size = 4}, &b));
    EXPECT_FAILURE(vka_buffer_write(b, 0, &word, 4), VKA_INVALID, "vka_buffer_write");
    EXPECT_FAILURE(vka_buffer_read(b, 0, &word, 4), VKA_INVALID, "vka_buffer_read");
    if (vka_recorder_begin(c.recorder) == VKA_OK) {
        EXPECT_FAILURE(vka_recorder_submit(c.recorder), VKA_INVALID, "vka_recorder_submit");
    }
    vka_buffer_destroy(&b);
    leave(&c, &a);
}

/* ---- states and bad descriptions ----------------------------------------------------------------------------- */

Test(import, states) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    context c = import(&desc);
    vka_recorder *r = c.recorder;
    EXPECT_FAILURE(vka_recorder_unwrap(r), VKA_INVALID, "vka_recorder_unwrap");
    EXPECT_FAILURE(vka_recorder_wrap(r, VK_NULL_HANDLE), VKA_INVALID, "vka_recorder_wrap");
    cr_expect(!vka_recorder_vk(r) && !vka_recorder_vk(NULL));
    app_begin(&a);
    EXPECT_OK(vka_recorder_wrap(r, a.cmd));
    cr_expect(vka_recorder_vk(r) == a.cmd);
    EXPECT_FAILURE(vka_recorder_wrap(r, a.cmd), VKA_INVALID, "vka_recorder_wrap");
    EXPECT_FAILURE(vka_recorder_begin(r), VKA_INVALID, "vka_recorder_begin");
    EXPECT_FAILURE(vka_recorder_submit(r), VKA_INVALID, "vka_recorder_submit");
    EXPECT_OK(vka_recorder_unwrap(r));
    EXPECT_FAILURE(vka_recorder_unwrap(r), VKA_INVALID, "vka_recorder_unwrap");
    app_submit_and_wait(&a);
    EXPECT_OK(vka_recorder_begin(r));
    cr_expect(vka_recorder_vk(r) && vka_recorder_vk(r) != a.cmd);
    EXPECT_FAILURE(vka_recorder_wrap(r, a.cmd), VKA_INVALID, "vka_recorder_wrap");
    EXPECT_FAILURE(vka_recorder_unwrap(r), VKA_INVALID, "vka_recorder_unwrap");
    EXPECT_OK(vka_recorder_submit(r));
    cr_expect_eq(vka_recorder_wrap(NULL, a.cmd), VKA_INVALID);
    cr_expect_eq(vka_recorder_unwrap(NULL), VKA_INVALID);
    leave(&c, &a);
}

#define REFUSED(field, change)                                                                                         \
    do {                                                                                                               \
        vka_import_desc bad = good;                                                                                    \
        vka_device *device = (vka_device *)(void *)&a;                                                                 \
        change;                                                                                                        \
        EXPECT_FAILURE(vka_device_import(&bad, &device), VKA_INVALID, "vka_device_import." field);                     \
        cr_expect_null(device);                                                                                        \
    } while (0)

Test(import, bad_descriptions) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc good = app_import(&a);
    REFUSED("get_instance_proc_addr", bad.get_instance_proc_addr = NULL);
    REFUSED("instance", bad.instance = NULL);
    REFUSED("api_version", bad.api_version = 0);
    REFUSED("api_version", bad.api_version = VK_API_VERSION_1_0);
    REFUSED("physical_device", bad.physical_device = NULL);
    REFUSED("device", bad.device = NULL);
    REFUSED("queue_family", bad.queue_family = 1000);
    REFUSED("lock_queue", bad.lock_queue = lock);
    REFUSED("lock_queue", bad.unlock_queue = unlock);
    REFUSED("allocator", bad.allocator.release = NULL);
    REFUSED("cache", bad.cache_size = 4);
    REFUSED("tuning", bad.tuning_size = 4);
    REFUSED("enabled.extension_count", bad.enabled.extension_count = VKA_MAX_DEVICE_EXTENSIONS + 1);
    REFUSED("enabled.extension_count", bad.enabled.extension_count = UINT32_MAX);
    REFUSED("enabled.extensions", (bad.enabled.extension_count = 1, bad.enabled.extensions[0] = NULL));
    vka_device *device = NULL;
    EXPECT_FAILURE(vka_device_import(&good, NULL), VKA_INVALID, "vka_device_import");
    cr_expect_eq(vka_device_import(NULL, &device), VKA_INVALID);
    app_close(&a);
}

Test(import, bad_wraps) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, true);
    vka_import_desc desc = app_import(&a);
    context c = import(&desc);
    app_buffer raw = app_buffer_create(&a, 256, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    vka_buffer *b = (vka_buffer *)(void *)&a;
    EXPECT_FAILURE(vka_buffer_wrap(c.device, VK_NULL_HANDLE, 0, 16, &b), VKA_INVALID, "vka_buffer_wrap.buffer");
    cr_expect_null(b);
    EXPECT_FAILURE(vka_buffer_wrap(c.device, raw.handle, 2, 16, &b), VKA_INVALID, "vka_buffer_wrap.offset");
    EXPECT_FAILURE(vka_buffer_wrap(c.device, raw.handle, 0, 0, &b), VKA_INVALID, "vka_buffer_wrap.size");
    EXPECT_FAILURE(vka_buffer_wrap(c.device, raw.handle, UINT64_MAX - 3, 16, &b), VKA_INVALID,
                   "vka_buffer_wrap.offset");
    log_line line = log_last(VKA_LOG_ERROR);
    cr_expect_str_eq(line.message, "is 18446744073709551612: with a size of 16 it overflows 64 bits");
    EXPECT_FAILURE(vka_buffer_wrap(c.device, raw.handle, 0, 16, NULL), VKA_INVALID, "vka_buffer_wrap");
    cr_expect_eq(vka_buffer_wrap(NULL, raw.handle, 0, 16, &b), VKA_INVALID);
    app_buffer_destroy(&a, &raw);
    leave(&c, &a);
}

Test(import, query) {
    app a;
    app_open(&a, VK_API_VERSION_1_1, false);
    vka_vulkan_optional_features optional = {.extension_count = 99};
    EXPECT_OK(
        vka_vulkan_query(intercept_get_instance_proc_addr, a.instance, VK_API_VERSION_1_1, a.physical, &optional));
    cr_expect_leq(optional.extension_count, VKA_MAX_DEVICE_EXTENSIONS);
    cr_expect_not(optional.shader_int64, "which chains of features can't enable");
    cr_expect_eq(vka_vulkan_query(NULL, a.instance, VK_API_VERSION_1_1, a.physical, &optional), VKA_INVALID);
    cr_expect_eq(vka_vulkan_query(intercept_get_instance_proc_addr, NULL, VK_API_VERSION_1_1, a.physical, &optional),
                 VKA_INVALID);
    cr_expect_eq(vka_vulkan_query(intercept_get_instance_proc_addr, a.instance, VK_API_VERSION_1_1, NULL, &optional),
                 VKA_INVALID);
    cr_expect_eq(vka_vulkan_query(intercept_get_instance_proc_addr, a.instance, VK_API_VERSION_1_1, a.physical, NULL),
                 VKA_INVALID);
    cr_expect_eq(
        vka_vulkan_query(intercept_get_instance_proc_addr, a.instance, VK_API_VERSION_1_0, a.physical, &optional),
        VKA_UNSUPPORTED);
    app_close(&a);
}
