#version 450
// Gradients of additive attention (Bahdanau 2014), with t = tanh(q_i + k_j), w the score vector, P the probabilities, computed
// again from scores and their log-sum-exp, and dS = P (d_out_i . v_j - delta_i):
//
//   d_q_i = sum over j of dS w (1 - t^2)    d_w = sum over i, j of dS t          VKA_KEYS = 0: queries are owned
//   d_k_j = sum over i of dS w (1 - t^2)    d_v_j = sum over i of P d_out_i      VKA_KEYS = 1: keys are owned
//
// LANES invocations own a row and share its channels and values; they walk over the row's partners, STEP at a time, and keep
// its sums in registers. A score's parts, which all of them have some of, meet in shared memory; what tanh gave stays in
// registers until the score's gradient is known, if that is all there is, and is computed again where channels are too many:
// these are then cut into blocks, one a dispatch. Of d_w each query's part goes to the workspace.
//
// VKA_LANE = 1: an invocation owns a row, and loops stay loops: for software drivers.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "activation.glsl"
#include "additive_backward.glsl"

layout(constant_id = VKA_SPEC_TC) const uint LANES = 1u;
layout(constant_id = VKA_SPEC_COLS) const uint QUADS = 1u; // of channels, of an invocation
layout(constant_id = VKA_SPEC_RM) const uint VALUE_QUADS = 1u;
layout(constant_id = VKA_SPEC_BC) const uint STEP = 1u;

const uint ROWS = GROUP_SIZE / LANES;
const bool HELD = DIM4 <= LANES * QUADS;

#if VKA_LANE
#    define EACH(i, n) [[dont_unroll]] for (uint i = 0u; i < (n); ++i)
#else
#    define EACH(i, n) VKA_UNROLL(i, n)
#endif

#if VKA_KEYS
#    define OTHER_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_D_V)
VKA_OUTPUT(VKA_BIND_ADDITIVE_D_OTHER, other)
VKA_WRITERS(other, OTHER_TYPE)
vec4 value_sum[VALUE_QUADS];
#else
VKA_OUTPUT_F32(VKA_BIND_ADDITIVE_D_OTHER, other)
vec4 vector_sum[QUADS];
#endif

shared vec2 parts[LANES > 1u ? GROUP_SIZE * STEP : 1u]; // of scores, and of d_out . v
shared uint worsts[LANES > 1u ? GROUP_SIZE * STEP : 1u];

vec4 sum[QUADS];
vec4 held[HELD ? QUADS * STEP : 1u];
vec4 score_part[STEP], product_part[STEP]; // of a step's pairs
float score[STEP], product[STEP], weight[STEP], slope[STEP]; // weight: probability
uint worst[STEP];
bool live[STEP];

// Where the own row and its partners begin, of a pair of heads.
struct Pair {
    uint b, h, row;             // batch entry, query head, own row
    uint own, own_value;        // q and d_out of a query, k and v of a key
    uint other, other_value;    // of partner 0
    uint other_n, other_value_n; // from one partner to the next
    uint vector;
};

uint lane() {
    return gl_LocalInvocationIndex % LANES;
}

Pair pair_of(uint b, uint h, uint row) {
    uint kv = h / p.group;
    uint q = place(VKA_BIND_ADDITIVE_D_OF_Q, p.q, b, h, 0u), d_out = place(VKA_BIND_ADDITIVE_D_OUT, p.d_out, b, h, 0u);
    uint k = place(VKA_BIND_ADDITIVE_D_OF_K, p.k, b, kv, 0u), v = place(VKA_BIND_ADDITIVE_D_OF_V, p.v, b, kv, 0u);
    uint vector = push.base[VKA_BIND_ADDITIVE_D_OF_VECTOR] + h * p.vector_h;
#if VKA_KEYS
    return Pair(b, h, row, k + row * p.k.n, v + row * p.v.n, q, d_out, p.q.n, p.d_out.n, vector);
#else
    return Pair(b, h, row, q + row * p.q.n, d_out + row * p.d_out.n, k, v, p.k.n, p.v.n, vector);
#endif
}

vec4 own_quad(Pair o, uint quad) {
    return VKA_KEYS == 1 ? k_quad(o.own, quad) : q_quad(o.own, quad);
}
vec4 partner_quad(Pair o, uint partner, uint quad) {
    uint at = o.other + partner * o.other_n;
    return VKA_KEYS == 1 ? q_quad(at, quad) : k_quad(at, quad);
}
vec4 own_value(Pair o, uint quad) {
    return VKA_KEYS == 1 ? v_quad(o.own_value, quad) : d_out_quad(o.own_value, quad);
}
vec4 partner_value(Pair o, uint partner, uint quad) {
    uint at = o.other_value + partner * o.other_value_n;
    return VKA_KEYS == 1 ? d_out_quad(at, quad) : v_quad(at, quad);
}

// The part of a step's scores that a vector of channels has; n: where what tanh gives is held.
void add_quad(Pair o, uint first, uint last, uint quad, uint n) {
    vec4 own = own_quad(o, quad), w = vector_quad(o.vector, quad);
    EACH(c, STEP) {
        vec4 t = tanh4(own + partner_quad(o, min(first + c, last), quad), worst[c]);
        score_part[c] = fma(w, t, score_part[c]);
        if (HELD)
            held[n * STEP + c] = t;
    }
}

void add_parts(Pair o, uint first, uint last) {
    EACH(c, STEP) {
        score_part[c] = product_part[c] = vec4(0.0);
        worst[c] = 0u;
    }
    if (HELD) {
        EACH(n, QUADS) {
            if (lane() + n * LANES < DIM4)
                add_quad(o, first, last, lane() + n * LANES, n);
        }
    } else {
        [[dont_unroll]] for (uint quad = lane(); quad < DIM4; quad += LANES)
            add_quad(o, first, last, quad, 0u);
    }
    EACH(m, VALUE_QUADS) {
        uint quad = lane() + m * LANES;
        if (quad < VALUES4) {
            vec4 x = own_value(o, quad);
            EACH(c, STEP)
                product_part[c] = fma(x, partner_value(o, min(first + c, last), quad), product_part[c]);
        }
    }
}

// Sums of what the lanes of a row have, for each of them.
void join_parts() {
    EACH(c, STEP) {
        score[c] = total(score_part[c]);
        product[c] = total(product_part[c]);
    }
    if (LANES == 1u)
        return;
    uint own = gl_LocalInvocationIndex, row = own - lane();
    barrier();
    EACH(c, STEP) {
        parts[own * STEP + c] = vec2(score[c], product[c]);
        worsts[own * STEP + c] = worst[c];
    }
    barrier();
    EACH(c, STEP) {
        vec2 all = vec2(0.0);
        for (uint i = 0u; i < LANES; ++i) {
            all += parts[(row + i) * STEP + c];
            worst[c] = max(worst[c], worsts[(row + i) * STEP + c]);
        }
        score[c] = all.x;
        product[c] = all.y;
    }
}

// Probabilities and gradients of scores; pairs that are hidden are not live, and add nothing.
void finish_pairs(Pair o, uint first, uint last) {
    EACH(c, STEP) {
        uint partner = first + c;
        uint i = VKA_KEYS == 1 ? min(partner, last) : o.row, j = VKA_KEYS == 1 ? o.row : min(partner, last);
        uint stats_row = stats_of(o.b, o.h, i);
        bool seen = partner <= last && j < stats_w[stats_row + VKA_ADDITIVE_STATS_KEYS];
        float s = finish_score(score[c], worst[c], seen, mask_element(o.b, o.h, i, j));
        live[c] = !is_hidden(s);
        weight[c] = live[c] ? probability_of(s, stats_row) : 0.0;
        slope[c] = live[c] ? slope_of(weight[c], product[c], stats_row) : 0.0;
    }
}

void add_to_sums(Pair o, uint first, uint last) {
    EACH(n, QUADS) {
        uint quad = push.h0 + lane() + n * LANES;
        if (quad < DIM4) {
            vec4 w = vector_quad(o.vector, quad), own = HELD ? vec4(0.0) : own_quad(o, quad);
            EACH(c, STEP) {
                uint ignored = 0u;
                vec4 t = HELD ? held[n * STEP + c] : tanh4(own + partner_quad(o, min(first + c, last), quad), ignored);
                if (live[c]) {
                    sum[n] = fma(slope[c] * w, (1.0 - t) * (1.0 + t), sum[n]);
#if !VKA_KEYS
                    vector_sum[n] = fma(vec4(slope[c]), t, vector_sum[n]);
#endif
                }
            }
        }
    }
#if VKA_KEYS
    EACH(m, VALUE_QUADS) {
        uint quad = lane() + m * LANES;
        if (has(VKA_FLAG_ADDITIVE_D_OTHER) && quad < VALUES4) {
            EACH(c, STEP) {
                if (live[c])
                    value_sum[m] = fma(vec4(weight[c]), partner_value(o, min(first + c, last), quad), value_sum[m]);
            }
        }
    }
#endif
}

// Partners from `begin` on below `end`, the same ones for all rows of the workgroup.
void walk(Pair o, uint begin, uint end) {
    [[dont_unroll]] for (uint first = begin; first < end; first += STEP) {
        add_parts(o, first, end - 1u);
        join_parts();
        finish_pairs(o, first, end - 1u);
        add_to_sums(o, first, end - 1u);
    }
}

void clear() {
    EACH(n, QUADS) {
        sum[n] = vec4(0.0);
#if !VKA_KEYS
        vector_sum[n] = vec4(0.0);
#endif
    }
#if VKA_KEYS
    EACH(m, VALUE_QUADS)
        value_sum[m] = vec4(0.0);
#endif
}

void store_result(uint b, uint head, uint row) {
    uint to = VKA_KEYS == 1 ? place(VKA_BIND_ADDITIVE_D_RESULT, p.d_k, b, head, row)
                            : place(VKA_BIND_ADDITIVE_D_RESULT, p.d_q, b, head, row);
    uint stride = VKA_KEYS == 1 ? p.d_k.d : p.d_q.d;
    EACH(n, QUADS) {
        uint quad = push.h0 + lane() + n * LANES;
        if (quad < DIM4)
            result_put_row4(to, stride, quad, DIM, has(VKA_FLAG_ADDITIVE_D_VEC4_RESULT), sum[n]);
    }
}

void store_other(uint b, uint head, uint row) {
#if VKA_KEYS
    uint to = place(VKA_BIND_ADDITIVE_D_OTHER, p.d_v, b, head, row);
    EACH(m, VALUE_QUADS) {
        uint quad = lane() + m * LANES;
        if (quad < VALUES4 && push.h0 == 0u)
            other_put_row4(to, p.d_v.d, quad, VALUES, has(VKA_FLAG_ADDITIVE_D_VEC4_OTHER), value_sum[m]);
    }
#else
    uint to = push.base[VKA_BIND_ADDITIVE_D_OTHER] + ((b * p.heads + head) * p.q_len + row) * DIM;
    EACH(n, QUADS) {
        uint quad = push.h0 + lane() + n * LANES;
        [[unroll]] for (uint i = 0u; i < 4u; ++i)
            if (4u * quad + i < DIM)
                other_put(to + 4u * quad + i, vector_sum[n][i]);
    }
#endif
}

void main() {
    uint b = gl_WorkGroupID.z + push.z0, head = gl_WorkGroupID.y + push.y0, first_row = (gl_WorkGroupID.x + push.x0) * ROWS;
    uint own = first_row + gl_LocalInvocationIndex / LANES, rows = VKA_KEYS == 1 ? p.kv_len : p.q_len;
    uint row = min(own, rows - 1u);
    clear();
#if VKA_KEYS
    // Queries that see the first of the rows, at most.
    uint begin = has(VKA_FLAG_ADDITIVE_D_CAUSAL) ? uint(clamp(int(first_row) - p.diagonal, 0, int(p.q_len))) : 0u;
    for (uint h = head * p.group; h < (head + 1u) * p.group; ++h)
        walk(pair_of(b, h, row), begin, p.q_len);
#else
    walk(pair_of(b, head, row), 0u, stats_w[stats_of(b, head, min(first_row + ROWS, rows) - 1u) + VKA_ADDITIVE_STATS_KEYS]);
#endif
    if (own >= rows)
        return;
    if (has(VKA_FLAG_ADDITIVE_D_RESULT))
        store_result(b, head, row);
    if (has(VKA_FLAG_ADDITIVE_D_OTHER))
        store_other(b, head, row);
}
