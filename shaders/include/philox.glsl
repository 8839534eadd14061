// Random numbers that everybody can compute again: Philox4x32-10 (Salmon 2011).
// SPDX-License-Identifier: MIT

uvec4 philox(uvec4 counter, uvec2 key) {
    [[unroll]] for (uint round = 0u; round < 10u; ++round) {
        uint high_0, low_0, high_1, low_1;
        umulExtended(0xd2511f53u, counter.x, high_0, low_0);
        umulExtended(0xcd9e8d57u, counter.z, high_1, low_1);
        counter = uvec4(high_1 ^ counter.y ^ key.x, low_1, high_0 ^ counter.w ^ key.y, low_0);
        key += uvec2(0x9e3779b9u, 0xbb67ae85u);
    }
    return counter;
}
