/* What a driver's compiler says about a pipeline, under the same names for every driver.
 * SPDX-License-Identifier: MIT */
#ifndef VKATTN_OFFLINE_STATISTICS_H
#define VKATTN_OFFLINE_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <vulkan/vulkan_core.h>

typedef enum statistic {
    STAT_REGISTERS,
    STAT_SPILLS, /* registers or stores, as the driver counts; their reloads are not added */
    STAT_SCRATCH,
    STAT_OCCUPANCY,
    STAT_SHARED,
    STAT_INSTRUCTIONS,
    STAT_COUNT
} statistic;

typedef struct statistics {
    bool any; /* false: the driver can't tell, and everything below is zero */
    bool known[STAT_COUNT];
    uint64_t value[STAT_COUNT];
    uint32_t subgroup;   /* width that the compiler chose; 0: unknown */
    bool matrix_known;   /* the driver shows its code                  */
    uint32_t matrix_ops; /* instructions that multiply matrices        */
    /* Of kernels with matrices: places in shared memory of which something is known, and those that are misaligned. */
    uint32_t places, misaligned;
} statistics;

typedef struct statistics_functions {
    PFN_vkGetPipelineExecutablePropertiesKHR properties;
    PFN_vkGetPipelineExecutableStatisticsKHR statistics;
    PFN_vkGetPipelineExecutableInternalRepresentationsKHR representations;
} statistics_functions;

/* Of a pipeline that was created with both CAPTURE flags. `code`, or NULL: where every listing goes, each behind a line
 * "representation: NAME". */
void statistics_read(const statistics_functions *vk, VkDevice device, VkPipeline pipeline, FILE *code, statistics *out);

/* Matrix instructions in a driver's listing. */
uint32_t statistics_count_matrix(const char *text);

/* Adds what a listing says about where matrices lie in shared memory, which has to be at multiples of 16 bytes: the
 * constant parts of the addresses of loads that can only be those of matrices, and the sizes of variables, which some
 * compilers lay one right behind another. */
void statistics_add_places(const char *text, statistics *out);

#endif
