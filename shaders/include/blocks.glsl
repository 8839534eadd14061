// Tensors that may also be Q4_0: weights, and caches of keys and values. After elements.glsl; apart from it, so that kernels
// without them don't carry this along.
//
//   VKA_ANY_READERS(name, slot, type)  VKA_READERS, and vec4 name_any4(..), which is name_row4 for Q4_0 too
//
// Of types with blocks rows are counted without the base: any_base.
// SPDX-License-Identifier: MIT

uint any_base(uint slot, uint type) {
    return type == VKA_TYPE_Q4_0 ? 0u : element_base(slot, type);
}

// Vector i of 0 .. 7 of a block has the lower halves of word i, or the upper halves of word i - 4, of its four, which lie
// across two words of memory in every second block of 18 bytes.
#define VKA_ANY_READERS(name, slot, type)                                                                           \
    VKA_READERS(name, slot, type)                                                                                      \
    vec4 name##_halves4(uint i) {                                                                                      \
        uint block = push.base[slot] + (i >> 3) * 9u, at = block + 1u + (i & 3u) * 2u;                                 \
        vec2 scales = unpackHalf2x16(name##_w[block >> 1]);                                                            \
        uint word = name##_w[at >> 1];                                                                                 \
        if ((at & 1u) != 0u)                                                                                           \
            word = word >> 16 | name##_w[(at >> 1) + 1u] << 16;                                                        \
        word = word >> (i & 4u) & 0x0f0f0f0fu;                                                                         \
        return (vec4(word & 255u, word >> 8 & 255u, word >> 16 & 255u, word >> 24) - 8.0) *                            \
               ((block & 1u) == 0u ? scales.x : scales.y);                                                             \
    }                                                                                                                  \
    vec4 name##_any4(uint row, uint stride, uint d, uint size, bool fast) {                                        \
        if (type == VKA_TYPE_Q4_0)                                                                                     \
            return name##_halves4((row >> 2) + d);                                                                     \
        return name##_row4(row, stride, d, size, fast);                                                                \
    }
