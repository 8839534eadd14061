/* Pipelines: compiled once per key, shared by all threads, persisted as a blob.
 * SPDX-License-Identifier: MIT */
#include "vk/vk.h"

#include <string.h>

#include "spirv.h"

/* An entry is published under the lock as COMPILING, compiled without the lock, and then READY, or FAILED until
 * somebody tries again. So threads that want other pipelines, or ones that exist, never wait for a compiler. */
typedef enum entry_state { FAILED = 0, COMPILING, READY } entry_state;

typedef struct entry {
    vka__pipeline_key key;
    entry_state state;
    VkPipeline pipeline;
} entry;

struct vka__pipeline_cache {
    vka__mutex mutex;
    vka__cond changed;
    entry *entries; /* in the order of their first use */
    uint32_t count, capacity;
    uint32_t *slots; /* a hash table of 1 + the entry's index; 0: free. Twice as many as the capacity, a power of two */
    VkPipelineCache handle;
};

/* ---- blob ----------------------------------------------------------------------------------------------------- */

static const char blob_magic[8] = "VKATTNC";

vka_status vka_device_save_cache(vka_device *d, void *data, size_t *size) {
    static const char item[] = "vka_device_save_cache";
    if (!d)
        return vka__fail(NULL, VKA_INVALID, "vka_device_save_cache.device", "must not be NULL");
    if (!size)
        return vka__fail(&d->ctx, VKA_INVALID, "vka_device_save_cache.size", "must not be NULL");
    size_t inner = 0;
    VkResult result = d->vk.vkGetPipelineCacheData(d->handle, d->pipelines->handle, &inner, NULL);
    if (result != VK_SUCCESS)
        return vka__vk_status(&d->ctx, result, item, "vkGetPipelineCacheData");
    size_t capacity = *size;
    *size = VKA__BLOB_HEADER + inner;
    if (!data)
        return VKA_OK;
    if (capacity < *size)
        return vka__fail(&d->ctx, VKA_INVALID, "vka_device_save_cache.size", "is %zu, but %zu are needed", capacity,
                         *size);
    char *payload = (char *)data + VKA__BLOB_HEADER;
    result = d->vk.vkGetPipelineCacheData(d->handle, d->pipelines->handle, &inner, payload);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return vka__vk_status(&d->ctx, result, item, "vkGetPipelineCacheData");
    vka__blob_seal(d, blob_magic, data, inner);
    *size = VKA__BLOB_HEADER + inner;
    return VKA_OK;
}

/* ---- table ---------------------------------------------------------------------------------------------------- */

vka_status vka__pipelines_create(vka_device *d, const void *cache, size_t cache_size) {
    static const char item[] = "vka_device_create";
    vka__pipeline_cache *p = vka__alloc(&d->ctx, 1, sizeof *p);
    if (!p)
        return vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, item, "no host memory");
    d->pipelines = p;
    vka__mutex_init(&p->mutex);
    vka__cond_init(&p->changed);
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    info.pInitialData = vka__blob_open(d, "vka_device_create.cache", "the pipeline cache", blob_magic, cache,
                                       cache_size, &info.initialDataSize);
    VkResult result = d->vk.vkCreatePipelineCache(d->handle, &info, NULL, &p->handle);
    if (result != VK_SUCCESS && info.pInitialData) {
        vka__log(&d->ctx, VKA_LOG_WARNING, "vka_device_create.cache", "the driver refused the pipeline cache: dropped");
        info.initialDataSize = 0;
        info.pInitialData = NULL;
        result = d->vk.vkCreatePipelineCache(d->handle, &info, NULL, &p->handle);
    }
    if (result != VK_SUCCESS)
        p->handle = VK_NULL_HANDLE;
    return vka__vk_status(&d->ctx, result, item, "vkCreatePipelineCache");
}

void vka__pipelines_destroy(vka_device *d) {
    vka__pipeline_cache *p = d->pipelines;
    if (!p)
        return;
    for (uint32_t i = 0; i < p->count; ++i)
        if (p->entries[i].state == READY)
            d->vk.vkDestroyPipeline(d->handle, p->entries[i].pipeline, NULL);
    if (p->handle)
        d->vk.vkDestroyPipelineCache(d->handle, p->handle, NULL);
    vka__cond_destroy(&p->changed);
    vka__mutex_destroy(&p->mutex);
    vka__free(&d->ctx, p->entries);
    vka__free(&d->ctx, p->slots);
    vka__free(&d->ctx, p);
    d->pipelines = NULL;
}

static vka_status compile(vka_device *d, const char *item, const vka__pipeline_key *key, VkPipeline *pipeline) {
    struct vka__spirv code = vka__spirv_table[key->kernel];
    if (key->words) {
        code.words = key->words;
        code.bytes = key->bytes;
    }
    if (!code.words)
        return vka__fail(&d->ctx, VKA_UNSUPPORTED, item, "kernel %s was left out of this build", code.name);
    VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = code.bytes, .pCode = code.words};
    VkShaderModule module;
    VkResult result = d->vk.vkCreateShaderModule(d->handle, &module_info, NULL, &module);
    if (result != VK_SUCCESS)
        return vka__vk_status(&d->ctx, result, item, "vkCreateShaderModule");
    VkSpecializationMapEntry map[VKA_SPEC_COUNT];
    for (uint32_t i = 0; i < VKA_SPEC_COUNT; ++i)
        map[i] = (VkSpecializationMapEntry){.constantID = i, .offset = i * 4, .size = 4};
    VkSpecializationInfo spec = {
        .mapEntryCount = VKA_SPEC_COUNT, .pMapEntries = map, .dataSize = sizeof key->spec, .pData = key->spec};
    /* Kernels that are made for a width of subgroups. */
    uint32_t width = key->spec[VKA_SPEC_SUBGROUP];
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = width};
    bool choose = width && d->caps.subgroup_min != d->caps.subgroup_max;
    VkPipelineShaderStageCreateFlags flags =
        width && d->full_subgroups ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0;
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = key->any_group ? VK_PIPELINE_CREATE_DISPATCH_BASE : 0,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = choose ? &size : NULL,
                  .flags = flags,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &spec},
        .layout = d->pipeline_layout,
    };
    result = d->vk.vkCreateComputePipelines(d->handle, d->pipelines->handle, 1, &info, NULL, pipeline);
    d->vk.vkDestroyShaderModule(d->handle, module, NULL);
    return vka__vk_status(&d->ctx, result, item, "vkCreateComputePipelines");
}

bool vka__kernel_counts_groups(vka__kernel kernel) {
    const struct vka__spirv *code = &vka__spirv_table[kernel];
    size_t words = code->words ? code->bytes / 4 : 0;
    for (size_t i = 5; i + 3 < words; i += code->words[i] >> 16) {
        uint32_t op = code->words[i] & 0xffff;
        bool decorates = op == 71 && code->words[i + 2] == 11; /* OpDecorate .. BuiltIn */
        if (decorates && code->words[i + 3] == 24)             /* NumWorkgroups         */
            return true;
        if (op == 54 || !(code->words[i] >> 16)) /* OpFunction: decorations come before */
            break;
    }
    return false;
}

static uint32_t hash(const vka__pipeline_key *key) {
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ key->kernel ^ (uint64_t)key->any_group << 32;
    for (uint32_t i = 0; i < VKA_SPEC_COUNT; ++i)
        h = (h ^ key->spec[i]) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < 2; ++i)
        h = (h ^ key->code[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32);
}

/* The slot that holds the key, or where it belongs. */
static uint32_t *slot_of(const vka__pipeline_cache *p, const vka__pipeline_key *key) {
    uint32_t mask = 2 * p->capacity - 1, at = hash(key) & mask;
    while (p->slots[at] && memcmp(&p->entries[p->slots[at] - 1].key, key, VKA__KEY_BYTES))
        at = (at + 1) & mask;
    return &p->slots[at];
}

static entry *find(const vka__pipeline_cache *p, const vka__pipeline_key *key) {
    uint32_t *slot = p->capacity ? slot_of(p, key) : NULL;
    return slot && *slot ? &p->entries[*slot - 1] : NULL;
}

static bool grow(vka_device *d, vka__pipeline_cache *p) {
    uint32_t capacity = p->capacity ? p->capacity * 2 : 64;
    uint32_t *slots = vka__alloc(&d->ctx, 2 * (size_t)capacity, sizeof *slots);
    entry *grown = slots ? vka__realloc(&d->ctx, p->entries, capacity * sizeof *grown) : NULL;
    if (!grown) {
        vka__free(&d->ctx, slots);
        return false;
    }
    vka__free(&d->ctx, p->slots);
    p->entries = grown;
    p->slots = slots;
    p->capacity = capacity;
    for (uint32_t i = 0; i < p->count; ++i)
        *slot_of(p, &p->entries[i].key) = i + 1;
    return true;
}

/* A new entry for a key that has none; the array may move. NULL: no memory. */
static entry *add(vka_device *d, vka__pipeline_cache *p, const vka__pipeline_key *key) {
    if (p->count == p->capacity && !grow(d, p))
        return NULL;
    p->entries[p->count] = (entry){.key = *key};
    p->entries[p->count].key.words = NULL;
    *slot_of(p, key) = p->count + 1;
    return &p->entries[p->count++];
}

vka_status vka__pipeline_get(vka_device *d, const char *item, const vka__pipeline_key *key, VkPipeline *pipeline) {
    vka__pipeline_cache *p = d->pipelines;
    vka__lock(&p->mutex);
    entry *e;
    while ((e = find(p, key)) && e->state == COMPILING)
        vka__cond_wait(&p->changed, &p->mutex);
    if (e && e->state == READY) {
        *pipeline = e->pipeline;
        vka__unlock(&p->mutex);
        return VKA_OK;
    }
    e = e ? e : add(d, p, key);
    if (e)
        e->state = COMPILING;
    vka__unlock(&p->mutex);
    if (!e)
        return vka__fail(&d->ctx, VKA_OUT_OF_MEMORY, item, "no host memory");

    vka_status status = compile(d, item, key, pipeline);

    vka__lock(&p->mutex);
    e = find(p, key);
    e->state = status == VKA_OK ? READY : FAILED;
    e->pipeline = status == VKA_OK ? *pipeline : VK_NULL_HANDLE;
    vka__cond_broadcast(&p->changed);
    vka__unlock(&p->mutex);
    return status;
}

VkPipeline vka__pipeline_at(vka_device *d, uint32_t index) {
    vka__pipeline_cache *p = d->pipelines;
    VkPipeline found = VK_NULL_HANDLE;
    vka__lock(&p->mutex);
    for (uint32_t i = 0; i < p->count && !found; ++i)
        if (p->entries[i].state == READY && index-- == 0)
            found = p->entries[i].pipeline;
    vka__unlock(&p->mutex);
    return found;
}
