// Tensors in memory, read and written as float whatever they are stored as.
//
// VKA_STORAGE: 1 f32; 2 f16 with 16-bit loads and stores; 3 f16 packed in 32-bit words, for devices without them; 4 bf16
// packed in 32-bit words.
//
//   VKA_INPUT(slot, name)    float name_at(uint i), vec4 name_at4(uint i): element i, or elements 4 i .. 4 i + 3
//   VKA_OUTPUT(slot, name)   void name_put(uint i, float x), void name_put4(uint i, vec4 x)
//   VKA_INOUT(slot, name)    both
//   VKA_INPUT_F32, VKA_OUTPUT_F32   the same for tensors that are always f32
//
// VKA_READ_WORDS = 1 reads f16 inputs through words even where halves could be loaded: CPUs are faster that way.
// SPDX-License-Identifier: MIT

#define VKA_GLSL 1
#if VKA_STORAGE == 2
#extension GL_EXT_shader_16bit_storage : require
#endif
#extension GL_EXT_control_flow_attributes : require

#include "params.h"

layout(push_constant) uniform Push {
    vka_push push;
};

layout(constant_id = VKA_SPEC_FLAGS) const uint FLAGS = 0u;

bool has(uint flag) {
    return (FLAGS & flag) != 0u;
}

// A word of two elements as floats, and the bits of the element nearest to a float, ties to even.
#if VKA_STORAGE == 4
// bf16 is the upper half of a float; rounding carries into it.
vec2 unpack_pair(uint word) {
    return vec2(uintBitsToFloat(word << 16), uintBitsToFloat(word & 0xffff0000u));
}

uint nearest_bits(float x) {
    uint bits = floatBitsToUint(x), rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return (bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded;
}
#else
vec2 unpack_pair(uint word) {
    return unpackHalf2x16(word);
}

// In integers, as how packHalf2x16 rounds is the driver's choice.
uint nearest_bits(float x) {
    uint bits = floatBitsToUint(x), sign = bits >> 16 & 0x8000u, a = bits & 0x7fffffffu;
    uint subnormal = floatBitsToUint(uintBitsToFloat(a) + 0.5) - 0x3f000000u;
    uint normal = (a + 0xc8000fffu + (a >> 13 & 1u)) >> 13;
    uint big = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
    return sign | (a >= 0x47800000u ? big : a < 0x38800000u ? subnormal : normal);
}
#endif

uint pack_pair(vec2 x) {
    return nearest_bits(x.x) | nearest_bits(x.y) << 16;
}

#define VKA_DECLARE(slot, name, scalar, vector, access)                                                                \
    layout(set = 0, binding = slot, std430) access buffer name##_scalars {                                             \
        scalar name##_s[];                                                                                             \
    };                                                                                                                 \
    layout(set = 0, binding = slot, std430) access buffer name##_vectors {                                             \
        vector name##_v[];                                                                                             \
    };

#define VKA_READERS_DIRECT(name)                                                                                       \
    float name##_at(uint i) {                                                                                          \
        return float(name##_s[i]);                                                                                     \
    }                                                                                                                  \
    vec4 name##_at4(uint i) {                                                                                          \
        return vec4(name##_v[i]);                                                                                 \
    }

#define VKA_WRITERS_DIRECT(name, scalar, vector)                                                                       \
    void name##_put(uint i, float x) {                                                                                 \
        name##_s[i] = scalar(x);                                                                                       \
    }                                                                                                                  \
    void name##_put4(uint i, vec4 x) {                                                                                 \
        name##_v[i] = vector(x);                                                                                  \
    }

#define VKA_READERS_PACKED(name)                                                                                       \
    float name##_at(uint i) {                                                                                          \
        vec2 pair = unpack_pair(name##_s[i >> 1]);                                                                     \
        return (i & 1u) == 0u ? pair.x : pair.y;                                                                       \
    }                                                                                                                  \
    vec4 name##_at4(uint i) {                                                                                          \
        uvec2 words = name##_v[i];                                                                                     \
        return vec4(unpack_pair(words.x), unpack_pair(words.y));                                                       \
    }

// Two invocations may own the halves of one word, so each changes its own half atomically.
#define VKA_WRITERS_PACKED(name)                                                                                       \
    void name##_put(uint i, float x) {                                                                                 \
        uint bits = nearest_bits(x), shift = (i & 1u) * 16u;                                                           \
        atomicAnd(name##_s[i >> 1], ~(0xffffu << shift));                                                              \
        atomicOr(name##_s[i >> 1], bits << shift);                                                                     \
    }                                                                                                                  \
    void name##_put4(uint i, vec4 x) {                                                                                 \
        name##_v[i] = uvec2(pack_pair(x.xy), pack_pair(x.zw));                                                         \
    }

#define VKA_INPUT_F32(slot, name) VKA_DECLARE(slot, name, float, vec4, readonly) VKA_READERS_DIRECT(name)
#define VKA_OUTPUT_F32(slot, name) VKA_DECLARE(slot, name, float, vec4, writeonly) VKA_WRITERS_DIRECT(name, float, vec4)

#if VKA_STORAGE == 1
#define VKA_INPUT(slot, name) VKA_INPUT_F32(slot, name)
#define VKA_OUTPUT(slot, name) VKA_OUTPUT_F32(slot, name)
#define VKA_INOUT(slot, name)                                                                                          \
    VKA_DECLARE(slot, name, float, vec4, )                                                                             \
    VKA_READERS_DIRECT(name)                                                                                           \
    VKA_WRITERS_DIRECT(name, float, vec4)
#elif VKA_STORAGE == 2
#if VKA_READ_WORDS
#define VKA_INPUT(slot, name) VKA_DECLARE(slot, name, uint, uvec2, readonly) VKA_READERS_PACKED(name)
#else
#define VKA_INPUT(slot, name) VKA_DECLARE(slot, name, float16_t, f16vec4, readonly) VKA_READERS_DIRECT(name)
#endif
#define VKA_OUTPUT(slot, name)                                                                                         \
    VKA_DECLARE(slot, name, float16_t, f16vec4, writeonly) VKA_WRITERS_DIRECT(name, float16_t, f16vec4)
#define VKA_INOUT(slot, name)                                                                                          \
    VKA_DECLARE(slot, name, float16_t, f16vec4, )                                                                      \
    VKA_READERS_DIRECT(name)                                                                                           \
    VKA_WRITERS_DIRECT(name, float16_t, f16vec4)
#else
#define VKA_INPUT(slot, name) VKA_DECLARE(slot, name, uint, uvec2, readonly) VKA_READERS_PACKED(name)
#define VKA_OUTPUT(slot, name) VKA_DECLARE(slot, name, uint, uvec2, ) VKA_WRITERS_PACKED(name)
#define VKA_INOUT(slot, name)                                                                                          \
    VKA_DECLARE(slot, name, uint, uvec2, )                                                                             \
    VKA_READERS_PACKED(name)                                                                                           \
    VKA_WRITERS_PACKED(name)
#endif

// Vector d (channels 4 d .. 4 d + 3) of a row that begins at element `row`; channels from `size` on are 0 and are not
// read. `fast` is constant: rows are contiguous and aligned. The index is a sum of a common term and a small constant,
// which is one instruction where others would cost more than the load.
#define VKA_ROW_READER(name)                                                                                           \
    vec4 name##_row4(uint row, uint stride, uint d, uint size, bool fast) {                                            \
        if (fast)                                                                                                      \
            return name##_at4((row >> 2) + d);                                                                         \
        vec4 x = vec4(0.0);                                                                                            \
        uint at = row + 4u * d * stride;                                                                               \
        x.x = name##_at(at);                                                                                           \
        if (4u * d + 1u < size)                                                                                        \
            x.y = name##_at(at + stride);                                                                              \
        if (4u * d + 2u < size)                                                                                        \
            x.z = name##_at(at + 2u * stride);                                                                         \
        if (4u * d + 3u < size)                                                                                        \
            x.w = name##_at(at + 3u * stride);                                                                         \
        return x;                                                                                                      \
    }

#define VKA_ROW_WRITER(name)                                                                                           \
    void name##_put_row4(uint row, uint stride, uint d, uint size, bool fast, vec4 x) {                                \
        if (fast) {                                                                                                    \
            name##_put4((row >> 2) + d, x);                                                                            \
            return;                                                                                                    \
        }                                                                                                              \
        uint at = row + 4u * d * stride;                                                                               \
        name##_put(at, x.x);                                                                                           \
        if (4u * d + 1u < size)                                                                                        \
            name##_put(at + stride, x.y);                                                                              \
        if (4u * d + 2u < size)                                                                                        \
            name##_put(at + 2u * stride, x.z);                                                                         \
        if (4u * d + 3u < size)                                                                                        \
            name##_put(at + 3u * stride, x.w);                                                                         \
    }

// A loop over 0 .. n-1 that compilers unroll completely: they give up on long loops, not on nested short ones.
#define VKA_UNROLL(i, n)                                                                                               \
    [[unroll]] for (uint i##_block = 0u; i##_block < ((n) + 7u) / 8u; ++i##_block)                                            \
        [[unroll]] for (uint i##_step = 0u, i = i##_block * 8u; i##_step < 8u; ++i##_step, ++i) if (i < (n))
