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
