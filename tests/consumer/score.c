/* Is a score function that was compiled with the installed shaders one that the library takes?
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "slope.h"

int main(void) {
    vka_device *device;
    const vka_status status = vka_device_create(NULL, &device);
    if (status != VKA_OK) {
        printf("%s\n", vka_status_string(status));
        return status == VKA_NO_DEVICE ? 0 : 1;
    }
    const vka_tensor t = vka_tensor_4d(NULL, VKA_F32, 1, 1, 9, 8);
    const vka_attention_desc d = {
        .q = t, .k = t, .v = t, .out = t, .score_function = &slope, .score_constants = {0.5f}};
    vka_attention_candidate tiles[64];
    uint32_t count = 0;
    vka_status listed = vka_attention_candidates(device, &d, tiles, 64, &count);
    const bool small = vka_device_get_caps(device)->storage_buffers < 17;
    printf("%s, %u tiles\n", vka_status_string(listed), (unsigned)count);
    for (uint32_t i = 0; i < count && i < 64; i++)
        if (tiles[i].path != VKA_ATTENTION_PATH_TILE)
            listed = VKA_INVALID;
    vka_device_destroy(&device);
    return (listed == VKA_OK && count) || small ? 0 : 1;
}
