// Values that are NaN or infinite, where probabilities and values are multiplied as matrices: a probability of 0 would
// spread them to rows that may not see them. In a step that some rows see only in part they are set aside, and added to
// the rows that do see them: what they add is NaN or infinite whatever the probability, which is never 0.
// SPDX-License-Identifier: MIT

// The last step that set values aside. Of 16 bytes, like all that lies beside matrices in shared memory: compilers may lay
// one variable right behind another, and a matrix must be loaded from a multiple of 16 (VUID-RuntimeSpirv-
// OpCooperativeMatrixLoadKHR-08986).
shared ivec4 strange_step_word;
#define strange_step strange_step_word.x

// Two elements without those that are NaN or infinite.
uint drop_strange(uint pair) {
    const uint exponent = VKA_BF16 == 1 ? 0x7f80u : 0x7c00u;
    uint low = (pair & exponent) == exponent ? 0u : 0xffffu;
    uint high = (pair >> 16 & exponent) == exponent ? 0u : 0xffff0000u;
    return pair & (low | high);
}

bool is_strange(float x) {
    return isnan(x) || isinf(x);
}

// What the values of a step that were set aside add to channel d of a row.
float strange_part(Grid g, Row r, uint d, uint v_head, int j0, int end) {
    float sum = 0.0;
    for (int j = j0; j < min(end, j0 + int(BC)) && d < DV; ++j) {
        float value = value_scalar(value_source(g, v_head, j), d);
        if (is_strange(value) && sees(g, r, j))
            sum += value;
    }
    return sum;
}
