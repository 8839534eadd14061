#version 450
// The k largest of each row, and where they are. A workgroup owns a row.
//
// Selects them, or some more as long as all of these can be sorted in shared memory, collects them there in any order, and sorts
// (Batcher 1968): keys and columns together are all different, so that the result is always the same.
// SPDX-License-Identifier: MIT
#extension GL_GOOGLE_include_directive : require
#include "elements.glsl"
#include "params/top_k.h"

layout(local_size_x_id = VKA_SPEC_GROUP_SIZE) in;
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint GROUP_SIZE = 64u;

layout(set = 0, binding = VKA_BIND_PARAMS, std140) uniform Params {
    vka_top_k_params p;
};

const uint X_TYPE = TYPE_OF(VKA_ROLE_X);
const uint OUT_TYPE = TYPE_OF(VKA_ROLE_OUT);

VKA_INPUT(VKA_BIND_X, x)
VKA_READERS(x, VKA_BIND_X, X_TYPE)
VKA_WORD_READERS(x, X_TYPE)
VKA_OUTPUT(VKA_BIND_TOP_VALUES, values)
VKA_WRITERS(values, OUT_TYPE)
layout(set = 0, binding = VKA_BIND_TOP_INDICES, std430) writeonly buffer Indices {
    int indices[];
};

struct Row {
    uint x, values, indices; // first element of the row in each tensor
};

Row find_row(uint row) {
    uvec3 i = uvec3(row / (push.dim1 * push.dim2), row / push.dim2 % push.dim1, row % push.dim2);
    return Row(push.base[VKA_BIND_X] + i.x * p.x.b + i.y * p.x.h + i.z * p.x.n,
               push.base[VKA_BIND_TOP_VALUES] + i.x * p.values.b + i.y * p.values.h + i.z * p.values.n,
               push.base[VKA_BIND_TOP_INDICES] + i.x * p.indices.b + i.y * p.indices.h + i.z * p.indices.n);
}

vec4 row_values(Row row, uint c) {
    return x_words4(row.x, p.x.d, c, p.cols, has(VKA_FLAG_VEC4));
}

uvec2 measure(Row row, float value) {
    return uvec2(1u, 0u);
}

#include "select.glsl"

// Keys in the first half of the pool, columns in the second one.
const uint COLUMNS = VKA_TOP_MOST;

shared uint collected;

void collect(Row row, Bound bound) {
    if (gl_LocalInvocationIndex == 0u)
        collected = 0u;
    barrier();
    for (uint c = gl_LocalInvocationIndex; 4u * c < p.cols; c += GROUP_SIZE) {
        vec4 x = row_values(row, c);
        [[unroll]] for (uint i = 0u; i < 4u; ++i) {
            uint column = 4u * c + i, key = key_of(x[i]);
            if (column < p.cols && is_kept(bound, key, column)) {
                uint slot = atomicAdd(collected, 1u);
                pool[slot] = key;
                pool[COLUMNS + slot] = column;
            }
        }
    }
    barrier();
}

// Does the element in slot a go in front of that in slot b?
bool in_front(uint a, uint b) {
    return pool[a] > pool[b] || (pool[a] == pool[b] && pool[COLUMNS + a] < pool[COLUMNS + b]);
}

void exchange(uint a, uint b) {
    uint key = pool[a], column = pool[COLUMNS + a];
    pool[a] = pool[b];
    pool[COLUMNS + a] = pool[COLUMNS + b];
    pool[b] = key;
    pool[COLUMNS + b] = column;
}

// Slots 0 .. size - 1, a power of 2; those that nothing was put into go to the end, behind every value.
void sort(uint size) {
    for (uint slot = collected + gl_LocalInvocationIndex; slot < size; slot += GROUP_SIZE) {
        pool[slot] = 0u;
        pool[COLUMNS + slot] = ANY;
    }
    for (uint width = 2u; width <= size; width *= 2u)
        for (uint distance = width / 2u; distance > 0u; distance /= 2u) {
            barrier();
            for (uint pair = gl_LocalInvocationIndex; pair < size / 2u; pair += GROUP_SIZE) {
                uint a = pair / distance * 2u * distance + pair % distance, b = a + distance;
                bool forward = (a & width) == 0u;
                if (forward ? in_front(b, a) : in_front(a, b))
                    exchange(a, b);
            }
        }
    barrier();
}

void main() {
    Row row = find_row(gl_WorkGroupID.x);
    Bound bound = Bound(0u, ANY);
    if (p.cols > VKA_TOP_MOST)
        bound = select(row, bound, Target(uvec2(p.count, 0u), 0u), VKA_TOP_MOST);
    collect(row, bound);
    uint size = 1u;
    while (size < collected)
        size *= 2u;
    sort(size);
    for (uint i = gl_LocalInvocationIndex; i < p.count; i += GROUP_SIZE) {
        uint column = pool[COLUMNS + i];
        if (has(VKA_FLAG_TOP_VALUES))
            values_put(row.values + i * p.values.d, x_at(row.x + column * p.x.d));
        if (has(VKA_FLAG_TOP_INDICES))
            indices[row.indices + i * p.indices.d] = int(column);
    }
}
