// Vectors of four elements of 16 bits, as words: what lies in memory as such, or is rounded. Expects VKA_BF16.
// SPDX-License-Identifier: MIT

// Exact for what was an element; anything else may be rounded either way.
#if VKA_BF16
#define ELEMENT bfloat16_t
#define ELEMENT_TYPE VKA_TYPE_BF16
uvec2 element_words(vec4 x) {
    return uvec2(pack_pair(VKA_TYPE_BF16, x.xy), pack_pair(VKA_TYPE_BF16, x.zw));
}
#else
#define ELEMENT float16_t
#define ELEMENT_TYPE VKA_TYPE_F16
uvec2 element_words(vec4 x) {
    return uvec2(packHalf2x16(x.xy), packHalf2x16(x.zw));
}
#endif

// The halves next to numbers that are normal as such, ties to even: how packHalf2x16 rounds is the driver's choice, and
// weights that are all cut off would lower every result.
vec4 nearest_halves(vec4 x) {
    uvec4 bits = floatBitsToUint(x);
    return uintBitsToFloat((bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu);
}

uvec2 weight_words(vec4 x) {
    return element_words(VKA_BF16 != 0 ? x : nearest_halves(x));
}
