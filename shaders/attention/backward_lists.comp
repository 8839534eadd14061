#version 450
// Attention's backward where each query has a list of keys: VKA_KEYS = 0, queries, whose gradients are sums over the keys that
// they list; VKA_KEYS = 1, keys and values, over the queries that list them, which a sort has found (backward_lists.glsl).
// Neither needs another's results, so that there are no atomics. A key that is listed twice is two partners.
//
// Tiling: partners have nothing in common, so a workgroup of THREADS invocations owns a single row, which lies in shared memory.
// Partners come BC a step: TC invocations share the products of one, then one finds what the pair adds, and then every
// invocation adds up its own vectors of the gradients, by channels that lie side by side.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#define VKA_WITH_OPTIONS 1
#define VKA_BACKWARD 1
#define VKA_LIST_SCAN 2
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"
#include "attention_backward.glsl"
#include "backward_rows.glsl"
#include "backward_lists.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
const uint THREADS = LIST_GROUP;
const uint NONE = 0xffffffffu; // no partner

// Vectors of the gradients: those of a query, or of a key and then of its value.
const uint VECTORS = VKA_KEYS != 0 ? D4 + DV4 : D4;
const uint OWNED = (VECTORS + THREADS - 1u) / THREADS;
vec4 grads[OWNED];
float slope_sum; // of ALiBi

shared vec4 own_rows[D4 + DV4];
shared uint partner[BC], x_at[BC], y_at[BC]; // a partner's number, or NONE, and where its vectors lie
shared vec2 part[BC * TC];                   // of its products with the row
shared vec2 factor[BC];                      // by which its vectors join the gradients
shared bool counts[BC];
#if !VKA_KEYS
shared float slope_part[THREADS];
#endif

void load_own(Place at) {
    for (uint d = gl_LocalInvocationIndex; d < D4 + DV4; d += THREADS)
        own_rows[d] = d < D4 ? own_x(at, d) : own_y(at, d - D4);
}

void multiply(uint head, uint c, uint t) {
    Place at = Place(x_at[c], y_at[c], head);
    vec2 sum = vec2(0.0);
    if (partner[c] != NONE) {
        for (uint d = t; d < D4; d += TC) sum.x = dot_add(own_rows[d], partner_x(at, d), sum.x);
        for (uint d = t; d < DV4; d += TC) sum.y = dot_add(own_rows[D4 + d], partner_y(at, d), sum.y);
    }
    part[c * TC + t] = sum;
}

// Products to factors.
void find_factors(Grid g, uint row, uint c) {
    vec2 sum = vec2(0.0);
    for (uint t = 0u; t < TC; ++t) sum += part[c * TC + t];
    uint query = VKA_KEYS != 0 ? partner[c] : row, key = VKA_KEYS != 0 ? row : partner[c];
    counts[c] = false;
    if (partner[c] == NONE)
        return;
    Row r = row_of(g, query);
    Pair pair = pair_of(g, r, query_state(g, query), int(key), sum.x, sum.y, false);
    counts[c] = pair.seen;
    factor[c] = vec2(pair.product, pair.weight);
#if !VKA_KEYS
    if (has(VKA_FLAG_D_ALIBI) && pair.seen)
        slope_sum += slope_gradient(g, r, int(key), pair);
#endif
}

void add_gradients(uint head) {
    for (uint c = 0u; c < BC; ++c)
        if (counts[c]) {
            Place at = Place(x_at[c], y_at[c], head);
            [[unroll]] for (uint i = 0u; i < OWNED; ++i) {
                uint d = i * THREADS + gl_LocalInvocationIndex;
                if (d < D4)
                    grads[i] = fma(vec4(factor[c].x), partner_x(at, d), grads[i]);
#if VKA_KEYS
                else if (d < VECTORS)
                    grads[i] = fma(vec4(factor[c].y), partner_y(at, d - D4), grads[i]);
#endif
            }
        }
}

// The key in a slot of the query's list, or the query of an entry.
uint partner_of(Grid g, uint i) {
#if VKA_KEYS
    return entry_query(g, i);
#else
    uint key = listed_key(i);
    return key < uint(g.kv_len) ? key : NONE;
#endif
}

// What partners begin .. end-1 say to a row.
void add_partners(Grid g, uint row, uint begin, uint end) {
    for (uint first = begin; first < end; first += BC) {
        for (uint c = gl_LocalInvocationIndex; c < BC; c += THREADS) {
            uint number = first + c < end ? partner_of(g, first + c) : NONE;
            Place at = Place(0u, 0u, 0u);
            if (number != NONE)
                at = partner_place(g, int(number));
            partner[c] = number;
            x_at[c] = at.x;
            y_at[c] = at.y;
        }
        if (TC > 1u) // otherwise the rest of a partner is the same invocation's
            barrier();
        for (uint i = gl_LocalInvocationIndex; i < BC * TC; i += THREADS) multiply(g.head, i / TC, i % TC);
        if (TC > 1u)
            barrier();
        for (uint c = gl_LocalInvocationIndex; c < BC; c += THREADS) find_factors(g, row, c);
        barrier();
        add_gradients(g.head);
        barrier();
    }
}

#if VKA_KEYS
// Grid heads are key heads.
void main() {
    uint head = gl_WorkGroupID.y + push.y0, batch = gl_WorkGroupID.z + push.z0, key = gl_WorkGroupID.x + push.x0;
    Grid g = sequence_of(head * p.group, batch);
    if (key >= written_rows(g))
        return;
    load_own(own_place(g, key));
    [[unroll]] for (uint i = 0u; i < OWNED; ++i) grads[i] = vec4(0.0);
    barrier();
    for (uint i = 0u; i < p.group * b.sharers; ++i) {
        Grid q = sequence_of(head * p.group + i % p.group, batch + i / p.group);
        if (key < uint(q.kv_len)) {
            uvec2 entries = entries_of(q, key, 0u, q.q_len);
            add_partners(q, key, entries.x, entries.y);
        }
    }
    [[unroll]] for (uint i = 0u; i < OWNED; ++i) {
        uint d = i * THREADS + gl_LocalInvocationIndex;
        if (d < D4)
            put_x(g, head, key, d, grads[i]);
        else if (d < VECTORS)
            put_y(g, head, key, d - D4, grads[i]);
    }
}
#else
// The sum of all invocations' in their order, for the first one.
float sum_of_slopes() {
    slope_part[gl_LocalInvocationIndex] = slope_sum;
    barrier();
    float sum = 0.0;
    for (uint t = 0u; t < THREADS; ++t) sum += slope_part[t];
    return sum;
}

// Grid heads are query heads.
void main() {
    Grid g = grid_position();
    uint query = g.tile;
    if (query >= written_rows(g))
        return;
    slope_sum = 0.0;
    [[unroll]] for (uint i = 0u; i < OWNED; ++i) grads[i] = vec4(0.0);
    if (query < g.q_len) {
        load_own(own_place(g, query));
        int end = find_list(g);
        barrier();
        add_partners(g, query, 0u, uint(end));
    }
    for (uint i = 0u; i < OWNED; ++i) {
        uint d = i * THREADS + gl_LocalInvocationIndex;
        if (d < D4)
            put_x(g, g.head, query, d, grads[i]);
    }
    if (has(VKA_FLAG_D_ALIBI)) {
        float sum = sum_of_slopes();
        if (gl_LocalInvocationIndex == 0u)
            put_slope_sum(g, query, sum);
    }
}
#endif
