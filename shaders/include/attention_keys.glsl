// Where queries, keys and values lie. Expects q, k and the scales of keys.
// SPDX-License-Identifier: MIT

uint query_at(Grid g, uvec2 query) {
    return push.base[VKA_BIND_Q] + g.batch * p.q.b + query.x * p.q.h + (query.y + g.q_begin) * p.q.n;
}

// ---- keys and values ----------------------------------------------------------------------------------------------------

// Where a sequence's keys, values or scales begin. Of pages the table tells the rest.
uint head_at(Grid g, vka_strides s) {
    uint first = PARTED ? g.kv_begin - push.dim1 : g.kv_begin; // may wrap: keys before it are not bound
    return (PAGE == 0u ? g.batch * s.b + first * s.n : 0u) + kv_head(g) * s.h;
}

uint key_head_at(Grid g) {
    return any_base(VKA_BIND_K, K_TYPE) + head_at(g, p.k);
}

uint kv_row(Grid g, int key, vka_strides s) {
#if VKA_WITH_OPTIONS
    if (SLOTTED)
        key = int(safe_token(slot_key(g, uint(key)), uint(g.kv_len)));
    if (PAGE != 0u)
        return paged_row(g, key, s);
#endif
    return uint(key) * s.n;
}

// A key's or a value's row, and what its elements are multiplied by.
struct Source {
    uint row;
    float scale;
};

Source key_source(Grid g, uint head, int key) {
    Source s = Source(head + kv_row(g, key, p.k), 1.0);
#if VKA_WITH_OPTIONS
    if (K_TYPE == VKA_TYPE_I8)
        s.scale = k_scale_at(push.base[VKA_BIND_K_SCALE] + head_at(g, p.k_scale) + kv_row(g, key, p.k_scale));
#endif
    return s;
}

vec4 key_vector4(Source s, uint d) {
    vec4 x = k_any4(s.row, p.k.d, d, D, has(VKA_FLAG_VEC4_QK));
    return K_TYPE == VKA_TYPE_I8 ? x * s.scale : x;
}

#ifdef VKA_WITH_PRODUCTS
#include "products.glsl"
#endif
