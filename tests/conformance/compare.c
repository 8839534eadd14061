/* Compares what the device computed with what a case expects.
 * SPDX-License-Identifier: MIT */
#include "conformance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reference.h"

/* How far a result may be off: by atol + rtol |want|, and by `most`. */
typedef struct tolerance {
    double rtol, atol, most;
} tolerance;

/* ONNX judges its operator tests by rtol 1e-3 and atol 1e-7 (onnx/backend/test/case/node/__init__.py). For 16-bit
 * types, whose last bit alone is 2^-11 and 2^-8 of a number, that would forbid another order of summation. */
static tolerance onnx_tolerance(vka_dtype dtype) {
    return (tolerance){.rtol = dtype == VKA_BF16 ? 1e-2 : 1e-3,
                       .atol = dtype == VKA_BF16  ? 1e-2
                               : dtype == VKA_F16 ? 1e-3
                                                  : 1e-7,
                       .most = INFINITY};
}

/* PyTorch's cases say what is right in f64, and mostly how far off its own operator is in the type of the result: twice
 * as much is allowed, and 1e-5. f32 is held to rtol 1e-3 and atol 1e-5 too. */
static tolerance torch_tolerance(const case_tensor *want, vka_dtype dtype) {
    tolerance f32 = {1e-3, 1e-5, INFINITY}, any = {0, INFINITY, INFINITY};
    tolerance t = dtype == VKA_F32 ? f32 : any;
    t.most = want->has_naive ? 2 * want->naive + 1e-5 : INFINITY;
    return t;
}

static double allowed(const tolerance *t, double want) {
    return fmin(t->atol + t->rtol * fabs(want), t->most);
}

static bool is_f64(const case_tensor *t) {
    return strcmp(t->type->name, "f64") == 0;
}

static double element(vka_dtype dtype, const void *data, size_t index) {
    float value;
    ref_load(dtype, &value, (const char *)data + index * vka_dtype_size(dtype), 1);
    return (double)value;
}

static double wanted(const case_tensor *t, size_t index) {
    double value;
    if (!is_f64(t)) {
        return element(t->type->dtype, t->data, index);
    }
    memcpy(&value, (const char *)t->data + index * sizeof value, sizeof value);
    return value;
}

/* How far beyond the tolerance, as a multiple of it: up to 1 is right. */
static double distance(double got, double want, const tolerance *t) {
    if (isnan(got) || isnan(want)) {
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    }
    if (isinf(got) || isinf(want)) {
        return got == want ? 0 : INFINITY;
    }
    return fabs(got - want) / allowed(t, want);
}

static void unravel(const case_tensor *t, size_t index, uint32_t place[CASE_MAX_RANK]) {
    for (uint32_t i = t->rank; i-- > 0;) {
        place[i] = (uint32_t)(index % t->dims[i]);
        index /= t->dims[i];
    }
}

bool compare(const case_tensor *want, vka_dtype dtype, const void *got, result *r) {
    tolerance t = is_f64(want) ? torch_tolerance(want, dtype) : onnx_tolerance(want->type->dtype);
    if (isinf(t.atol) && isinf(t.most)) {
        return fail(r, "%s: the case does not say how exact it has to be", want->name);
    }
    double worst_distance = 0;
    size_t wrong = 0, worst = 0;
    r->compared |= 1u << want->index;
    for (size_t i = 0; i < want->count; i++) {
        double d = distance(element(dtype, got, i), wanted(want, i), &t);
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
    double a = element(dtype, got, worst), b = wanted(want, worst);
    return fail(r, "%s: %zu of %zu elements are wrong, most of all %s: got %.9g, want %.9g, off by %.3g, allowed %.3g",
                want->name, wrong, want->count, case_shape_text(want->rank, place, text), a, b, fabs(a - b),
                allowed(&t, b));
}
