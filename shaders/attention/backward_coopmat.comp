#version 450
// Attention's backward by cooperative matrices (VK_KHR_cooperative_matrix) of subgroups that own rows: queries (VKA_KEYS = 0) or
// keys (VKA_KEYS = 1), as in backward_tile.comp.
//
// Tiling: as in coopmat.comp. A workgroup owns BR rows in blocks of ROWS = RM * MM, each of which belongs to TC subgroups: every
// one of them multiplies both of the rows' vectors with its share of a step's BC partners, turns its share of the rows' products
// into factors, and keeps its share of the gradients' channels. Products leave the matrices through shared memory, where every row
// belongs to LANES lanes, and its factors, 16-bit elements, take the place of its products. Gradients stay in accumulators.
//
// Factors of f16 would overflow or vanish with the gradients that they are made of, so a row's are multiplied by a power of two,
// which its accumulators have, too: only where factors outgrow it are they rescaled, by a matrix loaded with a stride of 0.
// Weights, which are probabilities, are multiplied by 2^14.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#if VKA_BF16
#extension GL_EXT_bfloat16 : require
#else
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_spirv_intrinsics : require
#endif
#define VKA_BACKWARD 1
#define VKA_WITH_OPTIONS 0
#define VKA_NEAREST_F16 (!VKA_BF16)
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"
#include "attention_backward.glsl"
#include "backward_rows.glsl"
#include "backward_walk.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 32u;
// One product: MM x KK by KK x NN.
layout(constant_id = VKA_SPEC_M) const uint MM = 16u;
layout(constant_id = VKA_SPEC_N) const uint NN = 16u;
layout(constant_id = VKA_SPEC_K) const uint KK = 16u;
layout(constant_id = VKA_SPEC_LOW_REGISTER) const uint LOW_REGISTER = 0u;

const bool LEAN_STEPS = (LOW_REGISTER & VKA_LEAN_STEPS) != 0u;
const bool OWN_IN_SHARED = (LOW_REGISTER & VKA_LEAN_QUERY_ROWS) != 0u;

const uint ROWS = RM * MM;
const uint BLOCKS = BR / ROWS;
const uint THREADS = BLOCKS * TC * SG;
const uint PARTNER_TILES = BC / NN / TC; // of a subgroup
const uint FACTOR_TILES = BC / KK;
const uint OWN_TILES = 2u * BC / KK; // operands of rows that a row of products has room for
// Rows of which a subgroup computes the factors; lanes that share a row, rows that share a lane, a lane's vectors of four.
const uint LANE_SPAN = ROWS / TC;
const uint LANES = LANE_SPAN < SG ? SG / LANE_SPAN : 1u;
const uint LANE_ROWS = LANE_SPAN > SG ? LANE_SPAN / SG : 1u;
const uint LANE_VECTORS = BC / 4u / LANES;
// Vectors of four floats; padded against bank conflicts. A row's factors: first those of x, then those of y.
const uint PRODUCT_STRIDE = BC / 4u + 1u;
const uint Y_FACTORS = BC / 8u;

shared vec4 x_products[BR * PRODUCT_STRIDE];
shared vec4 y_products[BR * PRODUCT_STRIDE];
shared float row_factor[BR];
shared ivec4 rescale_step[BLOCKS]; // .x: the last step that lowered some row's power of two

#define MATRIX_A coopmat<ELEMENT, gl_ScopeSubgroup, MM, KK, gl_MatrixUseA>
#define MATRIX_B coopmat<ELEMENT, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator>

uint lane, thread;         // place in the subgroup, in the workgroup
uint block, first, member; // the subgroup's block, that block's first row, place among the block's subgroups
uint first_row;            // of the workgroup
int step_number;

#include "backward_matrix_tiles.glsl"

shared uvec4 own_x_tile[OWN_IN_SHARED ? BR * X_STRIDE : 1u];
shared uvec4 own_y_tile[OWN_IN_SHARED ? BR * Y_STRIDE : 1u];
MATRIX_A own_x_rows[RM * X_OPERANDS], own_y_rows[RM * Y_OPERANDS];
MATRIX_C x_grads[RM * X_TILES];
#if VKA_KEYS
MATRIX_C y_grads[RM * Y_TILES];
#else
Row row_info[LANE_ROWS];
QueryState row_state[LANE_ROWS];
#endif
int exponent[LANE_ROWS]; // of a row's power of two

void subgroup_sync() {
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

// Between subgroups of a block.
void block_sync() {
    if (TC > 1u)
        barrier();
    else
        subgroup_sync();
}

// The row, within the workgroup, of a lane's n-th row, and the part of it that the lane has.
uint lane_row(uint n) {
    return first + member * LANE_SPAN + (lane + n * SG) % LANE_SPAN;
}

uint part_of() {
    return LANE_SPAN < SG ? lane / LANE_SPAN : 0u;
}

// ---- rows ------------------------------------------------------------------------------------------------------------

// Operands of a block's rows pass through its part of the products' tile, as many channels at a time as rows hold there; all of
// a subgroup's are loaded where nothing branches, as compilers would copy at every step what was loaded in a branch.
#define LOAD_OWN_ROWS(rows_of, operands, y)                                                                            \
    [[unroll]] for (uint x0 = 0u; x0 < operands; x0 += OWN_TILES) {                                                    \
        block_sync();                                                                                                  \
        for (uint i = member * SG + lane; i < ROWS * (BC / 4u); i += TC * SG) {                                        \
            uint row = first + i / (BC / 4u), d = i % (BC / 4u);                                                       \
            x_products[row * PRODUCT_STRIDE + d] = uintBitsToFloat(                                                    \
                own_words(own_place(g, min(first_row + row, rows - 1u)), x0 * (KK / 8u) + d, y));                      \
        }                                                                                                              \
        block_sync();                                                                                                  \
        [[unroll]] for (uint r = 0u; r < RM; ++r)                                                                      \
            [[unroll]] for (uint x = x0; x < min(x0 + OWN_TILES, operands); ++x)                                       \
                coopMatLoad(rows_of[r * operands + x], x_products,                                                     \
                            (first + r * MM) * PRODUCT_STRIDE + (x - x0) * (KK / 8u), PRODUCT_STRIDE,                  \
                            gl_CooperativeMatrixLayoutRowMajor);                                                       \
    }

void load_rows(Grid g, uint rows) {
    if (OWN_IN_SHARED) {
        [[dont_unroll]] for (uint i = thread; i < BR * X_EIGHTS; i += THREADS)
            own_x_tile[i / X_EIGHTS * X_STRIDE + i % X_EIGHTS] =
                own_words(own_place(g, min(first_row + i / X_EIGHTS, rows - 1u)), i % X_EIGHTS, false);
        [[dont_unroll]] for (uint i = thread; i < BR * Y_EIGHTS; i += THREADS)
            own_y_tile[i / Y_EIGHTS * Y_STRIDE + i % Y_EIGHTS] =
                own_words(own_place(g, min(first_row + i / Y_EIGHTS, rows - 1u)), i % Y_EIGHTS, true);
    } else {
        LOAD_OWN_ROWS(own_x_rows, X_OPERANDS, false)
        LOAD_OWN_ROWS(own_y_rows, Y_OPERANDS, true)
    }
    barrier();
}

void clear_sums() {
    [[unroll]] for (uint i = 0u; i < RM * X_TILES; ++i) x_grads[i] = MATRIX_C(0.0);
#if VKA_KEYS
    [[unroll]] for (uint i = 0u; i < RM * Y_TILES; ++i) y_grads[i] = MATRIX_C(0.0);
#endif
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n) exponent[n] = 100;
}

// ---- products --------------------------------------------------------------------------------------------------------

#define MULTIPLY_ROWS(products, rows_of, own_tile, tile, operands, stride)                                             \
    {                                                                                                                  \
        MATRIX_C s[RM];                                                                                                \
        [[unroll]] for (uint r = 0u; r < RM; ++r) s[r] = MATRIX_C(0.0);                                                \
        [[unroll]] for (uint x = 0u; x < operands; ++x) {                                                              \
            MATRIX_B partners;                                                                                         \
            coopMatLoad(partners, tile, n * NN * stride + x * (KK / 8u), stride,                                       \
                        gl_CooperativeMatrixLayoutColumnMajor);                                                        \
            [[unroll]] for (uint r = 0u; r < RM; ++r) {                                                                \
                MATRIX_A own = rows_of[r * operands + x];                                                              \
                if (OWN_IN_SHARED)                                                                                     \
                    coopMatLoad(own, own_tile, (first + r * MM) * stride + x * (KK / 8u), stride,                      \
                                gl_CooperativeMatrixLayoutRowMajor);                                                   \
                s[r] = coopMatMulAdd(own, partners, s[r]);                                                             \
            }                                                                                                          \
        }                                                                                                              \
        [[unroll]] for (uint r = 0u; r < RM; ++r)                                                                      \
            coopMatStore(s[r], products, (first + r * MM) * PRODUCT_STRIDE + n * (NN / 4u), PRODUCT_STRIDE,            \
                         gl_CooperativeMatrixLayoutRowMajor);                                                          \
    }

void multiply_rows() {
    for (uint i = 0u; i < PARTNER_TILES; ++i) {
        uint n = member * PARTNER_TILES + i;
        MULTIPLY_ROWS(x_products, own_x_rows, own_x_tile, x_tile, X_OPERANDS, X_STRIDE)
        MULTIPLY_ROWS(y_products, own_y_rows, own_y_tile, y_tile, Y_OPERANDS, Y_STRIDE)
    }
}

// ---- factors ---------------------------------------------------------------------------------------------------------

float power_of_two(int exponent) {
    return uintBitsToFloat(uint(127 + exponent) << 23);
}

float over_row_max(float x) {
    [[unroll]] for (uint step = 1u; step < LANES; step *= 2u) x = max(x, subgroupShuffleXor(x, step * LANE_SPAN));
    return x;
}

// The row's power of two for factors of at most `most`; returns what its old gradients are worth.
float rescale_row(uint n, float most) {
    if (VKA_BF16 != 0)
        return 1.0;
    int old = exponent[n];
    if (most * power_of_two(old) > 16384.0)
        exponent[n] = 134 - int(floatBitsToUint(most) >> 23); // to 2^7 .. 2^8, so that this seldom happens again
    return power_of_two(max(exponent[n] - old, -126));
}

// Four factors of a row.
void put_factors(uint at, uint i, vec4 factors) {
    uint vector = part_of() * LANE_VECTORS + i;
    vec2 words = uintBitsToFloat(weight_words(factors));
    if ((LANE_VECTORS % 2u == 0u ? i : vector) % 2u == 0u) // as constants, where they are: compilers don't find out
        x_products[at + vector / 2u].xy = words;
    else
        x_products[at + vector / 2u].zw = words;
}

// What a pair says: its factors of x and y.
vec2 factors_of(Grid g, uint n, uint row, int partner, uint vector, uint e, int end, vec2 products, bool full) {
#if VKA_KEYS
    float lse = partner_lse[vector][e];
    Pair pair = pair_of(g, row_of(g, uint(min(partner, end - 1))),
                        QueryState(lse, partner_delta[vector][e], lse != negative_infinity()), int(first_row + row),
                        products.x, products.y, full);
#else
    Pair pair = pair_of(g, row_info[n], row_state[n], partner, products.x, products.y, full);
#endif
    bool seen = full || (partner < end && pair.seen);
    return seen ? vec2(pair.product, pair.weight) : vec2(0.0);
}

// Products of a lane's n-th row to factors.
void find_row_factors(Grid g, uint n, int first_partner, int end, bool full) {
    uint row = lane_row(n), at = row * PRODUCT_STRIDE, vector = part_of() * LANE_VECTORS;
    vec4 x[LANE_VECTORS], y[LANE_VECTORS];
    float most = 0.0;
    [[unroll]] for (uint i = 0u; i < LANE_VECTORS; ++i) {
        x[i] = x_products[at + vector + i];
        y[i] = y_products[at + vector + i];
        [[unroll]] for (uint e = 0u; e < 4u; ++e) {
            int partner = first_partner + int((vector + i) * 4u + e);
            vec2 factors = factors_of(g, n, row, partner, vector + i, e, end, vec2(x[i][e], y[i][e]), full);
            x[i][e] = factors.x;
            y[i][e] = factors.y;
            most = max(most, is_nonfinite(factors.x) ? 0.0 : abs(factors.x));
        }
    }
    if (LANES > 1u)
        subgroup_sync(); // all products of the row are read: factors may take their place
    float rescale = rescale_row(n, over_row_max(most)), scale = VKA_BF16 != 0 ? 1.0 : power_of_two(exponent[n]);
    [[unroll]] for (uint i = 0u; i < LANE_VECTORS; ++i) {
        put_factors(at, i, x[i] * scale);
#if VKA_KEYS
        put_factors(at + Y_FACTORS, i, VKA_BF16 != 0 ? y[i] : y[i] * 16384.0);
#endif
    }
    if (part_of() == 0u)
        row_factor[row] = rescale;
    if (rescale != 1.0)
        rescale_step[block].x = step_number;
}

void find_factors(Grid g, int first_partner, int end, bool full) {
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n) find_row_factors(g, n, first_partner, end, full);
}

// ---- gradients ---------------------------------------------------------------------------------------------------------

void rescale_gradients() {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        MATRIX_C factors;
        coopMatLoad(factors, row_factor, first + r * MM, 0u, gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint x = 0u; x < X_TILES; ++x) x_grads[r * X_TILES + x] *= factors;
    }
}

#define ADD_GRADIENTS(grads, columns, tiles, place)                                                                    \
    for (uint c = 0u; c < FACTOR_TILES; ++c) {                                                                         \
        MATRIX_A factors[RM];                                                                                          \
        [[unroll]] for (uint r = 0u; r < RM; ++r)                                                                      \
            coopMatLoad(factors[r], x_products, (first + r * MM) * PRODUCT_STRIDE + place + c * (KK / 8u),             \
                        PRODUCT_STRIDE, gl_CooperativeMatrixLayoutRowMajor);                                           \
        [[unroll]] for (uint x = 0u; x < tiles; ++x) {                                                                 \
            MATRIX_B partners;                                                                                         \
            coopMatLoad(partners, columns, (member * tiles + x) * NN * COLUMN_STRIDE + c * (KK / 2u), COLUMN_STRIDE,   \
                        gl_CooperativeMatrixLayoutColumnMajor);                                                        \
            [[unroll]] for (uint r = 0u; r < RM; ++r)                                                                  \
                grads[r * tiles + x] = coopMatMulAdd(factors[r], partners, grads[r * tiles + x]);                      \
        }                                                                                                              \
    }

void add_gradients() {
    if (VKA_BF16 == 0 && rescale_step[block].x == step_number)
        rescale_gradients();
    if (HAS_GRAD)
        ADD_GRADIENTS(x_grads, x_columns, X_TILES, 0u)
#if VKA_KEYS
    if (HAS_GRAD_V)
        ADD_GRADIENTS(y_grads, y_columns, Y_TILES, Y_FACTORS)
#endif
}

// Tiles of gradients pass through the products of y, where each subgroup of a block has NN columns to itself. The loop over tiles
// holds the long code once, and what touches accumulators once a tile: they can only be indexed by constants.
#define FOR_TILE(t, tiles)                                                                                             \
    [[unroll]] for (uint t##_constant = 0u; t##_constant < tiles; ++t##_constant) if (t##_constant == t)               \
        [[unroll]] for (uint r = 0u; r < RM; ++r)

uint pass_at(uint row) {
    return row * PRODUCT_STRIDE + member * (NN / 4u);
}

void store_pass(MATRIX_C tile, uint r) {
    coopMatStore(tile, y_products, pass_at(first + r * MM), PRODUCT_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
}

MATRIX_C load_pass(uint r) {
    MATRIX_C tile;
    coopMatLoad(tile, y_products, pass_at(first + r * MM), PRODUCT_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
    return tile;
}

float element_at(uint word, uint odd) {
#if VKA_BF16
    return uintBitsToFloat(odd != 0u ? word & 0xffff0000u : word << 16);
#else
    vec2 x = unpackHalf2x16(word);
    return odd != 0u ? x.y : x.x;
#endif
}

// What the elements of channel d that were set aside add to a row: NaN or infinite, also where the factor is too small for an f16.
float nonfinite_sum(Grid g, uint row, uint d, int first_partner, int end, bool y) {
    float sum = 0.0;
    for (int i = 0; i < min(int(BC), end - first_partner) && d < (y ? DV : D); ++i) {
        uint word = y ? y_tile[uint(i) * Y_STRIDE + d / 8u][d / 2u % 4u] : x_tile[uint(i) * X_STRIDE + d / 8u][d / 2u % 4u];
        float value = element_at(word, d % 2u);
        if (!is_nonfinite(value))
            continue;
        uint at = row * PRODUCT_STRIDE + (y ? Y_FACTORS : 0u) + uint(i) / 8u;
        float factor = element_at(floatBitsToUint(x_products[at][i / 2 % 4]), uint(i) % 2u);
#if VKA_KEYS
        uint query = uint(first_partner + i);
        bool seen = int(first_row + row) < g.kv_len && in_band(g, query, int(first_row + row)) &&
                    partner_lse[i / 4][i % 4] != negative_infinity();
#else
        bool seen = in_band(g, min(first_row + row, g.q_len - 1u), first_partner + i);
#endif
        if (seen)
            sum += factor != 0.0 ? factor * value : uintBitsToFloat(0x7fc00000u);
    }
    return sum;
}

#define ADD_NONFINITE(grads, tiles, y)                                                                                 \
    [[dont_unroll]] for (uint t = 0u; t < tiles; ++t) {                                                                \
        block_sync();                                                                                                  \
        for (uint i = lane; i < ROWS * NN; i += SG) {                                                                  \
            uint row = first + i / NN, n = i % NN;                                                                     \
            y_products[pass_at(row) + n / 4u][n % 4u] =                                                                \
                nonfinite_sum(g, row, (member * tiles + t) * NN + n, first_partner, end, y);                           \
        }                                                                                                              \
        block_sync();                                                                                                  \
        FOR_TILE(t, tiles) grads[r * tiles + t_constant] += load_pass(r);                                              \
    }

void add_nonfinite(Grid g, int first_partner, int end) {
    ADD_NONFINITE(x_grads, X_TILES, false)
#if VKA_KEYS
    ADD_NONFINITE(y_grads, Y_TILES, true)
#endif
}

// ---- steps -----------------------------------------------------------------------------------------------------------

void add_step(Grid g, int at, int end, bool full) {
    ++step_number;
    barrier(); // the step before is done with the partners
    if (full) { // as constants: what masks, and what asks for each partner, costs as much as the rest
        if (LEAN_STEPS)
            copy_step(g, at, end, step_number, true);
        else
            stage_step(step_number, true);
    } else {
        if (LEAN_STEPS)
            copy_step(g, at, end, step_number, false);
        else
            stage_step(step_number, false);
    }
    barrier();
    if (!LEAN_STEPS && at + int(BC) < end)
        fetch_step(g, at + int(BC), end);
    multiply_rows();
    block_sync();
    if (full)
        find_factors(g, at, end, true);
    else
        find_factors(g, at, end, false);
    block_sync();
    add_gradients();
    if (!full && nonfinite_step.x == step_number)
        add_nonfinite(g, at, end);
}

void add_steps(Grid g, int begin, int end, int full_begin, int full_end) {
    if (!LEAN_STEPS && begin < end)
        fetch_step(g, begin, end);
    for (int at = begin; at < end; at += int(BC))
        add_step(g, at, end, at >= full_begin && at + int(BC) <= min(full_end, end));
}

// ---- results -----------------------------------------------------------------------------------------------------------

#define STORE_GRADIENTS(grads, tiles, put, vectors, head, rows)                                                        \
    [[dont_unroll]] for (uint t = 0u; t < tiles; ++t) {                                                                \
        FOR_TILE(t, tiles) store_pass(grads[r * tiles + t_constant], r);                                               \
        subgroup_sync();                                                                                               \
        for (uint i = lane; i < ROWS * (NN / 4u); i += SG) {                                                           \
            uint row = first + i / (NN / 4u), d = (member * tiles + t) * (NN / 4u) + i % (NN / 4u);                    \
            if (first_row + row < rows && d < vectors)                                                                 \
                put(g, head, row, d, y_products[pass_at(row) + i % (NN / 4u)]);                                        \
        }                                                                                                              \
        subgroup_sync();                                                                                               \
    }

// A row that sees nothing has a factor of 0, and what it was multiplied with does not count.
void put_scaled_x(Grid g, uint head, uint row, uint d, vec4 x) {
    put_x(g, head, first_row + row, d, row_factor[row] == 0.0 ? vec4(0.0) : x * row_factor[row]);
}

#if VKA_KEYS
void put_scaled_y(Grid g, uint head, uint row, uint d, vec4 y) {
    put_y(g, head, first_row + row, d, VKA_BF16 != 0 ? y : y * (1.0 / 16384.0));
}
#endif

void store_rows(Grid g, uint head, uint rows) {
    barrier(); // all of a block's subgroups are done with the products and the factors
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n) {
        float factor = VKA_BF16 != 0 ? 1.0 : power_of_two(-exponent[n]);
#if !VKA_KEYS
        factor = row_state[n].alive ? factor : 0.0;
#endif
        if (part_of() == 0u)
            row_factor[lane_row(n)] = factor;
    }
    block_sync();
    if (HAS_GRAD)
        STORE_GRADIENTS(x_grads, X_TILES, put_scaled_x, D4, head, rows)
#if VKA_KEYS
    if (HAS_GRAD_V)
        STORE_GRADIENTS(y_grads, Y_TILES, put_scaled_y, DV4, head, rows)
#endif
}

void main() {
    lane = gl_SubgroupInvocationID;
    thread = gl_SubgroupID * SG + lane;
    block = gl_SubgroupID / TC;
    member = gl_SubgroupID % TC;
    first = block * ROWS;
    step_number = 0;
    nonfinite_step.x = 0;
    rescale_step[block].x = 0;
    first_row = (gl_WorkGroupID.x + push.x0) * BR;
    uint head = gl_WorkGroupID.y + push.y0, batch = gl_WorkGroupID.z + push.z0;
#if VKA_KEYS
    Grid g = sequence_of(head * p.group, batch); // grid heads are key heads: see backward_row.comp
#else
    Grid g = sequence_of(head, batch);
#endif
    uint rows = written_rows(g);
    if (first_row >= rows)
        return;
    clear_sums();
    load_rows(g, rows);
#if VKA_KEYS
    add_sharers(head, batch, first_row);
#else
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n) {
        uint row = min(first_row + lane_row(n), rows - 1u);
        row_info[n] = row_of(g, row);
        row_state[n] = query_state(g, row);
    }
    add_partners(g, first_row);
#endif
    store_rows(g, head, rows);
}
