/* SPDX-License-Identifier: MIT */
#include "slices.h"

#include <criterion/criterion.h>

#include "reference.h"

vka_buffer *slices_workspace(context *c, const vka_requirements *need) {
    vka_buffer *buffer = NULL;
    if (need->workspace_bytes) {
        EXPECT_OK(vka_buffer_create(c->device, &(vka_buffer_desc){.size = need->workspace_bytes}, &buffer));
    }
    return buffer;
}

static uint64_t draw(ref_rng *rng, uint64_t all, slice_budgets budgets) {
    if (budgets == SLICES_SMALLEST) {
        return 0;
    }
    if (budgets == SLICES_WHOLE) {
        return UINT64_MAX;
    }
    uint32_t kind = ref_rng_below(rng, 8);
    return kind < 2 ? 0 : kind == 7 ? all : all / 2 * ref_rng_below(rng, 1000) / 1000;
}

/* One slice; false: there was nothing left. */
static bool record(vka_recorder *r, const vka_plan *const *plans, uint32_t count, uint64_t budget, vka_slice *slice) {
    const vka_slice before = *slice;
    EXPECT_OK(vka_plan_record_slice(r, plans, count, budget, slice));
    bool moved = slice->plan != before.plan || slice->dispatch != before.dispatch || slice->group != before.group;
    cr_assert(moved || slice->done, "a slice stands still");
    cr_assert(slice->work || slice->done, "a slice is empty");
    return slice->work;
}

slice_counts slices_run(context *c, vka_plan *const *plans, uint32_t count, slice_budgets budgets) {
    ref_rng rng = ref_rng_seed(test_seed() + count);
    vka_recorder *other, *r[2];
    slice_counts n = {0};
    uint64_t all = 0, done = 0;
    for (uint32_t i = 0; i < count; i++) {
        EXPECT_OK(vka_plan_prepare_slices(plans[i]));
        all += vka_plan_work(plans[i]);
    }
    EXPECT_OK(vka_recorder_create(c->device, NULL, &other));
    r[0] = c->recorder;
    r[1] = other;
    vka_slice slice = {0};
    while (!slice.done) {
        vka_recorder *now = r[n.submissions++ % 2];
        EXPECT_OK(vka_recorder_begin(now));
        uint32_t together = budgets == SLICES_SMALLEST ? 16 : 1 + ref_rng_below(&rng, 3);
        for (uint32_t i = 0; i < together && !slice.done; i++) {
            uint64_t budget = draw(&rng, all, budgets);
            n.slices += record(now, (const vka_plan *const *)plans, count, budget, &slice);
            done += slice.work;
        }
        EXPECT_OK(vka_recorder_submit(now));
    }
    cr_assert_eq(done, all, "%llu of %llu", (unsigned long long)done, (unsigned long long)all);
    cr_assert(slice.plan == count && !slice.dispatch && !slice.group);
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(vka_recorder_wait(r[i], VKA_FOREVER));
    }
    vka_recorder_destroy(&other);
    return n;
}
