/* Plans for devices that are not here: attention that takes too long, or holds too much, for one dispatch.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "plan_check_attention.h"
#include "plan_problem.h"

/* 6 GiB of keys: no binding and no 32-bit offset sees them all. Each head fits, or its keys come in parts. */
Test(plan_work, more_than_four_gigabytes) {
    vka__attention_problem p = plain(VKA_F32, 48, 48, 64, 262144, 128);
    for (size_t i = 0; i < DEVICES; i++) {
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        vka_status status = vka__plan_attention(&devices[i].caps, &p, &plan, &refusal);
        uint64_t head = UINT64_C(262144) * 128 * 4;
        bool fits = head + 512 < devices[i].caps.storage_range;
        if (status != VKA_OK) { /* bindings that no driver has: even a tile's partial results are too many for one */
            cr_assert(devices[i].caps.storage_range <= MIB && !strcmp(refusal.field, "k"), "%s: %s: %s",
                      devices[i].name, refusal.field, refusal.reason);
            continue;
        }
        cr_assert_neq(plan.slice, VKA__SLICE_ALL);
        cr_assert_eq(plan.parts > 1, !fits, "%s: %u parts", devices[i].name, plan.parts);
        check_dispatches(&devices[i], &p, &plan);
    }
}

/* ---- work of a dispatch ----------------------------------------------------------------------------------------- */

static uint64_t dispatch_ops(const vka__attention_problem *p, const vka__attention_plan *plan, const vka__dispatch *x) {
    uint64_t keys = p->band ? (uint64_t)(p->band_hi - p->band_lo) + plan->main.spec[VKA_SPEC_BR] : p->k.shape[2];
    uint64_t groups = (uint64_t)x->groups[0] * x->groups[1] * x->groups[2];
    return 2 * groups * plan->main.spec[VKA_SPEC_BR] * keys / plan->splits * (p->q.shape[3] + p->v.shape[3]);
}

/* Every workgroup of every slice is in one dispatch, and each dispatch keeps to `ops`. Returns how many there are,
 * merges aside. */
static uint64_t check_work(const device *d, const vka__attention_problem *p, uint64_t ops) {
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    cr_assert_eq(vka__plan_attention(&d->caps, p, &plan, &refusal), VKA_OK, "%s: %s", d->name, refusal.reason);
    const uint32_t *n = plan.main_grid.groups;
    size_t groups = (size_t)n[0] * n[1] * n[2];
    uint8_t *seen = calloc(groups * plan.slices, 1);
    cr_assert_not_null(seen);
    uint64_t count = vka__attention_dispatches(&plan), per_slice = plan.main_chunks + plan.merge_chunks;
    for (uint64_t i = 0; i < count; i++) {
        vka__dispatch x = {0};
        vka__attention_dispatch(&d->caps, p, &plan, i, &x);
        check_dispatch(d, &x);
        if (i % per_slice >= plan.main_chunks) {
            continue;
        }
        cr_assert(dispatch_ops(p, &plan, &x) <= ops, "%s: %llu operations", d->name,
                  (unsigned long long)dispatch_ops(p, &plan, &x));
        for (uint32_t g = 0; g < x.groups[0] * x.groups[1] * x.groups[2]; g++) {
            uint32_t gx = x.push.x0 + g % x.groups[0], gy = x.push.y0 + g / x.groups[0] % x.groups[1];
            uint32_t gz = x.push.z0 + g / x.groups[0] / x.groups[1];
            cr_assert(gx < n[0] && gy < n[1] && gz < n[2], "%s", d->name);
            seen[i / per_slice * groups + ((size_t)gz * n[1] + gy) * n[0] + gx]++;
        }
    }
    for (size_t g = 0; g < groups * plan.slices; g++) {
        cr_assert_eq(seen[g], 1, "%s: workgroup %zu is done %d times", d->name, g, seen[g]);
    }
    free(seen);
    check_dispatches(d, p, &plan);
    return plan.slices * plan.main_chunks;
}

static vka__attention_problem batched(uint32_t batch, uint32_t heads, uint32_t n, uint32_t d) {
    vka__attention_problem p = plain(VKA_F16, heads, heads, n, n, d);
    vka__view *views[] = {&p.q, &p.k, &p.v, &p.out};
    for (int i = 0; i < 4; i++) {
        *views[i] = dense(VKA_F16, batch, heads, n, d);
    }
    vka__attention_sizes(&p);
    return p;
}

/* Half a second for a slow GPU of the class: batches are cut first, then heads, then the tiles of a head. */
Test(plan_work, long_attention_in_several_dispatches) {
    const uint64_t slow[] = {[VKA_DEVICE_INTEGRATED] = 150000000000, [VKA_DEVICE_DISCRETE] = 1000000000000};
    const vka__attention_problem problems[] = {
        batched(64, 4, 4096, 128), batched(1, 40, 16384, 128), batched(1, 1, 131072, 64),
        batched(3, 5, 65536, 64),  batched(1, 2, 262144, 59),
    };
    for (size_t i = 0; i < DEVICES; i++) {
        vka_device_type type = devices[i].caps.type;
        uint64_t ops = type == VKA_DEVICE_DISCRETE ? slow[VKA_DEVICE_DISCRETE] : slow[VKA_DEVICE_INTEGRATED];
        for (size_t n = 0; n < sizeof problems / sizeof *problems && devices[i].caps.storage_range > 64 * MIB; n++) {
            const vka__attention_problem *p = &problems[n];
            uint64_t pairs = (uint64_t)p->q.shape[0] * p->q.shape[1] * p->q.shape[2] * p->k.shape[2];
            uint64_t all = 2 * pairs * (p->q.shape[3] + p->v.shape[3]);
            if (type == VKA_DEVICE_CPU) {
                uint64_t count = check_work(&devices[i], p, UINT64_MAX);
                cr_expect(n != 2 || count == 1, "%s: nobody watches it", devices[i].name);
                continue;
            }
            uint64_t count = check_work(&devices[i], p, ops), slices = (uint64_t)p->q.shape[0] * p->q.shape[1];
            cr_expect(count >= all / ops && count <= 2 * all / ops + slices, "%s, problem %zu: %llu dispatches",
                      devices[i].name, n, (unsigned long long)count);
        }
    }
}

/* Splits are groups like any other; a window counts for what it sees. */
Test(plan_work, long_attention_split_or_windowed) {
    const device *gpu = device_named("intel");
    vka__attention_problem p = batched(1, 2, 65536, 64);
    p.splits = 7;
    uint64_t count = check_work(gpu, &p, 150000000000);
    cr_expect(count >= 15 && count <= 30, "%llu dispatches", (unsigned long long)count);
    p = batched(1, 4, 1u << 18, 64);
    p.band = true;
    p.band_lo = -255;
    cr_expect_eq(check_work(gpu, &p, 150000000000), 1);
}

Test(plan_work, short_attention_in_one_dispatch) {
    for (size_t i = 0; i < DEVICES; i++) {
        if (devices[i].caps.storage_range < 128 * MIB) {
            continue;
        }
        vka__attention_problem p = batched(1, 8, 4096, 128);
        cr_expect_eq(check_work(&devices[i], &p, UINT64_MAX), 1, "%s", devices[i].name);
        p = batched(2, 12, 512, 64);
        cr_expect_eq(check_work(&devices[i], &p, UINT64_MAX), 1, "%s", devices[i].name);
    }
}

/* A single workgroup beyond the cap is a dispatch of its own. */
Test(plan_work, work_of_a_group_beyond_the_cap) {
    device d = {"integrated", {CAPS(VKA_DEVICE_INTEGRATED, 32, 32, 32, 49152, 1024, 4096 * MIB - 1, 64, true)}};
    vka__attention_problem p = plain(VKA_F16, 1, 1, 1000, 1u << 23, 200);
    vka__attention_plan plan;
    vka__refusal refusal;
    p.splits = 1;
    cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_OK);
    cr_expect_eq(vka__attention_dispatches(&plan), plan.tiles);
    check_dispatches(&d, &p, &plan);
}

Test(plan_work, grid_cap) {
    static const struct {
        uint32_t groups[3], limit[3];
        uint64_t most;
        uint32_t capped[3];
    } cases[] = {
        {{10, 4, 3}, {100, 100, 100}, UINT64_MAX, {10, 4, 3}},
        {{10, 4, 3}, {100, 100, 100}, 120, {10, 4, 3}},
        {{10, 4, 3}, {100, 100, 100}, 119, {10, 4, 2}},
        {{10, 4, 3}, {100, 100, 100}, 79, {10, 4, 1}},
        {{10, 4, 3}, {100, 100, 100}, 39, {10, 2, 1}},
        {{10, 4, 3}, {100, 100, 100}, 19, {10, 1, 1}},
        {{10, 4, 3}, {100, 100, 100}, 9, {5, 1, 1}},
        {{10, 4, 3}, {100, 100, 100}, 1, {1, 1, 1}},
        {{10, 4, 3}, {100, 100, 100}, 0, {1, 1, 1}},
        {{10, 4, 3}, {7, 3, 2}, 42, {7, 3, 2}},
        {{10, 4, 3}, {7, 3, 2}, 41, {7, 3, 1}},
        {{UINT32_MAX, 1, 1}, {65535, 1, 1}, 1000, {1000, 1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka__grid grid;
        memcpy(grid.groups, cases[i].groups, sizeof grid.groups);
        memcpy(grid.limit, cases[i].limit, sizeof grid.limit);
        vka__grid_cap(&grid, cases[i].most);
        cr_expect(!memcmp(grid.limit, cases[i].capped, sizeof grid.limit), "case %zu: %u x %u x %u", i, grid.limit[0],
                  grid.limit[1], grid.limit[2]);
    }
}
