#version 450
// New keys, or new values, are rotated, quantised and stored in a cache.
//
// TEAM invocations own a row, the D channels of a token's head (cache_rows.glsl). A row that does not go anywhere is carried
// along, as its team may share a barrier with others.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "cache.glsl"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_PAGE) const uint PAGE = 0u;

#define X_STEP p.x[push.h0].d
#define CACHE_STEP p.cache[push.h0].d
VKA_OUTPUT_F32(VKA_BIND_SCALE, scale)
VKA_INPUT_I32(VKA_BIND_PAGE_TABLE, pages)

#include "cache_rows.glsl"

Token find_token(uint number) {
    Token t;
    t.factor = 1.0;
    uvec3 i = uvec3(number / (push.dim1 * push.dim2), number / push.dim2 % push.dim1, number % push.dim2);
    uint sequence = push.b0 + i.x, n = push.x0 + i.z, side = push.h0;
    t.stored = number < push.rows;
    if (!t.stored)
        return t;
    uvec2 fresh = new_tokens(sequence);
    uint place = old_length(sequence) + n, outer = i.x, row = place;
    bool packed = has(VKA_FLAG_OFFSETS);
    t.stored = n < fresh.y && place < p.capacity;
    if (PAGE > 0u && t.stored) {
        // Of pages that are bound to other dispatches, or don't exist, the difference is large.
        outer = uint(pages_at(sequence * p.page_row + place / PAGE * p.page_step)) - push.y0;
        row = place % PAGE;
        t.stored = outer < push.z0;
    } else {
        row -= push.y0; // likewise of tokens
        t.stored = t.stored && row < push.z0;
    }
    vka_strides x = p.x[side], c = p.cache[side], s = p.scale[side];
    t.x = push.base[VKA_BIND_X] + i.y * x.h + (packed ? (fresh.x + n) * x.n : i.x * x.b + i.z * x.n);
    t.cache_ = any_base(VKA_BIND_CACHE, CACHE_TYPE) + outer * c.b + i.y * c.h + row * c.n;
    t.scale = push.base[VKA_BIND_SCALE] + outer * s.b + i.y * s.h + row * s.n;
    t.rope = rope_row(int(place), 0, packed ? 0u : sequence, packed ? fresh.x + n : n);
    return t;
}

void main() {
    uint row = gl_LocalInvocationIndex / TEAM, member = gl_LocalInvocationIndex % TEAM;
    Token t = find_token(gl_WorkGroupID.x * ROWS + row);
    if (CACHE_TYPE == VKA_TYPE_I8 || BLOCKS) {
        store_quantised(t, member, row);
    } else {
        for (uint v = member; t.stored && v < VECTORS; v += TEAM)
            cache_put_row4(t.cache_, CACHE_STEP, v, D, has(VKA_FLAG_CACHE_VEC4), values(t, v));
    }
}
