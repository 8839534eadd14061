/* The tuning record that a device is created with.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

#include <stdio.h>
#include <string.h>

/* More than any record has; what is longer is cut, and then it is not JSON. */
#define MAX_FILE (1u << 20)

static char *read_file(const vka__context *ctx, const char *name, size_t *size) {
    FILE *file = fopen(name, "rb");
    char *text = file ? vka__alloc(ctx, MAX_FILE, 1) : NULL;
    *size = text ? fread(text, 1, MAX_FILE, file) : 0;
    if (file)
        fclose(file);
    return text;
}

static vka_status parse(vka_device *d, const char *item, const char *text, size_t size) {
    const char *why;
    vka_status status = vka__tuning_parse(&d->ctx, &d->caps, text, size, &d->tuning, &why);
    if (status == VKA_OUT_OF_MEMORY)
        return vka__fail(&d->ctx, status, item, "no host memory for the tuning record");
    if (status != VKA_OK)
        vka__log(&d->ctx, VKA_LOG_WARNING, item, "the tuning record is ignored: %s", why);
    else if (!d->tuning.count)
        vka__log(&d->ctx, VKA_LOG_INFO, item, "the tuning record has nothing for this device and driver");
    return VKA_OK;
}

vka_status vka__tuning_load(vka_device *d, const char *item, const char *text, size_t size, const char *file) {
    if (text)
        return parse(d, item, text, size);
    if (!file)
        return VKA_OK;
    char *read = read_file(&d->ctx, file, &size);
    if (!read) {
        vka__log(&d->ctx, VKA_LOG_WARNING, item, "the tuning record %s is ignored: it can't be read", file);
        return VKA_OK;
    }
    vka_status status = parse(d, item, read, size);
    vka__free(&d->ctx, read);
    return status;
}
