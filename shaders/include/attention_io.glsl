// The tensors of an attention kernel, where their rows lie, and how results are stored.
// SPDX-License-Identifier: MIT

#include "blocks.glsl"

VKA_INPUT(VKA_BIND_Q, q)
VKA_INPUT(VKA_BIND_K, k)
VKA_INPUT(VKA_BIND_V, v)
VKA_OUTPUT(VKA_BIND_OUT, out)
VKA_OUTPUT_F32(VKA_BIND_LSE, lse)
VKA_OUTPUT_F32(VKA_BIND_WORKSPACE, ws)
VKA_READERS(q, VKA_BIND_Q, Q_TYPE)
VKA_ANY_READERS(k, VKA_BIND_K, K_TYPE)
VKA_ANY_READERS(v, VKA_BIND_V, V_TYPE)
VKA_WRITERS(out, OUT_TYPE)
#if VKA_WITH_OPTIONS
VKA_INPUT_F32(VKA_BIND_K_SCALE, k_scale)
VKA_INPUT_F32(VKA_BIND_V_SCALE, v_scale)
VKA_OUTPUT_F32(VKA_BIND_STATS, stats)
#endif

#include "attention_keys.glsl"

uint value_head_at(Grid g) {
    return any_base(VKA_BIND_V, V_TYPE) + head_at(g, p.v);
}

Source value_source(Grid g, uint head, int key) {
    Source s = Source(head + kv_row(g, key, p.v), 1.0);
#if VKA_WITH_OPTIONS
    if (V_TYPE == VKA_TYPE_I8)
        s.scale = v_scale_at(push.base[VKA_BIND_V_SCALE] + head_at(g, p.v_scale) + kv_row(g, key, p.v_scale));
#endif
    return s;
}

vec4 value_vector4(Source s, uint d) {
    vec4 x = v_any4(s.row, p.v.d, d, DV, has(VKA_FLAG_VEC4_V));
    return V_TYPE == VKA_TYPE_I8 ? x * s.scale : x;
}

float value_scalar(Source s, uint d) {
    if (V_TYPE == VKA_TYPE_Q8_0 || V_TYPE == VKA_TYPE_Q4_0)
        return v_any4(s.row, 1u, d >> 2, DV, true)[d & 3u];
    float x = v_at(s.row + d * p.v.d);
    return V_TYPE == VKA_TYPE_I8 ? x * s.scale : x;
}

// ---- results ------------------------------------------------------------------------------------------------------------

#include "attention_final.glsl"

// Vector d of a row's result: normalised, or a split's part of it.
void store_vector(Grid g, uvec2 query, uint d, vec4 x) {
    if (has(VKA_FLAG_SPLIT)) {
        uint at = workspace_row(g, query) * DV + d * 4u;
        for (uint e = 0u; e < 4u; ++e)
            if (d * 4u + e < DV)
                ws_put(at + e, x[e]);
    } else {
        out_put_row4(out_at(g, query), p.out_.d, d, DV, has(VKA_FLAG_VEC4_OUT), plain_zeros(x));
    }
}

// Channel d of a row's result.
void store_scalar(Grid g, uvec2 query, uint d, float x) {
    if (has(VKA_FLAG_SPLIT))
        ws_put(workspace_row(g, query) * DV + d, x);
    else
        out_put(out_at(g, query) + d * p.out_.d, plain_zero(x));
}

// What a row's outputs are multiplied by before they are stored.
float final_scale(State s, uint head) {
    float rescale;
    s = with_sink(s, head, rescale);
    float scale = has(VKA_FLAG_SPLIT) ? 1.0 : rescale * normaliser(s.sum);
    return has_option(VKA_FLAG_DROPOUT) ? scale * p.keep_scale : scale;
}

void store_state(Grid g, uvec2 query, State s) {
    if (has(VKA_FLAG_SPLIT)) {
        uint row = workspace_row(g, query);
        ws_put(p.ws_stats + row * 2u, s.maximum);
        ws_put(p.ws_stats + row * 2u + 1u, s.sum);
    } else {
        float rescale;
        store_final(g, query, with_sink(s, query.x, rescale));
    }
}
