// The softmax of a row that a workgroup shares. Expects softmax.glsl, and group_reduction.glsl of floats.
// SPDX-License-Identifier: MIT

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
