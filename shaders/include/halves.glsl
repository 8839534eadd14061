// Vectors of four elements of 16 bits, as words: what lies in memory as such, or is rounded. Expects VKA_BF16, and
// VKA_NEAREST_F16: is there a conversion to f16 that rounds to the nearest?
// SPDX-License-Identifier: MIT

// Exact for what was an element; anything else may be rounded either way.
#if VKA_BF16
#define ELEMENT bfloat16_t
#define ELEMENT_TYPE VKA_TYPE_BF16
uvec2 element_words(vec4 x) {
    return uvec2(pack_pair(VKA_TYPE_BF16, x.xy), pack_pair(VKA_TYPE_BF16, x.zw));
}
#define ELEMENT_PAIR(x, y) (floatBitsToUint(float(x)) >> 16 | floatBitsToUint(float(y)) & 0xffff0000u)
#define FIRST_ELEMENT(word) bfloat16_t(uintBitsToFloat((word) << 16))
#define SECOND_ELEMENT(word) bfloat16_t(uintBitsToFloat((word) & 0xffff0000u))
#else
#define ELEMENT float16_t
#define ELEMENT_TYPE VKA_TYPE_F16
uvec2 element_words(vec4 x) {
    return uvec2(packHalf2x16(x.xy), packHalf2x16(x.zw));
}
#define ELEMENT_PAIR(x, y) packFloat2x16(f16vec2(x, y))
#define FIRST_ELEMENT(word) unpackFloat2x16(word).x
#define SECOND_ELEMENT(word) unpackFloat2x16(word).y
#endif

#if VKA_NEAREST_F16
// By the device's conversion, asked to round to the nearest of 16 bits, ties to even (RoundingModeRTE).
spirv_execution_mode(extensions = ["SPV_KHR_float_controls"], capabilities = [4467], 4462, 16);

uvec2 nearest_words(vec4 x) {
    return uvec2(packFloat2x16(f16vec2(x.xy)), packFloat2x16(f16vec2(x.zw)));
}
#else
// The halves next to numbers that are normal as such, ties to even, in integers: how packHalf2x16 rounds is the driver's
// choice.
uvec2 nearest_words(vec4 x) {
    uvec4 bits = floatBitsToUint(x);
    vec4 nearest = uintBitsToFloat((bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu);
    return uvec2(packHalf2x16(nearest.xy), packHalf2x16(nearest.zw));
}
#endif

// Elements nearest to numbers: weights that are all cut off would lower every result.
uvec2 weight_words(vec4 x) {
    return VKA_BF16 != 0 ? element_words(x) : nearest_words(x);
}
