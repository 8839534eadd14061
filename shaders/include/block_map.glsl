// The walk over a block map, for attention.glsl: for a tile of rows the tiles of keys that it sees, run by run.
//
// The rows of a workgroup lie in at most two of the map's rows of tiles, as they are no more than a query tile: the walk
// goes through both lists at once. Neighbouring full tiles make one run.
// SPDX-License-Identifier: MIT

const uint MAP_ROWS_LOG2 = MAP & 255u;
const uint MAP_KEYS_LOG2 = MAP >> 8;
const uint MAP_ROWS = 1u << MAP_ROWS_LOG2;
const uint MAP_KEYS = 1u << MAP_KEYS_LOG2;
const uint MAP_WORDS = MAP_KEYS / 32u; // of a row's bits in a tile
const uint MAP_FULL = 0xffffffffu, MAP_DEAD = 0xfffffffeu;
const uint MAP_END = 0xffffffffu; // beyond every column

uint map_column(uint tile) {
    return uint(map_at(p.map_tiles + tile * 2u));
}

uint map_tile_bits(uint tile) {
    return uint(map_at(p.map_tiles + tile * 2u + 1u));
}

// Where a map row's tiles begin and end. Outside of the map nothing is seen.
uvec2 map_list(Grid g, int row) {
    if (row < 0 || row >= int(p.map_rows))
        return uvec2(0u);
    uint head = p.map_heads == 1u ? 0u : g.head + push.h0, at = head * p.map_rows + uint(row);
    return uvec2(uint(map_at(at)), uint(map_at(at + 1u)));
}

// The first tile of a list from a column on.
uint map_seek(uvec2 list, uint column) {
    while (list.x < list.y) {
        uint middle = (list.x + list.y) / 2u;
        if (map_column(middle) < column)
            list.x = middle + 1u;
        else
            list.y = middle;
    }
    return list.x;
}

// The map rows of a tile of rows.
ivec2 map_rows_of(Grid g, uint first_row) {
    ivec2 slots = ivec2(row_span(g, first_row));
    return (PERMUTED ? slots : slots + g.diagonal) >> int(MAP_ROWS_LOG2);
}

uvec2 longer_list(uvec2 a, uvec2 b) {
    return a.y - a.x < b.y - b.x ? b : a;
}

// How many workgroups share the keys of a tile of rows: as many as its live tiles repay.
uint map_splits(Grid g, uint first_row) {
    ivec2 rows = map_rows_of(g, first_row);
    uvec2 list = longer_list(map_list(g, rows.x), map_list(g, rows.y));
    return clamp((list.y - list.x + p.map_least - 1u) / p.map_least, 1u, part_splits());
}

// The same for a query, whose row is not at hand.
uint map_splits_of(Grid g, uvec2 query) {
    uint row = has(VKA_FLAG_PACK) ? query.x % p.group * g.q_len + query.y : query.y;
    return map_splits(g, row / BR * BR);
}

// Where part i of a list begins, as a column.
uint part_column(Grid g, uvec2 list, uint i) {
    if (i == 0u)
        return 0u;
    return i >= g.splits ? MAP_END : map_column(list.x + (list.y - list.x) * i / g.splits);
}

void begin_map(Grid g, uint first_row, inout Walk w) {
    ivec2 rows = map_rows_of(g, first_row);
    uvec2 a = map_list(g, rows.x), b = map_list(g, rows.y);
    uint first = uint(w.begin) >> MAP_KEYS_LOG2, stop = MAP_END;
    if (has(VKA_FLAG_SPLIT)) {
        uvec2 list = longer_list(a, b);
        stop = part_column(g, list, g.split + 1u);
        first = max(first, part_column(g, list, g.split));
    }
    w.first_row = rows.x;
    w.at = uvec2(map_seek(a, first), map_seek(b, first));
    w.stop = uvec2(map_seek(a, stop), map_seek(b, stop));
    w.low = w.begin;
    w.high = w.end;
}

// The map's next run; false, and an empty one: there is none.
bool next_map_run(inout Walk w) {
    w.begin = w.end = 0;
    w.partial = false;
    while (any(lessThan(w.at, w.stop))) {
        uint x = w.at.x < w.stop.x ? map_column(w.at.x) : MAP_END, y = w.at.y < w.stop.y ? map_column(w.at.y) : MAP_END;
        uint column = min(x, y), count = 1u;
        w.bits = uvec2(x == column ? map_tile_bits(w.at.x) : MAP_DEAD, y == column ? map_tile_bits(w.at.y) : MAP_DEAD);
        w.at += uvec2(equal(uvec2(x, y), uvec2(column)));
        w.partial = any(notEqual(w.bits, uvec2(MAP_FULL)));
        while (!w.partial && all(lessThan(w.at, w.stop)) && map_column(w.at.x) == column + count &&
               map_column(w.at.y) == column + count && map_tile_bits(w.at.x) == MAP_FULL &&
               map_tile_bits(w.at.y) == MAP_FULL) {
            w.at += 1u;
            ++count;
        }
        w.begin = max(int(column << MAP_KEYS_LOG2), w.low);
        w.end = min(int((column + count) << MAP_KEYS_LOG2), w.high);
        if (w.begin < w.end)
            return true;
        w.begin = w.end = 0;
    }
    return false;
}

// A row's bits of a run from a key on, up to its word's end.
uint map_word(Row r, int key) {
    uint bits = r.slot >> int(MAP_ROWS_LOG2) == run.first_row ? run.bits.x : run.bits.y;
    if (!run.partial || bits >= MAP_DEAD)
        return run.partial && bits == MAP_DEAD ? 0u : 0xffffffffu;
    uint row = bits * MAP_ROWS + (uint(r.slot) & (MAP_ROWS - 1u));
    return uint(map_at(p.map_bits + row * MAP_WORDS + (uint(key) & (MAP_KEYS - 1u)) / 32u)) >> (uint(key) & 31u);
}

bool in_map(Row r, int key) {
    return !MAPPED || (map_word(r, key) & 1u) != 0u;
}

// The run of one key, for whoever does not walk.
Walk run_of(Grid g, Row r, int key) {
    Walk w;
    w.first_row = r.slot >> int(MAP_ROWS_LOG2);
    uvec2 list = map_list(g, w.first_row);
    uint column = uint(key) >> MAP_KEYS_LOG2, tile = map_seek(list, column);
    w.bits = uvec2(tile < list.y && map_column(tile) == column ? map_tile_bits(tile) : MAP_DEAD);
    w.partial = true;
    return w;
}
