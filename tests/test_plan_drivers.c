/* Drivers that are known to be wrong: what is avoided on them, and on none but them.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ops/attention/paths.h"
#include "op/known_drivers.h"
#include "plan_check_attention.h"
#include "plan_problem.h"
#include "spirv.h"
#include "support/tensor.h"

#define INTEL  0x8086
#define AMD    0x1002
#define NVIDIA 0x10de

/* A device with a driver, and a word of what is known against its matrices; NULL: nothing. */
static const struct known {
    const char *device;
    uint32_t vendor_id, device_id, driver_id, driver_version;
    const char *against_coopmat, *against_coopmat2;
} cases[] = {
    /* Xe3: Panther Lake and Wildcat Lake, all versions. */
    {"xe2", INTEL, 0xb080, 6, MESA(25, 2, 0), "15932", "15932"},
    {"xe2", INTEL, 0xb0b0, 6, MESA(26, 1, 6), "15932", "15932"},
    {"xe2", INTEL, 0xfd81, 6, MESA(26, 0, 8), "15932", "15932"},
    {"xe2", INTEL, 0xb080, 5, 1, NULL, NULL},              /* Intel's own driver  */
    {"xe2", INTEL, 0x64a0, 6, MESA(26, 1, 6), NULL, NULL}, /* Lunar Lake          */
    {"xe2", INTEL, 0xe20b, 6, MESA(26, 0, 8), NULL, NULL}, /* Battlemage          */
    {"xe2", INTEL, 0xb07f, 6, MESA(26, 1, 6), NULL, NULL},
    {"xe2", INTEL, 0xb0c0, 6, MESA(26, 1, 6), NULL, NULL},
    /* Unequal numbers of products. */
    {"xe2", INTEL, 0xe20b, 6, MESA(26, 2, 3), "24406", "24406"},
    {"arc", INTEL, 0x56a0, 6, MESA(26, 2, 0), "24406", "24406"},
    {"arc", INTEL, 0x56a0, 6, MESA(26, 1, 9), NULL, NULL},
    /* Turing, whose matrices of a workgroup nobody complained about. */
    {"nvidia with matrices", NVIDIA, 0x1e04, 4, 0x91000000, "19290", NULL},
    {"nvidia with matrices", NVIDIA, 0x1f82, 4, 0x91000000, "19290", NULL},
    {"nvidia with matrices of workgroups", NVIDIA, 0x2184, 4, 0x91000000, "19290", NULL},
    {"nvidia with matrices", NVIDIA, 0x2204, 4, 0x91000000, NULL, NULL},      /* Ampere */
    {"nvidia with matrices", NVIDIA, 0x1db1, 4, 0x91000000, NULL, NULL},      /* Volta  */
    {"nvidia with matrices", NVIDIA, 0x1e04, 24, MESA(26, 1, 6), NULL, NULL}, /* NVK    */
    /* Lavapipe at other widths than 8. */
    {"lavapipe 26.1", 0x10005, 0, 13, MESA(26, 1, 6), NULL, NULL},
};

static device pretend(const struct known *k) {
    device d = *device_named(k->device);
    d.caps.vendor_id = k->vendor_id;
    d.caps.device_id = k->device_id;
    d.caps.driver_id = k->driver_id;
    d.caps.driver_version = k->driver_version;
    if (!d.caps.matrix_workgroup_grain.m) { /* so that the coopmat2 path has what it needs */
        d.caps.matrix_grain = d.caps.matrix_shapes[0];
        d.caps.matrix_grain.dtype = VKA_F16;
        d.caps.matrix_operations = true;
    }
    return d;
}

static void explain(const device *d, vka_dtype dtype, char *text, size_t size) {
    vka__attention_problem p = plain(dtype, 4, 4, 100, 100, 16);
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    cr_assert_eq(vka__plan_attention(&d->caps, &p, &plan, &refusal), VKA_OK, "%s", refusal.reason);
    vka__text out = {text, size, 0};
    vka__explain_attention(&p, &plan, &out);
    cr_assert_lt(out.length, size);
}

static void check_path(const device *d, uint32_t path, const char *against) {
    vka__attention_problem p = plain(VKA_F16, 4, 4, 100, 100, 16);
    vka__attention_plan plan;
    vka__refusal refusal = {0};
    char text[2048];
    p.path = path;
    vka_status status = vka__plan_attention(&d->caps, &p, &plan, &refusal);
    cr_assert_eq(status, against ? VKA_UNSUPPORTED : VKA_OK, "%s: %x, version %x: %s", d->name, d->caps.device_id,
                 d->caps.driver_version, refusal.reason);
    if (!against) {
        return;
    }
    size_t length = strlen(refusal.reason);
    cr_assert(!strcmp(refusal.field, "path") && strstr(refusal.reason, against), "%s", refusal.reason);
    cr_assert(refusal.reason[length - 1] == ')', "cut off: %s", refusal.reason);
    explain(d, VKA_F16, text, sizeof text);
    char *line = strstr(text, "\navoided: ");
    cr_assert(line && strstr(line, against) && strstr(line, against) < strchr(line + 1, '\n'), "%s", text);
}

Test(plan_drivers, matrices_are_avoided_where_they_are_wrong) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        device d = pretend(&cases[i]);
        check_path(&d, VKA_ATTENTION_PATH_COOPMAT, cases[i].against_coopmat);
        check_path(&d, VKA_ATTENTION_PATH_COOPMAT2, cases[i].against_coopmat2);
    }
}

/* What is chosen where matrices are avoided. */
Test(plan_drivers, another_path_is_taken) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int t = 0; t < DTYPES; t++) {
            device d = pretend(&cases[i]);
            vka__attention_problem p = plain(dtypes[t], 4, 4, 100, 100, 64);
            vka__attention_plan plan;
            vka__refusal refusal = {0};
            cr_assert_eq(vka__plan_attention(&d.caps, &p, &plan, &refusal), VKA_OK);
            cr_assert(plan.path != VKA_ATTENTION_PATH_COOPMAT || !cases[i].against_coopmat, "%s", d.name);
            cr_assert(plan.path != VKA_ATTENTION_PATH_COOPMAT2 || !cases[i].against_coopmat2, "%s", d.name);
            check_dispatches(&d, &p, &plan);
        }
    }
}

Test(plan_drivers, nothing_is_said_of_what_is_not_there) {
    char text[2048];
    device d = pretend(&cases[0]);
    explain(&d, VKA_F32, text, sizeof text);
    cr_assert(strstr(text, "\navoided: nothing\n"), "%s", text);
    d.caps.matrix_shape_count = 0;
    d.caps.matrix_operations = false;
    explain(&d, VKA_F16, text, sizeof text);
    cr_assert(strstr(text, "\navoided: nothing\n"), "%s", text);
    d = *device_named("arc"); /* whose driver is not known */
    explain(&d, VKA_F16, text, sizeof text);
    cr_assert(strstr(text, "\navoided: nothing\n"), "%s", text);
}

/* Lavapipe lists the same matrices for vectors of 128 and 512 bits. */
Test(plan_drivers, lavapipe_has_matrices_at_one_width) {
    device d = *device_named("lavapipe 26.1");
    check_path(&d, VKA_ATTENTION_PATH_COOPMAT, NULL);
    check_path(&d, VKA_ATTENTION_PATH_COOPMAT2, NULL);
    for (uint32_t width = 4; width <= 64; width *= 2) {
        d.caps.subgroup_size = d.caps.subgroup_min = d.caps.subgroup_max = width;
        const char *against = width == 8 ? NULL : "8 lanes";
        check_path(&d, VKA_ATTENTION_PATH_COOPMAT, against);
        check_path(&d, VKA_ATTENTION_PATH_COOPMAT2, against);
    }
}

/* Is a tile listed that has several grains in both directions? */
static bool lists_block_reductions(const device *d, uint32_t *count) {
    vka__attention_problem p = plain(VKA_F16, 4, 4, 100, 100, 16);
    uint32_t path;
    vka__tile t;
    bool found = false;
    *count = 0;
    for (uint32_t i = 0; vka__path_candidate(&vka__attention_paths, &d->caps, &p, i, &path, &t); i++) {
        *count += path == VKA_ATTENTION_PATH_COOPMAT2;
        found = found ||
                (path == VKA_ATTENTION_PATH_COOPMAT2 && t.br > d->caps.matrix_grain.m && t.bc > d->caps.matrix_grain.n);
    }
    return found;
}

Test(plan_drivers, mesa_reduces_one_row_or_column_of_grains) {
    static const char *const names[] = {"lavapipe 26.1", "rdna3", "nvidia with matrices", "xe2"};
    static const uint32_t drivers[] = {13, 3, 24, 6};
    for (int i = 0; i < 4; i++) {
        struct known k = {names[i], 0, 0, drivers[i], MESA(26, 1, 6), NULL, NULL};
        device d = pretend(&k);
        uint32_t mesa, other;
        char text[2048];
        cr_assert(!lists_block_reductions(&d, &mesa) && mesa > 0, "%s", d.name);
        explain(&d, VKA_F16, text, sizeof text);
        cr_assert(strstr(text, "reductions by rows"), "%s", text);
        d.caps.driver_id = 4;
        cr_assert(lists_block_reductions(&d, &other) && other > mesa, "%s", d.name);
    }
    /* Matrices of a workgroup are none of Mesa's. */
    device workgroups = *device_named("nvidia with matrices of workgroups");
    uint32_t count;
    workgroups.caps.driver_id = 24;
    cr_assert(lists_block_reductions(&workgroups, &count));
}

/* ---- shuffles of f16 -------------------------------------------------------------------------------------------- */

Test(plan_drivers, amd_on_windows_is_not_asked_to_shuffle_f16) {
    device d = *device_named("rdna2");
    char text[2048];
    d.caps.vendor_id = AMD;
    d.caps.driver_id = 1;
    explain(&d, VKA_F16, text, sizeof text);
    cr_assert(strstr(text, "19881"), "%s", text);
    d = *device_named("rdna3");
    d.caps.driver_id = 1;
    explain(&d, VKA_F16, text, sizeof text);
    cr_assert(strstr(text, "\navoided: nothing\n"), "%s", text);
}

/* Words of a module. */
enum { OP_TYPE_FLOAT = 22, OP_TYPE_VECTOR = 23, OP_GROUP_FIRST = 333, OP_GROUP_LAST = 366, MAX_IDS = 1 << 16 };

static uint32_t operations_on_halves(const uint32_t *words, size_t count, uint32_t *operations) {
    static bool half[MAX_IDS];
    uint32_t found = 0;
    memset(half, 0, sizeof half);
    cr_assert_lt(words[3], MAX_IDS);
    for (size_t at = 5; at < count; at += words[at] >> 16) {
        uint32_t op = words[at] & 0xffff;
        if (op == OP_TYPE_FLOAT) {
            half[words[at + 1]] = words[at + 2] == 16;
        } else if (op == OP_TYPE_VECTOR) {
            half[words[at + 1]] = half[words[at + 2]];
        } else if (op >= OP_GROUP_FIRST && op <= OP_GROUP_LAST) {
            ++*operations;
            found += half[words[at + 1]];
        }
    }
    return found;
}

Test(plan_drivers, no_kernel_shuffles_f16) {
    uint32_t operations = 0;
    for (uint32_t i = 0; i < VKA_SPIRV_COUNT; i++) {
        if (vka__spirv_table[i].words) {
            cr_assert_eq(operations_on_halves(vka__spirv_table[i].words, vka__spirv_table[i].bytes / 4, &operations), 0,
                         "%s", vka__spirv_table[i].name);
        }
    }
    cr_assert_gt(operations, 20);
}
