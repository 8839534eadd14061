/* SPDX-License-Identifier: MIT */
#include "api/entry.h"

#include <stdio.h>

/* "function_suffix.argument must not be NULL" */
static vka_status missing(const vka__entry *entry, vka_device *device, const char *argument) {
    char item[96];
    snprintf(item, sizeof item, "%s_%s", entry->name, argument);
    return vka__fail(vka__device_context(device), VKA_INVALID, item, "must not be NULL");
}

vka_status vka__entry_record(const vka__entry *entry, vka_recorder *recorder, const void *desc, void *prepared) {
    if (!recorder)
        return VKA_INVALID;
    vka_device *device = vka__recorder_device(recorder);
    vka_status status = entry->prepare(device, desc, prepared);
    if (status == VKA_OK && entry->check_recording)
        status = entry->check_recording(device, desc, prepared);
    if (status != VKA_OK)
        return status;
    vka__operation operation = entry->operation(desc, prepared);
    return vka__record(recorder, &operation);
}

vka_status vka__entry_prepare(const vka__entry *entry, vka_device *device, const void *desc, void *prepared) {
    if (!device)
        return VKA_INVALID;
    vka_status status = entry->prepare(device, desc, prepared);
    if (status != VKA_OK)
        return status;
    vka__operation operation = entry->operation(desc, prepared);
    return vka__prepare(device, &operation);
}

vka_status vka__entry_workspace(const vka__entry *entry, vka_device *device, const void *desc, void *prepared,
                                uint64_t *bytes) {
    if (!device)
        return VKA_INVALID;
    if (!bytes)
        return missing(entry, device, "workspace.bytes");
    *bytes = 0;
    vka_status status = entry->prepare(device, desc, prepared);
    if (status == VKA_OK)
        *bytes = entry->operation(desc, prepared).workspace_bytes;
    return status;
}

vka_status vka__entry_explain(const vka__entry *entry, vka_device *device, const void *desc, void *prepared, char *text,
                              size_t capacity, size_t *length) {
    if (!device)
        return VKA_INVALID;
    if (!text && capacity)
        return missing(entry, device, "explain.text");
    vka_status status = entry->prepare(device, desc, prepared);
    if (capacity)
        text[0] = 0;
    size_t n = status == VKA_OK ? entry->explain(prepared, text, capacity) : 0;
    if (length)
        *length = n;
    return status;
}
