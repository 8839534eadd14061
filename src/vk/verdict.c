/* What a self-test found, kept between runs.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

#include <string.h>

#include <vkattn/self_test.h>

#include "op/switched_off.h"
#include "spirv.h"

static const char magic[8] = "VKATTNV";

typedef struct verdict {
    uint64_t kernels, caps; /* hashes of what was tested and on what */
    uint64_t tested, switched_off[VKA_SWITCHED_OFF_WORDS];
} verdict;

/* Numbers of kernels, and what they compute, are those of one build. */
static uint64_t hash_kernels(void) {
    uint64_t hash = VKA__FNV1A;
    for (const struct vka__spirv *k = vka__spirv_table; k->name; ++k) {
        hash = vka__fnv1a(hash, k->name, strlen(k->name));
        for (size_t i = 0; i < k->bytes / 4; ++i)
            hash = (hash ^ k->words[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* What an app enabled of a device decides which kernels there are to be tested. */
static uint64_t hash_caps(const vka_device_caps *caps) {
    const bool flags[] = {caps->subgroup_arithmetic,   caps->subgroup_shuffle,
                          caps->subgroup_size_control, caps->f16_storage,
                          caps->f16_arithmetic,        caps->f16_mixed_dot,
                          caps->matrix_operations,     caps->matrix_block_loads,
                          caps->unified_memory,        caps->int64};
    const uint32_t numbers[] = {caps->api_version,   caps->subgroup_size,        caps->subgroup_min,
                                caps->subgroup_max,  caps->shared_bytes,         caps->max_invocations,
                                caps->max_groups[0], caps->max_groups[1],        caps->max_groups[2],
                                caps->storage_align, caps->storage_buffers,      caps->matrix_shape_count,
                                caps->type,          caps->matrix_workgroup_size};
    uint64_t hash = vka__fnv1a(VKA__FNV1A, caps->driver, strlen(caps->driver));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; ++i)
        hash = (hash ^ flags[i]) * UINT64_C(0x100000001b3);
    hash = vka__fnv1a(hash, numbers, sizeof numbers);
    hash = vka__fnv1a(hash, &caps->storage_range, sizeof caps->storage_range);
    hash = vka__fnv1a(hash, caps->matrix_shapes, sizeof caps->matrix_shapes);
    hash = vka__fnv1a(hash, &caps->matrix_grain, sizeof caps->matrix_grain);
    return vka__fnv1a(hash, &caps->matrix_workgroup_grain, sizeof caps->matrix_workgroup_grain);
}

void vka__verdict_load(vka_device *d, const char *item, const void *blob, size_t size) {
    size_t bytes;
    const void *data = vka__blob_open(d, item, "the self-test's verdict", magic, blob, size, &bytes);
    verdict v;
    if (!data)
        return;
    memcpy(&v, data, bytes < sizeof v ? bytes : sizeof v);
    if (bytes != sizeof v || v.kernels != hash_kernels() || v.caps != hash_caps(&d->caps)) {
        vka__log(&d->ctx, VKA_LOG_WARNING, item,
                 "the self-test's verdict is of another build of the library, or of other features: dropped");
        return;
    }
    d->tested = v.tested;
    memcpy(d->caps.switched_off, v.switched_off, sizeof v.switched_off);
}

vka_status vka_device_save_self_test(vka_device *d, void *data, size_t *size) {
    if (!d)
        return vka__fail(NULL, VKA_INVALID, "vka_device_save_self_test.device", "must not be NULL");
    if (!size)
        return vka__fail(&d->ctx, VKA_INVALID, "vka_device_save_self_test.size", "must not be NULL");
    size_t capacity = *size;
    *size = VKA__BLOB_HEADER + sizeof(verdict);
    if (!data)
        return VKA_OK;
    if (capacity < *size)
        return vka__fail(&d->ctx, VKA_INVALID, "vka_device_save_self_test.size", "is %zu, but %zu are needed", capacity,
                         *size);
    verdict v = {.kernels = hash_kernels(), .caps = hash_caps(&d->caps), .tested = d->tested};
    memcpy(v.switched_off, d->caps.switched_off, sizeof v.switched_off);
    memcpy((char *)data + VKA__BLOB_HEADER, &v, sizeof v);
    vka__blob_seal(d, magic, data, sizeof v);
    return VKA_OK;
}

uint64_t vka__device_tested(const vka_device *device) {
    return device->tested;
}

void vka__device_add_tested(vka_device *device, uint64_t operations) {
    device->tested |= operations;
}

void vka__device_switch_off(vka_device *device, uint32_t kernel) {
    vka__switch_off(&device->caps, kernel);
}
