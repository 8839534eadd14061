// Partners of attention's backward in shared memory, for kernels that multiply matrices of 16-bit elements: both vectors of each,
// row by row for products with the rows, and channel by channel, as pairs of partners, for gradients: operands that are loaded by
// columns are loaded by as many bytes as there are. Zero beyond the last partner and channel.
//
// Expects backward_rows.glsl, VKA_BF16, BC, KK, NN, TC, THREADS and `thread`.
// SPDX-License-Identifier: MIT
#include "backward_words.glsl"
#include "float_bits.glsl"

// Tiles of the operands' channels, and those of the gradients' that a subgroup owns.
const uint X_OPERANDS = (D + KK - 1u) / KK;
const uint Y_OPERANDS = (DV + KK - 1u) / KK;
const uint X_TILES = ((D + NN - 1u) / NN + TC - 1u) / TC;
const uint Y_TILES = ((DV + NN - 1u) / NN + TC - 1u) / TC;

// Rows are padded by 16 bytes against bank conflicts. Vectors of eight elements, and words of two partners.
const uint X_EIGHTS = X_OPERANDS * KK / 8u;
const uint Y_EIGHTS = Y_OPERANDS * KK / 8u;
const uint X_STRIDE = X_EIGHTS + 1u;
const uint Y_STRIDE = Y_EIGHTS + 1u;
const uint X_COLUMNS = X_TILES * TC * NN;
const uint Y_COLUMNS = Y_TILES * TC * NN;
const uint PAIRS = BC / 2u;
const uint COLUMN_STRIDE = PAIRS + 4u;

shared uvec4 x_tile[BC * X_STRIDE];
shared uvec4 y_tile[BC * Y_STRIDE];
shared uint x_columns[X_COLUMNS * COLUMN_STRIDE];
#if VKA_KEYS
shared uint y_columns[Y_COLUMNS * COLUMN_STRIDE];
shared vec4 partner_lse[BC / 4u];
shared vec4 partner_delta[BC / 4u];
#endif
// The last step that set aside what is NaN or infinite: see set_aside. Of 16 bytes, as matrices lie beside it: see
// nonfinite_matrix.glsl.
shared ivec4 nonfinite_step;

uvec4 partner_words(Grid g, int partner, int end, uint eight, bool y, bool inside) {
    return inside || partner < end ? partner_words(partner_place(g, partner), eight, y) : uvec4(0u);
}

// ---- a step ------------------------------------------------------------------------------------------------------------

const uint X_COPIES = X_EIGHTS * 8u > X_COLUMNS ? X_EIGHTS : X_COLUMNS / 8u;
#if VKA_KEYS
const uint Y_COPIES = Y_EIGHTS * 8u > Y_COLUMNS ? Y_EIGHTS : Y_COLUMNS / 8u;
#else
const uint Y_COPIES = Y_EIGHTS;
#endif
const uint X_PARTS = (PAIRS * X_COPIES + THREADS - 1u) / THREADS;
const uint Y_PARTS = (PAIRS * Y_COPIES + THREADS - 1u) / THREADS;

// Eight channels of a pair of partners.
struct Eights {
    uvec4 even, odd;
};

// Neighbours have neighbouring pairs, which is where they write.
Eights fetch_part(Grid g, int first, int end, uint i, bool y, bool inside) {
    int partner = first + int(i % PAIRS) * 2;
    return Eights(partner_words(g, partner, end, i / PAIRS, y, inside),
                  partner_words(g, partner + 1, end, i / PAIRS, y, inside));
}

// Two elements without those that are NaN or infinite.
uint finite_pair(uint pair) {
    const uint exponent = VKA_BF16 == 1 ? 0x7f80u : 0x7c00u;
    uint low = (pair & exponent) == exponent ? 0u : 0xffffu;
    uint high = (pair >> 16 & exponent) == exponent ? 0u : 0xffff0000u;
    return pair & (low | high);
}

// In a step that some rows see only in part, NaN and infinities are set aside: a product with a factor of 0 would spread them to
// rows that may not see them.
uvec4 set_aside(uvec4 words, int number) {
    uvec4 kept = uvec4(finite_pair(words.x), finite_pair(words.y), finite_pair(words.z), finite_pair(words.w));
    if (kept != words)
        nonfinite_step.x = number;
    return kept;
}

// Words of a channel's row: two channels of two partners.
#define PUT_CHANNELS(columns, at, a, b)                                                                                \
    columns[at] = (a) & 0xffffu | (b) << 16;                                                                           \
    columns[(at) + COLUMN_STRIDE] = (a) >> 16 | (b) & 0xffff0000u;
#define PUT_EIGHTS(columns, size, e, pair, eight)                                                                      \
    if (size / 8u >= COPIES || (eight) < size / 8u) {                                                                  \
        uint put_at = (eight) * 8u * COLUMN_STRIDE + (pair);                                                           \
        PUT_CHANNELS(columns, put_at, e.even.x, e.odd.x)                                                               \
        PUT_CHANNELS(columns, put_at + 2u * COLUMN_STRIDE, e.even.y, e.odd.y)                                          \
        PUT_CHANNELS(columns, put_at + 4u * COLUMN_STRIDE, e.even.z, e.odd.z)                                          \
        PUT_CHANNELS(columns, put_at + 6u * COLUMN_STRIDE, e.even.w, e.odd.w)                                          \
    }

void put_x_part(uint i, Eights e, int number, bool full) {
    const uint COPIES = X_COPIES;
    uint pair = i % PAIRS, eight = i / PAIRS;
    if (PAIRS * X_COPIES % THREADS != 0u && i >= PAIRS * X_COPIES)
        return;
    if (X_EIGHTS == X_COPIES || eight < X_EIGHTS) {
        x_tile[pair * 2u * X_STRIDE + eight] = e.even;
        x_tile[(pair * 2u + 1u) * X_STRIDE + eight] = e.odd;
    }
    if (!full)
        e = Eights(set_aside(e.even, number), set_aside(e.odd, number));
    PUT_EIGHTS(x_columns, X_COLUMNS, e, pair, eight)
}

void put_y_part(uint i, Eights e, int number, bool full) {
    const uint COPIES = Y_COPIES;
    uint pair = i % PAIRS, eight = i / PAIRS;
    if (PAIRS * Y_COPIES % THREADS != 0u && i >= PAIRS * Y_COPIES)
        return;
    if (Y_EIGHTS == Y_COPIES || eight < Y_EIGHTS) {
        y_tile[pair * 2u * Y_STRIDE + eight] = e.even;
        y_tile[(pair * 2u + 1u) * Y_STRIDE + eight] = e.odd;
    }
#if VKA_KEYS
    if (!full)
        e = Eights(set_aside(e.even, number), set_aside(e.odd, number));
    PUT_EIGHTS(y_columns, Y_COLUMNS, e, pair, eight)
#endif
}

// What a query of a step is on its way as, where queries are the partners.
vec2 fetch_state(Grid g, int first, int end) {
#if VKA_KEYS
    QueryState state = query_state(g, uint(min(first + int(thread % BC), end - 1)));
    return vec2(state.lse, state.delta);
#else
    return vec2(0.0);
#endif
}

void put_state(uint i, vec2 state) {
#if VKA_KEYS
    if (i < BC) {
        partner_lse[i / 4u][i % 4u] = state.x;
        partner_delta[i / 4u][i % 4u] = state.y;
    }
#endif
}

// A step passes through registers, so that it is on its way while the one before is computed ...
Eights x_ahead[X_PARTS], y_ahead[Y_PARTS];
vec2 state_ahead;

void fetch_parts(Grid g, int first, int end, bool inside) {
    [[unroll]] for (uint n = 0u; n < X_PARTS; ++n)
        x_ahead[n] = fetch_part(g, first, end, n * THREADS + thread, false, inside);
    [[unroll]] for (uint n = 0u; n < Y_PARTS; ++n)
        y_ahead[n] = fetch_part(g, first, end, n * THREADS + thread, true, inside);
    state_ahead = fetch_state(g, first, end);
}

void fetch_step(Grid g, int first, int end) {
    if (first + int(BC) <= end)
        fetch_parts(g, first, end, true);
    else
        fetch_parts(g, first, end, false);
}

void stage_step(int number, bool full) {
    [[unroll]] for (uint n = 0u; n < X_PARTS; ++n) put_x_part(n * THREADS + thread, x_ahead[n], number, full);
    [[unroll]] for (uint n = 0u; n < Y_PARTS; ++n) put_y_part(n * THREADS + thread, y_ahead[n], number, full);
    put_state(thread, state_ahead);
}

// ... or goes straight to shared memory, where registers are few.
void copy_step(Grid g, int first, int end, int number, bool full) {
    [[dont_unroll]] for (uint i = thread; i < PAIRS * X_COPIES; i += THREADS)
        put_x_part(i, fetch_part(g, first, end, i, false, full), number, full);
    [[dont_unroll]] for (uint i = thread; i < PAIRS * Y_COPIES; i += THREADS)
        put_y_part(i, fetch_part(g, first, end, i, true, full), number, full);
#if VKA_KEYS
    for (uint i = thread; i < BC; i += THREADS) {
        QueryState state = query_state(g, uint(min(first + int(i), end - 1)));
        put_state(i, vec2(state.lse, state.delta));
    }
#endif
}
