/* Plans for devices that are not here: which path, kernel and tile attention takes.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <string.h>

#include "ops/pattern/shape.h"
#include "plan_check_attention.h"
#include "plan_problem.h"
#include "support/tensor.h"

static bool lists(const device *d, vka_dtype dtype) {
    for (uint32_t i = 0; i < d->caps.matrix_shape_count; i++) {
        if (d->caps.matrix_shapes[i].dtype == dtype) {
            return true;
        }
    }
    return false;
}

/* Every head dimension has a plan on every device, for a head that a binding can see. */
Test(plan_paths, attention_never_without_kernel) {
    for (size_t i = 0; i < DEVICES; i++) {
        bool slow = !strcmp(devices[i].name, "lavapipe 25.0"); /* to compile wide heads */
        for (uint32_t d = 1; d <= VKA_MAX_HEAD_DIM; d++) {
            for (int t = 0; t < DTYPES; t++) {
                vka__attention_problem p = plain(dtypes[t], 4, 2, 25, 25, d);
                vka__attention_plan plan;
                vka__refusal refusal;
                cr_assert_eq(vka__plan_attention(&devices[i].caps, &p, &plan, &refusal), VKA_OK, "%s, D = %u",
                             devices[i].name, d);
                check_dispatches(&devices[i], &p, &plan);
                vka_device_type type = devices[i].caps.type;
                bool matrices = lists(&devices[i], dtypes[t]) && attention_has_matrices((uint32_t)plan.path);
                bool pairs = devices[i].caps.f16_mixed_dot && plan.path == VKA_ATTENTION_PATH_DOT;
                bool row =
                    plan.path == VKA_ATTENTION_PATH_ROW || (slow && d > 256 && plan.path == VKA_ATTENTION_PATH_DECODE);
                cr_assert(type == VKA_DEVICE_CPU ? row : matrices || pairs || plan.path == VKA_ATTENTION_PATH_TILE,
                          "%s, D = %u: %s", devices[i].name, d, plan.why);
            }
        }
    }
}

/* Steps of the row path come in blocks where the driver accesses shared memory by vectors and a step would be long
 * code. */
Test(plan_paths, blocks_of_steps) {
    static const struct {
        const char *device;
        uint32_t queries, dim, rm, bc, steps;
        bool hard;
    } cases[] = {
        {"lavapipe 26.1", 64, 64, 4, 4, 1, false},   {"lavapipe 26.1", 64, 65, 4, 1, 32, false},
        {"lavapipe 26.1", 64, 128, 4, 1, 32, false}, {"lavapipe 26.1", 16, 128, 2, 2, 16, false},
        {"lavapipe 26.1", 8, 128, 1, 4, 8, false},   {"lavapipe 26.1", 64, 256, 2, 1, 32, false},
        {"lavapipe 26.1", 64, 576, 1, 1, 32, false}, {"lavapipe 26.1", 64, 128, 4, 4, 1, true},
        {"lavapipe 25.0", 64, 128, 1, 2, 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        const device *d = device_named(cases[i].device);
        vka__attention_problem p = plain(VKA_F32, 8, 8, cases[i].queries, 1024, cases[i].dim);
        p.options |= cases[i].hard ? VKA_FLAG_HARD : 0;
        cr_assert_eq(vka__plan_attention(&d->caps, &p, &plan, &refusal), VKA_OK, "%s", refusal.reason);
        const uint32_t *spec = plan.main.spec, steps = spec[VKA_SPEC_COLS];
        cr_assert_eq(plan.path, VKA_ATTENTION_PATH_ROW);
        cr_assert_eq(spec[VKA_SPEC_RM], cases[i].rm, "case %zu: %u", i, spec[VKA_SPEC_RM]);
        cr_assert_eq(spec[VKA_SPEC_BC], cases[i].bc, "case %zu: %u", i, spec[VKA_SPEC_BC]);
        cr_assert_eq(steps, cases[i].steps, "case %zu: %u", i, steps);
        cr_assert_eq(plan.shared_bytes, steps > 1 ? 4 * steps * spec[VKA_SPEC_BC] * spec[VKA_SPEC_BR] : 0);
        cr_assert_leq(plan.shared_bytes, d->caps.shared_bytes);
    }
}

/* Devices with few registers: no kernel that keeps whole keys in them, and one vector of outputs for two rows at most,
 * where others of the same vendor take the largest tile. */
Test(plan_paths, few_registers_few_outputs) {
    vka__attention_plan plan;
    vka__refusal refusal;
    device d = *device_named("kepler");
    vka__attention_problem decode = plain(VKA_F32, 8, 2, 1, 4096, 128), p = plain(VKA_F32, 8, 8, 4096, 4096, 64);
    cr_assert_eq(vka__plan_attention(&d.caps, &decode, &plan, &refusal), VKA_OK);
    cr_assert_eq(plan.path, VKA_ATTENTION_PATH_TILE);
    cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_OK);
    cr_assert_eq(plan.main.spec[VKA_SPEC_RM], 2);
    cr_assert_eq(plan.main.spec[VKA_SPEC_TC], 16);
    d.caps.device_id = 0x1340;
    cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_OK);
    cr_assert_eq(plan.main.spec[VKA_SPEC_RM], 4);
    cr_assert_eq(vka__plan_attention(&d.caps, &decode, &plan, &refusal), VKA_OK);
    cr_assert_eq(plan.path, VKA_ATTENTION_PATH_DECODE);
}

/* Pairs of f16 are for devices that have an instruction for them, and no matrices; anybody can ask for them. */
Test(plan_paths, pairs_where_a_device_has_an_instruction) {
    for (size_t i = 0; i < DEVICES; i++) {
        const vka_device_caps *caps = &devices[i].caps;
        for (int t = 0; t < DTYPES; t++) {
            vka__attention_problem p = plain(dtypes[t], 4, 2, 50, 50, 64);
            vka__attention_plan plan;
            vka__refusal refusal = {0};
            bool f16 = dtypes[t] == VKA_F16, pairs = f16 && caps->f16_mixed_dot && !lists(&devices[i], VKA_F16);
            cr_assert_eq(vka__plan_attention(caps, &p, &plan, &refusal), VKA_OK);
            cr_assert_eq(plan.path == VKA_ATTENTION_PATH_DOT, pairs, "%s", devices[i].name);
            p.path = VKA_ATTENTION_PATH_DOT;
            cr_assert_eq(vka__plan_attention(caps, &p, &plan, &refusal), f16 ? VKA_OK : VKA_UNSUPPORTED);
            vka__kernel kernel = caps->f16_mixed_dot ? VKA__attention_dot_mixed : VKA__attention_dot;
            cr_assert(!f16 || plan.main.kernel == kernel, "%s", devices[i].name);
        }
    }
}

/* What is not f16 in one place is decoded on its way into a workgroup's matrices, or goes another way. */
Test(plan_paths, blocks_are_decoded_where_a_device_can) {
    for (size_t i = 0; i < DEVICES; i++) {
        device d = devices[i];
        if (!d.caps.matrix_workgroup_grain.m) {
            continue;
        }
        vka__attention_problem p = plain(VKA_F16, 4, 2, 50, 64, 64), q8 = p;
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.main.kernel, VKA__attention_coopmat2);
        q8.k = q8.v = (vka__view){.dtype = VKA_Q8_0,
                                  .block = 32,
                                  .size = 34,
                                  .present = true,
                                  .shape = {1, 2, 64, 64},
                                  .stride = {64 * 64 * 2, 64 * 64, 64, 1}};
        cr_assert_eq(vka__plan_attention(&d.caps, &q8, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.main.kernel, VKA__attention_coopmat_f16); /* nobody has measured the other yet */
        q8.path = VKA_ATTENTION_PATH_COOPMAT2;
        cr_assert_eq(vka__plan_attention(&d.caps, &q8, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.main.kernel, VKA__attention_coopmat2_decode);
        check_dispatches(&d, &q8, &plan);
        d.caps.matrix_block_loads = false;
        cr_assert_eq(vka__plan_attention(&d.caps, &q8, &plan, &refusal), VKA_UNSUPPORTED);
    }
}

/* Matrices of one type promise none of another: without its own, a type takes the other paths, and asked for matrices
 * the refusal names it. */
Test(plan_paths, matrices_are_of_a_type) {
    static const vka__kernel kernels[DTYPES] = {VKA__KERNEL_COUNT, VKA__attention_coopmat_f16,
                                                VKA__attention_coopmat_bf16};
    unsigned planned[DTYPES] = {0};
    for (size_t i = 0; i < DEVICES; i++) {
        for (int t = 0; t < DTYPES; t++) {
            vka__attention_problem p = plain(dtypes[t], 4, 2, 50, 50, 64);
            vka__attention_plan plan;
            vka__refusal refusal = {0};
            cr_assert_eq(vka__plan_attention(&devices[i].caps, &p, &plan, &refusal), VKA_OK);
            cr_assert(plan.path != VKA_ATTENTION_PATH_COOPMAT || lists(&devices[i], dtypes[t]), "%s", devices[i].name);
            p.path = VKA_ATTENTION_PATH_COOPMAT;
            if (vka__plan_attention(&devices[i].caps, &p, &plan, &refusal) == VKA_OK) {
                cr_assert(lists(&devices[i], dtypes[t]), "%s", devices[i].name);
                cr_assert_eq(plan.main.kernel, kernels[t]);
                planned[t]++;
            } else {
                cr_assert(!strcmp(refusal.field, "path") &&
                              strstr(refusal.reason, dtypes[t] == VKA_BF16 ? "bf16" : "f16"),
                          "%s: %s", devices[i].name, refusal.reason);
            }
        }
    }
    cr_assert(!planned[0] && planned[1] > planned[2] && planned[2] == 3);
}

/* Scores stay in registers where AMD's matrices have functions and a subgroup holds whole rows. */
Test(plan_paths, scores_in_registers) {
    static const struct {
        const char *device;
        uint32_t dim;
        bool latent, chosen, possible;
    } cases[] = {
        {"rdna3 with functions of matrices", 64, false, true, true},
        {"rdna3 with functions of matrices", 128, false, true, true},
        {"rdna3 with functions of matrices", 192, false, false, true},
        {"rdna3 with functions of matrices", 128, true, false, true},
        {"rdna3", 64, false, false, false},
        {"lavapipe 26.1", 16, false, false, true},
        {"xe2", 64, false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const vka_device_caps *caps = &device_named(cases[i].device)->caps;
        vka__attention_problem p = plain(VKA_F16, 4, 2, 500, 500, cases[i].dim);
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        p.values_are_keys = cases[i].latent;
        cr_assert_eq(vka__plan_attention(caps, &p, &plan, &refusal), VKA_OK);
        cr_expect_eq(plan.path == VKA_ATTENTION_PATH_COOPMAT_REGISTERS, cases[i].chosen, "case %zu: %s", i, plan.why);
        p.path = VKA_ATTENTION_PATH_COOPMAT_REGISTERS;
        cr_expect_eq(vka__plan_attention(caps, &p, &plan, &refusal) == VKA_OK, cases[i].possible, "case %zu: %s", i,
                     refusal.reason);
        vka__kernel kernel = caps->matrix_functions == VKA_MATRIX_FUNCTIONS_EXT ? VKA__attention_coopmat_registers_ext
                                                                                : VKA__attention_coopmat_registers_nv;
        cr_expect(!cases[i].possible || plan.main.kernel == kernel, "case %zu", i);
    }
}

/* One query against many keys leaves a large GPU idle unless the keys are split. */
Test(plan_paths, decode_is_split) {
    vka__attention_plan plan;
    vka__refusal refusal;
    vka__attention_problem p = plain(VKA_F16, 32, 8, 1, 32768, 128);
    const device *gpu = device_named("nvidia");
    cr_assert_eq(vka__plan_attention(&gpu->caps, &p, &plan, &refusal), VKA_OK);
    cr_expect_gt(plan.splits, 4);
    cr_expect_leq((uint64_t)plan.main_grid.groups[1], 8, "query heads of one key head share a tile");
    p = plain(VKA_F16, 32, 32, 8192, 8192, 128);
    cr_assert_eq(vka__plan_attention(&gpu->caps, &p, &plan, &refusal), VKA_OK);
    cr_expect_eq(plan.splits, 1, "a full grid needs no splits");
}

/* ---- patterns --------------------------------------------------------------------------------------------------- */

/* A map of square tiles with so many live ones in a row, on average and at most. */
static vka__pattern_shape shape_of(uint32_t tokens, uint32_t tile, uint32_t mean, uint32_t longest) {
    vka__pattern_shape s = {.info = {.queries = tokens, .keys = tokens, .heads = 1}};
    s.info.query_tile = s.info.key_tile = tile;
    s.info.tile_rows = s.info.tile_columns = (tokens + tile - 1) / tile;
    s.info.longest_row = longest;
    s.info.live_tiles = (uint64_t)mean * s.info.tile_rows;
    s.tiles_at = s.info.tile_rows + 1;
    s.bits_at = s.tiles_at + 2 * (uint32_t)s.info.live_tiles;
    s.words = s.bits_at;
    return s;
}

static vka__attention_problem patterned(uint32_t tokens, const vka__pattern_shape *shape) {
    vka__attention_problem p = plain(VKA_F16, 8, 8, tokens, tokens, 64);
    p.pattern = shape;
    p.map = dense(VKA_I32, 1, 1, (uint32_t)shape->words, 1);
    return p;
}

static bool holds_a_head(const device *d, uint32_t tokens) {
    return d->caps.storage_range >= UINT64_C(2) * tokens * 64;
}

/* Kernels walk two of a map's rows of tiles at once, so that no tile of theirs may reach into a third. */
Test(plan_paths, tiles_fit_the_map) {
    for (const device *d = devices; d < devices + DEVICES; d++) {
        for (uint32_t tile = 32; tile <= 128 && holds_a_head(d, 1000); tile *= 2) {
            vka__pattern_shape shape = shape_of(1000, tile, 3, 5);
            vka__attention_problem p = patterned(1000, &shape);
            vka__attention_plan plan;
            vka__refusal refusal = {0};
            vka_status status = vka__plan_attention(&d->caps, &p, &plan, &refusal);
            cr_assert_eq(status, VKA_OK, "%s: %s %s", d->name, refusal.field, refusal.reason);
            cr_assert_leq(plan.main.spec[VKA_SPEC_BR], tile, "%s", d->name);
            cr_assert_leq(plan.main.spec[VKA_SPEC_BC], tile, "%s", d->name);
            cr_assert_eq(1u << (plan.main.spec[VKA_SPEC_MAP] & 255), tile);
            cr_assert_eq(1u << (plan.main.spec[VKA_SPEC_MAP] >> 8), tile);
        }
    }
}

/* Global tokens' rows are 100 times as long as others: they are shared, the others are not, and dispatches are not made
 * for them. */
Test(plan_paths, long_rows_are_shared) {
    vka__pattern_shape longformer = shape_of(65536, 64, 10, 1024), window = shape_of(65536, 64, 10, 10);
    vka__attention_problem p = patterned(65536, &longformer), even = patterned(65536, &window);
    for (const device *d = devices; d < devices + DEVICES; d++) {
        vka__attention_plan plan;
        vka__refusal refusal = {0};
        if (!holds_a_head(d, 65536)) {
            continue;
        }
        cr_assert_eq(vka__plan_attention(&d->caps, &p, &plan, &refusal), VKA_OK, "%s: %s", d->name, refusal.reason);
        cr_assert(d->caps.type != VKA_DEVICE_DISCRETE || plan.splits > 4, "%s: %u", d->name, plan.splits);
        cr_assert(plan.splits == 1 || plan.params.map_least > 10, "%s", d->name);
        cr_assert_leq(plan.main_chunks, 2, "%s: %llu", d->name, (unsigned long long)plan.main_chunks);
        cr_assert_eq(vka__plan_attention(&d->caps, &even, &plan, &refusal), VKA_OK);
        cr_assert_eq(plan.splits, 1, "%s: %u", d->name, plan.splits);
    }
}

/* Intel's registers: a lane of the narrowest subgroup has 32 vectors of four floats, of which compilers need some. */
Test(plan_paths, decode_fits_registers_of_intel) {
    static const uint32_t dims[] = {32, 64, 80, 128, 256};
    for (size_t i = 0; i < DEVICES; i++) {
        const vka_device_caps *caps = &devices[i].caps;
        for (int d = 0; caps->vendor_id == 0x8086 && caps->subgroup_size_control && d < 5; d++) {
            vka__attention_problem p = plain(VKA_F16, 32, 8, 1, 4096, dims[d]);
            vka__attention_plan plan;
            vka__refusal refusal = {0};
            cr_assert_eq(vka__plan_attention(caps, &p, &plan, &refusal), VKA_OK);
            const uint32_t *spec = plan.main.spec;
            cr_assert_eq(plan.path == VKA_ATTENTION_PATH_DECODE, dims[d] <= caps->subgroup_min * 16, "%s, %u channels",
                         devices[i].name, dims[d]);
            if (plan.path == VKA_ATTENTION_PATH_DECODE) {
                uint32_t vectors = 2 * vka__div_up(vka__div_up(dims[d], 4), spec[VKA_SPEC_TC]);
                cr_assert_eq(spec[VKA_SPEC_SUBGROUP], caps->subgroup_min, "%s", devices[i].name);
                cr_assert_leq((spec[VKA_SPEC_BR] + spec[VKA_SPEC_BC]) * vectors, 20, "%s, %u channels", devices[i].name,
                              dims[d]);
            }
        }
    }
}
