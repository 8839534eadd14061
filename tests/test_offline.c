/* vkattn-offline's reading of what drivers say, with a driver that says what it is told to.
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "statistics.h"

/* ---- the driver ------------------------------------------------------------------------------------------------ */

typedef struct said {
    const char *name;
    uint64_t value;
} said;

static said says[8];
static const char *shows[2];

static VKAPI_ATTR VkResult VKAPI_CALL properties(VkDevice device, const VkPipelineInfoKHR *info, uint32_t *count,
                                                 VkPipelineExecutablePropertiesKHR *list) {
    (void)device, (void)info;
    *count = 1;
    list[0].subgroupSize = 32;
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL statistics_of(VkDevice device, const VkPipelineExecutableInfoKHR *info,
                                                    uint32_t *count, VkPipelineExecutableStatisticKHR *list) {
    (void)device, (void)info;
    for (*count = 0; *count < 8 && says[*count].name; ++*count) {
        VkPipelineExecutableStatisticKHR *s = &list[*count];
        snprintf(s->name, sizeof s->name, "%s", says[*count].name);
        s->format = VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR;
        s->value.u64 = says[*count].value;
    }
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL representations(VkDevice device, const VkPipelineExecutableInfoKHR *info,
                                                      uint32_t *count,
                                                      VkPipelineExecutableInternalRepresentationKHR *list) {
    (void)device, (void)info;
    *count = 2;
    for (int i = 0; i < 2; i++) {
        const char *text = shows[i] ? shows[i] : "";
        list[i].isText = VK_TRUE;
        list[i].dataSize = strlen(text) + 1;
        if (list[i].pData) {
            memcpy(list[i].pData, text, list[i].dataSize);
        }
    }
    return VK_SUCCESS;
}

static statistics read(void) {
    statistics_functions vk = {properties, statistics_of, representations};
    statistics s;
    statistics_read(&vk, VK_NULL_HANDLE, VK_NULL_HANDLE, NULL, &s);
    return s;
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

Test(offline, spills_of_both_register_files_add_up) {
    memcpy(says, (said[]){{"VGPRs", 96}, {"Spilled VGPRs", 5}, {"Spilled SGPRs", 2}, {"Code size", 7}},
           4 * sizeof *says);
    statistics s = read();
    cr_assert(s.any && s.known[STAT_REGISTERS] && s.known[STAT_SPILLS]);
    cr_assert_eq(s.value[STAT_REGISTERS], 96);
    cr_assert_eq(s.value[STAT_SPILLS], 7);
    cr_assert_eq(s.subgroup, 32);
}

Test(offline, what_is_not_said_is_not_known) {
    memcpy(says, (said[]){{"STP Count", 40}, {"Preamble Instruction Count", 9}}, 2 * sizeof *says);
    statistics s = read();
    cr_assert_eq(s.value[STAT_SPILLS], 40);
    cr_assert_not(s.known[STAT_SCRATCH]);
    cr_assert_not(s.known[STAT_INSTRUCTIONS], "a preamble is not the program");
}

/* Lines as drivers print them; an intermediate language before the code must not count again. */
Test(offline, matrix_instructions_are_counted_in_one_listing) {
    shows[0] = "div 32x2 %127 = @dpas_intel (%2422, %2731)\ndiv 32x8 %84 = @cmat_muladd_amd (%24)\n";
    shows[1] = "dpas.8x8(16)    g48<1>F  null<1,1,0>F\n(+f0.0) dpas.8x8(8) g80<1>F\nmul(16) g1<1>F\n";
    cr_assert_eq(read().matrix_ops, 2);
    shows[0] = "\t v8: %85 = v_wmma_f32_16x16x16_f16 %25, %75, 0\n";
    shows[1] = "\tv_wmma_f32_16x16x16_f16 v[8:15], v[0:7], v[0:7], 0\n\tv_add_f32 v0, v1, v2\n";
    cr_assert_eq(read().matrix_ops, 1);
    shows[0] = " r8..12 = hmma.m16n8k16.f32 r12..16 r16..18 r8..12     // delay=3\n";
    shows[1] = NULL;
    cr_assert_eq(read().matrix_ops, 1);
}

/* Of listings that multiply matrices only: others load what they like from where they like. */
Test(offline, loads_of_matrices_from_wrong_places_are_found) {
    shows[0] = " r12..16 = ldsm.16.m8n8.x4 [r9]         // delay=1\n r16..20 = ldsm.16.m8n8.x4 [r9+0x480c] // wr:1\n"
               " r8..12 = hmma.m16n8k16.f32 r12..16 r16..18 r8..12\n r1 = ld.shared.strong.cta.b32 [r2+0xc]\n";
    shows[1] = NULL;
    statistics s = read();
    cr_assert(s.places == 2 && s.misaligned == 1);
    shows[0] = "\tds_load_b64 v[8:9], v1 offset:8         ; d9d80008\n\tds_load_u16_d16_hi v3, v2 offset:9172 ; d9\n"
               "\tds_load_u16_d16 v3, v2 offset:9168 ; d9\n\tds_load_b128 v[8:11], v1 offset:24 ; d9\n"
               "\tds_load_b32 v8, v1 offset:4 ; d9\n\tv_wmma_f32_16x16x16_f16 v[8:15], v[0:7], v[0:7], 0\n";
    s = read();
    cr_assert(s.places == 4 && s.misaligned == 2);
    shows[1] = "decl_var shared INTERP_MODE_NONE none uvec2x0a4B[576] k_tile\n"
               "decl_var shared INTERP_MODE_NONE none int step\n"
               "decl_var shared INTERP_MODE_NONE none float[64] row_factor\n"
               "decl_var shared INTERP_MODE_NONE none ivec4[3][2] words\n"
               "decl_var shared INTERP_MODE_NONE none f16vec4[3] halves\n"
               "decl_var ssbo INTERP_MODE_NONE restrict int out\n";
    s = read();
    cr_assert(s.places == 9 && s.misaligned == 4);
    shows[0] = "\tds_load_b128 v[8:11], v1 offset:24\n";
    s = read();
    cr_assert(s.places == 0 && s.misaligned == 0);
}
