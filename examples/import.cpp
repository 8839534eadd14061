/* import.c in C++, with exceptions: vkattn inside an app that owns its Vulkan. The app itself is that of C,
 * import/app.c. SPDX-License-Identifier: MIT
 *
 * The four steps of vkattn/vulkan.h:
 *   1. what to enable       import/app.c, device_choose and device_create
 *   2. import the device    run
 *   3. wrap the buffers     slot::slot
 *   4. record each frame    slot::record
 *
 * Exits with 1 when a result is wrong or the validation layer has something to say. */
#define VKATTN_CPP_EXCEPTIONS
#include "import/app.h"

#include <vkattn/vulkan.hpp>

#include "fill.h"
#include "scale.h"

#include <cmath>
#include <cstdio>

enum : uint32_t {
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
struct slot {
    slot(const app &owner, vkattn::device &device);
    ~slot();
    void record(VkPipeline fill, VkPipeline scale, uint32_t frame);
    bool finish(uint32_t frame);

    const app &a;
    memory tensors = memory_create(a.physical, a.device, (IN_COUNT + Q_COUNT) * sizeof(float), false);
    memory result = memory_create(a.physical, a.device, Q_COUNT * sizeof(float), true);
    VkDescriptorSet set = set_create(&a, &tensors, &result);
    VkCommandBuffer commands = commands_create(&a);
    VkFence fence = fence_create(&a);
    vkattn::buffer wrapped; /* tensors, as vkattn sees them */
    vkattn::recorder recorder;
    vkattn::attention attention;

  private:
    void barrier(VkPipelineStageFlags to_stage, VkAccessFlags to);
    void dispatch(VkPipeline pipeline, push p);
};

slot::slot(const app &owner, vkattn::device &device) : a(owner) {
    vkattn::wrap(wrapped, device, tensors.buffer, 0, tensors.size);
    const auto tensor = [&](uint32_t first, uint32_t heads, uint32_t rows) {
        return vkattn::tensor(wrapped, VKA_F32, {1, heads, rows, DIM}, first * sizeof(float));
    };
    attention.q(tensor(0, Q_HEADS, QUERIES))
        .k(tensor(Q_COUNT, KV_HEADS, KEYS))
        .v(tensor(Q_COUNT + KV_COUNT, KV_HEADS, KEYS))
        .out(tensor(IN_COUNT, Q_HEADS, QUERIES))
        .causal();
    /* Now rather than in the first frame: compile, and allocate the scratch. After that, frames allocate nothing. */
    device.prepare(attention);
    vka_requirements need;
    device.requirements(attention, need);
    recorder.create(device, vkattn::recorder_desc().scratch_bytes(need.workspace_bytes));
}

slot::~slot() {
    recorder.reset();
    wrapped.reset();
    vkDestroyFence(a.device, fence, nullptr);
    memory_destroy(a.device, &tensors);
    memory_destroy(a.device, &result);
}

/* ---- one frame ---------------------------------------------------------------------------------------------- */

void slot::barrier(VkPipelineStageFlags to_stage, VkAccessFlags to) {
    const VkMemoryBarrier written = {VK_STRUCTURE_TYPE_MEMORY_BARRIER, nullptr, VK_ACCESS_SHADER_WRITE_BIT, to};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, to_stage, 0, 1, &written, 0, nullptr, 0,
                         nullptr);
}

/* The app's own kernels. Pipeline, set and push constants are bound each time: vkattn binds its own in between. */
void slot::dispatch(VkPipeline pipeline, push p) {
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, a.layout, 0, 1, &set, 0, nullptr);
    vkCmdPushConstants(commands, a.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof p, &p);
    vkCmdDispatch(commands, (p.count + 63) / 64, 1, 1);
}

void slot::record(VkPipeline fill, VkPipeline scale, uint32_t frame) {
    VkCommandBufferBeginInfo begin = {};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    vk_check(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
    dispatch(fill, {0, IN_COUNT, frame});

    /* Inputs become visible to vkattn. Its output overwrites what the last frame of this slot read: a fence was
     * between. */
    barrier(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT);
    vkattn::wrap(recorder, commands);
    recorder.record(attention);
    vkattn::unwrap(recorder);
    /* Its output becomes visible to the app. */
    barrier(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT);

    dispatch(scale, {IN_COUNT, Q_COUNT, frame});
    barrier(VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    vk_check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");

    VkSubmitInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.commandBufferCount = 1;
    info.pCommandBuffers = &commands;
    vk_check(vkQueueSubmit(a.queue, 1, &info, fence), "vkQueueSubmit");
}

/* ---- the same on the CPU ------------------------------------------------------------------------------------ */

/* What fill.comp writes. */
static double filled(uint32_t i, uint32_t frame) {
    uint32_t state = (i + IN_COUNT * frame) * 747796405u + 2891336453u;
    uint32_t word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737u;
    return double(((word >> 22) ^ word) >> 8) / 8388608.0 - 1.0;
}

/* One row of causal attention, by its definition. The last query sees the last key. */
static void expected_row(uint32_t frame, uint32_t head, uint32_t query, double (&out)[DIM]) {
    const uint32_t q = (head * QUERIES + query) * DIM, k = Q_COUNT + head / (Q_HEADS / KV_HEADS) * KEYS * DIM;
    double sum = 0;
    for (uint32_t j = 0; j <= query + KEYS - QUERIES; j++) {
        double score = 0;
        for (uint32_t d = 0; d < DIM; d++)
            score += filled(q + d, frame) * filled(k + j * DIM + d, frame);
        const double p = std::exp(score / std::sqrt(double(DIM)));
        sum += p;
        for (uint32_t d = 0; d < DIM; d++)
            out[d] += p * filled(k + KV_COUNT + j * DIM + d, frame);
    }
    for (double &x : out)
        x /= sum;
}

bool slot::finish(uint32_t frame) {
    vk_check(vkWaitForFences(a.device, 1, &fence, VK_TRUE, UINT64_MAX), "vkWaitForFences");
    vk_check(vkResetFences(a.device, 1, &fence), "vkResetFences");
    const float *values = static_cast<const float *>(result.mapped);
    double worst = 0;
    bool ok = true;
    for (uint32_t row = 0; row < Q_HEADS * QUERIES; row++) {
        double expected[DIM] = {};
        expected_row(frame, row / QUERIES, row % QUERIES, expected);
        for (uint32_t d = 0; d < DIM; d++) {
            const double error = std::fabs(double(values[row * DIM + d]) - expected[d] * (1 + frame));
            worst = std::fmax(worst, error);
            ok = ok && error < 1e-5; /* NaN is not */
        }
    }
    std::printf("frame %u: %s, largest error %.1e\n", frame, ok ? "right" : "WRONG", worst);
    return ok;
}

static bool run(const app &a) {
    vkattn::device device;
    vkattn::import_device(device, vkattn::import_desc()
                                      .get_instance_proc_addr(vkGetInstanceProcAddr)
                                      .instance(a.instance)
                                      .api_version(a.api_version)
                                      .physical_device(a.physical)
                                      .device(a.device)
                                      .queue_family(a.family)
                                      .enabled(a.enabled));
    slot slots[SLOTS] = {{a, device}, {a, device}};
    VkPipeline fill = compute_pipeline_create(a.device, a.layout, fill_spirv, sizeof fill_spirv);
    VkPipeline scale = compute_pipeline_create(a.device, a.layout, scale_spirv, sizeof scale_spirv);
    bool ok = true;
    for (uint32_t frame = 0; frame < FRAMES + SLOTS; frame++) {
        slot &s = slots[frame % SLOTS];
        if (frame >= SLOTS) /* the slot is taken: by the frame that was submitted SLOTS frames ago */
            ok = s.finish(frame - SLOTS) && ok;
        if (frame < FRAMES)
            s.record(fill, scale, frame);
    }
    vkDestroyPipeline(a.device, fill, nullptr);
    vkDestroyPipeline(a.device, scale, nullptr);
    return ok;
}

int main() {
    static app a;
    app_open(&a);
    bool ok = false;
    try {
        ok = run(a);
    } catch (const vkattn::error &e) {
        std::fprintf(stderr, "import: %s\n", e.what());
    }
    app_close(&a);
    if (a.layer.complaints > 0)
        std::fprintf(stderr, "import: %u validation messages\n", a.layer.complaints);
    return ok && a.layer.complaints == 0 ? 0 : 1;
}
