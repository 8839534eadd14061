// Rows of attention's backward: those that a kernel owns, whose gradients it adds up, and their partners: of queries
// (VKA_KEYS = 0) keys, of keys (VKA_KEYS = 1) queries. Each has a vector of D channels and one of DV: a query and its
// output's gradient, a key and its value.
// SPDX-License-Identifier: MIT

const uint GRAD_SLOT = VKA_BIND_GRAD + VKA_OPTION_BIND * VKA_WITH_OPTIONS;
VKA_OUTPUT(VKA_BIND_GRAD + VKA_OPTION_BIND * VKA_WITH_OPTIONS, grad)
VKA_WRITERS(grad, TYPE_OF(VKA_ROLE_GRAD))
const bool HAS_GRAD = TYPE_OF(VKA_ROLE_GRAD) != 0u; // is it wanted?
#if VKA_KEYS
const uint GRAD_V_SLOT = VKA_BIND_GRAD_V + VKA_OPTION_BIND * VKA_WITH_OPTIONS;
VKA_OUTPUT(VKA_BIND_GRAD_V + VKA_OPTION_BIND * VKA_WITH_OPTIONS, grad_v)
VKA_WRITERS(grad_v, TYPE_OF(VKA_ROLE_GRAD_V))
const bool HAS_GRAD_V = TYPE_OF(VKA_ROLE_GRAD_V) != 0u;
#endif

// ---- rows ------------------------------------------------------------------------------------------------------------

// Vectors of a query and of its output's gradient, or of a key and its value; and the head.
struct Place {
    uint x, y, head;
};

Place query_place(Grid g, uint query) {
    return Place(query_at(g, uvec2(g.head, query)), d_out_row(g, query), g.head);
}

Place key_place(Grid g, int key) {
    return Place(key_source(g, key_head_at(g), key).row, value_row(g, key), g.head);
}

vec4 query_x(Place at, uint d) {
    return query_vector4(at.head, at.x, d);
}

vec4 query_y(Place at, uint d) {
    return d_out_row4(at.y, b.d_out.d, d, DV, has(VKA_FLAG_VEC4_OUT));
}

vec4 key_x(Place at, uint d) {
    return k_any4(at.x, p.k.d, d, D, has(VKA_FLAG_VEC4_QK));
}

vec4 key_y(Place at, uint d) {
    return v_row4(at.y, p.v.d, d, DV, has(VKA_FLAG_VEC4_V));
}

#if VKA_KEYS
#define own_place(g, row) key_place(g, int(row))
#define own_x key_x
#define own_y key_y
#define partner_place(g, row) query_place(g, uint(row))
#define partner_x query_x
#define partner_y query_y
#else
#define own_place(g, row) query_place(g, row)
#define own_x query_x
#define own_y query_y
#define partner_place(g, row) key_place(g, row)
#define partner_x key_x
#define partner_y key_y
#endif

// ---- results -------------------------------------------------------------------------------------------------------------

// Vector d of a row's gradient.
void put_x(Grid g, uint head, uint row, uint d, vec4 x) {
#if VKA_KEYS
    uint at = push.base[GRAD_SLOT] + g.batch * b.d_k.b + head * b.d_k.h + (row + g.kv_begin) * b.d_k.n, step = b.d_k.d;
#else
    uint at = push.base[GRAD_SLOT] + g.batch * b.d_q.b + head * b.d_q.h + (row + g.q_begin) * b.d_q.n, step = b.d_q.d;
#endif
    if (HAS_GRAD)
        grad_put_row4(at, step, d, D, has(VKA_FLAG_VEC4_GRAD), x * b.grad_scale);
}

#if VKA_KEYS
void put_y(Grid g, uint head, uint row, uint d, vec4 x) {
    uint at = push.base[GRAD_V_SLOT] + g.batch * b.d_v.b + head * b.d_v.h + (row + g.kv_begin) * b.d_v.n;
    if (HAS_GRAD_V)
        grad_v_put_row4(at, b.d_v.d, d, DV, has(VKA_FLAG_VEC4_GRAD_V), x);
}
#endif

// Rows that are written: those of the sequence and, where no other one can have them, those that none has, which get 0.
uint written_rows(Grid g) {
#if VKA_KEYS
    return has(VKA_FLAG_KV_OFFSETS) ? uint(g.kv_len) : p.kv_rows;
#else
    return has(VKA_FLAG_Q_OFFSETS) ? g.q_len : p.q_rows;
#endif
}

// What a pair says about the gradient of ALiBi's slope, or of the factor of cosines, with which there are no slopes.
float slope_gradient(Grid g, Row row, int key, Pair pair) {
#ifdef VKA_WITH_PRODUCTS
    return pair.factor;
#else
    return -pair.score * (float(abs(key - int(row.query) - g.diagonal)) + p.alibi_beyond);
#endif
}

#ifdef VKA_WITH_PRODUCTS
// The part of a row's gradient, of which a channel is x, that stays when the row is divided by its length: what is
// perpendicular to the row, of which the channel is `own`. `along` is the product of row and gradient. A row that is as
// short as 1e-12 is divided by a constant.
vec4 perpendicular(vec4 x, vec4 own, float along, float inverse) {
    return inverse > 0.0 ? x - own * inverse * (along * inverse) : x;
}
#endif

#if !VKA_KEYS
void put_slope_sum(Grid g, uint row, float sum) {
#if VKA_WITH_OPTIONS
    if (has(VKA_FLAG_D_ALIBI))
        ws_f[b.delta.d + sum_at(g, row)] = sum;
#endif
}

#ifdef VKA_WITH_PRODUCTS
// A vector of what keys, and keys of relative positions, add to a query's gradient, for the gradients of its biases.
void put_parts(Grid g, uint row, uint d, vec4 by_keys, vec4 by_positions) {
    uint key_at = part_at(g, row, d, false), position_at = part_at(g, row, d, true);
    if (has(VKA_FLAG_D_PARTS))
        for (uint e = 0u; e < 4u; ++e) {
            ws_f[key_at + e] = by_keys[e];
            ws_f[position_at + e] = by_positions[e];
        }
}
#endif
#endif
