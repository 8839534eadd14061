/* Pieces of pattern evaluation: words of bits, arithmetic progressions, rows of bits. C and GLSL.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PATTERN_BITS_H
#define VKA_PATTERN_BITS_H

#include "pattern_program.h"

#ifndef VKA_GLSL
#    define uint uint32_t
#endif

/* Bits first .. last of a word. */
VKA_FN uint bits_between(uint first, uint last) {
    return (0xffffffffu >> (31u - last)) & (0xffffffffu << first);
}

/* Bits of the keys lo .. hi in the word that begins with key j0. */
VKA_FN uint key_bits(int lo, int hi, uint j0) {
    int begin = VKA_INT(j0);
    int first = VKA_MAX(lo, begin) - begin, last = VKA_MIN(hi, begin + 31) - begin;
    return first <= last ? bits_between(VKA_UINT(first), VKA_UINT(last)) : 0u;
}

/* Likewise, of those that differ from x by a multiple of step; comb has the bits 0, step, 2 step, .. */
VKA_FN uint key_bits_stepped(int lo, int hi, int x, int step, uint comb, uint j0) {
    uint bits = key_bits(lo, hi, j0);
    if (step == 1 || bits == 0u)
        return bits;
    int skip = x % step - VKA_INT(j0) % step; /* from the word's first key to the next such one */
    skip = skip < 0 ? skip + step : skip;
    return skip < 32 ? bits & (comb << skip) : 0u;
}

/* The first tile at or after t, of `size` keys each, with a key that differs from one of q0 .. q1 by a multiple of
 * step. */
VKA_FN uint next_congruent(int q0, int q1, int step, int size, uint t) {
    if (step == 1)
        return t;
    /* Differences of the tile's keys and the queries are least .. most. */
    int least = VKA_INT(t) * size - q1, most = VKA_INT(t) * size + size - 1 - q0;
    int multiple = least >= 0 ? (least + step - 1) / step * step : -(-least / step * step);
    return multiple <= most ? t : VKA_UINT((multiple + q0) / size);
}

/* In rows of bits, [rows, words], the first column at or after `from` that is set in any row; or VKA_PATTERN_NONE. */
VKA_FN uint next_column(VKA_PROGRAM uint data, uint rows, uint words, uint from) {
    uint mask = 0xffffffffu << (from % 32u);
    for (uint word = from / 32u; word < words; ++word) {
        uint bits = 0u;
        for (uint row = 0u; row < rows; ++row)
            bits |= VKA_AT(data + row * words + word);
        bits &= mask;
        if (bits != 0u)
            return 32u * word + lowest_bit(bits);
        mask = 0xffffffffu;
    }
    return VKA_PATTERN_NONE;
}

#ifndef VKA_GLSL
#    undef uint
#endif

#endif
