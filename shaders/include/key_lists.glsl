// Lists of keys: of each query, the only ones that it may see (VKA_FLAG_KEY_LISTS). For attention.glsl.
//
// All rows of a tile belong to one query, whose heads they are, or one of them: so the tile walks one list, by slots, and keys,
// values and masks are looked up where they are read, as those of a permutation are. Rows that a query has too many are none.
//
// VKA_LIST_SCAN: how a workgroup finds where a list ends: 0 every invocation for itself, 1 the workgroup is a subgroup and
// shuffles, 2 through shared memory.
// SPDX-License-Identifier: MIT

#ifndef VKA_LIST_SCAN
#define VKA_LIST_SCAN 0
#endif
#if VKA_LIST_SCAN
layout(constant_id = VKA_SPEC_GROUP_SIZE) const uint LIST_GROUP = 64u;
#endif

// Rows of a query, in whole tiles.
uint list_rows() {
    return has(VKA_FLAG_PACK) ? (p.group + BR - 1u) / BR * BR : BR;
}

uint listed_query(Grid g) {
    return g.tile * BR / list_rows();
}

// Head and query of a row; of those that there are too many the last head's.
uvec2 listed_row_query(Grid g, uint row) {
    uint head = has(VKA_FLAG_PACK) ? g.head * p.group + min(row % list_rows(), p.group - 1u) : g.head;
    return uvec2(head, row / list_rows());
}

bool is_listed_row(uint row) {
    return row % list_rows() < (has(VKA_FLAG_PACK) ? p.group : 1u);
}

uint list; // where the tile's begins

uint list_of(Grid g, uint head, uint query) {
    return push.base[VKA_BIND_KEY_LISTS] + g.batch * p.permutation_.b + head / p.map_heads * p.permutation_.h +
           (query + g.q_begin) * p.permutation_.n;
}

// The key in a slot of the tile's list.
uint listed_key(uint slot) {
    return uint(map_i[list + slot * p.permutation_.d]);
}

#if VKA_LIST_SCAN == 2
shared ivec4 list_stop; // .x; 16 bytes: see nonfinite_matrix.glsl
#endif

// Finds the tile's list, and the first slot behind it: that of its first negative entry, if there is one.
int find_list(Grid g) {
#if VKA_LIST_SCAN == 0
    const uint first = 0u, step = 1u;
#else
    uint first = gl_LocalInvocationIndex, step = LIST_GROUP;
#endif
    int stop = g.kv_len > 0 ? int(p.slots) : 0;
    uint last = p.slots - 1u;
    list = list_of(g, has(VKA_FLAG_PACK) ? g.head * p.group : g.head, listed_query(g));
    // Four at a time, so that one load need not wait for another.
    for (uint i = first; i < uint(stop); i += 4u * step)
        [[unroll]] for (uint n = 0u; n < 4u; ++n) {
            uint slot = min(i + n * step, last);
            stop = map_i[list + slot * p.permutation_.d] < 0 ? min(stop, int(slot)) : stop;
        }
#if VKA_LIST_SCAN == 1
    for (uint bit = 1u; bit < LIST_GROUP; bit *= 2u)
        stop = min(stop, subgroupShuffleXor(stop, bit));
#elif VKA_LIST_SCAN == 2
    if (gl_LocalInvocationIndex == 0u)
        list_stop.x = int(p.slots);
    barrier();
    atomicMin(list_stop.x, stop);
    barrier();
    stop = list_stop.x;
#endif
    return stop;
}
