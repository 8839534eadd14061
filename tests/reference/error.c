/* The accuracy rule.
 * SPDX-License-Identifier: MIT */
#include "reference.h"

#include <math.h>

void ref_error_add(ref_error *e, double out, double naive, double ref) {
    if (isnan(ref)) {
        e->broken = e->broken || !isnan(out);
    } else if (isinf(ref)) {
        e->broken = e->broken || out != ref;
    } else if (!isfinite(out)) {
        e->broken = true;
    } else {
        e->out = fmax(e->out, fabs(out - ref));
        /* A naive computation that overflows excuses nothing. */
        e->naive = isfinite(naive) ? fmax(e->naive, fabs(naive - ref)) : e->naive;
    }
}

void ref_error_join(ref_error *e, const ref_error *other) {
    e->out = fmax(e->out, other->out);
    e->naive = fmax(e->naive, other->naive);
    e->broken = e->broken || other->broken;
}

bool ref_error_ok(const ref_error *e) {
    return !e->broken && e->out <= 2 * e->naive + 1e-5;
}
