#version 450
// Sorts the tiles of a block map by columns, in the order of rows within each, so that a tile of keys finds the queries that see
// it. Tiles are sorted by counting, as tokens by hashes: the steps between these two are lsh/offsets.comp and lsh/place.comp,
// and so are the parameters and the scratch memory. There is one row, of all tiles; a bucket is a column of a head; dim is how
// many columns a head has, push.dim1 and push.dim2 how many rows of tiles a head and the map have.
//
// VKA_SORTED = 0, before: a workgroup owns a block of tiles, and counts their columns. VKA_SORTED = 1, behind: an invocation
// writes row and bits of a tile in its place of the order.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "lsh.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

VKA_INPUT_I32(VKA_BIND_X, map)
#if VKA_SORTED
layout(set = 0, binding = VKA_BIND_SORTED, std430) readonly buffer Order {
    int order[];
};
layout(set = 0, binding = VKA_BIND_COLUMN_TILES, std430) writeonly buffer Tiles {
    uvec2 tiles[];
};
#endif

// The row of the map that has a tile: the last one that begins at it or before, as those without tiles begin where the next does.
uint row_of_tile(uint tile) {
    uint low = 0u, high = push.dim2;
    while (high - low > 1u) {
        uint middle = (low + high) / 2u;
        if (uint(map_at(middle)) <= tile)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint tile_word(uint tile, uint word) {
    return uint(map_at(push.dim2 + 1u + 2u * tile + word));
}

#if VKA_SORTED
void main() {
    uint place = (gl_WorkGroupID.x + push.x0) * GROUP_SIZE + gl_LocalInvocationIndex;
    if (place >= p.tokens)
        return;
    uint tile = uint(order[place]);
    tiles[place] = uvec2(row_of_tile(tile) % push.dim1, tile_word(tile, 1u));
}
#else
void main() {
    const LshRow all = LshRow(0u, 0u, 0u, 0u, p.tokens);
    uint block = gl_WorkGroupID.x + push.x0, line = block_line(all, block);
    for (uint i = gl_LocalInvocationIndex; i < p.buckets; i += GROUP_SIZE)
        scratch[line + i] = 0u;
    memoryBarrierBuffer();
    barrier();
    uint end = min((block + 1u) * p.block, p.tokens);
    for (uint tile = block * p.block + gl_LocalInvocationIndex; tile < end; tile += GROUP_SIZE) {
        uint bucket = row_of_tile(tile) / push.dim1 * p.dim + tile_word(tile, 0u);
        scratch[bucket_place(all, tile)] = bucket;
        atomicAdd(scratch[line + bucket], 1u);
    }
}
#endif
