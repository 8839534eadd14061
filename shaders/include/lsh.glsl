// Sorts of tokens by hashes: what their kernels share. Needs elements.glsl.
//
// A row is a round of a batch entry's head. Its tokens are cut into blocks, each a workgroup's. The scratch memory has a table
// of every row, blocks x buckets: first how many tokens of the block have the bucket, then where they go. Behind all tables
// it has the buckets of every row's tokens.
// SPDX-License-Identifier: MIT

#include "params/lsh.h"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_lsh_params p;
};

layout(set = 0, binding = VKA_BIND_SCRATCH, std430) coherent buffer Scratch {
    uint scratch[];
};

VKA_INPUT_I32(VKA_BIND_SORT_LENS, lengths)

const int HOLE = -1;

struct LshRow {
    uint number;             // within the dispatch's slice
    uint round, entry, head; // likewise
    uint tokens;             // of the entry
};

LshRow find_row(uint number) {
    LshRow row;
    row.number = number;
    row.round = number / (push.dim1 * push.dim2);
    row.entry = number / push.dim2 % push.dim1;
    row.head = number % push.dim2;
    row.tokens = p.tokens;
    if (has(VKA_FLAG_LENGTHS))
        row.tokens = uint(clamp(lengths_at((row.entry + push.b0) * p.length_step), 0, int(p.tokens)));
    return row;
}

// Where a row's first element lies in a tensor of rows.
uint row_base(LshRow row, uint slot, vka_strides s) {
    return push.base[slot] + row.round * s.b + row.entry * s.h + row.head * s.n;
}

// Where a block's line of the row's table begins.
uint block_line(LshRow row, uint block) {
    return (row.number * p.blocks + block) * p.buckets;
}

// Where a token's bucket lies.
uint bucket_place(LshRow row, uint token) {
    return p.ws_buckets + row.number * p.tokens + token;
}
