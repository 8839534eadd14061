// The tensors of an attention kernel, where their rows lie, and how results are stored.
// SPDX-License-Identifier: MIT

VKA_INPUT(VKA_BIND_Q, q)
VKA_INPUT(VKA_BIND_K, k)
VKA_INPUT(VKA_BIND_V, v)
VKA_OUTPUT(VKA_BIND_OUT, out)
VKA_OUTPUT_F32(VKA_BIND_LSE, lse)
VKA_OUTPUT_F32(VKA_BIND_WORKSPACE, ws)
VKA_ROW_READER(q)
VKA_ROW_READER(k)
VKA_ROW_READER(v)
VKA_ROW_WRITER(out)

// A row's running softmax: its maximum score and its sum of exponentials relative to it.
struct State {
    float maximum, sum;
};

uint query_at(Grid g, uvec2 query) {
    return push.base[VKA_BIND_Q] + g.batch * p.q.b + query.x * p.q.h + query.y * p.q.n;
}

uint key_head_at(Grid g) {
    return push.base[VKA_BIND_K] + g.batch * p.k.b + kv_head(g) * p.k.h;
}

uint value_head_at(Grid g) {
    return push.base[VKA_BIND_V] + g.batch * p.v.b + kv_head(g) * p.v.h;
}

// Vector d of a row's result: normalised, or a split's part of it.
void store_vector(Grid g, uvec2 query, uint d, vec4 x) {
    if (has(VKA_FLAG_SPLIT)) {
        uint at = workspace_row(g, query) * DV + d * 4u;
        for (uint e = 0u; e < 4u; ++e)
            if (d * 4u + e < DV)
                ws_put(at + e, x[e]);
    } else {
        uint at = push.base[VKA_BIND_OUT] + g.batch * p.out_.b + query.x * p.out_.h + query.y * p.out_.n;
        out_put_row4(at, p.out_.d, d, DV, has(VKA_FLAG_VEC4_OUT), x);
    }
}

// Channel d of a row's result.
void store_scalar(Grid g, uvec2 query, uint d, float x) {
    if (has(VKA_FLAG_SPLIT))
        ws_put(workspace_row(g, query) * DV + d, x);
    else
        out_put(push.base[VKA_BIND_OUT] + g.batch * p.out_.b + query.x * p.out_.h + query.y * p.out_.n + d * p.out_.d,
                x);
}

// What a row's outputs are multiplied by before they are stored.
float final_scale(State s) {
    return has(VKA_FLAG_SPLIT) ? 1.0 : normaliser(s.sum);
}

void store_state(Grid g, uvec2 query, State s) {
    if (has(VKA_FLAG_SPLIT)) {
        uint row = workspace_row(g, query);
        ws_put(p.ws_stats + row * 2u, s.maximum);
        ws_put(p.ws_stats + row * 2u + 1u, s.sum);
    } else if (has(VKA_FLAG_LSE)) {
        lse_put(push.base[VKA_BIND_LSE] + g.batch * p.lse.b + query.x * p.lse.h + query.y * p.lse.n,
                lse_of(s.maximum, s.sum));
    }
}
