/* Devices: listing, choosing, refusing, narrowing, and the pipeline cache.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "attention_case.h"
#include "core/core.h"
#include "support/intercept.h"

/* ---- creation ------------------------------------------------------------------------------------------------ */

Test(device, defaults) {
    context_require_device();
    vka_device *device = NULL;
    EXPECT_OK(vka_device_create(NULL, &device));
    const vka_device_caps *caps = vka_device_get_caps(device);
    cr_assert_not_null(caps);
    cr_expect(caps->name[0] && caps->driver[0]);
    cr_expect(caps->subgroup_min >= 1 && caps->subgroup_min <= caps->subgroup_size);
    cr_expect(caps->subgroup_size <= caps->subgroup_max);
    cr_expect(caps->shared_bytes >= 16384 && caps->max_invocations >= 128);
    cr_expect(caps->max_groups[0] >= 65535 && caps->max_groups[1] >= 65535 && caps->max_groups[2] >= 65535);
    cr_expect(caps->storage_range >= UINT64_C(1) << 27);
    cr_expect(caps->storage_align >= 1 && caps->storage_align <= 256);
    cr_expect_gt(caps->memory_bytes, 0);
    cr_expect_eq(vka_device_memory(device).bytes, 0);
    vka_device_destroy(&device);
    cr_expect_null(device);
}

Test(device, destroy_null) {
    vka_device *device = NULL;
    vka_recorder *recorder = NULL;
    vka_buffer *buffer = NULL;
    vka_device_destroy(NULL);
    vka_device_destroy(&device);
    vka_recorder_destroy(NULL);
    vka_recorder_destroy(&recorder);
    vka_buffer_destroy(NULL);
    vka_buffer_destroy(&buffer);
}

Test(device, listed_and_chosen) {
    context_require_device();
    vka_device_desc desc = context_desc();
    vka_device_caps caps[16];
    uint32_t count = 0, again = 0;
    EXPECT_OK(vka_device_enumerate(&desc, NULL, 0, &count));
    cr_assert_gt(count, 0);
    EXPECT_OK(vka_device_enumerate(&desc, caps, 16, &again));
    cr_assert_eq(count, again);
    memset(&caps[1], 0xab, sizeof caps[1]);
    EXPECT_OK(vka_device_enumerate(&desc, caps, 1, &again));
    cr_assert_eq(count, again);
    cr_expect_eq(*(uint8_t *)&caps[1], 0xab, "written beyond the capacity");
    EXPECT_OK(vka_device_enumerate(&desc, caps, 16, &again));
    for (uint32_t i = 0; i < count && i < 16; i++) {
        for (int by_uuid = 0; by_uuid < 2; by_uuid++) {
            vka_device *device = NULL;
            desc.index = by_uuid ? 0 : i;
            desc.uuid = by_uuid ? caps[i].uuid : NULL;
            EXPECT_OK(vka_device_create(&desc, &device));
            cr_expect(!memcmp(vka_device_get_caps(device)->uuid, caps[i].uuid, 16));
            cr_expect_str_eq(vka_device_get_caps(device)->name, caps[i].name);
            vka_device_destroy(&device);
        }
    }
    context_check("enumerate");
}

Test(device, best_is_first) {
    context_require_device();
    vka_device_desc desc = context_desc();
    vka_device_caps caps;
    uint32_t count;
    EXPECT_OK(vka_device_enumerate(&desc, &caps, 1, &count));
    vka_device *device = NULL;
    EXPECT_OK(vka_device_create(&desc, &device));
    cr_expect(!memcmp(vka_device_get_caps(device)->uuid, caps.uuid, 16));
    vka_device_destroy(&device);
    context_check("best");
}

Test(device, no_software) {
    context_require_device();
    vka_device_desc desc = context_desc();
    vka_device_caps caps[16];
    uint32_t all = 0, hardware = 0;
    EXPECT_OK(vka_device_enumerate(&desc, caps, 16, &all));
    uint32_t expected = 0;
    for (uint32_t i = 0; i < all && i < 16; i++) {
        expected += caps[i].type != VKA_DEVICE_CPU;
    }
    desc.no_software = true;
    EXPECT_OK(vka_device_enumerate(&desc, caps, 16, &hardware));
    cr_expect_eq(hardware, expected);
    vka_device *device = NULL;
    if (expected == 0) {
        EXPECT_FAILURE(vka_device_create(&desc, &device), VKA_NO_DEVICE, "vka_device_create");
        cr_expect_null(device);
    } else {
        EXPECT_OK(vka_device_create(&desc, &device));
        cr_expect_neq(vka_device_get_caps(device)->type, VKA_DEVICE_CPU);
        vka_device_destroy(&device);
    }
    context_check("no_software");
}

/* ---- bad descriptions ---------------------------------------------------------------------------------------- */

static PFN_vkVoidFunction VKAPI_CALL empty_loader(VkInstance instance, const char *name) {
    (void)instance, (void)name;
    return NULL;
}

static void refused(const vka_device_desc *desc, vka_status status, const char *item) {
    vka_device *device = (vka_device *)(void *)&device;
    EXPECT_FAILURE(vka_device_create(desc, &device), status, item);
    cr_expect_null(device);
}

Test(device, bad_descriptions) {
    context_require_device();
    static const uint8_t nobody[16] = {0xde, 0xad, 0xbe, 0xef};
    vka_device_desc good = context_desc(), desc = good;
    desc.index = 1000;
    refused(&desc, VKA_NO_DEVICE, "vka_device_create.index");
    desc = good;
    desc.uuid = nobody;
    refused(&desc, VKA_NO_DEVICE, "vka_device_create.uuid");
    desc.index = 1;
    refused(&desc, VKA_INVALID, "vka_device_create.uuid");
    desc = good;
    desc.allocator.release = NULL;
    refused(&desc, VKA_INVALID, "vka_device_create.allocator");
    desc = good;
    desc.allocator.reallocate = NULL;
    refused(&desc, VKA_INVALID, "vka_device_create.allocator");
    desc = good;
    desc.cache_size = 100; /* without a cache */
    refused(&desc, VKA_INVALID, "vka_device_create.cache");
    desc = good;
    desc.tuning_size = 100; /* without a text */
    refused(&desc, VKA_INVALID, "vka_device_create.tuning");
    EXPECT_FAILURE(vka_device_create(&good, NULL), VKA_INVALID, "vka_device_create");
    EXPECT_FAILURE(vka_device_enumerate(&good, NULL, 0, NULL), VKA_INVALID, "vka_device_enumerate");
    uint32_t count;
    EXPECT_FAILURE(vka_device_enumerate(&good, NULL, 3, &count), VKA_INVALID, "vka_device_enumerate");
    context_check("bad descriptions");
}

Test(device, no_loader) {
    vka_device_desc desc = {.log = log_capture(), .get_instance_proc_addr = (intercept_function)empty_loader};
    refused(&desc, VKA_NO_DEVICE, "vka_device_create");
    uint32_t count = 7;
    EXPECT_FAILURE(vka_device_enumerate(&desc, NULL, 0, &count), VKA_NO_DEVICE, "vka_device_enumerate");
    vka_device *device = NULL;
    desc.log = (vka_log){0}; /* silent by default: nothing to call */
    cr_expect_eq(vka_device_create(&desc, &device), VKA_NO_DEVICE);
}

/* Raised values are taken back, lowered ones stay. */
static void raise_and_lower(void *user, vka_device_caps *caps) {
    *(vka_device_caps *)user = *caps;
    caps->shared_bytes *= 2;
    caps->max_invocations *= 2;
    caps->max_groups[1] = UINT32_MAX;
    caps->storage_range = UINT64_MAX;
    caps->subgroup_arithmetic = true;
    caps->f16_storage = true;
    caps->f16_arithmetic = true;
    caps->f16_mixed_dot = true;
    caps->int64 = true;
    caps->matrix_block_loads = true;
    caps->unified_memory = true;
    caps->timestamps = true;
    caps->max_groups[0] = 1000;
}

Test(device, narrow) {
    context_require_device();
    vka_device_desc desc = context_desc();
    vka_device_caps real;
    vka_device *device = NULL;
    EXPECT_OK(vka__device_create(&desc, sizeof desc, (vka__narrowing){raise_and_lower, &real}, &device));
    const vka_device_caps *caps = vka_device_get_caps(device);
    cr_expect_eq(caps->shared_bytes, real.shared_bytes);
    cr_expect_eq(caps->max_invocations, real.max_invocations);
    cr_expect_eq(caps->max_groups[1], real.max_groups[1]);
    cr_expect_eq(caps->storage_range, real.storage_range);
    cr_expect_eq(caps->subgroup_arithmetic, real.subgroup_arithmetic);
    cr_expect_eq(caps->f16_storage, real.f16_storage);
    cr_expect_eq(caps->f16_arithmetic, real.f16_arithmetic);
    cr_expect_eq(caps->f16_mixed_dot, real.f16_mixed_dot);
    cr_expect_eq(caps->int64, real.int64);
    cr_expect_eq(caps->matrix_block_loads, real.matrix_block_loads);
    cr_expect_eq(caps->unified_memory, real.unified_memory);
    cr_expect_eq(caps->timestamps, real.timestamps);
    cr_expect_eq(caps->max_groups[0], 1000);
    vka_device_destroy(&device);
    context_check("narrow");
}

/* ---- log ----------------------------------------------------------------------------------------------------- */

Test(device, log_levels) {
    context_require_device();
    vka_device_desc desc = context_desc();
    vka_device *device = NULL;
    log_clear();
    EXPECT_OK(vka_device_create(&desc, &device));
    cr_expect_eq(log_count(VKA_LOG_ERROR), 0);
    cr_expect_eq(log_count(VKA_LOG_INFO), 1, "the chosen device is logged once");
    vka_device_destroy(&device);
    desc.log.level = (vka_log_level)0;
    log_clear();
    EXPECT_OK(vka_device_create(&desc, &device));
    cr_expect_eq(log_count(VKA_LOG_INFO), 0);
    vka_buffer *buffer;
    EXPECT_FAILURE(vka_buffer_create(device, &(vka_buffer_desc){0}, &buffer), VKA_INVALID, "vka_buffer_create.size");
    vka_device_destroy(&device);
    context_check("log");
}
