// Queries, keys, values and weights of a tile as f16 in shared memory, in pairs whose products are summed in f32. A vector has
// eight channels of a query or key; of values four channels of two keys that an invocation owns one after the other.
// SPDX-License-Identifier: MIT
#include "element_words.glsl"
#include "pair_dot.glsl"

const uint D8 = (D4 + 1u) / 2u;
const uint D_CHUNKS = (D8 + TC - 1u) / TC;
const uint Q_STRIDE = D8 + 1u;
const uint P_STRIDE = BC / 8u + 1u;
const uint UNSEEN_F16 = 0xbc00u; // -1 in f16

// Of weights, which are 1 at most: away from f16's subnormals, which some devices' dot products take for 0.
float weight_scale() {
    return 4096.0;
}

shared uvec4 q_tile[BR * Q_STRIDE];
shared uvec4 kv_tile[BC * KV_STRIDE];
shared uvec4 p_tile[BR * P_STRIDE];

void stage_queries(Grid g, uint first_row) {
    for (uint i = gl_LocalInvocationIndex; i < BR * D8; i += gl_WorkGroupSize.x) {
        uint d = i % D8 * 2u;
        uint at = query_at(g, row_query(g, min(first_row + i / D8, row_count(g) - 1u)));
        uvec2 rest = d + 1u < D4 ? query_element_words(at, d + 1u) : uvec2(0u);
        q_tile[i / D8 * Q_STRIDE + i % D8] = uvec4(query_element_words(at, d), rest);
    }
}

void stage_keys(Grid g, uint head, int j0, int end, uint chunk) {
    FOR_EACH_SHARED(i, BC * TC) {
        uint c = i / TC, d = (chunk * TC + i % TC) * 2u;
        uvec4 x = uvec4(0u);
        if (j0 + int(c) < end && has_vector(d, D4, 2u * TC)) {
            Source from = key_source(g, head, j0 + int(c));
            x.xy = key_element_words(from, d);
            if (has_vector(d + 1u, D4, 2u * TC))
                x.zw = key_element_words(from, d + 1u);
        }
        kv_tile[c * KV_STRIDE + i % TC] = x;
    }
}

void multiply_keys(uint chunk) {
    uint count = min(TC, D8 - chunk * TC);
    for (uint i = 0u; i < count; ++i) {
        uvec4 a[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) a[r] = q_tile[(tr * RM + r) * Q_STRIDE + chunk * TC + i];
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            uvec4 b = kv_tile[(tc + n * TC) * KV_STRIDE + i];
            [[unroll]] for (uint r = 0u; r < RM; ++r)
                [[unroll]] for (uint e = 0u; e < 4u; ++e) s[r * CN + n] = pair_dot(a[r][e], b[e], s[r * CN + n]);
        }
    }
}

void put_weights(uint row, float weights[CN], bool full) {
    [[unroll]] for (uint n = 0u; n < CN; n += 2u) {
        vec2 pair = vec2(weights[n], weights[n + 1u]) * weight_scale();
        uint word = nearest_words(pair.xyxy).x, i = n / 2u * TC + tc;
        if (!full) {
            word = weights[n] < 0.0 ? (word & 0xffff0000u) | UNSEEN_F16 : word;
            word = weights[n + 1u] < 0.0 ? (word & 0xffffu) | UNSEEN_F16 << 16 : word;
        }
        p_tile[row * P_STRIDE + i / 4u][i % 4u] = word;
    }
}

uvec2 staged_value(Grid g, uint head, int j, int end, uint d) {
    return j < end && has_vector(d, DV4, TC) ? value_element_words(value_source(g, head, j), d) : uvec2(0u);
}

void stage_values(Grid g, uint head, int j0, int end, uint chunk) {
    FOR_EACH_SHARED(i, BC / 2u * TC) {
        uint pair = i / TC, d = chunk * TC + i % TC;
        int j = j0 + int(pair / TC * 2u * TC + pair % TC);
        uvec2 a = staged_value(g, head, j, end, d), b = staged_value(g, head, j + int(TC), end, d);
        uvec2 low = (a & 0xffffu) | b << 16, high = a >> 16 | (b & 0xffff0000u);
        kv_tile[pair * KV_STRIDE + i % TC] = uvec4(low.x, high.x, low.y, high.y);
    }
}

// The halves of a pair of weights that count.
uint seen_halves(uint weights) {
    return ((weights & 0xffffu) == UNSEEN_F16 ? 0u : 0xffffu) | (weights >> 16 == UNSEEN_F16 ? 0u : 0xffff0000u);
}

void multiply_values(uint chunk, bool full) {
    for (uint i4 = 0u; i4 < BC / 8u; ++i4) {
        uvec4 weights[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) weights[r] = p_tile[(tr * RM + r) * P_STRIDE + i4];
        [[unroll]] for (uint e = 0u; e < 4u; ++e) {
            uvec4 value = kv_tile[(i4 * 4u + e) * KV_STRIDE + tc];
            [[unroll]] for (uint r = 0u; r < RM; ++r) {
                uint seen = full ? ~0u : seen_halves(weights[r][e]), weight = weights[r][e] & seen;
                [[unroll]] for (uint x = 0u; x < 4u; ++x)
                    out_rows[r * DV_CHUNKS + chunk][x] =
                        pair_dot(weight, value[x] & seen, out_rows[r * DV_CHUNKS + chunk][x]);
            }
        }
    }
}
