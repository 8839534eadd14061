// The softmax of a row: its maximum, and the sum of the exponentials of what its values are below that, in one pass
// (Milakov and Gimelshein 2018). Expects `p.cols`, `p.exp_scale` and x_words4 of VKA_WORD_READERS.
//
// Values are subtracted before they are scaled, so that equal ones weigh the same however large they are, and halved
// before that, so that differences of any two floats are finite. -inf hides a value. What has to be NaN does not rely on a
// driver's exp2 or max: bits are asked. With VKA_SUMS_BELOW = 1 a state can have the mean of a row, too: with
// VKA_FLAG_SMOOTHING.
// SPDX-License-Identifier: MIT

#include "float_bits.glsl"

const float LOWEST = -3.4028234663852886e38;

float negative_infinity() {
    return uintBitsToFloat(0xff800000u);
}

float not_a_number() {
    return uintBitsToFloat(0x7fc00000u);
}

struct State {
    float maximum; // the lowest float, if all values are hidden
    float sum;     // of exp(scale * (value - maximum)); at least 1, unless all are hidden
    bool spoilt;   // some value is NaN or +inf: so is every result
#if VKA_SUMS_BELOW
    float under; // the sum of what values are below the maximum, of halves, in units of UNDER
    float count; // of how many
#endif
};

State no_values() {
#if VKA_SUMS_BELOW
    return State(LOWEST, 0.0, false, 0.0, 0.0);
#else
    return State(LOWEST, 0.0, false);
#endif
}

// Four values of a row.
struct Values {
    vec4 x;
    bvec4 hidden; // -inf, or from `live` on, the row's length
};

Values all_values_of(vec4 x) {
    return Values(x, equal(floatBitsToUint(x), uvec4(0xff800000u)));
}

// `live` is the same for all vectors that are whole.
Values values_of(vec4 x, uint c, uint live) {
    uvec4 column = 4u * c + uvec4(0u, 1u, 2u, 3u);
    return all_values_of(mix(x, vec4(negative_infinity()), greaterThanEqual(column, uvec4(live))));
}

float largest(vec4 y) {
    return max(max(y.x, y.y), max(y.z, y.w));
}

float total(vec4 y) {
    return (y.x + y.y) + (y.z + y.w);
}

// What is no number, but for -inf.
bool spoils(Values v) {
    return any(greaterThan(uvec4(are_nonfinite(v.x)), uvec4(v.hidden)));
}

// Differences from the maximum, of halves; not to be contracted or regrouped, or they would be infinite.
vec4 below(vec4 x, float maximum) {
    precise vec4 difference = x * 0.5 - vec4(maximum * 0.5);
    return difference;
}

vec4 weights(Values v, float maximum) {
    return mix(exp2(below(v.x, maximum) * p.exp_scale), vec4(0.0), v.hidden);
}

// By how much sums shrink when a maximum rises.
float shrink(float maximum, float higher) {
    return exp2(below(vec4(maximum), higher).x * p.exp_scale);
}

#if VKA_SUMS_BELOW
// 2^24 of the largest differences have a finite sum.
const float UNDER = 16777216.0;

// What is under another, higher maximum; nothing stays nothing, however far away that is.
float under_higher(State s, float higher) {
    return s.count > 0.0 ? s.under + s.count * (below(vec4(s.maximum), higher).x / UNDER) : 0.0;
}

// The sum of a vector's, of which `count` are there.
float vector_under(Values v, float maximum, uint c, inout float count) {
    bvec4 there = lessThan(4u * c + uvec4(0u, 1u, 2u, 3u), uvec4(p.cols));
    count += total(vec4(there));
    return total(mix(vec4(0.0), below(v.x, maximum) / UNDER, there));
}
#endif

bool is_dead(State s) {
    return s.sum < 0.5;
}

// The logarithm of the sum of exponentials, in units of x halved and scaled as logarithms are.
float log_of_sum(State s) {
    return is_dead(s) ? negative_infinity() : log(s.sum);
}

// Vectors are taken four at a time, so that a sum shrinks seldom and loads overlap.
const uint STEP = 4u;
// Sums are taken of blocks, and then of blocks' sums: one long sum of a row of millions would lose digits.
const uint BLOCK = 64u;

// The vectors first, first + stride, .. of the row that begins at element `at`.
State walk(uint at, uint live, uint first, uint stride, bool fast) {
    State s = no_values();
    float block = 0.0, under = 0.0;
    uint steps = 0u;
    for (uint c = first; 4u * c < live; c += STEP * stride) {
        Values v[STEP];
        float maximum = s.maximum;
        [[unroll]] for (uint i = 0u; i < STEP; ++i) {
            uint at_vector = c + i * stride;
            vec4 x = 4u * at_vector < live ? x_words4(at, p.x.d, at_vector, p.cols, fast) : vec4(0.0);
            v[i] = values_of(x, at_vector, live);
            maximum = max(maximum, largest(v[i].x));
            s.spoilt = s.spoilt || spoils(v[i]);
        }
        if (maximum > s.maximum) {
            float factor = shrink(s.maximum, maximum);
            s.sum *= factor;
            block *= factor;
#if VKA_SUMS_BELOW
            s.under += under;
            under = 0.0;
            s.under = under_higher(s, maximum);
#endif
            s.maximum = maximum;
        }
        vec4 sums = vec4(0.0);
        [[unroll]] for (uint i = 0u; i < STEP; ++i) {
            sums += weights(v[i], s.maximum);
#if VKA_SUMS_BELOW
            if (has(VKA_FLAG_SMOOTHING))
                under += vector_under(v[i], s.maximum, c + i * stride, s.count);
#endif
        }
        block += total(sums);
        if (++steps % BLOCK == 0u) {
            s.sum += block;
            block = 0.0;
#if VKA_SUMS_BELOW
            s.under += under;
            under = 0.0;
#endif
        }
    }
    s.sum += block;
#if VKA_SUMS_BELOW
    s.under += under;
#endif
    return s;
}
