/* Compares what the device computed with what a case expects.
 * SPDX-License-Identifier: MIT */
#include "conformance.h"

#include <math.h>
#include <stdio.h>

#include "reference.h"

/* ONNX judges its operator tests by rtol 1e-3 and atol 1e-7 (onnx/backend/test/case/node/__init__.py). For 16-bit
 * types, whose last bit alone is 2^-11 and 2^-8 of a number, that would forbid another order of summation. */
static void tolerance(vka_dtype dtype, double *rtol, double *atol) {
    *rtol = dtype == VKA_BF16 ? 1e-2 : 1e-3;
    *atol = dtype == VKA_BF16 ? 1e-2 : dtype == VKA_F16 ? 1e-3 : 1e-7;
}

static double element(vka_dtype dtype, const void *data, size_t index) {
    float value;
    ref_load(dtype, &value, (const char *)data + index * vka_dtype_size(dtype), 1);
    return (double)value;
}

/* How far beyond the tolerance, as a multiple of it: up to 1 is right. */
static double distance(double got, double want, double rtol, double atol) {
    if (isnan(got) || isnan(want)) {
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    }
    if (isinf(got) || isinf(want)) {
        return got == want ? 0 : INFINITY;
    }
    return fabs(got - want) / (atol + rtol * fabs(want));
}

static void unravel(const case_tensor *t, size_t index, uint32_t place[CASE_MAX_RANK]) {
    for (uint32_t i = t->rank; i-- > 0;) {
        place[i] = (uint32_t)(index % t->dims[i]);
        index /= t->dims[i];
    }
}

bool compare(const case_tensor *want, vka_dtype dtype, const void *got, result *r) {
    double rtol, atol, worst_distance = 0;
    size_t wrong = 0, worst = 0;
    tolerance(want->type->dtype, &rtol, &atol);
    for (size_t i = 0; i < want->count; i++) {
        double d = distance(element(dtype, got, i), element(want->type->dtype, want->data, i), rtol, atol);
        wrong += d > 1;
        if (d > worst_distance) {
            worst_distance = d;
            worst = i;
        }
    }
    if (wrong == 0) {
        return true;
    }
    uint32_t place[CASE_MAX_RANK];
    char text[128];
    unravel(want, worst, place);
    double a = element(dtype, got, worst), b = element(want->type->dtype, want->data, worst);
    return fail(r, "%s: %zu of %zu elements are wrong, most of all %s: got %.9g, want %.9g, off by %.3g, allowed %.3g",
                want->name, wrong, want->count, case_shape_text(want->rank, place, text), a, b, fabs(a - b),
                atol + rtol * fabs(b));
}
