// NaN and infinity by the bits of a float: compilers may take comparisons, and arithmetic with them, either way.
// SPDX-License-Identifier: MIT

const uint EXPONENT = 0x7f800000u; // all ones: NaN or infinite

bool is_nonfinite(float x) {
    return (floatBitsToUint(x) & EXPONENT) == EXPONENT;
}

bvec4 are_nonfinite(vec4 x) {
    return equal(floatBitsToUint(x) & EXPONENT, uvec4(EXPONENT));
}
