// Values that are set aside (nonfinite.glsl) by kernels that multiply matrices of 16-bit elements.
// SPDX-License-Identifier: MIT
#include "nonfinite.glsl"

// The last step that set values aside. Of 16 bytes, like all that lies beside matrices in shared memory: compilers may lay
// one variable right behind another, and a matrix must be loaded from a multiple of 16 (VUID-RuntimeSpirv-
// OpCooperativeMatrixLoadKHR-08986).
shared ivec4 nonfinite_step_word;
#define nonfinite_step nonfinite_step_word.x

// Two elements without those that are NaN or infinite.
uint drop_nonfinite(uint pair) {
    const uint exponent = VKA_BF16 == 1 ? 0x7f80u : 0x7c00u;
    uint low = (pair & exponent) == exponent ? 0u : 0xffffu;
    uint high = (pair >> 16 & exponent) == exponent ? 0u : 0xffff0000u;
    return pair & (low | high);
}

// The element that a value is as part of a matrix: quantised ones may be beyond the largest f16.
float element_of(float x) {
    return VKA_BF16 == 0 && abs(x) >= 65504.0 && !is_nonfinite(x) ? unpackHalf2x16(packHalf2x16(vec2(x))).x : x;
}

// What the values of a step that were set aside add to channel d of a row.
float nonfinite_part(Grid g, Row r, uint d, uint v_head, int j0, int end) {
    float sum = 0.0;
    for (int j = j0; j < min(end, j0 + int(BC)) && d < DV; ++j) {
        float value = element_of(value_scalar(value_source(g, v_head, j), d));
        if (is_nonfinite(value) && sees(g, r, j))
            sum += nonfinite_term(value, survives_dropout(g, r, j));
    }
    return sum;
}
