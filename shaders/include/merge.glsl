// What two attentions of the same queries over different keys weigh in their merge.
// SPDX-License-Identifier: MIT

#include "float_bits.glsl"

const float LN2 = 0.69314718055994531;
const float LOG2E = 1.4426950408889634;

// The weight of an empty part, whose output may be anything.
const float EMPTY = -1.0;

// Bits are asked, as drivers may compile arithmetic as if there were no infinities.
bool is_empty(float lse) {
    return floatBitsToUint(lse) == 0xff800000u;
}

bool is_spoiled(float lse) { // +inf or NaN
    return is_nonfinite(lse) && !is_empty(lse);
}

// What the parts' outputs are multiplied by, and the log-sum-exp of both.
vec2 weigh(float a, float b, out float lse) {
    bool no_a = is_empty(a), no_b = is_empty(b);
    if (no_a || no_b || is_spoiled(a) || is_spoiled(b)) {
        lse = no_a ? b : no_b ? a : a + b;
        float rest = is_spoiled(lse) ? uintBitsToFloat(0x7fc00000u) : 1.0;
        return vec2(no_a ? EMPTY : rest, no_b ? EMPTY : rest);
    }
    float larger = max(a, b);
    vec2 x = exp2((vec2(a, b) - larger) * LOG2E);
    lse = larger + log2(x.x + x.y) * LN2;
    return x / (x.x + x.y);
}
