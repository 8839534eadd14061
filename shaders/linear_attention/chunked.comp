#version 450
// Linear attention by chunks of TOKENS tokens (Hua 2022; with decays Yang 2023, for the delta rule Yang 2024: the WY form).
// Of a chunk that begins with the state S, with P(t, s) the product of the decays of tokens s + 1 .. t:
//
//   o(t) = scale (q(t) . P(t, 0) S + sum over s <= t of A(t, s) u(s))      A(t, s) = sum over d of q(t, d) P(t, s, d) k(s, d)
//   u(t) = beta(t) (v(t) - k(t) . P(t, 0) S - sum over s < t of B(t, s) u(s))      B: likewise, of k(t); without the rule u = v
//   S becomes P(n, 0) S + sum over s of P(n, s) k(s) (x) u(s)
//
// So nothing waits for the token before but the forward substitution that finds u, and that is in shared memory, of scalars.
// The state lies as in recurrent.comp. P is multiplied up, token by token, as the recurrence does it: no logarithm is
// summed up, of whose sum little would be left where decays are strong, and no exponent is above 0.
//
// Where a factor is above 1, or something is not finite, products in another order could overflow, or make a NaN of a zero,
// where the recurrence does not. Such chunks go token by token; once something was not finite all do, as the state may be so.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require

bool seen_nonfinite = false, seen_growth = false; // by this invocation, in this chunk
vec4 staged(vec4 x);
vec4 staged_decay(vec4 x);
#define VKA_STAGED(x) staged(x)
#define VKA_STAGED_DECAY(x) staged_decay(x)
#include "linear_attention.glsl"

layout(constant_id = VKA_SPEC_M) const uint LOT = 1u; // tokens whose sums over parts are added up together

const uint KINDS = QUERIES + (DELTA ? 1u : 0u); // of rows that read the state: queries, then the key
const uint RUN = 4u;                            // tokens of an invocation's scores

// What the plan counts as well.
shared vec4 sums[2u * LOT * KINDS * GROUP_SIZE]; // of every other lot
shared vec4 out_tile[TOKENS * QUERIES * COLUMNS];
shared float query_scores[QUERIES * TOKENS * TOKENS];
shared float key_scores[DELTA ? TOKENS * TOKENS : 1u];
shared uint nonfinite;  // 1: something was not finite so far
shared uint growing_at; // 1 + the last chunk with a factor above 1

vec4 staged(vec4 x) {
    seen_nonfinite = seen_nonfinite || any(are_nonfinite(x));
    return x;
}

vec4 staged_decay(vec4 x) {
    seen_growth = seen_growth || any(greaterThan(x, vec4(1.0)));
    return staged(x);
}

// ---- sums -------------------------------------------------------------------------------------------------------------

uint sum_at(uint turn, uint row) {
    return (turn * LOT * KINDS + row) * GROUP_SIZE;
}

vec4 sum_of_parts(uint turn, uint row, uint c) {
    vec4 sum = vec4(0.0);
    for (uint i = 0u; i < PARTS; ++i)
        sum += sums[sum_at(turn, row) + i * COLUMNS + c];
    return sum;
}

void store_output(Head head, uint token, uint j, uint c, vec4 y) {
    uint at = head.out_ + j * p.out_.h + token * p.out_.n;
    if (is_inside(quad_of(c)))
        out_put_row4(at, p.out_.d, quad_of(c), p.value_dim, VEC4_OUT, y * p.scale);
}

// ---- a chunk but for the state ----------------------------------------------------------------------------------------

// What tokens first .. first + RUN - 1 have for the key of token s, if they do not come before it.
void score(uint s, uint first, uint tokens) {
    float x[KINDS * RUN];
    [[unroll]] for (uint i = 0u; i < KINDS * RUN; ++i)
        x[i] = 0.0;
    for (uint d = 0u; d < PITCH; ++d) {
        vec4 k = k_tile[s * PITCH + d];
        for (uint t = s + 1u; CHANNELS && t < first; ++t)
            k *= decay_tile[t * PITCH + d];
        [[unroll]] for (uint i = 0u; i < RUN; ++i) {
            uint t = first + i;
            if (t < s || t >= tokens)
                continue;
            if (CHANNELS && t > s)
                k *= decay_tile[t * PITCH + d];
            [[unroll]] for (uint j = 0u; j < QUERIES; ++j)
                x[j * RUN + i] += dot(q_tile[(t * QUERIES + j) * PITCH + d], k);
            if (DELTA)
                x[QUERIES * RUN + i] += dot(k_tile[t * PITCH + d], k);
        }
    }
    float f = 1.0;
    for (uint t = s + 1u; !CHANNELS && has(VKA_FLAG_LINEAR_DECAY) && t < first; ++t)
        f *= decay_tile[t].x;
    [[unroll]] for (uint i = 0u; i < RUN; ++i) {
        uint t = first + i;
        if (t < s || t >= tokens)
            continue;
        if (!CHANNELS && has(VKA_FLAG_LINEAR_DECAY) && t > s)
            f *= decay_tile[t].x;
        [[unroll]] for (uint j = 0u; j < QUERIES; ++j)
            query_scores[(j * TOKENS + t) * TOKENS + s] = x[j * RUN + i] * f;
        if (DELTA)
            key_scores[t * TOKENS + s] = x[QUERIES * RUN + i] * f;
    }
}

void score_all(uint tokens) {
    for (uint i = gl_LocalInvocationIndex; i < TOKENS * (TOKENS / RUN); i += GROUP_SIZE) {
        uint s = i % TOKENS, first = i / TOKENS * RUN;
        if (first + RUN > s && s < tokens && first < tokens)
            score(s, first, tokens);
    }
}

// Of a token: what a query reads of the state, or what is left of its value.
void keep(uint t, uint row, uint c, vec4 sum) {
    if (row < QUERIES)
        out_tile[(t * QUERIES + row) * COLUMNS + c] = sum;
    else
        v_tile[t * COLUMNS + c] -= sum;
}

// Adds up what the parts have read in a lot, which is complete.
void keep_lot(uint turn, uint first, uint lot) {
    for (uint i = gl_LocalInvocationIndex; i < lot * KINDS * COLUMNS; i += GROUP_SIZE) {
        uint row = i / COLUMNS, c = i % COLUMNS;
        keep(first + row / KINDS, row % KINDS, c, sum_of_parts(turn, row, c));
    }
}

// Values become what the state takes up: a triangular system for each value channel.
void substitute(uint tokens) {
    for (uint i = gl_LocalInvocationIndex; i < 4u * COLUMNS; i += GROUP_SIZE) {
        uint c = i >> 2, e = i & 3u;
        for (uint t = 0u; t < tokens; ++t) {
            float u = v_tile[t * COLUMNS + c][e];
            for (uint s = 0u; s < t; ++s)
                u = fma(-key_scores[t * TOKENS + s], v_tile[s * COLUMNS + c][e], u);
            v_tile[t * COLUMNS + c][e] = beta_tile[t] * u;
        }
    }
}

// Keys become what is left of them at the end of the chunk. Invocations that have nothing to substitute begin.
void decay_keys(uint tokens) {
    for (uint d = GROUP_SIZE - 1u - gl_LocalInvocationIndex; d < PITCH; d += GROUP_SIZE) {
        vec4 f = vec4(1.0);
        for (uint t = tokens; t-- > 0u;) {
            k_tile[t * PITCH + d] *= f;
            f *= decay_of_rows(t, d);
        }
    }
}

void store_outputs(Head head, uint token, uint tokens) {
    for (uint i = gl_LocalInvocationIndex; i < tokens * QUERIES * COLUMNS; i += GROUP_SIZE) {
        uint c = i % COLUMNS, j = i / COLUMNS % QUERIES, t = i / COLUMNS / QUERIES;
        vec4 y = out_tile[i];
        for (uint s = 0u; s <= t; ++s)
            y = fma(vec4(query_scores[(j * TOKENS + t) * TOKENS + s]), v_tile[s * COLUMNS + c], y);
        store_output(head, token + t, j, c, y);
    }
}

// Behind the last token that has read the state.
void end_of_reading(Head head, uint token, uint tokens) {
    barrier();
    if (DELTA)
        substitute(tokens);
    if (has(VKA_FLAG_LINEAR_DECAY))
        decay_keys(tokens);
    barrier();
    store_outputs(head, token, tokens);
}

// ---- the state --------------------------------------------------------------------------------------------------------

// In a chunk all tokens read the state that it began with, as it decays, and then all write to it. The recurrence writes a
// token before the next one reads. It is one loop for both, so that what is unrolled is compiled once.
void go_through(Head head, uint token, uint tokens, bool recurs) {
    uint turn = 0u;
    for (uint step = 0u; step < (recurs ? tokens : 2u * tokens); ++step) {
        bool reads = recurs || step < tokens;
        uint t = reads ? step : step - tokens, lot = recurs ? 0u : t % LOT;
        if (reads && has(VKA_FLAG_LINEAR_DECAY))
            decay_state(t);
        if (reads && DELTA)
            sums[sum_at(turn, lot * KINDS + QUERIES) + gl_LocalInvocationIndex] = key_times_state(t);
        vec4 value = v_tile[t * COLUMNS + column()];
        if (recurs && DELTA) {
            barrier();
            value = beta_tile[t] * (value - sum_of_parts(turn, QUERIES, column()));
        }
        if (recurs || !reads)
            write_state(t, value);
        for (uint j = 0u; j < QUERIES && reads; ++j)
            sums[sum_at(turn, lot * KINDS + j) + gl_LocalInvocationIndex] = query_times_state(t * QUERIES + j);
        if (recurs) {
            barrier();
            for (uint i = gl_LocalInvocationIndex; i < QUERIES * COLUMNS; i += GROUP_SIZE)
                store_output(head, token + t, i / COLUMNS, i % COLUMNS, sum_of_parts(turn, i / COLUMNS, i % COLUMNS));
            turn ^= 1u;
        } else if (reads && (lot + 1u == LOT || t + 1u == tokens)) {
            barrier();
            keep_lot(turn, t - lot, lot + 1u);
            turn ^= 1u;
        }
        if (!recurs && t + 1u == tokens && reads)
            end_of_reading(head, token, tokens);
    }
}

// ---- all of them ------------------------------------------------------------------------------------------------------

void main() {
    uint b = gl_WorkGroupID.z + push.b0, h = gl_WorkGroupID.y + push.y0;
    Head head = head_of(b, h);
    if (gl_LocalInvocationIndex == 0u)
        nonfinite = growing_at = 0u;
    load_state(b, h);
    VKA_UNROLL(r, ROWS)
        seen_nonfinite = seen_nonfinite || any(are_nonfinite(state[r]));
    barrier();
    for (uint token = 0u; token < push.rows; token += TOKENS) {
        uint tokens = min(TOKENS, push.rows - token), number = token / TOKENS + 1u;
        seen_growth = false;
        stage_keys(head, token, tokens);
        stage_values(head, token, tokens);
        stage_queries(head, token, tokens, 0u, QUERIES);
        if (seen_nonfinite)
            atomicOr(nonfinite, 1u);
        if (seen_growth)
            atomicMax(growing_at, number);
        barrier();
        bool recurs = nonfinite != 0u || growing_at == number;
        if (!recurs)
            score_all(tokens);
        go_through(head, token, tokens, recurs);
        barrier();
    }
    if (has(VKA_FLAG_LINEAR_STATE_OUT))
        store_state(push.base[VKA_BIND_LINEAR_STATE_OUT] + b * p.state_out.b + h * p.state_out.h);
}
