/* Data that an app keeps between runs, bound to a device and driver, and checked before anybody trusts it.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

#include <string.h>

typedef struct header {
    char magic[8];
    uint32_t header_bytes, version;
    uint32_t vendor_id, device_id, driver_id, driver_version;
    uint8_t uuid[16];
    uint64_t data_bytes, checksum; /* FNV-1a of what follows the header */
} header;
_Static_assert(sizeof(header) == VKA__BLOB_HEADER, "as the header says");

uint64_t vka__fnv1a(uint64_t hash, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; ++i)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static header header_for(const vka_device *d, const char *magic, const void *data, size_t size) {
    header h = {.header_bytes = sizeof h,
                .version = 1,
                .vendor_id = d->caps.vendor_id,
                .device_id = d->caps.device_id,
                .driver_id = d->caps.driver_id,
                .driver_version = d->caps.driver_version,
                .data_bytes = size,
                .checksum = vka__fnv1a(VKA__FNV1A, data, size)};
    memcpy(h.magic, magic, sizeof h.magic);
    memcpy(h.uuid, d->caps.uuid, sizeof h.uuid);
    return h;
}

void vka__blob_seal(const vka_device *d, const char *magic, void *blob, size_t size) {
    header h = header_for(d, magic, (const char *)blob + sizeof h, size);
    memcpy(blob, &h, sizeof h);
}

/* Drivers have been seen to crash on damaged ones. */
const void *vka__blob_open(const vka_device *d, const char *item, const char *what, const char *magic, const void *blob,
                           size_t size, size_t *data_size) {
    *data_size = 0;
    if (!blob || !size)
        return NULL;
    header given;
    const char *why = NULL;
    if (size < sizeof given) {
        why = "too short";
    } else {
        memcpy(&given, blob, sizeof given);
        header want = header_for(d, magic, (const char *)blob + sizeof given, size - sizeof given);
        if (memcmp(given.magic, want.magic, sizeof given.magic) || given.data_bytes != want.data_bytes ||
            given.checksum != want.checksum)
            why = "damaged";
        else if (memcmp(&given, &want, sizeof given))
            why = "of another device, driver or version";
    }
    if (why) {
        vka__log(&d->ctx, VKA_LOG_WARNING, item, "%s is %s: dropped", what, why);
        return NULL;
    }
    *data_size = size - sizeof given;
    return (const char *)blob + sizeof given;
}
