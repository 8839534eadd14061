// Scores of additive attention, in quarters of natural units: the sum of a finite score and a finite mask is finite as long as
// neither exceeds a float.
//
// After activation.glsl, and with VKA_WITH_MASK = 1 after MASK_TYPE and readers of `mask`.
// SPDX-License-Identifier: MIT

const float QUARTER = 0.25;
const float EXP_SCALE = 5.7707801635558535; // 4 log2(e)

float negative_infinity() {
    return uintBitsToFloat(0xff800000u);
}

float not_a_number() {
    return uintBitsToFloat(0x7fc00000u);
}

// `worst` gets the largest magnitude of what tanh is taken of, as bits: tanh_of loses NaN.
vec4 tanh4(vec4 x, inout uint worst) {
    uvec4 bits = floatBitsToUint(x) & 0x7fffffffu;
    worst = max(worst, max(max(bits.x, bits.y), max(bits.z, bits.w)));
    return vec4(tanh_of(x.x), tanh_of(x.y), tanh_of(x.z), tanh_of(x.w));
}

// Adds four channels of a score.
void add_channels(vec4 weight, vec4 x, inout float sum, inout uint worst) {
    vec4 t = tanh4(x, worst);
    sum = fma(weight.w, t.w, fma(weight.z, t.z, fma(weight.y, t.y, fma(weight.x, t.x, sum))));
}

// A score in quarters; what the row must not see is -inf. `element`: of the mask.
float finish_score(float sum, uint worst, bool seen, uint element) {
    float score = worst > EXPONENT ? not_a_number() : sum * QUARTER;
#if VKA_WITH_MASK
    if (MASK_TYPE != 0u) {
        float mask = seen ? mask_at(element) : 0.0;
        if (MASK_TYPE == VKA_TYPE_U8) {
            seen = seen && mask != 0.0;
        } else {
            seen = seen && floatBitsToUint(mask) != 0xff800000u;
            score += mask * QUARTER;
        }
    }
#endif
    return seen ? score : negative_infinity();
}

bool is_hidden(float score) {
    return floatBitsToUint(score) == 0xff800000u;
}

// exp of a score relative to a row's maximum, or its log-sum-exp.
float exp_of(float difference) {
    return exp2(difference * EXP_SCALE);
}
