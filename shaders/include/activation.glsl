// Activations, one of VKA_ACT_*, which is constant. Drivers may compute exp and tanh as they like where these overflow, and as
// if there were no NaN: so no argument overflows, and the bits of x say what is NaN.
//
// Errors are a few units in the last place, also of results next to 0, plus what exp has: Vulkan allows it 3 + 2 |x| units.
//
// After elements.glsl.
// SPDX-License-Identifier: MIT
#include "float_bits.glsl"
#include "expm1.glsl"
#include "params/activation.h"

// The activation that the flags ask for.
#define ACTIVATION (FLAGS >> VKA_ACT_SHIFT & 15u)

bool is_nan(float x) {
    return (floatBitsToUint(x) & 0x7fffffffu) > EXPONENT;
}

// exp(-a) of a >= 0; 0 where f32 has denormal numbers, which devices may drop.
float decay_of(float a) {
    return a < 87.0 ? exp(-min(a, 87.0)) : 0.0;
}

// 1 / (1 + exp(-x)).
float sigmoid(float x) {
    float e = decay_of(abs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

// x / (1 + exp(-alpha x)); at x = -inf 0, which is the limit.
float swish(float x, float alpha) {
    float s = sigmoid(alpha * x);
    return s == 0.0 ? 0.0 : x * s;
}

// With e = exp(2 x) - 1 it is e / (e + 2), which loses no digits next to 0: to 2.5 units in the last place, without a branch.
float tanh_of(float x) {
    float e = expm1_of(2.0 * clamp(x, -10.0, 10.0)); // beyond that it is 1
    return e / (e + 2.0);
}

// The normal distribution's part beyond a, 0 <= a <= 20, over exp(-a^2 / 2): erfc(z) exp(z^2) / 2 with z = a / sqrt 2, which is
// a polynomial in (z - 2) / (z + 2) over 1 + 2 z (Shepherd and Laframboise 1981, who have k = 3.75 where 2 is here: for z up to
// 10, beyond which nothing is left, it takes a degree less). Coefficients by Chebyshev interpolation, good to 2^-25.
float gelu_tail(float a) {
    const float c[10] = float[](1.27697837, -0.0927639902, -0.166031063, 0.164055482, -0.0542079695, -0.00806145463,
                                0.00864367746, 0.00132059772, -0.00124245894, -0.000410065608);
    float z = a * 0.70710678, t = (z - 2.0) / (z + 2.0), y = c[9];
    [[unroll]] for (int i = 8; i >= 0; --i)
        y = fma(y, t, c[i]);
    return 0.5 * y / fma(2.0, z, 1.0);
}

// x times the part below x.
float gelu(float x) {
    float a = min(abs(x), 20.0), beyond = decay_of(0.5 * a * a) * gelu_tail(a);
    if (beyond == 0.0)
        return x < 0.0 ? 0.0 : x;
    return x < 0.0 ? x * beyond : x - x * beyond;
}

// 1 + tanh(u) is 2 sigmoid(2 u).
float gelu_tanh(float x) {
    float a = clamp(x, -20.0, 20.0);
    float s = sigmoid(1.5957691216057308 * fma(0.044715 * a * a, a, a));
    return s == 0.0 ? 0.0 : x * s;
}

// alpha is of VKA_ACT_SILU.
float activate(uint kind, float x, float alpha) {
    float y = kind == VKA_ACT_RELU        ? max(x, 0.0)
              : kind == VKA_ACT_GELU      ? gelu(x)
              : kind == VKA_ACT_GELU_TANH ? gelu_tanh(x)
              : kind == VKA_ACT_SILU      ? swish(x, alpha)
              : kind == VKA_ACT_TANH      ? tanh_of(x)
              : kind == VKA_ACT_SIGMOID   ? sigmoid(x)
                                          : x;
    return is_nan(x) ? x : y;
}

vec4 activate4(uint kind, vec4 x, float alpha) {
    if (kind == VKA_ACT_NONE)
        return x;
    return vec4(activate(kind, x.x, alpha), activate(kind, x.y, alpha), activate(kind, x.z, alpha),
                activate(kind, x.w, alpha));
}

float activate(uint kind, float x) {
    return activate(kind, x, 1.0);
}

vec4 activate4(uint kind, vec4 x) {
    return activate4(kind, x, 1.0);
}
