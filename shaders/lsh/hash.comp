#version 450
// Hashes tokens by random rotations (Andoni 2015; Reformer, Kitaev 2020), counts the buckets of each block of tokens, and
// scales tokens to length 1 where that is wanted.
//
// A workgroup owns a block of a row. Of TOKENS at a time it multiplies by COLUMNS columns of the rotation, CHANNELS at a time
// through shared memory; an invocation has OWN tokens, as far apart as the workgroup is wide, and all of these columns.
//
// Products are compared as integers: magnitudes of floats order like their bits, and what a driver makes of NaN and infinity
// then does not matter. [p, -p] is largest where the magnitude of p is, and its sign says in which half.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "lsh.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

#define X_TYPE TYPE_OF(VKA_ROLE_X)
#define KEYS_TYPE TYPE_OF(VKA_ROLE_OUT)

VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_OUTPUT(VKA_BIND_KEYS, keys)
VKA_WRITERS(keys, KEYS_TYPE)
VKA_INPUT_F32(VKA_BIND_ROTATIONS, rotations)

layout(set = 0, binding = VKA_BIND_BUCKETS, std430) writeonly buffer Buckets {
    int buckets[];
};

const uint OWN = 2u;
const uint TOKENS = OWN * GROUP_SIZE;
const uint CHANNELS = 16u;
const uint COLUMNS = 16u;
const uint PITCH = CHANNELS + 1u; // neighbours read different banks

const uint INFINITE = 0x7f800000u;
const uint NONE = 0xffffffffu;

shared float x_tile[TOKENS * PITCH];
shared vec4 rotation_tile[CHANNELS * COLUMNS / 4u];
shared float factors[TOKENS]; // what makes them as long as keys are

// The columns of an invocation's tokens, and the tokens' squared lengths.
struct Products {
    vec4 p[OWN][COLUMNS / 4u];
    float squares[OWN];
};

uint x_row(LshRow row, uint token) {
    return push.base[VKA_BIND_X] + row.entry * p.x.b + row.head * p.x.h + token * p.x.n;
}

void load_tokens(LshRow row, uint first, uint channel) {
    for (uint i = gl_LocalInvocationIndex; i < TOKENS * CHANNELS / 4u; i += GROUP_SIZE) {
        uint token = i / (CHANNELS / 4u), v = i % (CHANNELS / 4u), c = channel + 4u * v;
        vec4 values = vec4(0.0);
        if (first + token < row.tokens && c < p.dim)
            values = x_row4(x_row(row, first + token), p.x.d, c / 4u, p.dim, has(VKA_FLAG_X_VEC4));
        uint at = token * PITCH + 4u * v;
        [[unroll]] for (uint k = 0u; k < 4u; ++k)
            x_tile[at + k] = values[k];
    }
}

void load_rotation(LshRow row, uint channel, uint column, uint end) {
    uint from = push.base[VKA_BIND_ROTATIONS] + (row.round + push.z0) * p.rotations.b + (row.head + push.h0) * p.rotations.h;
    for (uint i = gl_LocalInvocationIndex; i < CHANNELS * COLUMNS / 4u; i += GROUP_SIZE) {
        uint d = channel + i / (COLUMNS / 4u), c = column + 4u * (i % (COLUMNS / 4u));
        vec4 values = vec4(0.0);
        [[unroll]] for (uint k = 0u; k < 4u; ++k)
            if (d < p.dim && c + k < end)
                values[k] = rotations_at(from + d * p.rotations.n + (c + k) * p.rotations.d);
        rotation_tile[i] = values;
    }
}

// Of TOKENS tokens from `first` and COLUMNS columns from `column` on.
Products multiply(LshRow row, uint first, uint column, uint end) {
    Products result;
    [[unroll]] for (uint own = 0u; own < OWN; ++own) {
        result.squares[own] = 0.0;
        [[unroll]] for (uint c = 0u; c < COLUMNS / 4u; ++c)
            result.p[own][c] = vec4(0.0);
    }
    for (uint channel = 0u; channel < p.dim; channel += CHANNELS) {
        barrier();
        load_tokens(row, first, channel);
        load_rotation(row, channel, column, end);
        barrier();
        for (uint some = 0u; some < CHANNELS; some += 4u) // not all: that takes some compilers seconds
            [[unroll]] for (uint d = some; d < some + 4u; ++d)
                [[unroll]] for (uint own = 0u; own < OWN; ++own) {
                    float value = x_tile[(own * GROUP_SIZE + gl_LocalInvocationIndex) * PITCH + d];
                    if (has(VKA_FLAG_KEYS))
                        result.squares[own] += value * value;
                    [[unroll]] for (uint c = 0u; c < COLUMNS / 4u; ++c)
                        result.p[own][c] += value * rotation_tile[d * (COLUMNS / 4u) + c];
                }
    }
    return result;
}

// The best so far: bits of the magnitude, and bucket. Of equals the first one.
void consider(inout uvec2 best, float product, uint column, uint columns) {
    uint bits = floatBitsToUint(product), magnitude = bits & 0x7fffffffu;
    uint bucket = bits > 0x80000000u ? column + columns : column; // -0 is 0
    if (magnitude <= INFINITE && (magnitude > best.x || (magnitude == best.x && bucket < best.y)))
        best = uvec2(magnitude, bucket);
}

// The buckets of tokens by columns begin .. end - 1.
uint[OWN] hash(LshRow row, uint first, uint begin, uint end, inout float squares[OWN]) {
    uvec2 best[OWN];
    [[unroll]] for (uint own = 0u; own < OWN; ++own)
        best[own] = uvec2(0u, NONE);
    for (uint column = begin; column < end; column += COLUMNS) {
        Products products = multiply(row, first, column, end);
        squares = products.squares;
        [[unroll]] for (uint own = 0u; own < OWN; ++own)
            [[unroll]] for (uint c = 0u; c < COLUMNS; ++c)
                if (column + c < end)
                    consider(best[own], products.p[own][c / 4u][c % 4u], column + c - begin, end - begin);
    }
    uint bucket[OWN];
    [[unroll]] for (uint own = 0u; own < OWN; ++own)
        bucket[own] = best[own].y == NONE ? 0u : best[own].y;
    return bucket;
}

// By both hashes, if there are two.
uint[OWN] hash_all(LshRow row, uint first, inout float squares[OWN]) {
    uint bucket[OWN], begin = 0u, weight = 1u;
    [[unroll]] for (uint own = 0u; own < OWN; ++own)
        bucket[own] = 0u;
    for (uint end = p.columns; begin < end; end = p.columns + p.more_columns) {
        uint found[OWN] = hash(row, first, begin, end, squares);
        [[unroll]] for (uint own = 0u; own < OWN; ++own)
            bucket[own] += weight * found[own];
        weight = 2u * (end - begin);
        begin = end;
    }
    return bucket;
}

void store_keys(LshRow row, uint first, float squares[OWN]) {
    [[unroll]] for (uint own = 0u; own < OWN; ++own)
        factors[own * GROUP_SIZE + gl_LocalInvocationIndex] = 1.0 / sqrt(squares[own] + p.epsilon);
    barrier();
    uint vectors = (p.dim + 3u) / 4u, to = push.base[VKA_BIND_KEYS] + row.entry * p.keys.b + row.head * p.keys.h;
    for (uint i = gl_LocalInvocationIndex; i < TOKENS * vectors; i += GROUP_SIZE) {
        uint token = i / vectors, v = i % vectors;
        if (first + token >= row.tokens)
            return;
        vec4 values = x_row4(x_row(row, first + token), p.x.d, v, p.dim, has(VKA_FLAG_X_VEC4));
        keys_put_row4(to + (first + token) * p.keys.n, p.keys.d, v, p.dim, has(VKA_FLAG_KEYS_VEC4),
                      factors[token] * values);
    }
}

void store_bucket(LshRow row, uint block, uint token, uint bucket) {
    if (token < row.tokens) {
        scratch[bucket_place(row, token)] = bucket;
        atomicAdd(scratch[block_line(row, block) + bucket], 1u);
    }
    if (has(VKA_FLAG_BUCKETS) && token < p.tokens)
        buckets[row_base(row, VKA_BIND_BUCKETS, p.buckets_) + token * p.buckets_.d] =
            token < row.tokens ? int(bucket) : HOLE;
}

void main() {
    uint block = gl_WorkGroupID.x + push.x0;
    LshRow row = find_row(gl_WorkGroupID.y + push.y0);
    for (uint i = gl_LocalInvocationIndex; i < p.buckets; i += GROUP_SIZE)
        scratch[block_line(row, block) + i] = 0u;
    memoryBarrierBuffer();
    barrier();
    uint end = min((block + 1u) * p.block, p.tokens);
    for (uint first = block * p.block; first < end; first += TOKENS) {
        uint bucket[OWN];
        float squares[OWN];
        if (first < row.tokens) {
            bucket = hash_all(row, first, squares);
            if (has(VKA_FLAG_KEYS) && row.round + push.z0 == 0u)
                store_keys(row, first, squares);
        }
        [[unroll]] for (uint own = 0u; own < OWN; ++own)
            store_bucket(row, block, first + own * GROUP_SIZE + gl_LocalInvocationIndex, bucket[own]);
    }
}
