// A step's scores and weights in shared memory, where the lanes that own a row turn its scores into weights of the storage type. A
// row's factor reaches the outputs, in the few steps in which it isn't 1, as a matrix loaded with a stride of 0.
// SPDX-License-Identifier: MIT

void multiply_keys() {
    for (uint i = 0u; i < KEY_TILES; ++i) {
        uint n = member * KEY_TILES + i;
        MATRIX_C s[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) s[r] = MATRIX_C(0.0);
        [[unroll]] for (uint x = 0u; x < D_TILES; ++x) {
            MATRIX_B keys = key_tile(n, x);
            [[unroll]] for (uint r = 0u; r < RM; ++r) s[r] = coopMatMulAdd(query_tile(r, x), keys, s[r]);
        }
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            coopMatStore(s[r], s_tile, (first + r * MM) * S_STRIDE + n * (NN / 4u), S_STRIDE,
                         gl_CooperativeMatrixLayoutRowMajor);
    }
}

// All rows' scores of all keys, as far as the subgroup's channels make them up.
void multiply_channels() {
    MATRIX_C s[RM * (BC / NN)];
    [[unroll]] for (uint i = 0u; i < RM * (BC / NN); ++i) s[i] = MATRIX_C(0.0);
    [[unroll]] for (uint x = 0u; x < D_SHARE; ++x)
        if ((x + 1u) * TC <= D_TILES || channel_tile(x) < D_TILES)
            [[unroll]] for (uint n = 0u; n < BC / NN; ++n) {
                MATRIX_B keys = key_tile(n, channel_tile(x));
                [[unroll]] for (uint r = 0u; r < RM; ++r)
                    s[r * (BC / NN) + n] = coopMatMulAdd(query_tile(r, x), keys, s[r * (BC / NN) + n]);
            }
    [[unroll]] for (uint r = 0u; r < RM; ++r)
        [[unroll]] for (uint n = 0u; n < BC / NN; ++n)
            coopMatStore(s[r * (BC / NN) + n], s_tile, own_row(first + r * MM) + n * (NN / 4u), S_STRIDE,
                         gl_CooperativeMatrixLayoutRowMajor);
}

// Scores by key; every operand of queries is loaded once a step.
void multiply_keys_by_key() {
    MATRIX_C s[RM * KEY_TILES];
    [[unroll]] for (uint i = 0u; i < RM * KEY_TILES; ++i) s[i] = MATRIX_C(0.0);
    [[unroll]] for (uint x = 0u; x < D_TILES; ++x) {
        MATRIX_A q[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r) q[r] = query_tile(r, x);
        [[unroll]] for (uint i = 0u; i < KEY_TILES; ++i) {
            MATRIX_B keys = key_tile(member * KEY_TILES + i, x);
            [[unroll]] for (uint r = 0u; r < RM; ++r) s[r * KEY_TILES + i] = coopMatMulAdd(q[r], keys, s[r * KEY_TILES + i]);
        }
    }
    [[unroll]] for (uint r = 0u; r < RM; ++r)
        [[unroll]] for (uint i = 0u; i < KEY_TILES; ++i)
            coopMatStore(s[r * KEY_TILES + i], s_tile, key_at((member * KEY_TILES + i) * NN) + r * (MM / 4u), KEY_STRIDE,
                         gl_CooperativeMatrixLayoutColumnMajor);
}

// Four weights of a row. Where a lane has an even number of vectors, its first one is at an even place: said here, since compilers
// don't find out.
void put_weights(uint row, uint i, vec4 weights) {
    uint vector = part_of() * LANE_VECTORS + i, at = s_row(row) + vector / 2u;
    vec2 words = uintBitsToFloat(weight_words(weights));
    if ((LANE_VECTORS % 2u == 0u ? i : vector) % 2u == 0u)
        s_tile[at].xy = words;
    else
        s_tile[at].zw = words;
}

// Four scores of a row.
vec4 scores_at(uint at) {
    vec4 s = s_tile[at];
    if (BY_CHANNEL)
        [[unroll]] for (uint other = 1u; other < TC; ++other) s += s_tile[at + other * S_MEMBER];
    return s;
}

// Scores to probabilities; returns what the row's old results are worth.
float online_softmax_step(Grid g, uint first_row, uint n, int j0, int end, bool full) {
    uint row = lane_row(n), part = part_of();
    Row r = row_of(g, min(first_row + row, row_count(g) - 1u));
    vec4 s[LANE_VECTORS];
    float highest = LOWEST;
    [[unroll]] for (uint i = 0u; i < LANE_VECTORS; ++i) {
        s[i] = vec4(0.0);
        if (has_soft_rows())
            s[i] = scores_at(s_row(row) + part * LANE_VECTORS + i);
        [[unroll]] for (uint e = 0u; e < 4u; ++e)
            s[i][e] = masked_score(g, r, j0 + int((part * LANE_VECTORS + i) * 4u + e), end, full, s[i][e], highest);
    }
    if (LANES > 1u)
        subgroup_sync(); // all scores of the row are read: weights may take their place
    float maximum = raised(state[n].maximum, over_row_max(highest));
    float rescale = exp_of(state[n].maximum - maximum);
    float sum = state[n].sum * rescale;
    [[unroll]] for (uint i = 0u; i < LANE_VECTORS; ++i) {
        s[i] = exp2((s[i] - maximum) * p.exp_scale);
        sum += s[i].x + s[i].y + s[i].z + s[i].w;
        [[unroll]] for (uint e = 0u; e < 4u; ++e)
            s[i][e] = apply_dropout(g, r, j0 + int((part * LANE_VECTORS + i) * 4u + e), s[i][e]);
        if (has_soft_rows())
            put_weights(row, i, s[i]);
    }
    state[n] = State(maximum, sum);
    return rescale;
}

// The same of two or four rows, whose scores lie by key.
vec4 online_softmax_step_by_key(Grid g, uint first_row, int j0, int end, bool full) {
    uint key = part_of() * LANE_VECTORS, at = key_at(key) + (lane_row(0u) - first) / 4u;
    vec4 s[LANE_VECTORS], rescale;
    [[unroll]] for (uint k = 0u; k < LANE_VECTORS; ++k) {
        s[k] = s_tile[at + k * KEY_STRIDE + k / NN];
        if (KEY_ROWS == 2u && lane_row(0u) % 4u != 0u)
            s[k].xy = s[k].zw;
    }
    [[unroll]] for (uint n = 0u; n < KEY_ROWS; ++n) {
        uint row = lane_row(n), w_at = row * W_STRIDE + key / 2u;
        Row r = row_of(g, min(first_row + row, row_count(g) - 1u));
        float highest = LOWEST;
        [[unroll]] for (uint k = 0u; k < LANE_VECTORS; ++k)
            s[k][n] = masked_score(g, r, j0 + int(key + k), end, full, s[k][n], highest);
        float maximum = raised(state[n].maximum, over_row_max(highest));
        rescale[n] = exp_of(state[n].maximum - maximum);
        float sum = state[n].sum * rescale[n];
        [[unroll]] for (uint k = 0u; k < LANE_VECTORS; k += 2u) {
            vec2 weights = exp2((vec2(s[k][n], s[k + 1u][n]) - maximum) * p.exp_scale);
            sum += weights.x + weights.y;
            [[unroll]] for (uint e = 0u; e < 2u; ++e) weights[e] = apply_dropout(g, r, j0 + int(key + k + e), weights[e]);
            w_tile[w_at + k / 2u] = weight_words(vec4(weights, 0.0, 0.0)).x;
        }
        state[n] = State(maximum, sum);
    }
    return rescale;
}

void softmax_rows(Grid g, uint first_row, int j0, int end, bool full) {
    vec4 rescales;
    if (BY_KEY)
        rescales = online_softmax_step_by_key(g, first_row, j0, end, full);
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n) {
        float rescale = BY_KEY ? rescales[n % 4u] : online_softmax_step(g, first_row, n, j0, end, full);
        if (part_of() == 0u && has_soft_rows())
            row_factor[lane_row(n)] = rescale;
        if (rescale != 1.0 && has_soft_rows())
            rescale_step[block].x = j0;
    }
}

void multiply_values() {
    for (uint c = 0u; c < WEIGHT_TILES; ++c) {
        MATRIX_A weights[RM];
        [[unroll]] for (uint r = 0u; r < RM; ++r)
            coopMatLoad(weights[r], s_tile, s_row(first + r * MM) + c * (KK / 8u), S_STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint x = 0u; x < DV_TILES; ++x) {
            MATRIX_B values = value_tile(c, x);
            [[unroll]] for (uint r = 0u; r < RM; ++r)
                out_rows[r * DV_TILES + x] = coopMatMulAdd(weights[r], values, out_rows[r * DV_TILES + x]);
        }
    }
}

// Scores by key; all weights are loaded first, and each tile of outputs is finished before the next: Intel's compiler gives a product
// other registers than the sum that it adds to.
void multiply_values_by_key() {
    MATRIX_A weights[RM * WEIGHT_TILES];
    [[unroll]] for (uint r = 0u; r < RM; ++r)
        [[unroll]] for (uint c = 0u; c < WEIGHT_TILES; ++c)
            coopMatLoad(weights[r * WEIGHT_TILES + c], w_tile, (first + r * MM) * W_STRIDE + c * (KK / 2u), W_STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
    [[unroll]] for (uint x = 0u; x < DV_TILES; ++x)
        [[unroll]] for (uint c = 0u; c < WEIGHT_TILES; ++c) {
            MATRIX_B values = value_tile(c, x);
            [[unroll]] for (uint r = 0u; r < RM; ++r)
                out_rows[r * DV_TILES + x] =
                    coopMatMulAdd(weights[r * WEIGHT_TILES + c], values, out_rows[r * DV_TILES + x]);
        }
}

void multiply_queries() {
    if (BY_KEY)
        multiply_keys_by_key();
    else if (BY_CHANNEL)
        multiply_channels();
    else
        multiply_keys();
    block_sync();
}

void add_values() {
    if (BY_KEY)
        multiply_values_by_key();
    else
        multiply_values();
}
