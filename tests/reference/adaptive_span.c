/* Adaptive attention spans, line by line as their authors' code has them (facebookresearch/adaptive-span: AdaptiveMask,
 * AdaptiveSpan, after the softmax of SeqAttention).
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

double ref_span_mask(double z, double ramp, int64_t x) {
    double mask = (z - (double)x) / ramp + 1;
    return mask < 0 ? 0 : mask > 1 ? 1 : mask;
}

double ref_span_slope(double z, double ramp, int64_t x) {
    double mask = ref_span_mask(z, ramp, x);
    return mask > 0 && mask < 1 ? 1 / (ramp * mask) : 0;
}

double ref_span_gradient(const float *d_out, uint32_t length, uint32_t zero, float z, float ramp, bool naive) {
    double sum = 0;
    for (uint32_t l = 0; l < length; l++) {
        int64_t x = (int64_t)zero - 1 - l;
        double term = (double)d_out[l] * ref_span_slope((double)z, (double)ramp, x);
        float mask = fminf(fmaxf((z - (float)x) / ramp + 1, 0), 1);
        float rounded = mask > 0 && mask < 1 ? d_out[l] / (mask * ramp) : 0;
        sum = naive ? (double)((float)sum + rounded) : sum + term;
    }
    return sum;
}

void ref_span_row(const ref_attention *a, double z, double ramp, uint32_t b, uint32_t h, uint32_t i, double *out,
                  double *scratch) {
    double *p = scratch, sum = 0;
    ref_attention_scores(a, VKA_SCORES_MASKED, b, h, i, p);
    ref_softmax softmax = ref_attention_softmax(a, b, h, i, p);
    for (uint32_t j = 0; j < a->kv_len; j++) {
        int64_t x = (int64_t)i + a->diagonal - 1 - j;
        p[j] = p[j] == -INFINITY ? 0 : exp(p[j] - softmax.max) / softmax.sum * ref_span_mask(z, ramp, x);
        sum += p[j];
    }
    size_t kv_head = (size_t)b * a->kv_heads + h / (a->q_heads / a->kv_heads);
    for (uint32_t c = 0; c < a->value_dim; c++) {
        out[c] = 0;
        for (uint32_t j = 0; j < a->kv_len; j++) {
            out[c] += p[j] / (sum + 1e-8) * (double)a->v[(kv_head * a->kv_len + j) * a->value_dim + c];
        }
    }
}
