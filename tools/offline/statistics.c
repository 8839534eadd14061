/* SPDX-License-Identifier: MIT */
#include "statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EXECUTABLES     4
#define MAX_STATISTICS      128
#define MAX_REPRESENTATIONS 32

/* The drivers' names. Of two that mean the same statistic of one driver, values are added. */
static const struct name {
    const char *text;
    statistic stat;
} names[] = {
    {"VGPRs", STAT_REGISTERS},                /* RADV: of an invocation                                         */
    {"Max live registers", STAT_REGISTERS},   /* ANV: of a subgroup, 32 bytes each, before allocation           */
    {"Number of GPRs", STAT_REGISTERS},       /* NVK                                                            */
    {"Registers used", STAT_REGISTERS},       /* Turnip: vectors of four; PanVK                                 */
    {"GPRs", STAT_REGISTERS},                 /* Honeykrisp: halves                                             */
    {"Temp count", STAT_REGISTERS},           /* PowerVR                                                        */
    {"Spilled VGPRs", STAT_SPILLS},           /* RADV                                                           */
    {"Spilled SGPRs", STAT_SPILLS},           /*                                                                */
    {"Spills", STAT_SPILLS},                  /* ANV, Honeykrisp, PanVK                                         */
    {"Spill Count", STAT_SPILLS},             /* HasVK                                                          */
    {"Spill count", STAT_SPILLS},             /* PowerVR                                                        */
    {"Spills to memory", STAT_SPILLS},        /* NVK, which also spills one kind of register to another         */
    {"STP Count", STAT_SPILLS},               /* Turnip: stores to private memory                               */
    {"Scratch size", STAT_SCRATCH},           /* RADV, PowerVR                                                  */
    {"Scratch Memory Size", STAT_SCRATCH},    /* ANV, HasVK                                                     */
    {"SLM size", STAT_SCRATCH},               /* NVK: "local" memory is private there                           */
    {"Scratch", STAT_SCRATCH},                /* Honeykrisp                                                     */
    {"Subgroups per SIMD", STAT_OCCUPANCY},   /* RADV                                                           */
    {"Max warps/SM", STAT_OCCUPANCY},         /* NVK                                                            */
    {"Max Waves Per Core", STAT_OCCUPANCY},   /* Turnip                                                         */
    {"Threads", STAT_OCCUPANCY},              /* Honeykrisp: invocations of a core; PanVK: 1 is half occupancy  */
    {"LDS size", STAT_SHARED},                /* RADV                                                           */
    {"Workgroup Memory Size", STAT_SHARED},   /* ANV, HasVK                                                     */
    {"Instructions", STAT_INSTRUCTIONS},      /* RADV, ANV, Honeykrisp, PanVK                                   */
    {"Instruction count", STAT_INSTRUCTIONS}, /* NVK                                                          */
    {"Instruction Count", STAT_INSTRUCTIONS}, /* HasVK, Turnip                                                */
    {"Inst group count", STAT_INSTRUCTIONS},  /* PowerVR                                                      */
};

/* How the instructions begin: AMD, Intel, NVIDIA. */
static const char *const matrix_mnemonics[] = {"v_wmma_", "v_swmmac_", "v_mfma_", "dpas.",
                                               "dpas(",   "hmma.",     "imma.",   "qmma."};

static bool starts_matrix(const char *token) {
    for (size_t i = 0; i < sizeof matrix_mnemonics / sizeof *matrix_mnemonics; ++i)
        if (!strncmp(token, matrix_mnemonics[i], strlen(matrix_mnemonics[i])))
            return true;
    return false;
}

uint32_t statistics_count_matrix(const char *text) {
    uint32_t count = 0;
    bool inside = false; /* of a word */
    for (; *text; ++text) {
        bool space = *text == ' ' || *text == '\t' || *text == '\n' || *text == '\r';
        count += !space && !inside && starts_matrix(text);
        inside = !space;
    }
    return count;
}

/* How loads of matrices from shared memory begin, and what a constant offset must be a multiple of. NVIDIA has an
 * instruction for them; on AMD they are the only 16-bit loads, one for each element of a column, and the widest. */
static const struct load {
    const char *mnemonic, *offset; /* what precedes the offset's number */
    int base;
    unsigned long multiple;
} loads[] = {
    {"ldsm.", "+0x", 16, 16},
    {"ds_load_u16_d16", "offset:", 10, 16},
    {"ds_read_u16_d16", "offset:", 10, 16},
    {"ds_load_b128", "offset:", 10, 16},
    {"ds_read_b128", "offset:", 10, 16},
    {"ds_load_b64", "offset:", 10, 8},
    {"ds_read_b64", "offset:", 10, 8},
};

static void add_load(const char *line, statistics *out) {
    for (size_t i = 0; i < sizeof loads / sizeof *loads; ++i) {
        const char *found = strstr(line, loads[i].mnemonic);
        if (!found)
            continue;
        const char *offset = strstr(found, loads[i].offset);
        unsigned long value = offset ? strtoul(offset + strlen(loads[i].offset), NULL, loads[i].base) : 0;
        ++out->places;
        out->misaligned += value % loads[i].multiple != 0;
        return;
    }
}

/* Bytes of a type as Mesa's intermediate language names it: "float[64]", "uvec2x0a4B[576]"; 0: of another kind. */
static size_t size_of_type(const char *type) {
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {{"float16_t", 2}, {"f16vec", 2}, {"float", 4}, {"int", 4},
                 {"uint", 4},      {"vec", 4},    {"ivec", 4},  {"uvec", 4}};
    size_t bytes = 0, letters = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types && !bytes; ++i) {
        letters = strlen(types[i].name);
        bytes = strncmp(type, types[i].name, letters) ? 0 : types[i].bytes;
    }
    if (type[letters] >= '2' && type[letters] <= '4')
        bytes *= (size_t)(type[letters] - '0');
    const char *end = type + strcspn(type, " ");
    for (const char *dim = strchr(type, '['); dim && dim < end; dim = strchr(dim + 1, '['))
        bytes *= strtoul(dim + 1, NULL, 10);
    return bytes;
}

static void add_variable(const char *line, statistics *out) {
    const char *at = strstr(line, "decl_var shared ");
    for (int words = 0; at && words < 4; ++words) /* INTERP_MODE_NONE, none */
        at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL;
    size_t bytes = at ? size_of_type(at) : 0;
    out->places += bytes != 0;
    out->misaligned += bytes % 16 != 0;
}

void statistics_add_places(const char *text, statistics *out) {
    for (size_t length; *text; text += length + (text[length] != 0)) {
        char line[160];
        length = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        add_load(line, out);
        add_variable(line, out);
    }
}

static uint64_t value_of(const VkPipelineExecutableStatisticKHR *s) {
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return s->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return s->value.i64 < 0 ? 0 : (uint64_t)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        return s->value.u64;
    default:
        return (uint64_t)s->value.f64;
    }
}

static void add(statistics *out, const VkPipelineExecutableStatisticKHR *s) {
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (!strcmp(s->name, names[i].text)) {
            out->known[names[i].stat] = true;
            out->value[names[i].stat] += value_of(s);
        }
}

static void read_statistics(const statistics_functions *vk, VkDevice device, const VkPipelineExecutableInfoKHR *which,
                            statistics *out) {
    VkPipelineExecutableStatisticKHR list[MAX_STATISTICS];
    uint32_t count = MAX_STATISTICS;
    for (uint32_t i = 0; i < count; ++i)
        list[i] = (VkPipelineExecutableStatisticKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    if (vk->statistics(device, which, &count, list) < 0)
        return;
    out->any = true;
    for (uint32_t i = 0; i < count; ++i)
        add(out, &list[i]);
}

/* The same instruction appears in several stages of a compiler: the listing with the most counts. */
static void read_code(const statistics_functions *vk, VkDevice device, const VkPipelineExecutableInfoKHR *which,
                      FILE *code, statistics *out) {
    VkPipelineExecutableInternalRepresentationKHR list[MAX_REPRESENTATIONS];
    uint32_t count = MAX_REPRESENTATIONS, most = 0;
    for (uint32_t i = 0; i < count; ++i)
        list[i] = (VkPipelineExecutableInternalRepresentationKHR){
            .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR};
    if (vk->representations(device, which, &count, list) < 0)
        return;
    for (uint32_t i = 0; i < count; ++i)
        list[i].pData = calloc(1, list[i].dataSize + 1);
    VkResult result = vk->representations(device, which, &count, list);
    for (uint32_t i = 0; i < count; ++i) {
        if (result >= 0 && list[i].isText && list[i].pData) {
            uint32_t found = statistics_count_matrix(list[i].pData);
            most = found > most ? found : most;
            out->matrix_known = true;
            if (code)
                fprintf(code, "representation: %s\n%s\n", list[i].name, (const char *)list[i].pData);
        }
    }
    for (uint32_t i = 0; i < count; ++i) {
        if (most && list[i].pData)
            statistics_add_places(list[i].pData, out);
        free(list[i].pData);
    }
    out->matrix_ops += most;
}

void statistics_read(const statistics_functions *vk, VkDevice device, VkPipeline pipeline, FILE *code,
                     statistics *out) {
    *out = (statistics){0};
    VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
    VkPipelineExecutablePropertiesKHR list[MAX_EXECUTABLES];
    uint32_t count = MAX_EXECUTABLES;
    for (uint32_t i = 0; i < count; ++i)
        list[i] = (VkPipelineExecutablePropertiesKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    if (vk->properties(device, &info, &count, list) < 0)
        return;
    for (uint32_t i = 0; i < count; ++i) {
        VkPipelineExecutableInfoKHR which = {
            .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline, .executableIndex = i};
        out->subgroup = list[i].subgroupSize;
        read_statistics(vk, device, &which, out);
        read_code(vk, device, &which, code, out);
    }
}
