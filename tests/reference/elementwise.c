/* Operations on elements.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

#define SQRT_2_OVER_PI 0.79788456080286535588

double ref_swish(double x, double alpha) {
    return x == -INFINITY ? 0 : x / (1 + exp(-alpha * x));
}

double ref_activation(vka_activation a, double x) {
    switch (a) {
    case VKA_ACTIVATION_RELU:
        return x < 0 ? 0 : x;
    case VKA_ACTIVATION_GELU:
        return x == -INFINITY ? 0 : x * erfc(-x * sqrt(0.5)) / 2;
    case VKA_ACTIVATION_GELU_TANH: /* 1 + tanh(u) = 2 / (1 + exp(-2 u)), which is exact next to 0, too */
        return x == -INFINITY ? 0 : x / (1 + exp(-2 * SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)));
    case VKA_ACTIVATION_SILU:
        return ref_swish(x, 1);
    case VKA_ACTIVATION_TANH:
        return tanh(x);
    case VKA_ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-x));
    default:
        return x;
    }
}

float ref_naive_activation(vka_activation a, float x) {
    switch (a) {
    case VKA_ACTIVATION_RELU:
        return x < 0 ? 0 : x;
    case VKA_ACTIVATION_GELU:
        return 0.5f * x * (1 + erff(x * (float)sqrt(0.5)));
    case VKA_ACTIVATION_GELU_TANH:
        return 0.5f * x * (1 + tanhf((float)SQRT_2_OVER_PI * (x + 0.044715f * x * x * x)));
    case VKA_ACTIVATION_SILU:
        return x / (1 + expf(-x));
    case VKA_ACTIVATION_TANH:
        return tanhf(x);
    case VKA_ACTIVATION_SIGMOID:
        return 1 / (1 + expf(-x));
    default:
        return x;
    }
}

double ref_swish_slope(double x, double alpha) {
    double s = 1 / (1 + exp(-alpha * x)), rest = 1 / (1 + exp(alpha * x)), far = s * rest;
    return far == 0 ? s : s + alpha * x * far;
}

double ref_activation_slope(vka_activation a, double x) {
    switch (a) {
    case VKA_ACTIVATION_RELU:
        return isnan(x) ? x : x > 0;
    case VKA_ACTIVATION_GELU:
        return isinf(x) ? x > 0 : erfc(-x * sqrt(0.5)) / 2 + x * exp(-x * x / 2) / sqrt(2 * acos(-1));
    case VKA_ACTIVATION_GELU_TANH: {
        double u = 2 * SQRT_2_OVER_PI * (x + 0.044715 * x * x * x);
        double s = 1 / (1 + exp(-u)), rest = 1 / (1 + exp(u)), far = s * rest;
        return far == 0 ? s : s + x * far * 2 * SQRT_2_OVER_PI * (1 + 3 * 0.044715 * x * x);
    }
    case VKA_ACTIVATION_SILU:
        return ref_swish_slope(x, 1);
    case VKA_ACTIVATION_TANH:
        return 4 / ((1 + exp(-2 * x)) * (1 + exp(2 * x)));
    case VKA_ACTIVATION_SIGMOID:
        return 1 / ((1 + exp(-x)) * (1 + exp(x)));
    default:
        return 1;
    }
}

float ref_naive_activation_slope(vka_activation a, float x) {
    float s, t;
    switch (a) {
    case VKA_ACTIVATION_RELU:
        return x > 0;
    case VKA_ACTIVATION_GELU:
        return 0.5f * (1 + erff(x * (float)sqrt(0.5))) + x * expf(-0.5f * x * x) * 0.3989422804f;
    case VKA_ACTIVATION_GELU_TANH:
        t = tanhf((float)SQRT_2_OVER_PI * (x + 0.044715f * x * x * x));
        return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * (float)SQRT_2_OVER_PI * (1 + 3 * 0.044715f * x * x);
    case VKA_ACTIVATION_SILU:
        s = 1 / (1 + expf(-x));
        return s * (1 + x * (1 - s));
    case VKA_ACTIVATION_TANH:
        t = tanhf(x);
        return 1 - t * t;
    case VKA_ACTIVATION_SIGMOID:
        s = 1 / (1 + expf(-x));
        return s * (1 - s);
    default:
        return 1;
    }
}
