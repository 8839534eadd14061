// Tensors in memory, read and written as float whatever their type: a bit field of the specialization constant
// VKA_SPEC_TYPES, so that one kernel serves every mixture and compilers drop what is not asked for.
//
// Tensors are declared as 32-bit words, which every device has; loads and stores are as wide as the elements asked for.
//
//   VKA_INPUT(slot, name)          declares the binding
//   VKA_READERS(name, slot, type)  float name_at(uint i), vec4 name_at4(uint i): element i, or elements 4 i .. 4 i + 3;
//                                  vec4 name_row4(..): a vector of a row
//   VKA_OUTPUT(slot, name)         declares it; VKA_WRITERS(name, type): void name_put(uint i, float x), name_put4, name_put_row4
//   VKA_INOUT(slot, name)          declares a binding for both
//
// VKA_INT64 = 1: vectors are loaded and stored by 64-bit integers, for software drivers, which do so lane by lane.
//
// Q8_0 tensors have blocks at any even address: their indices count elements from the binding's start plus the base that
// push.base[slot] counts in pairs of bytes; so for them `i` leaves the base out, see element_base. They are read in
// vectors of four only.
// SPDX-License-Identifier: MIT

#define VKA_GLSL 1
#extension GL_EXT_control_flow_attributes : require
#if VKA_INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif

#include "params.h"

layout(push_constant) uniform Push {
    vka_push push;
};

layout(constant_id = VKA_SPEC_FLAGS) const uint FLAGS = 0u;
layout(constant_id = VKA_SPEC_TYPES) const uint TYPES = 0u;

bool has(uint flag) {
    return (FLAGS & flag) != 0u;
}

// The field of a role, as VKA_TYPE_*.
#define TYPE_OF(role) (TYPES >> (4u * (role)) & 15u)

// ---- conversions ------------------------------------------------------------------------------------------------------

// bf16 is the upper half of a float.
vec2 unpack_bf16(uint word) {
    return vec2(uintBitsToFloat(word << 16), uintBitsToFloat(word & 0xffff0000u));
}

// The bits of the bf16 nearest to a float, ties to even; rounding carries into the exponent.
uint nearest_bf16(float x) {
    uint bits = floatBitsToUint(x), rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return (bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded;
}

// Of the f16; in integers, as how packHalf2x16 rounds is the driver's choice.
uint nearest_f16(float x) {
    uint bits = floatBitsToUint(x), sign = bits >> 16 & 0x8000u, a = bits & 0x7fffffffu;
    uint subnormal = floatBitsToUint(uintBitsToFloat(a) + 0.5) - 0x3f000000u;
    uint normal = (a + 0xc8000fffu + (a >> 13 & 1u)) >> 13;
    uint big = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
    return sign | (a >= 0x47800000u ? big : a < 0x38800000u ? subnormal : normal);
}

uint nearest_bits(uint type, float x) {
    return type == VKA_TYPE_F16 ? nearest_f16(x) : nearest_bf16(x);
}

uint pack_pair(uint type, vec2 x) {
    return nearest_bits(type, x.x) | nearest_bits(type, x.y) << 16;
}

vec2 unpack_pair(uint type, uint word) {
    return type == VKA_TYPE_F16 ? unpackHalf2x16(word) : unpack_bf16(word);
}

vec4 unpack_signed_bytes(uint word) {
    int bits = int(word);
    return vec4(bits << 24 >> 24, bits << 16 >> 24, bits << 8 >> 24, bits >> 24);
}

// Where element 0 of a tensor lies in its binding, for indices of elements.
uint element_base(uint slot, uint type) {
    return type == VKA_TYPE_Q8_0 ? 0u : push.base[slot];
}

// ---- inputs -----------------------------------------------------------------------------------------------------------

#if VKA_INT64
#define VKA_DECLARE_LONG(slot, name, access)                                                                           \
    layout(set = 0, binding = slot, std430) access buffer name##_longs {                                               \
        uint64_t name##_l[];                                                                                           \
    };                                                                                                                 \
    layout(set = 0, binding = slot, std430) access buffer name##_long_pairs {                                          \
        u64vec2 name##_l2[];                                                                                           \
    };
#define VKA_GET2(name, i) unpack32(name##_l[i])
#define VKA_GET4(name, i) words_of(name##_l2[i])
#define VKA_PUT2(name, i, words) name##_l[i] = pack64(words)
#define VKA_PUT4(name, i, words) name##_l2[i] = longs_of(words)

uvec4 words_of(u64vec2 longs) {
    return uvec4(unpack32(longs.x), unpack32(longs.y));
}

u64vec2 longs_of(uvec4 words) {
    return u64vec2(pack64(words.xy), pack64(words.zw));
}
#else
#define VKA_DECLARE_LONG(slot, name, access)
#define VKA_GET2(name, i) name##_w2[i]
#define VKA_GET4(name, i) name##_w4[i]
#define VKA_PUT2(name, i, words) name##_w2[i] = words
#define VKA_PUT4(name, i, words) name##_w4[i] = words
#endif

#define VKA_DECLARE(slot, name, access)                                                                                \
    VKA_DECLARE_LONG(slot, name, access)                                                                               \
    layout(set = 0, binding = slot, std430) access buffer name##_words {                                               \
        uint name##_w[];                                                                                               \
    };                                                                                                                 \
    layout(set = 0, binding = slot, std430) access buffer name##_pairs {                                               \
        uvec2 name##_w2[];                                                                                             \
    };                                                                                                                 \
    layout(set = 0, binding = slot, std430) access buffer name##_quads {                                               \
        uvec4 name##_w4[];                                                                                             \
    };

#define VKA_INPUT(slot, name) VKA_DECLARE(slot, name, readonly)
#define VKA_INOUT(slot, name) VKA_DECLARE(slot, name, )

// Four elements of a Q8_0 block: its scale and four bytes, which lie across two words in every second block.
#define VKA_BLOCK_READER(name, slot)                                                                                   \
    vec4 name##_block4(uint i) {                                                                                       \
        uint block = push.base[slot] + (i >> 3) * 17u;                                                                 \
        uint scale_word = name##_w[block >> 1], at = block + 1u + (i & 7u) * 2u;                                       \
        uint word = name##_w[at >> 1];                                                                                 \
        if ((at & 1u) != 0u)                                                                                           \
            word = word >> 16 | name##_w[(at >> 1) + 1u] << 16;                                                        \
        vec2 scales = unpackHalf2x16(scale_word);                                                                      \
        return unpack_signed_bytes(word) * ((block & 1u) == 0u ? scales.x : scales.y);                                 \
    }

// A vector of a row: channels 4 d .. 4 d + 3 of the row that begins at element `row`; channels from `size` on are 0 and
// are not read. `fast` is constant: rows are contiguous and aligned. The index is a sum of a common term and a small
// constant, which is one instruction where others would cost more than the load.
#define VKA_READERS(name, slot, type)                                                                                  \
    VKA_BLOCK_READER(name, slot)                                                                                       \
    float name##_at(uint i) {                                                                                          \
        if (type == VKA_TYPE_F32)                                                                                      \
            return uintBitsToFloat(name##_w[i]);                                                                       \
        if (type == VKA_TYPE_F16 || type == VKA_TYPE_BF16) {                                                           \
            vec2 pair = unpack_pair(type, name##_w[i >> 1]);                                                           \
            return (i & 1u) == 0u ? pair.x : pair.y;                                                                   \
        }                                                                                                              \
        uint shifted = name##_w[i >> 2] >> (i & 3u) * 8u;                                                              \
        return type == VKA_TYPE_I8 ? float(int(shifted << 24) >> 24) : float(shifted & 255u);                          \
    }                                                                                                                  \
    vec4 name##_at4(uint i) {                                                                                          \
        if (type == VKA_TYPE_F32)                                                                                      \
            return uintBitsToFloat(VKA_GET4(name, i));                                                                 \
        if (type == VKA_TYPE_F16 || type == VKA_TYPE_BF16) {                                                           \
            uvec2 words = VKA_GET2(name, i);                                                                           \
            return vec4(unpack_pair(type, words.x), unpack_pair(type, words.y));                                       \
        }                                                                                                              \
        if (type == VKA_TYPE_Q8_0)                                                                                     \
            return name##_block4(i);                                                                                   \
        uint word = name##_w[i];                                                                                       \
        return type == VKA_TYPE_I8 ? unpack_signed_bytes(word)                                                         \
                                   : vec4(word & 255u, word >> 8 & 255u, word >> 16 & 255u, word >> 24);               \
    }                                                                                                                  \
    vec4 name##_row4(uint row, uint stride, uint d, uint size, bool fast) {                                            \
        if (fast || type == VKA_TYPE_Q8_0)                                                                             \
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

// ---- outputs ----------------------------------------------------------------------------------------------------------

#define VKA_OUTPUT(slot, name) VKA_DECLARE(slot, name, )

// Two invocations may own the halves of one word, so each changes its own half atomically.
#define VKA_PUT_HALF(word, i, bits)                                                                                    \
    {                                                                                                                  \
        uint half_shift = ((i) & 1u) * 16u, half_bits = bits;                                                          \
        atomicAnd(word, ~(0xffffu << half_shift));                                                                     \
        atomicOr(word, half_bits << half_shift);                                                                       \
    }

#define VKA_WRITERS(name, type)                                                                                        \
    void name##_put(uint i, float x) {                                                                                 \
        if (type == VKA_TYPE_F32)                                                                                      \
            name##_w[i] = floatBitsToUint(x);                                                                          \
        else                                                                                                           \
            VKA_PUT_HALF(name##_w[i >> 1], i, nearest_bits(type, x))                                                   \
    }                                                                                                                  \
    void name##_put4(uint i, vec4 x) {                                                                                 \
        if (type == VKA_TYPE_F32)                                                                                      \
            VKA_PUT4(name, i, floatBitsToUint(x));                                                                     \
        else                                                                                                           \
            VKA_PUT2(name, i, uvec2(pack_pair(type, x.xy), pack_pair(type, x.zw)));                                    \
    }                                                                                                                  \
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

// Vectors of rows that may begin anywhere, of contiguous halves by words: for kernels whose time is that of memory. They
// expect VKA_READERS and VKA_WRITERS.
#define VKA_WORD_READERS(name, type)                                                                                   \
    vec4 name##_words4(uint row, uint stride, uint d, uint size, bool fast) {                                          \
        if (fast || type == VKA_TYPE_F32 || stride != 1u || 4u * d + 3u >= size)                                       \
            return name##_row4(row, stride, d, size, fast);                                                            \
        uint at = row + 4u * d, first = name##_w[at >> 1], middle = name##_w[(at >> 1) + 1u];                          \
        uint last = name##_w[(at + 3u) >> 1];                                                                          \
        bool odd = (at & 1u) != 0u;                                                                                    \
        return vec4(unpack_pair(type, odd ? first >> 16 | middle << 16 : first),                                       \
                    unpack_pair(type, odd ? middle >> 16 | last << 16 : middle));                                      \
    }

#define VKA_WORD_WRITERS(name, type)                                                                                   \
    void name##_put_words4(uint row, uint stride, uint d, uint size, bool fast, vec4 x) {                              \
        if (fast || type == VKA_TYPE_F32 || stride != 1u || 4u * d + 3u >= size) {                                     \
            name##_put_row4(row, stride, d, size, fast, x);                                                            \
            return;                                                                                                    \
        }                                                                                                              \
        uint at = row + 4u * d, low = pack_pair(type, x.xy), high = pack_pair(type, x.zw);                             \
        bool odd = (at & 1u) != 0u;                                                                                    \
        name##_w[(at + 1u) >> 1] = odd ? low >> 16 | high << 16 : low;                                                 \
        if (odd) {                                                                                                     \
            VKA_PUT_HALF(name##_w[at >> 1], at, low & 0xffffu)                                                         \
            VKA_PUT_HALF(name##_w[(at + 3u) >> 1], at + 3u, high >> 16)                                                \
        } else {                                                                                                       \
            name##_w[(at >> 1) + 1u] = high;                                                                           \
        }                                                                                                              \
    }

// The same for an invocation that stores all vectors of a row in order: of rows that begin in the middle of a word it keeps
// the last half until the next vector completes the word, and only a row's ends are shared with others. The carry is 0 at
// first. Once behind the last vector, d = ceil(size / 4) stores what is left.
#define VKA_ROW_STREAM(name, type)                                                                                     \
    void name##_stream4(uint row, uint stride, uint d, uint size, bool fast, vec4 x, inout uint carry) {               \
        uint at = row + 4u * d;                                                                                        \
        bool odd = (row & 1u) != 0u;                                                                                   \
        if (fast || type == VKA_TYPE_F32 || stride != 1u) {                                                            \
            if (4u * d < size)                                                                                         \
                name##_put_row4(row, stride, d, size, fast, x);                                                        \
            return;                                                                                                    \
        }                                                                                                              \
        if (4u * d + 3u >= size) {                                                                                     \
            if (odd && d > 0u && 4u * d < size + 4u && (carry >> 16) != 0u)                                            \
                VKA_PUT_HALF(name##_w[(at - 1u) >> 1], at - 1u, carry & 0xffffu)                                       \
            carry = 0u;                                                                                                \
            if (4u * d < size)                                                                                         \
                name##_put_row4(row, stride, d, size, fast, x);                                                        \
            return;                                                                                                    \
        }                                                                                                              \
        uint low = pack_pair(type, x.xy), high = pack_pair(type, x.zw);                                                \
        name##_w[(at + 1u) >> 1] = odd ? low >> 16 | high << 16 : low;                                                 \
        if (!odd)                                                                                                      \
            name##_w[(at >> 1) + 1u] = high;                                                                           \
        else if (d > 0u)                                                                                               \
            name##_w[at >> 1] = carry & 0xffffu | low << 16;                                                           \
        else                                                                                                           \
            VKA_PUT_HALF(name##_w[at >> 1], at, low & 0xffffu)                                                         \
        carry = 0x10000u | high >> 16;                                                                                 \
    }

// Tensors that are always f32.
#define VKA_INPUT_F32(slot, name)                                                                                      \
    layout(set = 0, binding = slot, std430) readonly buffer name##_floats {                                            \
        float name##_f[];                                                                                              \
    };                                                                                                                 \
    float name##_at(uint i) {                                                                                          \
        return name##_f[i];                                                                                            \
    }
#define VKA_OUTPUT_F32(slot, name)                                                                                     \
    layout(set = 0, binding = slot, std430) writeonly buffer name##_floats {                                           \
        float name##_f[];                                                                                              \
    };                                                                                                                 \
    void name##_put(uint i, float x) {                                                                                 \
        name##_f[i] = x;                                                                                               \
    }

// Lists of integers.
#define VKA_INPUT_I32(slot, name)                                                                                      \
    layout(set = 0, binding = slot, std430) readonly buffer name##_ints {                                              \
        int name##_i[];                                                                                                \
    };                                                                                                                 \
    int name##_at(uint i) {                                                                                            \
        return name##_i[push.base[slot] + i];                                                                          \
    }

// A loop over 0 .. n-1 that compilers unroll completely: they give up on long loops, not on nested short ones.
#define VKA_UNROLL(i, n)                                                                                               \
    [[unroll]] for (uint i##_block = 0u; i##_block < ((n) + 7u) / 8u; ++i##_block)                                     \
        [[unroll]] for (uint i##_step = 0u, i = i##_block * 8u; i##_step < 8u; ++i##_step, ++i) if (i < (n))
