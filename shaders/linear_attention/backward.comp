#version 450
// Gradients of linear attention, by its recurrence backwards in time. Forwards, with a = exp(g):
//
//   S' = a S    u = v - S'^T k, or v    w = beta u    S = S' + k (x) w    o = scale q^T S
//
// and backwards, with D the gradient of S, which a token's queries add to first:
//
//   d_q = scale S d_o    D += scale q (x) d_o    d_w = D^T k    d_u = beta d_w    d_beta = d_w . u    d_v = d_u
//   d_k = D w - S' d_u    D' = D - k (x) d_u    d_g = sum of D' S'    D = a D'            (without delta: D' = D, d_k = D w)
//
// A workgroup owns COLUMNS x 4 value channels of a state and all key channels; an invocation has ROWS key channels of four value
// channels, and PARTS invocations, which lie COLUMNS apart, share these. It walks forwards once and keeps the state at the
// beginning of each chunk in the workspace; then chunk by chunk, the last one first, it walks forwards again, keeps the states of
// the chunk's tokens, and walks back over them. An invocation reads of these what it has written itself. Sums over value channels
// go to the workspace, where those of all columns are added up by elementwise/sum.comp.
//
// VKA_WITH_STATES = 1: there may be states that come in and gradients of those that go out. VKA_LOOPS = 1: loops over key channels
// stay loops, for software drivers, which compile long code for seconds.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "float_bits.glsl"
#include "exponential.glsl"
#include "params/linear_attention_backward.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 32u;
layout(constant_id = VKA_SPEC_D) const uint DIM = 8u;
layout(constant_id = VKA_SPEC_RM) const uint ROWS = 8u;
layout(constant_id = VKA_SPEC_TC) const uint PARTS = 1u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_linear_attention_backward_params p;
};

#define Q_TYPE TYPE_OF(VKA_ROLE_LINEAR_D_OF_Q)
#define K_TYPE TYPE_OF(VKA_ROLE_LINEAR_D_OF_K)
#define V_TYPE TYPE_OF(VKA_ROLE_LINEAR_D_OF_V)
#define DECAY_TYPE TYPE_OF(VKA_ROLE_LINEAR_D_OF_DECAY)
#define BETA_TYPE TYPE_OF(VKA_ROLE_LINEAR_D_OF_BETA)
#define D_OUT_TYPE TYPE_OF(VKA_ROLE_LINEAR_D_OUT)
#define D_V_TYPE TYPE_OF(VKA_ROLE_LINEAR_D_V)

VKA_INPUT(VKA_BIND_LINEAR_D_OF_Q, q)
VKA_READERS(q, VKA_BIND_LINEAR_D_OF_Q, Q_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_D_OF_K, k)
VKA_READERS(k, VKA_BIND_LINEAR_D_OF_K, K_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_D_OF_V, v)
VKA_READERS(v, VKA_BIND_LINEAR_D_OF_V, V_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_D_OF_DECAY, decay)
VKA_READERS(decay, VKA_BIND_LINEAR_D_OF_DECAY, DECAY_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_D_OF_BETA, beta)
VKA_READERS(beta, VKA_BIND_LINEAR_D_OF_BETA, BETA_TYPE)
VKA_INPUT(VKA_BIND_LINEAR_D_OUT, d_out)
VKA_READERS(d_out, VKA_BIND_LINEAR_D_OUT, D_OUT_TYPE)
VKA_INOUT(VKA_BIND_LINEAR_D_WS, ws)
VKA_OUTPUT(VKA_BIND_LINEAR_D_V, d_v)
VKA_WRITERS(d_v, D_V_TYPE)
#if VKA_WITH_STATES
VKA_INPUT(VKA_BIND_LINEAR_D_OF_STATE, state_in)
VKA_READERS(state_in, VKA_BIND_LINEAR_D_OF_STATE, VKA_TYPE_F32)
VKA_INPUT(VKA_BIND_LINEAR_D_STATE_OUT, d_state_out)
VKA_READERS(d_state_out, VKA_BIND_LINEAR_D_STATE_OUT, VKA_TYPE_F32)
VKA_OUTPUT(VKA_BIND_LINEAR_D_STATE_IN, d_state_in)
VKA_WRITERS(d_state_in, VKA_TYPE_F32)
#endif

#if VKA_LOOPS
#    define EACH(i, n) [[dont_unroll]] for (uint i = 0u; i < (n); ++i)
#else
#    define EACH(i, n) VKA_UNROLL(i, n)
#endif

const bool DELTA = (FLAGS & VKA_FLAG_LINEAR_D_DELTA) != 0u;
const bool DECAYS = (FLAGS & VKA_FLAG_LINEAR_D_DECAYS) != 0u;
const bool CHANNELS = (FLAGS & VKA_FLAG_LINEAR_D_CHANNELS) != 0u;
const uint COLUMNS = GROUP_SIZE / PARTS;
const uint ROWS4 = ROWS / 4u;

shared vec4 column_sums[GROUP_SIZE];
shared float row_sums[ROWS * GROUP_SIZE];

vec4 state[ROWS]; // S' or S
vec4 grad[ROWS];  // D
vec4 key[ROWS4], factor[ROWS4]; // of a token: its key, and what its decays leave
float sums[ROWS]; // of the own key channels over the own value channels

// The state that is owned: its place in each tensor, at token 0.
struct Head {
    uint b, h, quad;
    uint q, k, v, decay, beta, d_out, d_v;
    uint history; // of the states that are kept
};

uint column() {
    return gl_LocalInvocationIndex % COLUMNS;
}
uint part() {
    return gl_LocalInvocationIndex / COLUMNS;
}
bool is_inside(Head o) {
    return 4u * o.quad < p.value_dim;
}

uint place(uint slot, vka_strides s, uint b, uint h) {
    return push.base[slot] + b * s.b + h * s.h;
}

Head head_of(uint block, uint b, uint h) {
    Head o;
    o.b = b;
    o.h = h;
    o.quad = block * COLUMNS + column();
    uint q_head = h / p.q_share * p.queries;
    o.q = place(VKA_BIND_LINEAR_D_OF_Q, p.q, b, q_head);
    o.k = place(VKA_BIND_LINEAR_D_OF_K, p.k, b, h / p.k_share);
    o.v = place(VKA_BIND_LINEAR_D_OF_V, p.v, b, h);
    o.decay = place(VKA_BIND_LINEAR_D_OF_DECAY, p.decay, b, h);
    o.beta = place(VKA_BIND_LINEAR_D_OF_BETA, p.beta, b, h);
    o.d_out = place(VKA_BIND_LINEAR_D_OUT, p.d_out, b, h * p.queries);
    o.d_v = place(VKA_BIND_LINEAR_D_V, p.d_v, b, h);
    o.history = ((b * p.states + h) * p.blocks + block) * (p.chunks + p.chunk) * ROWS * GROUP_SIZE;
    return o;
}

// ---- states -----------------------------------------------------------------------------------------------------------

void keep_state(Head o, uint slot) {
    uint at = o.history + slot * ROWS * GROUP_SIZE + gl_LocalInvocationIndex;
    EACH(r, ROWS)
        ws_w4[at + r * GROUP_SIZE] = floatBitsToUint(state[r]);
}

void recall_state(Head o, uint slot) {
    uint at = o.history + slot * ROWS * GROUP_SIZE + gl_LocalInvocationIndex;
    EACH(r, ROWS)
        state[r] = uintBitsToFloat(ws_w4[at + r * GROUP_SIZE]);
}

void begin_state(Head o) {
    EACH(r, ROWS) {
        state[r] = vec4(0.0);
#if VKA_WITH_STATES
        uint d = part() * ROWS + r, at = place(VKA_BIND_LINEAR_D_OF_STATE, p.state_in, o.b, o.h) + d * p.state_in.n;
        if (has(VKA_FLAG_LINEAR_D_STATE_IN) && d < DIM && is_inside(o))
            state[r] = state_in_row4(at, p.state_in.d, o.quad, p.value_dim, false);
#endif
    }
}

void begin_gradient(Head o) {
    EACH(r, ROWS) {
        grad[r] = vec4(0.0);
#if VKA_WITH_STATES
        uint d = part() * ROWS + r, at = place(VKA_BIND_LINEAR_D_STATE_OUT, p.d_state_out, o.b, o.h) + d * p.d_state_out.n;
        if (has(VKA_FLAG_LINEAR_D_STATE_OUT) && d < DIM && is_inside(o))
            grad[r] = d_state_out_row4(at, p.d_state_out.d, o.quad, p.value_dim, false);
#endif
    }
}

void store_gradient(Head o) {
#if VKA_WITH_STATES
    uint to = place(VKA_BIND_LINEAR_D_STATE_IN, p.d_state_in, o.b, o.h);
    EACH(r, ROWS) {
        uint d = part() * ROWS + r;
        if (has(VKA_FLAG_LINEAR_D_STATE) && d < DIM && is_inside(o))
            d_state_in_put_row4(to + d * p.d_state_in.n, p.d_state_in.d, o.quad, p.value_dim, false, grad[r]);
    }
#endif
}

// ---- sums -------------------------------------------------------------------------------------------------------------

// Over the parts of a column.
vec4 over_parts(vec4 x) {
    if (PARTS == 1u)
        return x;
    barrier();
    column_sums[gl_LocalInvocationIndex] = x;
    barrier();
    vec4 sum = vec4(0.0);
    for (uint i = 0u; i < PARTS; ++i)
        sum += column_sums[i * COLUMNS + column()];
    return sum;
}

// Of each key channel over the columns, to `to` in the workspace.
void store_sums(uint to) {
    barrier();
    EACH(r, ROWS)
        row_sums[(part() * ROWS + r) * COLUMNS + column()] = sums[r];
    barrier();
    for (uint d = gl_LocalInvocationIndex; d < DIM; d += GROUP_SIZE) {
        float sum = 0.0;
        for (uint c = 0u; c < COLUMNS; ++c)
            sum += row_sums[d * COLUMNS + c];
        ws_w[to + d] = floatBitsToUint(sum);
    }
}

// Over the whole workgroup.
void store_total(uint to, float x) {
    barrier();
    column_sums[gl_LocalInvocationIndex] = vec4(x);
    barrier();
    if (gl_LocalInvocationIndex != 0u)
        return;
    float sum = 0.0;
    for (uint i = 0u; i < GROUP_SIZE; ++i)
        sum += column_sums[i].x;
    ws_w[to] = floatBitsToUint(sum);
}

// Where a token's row of a copy lies: of heads of which `share` states have one in common, and `many` belong to a state.
uint copy_at(Head o, uint first, uint share, uint many, uint index, uint t, uint cols) {
    uint copy = gl_WorkGroupID.x + push.x0, heads = p.states / share * many;
    copy = copy * share + o.h % share;
    return first + (((copy * p.batch + o.b) * heads + o.h / share * many + index) * p.tokens + t) * cols;
}

// ---- a token ----------------------------------------------------------------------------------------------------------

vec4 key_times(vec4 x[ROWS]) {
    vec4 sum = vec4(0.0);
    EACH(r, ROWS)
        sum = fma(vec4(key[r / 4u][r % 4u]), x[r], sum);
    return sum;
}

void read_token(Head o, uint t) {
    float all = DECAYS && !CHANNELS ? exponential(decay_at(o.decay + t * p.decay.n)) : 1.0;
    EACH(r, ROWS4) {
        uint d = part() * ROWS4 + r;
        bool there = 4u * d < DIM;
        key[r] = there ? k_row4(o.k + t * p.k.n, p.k.d, d, DIM, false) : vec4(0.0);
        factor[r] = vec4(all);
        if (CHANNELS) {
            vec4 g = there ? decay_row4(o.decay + t * p.decay.n, p.decay.d, d, DIM, false) : vec4(0.0);
            factor[r] = vec4(exponential(g.x), exponential(g.y), exponential(g.z), exponential(g.w));
        }
    }
}

float beta_of(Head o, uint t) {
    return has(VKA_FLAG_LINEAR_D_BETAS) ? beta_at(o.beta + t * p.beta.n) : 1.0;
}

void decay_state() {
    EACH(r, ROWS)
        state[r] *= factor[r / 4u][r % 4u];
}

// u; the state has decayed.
vec4 value_of(Head o, uint t) {
    vec4 value = is_inside(o) ? v_row4(o.v + t * p.v.n, p.v.d, o.quad, p.value_dim, false) : vec4(0.0);
    return DELTA ? value - over_parts(key_times(state)) : value;
}

void write_state(vec4 value) {
    EACH(r, ROWS)
        state[r] = fma(vec4(key[r / 4u][r % 4u]), value, state[r]);
}

// Forwards; slot: where what the state decayed to is kept, if it is below the number of all.
void step_on(Head o, uint t, bool keeps, uint slot) {
    read_token(o, t);
    if (DECAYS)
        decay_state();
    if (keeps)
        keep_state(o, slot);
    write_state(beta_of(o, t) * value_of(o, t));
}

// What queries read of the state after the token, which is state + k (x) w.
void step_queries(Head o, uint t, vec4 w) {
    for (uint j = 0u; j < p.queries; ++j) {
        uint row = o.d_out + j * p.d_out.h + t * p.d_out.n, q_row = o.q + j * p.q.h + t * p.q.n;
        vec4 d = is_inside(o) ? d_out_row4(row, p.d_out.d, o.quad, p.value_dim, false) : vec4(0.0);
        d *= p.scale;
        EACH(r, ROWS)
            sums[r] = dot(fma(vec4(key[r / 4u][r % 4u]), w, state[r]), d);
        EACH(n, ROWS4) {
            uint at = part() * ROWS4 + n;
            vec4 x = 4u * at < DIM ? q_row4(q_row, p.q.d, at, DIM, false) : vec4(0.0);
            [[unroll]] for (uint i = 0u; i < 4u; ++i)
                grad[4u * n + i] = fma(vec4(x[i]), d, grad[4u * n + i]);
        }
        if (has(VKA_FLAG_LINEAR_D_Q))
            store_sums(copy_at(o, p.d_q, p.q_share, p.queries, j, t, DIM));
    }
}

void store_decay(Head o, uint t) {
    float all = 0.0;
    EACH(r, ROWS) {
        sums[r] = dot(grad[r], state[r]);
        all += sums[r];
    }
    if (CHANNELS)
        store_sums(copy_at(o, p.d_decay, 1u, 1u, 0u, t, DIM));
    else
        store_total(copy_at(o, p.d_decay, 1u, 1u, 0u, t, 1u), all);
}

// Backwards; state is what it decayed to.
void step_back(Head o, uint t) {
    read_token(o, t);
    vec4 u = value_of(o, t);
    float beta = beta_of(o, t);
    vec4 w = beta * u;
    step_queries(o, t, w);
    vec4 d_w = over_parts(key_times(grad)), d_u = beta * d_w;
    EACH(r, ROWS)
        sums[r] = DELTA ? dot(grad[r], w) - dot(state[r], d_u) : dot(grad[r], w);
    if (has(VKA_FLAG_LINEAR_D_K))
        store_sums(copy_at(o, p.d_k, p.k_share, 1u, 0u, t, DIM));
    if (has(VKA_FLAG_LINEAR_D_BETA))
        store_total(copy_at(o, p.d_beta, 1u, 1u, 0u, t, 1u), part() == 0u ? dot(d_w, u) : 0.0);
    if (has(VKA_FLAG_LINEAR_D_V) && part() == 0u && is_inside(o))
        d_v_put_row4(o.d_v + t * p.d_v.n, p.d_v.d, o.quad, p.value_dim, false, d_u);
    if (DELTA) {
        EACH(r, ROWS)
            grad[r] = fma(vec4(-key[r / 4u][r % 4u]), d_u, grad[r]);
    }
    if (has(VKA_FLAG_LINEAR_D_DECAY))
        store_decay(o, t);
    if (DECAYS) {
        EACH(r, ROWS)
            grad[r] *= factor[r / 4u][r % 4u];
    }
}

void main() {
    Head o = head_of(gl_WorkGroupID.x + push.x0, gl_WorkGroupID.z + push.z0, gl_WorkGroupID.y + push.y0);
    begin_state(o);
    [[dont_unroll]] for (uint c = 0u; c < p.chunks; ++c) {
        keep_state(o, c);
        for (uint t = c * p.chunk; c + 1u < p.chunks && t < (c + 1u) * p.chunk; ++t)
            step_on(o, t, false, 0u);
    }
    begin_gradient(o);
    [[dont_unroll]] for (uint c = p.chunks; c-- > 0u;) {
        uint first = c * p.chunk, count = min(p.chunk, p.tokens - first);
        recall_state(o, c);
        [[dont_unroll]] for (uint i = 0u; i < count; ++i)
            step_on(o, first + i, true, p.chunks + i);
        [[dont_unroll]] for (uint i = count; i-- > 0u;) {
            recall_state(o, p.chunks + i);
            step_back(o, first + i);
        }
    }
    store_gradient(o);
}
