/* Two attentions over different keys made into one, a row at a time, by the definition of softmax.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

static double log_add(double a, double b) {
    if (isnan(a) || isnan(b)) {
        return NAN;
    }
    double larger = a > b ? a : b, apart = fabs(a - b);
    return isinf(larger) ? larger : larger + log(1 + exp(-apart));
}

/* An empty part adds nothing, whatever its output holds. */
static double share(double part_lse, double lse, double x) {
    return part_lse == -INFINITY ? 0 : exp(part_lse - lse) * x;
}

void ref_merge_row(const ref_merge *m, double *out, double *lse) {
    *lse = log_add((double)m->a_lse, (double)m->b_lse);
    for (uint32_t c = 0; c < m->cols; c++) {
        out[c] = share((double)m->a_lse, *lse, (double)m->a[c]) + share((double)m->b_lse, *lse, (double)m->b[c]);
    }
}

void ref_merge_naive_row(const ref_merge *m, vka_dtype dtype, float *out, float *lse) {
    float larger = fmaxf(m->a_lse, m->b_lse);
    if (larger == -INFINITY) {
        larger = 0;
    }
    float a = expf(m->a_lse - larger), b = expf(m->b_lse - larger), sum = a + b;
    *lse = larger + logf(sum);
    for (uint32_t c = 0; c < m->cols; c++) {
        float x = (a > 0 ? a * m->a[c] : 0) + (b > 0 ? b * m->b[c] : 0);
        out[c] = ref_round(dtype, sum > 0 ? x / sum : 0);
    }
}

void ref_merge_backward_row(const ref_merge *m, const float *d_out, double d_lse, double *d_a, double *d_a_lse) {
    double lse = log_add((double)m->a_lse, (double)m->b_lse), product = 0;
    double weight = share((double)m->a_lse, lse, 1), other = share((double)m->b_lse, lse, 1);
    bool empty = m->a_lse == -INFINITY;
    for (uint32_t c = 0; c < m->cols; c++) {
        d_a[c] = empty ? 0 : weight * (double)d_out[c];
        product += m->b_lse == -INFINITY || empty ? 0 : (double)d_out[c] * ((double)m->a[c] - (double)m->b[c]);
    }
    *d_a_lse = empty ? 0 : weight * (d_lse + other * product);
}

/* By the merged output. */
void ref_merge_naive_backward_row(const ref_merge *m, vka_dtype dtype, const float *d_out, float d_lse, float *d_a,
                                  float *d_a_lse) {
    float larger = fmaxf(m->a_lse, m->b_lse), delta = 0;
    bool empty = m->a_lse == -INFINITY, alone = m->b_lse == -INFINITY;
    float a = empty ? 0 : expf(m->a_lse - larger), b = alone ? 0 : expf(m->b_lse - larger), weight = a / (a + b);
    for (uint32_t c = 0; c < m->cols; c++) {
        float out = alone ? m->a[c] : weight * m->a[c] + b / (a + b) * m->b[c];
        d_a[c] = empty ? 0 : ref_round(dtype, weight * d_out[c]);
        delta += d_out[c] * (m->a[c] - out);
    }
    *d_a_lse = empty ? 0 : weight * (d_lse + (alone ? 0 : delta));
}
