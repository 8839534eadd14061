/* Prints what the plan chooses on devices that are not here, as README's table. With `--check`, only whether every
 * choice fits its device. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <vkattn/attention.h>

#include "ops/attention/paths.h"

/* As the drivers report themselves. */
static const struct device {
    const char *name;
    vka_device_type type;
    uint32_t subgroup_min, subgroup_max, shared_kib, invocations, range_mib;
    bool f16;
    uint32_t vendor;
    vka_matrix_shape matrices;
    bool mixed_dot;
    uint32_t driver; /* VkDriverId, where plans look at it */
} devices[] = {
    {"AMD RDNA3, RDNA4 (RADV)", VKA_DEVICE_DISCRETE, 32, 64, 64, 1024, 4095, true, 0x1002, {16, 16, 16, VKA_F16}},
    {"AMD RDNA2 (RADV)", VKA_DEVICE_DISCRETE, 32, 64, 64, 1024, 4095, true, 0, {0}, true},
    {"AMD RDNA1 (RADV)", VKA_DEVICE_DISCRETE, 32, 64, 64, 1024, 4095, true, 0, {0}},
    {"AMD Polaris (RADV)", VKA_DEVICE_DISCRETE, 64, 64, 64, 1024, 4095, true, 0, {0}},
    {"Intel Arc (ANV)", VKA_DEVICE_DISCRETE, 8, 32, 48, 1024, 4095, true, 0x8086, {8, 8, 16, VKA_F16}},
    {"Intel Xe2 (ANV)", VKA_DEVICE_INTEGRATED, 16, 32, 48, 1024, 4095, true, 0x8086, {8, 16, 16, VKA_F16}},
    {"NVIDIA Turing and later", VKA_DEVICE_DISCRETE, 32, 32, 48, 1024, 4095, true, 0x10de, {16, 16, 16, VKA_F16}},
    {"NVIDIA Pascal", VKA_DEVICE_DISCRETE, 32, 32, 48, 1024, 4095, false, 0, {0}},
    {"Apple M1 (Honeykrisp)", VKA_DEVICE_INTEGRATED, 32, 32, 32, 1024, 2048, true, 0, {0}, .driver = 26},
    {"Adreno 7xx (Turnip)", VKA_DEVICE_INTEGRATED, 64, 128, 32, 1024, 128, true, 0, {0}},
    {"Mali G52 (PanVK)", VKA_DEVICE_INTEGRATED, 8, 8, 32, 256, 4095, false, 0x13b5, {0}},
    {"Mali G610 (PanVK)", VKA_DEVICE_INTEGRATED, 16, 16, 32, 1024, 4095, true, 0x13b5, {0}},
    {"PowerVR BXS", VKA_DEVICE_INTEGRATED, 1, 1, 16, 128, 128, false, 0, {0}},
    {"Mesa software driver", VKA_DEVICE_CPU, 8, 8, 32, 1024, 128, true, 0, {0}},
    {"SwiftShader", VKA_DEVICE_CPU, 4, 4, 32, 256, 1024, false, 0, {0}},
};

static vka_device_caps caps_of(const struct device *d) {
    return (vka_device_caps){.type = d->type,
                             .vendor_id = d->vendor,
                             .driver_id = d->driver,
                             .api_version = 1u << 22 | 3u << 12,
                             .matrix_shapes = {d->matrices},
                             .matrix_shape_count = d->matrices.m ? 1 : 0,
                             .subgroup_size = d->vendor == 0x1002 ? d->subgroup_max : d->subgroup_min,
                             .subgroup_min = d->subgroup_min,
                             .subgroup_max = d->subgroup_max,
                             .shared_bytes = d->shared_kib << 10,
                             .max_invocations = d->invocations,
                             .max_groups = {65535, 65535, 65535},
                             .storage_range = (uint64_t)d->range_mib << 20,
                             .storage_buffers = 64,
                             .storage_align = 64,
                             .subgroup_arithmetic = d->subgroup_max > 1,
                             .subgroup_shuffle = d->subgroup_max > 1,
                             .subgroup_size_control = d->subgroup_max > d->subgroup_min,
                             .f16_storage = d->f16,
                             .f16_arithmetic = d->f16,
                             .f16_mixed_dot = d->mixed_dot};
}

static vka__view view(uint32_t h, uint32_t n, uint32_t d) {
    return (vka__view){.present = true,
                       .dtype = VKA_F16,
                       .size = 2,
                       .block = 1,
                       .shape = {1, h, n, d},
                       .stride = {0, (uint64_t)n * d, n > 1 ? d : 0, 1}};
}

static vka__attention_plan plan_of(const vka_device_caps *caps, uint32_t heads, uint32_t kv_heads, uint32_t queries,
                                   uint32_t keys, uint32_t d) {
    vka__attention_problem p = {.q = view(heads, queries, d),
                                .k = view(kv_heads, keys, d),
                                .v = view(kv_heads, keys, d),
                                .out = view(heads, queries, d),
                                .scale = 0.125f};
    vka__attention_sizes(&p);
    vka__attention_plan plan;
    vka__refusal refusal;
    if (vka__plan_attention(caps, &p, &plan, &refusal) != VKA_OK)
        memset(&plan, 0, sizeof plan);
    return plan;
}

static void print_plan(const vka__attention_plan *p) {
    const uint32_t *spec = p->main.spec;
    printf(" %s %ux%u, %u", vka__path_name(&vka__attention_paths, p->path), spec[VKA_SPEC_BR], spec[VKA_SPEC_BC],
           spec[VKA_SPEC_GROUP_SIZE]);
    if (p->shared_bytes)
        printf(", %u KiB", (p->shared_bytes + 1023) / 1024);
    if (p->splits > 1)
        printf(", %u splits", p->splits);
    printf(" |");
}

static bool fits(const vka_device_caps *caps, const vka__attention_plan *p) {
    uint32_t group = p->main.spec[VKA_SPEC_GROUP_SIZE];
    return group && group <= caps->max_invocations && p->shared_bytes <= caps->shared_bytes;
}

int main(int argc, char **argv) {
    bool check = argc > 1 && !strcmp(argv[1], "--check"), good = true;
    if (!check)
        printf("| device | f16 prefill, D = 64 | f16 prefill, D = 128 | f16 decode, 32 heads on 8, D = 128 |\n"
               "|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        vka_device_caps caps = caps_of(&devices[i]);
        vka__attention_plan plans[] = {plan_of(&caps, 8, 8, 4096, 4096, 64), plan_of(&caps, 8, 8, 4096, 4096, 128),
                                       plan_of(&caps, 32, 8, 1, 4096, 128)};
        if (!check)
            printf("| %s |", devices[i].name);
        for (int j = 0; j < 3; j++) {
            good = good && fits(&caps, &plans[j]);
            if (!check)
                print_plan(&plans[j]);
        }
        if (!check)
            printf("\n");
    }
    if (!check)
        printf("\nEach entry: path, query rows x keys of a step, invocations of a workgroup, shared memory, key "
               "splits.\n");
    return good ? 0 : 1;
}
