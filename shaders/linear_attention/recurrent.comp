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
#include "elements.glsl"
#include "float_bits.glsl"
#include "exponential.glsl"
#include "params/linear_attention.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 32u;
layout(constant_id = VKA_SPEC_D) const uint DIM = 8u;
layout(constant_id = VKA_SPEC_RM) const uint ROWS = 8u;
layout(constant_id = VKA_SPEC_TC) const uint PARTS = 1u;
layout(constant_id = VKA_SPEC_BR) const uint TOKENS = 1u;
layout(constant_id = VKA_SPEC_BC) const uint QUERIES = 1u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_linear_attention_params p;
};

#define Q_TYPE TYPE_OF(VKA_ROLE_LINEAR_Q)
#define K_TYPE TYPE_OF(VKA_ROLE_LINEAR_K)
#define V_TYPE TYPE_OF(VKA_ROLE_LINEAR_V)
#define OUT_TYPE TYPE_OF(VKA_ROLE_LINEAR_OUT)
#define DECAY_TYPE TYPE_OF(VKA_ROLE_LINEAR_DECAY)
#define BETA_TYPE TYPE_OF(VKA_ROLE_LINEAR_BETA)

VKA_INPUT(VKA_BIND_LINEAR_Q, q)
VKA_READERS(q, VKA_BIND_LINEAR_Q, Q_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_K, k)
VKA_READERS(k, VKA_BIND_LINEAR_K, K_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_V, v)
VKA_READERS(v, VKA_BIND_LINEAR_V, V_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_DECAY, decay)
VKA_READERS(decay, VKA_BIND_LINEAR_DECAY, DECAY_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_BETA, beta)
VKA_READERS(beta, VKA_BIND_LINEAR_BETA, BETA_TYPE)
VKA_OUTPUT(VKA_BIND_LINEAR_OUT, out)
VKA_WRITERS(out, OUT_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_STATE_IN, state_in)
VKA_READERS(state_in, VKA_BIND_LINEAR_STATE_IN, VKA_TYPE_F32)
VKA_OUTPUT(VKA_BIND_LINEAR_STATE_OUT, state_out)
VKA_WRITERS(state_out, VKA_TYPE_F32)

const bool DELTA = (FLAGS & VKA_FLAG_LINEAR_DELTA) != 0u;
const bool CHANNELS = (FLAGS & VKA_FLAG_LINEAR_CHANNELS) != 0u;
const bool VEC4_Q = (FLAGS & VKA_FLAG_LINEAR_VEC4_Q) != 0u;
const bool VEC4_K = (FLAGS & VKA_FLAG_LINEAR_VEC4_K) != 0u;
const bool VEC4_V = (FLAGS & VKA_FLAG_LINEAR_VEC4_V) != 0u;
const bool VEC4_OUT = (FLAGS & VKA_FLAG_LINEAR_VEC4_OUT) != 0u;
const bool VEC4_DECAY = (FLAGS & VKA_FLAG_LINEAR_VEC4_DECAY) != 0u;
const bool VEC4_STATE = (FLAGS & VKA_FLAG_LINEAR_VEC4_STATE) != 0u;

const uint COLUMNS = GROUP_SIZE / PARTS;
const uint PITCH = PARTS * ROWS / 4u; // vectors of a staged row; key channels from DIM on are 0
const bool PADDED = PARTS * ROWS != DIM;

// What the plan counts as well: see shared_words of linear_attention.c.
shared vec4 k_tile[TOKENS * PITCH];
shared vec4 q_tile[TOKENS * QUERIES * PITCH];
shared vec4 decay_tile[CHANNELS ? TOKENS * PITCH : TOKENS];
shared vec4 v_tile[TOKENS * COLUMNS];
shared float beta_tile[TOKENS];
shared vec4 key_sums[DELTA ? 2u * GROUP_SIZE : 1u]; // of every other token
shared vec4 query_sums[TOKENS * QUERIES * GROUP_SIZE];

vec4 state[ROWS];

// Where the state's head begins in each tensor, at the dispatch's first token; of q and out its first query's.
struct Head {
    uint q, k, v, decay, beta, out_;
};

uint column() {
    return gl_LocalInvocationIndex % COLUMNS;
}
uint part() {
    return gl_LocalInvocationIndex / COLUMNS;
}
// The vector of value channels that is a column of this workgroup.
uint quad_of(uint column) {
    return (gl_WorkGroupID.x + push.x0) * COLUMNS + column;
}
bool is_inside(uint quad) {
    return 4u * quad < p.value_dim;
}

// ---- staging ----------------------------------------------------------------------------------------------------------

void stage_queries(Head head, uint token, uint tokens, uint query, uint queries) {
    for (uint i = gl_LocalInvocationIndex; i < tokens * QUERIES * PITCH; i += GROUP_SIZE) {
        uint d = i % PITCH, j = i / PITCH % QUERIES, t = i / PITCH / QUERIES;
        uint at = head.q + (query + j) * p.q.h + (token + t) * p.q.n;
        q_tile[i] = j < queries && 4u * d < DIM ? q_row4(at, p.q.d, d, DIM, VEC4_Q) : vec4(0.0);
    }
}

void stage_keys(Head head, uint token, uint tokens) {
    for (uint i = gl_LocalInvocationIndex; i < tokens * PITCH; i += GROUP_SIZE) {
        uint d = i % PITCH, t = token + i / PITCH;
        bool there = 4u * d < DIM;
        k_tile[i] = there ? k_row4(head.k + t * p.k.n, p.k.d, d, DIM, VEC4_K) : vec4(0.0);
        if (CHANNELS) {
            vec4 g = there ? decay_row4(head.decay + t * p.decay.n, p.decay.d, d, DIM, VEC4_DECAY) : vec4(0.0);
            decay_tile[i] = vec4(exponential(g.x), exponential(g.y), exponential(g.z), exponential(g.w));
        }
    }
}

void stage_values(Head head, uint token, uint tokens) {
    for (uint i = gl_LocalInvocationIndex; i < tokens * COLUMNS; i += GROUP_SIZE) {
        uint quad = quad_of(i % COLUMNS), t = token + i / COLUMNS;
        v_tile[i] = is_inside(quad) ? v_row4(head.v + t * p.v.n, p.v.d, quad, p.value_dim, VEC4_V) : vec4(0.0);
    }
    for (uint i = gl_LocalInvocationIndex; i < tokens; i += GROUP_SIZE) {
        beta_tile[i] = has(VKA_FLAG_LINEAR_BETA) ? beta_at(head.beta + (token + i) * p.beta.n) : 1.0;
        if (has(VKA_FLAG_LINEAR_DECAY) && !CHANNELS)
            decay_tile[i] = vec4(exponential(decay_at(head.decay + (token + i) * p.decay.n)));
    }
}

// ---- a token ----------------------------------------------------------------------------------------------------------

vec4 decay_of_rows(uint t, uint vector) {
    return CHANNELS ? decay_tile[t * PITCH + vector] : decay_tile[t];
}

void decay_state(uint t) {
    uint first = part() * ROWS / 4u;
    VKA_UNROLL(r, ROWS / 4u) {
        vec4 e = decay_of_rows(t, first + r);
        [[unroll]] for (uint i = 0u; i < 4u; ++i)
            state[4u * r + i] *= e[i];
    }
}

// Lets a token's key read the state. `turn` is another one than that of the token before.
vec4 read_state(uint t, uint turn) {
    uint first = part() * ROWS / 4u;
    vec4 sum = vec4(0.0);
    VKA_UNROLL(r, ROWS / 4u) {
        vec4 k = k_tile[t * PITCH + first + r];
        [[unroll]] for (uint i = 0u; i < 4u; ++i)
            sum = fma(vec4(k[i]), state[4u * r + i], sum);
    }
    if (PARTS == 1u)
        return sum;
    key_sums[turn * GROUP_SIZE + gl_LocalInvocationIndex] = sum;
    barrier();
    sum = vec4(0.0);
    for (uint i = 0u; i < PARTS; ++i)
        sum += key_sums[turn * GROUP_SIZE + i * COLUMNS + column()];
    return sum;
}

void write_state(uint t, vec4 value) {
    uint first = part() * ROWS / 4u;
    VKA_UNROLL(r, ROWS / 4u) {
        vec4 k = k_tile[t * PITCH + first + r];
        [[unroll]] for (uint i = 0u; i < 4u; ++i) {
            // Nothing, not even 0 times infinity, reaches channels that are not there.
            if (!PADDED || 4u * (first + r) + i < DIM)
                state[4u * r + i] = fma(vec4(k[i]), value, state[4u * r + i]);
        }
    }
}

void query_state(uint t) {
    uint first = part() * ROWS / 4u;
    for (uint j = 0u; j < QUERIES; ++j) {
        vec4 sum = vec4(0.0);
        VKA_UNROLL(r, ROWS / 4u) {
            vec4 q = q_tile[(t * QUERIES + j) * PITCH + first + r];
            [[unroll]] for (uint i = 0u; i < 4u; ++i)
                sum = fma(vec4(q[i]), state[4u * r + i], sum);
        }
        query_sums[(t * QUERIES + j) * GROUP_SIZE + gl_LocalInvocationIndex] = sum;
    }
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

void load_state(uint b, uint h) {
    // What an earlier dispatch left lies as the state that goes out.
    vka_strides s = push.z0 == VKA_LINEAR_FROM_OUT ? p.state_out : p.state_in;
    uint at = push.base[VKA_BIND_LINEAR_STATE_IN] + b * s.b + h * s.h;
    uint quad = quad_of(column());
    VKA_UNROLL(r, ROWS) {
        uint d = part() * ROWS + r;
        bool there = push.z0 != VKA_LINEAR_FROM_ZERO && d < DIM && is_inside(quad);
        state[r] = vec4(0.0);
        if (there)
            state[r] = state_in_row4(at + d * s.n, s.d, quad, p.value_dim, VEC4_STATE);
    }
}

void store_state(uint at) {
    uint quad = quad_of(column());
    VKA_UNROLL(r, ROWS) {
        uint d = part() * ROWS + r;
        if (d < DIM && is_inside(quad))
            state_out_put_row4(at + d * p.state_out.n, p.state_out.d, quad, p.value_dim, VEC4_STATE, state[r]);
    }
}

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
    uint q_head = h / p.q_share * p.queries, k_head = h / p.k_share;
    Head head;
    head.q = push.base[VKA_BIND_LINEAR_Q] + b * p.q.b + q_head * p.q.h;
    head.k = push.base[VKA_BIND_LINEAR_K] + b * p.k.b + k_head * p.k.h;
    head.v = push.base[VKA_BIND_LINEAR_V] + b * p.v.b + h * p.v.h;
    head.decay = push.base[VKA_BIND_LINEAR_DECAY] + b * p.decay.b + h * p.decay.h;
    head.beta = push.base[VKA_BIND_LINEAR_BETA] + b * p.beta.b + h * p.beta.h;
    head.out_ = push.base[VKA_BIND_LINEAR_OUT] + b * p.out_.b + h * p.queries * p.out_.h;
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
