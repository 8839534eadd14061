// What the kernels of additive attention share: where a head lies, a score's journey, the online softmax, the results.
//
// Scores are kept in quarters of natural units, so that the sum of a finite score and a finite mask is finite as long as
// neither exceeds a float; differences from the maximum are multiplied by EXP_SCALE on their way to exp2. What has to be NaN
// does not rely on a driver's max or exp2: bits are asked.
//
// After elements.glsl and activation.glsl. SPDX-License-Identifier: MIT

#include "params/additive_attention.h"

layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 128u;
layout(constant_id = VKA_SPEC_D) const uint DIM = 64u; // channels of a score
layout(constant_id = VKA_SPEC_DV) const uint VALUES = 64u;
const uint DIM4 = (DIM + 3u) / 4u;
const uint VALUES4 = (VALUES + 3u) / 4u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_additive_attention_params p;
};

#define Q_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_Q)
#define K_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_K)
#define V_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_V)
#define OUT_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_OUT)
#define VECTOR_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_VECTOR)
#define MASK_TYPE TYPE_OF(VKA_ROLE_ADDITIVE_MASK)

VKA_INPUT(VKA_BIND_ADDITIVE_Q, q)
VKA_READERS(q, VKA_BIND_ADDITIVE_Q, Q_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_K, k)
VKA_READERS(k, VKA_BIND_ADDITIVE_K, K_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_V, v)
VKA_READERS(v, VKA_BIND_ADDITIVE_V, V_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_VECTOR, vector)
VKA_READERS(vector, VKA_BIND_ADDITIVE_VECTOR, VECTOR_TYPE)
VKA_INPUT(VKA_BIND_ADDITIVE_MASK, mask)
VKA_READERS(mask, VKA_BIND_ADDITIVE_MASK, MASK_TYPE)
VKA_INPUT_I32(VKA_BIND_ADDITIVE_LENGTHS, length)
VKA_OUTPUT(VKA_BIND_ADDITIVE_OUT, out)
VKA_WRITERS(out, OUT_TYPE)
VKA_OUTPUT_F32(VKA_BIND_ADDITIVE_LSE, lse)

// The lowest score that there is, and finite: the difference of two is 0 and not NaN.
const float LOWEST = -3.4028234663852886e38;

#define VKA_WITH_MASK 1
#include "additive_scores.glsl"

// ---- places -----------------------------------------------------------------------------------------------------------

// Where a head of an entry begins in each tensor, how many keys there are, and up to which distance a query sees them.
struct Head {
    uint q, k, v, mask, out_, lse, vector;
    int keys, diagonal;
};

Head head_of_group() {
    uint b = gl_WorkGroupID.z + push.z0, h = gl_WorkGroupID.y + push.y0, kv = h / p.group;
    Head head;
    head.q = push.base[VKA_BIND_ADDITIVE_Q] + b * p.q.b + h * p.q.h;
    head.k = push.base[VKA_BIND_ADDITIVE_K] + b * p.k.b + kv * p.k.h;
    head.v = push.base[VKA_BIND_ADDITIVE_V] + b * p.v.b + kv * p.v.h;
    head.mask = push.base[VKA_BIND_ADDITIVE_MASK] + b * p.mask.b + h * p.mask.h;
    head.out_ = push.base[VKA_BIND_ADDITIVE_OUT] + b * p.out_.b + h * p.out_.h;
    head.lse = push.base[VKA_BIND_ADDITIVE_LSE] + b * p.lse.b + h * p.lse.h;
    head.vector = push.base[VKA_BIND_ADDITIVE_VECTOR] + (h + push.h0) * p.vector_h;
    head.keys = int(p.kv_len);
    if (has(VKA_FLAG_LENGTHS))
        head.keys = clamp(length_at((b + push.b0) * p.length_b), 0, head.keys);
    head.diagonal = has(VKA_FLAG_ADDITIVE_OWN) ? head.keys - int(p.q_len) : p.diagonal;
    return head;
}

// The keys that some of the rows up to `last` sees: as many, from the first one on.
int keys_of_rows(Head head, uint last) {
    if (!has(VKA_FLAG_ADDITIVE_CAUSAL))
        return head.keys;
    return clamp(int(last + push.row0) + head.diagonal + 1, 0, head.keys);
}

// ---- scores -----------------------------------------------------------------------------------------------------------

// A score of key `key` for a row of the slice: in quarters, masked; what the row must not see is -inf.
float score_of(Head head, uint row, int key, float sum, uint worst) {
    bool seen = key < head.keys;
    if (has(VKA_FLAG_ADDITIVE_CAUSAL))
        seen = seen && key <= int(row + push.row0) + head.diagonal;
    return finish_score(sum, worst, seen, head.mask + row * p.mask.n + uint(key) * p.mask.d);
}

// NaN and +inf spoil a row.
bool spoils(float score) {
    return is_nonfinite(score) && !is_hidden(score);
}

// ---- results ----------------------------------------------------------------------------------------------------------

// What a row's sum of weighted values is multiplied by; a row that saw nothing gives 0.
float normaliser(float sum) {
    return sum > 0.0 ? 1.0 / sum : 0.0;
}

void store_vector(Head head, uint row, uint d, vec4 x, bool spoilt) {
    vec4 y = spoilt ? vec4(not_a_number()) : x;
    out_put_row4(head.out_ + row * p.out_.n, p.out_.d, d, VALUES, has(VKA_FLAG_ADDITIVE_VEC4_OUT), y);
}

void store_lse(Head head, uint row, float maximum, float sum, bool spoilt) {
    float lse = sum > 0.0 ? maximum * 4.0 + log(sum) : negative_infinity();
    if (has(VKA_FLAG_ADDITIVE_LSE))
        lse_put(head.lse + row * p.lse.n, spoilt ? not_a_number() : lse);
}
