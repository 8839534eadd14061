#version 450
// Attention's backward where an invocation owns rows: VKA_KEYS = 0, queries, whose gradients it adds up over all keys that
// they see; VKA_KEYS = 1, keys and values, over all queries that see them. Neither needs another's results, so that there
// are no atomics, and scores are computed twice instead of being kept (Dao 2022).
//
// Tiling: a workgroup of GROUP_SIZE invocations owns BR = GROUP_SIZE * RM rows, invocation t the rows t, t + GROUP_SIZE, ..;
// the others, "partners", come BC a step. With subgroups (VKA_SUBGROUP = 1, the workgroup is one subgroup) each invocation
// loads a part of a partner's row and broadcasts it, otherwise all load the same, or, with lists of keys, each loads partners of
// its own (VKA_OWN_PARTNERS; RM and BC are 1 then). No shared memory, no barriers: made for software drivers, as row.comp is.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#if VKA_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#define VKA_BACKWARD 1
#if VKA_WITH_OPTIONS && !VKA_SUBGROUP
#define VKA_OWN_PARTNERS
#endif
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"
#include "attention_backward.glsl"
#ifdef VKA_OWN_PARTNERS
#include "backward_lists.glsl"
#endif
#include "backward_rows.glsl"
#include "backward_walk.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;

vec4 x_rows[RM * D4], y_rows[RM * DV4];
vec4 x_grads[RM * D4];
#if VKA_KEYS
vec4 y_grads[RM * DV4];
#else
Row row_info[RM];
QueryState row_state[RM];
float slope_sum[RM]; // of ALiBi
#ifdef VKA_WITH_PRODUCTS
vec4 position_grads[RELATIVE_KEYS ? RM * D4 : 1u]; // of queries, by keys of relative positions
#endif
#endif

uint row_number(uint first, uint r) {
    return first + r * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
}

// ---- partners, one at a time, for all invocations ----------------------------------------------------------------------

#if VKA_SUBGROUP
layout(constant_id = VKA_SPEC_SUBGROUP) const uint SG = 8u;
const uint X_PARTS = (D4 + SG - 1u) / SG;
const uint Y_PARTS = (DV4 + SG - 1u) / SG;
vec4 x_parts[BC * X_PARTS];
vec4 y_parts[BC * Y_PARTS];

void fetch(uint c, Place at) {
    [[unroll]] for (uint i = 0u; i < X_PARTS; ++i) {
        uint d = i * SG + gl_SubgroupInvocationID;
        x_parts[c * X_PARTS + i] = vec4(0.0);
        if (d < D4)
            x_parts[c * X_PARTS + i] = partner_x(at, d);
    }
    [[unroll]] for (uint i = 0u; i < Y_PARTS; ++i) {
        uint d = i * SG + gl_SubgroupInvocationID;
        y_parts[c * Y_PARTS + i] = vec4(0.0);
        if (d < DV4)
            y_parts[c * Y_PARTS + i] = partner_y(at, d);
    }
}

vec4 step_x(uint c, Place at, uint d) {
    return subgroupShuffle(x_parts[c * X_PARTS + d / SG], d % SG);
}

vec4 step_y(uint c, Place at, uint d) {
    return subgroupShuffle(y_parts[c * Y_PARTS + d / SG], d % SG);
}
#else
void fetch(uint c, Place at) {
}

vec4 step_x(uint c, Place at, uint d) {
    return partner_x(at, d);
}

vec4 step_y(uint c, Place at, uint d) {
    return partner_y(at, d);
}
#endif

// ---- a step ------------------------------------------------------------------------------------------------------------

float s[RM * BC], t[RM * BC]; // products of rows and partners, then the factors of partners in gradients
bool seen[RM * BC];
uint first_row;

// Partners first .. first + BC - 1: products of both vectors with those of the rows.
void multiply(Place at[BC]) {
    [[unroll]] for (uint i = 0u; i < RM * BC; ++i) s[i] = t[i] = 0.0;
    VKA_UNROLL(d, D4) {
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            vec4 x = step_x(c, at[c], d);
            [[unroll]] for (uint r = 0u; r < RM; ++r) s[r * BC + c] = dot_add(x_rows[r * D4 + d], x, s[r * BC + c]);
        }
    }
    VKA_UNROLL(d, DV4) {
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            vec4 y = step_y(c, at[c], d);
            [[unroll]] for (uint r = 0u; r < RM; ++r) t[r * BC + c] = dot_add(y_rows[r * DV4 + d], y, t[r * BC + c]);
        }
    }
}

// Products to factors. Of a pair that is not seen they are 0.
void find_factors(Grid g, int first, int end, bool full) {
    [[unroll]] for (uint c = 0u; c < BC; ++c) {
        int partner = first + int(c), within = full ? partner : min(partner, end - 1);
#if VKA_KEYS
        Row info = row_of(g, uint(within));
        QueryState state = query_state(g, uint(within));
#endif
        [[unroll]] for (uint r = 0u; r < RM; ++r) {
            uint i = r * BC + c;
#if VKA_KEYS
            Pair pair = pair_of(g, info, state, int(row_number(first_row, r)), s[i], t[i], full);
#else
            Pair pair = pair_of(g, row_info[r], row_state[r], within, s[i], t[i], full);
#endif
            seen[i] = full || (partner < end && pair.seen);
            s[i] = seen[i] ? pair.product : 0.0;
            t[i] = seen[i] ? pair.weight : 0.0;
#if VKA_WITH_OPTIONS && !VKA_KEYS
            if (has(VKA_FLAG_D_ALIBI) && seen[i])
                slope_sum[r] += slope_gradient(g, row_info[r], partner, pair);
#endif
        }
    }
}

#if defined(VKA_WITH_PRODUCTS) && !VKA_KEYS
// What keys of relative positions say to the rows, by the factors of a step.
void add_positions(Grid g, int first, bool full) {
    [[unroll]] for (uint r = 0u; r < RM; ++r)
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            bool counts = full || seen[r * BC + c];
            uint at = relative_key_at(g, row_info[r], first + int(c));
            VKA_UNROLL(d, D4) {
                vec4 x = relative_key4(at, d);
                position_grads[r * D4 + d] =
                    fma(vec4(s[r * BC + c]), counts ? x : vec4(0.0), position_grads[r * D4 + d]);
            }
        }
}
#endif

// Partners first .. first + BC - 1, of which those from `end` on count for nothing. `full`: all are seen by all rows.
void add_step(Grid g, int first, int end, bool full) {
    Place at[BC];
    [[unroll]] for (uint c = 0u; c < BC; ++c) {
        at[c] = partner_place(g, full ? first + int(c) : min(first + int(c), end - 1));
        fetch(c, at[c]);
    }
    multiply(at);
    find_factors(g, first, end, full);
    VKA_UNROLL(d, D4) {
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            vec4 x = step_x(c, at[c], d);
            [[unroll]] for (uint r = 0u; r < RM; ++r)
                x_grads[r * D4 + d] =
                    fma(vec4(s[r * BC + c]), full || seen[r * BC + c] ? x : vec4(0.0), x_grads[r * D4 + d]);
        }
    }
#if defined(VKA_WITH_PRODUCTS) && !VKA_KEYS
    if (RELATIVE_KEYS)
        add_positions(g, first, full);
#endif
#if VKA_KEYS
    VKA_UNROLL(d, DV4) {
        [[unroll]] for (uint c = 0u; c < BC; ++c) {
            vec4 y = step_y(c, at[c], d);
            [[unroll]] for (uint r = 0u; r < RM; ++r)
                y_grads[r * DV4 + d] =
                    fma(vec4(t[r * BC + c]), full || seen[r * BC + c] ? y : vec4(0.0), y_grads[r * DV4 + d]);
        }
    }
#endif
}

void add_steps(Grid g, int begin, int end, int full_begin, int full_end) {
    ADD_STEPS(begin, end, full_begin, full_end, add_step)
}

#ifdef VKA_OWN_PARTNERS
void add_listed(Grid g) {
    uint row = row_number(first_row, 0u);
#if VKA_KEYS
    uvec2 entries = row < uint(g.kv_len) ? entries_of(g, row, 0u, g.q_len) : uvec2(0u);
    [[dont_unroll]] for (uint i = entries.x; i < entries.y; ++i) {
        int query = int(entry_query(g, i));
        add_step(g, query, query + 1, false);
    }
#else
    list = list_of(g, g.head, min(row, g.q_len - 1u));
    [[dont_unroll]] for (uint slot = 0u; row < g.q_len && slot < p.slots; ++slot) {
        int key = int(listed_key(slot));
        if (key < 0)
            break;
        if (key < g.kv_len)
            add_step(g, key, key + 1, false);
    }
#endif
}
#endif

// ---- rows --------------------------------------------------------------------------------------------------------------

// Rows of the workgroup, of which there are `rows` in all.
void load_rows(Grid g, uint rows) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = min(row_number(first_row, r), rows - 1u);
        Place at = own_place(g, row);
        VKA_UNROLL(d, D4) x_rows[r * D4 + d] = own_x(at, d);
        VKA_UNROLL(d, DV4) y_rows[r * DV4 + d] = own_y(at, d);
#if !VKA_KEYS
        row_info[r] = row_of(g, row);
        row_state[r] = query_state(g, row);
#endif
    }
}

void clear_sums() {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        VKA_UNROLL(d, D4) x_grads[r * D4 + d] = vec4(0.0);
#if VKA_KEYS
        VKA_UNROLL(d, DV4) y_grads[r * DV4 + d] = vec4(0.0);
#else
        slope_sum[r] = 0.0;
#ifdef VKA_WITH_PRODUCTS
        if (RELATIVE_KEYS)
            VKA_UNROLL(d, D4) position_grads[r * D4 + d] = vec4(0.0);
#endif
#endif
    }
}

#ifdef VKA_WITH_PRODUCTS
// Gradients of rows as they were multiplied to those of the rows.
void finish_rows(Grid g, uint rows) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = min(row_number(first_row, r), rows - 1u);
        float along = 0.0;
#if VKA_KEYS
        float inverse = COSINE ? key_inverse(g, int(row)) : -1.0;
#else
        float inverse = COSINE ? row_state[r].inverse : -1.0;
#endif
        VKA_UNROLL(d, D4) along = dot_add(x_rows[r * D4 + d], x_grads[r * D4 + d], along);
        VKA_UNROLL(d, D4) {
            x_grads[r * D4 + d] = perpendicular(x_grads[r * D4 + d], x_rows[r * D4 + d], along, inverse);
#if !VKA_KEYS
            if (RELATIVE_KEYS) {
                if (row_number(first_row, r) < rows)
                    put_parts(g, row, d, x_grads[r * D4 + d], position_grads[r * D4 + d]);
                x_grads[r * D4 + d] += position_grads[r * D4 + d];
            }
#endif
        }
    }
}
#endif

// Gradients as they are stored: in arrays that are indexed at run time, on purpose, as in row.comp.
vec4 final_x[RM * D4];
#if VKA_KEYS
vec4 final_y[RM * DV4];

void store_rows(Grid g, uint head, uint rows) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        VKA_UNROLL(d, D4) final_x[r * D4 + d] = x_grads[r * D4 + d];
        VKA_UNROLL(d, DV4) final_y[r * DV4 + d] = y_grads[r * DV4 + d];
    }
    [[dont_unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = row_number(first_row, r);
        if (row < rows) {
            [[dont_unroll]] for (uint d = 0u; d < D4; ++d) put_x(g, head, row, d, final_x[r * D4 + d]);
            [[dont_unroll]] for (uint d = 0u; d < DV4; ++d) put_y(g, head, row, d, final_y[r * DV4 + d]);
        }
    }
}

// Grid heads are key heads.
void main() {
    uint head = gl_WorkGroupID.y + push.y0, batch = gl_WorkGroupID.z + push.z0;
    first_row = (gl_WorkGroupID.x + push.x0) * BR;
    Grid g = sequence_of(head * p.group, batch);
    uint rows = written_rows(g);
    if (first_row >= rows)
        return;
    load_rows(g, rows);
    clear_sums();
    add_sharers(head, batch, first_row);
#ifdef VKA_WITH_PRODUCTS
    finish_rows(g, rows);
#endif
    store_rows(g, head, rows);
}
#else
float final_slope[RM];

void store_rows(Grid g) {
    [[unroll]] for (uint r = 0u; r < RM; ++r) {
        bool counts = row_number(first_row, r) < g.q_len && row_state[r].alive;
        VKA_UNROLL(d, D4) final_x[r * D4 + d] = counts ? x_grads[r * D4 + d] : vec4(0.0);
        final_slope[r] = counts ? slope_sum[r] : 0.0;
    }
    [[dont_unroll]] for (uint r = 0u; r < RM; ++r) {
        uint row = row_number(first_row, r);
        if (row < written_rows(g)) {
            [[dont_unroll]] for (uint d = 0u; d < D4; ++d) put_x(g, g.head, row, d, final_x[r * D4 + d]);
            put_slope_sum(g, row, final_slope[r]);
        }
    }
}

// Grid heads are query heads.
void main() {
    Grid g = grid_position();
    first_row = g.tile * BR;
    if (first_row >= max(written_rows(g), g.q_len))
        return;
    clear_sums();
    [[unroll]] for (uint r = 0u; r < RM; ++r) row_state[r].alive = false;
    if (first_row < g.q_len) {
        load_rows(g, g.q_len);
        add_partners(g, first_row);
#ifdef VKA_WITH_PRODUCTS
        finish_rows(g, g.q_len);
#endif
    }
    store_rows(g);
}
#endif
