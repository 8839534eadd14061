/* Patterns as host and kernels evaluate them: a program of 32-bit words, which src/plan/pattern_compile.c makes of a
 * description.
 *
 *   header   VKA_PROGRAM_WORDS words
 *   terms    VKA_TERM_WORDS words each, room for VKA_PROGRAM_MAX_TERMS. The pattern is a union of clauses, a clause the
 *            intersection of groups, a group the union of terms; each follows the one before it
 *   data     lists of the terms: "data" says where one begins, in words of the program
 *
 * Maps run over slots: tokens, or in an ordered map the positions of boxes of a grid, of which those beyond the grid
 * hold no token. This file has the words' meanings, and what the evaluating headers need to be C and GLSL at once.
 * SPDX-License-Identifier: MIT */
#ifndef VKA_PATTERN_PROGRAM_H
#define VKA_PATTERN_PROGRAM_H

#define VKA_PROGRAM_TERMS      0
#define VKA_PROGRAM_QUERIES    1
#define VKA_PROGRAM_KEYS       2
#define VKA_PROGRAM_QUERY_TILE 3
#define VKA_PROGRAM_KEY_TILE   4
#define VKA_PROGRAM_ROWS       5 /* tiles of a head's queries                                                   */
#define VKA_PROGRAM_COLUMNS    6 /* tiles of keys                                                               */
#define VKA_PROGRAM_PERMUTED   7 /* 1: tiles are the boxes of the first term's grid                             */
#define VKA_PROGRAM_WORDS      8
#define VKA_PROGRAM_MAX_TERMS  64

#define VKA_TERM_KIND       0
#define VKA_TERM_CLAUSE     1 /* terms of the clause that begins here                                           */
#define VKA_TERM_GROUP      2 /* terms of the group that begins here                                            */
#define VKA_TERM_FIRST_HEAD 3 /* heads that the group is for: of a clause's first one, the clause's; others     */
#define VKA_TERM_HEADS      4 /*   restrict it for their heads only                                             */
#define VKA_TERM_OWN        5 /* words of the kind                                                              */
#define VKA_TERM_WORDS      32

/* p - left <= j <= p + right, and p - j is a multiple of dilation. */
#define VKA_TERM_WINDOW 1
#define VKA_WINDOW_LEFT     5 /* signed, within +-2^28                                                          */
#define VKA_WINDOW_RIGHT    6
#define VKA_WINDOW_DILATION 7
#define VKA_WINDOW_COMB     8 /* bits 0, dilation, 2 dilation, ..                                               */

/* Blocks r - before .. r + after of p's block r; what lies before the offset is in no block. */
#define VKA_TERM_BLOCK_WINDOW 2
#define VKA_BLOCK_SIZE        5
#define VKA_BLOCK_OFFSET      6
#define VKA_BLOCK_BEFORE      7
#define VKA_BLOCK_AFTER       8

/* Keys, or queries, of some ranges: data has count pairs (first, last), ascending and apart. */
#define VKA_TERM_KEYS    3
#define VKA_TERM_QUERIES 4
#define VKA_RANGES_COUNT 5
#define VKA_RANGES_DATA  6

/* j % span >= from. */
#define VKA_TERM_COLUMNS 5
#define VKA_COLUMNS_SPAN 5
#define VKA_COLUMNS_FROM 6

/* Listed blocks of p's block: data is [heads or 1, rows, per row], ascending, padded with VKA_PATTERN_NONE. */
#define VKA_TERM_BLOCK_LIST    6
#define VKA_BLOCK_LIST_PER_ROW 7
#define VKA_BLOCK_LIST_HEAD    8 /* words of a head                                                             */
#define VKA_BLOCK_LIST_DATA    9 /* size and offset as of a BLOCK_WINDOW                                        */

/* id[p] == id[j]. data: for each token the first and the last key of its id (none: last < first), and the id.
 * hulls: for each tile of queries the first and the last key of any of its ids. */
#define VKA_TERM_DOCUMENTS       7
#define VKA_DOCUMENTS_DATA       5
#define VKA_DOCUMENTS_HULLS      6
#define VKA_DOCUMENTS_CONTIGUOUS 7 /* 1: each id has one run of tokens                                          */

/* Windows of a grid of three axes, last one fastest. An axis has nine words. */
#define VKA_TERM_NEIGHBORHOOD 8
#define VKA_TERM_SWIN         9
#define VKA_AXIS_SIZE         5
#define VKA_AXIS_BOX          6 /* tokens of a box; 1: the map isn't ordered                                    */
#define VKA_AXIS_WINDOW       7
#define VKA_AXIS_STRIDE       8
#define VKA_AXIS_DILATION     9 /* 1 of Swin                                                                    */
#define VKA_AXIS_CAUSAL       10
#define VKA_AXIS_SHIFT        11 /* of Swin                                                                     */
#define VKA_AXIS_COMB         12 /* bits 0, dilation, 2 dilation, ..                                            */
#define VKA_AXIS_LEAD         13 /* slots before the first token, so that boxes begin where Swin's windows do  */
#define VKA_AXIS_WORDS        9

/* A mask of blocks: data is [heads or 1, rows, row words], bits. */
#define VKA_TERM_BLOCKS        10
#define VKA_BLOCKS_QUERY_BLOCK 5
#define VKA_BLOCKS_KEY_BLOCK   6
#define VKA_BLOCKS_ROW         7 /* words of a row                                                              */
#define VKA_BLOCKS_HEAD        8 /* words of a head                                                             */
#define VKA_BLOCKS_DATA        9

/* A mask of tokens: data is [queries, row words], bits; live is [tiles of queries, live words], a bit for each tile of
 * keys that has a bit. */
#define VKA_TERM_BITS     11
#define VKA_BITS_ROW      5
#define VKA_BITS_DATA     6
#define VKA_BITS_LIVE_ROW 7
#define VKA_BITS_LIVE     8

/* No such tile, block, token. */
#define VKA_PATTERN_NONE 0xffffffffu

/* ---- two languages --------------------------------------------------------------------------------------------- */

/* Functions that read the program have VKA_PROGRAM for their first parameter and VKA_W for its argument: in C the words,
 * in GLSL nothing. There the lists are in a buffer `program`, and header and terms in shared memory, `terms`.
 *   VKA_HEAD(name)      a word of the header
 *   VKA_OF(term, name)  a word of a term
 *   VKA_AT(i)           a word of a list */
#ifndef VKA_GLSL
#    define VKA_FN        static inline
#    define VKA_PROGRAM   const uint32_t *program,
#    define VKA_W         program,
#    define VKA_AT(i)     program[i]
#    define VKA_HEAD(name) program[name]
#    define VKA_OF(term, name) program[(term) + (uint32_t)(name)]
#    define VKA_INT(x)    ((int32_t)(x))
#    define VKA_UINT(x)   ((uint32_t)(x))
#    define VKA_MIN(a, b) ((a) < (b) ? (a) : (b))
#    define VKA_MAX(a, b) ((a) > (b) ? (a) : (b))
static inline uint32_t lowest_bit(uint32_t x) {
    uint32_t n = 0;
    for (; !(x & 1u); x >>= 1)
        ++n;
    return n;
}
#else
#    define VKA_FN
#    define VKA_PROGRAM
#    define VKA_W
#    define VKA_AT(i)     program[i]
#    define VKA_HEAD(name) terms[name]
#    define VKA_OF(term, name) terms[(term) + uint(name)]
#    define VKA_INT(x)    int(x)
#    define VKA_UINT(x)   uint(x)
#    define VKA_MIN(a, b) min(a, b)
#    define VKA_MAX(a, b) max(a, b)
uint lowest_bit(uint x) {
    return uint(findLSB(x));
}
#endif

#endif
