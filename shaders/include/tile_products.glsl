// What stands in place of q . k (products.glsl), for a tile. Keys of relative positions pass through shared memory like keys,
// a chunk of channels of all that the tile's pairs have: one for each difference of a row and a key.
// SPDX-License-Identifier: MIT

shared vec4 relative_tile[RELATIVE_KEYS ? (BR + BC - 1u) * KV_STRIDE : 1u];
shared vec4 bias_tile[RELATIVE_KEYS ? 2u * D4 : 1u]; // of the head's queries, for keys and for keys of relative positions

float row_factor[RM], key_squares[CN];

void stage_biases(Grid g) {
    for (uint d = gl_LocalInvocationIndex; RELATIVE_KEYS && d < D4; d += gl_WorkGroupSize.x) {
        bias_tile[d] = content_bias4(g.head, d);
        bias_tile[D4 + d] = position_bias4(g.head, d);
    }
}

// What makes cosines of a query's products, but for keys' lengths.
float query_factor(Grid g, Row r) {
    if (!COSINE)
        return 1.0;
    uint at = query_at(g, uvec2(r.head, r.query));
    float squares = 0.0;
    for (uint d = 0u; d < D4; ++d) {
        vec4 x = q_row4(at, p.q.d, d, D, has(VKA_FLAG_VEC4_QK));
        squares = dot_add(x, x, squares);
    }
    return inverse_norm(squares) * cosine_scale(r.head);
}

// The tile's row a and key c have the place a + BC - 1 - c. Rows are one head's queries in order.
void stage_relative_keys(Grid g, uint first_row, int j0, uint chunk) {
    for (uint i = gl_LocalInvocationIndex; i < (BR + BC - 1u) * TC; i += gl_WorkGroupSize.x) {
        uint place = i / TC, d = chunk * TC + i % TC;
        Row r = Row(first_row + place, g.head, 0, 0u, 0u, ivec2(0), 0.0);
        vec4 x = vec4(0.0);
        if (d < D4)
            x = relative_key4(relative_key_at(g, r, j0 + int(BC) - 1), d);
        relative_tile[place * KV_STRIDE + i % TC] = x;
    }
}

void multiply_products(uint chunk) {
    uint count = min(TC, D4 - chunk * TC);
    for (uint i = 0u; i < count; ++i) {
        uint d = chunk * TC + i;
        vec4 a[RM], a_relative[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            a[r] = q_tile[(tr * RM + r) * Q_STRIDE + d];
            a_relative[r] = RELATIVE_KEYS ? a[r] + bias_tile[D4 + d] : a[r];
            a[r] = RELATIVE_KEYS ? a[r] + bias_tile[d] : a[r];
        }
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            uint c = tc + n * TC;
            vec4 b = kv_tile[c * KV_STRIDE + i];
            key_squares[n] = COSINE ? dot_add(b, b, key_squares[n]) : 0.0;
            [[unroll]] for (uint r = 0u; r < RM; ++r) {
                s[r * CN + n] = dot_add(a[r], b, s[r * CN + n]);
                if (RELATIVE_KEYS)
                    s[r * CN + n] = dot_add(a_relative[r], relative_tile[(tr * RM + r + BC - 1u - c) * KV_STRIDE + i],
                                            s[r * CN + n]);
            }
        }
    }
}

void scale_products() {
    [[unroll]] for (uint n = 0u; n < CN; ++n)
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            s[r * CN + n] *= COSINE ? inverse_norm(key_squares[n]) * row_factor[r] : 1.0;
}
