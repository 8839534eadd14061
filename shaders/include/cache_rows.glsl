// Rows that a team of invocations rotates, quantises and stores in a cache.
//
// TEAM invocations own a row, the D channels of a token's head: each owns vectors of four channels that lie TEAM apart, so
// that neighbours read and write neighbouring memory. Quantisation needs the largest value of the row (i8) or of a block of
// 32 channels (q8_0): the team finds it through shared memory. All of a row is read before any of it is written, so that x
// may lie where the cache does.
//
// Nobody else's bytes are touched: words that two owners share are changed by atomic operations on the owner's bits.
//
// After the parameters `p`, with X_STEP and CACHE_STEP, the strides of channels, and scale_put.
// SPDX-License-Identifier: MIT
#include "blocks.glsl"
#include "rope.glsl"
#include "quantise.glsl"

layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_TC) const uint TEAM = 1u;
layout(constant_id = VKA_SPEC_D) const uint D = 4u;

#define X_TYPE TYPE_OF(VKA_ROLE_X)
#define CACHE_TYPE TYPE_OF(VKA_ROLE_CACHE)

const uint VECTORS = (D + 3u) / 4u;
const uint KEPT = (VECTORS + TEAM - 1u) / TEAM; // of an invocation
const uint ROWS = GROUP_SIZE / TEAM;
const bool HALVES = CACHE_TYPE == VKA_TYPE_Q4_0;
const bool BLOCKS = CACHE_TYPE == VKA_TYPE_Q8_0 || HALVES;
// Of a row; at least one, as they are sizes of arrays.
const uint SCALES = BLOCKS ? (D + 31u) / 32u : 1u;
const uint WORDS = BLOCKS ? VECTORS : 1u;
const uint FIRSTS = HALVES ? SCALES : 1u;

VKA_INPUT(VKA_BIND_X, x)
VKA_ANY_READERS(x, VKA_BIND_X, X_TYPE)
VKA_INOUT(VKA_BIND_CACHE, cache)
VKA_WRITERS(cache, CACHE_TYPE)

// Bits of the largest magnitude that each scale serves; of q4_0 the first channel that has it, times two, plus one if it is
// negative; and the bytes of rows, of which blocks need their neighbours': a vector's in a word.
shared uint most[ROWS * SCALES];
shared uint first_most[ROWS * FIRSTS];
shared uint row_words[ROWS * WORDS];

struct Token {
    bool stored;           // false: it is none, or dropped
    uint x, cache_, scale; // its first elements
    float factor;          // of an i8 x
    RopeRow rope;
};

// ---- values -----------------------------------------------------------------------------------------------------------

float x_element(uint i) {
    bool blocks = X_TYPE == VKA_TYPE_Q8_0 || X_TYPE == VKA_TYPE_Q4_0;
    return blocks ? x_any4(i & ~3u, 1u, 0u, D, true)[i & 3u] : x_at(i);
}

// The other channels of four channels' pairs; channels beyond R come as they are.
vec4 partners(Token t, uint c, uint stride, vec4 own) {
    uint pairs = p.rope.pairs;
    if (has(VKA_FLAG_INTERLEAVED))
        return own.yxwz;
    if (has(VKA_FLAG_ROPE_VEC4))
        return x_any4(t.x, 1u, (c < pairs ? c + pairs : c - pairs) >> 2, D, true);
    vec4 y = own;
    [[unroll]] for (uint i = 0u; i < 4u; ++i)
        if (c + i < 2u * pairs)
            y[i] = x_element(t.x + (c + i < pairs ? c + i + pairs : c + i - pairs) * stride);
    return y;
}

// Vector v of a token's row as it will be stored; channels from D on are 0.
vec4 values(Token t, uint v) {
    uint stride = X_STEP, c = 4u * v, pairs = p.rope.pairs;
    vec4 y = x_any4(t.x, stride, v, D, has(VKA_FLAG_X_VEC4)), other;
    if (has(VKA_FLAG_ROPE) && c < 2u * pairs)
        other = partners(t, c, stride, y);
    if (X_TYPE == VKA_TYPE_I8) {
        y *= t.factor;
        other *= t.factor;
    }
    if (!has(VKA_FLAG_ROPE) || c >= 2u * pairs)
        return y;
    [[unroll]] for (uint i = 0u; i < 4u; ++i) {
        uint channel = c + i, pair = channel < pairs ? channel : channel - pairs;
        bool first = channel < pairs;
        if (has(VKA_FLAG_INTERLEAVED)) {
            pair = channel >> 1;
            first = (channel & 1u) == 0u;
        }
        if (channel < 2u * pairs) {
            vec2 f = rope_factors(t.rope, pair);
            y[i] = first ? f.x * y[i] - f.y * other[i] : f.y * other[i] + f.x * y[i];
        }
    }
    return y;
}

// ---- quantisation -----------------------------------------------------------------------------------------------------

// Alone, an invocation needs to wait for nobody; CPUs are faster without.
void team_barrier() {
    if (TEAM > 1u)
        barrier();
}

// Changes the bits of a word that `mask` << `shift` names.
void change_bits(uint word, uint shift, uint mask, uint bits) {
    atomicAnd(cache_w[word], ~(mask << shift));
    atomicOr(cache_w[word], bits << shift);
}

void store_bytes(Token t, uint v, uint bytes) {
    if (has(VKA_FLAG_CACHE_VEC4)) {
        cache_w[(t.cache_ >> 2) + v] = bytes;
        return;
    }
    [[unroll]] for (uint i = 0u; i < 4u; ++i) {
        uint at = t.cache_ + (4u * v + i) * CACHE_STEP;
        if (4u * v + i < D)
            change_bits(at >> 2, (at & 3u) * 8u, 255u, bytes >> 8u * i & 255u);
    }
}

// Where what serves a vector is in `most`.
uint scale_at(uint row, uint v) {
    return row * SCALES + (BLOCKS ? min(v, VECTORS - 1u) / 8u : 0u);
}

// The first of a vector's channels that has the largest magnitude of its block.
void note_first(uint row, uint v, vec4 y) {
    uvec4 bits = floatBitsToUint(y);
    uint at = scale_at(row, v), first = 0xffffffffu;
    [[unroll]] for (uint i = 4u; i-- > 0u;)
        if ((bits[i] & 0x7fffffffu) == most[at])
            first = (4u * v + i) * 2u + (bits[i] >> 31);
    atomicMin(first_most[at], first);
}

bool is_first_negative(uint row, uint v) {
    return HALVES && (first_most[scale_at(row, v)] & 1u) != 0u;
}

// What is stored of a vector, and of its block's scale.
uint vector_bytes(uint row, uint v, vec4 y) {
    uint bits = most[scale_at(row, v)], stored;
    if (HALVES)
        return packed_bytes(halves_of(y, half_scale_of(bits, stored), is_first_negative(row, v)));
    return quantised(y, BLOCKS ? block_scale_of(bits, stored) : scale_of(bits));
}

uint scale_bits(uint row, uint v) {
    uint bits = most[scale_at(row, v)], stored;
    if (HALVES) {
        float scale = half_scale_of(bits, stored);
        return signed_scale(scale, stored, is_first_negative(row, v));
    }
    block_scale_of(bits, stored);
    return stored;
}

// Word i of a block's bytes: of q4_0 the halves of two vectors.
uint block_word(uint row, uint block, uint i) {
    uint at = row * WORDS + block * 8u + i;
    return HALVES ? row_words[at] | row_words[at + 4u] << 4 : row_words[at];
}

// Word i of a block, which begins in the middle of a word, or ends there, and that word it shares.
void store_block_word(Token t, uint row, uint block, uint i) {
    const uint words = HALVES ? 4u : 8u;
    uint at = push.base[VKA_BIND_CACHE] + (t.cache_ / 32u + block) * (2u * words + 1u), word = block_word(row, block, i);
    if ((at & 1u) != 0u) {
        cache_w[at / 2u + 1u + i] = word;
        if (i == 0u)
            change_bits(at / 2u, 16u, 0xffffu, scale_bits(row, 8u * block));
    } else {
        cache_w[at / 2u + i] =
            (i == 0u ? scale_bits(row, 8u * block) : block_word(row, block, i - 1u) >> 16) | word << 16;
        if (i == words - 1u)
            change_bits(at / 2u + words, 0u, 0xffffu, word >> 16);
    }
}

// All invocations of the workgroup come here: those of rows that go nowhere for the barriers.
void store_quantised(Token t, uint member, uint row) {
    vec4 kept[KEPT];
    for (uint i = member; i < SCALES; i += TEAM) {
        most[row * SCALES + i] = 0u;
        if (HALVES)
            first_most[row * SCALES + i] = 0xffffffffu;
    }
    team_barrier();
    for (uint i = 0u; i < KEPT; ++i) {
        uint v = i * TEAM + member;
        if (t.stored && v < VECTORS) {
            kept[i] = values(t, v);
            atomicMax(most[scale_at(row, v)], largest_bits(kept[i]));
        }
    }
    team_barrier();
    if (HALVES) {
        for (uint i = 0u; i < KEPT; ++i)
            if (t.stored && i * TEAM + member < VECTORS)
                note_first(row, i * TEAM + member, kept[i]);
        team_barrier();
    }
    for (uint i = 0u; i < KEPT; ++i) {
        uint v = i * TEAM + member, bytes = vector_bytes(row, v, kept[i]);
        if (BLOCKS && v < VECTORS)
            row_words[row * WORDS + v] = bytes;
        else if (t.stored && v < VECTORS)
            store_bytes(t, v, bytes);
    }
    if (BLOCKS) {
        team_barrier();
        for (uint w = member; t.stored && w < (HALVES ? VECTORS / 2u : VECTORS); w += TEAM)
            store_block_word(t, row, w / (HALVES ? 4u : 8u), w % (HALVES ? 4u : 8u));
    } else if (t.stored && member == 0u) {
        scale_put(t.scale, stored_scale(most[row]));
    }
}
