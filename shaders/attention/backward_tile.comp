#version 450
// Attention's backward where a workgroup owns a tile of rows: queries (VKA_KEYS = 0) or keys (VKA_KEYS = 1), as in
// backward_row.comp, with both sides in shared memory.
//
// Tiling: BR rows, BC partners a step. Invocation t belongs to row group t / TC, which owns RM rows, and is number t % TC of
// the TC invocations that share them. Of the pairs of its rows it owns the partners t % TC + TC n; of their gradients one
// vector of four channels in every chunk of TC vectors. The rows' own vectors stay in shared memory; partners pass through it
// a chunk of 4 TC channels at a time, once for the products and once for the gradients. What each pair says lies there, too,
// as the invocations that need it all share the row; -0 stands for a pair that is not seen, whose partner counts as 0
// whatever it holds.
//
// VKA_PAIRS = 1: rows and partners lie in shared memory as f16, as which the tensors have them, and are multiplied in pairs whose
// products are summed in f32: a vector is eight channels then. What pairs of rows say, and gradients, are floats as ever.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_MIXED_DOT
#extension GL_EXT_spirv_intrinsics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#define VKA_BACKWARD 1
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"
#include "attention_backward.glsl"
#include "backward_rows.glsl"
#include "backward_walk.glsl"
#if VKA_PAIRS
#define VKA_BF16 0
#define VKA_NEAREST_F16 0
#include "backward_words.glsl"
#include "pair_dot.glsl"
#endif

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

const uint CN = BC / TC;
// A row's vectors, and how many of four channels one of them is.
#if VKA_PAIRS
#define VECTOR uvec4
const uint FOURS = 2u;
#else
#define VECTOR vec4
const uint FOURS = 1u;
#endif
const uint X_VECTORS = (D4 + FOURS - 1u) / FOURS;
const uint Y_VECTORS = (DV4 + FOURS - 1u) / FOURS;
const uint X_CHUNKS = (X_VECTORS + TC - 1u) / TC;
const uint Y_CHUNKS = (Y_VECTORS + TC - 1u) / TC;
const uint X_STRIDE = X_VECTORS + 1u, Y_STRIDE = Y_VECTORS + 1u; // padded against bank conflicts, as the others
const uint PARTNER_STRIDE = TC + 1u;
const uint PAIR_STRIDE = BC + 4u;

shared VECTOR x_tile[BR * X_STRIDE];
shared VECTOR y_tile[BR * Y_STRIDE];
shared VECTOR partners[BC * PARTNER_STRIDE];
shared float x_factors[BR * PAIR_STRIDE];
#if VKA_KEYS
shared float y_factors[BR * PAIR_STRIDE];
#endif

vec4 x_grads[RM * X_CHUNKS * FOURS];
#if VKA_KEYS
vec4 y_grads[RM * Y_CHUNKS * FOURS];
#else
Row row_info[RM];
QueryState row_state[RM];
float slope_sum[RM];
#endif
float s[RM * CN], t[RM * CN];
uint tr, tc; // row group, and place within it
uint first_row;

const uint UNSEEN = 0x80000000u;

float seen_factor(float x) {
    return floatBitsToUint(x) == UNSEEN ? 0.0 : x;
}

// ---- vectors ---------------------------------------------------------------------------------------------------------

#if VKA_PAIRS
VECTOR own_vector(Place at, uint i, bool y) {
    return own_words(at, i, y);
}

VECTOR partner_vector(Place at, uint i, bool y) {
    return partner_words(at, i, y);
}

float vector_dot(VECTOR a, VECTOR b, float sum) {
    [[unroll]] for (uint e = 0u; e < 4u; ++e) sum = pair_dot(a[e], b[e], sum);
    return sum;
}

// Four of a vector's channels.
vec4 four_of(VECTOR x, uint f) {
    uvec2 words = f == 0u ? x.xy : x.zw;
    return vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y));
}
#else
VECTOR own_vector(Place at, uint i, bool y) {
    return y ? own_y(at, i) : own_x(at, i);
}

VECTOR partner_vector(Place at, uint i, bool y) {
    return y ? partner_y(at, i) : partner_x(at, i);
}

float vector_dot(VECTOR a, VECTOR b, float sum) {
    return dot_add(a, b, sum);
}

vec4 four_of(VECTOR x, uint f) {
    return x;
}
#endif

// ---- rows ------------------------------------------------------------------------------------------------------------

void stage_rows(Grid g, uint rows) {
    for (uint i = gl_LocalInvocationIndex; i < BR * X_VECTORS; i += gl_WorkGroupSize.x)
        x_tile[i / X_VECTORS * X_STRIDE + i % X_VECTORS] =
            own_vector(own_place(g, min(first_row + i / X_VECTORS, rows - 1u)), i % X_VECTORS, false);
    for (uint i = gl_LocalInvocationIndex; i < BR * Y_VECTORS; i += gl_WorkGroupSize.x)
        y_tile[i / Y_VECTORS * Y_STRIDE + i % Y_VECTORS] =
            own_vector(own_place(g, min(first_row + i / Y_VECTORS, rows - 1u)), i % Y_VECTORS, true);
}

// A chunk of the partners of a step. `y`: of their second vectors.
void stage_partners(Grid g, int first, int end, uint chunk, bool y) {
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < BC * TC; i += gl_WorkGroupSize.x) {
        uint d = chunk * TC + i % TC;
        Place at = partner_place(g, min(first + int(i / TC), end - 1));
        VECTOR x = VECTOR(0);
        if (d < (y ? Y_VECTORS : X_VECTORS))
            x = partner_vector(at, d, y);
        partners[i / TC * PARTNER_STRIDE + i % TC] = x;
    }
    barrier();
}

// ---- products --------------------------------------------------------------------------------------------------------

void multiply_x(uint chunk) {
    for (uint i = 0u; i < min(TC, X_VECTORS - chunk * TC); ++i) {
        VECTOR other[CN];
        [[unroll]] for (uint n = 0u; n < CN; ++n) other[n] = partners[(tc + n * TC) * PARTNER_STRIDE + i];
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            VECTOR x = x_tile[(tr * RM + r) * X_STRIDE + chunk * TC + i];
            [[unroll]] for (uint n = 0u; n < CN; ++n) s[r * CN + n] = vector_dot(x, other[n], s[r * CN + n]);
        }
    }
}

void multiply_y(uint chunk) {
    for (uint i = 0u; i < min(TC, Y_VECTORS - chunk * TC); ++i) {
        VECTOR other[CN];
        [[unroll]] for (uint n = 0u; n < CN; ++n) other[n] = partners[(tc + n * TC) * PARTNER_STRIDE + i];
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            VECTOR y = y_tile[(tr * RM + r) * Y_STRIDE + chunk * TC + i];
            [[unroll]] for (uint n = 0u; n < CN; ++n) t[r * CN + n] = vector_dot(y, other[n], t[r * CN + n]);
        }
    }
}

// What the invocation's pairs say, to shared memory.
void find_factors(Grid g, int first, int end, bool full) {
    [[unroll]] for (uint n = 0u; n < CN; ++n) {
        int partner = first + int(tc + n * TC), within = full ? partner : min(partner, end - 1);
#if VKA_KEYS
        Row info = row_of(g, uint(within));
        QueryState state = query_state(g, uint(within));
#endif
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            uint at = (tr * RM + r) * PAIR_STRIDE + tc + n * TC;
#if VKA_KEYS
            Pair pair = pair_of(g, info, state, int(first_row + tr * RM + r), s[r * CN + n], t[r * CN + n], full);
#else
            Pair pair = pair_of(g, row_info[r], row_state[r], within, s[r * CN + n], t[r * CN + n], full);
#endif
            bool seen = full || (partner < end && pair.seen);
            x_factors[at] = seen ? seen_factor(pair.product) : uintBitsToFloat(UNSEEN);
#if VKA_KEYS
            y_factors[at] = seen ? pair.weight : uintBitsToFloat(UNSEEN);
#elif VKA_WITH_OPTIONS
            if (has(VKA_FLAG_D_ALIBI) && seen)
                slope_sum[r] += slope_gradient(g, row_info[r], partner, pair);
#endif
        }
    }
}

// ---- gradients ---------------------------------------------------------------------------------------------------------

vec4 weighted(float factor, vec4 x, vec4 sum, bool full) {
    return fma(vec4(factor), full || floatBitsToUint(factor) != UNSEEN ? x : vec4(0.0), sum);
}

void add_x(Grid g, int first, int end, uint chunk, bool full) {
    stage_partners(g, first, end, chunk, false);
    for (uint c = 0u; c < BC; ++c) {
        VECTOR x = partners[c * PARTNER_STRIDE + tc];
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            float factor = x_factors[(tr * RM + r) * PAIR_STRIDE + c];
            [[unroll]] for (uint f = 0u; f < FOURS; ++f) {
                uint at = (r * X_CHUNKS + chunk) * FOURS + f;
                x_grads[at] = weighted(factor, four_of(x, f), x_grads[at], full);
            }
        }
    }
}

#if VKA_KEYS
void add_y(Grid g, int first, int end, uint chunk, bool full) {
    stage_partners(g, first, end, chunk, true);
    for (uint c = 0u; c < BC; ++c) {
        VECTOR y = partners[c * PARTNER_STRIDE + tc];
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            float factor = y_factors[(tr * RM + r) * PAIR_STRIDE + c];
            [[unroll]] for (uint f = 0u; f < FOURS; ++f) {
                uint at = (r * Y_CHUNKS + chunk) * FOURS + f;
                y_grads[at] = weighted(factor, four_of(y, f), y_grads[at], full);
            }
        }
    }
}
#endif

// Chunks are constants here: see tile.comp. There are at most 16.
#define CHUNK(count, add, x)                                                                                           \
    if (count > (x))                                                                                                   \
    add(g, first, end, x, full)
#define CHUNKS(count, add, x)                                                                                          \
    CHUNK(count, add, x);                                                                                              \
    CHUNK(count, add, x + 1u);                                                                                         \
    CHUNK(count, add, x + 2u);                                                                                         \
    CHUNK(count, add, x + 3u)
#define ALL_CHUNKS(count, add)                                                                                         \
    CHUNKS(count, add, 0u);                                                                                            \
    CHUNKS(count, add, 4u);                                                                                            \
    CHUNKS(count, add, 8u);                                                                                            \
    CHUNKS(count, add, 12u)

void add_step(Grid g, int first, int end, bool full) {
    [[unroll]] for (uint i = 0u; i < RM * CN; ++i) s[i] = t[i] = 0.0;
    for (uint chunk = 0u; chunk < X_CHUNKS; ++chunk) {
        stage_partners(g, first, end, chunk, false);
        multiply_x(chunk);
    }
    for (uint chunk = 0u; chunk < Y_CHUNKS; ++chunk) {
        stage_partners(g, first, end, chunk, true);
        multiply_y(chunk);
    }
    find_factors(g, first, end, full);
    ALL_CHUNKS(X_CHUNKS, add_x);
#if VKA_KEYS
    ALL_CHUNKS(Y_CHUNKS, add_y);
#endif
}

void add_steps(Grid g, int begin, int end, int full_begin, int full_end) {
    ADD_STEPS(begin, end, full_begin, full_end, add_step)
}

void clear_sums() {
    [[unroll]] for (uint i = 0u; i < RM * X_CHUNKS * FOURS; ++i) x_grads[i] = vec4(0.0);
#if VKA_KEYS
    [[unroll]] for (uint i = 0u; i < RM * Y_CHUNKS * FOURS; ++i) y_grads[i] = vec4(0.0);
#else
    [[unroll]] for (uint r = 0u; r < RM; ++r) slope_sum[r] = 0.0;
#endif
}

#ifdef VKA_WITH_PRODUCTS
// The product of each row with its gradient, of which the invocations that share the row have parts.
void find_along(out float along[RM]) {
    barrier();
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        float sum = 0.0;
        [[unroll]] for (uint x = 0u; x < X_CHUNKS; ++x)
            if (x * TC + tc < D4)
                sum = dot_add(x_tile[(tr * RM + r) * X_STRIDE + x * TC + tc], x_grads[r * X_CHUNKS + x], sum);
        x_factors[(tr * RM + r) * PAIR_STRIDE + tc] = sum;
    }
    barrier();
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        along[r] = 0.0;
        for (uint i = 0u; i < TC; ++i)
            along[r] += x_factors[(tr * RM + r) * PAIR_STRIDE + i];
    }
}

// Gradients of rows as they were multiplied to those of the rows. Keys of relative positions are not for this path.
void finish_rows(Grid g, uint rows) {
    float along[RM];
    find_along(along);
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = first_row + tr * RM + r;
#if VKA_KEYS
        float inverse = COSINE ? key_inverse(g, int(min(row, rows - 1u))) : -1.0;
#else
        float inverse = COSINE ? row_state[r].inverse : -1.0;
#endif
        [[unroll]] for (uint x = 0u; x < X_CHUNKS; ++x) {
            uint i = r * X_CHUNKS + x, d = x * TC + tc;
            if (d < D4)
                x_grads[i] = perpendicular(x_grads[i], x_tile[(tr * RM + r) * X_STRIDE + d], along[r], inverse);
        }
    }
}
#endif

// Which four of a row's channels the invocation's x-th four are.
uint four_number(uint x) {
    return (x / FOURS * TC + tc) * FOURS + x % FOURS;
}

#if VKA_KEYS
void store_rows(Grid g, uint head, uint rows) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = first_row + tr * RM + r;
        if (row >= rows)
            continue;
        [[unroll]] for (uint x = 0u; x < X_CHUNKS * FOURS; ++x)
            if (four_number(x) < D4)
                put_x(g, head, row, four_number(x), x_grads[r * X_CHUNKS * FOURS + x]);
        [[unroll]] for (uint x = 0u; x < Y_CHUNKS * FOURS; ++x)
            if (four_number(x) < DV4)
                put_y(g, head, row, four_number(x), y_grads[r * Y_CHUNKS * FOURS + x]);
    }
}

// Grid heads are key heads: see backward_row.comp.
void main() {
    tr = gl_LocalInvocationIndex / TC;
    tc = gl_LocalInvocationIndex % TC;
    uint head = gl_WorkGroupID.y + push.y0, batch = gl_WorkGroupID.z + push.z0;
    first_row = (gl_WorkGroupID.x + push.x0) * BR;
    Grid g = sequence_of(head * p.group, batch);
    uint rows = written_rows(g);
    if (first_row >= rows)
        return;
    clear_sums();
    stage_rows(g, rows);
    add_sharers(head, batch, first_row);
#ifdef VKA_WITH_PRODUCTS
    finish_rows(g, rows);
#endif
    store_rows(g, head, rows);
}
#else
void store_rows(Grid g) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = first_row + tr * RM + r;
        bool counts = row < g.q_len && row_state[r].alive;
        if (row >= written_rows(g))
            continue;
        [[unroll]] for (uint x = 0u; x < X_CHUNKS * FOURS; ++x)
            if (four_number(x) < D4)
                put_x(g, g.head, row, four_number(x), counts ? x_grads[r * X_CHUNKS * FOURS + x] : vec4(0.0));
    }
#if VKA_WITH_OPTIONS
    if (!has(VKA_FLAG_D_ALIBI))
        return;
    barrier();
    [[unroll]] for (uint r = 0u; r < RM; ++r) x_factors[(tr * RM + r) * PAIR_STRIDE + tc] = slope_sum[r];
    barrier();
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = first_row + tr * RM + r;
        float sum = 0.0;
        for (uint i = 0u; i < TC; ++i)
            sum += x_factors[(tr * RM + r) * PAIR_STRIDE + i];
        if (tc == 0u && row < written_rows(g))
            put_slope_sum(g, row, row < g.q_len && row_state[r].alive ? sum : 0.0);
    }
#endif
}

// Grid heads are query heads.
void main() {
    tr = gl_LocalInvocationIndex / TC;
    tc = gl_LocalInvocationIndex % TC;
    Grid g = grid_position();
    first_row = g.tile * BR;
    if (first_row >= max(written_rows(g), g.q_len))
        return;
    clear_sums();
    [[unroll]] for (uint r = 0u; r < RM; ++r) row_state[r].alive = false;
    if (first_row < g.q_len) {
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            uint row = min(first_row + tr * RM + r, g.q_len - 1u);
            row_info[r] = row_of(g, row);
            row_state[r] = query_state(g, row);
        }
        stage_rows(g, g.q_len);
        add_partners(g, first_row);
#ifdef VKA_WITH_PRODUCTS
        finish_rows(g, g.q_len);
#endif
    }
    store_rows(g);
}
#endif
