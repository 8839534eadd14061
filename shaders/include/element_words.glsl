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

// Vector d of the query whose first element is `at`, of a key, of a value.
uvec2 query_element_words(uint at, uint d) {
    return has(VKA_FLAG_VEC4_QK) ? q_w2[(at >> 2) + d] : element_words(q_row4(at, p.q.d, d, D, false));
}

uvec2 key_element_words(Source from, uint d) {
    bool ready = K_TYPE == ELEMENT_TYPE && has(VKA_FLAG_VEC4_QK);
    return ready ? k_w2[(from.row >> 2) + d] : element_words(key_vector4(from, d));
}

uvec2 value_element_words(Source from, uint d) {
    bool ready = V_TYPE == ELEMENT_TYPE && has(VKA_FLAG_VEC4_V);
    return ready ? v_w2[(from.row >> 2) + d] : element_words(value_vector4(from, d));
}
