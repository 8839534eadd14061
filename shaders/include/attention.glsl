// What every attention path shares: the walk over keys, a score's journey, the online softmax, the results.
//
// A grid head has `rows` query rows: the queries of one query head or, packed, of all query heads that share a key head.
// Scores live on the powers-of-two scale: softmax(x) = 2^(x log2 e - max) / sum, so that one multiplication by
// scale * log2(e) is all that exp costs (Dao 2023).
// SPDX-License-Identifier: MIT

layout(constant_id = VKA_SPEC_D) const uint D = 64u;
layout(constant_id = VKA_SPEC_DV) const uint DV = 64u;
layout(constant_id = VKA_SPEC_BR) const uint BR = 32u;
layout(constant_id = VKA_SPEC_BC) const uint BC = 4u;
layout(constant_id = VKA_SPEC_RM) const uint RM = 4u;
layout(constant_id = VKA_SPEC_TC) const uint TC = 1u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_attention_params p;
};

const uint D4 = (D + 3u) / 4u;
const uint DV4 = (DV + 3u) / 4u;

// Below every finite score, and finite itself: the difference of two is 0 and not NaN.
const float LOWEST = -3.0e38;
const float LN2 = 0.69314718055994531;

float negative_infinity() {
    return uintBitsToFloat(0xff800000u);
}

// ---- rows ---------------------------------------------------------------------------------------------------------

struct Grid {
    uint split, tile, head, batch; // of the grid: key heads when packed
};

Grid grid_position() {
    Grid g;
    uint x = gl_WorkGroupID.x + push.x0;
    g.split = has(VKA_FLAG_SPLIT) ? x % p.splits : 0u;
    g.tile = has(VKA_FLAG_SPLIT) ? x / p.splits : x;
    g.head = gl_WorkGroupID.y + push.y0;
    g.batch = gl_WorkGroupID.z + push.z0;
    return g;
}

uint row_count() {
    return has(VKA_FLAG_PACK) ? p.group * p.q_len : p.q_len;
}

uint kv_head(Grid g) {
    return has(VKA_FLAG_PACK) ? g.head : g.head / p.group;
}

// Query head and query of a row.
uvec2 row_query(Grid g, uint row) {
    return has(VKA_FLAG_PACK) ? uvec2(g.head * p.group + row / p.q_len, row % p.q_len) : uvec2(g.head, row);
}

// ---- walk -----------------------------------------------------------------------------------------------------------

// Keys begin .. end-1 are seen by some row of a tile, full_begin .. full_end-1 by every one.
struct Walk {
    int begin, end, full_begin, full_end;
};

Walk walk_keys(Grid g, uint first_row) {
    Walk w = Walk(0, int(p.kv_len), 0, int(p.kv_len));
    if (has(VKA_FLAG_BAND)) {
        uint last_row = min(first_row + BR, row_count()) - 1u;
        uint lo = row_query(g, first_row).y, hi = row_query(g, last_row).y;
        if (has(VKA_FLAG_PACK) && first_row / p.q_len != last_row / p.q_len) {
            lo = 0u;
            hi = p.q_len - 1u;
        }
        w.begin = clamp(int(lo) + p.band_lo, 0, w.end);
        w.full_begin = max(int(hi) + p.band_lo, w.begin);
        w.full_end = min(int(lo) + p.band_hi + 1, w.end);
        w.end = clamp(int(hi) + p.band_hi + 1, w.begin, w.end);
    }
    if (has(VKA_FLAG_SPLIT)) {
        int step = int(BC), keys = w.end - w.begin, splits = int(p.splits);
        int share = ((keys + splits - 1) / splits + step - 1) / step * step;
        w.begin = min(w.begin + int(g.split) * share, w.end);
        w.end = min(w.begin + share, w.end);
    }
    return w;
}

bool key_visible(uint query, int key) {
    return !has(VKA_FLAG_BAND) || (key >= int(query) + p.band_lo && key <= int(query) + p.band_hi);
}

// ---- scores and softmax -----------------------------------------------------------------------------------------------

// q . k to a score on the powers-of-two scale. Softcap and biases go here.
float score_of(float qk) {
    return qk * p.scale_log2;
}

float dot_add(vec4 a, vec4 b, float sum) {
    return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

// ---- results ------------------------------------------------------------------------------------------------------------

uint workspace_row(Grid g, uvec2 query) {
    return (g.batch * p.ws_rows + query.x * p.q_len + query.y) * p.splits + g.split;
}

float lse_of(float maximum, float sum) {
    return sum > 0.0 || isnan(sum) ? maximum * LN2 + log(sum) : negative_infinity();
}

// What an unnormalised output is multiplied by; a row that saw nothing gives 0.
float normaliser(float sum) {
    return sum > 0.0 || isnan(sum) ? 1.0 / sum : 0.0;
}
