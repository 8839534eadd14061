// A caller's own function of scores: what it may use, its file, and what comes of it (docs/score-functions.md). For options.glsl.
// SPDX-License-Identifier: MIT

// A pair of query and key. What counts queries and keys does so from their sequence's first one.
struct vka_position {
    int batch;         // or sequence
    int head;          // of queries
    int key_head;      // that it reads
    int query, key;
    int position;      // of the query among the keys: query + diagonal
    int queries, keys; // of the sequence
};

// ---- what the file may call -------------------------------------------------------------------------------------------

layout(constant_id = VKA_SPEC_SCORE_TYPES) const uint SCORE_TYPES = 0u;

// vka_attention_desc.score_constants.
vec4 vka_constants() {
    return vec4(p.score_constant0, p.score_constant1, p.score_constant2, p.score_constant3);
}

// Where an element of score_tensors[n] lies, whose last dimensions these are. Indices are brought into the tensor.
uint vka_score_index(uint n, int k) {
    return min(uint(max(k, 0)), p.score_last[n].d) * p.score_strides[n].d;
}

uint vka_score_index(uint n, int q, int k) {
    return min(uint(max(q, 0)), p.score_last[n].n) * p.score_strides[n].n + vka_score_index(n, k);
}

uint vka_score_index(uint n, int h, int q, int k) {
    return min(uint(max(h, 0)), p.score_last[n].h) * p.score_strides[n].h + vka_score_index(n, q, k);
}

uint vka_score_index(uint n, int b, int h, int q, int k) {
    return min(uint(max(b, 0)), p.score_last[n].b) * p.score_strides[n].b + vka_score_index(n, h, q, k);
}

uint vka_score_type(uint n) {
    return SCORE_TYPES >> 4u * n & 15u;
}

// log2 of the elements of a word.
uint vka_score_shift(uint type) {
    return type == VKA_TYPE_U8 ? 2u : type == VKA_TYPE_F16 || type == VKA_TYPE_BF16 ? 1u : 0u;
}

// An element of whatever type is in `word`, of which it is number i.
float vka_score_float(uint type, uint word, uint i) {
    if (type == VKA_TYPE_F32)
        return uintBitsToFloat(word);
    if (type == VKA_TYPE_I32)
        return float(int(word));
    if (type == VKA_TYPE_U8)
        return float(word >> (i & 3u) * 8u & 255u);
    vec2 pair = unpack_pair(type, word);
    return (i & 1u) == 0u ? pair.x : pair.y;
}

// vka_tensor<n>(..): an element as a float, 0 if there is no such tensor; with as many indices as the tensor has dimensions.
// vka_tensor<n>_int(..): of an i32 tensor exactly, of others what is before the point.
#define VKA_SCORE_TENSOR(n, slot)                                                                                      \
    layout(set = 0, binding = slot, std430) readonly buffer vka_score##n##_words {                                     \
        uint vka_score##n##_w[];                                                                                       \
    };                                                                                                                 \
    float vka_score##n##_read(uint at) {                                                                               \
        uint type = vka_score_type(n), i = push.base[slot] + at;                                                       \
        return type == 0u ? 0.0 : vka_score_float(type, vka_score##n##_w[i >> vka_score_shift(type)], i);              \
    }                                                                                                                  \
    int vka_score##n##_read_int(uint at) {                                                                             \
        if (vka_score_type(n) == VKA_TYPE_I32)                                                                         \
            return int(vka_score##n##_w[push.base[slot] + at]);                                                        \
        return int(vka_score##n##_read(at));                                                                           \
    }                                                                                                                  \
    VKA_SCORE_READERS(float, vka_tensor##n, vka_score##n##_read, n)                                                    \
    VKA_SCORE_READERS(int, vka_tensor##n##_int, vka_score##n##_read_int, n)

#define VKA_SCORE_READERS(type, name, read, n)                                                                         \
    type name(int k) {                                                                                                 \
        return read(vka_score_index(n, k));                                                                            \
    }                                                                                                                  \
    type name(int q, int k) {                                                                                          \
        return read(vka_score_index(n, q, k));                                                                         \
    }                                                                                                                  \
    type name(int h, int q, int k) {                                                                                   \
        return read(vka_score_index(n, h, q, k));                                                                      \
    }                                                                                                                  \
    type name(int b, int h, int q, int k) {                                                                            \
        return read(vka_score_index(n, b, h, q, k));                                                                   \
    }

VKA_SCORE_TENSOR(0, VKA_BIND_SCORE_TENSOR0)
VKA_SCORE_TENSOR(1, VKA_BIND_SCORE_TENSOR1)
VKA_SCORE_TENSOR(2, VKA_BIND_SCORE_TENSOR2)
VKA_SCORE_TENSOR(3, VKA_BIND_SCORE_TENSOR3)

// ---- the file -----------------------------------------------------------------------------------------------------------

#include "vka_score_function.glsl" // includes the caller's

#ifndef VKA_SCORE
#define VKA_SCORE 0
#endif
#ifndef VKA_VISIBLE
#define VKA_VISIBLE 0
#endif
#if !VKA_SCORE && !VKA_VISIBLE
#error "A score function's file must #define VKA_SCORE 1, VKA_VISIBLE 1, or both: see docs/score-functions.md"
#endif

// ---- what comes of it -----------------------------------------------------------------------------------------------------

// A key's score becomes what the function makes of it; false: the key is masked.
bool apply_score_function(Grid g, Row r, int key, inout float score) {
    uint head = r.head + push.h0;
    vka_position at = vka_position(int(g.batch + push.b0), int(head), int(head / p.group), int(r.query), key,
                                   int(r.query) + g.diagonal, int(g.q_len), g.kv_len);
#if VKA_VISIBLE
    if (!vka_visible(at))
        return false;
#endif
#if VKA_SCORE
    float natural = vka_score(score * p.lse_scale, at);
    score = natural * QUARTER;
    return natural != negative_infinity();
#else
    return true;
#endif
}
