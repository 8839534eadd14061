// The walk over the partners of a workgroup's rows, for kernels whose rows meet partners that lie one behind another. Expects
// backward_rows.glsl.
// SPDX-License-Identifier: MIT

// Adds what partners begin .. end-1 say, of which all rows of the workgroup see full_begin .. full_end-1, but for masks.
void add_steps(Grid g, int begin, int end, int full_begin, int full_end);

// Masked steps, full ones, and masked ones, as two rounds of the same two loops, so that each body is compiled once.
#define ADD_STEPS(begin, end, full_begin, full_end, step)                                                              \
    int at = begin, full_stop = min(full_end, end);                                                                    \
    for (uint round = 0u; round < 2u; ++round) {                                                                       \
        int stop = round == 0u ? min(full_begin, end) : end;                                                           \
        [[dont_unroll]] for (; at < stop; at += int(BC)) step(g, at, stop, false);                                     \
        at = max(min(at, stop), begin);                                                                                \
        [[dont_unroll]] for (; at + int(BC) <= full_stop; at += int(BC)) step(g, at, full_stop, true);                 \
    }

// With masks no step is full.
void add_range(Grid g, int begin, int end, int full_begin, int full_end) {
    bool whole = !needs_mask();
    add_steps(g, begin, end, whole ? full_begin : end, whole ? full_end : begin);
}

#ifdef VKA_OWN_PARTNERS
// What the keys say that the queries of the rows list, or the queries that list the keys.
void add_listed(Grid g);
#endif

// What keys say to the queries of a tile, or what the queries of one head and sequence say to keys from `first` on.
void add_partners(Grid g, uint first) {
#ifdef VKA_OWN_PARTNERS
    if (has(VKA_FLAG_KEY_LISTS)) {
        add_listed(g);
        return;
    }
#endif
#if VKA_KEYS
    Queries w = queries_of(g, int(first), int(first + BR) - 1);
#if VKA_WITH_OPTIONS
    if (MAPPED) {
        uvec2 tiles = column_list(g, first);
        for (uint i = tiles.x; i < tiles.y; ++i) {
            begin_column_tile(i);
            int begin = max((run.first_row << int(MAP_ROWS_LOG2)) - g.diagonal, w.begin);
            int end = min(((run.first_row + 1) << int(MAP_ROWS_LOG2)) - g.diagonal, w.end);
            if (begin < end)
                add_range(g, begin, end, max(w.full_begin, begin), min(w.full_end, end));
        }
        return;
    }
#endif
    add_range(g, w.begin, w.end, w.full_begin, w.full_end);
#else
    run = walk_keys(g, first);
    do {
        add_range(g, run.begin, run.end, run.full_begin, min(run.full_end, run.end));
    } while (has_next_run(run));
#endif
}

#if VKA_KEYS
// The same of the queries of all heads that share a key head, and of all sequences that share their keys, one after another.
void add_sharers(uint head, uint batch, uint first) {
    for (uint i = 0u; i < p.group * b.sharers; ++i) {
        Grid q = sequence_of(head * p.group + i % p.group, batch + i / p.group);
        if (first < uint(q.kv_len) && q.q_len > 0u)
            add_partners(q, first);
    }
}
#endif
