// Values that are NaN or infinite, where weights and values are multiplied whether a row sees them or not: a weight of 0
// would spread them to rows that may not see them. In a step that some rows see only in part they are set aside, which
// leaves 0, and added to the rows that do see them: what they add is NaN or infinite whatever the weight, also where that is too small for a float.
// By bits: compilers may take a product with 0 for 0.
// SPDX-License-Identifier: MIT

#include "float_bits.glsl"

// What a value that was set aside adds to a row that sees it: one that dropout drops is 0 times infinity. Said as such, as
// compilers take a product with a choice of 0 and 1 for a choice of 0 and the other factor.
float nonfinite_term(float value, bool kept) {
    return kept ? value : uintBitsToFloat(0x7fc00000u);
}

bool survives_dropout(Grid g, Row r, int key) {
    return apply_dropout(g, r, key, 1.0) != 0.0;
}
