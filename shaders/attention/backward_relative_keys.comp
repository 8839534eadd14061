#version 450
// Gradients of keys of relative positions: each gets the sum over all pairs that it was part of, of the query with its bias
// times the gradient of the product.
//
// A workgroup owns a key of a head, or of all heads. Its invocations take a pair each, computed from memory, and tell each
// other what they found; then each adds up its vectors of four channels over these pairs, in order.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#define VKA_WITH_OPTIONS 1
#define VKA_WITH_PRODUCTS 1
#define VKA_BACKWARD 1
#include "elements.glsl"
#include "attention.glsl"
#include "blocks.glsl"
#include "attention_backward.glsl"
#include "backward_pair.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

VKA_OUTPUT(VKA_BIND_GRAD + VKA_OPTION_BIND, grad)
VKA_WRITERS(grad, TYPE_OF(VKA_ROLE_GRAD))

const uint VECTORS = (D4 + GROUP_SIZE - 1u) / GROUP_SIZE; // of an invocation
shared float factors[GROUP_SIZE];
shared uint queries[GROUP_SIZE]; // where they lie; NOBODY: the pair is not seen
const uint NOBODY = 0xffffffffu;
vec4 sums[VECTORS];

// A pair for each invocation.
void add_pairs(Grid g, uint query, int key) {
    Pair pair = memory_pair(g, query, key);
    barrier();
    factors[gl_LocalInvocationIndex] = pair.product;
    queries[gl_LocalInvocationIndex] = pair.seen ? query_at(g, uvec2(g.head, query)) : NOBODY;
    barrier();
    [[unroll]] for (uint i = 0u; i < VECTORS; ++i) {
        uint d = i * GROUP_SIZE + gl_LocalInvocationIndex;
        for (uint n = 0u; n < GROUP_SIZE && d < D4; ++n)
            if (queries[n] != NOBODY)
                sums[i] = fma(vec4(factors[n]),
                              q_row4(queries[n], p.q.d, d, D, has(VKA_FLAG_VEC4_QK)) + position_bias4(g.head, d), sums[i]);
    }
}

// Keys that have the relative position `at` to a query, or a farther one if it is the first or the last.
ivec2 keys_of(Grid g, uint query, int at) {
    int key = int(query) + g.diagonal + p.relative_keys_zero - at;
    ivec2 keys = ivec2(at == p.relative_keys_last ? 0 : key, at == 0 ? g.kv_len : key + 1);
    if (has(VKA_FLAG_BAND))
        keys = ivec2(max(keys.x, int(query) + g.band_lo), min(keys.y, int(query) + g.band_hi + 1));
    return clamp(keys, ivec2(0), ivec2(g.kv_len));
}

// The pairs of a head of a sequence. In the middle a query has one key.
void add_head(Grid g, int at) {
    uint t = gl_LocalInvocationIndex;
    if (at > 0 && at < p.relative_keys_last) {
        for (uint first = 0u; first < g.q_len; first += GROUP_SIZE) {
            ivec2 keys = keys_of(g, first + t, at);
            add_pairs(g, first + t, keys.x < keys.y ? keys.x : -1);
        }
        return;
    }
    for (uint query = 0u; query < g.q_len; ++query) {
        ivec2 keys = keys_of(g, query, at);
        for (int first = keys.x; first < keys.y; first += int(GROUP_SIZE))
            add_pairs(g, query, first + int(t) < keys.y ? first + int(t) : -1);
    }
}

void main() {
    uint at = gl_WorkGroupID.x + push.x0, head = gl_WorkGroupID.y + push.y0;
    [[unroll]] for (uint i = 0u; i < VECTORS; ++i) sums[i] = vec4(0.0);
    for (uint i = 0u; i < b.relative_heads * b.sequences; ++i)
        add_head(sequence_of(head + i % b.relative_heads, i / b.relative_heads), int(at));
    uint to = push.base[VKA_BIND_GRAD + VKA_OPTION_BIND] + head * b.d_relative_keys.h + at * b.d_relative_keys.n;
    [[unroll]] for (uint i = 0u; i < VECTORS; ++i) {
        uint d = i * GROUP_SIZE + gl_LocalInvocationIndex;
        if (d < D4)
            grad_put_row4(to, b.d_relative_keys.d, d, D, has(VKA_FLAG_VEC4_GRAD), sums[i] * b.grad_scale);
    }
}
