// Derivatives of activations, by the functions of activation.glsl and as careful: nothing overflows, what is NaN the bits say.
//
// After elements.glsl.
// SPDX-License-Identifier: MIT
#include "activation.glsl"

// The derivative of 1 / (1 + exp(-x)): e / (1 + e)^2, the same on both sides of 0.
float sigmoid_slope(float x) {
    float e = decay_of(abs(x)), s = 1.0 / (1.0 + e);
    return e * s * s;
}

// s + alpha x s' with s = sigmoid(alpha x); far away s' is 0, whatever x is.
float swish_slope(float x, float alpha) {
    float t = alpha * x, slope = sigmoid_slope(t);
    return slope == 0.0 ? sigmoid(t) : fma(t, slope, sigmoid(t));
}

// The normal distribution's part below x, as gelu has it, plus x times its density.
float gelu_slope(float x) {
    float a = min(abs(x), 20.0), bell = decay_of(0.5 * a * a);
    float beyond = bell * gelu_tail(a);
    return fma(x < 0.0 ? -a : a, 0.39894228040143267 * bell, x < 0.0 ? beyond : 1.0 - beyond);
}

// x s(v), v = 2 u: s + x s' v'.
float gelu_tanh_slope(float x) {
    float a = clamp(x, -20.0, 20.0);
    float v = 1.5957691216057308 * fma(0.044715 * a * a, a, a), dv = 1.5957691216057308 * fma(0.134145 * a, a, 1.0);
    return fma(a * dv, sigmoid_slope(v), sigmoid(v));
}

// alpha is of VKA_ACT_SILU. Whether x is positive the bits say: a device may take numbers next to 0 for 0.
float activation_slope(uint kind, float x, float alpha) {
    float y = kind == VKA_ACT_RELU        ? (floatBitsToInt(x) > 0 ? 1.0 : 0.0)
              : kind == VKA_ACT_GELU      ? gelu_slope(x)
              : kind == VKA_ACT_GELU_TANH ? gelu_tanh_slope(x)
              : kind == VKA_ACT_SILU      ? swish_slope(x, alpha)
              : kind == VKA_ACT_TANH      ? 4.0 * sigmoid_slope(2.0 * clamp(x, -50.0, 50.0))
              : kind == VKA_ACT_SIGMOID   ? sigmoid_slope(x)
                                          : 1.0;
    return is_nan(x) ? x : y;
}

vec4 slopes4(uint kind, vec4 x, float alpha) {
    if (kind == VKA_ACT_NONE)
        return vec4(1.0);
    return vec4(activation_slope(kind, x.x, alpha), activation_slope(kind, x.y, alpha), activation_slope(kind, x.z, alpha),
                activation_slope(kind, x.w, alpha));
}
