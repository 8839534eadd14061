// Rows of attention's backward as they lie in memory, elements of 16 bits as words. Expects backward_rows.glsl and VKA_BF16.
// SPDX-License-Identifier: MIT
#include "halves.glsl"

// Vector d of a row: four elements.
uvec2 query_x_words(Place at, uint d) {
    return has(VKA_FLAG_VEC4_QK) ? q_w2[(at.x >> 2) + d] : element_words(query_x(at, d));
}

uvec2 query_y_words(Place at, uint d) {
    return has(VKA_FLAG_VEC4_OUT) ? d_out_w2[(at.y >> 2) + d] : element_words(query_y(at, d));
}

uvec2 key_x_words(Place at, uint d) {
    return has(VKA_FLAG_VEC4_QK) ? k_w2[(at.x >> 2) + d] : element_words(key_x(at, d));
}

uvec2 key_y_words(Place at, uint d) {
    return has(VKA_FLAG_VEC4_V) ? v_w2[(at.y >> 2) + d] : element_words(key_y(at, d));
}

#if VKA_KEYS
#define own_x_words key_x_words
#define own_y_words key_y_words
#define partner_x_words query_x_words
#define partner_y_words query_y_words
#else
#define own_x_words query_x_words
#define own_y_words query_y_words
#define partner_x_words key_x_words
#define partner_y_words key_y_words
#endif

// Eight channels; 0 beyond the last one.
#define EIGHT_WORDS(x_words, y_words)                                                                                  \
    uint d = 2u * eight, size = y ? DV4 : D4;                                                                          \
    uvec2 low = uvec2(0u), high = uvec2(0u);                                                                           \
    if (d < size)                                                                                                      \
        low = y ? y_words(at, d) : x_words(at, d);                                                                     \
    if (d + 1u < size)                                                                                                 \
        high = y ? y_words(at, d + 1u) : x_words(at, d + 1u);                                                          \
    return uvec4(low, high);

uvec4 own_words(Place at, uint eight, bool y) {
    EIGHT_WORDS(own_x_words, own_y_words)
}

uvec4 partner_words(Place at, uint eight, bool y) {
    EIGHT_WORDS(partner_x_words, partner_y_words)
}
