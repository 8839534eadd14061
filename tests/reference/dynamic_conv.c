/* LightConv and DynamicConv by their definition.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

/* Where tap k of a token lies in the sequence. */
static int64_t place_of(const ref_dynamic_conv *c, uint32_t token, uint32_t k) {
    return (int64_t)token + c->ahead - (c->taps - 1) + k;
}

static bool is_there(const ref_dynamic_conv *c, int64_t place) {
    return place >= 0 && place < c->length;
}

static const float *weights_of(const ref_dynamic_conv *c, uint32_t token, uint32_t channel) {
    size_t head = channel / (c->channels / c->heads);
    return c->weight + ((c->same ? 0 : (size_t)token * c->heads) + head) * c->taps;
}

static float input(const ref_dynamic_conv *c, int64_t place, uint32_t channel) {
    return c->x[(size_t)place * c->channels + channel];
}

/* A softmax without anything to share is 0. */
double ref_dynamic_conv_at(const ref_dynamic_conv *c, uint32_t token, uint32_t channel) {
    const float *w = weights_of(c, token, channel);
    double most = -INFINITY, sum = 0, y = 0;
    if (token >= c->length) {
        return 0;
    }
    for (uint32_t k = 0; k < c->taps; k++) {
        if (!c->renormalise || is_there(c, place_of(c, token, k))) {
            most = isnan(w[k]) ? NAN : fmax(most, (double)w[k]);
            if (isnan(most)) {
                return NAN;
            }
        }
    }
    for (uint32_t k = 0; k < c->taps; k++) {
        int64_t place = place_of(c, token, k);
        double share = most == -INFINITY ? 0 : exp((double)w[k] - most);
        sum += !c->renormalise || is_there(c, place) ? share : 0;
        y += is_there(c, place) ? share * (double)input(c, place, channel) : 0;
    }
    return sum == 0 ? y : y / sum;
}

float ref_dynamic_conv_naive_at(const ref_dynamic_conv *c, vka_dtype dtype, uint32_t token, uint32_t channel) {
    const float *w = weights_of(c, token, channel);
    float most = -INFINITY, sum = 0, y = 0;
    for (uint32_t k = 0; k < c->taps; k++) {
        most = !c->renormalise || is_there(c, place_of(c, token, k)) ? fmaxf(most, w[k]) : most;
    }
    for (uint32_t k = 0; k < c->taps; k++) {
        sum += !c->renormalise || is_there(c, place_of(c, token, k)) ? expf(w[k] - most) : 0;
    }
    for (uint32_t k = 0; k < c->taps && token < c->length; k++) {
        int64_t place = place_of(c, token, k);
        y += is_there(c, place) ? expf(w[k] - most) / sum * input(c, place, channel) : 0;
    }
    return ref_round(dtype, y);
}

/* The shares of a token's taps, of which those that there are not are 0. */
static void shares_of(const ref_dynamic_conv *c, bool naive, uint32_t token, const float *w, double *share) {
    double most = -INFINITY, sum = 0;
    for (uint32_t k = 0; k < c->taps; k++) {
        bool counts = !c->renormalise || is_there(c, place_of(c, token, k));
        most = !counts ? most : isnan(w[k]) || isnan(most) ? NAN : fmax(most, (double)w[k]);
    }
    for (uint32_t k = 0; k < c->taps; k++) {
        bool counts = !c->renormalise || is_there(c, place_of(c, token, k));
        share[k] = !counts || most == -INFINITY ? 0 : ref_step(naive, exp(ref_step(naive, (double)w[k] - most)));
        sum = ref_step(naive, sum + share[k]);
    }
    for (uint32_t k = 0; k < c->taps; k++) {
        share[k] = sum == 0 ? 0 : ref_step(naive, share[k] / sum);
    }
}

static void add_product(bool naive, double *to, double a, double b) {
    *to = ref_step(naive, *to + ref_step(naive, a * b));
}

static void add_head(const ref_dynamic_conv_backward *b, uint32_t token, uint32_t head, double *share, double *slope) {
    const ref_dynamic_conv *c = &b->forward;
    uint32_t channels = c->channels / c->heads, first = head * channels;
    double mean = 0, *to = b->d_weight + ((c->same ? 0 : (size_t)token * c->heads) + head) * c->taps;
    shares_of(c, b->naive, token, weights_of(c, token, first), share);
    for (uint32_t k = 0; k < c->taps; k++) {
        int64_t place = place_of(c, token, k);
        slope[k] = 0;
        for (uint32_t i = first; i < first + channels && is_there(c, place); i++) {
            double d_out = (double)b->d_out[(size_t)token * c->channels + i];
            add_product(b->naive, &b->d_x[(size_t)place * c->channels + i], share[k], d_out);
            add_product(b->naive, &slope[k], d_out, (double)input(c, place, i));
        }
        if (!c->renormalise || is_there(c, place)) {
            add_product(b->naive, &mean, share[k], slope[k]);
        }
    }
    for (uint32_t k = 0; k < c->taps; k++) {
        if (!c->renormalise || is_there(c, place_of(c, token, k))) {
            add_product(b->naive, &to[k], share[k], ref_step(b->naive, slope[k] - mean));
        }
    }
}

void ref_dynamic_conv_gradients(const ref_dynamic_conv_backward *b) {
    double share[256], slope[256];
    for (uint32_t token = 0; token < b->forward.length; token++) {
        for (uint32_t head = 0; head < b->forward.heads; head++) {
            add_head(b, token, head, share, slope);
        }
    }
}
