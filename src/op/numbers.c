/* Scalars of descriptions.
 * SPDX-License-Identifier: MIT */
#include "op/call.h"

#include <float.h>
#include <string.h>

static double read_number(const vka__call *c, const vka__number *n) {
    const unsigned char *at = c->desc + n->desc;
    union {
        float f;
        uint32_t u;
        int32_t i;
    } value;
    memcpy(&value, at, sizeof value);
    switch (n->type) {
    case VKA__NUMBER_F32:
        return (double)value.f;
    case VKA__NUMBER_I32:
        return value.i;
    default:
        return value.u;
    }
}

static vka_status fail(const vka__call *c, const vka__number *n, double x) {
    const char *zero = n->zero && n->least > 0 ? "0, which stands for the default, or " : "";
    if (n->type == VKA__NUMBER_ENUM)
        return vka__call_fail(c, VKA_INVALID, n->name, "%d is not a %s", (int)(int64_t)x, n->enum_name);
    if (n->type != VKA__NUMBER_F32)
        return vka__call_fail(c, VKA_INVALID, n->name, "is %lld, but must be %s%lld .. %lld", (long long)x, zero,
                              (long long)n->least, (long long)n->most);
    if (n->least <= -(double)FLT_MAX)
        return vka__call_fail(c, VKA_INVALID, n->name, "is %g, but must be finite", x);
    if (n->most < (double)FLT_MAX && n->least == VKA__LEAST)
        return vka__call_fail(c, VKA_INVALID, n->name, "is %g, but must be %sabove 0 and at most %g", x, zero, n->most);
    if (n->most < (double)FLT_MAX)
        return vka__call_fail(c, VKA_INVALID, n->name, "is %g, but must be %s%g .. %g", x, zero, n->least, n->most);
    if (n->least == VKA__LEAST)
        return vka__call_fail(c, VKA_INVALID, n->name, "is %g, but must be %sfinite and above 0", x, zero);
    return vka__call_fail(c, VKA_INVALID, n->name, "is %g, but must be %sfinite and at least %g", x, zero, n->least);
}

/* Bounds of floats are floats themselves. */
static double bound(const vka__number *n, double x) {
    return n->type == VKA__NUMBER_F32 ? (double)(float)x : x;
}

vka_status vka__call_check_numbers(vka__call *c) {
    for (uint32_t i = 0; i < c->op->number_count; ++i) {
        const vka__number *n = &c->op->numbers[i];
        double x = read_number(c, n);
        c->number[i] = n->zero && x == 0 ? n->fallback : x;
        if (!(x >= bound(n, n->least) && x <= bound(n, n->most)) && !(n->zero && x == 0))
            return fail(c, n, x);
    }
    return VKA_OK;
}
