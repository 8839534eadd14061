// What every attention path shares: sequences, the walk over keys, a score's journey, the online softmax, the results.
//
// A grid head has `rows` query rows: the queries of one query head or, packed, of all query heads that share a key head.
// Scores are kept in units in which no sum of a few finite numbers overflows: q.k itself in kernels without options, and
// four in those with options, where masks and biases of up to the largest float join. Differences of scores are
// multiplied by p.exp_scale on their way to exp2, which is all that exp costs (Dao 2023), and by p.lse_scale on the way to
// natural units. Subtracted first, equal scores weigh the same however large they are.
//
// VKA_WITH_OPTIONS = 1: kernels with options (masks, biases, lengths, pages, ..; see options.glsl). Without, they don't even
// have the bindings, and `has_option` is false.
// VKA_SCORE_FUNCTION = 1: kernels with options that have a caller's function of scores as well (score_function.glsl). Not those
// of the backward pass.
// VKA_BACKWARD: kernels of the backward pass, whose own parameters come first.
// SPDX-License-Identifier: MIT

#ifdef VKA_BACKWARD
#include "params/attention_backward.h"
#endif
#include "params/attention.h"

layout(constant_id = VKA_SPEC_D) const uint D = 64u;
layout(constant_id = VKA_SPEC_DV) const uint DV = 64u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 32u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 4u;
layout(constant_id = VKA_SPEC_RM) const uint RM = 4u;
layout(constant_id = VKA_SPEC_TC) const uint TC = 1u;
layout(constant_id = VKA_SPEC_PAGE) const uint PAGE = 0u;
layout(constant_id = VKA_SPEC_MAP) const uint MAP = 0u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
#ifdef VKA_BACKWARD
    vka_attention_backward_params b;
#endif
    vka_attention_params p;
};

const uint Q_TYPE = TYPE_OF(VKA_ROLE_Q);
const uint K_TYPE = TYPE_OF(VKA_ROLE_K);
const uint V_TYPE = TYPE_OF(VKA_ROLE_V);
const uint OUT_TYPE = TYPE_OF(VKA_ROLE_OUT);
const uint MASK_TYPE = TYPE_OF(VKA_ROLE_MASK);

// Do scores pass through a caller's function? One that hides keys says so itself: VKA_VISIBLE.
#ifndef VKA_SCORE_FUNCTION
#define VKA_SCORE_FUNCTION 0
#endif
const bool HAS_FUNCTION = VKA_SCORE_FUNCTION != 0;

const uint D4 = (D + 3u) / 4u;
const uint DV4 = (DV + 3u) / 4u;

#if VKA_WITH_OPTIONS
#define has_option(flag) has(flag)
#else
#define has_option(flag) false
#endif

// A block map says which tiles of keys a tile of queries sees (patterns.md).
#if VKA_WITH_OPTIONS
const bool MAPPED = MAP != 0u;
const bool PERMUTED = (FLAGS & VKA_FLAG_PERMUTATION) != 0u;
#else
const bool MAPPED = false;
const bool PERMUTED = false;
#endif
// The backward pass of lists looks keys up by itself.
#if VKA_WITH_OPTIONS && !defined(VKA_BACKWARD)
const bool LISTED = (FLAGS & VKA_FLAG_KEY_LISTS) != 0u;
#else
const bool LISTED = false;
#endif
// The walk is over slots, which say what key they have.
const bool SLOTTED = PERMUTED || LISTED;

// Where no binding sees all keys, a dispatch binds a part of them, rows or pages, and sees no others; their partial results
// are merged like splits'. Of pages any may be in the part, so the walk has a run for each of their neighbourhoods.
const bool PARTED = (FLAGS & VKA_FLAG_PARTS) != 0u;
const bool SCATTERED = PARTED && PAGE != 0u;
const bool HAS_RUNS = MAPPED || SCATTERED;

// The lowest score that there is, and finite: the difference of two is 0 and not NaN.
const float LOWEST = -3.4028234663852886e38;
// Natural units to those of kernels with options.
const float QUARTER = 0.25;
const float LN2 = 0.69314718055994531;
const float LOG2E = 1.4426950408889634;

float negative_infinity() {
    return uintBitsToFloat(0xff800000u);
}

// Bits are asked, as drivers may compile as if there were no NaN and no infinities.
bool is_nan(float x) {
    return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u;
}

// ---- rows ---------------------------------------------------------------------------------------------------------

struct Grid {
    uint split, splits, tile, head, batch; // of the grid: key heads when packed
    uint q_len, q_begin, kv_begin;         // of the sequence
    int kv_len, band_lo, band_hi, diagonal;
};

// What a row's scores depend on besides q and k.
struct Row {
    uint query, head;          // within its sequence; of the slice
    int slot;                  // where a block map has it
    uint mask_at, relative_at; // where its masks and biases begin
    ivec2 cell;                // its position in a grid
    float slope;
};

// Keys begin .. end-1 are seen by some row of a tile, full_begin .. full_end-1 by every one, but for masks. Of a block map
// it is a run of tiles at a time.
struct Walk {
    int begin, end, full_begin, full_end;
#if VKA_WITH_OPTIONS
    bool partial;  // the run is one tile, of which not every row sees all
    uvec2 bits;    // its bits, for each of the two map rows that the rows may lie in
    int first_row; // the first of them
    uvec2 at, stop; // what is left of their lists
    int low, high; // keys that the walk is limited to
    int rest;      // of pages: where the run ends that this one is a piece of
    uint table;    // and the sequence's row of the page table
#endif
};

Walk run; // of the step that is being done

// A row's running softmax: its maximum score and its sum of exponentials relative to it.
struct State {
    float maximum, sum;
};

#if VKA_WITH_OPTIONS
VKA_INPUT_I32(VKA_BIND_MAP, map) // or lists of keys
#include "key_lists.glsl"
#endif

uint row_count(Grid g) {
#if VKA_WITH_OPTIONS
    if (LISTED)
        return g.q_len * list_rows();
#endif
    return PERMUTED ? p.slots : has(VKA_FLAG_PACK) ? p.group * g.q_len : g.q_len;
}

// The first and the last query of a tile of rows; of a permutation, slots.
uvec2 row_span(Grid g, uint first_row) {
    uint last_row = min(first_row + BR, row_count(g)) - 1u;
    if (!has(VKA_FLAG_PACK))
        return uvec2(first_row, last_row);
    bool wraps = first_row / g.q_len != last_row / g.q_len;
    return wraps ? uvec2(0u, g.q_len - 1u) : uvec2(first_row, last_row) % g.q_len;
}

bool band_has(Grid g, uint query, int key) {
    return !has(VKA_FLAG_BAND) || (key >= int(query) + g.band_lo && key <= int(query) + g.band_hi);
}

// Workgroups that share the keys of a dispatch.
uint part_splits() {
    return PARTED ? p.splits / p.parts : p.splits;
}

#if VKA_WITH_OPTIONS
#include "options.glsl"
#include "block_map.glsl"
#endif
#if VKA_SCORE_FUNCTION
const bool FUNCTION_HIDES = VKA_VISIBLE != 0;
#else
const bool FUNCTION_HIDES = false;
#endif

// The sequence of a batch entry.
Grid sequence_of(uint head, uint batch) {
    Grid g = Grid(0u, part_splits(), 0u, head, batch, p.q_len, 0u, 0u, int(p.kv_len), p.band_lo, p.band_hi, p.diagonal);
#if VKA_WITH_OPTIONS
    measure_sequence(g);
#endif
    return g;
}

Grid grid_position() {
    Grid g = sequence_of(gl_WorkGroupID.y + push.y0, gl_WorkGroupID.z + push.z0);
    uint x = gl_WorkGroupID.x + push.x0;
    g.split = has(VKA_FLAG_SPLIT) ? x % part_splits() : 0u;
    g.tile = has(VKA_FLAG_SPLIT) ? x / part_splits() : x;
#if VKA_WITH_OPTIONS
    if (MAPPED && has(VKA_FLAG_SPLIT))
        g.splits = map_splits(g, g.tile * BR);
#endif
    return g;
}

// Does the workgroup have nothing to do? Only where sequences are shorter than planned for.
bool is_idle(Grid g) {
#if VKA_WITH_OPTIONS
    return g.tile * BR >= row_count(g) || g.split >= g.splits;
#else
    return false;
#endif
}

uint kv_head(Grid g) {
    return has(VKA_FLAG_PACK) ? g.head : g.head / p.group;
}

// Query head and query of a row. Rows of a permutation that have none get some other's.
uvec2 row_query(Grid g, uint row) {
#if VKA_WITH_OPTIONS
    if (PERMUTED)
        return uvec2(g.head, safe_token(token_at(g, row), g.q_len));
    if (LISTED)
        return listed_row_query(g, row);
#endif
    return has(VKA_FLAG_PACK) ? uvec2(g.head * p.group + row / g.q_len, row % g.q_len) : uvec2(g.head, row);
}

// Is there a query in a row?
bool is_row(Grid g, uint row) {
#if VKA_WITH_OPTIONS
    if (PERMUTED)
        return row < p.slots && token_at(g, row) < g.q_len;
    if (LISTED)
        return row < row_count(g) && is_listed_row(row);
#endif
    return row < row_count(g);
}

// ---- walk -----------------------------------------------------------------------------------------------------------

#if VKA_WITH_OPTIONS
// The next keys in bound pages of what is left of a run; false: there are none.
bool next_piece(inout Walk w) {
    w.begin = w.end;
    while (w.begin < w.rest && bound_page(w.table, w.begin) >= push.dim2)
        w.begin = (w.begin / int(PAGE) + 1) * int(PAGE);
    w.begin = w.end = min(w.begin, w.rest);
    while (w.end < w.rest && bound_page(w.table, w.end) < push.dim2)
        w.end = (w.end / int(PAGE) + 1) * int(PAGE);
    w.end = min(w.end, w.rest);
    return w.begin < w.end;
}
#endif

// The next run; false, and an empty one: there is none.
bool next_run(inout Walk w) {
#if VKA_WITH_OPTIONS
    if (!SCATTERED)
        return MAPPED && next_map_run(w);
    while (!next_piece(w)) {
        bool more = MAPPED && next_map_run(w);
        w.rest = w.end;
        w.end = w.begin;
        if (!more)
            return false;
    }
    return true;
#else
    return false;
#endif
}

// The keys of a tile's walk, or of its first run.
Walk walk_keys(Grid g, uint first_row) {
    Walk w;
    w.begin = w.full_begin = 0;
    w.end = w.full_end = PERMUTED ? int(p.slots) : g.kv_len;
#if VKA_WITH_OPTIONS
    if (LISTED)
        w.end = w.full_end = find_list(g);
#endif
    if (has(VKA_FLAG_BAND) && !SLOTTED) {
        uvec2 queries = row_span(g, first_row);
        int lo = int(queries.x), hi = int(queries.y);
        w.begin = clamp(lo + g.band_lo, 0, w.end);
        w.full_begin = max(hi + g.band_lo, w.begin);
        w.full_end = min(lo + g.band_hi + 1, w.end);
        w.end = clamp(hi + g.band_hi + 1, w.begin, w.end);
    }
    if (PARTED && PAGE == 0u) {
        int first = int(push.dim1 - g.kv_begin);
        w.begin = max(w.begin, first);
        w.end = max(min(w.end, first + int(push.dim2)), w.begin);
    }
#if VKA_WITH_OPTIONS
    if (MAPPED)
        begin_map(g, first_row, w);
#endif
    if (has(VKA_FLAG_SPLIT) && !MAPPED) {
        int step = int(BC), keys = w.end - w.begin, splits = int(g.splits);
        int share = ((keys + splits - 1) / splits + step - 1) / step * step;
        w.begin = min(w.begin + int(g.split) * share, w.end);
        w.end = min(w.begin + share, w.end);
    }
#if VKA_WITH_OPTIONS
    if (SCATTERED) {
        w.table = pages_of(g);
        w.rest = MAPPED ? 0 : w.end;
        w.end = MAPPED ? 0 : w.begin;
    }
    if (HAS_RUNS)
        next_run(w);
#endif
    return w;
}

// The next step: BC keys further, or the next run.
void advance(inout Walk w, inout int j) {
    j += int(BC);
#if VKA_WITH_OPTIONS
    if (HAS_RUNS && j >= w.end) {
        next_run(w);
        j = w.begin;
    }
#endif
}

// Goes to the next run, if there is one.
bool has_next_run(inout Walk w) {
    return HAS_RUNS && next_run(w);
}

// Of slots the keys that they have say it: see bias_score.
bool in_band(Grid g, uint query, int key) {
    return SLOTTED || band_has(g, query, key);
}

// ---- scores and softmax -----------------------------------------------------------------------------------------------

// cap tanh(x / cap), to a few units in the last place everywhere, which drivers' own tanh is not near 0: there x times a
// series, so that no cap is too large, and 1 - 2 / (e^2y + 1) elsewhere, which does not overflow. NaN takes the series.
float capped(float x) {
    float y = x * p.cap_inverse, z = y * y;
    float near = x * (1.0 + z * (-1.0 / 3.0 + z * (2.0 / 15.0 + z * (-17.0 / 315.0 + z * (62.0 / 2835.0)))));
    return abs(y) >= 0.25 ? p.cap * (1.0 - 2.0 / (exp2(y * (2.0 * LOG2E)) + 1.0)) : near;
}

// q . k to a score, capped.
float score_of(float qk) {
#if VKA_WITH_OPTIONS
    float score = qk * p.score_scale;
    return has(VKA_FLAG_SOFTCAP) ? capped(score) : score;
#else
    return qk;
#endif
}

// exp of a score relative to a row's maximum.
float exp_of(float difference) {
    return exp2(difference * p.exp_scale);
}

// The state of a row that has seen nothing. Where one key takes all, the lowest score wins against none.
State no_state() {
    return State(has_option(VKA_FLAG_HARD) ? negative_infinity() : LOWEST, 0.0);
}

float dot_add(vec4 a, vec4 b, float sum) {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

// ---- rows of options --------------------------------------------------------------------------------------------------

Row row_of(Grid g, uint row) {
    uvec2 query = row_query(g, row);
#if VKA_WITH_OPTIONS
    return option_row(g, query, PERMUTED ? int(row) : int(query.y) + g.diagonal);
#else
    return Row(query.y, query.x, 0, 0u, 0u, ivec2(0), 0.0);
#endif
}

// Must a step look at the keys of slots, or at a map's bits?
bool unsure() {
#if VKA_WITH_OPTIONS
    return LISTED || (MAPPED && run.partial) || (PERMUTED && p.permutation_sure == 0u);
#else
    return false;
#endif
}

// Do scores need more than their own key: is there a bias or a mask?
bool biased() {
    return unsure() || HAS_FUNCTION || MASK_TYPE != 0u || has_option(VKA_FLAG_ALIBI) || has_option(VKA_FLAG_RELATIVE) || has_option(VKA_FLAG_SAMPLE);
}

// Can a key within the band be one that a row must not see, or must not take the value of?
bool needs_mask() {
    return unsure() || FUNCTION_HIDES || MASK_TYPE != 0u || has_option(VKA_FLAG_RELATIVE) || has_option(VKA_FLAG_HARD);
}

// Does every row of the tile see all BC keys of a step?
bool is_full(int j0) {
    return !needs_mask() && j0 >= run.full_begin && j0 + int(BC) <= min(run.full_end, run.end);
}

// Adds the biases of a key that lies in the band; false: it is masked, whatever the score is.
bool bias_score(Grid g, Row r, int key, inout float score) {
#if VKA_WITH_OPTIONS
    return in_map(r, key) && add_options(g, r, key, score);
#else
    return true;
#endif
}

// Does a row see a key?
bool sees(Grid g, Row r, int key) {
    float score = 0.0;
    return in_band(g, r.query, key) && bias_score(g, r, key, score);
}

// What dropout leaves of a key's weight: all or nothing, so that no weight grows. What it multiplies the rest by comes with
// final_scale.
float apply_dropout(Grid g, Row r, int key, float weight) {
#if VKA_WITH_OPTIONS
    return has(VKA_FLAG_DROPOUT) && is_dropped(g, r, key) ? 0.0 : weight;
#else
    return weight;
#endif
}

// The sum of a row whose highest score takes all. A part tells which key has it, in the order of keys: of equal scores the
// first one wins, and pages lie in any order.
float sum_of_winner(int key) {
    return PARTED ? uintBitsToFloat(floatBitsToUint(1.0) + uint(key)) : 1.0;
}

// ---- results ------------------------------------------------------------------------------------------------------------

uint workspace_row(Grid g, uvec2 query) {
    uint split = PARTED ? g.split * p.parts + push.rows : g.split;
    return (g.batch * p.ws_rows + query.x * p.q_len + query.y - push.row0) * p.splits + split;
}

float lse_of(State s) {
    if (is_nan(s.sum)) // a driver's logarithm of it need not be NaN
        return s.sum;
    return s.sum > 0.0 ? s.maximum * p.lse_scale + log(s.sum) : negative_infinity();
}

// What an unnormalised output is multiplied by; a row that saw nothing gives 0.
float normaliser(float sum) {
    return is_nan(sum) ? sum : sum > 0.0 ? 1.0 / sum : 0.0;
}

// A row's final state, with its sink, and what that makes of its outputs. A driver's exp2 may be infinite for NaN: no sum of
// weights is, which are 2^8 at most.
State with_sink(State s, uint head, out float rescale) {
    rescale = 1.0;
#if VKA_WITH_OPTIONS
    if (has(VKA_FLAG_SINKS)) {
        float sink = sink_of(head), maximum = max(s.maximum, sink);
        rescale = exp_of(s.maximum - maximum);
        s = State(maximum, s.sum * rescale + exp_of(sink - maximum));
    }
#endif
    if ((floatBitsToUint(s.sum) & 0x7f800000u) == 0x7f800000u)
        s.sum = uintBitsToFloat(0x7fc00000u);
    return s;
}
