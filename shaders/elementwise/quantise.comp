#version 450
// vka_map to types with scales.
//
// Q8_0 and Q4_0: an invocation has a block of 32 elements, and after it every units-th one of the row.
// I8: TEAM invocations have a row. They find its largest magnitude through shared memory, and read x once more.
//
// Nobody else's bytes are touched: words that two owners share are changed by atomic operations on the owner's bits. All of a
// block, or a vector, is read before it is written, by the same invocation, so that the output may lie where x does.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "map.glsl"
#include "quantise.glsl"

layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;
layout(constant_id = VKA_SPEC_TC) const uint TEAM = 1u;

const uint ROWS = GROUP_SIZE / TEAM;
const uint WORDS = OUT_TYPE == VKA_TYPE_Q4_0 ? 4u : 8u; // of a block, behind its scale

VKA_OUTPUT(VKA_BIND_RESULT, out)
VKA_OUTPUT_F32(VKA_BIND_THIRD, out_scale)

shared uint most[ROWS];

// Changes the bits of a word that `mask` << `shift` names.
void change_bits(uint word, uint shift, uint mask, uint bits) {
    atomicAnd(out_w[word], ~(mask << shift));
    atomicOr(out_w[word], bits << shift);
}

// ---- blocks -----------------------------------------------------------------------------------------------------------

// A block begins at any pair of bytes: in the middle of a word, or it ends there.
void store_block(uint at, uint scale, uint words[8]) {
    if ((at & 1u) != 0u) {
        change_bits(at / 2u, 16u, 0xffffu, scale);
        [[unroll]] for (uint i = 0u; i < 8u; ++i)
            if (i < WORDS)
                out_w[at / 2u + 1u + i] = words[i];
        return;
    }
    uint half_ = scale; // what is left of the word before
    [[unroll]] for (uint i = 0u; i < 8u; ++i)
        if (i < WORDS) {
            out_w[at / 2u + i] = half_ | words[i] << 16;
            half_ = words[i] >> 16;
        }
    change_bits(at / 2u + WORDS, 0u, 0xffffu, half_);
}

void store_q8_0(uint at, vec4 y[8], uint bits) {
    uint stored, words[8];
    float scale = block_scale_of(bits, stored);
    [[unroll]] for (uint i = 0u; i < 8u; ++i)
        words[i] = quantised(y[i], scale);
    store_block(at, stored, words);
}

// The first element of the largest magnitude, whose bits these are, becomes -8 but for the rounding of the scale.
bool is_negative(vec4 y[8], uint bits) {
    [[unroll]] for (uint i = 0u; i < 8u; ++i)
        [[unroll]] for (uint j = 0u; j < 4u; ++j) {
            uint own = floatBitsToUint(y[i][j]);
            if ((own & 0x7fffffffu) == bits)
                return own != bits;
        }
    return false;
}

void store_q4_0(uint at, vec4 y[8], uint bits) {
    uint words[8], stored;
    float scale = half_scale_of(bits, stored);
    bool negative = is_negative(y, bits);
    [[unroll]] for (uint i = 0u; i < 4u; ++i)
        words[i] = packed_bytes(halves_of(y[i], scale, negative) | halves_of(y[i + 4u], scale, negative) << 4);
    store_block(at, signed_scale(scale, stored, negative), words);
}

void quantise_blocks() {
    if (invocation() >= push.rows * p.units)
        return;
    uvec3 row = row_of(invocation() / p.units);
    Source source = source_of(row);
    for (uint block = invocation() % p.units; 32u * block < p.cols; block += p.units) {
        vec4 y[8];
        uint bits = 0u, at = row_at(p.out_, row) / 32u + block;
        [[unroll]] for (uint i = 0u; i < 8u; ++i) {
            y[i] = mapped4(source, 8u * block + i);
            bits = max(bits, largest_bits(y[i]));
        }
        if (OUT_TYPE == VKA_TYPE_Q4_0)
            store_q4_0(push.base[VKA_BIND_RESULT] + at * 9u, y, bits);
        else
            store_q8_0(push.base[VKA_BIND_RESULT] + at * 17u, y, bits);
    }
}

// ---- rows of i8 -------------------------------------------------------------------------------------------------------

// Alone, an invocation needs to wait for nobody; CPUs are faster without.
void team_barrier() {
    if (TEAM > 1u)
        barrier();
}

void store_bytes(uint to, uint v, uint bytes) {
    if (has(VKA_FLAG_VEC4)) {
        out_w[(to >> 2) + v] = bytes;
        return;
    }
    [[unroll]] for (uint i = 0u; i < 4u; ++i) {
        uint at = to + (4u * v + i) * p.out_.d;
        if (4u * v + i < p.cols)
            change_bits(at >> 2, (at & 3u) * 8u, 255u, bytes >> 8u * i & 255u);
    }
}

// Rows that there aren't come here too, for the barriers.
void quantise_rows() {
    uint in_group = gl_LocalInvocationIndex / TEAM, member = gl_LocalInvocationIndex % TEAM;
    uint number = gl_WorkGroupID.x * ROWS + in_group, vectors = number < push.rows ? (p.cols + 3u) / 4u : 0u;
    uvec3 row = row_of(min(number, push.rows - 1u));
    Source source = source_of(row);
    if (member == 0u)
        most[in_group] = 0u;
    team_barrier();
    uint bits = 0u;
    for (uint v = member; v < vectors; v += TEAM)
        bits = max(bits, largest_bits(mapped4(source, v)));
    atomicMax(most[in_group], bits);
    team_barrier();
    bits = most[in_group];
    uint to = push.base[VKA_BIND_RESULT] + row_at(p.out_, row);
    for (uint v = member; v < vectors; v += TEAM)
        store_bytes(to, v, quantised(mapped4(source, v), scale_of(bits)));
    if (member == 0u && vectors > 0u)
        out_scale_put(push.base[VKA_BIND_THIRD] + row_at(p.third, row), stored_scale(bits));
}

void main() {
    if (OUT_TYPE == VKA_TYPE_I8)
        quantise_rows();
    else
        quantise_blocks();
}
