#version 450
// A block map, row by row, by the evaluation that the host has too (pattern_terms.h). A first pass counts the tiles of each
// row; then, told where each row begins, a second one writes them.
//
// A workgroup owns a row of the map: the queries of one tile, of one head. It goes from live column to live column, a batch
// at a time: each invocation asks of some whether they may be live and whether they are full for certain. Of those that are
// neither, invocations share the words, as many tiles at once as there is room for, and what the words of a tile have in
// common is found by atomics in shared memory. All invocations know what lives of a batch, as bits.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#define VKA_GLSL 1
#include "params/pattern.h"
#include "pattern_program.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u; // a power of two
const uint ROOM = 1024u;     // words of tiles that are evaluated at once: two tiles of the largest size
const uint BATCH = 31u;      // columns; what would be the last one of a word asks where to go on

layout(push_constant) uniform Push {
    vka_push push;
};

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_pattern_params p;
};

layout(set = 0, binding = VKA_BIND_PROGRAM, std430) readonly buffer Program {
    uint program[];
};

// A row's VKA_PATTERN_COUNTS words (tiles, partial tiles, low and high word of pairs), or its VKA_PATTERN_STARTS (first
// tile, first partial tile).
layout(set = 0, binding = VKA_BIND_ROWS, std430) buffer Rows {
    uint rows[];
};

layout(set = 0, binding = VKA_BIND_BUILT, std430) writeonly buffer Built {
    uint map[];
};

shared uint terms[VKA_PROGRAM_WORDS + VKA_PROGRAM_MAX_TERMS * VKA_TERM_WORDS];
shared uint exists[4];                         // queries that there are, as bits
shared uint candidates, certain, next_column_; // of a batch: may be live; full; where to go on
shared uint tile_pairs[32], tile_all[32];      // of tiles: bits that are set; what their words have in common
shared uint words[ROOM];

#include "pattern_terms.h"

struct Row {
    uint number; // in the map
    uint head;
    uint i0, i1;     // slots of its queries
    uint queries;    // that there are
    uint query_tile; // the same for all rows
    uint key_tile;
    uint tile_words;
};

void load_terms() {
    for (uint i = gl_LocalInvocationIndex; i < VKA_PROGRAM_WORDS; i += GROUP_SIZE)
        terms[i] = program[i];
    for (uint i = gl_LocalInvocationIndex; i < 4u; i += GROUP_SIZE)
        exists[i] = 0u;
    barrier();
    uint end = terms_end(VKA_PROGRAM_WORDS);
    for (uint i = VKA_PROGRAM_WORDS + gl_LocalInvocationIndex; i < end; i += GROUP_SIZE)
        terms[i] = program[i];
    barrier();
}

// Looks at every slot once; when filling, the first head's rows write them down as the permutation.
Row find_row(bool fill) {
    Row r;
    uint tile_row = push.x0 + gl_WorkGroupID.x;
    r.head = push.y0 + gl_WorkGroupID.y;
    r.number = r.head * VKA_HEAD(VKA_PROGRAM_ROWS) + tile_row;
    r.query_tile = VKA_HEAD(VKA_PROGRAM_QUERY_TILE);
    r.key_tile = VKA_HEAD(VKA_PROGRAM_KEY_TILE);
    r.tile_words = r.query_tile * r.key_tile / 32u;
    r.i0 = tile_row * r.query_tile;
    r.i1 = last_place(tile_row);
    for (uint i = gl_LocalInvocationIndex; i < r.query_tile; i += GROUP_SIZE) {
        uint query = slot_query(r.i0 + i);
        if (query != VKA_PATTERN_NONE)
            atomicOr(exists[i / 32u], 1u << i % 32u);
        if (fill && p.permutation_at != 0u && r.head == 0u)
            map[p.permutation_at + r.i0 + i] = query;
    }
    barrier();
    r.queries = uint(bitCount(exists[0]) + bitCount(exists[1]) + bitCount(exists[2]) + bitCount(exists[3]));
    return r;
}

// Which columns of a batch may be live, which are full for certain, and where the next one begins.
void look_at_columns(Row r, uint t) {
    barrier();
    if (gl_LocalInvocationIndex == 0u)
        candidates = certain = 0u;
    barrier();
    for (uint k = gl_LocalInvocationIndex; k <= BATCH; k += GROUP_SIZE) {
        uint next = pattern_next(r.head, r.i0, r.i1, t + k);
        if (k == BATCH)
            next_column_ = next;
        else if (next == t + k) {
            atomicOr(candidates, 1u << k);
            if (pattern_is_full(r.head, r.i0, r.i1, t + k))
                atomicOr(certain, 1u << k);
        }
    }
    barrier();
}

uint nth_bit(uint bits, uint n) {
    for (; n > 0u; --n)
        bits &= bits - 1u;
    return lowest_bit(bits);
}

// The words of the first `count` columns that `open` has. Neighbouring invocations share a tile.
void evaluate(Row r, uint t, uint open, uint count) {
    barrier();
    for (uint k = gl_LocalInvocationIndex; k < count; k += GROUP_SIZE) {
        tile_pairs[k] = 0u;
        tile_all[k] = 0xffffffffu;
    }
    barrier();
    uint lanes = min(GROUP_SIZE, r.tile_words), width = r.key_tile / 32u;
    for (uint k = gl_LocalInvocationIndex / lanes; k < count; k += GROUP_SIZE / lanes) {
        uint first_key = (t + nth_bit(open, k)) * r.key_tile, pairs = 0u, all = 0xffffffffu;
        for (uint w = gl_LocalInvocationIndex % lanes; w < r.tile_words; w += lanes) {
            uint i = w / width, j0 = first_key + w % width * 32u, bits = 0u;
            if ((exists[i / 32u] >> i % 32u & 1u) != 0u) {
                bits = pattern_word(r.head, r.i0 + i, j0);
                all &= bits | ~existing_keys(j0);
            }
            pairs += uint(bitCount(bits));
            words[k * r.tile_words + w] = bits;
        }
        atomicAdd(tile_pairs[k], pairs);
        atomicAnd(tile_all[k], all);
    }
    barrier();
}

// Keys of the columns that `bits` has, all of them full: the last column of a map may be short.
uint keys_of(Row r, uint t, uint bits) {
    uint last = VKA_HEAD(VKA_PROGRAM_COLUMNS) - 1u;
    uint missing = last - t < 32u && (bits >> (last - t) & 1u) != 0u ? r.key_tile - tile_keys(last) : 0u;
    return uint(bitCount(bits)) * r.key_tile - missing;
}

// The tiles of a batch; `at`: tiles and partial tiles before it.
void write_tiles(uint t, uint live, uint partial, uvec2 at) {
    for (uint k = gl_LocalInvocationIndex; k < BATCH; k += GROUP_SIZE) {
        uint before = (1u << k) - 1u, to = p.tiles_at + 2u * (at.x + uint(bitCount(live & before)));
        if ((live >> k & 1u) == 0u)
            continue;
        map[to] = t + k;
        map[to + 1u] = (partial >> k & 1u) != 0u ? at.y + uint(bitCount(partial & before)) : 0xffffffffu;
    }
}

void write_words(Row r, uint k, uint number) {
    for (uint w = gl_LocalInvocationIndex; w < r.tile_words; w += GROUP_SIZE)
        map[p.bits_at + number * r.tile_words + w] = words[k * r.tile_words + w];
}

// Where the row ends.
void write_row(Row r, uint end) {
    if (gl_LocalInvocationIndex != 0u)
        return;
    if (r.number == 0u)
        map[0] = 0u;
    map[r.number + 1u] = end;
}

void write_counts(Row r, uvec4 counts) {
    if (gl_LocalInvocationIndex != 0u)
        return;
    for (uint i = 0u; i < 4u; ++i)
        rows[4u * r.number + i] = counts[i];
}

void main() {
    load_terms();
    bool fill = push.z0 != 0u;
    Row r = find_row(fill);
    uvec2 at = fill ? uvec2(rows[2u * r.number], rows[2u * r.number + 1u]) : uvec2(0u); // tiles, partial tiles
    uvec2 pairs = uvec2(0u);
    for (uint t = 0u; t != VKA_PATTERN_NONE; t = next_column_) {
        look_at_columns(r, t);
        uint live = certain, partial = 0u, open = candidates & ~certain;
        uint found = open == candidates ? 0u : r.queries * keys_of(r, t, certain);
        while (open != 0u) {
            uint together = min(uint(bitCount(open)), ROOM / r.tile_words);
            evaluate(r, t, open, together);
            for (uint k = 0u; k < together; ++k, open &= open - 1u) {
                bool is_live = tile_pairs[k] != 0u, is_partial = is_live && tile_all[k] != 0xffffffffu;
                if (fill && is_partial)
                    write_words(r, k, at.y + uint(bitCount(partial)));
                uint bit = open & (~open + 1u);
                live |= is_live ? bit : 0u;
                partial |= is_partial ? bit : 0u;
                found += tile_pairs[k];
            }
        }
        if (fill)
            write_tiles(t, live, partial, at);
        at += uvec2(bitCount(live), bitCount(partial));
        uint carry;
        pairs.x = uaddCarry(pairs.x, found, carry);
        pairs.y += carry;
    }
    if (fill)
        write_row(r, at.x);
    else
        write_counts(r, uvec4(at, pairs));
}
