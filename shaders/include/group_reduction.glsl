// Reductions over a workgroup, in an order that never changes. Expects GROUP_SIZE, VKA_SUBGROUP and VKA_PARTS, the type of
// what is reduced. With the specialization constant SUBGROUP the workgroup is a single subgroup.
// SPDX-License-Identifier: MIT

layout(constant_id = VKA_SPEC_SUBGROUP) const uint SUBGROUP = 0u;

// Room for subgroups of any width, even of one invocation.
shared VKA_PARTS parts[GROUP_SIZE];

#if VKA_SUBGROUP
#define VKA_GROUP_REDUCTION(name, of_subgroup, of_two, empty)                                                          \
    VKA_PARTS name(VKA_PARTS value) {                                                                                  \
        if (SUBGROUP > 0u)                                                                                             \
            return of_subgroup(value);                                                                                 \
        barrier();                                                                                                     \
        VKA_PARTS mine = of_subgroup(value);                                                                           \
        if (subgroupElect())                                                                                           \
            parts[gl_SubgroupID] = mine;                                                                               \
        barrier();                                                                                                     \
        VKA_PARTS result = VKA_PARTS(empty);                                                                           \
        for (uint i = 0u; i < gl_NumSubgroups; ++i)                                                                    \
            result = of_two(result, parts[i]);                                                                         \
        return result;                                                                                                 \
    }
#else
#define VKA_GROUP_REDUCTION(name, of_subgroup, of_two, empty)                                                          \
    VKA_PARTS name(VKA_PARTS value) {                                                                                  \
        barrier();                                                                                                     \
        parts[gl_LocalInvocationIndex] = value;                                                                        \
        for (uint width = 1u; width < GROUP_SIZE; width *= 2u) {                                                       \
            barrier();                                                                                                 \
            uint at = gl_LocalInvocationIndex * width * 2u;                                                            \
            if (at + width < GROUP_SIZE)                                                                               \
                parts[at] = of_two(parts[at], parts[at + width]);                                                      \
        }                                                                                                              \
        barrier();                                                                                                     \
        return parts[0];                                                                                               \
    }
#endif

VKA_PARTS plus(VKA_PARTS a, VKA_PARTS b) {
    return a + b;
}

VKA_GROUP_REDUCTION(group_sum, subgroupAdd, plus, 0.0)
