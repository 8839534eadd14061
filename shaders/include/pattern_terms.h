/* Which query sees which key: the one evaluation of compiled patterns (pattern_program.h), for the host and for kernels,
 * so that both build the same map. C and GLSL.
 *
 * A term has three functions. For queries i0 .. i1 that are one tile, and the tile t of keys:
 *   next   the first tile of keys at or after t that any of them may see; VKA_PATTERN_NONE: no more. It may name a tile
 *          that nobody sees, but no more of them than there are live ones, or the cost would not follow those
 *   full   do all of them certainly see the keys j0 .. j1? Saves looking at the words
 *   word   the keys j0 .. j0 + 31 that query i sees, as bits; j0 is a multiple of 32. Of keys beyond the last one the
 *          bits are anything
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PATTERN_TERMS_H
#define VKA_PATTERN_TERMS_H

#include "pattern_bits.h"
#include "pattern_grid.h"

#ifndef VKA_GLSL
#    define uint uint32_t
#endif

/* ---- windows --------------------------------------------------------------------------------------------------- */

VKA_FN uint window_next(VKA_PROGRAM uint term, uint i0, uint i1, uint t) {
    int size = VKA_INT(VKA_HEAD(VKA_PROGRAM_KEY_TILE)), keys = VKA_INT(VKA_HEAD(VKA_PROGRAM_KEYS));
    int lo = VKA_INT(i0) - VKA_INT(VKA_OF(term, VKA_WINDOW_LEFT));
    int hi = VKA_INT(i1) + VKA_INT(VKA_OF(term, VKA_WINDOW_RIGHT));
    if (lo >= keys || hi < 0)
        return VKA_PATTERN_NONE;
    t = VKA_MAX(t, VKA_UINT(VKA_MAX(lo, 0) / size));
    t = next_congruent(VKA_INT(i0), VKA_INT(i1), VKA_INT(VKA_OF(term, VKA_WINDOW_DILATION)), size, t);
    return VKA_INT(t) <= hi / size ? t : VKA_PATTERN_NONE;
}

VKA_FN bool window_is_full(VKA_PROGRAM uint term, uint i0, uint i1, uint j0, uint j1) {
    return VKA_OF(term, VKA_WINDOW_DILATION) == 1u &&
           VKA_INT(i1) - VKA_INT(VKA_OF(term, VKA_WINDOW_LEFT)) <= VKA_INT(j0) &&
           VKA_INT(i0) + VKA_INT(VKA_OF(term, VKA_WINDOW_RIGHT)) >= VKA_INT(j1);
}

VKA_FN uint window_word(VKA_PROGRAM uint term, uint i, uint j0) {
    int p = VKA_INT(i);
    return key_bits_stepped(p - VKA_INT(VKA_OF(term, VKA_WINDOW_LEFT)), p + VKA_INT(VKA_OF(term, VKA_WINDOW_RIGHT)), p,
                            VKA_INT(VKA_OF(term, VKA_WINDOW_DILATION)), VKA_OF(term, VKA_WINDOW_COMB), j0);
}

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

/* Keys of the blocks of query i's block. */
VKA_FN axis_keys block_window_of(VKA_PROGRAM uint term, uint i) {
    int size = VKA_INT(VKA_OF(term, VKA_BLOCK_SIZE)), offset = VKA_INT(VKA_OF(term, VKA_BLOCK_OFFSET));
    int row = (VKA_INT(i) - offset) / size;
    axis_keys k;
    k.lo = offset + VKA_MAX(row - VKA_INT(VKA_OF(term, VKA_BLOCK_BEFORE)), 0) * size;
    k.hi = offset + (row + VKA_INT(VKA_OF(term, VKA_BLOCK_AFTER)) + 1) * size - 1;
    return k;
}

VKA_FN uint block_window_next(VKA_PROGRAM uint term, uint i0, uint i1, uint t) {
    uint size = VKA_HEAD(VKA_PROGRAM_KEY_TILE), offset = VKA_OF(term, VKA_BLOCK_OFFSET);
    if (i1 < offset)
        return VKA_PATTERN_NONE;
    uint lo = VKA_UINT(block_window_of(VKA_W term, VKA_MAX(i0, offset)).lo);
    uint hi = VKA_UINT(block_window_of(VKA_W term, i1).hi);
    t = VKA_MAX(t, lo / size);
    return t <= hi / size ? t : VKA_PATTERN_NONE;
}

VKA_FN bool block_window_is_full(VKA_PROGRAM uint term, uint i0, uint i1, uint j0, uint j1) {
    return i0 >= VKA_OF(term, VKA_BLOCK_OFFSET) && block_window_of(VKA_W term, i1).lo <= VKA_INT(j0) &&
           block_window_of(VKA_W term, i0).hi >= VKA_INT(j1);
}

VKA_FN uint block_window_word(VKA_PROGRAM uint term, uint i, uint j0) {
    if (i < VKA_OF(term, VKA_BLOCK_OFFSET))
        return 0u;
    axis_keys k = block_window_of(VKA_W term, i);
    return key_bits(k.lo, k.hi, j0);
}

/* Where the list of query i's block begins. */
VKA_FN uint block_list_of(VKA_PROGRAM uint term, uint head, uint i) {
    uint row = (i - VKA_OF(term, VKA_BLOCK_OFFSET)) / VKA_OF(term, VKA_BLOCK_SIZE);
    return VKA_OF(term, VKA_BLOCK_LIST_DATA) + row * VKA_OF(term, VKA_BLOCK_LIST_PER_ROW) +
           (head - VKA_OF(term, VKA_TERM_FIRST_HEAD)) * VKA_OF(term, VKA_BLOCK_LIST_HEAD);
}

VKA_FN uint block_list_next(VKA_PROGRAM uint term, uint head, uint i0, uint i1, uint t) {
    uint size = VKA_HEAD(VKA_PROGRAM_KEY_TILE), block = VKA_OF(term, VKA_BLOCK_SIZE),
         offset = VKA_OF(term, VKA_BLOCK_OFFSET), best = VKA_PATTERN_NONE;
    if (i1 < offset)
        return VKA_PATTERN_NONE;
    /* The lists of the tile's blocks lie one after the other. */
    uint at = block_list_of(VKA_W term, head, VKA_MAX(i0, offset));
    uint end = block_list_of(VKA_W term, head, i1) + VKA_OF(term, VKA_BLOCK_LIST_PER_ROW);
    for (; at < end; ++at) {
        uint number = VKA_AT(at);
        if (number != VKA_PATTERN_NONE && (offset + number * block + block - 1u) / size >= t)
            best = VKA_MIN(best, VKA_MAX(t, (offset + number * block) / size));
    }
    return best;
}

/* Do they lie in a block each, and is the keys' one listed for the queries'? */
VKA_FN bool block_list_is_full(VKA_PROGRAM uint term, uint head, uint i0, uint i1, uint j0, uint j1) {
    uint offset = VKA_OF(term, VKA_BLOCK_OFFSET), block = VKA_OF(term, VKA_BLOCK_SIZE);
    if (VKA_MIN(i0, j0) < offset || (i0 - offset) / block != (i1 - offset) / block)
        return false;
    uint number = (j0 - offset) / block, at = block_list_of(VKA_W term, head, i0);
    bool listed = false;
    if (number == (j1 - offset) / block)
        for (uint k = 0u; k < VKA_OF(term, VKA_BLOCK_LIST_PER_ROW); ++k)
            listed = listed || VKA_AT(at + k) == number;
    return listed;
}

VKA_FN uint block_list_word(VKA_PROGRAM uint term, uint head, uint i, uint j0) {
    uint offset = VKA_OF(term, VKA_BLOCK_OFFSET), bits = 0u;
    if (i < offset)
        return 0u;
    int block = VKA_INT(VKA_OF(term, VKA_BLOCK_SIZE));
    uint at = block_list_of(VKA_W term, head, i), end = at + VKA_OF(term, VKA_BLOCK_LIST_PER_ROW);
    for (; at < end && VKA_AT(at) != VKA_PATTERN_NONE; ++at) {
        int lo = VKA_INT(offset) + VKA_INT(VKA_AT(at)) * block;
        bits |= key_bits(lo, lo + block - 1, j0);
    }
    return bits;
}

/* The caller's mask of blocks. */
VKA_FN uint blocks_row(VKA_PROGRAM uint term, uint head, uint row) {
    return VKA_OF(term, VKA_BLOCKS_DATA) + row * VKA_OF(term, VKA_BLOCKS_ROW) +
           (head - VKA_OF(term, VKA_TERM_FIRST_HEAD)) * VKA_OF(term, VKA_BLOCKS_HEAD);
}

VKA_FN uint blocks_next(VKA_PROGRAM uint term, uint head, uint i0, uint i1, uint t) {
    uint size = VKA_HEAD(VKA_PROGRAM_KEY_TILE), block = VKA_OF(term, VKA_BLOCKS_KEY_BLOCK);
    uint row = i0 / VKA_OF(term, VKA_BLOCKS_QUERY_BLOCK), last = i1 / VKA_OF(term, VKA_BLOCKS_QUERY_BLOCK);
    uint column = next_column(VKA_W blocks_row(VKA_W term, head, row), last - row + 1u, VKA_OF(term, VKA_BLOCKS_ROW),
                              t * size / block);
    return column == VKA_PATTERN_NONE ? column : VKA_MAX(t, column * block / size);
}

VKA_FN bool blocks_are_full(VKA_PROGRAM uint term, uint head, uint i0, uint i1, uint j0, uint j1) {
    uint row = i0 / VKA_OF(term, VKA_BLOCKS_QUERY_BLOCK), column = j0 / VKA_OF(term, VKA_BLOCKS_KEY_BLOCK);
    return row == i1 / VKA_OF(term, VKA_BLOCKS_QUERY_BLOCK) && column == j1 / VKA_OF(term, VKA_BLOCKS_KEY_BLOCK) &&
           (VKA_AT(blocks_row(VKA_W term, head, row) + column / 32u) >> (column % 32u) & 1u) != 0u;
}

VKA_FN uint blocks_word(VKA_PROGRAM uint term, uint head, uint i, uint j0) {
    uint block = VKA_OF(term, VKA_BLOCKS_KEY_BLOCK), words = VKA_OF(term, VKA_BLOCKS_ROW), bits = 0u;
    uint row = blocks_row(VKA_W term, head, i / VKA_OF(term, VKA_BLOCKS_QUERY_BLOCK));
    uint column = j0 / block, begin = 0u; /* of the block's keys in this word */
    uint end = (column + 1u) * block - j0;
    while (begin < 32u && column / 32u < words) {
        if ((VKA_AT(row + column / 32u) >> (column % 32u) & 1u) != 0u)
            bits |= bits_between(begin, VKA_MIN(end, 32u) - 1u);
        begin = end;
        end += block;
        ++column;
    }
    return bits;
}

/* ---- ranges ---------------------------------------------------------------------------------------------------- */

VKA_FN bool of_keys(VKA_PROGRAM uint term) {
    return VKA_OF(term, VKA_TERM_KIND) == VKA_UINT(VKA_TERM_KEYS);
}

/* Of the ranges of a KEYS or QUERIES the first one that ends at x or later, as its place in the program; 0: none does. */
VKA_FN uint range_from(VKA_PROGRAM uint term, uint x) {
    uint data = VKA_OF(term, VKA_RANGES_DATA), count = VKA_OF(term, VKA_RANGES_COUNT);
    uint below = 0u, above = count; /* ranges below end before x, those from above on don't */
    while (below < above) {
        uint middle = (below + above) / 2u;
        if (VKA_AT(data + 2u * middle + 1u) < x)
            below = middle + 1u;
        else
            above = middle;
    }
    return below < count ? data + 2u * below : 0u;
}

VKA_FN uint ranges_next(VKA_PROGRAM uint term, uint i0, uint i1, uint t) {
    uint size = VKA_HEAD(VKA_PROGRAM_KEY_TILE);
    bool keys = of_keys(VKA_W term);
    uint range = range_from(VKA_W term, keys ? t * size : i0);
    if (range == 0u || (!keys && VKA_AT(range) > i1))
        return VKA_PATTERN_NONE;
    return keys ? VKA_MAX(t, VKA_AT(range) / size) : t;
}

/* Does one range hold all of them? */
VKA_FN bool ranges_are_full(VKA_PROGRAM uint term, uint i0, uint i1, uint j0, uint j1) {
    bool keys = of_keys(VKA_W term);
    uint first = keys ? j0 : i0, last = keys ? j1 : i1, range = range_from(VKA_W term, first);
    return range != 0u && VKA_AT(range) <= first && VKA_AT(range + 1u) >= last;
}

VKA_FN uint ranges_word(VKA_PROGRAM uint term, uint i, uint j0) {
    bool keys = of_keys(VKA_W term);
    uint range = range_from(VKA_W term, keys ? j0 : i), bits = 0u;
    if (range == 0u)
        return 0u;
    if (!keys)
        return VKA_AT(range) <= i ? 0xffffffffu : 0u;
    uint end = VKA_OF(term, VKA_RANGES_DATA) + 2u * VKA_OF(term, VKA_RANGES_COUNT);
    for (; range < end && VKA_AT(range) <= j0 + 31u; range += 2u)
        bits |= key_bits(VKA_INT(VKA_AT(range)), VKA_INT(VKA_AT(range + 1u)), j0);
    return bits;
}

/* ---- columns of spans ------------------------------------------------------------------------------------------ */

VKA_FN uint columns_next(VKA_PROGRAM uint term, uint t) {
    uint size = VKA_HEAD(VKA_PROGRAM_KEY_TILE), begin = t * size;
    uint inside = begin % VKA_OF(term, VKA_COLUMNS_SPAN), from = VKA_OF(term, VKA_COLUMNS_FROM);
    return inside >= from ? t : (begin + from - inside) / size;
}

VKA_FN bool columns_are_full(VKA_PROGRAM uint term, uint j0, uint j1) {
    uint inside = j0 % VKA_OF(term, VKA_COLUMNS_SPAN), from = VKA_OF(term, VKA_COLUMNS_FROM);
    return from == 0u || (inside >= from && inside + j1 - j0 < VKA_OF(term, VKA_COLUMNS_SPAN));
}

VKA_FN uint columns_word(VKA_PROGRAM uint term, uint j0) {
    int span = VKA_INT(VKA_OF(term, VKA_COLUMNS_SPAN)), from = VKA_INT(VKA_OF(term, VKA_COLUMNS_FROM));
    uint bits = 0u;
    for (int begin = VKA_INT(j0) / span * span; begin < VKA_INT(j0) + 32; begin += span)
        bits |= key_bits(begin + from, begin + span - 1, j0);
    return bits;
}

/* ---- documents ------------------------------------------------------------------------------------------------- */

VKA_FN uint documents_next(VKA_PROGRAM uint term, uint i0, uint t) {
    uint size = VKA_HEAD(VKA_PROGRAM_KEY_TILE);
    uint hull = VKA_OF(term, VKA_DOCUMENTS_HULLS) + 2u * (i0 / VKA_HEAD(VKA_PROGRAM_QUERY_TILE));
    uint first = VKA_AT(hull), last = VKA_AT(hull + 1u);
    t = VKA_MAX(t, first / size);
    return first <= last && t <= last / size ? t : VKA_PATTERN_NONE;
}

VKA_FN bool documents_are_full(VKA_PROGRAM uint term, uint i0, uint i1, uint j0, uint j1) {
    uint at0 = VKA_OF(term, VKA_DOCUMENTS_DATA) + 3u * i0, at1 = VKA_OF(term, VKA_DOCUMENTS_DATA) + 3u * i1;
    return VKA_OF(term, VKA_DOCUMENTS_CONTIGUOUS) != 0u && VKA_AT(at0 + 2u) == VKA_AT(at1 + 2u) && VKA_AT(at0) <= j0 &&
           VKA_AT(at0 + 1u) >= j1;
}

VKA_FN uint documents_word(VKA_PROGRAM uint term, uint i, uint j0) {
    uint data = VKA_OF(term, VKA_DOCUMENTS_DATA), at = data + 3u * i;
    uint first = VKA_AT(at), last = VKA_AT(at + 1u);
    if (last < first || first > j0 + 31u || last < j0)
        return 0u;
    uint bits = key_bits(VKA_INT(first), VKA_INT(last), j0);
    if (VKA_OF(term, VKA_DOCUMENTS_CONTIGUOUS) != 0u)
        return bits;
    for (uint j = VKA_MAX(first, j0); j <= VKA_MIN(last, j0 + 31u); ++j)
        if (VKA_AT(data + 3u * j + 2u) != VKA_AT(at + 2u))
            bits &= ~(1u << (j - j0));
    return bits;
}

/* ---- the caller's bits ----------------------------------------------------------------------------------------- */

VKA_FN uint token_bits_next(VKA_PROGRAM uint term, uint i0, uint t) {
    uint words = VKA_OF(term, VKA_BITS_LIVE_ROW);
    return next_column(VKA_W VKA_OF(term, VKA_BITS_LIVE) + i0 / VKA_HEAD(VKA_PROGRAM_QUERY_TILE) * words, 1u, words, t);
}

VKA_FN uint token_bits_word(VKA_PROGRAM uint term, uint i, uint j0) {
    uint words = VKA_OF(term, VKA_BITS_ROW);
    return j0 / 32u < words ? VKA_AT(VKA_OF(term, VKA_BITS_DATA) + i * words + j0 / 32u) : 0u;
}

/* ---- any term -------------------------------------------------------------------------------------------------- */

VKA_FN uint term_next(VKA_PROGRAM uint term, uint head, uint i0, uint i1, uint t) {
    uint kind = VKA_OF(term, VKA_TERM_KIND);
    if (kind == VKA_UINT(VKA_TERM_WINDOW))
        return window_next(VKA_W term, i0, i1, t);
    if (kind == VKA_UINT(VKA_TERM_BLOCK_WINDOW))
        return block_window_next(VKA_W term, i0, i1, t);
    if (kind == VKA_UINT(VKA_TERM_KEYS) || kind == VKA_UINT(VKA_TERM_QUERIES))
        return ranges_next(VKA_W term, i0, i1, t);
    if (kind == VKA_UINT(VKA_TERM_COLUMNS))
        return columns_next(VKA_W term, t);
    if (kind == VKA_UINT(VKA_TERM_BLOCK_LIST))
        return block_list_next(VKA_W term, head, i0, i1, t);
    if (kind == VKA_UINT(VKA_TERM_DOCUMENTS))
        return documents_next(VKA_W term, i0, t);
    if (kind == VKA_UINT(VKA_TERM_BLOCKS))
        return blocks_next(VKA_W term, head, i0, i1, t);
    if (kind == VKA_UINT(VKA_TERM_BITS))
        return token_bits_next(VKA_W term, i0, t);
    return grid_next(VKA_W term, i0, i1, t);
}

VKA_FN bool term_is_full(VKA_PROGRAM uint term, uint head, uint i0, uint i1, uint j0, uint j1) {
    uint kind = VKA_OF(term, VKA_TERM_KIND);
    if (kind == VKA_UINT(VKA_TERM_WINDOW))
        return window_is_full(VKA_W term, i0, i1, j0, j1);
    if (kind == VKA_UINT(VKA_TERM_BLOCK_WINDOW))
        return block_window_is_full(VKA_W term, i0, i1, j0, j1);
    if (kind == VKA_UINT(VKA_TERM_KEYS) || kind == VKA_UINT(VKA_TERM_QUERIES))
        return ranges_are_full(VKA_W term, i0, i1, j0, j1);
    if (kind == VKA_UINT(VKA_TERM_COLUMNS))
        return columns_are_full(VKA_W term, j0, j1);
    if (kind == VKA_UINT(VKA_TERM_BLOCK_LIST))
        return block_list_is_full(VKA_W term, head, i0, i1, j0, j1);
    if (kind == VKA_UINT(VKA_TERM_DOCUMENTS))
        return documents_are_full(VKA_W term, i0, i1, j0, j1);
    if (kind == VKA_UINT(VKA_TERM_BLOCKS))
        return blocks_are_full(VKA_W term, head, i0, i1, j0, j1);
    if (kind == VKA_UINT(VKA_TERM_NEIGHBORHOOD) || kind == VKA_UINT(VKA_TERM_SWIN))
        return grid_is_full(VKA_W term, i0, i1, j0, j1);
    return false;
}

VKA_FN uint term_word(VKA_PROGRAM uint term, uint head, uint i, uint j0) {
    uint kind = VKA_OF(term, VKA_TERM_KIND);
    if (kind == VKA_UINT(VKA_TERM_WINDOW))
        return window_word(VKA_W term, i, j0);
    if (kind == VKA_UINT(VKA_TERM_BLOCK_WINDOW))
        return block_window_word(VKA_W term, i, j0);
    if (kind == VKA_UINT(VKA_TERM_KEYS) || kind == VKA_UINT(VKA_TERM_QUERIES))
        return ranges_word(VKA_W term, i, j0);
    if (kind == VKA_UINT(VKA_TERM_COLUMNS))
        return columns_word(VKA_W term, j0);
    if (kind == VKA_UINT(VKA_TERM_BLOCK_LIST))
        return block_list_word(VKA_W term, head, i, j0);
    if (kind == VKA_UINT(VKA_TERM_DOCUMENTS))
        return documents_word(VKA_W term, i, j0);
    if (kind == VKA_UINT(VKA_TERM_BLOCKS))
        return blocks_word(VKA_W term, head, i, j0);
    if (kind == VKA_UINT(VKA_TERM_BITS))
        return token_bits_word(VKA_W term, i, j0);
    return grid_word(VKA_W term, i, j0);
}

/* ---- the pattern ----------------------------------------------------------------------------------------------- */

VKA_FN uint terms_end(VKA_PROGRAM uint begin) {
    return begin + VKA_HEAD(VKA_PROGRAM_TERMS) * VKA_UINT(VKA_TERM_WORDS);
}

VKA_FN bool group_is_for(VKA_PROGRAM uint group, uint head) {
    return head - VKA_OF(group, VKA_TERM_FIRST_HEAD) < VKA_OF(group, VKA_TERM_HEADS);
}

/* The end of a clause's terms, or of a group's. */
VKA_FN uint clause_end(VKA_PROGRAM uint clause) {
    return clause + VKA_OF(clause, VKA_TERM_CLAUSE) * VKA_UINT(VKA_TERM_WORDS);
}

VKA_FN uint group_end(VKA_PROGRAM uint group) {
    return group + VKA_OF(group, VKA_TERM_GROUP) * VKA_UINT(VKA_TERM_WORDS);
}

VKA_FN uint group_next(VKA_PROGRAM uint group, uint head, uint i0, uint i1, uint t) {
    uint end = group_end(VKA_W group), best = VKA_PATTERN_NONE;
    for (uint term = group; term < end && best != t; term += VKA_UINT(VKA_TERM_WORDS))
        best = VKA_MIN(best, term_next(VKA_W term, head, i0, i1, t));
    return best;
}

/* Asks the clause's groups in turn until all agree on a tile. */
VKA_FN uint clause_next(VKA_PROGRAM uint clause, uint head, uint i0, uint i1, uint t) {
    uint columns = VKA_HEAD(VKA_PROGRAM_COLUMNS), end = clause_end(VKA_W clause), group = clause;
    uint agreed = 0u; /* words of groups, one after the other, that did */
    while (t < columns && agreed < end - clause) {
        uint next = t, behind = group_end(VKA_W group);
        if (group_is_for(VKA_W group, head))
            next = group_next(VKA_W group, head, i0, i1, t);
        agreed = (next == t ? agreed : 0u) + behind - group;
        group = behind < end ? behind : clause;
        t = next;
    }
    return t < columns ? t : VKA_PATTERN_NONE;
}

/* The first tile at or after t that the queries i0 .. i1 of a tile may see, or VKA_PATTERN_NONE. */
VKA_FN uint pattern_next(VKA_PROGRAM uint head, uint i0, uint i1, uint t) {
    uint clause = VKA_UINT(VKA_PROGRAM_WORDS), end = terms_end(VKA_W clause), best = VKA_PATTERN_NONE;
    for (; clause < end && best != t; clause = clause_end(VKA_W clause))
        if (group_is_for(VKA_W clause, head))
            best = VKA_MIN(best, clause_next(VKA_W clause, head, i0, i1, t));
    return best;
}

VKA_FN bool group_is_full(VKA_PROGRAM uint group, uint head, uint i0, uint i1, uint j0, uint j1) {
    uint end = group_end(VKA_W group);
    bool full = false;
    for (uint term = group; term < end && !full; term += VKA_UINT(VKA_TERM_WORDS))
        full = term_is_full(VKA_W term, head, i0, i1, j0, j1);
    return full;
}

VKA_FN bool clause_is_full(VKA_PROGRAM uint clause, uint head, uint i0, uint i1, uint j0, uint j1) {
    uint end = clause_end(VKA_W clause);
    bool full = group_is_for(VKA_W clause, head);
    for (uint group = clause; group < end && full; group = group_end(VKA_W group))
        full = !group_is_for(VKA_W group, head) || group_is_full(VKA_W group, head, i0, i1, j0, j1);
    return full;
}

/* Do the queries i0 .. i1 certainly see all keys of tile t? */
VKA_FN bool pattern_is_full(VKA_PROGRAM uint head, uint i0, uint i1, uint t) {
    uint size = VKA_HEAD(VKA_PROGRAM_KEY_TILE), j0 = t * size, j1 = j0 + size - 1u;
    if (VKA_HEAD(VKA_PROGRAM_PERMUTED) == 0u)
        j1 = VKA_MIN(j1, VKA_HEAD(VKA_PROGRAM_KEYS) - 1u);
    uint clause = VKA_UINT(VKA_PROGRAM_WORDS), end = terms_end(VKA_W clause);
    bool full = false;
    for (; clause < end && !full; clause = clause_end(VKA_W clause))
        full = clause_is_full(VKA_W clause, head, i0, i1, j0, j1);
    return full;
}

/* Bits of the keys j0 .. j0 + 31 that there are; boxes know theirs themselves. */
VKA_FN uint existing_keys(VKA_PROGRAM uint j0) {
    uint keys = VKA_HEAD(VKA_PROGRAM_KEYS);
    if (VKA_HEAD(VKA_PROGRAM_PERMUTED) != 0u || j0 + 32u <= keys)
        return 0xffffffffu;
    return j0 < keys ? (1u << (keys - j0)) - 1u : 0u;
}

VKA_FN uint group_word(VKA_PROGRAM uint group, uint head, uint i, uint j0) {
    uint end = group_end(VKA_W group), bits = 0u;
    for (uint term = group; term < end && bits != 0xffffffffu; term += VKA_UINT(VKA_TERM_WORDS))
        bits |= term_word(VKA_W term, head, i, j0);
    return bits;
}

VKA_FN uint clause_word(VKA_PROGRAM uint clause, uint head, uint i, uint j0) {
    uint end = clause_end(VKA_W clause), bits = group_is_for(VKA_W clause, head) ? 0xffffffffu : 0u;
    for (uint group = clause; group < end && bits != 0u; group = group_end(VKA_W group))
        if (group_is_for(VKA_W group, head))
            bits &= group_word(VKA_W group, head, i, j0);
    return bits;
}

/* The keys j0 .. j0 + 31 that query i sees, as bits. */
VKA_FN uint pattern_word(VKA_PROGRAM uint head, uint i, uint j0) {
    uint clause = VKA_UINT(VKA_PROGRAM_WORDS), end = terms_end(VKA_W clause), bits = 0u;
    for (; clause < end && bits != 0xffffffffu; clause = clause_end(VKA_W clause))
        bits |= clause_word(VKA_W clause, head, i, j0);
    return bits & existing_keys(VKA_W j0);
}

/* ---- slots ---------------------------------------------------------------------------------------------------- */

/* The query at a slot, or VKA_PATTERN_NONE. */
VKA_FN uint slot_query(VKA_PROGRAM uint slot) {
    if (VKA_HEAD(VKA_PROGRAM_PERMUTED) != 0u)
        return grid_token(grid_of(VKA_W VKA_UINT(VKA_PROGRAM_WORDS)), slot);
    return slot < VKA_HEAD(VKA_PROGRAM_QUERIES) ? slot : VKA_PATTERN_NONE;
}

/* The last slot of a tile of queries that counts. */
VKA_FN uint last_place(VKA_PROGRAM uint row) {
    uint size = VKA_HEAD(VKA_PROGRAM_QUERY_TILE), last = row * size + size - 1u;
    return VKA_HEAD(VKA_PROGRAM_PERMUTED) != 0u ? last : VKA_MIN(last, VKA_HEAD(VKA_PROGRAM_QUERIES) - 1u);
}

/* Queries of a tile. */
VKA_FN uint tile_queries(VKA_PROGRAM uint row) {
    uint first = row * VKA_HEAD(VKA_PROGRAM_QUERY_TILE), last = last_place(VKA_W row);
    if (VKA_HEAD(VKA_PROGRAM_PERMUTED) == 0u)
        return last - first + 1u;
    grid_span s = query_span(grid_of(VKA_W VKA_UINT(VKA_PROGRAM_WORDS)), first, last);
    return VKA_UINT((s.last.z - s.first.z + 1) * (s.last.y - s.first.y + 1) * (s.last.x - s.first.x + 1));
}

/* Keys of a tile that is full. */
VKA_FN uint tile_keys(VKA_PROGRAM uint t) {
    uint size = VKA_HEAD(VKA_PROGRAM_KEY_TILE);
    return VKA_HEAD(VKA_PROGRAM_PERMUTED) != 0u ? size : VKA_MIN(size, VKA_HEAD(VKA_PROGRAM_KEYS) - t * size);
}

#ifndef VKA_GLSL
#    undef uint
#endif

#endif
