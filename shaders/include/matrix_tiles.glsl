// Keys and values of a step in shared memory, for kernels that multiply matrices of 16-bit elements: zero beyond the last
// key and the last channel. Expects BC, THREADS, `thread`, K_WIDTH and V_WIDTH (vectors of four elements a
// row), and Q_ROWS, queries that pass through the keys' tile at a time. VKA_STAGE_STEPS = 0: only queries do.
// SPDX-License-Identifier: MIT

// Rows are padded by 16 bytes against bank conflicts.
const uint K_STRIDE = K_WIDTH + 2u;
const uint V_STRIDE = V_WIDTH + 2u;
const uint K_PARTS = (BC * K_WIDTH + THREADS - 1u) / THREADS;
const uint V_PARTS = (BC * V_WIDTH + THREADS - 1u) / THREADS;

shared uvec2 k_tile[(BC > Q_ROWS ? BC : Q_ROWS) * K_STRIDE];

#include "element_words.glsl"

#if VKA_STAGE_STEPS
shared uvec2 v_tile[BC * V_STRIDE];

// Vector i of a step's keys, for one that begins at `head`; 0 beyond the last key and the last channel.
uvec2 key_words(Grid g, uint head, int j0, int end, uint i) {
    uint c = i / K_WIDTH, d = i % K_WIDTH;
    if (j0 + int(c) >= end || d >= D4 || c >= BC)
        return uvec2(0u);
    return key_element_words(key_source(g, head, j0 + int(c)), d);
}

uvec2 value_words(Grid g, uint head, int j0, int end, uint i) {
    uint c = i / V_WIDTH, d = i % V_WIDTH;
    if (j0 + int(c) >= end || d >= DV4 || c >= BC)
        return uvec2(0u);
    return value_element_words(value_source(g, head, j0 + int(c)), d);
}

void put_key(uint i, uvec2 words) {
    if (i < BC * K_WIDTH)
        k_tile[i / K_WIDTH * K_STRIDE + i % K_WIDTH] = words;
}

// In a step that some rows see only in part, NaN and infinities are set aside: a product with probability 0 would spread
// them to rows that may not see them.
void put_value(bool full, int j0, uint i, uvec2 words) {
    uvec2 kept_words = words;
    if (!full) {
        kept_words = uvec2(drop_nonfinite(words.x), drop_nonfinite(words.y));
        if (kept_words != words)
            nonfinite_step = j0;
    }
    if (i < BC * V_WIDTH)
        v_tile[i / V_WIDTH * V_STRIDE + i % V_WIDTH] = kept_words;
}

// A step passes through registers, so that it is on its way while the one before is computed ...
uvec2 k_ahead[K_PARTS], v_ahead[V_PARTS];

void fetch_keys(Grid g, uint head, int j0, int end) {
    [[unroll]] for (uint n = 0u; n < K_PARTS; ++n) k_ahead[n] = key_words(g, head, j0, end, n * THREADS + thread);
}

void fetch_values(Grid g, uint head, int j0, int end) {
    [[unroll]] for (uint n = 0u; n < V_PARTS; ++n) v_ahead[n] = value_words(g, head, j0, end, n * THREADS + thread);
}

void stage_keys() {
    [[unroll]] for (uint n = 0u; n < K_PARTS; ++n) put_key(n * THREADS + thread, k_ahead[n]);
}

void stage_values(bool full, int j0) {
    [[unroll]] for (uint n = 0u; n < V_PARTS; ++n) put_value(full, j0, n * THREADS + thread, v_ahead[n]);
}

// ... or goes straight to shared memory, where registers are few.
void copy_keys(Grid g, uint head, int j0, int end) {
    [[dont_unroll]] for (uint i = thread; i < BC * K_WIDTH; i += THREADS) put_key(i, key_words(g, head, j0, end, i));
}

void copy_values(Grid g, uint head, int j0, int end, bool full) {
    [[dont_unroll]] for (uint i = thread; i < BC * V_WIDTH; i += THREADS)
        put_value(full, j0, i, value_words(g, head, j0, end, i));
}

#endif

// Vector d of a row's query; 0 beyond the last channel.
uvec2 query_words(Grid g, uint row, uint d) {
    uint at = query_at(g, row_query(g, min(row, row_count(g) - 1u)));
    return d < D4 ? query_element_words(at, d) : uvec2(0u);
}

uvec4 query_words8(Grid g, uint row, uint d) {
    return uvec4(query_words(g, row, d), query_words(g, row, d + 1u));
}

// Queries of Q_ROWS rows into the keys' tile.
void stage_queries(Grid g, uint first_row) {
    for (uint i = thread; i < Q_ROWS * K_WIDTH; i += THREADS)
        k_tile[i / K_WIDTH * K_STRIDE + i % K_WIDTH] = query_words(g, first_row + i / K_WIDTH, i % K_WIDTH);
}
