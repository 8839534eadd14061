/* Plans of appends and rotations for devices that are not here: every dispatch keeps to the device's limits and sees
 * what it works on, and together they do every row once for every range of pages. SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <vkattn/cache.h>
#include <vkattn/rope.h>

#include "params/cache.h"
#include "plan_check.h"
#include "plan_view.h"
#include "support/must.h"
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

static vka_tensor random_tensor(ref_rng *rng, vka_dtype dtype, uint32_t rank, uint32_t a, uint32_t b, uint32_t c,
                                uint32_t d) {
    vka__view v = random_view(rng, dtype, a, b, c, d);
    return tensor_of(&v, rank);
}

static vka_cache_append_desc random_append(ref_rng *rng) {
    static const vka_dtype caches[] = {VKA_F32, VKA_F16, VKA_BF16, VKA_I8, VKA_Q8_0, VKA_Q4_0};
    bool packed = ref_rng_below(rng, 3) == 0;
    uint32_t pages = ONE_OF(rng, 1, 17, 300), sequences = ONE_OF(rng, 1, 2, 5, 33), heads = ONE_OF(rng, 1, 2, 8);
    uint32_t tokens = ONE_OF(rng, 1, 3, 64, 1023), page = ONE_OF(rng, 0, 0, 8, 16);
    uint32_t capacity = tokens + ONE_OF(rng, 0, 1, 64, 1025);
    vka_cache_append_desc p = {0};
    vka_tensor *x[] = {&p.k, &p.v}, *cache[] = {&p.k_cache, &p.v_cache}, *scale[] = {&p.k_scale, &p.v_scale};
    bool lists = packed || page || ref_rng_below(rng, 2);
    for (int i = 0; i < 2; i++) {
        vka_dtype type = caches[ref_rng_below(rng, 6)];
        uint32_t d =
            vka_dtype_block(type) > 1 ? ONE_OF(rng, 32, 64, 96, 128, 576) : ONE_OF(rng, 1, 8, 40, 59, 64, 128, 1024);
        uint32_t outer = page ? pages : sequences, rows = page ? page : capacity;
        *x[i] = random_tensor(rng, dtypes[ref_rng_below(rng, DTYPES)], 4, packed ? 1 : sequences, heads, tokens, d);
        *cache[i] = random_tensor(rng, type, 4, outer, heads, rows, d);
        if (type == VKA_I8) {
            *scale[i] = random_tensor(rng, VKA_F32, 3, 1, outer, heads, rows);
        }
    }
    if (packed) {
        p.offsets.tensor = random_tensor(rng, VKA_I32, 1, 1, 1, 1, sequences + 1);
        p.sequences = sequences;
    }
    if (page) {
        p.page_table = random_tensor(rng, VKA_I32, 2, 1, 1, sequences, 128);
    }
    if (lists) {
        p.lengths.tensor = random_tensor(rng, VKA_I32, 1, 1, 1, 1, sequences);
        p.new_lengths = random_tensor(rng, VKA_I32, 1, 1, 1, 1, sequences);
    }
    return p;
}

/* ---- what holds for every plan --------------------------------------------------------------------------------- */

/* Keys' or values' new rows, cache, scales: 0, 1, 2. The operation has them in this order. */
static const vka__view *view_of(const vka__call *c, uint32_t side, uint32_t which) {
    return view_named(c, side ? "v" : "k") + which;
}

static const vka_cache_append_desc *desc_of(const vka__call *c) {
    return VKA__DESC(c, vka_cache_append_desc);
}

static bool is_packed(const vka__call *c) {
    return desc_of(c)->sequences;
}

/* Rows of a page; 0: the caches are not paged. */
static uint32_t page_of(const vka__call *c) {
    return desc_of(c)->page_table.rank ? desc_of(c)->k_cache.shape[2] : 0;
}

/* Sequences, heads and new tokens. */
static void shape_of(const vka__call *c, uint32_t shape[3]) {
    memcpy(shape, desc_of(c)->k.shape, 3 * sizeof *shape);
    shape[0] = is_packed(c) ? desc_of(c)->sequences : shape[0];
}

static void check_cache_dispatch(const device *d, const vka__call *c, const vka__dispatch *x) {
    const uint32_t *spec = c->key[x->key].spec;
    check_dispatch(d, x);
    must(x->groups[1] == 1 && x->groups[2] == 1);
    must(spec[VKA_SPEC_GROUP_SIZE] >= 1 && spec[VKA_SPEC_GROUP_SIZE] <= d->caps.max_invocations);
}

/* The binding sees the box of the view from `begin` on. */
static void check_box(const device *d, const vka__view *v, const uint32_t begin[3], const uint32_t size[3],
                      const vka__dispatch *x, uint32_t slot) {
    vka__view box = *v;
    uint64_t first = 0;
    for (int i = 0; i < 3; i++) {
        must(begin[i] + size[i] <= v->shape[i] && size[i] > 0, "%s: a box leaves the tensor", d->name);
        box.shape[i] = size[i];
        first += begin[i] * v->stride[i];
    }
    uint64_t from = v->offset + vka__view_bytes(v, first), unit = v->block > 1 ? 2 : v->size;
    const vka__binding *b = &x->binding[slot];
    must(b->offset + x->push.base[slot] * unit == from, "%s: slot %u begins at the wrong place", d->name, slot);
    must(b->offset + b->range >= from + vka__view_bytes(v, vka__view_extent(&box, 0)), "%s: slot %u is cut off",
         d->name, slot);
}

/* What a dispatch of a side binds, and how many rows times pages it does. */
static uint64_t check_append_dispatch(const device *d, const vka__call *c, const vka__dispatch *x) {
    const vka__view *cache = view_of(c, x->push.h0, 1), *scale = view_of(c, x->push.h0, 2);
    const vka__view *new_rows = view_of(c, x->push.h0, 0);
    uint32_t rows = x->push.rows, h = x->push.dim1, n = x->push.dim2, b = rows / h / n, shape[3];
    uint32_t page = page_of(c);
    shape_of(c, shape);
    must(rows == b * h * n);
    /* The first head is not pushed: the bindings alone know it. Whatever it is, boxes of one size lie side by side. */
    uint64_t step = cache->stride[1] ? cache->stride[1] : 1;
    uint32_t outer = page ? x->push.y0 : x->push.b0;
    uint64_t unit = cache->block > 1 ? 2 : cache->size;
    uint64_t from = x->binding[VKA_BIND_CACHE].offset + x->push.base[VKA_BIND_CACHE] * unit - cache->offset;
    uint64_t elements = from / cache->size * cache->block - outer * cache->stride[0];
    elements -= page ? 0 : x->push.y0 * cache->stride[2];
    uint32_t head = cache->shape[1] > 1 ? (uint32_t)(elements / step) : 0;
    const uint32_t stored[3] = {outer, head, page ? 0 : x->push.y0};
    const uint32_t extent[3] = {page ? x->push.z0 : b, h, page ? page : x->push.z0};
    check_box(d, cache, stored, extent, x, VKA_BIND_CACHE);
    if (scale->present) {
        check_box(d, scale, stored, extent, x, VKA_BIND_SCALE);
    }
    bool packed = is_packed(c);
    const uint32_t begin[3] = {packed ? 0 : x->push.b0, head, packed ? 0 : x->push.x0};
    const uint32_t size[3] = {packed ? 1 : b, h, packed ? new_rows->shape[2] : n};
    check_box(d, new_rows, begin, size, x, VKA_BIND_X);
    must(x->push.b0 + b <= shape[0] && x->push.x0 + n <= shape[2]);
    must((uint64_t)x->push.y0 + x->push.z0 <= cache->shape[page ? 0 : 2]);
    const uint32_t *spec = c->key[x->key].spec;
    must(spec[VKA_SPEC_PAGE] == page);
    uint32_t team = spec[VKA_SPEC_TC], group_rows = spec[VKA_SPEC_GROUP_SIZE] / team;
    must(team >= 1 && team * group_rows == spec[VKA_SPEC_GROUP_SIZE]);
    must((uint64_t)x->groups[0] * group_rows >= rows, "%s: rows are left out", d->name);
    must((uint64_t)(x->groups[0] - 1) * group_rows < rows, "%s: a workgroup has nothing to do", d->name);
    /* As append.comp declares them, in 16 KiB. */
    uint64_t vectors = (spec[VKA_SPEC_D] + 3) / 4;
    must(4 * group_rows * (vectors + (vectors + 7) / 8) <= d->caps.shared_bytes);
    return (uint64_t)rows * x->push.z0;
}

static bool fits(const device *d, const vka__view *v, uint32_t first_dim) {
    return vka__fits_binding(&d->caps, v, v->present ? vka__view_extent(v, first_dim) : 0);
}

/* The reasons to refuse: a row, or a packed head, of what is new; a token or a page of a cache. */
static bool has_too_large(const device *d, const vka__call *c) {
    bool large = false, page = page_of(c);
    for (uint32_t i = 0; i < 2; i++) {
        large = large || !fits(d, view_of(c, i, 0), is_packed(c) ? 2 : 3) || !fits(d, view_of(c, i, 1), page ? 2 : 3) ||
                !fits(d, view_of(c, i, 2), page ? 2 : 3);
    }
    return large;
}

static void check_append(const device *d, const vka_cache_append_desc *desc) {
    vka__call c;
    if (!PLAN(&c, cache_append, &d->caps, desc)) {
        cr_assert(has_too_large(d, &c), "%s: %s: %s", d->name, c.refusal.field, c.refusal.reason);
        return;
    }
    uint32_t shape[3], dim = page_of(&c) ? 0 : 2;
    shape_of(&c, shape);
    uint64_t done[2] = {0}, advanced = 0;
    for (uint64_t i = 0; i < c.dispatches; i++) {
        vka__dispatch x;
        vka__call_dispatch(&c, i, &x);
        check_cache_dispatch(d, &c, &x);
        if (c.key[x.key].kernel == VKA__cache_lengths) {
            advanced++;
        } else {
            done[x.push.h0] += check_append_dispatch(d, &c, &x);
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t rows = (uint64_t)shape[0] * shape[1] * shape[2];
        cr_assert_eq(done[i], rows * view_of(&c, i, 1)->shape[dim], "%s: side %u", d->name, i);
    }
    cr_assert_eq(advanced, view_named(&c, "new_lengths")->present);
}

Test(plan_cache, appends_keep_to_limits) {
    ref_rng rng = ref_rng_seed(test_seed());
    for (int i = 0; i < 1500; i++) {
        vka_cache_append_desc p = random_append(&rng);
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
        vka_rope_desc p = {.x = random_tensor(&rng, VKA_F16, 4, b, h, n, d),
                           .out = random_tensor(&rng, dtypes[ref_rng_below(&rng, DTYPES)], 4, b, h, n, d),
                           .options = {.dims = dims}};
        for (size_t k = 0; k < CACHE_DEVICES; k++) {
            vka__call c;
            if (PLAN(&c, rope, &cache_devices[k].caps, &p)) {
                check_rows(&cache_devices[k], &c, false);
            } else {
                cr_assert(!fits(&cache_devices[k], view_named(&c, "x"), 3) ||
                              !fits(&cache_devices[k], view_named(&c, "out"), 3),
                          "%s", c.refusal.reason);
            }
        }
    }
}

/* ---- choices --------------------------------------------------------------------------------------------------- */

static vka_cache_append_desc append_of(vka_dtype cache, uint32_t d, uint32_t tokens, uint32_t capacity) {
    vka_tensor x = vka_tensor_4d(NULL, VKA_F16, 1, 8, tokens, d), to = vka_tensor_4d(NULL, cache, 1, 8, capacity, d);
    return (vka_cache_append_desc){.k = x, .k_cache = to, .v = x, .v_cache = to};
}

/* Neighbours of a team own neighbouring vectors; software drivers have no use for teams. */
Test(plan_cache, teams) {
    static const struct {
        uint32_t device, d, team, group;
    } cases[] = {{0, 128, 32, 128},   {1, 64, 16, 128}, {2, 128, 32, 128}, {2, 80, 20, 120},
                 {2, 1024, 128, 128}, {3, 128, 1, 8},   {5, 128, 20, 20},  {5, 8, 2, 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const device *d = &cache_devices[cases[i].device];
        vka_cache_append_desc p = append_of(VKA_F16, cases[i].d, 1, 16);
        vka__call c;
        cr_assert(PLAN(&c, cache_append, &d->caps, &p));
        vka__dispatch x;
        vka__call_dispatch(&c, 0, &x);
        const uint32_t *spec = c.key[x.key].spec;
        cr_expect_eq(spec[VKA_SPEC_TC], cases[i].team, "%s, D = %u", d->name, cases[i].d);
        cr_expect_eq(spec[VKA_SPEC_GROUP_SIZE], cases[i].group, "%s, D = %u", d->name, cases[i].d);
    }
}

/* A step of decoding is a dispatch for keys and one for values, whatever the cache's size; keys and values of one shape
 * share a pipeline. */
Test(plan_cache, a_step_is_two_dispatches) {
    vka_cache_append_desc p = append_of(VKA_Q8_0, 128, 1, 131072);
    for (size_t i = 0; i < 3; i++) {
        vka__call c;
        cr_assert(PLAN(&c, cache_append, &cache_devices[i].caps, &p));
        cr_expect_eq(c.dispatches, i == 1 ? 4 : 2, "%s", cache_devices[i].name); /* 136 MiB each */
        vka__dispatch first, last;
        vka__call_dispatch(&c, 0, &first);
        vka__call_dispatch(&c, c.dispatches - 1, &last);
        cr_expect(first.push.h0 == 0 && last.push.h0 == 1);
        cr_expect(!memcmp(&c.key[first.key], &c.key[last.key], sizeof *c.key));
    }
}
