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
// Of a row; at least one, as it is the size of an array.
const uint SCALES = CACHE_TYPE == VKA_TYPE_Q8_0 ? (D + 31u) / 32u : 1u;
const uint WORDS = CACHE_TYPE == VKA_TYPE_Q8_0 ? VECTORS : 1u;

VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_INOUT(VKA_BIND_CACHE, cache)
VKA_WRITERS(cache, CACHE_TYPE)

// Bits of the largest magnitude that each scale serves, and the bytes of rows, of which blocks need their neighbours'.
shared uint most[ROWS * SCALES];
shared uint row_words[ROWS * WORDS];

struct Token {
    bool stored;           // false: it is none, or dropped
    uint x, cache_, scale; // its first elements
    float factor;          // of an i8 x
    RopeRow rope;
};

// ---- values -----------------------------------------------------------------------------------------------------------

float x_element(uint i) {
    return X_TYPE == VKA_TYPE_Q8_0 ? x_at4(i >> 2)[i & 3u] : x_at(i);
}

// The other channels of four channels' pairs; channels beyond R come as they are.
vec4 partners(Token t, uint c, uint stride, vec4 own) {
    uint pairs = p.rope.pairs;
    if (has(VKA_FLAG_INTERLEAVED))
        return own.yxwz;
    if (has(VKA_FLAG_ROPE_VEC4))
        return x_row4(t.x, 1u, (c < pairs ? c + pairs : c - pairs) >> 2, D, true);
    vec4 y = own;
    [[unroll]] for (uint i = 0u; i < 4u; ++i)
        if (c + i < 2u * pairs)
            y[i] = x_element(t.x + (c + i < pairs ? c + i + pairs : c + i - pairs) * stride);
    return y;
}

// Vector v of a token's row as it will be stored; channels from D on are 0.
vec4 values(Token t, uint v) {
    uint stride = X_STEP, c = 4u * v, pairs = p.rope.pairs;
    vec4 y = x_row4(t.x, stride, v, D, has(VKA_FLAG_X_VEC4)), other;
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

// A vector of a block, which begins in the middle of a word, or ends there, and that word it shares.
void store_block_vector(Token t, uint v, uint row, uint scale_bits) {
    uint at = push.base[VKA_BIND_CACHE] + (t.cache_ / 32u + v / 8u) * 17u, i = v % 8u;
    uint mine = row * WORDS + v, word = row_words[mine];
    if ((at & 1u) != 0u) {
        cache_w[at / 2u + 1u + i] = word;
        if (i == 0u)
            change_bits(at / 2u, 16u, 0xffffu, scale_bits);
    } else {
        cache_w[at / 2u + i] = (i == 0u ? scale_bits : row_words[mine - 1u] >> 16) | word << 16;
        if (i == 7u)
            change_bits(at / 2u + 8u, 0u, 0xffffu, word >> 16);
    }
}

// All invocations of the workgroup come here: those of rows that go nowhere for the barriers.
void store_quantised(Token t, uint member, uint row) {
    bool blocks = CACHE_TYPE == VKA_TYPE_Q8_0;
    vec4 kept[KEPT];
    for (uint i = member; i < SCALES; i += TEAM)
        most[row * SCALES + i] = 0u;
    team_barrier();
    for (uint i = 0u; i < KEPT; ++i) {
        uint v = i * TEAM + member;
        if (t.stored && v < VECTORS) {
            kept[i] = values(t, v);
            atomicMax(most[row * SCALES + (blocks ? v / 8u : 0u)], largest_bits(kept[i]));
        }
    }
    team_barrier();
    for (uint i = 0u; i < KEPT; ++i) {
        uint v = i * TEAM + member, bits = most[row * SCALES + (blocks ? min(v, VECTORS - 1u) / 8u : 0u)], stored;
        uint bytes = quantised(kept[i], blocks ? block_scale_of(bits, stored) : scale_of(bits));
        if (blocks && v < VECTORS)
            row_words[row * WORDS + v] = bytes;
        else if (t.stored && v < VECTORS)
            store_bytes(t, v, bytes);
    }
    if (blocks) {
        team_barrier();
        for (uint v = member; t.stored && v < VECTORS; v += TEAM) {
            uint stored;
            block_scale_of(most[row * SCALES + v / 8u], stored);
            store_block_vector(t, v, row, stored);
        }
    } else if (t.stored && member == 0u) {
        scale_put(t.scale, stored_scale(most[row]));
    }
}
