/* vkattn inside an app that owns its Vulkan: instance, device, queue, buffers, command buffers and submissions.
 * SPDX-License-Identifier: MIT
 *
 * Each frame the app fills q, k and v on the GPU, records attention into its own command buffer, scales the result with
 * a shader of its own, and submits all of it at once. Two frames are in flight, each with its own recorder. The library
 * gets no queue, so it could not submit or wait even if it wanted to.
 *
 * The four steps of vkattn/vulkan.h:
 *   1. what to enable       import/app.c, device_choose and device_create
 *   2. import the device    import_device
 *   3. wrap the buffers     slot_open
 *   4. record each frame    record
 *
 * Exits with 1 when a result is wrong or the validation layer has something to say. */
#include "import/app.h"

#include <vkattn/attention.h>

#include "fill.h"
#include "scale.h"

#include <math.h>
#include <stdio.h>

enum {
    Q_HEADS = 4,
    KV_HEADS = 2, /* two query heads share a key head */
    QUERIES = 48,
    KEYS = 160,
    DIM = 40,

    Q_COUNT = Q_HEADS * QUERIES * DIM,
    KV_COUNT = KV_HEADS * KEYS * DIM,
    IN_COUNT = Q_COUNT + 2 * KV_COUNT, /* q, k and v lie one behind the other in one buffer, then comes out */

    FRAMES = 3,
    SLOTS = 2, /* frames in flight */
};

/* All that a frame needs until its fence has signalled. */
typedef struct slot {
    memory tensors, result;
    VkDescriptorSet set;
    VkCommandBuffer commands;
    VkFence fence;
    vka_buffer *wrapped; /* tensors, as vkattn sees them */
    vka_recorder *recorder;
    vka_attention_desc attention;
} slot;

static void log_line(void *user, vka_log_level level, const char *item, const char *message) {
    (void)user, (void)level;
    fprintf(stderr, "%s: %s\n", item, message);
}

static vka_device *import_device(const app *a) {
    vka_device *device;
    vka_import_desc desc = {.get_instance_proc_addr = vkGetInstanceProcAddr,
                            .instance = a->instance,
                            .api_version = a->api_version,
                            .physical_device = a->physical,
                            .device = a->device,
                            .queue_family = a->family,
                            .enabled = a->enabled,
                            .log = {.fn = log_line}};
    vka_check(vka_device_import(&desc, &device), "vka_device_import");
    return device;
}

static vka_tensor tensor(vka_buffer *buffer, uint32_t first, uint32_t heads, uint32_t rows) {
    vka_tensor t = vka_tensor_4d(buffer, VKA_F32, 1, heads, rows, DIM);
    t.offset = first * sizeof(float);
    return t;
}

static void slot_open(slot *s, const app *a, vka_device *device) {
    s->tensors = memory_create(a->physical, a->device, (IN_COUNT + Q_COUNT) * sizeof(float), false);
    s->result = memory_create(a->physical, a->device, Q_COUNT * sizeof(float), true);
    s->set = set_create(a, &s->tensors, &s->result);
    s->commands = commands_create(a);
    s->fence = fence_create(a);

    vka_check(vka_buffer_wrap(device, s->tensors.buffer, 0, s->tensors.size, &s->wrapped), "vka_buffer_wrap");
    s->attention = (vka_attention_desc){.q = tensor(s->wrapped, 0, Q_HEADS, QUERIES),
                                        .k = tensor(s->wrapped, Q_COUNT, KV_HEADS, KEYS),
                                        .v = tensor(s->wrapped, Q_COUNT + KV_COUNT, KV_HEADS, KEYS),
                                        .out = tensor(s->wrapped, IN_COUNT, Q_HEADS, QUERIES),
                                        .causal = true};
    /* Now rather than in the first frame: compile, and allocate the scratch. After that, frames allocate nothing. */
    vka_check(vka_attention_prepare(device, &s->attention), "vka_attention_prepare");
    vka_requirements need;
    vka_check(vka_attention_requirements(device, &s->attention, &need), "vka_attention_requirements");
    const vka_recorder_desc room = {.scratch_bytes = need.workspace_bytes};
    vka_check(vka_recorder_create(device, &room, &s->recorder), "vka_recorder_create");
}

static void slot_close(slot *s, const app *a) {
    vka_recorder_destroy(&s->recorder);
    vka_buffer_destroy(&s->wrapped);
    vkDestroyFence(a->device, s->fence, NULL);
    memory_destroy(a->device, &s->tensors);
    memory_destroy(a->device, &s->result);
}

/* ---- one frame ---------------------------------------------------------------------------------------------- */

static void barrier(VkCommandBuffer commands, VkAccessFlags from, VkPipelineStageFlags to_stage, VkAccessFlags to) {
    VkMemoryBarrier memory_barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = from, .dstAccessMask = to};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, to_stage, 0, 1, &memory_barrier, 0, NULL, 0,
                         NULL);
}

/* The app's own kernels. Pipeline, set and push constants are bound each time: vkattn binds its own in between. */
static void dispatch(const app *a, const slot *s, VkPipeline pipeline, push p) {
    vkCmdBindPipeline(s->commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    vkCmdBindDescriptorSets(s->commands, VK_PIPELINE_BIND_POINT_COMPUTE, a->layout, 0, 1, &s->set, 0, NULL);
    vkCmdPushConstants(s->commands, a->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof p, &p);
    vkCmdDispatch(s->commands, (p.count + 63) / 64, 1, 1);
}

static void record(const app *a, slot *s, VkPipeline fill, VkPipeline scale, uint32_t frame) {
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    vk_check(vkBeginCommandBuffer(s->commands, &begin), "vkBeginCommandBuffer");
    dispatch(a, s, fill, (push){.first = 0, .count = IN_COUNT, .frame = frame});

    /* Inputs become visible to vkattn. Its output overwrites what the last frame of this slot read: a fence was
     * between. */
    barrier(s->commands, VK_ACCESS_SHADER_WRITE_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT);
    vka_check(vka_recorder_wrap(s->recorder, s->commands), "vka_recorder_wrap");
    vka_check(vka_attention(s->recorder, &s->attention), "vka_attention");
    vka_check(vka_recorder_unwrap(s->recorder), "vka_recorder_unwrap");
    /* Its output becomes visible to the app. */
    barrier(s->commands, VK_ACCESS_SHADER_WRITE_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT);

    dispatch(a, s, scale, (push){.first = IN_COUNT, .count = Q_COUNT, .frame = frame});
    barrier(s->commands, VK_ACCESS_SHADER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    vk_check(vkEndCommandBuffer(s->commands), "vkEndCommandBuffer");
}

static void submit(const app *a, const slot *s) {
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &s->commands};
    vk_check(vkQueueSubmit(a->queue, 1, &info, s->fence), "vkQueueSubmit");
}

/* ---- the same on the CPU ------------------------------------------------------------------------------------ */

/* What fill.comp writes. */
static double filled(uint32_t i, uint32_t frame) {
    uint32_t state = (i + IN_COUNT * frame) * 747796405u + 2891336453u;
    uint32_t word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737u;
    return (double)(((word >> 22) ^ word) >> 8) / 8388608.0 - 1.0;
}

/* One row of causal attention, by its definition. The last query sees the last key. */
static void expected_row(uint32_t frame, uint32_t head, uint32_t query, double *out) {
    uint32_t q = (head * QUERIES + query) * DIM, k = Q_COUNT + head / (Q_HEADS / KV_HEADS) * KEYS * DIM,
             v = k + KV_COUNT;
    double sum = 0;
    for (uint32_t d = 0; d < DIM; d++) {
        out[d] = 0;
    }
    for (uint32_t j = 0; j <= query + KEYS - QUERIES; j++) {
        double score = 0;
        for (uint32_t d = 0; d < DIM; d++) {
            score += filled(q + d, frame) * filled(k + j * DIM + d, frame);
        }
        double p = exp(score / sqrt((double)DIM));
        sum += p;
        for (uint32_t d = 0; d < DIM; d++) {
            out[d] += p * filled(v + j * DIM + d, frame);
        }
    }
    for (uint32_t d = 0; d < DIM; d++) {
        out[d] /= sum;
    }
}

static bool verify(const slot *s, uint32_t frame) {
    const float *result = s->result.mapped;
    double worst = 0;
    bool ok = true;
    for (uint32_t row = 0; row < Q_HEADS * QUERIES; row++) {
        double expected[DIM];
        expected_row(frame, row / QUERIES, row % QUERIES, expected);
        for (uint32_t d = 0; d < DIM; d++) {
            double error = fabs((double)result[row * DIM + d] - expected[d] * (1 + frame));
            worst = error > worst ? error : worst;
            ok = ok && error < 1e-5; /* NaN is not */
        }
    }
    printf("frame %u: %s, largest error %.1e\n", frame, ok ? "right" : "WRONG", worst);
    return ok;
}

static bool finish(const app *a, const slot *s, uint32_t frame) {
    vk_check(vkWaitForFences(a->device, 1, &s->fence, VK_TRUE, UINT64_MAX), "vkWaitForFences");
    vk_check(vkResetFences(a->device, 1, &s->fence), "vkResetFences");
    return verify(s, frame);
}

static bool run_frames(const app *a, slot *slots) {
    VkPipeline fill = compute_pipeline_create(a->device, a->layout, fill_spirv, sizeof fill_spirv);
    VkPipeline scale = compute_pipeline_create(a->device, a->layout, scale_spirv, sizeof scale_spirv);
    bool ok = true;
    for (uint32_t frame = 0; frame < FRAMES + SLOTS; frame++) {
        slot *s = &slots[frame % SLOTS];
        if (frame >= SLOTS) { /* the slot is taken: by the frame that was submitted SLOTS frames ago */
            ok = finish(a, s, frame - SLOTS) && ok;
        }
        if (frame < FRAMES) {
            record(a, s, fill, scale, frame);
            submit(a, s);
        }
    }
    vkDestroyPipeline(a->device, fill, NULL);
    vkDestroyPipeline(a->device, scale, NULL);
    return ok;
}

int main(void) {
    static app a;
    static slot slots[SLOTS];
    app_open(&a);
    vka_device *device = import_device(&a);
    for (int i = 0; i < SLOTS; i++) {
        slot_open(&slots[i], &a, device);
    }
    bool ok = run_frames(&a, slots);
    for (int i = 0; i < SLOTS; i++) {
        slot_close(&slots[i], &a);
    }
    vka_device_destroy(&device);
    app_close(&a);
    if (a.layer.complaints > 0) {
        fprintf(stderr, "import: %u validation messages\n", a.layer.complaints);
    }
    return ok && a.layer.complaints == 0 ? 0 : 1;
}
