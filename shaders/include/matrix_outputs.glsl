// The outputs of coopmat.comp, which lie in accumulators: how they pass through the scores' tile to add what was set aside, and to
// be stored.
// SPDX-License-Identifier: MIT

// A loop over tiles of outputs that holds the long code once, and what touches accumulators once a tile: they can only be
// indexed by constants.
#define FOR_TILE(x)                                                                                                    \
    [[unroll]] for (uint x##_tile = 0u; x##_tile < DV_TILES; ++x##_tile) if (x##_tile == x)                            \
        [[unroll]] for (uint r = 0u; r < RM; ++r)

// Tiles of outputs pass through the scores' tile, where each subgroup of a block has NN columns, or keys, to itself.
void load_pass(out MATRIX_C tile, uint r) {
    if (BY_KEY)
        coopMatLoad(tile, s_tile, key_at(member * NN) + r * (MM / 4u), KEY_STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
    else
        coopMatLoad(tile, s_tile, own_row(first + r * MM), S_STRIDE, QUERY_ROWS_LAYOUT);
}

void store_pass(MATRIX_C tile, uint r) {
    if (BY_KEY)
        coopMatStore(tile, s_tile, key_at(member * NN) + r * (MM / 4u), KEY_STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
    else
        coopMatStore(tile, s_tile, own_row(first + r * MM), S_STRIDE, QUERY_ROWS_LAYOUT);
}

void put_pass(uint row, uint column, float x) {
    if (BY_KEY)
        s_tile[key_at(member * NN + column) + row / 4u][row % 4u] = x;
    else
        s_tile[own_row(first + row) + column / 4u][column % 4u] = x;
}

void add_nonfinite_values(Grid g, uint first_row, uint v_head, int j0, int end) {
    block_sync(); // the weights there are loaded
    [[dont_unroll]] for (uint x = 0u; x < DV_TILES; ++x) {
        subgroup_sync();
        for (uint i = lane; i < ROWS * NN; i += SG) {
            uint row = i / NN, n = i % NN;
            Row r = row_of(g, min(first_row + first + row, row_count(g) - 1u));
            put_pass(row, n, nonfinite_part(g, r, (member * DV_TILES + x) * NN + n, v_head, j0, end));
        }
        subgroup_sync();
        FOR_TILE(x) {
            MATRIX_C part;
            load_pass(part, r);
            out_rows[r * DV_TILES + x_tile] += part;
        }
    }
}

// ---- results ----------------------------------------------------------------------------------------------------------

// A tile of outputs whose first vector of four channels is `vector`, a vector at a time.
void store_vectors(Grid g, uint first_row, uint vector) {
    for (uint i = lane; i < ROWS * (NN / 4u); i += SG) {
        uint row = first + i / (NN / 4u), d = i % (NN / 4u);
        if (is_row(g, first_row + row) && vector + d < DV4)
            store_vector(g, row_query(g, first_row + row), vector + d, s_tile[own_row(row) + d]);
    }
}

// The same where columns lie one after the other: four channels of four rows at a time.
void store_columns(Grid g, uint first_row, uint vector) {
    for (uint i = lane; i < ROWS / 4u * (NN / 4u); i += SG) {
        uint d = i / (ROWS / 4u), at = key_at(member * NN + d * 4u) + i % (ROWS / 4u);
        mat4 rows = transpose(
            mat4(s_tile[at], s_tile[at + KEY_STRIDE], s_tile[at + 2u * KEY_STRIDE], s_tile[at + 3u * KEY_STRIDE]));
        [[unroll]] for (uint n = 0u; n < 4u; ++n) {
            uint row = first_row + first + i % (ROWS / 4u) * 4u + n;
            if (is_row(g, row) && vector + d < DV4)
                store_vector(g, row_query(g, row), vector + d, rows[n]);
        }
    }
}

// Rows' states, and what their outputs are multiplied by.
void store_states(Grid g, uint first_row) {
    [[unroll]] for (uint n = 0u; n < LANE_ROWS; ++n) {
        uint row = lane_row(n);
        uvec2 query = row_query(g, min(first_row + row, row_count(g) - 1u));
        state[n].sum = over_row_sum(state[n].sum);
        if (part_of() == 0u) {
            row_factor[row] = final_scale(state[n], query.x);
            if (is_row(g, first_row + row))
                store_state(g, query, state[n]);
        }
    }
}

void store_rows(Grid g, uint first_row) {
    if (has_soft_rows())
        store_states(g, first_row);
    block_sync();
    scale_outputs();
    [[dont_unroll]] for (uint x = 0u; x < DV_TILES; ++x) {
        FOR_TILE(x) store_pass(out_rows[r * DV_TILES + x_tile], r);
        subgroup_sync();
        if (BY_KEY)
            store_columns(g, first_row, (member * DV_TILES + x) * (NN / 4u));
        else
            store_vectors(g, first_row, (member * DV_TILES + x) * (NN / 4u));
        subgroup_sync();
    }
}
