#version 450
// Linear attention with a state S [Dk, Dv] by its recurrence, token by token (Katharopoulos 2020; with decays Yang 2023, with
// the delta rule Schlag 2021, with both Yang 2024):
//
//   S = exp(g) S    S += k (x) beta (v - S^T k), or k (x) v    o = scale q^T S
//
// A workgroup owns COLUMNS x 4 value channels of a state and all key channels: the state stays in registers from the first to
// the last token, and no workgroup needs another one's. An invocation has ROWS key channels of four value channels; PARTS
// invocations, which lie COLUMNS apart, share these. Sums over key channels go through shared memory: S^T k for each token,
// which the next one waits for; q^T S once for TOKENS tokens, of which keys, queries and values are staged together.
// Where more query heads read a state than QUERIES, their rows are staged one lot after the other, and TOKENS is 1.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "linear_attention.glsl"

// What the plan counts as well.
shared vec4 key_sums[DELTA ? 2u * GROUP_SIZE : 1u]; // of every other token
shared vec4 query_sums[TOKENS * QUERIES * GROUP_SIZE];

// ---- a token ----------------------------------------------------------------------------------------------------------

// Lets a token's key read the state. `turn` is another one than that of the token before.
vec4 read_state(uint t, uint turn) {
    vec4 sum = key_times_state(t);
    if (PARTS == 1u)
        return sum;
    key_sums[turn * GROUP_SIZE + gl_LocalInvocationIndex] = sum;
    barrier();
    sum = vec4(0.0);
    for (uint i = 0u; i < PARTS; ++i)
        sum += key_sums[turn * GROUP_SIZE + i * COLUMNS + column()];
    return sum;
}

void query_state(uint t) {
    for (uint j = 0u; j < QUERIES; ++j)
        query_sums[(t * QUERIES + j) * GROUP_SIZE + gl_LocalInvocationIndex] = query_times_state(t * QUERIES + j);
}

// Adds up the parts of what queries have read.
void store_outputs(Head head, uint token, uint tokens, uint query, uint queries) {
    for (uint i = gl_LocalInvocationIndex; i < tokens * QUERIES * COLUMNS; i += GROUP_SIZE) {
        uint c = i % COLUMNS, row = i / COLUMNS, j = row % QUERIES, t = row / QUERIES, quad = quad_of(c);
        if (j >= queries || !is_inside(quad))
            continue;
        vec4 sum = vec4(0.0);
        for (uint n = 0u; n < PARTS; ++n)
            sum += query_sums[row * GROUP_SIZE + n * COLUMNS + c];
        uint at = head.out_ + (query + j) * p.out_.h + (token + t) * p.out_.n;
        out_put_row4(at, p.out_.d, quad, p.value_dim, VEC4_OUT, sum * p.scale);
    }
}

// ---- all of them ------------------------------------------------------------------------------------------------------

// Queries beyond those that were staged with the keys; TOKENS is 1.
void query_again(Head head, uint token) {
    for (uint query = QUERIES; query < p.queries; query += QUERIES) {
        uint queries = min(QUERIES, p.queries - query);
        stage_queries(head, token, 1u, query, queries);
        barrier();
        query_state(0u);
        barrier();
        store_outputs(head, token, 1u, query, queries);
    }
}

void main() {
    uint b = gl_WorkGroupID.z + push.b0, h = gl_WorkGroupID.y + push.y0;
    Head head = head_of(b, h);
    load_state(b, h);
    uint queries = min(QUERIES, p.queries), turn = 0u;
    for (uint token = 0u; token < push.rows; token += TOKENS) {
        uint tokens = min(TOKENS, push.rows - token);
        stage_keys(head, token, tokens);
        stage_values(head, token, tokens);
        stage_queries(head, token, tokens, 0u, queries);
        barrier();
        for (uint t = 0u; t < tokens; ++t) {
            if (has(VKA_FLAG_LINEAR_DECAY))
                decay_state(t);
            vec4 value = v_tile[t * COLUMNS + column()];
            if (DELTA)
                value = beta_tile[t] * (value - read_state(t, turn));
            turn ^= 1u;
            write_state(t, value);
            query_state(t);
        }
        barrier();
        store_outputs(head, token, tokens, 0u, queries);
        query_again(head, token);
    }
    if (has(VKA_FLAG_LINEAR_STATE_OUT))
        store_state(push.base[VKA_BIND_LINEAR_STATE_OUT] + b * p.state_out.b + h * p.state_out.h);
}
