/* Plans of appends and rotations for devices that are not here: every dispatch keeps to the device's limits and sees
 * what it works on, and together they do every row once for every range of pages. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "plan/cache.h"
#include "plan_check.h"
#include "plan_view.h"
#include "support/tensor.h"

/* Kernels of caches need no subgroups and no f16, eight storage buffers at most and 16 KiB of shared memory. */
#define CACHE_CAPS(type_, invocations, groups, range, align)                                                           \
    .type = type_, .subgroup_size = 8, .subgroup_min = 8, .subgroup_max = 64, .shared_bytes = 16384,                   \
    .max_invocations = invocations, .max_groups = {groups, 65535, 65535}, .storage_range = range,                      \
    .storage_buffers = 8, .storage_align = align

static const device cache_devices[] = {
    {"mali g52", {CACHE_CAPS(VKA_DEVICE_INTEGRATED, 256, 65535, 4096 * MIB - 1, 64)}},
    {"adreno 618", {CACHE_CAPS(VKA_DEVICE_INTEGRATED, 1024, 65535, 128 * MIB, 64)}},
    {"h200", {CACHE_CAPS(VKA_DEVICE_DISCRETE, 1024, 2147483647, 4096 * MIB - 1, 16)}},
    {"software", {CACHE_CAPS(VKA_DEVICE_CPU, 1024, 65535, 128 * MIB, 16)}},
    {"smallest", {CACHE_CAPS(VKA_DEVICE_OTHER, 128, 65535, 65536, 256)}},
    {"few", {CACHE_CAPS(VKA_DEVICE_OTHER, 20, 9, 65536, 32)}},
};
#define CACHE_DEVICES (sizeof cache_devices / sizeof *cache_devices)

/* ---- problems -------------------------------------------------------------------------------------------------- */

static vka__cache_problem random_append(ref_rng *rng) {
    static const vka_dtype caches[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_I8, VKA_Q8_0};
    bool packed = ref_rng_below(rng, 3) == 0;
    uint32_t pages = ONE_OF(rng, 1, 17, 300);
    vka__cache_problem p = {
        .sequences = ONE_OF(rng, 1, 2, 5, 33),
        .heads = ONE_OF(rng, 1, 2, 8),
        .tokens = ONE_OF(rng, 1, 3, 64, 1023),
        .page = ONE_OF(rng, 0, 0, 8, 16),
        .capacity = ONE_OF(rng, 1, 64, 1025),
    };
    for (int i = 0; i < 2; i++) {
        vka_dtype type = caches[ref_rng_below(rng, 5)];
        uint32_t d = type == VKA_Q8_0 ? ONE_OF(rng, 32, 64, 96, 128, 576) : ONE_OF(rng, 1, 8, 40, 59, 64, 128, 1024);
        uint32_t outer = p.page ? pages : p.sequences, rows = p.page ? p.page : p.capacity;
        p.side[i].x =
            random_view(rng, dtypes[ref_rng_below(rng, DTYPES)], packed ? 1 : p.sequences, p.heads, p.tokens, d);
        p.side[i].cache = random_view(rng, type, outer, p.heads, rows, d);
        if (type == VKA_I8) {
            p.side[i].scale = random_view(rng, VKA_F32, outer, p.heads, rows, 1);
        }
    }
    if (packed) {
        p.offsets = random_view(rng, VKA_I32, 1, 1, 1, p.sequences + 1);
    }
    if (p.page) {
        p.page_table = random_view(rng, VKA_I32, 1, 1, p.sequences, 8);
        p.capacity = 8 * p.page;
    }
    if (ref_rng_below(rng, 2)) {
        p.lengths = random_view(rng, VKA_I32, 1, 1, 1, p.sequences);
        p.new_lengths = random_view(rng, VKA_I32, 1, 1, 1, p.sequences);
    }
    return p;
}

/* ---- what holds for every plan --------------------------------------------------------------------------------- */

static void check_cache_dispatch(const device *d, const vka__dispatch *x) {
    check_dispatch(d, x);
    cr_assert(x->groups[1] == 1 && x->groups[2] == 1);
    cr_assert(x->key.spec[VKA_SPEC_GROUP_SIZE] >= 1 && x->key.spec[VKA_SPEC_GROUP_SIZE] <= d->caps.max_invocations);
}

/* The binding sees the box of the view from `begin` on. */
static void check_box(const device *d, const vka__view *v, const uint32_t begin[3], const uint32_t size[3],
                      const vka__dispatch *x, uint32_t slot) {
    vka__view box = *v;
    uint64_t first = 0;
    for (int i = 0; i < 3; i++) {
        cr_assert(begin[i] + size[i] <= v->shape[i] && size[i] > 0, "%s: a box leaves the tensor", d->name);
        box.shape[i] = size[i];
        first += begin[i] * v->stride[i];
    }
    uint64_t from = v->offset + vka__view_bytes(v, first), unit = v->block > 1 ? 2 : v->size;
    const vka__binding *b = &x->binding[slot];
    cr_assert_eq(b->offset + x->push.base[slot] * unit, from, "%s: slot %u begins at the wrong place", d->name, slot);
    cr_assert_geq(b->offset + b->range, from + vka__view_bytes(v, vka__view_extent(&box, 0)), "%s: slot %u is cut off",
                  d->name, slot);
}

/* What a dispatch of a side binds, and how many rows times pages it does. */
static uint64_t check_append_dispatch(const device *d, const vka__cache_problem *p, const vka__dispatch *x) {
    const vka__cache_side *s = &p->side[x->push.h0];
    uint32_t rows = x->push.rows, h = x->push.dim1, n = x->push.dim2, b = rows / h / n;
    cr_assert_eq(rows, b * h * n);
    /* The first head is not pushed: the bindings alone know it. Whatever it is, boxes of one size lie side by side. */
    uint64_t step = s->cache.stride[1] ? s->cache.stride[1] : 1;
    uint32_t outer = p->page ? x->push.y0 : x->push.b0;
    uint64_t unit = s->cache.block > 1 ? 2 : s->cache.size;
    uint64_t from = x->binding[VKA_BIND_CACHE].offset + x->push.base[VKA_BIND_CACHE] * unit - s->cache.offset;
    uint64_t elements = from / s->cache.size * s->cache.block - outer * s->cache.stride[0];
    elements -= p->page ? 0 : x->push.y0 * s->cache.stride[2];
    uint32_t head = s->cache.shape[1] > 1 ? (uint32_t)(elements / step) : 0;
    const uint32_t stored[3] = {outer, head, p->page ? 0 : x->push.y0};
    const uint32_t extent[3] = {p->page ? x->push.z0 : b, h, p->page ? p->page : x->push.z0};
    check_box(d, &s->cache, stored, extent, x, VKA_BIND_CACHE);
    if (s->scale.present) {
        check_box(d, &s->scale, stored, extent, x, VKA_BIND_SCALE);
    }
    bool packed = p->offsets.present;
    const uint32_t begin[3] = {packed ? 0 : x->push.b0, head, packed ? 0 : x->push.x0};
    const uint32_t size[3] = {packed ? 1 : b, h, packed ? s->x.shape[2] : n};
    check_box(d, &s->x, begin, size, x, VKA_BIND_X);
    cr_assert(x->push.b0 + b <= p->sequences && x->push.x0 + n <= p->tokens);
    cr_assert_leq((uint64_t)x->push.y0 + x->push.z0, s->cache.shape[p->page ? 0 : 2]);
    const uint32_t *spec = x->key.spec;
    uint32_t team = spec[VKA_SPEC_TC], group_rows = spec[VKA_SPEC_GROUP_SIZE] / team;
    cr_assert(team >= 1 && team * group_rows == spec[VKA_SPEC_GROUP_SIZE]);
    cr_assert_geq((uint64_t)x->groups[0] * group_rows, rows, "%s: rows are left out", d->name);
    cr_assert_lt((uint64_t)(x->groups[0] - 1) * group_rows, rows, "%s: a workgroup has nothing to do", d->name);
    /* As append.comp declares them, in 16 KiB. */
    uint64_t vectors = (spec[VKA_SPEC_D] + 3) / 4;
    cr_assert_leq(4 * group_rows * (vectors + (vectors + 7) / 8), d->caps.shared_bytes);
    return (uint64_t)rows * x->push.z0;
}

static bool fits(const device *d, const vka__view *v, uint32_t first_dim) {
    return vka__fits_binding(&d->caps, v, v->present ? vka__view_extent(v, first_dim) : 0);
}

/* The reasons to refuse: a row, or a packed head, of what is new; a token or a page of a cache. */
static bool has_too_large(const device *d, const vka__cache_problem *p) {
    bool large = false;
    for (int i = 0; i < 2; i++) {
        const vka__cache_side *s = &p->side[i];
        large = large || !fits(d, &s->x, p->offsets.present ? 2 : 3) || !fits(d, &s->cache, p->page ? 2 : 3) ||
                !fits(d, &s->scale, p->page ? 2 : 3);
    }
    return large;
}

static void check_append(const device *d, const vka__cache_problem *p) {
    vka__cache_plan plan;
    vka__refusal refusal = {0};
    if (vka__plan_cache(&d->caps, p, &plan, &refusal) != VKA_OK) {
        cr_assert(refusal.field && refusal.reason[0]);
        cr_assert(has_too_large(d, p), "%s: %s: %s", d->name, refusal.field, refusal.reason);
        return;
    }
    uint64_t done[2] = {0}, advanced = 0;
    for (uint64_t i = 0; i < vka__cache_dispatches(&plan); i++) {
        vka__dispatch x;
        vka__cache_dispatch(&d->caps, p, &plan, i, &x);
        check_cache_dispatch(d, &x);
        if (x.key.kernel == VKA__cache_lengths) {
            advanced++;
        } else {
            done[x.push.h0] += check_append_dispatch(d, p, &x);
        }
    }
    for (int i = 0; i < 2; i++) {
        uint64_t rows = (uint64_t)p->sequences * p->heads * p->tokens;
        cr_assert_eq(done[i], rows * p->side[i].cache.shape[p->page ? 0 : 2], "%s: side %d", d->name, i);
    }
    cr_assert_eq(advanced, p->new_lengths.present);
}

Test(plan_cache, appends_keep_to_limits) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 1500; i++) {
        vka__cache_problem p = random_append(&rng);
        for (size_t d = 0; d < CACHE_DEVICES; d++) {
            check_append(&cache_devices[d], &p);
        }
    }
}

Test(plan_cache, rotations_keep_to_limits) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 1500; i++) {
        uint32_t b = ONE_OF(&rng, 1, 2, 33), h = ONE_OF(&rng, 1, 8, 32), n = ONE_OF(&rng, 1, 3, 1023, 4096);
        uint32_t d = ONE_OF(&rng, 2, 8, 40, 64, 128, 1024), dims = ref_rng_below(&rng, 2) ? 2 : d < 512 ? d : 512;
        vka__rotate_problem p = {.x = random_view(&rng, VKA_F16, b, h, n, d),
                                 .out = random_view(&rng, dtypes[ref_rng_below(&rng, DTYPES)], b, h, n, d),
                                 .rope = {.enabled = true, .pairs = dims / 2, .theta = 10000, .frequency_scale = 1}};
        for (size_t k = 0; k < CACHE_DEVICES; k++) {
            vka__rotate_plan plan;
            vka__refusal refusal = {0};
            uint64_t done = 0;
            if (vka__plan_rotate(&cache_devices[k].caps, &p, &plan, &refusal) != VKA_OK) {
                cr_assert(!fits(&cache_devices[k], &p.x, 3) || !fits(&cache_devices[k], &p.out, 3), "%s",
                          refusal.reason);
                continue;
            }
            for (uint64_t at = 0; at < vka__rotate_dispatches(&plan); at++) {
                vka__dispatch x;
                vka__rotate_dispatch(&cache_devices[k].caps, &p, &plan, at, &x);
                check_cache_dispatch(&cache_devices[k], &x);
                uint64_t units = (uint64_t)x.push.rows * plan.params.units;
                cr_assert_geq((uint64_t)x.groups[0] * x.key.spec[VKA_SPEC_GROUP_SIZE], units);
                done += x.push.rows;
            }
            cr_assert_eq(done, (uint64_t)b * h * n, "%s", cache_devices[k].name);
        }
    }
}

/* ---- choices --------------------------------------------------------------------------------------------------- */

static vka__cache_problem append_of(vka_dtype cache, uint32_t d, uint32_t tokens, uint32_t capacity) {
    vka__cache_problem p = {.sequences = 1, .heads = 8, .tokens = tokens, .capacity = capacity};
    for (int i = 0; i < 2; i++) {
        p.side[i] = (vka__cache_side){.x = dense(VKA_F16, 1, 8, tokens, d), .cache = dense(cache, 1, 8, capacity, d)};
    }
    return p;
}

/* Neighbours of a team own neighbouring vectors; software drivers have no use for teams. */
Test(plan_cache, teams) {
    static const struct {
        uint32_t device, d, team, group;
    } cases[] = {{0, 128, 32, 128},   {1, 64, 16, 128}, {2, 128, 32, 128}, {2, 80, 20, 120},
                 {2, 1024, 128, 128}, {3, 128, 1, 8},   {5, 128, 20, 20},  {5, 8, 2, 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const device *d = &cache_devices[cases[i].device];
        vka__cache_problem p = append_of(VKA_F16, cases[i].d, 1, 16);
        vka__cache_plan plan;
        vka__refusal refusal;
        cr_assert_eq(vka__plan_cache(&d->caps, &p, &plan, &refusal), VKA_OK);
        cr_expect_eq(plan.side[0].key.spec[VKA_SPEC_TC], cases[i].team, "%s, D = %u", d->name, cases[i].d);
        cr_expect_eq(plan.side[0].key.spec[VKA_SPEC_GROUP_SIZE], cases[i].group, "%s, D = %u", d->name, cases[i].d);
    }
}

/* A step of decoding is a dispatch for keys and one for values, whatever the cache's size; keys and values of one shape
 * share a pipeline. */
Test(plan_cache, a_step_is_two_dispatches) {
    vka__cache_problem p = append_of(VKA_Q8_0, 128, 1, 131072);
    for (size_t i = 0; i < 3; i++) {
        vka__cache_plan plan;
        vka__refusal refusal;
        cr_assert_eq(vka__plan_cache(&cache_devices[i].caps, &p, &plan, &refusal), VKA_OK);
        cr_expect_eq(vka__cache_dispatches(&plan), i == 1 ? 4 : 2, "%s", cache_devices[i].name); /* 136 MiB each */
        cr_expect(!memcmp(&plan.side[0].key, &plan.side[1].key, sizeof plan.side[0].key));
    }
}
