/* What callers of vka_lsh_sort prepare on the host: its rotations, and the rounds of what it sorted as tensors.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include <vkattn/lsh.h>

#include "core/philox.h"

void vka_lsh_rotations(uint64_t seed, uint64_t first, size_t count, float *values) {
    uint32_t words[4] = {0};
    for (size_t n = 0; n < count; ++n) {
        uint64_t number = first + n;
        if (n == 0 || number % 4 == 0)
            vka__philox((uint32_t[]){(uint32_t)(number / 4), (uint32_t)(number / 4 >> 32), 0, 0}, seed, words);
        const uint32_t *pair = words + number % 4 / 2 * 2;
        double length = sqrt(-2 * log((pair[0] + 0.5) * 0x1p-32)), angle = pair[1] * 0x1p-32 * 6.283185307179586;
        values[n] = (float)(length * (number % 2 ? sin(angle) : cos(angle)));
    }
}

vka_tensor vka_lsh_round(vka_tensor t, uint32_t round) {
    if (t.rank != 4 || round >= t.shape[0])
        return t;
    uint64_t stride = t.stride[0];
    if (!stride && !t.stride[1] && !t.stride[2] && !t.stride[3]) /* dense */
        stride = (uint64_t)t.shape[1] * t.shape[2] * t.shape[3];
    t.offset += round * stride * vka_dtype_size(t.dtype);
    t.rank = 3;
    for (uint32_t i = 0; i < 3; ++i) {
        t.shape[i] = t.shape[i + 1];
        t.stride[i] = t.stride[i + 1];
    }
    t.shape[3] = 0;
    t.stride[3] = 0;
    return t;
}
