/* Causal convolutions by their definition.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

float ref_causal_conv_input(const ref_causal_conv *c, int64_t t, uint32_t channel) {
    if (t >= 0) {
        return c->x[(size_t)t * c->channels + channel];
    }
    return c->state ? c->state[(size_t)(t + c->taps - 1) * c->channels + channel] : 0;
}

double ref_causal_conv_at(const ref_causal_conv *c, uint32_t t, uint32_t channel) {
    double y = c->bias ? (double)c->bias[channel] : 0;
    for (uint32_t k = 0; k < c->taps; k++) {
        float x = ref_causal_conv_input(c, (int64_t)t - c->taps + 1 + k, channel);
        y += (double)c->weight[(size_t)channel * c->taps + k] * (double)x;
    }
    return ref_activation(c->activation, y);
}

float ref_causal_conv_naive_at(const ref_causal_conv *c, vka_dtype dtype, uint32_t t, uint32_t channel) {
    float y = c->bias ? c->bias[channel] : 0;
    for (uint32_t k = 0; k < c->taps; k++) {
        y += c->weight[(size_t)channel * c->taps + k] * ref_causal_conv_input(c, (int64_t)t - c->taps + 1 + k, channel);
    }
    return ref_round(dtype, ref_naive_activation(c->activation, y));
}
