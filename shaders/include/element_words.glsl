// Vectors of queries, keys and values as words. Expects VKA_BF16.
// SPDX-License-Identifier: MIT
#include "halves.glsl"

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
