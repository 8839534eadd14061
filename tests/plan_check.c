/* What holds for every dispatch of every plan.
 * SPDX-License-Identifier: MIT */
#include "plan_check.h"

#include <criterion/criterion.h>
#include <string.h>

void check_dispatch(const device *d, const vka__dispatch *x) {
    for (int i = 0; i < 3; i++) {
        cr_assert(x->groups[i] >= 1 && x->groups[i] <= d->caps.max_groups[i], "%s: %u groups", d->name, x->groups[i]);
    }
    for (int i = 1; i < VKA_MAX_BINDINGS; i++) {
        const vka__binding *b = &x->binding[i];
        if (b->access != VKA__UNUSED) {
            cr_assert_leq((uint32_t)i, d->caps.storage_buffers, "%s: binding %d", d->name, i);
            cr_assert_eq(b->offset % d->caps.storage_align, 0, "%s: binding %d", d->name, i);
            cr_assert(b->range > 0 && b->range % 4 == 0, "%s: binding %d has a range of %llu", d->name, i,
                      (unsigned long long)b->range);
            cr_assert_leq(b->range, d->caps.storage_range, "%s: binding %d", d->name, i);
        }
    }
}

void check_key(const device *d, const vka__pipeline_key *key, uint32_t shared) {
    const char *name = vka__kernel_name((vka__kernel)key->kernel);
    cr_assert_leq(key->spec[VKA_SPEC_GROUP_SIZE], d->caps.max_invocations, "%s: %s", d->name, name);
    cr_assert_gt(key->spec[VKA_SPEC_GROUP_SIZE], 0);
    cr_assert_leq(shared, d->caps.shared_bytes, "%s: %s", d->name, name);
    cr_assert(!strstr(name, "_sg") || d->caps.subgroup_arithmetic, "%s: %s", d->name, name);
    cr_assert(!strstr(name, "decode") || d->caps.subgroup_shuffle, "%s: %s", d->name, name);
    if (key->spec[VKA_SPEC_SUBGROUP]) { /* made for a width: it is the only one, or can be asked for */
        bool matrices = strstr(name, "coopmat");
        cr_assert(matrices || key->spec[VKA_SPEC_GROUP_SIZE] == key->spec[VKA_SPEC_SUBGROUP], "%s: %s", d->name, name);
        cr_assert(d->caps.subgroup_size_control || d->caps.subgroup_min == d->caps.subgroup_max);
        cr_assert_geq(key->spec[VKA_SPEC_SUBGROUP], d->caps.subgroup_min);
        cr_assert_leq(key->spec[VKA_SPEC_SUBGROUP], d->caps.subgroup_max);
    }
}

void check_binding(const device *d, const vka__view *v, uint64_t first, uint64_t extent, const vka__binding *b,
                   uint32_t base, const char *name) {
    if (!v->present || !extent) {
        return;
    }
    uint64_t begin = v->offset + vka__view_bytes(v, first), unit = v->block > 1 ? 2 : v->size;
    cr_assert_neq(b->access, VKA__UNUSED, "%s: %s is not bound", d->name, name);
    cr_assert_eq(b->offset + base * unit, begin, "%s: %s begins at the wrong place", d->name, name);
    cr_assert_geq(b->offset + b->range, begin + vka__view_bytes(v, extent), "%s: %s is cut off", d->name, name);
}
