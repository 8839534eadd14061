/* SPDX-License-Identifier: MIT */
#include "shards.h"

static uint32_t chunks(const shards *s) {
    return s->order == SHARDS_ZIGZAG ? 2 * s->ranks : s->ranks;
}

static uint32_t chunk_begin(const shards *s, uint32_t chunk) {
    return (uint32_t)((uint64_t)s->tokens * chunk / chunks(s));
}

static uint32_t chunk_rows(const shards *s, uint32_t chunk) {
    return chunk_begin(s, chunk + 1) - chunk_begin(s, chunk);
}

static uint32_t late_chunk(const shards *s, uint32_t rank) {
    return 2 * s->ranks - 1 - rank;
}

uint32_t shards_rows(const shards *s, uint32_t rank) {
    return chunk_rows(s, rank) + (s->order == SHARDS_ZIGZAG ? chunk_rows(s, late_chunk(s, rank)) : 0);
}

uint32_t shards_most_rows(const shards *s) {
    uint32_t most = 0;
    for (uint32_t rank = 0; rank < s->ranks; rank++) {
        most = shards_rows(s, rank) > most ? shards_rows(s, rank) : most;
    }
    return most;
}

uint32_t shards_token(const shards *s, uint32_t rank, uint32_t row) {
    uint32_t early = chunk_rows(s, rank);
    return row < early ? chunk_begin(s, rank) + row : chunk_begin(s, late_chunk(s, rank)) + row - early;
}

uint32_t shards_block(const shards *s, uint32_t rank, uint32_t step) {
    return (rank + s->ranks - step % s->ranks) % s->ranks;
}

/* Of an earlier rank's block in a zigzag the early chunk lies before both of ours, and the late one behind both. Of a
 * later rank's, both lie before our late chunk and behind our early one. */
shards_part shards_seen(const shards *s, bool causal, uint32_t rank, uint32_t block) {
    shards_part p = {.queries = shards_rows(s, rank), .keys = shards_rows(s, block)};
    if (!causal) {
        return p;
    }
    p.diagonal = rank == block;
    if (block < rank) {
        p.keys = chunk_rows(s, block);
    } else if (block > rank && s->order == SHARDS_ZIGZAG) {
        p.first_query = chunk_rows(s, rank);
        p.queries -= p.first_query;
    } else if (block > rank) {
        p.queries = p.keys = 0;
    }
    return p;
}

uint64_t shards_pairs(const shards_part *p) {
    return p->diagonal ? (uint64_t)p->keys * (p->keys + 1) / 2 : (uint64_t)p->queries * p->keys;
}
