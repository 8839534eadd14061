/* What the device can do at best, measured here and now: multiply-adds and copies. Shares of peak refer to these.
 * SPDX-License-Identifier: MIT */
#include "vk.h"

#include "peak.inc" /* vka__spirv_peak: peak.comp, compiled */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INVOCATIONS    64 /* local size of peak.comp */
#define FLOPS_PER_LOOP 768.0
#define ROUNDS         8

typedef struct push {
    float b, c;
    uint32_t loops;
} push;

typedef struct kernel {
    const bench_device *d;
    vka_buffer *result;
    VkDescriptorSetLayout set_layout;
    VkDescriptorPool set_pool;
    VkDescriptorSet set;
    VkPipelineLayout layout;
    VkShaderModule module;
    VkPipeline pipeline;
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkQueryPool queries; /* null without timestamps */
} kernel;

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static bool create_set(kernel *k) {
    const bench_vk *vk = &k->d->vk;
    VkDevice device = k->d->device;
    VkDescriptorSetLayoutBinding binding = {
        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        .descriptorCount = 1,
        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
    };
    VkDescriptorSetLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = 1, .pBindings = &binding};
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1};
    VkDescriptorPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1, .poolSizeCount = 1, .pPoolSizes = &size};
    if (vk->CreateDescriptorSetLayout(device, &layout, NULL, &k->set_layout) != VK_SUCCESS ||
        vk->CreateDescriptorPool(device, &pool, NULL, &k->set_pool) != VK_SUCCESS) {
        return false;
    }
    VkDescriptorSetAllocateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                       .descriptorPool = k->set_pool,
                                       .descriptorSetCount = 1,
                                       .pSetLayouts = &k->set_layout};
    if (vk->AllocateDescriptorSets(device, &set, &k->set) != VK_SUCCESS) {
        return false;
    }
    VkDescriptorBufferInfo buffer = {vka_buffer_vk(k->result), 0, INVOCATIONS * sizeof(float)};
    VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                  .dstSet = k->set,
                                  .descriptorCount = 1,
                                  .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                  .pBufferInfo = &buffer};
    vk->UpdateDescriptorSets(device, 1, &write, 0, NULL);
    return true;
}

static bool create_pipeline(kernel *k) {
    const bench_vk *vk = &k->d->vk;
    VkDevice device = k->d->device;
    VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(push)};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .setLayoutCount = 1,
                                         .pSetLayouts = &k->set_layout,
                                         .pushConstantRangeCount = 1,
                                         .pPushConstantRanges = &range};
    VkShaderModuleCreateInfo module = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                       .codeSize = sizeof vka__spirv_peak,
                                       .pCode = vka__spirv_peak};
    if (vk->CreatePipelineLayout(device, &layout, NULL, &k->layout) != VK_SUCCESS ||
        vk->CreateShaderModule(device, &module, NULL, &k->module) != VK_SUCCESS) {
        return false;
    }
    VkComputePipelineCreateInfo pipeline = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                            .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                      .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                      .module = k->module,
                                                      .pName = "main"},
                                            .layout = k->layout};
    return vk->CreateComputePipelines(device, VK_NULL_HANDLE, 1, &pipeline, NULL, &k->pipeline) == VK_SUCCESS;
}

static bool create_commands(kernel *k) {
    const bench_vk *vk = &k->d->vk;
    VkDevice device = k->d->device;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = k->d->family};
    if (vk->CreateCommandPool(device, &pool, NULL, &k->pool) != VK_SUCCESS) {
        return false;
    }
    VkCommandBufferAllocateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .commandPool = k->pool,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1};
    VkQueryPoolCreateInfo queries = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = 2};
    return vk->AllocateCommandBuffers(device, &commands, &k->commands) == VK_SUCCESS &&
           (!k->d->timestamp_bits || vk->CreateQueryPool(device, &queries, NULL, &k->queries) == VK_SUCCESS);
}

static bool kernel_create(kernel *k, const bench_device *d) {
    *k = (kernel){.d = d};
    vka_buffer_desc buffer = {.size = INVOCATIONS * sizeof(float)};
    return vka_buffer_create(d->vka, &buffer, &k->result) == VKA_OK && create_set(k) && create_pipeline(k) &&
           create_commands(k);
}

/* Destroys what there is, in any state. */
static void kernel_destroy(kernel *k) {
    const bench_vk *vk = &k->d->vk;
    VkDevice device = k->d->device;
    vk->DeviceWaitIdle(device);
    vk->DestroyQueryPool(device, k->queries, NULL);
    vk->DestroyCommandPool(device, k->pool, NULL);
    vk->DestroyPipeline(device, k->pipeline, NULL);
    vk->DestroyShaderModule(device, k->module, NULL);
    vk->DestroyPipelineLayout(device, k->layout, NULL);
    vk->DestroyDescriptorPool(device, k->set_pool, NULL);
    vk->DestroyDescriptorSetLayout(device, k->set_layout, NULL);
    vka_buffer_destroy(&k->result);
}

/* ---- multiply-adds ----------------------------------------------------------------------------------------------- */

static bool record_kernel(const kernel *k, uint32_t groups, uint32_t loops) {
    const bench_vk *vk = &k->d->vk;
    push constants = {0.999f, 0.001f, loops};
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    if (vk->BeginCommandBuffer(k->commands, &begin) != VK_SUCCESS) {
        return false;
    }
    vk->CmdBindPipeline(k->commands, VK_PIPELINE_BIND_POINT_COMPUTE, k->pipeline);
    vk->CmdBindDescriptorSets(k->commands, VK_PIPELINE_BIND_POINT_COMPUTE, k->layout, 0, 1, &k->set, 0, NULL);
    vk->CmdPushConstants(k->commands, k->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof constants, &constants);
    if (k->queries) {
        vk->CmdResetQueryPool(k->commands, k->queries, 0, 2);
        vk->CmdWriteTimestamp(k->commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, k->queries, 0);
    }
    vk->CmdDispatch(k->commands, groups, 1, 1);
    if (k->queries) {
        vk->CmdWriteTimestamp(k->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, k->queries, 1);
    }
    return vk->EndCommandBuffer(k->commands) == VK_SUCCESS;
}

/* Milliseconds of one dispatch; NaN on failure. */
static double run_kernel(const kernel *k, uint32_t groups, uint32_t loops) {
    const bench_vk *vk = &k->d->vk;
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &k->commands};
    if (!record_kernel(k, groups, loops)) {
        return NAN;
    }
    double start = bench_now_ms();
    if (vk->QueueSubmit(k->d->queue, 1, &submit, VK_NULL_HANDLE) != VK_SUCCESS ||
        vk->QueueWaitIdle(k->d->queue) != VK_SUCCESS) {
        return NAN;
    }
    double ms = bench_now_ms() - start;
    if (k->queries) {
        uint64_t t[2], mask = k->d->timestamp_bits < 64 ? (UINT64_C(1) << k->d->timestamp_bits) - 1 : UINT64_MAX;
        VkQueryResultFlags flags = VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT;
        if (vk->GetQueryPoolResults(k->d->device, k->queries, 0, 2, sizeof t, t, sizeof t[0], flags) != VK_SUCCESS) {
            return NAN;
        }
        ms = (double)((t[1] - t[0]) & mask) * k->d->timestamp_ns * 1e-6;
    }
    return ms > 0 ? ms : NAN;
}

/* Doubles the work until a dispatch is long enough, then takes the best of some: a peak, not a typical value. */
static double measure_tflops(const bench_device *d) {
    bool software = bench_device_caps(d)->type == VKA_DEVICE_CPU;
    uint32_t groups = software ? 256 : 8192, loops = 4;
    double long_enough = software ? 30 : 5, best = NAN;
    kernel k;
    if (kernel_create(&k, d)) {
        run_kernel(&k, groups, loops); /* compiles */
        double ms = run_kernel(&k, groups, loops);
        while (ms < long_enough && loops < 1u << 20) {
            loops *= 2;
            ms = run_kernel(&k, groups, loops);
        }
        best = ms;
        for (int i = 0; i < ROUNDS && best > 0; i++) {
            best = fmin(best, run_kernel(&k, groups, loops));
        }
    }
    kernel_destroy(&k);
    return FLOPS_PER_LOOP * loops * INVOCATIONS * groups / (best * 1e9);
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

typedef struct copy {
    vka_buffer *from, *to;
    uint64_t size;
} copy;

static vka_status record_copy(vka_recorder *recorder, void *user) {
    const copy *c = user;
    return vka_copy(recorder, c->to, 0, c->from, 0, c->size);
}

/* Writes the source, since reading memory that was never written may be free. */
static vka_status fill(vka_buffer *buffer, uint64_t size) {
    uint64_t chunk = size < 1u << 24 ? size : 1u << 24;
    unsigned char *bytes = malloc((size_t)chunk);
    vka_status status = bytes ? VKA_OK : VKA_OUT_OF_MEMORY;
    for (uint64_t i = 0; bytes && i < chunk; i++) {
        bytes[i] = (unsigned char)(i * 131 >> 3);
    }
    for (uint64_t at = 0; at < size && status == VKA_OK; at += chunk) {
        status = vka_buffer_write(buffer, at, bytes, size - at < chunk ? size - at : chunk);
    }
    free(bytes);
    return status;
}

static double measure_copy(const bench_device *d, uint64_t size) {
    vka_device *vka = d->vka;
    copy c = {.size = size};
    vka_recorder *recorder = NULL;
    bench_timing timing = {.min_ms = NAN};
    vka_buffer_desc desc = {.size = size};
    vka_status status = vka_buffer_create(vka, &desc, &c.from);
    if (status == VKA_OK) {
        status = vka_buffer_create(vka, &desc, &c.to);
    }
    if (status == VKA_OK) {
        status = fill(c.from, size);
    }
    if (status == VKA_OK) {
        status = bench_recorder_create(vka, 0, &recorder);
    }
    if (status == VKA_OK) {
        status = bench_time(vka, recorder, record_copy, &c, (bench_budget){.repeats = ROUNDS}, &timing);
    }
    vka_recorder_destroy(&recorder);
    vka_buffer_destroy(&c.from);
    vka_buffer_destroy(&c.to);
    return status == VKA_OK ? 2 * (double)size / (timing.min_ms * 1e6) : NAN;
}

/* Larger than caches (the largest known are 32 MiB a CPU core group, 256 MiB on GPUs), small enough for small devices.
 */
static uint64_t copy_size(const vka_device_caps *caps) {
    uint64_t wanted = caps->type == VKA_DEVICE_CPU ? UINT64_C(1) << 27 : UINT64_C(1) << 29;
    uint64_t most = caps->memory_bytes / 8;
    return (wanted < most ? wanted : most) & ~UINT64_C(15);
}

bench_peaks bench_measure_peaks(const bench_device *d) {
    bench_peaks p = {.copy_bytes = copy_size(bench_device_caps(d))};
    bench_progress_step(0, "the arithmetic peak");
    p.tflops_f32 = measure_tflops(d);
    bench_progress_step(0, "copy bandwidth");
    p.copy_gbps = measure_copy(d, p.copy_bytes);
    bench_progress_pause();
    if (!(p.tflops_f32 > 0)) {
        p.tflops_f32 = NAN;
        bench_note("vkattn-bench: the arithmetic peak could not be measured %s", d->error);
    }
    if (!isfinite(p.copy_gbps)) {
        p.copy_gbps = NAN;
        bench_note("vkattn-bench: the copy bandwidth could not be measured %s", d->error);
    }
    return p;
}
