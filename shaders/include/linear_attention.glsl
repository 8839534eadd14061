// What the kernels of linear attention share: parameters, tensors, and the state, which stays in registers from the first to
// the last token of a dispatch.
//
// A workgroup owns COLUMNS x 4 value channels of a state and all key channels. An invocation has ROWS key channels of four
// value channels; PARTS invocations, which lie COLUMNS apart, share these.
// SPDX-License-Identifier: MIT
#include "elements.glsl"
#include "float_bits.glsl"
#include "exponential.glsl"
#include "params/linear_attention.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 32u;
layout(constant_id = VKA_SPEC_D) const uint DIM = 8u;
layout(constant_id = VKA_SPEC_RM) const uint ROWS = 8u;
layout(constant_id = VKA_SPEC_TC) const uint PARTS = 1u;
layout(constant_id = VKA_SPEC_BR) const uint TOKENS = 1u; // that are staged together
layout(constant_id = VKA_SPEC_BC) const uint QUERIES = 1u; // likewise

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

// What plans count as well: see shared_words of path_recurrent.c and path_chunked.c.
shared vec4 k_tile[TOKENS * PITCH];
shared vec4 q_tile[TOKENS * QUERIES * PITCH];
shared vec4 decay_tile[CHANNELS ? TOKENS * PITCH : TOKENS]; // factors
shared vec4 v_tile[TOKENS * COLUMNS];
shared float beta_tile[TOKENS];

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

Head head_of(uint b, uint h) {
    uint q_head = h / p.q_share * p.queries, k_head = h / p.k_share;
    Head head;
    head.q = push.base[VKA_BIND_LINEAR_Q] + b * p.q.b + q_head * p.q.h;
    head.k = push.base[VKA_BIND_LINEAR_K] + b * p.k.b + k_head * p.k.h;
    head.v = push.base[VKA_BIND_LINEAR_V] + b * p.v.b + h * p.v.h;
    head.decay = push.base[VKA_BIND_LINEAR_DECAY] + b * p.decay.b + h * p.decay.h;
    head.beta = push.base[VKA_BIND_LINEAR_BETA] + b * p.beta.b + h * p.beta.h;
    head.out_ = push.base[VKA_BIND_LINEAR_OUT] + b * p.out_.b + h * p.queries * p.out_.h;
    return head;
}

// ---- staging ----------------------------------------------------------------------------------------------------------

// A kernel may look at what it stages.
#ifndef VKA_STAGED
#    define VKA_STAGED(x) (x)
#    define VKA_STAGED_DECAY(x) (x)
#endif

void stage_queries(Head head, uint token, uint tokens, uint query, uint queries) {
    for (uint i = gl_LocalInvocationIndex; i < tokens * QUERIES * PITCH; i += GROUP_SIZE) {
        uint d = i % PITCH, j = i / PITCH % QUERIES, t = i / PITCH / QUERIES;
        uint at = head.q + (query + j) * p.q.h + (token + t) * p.q.n;
        q_tile[i] = j < queries && 4u * d < DIM ? VKA_STAGED(q_row4(at, p.q.d, d, DIM, VEC4_Q)) : vec4(0.0);
    }
}

void stage_keys(Head head, uint token, uint tokens) {
    for (uint i = gl_LocalInvocationIndex; i < tokens * PITCH; i += GROUP_SIZE) {
        uint d = i % PITCH, t = token + i / PITCH;
        bool there = 4u * d < DIM;
        k_tile[i] = there ? VKA_STAGED(k_row4(head.k + t * p.k.n, p.k.d, d, DIM, VEC4_K)) : vec4(0.0);
        if (CHANNELS) {
            vec4 g = there ? decay_row4(head.decay + t * p.decay.n, p.decay.d, d, DIM, VEC4_DECAY) : vec4(0.0);
            decay_tile[i] = VKA_STAGED_DECAY(vec4(exponential(g.x), exponential(g.y), exponential(g.z), exponential(g.w)));
        }
    }
}

void stage_values(Head head, uint token, uint tokens) {
    for (uint i = gl_LocalInvocationIndex; i < tokens * COLUMNS; i += GROUP_SIZE) {
        uint quad = quad_of(i % COLUMNS), t = token + i / COLUMNS;
        v_tile[i] = is_inside(quad) ? VKA_STAGED(v_row4(head.v + t * p.v.n, p.v.d, quad, p.value_dim, VEC4_V)) : vec4(0.0);
    }
    for (uint i = gl_LocalInvocationIndex; i < tokens; i += GROUP_SIZE) {
        beta_tile[i] = has(VKA_FLAG_LINEAR_BETA) ? VKA_STAGED(vec4(beta_at(head.beta + (token + i) * p.beta.n))).x : 1.0;
        if (has(VKA_FLAG_LINEAR_DECAY) && !CHANNELS)
            decay_tile[i] = VKA_STAGED_DECAY(vec4(exponential(decay_at(head.decay + (token + i) * p.decay.n))));
    }
}

// ---- the state --------------------------------------------------------------------------------------------------------

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

// What this part's rows of the state have for a staged row of keys or queries.
vec4 row_times_state(vec4 x, uint r, vec4 sum) {
    [[unroll]] for (uint i = 0u; i < 4u; ++i)
        sum = fma(vec4(x[i]), state[4u * r + i], sum);
    return sum;
}

vec4 key_times_state(uint t) {
    uint first = part() * ROWS / 4u;
    vec4 sum = vec4(0.0);
    VKA_UNROLL(r, ROWS / 4u)
        sum = row_times_state(k_tile[t * PITCH + first + r], r, sum);
    return sum;
}

vec4 query_times_state(uint row) {
    uint first = part() * ROWS / 4u;
    vec4 sum = vec4(0.0);
    VKA_UNROLL(r, ROWS / 4u)
        sum = row_times_state(q_tile[row * PITCH + first + r], r, sum);
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
