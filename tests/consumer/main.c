/* The smallest app: is the library there, and which devices does it see?
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include <vkattn/attention.h>
#include <vkattn/norm.h>

int main(void) {
    const uint32_t built = (VKA_VERSION_MAJOR << 16) | (VKA_VERSION_MINOR << 8) | VKA_VERSION_PATCH;
    if (vka_version() != built)
        return 1;

    vka_device_caps caps[8];
    uint32_t count = 0;
    const vka_status status = vka_device_enumerate(NULL, caps, 8, &count);
    printf("%s, %u device(s)\n", vka_status_string(status), (unsigned)count);
    for (uint32_t i = 0; i < count && i < 8; i++)
        printf("  %s\n", caps[i].name);
    return status == VKA_OK || status == VKA_NO_DEVICE ? 0 : 1;
}
