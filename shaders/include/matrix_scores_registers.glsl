// A step's scores and weights in accumulators, by reductions, conversions and functions of elements
// (VK_EXT_cooperative_matrix_maintenance1, or VK_NV_cooperative_matrix2). One subgroup has a block to itself (TC = 1).
//
// Keys are multiplied by queries: a lane of AMD's matrix cores holds scores of one query then, and needs no more than those of one other
// lane for a query's maximum, and to have the weights as an operand.
// SPDX-License-Identifier: MIT

#if VKA_IN_REGISTERS == 1
#define REDUCE_COLUMNS(result, x, function) coopMatReduceEXT(result, x, gl_CooperativeMatrixReduceColumnEXT, function)
#define PER_ELEMENT coopMatPerElementEXT
#else
#define REDUCE_COLUMNS(result, x, function) coopMatReduceNV(result, x, gl_CooperativeMatrixReduceColumnNV, function)
#define PER_ELEMENT coopMatPerElementNV
#endif
#define FOR_ELEMENT(i, x) [[unroll]] for (int i = 0; i < (x).length(); ++i)

MATRIX_C scores[RM * KEY_TILES];
// What each lane's weights sum up to, and by columns what they are relative to: a score, the same times exp_scale, and whether
// that is so small that its rounding doesn't matter.
MATRIX_C maxima[RM], exponents[RM], sums[RM];
bool small[RM];
#define SMALL_EXPONENT 128.0
// Do all elements that a lane holds lie in one column? Compilers for AMD know that they do, and drop the others' values then.
bool one_column;
Grid step_grid;

float column_element(const in uint row, const in uint column, const in float x) {
    return float(column);
}

void begin_states() {
    MATRIX_C columns = MATRIX_C(0.0);
    PER_ELEMENT(columns, columns, column_element);
    one_column = true;
    FOR_ELEMENT(e, columns) one_column = one_column && columns[e] == columns[0];
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        maxima[r] = MATRIX_C(no_state().maximum);
        exponents[r] = sums[r] = MATRIX_C(0.0);
        small[r] = false;
    }
}

// The value of an element's column.
float of_column(float first, float own) {
    return one_column ? first : own;
}

void multiply_queries() {
    [[unroll]] for (uint i = 0u; i < RM * KEY_TILES; ++i) scores[i] = MATRIX_C(0.0);
    [[unroll]] for (uint x = 0u; x < D_TILES; ++x)
        [[unroll]] for (uint n = 0u; n < KEY_TILES; ++n) {
            MATRIX_K keys = key_tile(n, x);
            [[unroll]] for (uint r = 0u; r < RM; ++r)
                scores[r * KEY_TILES + n] = MULTIPLY_ADD(query_tile(r, x), keys, scores[r * KEY_TILES + n]);
        }
}

float larger(const in float a, const in float b) {
    return max(a, b);
}

float plus(const in float a, const in float b) {
    return a + b;
}

Row step_row(uint row) {
    return row_of(step_grid, min(row, row_count(step_grid) - 1u));
}

// `j` and `row`: the key and the row of the matrix' first element. `full` is a constant wherever it comes from.
float masked_element(const in uint key, const in uint column, const in float x, const in int j, const in uint row,
                     const in bool full) {
    float highest = LOWEST;
    return masked_score(step_grid, step_row(row + column), j + int(key), run.end, full, x, highest);
}

float dropout_element(const in uint key, const in uint column, const in float x, const in int j, const in uint row) {
    return apply_dropout(step_grid, step_row(row + column), j + int(key), x);
}

void mask_scores(uint r, int j0, uint row, bool full) {
    [[unroll]] for (uint n = 0u; n < KEY_TILES; ++n) {
        uint i = r * KEY_TILES + n;
        PER_ELEMENT(scores[i], scores[i], masked_element, j0 + int(n * MM), row, full);
    }
}

// What results so far are relative to follows the highest scores; they are scaled in the few steps in which it grows.
void raise_maxima(uint r) {
    MATRIX_C highest = scores[r * KEY_TILES];
    [[unroll]] for (uint n = 1u; n < KEY_TILES; ++n)
        FOR_ELEMENT(e, highest) highest[e] = max(highest[e], scores[r * KEY_TILES + n][e]);
    REDUCE_COLUMNS(highest, highest, larger);
    bool grows = false;
    FOR_ELEMENT(e, highest) if (e == 0 || !one_column) {
        highest[e] = raised(maxima[r][e], highest[e]);
        grows = grows || highest[e] != maxima[r][e];
    }
    if (!subgroupAny(grows))
        return;
    MATRIX_C above = highest, factors = highest;
    bool was_small = small[r];
    small[r] = true;
    FOR_ELEMENT(e, above) if (e == 0 || !one_column) {
        above[e] *= p.exp_scale;
        small[r] = small[r] && abs(above[e]) < SMALL_EXPONENT;
    }
    small[r] = subgroupAll(small[r]);
    FOR_ELEMENT(e, factors)
        factors[e] = was_small && small[r]
                         ? exp2(of_column(exponents[r][0], exponents[r][e]) - of_column(above[0], above[e]))
                         : exp_of(of_column(maxima[r][0], maxima[r][e]) - of_column(highest[0], highest[e]));
    sums[r] *= factors;
    [[unroll]] for (uint x = 0u; x < DV_TILES; ++x) out_rows[r * DV_TILES + x] *= factors;
    maxima[r] = highest;
    exponents[r] = above;
}

// Scores to weights. The difference to a large maximum comes first, as its product with exp_scale would be rounded by more.
void weigh_scores(uint r) {
    if (small[r]) {
        [[unroll]] for (uint n = 0u; n < KEY_TILES; ++n)
            FOR_ELEMENT(e, sums[r]) {
                float exponent = of_column(exponents[r][0], exponents[r][e]);
                scores[r * KEY_TILES + n][e] = exp2(fma(scores[r * KEY_TILES + n][e], p.exp_scale, -exponent));
            }
    } else {
        [[unroll]] for (uint n = 0u; n < KEY_TILES; ++n)
            FOR_ELEMENT(e, sums[r]) {
                float maximum = of_column(maxima[r][0], maxima[r][e]);
                scores[r * KEY_TILES + n][e] = exp2((scores[r * KEY_TILES + n][e] - maximum) * p.exp_scale);
            }
    }
}

void softmax_rows(Grid g, uint first_row, int j0, int end, bool full) {
    step_grid = g;
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = first_row + first + r * NN;
        mask_scores(r, j0, row, full);
        raise_maxima(r);
        weigh_scores(r);
        [[unroll]] for (uint n = 0u; n < KEY_TILES; ++n) {
            uint i = r * KEY_TILES + n;
            sums[r] += scores[i];
            if (has_option(VKA_FLAG_DROPOUT))
                PER_ELEMENT(scores[i], scores[i], dropout_element, j0 + int(n * MM), row);
        }
    }
}

void add_values() {
    [[unroll]] for (uint c = 0u; c < WEIGHT_TILES; ++c) {
        MATRIX_Q weights[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) weights[r] = MATRIX_Q(scores[r * KEY_TILES + c]);
        [[unroll]] for (uint x = 0u; x < DV_TILES; ++x) {
            MATRIX_K values = value_tile(c, x);
            [[unroll]] for (uint r = 0u; r < RM; ++r)
                out_rows[r * DV_TILES + x] = MULTIPLY_ADD(weights[r], values, out_rows[r * DV_TILES + x]);
        }
    }
}

// A value of each query, the same for all rows of a column, to the lanes that store its row: through the tile that outputs pass.
void put_column_values(MATRIX_C x, uint r) {
    FOR_ELEMENT(e, x) x[e] = of_column(x[0], x[e]);
    coopMatStore(x, s_tile, own_row(first + r * MM), S_STRIDE, QUERY_ROWS_LAYOUT);
}

void take_states() {
    [[unroll]] for (uint r = 0u; r < RM; ++r) put_column_values(maxima[r], r);
    subgroup_sync();
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n) state[n].maximum = s_tile[own_row(lane_row(n))].x;
    subgroup_sync();
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        REDUCE_COLUMNS(sums[r], sums[r], plus);
        put_column_values(sums[r], r);
    }
    subgroup_sync();
    // Lanes that share a row sum up what they have of it.
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n)
        state[n].sum = part_of() == 0u ? s_tile[own_row(lane_row(n))].x : 0.0;
    subgroup_sync();
}
