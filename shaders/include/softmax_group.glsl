// The softmax of a row that a workgroup shares. Expects GROUP_SIZE, VKA_SUBGROUP and softmax.glsl. With the
// specialization constant SUBGROUP the workgroup is a single subgroup.
// SPDX-License-Identifier: MIT

layout(constant_id = VKA_SPEC_SUBGROUP) const uint SUBGROUP = 0u;

// Room for subgroups of any width, even of one invocation.
shared float parts[GROUP_SIZE];

#if VKA_SUBGROUP
#define VKA_GROUP_REDUCTION(name, of_subgroup, of_two, empty)                                                          \
    float name(float value) {                                                                                          \
        if (SUBGROUP > 0u)                                                                                             \
            return of_subgroup(value);                                                                                 \
        barrier();                                                                                                     \
        float mine = of_subgroup(value);                                                                               \
        if (subgroupElect())                                                                                           \
            parts[gl_SubgroupID] = mine;                                                                               \
        barrier();                                                                                                     \
        float result = empty;                                                                                          \
        for (uint i = 0u; i < gl_NumSubgroups; ++i)                                                                    \
            result = of_two(result, parts[i]);                                                                         \
        return result;                                                                                                 \
    }
#else
#define VKA_GROUP_REDUCTION(name, of_subgroup, of_two, empty)                                                          \
    float name(float value) {                                                                                          \
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

float plus(float a, float b) {
    return a + b;
}

// In an order that never changes.
VKA_GROUP_REDUCTION(group_sum, subgroupAdd, plus, 0.0)
VKA_GROUP_REDUCTION(group_max, subgroupMax, max, LOWEST)

// What all invocations have walked. A NaN may be lost in a maximum, so that who saw one says so by the sum.
State group_state(State mine) {
    State s = no_values();
    s.maximum = group_max(mine.spoilt ? LOWEST : mine.maximum);
    s.sum = group_sum(mine.spoilt ? not_a_number() : mine.sum * shrink(mine.maximum, s.maximum));
    s.spoilt = is_nonfinite(s.sum);
#if VKA_SUMS_BELOW
    if (has(VKA_FLAG_SMOOTHING)) {
        s.under = group_sum(under_higher(mine, s.maximum));
        s.count = group_sum(mine.count);
    }
#endif
    return s;
}
