// Options of attention: sequences' lengths, pages, masks and biases, randomness, sinks. For attention.glsl.
// SPDX-License-Identifier: MIT

VKA_INPUT(VKA_BIND_MASK, mask)
VKA_READERS(mask, VKA_BIND_MASK, MASK_TYPE)
VKA_INPUT_F32(VKA_BIND_RELATIVE, relative)
VKA_INPUT_F32(VKA_BIND_ALIBI, alibi)
VKA_INPUT_F32(VKA_BIND_SINKS, sinks)
VKA_INPUT_I32(VKA_BIND_Q_LIST, q_list)
VKA_INPUT_I32(VKA_BIND_KV_LIST, kv_list)
VKA_INPUT_I32(VKA_BIND_PAGES, pages) // or a permutation, or what is added to the random offset

// ---- permutations --------------------------------------------------------------------------------------------------------------

// The token in a slot; none if it is beyond the last one.
uint token_at(Grid g, uint slot) {
    return uint(pages_at(g.batch * p.permutation_.b + g.head * p.permutation_.h + slot * p.permutation_.n));
}

// The key of a slot, of a permutation or of a list.
uint slot_key(Grid g, uint slot) {
    return LISTED ? listed_key(slot) : token_at(g, slot);
}

// Some token, whatever stands in the order.
uint safe_token(uint token, uint count) {
    return min(token, max(count, 1u) - 1u);
}

// ---- sequences --------------------------------------------------------------------------------------------------------

// Lengths and offsets come from memory that anybody may have written: none leads outside of the tensors.
void measure_sequence(inout Grid g) {
    uint b = g.batch + push.b0;
    if (has(VKA_FLAG_Q_LENGTHS))
        g.q_len = uint(clamp(q_list_at(b * p.list_q_step), 0, int(p.q_len)));
    if (has(VKA_FLAG_Q_OFFSETS)) {
        int begin = clamp(q_list_at(b * p.list_q_step), 0, int(p.q_rows));
        int end = clamp(q_list_at((b + 1u) * p.list_q_step), begin, int(p.q_rows));
        g.q_begin = uint(begin);
        g.q_len = min(uint(end - begin), p.q_len);
    }
    if (has(VKA_FLAG_KV_LENGTHS))
        g.kv_len = clamp(kv_list_at(b * p.list_kv_step), 0, int(p.kv_len));
    if (has(VKA_FLAG_KV_OFFSETS)) {
        int begin = clamp(kv_list_at(b * p.list_kv_step), 0, int(p.kv_rows));
        int end = clamp(kv_list_at((b + 1u) * p.list_kv_step), begin, int(p.kv_rows));
        g.kv_begin = uint(begin);
        g.kv_len = min(end - begin, int(p.kv_len));
    }
    if (has(VKA_FLAG_OWN_DIAGONAL)) {
        int last = g.kv_len - int(g.q_len);
        g.band_lo += last;
        g.band_hi += last;
        g.diagonal += last;
    }
    // Fewer keys than planned for need fewer workgroups.
    if (has(VKA_FLAG_SPLIT))
        g.splits = clamp(((LISTED ? p.slots : uint(g.kv_len)) + p.least - 1u) / p.least, 1u, part_splits());
}

// Where a sequence's row of the page table begins.
uint pages_of(Grid g) {
    return (g.batch + push.b0) * p.page_row;
}

// A key's page, from the first bound one on; of one that is not bound the number is large.
uint bound_page(uint table, int key) {
    int page = pages_at(table + uint(key) / PAGE * p.page_step);
    return min(uint(page), p.page_last) - (PARTED ? push.dim1 : 0u);
}

// Where a key's row lies, from its head's first one on.
uint paged_row(Grid g, int key, vka_strides s) {
    uint page = bound_page(pages_of(g), key);
    return (PARTED ? min(page, push.dim2 - 1u) : page) * s.b + uint(key) % PAGE * s.n;
}

// ---- randomness ---------------------------------------------------------------------------------------------------------

#include "philox.glsl"

uint random_word(Grid g, Row r, int key) {
    uint head = (g.batch + push.b0) * p.heads + r.head + push.h0;
    uint offset = p.random_offset;
    if (PAGE == 0u && !PERMUTED && p.has_random_step != 0u)
        offset += uint(pages_at(0u));
    return philox(uvec4(uint(key) / 4u, r.query, head, offset), uvec2(p.seed_lo, p.seed_hi))[uint(key) % 4u];
}

// -log(u) of u = (word / 256 + 0.5) 2^-24, which is no float in the upper half: there by 1 - u, which is.
float minus_log_uniform(uint word) {
    uint n = word >> 8;
    if (n < 0x800000u)
        return -log((float(n) + 0.5) * (1.0 / 16777216.0));
    float v = (float(0xffffffu - n) + 0.5) * (1.0 / 16777216.0);
    float series = v * (1.0 + v * (0.5 + v * (1.0 / 3.0 + v * (0.25 + v * (0.2 + v * (1.0 / 6.0))))));
    return v < 0.0625 ? series : -log(1.0 - v);
}

bool is_dropped(Grid g, Row r, int key) {
    if (SLOTTED)
        key = int(slot_key(g, uint(key)));
    return random_word(g, r, key) < p.drop_below;
}

// ---- scores -------------------------------------------------------------------------------------------------------------

// Column and row of a token in a grid; before the first one they count on.
ivec2 cell_of(int token) {
    int y = token >= 0 ? token / p.relative_width : -((p.relative_width - 1 - token) / p.relative_width);
    return ivec2(token - y * p.relative_width, y);
}

// Where a bias lies in a head's table.
ivec2 relative_place(Row r, int key, int distance) {
    if (!has(VKA_FLAG_GRID_BIAS))
        return ivec2(clamp(distance + p.relative_zero, 0, p.relative_last), 0);
    return clamp(cell_of(key) - r.cell + ivec2(p.relative_zero, p.relative_zero_y), ivec2(0),
                 ivec2(p.relative_last, p.relative_last_y));
}

uint relative_index(Row r, int key, int distance) {
    ivec2 at = relative_place(r, key, distance);
    uint line = has(VKA_FLAG_GRID_BIAS) ? uint(at.y) * p.relative_line : 0u;
    return line + uint(at.x) * p.relative_step;
}

Row option_row(Grid g, uvec2 query, int slot) {
    Row r = Row(query.y, query.x, slot, 0u, 0u, ivec2(0), 0.0);
    if (MASK_TYPE != 0u)
        r.mask_at = push.base[VKA_BIND_MASK] + g.batch * p.mask.b + query.x * p.mask.h + query.y * p.mask.n;
    if (has(VKA_FLAG_RELATIVE))
        r.relative_at = push.base[VKA_BIND_RELATIVE] + (query.x + push.h0) * p.relative_row;
    if (has(VKA_FLAG_GRID_BIAS))
        r.cell = cell_of(int(query.y) + g.diagonal);
    if (has(VKA_FLAG_ALIBI))
        r.slope = alibi_at(push.base[VKA_BIND_ALIBI] + (query.x + push.h0) * p.alibi_step) * QUARTER;
    return r;
}

// The float of an f16's bits, in integers: rebiased, subnormals by a subtraction that is exact.
float f16_value(uint bits) {
    uint a = bits & 0x7fffu, f = (a << 13) + (a >= 0x7c00u ? 0x70000000u : 0x38000000u);
    uint small = floatBitsToUint(uintBitsToFloat(f + 0x00800000u) - uintBitsToFloat(0x38800000u));
    return uintBitsToFloat((a < 0x400u ? small : f) | (bits & 0x8000u) << 16);
}

// Software drivers take five times as long over halves that differ from lane to lane as over these integers.
bool slow_halves() {
    return MASK_TYPE == VKA_TYPE_F16 && TYPE_OF(VKA_ROLE_SLOW_HALVES) != 0u;
}

// A mask's value: what is added, or -inf.
float mask_value(float x) {
    return MASK_TYPE == VKA_TYPE_U8 ? (x != 0.0 ? 0.0 : negative_infinity()) : x;
}

// The masks of four keys from a multiple of four on, where they can be read together.
vec4 mask_values(Row r, int key) {
    uint at = (r.mask_at + uint(key)) >> 2;
    vec4 x;
    if (slow_halves())
        x = vec4(f16_value(mask_w2[at].x), f16_value(mask_w2[at].x >> 16), f16_value(mask_w2[at].y),
                 f16_value(mask_w2[at].y >> 16));
    else
        x = mask_at4(at);
    return vec4(mask_value(x.x), mask_value(x.y), mask_value(x.z), mask_value(x.w));
}

#if VKA_SCORE_FUNCTION
#include "score_function.glsl"
#endif

// The largest float for what is more, in units of scores: a slope times a distance may exceed it. NaN stays.
float within_floats(float x) {
    const float most = -LOWEST * QUARTER;
    return x > most ? most : x < -most ? -most : x;
}

// Adds a mask and all other biases, each at most a quarter of the largest float: finite ones never sum up to a mask, so
// that rows that have nothing but the lowest floats are rows like any other. False: masked.
bool add_biases(Grid g, Row r, int key, float mask, inout float score) {
    bool seen = true;
#if VKA_SCORE_FUNCTION
    if (!apply_score_function(g, r, key, score))
        return false;
#endif
    if (MASK_TYPE != 0u) {
        seen = mask != negative_infinity();
        score += mask * QUARTER;
    }
    int distance = key - int(r.query) - g.diagonal;
    if (has(VKA_FLAG_ALIBI))
        score -= within_floats(r.slope * (float(abs(distance)) + p.alibi_beyond));
    if (has(VKA_FLAG_RELATIVE)) {
        float bias = relative_at(r.relative_at + relative_index(r, key, distance));
        seen = seen && bias != negative_infinity();
        score += bias * QUARTER;
    }
    if (has(VKA_FLAG_SAMPLE)) {
        score -= log2(minus_log_uniform(random_word(g, r, key))) * (LN2 * QUARTER);
    }
    return seen;
}

bool add_options(Grid g, Row r, int key, inout float score) {
    if (SLOTTED) {
        uint token = slot_key(g, uint(key));
        key = int(safe_token(token, uint(g.kv_len)));
        if (token >= uint(g.kv_len) || !band_has(g, r.query, key))
            return false;
    }
    float mask = 0.0;
    if (MASK_TYPE != 0u) {
        uint at = r.mask_at + uint(key) * p.mask.d;
        mask = mask_value(slow_halves() ? f16_value(mask_w[at >> 1] >> (at & 1u) * 16u) : mask_at(at));
    }
    return add_biases(g, r, key, mask, score);
}

float sink_of(uint head) {
    return sinks_at(push.base[VKA_BIND_SINKS] + (head + push.h0) * p.sinks_step) * QUARTER;
}
