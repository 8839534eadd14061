// Which queries list a key, for attention's backward: entries of lists of keys lie in the workspace by keys, in the order of
// queries (backward_list_count.comp). Expects attention_backward.glsl.
// SPDX-License-Identifier: MIT

uint sorted_entry(uint i) {
    return ws_w[i];
}

// The first of begin .. end-1 whose entry is not below `entry`.
uint entry_from(uint begin, uint end, uint entry) {
    while (begin < end) {
        uint middle = (begin + end) / 2u;
        if (sorted_entry(middle) < entry)
            begin = middle + 1u;
        else
            end = middle;
    }
    return begin;
}

// Where the entries begin and end by which queries first .. stop-1 of a head and sequence list a key.
uvec2 entries_of(Grid g, uint key, uint first, uint stop) {
    uint row = (b.out_batches > 1u ? g.batch : 0u) * (b.out_heads / p.map_heads) + g.head / p.map_heads;
    uint ends = b.column_ends + row * b.column_row, order = b.column_tiles + row * b.out_rows * p.slots;
    uint begin = order + (key > 0u ? ws_w[ends + key - 1u] : 0u), end = order + ws_w[ends + key];
    begin = entry_from(begin, end, (first + g.q_begin) * p.slots);
    return uvec2(begin, entry_from(begin, end, (stop + g.q_begin) * p.slots));
}

// How often a query lists a key.
uint times_listed(Grid g, uint query, int key) {
    uvec2 entries = entries_of(g, uint(key), query, query + 1u);
    return entries.y - entries.x;
}

// The query of an entry.
uint entry_query(Grid g, uint i) {
    return sorted_entry(i) / p.slots - g.q_begin;
}
