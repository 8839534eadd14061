// What the cache's kernels share: parameters, and the lists that say where tokens come from and go to.
// SPDX-License-Identifier: MIT

#include "params/cache.h"

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_cache_params p;
};

VKA_INPUT_I32(VKA_BIND_LENGTHS, lengths)
VKA_INPUT_I32(VKA_BIND_OFFSETS, offsets)

// Tokens that a sequence has already. Below 2^31, and so are new ones: their sum has room.
uint old_length(uint sequence) {
    return has(VKA_FLAG_LENGTHS) ? uint(max(lengths_at(sequence * p.length_step), 0)) : 0u;
}

// Its new tokens: the first row, within packed tensors, and how many.
uvec2 new_tokens(uint sequence) {
    if (!has(VKA_FLAG_OFFSETS))
        return uvec2(0u, p.tokens);
    int rows = int(p.rows), begin = clamp(offsets_at(sequence * p.offset_step), 0, rows);
    int end = clamp(offsets_at((sequence + 1u) * p.offset_step), begin, rows);
    return uvec2(begin, min(uint(end - begin), p.tokens));
}
