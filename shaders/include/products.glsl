// What stands in place of q . k, in attention kernels with products:
//   VKA_FLAG_COSINE         the cosine of q and k, times a factor of the head (Swin v2, Liu 2022)
//   VKA_FLAG_RELATIVE_KEYS  (q + u) . k + (q + v) . r, where r is a key of the relative position (Transformer-XL, Dai 2019);
//                           fused by index: every pair reads the row of r that it needs
// Expects q and k, and where they lie (attention_keys.glsl).
// SPDX-License-Identifier: MIT

VKA_INPUT_F32(VKA_BIND_COSINE, cosine)
VKA_INPUT(VKA_BIND_RELATIVE_KEYS, relative_keys)
VKA_INPUT(VKA_BIND_CONTENT, content)
VKA_INPUT(VKA_BIND_POSITION, position)
#ifdef VKA_BACKWARD
layout(constant_id = VKA_SPEC_COLS) const uint PRODUCT_TYPES = 0u;
const uint RELATIVE_KEYS_TYPE = PRODUCT_TYPES >> 4u * VKA_PRODUCT_TYPE_KEYS & 15u;
const uint CONTENT_TYPE = PRODUCT_TYPES >> 4u * VKA_PRODUCT_TYPE_BIAS & 15u;
#else
const uint RELATIVE_KEYS_TYPE = TYPE_OF(VKA_ROLE_RELATIVE_KEYS);
const uint CONTENT_TYPE = TYPE_OF(VKA_ROLE_CONTENT);
#endif
VKA_READERS(relative_keys, VKA_BIND_RELATIVE_KEYS, RELATIVE_KEYS_TYPE)
VKA_READERS(content, VKA_BIND_CONTENT, CONTENT_TYPE)
VKA_READERS(position, VKA_BIND_POSITION, CONTENT_TYPE)

const bool COSINE = (FLAGS & VKA_FLAG_COSINE) != 0u;
const bool RELATIVE_KEYS = (FLAGS & VKA_FLAG_RELATIVE_KEYS) != 0u;

// ---- cosines --------------------------------------------------------------------------------------------------------------

// 1 / max(|x|, 1e-12) of the sum of squares of x. Where x has a NaN its products are NaN whatever this is.
float inverse_norm(float squares) {
    return inversesqrt(max(squares, 1e-24));
}

float cosine_scale(uint head) {
    return cosine_at(push.base[VKA_BIND_COSINE] + (head + push.h0) * p.cosine_step);
}

// ---- relative keys --------------------------------------------------------------------------------------------------------

// Where a query's key of the relative position of a key lies; of a permutation or list the key is a slot.
uint relative_key_at(Grid g, Row r, int key) {
    int token = SLOTTED ? int(safe_token(slot_key(g, uint(key)), uint(g.kv_len))) : key;
    int at = clamp(int(r.query) + g.diagonal - token + p.relative_keys_zero, 0, p.relative_keys_last);
    return push.base[VKA_BIND_RELATIVE_KEYS] + (r.head + push.h0) * p.relative_keys_head + uint(at) * p.relative_keys_row;
}

vec4 relative_key4(uint at, uint d) {
    return relative_keys_row4(at, p.relative_keys_step, d, D, has(VKA_FLAG_VEC4_RELATIVE_KEYS));
}

// What a head's queries get before they are multiplied by keys, and by keys of relative positions.
vec4 content_bias4(uint head, uint d) {
    uint at = push.base[VKA_BIND_CONTENT] + (head + push.h0) * p.content_head;
    return has(VKA_FLAG_CONTENT_BIAS) ? content_row4(at, p.content_step, d, D, false) : vec4(0.0);
}

vec4 position_bias4(uint head, uint d) {
    uint at = push.base[VKA_BIND_POSITION] + (head + push.h0) * p.position_head;
    return has(VKA_FLAG_POSITION_BIAS) ? position_row4(at, p.position_step, d, D, false) : vec4(0.0);
}
