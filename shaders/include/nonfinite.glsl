// Values that are NaN or infinite, where weights and values are multiplied whether a row sees them or not: a weight of 0
// would spread them to rows that may not see them. In a step that some rows see only in part they are set aside, which
// leaves 0, and added to the rows that do see them: what they add is NaN or infinite whatever the weight, which is never 0.
// In integers: compilers may take a product with 0 for 0.
// SPDX-License-Identifier: MIT

const uint EXPONENT = 0x7f800000u; // all ones: NaN or infinite

bool is_nonfinite(float x) {
    return (floatBitsToUint(x) & EXPONENT) == EXPONENT;
}

bvec4 are_nonfinite(vec4 x) {
    return equal(floatBitsToUint(x) & EXPONENT, uvec4(EXPONENT));
}

// What a value that was set aside is multiplied by for a row that sees it: a dropped one is NaN.
float nonfinite_weight(Grid g, Row r, int key) {
    return kept(g, r, key, 1.0);
}
