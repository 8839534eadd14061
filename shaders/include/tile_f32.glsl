// Queries, keys, values and weights of a tile as floats in shared memory. A vector has four channels.
// SPDX-License-Identifier: MIT

const uint D_CHUNKS = (D4 + TC - 1u) / TC;
const uint Q_STRIDE = D4 + 1u;
const uint P_STRIDE = BC / 4u + 1u;

float weight_scale() {
    return 1.0;
}

shared vec4 q_tile[BR * Q_STRIDE];
shared vec4 kv_tile[BC * KV_STRIDE];
shared vec4 p_tile[BR * P_STRIDE];

void stage_queries(Grid g, uint first_row) {
    for (uint i = gl_LocalInvocationIndex; i < BR * D4; i += gl_WorkGroupSize.x) {
        uint d = i % D4;
        uvec2 query = row_query(g, min(first_row + i / D4, row_count(g) - 1u));
        q_tile[i / D4 * Q_STRIDE + d] = q_row4(query_at(g, query), p.q.d, d, D, has(VKA_FLAG_VEC4_QK));
    }
}

// Keys j0 .. of a step, channels of a chunk; 0 beyond the last key and the last channel.
void stage_keys(Grid g, uint head, int j0, int end, uint chunk) {
    FOR_EACH_SHARED(i, BC * TC) {
        uint c = i / TC, d = chunk * TC + i % TC;
        vec4 x = vec4(0.0);
        if (j0 + int(c) < end && has_vector(d, D4, TC))
            x = key_vector4(key_source(g, head, j0 + int(c)), d);
        kv_tile[c * KV_STRIDE + i % TC] = x;
    }
}

void multiply_keys(uint chunk) {
    uint count = min(TC, D4 - chunk * TC);
    for (uint i = 0u; i < count; ++i) {
        vec4 a[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) a[r] = q_tile[(tr * RM + r) * Q_STRIDE + chunk * TC + i];
        [[unroll]] for (uint n = 0u; n < CN; ++n) {
            vec4 b = kv_tile[(tc + n * TC) * KV_STRIDE + i];
            [[unroll]] for (uint r = 0u; r < RM; ++r) s[r * CN + n] = dot_add(a[r], b, s[r * CN + n]);
        }
    }
}

// The weights of a row's keys that this invocation owns.
void put_weights(uint row, float weights[CN], bool full) {
    [[unroll]] for (uint n = 0u; n < CN; ++n) {
        uint c = tc + n * TC;
        p_tile[row * P_STRIDE + c / 4u][c % 4u] = weights[n];
    }
}

void stage_values(Grid g, uint head, int j0, int end, uint chunk) {
    FOR_EACH_SHARED(i, BC * TC) {
        uint c = i / TC, d = chunk * TC + i % TC;
        vec4 x = vec4(0.0);
        if (j0 + int(c) < end && has_vector(d, DV4, TC))
            x = value_vector4(value_source(g, head, j0 + int(c)), d);
        kv_tile[c * KV_STRIDE + i % TC] = x;
    }
}

void multiply_values(uint chunk, bool full) {
    for (uint c4 = 0u; c4 < BC / 4u; ++c4) {
        vec4 weights[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) weights[r] = p_tile[(tr * RM + r) * P_STRIDE + c4];
        [[unroll]] for (uint e = 0u; e < 4u; ++e) {
            vec4 value = kv_tile[(c4 * 4u + e) * KV_STRIDE + tc];
            [[unroll]] for (uint r = 0u; r < RM; ++r) {
                float weight = weights[r][e];
                vec4 seen = full || floatBitsToUint(weight) != floatBitsToUint(UNSEEN) ? value : vec4(0.0);
                out_rows[r * DV_CHUNKS + chunk] = fma(vec4(weight), seen, out_rows[r * DV_CHUNKS + chunk]);
            }
        }
    }
}
