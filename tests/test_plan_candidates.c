/* What vka_attention_candidates lists is what runs, on devices that are not here.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ops/attention/paths.h"
#include "ops/pattern/shape.h"
#include "plan_check_attention.h"
#include "plan_problem.h"
#include "support/context.h"
#include "support/tensor.h"

#define MAX_LISTED 256

typedef struct listed {
    uint32_t path;
    vka__tile tile;
} listed;

static uint32_t list(const device *d, const vka__attention_problem *p, listed out[MAX_LISTED]) {
    uint32_t count = 0;
    while (vka__path_candidate(&vka__attention_paths, &d->caps, p, count, &out[count].path, &out[count].tile)) {
        cr_assert_lt(++count, MAX_LISTED - 1);
    }
    return count;
}

static bool same(const vka__attention_plan *plan, const listed *l) {
    const uint32_t *spec = plan->main.spec;
    return plan->path == l->path && spec[VKA_SPEC_BR] == l->tile.br && spec[VKA_SPEC_BC] == l->tile.bc &&
           spec[VKA_SPEC_RM] == l->tile.rm && spec[VKA_SPEC_TC] == l->tile.tc;
}

static bool is_listed(const vka__attention_plan *plan, const listed *l, uint32_t count) {
    uint32_t i = 0;
    while (i < count && !same(plan, &l[i])) {
        i++;
    }
    return i < count;
}

static uint32_t count_path(const listed *l, uint32_t count, uint32_t path) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        n += l[i].path == path;
    }
    return n;
}

static const char *describe(const device *d, const vka__attention_problem *p) {
    static char text[160];
    snprintf(text, sizeof text, "%s, type %d, N %ux%u, D %u/%u, options %x", d->name, p->q.dtype, p->q_len, p->kv_len,
             p->q.shape[3], p->v.shape[3], p->options);
    return text;
}

/* False: no path can run the problem here, for a reason that is not about tiles. */
static bool holds_together(const device *d, vka__attention_problem p) {
    static listed l[MAX_LISTED];
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    p.path = VKA_ATTENTION_PATH_AUTO;
    uint32_t count = list(d, &p, l);
    if (vka__plan_attention(&d->caps, &p, &plan, &refusal) != VKA_OK) {
        return false;
    }
    cr_assert(is_listed(&plan, l, count), "%s: %s %ux%u is taken, but not listed", describe(d, &p),
              vka__path_name(&vka__attention_paths, plan.path), plan.main.spec[VKA_SPEC_BR],
              plan.main.spec[VKA_SPEC_BC]);
    for (uint32_t path = VKA_ATTENTION_PATH_ROW; path <= LAST_PATH; path++) {
        uint32_t of_path = count_path(l, count, path);
        p.path = path;
        vka_status status = vka__plan_attention(&d->caps, &p, &plan, &refusal);
        cr_assert_eq(status, of_path ? VKA_OK : VKA_UNSUPPORTED, "%s: %u tiles of %s are listed, but without one: %s",
                     describe(d, &p), of_path, vka__path_name(&vka__attention_paths, path), refusal.reason);
        bool cut = strstr(refusal.reason, "can see"); /* of no tile a binding sees the rows */
        cr_assert(of_path ? is_listed(&plan, l, count) : cut || !strcmp(refusal.field, "path"), "%s: %s",
                  describe(d, &p), vka__path_name(&vka__attention_paths, path));
    }
    for (uint32_t i = 0; i < count; i++) {
        p.path = l[i].path;
        p.tile = l[i].tile;
        cr_assert_eq(vka__plan_attention(&d->caps, &p, &plan, &refusal), VKA_OK, "%s: %s", describe(d, &p),
                     refusal.reason);
        cr_assert(same(&plan, &l[i]), "%s", describe(d, &p));
        check_key(d, &plan.main, plan.shared_bytes);
    }
    return true;
}

static bool lists_f16(const device *d) {
    return d->caps.matrix_shape_count && d->caps.matrix_shapes[0].dtype == VKA_F16;
}

Test(plan_candidates, every_head_dimension) {
    for (size_t i = 0; i < DEVICES; i++) {
        for (uint32_t d = 1; d <= VKA_MAX_HEAD_DIM; d += d < 40 ? 1 : 8) {
            for (int t = 0; t < DTYPES; t++) {
                vka__attention_problem p = plain(dtypes[t], 4, 2, 20, 20, d), wide = plain(dtypes[t], 4, 4, 1, 20, d);
                wide.v.shape[3] = wide.out.shape[3] = 256;
                wide.v.stride[2] = wide.out.stride[2] = 256;
                cr_assert(holds_together(&devices[i], p) && holds_together(&devices[i], wide), "%s, D = %u",
                          devices[i].name, d);
            }
        }
    }
}

static void drawn(bool options) {
    ref_rng rng = ref_rng_seed(test_seed());
    uint32_t checked = 0;
    for (int i = 0; i < 400; i++) {
        vka__attention_problem p = random_attention(&rng, options);
        for (size_t d = 0; d < DEVICES; d++) {
            checked += holds_together(&devices[d], p);
        }
    }
    cr_assert_gt(checked, 400 * DEVICES / 3);
}

Test(plan_candidates, plain) {
    drawn(false);
}

Test(plan_candidates, with_options) {
    drawn(true);
}

/* A block map bounds the tiles. */
Test(plan_candidates, patterns) {
    for (size_t i = 0; i < DEVICES; i++) {
        for (uint32_t tile = 16; tile <= 128; tile *= 2) {
            vka__pattern_shape s = {.info = {.queries = 256, .keys = 256, .heads = 1, .live_tiles = 8}};
            s.info.query_tile = s.info.key_tile = tile;
            s.info.tile_rows = s.info.tile_columns = 256 / tile;
            s.info.longest_row = 1;
            s.tiles_at = s.info.tile_rows + 1;
            s.bits_at = s.words = s.tiles_at + 16;
            vka__attention_problem p = plain(VKA_F16, 8, 8, 256, 256, 64);
            p.pattern = &s;
            p.map = dense(VKA_I32, 1, 1, (uint32_t)s.words, 1);
            cr_assert(holds_together(&devices[i], p) || tile == 16, "%s, tiles of %u", devices[i].name, tile);
        }
    }
}

/* Software drivers compile matrices into more code, and need more memory for it, the more of them there are. */
Test(plan_candidates, small_matrices_for_software_drivers) {
    for (const device *d = devices; d < devices + DEVICES; d++) {
        for (uint32_t dim = 8; dim <= 256 && d->caps.type == VKA_DEVICE_CPU && lists_f16(d); dim *= 2) {
            vka__attention_problem p = plain(VKA_F16, 1, 1, 40, 80, dim), with_options = p;
            static listed l[MAX_LISTED];
            with_options.softcap = 30;
            with_options.options = VKA_FLAG_SOFTCAP;
            uint32_t count = list(d, &p, l), products = 0;
            bool any = d->caps.matrix_operations;
            cr_assert_eq(count_path(l, count, VKA_ATTENTION_PATH_COOPMAT2) > 0, any && dim <= 24, "%s, D = %u", d->name,
                         dim);
            cr_assert_gt(count_path(l, count, VKA_ATTENTION_PATH_COOPMAT), 0, "%s, D = %u", d->name, dim);
            for (uint32_t i = 0; i < count; i++) {
                if (l[i].path == VKA_ATTENTION_PATH_COOPMAT) { /* of 8x8x8, in a subgroup's code */
                    uint32_t own = l[i].tile.rm * (dim / 8 + dim / 8 / l[i].tile.tc);
                    products = own > products ? own : products;
                }
            }
            cr_assert_leq(products, 64, "%s, D = %u", d->name, dim);
            count = list(d, &with_options, l);
            cr_assert_eq(count_path(l, count, VKA_ATTENTION_PATH_COOPMAT2) > 0, any && dim <= 8, "%s, D = %u", d->name,
                         dim);
        }
    }
}

/* Heads that an old software driver would compile for minutes are refused by name, and not listed. */
Test(plan_candidates, no_wide_heads_for_slow_compilers) {
    const device *old = device_named("lavapipe 25.0"), *latest = device_named("lavapipe 26.1");
    static const uint32_t dims[][2] = {{512, 512}, {320, 256}, {256, 256}};
    for (int i = 0; i < 3; i++) {
        static listed l[MAX_LISTED];
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        vka__attention_problem p = plain(VKA_F16, 1, 1, 40, 40, dims[i][0]);
        p.v.shape[3] = p.out.shape[3] = dims[i][1];
        bool wide = dims[i][0] > 256;
        cr_assert_eq(count_path(l, list(old, &p, l), VKA_ATTENTION_PATH_ROW) == 0, wide);
        cr_assert_gt(count_path(l, list(latest, &p, l), VKA_ATTENTION_PATH_ROW), 0);
        p.path = VKA_ATTENTION_PATH_ROW;
        vka_status status = vka__plan_attention(&old->caps, &p, &plan, &refusal);
        cr_assert_eq(status, wide ? VKA_UNSUPPORTED : VKA_OK);
        cr_assert(!wide || strstr(refusal.reason, "above 256"), "%s", refusal.reason);
    }
}

/* There is a path for them even without what the decode path needs. */
Test(plan_candidates, wide_heads_for_slow_compilers_without_subgroups) {
    device old = *device_named("lavapipe 25.0");
    vka__attention_problem p = plain(VKA_F16, 1, 1, 40, 40, 512);
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    old.caps.subgroup_arithmetic = false;
    cr_assert(holds_together(&old, p));
    cr_assert_eq(vka__plan_attention(&old.caps, &p, &plan, &refusal), VKA_OK, "%s", refusal.reason);
    cr_assert_eq(plan.path, VKA_ATTENTION_PATH_TILE);
}
