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

/* z, the sum that the activation is taken of. */
static double sum_at(const ref_causal_conv *c, bool naive, uint32_t t, uint32_t channel) {
    double y = c->bias ? (double)c->bias[channel] : 0;
    for (uint32_t k = 0; k < c->taps; k++) {
        double x = (double)ref_causal_conv_input(c, (int64_t)t - c->taps + 1 + k, channel);
        y = ref_step(naive, y + ref_step(naive, (double)c->weight[(size_t)channel * c->taps + k] * x));
    }
    return y;
}

static double gradient_of_sum(const ref_causal_conv_backward *b, uint32_t t, uint32_t channel) {
    const ref_causal_conv *c = &b->forward;
    float d_out = b->d_out[(size_t)t * c->channels + channel];
    if (c->activation == VKA_ACTIVATION_NONE) {
        return (double)d_out;
    }
    double z = sum_at(c, b->naive, t, channel);
    return b->naive ? (double)ref_round(b->g_type, d_out * ref_naive_activation_slope(c->activation, (float)z))
                    : (double)d_out * ref_activation_slope(c->activation, z);
}

/* The gradient of an input, of the state where it is before the first token. */
static double *input_gradient(const ref_causal_conv_backward *b, int64_t t, uint32_t channel) {
    return t >= 0 ? &b->d_x[(size_t)t * b->forward.channels + channel]
                  : &b->d_state_in[(size_t)(t + b->forward.taps - 1) * b->forward.channels + channel];
}

static void add(bool naive, double *to, double x) {
    *to = ref_step(naive, *to + ref_step(naive, x));
}

void ref_causal_conv_gradients(const ref_causal_conv_backward *b) {
    const ref_causal_conv *c = &b->forward;
    for (uint32_t channel = 0; channel < c->channels; channel++) {
        for (uint32_t t = 0; t < b->tokens; t++) {
            double g = gradient_of_sum(b, t, channel);
            add(b->naive, &b->d_bias[channel], g);
            for (uint32_t k = 0; k < c->taps; k++) {
                int64_t from = (int64_t)t - c->taps + 1 + k;
                size_t tap = (size_t)channel * c->taps + k;
                add(b->naive, input_gradient(b, from, channel), g * (double)c->weight[tap]);
                add(b->naive, &b->d_weight[tap], g * (double)ref_causal_conv_input(c, from, channel));
            }
        }
        for (uint32_t j = 0; b->d_state_out && j + 1 < c->taps; j++) {
            int64_t from = (int64_t)b->tokens - c->taps + 1 + j;
            add(b->naive, input_gradient(b, from, channel), (double)b->d_state_out[(size_t)j * c->channels + channel]);
        }
    }
}
