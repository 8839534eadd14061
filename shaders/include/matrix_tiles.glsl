// Keys and values of a step in shared memory, for kernels that multiply matrices of 16-bit elements: zero beyond the last
// key and the last channel. Expects BC, THREADS, `thread`, K_WIDTH and V_WIDTH (vectors of four elements a
// row), KEY_VALUES (values are the keys' first channels, and have no tile), and Q_ROWS, queries that pass through the keys' tile at
// a time. VKA_STAGE_STEPS = 0: only queries do.
//
// Keys lie as in memory. Values lie by channels, each a row of pairs of keys: operands that are loaded by columns are loaded
// by as many bytes as there are, those loaded by rows element by element (AMD, Intel), or are transposed afterwards (NVIDIA).
// SPDX-License-Identifier: MIT

// Rows are padded by 16 bytes against bank conflicts.
const uint K_EIGHTS = K_WIDTH / 2u; // vectors of eight elements
const uint K_STRIDE = K_EIGHTS + 1u;
const uint V_PAIRS = BC / 2u;
const uint V_STRIDE = V_PAIRS + 4u;
const uint K_PARTS = (BC * K_EIGHTS + THREADS - 1u) / THREADS;
const uint V_PARTS = (V_PAIRS * V_WIDTH + THREADS - 1u) / THREADS;

shared uvec4 k_tile[(BC > Q_ROWS ? BC : Q_ROWS) * K_STRIDE];

#include "element_words.glsl"

#if VKA_STAGE_STEPS
shared uint v_tile[KEY_VALUES ? 4u : 4u * V_WIDTH * V_STRIDE];

// Is there a vector d of a row of `size` vectors, of which `width` are staged? Most often that is known beforehand.
bool has_vector(uint d, uint size, uint width) {
    return size == width || d < size;
}

// Eight channels of a step's keys, for one that begins at `head`; 0 beyond the last key and the last channel. `inside`: all
// of the step's keys are there, which is a constant, so that nothing is asked for each.
uvec4 key_words(Grid g, uint head, int j0, int end, uint i, bool inside) {
    int j = j0 + int(i / K_EIGHTS);
    uint d = i % K_EIGHTS * 2u;
    uvec2 low = uvec2(0u), high = uvec2(0u);
    if ((inside || j < end) && (BC * K_EIGHTS % THREADS == 0u || i < BC * K_EIGHTS)) {
        Source from = key_source(g, head, j);
        if (has_vector(d, D4, K_WIDTH))
            low = key_element_words(from, d);
        if (has_vector(d + 1u, D4, K_WIDTH))
            high = key_element_words(from, d + 1u);
    }
    return uvec4(low, high);
}

uvec2 value_words(Grid g, uint head, int j, int end, uint d, bool inside) {
    return (inside || j < end) && has_vector(d, DV4, V_WIDTH) ? value_element_words(value_source(g, head, j), d) : uvec2(0u);
}

// Four channels of two values, one after the other.
uvec4 pair_words(Grid g, uint head, int j, int end, uint d, bool inside) {
    return uvec4(value_words(g, head, j, end, d, inside), value_words(g, head, j + 1, end, d, inside));
}

// Neighbours have neighbouring keys, which is where they write.
uvec4 value_pair(Grid g, uint head, int j0, int end, uint i, bool inside) {
    if (V_PAIRS * V_WIDTH % THREADS != 0u && i >= V_PAIRS * V_WIDTH)
        return uvec4(0u);
    return pair_words(g, head, j0 + int(i % V_PAIRS) * 2, end, i / V_PAIRS, inside);
}

void put_key(uint i, uvec4 words) {
    if (BC * K_EIGHTS % THREADS == 0u || i < BC * K_EIGHTS)
        k_tile[i / K_EIGHTS * K_STRIDE + i % K_EIGHTS] = words;
}

// In a step that some rows see only in part, NaN and infinities are set aside: a product with probability 0 would spread
// them to rows that may not see them.
uvec4 without_nonfinite(int j0, uvec4 words) {
    uvec4 kept = uvec4(drop_nonfinite(words.x), drop_nonfinite(words.y), drop_nonfinite(words.z), drop_nonfinite(words.w));
    if (kept != words)
        nonfinite_step = j0;
    return kept;
}

// The same of values that lie in the keys' tile.
void drop_nonfinite_keys(int j0) {
    [[dont_unroll]] for (uint i = thread; i < BC * (V_WIDTH / 2u); i += THREADS) {
        uint at = i / (V_WIDTH / 2u) * K_STRIDE + i % (V_WIDTH / 2u);
        k_tile[at] = without_nonfinite(j0, k_tile[at]);
    }
}

void put_pair(bool full, int j0, uint at, uvec4 words) {
    if (!full)
        words = without_nonfinite(j0, words);
    v_tile[at] = ELEMENT_PAIR(FIRST_ELEMENT(words.x), FIRST_ELEMENT(words.z));
    v_tile[at + V_STRIDE] = ELEMENT_PAIR(SECOND_ELEMENT(words.x), SECOND_ELEMENT(words.z));
    v_tile[at + 2u * V_STRIDE] = ELEMENT_PAIR(FIRST_ELEMENT(words.y), FIRST_ELEMENT(words.w));
    v_tile[at + 3u * V_STRIDE] = ELEMENT_PAIR(SECOND_ELEMENT(words.y), SECOND_ELEMENT(words.w));
}

void put_values(bool full, int j0, uint i, uvec4 words) {
    if (V_PAIRS * V_WIDTH % THREADS == 0u || i < V_PAIRS * V_WIDTH)
        put_pair(full, j0, i / V_PAIRS * 4u * V_STRIDE + i % V_PAIRS, words);
}

// A step passes through registers, so that it is on its way while the one before is computed ...
uvec4 k_ahead[K_PARTS], v_ahead[V_PARTS];

void fetch_keys(Grid g, uint head, int j0, int end) {
    if (j0 + int(BC) <= end) {
        [[unroll]] for (uint n = 0u; n < K_PARTS; ++n) k_ahead[n] = key_words(g, head, j0, end, n * THREADS + thread, true);
    } else {
        [[unroll]] for (uint n = 0u; n < K_PARTS; ++n) k_ahead[n] = key_words(g, head, j0, end, n * THREADS + thread, false);
    }
}

void fetch_values(Grid g, uint head, int j0, int end) {
    if (j0 + int(BC) <= end) {
        [[unroll]] for (uint n = 0u; n < V_PARTS; ++n) v_ahead[n] = value_pair(g, head, j0, end, n * THREADS + thread, true);
    } else {
        [[unroll]] for (uint n = 0u; n < V_PARTS; ++n) v_ahead[n] = value_pair(g, head, j0, end, n * THREADS + thread, false);
    }
}

void stage_keys() {
    [[unroll]] for (uint n = 0u; n < K_PARTS; ++n) put_key(n * THREADS + thread, k_ahead[n]);
}

void stage_values(bool full, int j0) {
    [[unroll]] for (uint n = 0u; n < V_PARTS; ++n) put_values(full, j0, n * THREADS + thread, v_ahead[n]);
}

// ... or goes straight to shared memory, where registers are few. Full steps ask for no key whether it is there, and each
// invocation keeps its channels, or its keys, where that comes out even: what differs from part to part is a multiple of a stride.
void copy_keys(Grid g, uint head, int j0, int end, bool full) {
    if (full && THREADS % K_EIGHTS == 0u && BC * K_EIGHTS % THREADS == 0u) {
        uint row = thread / K_EIGHTS, at = row * K_STRIDE + thread % K_EIGHTS;
        [[unroll]] for (uint n = 0u; n < K_PARTS; ++n)
            k_tile[at + n * (THREADS / K_EIGHTS) * K_STRIDE] =
                key_words(g, head, j0 + int(n * (THREADS / K_EIGHTS)), end, thread, true);
    } else {
        [[dont_unroll]] for (uint i = thread; i < BC * K_EIGHTS; i += THREADS)
            put_key(i, key_words(g, head, j0, end, i, full));
    }
}

// Four channels of four values: two words each of a channel's row.
const uint V_QUADS = V_PAIRS / 2u;
const uint V_QUAD_PARTS = (V_QUADS * V_WIDTH + THREADS - 1u) / THREADS;

void copy_value_quad(Grid g, uint head, int j0, int end, uint quad, uint d, bool full) {
    uint at = d * 4u * V_STRIDE + quad * 2u;
    int j = j0 + int(quad) * 4;
    uvec4 first_pair = pair_words(g, head, j, end, d, full), second_pair = pair_words(g, head, j + 2, end, d, full);
    put_pair(full, j0, at, first_pair);
    put_pair(full, j0, at + 1u, second_pair);
}

void copy_values(Grid g, uint head, int j0, int end, bool full) {
    if (full && THREADS % V_QUADS == 0u) {
        [[unroll]] for (uint n = 0u; n < V_QUAD_PARTS; ++n)
            if (V_QUADS * V_WIDTH % THREADS == 0u || n * THREADS + thread < V_QUADS * V_WIDTH)
                copy_value_quad(g, head, j0, end, thread % V_QUADS, thread / V_QUADS + n * (THREADS / V_QUADS), true);
    } else {
        [[dont_unroll]] for (uint i = thread; i < V_QUADS * V_WIDTH; i += THREADS)
            copy_value_quad(g, head, j0, end, i % V_QUADS, i / V_QUADS, full);
    }
}

#endif

// Eight channels of a row's query; 0 beyond the last one.
uvec4 query_words(Grid g, uint row, uint eight) {
    uint at = query_at(g, row_query(g, min(row, row_count(g) - 1u))), d = 2u * eight;
    uvec2 low = d < D4 ? query_element_words(at, d) : uvec2(0u);
    uvec2 high = d + 1u < D4 ? query_element_words(at, d + 1u) : uvec2(0u);
    return uvec4(low, high);
}

// Queries of Q_ROWS rows into the keys' tile.
void stage_queries(Grid g, uint first_row) {
    for (uint i = thread; i < Q_ROWS * K_EIGHTS; i += THREADS)
        k_tile[i / K_EIGHTS * K_STRIDE + i % K_EIGHTS] = query_words(g, first_row + i / K_EIGHTS, i % K_EIGHTS);
}
